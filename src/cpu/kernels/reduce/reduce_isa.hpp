// Reductions along rows and columns, for ISA files only.
#pragma once
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"
#include "cpu/kernels/reduce/reduce_view.hpp"

namespace hone::cpu::HONE_NS {

HONE_INLINE vf load_real(const RealInput& x, int64_t i) {
  const vf v = load_raw(x.type, x.data, i);
  return x.quantized ? (v - x.zero) * x.scale : v;
}
HONE_INLINE float load_real_one(const RealInput& x, int64_t i) {
  const float v = load_one(x.type, x.data, i);
  return x.quantized ? (v - x.zero) * x.scale : v;
}
HONE_INLINE void store_real(const RealOutput& y, int64_t i, vf v, int n) {
  EpilogueView e;
  e.out = y.data;
  e.out_type = y.type;
  e.out_inv_scale = y.inv_scale;
  e.out_zero = y.zero;
  e.out_low = y.low;
  e.out_high = y.high;
  store_any(e, i, v, n);
}
HONE_INLINE vf lane_mask(int n) {
  vi index;
  for (int i = 0; i < lanes; ++i) index[i] = i;
  return (vf)(index < n);
}
HONE_INLINE vf keep_lanes(vf v, int n, float rest) {
  return select((vi)lane_mask(n), v, set1(rest));
}

// What a row is made of: one floating type on both sides, known at compile time, or anything.
enum class RowType { f32, bf16, any };
HONE_INLINE RowType row_type(const RealInput& x, const RealOutput& y) {
  if (x.quantized || x.type != y.type) return RowType::any;
  return x.type == Num::f32 ? RowType::f32 : x.type == Num::bf16 ? RowType::bf16 : RowType::any;
}
template <RowType T>
HONE_INLINE vf load_row(const RealInput& x, int64_t i) {
  if constexpr (T == RowType::any) return load_real(x, i);
  return load_raw(T == RowType::f32 ? Num::f32 : Num::bf16, x.data, i);
}
template <RowType T>
HONE_INLINE void store_row(const RealOutput& y, int64_t i, vf v, int n) {
  if constexpr (T == RowType::any) return store_real(y, i, v, n);
  EpilogueView e;
  e.out = y.data;
  store_out<T == RowType::f32 ? Num::f32 : Num::bf16>(e, i, v, n);
}

template <RowType T>
static void softmax_row(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, bool log) {
  const int64_t whole = n / lanes * lanes;
  const int tail = int(n - whole);
  const float inf = __builtin_inff();
  vf high = set1(-inf);
  for (int64_t i = 0; i < whole; i += lanes) high = maximum(high, load_row<T>(x, at + i));
  if (tail) high = maximum(high, keep_lanes(load_row<T>(x, at + whole), tail, -inf));
  const vf top = set1(max_of(high));
  vf sum = {};
  for (int64_t i = 0; i < whole; i += lanes) sum = sum + exponential(load_row<T>(x, at + i) - top);
  if (tail) sum = sum + keep_lanes(exponential(load_row<T>(x, at + whole) - top), tail, 0);
  const vf total = set1(sum_of(sum));
  if (log) {
    const vf shift = top + natural_log(total);
    for (int64_t i = 0; i < n; i += lanes)
      store_row<T>(y, at + i, load_row<T>(x, at + i) - shift, n - i < lanes ? tail : lanes);
  } else {
    const vf factor = 1.0f / total;
    for (int64_t i = 0; i < n; i += lanes) {
      store_row<T>(y, at + i, exponential(load_row<T>(x, at + i) - top) * factor, n - i < lanes ? tail : lanes);
    }
  }
}

// Short columns beside each other, as many elements of each as a vector holds at a time.
static void softmax_lines(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, int cols, bool log) {
  const int width = lanes / cols * cols;
  const float inf = __builtin_inff();
  // What the parts of a vector say about one column, in all of them.
  const auto joined = [&](vf v, auto join) {
    float part[lanes];
    store(part, v);
    for (int j = 0; j < cols; ++j) {
      float all = part[j];
      for (int k = j + cols; k < width; k += cols) all = join(all, part[k]);
      for (int k = j; k < lanes; k += cols) part[k] = all;
    }
    return load(part);
  };
  vf high = set1(-inf), sum = {};
  int64_t i = 0;
  for (; i + width <= n; i += width) high = maximum(high, load_real(x, at + i));
  if (i < n) high = maximum(high, keep_lanes(load_real(x, at + i), int(n - i), -inf));
  const vf top = joined(high, [](float a, float b) { return a > b ? a : b; });
  for (i = 0; i + width <= n; i += width) sum = sum + exponential(load_real(x, at + i) - top);
  if (i < n) sum = sum + keep_lanes(exponential(load_real(x, at + i) - top), int(n - i), 0);
  const vf total = joined(sum, [](float a, float b) { return a + b; });
  const vf shift = log ? top + natural_log(total) : top, factor = 1.0f / total;
  for (i = 0; i < n; i += width) {
    const vf v = load_real(x, at + i) - shift;
    store_real(y, at + i, log ? v : exponential(v) * factor, n - i < width ? int(n - i) : width);
  }
}

void softmax(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, int64_t step, int64_t cols, bool log) {
  if (step == 1) {
    const RowType type = row_type(x, y);
    if (type == RowType::f32) return softmax_row<RowType::f32>(x, y, at, n, log);
    if (type == RowType::bf16) return softmax_row<RowType::bf16>(x, y, at, n, log);
    return softmax_row<RowType::any>(x, y, at, n, log);
  }
  if (step == cols && 2 * cols <= lanes) return softmax_lines(x, y, at, n * cols, int(cols), log);
  for (int64_t j = 0; j < cols; j += lanes) {
    const int count = cols - j < lanes ? int(cols - j) : lanes;
    vf top = load_real(x, at + j), sum = {};
    for (int64_t i = 1; i < n; ++i) top = maximum(top, load_real(x, at + i * step + j));
    for (int64_t i = 0; i < n; ++i) sum = sum + exponential(load_real(x, at + i * step + j) - top);
    const vf shift = top + natural_log(sum), factor = 1.0f / sum;
    for (int64_t i = 0; i < n; ++i) {
      const vf v = load_real(x, at + i * step + j);
      store_real(y, at + i * step + j, log ? v - shift : exponential(v - top) * factor, count);
    }
  }
}

void reduce_row(const RealInput& x, const RealOutput& y, int64_t in, int64_t out, int64_t n, ReduceOp op,
                float factor) {
  const int64_t whole = n / lanes * lanes;
  const int tail = int(n - whole);
  const float inf = __builtin_inff();
  float result;
  if (op == ReduceOp::sum) {
    vf sum = {};
    for (int64_t i = 0; i < whole; i += lanes) sum = sum + load_real(x, in + i);
    if (tail) sum = sum + keep_lanes(load_real(x, in + whole), tail, 0);
    result = sum_of(sum) * factor;
  } else {
    // The minimum is the maximum of the negated values.
    const float sign = op == ReduceOp::max ? 1.0f : -1.0f;
    vf high = set1(-inf);
    for (int64_t i = 0; i < whole; i += lanes) high = maximum(high, sign * load_real(x, in + i));
    if (tail) high = maximum(high, keep_lanes(sign * load_real(x, in + whole), tail, -inf));
    result = sign * max_of(high);
  }
  store_real(y, out, set1(result), 1);
}

// SUM, or the largest element; the smallest is the largest of the negated ones.
template <bool SUM>
static void window_columns(const RealInput& x, const RealOutput& y, const PoolWindow& w, float sign) {
  const auto get = [&](int64_t i) { return SUM ? load_raw(x.type, x.data, i) : sign * load_raw(x.type, x.data, i); };
  for (int64_t j = 0; j < w.cols; j += 2 * lanes) {
    const int64_t left = w.cols - j;
    const bool two = left > lanes;
    vf a = SUM ? vf{} : get(w.in + j), b = a;
    if (!SUM && two) b = get(w.in + j + lanes);
    const auto take = [&](int64_t at, int64_t step, int64_t n) {
      int64_t k = 0;
      // Four at a time before they meet the running sum, whose rounding is what a long sum loses.
      for (; SUM && k + 4 <= n; k += 4, at += 4 * step) {
        const auto four = [&](int64_t i) { return get(i) + get(i + step) + get(i + 2 * step) + get(i + 3 * step); };
        a = a + four(at);
        if (two) b = b + four(at + lanes);
      }
      for (; k < n; ++k, at += step) {
        const vf u = get(at);
        a = SUM ? a + u : maximum(a, u);
        if (two) {
          const vf v = get(at + lanes);
          b = SUM ? b + v : maximum(b, v);
        }
      }
    };
    if (w.nx == 1) {
      take(w.in + j, w.row_step, w.ny);
    } else {
      for (int64_t r = 0; r < w.ny; ++r) take(w.in + r * w.row_step + j, w.pixel_step, w.nx);
    }
    // Scales are positive, so integers may be reduced as they are and converted once.
    const float zero = x.quantized ? x.zero : 0.0f, scale = x.quantized ? x.scale : 1.0f;
    const float factor = SUM ? w.factor * scale : scale;
    const float shift = SUM ? zero * float(w.ny * w.nx) : zero;
    store_real(y, w.out + j, (sign * a - shift) * factor, left < lanes ? int(left) : lanes);
    if (two)
      store_real(y, w.out + j + lanes, (sign * b - shift) * factor, left < 2 * lanes ? int(left - lanes) : lanes);
  }
}
void reduce_window(const RealInput& x, const RealOutput& y, const PoolWindow& w, ReduceOp op) {
  if (op == ReduceOp::sum) return window_columns<true>(x, y, w, 1);
  window_columns<false>(x, y, w, op == ReduceOp::max ? 1.0f : -1.0f);
}

// Bits of floating-point numbers as integers of the same order, and back.
template <class T, class V>
HONE_INLINE V ordered(V v) {
  constexpr int sign = 8 * sizeof(T) - 1;
  return v ^ ((v >> sign) & T(~(T(1) << sign)));
}
// BYTES at a time; the last ones of a pixel may be some of those before.
template <class T, int BYTES, bool REAL = false>
static void largest(const LargestOf& l) {
  typedef T V __attribute__((vector_size(BYTES)));
  typedef T Any __attribute__((vector_size(BYTES), aligned(1), may_alias));
  constexpr int64_t width = BYTES / sizeof(T);
  const LargestOf m = l;
  const T* in = static_cast<const T*>(m.in);
  T* out = static_cast<T*>(m.out);
  const auto get = [](const T* p) __attribute__((always_inline)) {
    const V v = *reinterpret_cast<const Any*>(p);
    return REAL ? ordered<T>(v) : v;
  };
  for (int64_t i = 0; i < m.windows; ++i, in += m.step, out += m.cols) {
    for (int64_t c = 0; c < m.cols; c += width) {
      const int64_t j = c < m.cols - width ? c : m.cols - width;
      const T* row = in + j;
      V a = get(row);
      for (int64_t y = 0; y < m.ny; ++y, row += m.row_step) {
        const T* p = row;
        for (int64_t x = 0; x < m.nx; ++x, p += m.pixel_step) {
          const V v = get(p);
          a = v > a ? v : a;
        }
      }
      *reinterpret_cast<Any*>(out + j) = REAL ? ordered<T>(a) : a;
    }
  }
}
template <class T, bool REAL = false>
HONE_INLINE void largest_of(const LargestOf& l) {
  const int64_t bytes = l.cols * int64_t(sizeof(T));
  constexpr int most = 4 * lanes;
  if constexpr (most > 32) {
    if (bytes >= most) return largest<T, most, REAL>(l);
  }
  if constexpr (most > 16) {
    if (bytes >= 32) return largest<T, 32, REAL>(l);
  }
  largest<T, 16, REAL>(l);
}
void largest_of_windows(const LargestOf& l) {
  if (l.type == Num::u8) return largest_of<uint8_t>(l);
  if (l.type == Num::s8) return largest_of<int8_t>(l);
  if (l.type == Num::bf16) return largest_of<int16_t, true>(l);
  largest_of<int32_t, true>(l);
}

#if HONE_LANES >= 8
// Sums of up to 32768 bytes and of their squares: exact, and without a way over floats.
template <bool SIGNED>
HONE_INLINE void sums_of_bytes(const uint8_t* p, int64_t n, int32_t* sum, int32_t* squares) {
  int64_t i = 0;
#if HONE_LANES == 16
  __m512i first = _mm512_setzero_si512(), second = first;
  const __m512i ones = _mm512_set1_epi16(1);
  const auto take = [&](__m256i bytes) {
    const __m512i x = SIGNED ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
    first = _mm512_add_epi32(first, _mm512_madd_epi16(x, ones));
    second = _mm512_add_epi32(second, _mm512_madd_epi16(x, x));
  };
  for (; i + 32 <= n; i += 32) take(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i)));
  if (i < n) take(_mm256_maskz_loadu_epi8((__mmask32(1) << (n - i)) - 1, p + i));
  *sum = _mm512_reduce_add_epi32(first);
  *squares = _mm512_reduce_add_epi32(second);
