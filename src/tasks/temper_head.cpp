#include "tasks/temper_head.hpp"

#include <algorithm>
#include <cmath>

#include "graph/builder.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {
namespace {

constexpr size_t looked_at = 200;
constexpr double too_large = 30, wanted = 3;

// The scores behind the layer, where biases and shapes alone stand between; null where something else does.
Value scores_of(const Graph& g, const ClassifierHead& head) {
  Value v = g.handle(head.layer).output();
  for (;;) {
    if (v.uses().size() != 1) return {};
    const Node n = g.handle(v.uses()[0].node);
    if (n.is<Result>() || n.is<Softmax>() || n.is<LogSoftmax>()) return v;
    if (!(n.is<Add>() || n.is<Reshape>() || n.is<Squeeze>() || n.is<Unsqueeze>() || n.is<Transpose>() ||
          n.is<Convert>()))
      return {};
    v = n.output();
  }
}

// Nothing but the head reads the constant, and what stands between changes no number.
bool serves_alone(const Graph& g, NodeId constant) {
  Value v = g.handle(constant).output();
  for (;;) {
    if (v.uses().size() != 1) return false;
    const Use use = v.uses()[0];
    const Node n = g.handle(use.node);
    if (!(n.is<Reshape>() || n.is<Transpose>() || n.is<Squeeze>() || n.is<Unsqueeze>() || n.is<Convert>())) return true;
    if (use.index != 0) return false;
    v = n.output();
  }
}

}  // namespace

double temper_head(Graph& model, const ClassifierHead& head, const data::Dataset& data,
                   const std::vector<uint32_t>& samples, const data::Preprocessing& preprocessing,
                   const CompileOptions& options) {
  const Value scores = scores_of(model, head);
  if (!scores || samples.empty()) return 1;
  for (NodeId c : head.constants) {
    const auto* constant = model.handle(c).as<Constant>();
    if (!constant || !is_float(constant->value.element_type()) || !serves_alone(model, c)) return 1;
  }
  Graph g = model;
  Builder b(g);
  g.set_input(g.results()[0], 0, b(Reshape{true}, g.value_handle(scores.id), b.ints({0, -1})).id);
  for (size_t i = g.results().size(); i-- > 1;) g.remove(g.results()[i]);
  g.remove_dead();
  std::vector<uint32_t> chosen;
  const size_t count = std::min(samples.size(), looked_at);
  for (size_t i = 0; i < count; ++i) chosen.push_back(samples[i * samples.size() / count]);
  double squares = 0, numbers = 0;
  score_samples(g, data, chosen, preprocessing, options, 50, [&](uint32_t, int64_t, std::span<const float> row) {
    double mean = 0;
    for (float v : row) mean += static_cast<double>(v) / static_cast<double>(row.size());
    for (float v : row) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
    numbers += static_cast<double>(row.size());
  });
  const double spread = std::sqrt(squares / numbers);
  if (!(spread > too_large) || !std::isfinite(spread)) return 1;
  const double temperature = spread / wanted;
  for (NodeId c : head.constants) {
    const Tensor old = model.handle(c).output().constant();
    Tensor t = old.converted(ElementType::f32).clone();
    for (float& v : t.span<float>()) v = static_cast<float>(static_cast<double>(v) / temperature);
    model.set(c, Constant{t.converted(old.element_type())});
  }
  return temperature;
}

}  // namespace hone
