// Depthwise convolution, for ISA files only. Integers are exact in f32: products stay below 2^15, sums of some hundred
// taps below 2^24.
#pragma once
#include "cpu/kernels/conv/depthwise_view.hpp"
#include "cpu/kernels/real_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"

namespace hone::cpu::HONE_NS {

// CENTERED: the zero point of integers is 0.
template <Num TYPE, bool CENTERED>
HONE_INLINE vf load_tap(const DepthwiseView& d, int64_t i) {
  const vf v = load_raw(TYPE, d.x, i);
  if constexpr (!CENTERED && (TYPE == Num::u8 || TYPE == Num::s8)) return v - d.zero;
  return v;
}

// Results of integers as bytes.
template <int PIXELS>
HONE_INLINE void put_bytes(const DepthwiseView& d, const EpilogueView& e, int j, const vf* acc) {
  using Bytes = Requantizer<Between::nothing>;
  const Bytes q(e.requant);
  const TileView& t = *d.out;
  const int64_t c = t.col0 + j, step = d.out_step * e.ld_out;
  const int n = t.cols - j < lanes ? t.cols - j : lanes;
  const vf scale = load(e.requant.scale + c), offset = load(e.requant.offset + c);
  uint8_t* to = static_cast<uint8_t*>(e.out) + t.row0 * e.ld_out + c;
#if HONE_LANES == 16
#pragma GCC unroll 2
  for (int p = 0; p < PIXELS; p += 4) {
    vi level[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) level[k] = p + k < PIXELS ? Bytes::level(acc[p + k], scale, offset) : vi{};
    const __m512i bytes = q.pack(level[0], level[1], level[2], level[3]);
    const __m128i chunk[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                              _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k, to += step) {
      if (p + k >= PIXELS) break;
      if (n == lanes) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), chunk[k]);
      } else {
        _mm_mask_storeu_epi8(to, first_lanes(n), chunk[k]);
      }
    }
  }
#else
  for (int p = 0; p < PIXELS; ++p, to += step) store_bytes(to, q.bytes(Bytes::level(acc[p], scale, offset)), n);
#endif
}

// Vectors of neighbouring results: bias and clamp right here where that is the whole epilogue, else into the tile. `e`
// is a copy on the stack, so that stores cannot change it and its fields stay in registers.
template <Num TYPE, int PIXELS>
HONE_INLINE void put_results(const DepthwiseView& d, const EpilogueView& e, int j, const vf* acc) {
  constexpr bool integer = TYPE == Num::u8 || TYPE == Num::s8;
  const TileView& t = *d.out;
  if constexpr (integer) {
    if (e.requant.scale) return put_bytes<PIXELS>(d, e, j, acc);
  }
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
// Tiles without branches, for real numbers and where registers suffice; elsewhere their code is not worth its size.
template <Num TYPE>
constexpr bool whole_tiles = lanes == 16 && (TYPE == Num::f32 || TYPE == Num::bf16);

// INSIDE: all inputs lie in the image. Tiles side by side, `view.tiles` of them.
template <Num TYPE, bool CENTERED, int KW, int STRIDE, bool INSIDE>
static void row_tile(const DepthwiseView& view, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  constexpr int pixels = depthwise_pixels, inputs = (pixels - 1) * STRIDE + KW;
  TileView out = *view.out;
  DepthwiseView d = view;
  d.out = &out;
  const EpilogueView e = *d.epilogue;
  for (int t = 0; t < d.tiles; ++t, x += pixels * d.pixel_step, out.row0 += pixels) {
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
          if (!INSIDE && (i < first || i >= last)) continue;
          vf v = load_tap<TYPE, CENTERED>(d, at);
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
}

#if HONE_LANES == 16
// Two rows of results, windows 3 x 3 with stride 1: a row of inputs between them is loaded once for both. LEFT, RIGHT:
// the first, the last input of each row lies outside of the image.
template <Num TYPE, bool CENTERED, bool LEFT, bool RIGHT>
static void pair_tile(const DepthwiseView& view, int64_t x, int64_t w, int cols) {
  constexpr int pixels = depthwise_pixels, inputs = pixels + 2;
  TileView above = *view.out, below = above;
  below.row0 += view.out_row;
  DepthwiseView d = view, second = view;
  d.out = &above;
  second.out = &below;
  const EpilogueView e = *d.epilogue;
  for (int t = 0; t < d.tiles; ++t, x += pixels * d.pixel_step, above.row0 += pixels, below.row0 += pixels) {
    for (int j = 0; j < cols; j += lanes) {
      vf acc[2][pixels], weight[3][3];
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) acc[0][p] = acc[1][p] = vf{};
#pragma GCC unroll 9
      for (int k = 0; k < 9; ++k) weight[k / 3][k % 3] = load(d.w + w + k * d.w_tap + j);
#pragma GCC unroll 4
      for (int y = 0; y < 4; ++y) {
        int64_t at = x + y * d.row_step + j;
#pragma GCC unroll 16
        for (int i = 0; i < inputs; ++i, at += d.tap_step) {
          if ((LEFT && i == 0) || (RIGHT && i == inputs - 1)) continue;
          vf v = load_tap<TYPE, CENTERED>(d, at);
          HONE_KEEP(v);
#pragma GCC unroll 3
          for (int k = 0; k < 3; ++k) {
            if (i < k || i - k >= pixels) continue;
            if (y < 3) acc[0][i - k] = acc[0][i - k] + v * weight[y][k];
            if (y > 0) acc[1][i - k] = acc[1][i - k] + v * weight[y - 1][k];
          }
        }
      }
      put_results<TYPE, pixels>(d, e, j, acc[0]);
      put_results<TYPE, pixels>(second, e, j, acc[1]);
    }
  }
}
#endif

template <Num TYPE, bool CENTERED, int PIXELS>
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
        for (int p = 0; p < PIXELS; ++p) acc[p] = acc[p] + load_tap<TYPE, CENTERED>(d, at + p * d.pixel_step) * wv;
      }
    }
    put_results<TYPE, PIXELS>(d, e, j, acc);
  }
}

