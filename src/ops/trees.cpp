#include "ops/trees.hpp"

#include <algorithm>
#include <cmath>

#include "ops/family.hpp"

namespace hone {
namespace {

// What a file says is checked once, so that walking needs no checks: sizes, children, leaves, sets.
void check_trees(const InferCtx& ctx, const TreeEnsemble& t) {
  const auto typed = [&](const Tensor& v, ElementType e, size_t n, const char* name) {
    ctx.check(v.element_type() == e && v.size() == n, std::string(name) + " has a wrong type or length");
  };
  const size_t nodes = t.features.size();
  typed(t.features, ElementType::i64, nodes, "features");
  typed(t.modes, ElementType::u8, nodes, "modes");
  typed(t.splits, ElementType::f64, nodes, "splits");
  typed(t.true_nodes, ElementType::i64, nodes, "true_nodes");
  typed(t.false_nodes, ElementType::i64, nodes, "false_nodes");
  typed(t.missing_true, ElementType::boolean, nodes, "missing_true");
  typed(t.roots, ElementType::i64, t.roots.size(), "roots");
  typed(t.leaf_first, ElementType::i64, t.leaf_first.size(), "leaf_first");
  typed(t.set_first, ElementType::i64, t.set_first.size(), "set_first");
  typed(t.leaf_targets, ElementType::i64, t.leaf_targets.size(), "leaf_targets");
  typed(t.leaf_weights, ElementType::f32, t.leaf_targets.size(), "leaf_weights");
  typed(t.set_values, ElementType::f64, t.set_values.size(), "set_values");
  ctx.check(t.num_targets >= 1 && t.num_targets < int64_t{1} << 31, std::to_string(t.num_targets) + " targets");
  ctx.check(t.base_values.size() == 0 || (t.base_values.element_type() == ElementType::f32 &&
                                          static_cast<int64_t>(t.base_values.size()) == t.num_targets),
            "base_values has a wrong type or length");
  const auto offsets = [&](const Tensor& first, size_t entries, const char* name) {
    ctx.check(first.size() >= 1 && get_integer(first, 0) == 0 &&
                  get_integer(first, first.size() - 1) == static_cast<int64_t>(entries),
              std::string(name) + " does not cover its entries");
    for (size_t i = 1; i < first.size(); ++i)
      ctx.check(get_integer(first, i - 1) <= get_integer(first, i), std::string(name) + " goes down");
  };
  offsets(t.leaf_first, t.leaf_targets.size(), "leaf_first");
  offsets(t.set_first, t.set_values.size(), "set_first");
  const auto leaves = static_cast<int64_t>(t.leaf_first.size()) - 1,
             sets = static_cast<int64_t>(t.set_first.size()) - 1;
  const auto child = [&](int64_t c) {
    ctx.check(c < static_cast<int64_t>(nodes) && -c - 1 < leaves,
              "child " + std::to_string(c) + " is neither a node nor a leaf");
  };
  for (int64_t r : t.roots.to_ints()) child(r);
  for (size_t i = 0; i < nodes; ++i) {
    child(get_integer(t.true_nodes, i));
    child(get_integer(t.false_nodes, i));
    ctx.check(get_integer(t.features, i) >= 0, "a negative feature");
    ctx.check(get_integer(t.modes, i) <= 6, "an unknown mode");
    const double split = get_element(t.splits, i);
    ctx.check(get_integer(t.modes, i) != 6 || (split >= 0 && split < static_cast<double>(sets)), "an unknown set");
  }
  for (int64_t target : t.leaf_targets.to_ints())
    ctx.check(target >= 0 && target < t.num_targets,
              "target " + std::to_string(target) + " of " + std::to_string(t.num_targets));
}

bool takes_true(const TreeEnsemble& t, size_t node, double x) {
  if (std::isnan(x) && get_integer(t.missing_true, node) != 0) return true;
  const double split = t.splits.data<double>()[node];
  switch (t.modes.data<uint8_t>()[node]) {
    case 0:
      return x <= split;
    case 1:
      return x < split;
    case 2:
      return x >= split;
    case 3:
      return x > split;
    case 4:
      return x == split;
    case 5:
      return x != split;
    default:
      break;
  }
  const auto set = static_cast<size_t>(split);
  const auto* values = t.set_values.data<double>();
  const int64_t* first = t.set_first.data<int64_t>();
  return std::find(values + first[set], values + first[set + 1], x) != values + first[set + 1];
}

void transform(TreePostTransform how, float* v, size_t n) {
  if (how == TreePostTransform::logistic) {
    for (size_t i = 0; i < n; ++i) v[i] = 1 / (1 + std::exp(-v[i]));
  }
  if (how != TreePostTransform::softmax && how != TreePostTransform::softmax_zero) return;
  const bool keep_zeros = how == TreePostTransform::softmax_zero;
  const float high = *std::max_element(v, v + n);
  float sum = 0;
  for (size_t i = 0; i < n; ++i) {
    if (keep_zeros && std::fabs(v[i]) <= 1e-7f) continue;
    v[i] = std::exp(v[i] - high);
    sum += v[i];
  }
  for (size_t i = 0; i < n && sum > 0; ++i) v[i] /= sum;
}

}  // namespace

Types TreeEnsemble::infer(InferCtx& ctx) const {
  check_trees(ctx, *this);
  const PartialShape& in = ctx.shape(0);
  ctx.check(!in.rank_known() || in.rank() == 1 || in.rank() == 2, "wants [N, features], got " + to_string(in));
  return {Type(ElementType::f32,
               PartialShape{in.rank_known() ? (in.rank() == 2 ? in[0] : Dimension(1)) : Dimension(), num_targets})};
}
void TreeEnsemble::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const int64_t rows = x.rank() == 2 ? x.shape()[0] : 1, columns = x.rank() == 0 ? 1 : x.shape().back();
  const auto targets = static_cast<size_t>(num_targets);
  Tensor y = ctx.output(0, ElementType::f32, {rows, num_targets});
  std::vector<bool> reached(targets);
  for (int64_t r = 0; r < rows; ++r) {
    float* out = y.data<float>() + r * num_targets;
    reached.assign(targets, false);
    for (size_t tree = 0; tree < roots.size(); ++tree) {
      int64_t at = roots.data<int64_t>()[tree];
      for (size_t steps = 0; at >= 0; ++steps) {
        if (steps > features.size()) ctx.fail("tree " + std::to_string(tree) + " goes round in a circle");
        const auto node = static_cast<size_t>(at);
        const int64_t feature = features.data<int64_t>()[node];
        if (feature >= columns) ctx.fail("feature " + std::to_string(feature) + " of " + std::to_string(columns));
        at = takes_true(*this, node, get_element(x, static_cast<size_t>(r * columns + feature)))
                 ? true_nodes.data<int64_t>()[node]
                 : false_nodes.data<int64_t>()[node];
      }
      const auto leaf = static_cast<size_t>(-at - 1);
      for (int64_t e = leaf_first.data<int64_t>()[leaf]; e < leaf_first.data<int64_t>()[leaf + 1]; ++e) {
        const auto target = static_cast<size_t>(leaf_targets.data<int64_t>()[e]);
        const float w = leaf_weights.data<float>()[e];
        if (aggregate == TreeAggregate::min)
          out[target] = reached[target] ? std::min(out[target], w) : w;
        else if (aggregate == TreeAggregate::max)
          out[target] = reached[target] ? std::max(out[target], w) : w;
        else
          out[target] += w;
        reached[target] = true;
      }
    }
    for (size_t c = 0; c < targets; ++c) {
      if (aggregate == TreeAggregate::average && roots.size() > 0) out[c] /= static_cast<float>(roots.size());
      if (base_values.size() > 0) out[c] += base_values.data<float>()[c];
    }
    transform(post_transform, out, targets);
  }
}
Samples TreeEnsemble::samples() {
  const auto floats = [](std::initializer_list<float> v) {
    return Tensor::of<float>({static_cast<int64_t>(v.size())}, v);
  };
  const auto doubles = [](std::initializer_list<double> v) {
    return Tensor::of<double>({static_cast<int64_t>(v.size())}, v);
  };
  // Tree 0: x0 <= 1 ? leaf 0 : (x1 in {2, 5} ? leaf 1 : leaf 2). Tree 1: x1 < 3, or missing ? leaf 0 : leaf 2.
  TreeEnsemble t;
  t.num_targets = 2;
  t.roots = int_tensor({0, 2});
  t.features = int_tensor({0, 1, 1});
  t.modes = Tensor::of<uint8_t>({3}, {0, 6, 1});
  t.splits = doubles({1, 0, 3});
  t.true_nodes = int_tensor({-1, -2, -1});
  t.false_nodes = int_tensor({1, -3, -3});
  t.missing_true = Tensor::of<bool>({3}, {false, false, true});
  t.leaf_first = int_tensor({0, 1, 2, 4});
  t.leaf_targets = int_tensor({0, 1, 0, 1});
  t.leaf_weights = floats({1, 2, -3, 4});
  t.set_first = int_tensor({0, 2});
  t.set_values = doubles({2, 5});
  t.base_values = floats({});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::of<float>({4, 2}, {0, 0, 2, 5, 2, 9, 1, nan});
  TreeEnsemble mean = t, least = t, soft = t;
  mean.aggregate = TreeAggregate::average;
  mean.base_values = floats({10, 20});
  least.aggregate = TreeAggregate::min;
  soft.post_transform = TreePostTransform::softmax;
  return {sample(t, {x}, {Tensor::of<float>({4, 2}, {2, 0, -3, 6, -6, 8, 2, 0})}),
          sample(mean, {x}, {Tensor::of<float>({4, 2}, {11, 20, 8.5f, 23, 7, 24, 11, 20})}),
          sample(least, {x}, {Tensor::of<float>({4, 2}, {1, 0, -3, 2, -3, 4, 1, 0})}),
          sample(soft, {x.reshaped({4, 2})})};
}
HONE_DEFINE_OP(TreeEnsemble)

}  // namespace hone
