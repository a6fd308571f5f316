#include "formats/conformance/compare.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace hone {
namespace {

// The number after `key` in the text; `otherwise` where there is none.
double number_after(std::string_view text, std::string_view key, double otherwise) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return otherwise;
  const std::string rest(text.substr(at + key.size(), 32));
  char* end;
  const double v = std::strtod(rest.c_str(), &end);
  return end == rest.c_str() ? otherwise : v;
}

std::string brief(double v) {
  char b[32];
  std::snprintf(b, sizeof b, "%.6g", v);
  return b;
}

std::vector<size_t> top5(const Tensor& t) {
  std::vector<size_t> order(t.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t k = std::min<size_t>(5, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    [&](size_t a, size_t b) { return get_element(t, a) > get_element(t, b); });
  order.resize(k);
  std::sort(order.begin() + 1, order.end());  // the first must be the first, the others may change places
  return order;
}

Comparison fail(Comparison c, std::string why) {
  c.equal = false;
  if (c.reason.empty()) c.reason = std::move(why);
  return c;
}

Comparison compare_floats(const Tensor& a, const Tensor& e, const Tolerance& t, const std::string& name) {
  Comparison c;
  double low = HUGE_VAL, high = -HUGE_VAL, sum = 0, rtol = t.rtol, atol = t.atol;
  // A narrow type cannot be nearer than its own step.
  if (e.element_type() == ElementType::bf16) rtol = std::max(rtol, 0x1p-7), atol = std::max(atol, 1e-3);
  if (e.element_type() == ElementType::f16) rtol = std::max(rtol, 0x1p-9), atol = std::max(atol, 1e-4);
  // Small elements of a sum are as uncertain as the rounding of its large ones.
  double largest = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    if (const double y = std::abs(get_element(e, i)); std::isfinite(y)) largest = std::max(largest, y);
  }
  if (e.element_type() == ElementType::f32) atol = std::max(atol, 4 * 0x1p-23 * largest);
  for (size_t i = 0; i < e.size(); ++i) {
    const double x = get_element(a, i), y = get_element(e, i);
    if (std::isfinite(y)) low = std::min(low, y), high = std::max(high, y);
    if ((std::isnan(x) && std::isnan(y)) || x == y) continue;
    const double d = std::abs(x - y);
    if (!std::isfinite(d)) {
      c.max_abs = HUGE_VAL;
      return fail(c, name + ": element " + std::to_string(i) + " is " + brief(x) + ", expected " + brief(y));
    }
    sum += d;
    c.max_abs = std::max(c.max_abs, d);
    c.max_rel = std::max(c.max_rel, d / std::max(std::abs(y), 1e-30));
    if (t.spread_largest == 0 && !t.top5 && d > atol + rtol * std::abs(y)) {
      c = fail(c, name + ": element " + std::to_string(i) + " is " + brief(x) + ", expected " + brief(y));
    }
  }
  const double spread = std::max(high - low, 1e-30), mean = e.size() ? sum / static_cast<double>(e.size()) : 0;
  if (t.spread_largest > 0 && (c.max_abs > t.spread_largest * spread || mean > t.spread_mean * spread)) {
    c = fail(c, name + ": largest difference " + brief(c.max_abs / spread) + ", mean " + brief(mean / spread) +
                    " of the spread");
  }
  return c;
}

