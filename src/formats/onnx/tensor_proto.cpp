// TensorProto to Tensor: every element type, raw or typed or external.
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/checked.hpp"
#include "base/file.hpp"
#include "base/file_pages.hpp"
#include "formats/onnx/proto.hpp"

namespace hone::onnx {
namespace {

// TensorProto.DataType in order; `dynamic` has no Hone type.
constexpr ElementType types[] = {
    ElementType::dynamic,    ElementType::f32,  ElementType::u8,     ElementType::i8,         ElementType::u16,
    ElementType::i16,        ElementType::i32,  ElementType::i64,    ElementType::string,     ElementType::boolean,
    ElementType::f16,        ElementType::f64,  ElementType::u32,    ElementType::u64,        ElementType::dynamic,
    ElementType::dynamic,    ElementType::bf16, ElementType::f8e4m3, ElementType::f8e4m3fnuz, ElementType::f8e5m2,
    ElementType::f8e5m2fnuz, ElementType::u4,   ElementType::i4,     ElementType::f4e2m1,     ElementType::f8e8m0,
    ElementType::u2,         ElementType::i2,
};

Error truncated(const TensorMessage& m) {
  return Error(ErrorCode::unreadable, "[onnx] tensor '" + std::string(m.name) + "' has fewer bytes than its shape " +
                                          to_string(m.dims) + " needs");
}

int64_t number(const TensorMessage& m, const char* key) {
  const auto it = m.location.find(key);
  if (it == m.location.end()) return 0;
  int64_t v = 0;
  const auto r = std::from_chars(it->second.data(), it->second.data() + it->second.size(), v);
  if (r.ec != std::errc() || v < 0)
    throw Error(ErrorCode::unreadable, "[onnx] tensor '" + std::string(m.name) + "': malformed external " + key);
  return v;
}

// External data lie beside the model, never above it: a file must not be able to read elsewhere on the disk.
Bytes external_bytes(const TensorMessage& m, const Storage& storage, std::shared_ptr<const void>& owner) {
  const auto it = m.location.find("location");
  const std::string where = "tensor '" + std::string(m.name) + "'";
  if (it == m.location.end() || it->second.empty())
    throw Error(ErrorCode::unreadable, "[onnx] external data without a location", where);
  const std::filesystem::path p(it->second);
  bool inside = p.is_relative();
  for (const auto& part : p) inside = inside && part != "..";
  if (!inside || storage.folder.empty()) {
    throw Error(ErrorCode::unsafe, "[onnx] external data outside of the model's folder are refused: " + it->second,
                where, "put the data file beside the model");
  }
  const std::filesystem::path base(storage.folder);
  std::error_code ec;
  const auto real = std::filesystem::weakly_canonical(base / p, ec);
  const auto root = std::filesystem::weakly_canonical(base, ec);
  if (!ec && std::mismatch(root.begin(), root.end(), real.begin(), real.end()).first != root.end()) {
    throw Error(ErrorCode::unsafe, "[onnx] external data outside of the model's folder are refused: " + it->second,
                where, "put the data file beside the model");
  }
  auto& file = storage.files[it->second];
  if (!file) file = MappedFile::open((base / p).string());
  owner = file;
  const auto bytes = static_cast<const MappedFile*>(file.get())->bytes();
  const auto offset = static_cast<uint64_t>(number(m, "offset"));
  if (offset > bytes.size()) throw truncated(m);
  uint64_t length = bytes.size() - offset;
  if (m.location.contains("length")) {
    const auto wanted = static_cast<uint64_t>(number(m, "length"));
    if (wanted > length) throw truncated(m);
    length = wanted;
  }
  return {reinterpret_cast<const char*>(bytes.data()) + offset, length};
}

Tensor from_bytes(const TensorMessage& m, ElementType type, Bytes bytes, const std::shared_ptr<const void>& owner) {
  const auto n = static_cast<size_t>(element_count(m.dims));
  const size_t size = hone::byte_size(type, n);
  if (bytes.size() < size) throw truncated(m);
  const auto alignment = static_cast<uintptr_t>(std::max(1, bit_width(type) / 8));
  if (owner && size > 0 && reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0)
    return Tensor(type, m.dims, bytes.data(), owner);
  Tensor t(type, m.dims);
  if (size > 0) std::memcpy(t.raw(), bytes.data(), size);
  release_mapped({reinterpret_cast<const uint8_t*>(bytes.data()), size});  // the copy serves from here on
  return t;
}

template <class Stored, class List>
Tensor from_list(const TensorMessage& m, ElementType type, const List& list) {
  const auto n = static_cast<size_t>(element_count(m.dims));
  if (list.size() < n) throw truncated(m);
  Tensor t(type, m.dims);
  auto* to = static_cast<Stored*>(t.raw());
  for (size_t i = 0; i < n; ++i) to[i] = static_cast<Stored>(list[i]);
  return t;
}

}  // namespace

ElementType element_type_of_onnx(int64_t data_type) {
  const ElementType t = data_type >= 0 && data_type < std::ssize(types) ? types[data_type] : ElementType::dynamic;
  if (t != ElementType::dynamic) return t;
  static constexpr const char* refused[] = {"complex64", "complex128", "float8e4m3fnuz", "float8e5m2fnuz"};
  const char* name = data_type == 14   ? refused[0]
                     : data_type == 15 ? refused[1]
                     : data_type == 18 ? refused[2]
                     : data_type == 20 ? refused[3]
                                       : nullptr;
  throw Error(ErrorCode::unsupported, "[onnx] element type " +
                                          (name ? std::string(name) : "number " + std::to_string(data_type)) +
                                          " is not supported");
}

int32_t onnx_data_type(ElementType t) {
  for (int32_t i = 1; i < std::ssize(types); ++i) {
    if (types[i] == t && t != ElementType::dynamic) return i;
  }
  throw Error(ErrorCode::unsupported, std::string("[onnx] element type ") + name_of(t) + " does not exist in ONNX");
}

Tensor to_tensor(const TensorMessage& m, const Storage& storage) {
  const ElementType type = element_type_of_onnx(m.data_type);
  for (int64_t d : m.dims) {
    if (d < 0)
      throw Error(ErrorCode::unreadable, "[onnx] tensor '" + std::string(m.name) + "' has a negative dimension");
  }
  const auto n = static_cast<size_t>(element_count(m.dims));
  if (m.external) {
    std::shared_ptr<const void> owner;
    const Bytes bytes = external_bytes(m, storage, owner);
    if (type == ElementType::string)
      throw Error(ErrorCode::unsupported, "[onnx] external strings are not part of the format");
    return from_bytes(m, type, bytes, owner);
  }
  if (type == ElementType::string) {
    if (m.strings.size() < n) throw truncated(m);
    return Tensor::strings(
        m.dims, std::vector<std::string>(m.strings.begin(), m.strings.begin() + static_cast<std::ptrdiff_t>(n)));
  }
  if (m.has_raw) return from_bytes(m, type, m.raw, storage.owner);
  switch (type) {
    case ElementType::f32:
      return m.floats.empty() ? from_bytes(m, type, m.packed_floats, storage.owner)
                              : from_list<float>(m, type, m.floats);
    case ElementType::f64:
      return m.doubles.empty() ? from_bytes(m, type, m.packed_doubles, storage.owner)
                               : from_list<double>(m, type, m.doubles);
    case ElementType::i64:
      return from_list<int64_t>(m, type, m.int64s);
    case ElementType::u64:
      return from_list<uint64_t>(m, type, m.uint64s);
    case ElementType::u32:
      return from_list<uint32_t>(m, type, m.uint64s);
    case ElementType::i32:
      return from_list<int32_t>(m, type, m.int32s);
    case ElementType::i16:
    case ElementType::u16:
    case ElementType::f16:
    case ElementType::bf16:
      return from_list<uint16_t>(m, type, m.int32s);
    case ElementType::i8:
    case ElementType::u8:
    case ElementType::f8e4m3:
    case ElementType::f8e5m2:
    case ElementType::f8e4m3fnuz:
    case ElementType::f8e5m2fnuz:
    case ElementType::f8e8m0:
      return from_list<uint8_t>(m, type, m.int32s);
    case ElementType::boolean: {
      Tensor t = from_list<uint8_t>(m, type, m.int32s);
      for (size_t i = 0; i < n; ++i) static_cast<uint8_t*>(t.raw())[i] = m.int32s[i] != 0;
      return t;
    }
    default: {  // below a byte: each entry holds one packed byte
      const size_t size = hone::byte_size(type, n);
      if (m.int32s.size() < size) throw truncated(m);
      Tensor t(type, m.dims);
      for (size_t i = 0; i < size; ++i) static_cast<uint8_t*>(t.raw())[i] = static_cast<uint8_t>(m.int32s[i]);
      return t;
    }
  }
}

}  // namespace hone::onnx
