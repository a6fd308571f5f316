#include "cpu/kernels/movement/strided_copy.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/kernels/shuffle.hpp"

namespace hone::cpu {
namespace {

// 16 bytes of elements: what every CPU has registers for.
template <class T>
struct Pack {
  static constexpr int lanes = 16 / sizeof(T);
  typedef T V __attribute__((vector_size(16)));
  typedef T Any __attribute__((vector_size(16), aligned(1), may_alias));

  static V load(const T* p) { return *reinterpret_cast<const Any*>(p); }
  static void store(T* p, V v) { *reinterpret_cast<Any*>(p) = v; }
  static V even(V a, V b) {
    return shuffled(a, b, [](int i) { return 2 * i; });
  }
  static V odd(V a, V b) {
    return shuffled(a, b, [](int i) { return 2 * i + 1; });
  }
  static V low(V a, V b) { return in_turns<0>(a, b); }
  static V high(V a, V b) { return in_turns<lanes / 2>(a, b); }
};

// lanes x lanes elements: interleaving row i with row i + lanes / 2, log2(lanes) times over.
template <class T>
[[gnu::always_inline]] inline void transpose_square(const T* s, int64_t from_col, T* t, int64_t to_row) {
  using P = Pack<T>;
  constexpr int n = P::lanes;
  typename P::V v[n], w[n];
#pragma GCC unroll 16
  for (int c = 0; c < n; ++c) v[c] = P::load(s + c * from_col);
#pragma GCC unroll 4
  for (int stage = 1; stage < n; stage *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      w[2 * i] = P::low(v[i], v[i + n / 2]);
      w[2 * i + 1] = P::high(v[i], v[i + n / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = w[i];
  }
#pragma GCC unroll 16
  for (int r = 0; r < n; ++r) P::store(t + r * to_row, v[r]);
}

template <class T>
void transpose_each(const T* s, T* t, int64_t row_begin, int64_t row_end, int64_t col_begin, int64_t col_end,
                    int64_t from_col, int64_t to_row) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int64_t c = col_begin; c < col_end; ++c) t[r * to_row + c] = s[r + c * from_col];
  }
}

// Two or four lines into one, their elements in turns; returns how many elements of each are done.
template <class T>
int64_t interleave(const T* s, T* t, int64_t rows, int64_t cols, int64_t from_col) {
  using P = Pack<T>;
  constexpr int n = P::lanes;
  int64_t r = 0;
  for (; r + n <= rows; r += n) {
    T* to = t + r * cols;
    const auto a = P::load(s + r), b = P::load(s + r + from_col);
    if (cols == 2) {
      P::store(to, P::low(a, b));
      P::store(to + n, P::high(a, b));
    } else {
      const auto c = P::load(s + r + 2 * from_col), d = P::load(s + r + 3 * from_col);
      const typename P::V ac[2] = {P::low(a, c), P::high(a, c)}, bd[2] = {P::low(b, d), P::high(b, d)};
      for (int k = 0; k < 2; ++k) {
        P::store(to + 2 * k * n, P::low(ac[k], bd[k]));
        P::store(to + (2 * k + 1) * n, P::high(ac[k], bd[k]));
      }
    }
  }
  return r;
}

// Three lines into one, their elements in turns: the planes of a picture. Words of 32 bits hold one, two or four
// elements (little-endian).
template <class T>
int64_t interleave_three(const T* s, T* t, int64_t rows, int64_t from_col) {
  using W = Pack<uint32_t>::V;
  constexpr int n = Pack<T>::lanes;
  const auto load = [](const T* p) {
    W w;
    std::memcpy(&w, p, 16);
    return w;
  };
  int64_t r = 0;
  for (; r + n <= rows; r += n) {
    const W a = load(s + r), b = load(s + r + from_col), c = load(s + r + 2 * from_col);
    W x = a, y = b, z = c;  // the first, second and third word of each three
    if constexpr (sizeof(T) == 1) {
      x = (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | ((a << 16) & 0xff000000u);
      y = ((b >> 8) & 0xff) | (c & 0xff00) | (a & 0xff0000) | ((b << 8) & 0xff000000u);
      z = ((c >> 16) & 0xff) | ((a >> 16) & 0xff00) | ((b >> 8) & 0xff0000) | (c & 0xff000000u);
    } else if constexpr (sizeof(T) == 2) {
      x = (a & 0xffff) | (b << 16);
      y = (c & 0xffff) | (a & 0xffff0000u);
      z = (b >> 16) | (c & 0xffff0000u);
    }
    const W words[3] = {__builtin_shufflevector(__builtin_shufflevector(x, y, 0, 4, 1, 5), z, 0, 1, 4, 2),
                        __builtin_shufflevector(__builtin_shufflevector(y, z, 1, 5, 2, 6), x, 0, 1, 6, 2),
                        __builtin_shufflevector(z, __builtin_shufflevector(x, y, 3, 7, 3, 7), 2, 4, 5, 3)};
    std::memcpy(t + 3 * r, words, 48);
  }
  return r;
}

// The way back: every second or fourth element into a line of its own.
template <class T>
int64_t deinterleave(const T* s, T* t, int64_t rows, int64_t cols, int64_t to_row) {
  using P = Pack<T>;
  constexpr int n = P::lanes;
  int64_t c = 0;
  for (; c + n <= cols; c += n) {
    const T* from = s + c * rows;
    const auto a = P::load(from), b = P::load(from + n);
    if (rows == 2) {
      P::store(t + c, P::even(a, b));
      P::store(t + c + to_row, P::odd(a, b));
    } else {
      const auto d = P::load(from + 2 * n), e = P::load(from + 3 * n);
      const typename P::V even[2] = {P::even(a, b), P::even(d, e)}, odd[2] = {P::odd(a, b), P::odd(d, e)};
      P::store(t + c, P::even(even[0], even[1]));
      P::store(t + c + to_row, P::even(odd[0], odd[1]));
      P::store(t + c + 2 * to_row, P::odd(even[0], even[1]));
      P::store(t + c + 3 * to_row, P::odd(odd[0], odd[1]));
    }
  }
  return c;
}

// rows: contiguous in the source; cols: contiguous in the target.
template <class T>
void transpose_block(const uint8_t* from, uint8_t* to, int64_t rows, int64_t cols, int64_t from_col, int64_t to_row) {
  const T* s = reinterpret_cast<const T*>(from);
  T* t = reinterpret_cast<T*>(to);
  constexpr int n = Pack<T>::lanes;
  if constexpr (n >= 4) {
    if (to_row == cols && (cols == 2 || cols == 4) && rows >= n) {
      const int64_t done = interleave(s, t, rows, cols, from_col);
      return transpose_each(s, t, done, rows, 0, cols, from_col, to_row);
    }
    if (to_row == cols && cols == 3 && rows >= n) {
      const int64_t done = interleave_three(s, t, rows, from_col);
      return transpose_each(s, t, done, rows, 0, cols, from_col, to_row);
    }
    if (from_col == rows && (rows == 2 || rows == 4) && cols >= n) {
      const int64_t done = deinterleave(s, t, rows, cols, to_row);
      return transpose_each(s, t, 0, rows, done, cols, from_col, to_row);
    }
  }
  // The lines of a stretch of columns stay in L1 until all their rows are used.
  constexpr int64_t stretch = 128;
  for (int64_t c0 = 0; c0 < cols; c0 += stretch) {
    const int64_t c1 = std::min(cols, c0 + stretch), whole = c0 + (c1 - c0) / n * n;
    int64_t r = 0;
    for (; r + n <= rows; r += n) {
      for (int64_t c = c0; c < whole; c += n)
        transpose_square(s + r + c * from_col, from_col, t + r * to_row + c, to_row);
      transpose_each(s, t, r, r + n, whole, c1, from_col, to_row);
    }
    transpose_each(s, t, r, rows, c0, c1, from_col, to_row);
  }
}

// Short runs, without a call: moves of 16 bytes of which the last may overlap the one before.
inline void copy_bytes(uint8_t* t, const uint8_t* s, int64_t n) {
  const auto move = [&](auto unit, int64_t at) {
    std::memcpy(&unit, s + at, sizeof(unit));
    std::memcpy(t + at, &unit, sizeof(unit));
  };
  if (n > 256) {
    std::memcpy(t, s, size_t(n));
  } else if (n >= 16) {
    for (int64_t i = 0; i + 16 <= n; i += 16) move(Pack<uint8_t>::V{}, i);
    move(Pack<uint8_t>::V{}, n - 16);
  } else if (n >= 8) {
    move(uint64_t{}, 0);
    move(uint64_t{}, n - 8);
  } else if (n >= 4) {
    move(uint32_t{}, 0);
    move(uint32_t{}, n - 4);
  } else {
    for (int64_t i = 0; i < n; ++i) t[i] = s[i];
  }
}

template <class T>
void copy_line(const uint8_t* from, uint8_t* to, int64_t n, int64_t from_step, int64_t to_step) {
  const T* s = reinterpret_cast<const T*>(from);
  T* t = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) t[i * to_step] = s[i * from_step];
}

}  // namespace

