// Tensors: an element type, a shape and memory that is owned, borrowed or mapped; and `Datum`, any value a graph edge
// carries.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "hone/element_type.hpp"
#include "hone/export.hpp"
#include "hone/shape.hpp"

namespace hone {

/// 16-bit storage types; conversions round to nearest even.
struct HONE_API float16 {
  uint16_t bits = 0;  ///< sign, 5 bits of exponent, 10 of fraction
  float16() = default;
  explicit float16(float v);  ///< nearest, ties to even
  operator float() const;     ///< exact
};                            /// 16 bits with the exponent of f32.
struct HONE_API bfloat16 {
  uint16_t bits = 0;  ///< the upper half of an f32
  bfloat16() = default;
  explicit bfloat16(float v);  ///< nearest, ties to even
  operator float() const;      ///< exact
};

template <class T>
constexpr ElementType element_type_of();  ///< the element type of a C++ type
template <>
constexpr ElementType element_type_of<double>() {
  return ElementType::f64;
}
template <>
constexpr ElementType element_type_of<float>() {
  return ElementType::f32;
}
template <>
constexpr ElementType element_type_of<float16>() {
  return ElementType::f16;
}
template <>
constexpr ElementType element_type_of<bfloat16>() {
  return ElementType::bf16;
}
template <>
constexpr ElementType element_type_of<int64_t>() {
  return ElementType::i64;
}
template <>
constexpr ElementType element_type_of<int32_t>() {
  return ElementType::i32;
}
template <>
constexpr ElementType element_type_of<int16_t>() {
  return ElementType::i16;
}
template <>
constexpr ElementType element_type_of<int8_t>() {
  return ElementType::i8;
}
template <>
constexpr ElementType element_type_of<uint64_t>() {
  return ElementType::u64;
}
template <>
constexpr ElementType element_type_of<uint32_t>() {
  return ElementType::u32;
}
template <>
constexpr ElementType element_type_of<uint16_t>() {
  return ElementType::u16;
}
template <>
constexpr ElementType element_type_of<uint8_t>() {
  return ElementType::u8;
}
template <>
constexpr ElementType element_type_of<bool>() {
  return ElementType::boolean;
}

/// A dense row-major tensor. Copies share the memory. Concurrent reads are safe; writes need a single owner.
class HONE_API Tensor {
 public:
  Tensor() = default;  ///< empty: `!tensor`
  /// Owns zero-initialised memory, aligned to 64 bytes. Throws `Error` where the size overflows or memory is short.
  Tensor(ElementType type, Shape shape);
  /// Borrows `data`, which must outlive the tensor and hold `byte_size()` bytes.
  Tensor(ElementType type, Shape shape, void* data);
  /// Shares `owner`, which keeps `data` alive (a memory map, another tensor).
  Tensor(ElementType type, Shape shape, const void* data, std::shared_ptr<const void> owner);
  template <class T>
  static Tensor of(Shape shape, std::span<const T> values);  ///< a copy of the values; missing ones are 0
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {  ///< the same
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor scalar(T value) {  ///< of rank 0
    return of<T>({}, std::span<const T>(&value, 1));
  }
  static Tensor strings(Shape shape,
                        std::vector<std::string> values);  ///< throws `Error` where the number of values is another

  explicit operator bool() const { return type_ != ElementType::dynamic; }  ///< is there a tensor?
  ElementType element_type() const { return type_; }                        ///< `dynamic` for an empty tensor
  const Shape& shape() const { return shape_; }                             ///< empty for a scalar
  size_t rank() const { return shape_.size(); }                             ///< number of dimensions
  size_t size() const;                                                      ///< number of elements
  size_t byte_size() const;  ///< bytes of the dense storage; 0 for strings

  /// Typed access; throws `Error` where T is not the element type.
  template <class T>
  T* data() {
    check_type(element_type_of<T>());
    return static_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {  ///< the same
    check_type(element_type_of<T>());
    return static_cast<const T*>(data_);
  }
  /// All elements; throws as `data` does.
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), size()};
  }
  /// All elements; throws as `data` does.
  template <class T>
  std::span<T> span() {
    return {data<T>(), size()};
  }
  void* raw() { return data_; }                     ///< `byte_size()` bytes; null for strings
  const void* raw() const { return data_; }         ///< `byte_size()` bytes; null for strings
  std::vector<std::string>& strings();              ///< throws `Error` where the elements are no strings
  const std::vector<std::string>& strings() const;  ///< throws `Error` where the elements are no strings

  /// The same memory with another shape of equal size. Throws `Error` where the sizes differ.
  Tensor reshaped(Shape shape) const;
  /// A deep copy that owns its memory.
  Tensor clone() const;
  /// Another element type. Float to integer truncates toward zero and saturates; to boolean is `!= 0`.
  Tensor converted(ElementType type) const;
  /// All elements, widened.
  std::vector<double> to_doubles() const;
  std::vector<int64_t> to_ints() const;  ///< floats truncate toward zero
  /// Same type, shape and bits.
  bool identical(const Tensor& o) const;

 private:
  void check_type(ElementType asked) const;
  ElementType type_ = ElementType::dynamic;
  Shape shape_;
  void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<std::vector<std::string>> strings_;
};

template <class T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor t(element_type_of<T>(), std::move(shape));
  std::span<T> to = t.span<T>();
  for (size_t i = 0; i < to.size() && i < values.size(); ++i) to[i] = values[i];
  return t;
}

/// Reads element `i` of a tensor of any numeric type (sub-byte types included) as a double, and writes it back.
HONE_API double get_element(const Tensor& t, size_t i);
HONE_API void set_element(Tensor& t, size_t i, double v);  ///< integers are rounded toward zero and saturate
/// The same for integers, exact over the whole 64-bit range.
HONE_API int64_t get_integer(const Tensor& t, size_t i);
HONE_API void set_integer(Tensor& t, size_t i, int64_t v);  ///< saturates

/// Any value of an edge: nothing, a tensor, a sequence, or a map from integers or strings.
class HONE_API Datum {
 public:
  using Sequence = std::vector<Datum>;                              ///< in order
  using Map = std::map<std::variant<int64_t, std::string>, Datum>;  ///< all keys of one kind

  Datum() = default;                                                            ///< none: an absent optional
  Datum(Tensor t) : v_(std::move(t)) {}                                         ///< a tensor
  explicit Datum(Sequence s) : v_(std::make_shared<Sequence>(std::move(s))) {}  ///< a sequence
  explicit Datum(Map m) : v_(std::make_shared<Map>(std::move(m))) {}            ///< a map

  bool is_none() const { return v_.index() == 0; }      ///< an absent optional
  bool is_tensor() const { return v_.index() == 1; }    ///< holds a tensor
  bool is_sequence() const { return v_.index() == 2; }  ///< holds a sequence
  bool is_map() const { return v_.index() == 3; }       ///< holds a map
  /// Throw `Error` where the value is of another kind.
  const Tensor& tensor() const;
  const Sequence& sequence() const;  ///< see above
  const Map& map() const;            ///< see above

 private:
  std::variant<std::monostate, Tensor, std::shared_ptr<const Sequence>, std::shared_ptr<const Map>> v_;
};

}  // namespace hone
