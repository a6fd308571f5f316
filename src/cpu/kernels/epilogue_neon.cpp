#define HONE_NS neon
#define HONE_LANES 4
#include "cpu/kernels/epilogue_isa.hpp"
