#include "tensor/fields.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/checked.hpp"

namespace hone {
namespace {

std::string quoted(std::string_view s) {
  std::string q = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') q += '\\';
    q += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return q + "\"";
}

std::string unquoted(std::string_view s) {
  if (s.size() < 2 || s.front() != '"' || s.back() != '"') return std::string(s);
  std::string out;
  for (size_t i = 1; i + 1 < s.size(); ++i) {
    if (s[i] == '\\' && i + 2 < s.size()) {
      ++i;
      out += s[i] == 'n' ? '\n' : s[i];
    } else {
      out += s[i];
    }
  }
  return out;
}

std::string number(double v) {
  char buffer[40];
  auto r = std::to_chars(buffer, buffer + sizeof buffer, v);
  return std::string(buffer, r.ptr);
}

template <class V, class F>
std::string list(const V& v, F&& text) {
  std::string s = "[";
  for (size_t i = 0; i < v.size(); ++i) s += (i ? "," : "") + text(v[i]);
  return s + "]";
}

std::vector<std::string> items(std::string_view s, std::string_view field) {
  if (s.size() < 2 || s.front() != '[' || s.back() != ']') {
    throw Error(ErrorCode::usage, "[text] field '" + std::string(field) + "' wants a list in brackets",
                std::string(s.substr(0, 60)));
  }
  s = s.substr(1, s.size() - 2);
  std::vector<std::string> out;
  std::string item;
  bool in_string = false;
  for (size_t i = 0; i < s.size(); ++i) {
    if (in_string && s[i] == '\\' && i + 1 < s.size()) {
      item += s[i++];
    } else if (s[i] == '"') {
      in_string = !in_string;
    } else if (s[i] == ',' && !in_string) {
      out.push_back(std::move(item));
      item.clear();
      continue;
    }
    if (in_string || s[i] != ' ') item += s[i];
  }
  if (!item.empty() || !out.empty()) out.push_back(std::move(item));
  return out;
}

int64_t to_int(std::string_view s, std::string_view field) {
  int64_t v = 0;
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (ec != std::errc() || end != s.data() + s.size()) {
    throw Error(ErrorCode::usage, "[text] field '" + std::string(field) + "' wants an integer",
                std::string(s.substr(0, 60)));
  }
  return v;
}

double to_double(const std::string& s, std::string_view field) {
  char* end = nullptr;
  const double v = std::strtod(s.c_str(), &end);
  if (s.empty() || *end)
    throw Error(ErrorCode::usage, "[text] field '" + std::string(field) + "' wants a number", s.substr(0, 60));
  return v;
}

}  // namespace

void FieldPrinter::on(std::string_view name, bool& v) {
  put(name, v ? "true" : "false");
}
void FieldPrinter::on(std::string_view name, int64_t& v) {
  put(name, std::to_string(v));
}
void FieldPrinter::on(std::string_view name, double& v) {
  put(name, number(v));
}
void FieldPrinter::on(std::string_view name, std::string& v) {
  put(name, quoted(v));
}
void FieldPrinter::on(std::string_view name, ElementType& v) {
  put(name, name_of(v));
}
void FieldPrinter::on(std::string_view name, std::vector<int64_t>& v) {
  put(name, list(v, [](int64_t x) { return std::to_string(x); }));
}
void FieldPrinter::on(std::string_view name, std::vector<double>& v) {
  put(name, list(v, number));
}
void FieldPrinter::on(std::string_view name, std::vector<std::string>& v) {
  put(name, list(v, [](const std::string& x) { return quoted(x); }));
}
void FieldPrinter::on(std::string_view name, PartialShape& v) {
  put(name, to_string(v));
}
void FieldPrinter::on(std::string_view name, Tensor& v) {
  put(name, to_text(v, max_elements_));
}
void FieldPrinter::on(std::string_view name, EnumField& v) {
  put(name, std::string(v.names[static_cast<size_t>(v.value)]));
}

const std::string* FieldParser::find(std::string_view name) {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].first == name) {
      used_[i] = true;
      return &values_[i].second;
    }
  }
  return nullptr;
}