Comparison compare_tensors(const Tensor& a, const Tensor& e, const Tolerance& t, const std::string& name) {
  Comparison c;
  if (a.element_type() != e.element_type())
    return fail(c, name + ": type is " + name_of(a.element_type()) + ", expected " + name_of(e.element_type()));
  if (a.shape() != e.shape())
    return fail(c, name + ": shape is " + to_string(a.shape()) + ", expected " + to_string(e.shape()));
  if (t.top5 && e.size() > 5 && top5(a) != top5(e)) return fail(c, name + ": the five largest differ");
  if (e.element_type() == ElementType::string) {
    for (size_t i = 0; i < e.size(); ++i) {
      if (a.strings()[i] != e.strings()[i])
        return fail(c, name + ": element " + std::to_string(i) + " is '" + a.strings()[i] + "', expected '" +
                           e.strings()[i] + "'");
    }
    return c;
  }
  if (is_float(e.element_type())) return compare_floats(a, e, t, name);
  const int64_t allowed = bit_width(e.element_type()) < 32 ? t.steps : 0;
  double sum = 0;
  int64_t low = std::numeric_limits<int64_t>::max(), high = std::numeric_limits<int64_t>::min();
  for (size_t i = 0; i < e.size(); ++i) {
    const int64_t x = get_integer(a, i), y = get_integer(e, i);
    low = std::min(low, y), high = std::max(high, y);
    if (x == y) continue;
    const double d = std::abs(static_cast<double>(x) - static_cast<double>(y));
    sum += d;
    c.max_abs = std::max(c.max_abs, d);
    if (t.spread_largest == 0 && !t.top5 && d > static_cast<double>(allowed)) {
      c = fail(
          c, name + ": element " + std::to_string(i) + " is " + std::to_string(x) + ", expected " + std::to_string(y));
    }
  }
  if (t.spread_largest > 0 && e.size() > 0) {
    const double spread = std::max(static_cast<double>(high) - static_cast<double>(low), 1.0);
    if (c.max_abs > std::max(1.0, t.spread_largest * spread) ||
        sum / static_cast<double>(e.size()) > t.spread_mean * spread) {
      c = fail(c, name + ": largest difference " + brief(c.max_abs));
    }
  }
  return c;
}

}  // namespace

Tolerance Tolerance::parse(std::string_view text) {
  Tolerance t;
  t.rtol = number_after(text, "rtol ", 1e-3);
  t.atol = number_after(text, "atol ", text.find("float16") != text.npos ? 1e-3 : 1e-4);
  if (text.find("difference of 1 step") != text.npos) t.steps = 1;
  if (text.find("of the spread") != text.npos) {
    t.spread_largest = number_after(text, "largest difference <= ", 0.01);
    t.spread_mean = number_after(text, "mean <= ", 0.005);
  }
  if (text.find("compare top-5") != text.npos) t.top5 = true;
  return t;
}

Comparison compare(const Datum& actual, const Datum& expected, const Tolerance& tolerance, const std::string& name) {
  Comparison c;
  if (expected.is_none() || actual.is_none()) {
    return expected.is_none() == actual.is_none()
               ? c
               : fail(c, name + (expected.is_none() ? ": expected nothing" : ": nothing was given"));
  }
  if (expected.is_sequence() != actual.is_sequence() || expected.is_map() != actual.is_map())
    return fail(c, name + ": another kind of value");
  if (expected.is_sequence()) {
    const auto &a = actual.sequence(), &e = expected.sequence();
    if (a.size() != e.size())
      return fail(c, name + ": " + std::to_string(a.size()) + " elements, expected " + std::to_string(e.size()));
    for (size_t i = 0; i < e.size() && c.equal; ++i) {
      const Comparison one = compare(a[i], e[i], tolerance, name + "[" + std::to_string(i) + "]");
      c.max_abs = std::max(c.max_abs, one.max_abs);
      c.max_rel = std::max(c.max_rel, one.max_rel);
      if (!one.equal) c = fail(c, one.reason);
    }
    return c;
  }
  if (expected.is_map()) {
    const auto &a = actual.map(), &e = expected.map();
    if (a.size() != e.size()) return fail(c, name + ": another number of keys");
    for (const auto& [k, v] : e) {
      const auto it = a.find(k);
      if (it == a.end()) return fail(c, name + ": a key is missing");
      const Comparison one = compare(it->second, v, tolerance, name);
      if (!one.equal) return one;
    }
    return c;
  }
  return compare_tensors(actual.tensor(), expected.tensor(), tolerance, name);
}

}  // namespace hone
