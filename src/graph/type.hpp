// The type of a value: a tensor, or a sequence, optional, map or resource of types.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hone/shape.hpp"
#include "hone/tensor.hpp"
#include "tensor/layout.hpp"

namespace hone {

struct Type {
  enum class Kind : uint8_t { tensor, sequence, optional, map, resource };
  Kind kind = Kind::tensor;
  ElementType element = ElementType::dynamic;  ///< of the tensor; of the keys for a map
  PartialShape shape;
  Layout layout = Layout::plain;
  QuantizationPtr quantization;       ///< set by the precision pass
  std::shared_ptr<const Type> inner;  ///< of a sequence, optional, map (its values) or resource

  Type() = default;
  Type(ElementType e, PartialShape s) : element(e), shape(std::move(s)) {}
  static Type sequence(Type of) { return wrap(Kind::sequence, std::move(of)); }
  static Type optional(Type of) { return wrap(Kind::optional, std::move(of)); }
  static Type resource(Type of) { return wrap(Kind::resource, std::move(of)); }
  static Type map(ElementType key, Type value) {
    Type t = wrap(Kind::map, std::move(value));
    t.element = key;
    return t;
  }

  bool is_tensor() const { return kind == Kind::tensor; }
  bool is_static() const { return is_tensor() && element != ElementType::dynamic && shape.is_static(); }
  bool operator==(const Type& o) const;
  /// Could a value have both types? Layout and quantization must be equal.
  bool compatible(const Type& o) const;

 private:
  static Type wrap(Kind k, Type of) {
    Type t;
    t.kind = k;
    t.inner = std::make_shared<const Type>(std::move(of));
    return t;
  }
};
using Types = std::vector<Type>;

/// `f32[1,3,?]`, `f32[1,8,4,4]@channels_last`, `u8[1,8]~q(scale=[0.5],zero_point=[3],axis=-1)`, `seq<f32[?]>`,
/// `opt<...>`, `map<i64,f32[]>`, `res<...>`.
std::string to_string(const Type& t);
/// Throws `Error` on malformed text.
Type parse_type(std::string_view text);
/// The type of a concrete value.
Type type_of(const Datum& d);

}  // namespace hone
