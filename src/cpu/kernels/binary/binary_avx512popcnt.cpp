#define HONE_NS avx512popcnt
#define HONE_LANES 16
#include "cpu/kernels/binary/binary_isa.hpp"
