#define HONE_NS avx512vnni
#define HONE_LANES 16
#include "cpu/kernels/attention/cached_attention_isa.hpp"
