#include "compile/node_plan.hpp"

#include <algorithm>

#include "compile/epilogue.hpp"
#include "cpu/registry.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

// A Reorder runs at the speed of memory, both ways.
constexpr double reorder_bytes_per_microsecond = 4000;
constexpr size_t shape_like_elements = 32;

bool is_reshape(std::string_view op) {
  return op == "Reshape" || op == "Squeeze" || op == "Unsqueeze";
}

double reorder_microseconds(const TensorDesc& d) {
  return 2.0 * static_cast<double>(d.bytes()) / reorder_bytes_per_microsecond;
}

// Layouts that a node is asked about, and what it costs to bring the inputs into them.
double reorder_cost(const KernelQuery& q, const std::vector<HeldValue>& inputs) {
  double cost = 0;
  for (size_t i = 0; i < q.inputs.size(); ++i) {
    const TensorDesc& d = q.inputs[i];
    if (!d.present || d.constant) continue;
    const bool there = d.layout == Layout::plain ? !inputs[i].plain.is_none() : bool(inputs[i].channels_last);
    if (!there) cost += reorder_microseconds(d);
  }
  // Readers may well take the other layout, so a result in it is not charged in full.
  for (const TensorDesc& d : q.outputs) {
    if (d.present && d.layout != Layout::plain) cost += 0.25 * reorder_microseconds(d);
  }
  return cost;
}

void take_kernel(NodePlan& plan, KernelQuery& q, Choice choice, const std::vector<bool>& in_graph, PackedForms* forms) {
  plan.packed.resize(q.inputs.size());
  for (const PackedInput& p : choice.plan.packs) {
    if (p.input >= q.inputs.size() || !q.inputs[p.input].value)
      throw Error(ErrorCode::failed,
                  std::string("[run] ") + choice.kernel->name + " packs an input that is not constant");
    Tensor& to = plan.packed[p.input];
    if (forms && in_graph[p.input]) {
      Tensor& form = (*forms)[{
          q.inputs[p.input].value.raw(), p.form, std::string(q.op), {q.attributes.begin(), q.attributes.end()}}];
      if (!form) form = choice.kernel->pack(q, p);
      to = form;
    } else {
      to = choice.kernel->pack(q, p);
    }
  }
  for (const PackedInput& p : choice.plan.packs) {
    q.inputs[p.input].packed = p.form;
    q.inputs[p.input].value = Tensor();
  }
  for (const TensorDesc& d : q.inputs) plan.input_layouts.push_back(d.layout);
  for (const TensorDesc& d : q.outputs) {
    plan.output_layouts.push_back(d.layout);
    plan.wanted.push_back(d.present);
  }
  plan.prepared = choice.kernel->prepare(q);
  plan.kernel = choice.kernel->name;
  plan.kind = NodePlan::Kind::kernel;
}

}  // namespace

bool is_shape_like(const Tensor& t) {
  return t.size() <= shape_like_elements && t.rank() <= 1 && t.element_type() != ElementType::string;
}

bool can_be_planned(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  if (!n.regions.empty() || n.op->has_side_effect) return false;
  for (ValueId v : n.inputs) {
    if (v != no_id && (g.value(v).type.quantization || g.value(v).type.layout != Layout::plain)) return false;
  }
  for (ValueId v : n.outputs) {
    const Type& t = g.value(v).type;
    if (!t.is_tensor() || t.element == ElementType::string || t.quantization || t.layout != Layout::plain) return false;
  }
  if (is_reshape(n.op->name) || n.op->name == "Convert") return true;
  const auto rows = cpu::kernels_for(n.op->name);
  return std::any_of(rows.begin(), rows.end(),
                     [](const Kernel* k) { return std::string_view(k->provider) != "reference"; });
}

