// The 3-wide convolution with stride 1 and one column of padding, which is what residual networks consist of. It reads
// the source in place, without packed rows:
//   - where registers allow, the weights of all three taps are held and each broadcast feeds up to three outputs, so
//   loads do
//     not limit the tile (one vector of outputs needs one broadcast for each product otherwise);
//   - products with the padding are left out at compile time.
#pragma once
#include "cpu/kernels/training/direct_convolution.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

/// P outputs x NV vectors; neighbouring pixels lie U units apart. `Left`, `Right`: there is a source pixel beside the
/// tile. Runs hold three taps of length / 3 units each.
template <int NV, int P, int U, bool Left, bool Right, bool Pairs>
void same_tile(const ActiveRun* runs, int64_t count, int64_t shift, const TileOut& out) {
  VF acc[P][NV];
  HONE_UNROLL for (int p = 0; p < P; ++p) HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] = splat(0.0f);
  constexpr bool hold = P * NV + 3 * NV + 1 <= kAccumulators + 4;
  for (int64_t r = 0; r < count; ++r) {
    const float* x = runs[r].x + shift;
    const float* w = runs[r].w;
    const int64_t units = runs[r].length / 3, tap = units * NV * kLanes;
    for (int64_t k = units; k > 0; --k, ++x, w += NV * kLanes) {
      if constexpr (hold) {
        VF wv[3][NV];
        HONE_UNROLL for (int t = 0; t < 3; ++t) HONE_UNROLL for (int v = 0; v < NV; ++v) wv[t][v] =
            load(w + t * tap + v * kLanes);
        HONE_UNROLL for (int j = -int(Left); j < P + int(Right); ++j) {
          const VF b = splat(x[j * U]);
          HONE_UNROLL for (int t = 0; t < 3; ++t) {
            const int p = j + 1 - t;
            if (p < 0 || p >= P) continue;
            HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] = madd_unit<Pairs>(b, wv[t][v], acc[p][v]);
          }
        }
      } else {
        HONE_UNROLL for (int t = 0; t < 3; ++t) {
          VF wv[NV];
          HONE_UNROLL for (int v = 0; v < NV; ++v) wv[v] = load(w + t * tap + v * kLanes);
          HONE_UNROLL for (int p = 0; p < P; ++p) {
            const int j = p + t - 1;
            if ((j < 0 && !Left) || (j >= P && !Right)) continue;
            const VF b = splat(x[j * U]);
            HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] = madd_unit<Pairs>(b, wv[v], acc[p][v]);
          }
        }
      }
    }
  }
  add_full(out, acc);
  HONE_UNROLL for (int p = 0; p < P; ++p) HONE_UNROLL for (int v = 0; v < NV; ++v) {
    if (out.storage == Storage::f32)
      store(static_cast<float*>(out.y) + p * out.pixel + v * kLanes, acc[p][v]);
    else
      store(static_cast<uint16_t*>(out.y) + p * out.pixel + v * kLanes, acc[p][v]);
  }
}

/// A row of `width` outputs as tiles of equal size: the first, those between and the last differ in their neighbours.
struct SameRow {
  Tile only = nullptr, first = nullptr, middle = nullptr, last = nullptr;
  int64_t outputs = 0;
};
template <int NV, int P, int U, bool Pairs>
constexpr SameRow same_row() {
  return {same_tile<NV, P, U, false, false, Pairs>, same_tile<NV, P, U, false, true, Pairs>,
          same_tile<NV, P, U, true, true, Pairs>, same_tile<NV, P, U, true, false, Pairs>, P};
}
template <int NV, int P, int U, bool Pairs>
constexpr SameRow same_row_alone() {
  return {same_tile<NV, P, U, false, false, Pairs>, nullptr, nullptr, nullptr, P};
}
/// U1: units of a pixel of 16 channels.
template <int U1, bool Pairs>
SameRow choose_same_row(int64_t vectors, int64_t pixel_units, int64_t width) {
  SameRow none;
#if defined(__AVX512F__)
  if (pixel_units != vectors * U1) return none;
  if (vectors == 1) {
    if (width % 28 == 0) return same_row<1, 28, U1, Pairs>();
    if (width % 16 == 0) return same_row<1, 16, U1, Pairs>();
    if (width % 14 == 0) return same_row<1, 14, U1, Pairs>();
  }
  if (vectors == 2) {
    if (width % 8 == 0) return same_row<2, 8, 2 * U1, Pairs>();
    if (width % 7 == 0) return same_row<2, 7, 2 * U1, Pairs>();
  }
  if (vectors == 4) {
    if (width == 7) return same_row_alone<4, 7, 4 * U1, Pairs>();
    if (width % 4 == 0) return same_row<4, 4, 4 * U1, Pairs>();
  }
#else
  (void)vectors, (void)pixel_units, (void)width;
#endif
  return none;
}

/// False where the shape has no such tile: the caller goes the general way.
inline bool convolve_same_rows(const DirectConvolution& c, const ConvolutionBand& band) {
  const int64_t per_unit = c.rows.pairs ? 2 : 1, pixel_units = c.rows.pixel / per_unit;
  SameRow row;
  if constexpr (kPairs)
    row = c.rows.pairs ? choose_same_row<8, true>(c.vectors, pixel_units, c.width_out)
                       : choose_same_row<16, false>(c.vectors, pixel_units, c.width_out);
  else
    row = choose_same_row<16, false>(c.vectors, pixel_units, c.width_out);
  if (!row.only || c.channels_out != c.vectors * kLanes) return false;
  const float* x = static_cast<const float*>(band.x);  // in units, of whatever type
  const int64_t row_units = c.rows.width_in * pixel_units, tiles = c.width_out / row.outputs;
  const int64_t out_bytes = c.out == Storage::f32 ? 4 : 2;
  TileOut out;
  out.pixel = c.pixel_out;
  out.channels = c.channels_out;
  out.storage = c.out;
  out.add_storage = c.add;
  for (int64_t y = band.y0; y < band.y1; ++y) {
    int64_t count = 0;
    for (int64_t i = 0; i < c.phases[0].run_count; ++i) {
      const Run& run = c.runs[i];
      const int64_t source = y + run.row;
      if (source < 0 || source >= c.height_in) continue;
      band.active[count++] = {x + source * row_units + i % c.rows.blocks * c.rows.block,
                              band.weights + run.unit * c.vectors * kLanes, run.length};
    }
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t at = t * row.outputs;
      const int64_t element = (y * c.width_out + at) * c.pixel_out;
      out.y = static_cast<char*>(band.y) + element * out_bytes;
      out.add = place(band.add, c.add, element);
      const Tile tile = tiles == 1 ? row.only : t == 0 ? row.first : t + 1 == tiles ? row.last : row.middle;
      tile(band.active, count, at * pixel_units, out);
    }
  }
  return true;
}

inline void convolve(const DirectConvolution& c, const ConvolutionBand& band) {
  if (c.same_rows && convolve_same_rows(c, band)) return;
  convolve_packed_rows(c, band);
}

}  // namespace hone::cpu::training::HONE_ISA
