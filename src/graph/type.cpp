#include "graph/type.hpp"

#include <charconv>
#include <cstdlib>

#include "hone/error.hpp"

namespace hone {
namespace {

constexpr const char* wrappers[] = {"", "seq", "opt", "map", "res"};

bool same_quantization(const QuantizationPtr& a, const QuantizationPtr& b) {
  return a == b || (a && b && *a == *b);
}

template <class V>
std::string list(const V& v) {
  std::string s = "[";
  for (size_t i = 0; i < v.size(); ++i) {
    char buffer[40];
    auto r = std::to_chars(buffer, buffer + sizeof buffer, v[i]);
    s += (i ? "," : "") + std::string(buffer, r.ptr);
  }
  return s + "]";
}

[[noreturn]] void bad(std::string_view text, const char* why) {
  throw Error(ErrorCode::usage, std::string("[text] ") + why, std::string(text.substr(0, 80)));
}

std::vector<double> numbers(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  const size_t open = text.find('[', at), close = text.find(']', at);
  if (open == std::string_view::npos || close == std::string_view::npos) bad(text, "malformed quantization");
  std::vector<double> out;
  std::string body(text.substr(open + 1, close - open - 1));
  for (char* p = body.data(); *p;) {
    char* end;
    out.push_back(std::strtod(p, &end));
    if (end == p) bad(text, "malformed quantization");
    p = *end == ',' ? end + 1 : end;
  }
  return out;
}

}  // namespace

bool Type::operator==(const Type& o) const {
  if (kind != o.kind || element != o.element) return false;
  if (is_tensor()) return shape == o.shape && layout == o.layout && same_quantization(quantization, o.quantization);
  return *inner == *o.inner;
}

bool Type::compatible(const Type& o) const {
  if (kind != o.kind) return false;
  if (element != o.element && element != ElementType::dynamic && o.element != ElementType::dynamic) return false;
  if (is_tensor())
    return shape.compatible(o.shape) && layout == o.layout && same_quantization(quantization, o.quantization);
  return inner->compatible(*o.inner);
}

std::string to_string(const Type& t) {
  if (!t.is_tensor()) {
    const std::string key = t.kind == Type::Kind::map ? std::string(name_of(t.element)) + "," : "";
    return std::string(wrappers[static_cast<size_t>(t.kind)]) + "<" + key + to_string(*t.inner) + ">";
  }
  std::string s = std::string(name_of(t.element)) + to_string(t.shape);
  if (t.layout != Layout::plain) s += std::string("@") + name_of(t.layout);
  if (t.quantization) {
    s += "~q(scale=" + list(t.quantization->scales) + ",zero_point=" + list(t.quantization->zero_points) +
         ",axis=" + std::to_string(t.quantization->axis) + ")";
  }
  return s;
}

Type parse_type(std::string_view text) {
  for (size_t k = 1; k < 5; ++k) {
    const std::string_view w = wrappers[k];
    if (text.starts_with(w) && text.size() > w.size() + 1 && text[w.size()] == '<' && text.back() == '>') {
      std::string_view body = text.substr(w.size() + 1, text.size() - w.size() - 2);
      if (k == 1) return Type::sequence(parse_type(body));
      if (k == 2) return Type::optional(parse_type(body));
      if (k == 4) return Type::resource(parse_type(body));
      const size_t comma = body.find(',');
      const auto key = element_type_from(body.substr(0, comma));
      if (comma == std::string_view::npos || !key) bad(text, "malformed map type");
      return Type::map(*key, parse_type(body.substr(comma + 1)));
    }
  }
  const size_t open = text.find('['), close = text.find(']');
  if (open == std::string_view::npos || close == std::string_view::npos) bad(text, "a tensor type is TYPE[SHAPE]");
  const auto element = element_type_from(text.substr(0, open));
  if (!element) bad(text, "unknown element type");
  Type t(*element, PartialShape::parse(text.substr(open, close - open + 1)));
  std::string_view rest = text.substr(close + 1);
  if (rest.starts_with("@channels_last")) {
    t.layout = Layout::channels_last;
    rest.remove_prefix(14);
  }
  if (rest.starts_with("~q(") && rest.back() == ')') {
    Quantization q;
    for (double v : numbers(rest, "scale=")) q.scales.push_back(static_cast<float>(v));
    for (double v : numbers(rest, "zero_point=")) q.zero_points.push_back(static_cast<int32_t>(v));
    const size_t axis = rest.find("axis=");
    if (q.scales.empty() || axis == std::string_view::npos) bad(text, "malformed quantization");
    q.axis = std::strtoll(std::string(rest.substr(axis + 5)).c_str(), nullptr, 10);
    t.quantization = std::make_shared<const Quantization>(std::move(q));
    rest = {};
  }
  if (!rest.empty()) bad(text, "unexpected text after a type");
  return t;
}

Type type_of(const Datum& d) {
  if (d.is_tensor()) return Type(d.tensor().element_type(), PartialShape(d.tensor().shape()));
  if (d.is_sequence()) {
    const auto& s = d.sequence();
    if (s.empty()) return Type::sequence(Type());
    Type inner = type_of(s[0]);
    for (const Datum& e : s) {
      if (inner.is_tensor() && e.is_tensor() && PartialShape(e.tensor().shape()) != inner.shape)
        inner.shape = PartialShape::dynamic();
    }
    return Type::sequence(inner);
  }
  if (d.is_map()) {
    const auto& m = d.map();
    const bool text = !m.empty() && m.begin()->first.index() == 1;
    return Type::map(text ? ElementType::string : ElementType::i64, m.empty() ? Type() : type_of(m.begin()->second));
  }
  return Type::optional(Type());
}

}  // namespace hone
