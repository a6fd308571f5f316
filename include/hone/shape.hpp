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

using Shape = std::vector<int64_t>;  ///< dimensions, outermost first; empty for a scalar

/// Product of the dimensions (1 for a scalar). Throws `Error` on negative dimensions and on overflow.
HONE_API int64_t element_count(const Shape& shape);
HONE_API std::string to_string(const Shape& shape);  ///< `[1,3]`

/// One dimension: a number, or an interval with an optional symbol. Two dimensions with the same symbol are equal.
class HONE_API Dimension {
 public:
  /// `max()` of a dimension without an upper bound.
  static constexpr int64_t unbounded = std::numeric_limits<int64_t>::max();

  constexpr Dimension() = default;                                                      ///< unknown
  constexpr Dimension(int64_t n) : min_(n < 0 ? 0 : n), max_(n < 0 ? unbounded : n) {}  ///< -1 means unknown
  constexpr Dimension(int64_t min, int64_t max) : min_(min), max_(max) {}  ///< an interval, both ends included
  /// The symbol of that name, the same for all models of the process.
  static Dimension symbolic(std::string_view name, int64_t min = 0, int64_t max = unbounded);

  constexpr bool is_static() const { return min_ == max_; }   ///< one number
  constexpr bool is_dynamic() const { return min_ != max_; }  ///< more than one number
  /// The number; throws `Error` for a dynamic dimension.
  int64_t get_length() const;
  constexpr int64_t min() const { return min_; }  ///< smallest number
  constexpr int64_t max() const { return max_; }  ///< largest number, or `unbounded`
  /// 0 when the dimension has no symbol.
  constexpr uint32_t symbol() const { return symbol_; }
  std::string symbol_name() const;  ///< empty where there is no symbol

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
HONE_API Dimension operator+(const Dimension& a, const Dimension& b);  ///< sum of both ends
HONE_API Dimension operator-(const Dimension& a, const Dimension& b);  ///< difference, at least 0
HONE_API Dimension operator*(const Dimension& a, const Dimension& b);  ///< product of both ends
/// Floor division by a positive number.
HONE_API Dimension operator/(const Dimension& a, int64_t b);

HONE_API std::string to_string(const Dimension& d);  ///< `3`, `?`, `2..8` or the symbol

/// Known or unknown rank; each dimension may be dynamic.
class HONE_API PartialShape {
 public:
  PartialShape() = default;                                                               ///< unknown rank
  PartialShape(std::initializer_list<Dimension> dims) : ranked_(true), dims_(dims) {}     ///< these dimensions
  PartialShape(std::vector<Dimension> dims) : ranked_(true), dims_(std::move(dims)) {}    ///< these dimensions
  PartialShape(const Shape& shape) : ranked_(true), dims_(shape.begin(), shape.end()) {}  ///< these numbers
  static PartialShape dynamic() { return {}; }                                            ///< of unknown rank
  /// Unknown dimensions.
  static PartialShape dynamic(size_t rank) { return PartialShape(std::vector<Dimension>(rank)); }
  /// Parses `[1,3,?,N,2..8]`, `...` for an unknown rank. Throws `Error`.
  static PartialShape parse(std::string_view text);

  bool rank_known() const { return ranked_; }       ///< is the number of dimensions known?
  bool is_static() const;                           ///< is every dimension a number?
  bool is_dynamic() const { return !is_static(); }  ///< is any dimension, or the rank, not known?
  /// Number of dimensions; throws `Error` for an unknown rank.
  size_t rank() const;
  /// Dimension `i`; throws `Error` for an unknown rank and where `i` is not below it.
  const Dimension& operator[](size_t i) const { return i < dims_.size() ? dims_[i] : refuse_index(i); }
  Dimension& operator[](size_t i) { return i < dims_.size() ? dims_[i] : refuse_index(i); }  ///< the same, to write
  const std::vector<Dimension>& dims() const { return dims_; }  ///< empty for an unknown rank
  auto begin() const { return dims_.begin(); }                  ///< of the dimensions
  auto end() const { return dims_.end(); }                      ///< of the dimensions
  /// The concrete shape; throws `Error` where a dimension is dynamic.
  Shape to_shape() const;

  bool compatible(const PartialShape& o) const;            ///< could both stand for the same shape?
  bool operator==(const PartialShape& o) const = default;  ///< structural equality
  static PartialShape merge(const PartialShape& a,
                            const PartialShape& b);  ///< what both allow; throws `Error` where nothing is left

 private:
  [[noreturn]] Dimension& refuse_index(size_t i) const;

  bool ranked_ = false;
  std::vector<Dimension> dims_;
};

HONE_API std::string to_string(const PartialShape& shape);  ///< `[1,3,?]`, `...` for an unknown rank

/// NumPy broadcasting of two shapes. Throws `Error` where they do not fit.
HONE_API PartialShape broadcast(const PartialShape& a, const PartialShape& b);
HONE_API Shape broadcast(const Shape& a, const Shape& b);  ///< the same for numbers

}  // namespace hone