#else
  __m256i first = _mm256_setzero_si256(), second = first;
  const __m256i ones = _mm256_set1_epi16(1);
  for (; i + 16 <= n; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i));
    const __m256i x = SIGNED ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
    first = _mm256_add_epi32(first, _mm256_madd_epi16(x, ones));
    second = _mm256_add_epi32(second, _mm256_madd_epi16(x, x));
  }
  int32_t a = 0, b = 0;
  for (int k = 0; k < 8; ++k) a += ((vi)first)[k], b += ((vi)second)[k];
  for (; i < n; ++i) {
    const int32_t x = SIGNED ? int32_t(int8_t(p[i])) : int32_t(p[i]);
    a += x;
    b += x * x;
  }
  *sum = a;
  *squares = b;
#endif
}
#endif

// Mean and variance of a row of bytes in its own units, or around `zero`; false where the row is too long.
template <bool SIGNED>
HONE_INLINE bool moments_of_bytes(const uint8_t* p, int64_t n, bool center, float zero, float* mean, float* variance) {
#if HONE_LANES >= 8
  if (n > 32768) return false;
  int32_t sum = 0, squares = 0;
  sums_of_bytes<SIGNED>(p, n, &sum, &squares);
  const double share = 1.0 / double(n), m = center ? sum * share : double(zero);
  *mean = float(m);
  const double v = squares * share - m * (2 * (sum * share) - m);
  *variance = float(v > 0 ? v : 0);
  return true;
#else
  return (void)p, (void)n, (void)center, (void)zero, (void)mean, (void)variance, false;
#endif
}