template <Num TYPE, bool CENTERED, int KW, int STRIDE>
HONE_INLINE void windows(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  if constexpr (whole_tiles<TYPE>) {
    if (first == 0 && last == (depthwise_pixels - 1) * STRIDE + KW)
      return row_tile<TYPE, CENTERED, KW, STRIDE, true>(d, x, w, ny, first, last, cols);
  }
  row_tile<TYPE, CENTERED, KW, STRIDE, false>(d, x, w, ny, first, last, cols);
}
template <Num TYPE, bool CENTERED>
HONE_INLINE void typed_row(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  if (d.kernel_w == 7) return windows<TYPE, CENTERED, 7, 1>(d, x, w, ny, first, last, cols);
  if (d.kernel_w == 5) {
    if (d.stride == 1) return windows<TYPE, CENTERED, 5, 1>(d, x, w, ny, first, last, cols);
    return windows<TYPE, CENTERED, 5, 2>(d, x, w, ny, first, last, cols);
  }
  if (d.stride == 1) return windows<TYPE, CENTERED, 3, 1>(d, x, w, ny, first, last, cols);
  windows<TYPE, CENTERED, 3, 2>(d, x, w, ny, first, last, cols);
}
template <Num TYPE, bool CENTERED>
HONE_INLINE void typed_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
  if (pixels == 1) return any_taps<TYPE, CENTERED, 1>(d, x, w, ny, nx, cols);
  any_taps<TYPE, CENTERED, 4>(d, x, w, ny, nx, cols);
}

#ifdef HONE_DEPTHWISE_BF16_ONLY
#define HONE_EACH_TYPE(CALL) return CALL(Num::bf16, true);
#else
#define HONE_EACH_TYPE(CALL)                                           \
  switch (d.type) {                                                    \
    case Num::f32:                                                     \
      return CALL(Num::f32, true);                                     \
    case Num::f16:                                                     \
      return CALL(Num::f16, true);                                     \
    case Num::bf16:                                                    \
      return CALL(Num::bf16, true);                                    \
    case Num::u8:                                                      \
      return d.zero == 0 ? CALL(Num::u8, true) : CALL(Num::u8, false); \
    default:                                                           \
      return CALL(Num::s8, false);                                     \
  }
#endif
void depthwise_row(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
#define HONE_ROW(T, CENTERED) typed_row<T, CENTERED>(d, x, w, ny, first, last, cols)
  HONE_EACH_TYPE(HONE_ROW)
#undef HONE_ROW
}
template <Num TYPE, bool CENTERED>
HONE_INLINE void pair_windows(const DepthwiseView& d, int64_t x, int64_t w, int first, int last, int cols) {
#if HONE_LANES == 16
  if constexpr (whole_tiles<TYPE>) {
    const bool left = first == 1, right = last == depthwise_pixels + 1;
    auto* run = left && right ? pair_tile<TYPE, CENTERED, true, true>
                : left        ? pair_tile<TYPE, CENTERED, true, false>
                : right       ? pair_tile<TYPE, CENTERED, false, true>
                              : pair_tile<TYPE, CENTERED, false, false>;
    return run(d, x, w, cols);
  }
#endif
  TileView below = *d.out;
  below.row0 += d.out_row;
  DepthwiseView second = d;
  second.out = &below;
  typed_row<TYPE, CENTERED>(d, x, w, 3, first, last, cols);
  typed_row<TYPE, CENTERED>(second, x + d.row_step, w, 3, first, last, cols);
}
void depthwise_pair(const DepthwiseView& d, int64_t x, int64_t w, int first, int last, int cols) {
#define HONE_PAIR(T, CENTERED) pair_windows<T, CENTERED>(d, x, w, first, last, cols)
  HONE_EACH_TYPE(HONE_PAIR)
#undef HONE_PAIR
}
void depthwise_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
#define HONE_TAPS(T, CENTERED) typed_taps<T, CENTERED>(d, x, w, ny, nx, pixels, cols)
  HONE_EACH_TYPE(HONE_TAPS)
#undef HONE_TAPS
}
#undef HONE_EACH_TYPE

}  // namespace hone::cpu::HONE_NS
