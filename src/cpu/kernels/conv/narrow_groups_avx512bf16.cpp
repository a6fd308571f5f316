#define HONE_NARROW_BF16
#define HONE_NS avx512bf16
#define HONE_LANES 16
#include "cpu/kernels/conv/narrow_groups_isa.hpp"