// Rows side by side, so that the sums and roots of one do not wait for those of another. Bytes are normalized as the
// integers they are; their scale joins the factor.
template <Num IN, Num OUT, int ROWS>
static void normalize_some(const RealInput& x, const EpilogueView& y, int64_t in, int64_t out, int64_t n,
                           const NormRow& norm) {
  const int64_t whole = n / lanes * lanes;
  const int tail = int(n - whole);
  const bool bytes = IN == Num::u8 || IN == Num::s8;
  const float scale = bytes ? x.scale : 1.0f;
  const auto value = [&](int k, int64_t i) { return load_raw(IN, x.data, in + k * n + i); };
  float mean[ROWS], factor[ROWS];
  for (int k = 0; k < ROWS; ++k) {
    mean[k] = bytes ? x.zero : 0.0f;
    factor[k] = scale;
  }
  const auto factor_of = [&](float variance) {
    const float square = variance * norm.count;
    if (norm.epsilon_bounds) return scale / __builtin_sqrtf(square > norm.epsilon ? square : norm.epsilon);
    return scale /
           (norm.epsilon_inside ? __builtin_sqrtf(square + norm.epsilon) : __builtin_sqrtf(square) + norm.epsilon);
  };
  bool known = bytes;
  for (int k = 0; bytes && known && k < ROWS; ++k) {
    float variance = 0;
    known = moments_of_bytes<IN == Num::s8>(static_cast<const uint8_t*>(x.data) + in + k * n, n, norm.center, x.zero,
                                            &mean[k], &variance);
    if (known && norm.scale) factor[k] = factor_of(variance * (scale * scale));
  }
  vf sum[ROWS] = {};
  if (norm.center && !known) {
    for (int64_t i = 0; i < whole; i += lanes) {
      for (int k = 0; k < ROWS; ++k) sum[k] = sum[k] + value(k, i);
    }
    for (int k = 0; k < ROWS; ++k) {
      if (tail) sum[k] = sum[k] + keep_lanes(value(k, whole), tail, 0);
      mean[k] = sum_of(sum[k]) / float(n);
    }
  }
  if (norm.scale && !known) {
    // A second pass around the mean: E[x^2] - E[x]^2 would cancel.
    for (int k = 0; k < ROWS; ++k) sum[k] = vf{};
    for (int64_t i = 0; i < whole; i += lanes) {
      for (int k = 0; k < ROWS; ++k) {
        const vf d = value(k, i) - mean[k];
        sum[k] = sum[k] + d * d;
      }
    }
    for (int k = 0; k < ROWS; ++k) {
      if (tail) {
        const vf d = keep_lanes(value(k, whole) - mean[k], tail, 0);
        sum[k] = sum[k] + d * d;
      }
      const float variance = sum_of(sum[k]) / float(n) * (scale * scale);
      factor[k] = factor_of(variance);
    }
  }
  for (int64_t i = 0; i < n; i += lanes) {
    const vf gamma = norm.gamma ? load(norm.gamma + i) : set1(1.0f), beta = norm.beta ? load(norm.beta + i) : vf{};
    for (int k = 0; k < ROWS; ++k) {
      const vf v = (value(k, i) - mean[k]) * factor[k] * gamma + beta;
      store_out<OUT>(y, out + k * n + i, v, n - i < lanes ? tail : lanes);
    }
  }
}

