#define HONE_NS avx2
#define HONE_LANES 8
#include "cpu/kernels/binary/binary_isa.hpp"
