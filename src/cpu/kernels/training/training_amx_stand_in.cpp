// The training kernels on a scalar stand-in for AMX tiles.
#define HONE_NS amx_stand_in
#define HONE_TILES tiles_stand_in
#include "cpu/kernels/gemm/amx_stand_in_tiles.hpp"
#include "cpu/kernels/training/tile_convolution.isa.hpp"
#include "cpu/kernels/training/tile_gradient.isa.hpp"

namespace hone::cpu::training::tiles_stand_in {
extern const TileGradientIsa table;
const TileGradientIsa table = make_table();
extern const TileConvolutionIsa convolution_table;
const TileConvolutionIsa convolution_table = make_convolution_table();
}  // namespace hone::cpu::training::tiles_stand_in
