#include "compress/quantize.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compress/bias_correction.hpp"
#include "compress/ranges.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/cost.hpp"
#include "ops/quantize.hpp"

namespace hone {
namespace {

Value fake_quantize(Builder& b, Value x, const QuantizerRange& r, const Shape& shape) {
  const Value low = b.constant(Tensor::of<float>(shape, std::span<const float>(r.low)));
  const Value high = b.constant(Tensor::of<float>(shape, std::span<const float>(r.high)));
  return b(FakeQuantize{r.levels}, x, low, high, low, high);
}

// The weights' numbers, through what formats put between the constant and its reader.
Tensor weight_values(const Value& v) {
  if (Tensor t = v.constant()) return t;
  const Node n = v.node();
  if (n.is<Convert>()) {
    if (Tensor t = weight_values(n.input(0))) return t.converted(ElementType::f32);
  }
  return {};
}

// Largest magnitudes over all axes but `axes`, and the shape that broadcasts them over the weights.
QuantizerRange weight_range(const Tensor& w, const std::vector<int64_t>& axes, Shape& shape) {
  shape.assign(w.rank(), 1);
  size_t channels = 1;
  for (int64_t a : axes) {
    shape[static_cast<size_t>(a)] = w.shape()[static_cast<size_t>(a)];
    channels *= static_cast<size_t>(shape[static_cast<size_t>(a)]);
  }
  std::vector<float> m(channels, 0);
  for (size_t i = 0; i < w.size(); ++i) {
    size_t rest = i, at = 0, stride = 1;
    for (size_t k = w.rank(); k-- > 0;) {
      const auto d = static_cast<size_t>(w.shape()[k]);
      if (shape[k] != 1) {
        at += rest % d * stride;
        stride *= d;
      }
      rest /= d;
    }
    m[at] = std::max(m[at], std::fabs(static_cast<float>(get_element(w, i))));
  }
  return symmetric_weights(m);
}

struct Ranges {
  std::vector<QuantizerRange> activations;  // parallel to Placement::activations
};

Ranges activation_ranges(const Graph& g, const Placement& p, const CalibrationData& data, const QuantizeOptions& o,
                         const MakeRunner& make_runner) {
  std::vector<ValueId> values;
  for (const ActivationQuantizer& q : p.activations) values.push_back(q.value);
  const auto stats = observe_ranges(g, values, data, o.samples, make_runner, o.progress);
  std::map<int, std::pair<double, double>> groups;
  for (size_t i = 0; i < stats.size(); ++i) {
    const int group = p.activations[i].group;
    if (group < 0) continue;
    auto [it, fresh] = groups.try_emplace(group, stats[i].mean_min, stats[i].mean_max);
    it->second.first = std::min(it->second.first, stats[i].mean_min);
    it->second.second = std::max(it->second.second, stats[i].mean_max);
  }
  Ranges r;
  for (size_t i = 0; i < stats.size(); ++i) {
    const int group = p.activations[i].group;
    double low = stats[i].mean_min, high = stats[i].mean_max;
    if (group >= 0) std::tie(low, high) = groups[group];
    // A value that was never negative stays unsigned whatever the means say.
    if (stats[i].min >= 0 && group < 0) low = std::max(low, 0.0);
    const bool mixed = o.preset == QuantizePreset::mixed && low < 0;
    r.activations.push_back(mixed ? asymmetric_activations(static_cast<float>(low), static_cast<float>(high))
                                  : symmetric_activations(static_cast<float>(low), static_cast<float>(high)));
  }
  return r;
}

// Inserts the quantizers of every operator outside `kept`.
Graph insert(const Graph& model, const Placement& p, const Ranges& ranges, const std::set<NodeId>& kept) {
  Graph g = model;
  Builder b(g);
  for (size_t i = 0; i < p.activations.size(); ++i) {
    const ActivationQuantizer& q = p.activations[i];
    std::vector<Use> uses;
    for (const Use& u : q.uses) {
      if (!kept.contains(u.node)) uses.push_back(u);
    }
    if (uses.empty()) continue;
    const Value x = g.value_handle(q.value);
    b.set_name(x.node().name().empty() ? "" : x.node().name() + "/quantize");
    const Value y = fake_quantize(b, x, ranges.activations[i], {});
    for (const Use& u : uses) g.set_input(u.node, u.index, y.id);
  }
  for (const WeightQuantizer& q : p.weights) {
    if (kept.contains(q.use.node)) continue;
    const Value w = g.handle(q.use.node).input(q.use.index);
    const Tensor values = weight_values(w);
    if (!values) continue;
    Shape shape;
    const QuantizerRange r = weight_range(values, q.channel_axes, shape);
    b.set_name(g.handle(q.use.node).name() + "/quantize_weights");
    g.set_input(q.use.node, q.use.index, fake_quantize(b, w, r, shape).id);
  }
  verify(g);
  return g;
}

// Dense operators that an elementwise or pooling operator meets on its ways up and down, through operators that are not
// dense.
std::set<NodeId> dense_neighbours(const Graph& g, NodeId start) {
  std::set<NodeId> found, seen{start};
  std::vector<NodeId> work{start};
  while (!work.empty()) {
    const Node n = g.handle(work.back());
    work.pop_back();
    std::vector<NodeId> next;
    for (const Value& v : n.inputs()) {
      if (v) next.push_back(v.node().id);
    }
    for (const Value& v : n.outputs()) {
      for (const Use& u : v.uses()) next.push_back(u.node);
    }
    for (NodeId id : next) {
      if (is_weighted(g.handle(id)))
        found.insert(id);
      else if (!g.handle(id).is<Constant>() && seen.insert(id).second)
        work.push_back(id);
    }
  }
  return found;
}

// Quantizers between operators that went back to float serve nobody: their operators go back too.
void release_bystanders(const Graph& g, const Placement& p, std::set<NodeId>& kept) {
  for (NodeId id : p.quantized) {
    if (is_weighted(g.handle(id))) continue;
    const auto around = dense_neighbours(g, id);
    if (std::all_of(around.begin(), around.end(), [&](NodeId d) { return kept.contains(d); })) kept.insert(id);
  }
}

// Outputs of the model on ranking samples, one vector a sample.
std::vector<std::vector<double>> outputs_of(const Graph& g, const CalibrationData& data, size_t samples,
                                            const MakeRunner& make_runner) {
  const auto runner = make_runner(g);
  std::vector<std::vector<double>> out;
  for (size_t i = 0; i < samples; ++i) {
    const auto inputs = data(i);
    if (!inputs) break;
    out.push_back(runner->run(*inputs)[0].tensor().to_doubles());
  }
  return out;
}

double squared_error(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  double e = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t k = 0; k < a[i].size(); ++k) e += (a[i][k] - b[i][k]) * (a[i][k] - b[i][k]);
  }
  return e;
}

}  // namespace

