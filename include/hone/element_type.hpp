// Element types of tensors. Names are those of `docs/cli.md`; OpenVINO's spelling is accepted by `element_type_from`.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "hone/export.hpp"

namespace hone {
/// What the elements of a tensor are.
enum class ElementType : uint8_t {
  dynamic,  ///< not known yet
  f64,
  f32,
  f16,
  bf16,
  f8e4m3,
  f8e5m2,
  f8e8m0,
  f4e2m1,
  nf4,
  i64,
  i32,
  i16,
  i8,
  i4,
  i2,
  u64,
  u32,
  u16,
  u8,
  u4,
  u2,
  u1,
  boolean,  ///< one byte, 0 or 1
  string,   ///< std::string elements, stored outside of the byte buffer
  f8e4m3fnuz,
  f8e5m2fnuz,  ///< finite, one zero: NaN is the bit pattern of minus zero, exponents lie one lower
};

namespace element {
using enum ElementType;
}

/// Size of one element in bits; 0 for `dynamic` and `string`.
HONE_API int bit_width(ElementType t);
/// Bytes that `n` densely packed elements take (sub-byte types: low bits first, rounded up to a byte).
HONE_API size_t byte_size(ElementType t, size_t n);
HONE_API const char* name_of(ElementType t);  ///< as docs/cli.md spells it
/// Parses `f32`, also `float32`, `FP32`, `float`, `BOOL`...; nullopt when the name is not known.
HONE_API std::optional<ElementType> element_type_from(std::string_view name);

/// IEEE-like types of any width, f8/f4/nf4 included.
HONE_API bool is_float(ElementType t);
/// Signed and unsigned integers of any width (not boolean).
HONE_API bool is_integer(ElementType t);
HONE_API bool is_signed(ElementType t);  ///< has it a sign? True for floats

}  // namespace hone
