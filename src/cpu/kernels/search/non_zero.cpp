#include "cpu/kernels/search/non_zero.hpp"

#include <algorithm>

namespace hone::cpu {
namespace {

constexpr int64_t piece = 16384;
constexpr int64_t part = 256;
constexpr size_t most_axes = 8;

template <class F>
void with_elements(const Tensor& x, F&& f) {
  const ElementType e = x.element_type();
  if (e == ElementType::f32)
    f(static_cast<const float*>(x.raw()));
  else if (bit_width(e) == 64)
    f(static_cast<const uint64_t*>(x.raw()));
  else if (bit_width(e) == 32)
    f(static_cast<const uint32_t*>(x.raw()));
  else
    f(static_cast<const uint8_t*>(x.raw()));
}

template <class T>
int64_t count_of(const T* v, int64_t n) {
  int64_t sum = 0;
  for (int64_t first = 0; first < n; first += part) {
    uint32_t some = 0;
    for (int64_t i = first; i < std::min(n, first + part); ++i) some += v[i] != 0;
    sum += some;
  }
  return sum;
}

// Places of elements [begin, end) from column `at` of the result on.
template <class T, class Index>
void write_places(const T* v, const Shape& shape, int64_t begin, int64_t end, int64_t at, int64_t count, Index* to) {
  const size_t rank = shape.size();
  const int64_t line = shape.back();
  int64_t place[most_axes];
  int64_t rest = begin;
  for (size_t k = rank; k-- > 0;) {
    place[k] = rest % shape[k];
    rest /= shape[k];
  }
  Index* last = to + int64_t(rank - 1) * count;
  while (begin < end) {
    // A part of a line: found without a branch, since what is chosen follows no rule that a CPU could guess.
    const int64_t n = std::min({part, end - begin, line - place[rank - 1]});
    Index found[part + 1];
    int64_t many = 0;
    for (int64_t i = 0; i < n; ++i) {
      found[many] = Index(place[rank - 1] + i);
      many += v[begin + i] != 0;
    }
    std::copy_n(found, many, last + at);
    for (size_t k = 0; k + 1 < rank; ++k) std::fill_n(to + int64_t(k) * count + at, many, Index(place[k]));
    at += many;
    begin += n;
    place[rank - 1] += n;
    for (size_t k = rank - 1; k > 0 && place[k] == shape[k]; --k) {
      place[k] = 0;
      ++place[k - 1];
    }
  }
}

}  // namespace

bool NonZeroPlaces::takes(const Tensor& x) {
  const ElementType e = x.element_type();
  const int bits = bit_width(e);
  if (x.rank() < 1 || x.rank() > most_axes) return false;
  return e == ElementType::f32 || e == ElementType::boolean ||
         (is_integer(e) && (bits == 8 || bits == 32 || bits == 64));
}

NonZeroPlaces::NonZeroPlaces(const Tensor& x, ThreadPool& pool) : x_(x), pool_(pool) {
  const auto size = int64_t(x.size());
  const int64_t pieces = (size + piece - 1) / piece;
  begins_.assign(size_t(pieces) + 1, 0);
  with_elements(x, [&](const auto* v) {
    pool.parallel_for(pieces, 4, [&](int64_t from, int64_t to, int) {
      for (int64_t i = from; i < to; ++i)
        begins_[size_t(i) + 1] = count_of(v + i * piece, std::min(piece, size - i * piece));
    });
  });
  for (size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
}

void NonZeroPlaces::write(Tensor& places) const {
  if (count() == 0) return;
  const auto size = int64_t(x_.size());
  const bool wide = places.element_type() == ElementType::i64;
  with_elements(x_, [&](const auto* v) {
    pool_.parallel_for(int64_t(begins_.size()) - 1, 1, [&](int64_t from, int64_t to, int) {
      for (int64_t i = from; i < to; ++i) {
        const int64_t begin = i * piece, end = std::min(size, begin + piece), at = begins_[size_t(i)];
        if (wide)
          write_places(v, x_.shape(), begin, end, at, count(), static_cast<int64_t*>(places.raw()));
        else
          write_places(v, x_.shape(), begin, end, at, count(), static_cast<int32_t*>(places.raw()));
      }
    });
  });
}

}  // namespace hone::cpu
