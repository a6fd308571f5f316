// Winograd's F(4x4, 3x3) with the points 0, 1, -1, 2, -2 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015).
#pragma once
#include "cpu/kernels/training/direct_convolution.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

/// B^T d.
HONE_INLINE void winograd_source(const VF* d, VF* t) {
  const VF four = splat(4.0f), five = splat(5.0f), two = splat(2.0f);
  const VF a = d[4] - four * d[2], b = d[3] - four * d[1], c = d[4] - d[2], e = d[3] - d[1];
  t[0] = (four * d[0] - five * d[2]) + d[4];
  t[1] = a + b;
  t[2] = a - b;
  t[3] = two * e + c;
  t[4] = c - two * e;
  t[5] = (four * d[1] - five * d[3]) + d[5];
}
/// A^T m: six values to four.
HONE_INLINE void winograd_result(const VF* m, int s, VF* y, int t) {
  const VF sum = m[s] + m[2 * s], difference = m[s] - m[2 * s];
  const VF far_sum = m[3 * s] + m[4 * s], far_difference = m[3 * s] - m[4 * s];
  y[0] = m[0] + sum + far_sum;
  y[t] = difference + splat(2.0f) * far_difference;
  y[2 * t] = sum + splat(4.0f) * far_sum;
  y[3 * t] = (difference + splat(8.0f) * far_difference) + m[5 * s];
}
/// G g: three values to six.
HONE_INLINE void winograd_taps(const VF* g, int s, VF* u, int t) {
  const VF third = splat(1.0f / 6), g0 = g[0], g1 = g[s], g2 = g[2 * s];
  const VF even = (g0 + g2) * third, odd = g1 * third;
  const VF near = g0 * splat(1.0f / 24) + g2 * third, far = g1 * splat(1.0f / 12);
  u[0] = g0 * splat(0.25f);
  u[t] = -(even + odd);
  u[2 * t] = odd - even;
  u[3 * t] = near + far;
  u[4 * t] = near - far;
  u[5 * t] = g2;
}

/// src = [vectors group][unit][v][lane], units as (ky, channel block, kx, channel); dst = [vectors
/// group][36][channel][v][lane]
inline void winograd_weights(const DirectConvolution& c, const float* packed, float* weights, int64_t channel0,
                             int64_t channel1) {
  const int64_t channels = c.rows.channels, all_vectors = c.channels_out / kLanes, block = c.rows.block;
  for (int64_t v0 = 0; v0 < all_vectors; v0 += c.vectors) {
    const int64_t nv = all_vectors - v0 < c.vectors ? all_vectors - v0 : c.vectors;
    const float* from = packed + v0 * c.units * kLanes;
    float* to = weights + v0 * kWinogradProducts * channels * kLanes;
    for (int64_t ch = channel0; ch < channel1; ++ch) {
      const int64_t cb = ch / block, u = ch % block;
      for (int64_t v = 0; v < nv; ++v) {
        VF g[9], half[18], out[36];
        for (int64_t ky = 0; ky < 3; ++ky)
          for (int64_t kx = 0; kx < 3; ++kx)
            g[ky * 3 + kx] = load(from + ((((ky * c.rows.blocks + cb) * 3 + kx) * block + u) * nv + v) * kLanes);
        HONE_UNROLL for (int kx = 0; kx < 3; ++kx) winograd_taps(g + kx, 3, half + kx, 3);
        HONE_UNROLL for (int ky = 0; ky < 6; ++ky) winograd_taps(half + ky * 3, 1, out + ky * 6, 1);
        for (int64_t f = 0; f < kWinogradProducts; ++f) store(to + ((f * channels + ch) * nv + v) * kLanes, out[f]);
      }
    }
  }
}

/// Transforms the tiles of all images to [36][channels / 16][tile][16]. A row of tiles is transformed down its columns
/// first, into `columns` [6][width + padding], where neighbouring tiles share what they overlap; then across.
__attribute__((noinline)) inline void winograd_sources(const DirectConvolution& c, const WinogradImages& w,
                                                       int64_t tiles) {
  const int64_t across = (c.width_out + 3) / 4, down = (c.height_out + 3) / 4, channels = c.rows.channels;
  const int64_t step = tiles * channels;  // from one of the 36 to the next
  const int64_t line = (across * 4 + 2) * kLanes;
  // columns that lie in the source; the others stay zero
  int64_t x0 = w.pad_left > 0 ? w.pad_left : 0, x1 = c.rows.width_in + w.pad_left;
  if (x1 > across * 4 + 2) x1 = across * 4 + 2;
  for (int64_t i = 0; i < 6; ++i) {
    __builtin_memset(w.columns + i * line, 0, static_cast<size_t>(x0 * kLanes) * 4);
    if (x1 * kLanes < line)
      __builtin_memset(w.columns + i * line + x1 * kLanes, 0, static_cast<size_t>(line - x1 * kLanes) * 4);
  }
  for (int64_t n = 0; n < w.images; ++n) {
    const float* image = w.x + n * c.height_in * c.pixel_in_row;
    for (int64_t ty = 0; ty < down; ++ty) {
      for (int64_t ch = 0; ch < channels; ch += kLanes) {
        const float* row[6];
        int64_t advance[6];
        for (int64_t i = 0; i < 6; ++i) {
          const int64_t y = ty * 4 - w.pad_top + i;
          const bool inside = y >= 0 && y < c.height_in;
          row[i] = inside ? image + y * c.pixel_in_row + (x0 - w.pad_left) * c.rows.pixel + ch : w.zeros;
          advance[i] = inside ? c.rows.pixel : 0;
        }
        float* to = w.columns + x0 * kLanes;
        for (int64_t x = x0; x < x1; ++x, to += kLanes) {
          VF d[6], t[6];
          HONE_UNROLL for (int i = 0; i < 6; ++i) d[i] = load(row[i]), row[i] += advance[i];
          winograd_source(d, t);
          HONE_UNROLL for (int i = 0; i < 6; ++i) store(to + i * line, t[i]);
        }
        const int64_t tile = (n * down + ty) * across;
        for (int64_t i = 0; i < 6; ++i) {
          const float* from = w.columns + i * line;
          float* out = w.source + i * 6 * step + (ch / 16 * tiles + tile) * 16 + ch % 16;
          for (int64_t tx = 0; tx < across; ++tx, from += 4 * kLanes, out += 16) {
            VF d[6], t[6];
            HONE_UNROLL for (int j = 0; j < 6; ++j) d[j] = load(from + j * kLanes);
            winograd_source(d, t);
            HONE_UNROLL for (int j = 0; j < 6; ++j) store(out + j * step, t[j]);
          }
        }
      }
    }
  }
}

