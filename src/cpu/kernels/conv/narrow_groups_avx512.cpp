#define HONE_NS avx512
#define HONE_LANES 16
#include "cpu/kernels/conv/narrow_groups_isa.hpp"
