// The gradient of a convolution to its weights: a tile of R units of the packed rows of x and NV vectors of output
// channels stays in registers and walks over the pixels of a band, one load of dy and R broadcasts of x for R * NV
// multiply-adds.
#pragma once
#include "cpu/kernels/training/direct_convolution.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

struct PixelWalk {
  const float* x;
  const float* dy;
  int64_t images, x_image, dy_image;
  int64_t rows, x_row, dy_row;
  int64_t columns, x_column, dy_column;
  mutable const char *fetch, *fetch_end;  ///< memory to bring nearer, some lines with each row
  int64_t fetch_lines;
};
using GradientTile = void (*)(const PixelWalk& walk, float* sum, int64_t leading);

template <int R, int NV, bool Pairs>
void gradient_tile(const PixelWalk& walk, float* sum, int64_t leading) {
  VF acc[R][NV];
  HONE_UNROLL for (int r = 0; r < R; ++r) HONE_UNROLL for (int v = 0; v < NV; ++v) acc[r][v] = splat(0.0f);
  for (int64_t i = 0; i < walk.images; ++i) {
    for (int64_t row = 0; row < walk.rows; ++row) {
      const float* x = walk.x + i * walk.x_image + row * walk.x_row;
      const float* dy = walk.dy + i * walk.dy_image + row * walk.dy_row;
      for (int64_t j = walk.columns; j > 0; --j, x += walk.x_column, dy += walk.dy_column) {
        VF d[NV];
        HONE_UNROLL for (int v = 0; v < NV; ++v) d[v] = load(dy + v * kLanes);
        HONE_UNROLL for (int r = 0; r < R; ++r) {
          const VF b = splat(x[r]);
          HONE_UNROLL for (int v = 0; v < NV; ++v) acc[r][v] = madd_unit<Pairs>(b, d[v], acc[r][v]);
        }
      }
    }
  }
  HONE_UNROLL for (int r = 0; r < R; ++r, sum += leading) HONE_UNROLL for (int v = 0; v < NV; ++v)
      store(sum + v * kLanes, load(sum + v * kLanes) + acc[r][v]);
}

template <int NV, bool Pairs, int... R>
GradientTile pick_gradient_tile(int64_t units, int64_t& taken) {
  constexpr int sizes[] = {R...};
  constexpr GradientTile tiles[] = {gradient_tile<R, NV, Pairs>...};
  for (size_t i = 0; i < sizeof...(R); ++i)
    if (sizes[i] <= units) {
      taken = sizes[i];
      return tiles[i];
    }
  return nullptr;
}

/// The tile that divides a run of `units` best, with up to `vectors` vectors of output channels.
template <bool Pairs>
GradientTile gradient_tile_for(int64_t units, int64_t& vectors, int64_t& taken) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if (units >= 8 || vectors == 1) {
    vectors = 1;
    if (units % 12 == 0) return pick_gradient_tile<1, Pairs, 12>(units, taken);
    return pick_gradient_tile<1, Pairs, 8, 4, 3, 2, 1>(units, taken);
  }
  vectors = 2;
  return pick_gradient_tile<2, Pairs, 4, 3, 2, 1>(units, taken);
#else
  if (units >= 12 || vectors == 1) {
    vectors = 1;
    if (units % 24 == 0) return pick_gradient_tile<1, Pairs, 24>(units, taken);
    return pick_gradient_tile<1, Pairs, 24, 20, 16, 12, 8, 6, 4, 3, 2, 1>(units, taken);
  }
  if (vectors >= 4 && units <= 4) {
    vectors = 4;
    return pick_gradient_tile<4, Pairs, 4, 3, 2, 1>(units, taken);
  }
  vectors = 2;
  return pick_gradient_tile<2, Pairs, 12, 8, 6, 4, 3, 2, 1>(units, taken);
#endif
}

/// Copies dy of a band to [image][pixel][vectors * lanes]: pairs of images, or widened bf16.
inline void pack_outputs(const WeightGradient& g, const WeightGradientBand& band, int64_t vectors, bool pairs) {
  const int64_t block = vectors * kLanes;
  const int64_t pixels = (band.y1 - band.y0) * g.width_out;
  int64_t take = g.channels_out - band.v0 * kLanes;
  if (take > block) take = block;
  const int64_t bytes = g.out == Storage::f32 ? 4 : 2;
  float* to = band.scratch_dy;
  for (int64_t i = 0; i < band.images; ++i) {
    const char* a =
        static_cast<const char*>(band.dy) +
        ((pairs ? 2 * i : i) * g.image_out + band.y0 * g.width_out * g.pixel_out + band.v0 * kLanes) * bytes;
    const bool single = band.last_single && i + 1 == band.images;
    const char* b = single ? nullptr : a + g.image_out * bytes;
    for (int64_t p = 0; p < pixels; ++p, to += block) {
      const int64_t at = p * g.pixel_out;
      if (pairs && g.out == Storage::bf16) {
        const auto* pb = b ? reinterpret_cast<const uint16_t*>(b) + at : nullptr;
        pair_pixel(reinterpret_cast<uint32_t*>(to), reinterpret_cast<const uint16_t*>(a) + at, pb, take, block);
      } else if (pairs) {
        const auto* pb = b ? reinterpret_cast<const float*>(b) + at : nullptr;
        pair_pixel(reinterpret_cast<uint32_t*>(to), reinterpret_cast<const float*>(a) + at, pb, take, block);
      } else {
        widen_pixel(to, reinterpret_cast<const uint16_t*>(a) + at, take, block);
      }
    }
  }
}