void FieldParser::finish(std::string_view what) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (!used_[i])
      throw Error(ErrorCode::usage, "[text] " + std::string(what) + " has no field '" + values_[i].first + "'");
  }
}

void FieldParser::on(std::string_view name, bool& v) {
  if (auto* s = find(name)) {
    if (*s != "true" && *s != "false" && *s != "1" && *s != "0")
      throw Error(ErrorCode::usage, "[text] field '" + std::string(name) + "' wants true or false", *s);
    v = *s == "true" || *s == "1";
  }
}
void FieldParser::on(std::string_view name, int64_t& v) {
  if (auto* s = find(name)) v = to_int(*s, name);
}
void FieldParser::on(std::string_view name, double& v) {
  if (auto* s = find(name)) v = to_double(*s, name);
}
void FieldParser::on(std::string_view name, std::string& v) {
  if (auto* s = find(name)) v = unquoted(*s);
}
void FieldParser::on(std::string_view name, ElementType& v) {
  if (auto* s = find(name)) {
    const auto t = element_type_from(*s);
    if (!t) throw Error(ErrorCode::usage, "[text] field '" + std::string(name) + "' wants an element type", *s);
    v = *t;
  }
}
void FieldParser::on(std::string_view name, std::vector<int64_t>& v) {
  if (auto* s = find(name)) {
    v.clear();
    for (const std::string& i : items(*s, name)) v.push_back(to_int(i, name));
  }
}
void FieldParser::on(std::string_view name, std::vector<double>& v) {
  if (auto* s = find(name)) {
    v.clear();
    for (const std::string& i : items(*s, name)) v.push_back(to_double(i, name));
  }
}
void FieldParser::on(std::string_view name, std::vector<std::string>& v) {
  if (auto* s = find(name)) {
    v.clear();
    for (const std::string& i : items(*s, name)) v.push_back(unquoted(i));
  }
}
void FieldParser::on(std::string_view name, PartialShape& v) {
  if (auto* s = find(name)) v = PartialShape::parse(*s);
}
void FieldParser::on(std::string_view name, Tensor& v) {
  if (auto* s = find(name)) v = tensor_from_text(*s);
}
void FieldParser::on(std::string_view name, EnumField& v) {
  if (auto* s = find(name)) {
    for (size_t i = 0; i < v.names.size(); ++i) {
      if (v.names[i] == *s) {
        v.value = static_cast<int>(i);
        return;
      }
    }
    throw Error(ErrorCode::usage, "[text] field '" + std::string(name) + "' has no value '" + *s + "'");
  }
}

void FieldWriter::bytes(const void* p, size_t n) {
  const auto* b = static_cast<const uint8_t*>(p);
  out_.insert(out_.end(), b, b + n);
}
void FieldWriter::text(std::string_view s) {
  number(static_cast<int64_t>(s.size()));
  bytes(s.data(), s.size());
}
void FieldWriter::on(std::string_view, bool& v) {
  out_.push_back(v);
}
void FieldWriter::on(std::string_view, int64_t& v) {
  number(v);
}
void FieldWriter::on(std::string_view, double& v) {
  bytes(&v, sizeof v);
}
void FieldWriter::on(std::string_view, std::string& v) {
  text(v);
}
void FieldWriter::on(std::string_view, ElementType& v) {
  out_.push_back(static_cast<uint8_t>(v));
}
void FieldWriter::on(std::string_view, std::vector<int64_t>& v) {
  number(static_cast<int64_t>(v.size()));
  bytes(v.data(), v.size() * sizeof(int64_t));
}
void FieldWriter::on(std::string_view, std::vector<double>& v) {
  number(static_cast<int64_t>(v.size()));
  bytes(v.data(), v.size() * sizeof(double));
}
void FieldWriter::on(std::string_view, std::vector<std::string>& v) {
  number(static_cast<int64_t>(v.size()));
  for (const std::string& s : v) text(s);
}
void FieldWriter::on(std::string_view, PartialShape& v) {
  text(to_string(v));
}
void FieldWriter::on(std::string_view, Tensor& v) {
  out_.push_back(static_cast<uint8_t>(v.element_type()));
  if (!v) return;
  number(static_cast<int64_t>(v.rank()));
  for (int64_t d : v.shape()) number(d);
  if (v.element_type() == ElementType::string) {
    for (const std::string& s : v.strings()) text(s);
  } else {
    bytes(v.raw(), v.byte_size());
  }
}
void FieldWriter::on(std::string_view, EnumField& v) {
  number(v.value);
}

