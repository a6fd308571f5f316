#include "compress/bias_correction.hpp"

#include <algorithm>
#include <cmath>

#include "compress/observe.hpp"
#include "compress/placement.hpp"
#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"

namespace hone {
namespace {

// Layers corrected per pass over the samples; a pass costs one run of the network per sample.
constexpr size_t passes = 24;

struct Layer {
  NodeId node;
  NodeId add = no_id;       // the bias Add in the quantized graph
  NodeId constant = no_id;  // its constant
};

// Channels lie on axis 1: convolutions, and matrix products of rank 2.
bool has_channels(const Graph& g, NodeId id) {
  const PartialShape& s = g.value(g.node(id).outputs[0]).type.shape;
  return s.rank_known() && s.rank() >= 2 && s[1].is_static() && (s.rank() == 2 || !g.handle(id).is<MatMul>());
}

// Makes sure that an Add with a per-channel constant of the right shape follows the layer.
Layer with_bias(Graph& g, NodeId id) {
  const Value y = g.handle(id).output();
  const PartialShape& s = y.shape();
  Shape shape(s.rank(), 1);
  shape[1] = s[1].get_length();
  if (y.uses().size() == 1) {
    const Node add = g.handle(y.uses()[0].node);
    if (add.is<Add>()) {
      const Value other = add.input(1 - y.uses()[0].index);
      const Tensor c = other.constant();
      if (c && static_cast<int64_t>(c.size()) == shape[1] && other.uses().size() == 1)
        return {id, add.id, other.node().id};
    }
  }
  Builder b(g);
  b.set_name(g.node(id).name + "/bias");
  const Value zero = b.constant(Tensor(ElementType::f32, shape));
  const std::vector<Use> uses = y.uses();
  const std::vector<std::string> names = y.names();
  b.set_name(g.node(id).name + "/add_bias");
  const Value sum = b(Add{}, y, zero);
  for (const Use& u : uses) g.set_input(u.node, u.index, sum.id);
  if (!names.empty()) {
    g.set_names(sum.id, names);
    g.set_names(y.id, {});
  }
  return {id, sum.node().id, zero.node().id};
}

// Means of the layers' outputs per channel over the samples.
std::vector<std::vector<double>> means(const Graph& graph, const std::vector<ValueId>& values,
                                       const CalibrationData& data, size_t samples, const MakeRunner& make_runner) {
  Graph g = graph;
  for (NodeId r : std::vector<NodeId>(g.results())) g.remove(r);
  add_channel_means(g, values);
  g.remove_dead();
  const auto runner = make_runner(g);
  std::vector<std::vector<double>> sum(values.size());
  size_t n = 0;
  for (size_t i = 0; i < samples; ++i, ++n) {
    const auto inputs = data(i);
    if (!inputs) break;
    const auto out = runner->run(*inputs);
    for (size_t k = 0; k < values.size(); ++k) {
      const auto m = out[k].tensor().to_doubles();
      sum[k].resize(m.size(), 0);
      for (size_t c = 0; c < m.size(); ++c) sum[k][c] += m[c];
    }
  }
  for (auto& s : sum) {
    for (double& v : s) v /= static_cast<double>(std::max<size_t>(n, 1));
  }
  return sum;
}

}  // namespace

void correct_biases(Graph& quantized, const Graph& model, const std::vector<NodeId>& wanted,
                    const CalibrationData& data, size_t samples, const MakeRunner& make_runner) {
  std::vector<Layer> layers;
  std::vector<ValueId> reference;
  std::vector<NodeId> order;
  for (NodeId id : model.topological_order()) {
    if (std::find(wanted.begin(), wanted.end(), id) != wanted.end() &&
        quantized.handle(id).input(1).node().op().name == "FakeQuantize" && has_channels(model, id)) {
      order.push_back(id);
      reference.push_back(model.node(id).outputs[0]);
    }
  }
  if (order.empty()) return;
  const auto want = means(model, reference, data, samples, make_runner);
  // The float bias is not part of the layer's own output: compare both in front of it.
  for (NodeId id : order) layers.push_back(with_bias(quantized, id));
  const size_t per_pass = (layers.size() + passes - 1) / passes;
  for (size_t first = 0; first < layers.size(); first += per_pass) {
    const size_t last = std::min(layers.size(), first + per_pass);
    std::vector<ValueId> values;
    for (size_t k = first; k < last; ++k) values.push_back(quantized.node(layers[k].node).outputs[0]);
    const auto have = means(quantized, values, data, samples, make_runner);
    for (size_t k = first; k < last; ++k) {
      const Tensor bias = quantized.handle(layers[k].constant).as<Constant>()->value;
      Tensor corrected = bias.converted(ElementType::f32).clone();
      for (size_t c = 0; c < corrected.size(); ++c) {
        const double shift = want[k][c] - have[k - first][c];
        if (std::isfinite(shift)) corrected.data<float>()[c] += static_cast<float>(shift);
      }
      quantized.set(layers[k].constant, Constant{corrected.converted(bias.element_type())});
    }
  }
}

}  // namespace hone
