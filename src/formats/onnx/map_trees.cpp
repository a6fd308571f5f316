// Decision trees of ai.onnx.ml: TreeEnsemble of version 5, TreeEnsembleRegressor and TreeEnsembleClassifier before it.
#include <algorithm>
#include <cmath>
#include <map>

#include "formats/onnx/mapping.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/trees.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

template <class T>
Tensor list(const std::vector<T>& v) {
  return Tensor::of<T>({static_cast<int64_t>(v.size())}, std::span<const T>(v));
}
Tensor booleans(const std::vector<int64_t>& v, size_t n) {
  Tensor t(ElementType::boolean, {static_cast<int64_t>(n)});
  for (size_t i = 0; i < n && i < v.size(); ++i) set_integer(t, i, v[i] != 0);
  return t;
}

TreePostTransform post_transform(NodeContext& n, const std::string& s) {
  if (s == "NONE") return TreePostTransform::none;
  if (s == "SOFTMAX") return TreePostTransform::softmax;
  if (s == "LOGISTIC") return TreePostTransform::logistic;
  if (s == "SOFTMAX_ZERO") return TreePostTransform::softmax_zero;
  n.refuse("post_transform '" + s + "' is not offered");
}

Values tree_ensemble(NodeContext& n) {
  TreeEnsemble t;
  t.num_targets = n.i("n_targets", 1);
  const int64_t aggregate = n.i("aggregate_function", 1), post = n.i("post_transform", 0);
  if (aggregate < 0 || aggregate > 3) n.fail("unknown aggregate_function " + std::to_string(aggregate));
  if (post < 0 || post > 3) n.refuse("post_transform " + std::to_string(post) + " is not offered");
  t.aggregate = static_cast<TreeAggregate>(aggregate);
  constexpr TreePostTransform posts[] = {TreePostTransform::none, TreePostTransform::softmax,
                                         TreePostTransform::logistic, TreePostTransform::softmax_zero};
  t.post_transform = posts[post];
  const auto features = n.ints("nodes_featureids");
  const size_t nodes = features.size();
  t.features = list(features);
  t.modes = n.tensor("nodes_modes").converted(ElementType::u8);
  t.splits = n.tensor("nodes_splits").converted(ElementType::f64).clone();
  t.missing_true = booleans(n.ints("nodes_missing_value_tracks_true"), nodes);
  const auto children = [&](const char* ids, const char* leaves) {
    auto c = n.ints(ids);
    const auto leaf = n.ints(leaves);
    if (c.size() != nodes || leaf.size() != nodes) n.fail("lists of nodes differ in length");
    for (size_t i = 0; i < nodes; ++i) c[i] = leaf[i] ? ~c[i] : c[i];
    return list(c);
  };
  t.true_nodes = children("nodes_truenodeids", "nodes_trueleafs");
  t.false_nodes = children("nodes_falsenodeids", "nodes_falseleafs");
  t.roots = list(n.ints("tree_roots"));
  const auto targets = n.ints("leaf_targetids");
  std::vector<int64_t> first;
  for (size_t i = 0; i <= targets.size(); ++i) first.push_back(static_cast<int64_t>(i));
  t.leaf_first = list(first);
  t.leaf_targets = list(targets);
  t.leaf_weights = n.tensor("leaf_weights").converted(ElementType::f32);
  // Sets follow each other, each ended by NaN; the nodes with MEMBER take them in order.
  std::vector<int64_t> set_first{0};
  std::vector<double> values;
  if (n.has_attribute("membership_values")) {
    for (double v : n.tensor("membership_values").to_doubles()) {
      if (std::isnan(v))
        set_first.push_back(static_cast<int64_t>(values.size()));
      else
        values.push_back(v);
    }
    if (set_first.back() != static_cast<int64_t>(values.size()))
      set_first.push_back(static_cast<int64_t>(values.size()));
  }
  t.set_first = list(set_first);
  t.set_values = list(values);
  if (t.modes.size() != nodes || t.splits.size() != nodes) n.fail("lists of nodes differ in length");
  double set = 0;
  for (size_t i = 0; i < nodes; ++i) {
    if (get_integer(t.modes, i) == 6) set_element(t.splits, i, set++);
  }
  return {n(t, n.in(0))};
}

