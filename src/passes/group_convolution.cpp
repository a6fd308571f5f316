#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

// One branch between Split and Concat: a convolution and perhaps its bias.
struct Branch {
  Node convolution;
  Value bias;
};

std::optional<Branch> branch_of(Value v, Node concat) {
  if (v.uses().size() != 1) return std::nullopt;
  Branch branch;
  Node n = v.node();
  if (n.is<Add>()) {
    for (size_t i = 0; i < 2; ++i) {
      if (!n.input(i).node().is<Convolution>() || !is_parameter_like(n.input(1 - i))) continue;
      if (!spreads_along(n.input(1 - i), n.output().shape(), 1) || n.input(i).uses().size() != 1) return std::nullopt;
      branch.bias = n.input(1 - i);
      branch.convolution = n.input(i).node();
      break;
    }
  } else if (n.is<Convolution>()) {
    branch.convolution = n;
  }
  if (!branch.convolution || concat.graph->node(branch.convolution.id).epilogue) return std::nullopt;
  return branch;
}

// Split -> one convolution a part -> Concat is one grouped convolution.
Rule split_convolve_concat() {
  const auto concat = op<Concat>();
  return rule("split_convolve_concat", concat, [=](const Match& m, Builder& b) -> Value {
    const Node n = m.root();
    const size_t groups = n.num_inputs();
    const PartialShape out = n.output().shape();
    if (groups < 2 || !out.rank_known() || out.rank() < 3) return {};
    if (const auto axis = positive_axes({n.as<Concat>()->axis}, out); !axis || (*axis)[0] != 1) return {};
    std::vector<Branch> branches;
    for (const Value& v : n.inputs()) {
      const auto branch = branch_of(v, n);
      if (!branch) return {};
      branches.push_back(*branch);
    }
    const Node first = branches[0].convolution, split = first.input(0).node();
    if ((!split.is<Split>() && !split.is<VariadicSplit>()) || split.num_outputs() != groups) return {};
    if (const auto axis = known_ints(split.input(1));
        !axis || axis->size() != 1 || ((*axis)[0] != 1 && (*axis)[0] + static_cast<int64_t>(out.rank()) != 1))
      return {};
    for (size_t i = 0; i < groups; ++i) {
      const Node c = branches[i].convolution;
      if (c.input(0) != split.output(i) || c.input(0).uses().size() != 1 ||
          bool(branches[i].bias) != bool(branches[0].bias))
        return {};
      if (!same_attributes(c.op(), m.root().graph->node(c.id).attributes.get(),
                           m.root().graph->node(first.id).attributes.get()))
        return {};
      if (!c.input(1).shape().is_static() || c.input(1).shape() != first.input(1).shape() ||
          c.input(1).element_type() != first.input(1).element_type())
        return {};
    }
    const Shape w = first.input(1).shape().to_shape();
    Shape one = w;
    one.insert(one.begin(), 1);
    Values weights, biases;
    for (const Branch& branch : branches) {
      weights.push_back(b(Reshape{}, branch.convolution.input(1), b.ints(one)));
      if (!branch.bias) continue;
      Value bias = branch.bias;
      if (element_count(bias.shape().to_shape()) != w[0])
        bias = b(Broadcast{}, b(Reshape{}, bias, b.ints({1})), b.ints({w[0]}));
      biases.push_back(on_axis(b, bias, 1, out.rank()));
    }
    const auto& c = *first.as<Convolution>();
    const Value y = b(GroupConvolution{c.strides, c.pads_begin, c.pads_end, c.dilations, c.auto_pad}, split.input(0),
                      b(Concat{0}, weights));
    return biases.empty() ? y : b(Add{}, y, b(Concat{1}, biases));
  });
}

// One group is none.
Rule one_group() {
  const auto x = any(), w = any();
  const auto conv = op<GroupConvolution>(x, w);
  return rule("group_convolution_of_one_group", conv, [=](const Match& m, Builder& b) -> Value {
    if (!m[w].shape().is_static() || m[w].shape()[0] != Dimension(1)) return {};
    const Shape s = m[w].shape().to_shape();
    const auto& c = m.as<GroupConvolution>(conv);
    const Value weights = b(Reshape{}, m[w], b.ints(Shape(s.begin() + 1, s.end())));
    return b(Convolution{c.strides, c.pads_begin, c.pads_end, c.dilations, c.auto_pad}, m[x], weights);
  });
}

// Groups of one channel with a few results each: a depthwise convolution for the first results of all groups, one for
// the second ones..., then the channels in their order. Nobody computes a lone input channel with full vectors
// otherwise.
Value split_results(Builder& b, Node n, Value bias) {
  const Value w = n.input(1);
  const PartialShape out = n.output().shape();
  if (!w.node().is<Constant>() || !w.shape().is_static() || n.graph->node(n.id).epilogue || !out.rank_known())
    return {};
  const Shape s = w.shape().to_shape();
  const int64_t results = s[1];
  if (results < 2 || results > 4 || s[2] != 1 || s[0] < 16) return {};
  if (bias && (!bias.node().is<Constant>() || element_count(bias.shape().to_shape()) != s[0] * results)) return {};
  Values parts;
  for (int64_t r = 0; r < results; ++r) {
    const auto part_of = [&](Value v, int64_t axis) -> Value {
      return b(Gather{}, v, b.ints({r}), b.constant(Tensor::scalar<int64_t>(axis)));
    };
    Value y = b.add(n.op(), b.graph().node(n.id).attributes, {n.input(0), part_of(w, 1)}).output(0);
    if (bias) {
      const Value own = part_of(b(Reshape{}, bias, b.ints({s[0], results})), 1);
      y = b(Add{}, y, on_axis(b, b(Reshape{}, own, b.ints({s[0]})), 1, out.rank()));
    }
    parts.push_back(y);
  }
  return b(ShuffleChannels{1, results}, b(Concat{1}, parts));
}

Rule channel_multiplier() {
  const auto conv = op<GroupConvolution>();
  return rule("channel_multiplier", conv, [=](const Match& m, Builder& b) -> Value {
    // With its bias, if it has one.
    const auto& uses = m.root().output(0).uses();
    const Node reader = uses.size() == 1 ? Node{m.root().graph, uses[0].node} : Node{};
    if (reader && reader.is<Add>() && reader.input(1 - uses[0].index).node().is<Constant>() &&
        spreads_along(reader.input(1 - uses[0].index), m.root().output(0).shape(), 1))
      return {};
    return split_results(b, m.root(), {});
  });
}
Rule channel_multiplier_with_bias() {
  const auto conv = op<GroupConvolution>().one_use();
  const auto bias = constant();
  return rule("channel_multiplier_with_bias", op<Add>(conv, bias), [=](const Match& m, Builder& b) -> Value {
    if (!spreads_along(m[bias], m[conv].shape(), 1)) return {};
    return split_results(b, m.node(conv), m[bias]);
  });
}

}  // namespace

Pass split_channel_multipliers_pass() {
  return rules_pass("split_channel_multipliers", {channel_multiplier_with_bias(), channel_multiplier()});
}

Pass recognize_group_convolution_pass() {
  return rules_pass("recognize_group_convolution", {split_convolve_concat(), one_group()}, true);
}

}  // namespace hone