void StridedCopy::simplify() {
  auto erase = [&](size_t i) {
    dims.erase(dims.begin() + int64_t(i));
    from_strides.erase(from_strides.begin() + int64_t(i));
    to_strides.erase(to_strides.begin() + int64_t(i));
  };
  for (size_t i = dims.size(); i-- > 0;) {
    if (dims[i] == 1) erase(i);
  }
  for (size_t i = dims.size(); i-- > 1;) {
    if (from_strides[i - 1] == from_strides[i] * dims[i] && to_strides[i - 1] == to_strides[i] * dims[i]) {
      dims[i] *= dims[i - 1];
      erase(i - 1);
    }
  }
  if (dims.empty()) {
    dims = {1};
    from_strides = to_strides = {1};
  }
  const size_t last = dims.size() - 1;
  transposed_ = -1;
  if (to_strides[last] == 1 && from_strides[last] != 1) {
    for (size_t i = 0; i < last; ++i) {
      if (from_strides[i] == 1) transposed_ = int(i);
    }
  }
  if (transposed_ >= 0 && transposed_ != int(last) - 1) {
    // The pair goes to the end so that what is left is the outer loop.
    const size_t i = size_t(transposed_);
    auto move = [&](std::vector<int64_t>& v) {
      std::rotate(v.begin() + int64_t(i), v.begin() + int64_t(i) + 1, v.begin() + int64_t(last));
    };
    move(dims);
    move(from_strides);
    move(to_strides);
    transposed_ = int(last) - 1;
  }
}

