// Tensors: an element type, a shape and memory that is owned, borrowed or mapped; and `Datum`, any value a graph edge carries.
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
  uint16_t bits = 0;
  float16() = default;
  explicit float16(float v);
  operator float() const;
};
struct HONE_API bfloat16 {
  uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float v);
  operator float() const;
};

template <class T>
constexpr ElementType element_type_of();
template <> constexpr ElementType element_type_of<double>() { return ElementType::f64; }
template <> constexpr ElementType element_type_of<float>() { return ElementType::f32; }
template <> constexpr ElementType element_type_of<float16>() { return ElementType::f16; }
template <> constexpr ElementType element_type_of<bfloat16>() { return ElementType::bf16; }
template <> constexpr ElementType element_type_of<int64_t>() { return ElementType::i64; }
template <> constexpr ElementType element_type_of<int32_t>() { return ElementType::i32; }
template <> constexpr ElementType element_type_of<int16_t>() { return ElementType::i16; }
template <> constexpr ElementType element_type_of<int8_t>() { return ElementType::i8; }
template <> constexpr ElementType element_type_of<uint64_t>() { return ElementType::u64; }
template <> constexpr ElementType element_type_of<uint32_t>() { return ElementType::u32; }
template <> constexpr ElementType element_type_of<uint16_t>() { return ElementType::u16; }
template <> constexpr ElementType element_type_of<uint8_t>() { return ElementType::u8; }
template <> constexpr ElementType element_type_of<bool>() { return ElementType::boolean; }

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
  static Tensor of(Shape shape, std::span<const T> values);
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, std::span<const T>(&value, 1));
  }
  static Tensor strings(Shape shape, std::vector<std::string> values);

  explicit operator bool() const { return type_ != ElementType::dynamic; }
  ElementType element_type() const { return type_; }
  const Shape& shape() const { return shape_; }
  size_t rank() const { return shape_.size(); }
  size_t size() const;       ///< number of elements
  size_t byte_size() const;  ///< bytes of the dense storage; 0 for strings

  /// Typed access; throws `Error` where T is not the element type.
  template <class T>
  T* data() {
    check_type(element_type_of<T>());
    return static_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    check_type(element_type_of<T>());
    return static_cast<const T*>(data_);
  }
  template <class T>
  std::span<const T> span() const { return {data<T>(), size()}; }
  template <class T>
  std::span<T> span() { return {data<T>(), size()}; }
  void* raw() { return data_; }
  const void* raw() const { return data_; }
  std::vector<std::string>& strings();
  const std::vector<std::string>& strings() const;

  /// The same memory with another shape of equal size. Throws `Error` where the sizes differ.
  Tensor reshaped(Shape shape) const;
  /// A deep copy that owns its memory.
  Tensor clone() const;
  /// Another element type. Float to integer truncates toward zero and saturates; to boolean is `!= 0`.
  Tensor converted(ElementType type) const;
  /// All elements, widened.
  std::vector<double> to_doubles() const;
  std::vector<int64_t> to_ints() const;
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
HONE_API void set_element(Tensor& t, size_t i, double v);
/// The same for integers, exact over the whole 64-bit range.
HONE_API int64_t get_integer(const Tensor& t, size_t i);
HONE_API void set_integer(Tensor& t, size_t i, int64_t v);

/// Any value of an edge: nothing, a tensor, a sequence, or a map from integers or strings.
class HONE_API Datum {
 public:
  using Sequence = std::vector<Datum>;
  using Map = std::map<std::variant<int64_t, std::string>, Datum>;

  Datum() = default;  ///< none: an absent optional
  Datum(Tensor t) : v_(std::move(t)) {}
  explicit Datum(Sequence s) : v_(std::make_shared<Sequence>(std::move(s))) {}
  explicit Datum(Map m) : v_(std::make_shared<Map>(std::move(m))) {}

  bool is_none() const { return v_.index() == 0; }
  bool is_tensor() const { return v_.index() == 1; }
  bool is_sequence() const { return v_.index() == 2; }
  bool is_map() const { return v_.index() == 3; }
  /// Throw `Error` where the value is of another kind.
  const Tensor& tensor() const;
  const Sequence& sequence() const;
  const Map& map() const;

 private:
  std::variant<std::monostate, Tensor, std::shared_ptr<const Sequence>, std::shared_ptr<const Map>> v_;
};

}  // namespace hone
