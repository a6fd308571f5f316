#include "grad/train_step.hpp"

#include <map>

#include "grad/clip_units.hpp"
#include "grad/differentiate.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/conversion.hpp"
#include "ops/loss.hpp"
#include "ops/movement.hpp"
#include "ops/optimizer.hpp"

namespace hone {
namespace {

// State of the optimizer beside a parameter: zeros of its shape.
Value state(Builder& b, const Tensor& like, const std::string& name) {
  b.set_name(name);
  return b(Variable{Tensor(ElementType::f32, like.shape()), name, false});
}

void assign(Builder& b, const std::string& name, Value v) {
  b.set_name(name + "/assign");
  b(Assign{name}, v);
}

struct Parameters {
  std::vector<std::string> names;
  Values values, gradients;
  std::vector<Tensor> initial;
  std::vector<int64_t> decay_mask;
};

// Outputs of the optimizer come in groups of K; group `k` is assigned to the variables `names[i]` with a prefix.
void assign_group(Builder& b, const Values& out, size_t group, const std::vector<std::string>& names,
                  const std::string& prefix) {
  for (size_t i = 0; i < names.size(); ++i) assign(b, prefix + names[i], out[group * names.size() + i]);
}

void append_group(Values& in, Builder& b, const Parameters& p, const std::string& prefix) {
  for (size_t i = 0; i < p.names.size(); ++i) in.push_back(state(b, p.initial[i], prefix + p.names[i]));
}

// Files may shape probabilities behind their Softmax ([N, C, 1, 1] to [N, C]), or give each class one of its own by a
// Sigmoid: the loss is computed from the scores before either.
void leave_probabilities_out(Graph& g) {
  if (g.results().empty() || !g.outputs()[0].type().is_tensor()) return;
  const PartialShape classes = g.outputs()[0].shape();
  if (!classes.rank_known() || classes.rank() != 2 || classes[1] == Dimension(1)) return;
  Node n = g.outputs()[0].node();
  while (n.is<Reshape>() || n.is<Squeeze>() || n.is<Convert>() || n.is<Identity>()) n = n.input(0).node();
  int64_t axis = -1;
  if (const auto* s = n.as<Softmax>())
    axis = s->axis;
  else if (const auto* l = n.as<LogSoftmax>())
    axis = l->axis;
  else if (!n.is<Sigmoid>())
    return;
  const PartialShape& shape = n.output().shape();
  if (!shape.rank_known()) return;
  if (axis < 0) axis += static_cast<int64_t>(shape.rank());
  if (n.is<Sigmoid>() || shape[static_cast<size_t>(axis)] == classes[1]) g.replace_uses(n.output().id, n.input(0).id);
}

}  // namespace

Value logits_of(const Graph& model) {
  if (model.results().empty()) throw Error(ErrorCode::unsupported, "[train] the model has no output");
  Value y = model.outputs()[0];
  const Node n = y.node();
  if (n.is<Softmax>() || n.is<LogSoftmax>()) y = n.input(0);
  if (!y.type().is_tensor() || !y.shape().rank_known() || y.shape().rank() != 2) {
    throw Error(ErrorCode::unsupported,
                "[train] a classifier with an output [N, classes] is expected, this one gives " + to_string(y.type()));
  }
  return y;
}

TrainStep train_step(const Graph& model, const TrainStepOptions& o, const TrainingFormOptions& form_options,
                     bool label_probabilities) {
  TrainingForm form = to_training_form(model, form_options);
  TrainStep step{std::move(form.graph), std::move(form.weights)};
  Graph& g = step.graph;
  Builder b(g);
  leave_probabilities_out(g);
  Value logits = logits_of(g);
  if (logits.element_type() != ElementType::f32) logits = b(Convert{ElementType::f32}, logits);
  for (NodeId r : std::vector<NodeId>(g.results())) g.remove(r);
  const PartialShape& shape = logits.shape();
  const Value labels = label_probabilities ? b.parameter(ElementType::f32, PartialShape{shape[0], shape[1]}, "labels")
                                           : b.parameter(ElementType::i64, PartialShape{shape[0]}, "labels");
  const Value rate = b.parameter(ElementType::f32, PartialShape(Shape{}), "learning_rate");
  b.set_name("loss");
  const Value loss = b(SoftmaxCrossEntropy{.label_smoothing = o.label_smoothing}, logits, labels);

  Parameters p;
  std::map<std::string, Value> variables;
  for (NodeId id : g.topological_order()) {
    if (const auto* v = g.handle(id).as<Variable>(); v && v->trainable)
      variables[v->variable_id] = g.handle(id).output();
  }
  for (const TrainableWeight& w : step.weights) {
    const auto found = variables.find(w.variable_id);
    if (!w.trainable || found == variables.end()) continue;
    p.names.push_back(w.variable_id);
    p.values.push_back(found->second);
    p.initial.push_back(found->second.node().as<Variable>()->value);
    p.decay_mask.push_back(w.decays);
  }
  if (p.names.empty()) throw Error(ErrorCode::unsupported, "[train] the model has no trainable weights");
  p.gradients = differentiate(loss, p.values);
  for (size_t i = p.names.size(); i-- > 0;) {
    if (p.gradients[i]) continue;  // the loss does not depend on it
    p.names.erase(p.names.begin() + static_cast<std::ptrdiff_t>(i));
    p.values.erase(p.values.begin() + static_cast<std::ptrdiff_t>(i));
    p.gradients.erase(p.gradients.begin() + static_cast<std::ptrdiff_t>(i));
    p.initial.erase(p.initial.begin() + static_cast<std::ptrdiff_t>(i));
    p.decay_mask.erase(p.decay_mask.begin() + static_cast<std::ptrdiff_t>(i));
  }
  const auto count = static_cast<int64_t>(p.names.size());
  if (o.unit_clip > 0) {
    for (size_t i = 0; i < p.names.size(); ++i) {
      b.set_name(p.names[i] + "/clip");
      p.gradients[i] = clip_units(b, p.values[i], p.gradients[i], o.unit_clip);
    }
  }
  b.set_name("gradient_scale");
  const Values scale = b.all(GradientScale{o.clip_norm}, p.gradients);
  b.set_name("optimizer");
  Values in{rate, scale[0]}, out;
  if (o.optimizer == OptimizerKind::sgd) {
    in.insert(in.end(), p.values.begin(), p.values.end());
    in.insert(in.end(), p.gradients.begin(), p.gradients.end());
    append_group(in, b, p, "momentum/");
    out = b.all(SgdStep{count, o.momentum, o.nesterov, o.weight_decay, p.decay_mask}, in);
    assign_group(b, out, 0, p.names, "");
    assign_group(b, out, 1, p.names, "momentum/");
  } else {
    in.push_back(b.parameter(ElementType::f32, PartialShape(Shape{}), "step"));
    in.insert(in.end(), p.values.begin(), p.values.end());
    in.insert(in.end(), p.gradients.begin(), p.gradients.end());
    append_group(in, b, p, "moment1/");
    append_group(in, b, p, "moment2/");
    out = b.all(AdamWStep{count, o.beta1, o.beta2, o.epsilon, o.weight_decay, p.decay_mask}, in);
    assign_group(b, out, 0, p.names, "");
    assign_group(b, out, 1, p.names, "moment1/");
    assign_group(b, out, 2, p.names, "moment2/");
  }
  if (o.ema_decay > 0) {
    Values ema{b.parameter(ElementType::f32, PartialShape(Shape{}), "ema_decay")};
    for (size_t i = 0; i < p.names.size(); ++i) {
      b.set_name(ema_name(p.names[i]));
      ema.push_back(b(Variable{p.initial[i].clone(), ema_name(p.names[i]), false}));
    }
    ema.insert(ema.end(), out.begin(), out.begin() + count);
    b.set_name("ema");
    assign_group(b, b.all(EmaStep{count}, ema), 0, p.names, "ema/");
  }
  const auto result = [&](Value v, const char* name) {
    if (v.names().empty()) g.set_names(v.id, {name});
    b.result(v, name);
  };
  result(loss, "loss");
  result(logits, "logits");
  result(scale[1], "gradient_norm");
  g.remove_dead();
  verify(g);
  return step;
}

}  // namespace hone
