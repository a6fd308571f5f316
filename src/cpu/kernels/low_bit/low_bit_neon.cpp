#define HONE_NS neon
#define HONE_LANES 4
#include "cpu/kernels/low_bit/low_bit_isa.hpp"
