#include "formats/openvino_ir/fields.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "hone/error.hpp"

namespace hone::ir {
namespace {

[[noreturn]] void bad(std::string_view name, const char* text) {
  throw Error(ErrorCode::unreadable,
              "[openvino_ir] malformed attribute " + std::string(name) + "='" + std::string(text).substr(0, 60) + "'");
}

int64_t integer(std::string_view name, const char* text) {
  int64_t v = 0;
  const char* end = text + std::strlen(text);
  while (text < end && *text == ' ') ++text;
  const auto r = std::from_chars(text, end, v);
  if (r.ec != std::errc()) bad(name, text);
  return v;
}

double real(std::string_view name, const char* text) {
  const std::string s(text);
  if (s == "inf" || s == "Infinity") return HUGE_VAL;
  if (s == "-inf" || s == "-Infinity") return -HUGE_VAL;
  double v = 0;
  const char* end = text + std::strlen(text);
  while (text < end && *text == ' ') ++text;
  const auto r = std::from_chars(text, end, v);
  if (r.ec != std::errc()) bad(name, text);
  return v;
}

std::string number(double v) {
  char b[40];
  const auto r = std::to_chars(b, b + sizeof b, v);
  return {b, r.ptr};
}

std::vector<std::string> split(const char* text, char separator) {
  std::vector<std::string> out;
  std::string s(text);
  if (s.find_first_not_of(' ') == std::string::npos) return out;
  for (size_t at = 0;;) {
    const size_t next = s.find(separator, at);
    std::string part = s.substr(at, next - at);
    const size_t a = part.find_first_not_of(' '), b = part.find_last_not_of(' ');
    out.push_back(a == std::string::npos ? "" : part.substr(a, b - a + 1));
    if (next == std::string::npos) return out;
    at = next + 1;
  }
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

std::vector<int64_t> parse_ints(const char* text) {
  std::vector<int64_t> out;
  for (const std::string& s : split(text, ',')) out.push_back(integer("list", s.c_str()));
  return out;
}

PartialShape parse_shape(const char* text) {
  std::string s(text);
  if (!s.empty() && s.front() == '[' && s.back() == ']') s = s.substr(1, s.size() - 2);
  if (s.find("...") != std::string::npos) return PartialShape::dynamic();
  std::vector<Dimension> dims;
  for (const std::string& part : split(s.c_str(), ',')) {
    const size_t dots = part.find("..");
    if (part == "?" || part == "-1")
      dims.emplace_back();
    else if (dots == std::string::npos)
      dims.emplace_back(integer("shape", part.c_str()));
    else {
      const std::string low = part.substr(0, dots), high = part.substr(dots + 2);
      dims.emplace_back(low.empty() ? 0 : integer("shape", low.c_str()),
                        high.empty() ? Dimension::unbounded : integer("shape", high.c_str()));
    }
    if (dims.back().min() < 0 || dims.back().max() < dims.back().min()) bad("shape", text);
  }
  return PartialShape(std::move(dims));
}

std::string shape_text(const PartialShape& s) {
  if (!s.rank_known()) return "...";
  std::string out;
  for (const Dimension& d : s) {
    out += out.empty() ? "" : ",";
    if (d.is_static())
      out += std::to_string(d.min());
    else if (d.min() == 0 && d.max() == Dimension::unbounded)
      out += "?";
    else
      out += std::to_string(d.min()) + ".." + (d.max() == Dimension::unbounded ? "" : std::to_string(d.max()));
  }
  return out;
}

const char* precision_name(ElementType t) {
  switch (t) {
    case ElementType::f64:
      return "FP64";
    case ElementType::f32:
      return "FP32";
    case ElementType::f16:
      return "FP16";
    case ElementType::bf16:
      return "BF16";
    case ElementType::i64:
      return "I64";
    case ElementType::i32:
      return "I32";
    case ElementType::i16:
      return "I16";
    case ElementType::i8:
      return "I8";
    case ElementType::i4:
      return "I4";
    case ElementType::i2:
      return "I2";
    case ElementType::u64:
      return "U64";
    case ElementType::u32:
      return "U32";
    case ElementType::u16:
      return "U16";
    case ElementType::u8:
      return "U8";
    case ElementType::u4:
      return "U4";
    case ElementType::u2:
      return "U2";
    case ElementType::u1:
      return "BIN";
    case ElementType::boolean:
      return "BOOL";
    case ElementType::nf4:
      return "NF4";
    case ElementType::string:
      return "STRING";
    case ElementType::f8e4m3:
      return "F8E4M3";
    case ElementType::f8e5m2:
      return "F8E5M2";
    case ElementType::f8e8m0:
      return "F8E8M0";
    case ElementType::f4e2m1:
      return "F4E2M1";
    default:
      return "UNSPECIFIED";
  }
}

ElementType parse_type(const char* text) {
  const std::string s = lower(text);
  if (s == "dynamic" || s == "undefined" || s == "unspecified" || s.empty()) return ElementType::dynamic;
  if (const auto t = element_type_from(s)) return *t;
  if (s == "bin") return ElementType::u1;
  throw Error(ErrorCode::unsupported, "[openvino_ir] element type '" + std::string(text) + "' is not supported");
}

const char* AttributeReader::find(std::string_view name) const {
  std::string n(name);
  if (const auto a = data_.attribute(n.c_str())) return a.value();
  std::replace(n.begin(), n.end(), '_', '-');  // exclude-pad, nms_rois and the like of the first operator set
  if (const auto a = data_.attribute(n.c_str())) return a.value();
  return nullptr;
}

void AttributeReader::on(std::string_view name, bool& v) {
  const char* t = find(name);
  if (!t) return;
  const std::string s = lower(t);
  if (s == "true" || s == "1")
    v = true;
  else if (s == "false" || s == "0")
    v = false;
  else
    bad(name, t);
}
void AttributeReader::on(std::string_view name, int64_t& v) {
  if (const char* t = find(name)) v = integer(name, t);
}
void AttributeReader::on(std::string_view name, double& v) {
  if (const char* t = find(name)) v = real(name, t);
}
void AttributeReader::on(std::string_view name, std::string& v) {
  if (const char* t = find(name)) v = t;
}
void AttributeReader::on(std::string_view name, ElementType& v) {
  if (const char* t = find(name)) v = parse_type(t);
}
void AttributeReader::on(std::string_view name, std::vector<int64_t>& v) {
  if (const char* t = find(name)) v = parse_ints(t);
}
void AttributeReader::on(std::string_view name, std::vector<double>& v) {
  const char* t = find(name);
  if (!t) return;
  v.clear();
  for (const std::string& s : split(t, ',')) v.push_back(real(name, s.c_str()));
}
void AttributeReader::on(std::string_view name, std::vector<std::string>& v) {
  if (const char* t = find(name)) v = split(t, ',');
}
void AttributeReader::on(std::string_view name, PartialShape& v) {
  if (const char* t = find(name)) v = parse_shape(t);
}
void AttributeReader::on(std::string_view, Tensor&) {}
void AttributeReader::on(std::string_view name, EnumField& v) {
  const char* t = find(name);
  if (!t) return;
  for (size_t i = 0; i < v.names.size(); ++i) {
    if (lower(v.names[i]) == lower(t)) {
      v.value = static_cast<int>(i);
      return;
    }
  }
  throw Error(ErrorCode::unsupported, "[openvino_ir] " + std::string(name) + "='" + t + "' is not offered");
}

void AttributeWriter::put(std::string_view name, const std::string& text) {
  data_.append_attribute(std::string(name).c_str()).set_value(text.c_str());
}
void AttributeWriter::on(std::string_view name, bool& v) {
  put(name, v ? "true" : "false");
}
void AttributeWriter::on(std::string_view name, int64_t& v) {
  put(name, std::to_string(v));
}
void AttributeWriter::on(std::string_view name, double& v) {
  put(name, number(v));
}
void AttributeWriter::on(std::string_view name, std::string& v) {
  put(name, v);
}
void AttributeWriter::on(std::string_view name, ElementType& v) {
  put(name, name_of(v));
}
void AttributeWriter::on(std::string_view name, std::vector<int64_t>& v) {
  std::string s;
  for (int64_t x : v) s += (s.empty() ? "" : ", ") + std::to_string(x);
  put(name, s);
}
void AttributeWriter::on(std::string_view name, std::vector<double>& v) {
  std::string s;
  for (double x : v) s += (s.empty() ? "" : ", ") + number(x);
  put(name, s);
}
void AttributeWriter::on(std::string_view name, std::vector<std::string>& v) {
  std::string s;
  for (const std::string& x : v) s += (s.empty() ? "" : ",") + x;
  put(name, s);
}
void AttributeWriter::on(std::string_view name, PartialShape& v) {
  put(name, shape_text(v));
}
void AttributeWriter::on(std::string_view, Tensor&) {}
void AttributeWriter::on(std::string_view name, EnumField& v) {
  put(name, std::string(v.names[static_cast<size_t>(v.value)]));
}

}  // namespace hone::ir
