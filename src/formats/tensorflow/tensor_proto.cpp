// TensorProto to Tensor: content bytes, or lists of values of which the last one repeats.
#include <algorithm>
#include <cstring>

#include "formats/tensorflow/proto.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

struct TypeRow {
  int32_t number;
  ElementType type;  ///< dynamic: no Hone type
  const char* name;
};
constexpr TypeRow types[] = {
    {1, ElementType::f32, "float32"},
    {2, ElementType::f64, "float64"},
    {3, ElementType::i32, "int32"},
    {4, ElementType::u8, "uint8"},
    {5, ElementType::i16, "int16"},
    {6, ElementType::i8, "int8"},
    {7, ElementType::string, "string"},
    {8, ElementType::dynamic, "complex64"},
    {9, ElementType::i64, "int64"},
    {10, ElementType::boolean, "bool"},
    {11, ElementType::i8, "qint8"},
    {12, ElementType::u8, "quint8"},
    {13, ElementType::i32, "qint32"},
    {14, ElementType::bf16, "bfloat16"},
    {15, ElementType::i16, "qint16"},
    {16, ElementType::u16, "quint16"},
    {17, ElementType::u16, "uint16"},
    {18, ElementType::dynamic, "complex128"},
    {19, ElementType::f16, "float16"},
    {20, ElementType::dynamic, "resource"},
    {21, ElementType::dynamic, "variant"},
    {22, ElementType::u32, "uint32"},
    {23, ElementType::u64, "uint64"},
    {24, ElementType::f8e5m2, "float8_e5m2"},
    {25, ElementType::f8e4m3, "float8_e4m3fn"},
    {29, ElementType::i4, "int4"},
    {30, ElementType::u4, "uint4"},
    {31, ElementType::i2, "int2"},
    {32, ElementType::u2, "uint2"},
};

const TypeRow* row(int64_t type) {
  if (type > 100) type -= 100;  // references
  for (const TypeRow& r : types) {
    if (r.number == type) return &r;
  }
  return nullptr;
}

Error truncated(const TensorMessage& m) {
  return Error(ErrorCode::unreadable,
               "[tensorflow] a constant has fewer bytes than its shape " + to_string(m.shape) + " needs");
}

