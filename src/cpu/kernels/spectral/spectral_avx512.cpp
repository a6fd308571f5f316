#define HONE_NS avx512
#include "cpu/kernels/spectral/spectral_isa.hpp"