// The lists of the older forms: nodes by tree and node number, leaves with any number of entries. `prefix` is "target"
// or "class".
TreeEnsemble from_lists(NodeContext& n, const std::string& prefix) {
  TreeEnsemble t;
  const auto trees = n.ints("nodes_treeids"), ids = n.ints("nodes_nodeids"), features = n.ints("nodes_featureids");
  const auto yes = n.ints("nodes_truenodeids"), no = n.ints("nodes_falsenodeids"),
             missing = n.ints("nodes_missing_value_tracks_true");
  const auto modes = n.strings("nodes_modes");
  std::vector<double> splits;
  if (n.has_attribute("nodes_values_as_tensor"))
    splits = n.tensor("nodes_values_as_tensor").to_doubles();
  else
    for (float v : n.floats("nodes_values")) splits.push_back(static_cast<double>(v));
  const size_t count = trees.size();
  if (ids.size() != count || features.size() != count || yes.size() != count || no.size() != count ||
      modes.size() != count || splits.size() != count)
    n.fail("lists of nodes differ in length");
  constexpr std::string_view names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                        "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
  // Where each (tree, node) went: nodes from 0 up, leaves from -1 down.
  std::map<std::pair<int64_t, int64_t>, int64_t> place;
  int64_t nodes = 0, leaves = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!place.emplace(std::pair(trees[i], ids[i]), modes[i] == "LEAF" ? -++leaves : nodes++).second)
      n.fail("a node is given twice");
  }
  const auto at = [&](int64_t tree, int64_t id) {
    const auto p = place.find({tree, id});
    if (p == place.end()) n.fail("node " + std::to_string(id) + " of tree " + std::to_string(tree) + " is missing");
    return p->second;
  };
  std::vector<int64_t> node_features, true_nodes, false_nodes, node_missing, roots;
  std::vector<uint8_t> node_modes;
  std::vector<double> node_splits;
  for (size_t i = 0; i < count; ++i) {
    if (i == 0 || trees[i] != trees[i - 1]) roots.push_back(at(trees[i], ids[i]));
    if (modes[i] == "LEAF") continue;
    const auto mode = std::find(std::begin(names), std::end(names), modes[i]);
    if (mode == std::end(names)) n.fail("unknown mode '" + modes[i] + "'");
    node_modes.push_back(static_cast<uint8_t>(mode - std::begin(names)));
    node_features.push_back(features[i]);
    node_splits.push_back(splits[i]);
    node_missing.push_back(i < missing.size() ? missing[i] : 0);
    true_nodes.push_back(at(trees[i], yes[i]));
    false_nodes.push_back(at(trees[i], no[i]));
  }
  const auto entry_trees = n.ints(prefix + "_treeids"), entry_nodes = n.ints(prefix + "_nodeids"),
             entry_targets = n.ints(prefix + "_ids");
  std::vector<float> entry_weights;
  if (n.has_attribute(prefix + "_weights_as_tensor")) {
    for (double v : n.tensor(prefix + "_weights_as_tensor").to_doubles())
      entry_weights.push_back(static_cast<float>(v));
  } else {
    entry_weights = n.floats(prefix + "_weights");
  }
  if (entry_nodes.size() != entry_trees.size() || entry_targets.size() != entry_trees.size() ||
      entry_weights.size() != entry_trees.size())
    n.fail("lists of leaves differ in length");
  std::vector<std::vector<size_t>> entries(static_cast<size_t>(leaves));
  for (size_t e = 0; e < entry_trees.size(); ++e) {
    const int64_t leaf = at(entry_trees[e], entry_nodes[e]);
    if (leaf >= 0) n.fail("a weight belongs to a node that is no leaf");
    entries[static_cast<size_t>(-leaf - 1)].push_back(e);
  }
  std::vector<int64_t> first{0}, targets;
  std::vector<float> weights;
  for (const auto& leaf : entries) {
    for (size_t e : leaf) {
      targets.push_back(entry_targets[e]);
      weights.push_back(entry_weights[e]);
    }
    first.push_back(static_cast<int64_t>(targets.size()));
  }
  t.roots = list(roots);
  t.features = list(node_features);
  t.modes = list(node_modes);
  t.splits = list(node_splits);
  t.true_nodes = list(true_nodes);
  t.false_nodes = list(false_nodes);
  t.missing_true = booleans(node_missing, node_missing.size());
  t.leaf_first = list(first);
  t.leaf_targets = list(targets);
  t.leaf_weights = list(weights);
  t.set_first = list(std::vector<int64_t>{0});
  t.set_values = list(std::vector<double>{});
  std::vector<float> base = n.floats("base_values");
  if (n.has_attribute("base_values_as_tensor")) {
    for (double v : n.tensor("base_values_as_tensor").to_doubles()) base.push_back(static_cast<float>(v));
  }
  t.base_values = list(base);
  return t;
}

