#include "tensor/safetensors.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

struct TypeName {
  ElementType type;
  const char* name;
};
constexpr TypeName type_names[] = {
    // clang-format off
    {ElementType::f64, "F64"}, {ElementType::f32, "F32"}, {ElementType::f16, "F16"},       {ElementType::bf16, "BF16"},     {ElementType::i64, "I64"},
    {ElementType::i32, "I32"}, {ElementType::i16, "I16"}, {ElementType::i8, "I8"},         {ElementType::u64, "U64"},       {ElementType::u32, "U32"},
    {ElementType::u16, "U16"}, {ElementType::u8, "U8"},   {ElementType::boolean, "BOOL"},  {ElementType::f8e4m3, "F8_E4M3"}, {ElementType::f8e5m2, "F8_E5M2"},
    // clang-format on
};

constexpr uint64_t largest_header = 100'000'000;  // as the format's own reader has it

}  // namespace

void save_safetensors(const std::string& path, const NamedTensors& content) {
  nlohmann::ordered_json header;
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  uint64_t offset = 0;
  for (const auto& [name, t] : content.tensors) {
    const char* type = nullptr;
    for (const TypeName& row : type_names) {
      if (row.type == t.element_type()) type = row.name;
    }
    if (!type)
      throw Error(ErrorCode::unsupported,
                  std::string("[safetensors] no place for elements of type ") + name_of(t.element_type()),
                  "tensor '" + name + "'");
    header[name] = {{"dtype", type}, {"shape", t.shape()}, {"data_offsets", {offset, offset + t.byte_size()}}};
    offset += t.byte_size();
  }
  std::string text = header.is_null() ? "{}" : header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  AtomicFile f(path);
  const uint64_t length = text.size();
  f.write(&length, sizeof length);
  f.write(text);
  for (const auto& [name, t] : content.tensors) {
    if (t.byte_size() > 0) f.write(t.raw(), t.byte_size());
  }
  f.commit();
}

NamedTensors load_safetensors(const std::string& path) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  const auto refuse = [&](const std::string& why) -> Error {
    return Error(ErrorCode::unreadable, "[safetensors] " + why, path, "the file is damaged or of another kind");
  };
  uint64_t length = 0;
  if (bytes.size() < sizeof length) throw refuse("too short");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > largest_header || length > bytes.size() - sizeof length) throw refuse("the header exceeds the file");
  const auto data = bytes.subspan(sizeof length + static_cast<size_t>(length));
  NamedTensors out;
  try {
    const auto header = nlohmann::json::parse(bytes.begin() + sizeof length,
                                              bytes.begin() + static_cast<std::ptrdiff_t>(sizeof length + length));
    if (!header.is_object()) throw refuse("the header is no object");
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        out.metadata = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      const auto type_name = entry.at("dtype").get<std::string>();
      ElementType type = ElementType::dynamic;
      for (const TypeName& row : type_names) {
        if (type_name == row.name) type = row.type;
      }
      if (type == ElementType::dynamic) throw refuse("tensor '" + name + "' has unknown type " + type_name);
      const auto shape = entry.at("shape").get<Shape>();
      const auto offsets = entry.at("data_offsets").get<std::vector<uint64_t>>();
      if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size())
        throw refuse("tensor '" + name + "' lies outside of the file");
      if (offsets[1] - offsets[0] != byte_size(type, static_cast<size_t>(element_count(shape))))
        throw refuse("tensor '" + name + "' has another size than its shape");
      out.tensors[name] = Tensor(type, shape, data.data() + offsets[0], file);
    }
  } catch (const nlohmann::json::exception& e) {
    throw refuse(std::string("malformed header (") + e.what() + ")");
  }
  return out;
}

}  // namespace hone
