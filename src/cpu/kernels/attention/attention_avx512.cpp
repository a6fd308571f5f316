#define HONE_NS avx512
#define HONE_LANES 16
#include "cpu/kernels/attention/attention_int8_isa.hpp"
#include "cpu/kernels/attention/attention_isa.hpp"
#include "cpu/kernels/attention/cached_attention_isa.hpp"
