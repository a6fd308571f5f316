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

// Vectors of neighbouring results: bias and clamp right here where that is the whole epilogue, else into the tile. `e`
// is a copy on the stack, so that stores cannot change it and its fields stay in registers.
template <Num TYPE, int PIXELS>
HONE_INLINE void put_results(const DepthwiseView& d, const EpilogueView& e, int j, const vf* acc) {
  constexpr bool integer = TYPE == Num::u8 || TYPE == Num::s8;
  const TileView& t = *d.out;
  if (d.fused) {
    const int64_t c = t.col0 + j, step = d.out_step * e.ld_out;
    int64_t at = t.row0 * e.ld_out + c;
    const int n = t.cols - j < lanes ? t.cols - j : lanes;
    const vf bias = e.bias ? load(e.bias + c) : vf{};
    const vf low = set1(e.clamp_low), high = set1(e.clamp_high);
    for (int p = 0; p < PIXELS; ++p, at += step) {
      vf v = acc[p];
      if constexpr (integer) v = v * load(e.dequant + c);
      store_out<integer ? Num::u8 : TYPE>(e, at, clamp_to(v + bias, low, high), n);
    }
    return;
  }
  for (int p = 0; p < PIXELS; ++p) {
    if constexpr (integer) {
      if (!d.real_weights) {
        store_i32(static_cast<int32_t*>(t.acc) + p * 64 + j, round_to_int(acc[p]));
        continue;
      }
      store(static_cast<float*>(t.acc) + p * 64 + j, acc[p] * load(e.dequant + t.col0 + j));
    } else {
      store(static_cast<float*>(t.acc) + p * 64 + j, acc[p]);
    }
  }
}

// Each input is loaded (and converted) once for all windows of the row that meet it; what lies outside adds nothing.
template <Num TYPE, int KW, int STRIDE>
static void row_tile(const DepthwiseView& view, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  constexpr int pixels = depthwise_pixels, inputs = (pixels - 1) * STRIDE + KW;
  const DepthwiseView d = view;
  const EpilogueView e = *d.epilogue;
  for (int j = 0; j < cols; j += lanes) {
    vf acc[pixels];
    for (int p = 0; p < pixels; ++p) acc[p] = vf{};
    for (int y = 0; y < ny; ++y) {
      int64_t at = x + y * d.row_step + j;
      const float* wp = d.w + w + int64_t(y) * KW * d.w_tap + j;
      vf weight[KW];
      for (int k = 0; k < KW; ++k) weight[k] = load(wp + k * d.w_tap);
#pragma GCC unroll 32
      for (int i = 0; i < inputs; ++i, at += d.tap_step) {
        if (i < first || i >= last) continue;
        vf v = load_tap<TYPE>(d, at);
        if (lanes == 16) HONE_KEEP(v);
        for (int k = 0; k < KW; ++k) {
          const int p = (i - k) / STRIDE;
          if (i >= k && (i - k) % STRIDE == 0 && p < pixels) acc[p] = acc[p] + v * weight[k];
        }
      }
    }
    put_results<TYPE, pixels>(d, e, j, acc);
  }
}

template <Num TYPE, int PIXELS>
static void any_taps(const DepthwiseView& view, int64_t x, int64_t w, int ny, int nx, int cols) {
  const DepthwiseView d = view;
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

template <Num TYPE>
HONE_INLINE void typed_row(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  if (d.kernel_w == 7) return row_tile<TYPE, 7, 1>(d, x, w, ny, first, last, cols);
  if (d.kernel_w == 5) {
    if (d.stride == 1) return row_tile<TYPE, 5, 1>(d, x, w, ny, first, last, cols);
    return row_tile<TYPE, 5, 2>(d, x, w, ny, first, last, cols);
  }
  if (d.stride == 1) return row_tile<TYPE, 3, 1>(d, x, w, ny, first, last, cols);
  row_tile<TYPE, 3, 2>(d, x, w, ny, first, last, cols);
}
template <Num TYPE>
HONE_INLINE void typed_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
  if (pixels == 1) return any_taps<TYPE, 1>(d, x, w, ny, nx, cols);
  any_taps<TYPE, 4>(d, x, w, ny, nx, cols);
}

#define HONE_EACH_TYPE(CALL)  \
  switch (d.type) {           \
    case Num::f32:            \
      return CALL(Num::f32);  \
    case Num::f16:            \
      return CALL(Num::f16);  \
    case Num::bf16:           \
      return CALL(Num::bf16); \
    case Num::u8:             \
      return CALL(Num::u8);   \
    default:                  \
      return CALL(Num::s8);   \
  }
void depthwise_row(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
#define HONE_ROW(T) typed_row<T>(d, x, w, ny, first, last, cols)
  HONE_EACH_TYPE(HONE_ROW)
#undef HONE_ROW
}
void depthwise_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
#define HONE_TAPS(T) typed_taps<T>(d, x, w, ny, nx, pixels, cols)
  HONE_EACH_TYPE(HONE_TAPS)
#undef HONE_TAPS
}
#undef HONE_EACH_TYPE

}  // namespace hone::cpu::HONE_NS