NodePlan plan_node(const PlannedNode& node, const std::vector<HeldValue>& inputs, bool with_values,
                   const SelectOptions& options, PackedForms& forms) {
  const Graph& g = node.graph;
  const NodeData& n = g.node(node.id);
  NodePlan plan;
  // The node alone, with everything that is known now.
  Graph alone;
  Builder b(alone);
  Values in;
  std::vector<bool> in_graph(inputs.size(), false);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (n.inputs[i] == no_id || !inputs[i].is_tensor()) {
      in.emplace_back();
      continue;
    }
    const Tensor& t = inputs[i].any();
    if (t.element_type() == ElementType::string || t.size() == 0) return plan;
    in_graph[i] = static_cast<bool>(g.value_handle(n.inputs[i]).constant());
    if (in_graph[i] || (with_values && is_shape_like(t) && !inputs[i].plain.is_none()))
      in.push_back(b.constant(inputs[i].plain.tensor()));
    else
      in.push_back(b.parameter(t.element_type(), PartialShape(t.shape())));
  }
  NodeId id;
  std::optional<Epilogue> epilogue;
  try {
    const Values operands(in.begin() + static_cast<std::ptrdiff_t>(g.num_op_inputs(node.id)), in.end());
    in.resize(in.size() - operands.size());
    id = b.add(*n.op, n.attributes, in).id;
    if (n.epilogue) {
      std::vector<ValueId> ids;
      for (const Value& v : operands) ids.push_back(v.id);
      alone.set_epilogue(id, n.epilogue, ids);
    }
    epilogue = lower_epilogue(alone, id);
  } catch (const Error&) {
    return plan;  // the evaluation says it better
  }
  if (!epilogue) return plan;
  for (ValueId v : alone.node(id).outputs) {
    const Type& t = alone.value(v).type;
    if (!t.is_static()) return plan;
    plan.types.push_back(t.element);
    plan.shapes.push_back(t.shape.to_shape());
  }
  const bool plain_first = !inputs.empty() && inputs[0].is_tensor() && !inputs[0].plain.is_none();
  if (plain_first && !n.epilogue && (is_reshape(n.op->name) || n.op->name == "Convert") &&
      plan.types[0] == inputs[0].any().element_type()) {
    plan.kind = NodePlan::Kind::view;
    plan.kernel = "view";
    return plan;
  }
  KernelQuery plain = query_of(alone, id, *epilogue, node.attributes, options);
  for (size_t o = 0; o < plain.outputs.size(); ++o) plain.outputs[o].present = !g.value(n.outputs[o]).uses.empty();
  KernelQuery last = plain;
  set_image_layouts(alone, id, Layout::channels_last, last);
  const auto moved = [](const TensorDesc& d) { return d.layout != Layout::plain; };
  const bool two = std::any_of(last.inputs.begin(), last.inputs.end(), moved);
  auto choice = select_kernel(plain, nullptr, &options);
  auto other = two ? select_kernel(last, nullptr, &options) : std::nullopt;
  if (choice && choice->is_reference()) choice.reset();
  if (other && other->is_reference()) other.reset();
  if (!choice && !other) return plan;
  const bool takes_last = other && (!choice || other->plan.cost + reorder_cost(last, inputs) <
                                                   choice->plan.cost + reorder_cost(plain, inputs));
  try {
    take_kernel(plan, takes_last ? last : plain, *(takes_last ? other : choice), in_graph, &forms);
  } catch (const Error&) {
    plan = NodePlan();
  }
  return plan;
}

NodePlan plan_reorder(const Tensor& t, Layout from, Layout to, const SelectOptions& options) {
  Graph alone;
  Builder b(alone);
  Type type(t.element_type(), PartialShape(t.shape()));
  type.layout = from;
  const Reorder reorder{to == Layout::plain ? LayoutName::plain : LayoutName::channels_last};
  const Value y = b(reorder, b.parameter(type));
  const NodeId id = y.node().id;
  const auto bytes = attribute_bytes(y.node().op(), alone.node(id).attributes.get());
  KernelQuery q = query_of(alone, id, {}, bytes, options);
  q.outputs[0].present = true;
  auto choice = select_kernel(q, nullptr, &options);
  if (!choice) throw Error(ErrorCode::unsupported, "[Reorder] no kernel takes " + to_string(type));
  NodePlan plan;
  plan.types = {t.element_type()};
  plan.shapes = {t.shape()};
  take_kernel(plan, q, std::move(*choice), {false}, nullptr);
  return plan;
}

}  // namespace hone
