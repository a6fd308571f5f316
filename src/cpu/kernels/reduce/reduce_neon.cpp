#define HONE_NS neon
#define HONE_LANES 4
#include "cpu/kernels/reduce/reduce_isa.hpp"
