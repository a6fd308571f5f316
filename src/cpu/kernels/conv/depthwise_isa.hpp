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

#ifdef HONE_DEPTHWISE_BF16_ONLY
// As row_tile, with dot products: a lane holds an input and the one a tap below it, which are two products of the
// weights of both rows.
template <int KW, int STRIDE, bool INSIDE>
static void row_tile_pairs(const DepthwiseView& view, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  constexpr int pixels = depthwise_pixels, inputs = (pixels - 1) * STRIDE + KW;
  static constexpr uint16_t zipped[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                          8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i order = _mm512_loadu_si512(zipped);
  TileView out = *view.out;
  DepthwiseView d = view;
  d.out = &out;
  const EpilogueView e = *d.epilogue;
  const auto* from = static_cast<const uint16_t*>(d.x);
  // A few channels of all tiles after the other: their inputs and weights stay in the first cache.
  constexpr int block = 32;
  const auto vector_of = [&](int64_t x, int j) {
    __m512 acc[pixels];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) acc[p] = _mm512_setzero_ps();
    for (int y = 0; y < ny; y += 2) {
      const uint16_t* upper = from + x + y * d.row_step + j;
      const __mmask16 below = y + 1 < ny ? 0xffff : 0;  // the last row may be alone
      const uint32_t* wp = d.pairs + w + int64_t(y / 2) * KW * d.w_tap + j;
      __m512bh weight[KW];
#pragma GCC unroll 16
      for (int k = 0; k < KW; ++k) weight[k] = (__m512bh)_mm512_loadu_si512(wp + k * d.w_tap);
#pragma GCC unroll 32
      for (int i = 0; i < inputs; ++i, upper += d.tap_step) {
        if (!INSIDE && (i < first || i >= last)) continue;
        const __m256i one = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(upper));
        const __m256i other = _mm256_maskz_loadu_epi16(below, upper + d.row_step);
        __m512i v = _mm512_permutex2var_epi16(_mm512_castsi256_si512(one), order, _mm512_castsi256_si512(other));
        HONE_KEEP(v);
#pragma GCC unroll 16
        for (int k = 0; k < KW; ++k) {
          const int p = (i - k) / STRIDE;
          if (i >= k && (i - k) % STRIDE == 0 && p < pixels) acc[p] = _mm512_dpbf16_ps(acc[p], (__m512bh)v, weight[k]);
        }
      }
    }
    vf sums[pixels];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) sums[p] = (vf)acc[p];
    put_results<Num::bf16, pixels>(d, e, j, sums);
  };
  for (int begin = 0; begin < cols; begin += block) {
    const int end = begin + block < cols ? begin + block : cols;
    for (int t = 0; t < d.tiles; ++t) {
      out.row0 = view.out->row0 + int64_t(t) * pixels;
      for (int j = begin; j < end; j += lanes) vector_of(x + t * pixels * d.pixel_step, j);
    }
  }
}
template <int KW, int STRIDE>
HONE_INLINE void window_pairs(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  if (first == 0 && last == (depthwise_pixels - 1) * STRIDE + KW)
    return row_tile_pairs<KW, STRIDE, true>(d, x, w, ny, first, last, cols);
  row_tile_pairs<KW, STRIDE, false>(d, x, w, ny, first, last, cols);
}
void depthwise_row_pairs(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols) {
  if (d.kernel_w == 7) return window_pairs<7, 1>(d, x, w, ny, first, last, cols);
  if (d.stride == 1) return window_pairs<5, 1>(d, x, w, ny, first, last, cols);
  window_pairs<5, 2>(d, x, w, ny, first, last, cols);
}
#endif

// A vector of results: as put_results, from sums that began with the bias where that is added in registers.
template <Num TYPE>
HONE_INLINE void put_result(const DepthwiseView& d, const EpilogueView& e, int64_t c, int64_t at, int n, float* tile,
                            vf low, vf high, vf sum) {
  constexpr bool integer = TYPE == Num::u8 || TYPE == Num::s8;
  if constexpr (integer) {
    if (e.requant.scale) {
      const vi level = Requantizer<Between::nothing>::level(sum, load(e.requant.scale + c), load(e.requant.offset + c));
      const vi bytes = minimum_i(maximum_i(level + e.requant.zero, set1i(e.requant.low)), set1i(e.requant.high));
      return store_bytes(static_cast<uint8_t*>(e.out) + at, narrow_u8(bytes) ^ e.requant.flip, n);
    }
  }
  if (d.fused) {
    if constexpr (integer) sum = sum * load(e.dequant + c) + (e.bias ? load(e.bias + c) : vf{});
    return store_out < integer ? Num::u8 : TYPE > (e, at, clamp_to(sum, low, high), n);
  }
  if constexpr (integer) {
    if (!d.real_weights) return store_i32(reinterpret_cast<int32_t*>(tile), round_to_int(sum));
    sum = sum * load(e.dequant + c);
  }
  store(tile, sum);
}

