#define HONE_NS avx2
#define HONE_LANES 8
#include "cpu/kernels/attention/attention_int8_isa.hpp"
#include "cpu/kernels/attention/attention_isa.hpp"
#include "cpu/kernels/attention/cached_attention_isa.hpp"
