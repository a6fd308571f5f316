#define HONE_NS avx512
#define HONE_LANES 16
#include "cpu/kernels/low_bit/low_bit_isa.hpp"