// Strings as content: the lengths of all as varints, then the strings.
Tensor strings_of(const TensorMessage& m, const Shape& shape, size_t n) {
  size_t at = 0;
  if (n > m.content.size()) throw truncated(m);
  std::vector<uint64_t> lengths(n);
  for (uint64_t& length : lengths) {
    for (int shift = 0;; shift += 7) {
      if (at >= m.content.size() || shift > 63) throw truncated(m);
      const auto byte = static_cast<uint8_t>(m.content[at++]);
      length |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  std::vector<std::string> strings;
  for (uint64_t length : lengths) {
    if (length > m.content.size() - at) throw truncated(m);
    strings.emplace_back(reinterpret_cast<const char*>(m.content.data()) + at, static_cast<size_t>(length));
    at += static_cast<size_t>(length);
  }
  return Tensor::strings(shape, std::move(strings));
}

template <class Stored, class List>
void fill(Tensor& t, const List& list) {
  auto* to = static_cast<Stored*>(t.raw());
  for (size_t i = 0; i < t.size(); ++i) {
    const size_t at = std::min(i, list.size() - 1);
    to[i] = static_cast<Stored>(list[at]);
  }
}

// Elements of `width` bytes, of which the last repeats.
void fill_bytes(const TensorMessage& m, Tensor& t, Bytes bytes, size_t width) {
  auto* to = static_cast<char*>(t.raw());
  const size_t have = std::min(bytes.size() / width, t.size());
  if (have == 0) throw truncated(m);
  std::memcpy(to, bytes.data(), have * width);
  for (size_t i = have; i < t.size(); ++i) std::memcpy(to + i * width, to + (have - 1) * width, width);
}

}  // namespace

ElementType element_type_of_tf(int64_t type) {
  const TypeRow* r = row(type);
  const int64_t plain = type > 100 ? type - 100 : type;
  if (r && (r->type != ElementType::dynamic || plain == 20 || plain == 21)) return r->type;
  if (plain == 8) return ElementType::f32;
  if (plain == 18) return ElementType::f64;
  throw Error(ErrorCode::unsupported, "[tensorflow] element type " + name_of_tf_type(type) + " is not supported");
}
bool is_complex_type(int64_t type) {
  return type % 100 == 8 || type % 100 == 18;
}
std::string name_of_tf_type(int64_t type) {
  const TypeRow* r = row(type);
  return r ? r->name : "number " + std::to_string(type);
}

Tensor to_tensor(const TensorMessage& m, const std::shared_ptr<const void>& owner, bool& repeated) {
  repeated = false;
  if (!m.shape.is_static()) throw Error(ErrorCode::unreadable, "[tensorflow] a constant has no static shape");
  Shape shape = m.shape.to_shape();
  const ElementType type = element_type_of_tf(m.type);
  if (type == ElementType::dynamic)
    throw Error(ErrorCode::unsupported,
                "[tensorflow] a constant of type " + name_of_tf_type(m.type) + " is not supported");
  const bool complex = is_complex_type(m.type);
  if (complex) shape.push_back(2);
  const auto n = static_cast<size_t>(element_count(shape));
  if (!m.content.empty() && type == ElementType::string) return strings_of(m, shape, n);
  if (!m.content.empty()) {
    const size_t size = hone::byte_size(type, n);
    if (m.content.size() < size) throw truncated(m);
    const auto alignment = static_cast<uintptr_t>(std::max(1, bit_width(type) / 8));
    if (owner && reinterpret_cast<uintptr_t>(m.content.data()) % alignment == 0)
      return Tensor(type, shape, m.content.data(), owner);
    Tensor t(type, shape);
    std::memcpy(t.raw(), m.content.data(), size);
    return t;
  }
  const size_t stored = std::max<size_t>({m.floats.size(), m.packed_floats.size() / 4, m.doubles.size(),
                                          m.packed_doubles.size() / 8, m.integers.size(), m.strings.size()});
  // One element that stands for many: made by Broadcast in the graph, so a small file cannot ask for much memory.
  constexpr size_t largest_fill = 1 << 16;
  if (n > largest_fill && stored <= (complex ? 2u : 1u) && type != ElementType::string) {
    repeated = true;
    TensorMessage one = m;
    one.shape = PartialShape(std::vector<Dimension>{});
    bool again = false;
    return to_tensor(one, owner, again);
  }
  if (n > std::max<size_t>(largest_fill, 4 * stored)) throw truncated(m);
  if (type == ElementType::string) {
    std::vector<std::string> s(n);
    for (size_t i = 0; i < n && !m.strings.empty(); ++i) s[i] = m.strings[std::min(i, m.strings.size() - 1)];
    return Tensor::strings(shape, std::move(s));
  }
  Tensor t(type, shape);
  if (stored == 0 || n == 0) return t;
  if (complex) {
    if (stored < 2) throw truncated(m);
    for (size_t i = 0; i < n; ++i) {
      const size_t at = i < stored ? i : stored - 2 + i % 2;
      set_element(t, i, type == ElementType::f32 ? static_cast<double>(m.floats.at(at)) : m.doubles.at(at));
    }
    return t;
  }
  switch (type) {
    case ElementType::f32:
      if (!m.packed_floats.empty())
        fill_bytes(m, t, m.packed_floats, 4);
      else if (!m.floats.empty())
        fill<float>(t, m.floats);
      else
        throw truncated(m);
      break;
    case ElementType::f64:
      if (!m.packed_doubles.empty())
        fill_bytes(m, t, m.packed_doubles, 8);
      else if (!m.doubles.empty())
        fill<double>(t, m.doubles);
      else
        throw truncated(m);
      break;
    default:
      if (m.integers.empty()) throw truncated(m);
      if (bit_width(type) < 8) {
        for (size_t i = 0; i < n; ++i) set_integer(t, i, m.integers[std::min(i, m.integers.size() - 1)]);
      } else if (bit_width(type) == 64) {
        fill<int64_t>(t, m.integers);
      } else if (bit_width(type) == 32) {
        fill<int32_t>(t, m.integers);
      } else if (bit_width(type) == 16) {
        fill<int16_t>(t, m.integers);
      } else {
        fill<int8_t>(t, m.integers);
        for (size_t i = 0; type == ElementType::boolean && i < n; ++i)
          static_cast<uint8_t*>(t.raw())[i] = static_cast<uint8_t*>(t.raw())[i] != 0;
      }
  }
  return t;
}

}  // namespace hone::tensorflow
