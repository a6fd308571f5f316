// The tile kernels of dense products, as plain data for ISA files.
//
// All element types share one shape of kernel: a step multiplies 4 bytes of a row of A (1 f32, 2 bf16 or 4 int8),
// broadcast, with 64 bytes of a panel of B (16 columns). K is cut into runs that are contiguous in A: the taps of one
// kernel row of a convolution, or single taps. A run may be left out: taps that meet padding alone.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

struct TileRun {
  int64_t a_rows;   ///< the pointers of this run begin a[a_rows]
  int64_t a_bytes;  ///< to add to each of them
  int64_t b_bytes;  ///< from the begin of a panel of B
};
/// Real results straight from the accumulators: acc + bias[c] (+ residual), clamped or HardSwish, to f32 or bf16.
struct RealEnd {
  const float* bias;     ///< of the first column, readable to a whole panel
  const void* residual;  ///< of the type of the results and laid out as they are, at the first; null: none
  void* out;             ///< the first result
  int64_t ld;            ///< elements between rows of results
  int rows, cols;        ///< of the tile that are results: all rows, or all but one
  Num type;
  bool hard_swish;  ///< not with a residual; else clamped
  float low, high;
};
struct TileArgs {
  const uint8_t* const* a;  ///< one pointer per row, for each run or for all
  const TileRun* run;
  int64_t runs, steps;  ///< steps of 4 bytes in each run
  // b = [panels][runs][padded steps][16][4 bytes], or, deep, [panels][runs][padded steps / 2][16][8 bytes]
  const uint8_t* b;
  int64_t panel_stride;
  void* c;  ///< rows x (16 * panels) accumulators, f32 or i32, 16 * panels apart
  // Bytes at once instead of c, where `requantizes` says so.
  const RequantView* requant;  ///< null: c; the pointers below replace its own
  const float *scale, *offset;
  const uint8_t* residual;
  uint8_t* out;
  int64_t ld_out;
  int rows, cols;      ///< of the tile that are results
  const RealEnd* end;  ///< results instead of accumulators; null: `c`
  uint8_t flip;        ///< of tiles that flip: bytes of A are signed ones ^ this
};
using TileFn = void (*)(const TileArgs&);

constexpr int max_tile_rows = 32;
constexpr int max_tile_panels = 4;
/// A tile may take fewer rows more than it is asked for; their pointers must be good.
constexpr int surplus_rows = 16;

/// The kernels of one instruction set for one element type.
struct DenseIsa {
  /// [panels - 1][rows - 1]; a missing row count is null: the next larger one serves with repeated pointers.
  TileFn tiles[max_tile_panels][max_tile_rows];
  int max_rows[max_tile_panels];
  int max_panels;
  EpilogueFn epilogue;
  void (*f32_to_bf16)(const float* from, uint16_t* to, int64_t n);
  void (*bf16_to_f32)(const uint16_t* from, float* to, int64_t n);
  void (*f16_to_f32)(const uint16_t* from, float* to, int64_t n);
  void (*begin)();  ///< called by each thread before its first tile, `end` after its last; null: nothing to do
  void (*end)();
  int row_block = 1;                         ///< tiles take as long for fewer rows than a multiple of this
  bool requantizes = false;                  ///< tiles can write bytes from their registers
  bool ends_f32 = false, ends_bf16 = false;  ///< can tiles write results of that type themselves?
  /// As `tiles`, where the last panel has at most 8 columns; null: none.
  TileFn halves[max_tile_panels][max_tile_rows] = {};
  /// The same of signed bytes of A; null: there is none.
  const DenseIsa* of_signed = nullptr;
  bool flips = false;        ///< tiles of signed bytes heed `TileArgs::flip`: they take unsigned ones too, 128 less
  bool whole_tiles = false;  ///< rows go to the highest tiles that they fill; else they are shared out evenly
  bool deep = false;         ///< B lies in its deep form: steps in pairs
};

#define HONE_DENSE_ISA(ISA)         \
  namespace ISA {                   \
  extern const DenseIsa dense_f32;  \
  extern const DenseIsa dense_bf16; \
  extern const DenseIsa dense_int8; \
  }
HONE_DENSE_ISA(avx2)
HONE_DENSE_ISA(avx512)
HONE_DENSE_ISA(avx512vnni)
HONE_DENSE_ISA(avx512bf16)
HONE_DENSE_ISA(amx)
HONE_DENSE_ISA(amx_stand_in)
HONE_DENSE_ISA(neon)
HONE_DENSE_ISA(neondot)
HONE_DENSE_ISA(neoni8mm)
HONE_DENSE_ISA(neonbf16)
#undef HONE_DENSE_ISA

}  // namespace hone::cpu
