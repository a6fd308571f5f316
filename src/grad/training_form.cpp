#include "grad/training_form.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/normalization.hpp"
#include "ops/random.hpp"

namespace hone {
namespace {

enum class Role { none, weight, bias, statistic };

// What a constant that feeds input `index` of `node` is to training.
Role role_of(const Node& node, size_t index, const Tensor& value) {
  if (!is_float(value.element_type())) return Role::none;
  if (node.is<Convolution>() || node.is<GroupConvolution>() || node.is<ConvolutionBackpropData>() ||
      node.is<GroupConvolutionBackpropData>()) {
    return index == 1 ? Role::weight : Role::none;
  }
  if (node.is<MatMul>()) return Role::weight;
  if (node.is<Gather>()) return index == 0 && value.rank() >= 2 ? Role::weight : Role::none;
  if (node.is<BatchNormInference>())
    return index == 1 || index == 2 ? Role::bias : index >= 3 ? Role::statistic : Role::none;
  if (node.is<LayerNorm>() || node.is<RMSNorm>() || node.is<GroupNormalization>())
    return index >= 1 ? Role::bias : Role::none;
  if (node.is<PRelu>()) return index == 1 ? Role::bias : Role::none;
  // Per-channel scales and biases; single numbers are formulas, not weights.
  if (node.is<Add>() || node.is<Multiply>() || node.is<Subtract>()) return value.size() > 1 ? Role::bias : Role::none;
  return Role::none;
}

// The first user of a constant through the conversions and reshapes that formats put between.
struct Reader {
  Node node;
  size_t index = 0;
};
std::vector<Reader> readers(const Graph& g, ValueId v) {
  std::vector<Reader> out;
  for (const Use& u : g.value(v).uses) {
    const Node n = g.handle(u.node);
    const std::string_view op = n.op().name;
    if (u.index == 0 && (op == "Convert" || op == "Reshape" || op == "Unsqueeze" || op == "Squeeze" ||
                         op == "Transpose" || op == "Dequantize" || op == "FakeQuantize")) {
      const auto more = readers(g, g.node(u.node).outputs[0]);
      out.insert(out.end(), more.begin(), more.end());
    } else {
      out.push_back({n, u.index});
    }
  }
  return out;
}

std::string weight_name(const Graph& g, NodeId id, size_t ordinal) {
  const NodeData& n = g.node(id);
  const auto& names = g.value(n.outputs[0]).names;
  if (!names.empty()) return names[0];
  if (!n.name.empty()) return n.name;
  return "constant_" + std::to_string(ordinal);
}

// The only user of `v` where there is exactly one, else a null handle.
Node only_user(const Value& v) {
  return v.uses().size() == 1 ? v.graph->handle(v.uses()[0].node) : Node{};
}

// BatchNormInference -> BatchNormTraining, with the residual Add and the ReLU behind it taken in.
void train_batch_norm(Graph& g, NodeId id, double momentum) {
  const Node bn = g.handle(id);
  const auto* variable_mean = bn.input(3).node().as<Variable>();
  const auto* variable_variance = bn.input(4).node().as<Variable>();
  if (!variable_mean || !variable_variance) return;  // frozen: it keeps its statistics
  Value end = bn.output();
  Value residual;
  Node next = only_user(end);
  if (next && next.is<Add>()) {
    const Value other = next.input(0) == end ? next.input(1) : next.input(0);
    const Node after = only_user(next.output());
    if (!(other == end) && other.shape() == end.shape() && !other.constant() && after && after.is<Relu>()) {
      residual = other;
      end = next.output();
      next = after;
    }
  }
  NormActivation activation = NormActivation::none;
  if (next && next.is<Relu>()) {
    activation = NormActivation::relu;
    end = next.output();
  } else if (residual) {
    residual = {};
    end = bn.output();
  }
  Builder b(g);
  b.set_name(bn.name());
  b.set_provenance(g.node(id).provenance);
  const std::string mean_id = variable_mean->variable_id, variance_id = variable_variance->variable_id;
  const Values out = b.all(BatchNormTraining{bn.as<BatchNormInference>()->epsilon, momentum, activation},
                           {bn.input(0), bn.input(1), bn.input(2), bn.input(3), bn.input(4), residual});
  b.set_name(mean_id + "/assign");
  b(Assign{mean_id}, out[1]);
  b.set_name(variance_id + "/assign");
  b(Assign{variance_id}, out[2]);
  g.replace_uses(end.id, out[0].id);
}

}  // namespace

TrainingForm to_training_form(const Graph& model, const TrainingFormOptions& options) {
  TrainingForm form;
  form.graph = model;
  Graph& g = form.graph;
  std::set<std::string> taken;
  size_t ordinal = 0;
  for (NodeId id : g.topological_order()) {
    const auto* c = g.handle(id).as<Constant>();
    if (!c) continue;
    ++ordinal;
    Role role = Role::none;
    for (const Reader& r : readers(g, g.node(id).outputs[0])) {
      const Role found = role_of(r.node, r.index, c->value);
      if (role == Role::none || found == Role::weight) role = found;
    }
    if (role == Role::none) continue;
    std::string name = weight_name(g, id, ordinal);
    while (!taken.insert(name).second) name += "'";
    if (options.frozen && options.frozen(name)) continue;
    form.weights.push_back({id, name, role != Role::statistic, role == Role::weight});
    // Masters are f32; a Convert restores what the readers expect.
    const Value old = g.handle(id).output();
    Builder b(g);
    b.set_name(name);
    Value v = b(Variable{c->value.converted(ElementType::f32).clone(), name, role != Role::statistic});
    if (c->value.element_type() != ElementType::f32) v = b(Convert{c->value.element_type()}, v);
    g.replace_uses(old.id, v.id);
    g.remove(id);
  }
  for (NodeId id : g.topological_order()) {
    if (!g.alive(id)) continue;
    const Node n = g.handle(id);
    if (n.is<BatchNormInference>()) train_batch_norm(g, id, options.batch_norm_momentum);
    if (const auto* d = n.as<Dropout>(); d && !d->training) {
      Dropout on = *d;
      on.training = true;
      g.set(id, on);
    }
  }
  g.remove_dead();
  // Variables of norms that were dropped as dead are no weights of this graph.
  std::set<std::string> alive;
  for (NodeId id : g.topological_order()) {
    if (const auto* v = g.handle(id).as<Variable>()) alive.insert(v->variable_id);
  }
  std::erase_if(form.weights, [&](const TrainableWeight& w) { return !alive.contains(w.variable_id); });
  return form;
}

void separate_norms(Graph& model) {
  for (NodeId id : model.topological_order()) {
    if (!model.handle(id).is<BatchNormInference>()) continue;
    for (size_t i = 1; i < 5; ++i) {
      const Node c = model.handle(id).input(i).node();
      if (!c.is<Constant>() || c.output().uses().size() < 2) continue;
      Builder b(model);
      b.set_name(model.handle(id).name() + "/" + std::to_string(i));
      b.set_provenance(model.node(c.id).provenance);
      model.set_input(id, i, b.constant(c.as<Constant>()->value).id);
    }
  }
}

void write_back(Graph& model, const std::vector<TrainableWeight>& weights, const VariableStore& contents) {
  for (const TrainableWeight& w : weights) {
    const auto found = contents.find(w.variable_id);
    if (found == contents.end()) continue;
    const auto* c = model.handle(w.constant).as<Constant>();
    if (!c) throw Error(ErrorCode::failed, "[train] weight '" + w.variable_id + "' has no constant to return to");
    const Tensor& now = found->second.tensor();
    if (now.shape() != c->value.shape())
      throw Error(ErrorCode::failed, "[train] weight '" + w.variable_id + "' changed its shape");
    model.set(w.constant, Constant{now.converted(c->value.element_type()).clone()});
  }
}

}  // namespace hone