void StridedCopy::run(const void* from, void* to, ThreadPool& pool) const {
  const int inner = transposed_ >= 0 ? 2 : 1;
  int64_t outer = 1, inside = 1;
  for (size_t i = 0; i < dims.size(); ++i) (int(i) < int(dims.size()) - inner ? outer : inside) *= dims[i];
  if (outer == 0 || inside == 0) return;
  const auto* f = static_cast<const uint8_t*>(from) + from_offset * element;
  auto* t = static_cast<uint8_t*>(to) + to_offset * element;
  const int64_t bytes = inside * element;
  if (outer == 1 && inner == 1 && bytes > (256 << 10) && from_strides.back() == 1 && to_strides.back() == 1) {
    pool.parallel_for(bytes, 64 << 10, [&](int64_t b, int64_t e, int) { std::memcpy(t + b, f + b, size_t(e - b)); });
    return;
  }
  if (outer == 1 && inner == 2 && bytes > (128 << 10)) {
    // One large transposition: shared out along the dimension that is contiguous in the source.
    const size_t r = dims.size() - 2, c = dims.size() - 1;
    pool.parallel_for((dims[r] + 15) / 16, 4, [&](int64_t b, int64_t e, int) {
      const int64_t r0 = b * 16, rows = std::min(dims[r], e * 16) - r0;
      const uint8_t* ff = f + r0 * element;
      uint8_t* tt = t + r0 * to_strides[r] * element;
      switch (element) {
        case 1:
          return transpose_block<uint8_t>(ff, tt, rows, dims[c], from_strides[c], to_strides[r]);
        case 2:
          return transpose_block<uint16_t>(ff, tt, rows, dims[c], from_strides[c], to_strides[r]);
        case 4:
          return transpose_block<uint32_t>(ff, tt, rows, dims[c], from_strides[c], to_strides[r]);
        default:
          return transpose_block<uint64_t>(ff, tt, rows, dims[c], from_strides[c], to_strides[r]);
      }
    });
    return;
  }
  pool.parallel_for(outer, std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(1, bytes)),
                    [&](int64_t begin, int64_t end, int) { run_outer(f, t, begin, end); });
}