/// The 3-wide convolution with stride 1 and one column of padding: the tile holds all three taps of Units channels, so
/// each broadcast of x meets the outputs to its left, at its place and to its right; those beyond the border are left
/// out. `sum`: the first tap, the others follow after `tap` floats each.
template <int Units, bool Pairs>
void same_gradient_tile(const PixelWalk& walk, float* sum, int64_t leading, int64_t tap) {
  VF acc[3][Units];
  HONE_UNROLL for (int t = 0; t < 3; ++t) HONE_UNROLL for (int r = 0; r < Units; ++r) acc[t][r] = splat(0.0f);
  for (int64_t i = 0; i < walk.images; ++i) {
    for (int64_t row = 0; row < walk.rows; ++row) {
      const float* x = walk.x + i * walk.x_image + row * walk.x_row;
      const float* dy = walk.dy + i * walk.dy_image + row * walk.dy_row;
      for (int64_t k = walk.fetch_lines; k > 0 && walk.fetch < walk.fetch_end; --k, walk.fetch += 64)
        __builtin_prefetch(walk.fetch, 0, 2);
      VF left = splat(0.0f), here = load(dy), right = load(dy + walk.dy_column);
      dy += 2 * walk.dy_column;
      HONE_UNROLL for (int r = 0; r < Units; ++r) {
        const VF b = splat(x[r]);
        acc[0][r] = madd_unit<Pairs>(b, right, acc[0][r]);
        acc[1][r] = madd_unit<Pairs>(b, here, acc[1][r]);
      }
      x += walk.x_column;
      left = here, here = right;
      for (int64_t j = walk.columns - 2; j > 0; --j, x += walk.x_column, dy += walk.dy_column) {
        right = load(dy);
        HONE_UNROLL for (int r = 0; r < Units; ++r) {
          const VF b = splat(x[r]);
          acc[0][r] = madd_unit<Pairs>(b, right, acc[0][r]);
          acc[1][r] = madd_unit<Pairs>(b, here, acc[1][r]);
          acc[2][r] = madd_unit<Pairs>(b, left, acc[2][r]);
        }
        left = here, here = right;
      }
      HONE_UNROLL for (int r = 0; r < Units; ++r) {
        const VF b = splat(x[r]);
        acc[1][r] = madd_unit<Pairs>(b, here, acc[1][r]);
        acc[2][r] = madd_unit<Pairs>(b, left, acc[2][r]);
      }
    }
  }
  HONE_UNROLL for (int t = 0; t < 3; ++t) HONE_UNROLL for (int r = 0; r < Units; ++r) {
    float* to = sum + t * tap + r * leading;
    store(to, load(to) + acc[t][r]);
  }
}
constexpr int kSameUnits = kAccumulators >= 24 ? 8 : 4;

/// Spreads the lines of the next band over the rows of all tiles of this one: packing would wait for memory otherwise,
/// while nothing is multiplied.
struct Fetch {
  const char* at[2];
  const char* end[2];
  int64_t lines = 0;
  Fetch(const WeightGradient& g, const WeightGradientBand& band, int64_t vectors)
      : at{band.next_x, band.next_dy}, end{band.next_x + band.next_x_bytes, band.next_dy + band.next_dy_bytes} {
    if (!band.next_x) return;
    const int64_t rows = band.images * (band.y1 - band.y0), tiles = g.units / (3 * kSameUnits) * vectors;
    lines = ((band.next_x_bytes + band.next_dy_bytes) / 64 + rows * tiles - 1) / (rows * tiles);
    if (lines > 16) lines = 16;
  }
  /// The part of the next tile: what remains of x, then of dy.
  void share(PixelWalk& walk) {
    if (lines == 0) return;
    if (which < 2 && started) at[which] = walk.fetch;
    while (which < 2 && at[which] >= end[which]) ++which;
    started = which < 2;
    walk.fetch_lines = started ? lines : 0;
    if (started) walk.fetch = at[which], walk.fetch_end = end[which];
  }
  int which = 0;
  bool started = false;
};