const uint8_t* FieldReader::need(uint64_t n) {
  if (n > in_.size()) throw Error(ErrorCode::unreadable, "[fields] truncated attributes");
  const uint8_t* p = in_.data();
  in_ = in_.subspan(n);
  return p;
}
int64_t FieldReader::number() {
  int64_t v;
  std::memcpy(&v, need(sizeof v), sizeof v);
  return v;
}
uint64_t FieldReader::count(uint64_t element_bytes) {
  const auto n = static_cast<uint64_t>(number());
  if (n > in_.size() / element_bytes) throw Error(ErrorCode::unreadable, "[fields] a count exceeds the data");
  return n;
}
std::string FieldReader::text() {
  const uint64_t n = count(1);
  return std::string(reinterpret_cast<const char*>(need(n)), n);
}
void FieldReader::on(std::string_view, bool& v) {
  v = *need(1) != 0;
}
void FieldReader::on(std::string_view, int64_t& v) {
  v = number();
}
void FieldReader::on(std::string_view, double& v) {
  std::memcpy(&v, need(sizeof v), sizeof v);
}
void FieldReader::on(std::string_view, std::string& v) {
  v = text();
}
void FieldReader::on(std::string_view, ElementType& v) {
  const uint8_t t = *need(1);
  if (t > static_cast<uint8_t>(ElementType::f8e5m2fnuz))
    throw Error(ErrorCode::unreadable, "[fields] unknown element type");
  v = static_cast<ElementType>(t);
}
void FieldReader::on(std::string_view, std::vector<int64_t>& v) {
  v.resize(count(sizeof(int64_t)));
  if (!v.empty()) std::memcpy(v.data(), need(v.size() * sizeof(int64_t)), v.size() * sizeof(int64_t));
}
void FieldReader::on(std::string_view, std::vector<double>& v) {
  v.resize(count(sizeof(double)));
  if (!v.empty()) std::memcpy(v.data(), need(v.size() * sizeof(double)), v.size() * sizeof(double));
}
void FieldReader::on(std::string_view, std::vector<std::string>& v) {
  v.resize(count(sizeof(int64_t)));
  for (std::string& s : v) s = text();
}
void FieldReader::on(std::string_view, PartialShape& v) {
  v = PartialShape::parse(text());
}
void FieldReader::on(std::string_view name, Tensor& v) {
  ElementType type;
  on(name, type);
  if (type == ElementType::dynamic) {
    v = {};
    return;
  }
  Shape shape(count(sizeof(int64_t)));
  for (int64_t& d : shape) d = number();
  const auto n = static_cast<uint64_t>(element_count(shape));
  if (type == ElementType::string) {
    if (n > in_.size() / sizeof(int64_t)) throw Error(ErrorCode::unreadable, "[fields] truncated strings");
    v = Tensor(type, shape);
    for (std::string& s : v.strings()) s = text();
  } else {
    const size_t size = byte_size(type, n);
    const uint8_t* p = need(size);
    v = Tensor(type, shape);
    if (size) std::memcpy(v.raw(), p, size);
  }
}
void FieldReader::on(std::string_view, EnumField& v) {
  const int64_t i = number();
  if (i < 0 || static_cast<size_t>(i) >= v.names.size())
    throw Error(ErrorCode::unreadable, "[fields] enum out of range");
  v.value = static_cast<int>(i);
}

}  // namespace hone
