// Shapes: concrete (`Shape`) and with unknown or symbolic dimensions (`PartialShape`).
#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "hone/export.hpp"

namespace hone {

using Shape = std::vector<int64_t>;

/// Product of the dimensions (1 for a scalar). Throws `Error` on negative dimensions and on overflow.
HONE_API int64_t element_count(const Shape& shape);
HONE_API std::string to_string(const Shape& shape);

/// One dimension: a number, or an interval with an optional symbol. Two dimensions with the same symbol are equal.
class HONE_API Dimension {
 public:
  static constexpr int64_t unbounded = std::numeric_limits<int64_t>::max();

  constexpr Dimension() = default;                           ///< unknown
  constexpr Dimension(int64_t n) : min_(n < 0 ? 0 : n), max_(n < 0 ? unbounded : n) {}  ///< -1 means unknown
  constexpr Dimension(int64_t min, int64_t max) : min_(min), max_(max) {}
  static Dimension symbolic(std::string_view name, int64_t min = 0, int64_t max = unbounded);

  constexpr bool is_static() const { return min_ == max_; }
  constexpr bool is_dynamic() const { return min_ != max_; }
  /// The number; throws `Error` for a dynamic dimension.
  int64_t get_length() const;
  constexpr int64_t min() const { return min_; }
  constexpr int64_t max() const { return max_; }
  /// 0 when the dimension has no symbol.
  constexpr uint32_t symbol() const { return symbol_; }
  std::string symbol_name() const;

  /// Could both stand for the same number?
  bool compatible(const Dimension& o) const;
  /// Are both surely the same number?
  bool same(const Dimension& o) const;
  /// Structural equality: same interval and symbol.
  bool operator==(const Dimension& o) const = default;
  /// The intersection of what both allow. Throws `Error` where it is empty.
  static Dimension merge(const Dimension& a, const Dimension& b);

 private:
  int64_t min_ = 0, max_ = unbounded;
  uint32_t symbol_ = 0;
};

// Arithmetic on intervals; symbols survive `+0` and `*1` only.
HONE_API Dimension operator+(const Dimension& a, const Dimension& b);
HONE_API Dimension operator-(const Dimension& a, const Dimension& b);
HONE_API Dimension operator*(const Dimension& a, const Dimension& b);
/// Floor division by a positive number.
HONE_API Dimension operator/(const Dimension& a, int64_t b);

HONE_API std::string to_string(const Dimension& d);

/// Known or unknown rank; each dimension may be dynamic.
class HONE_API PartialShape {
 public:
  PartialShape() = default;  ///< unknown rank
  PartialShape(std::initializer_list<Dimension> dims) : ranked_(true), dims_(dims) {}
  PartialShape(std::vector<Dimension> dims) : ranked_(true), dims_(std::move(dims)) {}
  PartialShape(const Shape& shape) : ranked_(true), dims_(shape.begin(), shape.end()) {}
  static PartialShape dynamic() { return {}; }
  static PartialShape dynamic(size_t rank) { return PartialShape(std::vector<Dimension>(rank)); }
  /// Parses `[1,3,?,N,2..8]`, `...` for an unknown rank. Throws `Error`.
  static PartialShape parse(std::string_view text);

  bool rank_known() const { return ranked_; }
  bool is_static() const;
  bool is_dynamic() const { return !is_static(); }
  /// Number of dimensions; throws `Error` for an unknown rank.
  size_t rank() const;
  const Dimension& operator[](size_t i) const { return dims_[i]; }
  Dimension& operator[](size_t i) { return dims_[i]; }
  const std::vector<Dimension>& dims() const { return dims_; }
  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }
  /// The concrete shape; throws `Error` where a dimension is dynamic.
  Shape to_shape() const;

  bool compatible(const PartialShape& o) const;
  bool operator==(const PartialShape& o) const = default;
  static PartialShape merge(const PartialShape& a, const PartialShape& b);

 private:
  bool ranked_ = false;
  std::vector<Dimension> dims_;
};

HONE_API std::string to_string(const PartialShape& shape);

/// NumPy broadcasting of two shapes. Throws `Error` where they do not fit.
HONE_API PartialShape broadcast(const PartialShape& a, const PartialShape& b);
HONE_API Shape broadcast(const Shape& a, const Shape& b);

}  // namespace hone
