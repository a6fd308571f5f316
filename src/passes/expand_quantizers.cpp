// FakeQuantize as arithmetic that epilogues and elementwise chains take up.
#include <cmath>

#include "graph/builder.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"
#include "passes/facts.hpp"
#include "passes/precision.hpp"
#include "rewrite/pass.hpp"

namespace hone {
namespace {

// Elementwise function of constants of one shape.
template <class F>
Tensor of(const Tensor& a, const Tensor& b, F f) {
  Tensor t(ElementType::f32, a.shape());
  for (size_t i = 0; i < t.size(); ++i) set_element(t, i, f(get_element(a, i), get_element(b, i)));
  return t;
}

bool is_whole(const Tensor& t) {
  for (size_t i = 0; i < t.size(); ++i) {
    const double v = get_element(t, i);
    if (std::fabs(v - std::nearbyint(v)) > 1e-2) return false;
  }
  return true;
}

Rule expand_fake_quantize() {
  const auto x = any(), il = constant(), ih = constant(), ol = constant(), oh = constant();
  const auto fq = op<FakeQuantize>(x, il, ih, ol, oh);
  return rule("expand_fake_quantize", fq, [=](const Match& m, Builder& b) -> Value {
    const auto levels = m.as<FakeQuantize>(fq).levels;
    const Type& t = m[x].type();
    if (m[x].constant() || !t.is_tensor() || t.element != ElementType::f32 || levels < 2) return {};
    const Tensor low = m[il].constant(), high = m[ih].constant(), out_low = m[ol].constant(),
                 out_high = m[oh].constant();
    for (const Tensor* c : {&high, &out_low, &out_high}) {
      if (c->shape() != low.shape()) return {};
    }
    for (size_t i = 0; i < low.size(); ++i) {
      if (!(get_element(high, i) > get_element(low, i))) return {};
    }
    const double n = static_cast<double>(levels - 1);
    const Value inverse = b.constant(of(low, high, [n](double l, double h) { return n / (h - l); }));
    const Value step = b.constant(of(out_low, out_high, [n](double l, double h) { return (h - l) / n; }));
    // Integers from `first` on; with whole zero points the grid passes through zero and needs no shift.
    const Tensor first = of(low, high, [n](double l, double h) { return l * n / (h - l); });
    const Tensor out_first = of(out_low, out_high, [n](double l, double h) { return l * n / (h - l); });
    const auto splat = splat_value(b.constant(first));
    Value v = b(Multiply{}, m[x], inverse);
    if (splat && is_whole(first) && is_whole(of(out_first, first, [](double a, double c) { return a - c; })) &&
        std::nearbyint(get_element(out_first, 0)) == std::nearbyint(*splat) && splat_value(b.constant(out_first))) {
      const double k = std::nearbyint(*splat);
      return b(Multiply{}, b(Clamp{k, k + n}, b(Round{}, v)), step);
    }
    v = b(Clamp{0, n}, b(Round{}, b(Subtract{}, v, b.constant(first))));
    return b(Add{}, b(Multiply{}, v, step), b.constant(out_low));
  });
}

}  // namespace

Pass expand_quantizers_pass() {
  return rules_pass("expand_quantizers", {expand_fake_quantize()});
}

}  // namespace hone
