#define HONE_NS neondot
#define HONE_LANES 4
#include "cpu/kernels/low_bit/low_bit_isa.hpp"
