#include <cmath>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/unary.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

constexpr double sqrt_half = 0.70710678118654752, sqrt_two = 1.4142135623730951;

// A rule whose replacement is one operator of one value.
template <class Op>
Rule becomes(const char* name, const Pattern& root, const Pattern& x, Op made = {}) {
  return rule(name, root, [=](const Match& m, Builder& b) -> Value {
    return is_float(m[x].element_type()) && same_shape(m[x].shape(), m[root].shape()) ? b(Op(made), m[x]) : Value{};
  });
}

// Hendrycks and Gimpel, Gaussian Error Linear Units: x / 2 * (1 + erf(x / sqrt 2)), the three factors in any grouping.
void gelu_erf(std::vector<Rule>& r) {
  const Gelu erf{GeluMode::erf};
  const auto gate = [](const Pattern& x) {
    const auto scaled = any_of({op<Multiply>(x, constant(sqrt_half)), op<Divide>(x, constant(sqrt_two))});
    return op<Add>(op<Erf>(scaled), constant(1));
  };
  {
    const auto x = any();
    r.push_back(becomes("gelu_product_then_half", op<Multiply>(op<Multiply>(x, gate(x)), constant(0.5)), x, erf));
  }
  {
    const auto x = any();
    r.push_back(becomes("gelu_half_then_product", op<Multiply>(op<Multiply>(x, constant(0.5)), gate(x)), x, erf));
  }
  {
    const auto x = any();
    r.push_back(becomes("gelu_half_of_gate", op<Multiply>(x, op<Multiply>(gate(x), constant(0.5))), x, erf));
  }
}

// The same paper's approximation: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
void gelu_tanh(std::vector<Rule>& r) {
  const Gelu tanh{GeluMode::tanh};
  constexpr double root = 0.7978845608028654, cubic = 0.044715;
  const auto gate = [](const Pattern& x) {
    const auto cube = any_of({op<Power>(x, constant(3)), op<Multiply>(op<Multiply>(x, x), x)});
    const auto polynomial = op<Multiply>(op<Add>(x, op<Multiply>(cube, constant(cubic))), constant(root));
    const auto square =
        any_of({op<Multiply>(op<Multiply>(x, constant(cubic)), x), op<Multiply>(op<Multiply>(x, x), constant(cubic))});
    const auto factored = op<Multiply>(op<Multiply>(x, constant(root)), op<Add>(square, constant(1)));
    const auto factored_last = op<Multiply>(op<Multiply>(x, op<Add>(square, constant(1))), constant(root));
    return op<Add>(op<Tanh>(any_of({polynomial, factored, factored_last})), constant(1));
  };
  {
    const auto x = any();
    r.push_back(becomes("gelu_tanh_product_then_half", op<Multiply>(op<Multiply>(x, gate(x)), constant(0.5)), x, tanh));
  }
  {
    const auto x = any();
    r.push_back(becomes("gelu_tanh_half_then_product", op<Multiply>(op<Multiply>(x, constant(0.5)), gate(x)), x, tanh));
  }
  {
    const auto x = any();
    r.push_back(becomes("gelu_tanh_half_of_gate", op<Multiply>(x, op<Multiply>(gate(x), constant(0.5))), x, tanh));
  }
}

// Relu6(x + 3) / 6, and x times it.
void hard(std::vector<Rule>& r) {
  const auto ramp = [](const Pattern& x) {
    return op<Clamp>(op<Add>(x, constant(3))).where([](Value v) {
      const auto& c = *v.node().as<Clamp>();
      return c.min == 0 && c.max == 6;
    });
  };
  const auto sixth = [](const Pattern& v) {
    return any_of({op<Multiply>(v, constant(1.0 / 6)), op<Divide>(v, constant(6))});
  };
  {
    const auto x = any();
    r.push_back(becomes<HSigmoid>("hsigmoid", sixth(ramp(x)), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<HSigmoid>("hard_sigmoid_to_hsigmoid", op<HardSigmoid>(x, constant(1.0 / 6), constant(0.5)), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<HSwish>("hswish_from_hsigmoid", op<Multiply>(x, op<HSigmoid>(x)), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<HSwish>("hswish_product_then_sixth", sixth(op<Multiply>(x, ramp(x))), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<HSwish>("hswish_sixth_then_product", op<Multiply>(sixth(x), ramp(x)), x));
  }
}

void smooth(std::vector<Rule>& r) {
  const auto exp_negative = [](const Pattern& x) {
    return op<Exp>(any_of({op<Negative>(x), op<Multiply>(x, constant(-1))}));
  };
  {
    const auto x = any();
    r.push_back(
        becomes<Sigmoid>("sigmoid_from_exp", op<Divide>(constant(1), op<Add>(exp_negative(x), constant(1))), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<Swish>("swish_from_exp", op<Divide>(x, op<Add>(exp_negative(x), constant(1))), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<Swish>("swish", op<Multiply>(x, op<Sigmoid>(x)), x));
  }
  {
    const auto x = any(), beta = constant();
    const auto root = op<Multiply>(x, op<Sigmoid>(op<Multiply>(x, beta)));
    r.push_back(rule("swish_with_beta", root, [=](const Match& m, Builder& b) -> Value {
      const auto v = splat_value(m[beta]);
      if (!v || !is_float(m[x].element_type()) || !same_shape(m[x].shape(), m[root].shape())) return {};
      return b(Swish{}, m[x], b.like(m[x], *v));
    }));
  }
  {
    const auto x = any();
    r.push_back(becomes<SoftPlus>("softplus", op<Log>(op<Add>(op<Exp>(x), constant(1))), x));
  }
  {
    const auto x = any();
    r.push_back(becomes<Mish>("mish", op<Multiply>(x, op<Tanh>(op<SoftPlus>(x))), x));
  }
}

// Leaky Relu: the larger of x and slope * x, for slopes below 1.
void leaky(std::vector<Rule>& r) {
  const auto x = any(), slope = constant();
  const auto root = op<Maximum>(x, op<Multiply>(x, slope));
  r.push_back(rule("leaky_relu", root, [=](const Match& m, Builder& b) -> Value {
    const auto v = splat_value(m[slope]);
    if (!v || *v < 0 || *v >= 1 || !is_float(m[x].element_type()) || !same_shape(m[x].shape(), m[root].shape()))
      return {};
    return b(PRelu{}, m[x], b.like(m[x], *v));
  }));
}

}  // namespace

Pass recognize_activations_pass() {
  std::vector<Rule> r;
  gelu_erf(r);
  gelu_tanh(r);
  hard(r);
  smooth(r);
  leaky(r);
  return rules_pass("recognize_activations", std::move(r), true);
}

}  // namespace hone
