#define HONE_DEPTHWISE_BF16_ONLY  // kernels of other types come from depthwise_avx512.cpp
#define HONE_NS avx512bf16
#define HONE_LANES 16
#include "cpu/kernels/conv/depthwise_isa.hpp"
