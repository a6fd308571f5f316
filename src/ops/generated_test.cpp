// Tests that every operator gets from its samples(): expected values, expansion against reference, gradient against
// central differences, inferred against evaluated types, trips through text and attribute bytes.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.hpp"
#include "graph/contexts.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/expect_close.hpp"
#include "ops/registry.hpp"

namespace hone {
namespace {

struct Case {
  const OpDef* op;
  size_t index;
  Sample sample;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.op->name << " sample " << c.index;
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const OpDef* op : all_ops()) {
    const Samples samples = op->samples();
    for (size_t i = 0; i < samples.size(); ++i) out.push_back({op, i, samples[i]});
  }
  return out;
}

// A graph with one node. Integer inputs become constants (shapes, axes, indices), floats parameters.
struct Single {
  Graph graph;
  Node node;
  std::vector<size_t> parameter_inputs;
  std::vector<Datum> parameter_values;
};

bool is_parameter(const Datum& d) {
  return !d.is_none() && (!d.is_tensor() || is_float(d.tensor().element_type()));
}

Single single(const Case& c, bool all_constant = false) {
  Single s;
  Builder b(s.graph);
  Values in;
  for (size_t i = 0; i < c.sample.inputs.size(); ++i) {
    const Datum& d = c.sample.inputs[i];
    if (d.is_none()) {
      in.emplace_back();
    } else if (is_parameter(d) && !all_constant) {
      s.parameter_inputs.push_back(i);
      s.parameter_values.push_back(d);
      in.push_back(b.parameter(type_of(d), "in" + std::to_string(i)));
    } else {
      in.push_back(b.constant(d.tensor()));
    }
  }
  s.node = b.add(*c.op, c.sample.attributes, in, c.sample.regions);
  for (size_t i = 0; i < s.node.num_outputs(); ++i) b.result(s.node.output(i));
  return s;
}

class Generated : public ::testing::TestWithParam<Case> {};

TEST_P(Generated, evaluates_to_expected_values_and_inferred_types) {
  const Case& c = GetParam();
  Single s = single(c);
  verify(s.graph);
  const auto out = evaluate(s.graph, s.parameter_values);
  for (size_t i = 0; i < c.sample.expected.size(); ++i)
    expect_close(out[i], c.sample.expected[i], c.sample.tolerance, "output " + std::to_string(i));
  for (size_t i = 0; i < out.size(); ++i) {
    // An optional that is there is the value itself.
    const Type inferred = s.node.output(i).type();
    const Type& t = inferred.kind == Type::Kind::optional ? *inferred.inner : inferred;
    EXPECT_TRUE(type_of(out[i]).compatible(t) || out[i].is_none())
        << "output " << i << ": inferred " << to_string(t) << ", evaluated " << to_string(type_of(out[i]));
  }
}

TEST_P(Generated, expansion_equals_reference) {
  const Case& c = GetParam();
  if (!c.op->expand) return;
  Single s = single(c);
  Graph g;
  Builder b(g);
  Values in;
  size_t next = 0;
  for (const Datum& d : c.sample.inputs) {
    if (d.is_none())
      in.emplace_back();
    else if (is_parameter(d))
      in.push_back(b.parameter(type_of(d), "in" + std::to_string(next++)));
    else
      in.push_back(b.constant(d.tensor()));
  }
  const Values out = c.op->expand(c.sample.attributes.get(), b, in);
  ASSERT_EQ(out.size(), s.node.num_outputs());
  for (const Value& v : out) b.result(v);
  for (const NodeId id : g.topological_order()) EXPECT_NE(g.node(id).op, c.op) << "expands into itself";
  verify(g);
  const auto want = evaluate(s.graph, s.parameter_values), got = evaluate(g, s.parameter_values);
  for (size_t i = 0; i < want.size(); ++i)
    expect_close(got[i], want[i], c.sample.tolerance, "output " + std::to_string(i));
}

TEST_P(Generated, gradient_equals_central_differences) {
  const Case& c = GetParam();
  if (!c.op->grad || !c.sample.check_gradient) return;
  Single s = single(c);
  const auto out = evaluate(s.graph, s.parameter_values);
  // loss = sum over float outputs of output * weight, with fixed weights.
  Graph g = s.graph;
  Builder b(g);
  Node node = g.handle(s.node.id);
  Values douts;
  std::vector<Tensor> weights;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!out[i].is_tensor() || out[i].tensor().element_type() != ElementType::f32) {
      douts.emplace_back();
      weights.emplace_back();
      continue;
    }
    Tensor w(ElementType::f32, out[i].tensor().shape());
    for (size_t k = 0; k < w.size(); ++k)
      w.data<float>()[k] = 0.3f + 0.7f * static_cast<float>((k * 7 + i * 3) % 11) / 11.0f;
    weights.push_back(w);
    douts.push_back(b.constant(w));
  }
  if (std::none_of(douts.begin(), douts.end(), [](const Value& v) { return static_cast<bool>(v); })) return;
  std::vector<bool> needed(c.sample.inputs.size(), false);
  for (size_t i = 0; i < needed.size(); ++i) {
    const Datum& d = c.sample.inputs[i];
    const bool asked = c.sample.differentiable.empty() ||
                       std::count(c.sample.differentiable.begin(), c.sample.differentiable.end(), i);
    needed[i] = asked && d.is_tensor() && d.tensor().element_type() == ElementType::f32;
  }
  GradCtx ctx(b, node, douts, needed);
  c.op->grad(c.sample.attributes.get(), ctx);
  for (NodeId r : std::vector<NodeId>(g.results())) g.remove(r);
  std::vector<size_t> checked;
  for (size_t i = 0; i < needed.size(); ++i) {
    if (needed[i] && ctx.gradients()[i]) {
      b.result(ctx.gradients()[i]);
      checked.push_back(i);
    }
  }
  verify(g);
  const auto analytic = evaluate(g, s.parameter_values);
  const auto loss = [&](const std::vector<Datum>& values) {
    double sum = 0;
    const auto y = evaluate(s.graph, values);
    for (size_t i = 0; i < y.size(); ++i) {
      if (!weights[i]) continue;
      for (size_t k = 0; k < weights[i].size(); ++k)
        sum += double(y[i].tensor().data<float>()[k]) * double(weights[i].data<float>()[k]);
    }
    return sum;
  };
  for (size_t k = 0; k < checked.size(); ++k) {
    const size_t input = checked[k];
    const Tensor& grad = analytic[k].tensor();
    ASSERT_EQ(to_string(grad.shape()), to_string(c.sample.inputs[input].tensor().shape())) << "input " << input;
    const size_t p = static_cast<size_t>(std::find(s.parameter_inputs.begin(), s.parameter_inputs.end(), input) -
                                         s.parameter_inputs.begin());
    std::vector<double> numeric(grad.size());
    double largest = 1e-3;
    for (size_t e = 0; e < grad.size(); ++e) {
      const double h = 1e-2 * std::max(0.1, std::fabs(get_element(s.parameter_values[p].tensor(), e)));
      const auto moved = [&](double by) {
        auto values = s.parameter_values;
        Tensor t = values[p].tensor().clone();
        set_element(t, e, get_element(t, e) + by);
        values[p] = t;
        return loss(values);
      };
      numeric[e] = (moved(h) - moved(-h)) / (2 * h);
      largest = std::max(largest, std::fabs(numeric[e]));
    }
    for (size_t e = 0; e < grad.size(); ++e) {
      ASSERT_NEAR(get_element(grad, e), numeric[e], c.sample.gradient_tolerance * largest)
          << "input " << input << " element " << e;
    }
  }
}

TEST_P(Generated, travels_through_text_and_bytes) {
  const Case& c = GetParam();
  Single s = single(c);
  const std::string text = to_text(s.graph, SIZE_MAX);
  const Graph again = parse_graph(text);
  EXPECT_EQ(to_text(again, SIZE_MAX), text);
  const auto bytes = attribute_bytes(*c.op, c.sample.attributes.get());
  const Attributes copy = c.op->make();
  FieldReader reader(bytes);
  c.op->visit(const_cast<void*>(copy.get()), reader);
  EXPECT_TRUE(same_attributes(*c.op, copy.get(), c.sample.attributes.get()));
}

INSTANTIATE_TEST_SUITE_P(Operators, Generated, ::testing::ValuesIn(cases()), [](const auto& info) {
  return std::string(info.param.op->name) + "_" + std::to_string(info.param.index);
});

TEST(Operators, have_unique_names_and_samples) {
  for (const OpDef* op : all_ops()) {
    EXPECT_EQ(find_op(op->name), op) << op->name;
    if (op->name != "Parameter" && op->name != "Result" && op->name != "Custom") {
      EXPECT_FALSE(op->samples().empty()) << op->name;
    }
  }
}

}  // namespace
}  // namespace hone