template <bool Pairs>
inline void gradient_band(const WeightGradient& g, const WeightGradientBand& band) {
  const int64_t row_units = g.rows.row_units(), band_rows = band.row1 - band.row0;
  const int64_t in_bytes = g.rows.storage == Storage::f32 ? 4 : 2;
  const bool in_place = g.same_rows && !Pairs && g.rows.storage == Storage::f32;
  for (int64_t i = 0; i < band.images && !in_place; ++i) {
    const char* a = static_cast<const char*>(band.x) + (Pairs ? 2 * i : i) * g.image_in * in_bytes;
    const char* b = band.last_single && i + 1 == band.images ? nullptr : a + g.image_in * in_bytes;
    for (int64_t r = 0; r < band_rows; ++r) {
      const int64_t row = (band.row0 + r) * g.pixel_in_row * in_bytes;
      float* to = band.scratch_x + (i * band_rows + r) * row_units;
      if constexpr (Pairs)
        pack_row<true>(g.rows, a + row, b ? b + row : nullptr, to);
      else
        pack_row<false>(g.rows, a + row, nullptr, to);
    }
  }
  const int64_t vectors_here = band.v1 - band.v0;
  Fetch fetch(g, band, vectors_here);
  const int64_t leading = (g.channels_out + kLanes - 1) / kLanes * kLanes;
  PixelWalk walk;
  walk.fetch = walk.fetch_end = nullptr;
  walk.fetch_lines = 0;
  walk.images = band.images;
  walk.columns = g.width_out;
  walk.x_column = g.rows.block;
  const float* dy;
  if (g.copy_out) {
    pack_outputs(g, band, vectors_here, Pairs);
    dy = band.scratch_dy;
    walk.dy_column = vectors_here * kLanes;
    walk.dy_row = g.width_out * walk.dy_column;
    walk.dy_image = (band.y1 - band.y0) * walk.dy_row;
  } else {
    walk.dy_column = g.pixel_out;
    walk.dy_row = g.width_out * g.pixel_out;
    walk.dy_image = g.image_out;
    dy = static_cast<const float*>(band.dy) + band.y0 * walk.dy_row + band.v0 * kLanes;
  }
  walk.x_row = in_place ? g.pixel_in_row : g.row_step * row_units;
  walk.x_image = in_place ? g.image_in : band_rows * row_units;
  if (in_place) walk.x_column = g.rows.pixel;
  for (int64_t i = 0; i < g.run_count; ++i) {
    const Run& run = g.runs[i];
    // rows y with 0 <= y * row_step + run.row < height_in
    int64_t y0 = band.y0, y1 = band.y1;
    if (run.row < 0) {
      const int64_t least = (-run.row + g.row_step - 1) / g.row_step;
      y0 = y0 > least ? y0 : least;
    }
    const int64_t room = g.height_in - run.row;
    const int64_t end = room <= 0 ? 0 : (room + g.row_step - 1) / g.row_step;
    y1 = y1 < end ? y1 : end;
    if (y0 >= y1) continue;
    walk.rows = y1 - y0;
    if (g.same_rows) {
      const int64_t block = g.rows.block, cb = i / (g.run_count / g.rows.blocks);
      const float* from = in_place ? static_cast<const float*>(band.x) + (y0 + run.row) * g.pixel_in_row + cb * block
                                   : band.scratch_x + (y0 + run.row - band.row0) * row_units + run.offset +
                                         block;  // behind the padding
      for (int64_t u = 0; u < block; u += kSameUnits)
        for (int64_t v = 0; v < vectors_here; ++v) {
          walk.x = from + u;
          walk.dy = dy + (y0 - band.y0) * walk.dy_row + v * kLanes;
          fetch.share(walk);
          same_gradient_tile<kSameUnits, Pairs>(walk, band.sum + (run.unit + u) * leading + (band.v0 + v) * kLanes,
                                                leading, block * leading);
        }
      continue;
    }
    const float* x = band.scratch_x + (y0 * g.row_step + run.row - band.row0) * row_units + run.offset;
    for (int64_t u = 0; u < run.length;) {
      int64_t taken = 1;
      for (int64_t v = 0; v < vectors_here;) {
        int64_t nv = vectors_here - v;
        const GradientTile tile = gradient_tile_for<Pairs>(run.length - u, nv, taken);
        if (nv > vectors_here - v) nv = vectors_here - v;
        walk.x = x + u;
        walk.dy = dy + (y0 - band.y0) * walk.dy_row + v * kLanes;
        tile(walk, band.sum + (run.unit + u) * leading + (band.v0 + v) * kLanes, leading);
        v += nv;
      }
      u += taken;
    }
  }
}

inline void weight_gradient(const WeightGradient& g, const WeightGradientBand& band) {
  if constexpr (kPairs) {
    if (g.rows.pairs) return gradient_band<true>(g, band);
  }
  gradient_band<false>(g, band);
}

}  // namespace hone::cpu::training::HONE_ISA
