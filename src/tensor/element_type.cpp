#include "hone/element_type.hpp"

#include <algorithm>
#include <cctype>
#include <string>

#include "base/checked.hpp"

namespace hone {
namespace {

struct Row {
  ElementType type;
  const char* name;
  int bits;
  const char* aliases;  // lower case, separated and surrounded by spaces
};

constexpr Row rows[] = {
    {ElementType::dynamic, "dynamic", 0, " undefined unspecified "},
    {ElementType::f64, "f64", 64, " float64 fp64 double "},
    {ElementType::f32, "f32", 32, " float32 fp32 float "},
    {ElementType::f16, "f16", 16, " float16 fp16 half "},
    {ElementType::bf16, "bf16", 16, " bfloat16 "},
    {ElementType::f8e4m3, "f8e4m3", 8, " float8e4m3fn f8_e4m3 f8e4m3fn "},
    {ElementType::f8e5m2, "f8e5m2", 8, " float8e5m2 f8_e5m2 "},
    {ElementType::f8e8m0, "f8e8m0", 8, " float8e8m0 "},
    {ElementType::f4e2m1, "f4e2m1", 4, " float4e2m1 "},
    {ElementType::nf4, "nf4", 4, " "},
    {ElementType::i64, "i64", 64, " int64 long "},
    {ElementType::i32, "i32", 32, " int32 int "},
    {ElementType::i16, "i16", 16, " int16 "},
    {ElementType::i8, "i8", 8, " int8 "},
    {ElementType::i4, "i4", 4, " int4 "},
    {ElementType::i2, "i2", 2, " int2 "},
    {ElementType::u64, "u64", 64, " uint64 "},
    {ElementType::u32, "u32", 32, " uint32 "},
    {ElementType::u16, "u16", 16, " uint16 "},
    {ElementType::u8, "u8", 8, " uint8 "},
    {ElementType::u4, "u4", 4, " uint4 "},
    {ElementType::u2, "u2", 2, " uint2 "},
    {ElementType::u1, "u1", 1, " uint1 bin "},
    {ElementType::boolean, "boolean", 8, " bool "},
    {ElementType::string, "string", 0, " str "},
    {ElementType::f8e4m3fnuz, "f8e4m3fnuz", 8, " float8e4m3fnuz "},
    {ElementType::f8e5m2fnuz, "f8e5m2fnuz", 8, " float8e5m2fnuz "},
};

const Row& row(ElementType t) {
  return rows[static_cast<size_t>(t)];
}

}  // namespace

int bit_width(ElementType t) {
  return row(t).bits;
}

size_t byte_size(ElementType t, size_t n) {
  const auto bits = static_cast<size_t>(bit_width(t));
  return bits >= 8 ? checked_mul(n, bits / 8) : (checked_mul(n, bits) + 7) / 8;
}

const char* name_of(ElementType t) {
  return row(t).name;
}

std::optional<ElementType> element_type_from(std::string_view name) {
  std::string s(name);
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const Row& r : rows) {
    if (s == r.name || std::string_view(r.aliases).find(" " + s + " ") != std::string_view::npos) return r.type;
  }
  return std::nullopt;
}

bool is_float(ElementType t) {
  return (t >= ElementType::f64 && t <= ElementType::nf4) || t >= ElementType::f8e4m3fnuz;
}
bool is_integer(ElementType t) {
  return t >= ElementType::i64 && t <= ElementType::u1;
}
bool is_signed(ElementType t) {
  return is_float(t) || (t >= ElementType::i64 && t <= ElementType::i2);
}

}  // namespace hone
