#define HONE_NS avx2
#define HONE_LANES 8
#include "cpu/kernels/low_bit/low_bit_isa.hpp"
