// Results in bf16 alone: all others are left to the code of AVX-512.
#define HONE_ONLY_BF16
#define HONE_NS avx512bf16
#define HONE_LANES 16
#include "cpu/kernels/elementwise/elementwise_isa.hpp"