template <Num IN, Num OUT>
static void normalize_typed(const RealInput& x_view, const RealOutput& y_view, int64_t at, int64_t n, int64_t rows,
                            const NormRow& norm_view) {
  // Copies: stores of bytes might change the originals, as far as the compiler knows.
  const RealInput x = x_view;
  const NormRow norm = norm_view;
  EpilogueView y;
  y.out = y_view.data;
  y.out_type = y_view.type;
  y.out_inv_scale = y_view.inv_scale;
  y.out_zero = y_view.zero;
  y.out_low = y_view.low;
  y.out_high = y_view.high;
  for (; rows >= 4; rows -= 4, at += 4 * n) normalize_some<IN, OUT, 4>(x, y, at, at, n, norm);
  for (; rows > 0; --rows, at += n) normalize_some<IN, OUT, 1>(x, y, at, at, n, norm);
}

template <Num IN>
HONE_INLINE void normalize_to(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, int64_t rows,
                              const NormRow& norm) {
  switch (y.type) {
    case Num::f32:
      return normalize_typed<IN, Num::f32>(x, y, at, n, rows, norm);
    case Num::bf16:
      return normalize_typed<IN, Num::bf16>(x, y, at, n, rows, norm);
    case Num::f16:
      return normalize_typed<IN, Num::f16>(x, y, at, n, rows, norm);
    default:
      return normalize_typed<IN, Num::u8>(x, y, at, n, rows, norm);
  }
}

