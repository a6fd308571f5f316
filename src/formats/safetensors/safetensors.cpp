#include "formats/safetensors/safetensors.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/pytorch/strided.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

using nlohmann::json;

constexpr uint64_t max_header = 100'000'000;  // as the format's own reader allows

[[noreturn]] void malformed(const std::string& what, const std::string& where = {}) {
  throw Error(ErrorCode::unreadable, "[safetensors] " + what, where, "check that the file is whole");
}

struct TypeName {
  std::string_view name;
  ElementType type;
};
constexpr TypeName types[] = {
    {"F64", ElementType::f64},       {"F32", ElementType::f32},        {"F16", ElementType::f16},
    {"BF16", ElementType::bf16},     {"I64", ElementType::i64},        {"I32", ElementType::i32},
    {"I16", ElementType::i16},       {"I8", ElementType::i8},          {"U8", ElementType::u8},
    {"U16", ElementType::u16},       {"U32", ElementType::u32},        {"U64", ElementType::u64},
    {"BOOL", ElementType::boolean},  {"F8_E4M3", ElementType::f8e4m3}, {"F8_E5M2", ElementType::f8e5m2},
    {"F8_E8M0", ElementType::f8e8m0}};

uint64_t header_size(std::string_view bytes) {
  uint64_t n = 0;
  for (size_t k = 8; k-- > 0;) n = n << 8 | static_cast<uint8_t>(bytes[k]);
  return n;
}

std::vector<int64_t> numbers(const json& entry, const char* key, const std::string& where) {
  const auto it = entry.find(key);
  if (it == entry.end() || !it->is_array()) malformed(std::string("'") + key + "' is missing", where);
  std::vector<int64_t> out;
  for (const json& n : *it) {
    if (!n.is_number_unsigned() || n.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
      malformed(std::string("'") + key + "' is malformed", where);
    out.push_back(n.get<int64_t>());
  }
  return out;
}

}  // namespace

bool is_safetensors(std::string_view head) {
  return head.size() > 9 && head[8] == '{' && header_size(head) >= 2 && header_size(head) <= max_header;
}

StateDict parse_safetensors(const pytorch::Blob& file) {
  const std::string_view bytes = file.bytes;
  if (bytes.size() < 8) malformed("the file is truncated");
  const uint64_t size = header_size(bytes);
  if (size > max_header || size > bytes.size() - 8) malformed("the header reaches beyond the file");
  const std::string_view text = bytes.substr(8, size), data = bytes.substr(8 + size);
  const json header = json::parse(text.begin(), text.end(), nullptr, false);
  if (header.is_discarded() || !header.is_object()) malformed("the header is no JSON object");
  StateDict out;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string where = "weight '" + name + "'";
    if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string())
      malformed("an entry has no type", where);
    const std::string type_name = entry["dtype"].get<std::string>();
    const TypeName* type = nullptr;
    for (const TypeName& t : types) {
      if (t.name == type_name) type = &t;
    }
    if (!type)
      throw Error(ErrorCode::unsupported, "[safetensors] element type " + type_name + " is not offered", where);
    const Shape shape = numbers(entry, "shape", where);
    const auto range = numbers(entry, "data_offsets", where);
    if (range.size() != 2 || range[0] > range[1] || static_cast<uint64_t>(range[1]) > data.size())
      malformed("the data lie outside of the file", where);
    const int64_t count = element_count(shape), width = bit_width(type->type) / 8;
    if (count > (range[1] - range[0]) / width || count * width != range[1] - range[0])
      malformed("the data have another size than the shape says", where);
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t k = shape.size(); k-- > 1;) strides[k - 1] = strides[k] * shape[k];
    const pytorch::Blob part{data.substr(static_cast<size_t>(range[0]), static_cast<size_t>(range[1] - range[0])),
                             file.owner};
    out.tensors.emplace_back(name, pytorch::strided_view(part, type->type, shape, strides, 0));
  }
  return out;
}

}  // namespace hone