void StridedCopy::run_outer(const uint8_t* from, uint8_t* to, int64_t begin, int64_t end) const {
  const size_t inner = transposed_ >= 0 ? 2 : 1, outer_rank = dims.size() - inner, last = dims.size() - 1;
  const int64_t rows = dims[dims.size() - inner], cols = dims[last], from_step = from_strides[last],
                to_step = inner == 2 ? to_strides[last - 1] : to_strides[last];
  const bool run = inner == 1 && from_step == 1 && to_step == 1;
  const auto one = [&](const uint8_t* s, uint8_t* p) {
    if (run) return copy_bytes(p, s, cols * element);
    const auto typed = [&](auto unit) {
      using T = decltype(unit);
      if (inner == 2) {
        transpose_block<T>(s, p, rows, cols, from_step, to_step);
      } else {
        copy_line<T>(s, p, cols, from_step, to_step);
      }
    };
    switch (element) {
      case 1:
        return typed(uint8_t{});
      case 2:
        return typed(uint16_t{});
      case 4:
        return typed(uint32_t{});
      default:
        return typed(uint64_t{});
    }
  };
  // The innermost of the outer dimensions is walked by its strides, those before it by counters.
  const int64_t line = outer_rank > 0 ? dims[outer_rank - 1] : 1;
  const int64_t from_bytes = outer_rank > 0 ? from_strides[outer_rank - 1] * element : 0;
  const int64_t to_bytes = outer_rank > 0 ? to_strides[outer_rank - 1] * element : 0;
  int64_t counters[max_rank] = {}, rest = begin / line, at = begin % line, f = 0, t = 0;
  for (size_t d = outer_rank; d-- > 1;) {
    counters[d - 1] = rest % dims[d - 1];
    rest /= dims[d - 1];
    f += counters[d - 1] * from_strides[d - 1];
    t += counters[d - 1] * to_strides[d - 1];
  }
  for (int64_t o = begin; o < end; at = 0) {
    const int64_t n = std::min(line - at, end - o);
    const uint8_t* s = from + f * element + at * from_bytes;
    uint8_t* p = to + t * element + at * to_bytes;
    for (int64_t i = 0; i < n; ++i, s += from_bytes, p += to_bytes) one(s, p);
    o += n;
    for (size_t d = outer_rank; d-- > 1;) {
      f += from_strides[d - 1];
      t += to_strides[d - 1];
      if (++counters[d - 1] < dims[d - 1]) break;
      f -= dims[d - 1] * from_strides[d - 1];
      t -= dims[d - 1] * to_strides[d - 1];
      counters[d - 1] = 0;
    }
  }
}

}  // namespace hone::cpu