// Sums slide over the columns: an input is loaded once for the two or three results (of each row) that meet it, and
// weights stay in registers. Sums of results that begin before the first one are dropped. INSIDE: all rows lie in
// the image.
template <Num TYPE, bool CENTERED, int STRIDE, int ROWS, bool INSIDE>
static void slide(const DepthwiseView& view, int64_t x, int64_t w, int top, int bottom, int64_t results, int64_t first,
                  int64_t last, int cols) {
  constexpr int inputs = (ROWS - 1) * STRIDE + 3, live = (3 + STRIDE - 1) / STRIDE;
  constexpr bool integer = TYPE == Num::u8 || TYPE == Num::s8;
  const DepthwiseView d = view;
  const EpilogueView e = *d.epilogue;
  const TileView t = *d.out;
  const vf low = set1(e.clamp_low), high = set1(e.clamp_high);
  const int64_t step = d.out_step * e.ld_out, below = d.out_row * e.ld_out;
  for (int j = 0; j < cols; j += lanes) {
    vf weight[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; ++k) weight[k] = ROWS == 2 || k / 3 < bottom ? load(d.w + w + k * d.w_tap + j) : vf{};
    const int64_t c = t.col0 + j;
    const int n = t.cols - j < lanes ? t.cols - j : lanes;
    vf begin{};
    if (!integer && d.fused && e.bias) begin = load(e.bias + c);
    vf acc[live][ROWS];
#pragma GCC unroll 4
    for (int k = 0; k < live; ++k) {
#pragma GCC unroll 2
      for (int r = 0; r < ROWS; ++r) acc[k][r] = begin;
    }
    int64_t at = t.row0 * e.ld_out + c, from = x + j;
    float* tile = static_cast<float*>(t.acc) + j;
    for (int64_t i = 1 - live; i < results; ++i) {
#pragma GCC unroll 2
      for (int q = 0; q < STRIDE; ++q, from += d.tap_step) {
        const int64_t column = (i + live - 1) * STRIDE + q;
        if (column < first || column >= last) continue;
#pragma GCC unroll 8
        for (int y = 0; y < inputs; ++y) {
          if (!INSIDE && (y < top || y >= bottom)) continue;
          vf v = load_tap<TYPE, CENTERED>(d, from + y * d.row_step);
          if (lanes == 16) HONE_KEEP(v);
#pragma GCC unroll 4
          for (int k = 0; k < live; ++k) {
            if (q + k * STRIDE >= 3) continue;
#pragma GCC unroll 2
            for (int r = 0; r < ROWS; ++r) {
              if (y < r * STRIDE || y >= r * STRIDE + 3) continue;
              acc[live - 1 - k][r] = acc[live - 1 - k][r] + v * weight[(y - r * STRIDE) * 3 + q + k * STRIDE];
            }
          }
        }
      }
      if (i >= 0) {
#pragma GCC unroll 2
        for (int r = 0; r < ROWS; ++r)
          put_result<TYPE>(d, e, c, at + r * below, n, tile + r * slide_results * 16, low, high, acc[0][r]);
        at += step;
        tile += 16;
      }
#pragma GCC unroll 2
      for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 4
        for (int k = 0; k + 1 < live; ++k) acc[k][r] = acc[k + 1][r];
        acc[live - 1][r] = begin;
      }
    }
  }
}

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
  if (d.stride == 1) return windows<TYPE, CENTERED, 5, 1>(d, x, w, ny, first, last, cols);
  windows<TYPE, CENTERED, 5, 2>(d, x, w, ny, first, last, cols);
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
HONE_INLINE void typed_slide(const DepthwiseView& d, int64_t x, int64_t w, int rows, int top, int bottom,
                             int64_t results, int64_t first, int64_t last, int cols) {
  using Run = void (*)(const DepthwiseView&, int64_t, int64_t, int, int, int64_t, int64_t, int64_t, int);
  constexpr bool whole = whole_tiles<TYPE>;
  const bool one = d.stride == 1, inside = whole && top == 0 && bottom == 3 + d.stride;
  Run run = one ? Run(slide<TYPE, CENTERED, 1, 1, false>) : Run(slide<TYPE, CENTERED, 2, 1, false>);
  if (rows == 2) run = one ? Run(slide<TYPE, CENTERED, 1, 2, false>) : Run(slide<TYPE, CENTERED, 2, 2, false>);
  if (rows == 2 && inside)
    run = one ? Run(slide<TYPE, CENTERED, 1, 2, whole>) : Run(slide<TYPE, CENTERED, 2, 2, whole>);
  run(d, x, w, top, bottom, results, first, last, cols);
}
void depthwise_slide(const DepthwiseView& d, int64_t x, int64_t w, int rows, int top, int bottom, int64_t results,
                     int64_t first, int64_t last, int cols) {
#define HONE_SLIDE(T, CENTERED) typed_slide<T, CENTERED>(d, x, w, rows, top, bottom, results, first, last, cols)
  HONE_EACH_TYPE(HONE_SLIDE)
#undef HONE_SLIDE
}
void depthwise_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols) {
#define HONE_TAPS(T, CENTERED) typed_taps<T, CENTERED>(d, x, w, ny, nx, pixels, cols)
  HONE_EACH_TYPE(HONE_TAPS)
#undef HONE_TAPS
}
#undef HONE_EACH_TYPE

}  // namespace hone::cpu::HONE_NS
