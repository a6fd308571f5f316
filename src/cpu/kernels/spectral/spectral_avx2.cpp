#define HONE_NS avx2
#include "cpu/kernels/spectral/spectral_isa.hpp"
