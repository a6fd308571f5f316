#define HONE_NS neon
#include "cpu/kernels/spectral/spectral_isa.hpp"
