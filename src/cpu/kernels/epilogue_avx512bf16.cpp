#define HONE_NS avx512bf16
#define HONE_LANES 16
#include "cpu/kernels/elementwise/elementwise_isa.hpp"
