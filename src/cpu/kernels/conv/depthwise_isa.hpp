// Depthwise convolution, for ISA files only. Integers are exact in f32: products stay below 2^15, sums of some hundred
// taps below 2^24.
#pragma once
#include "cpu/kernels/conv/depthwise_view.hpp"
#include "cpu/kernels/real_isa.hpp"

namespace hone::cpu::HONE_NS {

template <Num TYPE>
HONE_INLINE vf load_tap(const DepthwiseView& d, int64_t i) {
  const vf v = load_raw(TYPE, d.x, i);
  if constexpr (TYPE == Num::u8 || TYPE == Num::s8) return v - d.zero;
  return v;
}
// Vectors of results of neighbouring pixels: bias and clamp right here where that is the whole epilogue, else into the
// tile. `e` is a copy on the stack, so that stores cannot change it and its fields stay in registers.
template <Num TYPE, Num OUT, int PIXELS>
HONE_INLINE void finish_pixels(const EpilogueView& e, int64_t at, int64_t c, int n, const vf* acc) {
  const vf bias = e.bias ? load(e.bias + c) : vf{};
  const vf low = set1(e.clamp_low), high = set1(e.clamp_high);
  vf dequant = {};
  if (TYPE == Num::u8 || TYPE == Num::s8) dequant = load(e.dequant + c);
  for (int p = 0; p < PIXELS; ++p) {
    vf v = acc[p];
    if (TYPE == Num::u8 || TYPE == Num::s8) v = v * dequant;
    store_out<OUT>(e, at + p * e.ld_out, clamp_to(v + bias, low, high), n);
  }
}
template <Num TYPE, int PIXELS>
HONE_INLINE void put_results(const DepthwiseView& d, const EpilogueView& e, int j, const vf* acc) {
  const TileView& t = *d.out;
  if (d.fused) {
    const int64_t c = t.col0 + j, at = t.row0 * e.ld_out + c;
    const int n = t.cols - j < lanes ? t.cols - j : lanes;
    if (e.out_type == Num::f32) return finish_pixels<TYPE, Num::f32, PIXELS>(e, at, c, n, acc);
    if (e.out_type == Num::f16) return finish_pixels<TYPE, Num::f16, PIXELS>(e, at, c, n, acc);
    if (e.out_type == Num::bf16) return finish_pixels<TYPE, Num::bf16, PIXELS>(e, at, c, n, acc);
    return finish_pixels<TYPE, Num::u8, PIXELS>(e, at, c, n, acc);
  }
  for (int p = 0; p < PIXELS; ++p) {
    if (TYPE == Num::u8 || TYPE == Num::s8) {
      store_i32(static_cast<int32_t*>(t.acc) + p * 64 + j, round_to_int(acc[p]));
    } else {
      store(static_cast<float*>(t.acc) + p * 64 + j, acc[p]);
    }
  }
}

// A whole row of taps: each input is loaded (and converted) once for all windows that meet it.
template <Num TYPE, int KW, int STRIDE, int PIXELS>
static void whole_rows(const DepthwiseView& d, int64_t x, int64_t w, int ny, int cols) {
  constexpr int inputs = (PIXELS - 1) * STRIDE + KW;
  const EpilogueView e = *d.epilogue;
  for (int j = 0; j < cols; j += lanes) {
    vf acc[PIXELS];
    for (int p = 0; p < PIXELS; ++p) acc[p] = vf{};
    for (int y = 0; y < ny; ++y) {
      const int64_t at = x + y * d.row_step + j;
      const float* wp = d.w + w + int64_t(y) * d.kernel_w * d.w_tap + j;
      vf in[inputs];
      for (int i = 0; i < inputs; ++i) {
        in[i] = load_tap<TYPE>(d, at + i * d.tap_step);
        if (lanes == 16) HONE_KEEP(in[i]);
      }
      for (int k = 0; k < KW; ++k) {
        const vf wv = load(wp + k * d.w_tap);
        for (int p = 0; p < PIXELS; ++p) acc[p] = acc[p] + in[p * STRIDE + k] * wv;
      }
    }
    put_results<TYPE, PIXELS>(d, e, j, acc);
  }
}

template <Num TYPE, int PIXELS>
static void any_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int cols) {
  const EpilogueView e = *d.epilogue;
  for (int j = 0; j < cols; j += lanes) {
    vf acc[PIXELS];
    for (int p = 0; p < PIXELS; ++p) acc[p] = vf{};
    for (int y = 0; y < ny; ++y) {
      for (int k = 0; k < nx; ++k) {
        const vf wv = load(d.w + w + (int64_t(y) * d.kernel_w + k) * d.w_tap + j);
        const int64_t at = x + y * d.row_step + k * d.tap_step + j;
        for (int p = 0; p < PIXELS; ++p) acc[p] = acc[p] + load_tap<TYPE>(d, at + p * d.pixel_step) * wv;
      }
    }
    put_results<TYPE, PIXELS>(d, e, j, acc);
  }
}

template <Num TYPE, int PIXELS>
HONE_INLINE void depthwise_pixels(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int cols) {
  if (PIXELS > 1 && nx == d.kernel_w) {
    if (nx == 3 && d.stride_w == 1) return whole_rows<TYPE, 3, 1, PIXELS>(d, x, w, ny, cols);
    if (nx == 3 && d.stride_w == 2) return whole_rows<TYPE, 3, 2, PIXELS>(d, x, w, ny, cols);
    if (nx == 5 && d.stride_w == 1) return whole_rows<TYPE, 5, 1, PIXELS>(d, x, w, ny, cols);
    if (nx == 5 && d.stride_w == 2) return whole_rows<TYPE, 5, 2, PIXELS>(d, x, w, ny, cols);
  }
  any_taps<TYPE, PIXELS>(d, x, w, ny, nx, cols);
}

template <Num TYPE>
static void depthwise_typed(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
  switch (pixels) {
    case 1:
      return depthwise_pixels<TYPE, 1>(d, x, w, ny, nx, cols);
    case 2:
      return depthwise_pixels<TYPE, 2>(d, x, w, ny, nx, cols);
    case 4:
      return depthwise_pixels<TYPE, 4>(d, x, w, ny, nx, cols);
    case 5:
      return depthwise_pixels<TYPE, 5>(d, x, w, ny, nx, cols);
    default:
      return depthwise_pixels<TYPE, 6>(d, x, w, ny, nx, cols);
  }
}

void depthwise_tile(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
  switch (d.type) {
    case Num::f32:
      return depthwise_typed<Num::f32>(d, x, w, ny, nx, pixels, cols);
    case Num::f16:
      return depthwise_typed<Num::f16>(d, x, w, ny, nx, pixels, cols);
    case Num::bf16:
      return depthwise_typed<Num::bf16>(d, x, w, ny, nx, pixels, cols);
    case Num::u8:
      return depthwise_typed<Num::u8>(d, x, w, ny, nx, pixels, cols);
    default:
      return depthwise_typed<Num::s8>(d, x, w, ny, nx, pixels, cols);
  }
}

}  // namespace hone::cpu::HONE_NS
