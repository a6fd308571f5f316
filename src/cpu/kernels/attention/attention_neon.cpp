#define HONE_NS neon
#define HONE_LANES 4
#include "cpu/kernels/attention/attention_int8_isa.hpp"
#include "cpu/kernels/attention/attention_isa.hpp"
#include "cpu/kernels/attention/cached_attention_isa.hpp"
