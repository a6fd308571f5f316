// The training kernels on AMX tiles; the flags are in training.cmake.
#define HONE_NS amx
#define HONE_TILES tiles_amx
#include "cpu/kernels/gemm/amx_tiles.hpp"
#include "cpu/kernels/training/tile_convolution.isa.hpp"
#include "cpu/kernels/training/tile_gradient.isa.hpp"

namespace hone::cpu::training::tiles_amx {
extern const TileGradientIsa table;
const TileGradientIsa table = make_table();
extern const TileConvolutionIsa convolution_table;
const TileConvolutionIsa convolution_table = make_convolution_table();
}  // namespace hone::cpu::training::tiles_amx