void normalize_rows(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, int64_t rows, const NormRow& norm) {
  switch (x.type) {
    case Num::f32:
      return normalize_to<Num::f32>(x, y, at, n, rows, norm);
    case Num::bf16:
      return normalize_to<Num::bf16>(x, y, at, n, rows, norm);
    case Num::f16:
      return normalize_to<Num::f16>(x, y, at, n, rows, norm);
    case Num::s8:
      return normalize_to<Num::s8>(x, y, at, n, rows, norm);
    default:
      return normalize_to<Num::u8>(x, y, at, n, rows, norm);
  }
}

// `n` neighbours of each of some rows as f32, beside each other.
HONE_INLINE void columns_as_floats(const RealInput& x, int64_t at, int64_t step, int64_t rows, int64_t n, float* tile,
                                   int64_t ld) {
  const auto copy = [&](auto get) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < n; c += lanes) store(tile + r * ld + c, get(at + r * step + c));
    }
  };
  switch (x.type) {
    case Num::f32:
      return copy([&](int64_t i) { return load_raw(Num::f32, x.data, i); });
    case Num::bf16:
      return copy([&](int64_t i) { return load_raw(Num::bf16, x.data, i); });
    case Num::u8:
      return copy([&](int64_t i) { return load_raw(Num::u8, x.data, i); });
    default:
      return copy([&](int64_t i) { return load_raw(x.type, x.data, i); });
  }
}

