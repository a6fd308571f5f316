// Convolutions with variable weights, and gradients to the data, on AMX tiles, as plain data for the files of one
// instruction set.
//
// A product of tiles is 16 places x 16 output channels over 32 channels of the source. The source of a band is packed
// with its padding into planes, one for each remainder modulo the stride, rows of a plane following each other:
//   src = [y][x][c]   dst = [phase][row][column][c, padded to 8]   bf16
// so that a tile of A is 16 neighbouring places as they lie, one pixel apart, and neighbouring taps of a plane are one
// run of K. A block of K that ends behind the run reads on into the next pixel, which meets weights of zero: only where
// that is no number does it show. Places between the rows' ends are computed as well, and left out when results are
// stored. The weights are packed once a run, [phase][panel][block of K][16 pairs][16 columns][2].
//
// With 16 channels 3x3 taps fill 4.5 of 6 blocks of K, with 32 and more all.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernels/training/isa.hpp"

namespace hone::cpu::training {

constexpr int kTilePlaces = 16;
constexpr int kTilePanel = 16;      ///< output channels
constexpr int kTileDepth = 32;      ///< values of K in a product
constexpr int kTileBytes = 1024;    ///< of packed weights in a product
constexpr int kTilesTogether = 4;   ///< of places, which meet one tile of weights
constexpr int kPaddedChannels = 8;  ///< pixels are padded to a multiple of these

/// Rows of one phase.
struct SourceRows {
  const void* from;  ///< the first of the channels of the image's first pixel
  Storage storage;
  int64_t channels, padded;
  int64_t height, width;        ///< of the image
  int64_t pixel_in_row, pixel;  ///< elements from row to row, from pixel to pixel
  int64_t first_y, first_x;     ///< image row and column of the phase's first ones
  int64_t stride_y, stride_x;
  int64_t rows, pitch;  ///< to write
  uint16_t* to;
};
/// A tile of weights: value k of column c is from[element[k] + c * column], or 0 where element[k] < 0.
struct WeightTile {
  const void* from;
  bool bf16;
  const int32_t* element;  ///< kTileDepth of them
  int64_t column, columns;
  uint32_t* to;
};
/// The results of one phase of a band.
struct TileWindow {
  const uint8_t* a;
  int64_t pixel_bytes;
  const int64_t* block;  ///< of each block of K: bytes from a place to what its first tap reads
  int64_t blocks, panels, tiles;
  const uint8_t* b;
  const int64_t* to;  ///< of each place: element of y; -1: none
  void* y;
  const void* add;  ///< like y, added before results are stored; null: nothing
  Storage out, add_storage;
  int64_t columns;
};

struct TileConvolutionIsa {
  void (*begin)();
  void (*end)();
  void (*pack_source)(const SourceRows&);
  void (*pack_weights)(const WeightTile&);
  void (*convolve)(const TileWindow&);
};

#if defined(__x86_64__)
namespace tiles_amx {
extern const TileConvolutionIsa convolution_table;
}
namespace tiles_stand_in {
extern const TileConvolutionIsa convolution_table;
}
#endif

}  // namespace hone::cpu::training
