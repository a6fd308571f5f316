// The gradient of a convolution to its weights on AMX tiles, as plain data for the files of one instruction set.
//
// A product of tiles is 16 output channels x 16 input channels over 16 units of K, a unit being one pixel of two
// images: pairs never straddle a border, and the next tap is one line further. Both factors are packed first:
//   x    src = [image][y][x][c]   dst = [pair][c / 16][phase][row][column][16 c][2 images]
//   dy   src = [image][y][x][o]   dst = [pair][o / 16][unit / 16][16 o][16 units][2 images]
// Rows of a phase (the source rows of one remainder modulo the stride, columns likewise) are `pitch` columns wide, so
// that a unit of K is one place in the plane for every tap; where a row of dy is shorter, zeros stand. Each tile of x
// is then 16 lines as they lie, wherever the tap begins.
//
// Cycles for 16 x 16 channels and 16 units: a product 16 for each tap (the rate of the instruction), packing x some 70
// and dy some 110 (measured on Zen 4 with images in L2, which bounds both). So 3x3 taps spend about 45 % of the time on
// products with 16 channels, 60 % with 32, 75 % with 64, before what images cost that come from further away.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernels/training/isa.hpp"

namespace hone::cpu::training {

constexpr int kTileChannels = 16;  ///< rows and columns of a tile of sums
constexpr int kTileUnits = 16;     ///< of K in one product
constexpr int kTileColumns = 4;    ///< tiles of sums worked on together
constexpr int kTileFloats = 256;

/// Where column c of a packed line of x comes from, among its 16 channels: two lines of images fall into each other in
/// this order with the fewest shuffles.
constexpr int tile_channel(int c) {
  return c / 4 == 1 ? c + 4 : c / 4 == 2 ? c - 4 : c;
}

/// Rows [row0, row0 + rows) of one phase of a pair of images, and 16 channels.
struct PhaseRows {
  const void *a, *b;  ///< the first of the channels in both images; b null: zeros
  Storage storage;
  int64_t channels;             ///< valid ones
  int64_t height, width;        ///< of the image
  int64_t pixel_in_row, pixel;  ///< elements from row to row, from pixel to pixel
  int64_t first_y, first_x;     ///< image row and column of the phase's first ones
  int64_t stride_y, stride_x;
  int64_t rows, pitch;  ///< to write
  uint32_t* to;
};
/// One block of 16 output channels of a pair of images.
struct ResultUnits {
  const void *a, *b;  ///< the first of the channels in the first pixel; b null: zeros
  Storage storage;
  int64_t channels;       ///< valid ones
  const int64_t* from;    ///< of each unit: elements to add
  const uint16_t* valid;  ///< of each block of units: a bit for each that is a pixel; the others are zeros
  int64_t units;          ///< a multiple of kTileUnits
  uint32_t* to;
};
/// Up to kTileColumns tiles of sums with the same output channels, over several pairs of images.
struct TileProducts {
  const uint32_t* dy;
  int64_t dy_pair, x_pair;          ///< from pair to pair
  const uint32_t* x[kTileColumns];  ///< where the first unit lies for each tile
  float* sum[kTileColumns];         ///< [16 o][16 c], added to
  int64_t columns, pairs, blocks;   ///< blocks of 16 units
};

struct TileGradientIsa {
  void (*begin)();  ///< called by each thread before its first products, `end` after its last
  void (*end)();
  void (*pack_rows)(const PhaseRows&);
  void (*pack_units)(const ResultUnits&);
  void (*multiply)(const TileProducts&);
};

#if defined(__x86_64__)
namespace tiles_amx {
extern const TileGradientIsa table;
}
namespace tiles_stand_in {
extern const TileGradientIsa table;
}
#endif

}  // namespace hone::cpu::training
