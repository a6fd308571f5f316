#define HONE_NS neon
#define HONE_LANES 4
#include "cpu/kernels/binary/binary_isa.hpp"
