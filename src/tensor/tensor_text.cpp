// Tensors as text: `f32[2,2]{1,2,3,4}`.
#include <charconv>
#include <cstdio>
#include <cstring>

#include "hone/error.hpp"
#include "tensor/fields.hpp"

namespace hone {
namespace {

std::string number_text(double v) {
  char buffer[40];
  auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, v);  // shortest text that reads back exactly
  return std::string(buffer, end);
}

[[noreturn]] void bad(std::string_view text, const char* why) {
  throw Error(ErrorCode::usage, std::string("[text] ") + why, std::string(text.substr(0, 80)));
}

// splitmix64: a small generator with the same values everywhere.
uint64_t next_random(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

bool generates(std::string_view spec) {
  return spec == "zeros" || spec == "ones" || spec == "iota" || spec.starts_with("full:") ||
         spec.starts_with("random:");
}

void generate(Tensor& t, std::string_view spec) {
  const size_t n = t.size();
  if (spec == "zeros") return;
  if (spec == "ones") {
    for (size_t i = 0; i < n; ++i) set_element(t, i, 1);
  } else if (spec == "iota") {
    for (size_t i = 0; i < n; ++i) set_element(t, i, static_cast<double>(i));
  } else if (spec.starts_with("full:")) {
    const double v = std::strtod(std::string(spec.substr(5)).c_str(), nullptr);
    for (size_t i = 0; i < n; ++i) set_element(t, i, v);
  } else {
    uint64_t state = std::strtoull(std::string(spec.substr(7)).c_str(), nullptr, 10);
    for (size_t i = 0; i < n; ++i)
      set_element(t, i, static_cast<double>(next_random(state) >> 40) / double(1 << 23) - 1.0);
  }
}

}  // namespace

std::string to_text(const Tensor& t, size_t max_elements) {
  if (!t) return "none";
  std::string s = name_of(t.element_type()) + to_string(t.shape()) + "{";
  if (t.size() > max_elements) {
    char hash[32];
    const uint64_t h = t.element_type() == ElementType::string ? 0 : hash_bytes(t.raw(), t.byte_size());
    std::snprintf(hash, sizeof hash, "hash:%016llx", static_cast<unsigned long long>(h));
    return s + hash + "}";
  }
  for (size_t i = 0; i < t.size(); ++i) {
    if (i) s += ",";
    if (t.element_type() == ElementType::string) {
      s += '"';
      for (char c : t.strings()[i]) {
        if (c == '"' || c == '\\') s += '\\';
        s += c;
      }
      s += '"';
    } else if (is_float(t.element_type())) {
      s += t.element_type() == ElementType::f32 ? [&] {
        char buffer[32];
        auto r = std::to_chars(buffer, buffer + sizeof buffer, t.data<float>()[i]);
        return std::string(buffer, r.ptr);
      }() : number_text(get_element(t, i));
    } else if (t.element_type() == ElementType::u64) {
      s += std::to_string(static_cast<uint64_t>(get_integer(t, i)));
    } else {
      s += std::to_string(get_integer(t, i));
    }
  }
  return s + "}";
}

Tensor tensor_from_text(std::string_view text) {
  if (text == "none") return {};
  const size_t open = text.find('['), close = text.find(']'), brace = text.find('{');
  if (open == std::string_view::npos || close == std::string_view::npos || brace != close + 1 || text.back() != '}')
    bad(text, "not a tensor: TYPE[SHAPE]{VALUES} is expected");
  const auto type = element_type_from(text.substr(0, open));
  if (!type) bad(text, "unknown element type");
  const PartialShape shape = PartialShape::parse(text.substr(open, close - open + 1));
  const std::string_view body = text.substr(brace + 1, text.size() - brace - 2);
  if (body.starts_with("hash:")) bad(text, "a hash stands for values that were not printed");
  const bool generated = *type != ElementType::string && generates(body);
  // A value and the comma behind it take two characters: a size without its values allocates nothing.
  if (!generated && static_cast<uint64_t>(element_count(shape.to_shape())) > body.size() / 2 + 1)
    bad(text, "too few values");
  Tensor t(*type, shape.to_shape());
  if (generated) {
    generate(t, body);
    return t;
  }
  size_t at = 0;
  for (size_t i = 0; i < t.size(); ++i) {
    if (at >= body.size() + (t.size() == 0)) bad(text, "too few values");
    if (*type == ElementType::string) {
      std::string v;
      if (body[at] != '"') bad(text, "a string begins with a quote");
      for (++at; at < body.size() && body[at] != '"'; ++at) {
        if (body[at] == '\\' && at + 1 < body.size()) ++at;
        v += body[at];
      }
      t.strings()[i] = v;
      at = std::min(at + 2, body.size());
      continue;
    }
    const size_t end = std::min(body.find(',', at), body.size());
    const std::string item(body.substr(at, end - at));
    char* stop = nullptr;
    if (is_float(*type))
      set_element(t, i, std::strtod(item.c_str(), &stop));
    else if (*type == ElementType::u64)
      set_integer(t, i, static_cast<int64_t>(std::strtoull(item.c_str(), &stop, 10)));
    else if (item == "true" || item == "false")
      set_integer(t, i, item == "true"), stop = const_cast<char*>(item.c_str()) + item.size();
    else
      set_integer(t, i, std::strtoll(item.c_str(), &stop, 10));
    if (item.empty() || *stop != 0) bad(text, "not a number among the values");
    at = end + 1;
  }
  if (at < body.size()) bad(text, "too many values");
  return t;
}

uint64_t hash_bytes(const void* data, size_t n, uint64_t seed) {
  const auto* p = static_cast<const uint8_t*>(data);
  uint64_t h = seed;
  for (size_t i = 0; i < n; ++i) h = (h ^ p[i]) * 1099511628211ull;
  return h;
}

}  // namespace hone