/// From [36][tile][channels out] back to images.
__attribute__((noinline)) inline void winograd_results(const DirectConvolution& c, const WinogradImages& w,
                                                       int64_t tiles) {
  const int64_t across = (c.width_out + 3) / 4, down = (c.height_out + 3) / 4, channels = c.channels_out;
  const int64_t step = tiles * channels;
  int64_t tile = 0;
  for (int64_t n = 0; n < w.images; ++n) {
    float* image = w.y + n * c.height_out * c.width_out * c.pixel_out;
    for (int64_t ty = 0; ty < down; ++ty) {
      for (int64_t tx = 0; tx < across; ++tx, ++tile) {
        const int64_t rows = c.height_out - ty * 4 < 4 ? c.height_out - ty * 4 : 4;
        const int64_t columns = c.width_out - tx * 4 < 4 ? c.width_out - tx * 4 : 4;
        const int64_t first = (ty * 4 * c.width_out + tx * 4) * c.pixel_out;
        float* to = image + first;
        const void* add = place(w.add, c.add, n * c.height_out * c.width_out * c.pixel_out + first);
        for (int64_t ch = 0; ch < channels; ch += kLanes) {
          const float* from[6];
          for (int64_t i = 0; i < 6; ++i) from[i] = w.product + i * 6 * step + tile * channels + ch;
          VF half[24], y[16];
          HONE_UNROLL for (int j = 0; j < 6; ++j) {
            VF m[6];
            HONE_UNROLL for (int i = 0; i < 6; ++i) m[i] = load(from[i]), from[i] += step;
            winograd_result(m, 1, half + j, 6);
          }
          HONE_UNROLL for (int i = 0; i < 4; ++i) winograd_result(half + i * 6, 1, y + i * 4, 1);
          if (add) {
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t j = 0; j < columns; ++j) {
                const void* a = place(add, c.add, (i * c.width_out + j) * c.pixel_out + ch);
                y[i * 4 + j] +=
                    c.add == Storage::f32 ? load(static_cast<const float*>(a)) : load(static_cast<const uint16_t*>(a));
              }
          }
          if (rows == 4 && columns == 4) {
            HONE_UNROLL for (int i = 0; i < 4; ++i) HONE_UNROLL for (int j = 0; j < 4; ++j)
                store(to + (i * c.width_out + j) * c.pixel_out + ch, y[i * 4 + j]);
          } else {
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t j = 0; j < columns; ++j) store(to + (i * c.width_out + j) * c.pixel_out + ch, y[i * 4 + j]);
          }
        }
      }
    }
  }
}

inline void winograd(const DirectConvolution& c, const WinogradImages& w) {
  const int64_t tiles = w.images * winograd_tiles(c), channels = c.rows.channels, blocks = channels / 16;
  winograd_sources(c, w, tiles);
  const int64_t all_vectors = c.channels_out / kLanes;
  TileOut out;
  out.pixel = c.channels_out;
  out.storage = Storage::f32;
  constexpr int64_t most_blocks =
      64;  // of a run list; more are added in rounds of a wider reduction, which the rows refuse
  ActiveRun runs[most_blocks];
  for (int64_t v0 = 0; v0 < all_vectors; v0 += c.vectors) {
    const int64_t nv = all_vectors - v0 < c.vectors ? all_vectors - v0 : c.vectors;
    const TileChoice choice = choose_tile<16, false>(nv, tiles);
    const float* weights = w.weights + v0 * kWinogradProducts * channels * kLanes;
    out.channels = nv * kLanes;
    for (int64_t f = 0; f < kWinogradProducts; ++f) {
      for (int64_t b = 0; b < blocks; ++b)
        runs[b] = {w.source + (f * blocks + b) * tiles * 16, weights + (f * channels + b * 16) * nv * kLanes, 16};
      for (int64_t j = 0; j < tiles; j += choice.outputs) {
        const int64_t at = j + choice.outputs <= tiles ? j : tiles - choice.outputs;
        out.y = w.product + (f * tiles + at) * c.channels_out + v0 * kLanes;
        choice.run(runs, blocks, at * 16, out);
      }
    }
  }
  winograd_results(c, w, tiles);
}

}  // namespace hone::cpu::training::HONE_ISA
