// The gradient of a 3x3 convolution to its weights by the transposed algorithm: with y = A'[(G g) * (B' d)],
// dg = G'[sum over tiles of (A dy) * (B' d)].
#pragma once
#include "cpu/kernels/training/weight_gradient.isa.hpp"
#include "cpu/kernels/training/winograd.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

/// A y: four values to six.
HONE_INLINE void winograd_spread(const VF* y, int s, VF* z, int t) {
  const VF even = y[0] + y[2 * s], odd = y[s] + y[3 * s];
  const VF far_even = y[0] + splat(4.0f) * y[2 * s], far_odd = splat(2.0f) * y[s] + splat(8.0f) * y[3 * s];
  z[0] = y[0];
  z[t] = even + odd;
  z[2 * t] = even - odd;
  z[3 * t] = far_even + far_odd;
  z[4 * t] = far_even - far_odd;
  z[5 * t] = y[3 * s];
}
/// G' u: six values to three.
HONE_INLINE void winograd_gather(const VF* u, int s, VF* g, int t) {
  const VF sixth = splat(1.0f / 6), near = (u[s] + u[2 * s]) * sixth, far = u[3 * s] + u[4 * s];
  g[0] = (u[0] * splat(0.25f) - near) + far * splat(1.0f / 24);
  g[t] = (u[2 * s] - u[s]) * sixth + (u[3 * s] - u[4 * s]) * splat(1.0f / 12);
  g[2 * t] = (far * sixth - near) + u[5 * s];
}

/// dy to [36][tile][channels out]; outputs beyond the border are zero.
__attribute__((noinline)) inline void winograd_spread_results(const DirectConvolution& c, const WinogradGradient& w,
                                                              int64_t tiles) {
  const int64_t across = (c.width_out + 3) / 4, down = (c.height_out + 3) / 4, channels = c.channels_out;
  const int64_t step = tiles * channels, row_step = c.width_out * c.pixel_out;
  int64_t tile = 0;
  for (int64_t n = 0; n < w.images; ++n) {
    const float* image = w.dy + n * c.height_out * row_step;
    for (int64_t ty = 0; ty < down; ++ty) {
      for (int64_t tx = 0; tx < across; ++tx, ++tile) {
        const int64_t rows = c.height_out - ty * 4 < 4 ? c.height_out - ty * 4 : 4;
        const int64_t columns = c.width_out - tx * 4 < 4 ? c.width_out - tx * 4 : 4;
        const float* from = image + ty * 4 * row_step + tx * 4 * c.pixel_out;
        for (int64_t ch = 0; ch < channels; ch += kLanes) {
          VF y[16], half[24];
          if (rows == 4 && columns == 4) {
            HONE_UNROLL for (int i = 0; i < 4; ++i) HONE_UNROLL for (int j = 0; j < 4; ++j) y[i * 4 + j] =
                load(from + i * row_step + j * c.pixel_out + ch);
          } else {
            for (int64_t i = 0; i < 4; ++i)
              for (int64_t j = 0; j < 4; ++j)
                y[i * 4 + j] = i < rows && j < columns ? load(from + i * row_step + j * c.pixel_out + ch) : splat(0.0f);
          }
          HONE_UNROLL for (int j = 0; j < 4; ++j) winograd_spread(y + j, 4, half + j, 4);
          float* to = w.result + tile * channels + ch;
          HONE_UNROLL for (int i = 0; i < 6; ++i) {
            VF z[6];
            winograd_spread(half + i * 4, 1, z, 1);
            HONE_UNROLL for (int j = 0; j < 6; ++j, to += step) store(to, z[j]);
          }
        }
      }
    }
  }
}

inline void winograd_gradient(const DirectConvolution& c, const WinogradGradient& w) {
  const int64_t tiles = w.images * winograd_tiles(c), channels = c.rows.channels, blocks = channels / 16;
  WinogradImages images{};
  images.x = w.x;
  images.images = w.images;
  images.source = w.source;
  images.columns = w.columns;
  images.zeros = w.zeros;
  images.pad_top = w.pad_top, images.pad_left = w.pad_left;
  winograd_sources(c, images, tiles);
  winograd_spread_results(c, w, tiles);
  constexpr int wide = kAccumulators >= 24 ? 8 : 4, narrow_units = kAccumulators >= 24 ? 16 : 8;
  const int64_t vectors = c.channels_out / kLanes;
  PixelWalk walk;
  walk.fetch = walk.fetch_end = nullptr;
  walk.fetch_lines = 0;
  walk.images = walk.rows = 1;
  walk.x_image = walk.dy_image = walk.x_row = walk.dy_row = 0;
  walk.columns = tiles;
  walk.x_column = 16;
  walk.dy_column = c.channels_out;
  for (int64_t f = 0; f < kWinogradProducts; ++f) {
    for (int64_t b = 0; b < blocks; ++b) {
      const float* x = w.source + (f * blocks + b) * tiles * 16;
      const float* dy = w.result + f * tiles * c.channels_out;
      float* sum = w.sum + (f * channels + b * 16) * c.channels_out;
      int64_t v = 0;
      for (; v + 2 <= vectors; v += 2)
        for (int64_t u = 0; u < 16; u += wide) {
          walk.x = x + u, walk.dy = dy + v * kLanes;
          gradient_tile<wide, 2, false>(walk, sum + u * c.channels_out + v * kLanes, c.channels_out);
        }
      for (; v < vectors; ++v)
        for (int64_t u = 0; u < 16; u += narrow_units) {
          walk.x = x + u, walk.dy = dy + v * kLanes;
          gradient_tile<narrow_units, 1, false>(walk, sum + u * c.channels_out + v * kLanes, c.channels_out);
        }
    }
  }
}

inline void winograd_gradient_taps(const float* sum, int64_t channels, int64_t outputs, int64_t channel0,
                                   int64_t channel1, float* taps) {
  for (int64_t ch = channel0; ch < channel1; ++ch) {
    for (int64_t o = 0; o < outputs; o += kLanes) {
      VF u[36], half[18], g[9];
      for (int64_t f = 0; f < kWinogradProducts; ++f) u[f] = load(sum + (f * channels + ch) * outputs + o);
      HONE_UNROLL for (int j = 0; j < 6; ++j) winograd_gather(u + j, 6, half + j, 6);
      HONE_UNROLL for (int i = 0; i < 3; ++i) winograd_gather(half + i * 6, 1, g + i * 3, 1);
      for (int64_t k = 0; k < 9; ++k) store(taps + (ch * 9 + k) * outputs + o, g[k]);
    }
  }
}

}  // namespace hone::cpu::training::HONE_ISA