Values tree_ensemble_regressor(NodeContext& n) {
  TreeEnsemble t = from_lists(n, "target");
  t.num_targets = n.i("n_targets", 1);
  const std::string aggregate = n.s("aggregate_function", "SUM");
  if (aggregate == "AVERAGE")
    t.aggregate = TreeAggregate::average;
  else if (aggregate == "MIN")
    t.aggregate = TreeAggregate::min;
  else if (aggregate == "MAX")
    t.aggregate = TreeAggregate::max;
  else if (aggregate != "SUM")
    n.fail("unknown aggregate_function '" + aggregate + "'");
  t.post_transform = post_transform(n, n.s("post_transform", "NONE"));
  return {n(t, n.in(0))};
}

Values tree_ensemble_classifier(NodeContext& n) {
  TreeEnsemble t = from_lists(n, "class");
  Tensor labels;
  if (n.has_attribute("classlabels_strings")) {
    auto names = n.strings("classlabels_strings");
    const auto count = static_cast<int64_t>(names.size());
    labels = Tensor::strings({count}, std::move(names));
  } else {
    labels = list(n.ints("classlabels_int64s"));
  }
  const TreePostTransform post = post_transform(n, n.s("post_transform", "NONE"));
  t.num_targets = static_cast<int64_t>(labels.size());
  auto targets = t.leaf_targets.to_ints();
  const bool one_class = t.num_targets == 2 && !targets.empty() &&
                         std::all_of(targets.begin(), targets.end(), [&](int64_t c) { return c == targets[0]; });
  if (!one_class) {
    TreeEnsemble plain = t;
    t.post_transform = post;
    const Value scores = n(t, n.in(0)), best = n.all(TopK{.axis = 1, .index_element_type = ElementType::i64},
                                                     {n(plain, n.in(0)), n.int_constant(1)})[1];
    return {n.gather(n.b.constant(labels), n.squeeze(best, {1}), 0), scores};
  }
  // Two classes and weights of one alone: their sum is the score of the second class. Weights that are never negative
  // are probabilities, others margins around zero. The score of the first class is the complement where the weights
  // name class 0, and zero where they name class 1: so does ONNX Runtime, which defines the corners of this operator.
  const bool complement = targets[0] == 0;
  std::fill(targets.begin(), targets.end(), 0);
  t.leaf_targets = list(targets);
  t.num_targets = 1;
  if (t.base_values.size() == 2) t.base_values = list(std::vector<float>{t.base_values.data<float>()[1]});
  const auto weights = t.leaf_weights.span<float>();
  const bool probabilities = std::all_of(weights.begin(), weights.end(), [](float w) { return w >= 0; });
  const Value score = n(t, n.in(0));
  const Value second = n(Greater{}, score, n.b.scalar<float>(probabilities ? 0.5f : 0.0f));
  const Value label = n.gather(n.b.constant(labels), n.squeeze(n.cast(second, ElementType::i64), {1}), 0);
  Value other = probabilities ? n(Subtract{}, n.b.scalar<float>(1), score) : n(Negative{}, score);
  Value own = score;
  if (!complement) other = n(Multiply{}, score, n.b.scalar<float>(0));
  if (post == TreePostTransform::logistic && !(complement && probabilities)) {
    own = n(Sigmoid{}, own);
    other = n(Sigmoid{}, other);
  }
  if (post == TreePostTransform::softmax && !complement) return {label, n(Softmax{1}, n.concat({other, own}, 1))};
  return {label, n.concat({other, own}, 1)};
}

constexpr OperatorRow rows[] = {
    {"TreeEnsemble", 5, tree_ensemble},
    {"TreeEnsembleClassifier", 1, tree_ensemble_classifier},
    {"TreeEnsembleRegressor", 1, tree_ensemble_regressor},
};

}  // namespace

std::span<const OperatorRow> tree_rows() {
  return rows;
}

}  // namespace hone::onnx