Quantized quantize(const Graph& model, const CalibrationData& data, const QuantizeOptions& o,
                   const MakeRunner& make_runner) {
  for (NodeId id : model.topological_order()) {
    const std::string_view op = model.node(id).op->name;
    if (op == "FakeQuantize" || op == "Quantize")
      throw Error(ErrorCode::failed, "[quantize] the model is quantized already", "node '" + model.node(id).name + "'",
                  "start from the float model");
  }
  const Placement placement = place_quantizers(model, {o.ignored});
  std::vector<NodeId> dense;
  for (NodeId id : placement.quantized) {
    if (is_weighted(model.handle(id))) dense.push_back(id);
  }
  if (dense.empty())
    throw Error(ErrorCode::unsupported,
                "[quantize] the model has no convolution or matrix product that could be quantized");
  const Ranges ranges = activation_ranges(model, placement, data, o, make_runner);

  std::set<NodeId> kept;
  const auto candidate = [&] {
    Graph g = insert(model, placement, ranges, kept);
    if (o.bias_correction_samples > 0) correct_biases(g, model, dense, data, o.bias_correction_samples, make_runner);
    return g;
  };
  Quantized q{candidate(), {}};
  QuantizeReport& report = q.report;
  for (NodeId id : placement.ignored) report.kept.push_back(model.node(id).name + ": excluded");

  if (o.metric && o.max_drop >= 0) {
    report.metric_before = o.metric(model);
    report.metric_after = o.metric(q.graph);
    if (report.metric_before - report.metric_after > o.max_drop) {
      // Rank: how far the outputs move when this operator alone is quantized.
      constexpr size_t ranking_samples = 32;
      const auto want = outputs_of(model, data, ranking_samples, make_runner);
      std::vector<std::pair<double, NodeId>> ranking;
      for (NodeId id : dense) {
        std::set<NodeId> others(placement.quantized.begin(), placement.quantized.end());
        others.erase(id);
        ranking.emplace_back(
            squared_error(outputs_of(insert(model, placement, ranges, others), data, ranking_samples, make_runner),
                          want),
            id);
      }
      std::sort(ranking.begin(), ranking.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
      for (const auto& [error, id] : ranking) {
        kept.insert(id);
        release_bystanders(model, placement, kept);
        report.kept.push_back(model.node(id).name + ": accuracy");
        q.graph = candidate();
        report.metric_after = o.metric(q.graph);
        if (report.metric_before - report.metric_after <= o.max_drop) break;
      }
    }
    report.drop = report.metric_before - report.metric_after;
  }
  int64_t total = 0, int8 = 0;
  for (NodeId id : model.topological_order()) {
    const int64_t macs = multiply_accumulates(model, id);
    total += macs;
    const bool is_dense = std::find(dense.begin(), dense.end(), id) != dense.end();
    if (is_dense && !kept.contains(id)) {
      ++report.quantized_nodes;
      int8 += macs;
    } else if (is_weighted(model.handle(id))) {
      ++report.kept_nodes;
    }
  }
  report.mac_share = total > 0 ? static_cast<double>(int8) / static_cast<double>(total) : 0;
  return q;
}

}  // namespace hone
