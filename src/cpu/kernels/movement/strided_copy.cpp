#include "cpu/kernels/movement/strided_copy.hpp"

#include <algorithm>
#include <cstring>

namespace hone::cpu {
namespace {

// Blocks of 16 x 16 elements: 16 cache lines on either side stay in L1.
template <class T>
void transpose_block(const uint8_t* from, uint8_t* to, int64_t rows, int64_t cols, int64_t from_col, int64_t to_row) {
  // rows: contiguous in the source; cols: contiguous in the target
  const T* s = reinterpret_cast<const T*>(from);
  T* t = reinterpret_cast<T*>(to);
  constexpr int64_t block = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += block) {
    const int64_t r1 = std::min(rows, r0 + block);
    for (int64_t c0 = 0; c0 < cols; c0 += block) {
      const int64_t c1 = std::min(cols, c0 + block);
      for (int64_t r = r0; r < r1; ++r) {
        for (int64_t c = c0; c < c1; ++c) t[r * to_row + c] = s[r + c * from_col];
      }
    }
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
  for (int64_t o = begin; o < end; ++o) {
    int64_t rest = o, f = 0, t = 0;
    for (size_t d = outer_rank; d-- > 0;) {
      const int64_t i = rest % dims[d];
      rest /= dims[d];
      f += i * from_strides[d];
      t += i * to_strides[d];
    }
    const uint8_t* s = from + f * element;
    uint8_t* p = to + t * element;
    if (inner == 2) {
      const int64_t rows = dims[last - 1], cols = dims[last];
      switch (element) {
        case 1:
          transpose_block<uint8_t>(s, p, rows, cols, from_strides[last], to_strides[last - 1]);
          break;
        case 2:
          transpose_block<uint16_t>(s, p, rows, cols, from_strides[last], to_strides[last - 1]);
          break;
        case 4:
          transpose_block<uint32_t>(s, p, rows, cols, from_strides[last], to_strides[last - 1]);
          break;
        default:
          transpose_block<uint64_t>(s, p, rows, cols, from_strides[last], to_strides[last - 1]);
      }
    } else if (from_strides[last] == 1 && to_strides[last] == 1) {
      std::memcpy(p, s, size_t(dims[last] * element));
    } else {
      switch (element) {
        case 1:
          copy_line<uint8_t>(s, p, dims[last], from_strides[last], to_strides[last]);
          break;
        case 2:
          copy_line<uint16_t>(s, p, dims[last], from_strides[last], to_strides[last]);
          break;
        case 4:
          copy_line<uint32_t>(s, p, dims[last], from_strides[last], to_strides[last]);
          break;
        default:
          copy_line<uint64_t>(s, p, dims[last], from_strides[last], to_strides[last]);
      }
    }
  }
}

}  // namespace hone::cpu
