#include "hone/shape.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <mutex>
#include <unordered_map>

#include "base/checked.hpp"

namespace hone {
namespace {

// Symbols are interned for the life of the process; number 0 means none.
struct SymbolTable {
  std::mutex mutex;
  std::vector<std::string> names{""};
  std::unordered_map<std::string, uint32_t> ids;
};
SymbolTable& symbols() {
  static SymbolTable table;
  return table;
}

int64_t saturating(__int128 v) {
  return v >= Dimension::unbounded ? Dimension::unbounded : v < 0 ? 0 : static_cast<int64_t>(v);
}

int64_t parse_number(std::string_view s) {
  int64_t v = 0;
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (ec != std::errc() || end != s.data() + s.size())
    throw Error(ErrorCode::usage, "[shape] not a dimension: '" + std::string(s) + "'");
  return v;
}

template <class S>
S broadcast_dims(const S& a, const S& b, auto&& merge_dim) {
  S out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t from_end = out.size() - i;
    if (from_end > a.size())
      out[i] = b[b.size() - from_end];
    else if (from_end > b.size())
      out[i] = a[a.size() - from_end];
    else
      out[i] = merge_dim(a[a.size() - from_end], b[b.size() - from_end]);
  }
  return out;
}

}  // namespace

int64_t element_count(const Shape& shape) {
  // Beside a zero the other dimensions may not overflow either: strides are products of them.
  int64_t n = 1;
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) throw Error(ErrorCode::failed, "[shape] negative dimension in " + to_string(shape));
    empty |= d == 0;
    n = checked_mul(n, d == 0 ? 1 : d);
  }
  return empty ? 0 : n;
}

std::string to_string(const Shape& shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? "," : "") + std::to_string(shape[i]);
  return s + "]";
}

Dimension Dimension::symbolic(std::string_view name, int64_t min, int64_t max) {
  Dimension d(min, max);
  SymbolTable& t = symbols();
  std::lock_guard lock(t.mutex);
  auto [it, fresh] = t.ids.try_emplace(std::string(name), static_cast<uint32_t>(t.names.size()));
  if (fresh) t.names.emplace_back(name);
  d.symbol_ = it->second;
  return d;
}

int64_t Dimension::get_length() const {
  if (!is_static()) throw Error(ErrorCode::failed, "[shape] dimension " + to_string(*this) + " is dynamic");
  return min_;
}

std::string Dimension::symbol_name() const {
  SymbolTable& t = symbols();
  std::lock_guard lock(t.mutex);
  return t.names[symbol_];
}

bool Dimension::compatible(const Dimension& o) const {
  return std::max(min_, o.min_) <= std::min(max_, o.max_);
}
bool Dimension::same(const Dimension& o) const {
  return (is_static() && o.is_static() && min_ == o.min_) || (symbol_ != 0 && symbol_ == o.symbol_);
}

Dimension Dimension::merge(const Dimension& a, const Dimension& b) {
  if (!a.compatible(b))
    throw Error(ErrorCode::failed, "[shape] dimensions " + to_string(a) + " and " + to_string(b) + " differ");
  Dimension d(std::max(a.min_, b.min_), std::min(a.max_, b.max_));
  if (!d.is_static()) d.symbol_ = a.symbol_ ? a.symbol_ : b.symbol_;
  return d;
}

Dimension operator+(const Dimension& a, const Dimension& b) {
  if (b == Dimension(0)) return a;
  if (a == Dimension(0)) return b;
  return Dimension(saturating(static_cast<__int128>(a.min()) + b.min()),
                   a.max() == Dimension::unbounded || b.max() == Dimension::unbounded
                       ? Dimension::unbounded
                       : saturating(static_cast<__int128>(a.max()) + b.max()));
}

Dimension operator-(const Dimension& a, const Dimension& b) {
  if (b == Dimension(0)) return a;
  return Dimension(
      b.max() == Dimension::unbounded ? 0 : saturating(static_cast<__int128>(a.min()) - b.max()),
      a.max() == Dimension::unbounded ? Dimension::unbounded : saturating(static_cast<__int128>(a.max()) - b.min()));
}

Dimension operator*(const Dimension& a, const Dimension& b) {
  if (b == Dimension(1)) return a;
  if (a == Dimension(1)) return b;
  const auto high = [](int64_t x, int64_t y) {
    if (x == 0 || y == 0) return int64_t{0};
    if (x == Dimension::unbounded || y == Dimension::unbounded) return Dimension::unbounded;
    return saturating(static_cast<__int128>(x) * y);
  };
  return Dimension(saturating(static_cast<__int128>(a.min()) * b.min()), high(a.max(), b.max()));
}

Dimension operator/(const Dimension& a, int64_t b) {
  if (b <= 0) throw Error(ErrorCode::failed, "[shape] division of a dimension by " + std::to_string(b));
  if (b == 1) return a;
  return Dimension(a.min() / b, a.max() == Dimension::unbounded ? Dimension::unbounded : a.max() / b);
}