void column_moments(const RealInput& x, int64_t at, int64_t rows, int64_t n, float* mean, float* square) {
  constexpr int64_t capacity = 2048, most_columns = 64;
  alignas(64) float tile[capacity];
  for (int64_t col = 0; col < n; col += most_columns) {
    const int64_t cols = n - col < most_columns ? n - col : most_columns, ld = (cols + 15) / 16 * 16;
    const int64_t block = capacity / ld;
    for (int64_t c = 0; c < cols; c += lanes) {
      store_n(mean + col + c, vf{}, cols - c < lanes ? int(cols - c) : lanes);
      store_n(square + col + c, vf{}, cols - c < lanes ? int(cols - c) : lanes);
    }
    for (int64_t row = 0; row < rows; row += block) {
      const int64_t count = rows - row < block ? rows - row : block;
      columns_as_floats(x, at + row * n + col, n, count, cols, tile, ld);
      // Around the mean of the block, so that no large squares cancel; then the blocks so far and this one meet.
      const float share = 1.0f / float(count), weight = float(count) / float(row + count);
      for (int64_t c = 0; c < cols; c += lanes) {
        vf sum = {}, other = {};
        int64_t r = 0;
        for (; r + 2 <= count; r += 2) {
          sum = sum + load(tile + r * ld + c);
          other = other + load(tile + (r + 1) * ld + c);
        }
        if (r < count) sum = sum + load(tile + r * ld + c);
        const vf middle = (sum + other) * share;
        sum = other = vf{};
        for (r = 0; r + 2 <= count; r += 2) {
          const vf a = load(tile + r * ld + c) - middle, b = load(tile + (r + 1) * ld + c) - middle;
          sum = sum + a * a;
          other = other + b * b;
        }
        if (r < count) {
          const vf a = load(tile + r * ld + c) - middle;
          sum = sum + a * a;
        }
        const int width = cols - c < lanes ? int(cols - c) : lanes;
        const vf before = load(mean + col + c), apart = middle - before;
        store_n(square + col + c, load(square + col + c) + sum + other + apart * apart * (float(row) * weight), width);
        store_n(mean + col + c, before + apart * weight, width);
      }
    }
  }
}

void normalize_columns(const RealInput& x, int64_t at, int64_t step, int64_t rows, int64_t n, const float* centre,
                       const float* factor, const float* shift, float slope, float* tile, int64_t ld) {
  columns_as_floats(x, at, step, rows, n, tile, ld);
  for (int64_t c = 0; c < n; c += lanes) {
    const vf f = load(factor + c), s = load(shift + c), m = load(centre + c);
    for (int64_t r = 0; r < rows; ++r) {
      const vf v = (load(tile + r * ld + c) - m) * f + s;
      store(tile + r * ld + c, select(v < 0, v * slope, v));
    }
  }
}

}  // namespace hone::cpu::HONE_NS