std::string to_string(const Dimension& d) {
  if (d.is_static()) return std::to_string(d.min());
  std::string range;
  if (d.min() != 0 || d.max() != Dimension::unbounded) {
    range = std::to_string(d.min()) + ".." + (d.max() == Dimension::unbounded ? "" : std::to_string(d.max()));
  }
  if (d.symbol()) return d.symbol_name() + (range.empty() ? "" : ":" + range);
  return range.empty() ? "?" : range;
}

bool PartialShape::is_static() const {
  return ranked_ && std::all_of(dims_.begin(), dims_.end(), [](const Dimension& d) { return d.is_static(); });
}

Dimension& PartialShape::refuse_index(size_t i) const {
  throw Error(ErrorCode::failed, "[shape] " + to_string(*this) + " has no dimension " + std::to_string(i));
}

size_t PartialShape::rank() const {
  if (!ranked_) throw Error(ErrorCode::failed, "[shape] the rank is not known");
  return dims_.size();
}

Shape PartialShape::to_shape() const {
  if (!is_static()) throw Error(ErrorCode::failed, "[shape] " + to_string(*this) + " is dynamic");
  Shape s;
  for (const Dimension& d : dims_) s.push_back(d.min());
  return s;
}

bool PartialShape::compatible(const PartialShape& o) const {
  if (!ranked_ || !o.ranked_) return true;
  if (dims_.size() != o.dims_.size()) return false;
  for (size_t i = 0; i < dims_.size(); ++i) {
    if (!dims_[i].compatible(o.dims_[i])) return false;
  }
  return true;
}

PartialShape PartialShape::merge(const PartialShape& a, const PartialShape& b) {
  if (!a.ranked_) return b;
  if (!b.ranked_) return a;
  if (a.dims_.size() != b.dims_.size())
    throw Error(ErrorCode::failed, "[shape] " + to_string(a) + " and " + to_string(b) + " differ in rank");
  std::vector<Dimension> d;
  for (size_t i = 0; i < a.dims_.size(); ++i) d.push_back(Dimension::merge(a.dims_[i], b.dims_[i]));
  return d;
}

PartialShape PartialShape::parse(std::string_view text) {
  std::string s;
  for (char c : text) {
    if (c != ' ' && c != '[' && c != ']') s += c;
  }
  if (s == "...") return {};
  std::vector<Dimension> dims;
  if (s.empty()) return dims;
  for (size_t b = 0; b <= s.size();) {
    size_t e = std::min(s.find(',', b), s.size());
    std::string_view item = std::string_view(s).substr(b, e - b);
    std::string symbol;
    if (!item.empty() && (std::isalpha(static_cast<unsigned char>(item[0])) || item[0] == '_')) {
      const size_t colon = item.find(':');
      symbol = std::string(item.substr(0, colon));
      item = colon == std::string_view::npos ? "?" : item.substr(colon + 1);
    }
    Dimension d;
    if (item == "?" || item == "-1") {
      // unknown
    } else if (size_t dots = item.find(".."); dots != std::string_view::npos) {
      d = Dimension(dots == 0 ? 0 : parse_number(item.substr(0, dots)),
                    dots + 2 == item.size() ? Dimension::unbounded : parse_number(item.substr(dots + 2)));
      if (d.min() > d.max() || d.min() < 0)
        throw Error(ErrorCode::usage, "[shape] empty interval '" + std::string(item) + "'");
    } else {
      const int64_t n = parse_number(item);
      if (n < 0) throw Error(ErrorCode::usage, "[shape] negative dimension '" + std::string(item) + "'");
      d = Dimension(n);
    }
    if (!symbol.empty()) d = Dimension::symbolic(symbol, d.min(), d.max());
    dims.push_back(d);
    b = e + 1;
  }
  return dims;
}

std::string to_string(const PartialShape& shape) {
  if (!shape.rank_known()) return "[...]";
  std::string s = "[";
  for (size_t i = 0; i < shape.dims().size(); ++i) s += (i ? "," : "") + to_string(shape[i]);
  return s + "]";
}

PartialShape broadcast(const PartialShape& a, const PartialShape& b) {
  if (!a.rank_known() || !b.rank_known()) return {};
  return broadcast_dims(a.dims(), b.dims(), [&](const Dimension& x, const Dimension& y) {
    if (x == Dimension(1)) return y;
    if (y == Dimension(1)) return x;
    if (x.same(y)) return x;
    if (x.is_static() && y.is_static())
      throw Error(ErrorCode::failed, "[broadcast] shapes " + to_string(a) + " and " + to_string(b) + " do not fit");
    // A dynamic dimension beside a static one above 1 can only be 1 or that number.
    if (x.is_static()) return x;
    if (y.is_static()) return y;
    const int64_t larger = std::max(x.min(), y.min());
    return Dimension(larger >= 2 ? larger : std::min(x.min(), y.min()), std::max(x.max(), y.max()));
  });
}

Shape broadcast(const Shape& a, const Shape& b) {
  return broadcast_dims(a, b, [&](int64_t x, int64_t y) {
    if (x != y && x != 1 && y != 1)
      throw Error(ErrorCode::failed, "[broadcast] shapes " + to_string(a) + " and " + to_string(b) + " do not fit");
    return x == 1 ? y : x;
  });
}

}  // namespace hone
