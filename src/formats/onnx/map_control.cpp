// If, Loop, Scan: subgraphs become regions; what they capture becomes inputs.
#include <algorithm>

#include "formats/onnx/mapping.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/evaluate.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::onnx {
namespace {

// The region with parameters for `all` captured values in that order; those that it lacks are made and unused.
std::shared_ptr<Graph> aligned(const Subgraph& s, size_t own, const Values& all) {
  auto g = s.graph;
  std::vector<NodeId> order(g->parameters().begin(), g->parameters().begin() + static_cast<std::ptrdiff_t>(own));
  Builder b(*g);
  for (const Value& v : all) {
    const auto at = std::find(s.captured.begin(), s.captured.end(), v);
    if (at != s.captured.end()) {
      order.push_back(g->parameters()[own + static_cast<size_t>(at - s.captured.begin())]);
    } else {
      order.push_back(b.parameter(v.type()).node().id);
    }
  }
  g->reorder_parameters(std::move(order));
  return g;
}

// The value where it hangs on constants and known shapes alone; an empty tensor otherwise. Small values only.
Tensor folded(Value v, int depth) {
  if (!v || !v.type().is_tensor()) return {};
  if (Tensor t = NodeContext::known(v)) return t;
  const NodeData& d = v.graph->node(v.node().id);
  if (depth == 0 || d.inputs.empty() || !d.regions.empty() || d.epilogue || d.op->has_side_effect) return {};
  std::vector<Datum> inputs;
  for (ValueId id : d.inputs) {
    if (id == no_id) {
      inputs.emplace_back();
      continue;
    }
    Tensor t = folded(v.graph->value_handle(id), depth - 1);
    if (!t || t.size() > 1024) return {};
    inputs.emplace_back(t);
  }
  return evaluate_node(*v.graph, v.node().id, std::move(inputs)).at(v.index()).tensor();
}

// One number of any rank as a scalar.
Value as_scalar(NodeContext& n, Value v) {
  return v.shape().rank_known() && v.shape().rank() > 0 ? n.reshape(v, {}) : v;
}

Values if_else(NodeContext& n) {
  if (const Tensor condition = folded(n.in(0), 24); condition && condition.size() == 1) {
    const Subgraph taken = n.subgraph(get_integer(condition, 0) ? "then_branch" : "else_branch", {});
    return inline_graph(n.b, *taken.graph, taken.captured);
  }
  const Subgraph yes = n.subgraph("then_branch", {}), no = n.subgraph("else_branch", {});
  Values captured = yes.captured;
  for (const Value& v : no.captured) {
    if (std::find(captured.begin(), captured.end(), v) == captured.end()) captured.push_back(v);
  }
  Values in{as_scalar(n, n.in(0))};
  in.insert(in.end(), captured.begin(), captured.end());
  return n.all(If{}, in, {aligned(yes, 0, captured), aligned(no, 0, captured)});
}

Type scalar(ElementType e) {
  return Type(e, PartialShape(Shape{}));
}

// What a carried value may become: dimensions that the body changes are unknown.
Type widened(const Type& a, const Type& b) {
  if (!a.is_tensor() || !b.is_tensor()) return a == b ? a : Type(a);
  Type t = a;
  if (t.element == ElementType::dynamic) t.element = b.element;
  if (!a.shape.rank_known() || !b.shape.rank_known() || a.shape.rank() != b.shape.rank()) {
    t.shape = PartialShape::dynamic();
    return t;
  }
  for (size_t k = 0; k < a.shape.rank(); ++k) {
    if (!a.shape[k].same(b.shape[k])) t.shape[k] = Dimension();
  }
  return t;
}

// Imports a body until the types of its carried values are those that it gives back.
Subgraph stable_body(NodeContext& n, const char* name, Types types, size_t carried_begin, size_t carried) {
  for (int round = 0;; ++round) {
    Subgraph s = n.subgraph(name, types);
    const Values out = s.graph->outputs();
    const size_t first = carried_begin == 0 ? 0 : 1;  // Loop gives its condition first
    if (out.size() < first + carried) n.fail("the body has too few outputs");
    bool same = true;
    for (size_t k = 0; k < carried; ++k) {
      const Type wide = widened(types[carried_begin + k], out[first + k].type());
      if (!(wide == types[carried_begin + k])) {
        types[carried_begin + k] = wide;
        same = false;
      }
    }
    if (same || round == 3) return s;
  }
}

Values loop(NodeContext& n) {
  Types types{scalar(ElementType::i64), scalar(ElementType::boolean)};
  Values in{n.has(0) ? as_scalar(n, n.in(0)) : Value{}, n.has(1) ? as_scalar(n, n.in(1)) : Value{}};
  const size_t carried = n.num_inputs() > 2 ? n.num_inputs() - 2 : 0;
  for (size_t k = 0; k < carried; ++k) {
    in.push_back(n.in(2 + k));
    types.push_back(n.in(2 + k).type());
  }
  for (size_t k = 0; k < 2; ++k) {
    if (in[k] && (!in[k].shape().rank_known() || in[k].shape().rank() == 1)) in[k] = n.reshape(in[k], {});
  }
  const Subgraph body = stable_body(n, "body", types, 2, carried);
  in.insert(in.end(), body.captured.begin(), body.captured.end());
  Loop op;
  op.num_carried = static_cast<int64_t>(carried);
  op.scan_outputs.assign(body.graph->outputs().size() - 1 - carried, -1);
  return n.all(op, in, {body.graph});
}

// Scan = Loop whose body takes its slice of each scanned input by the iteration number.
Values scan_values(NodeContext& n, const Values& given, const char* directions) {
  const auto scanned = static_cast<size_t>(n.i("num_scan_inputs"));
  if (scanned == 0 || scanned > given.size()) n.fail("num_scan_inputs is out of range");
  const size_t carried = given.size() - scanned;
  for (const Value& v : given) {
    if (!v) n.fail("an input is missing");
  }
  const auto in_axes = n.ints("scan_input_axes", std::vector<int64_t>(scanned, 0));
  const auto in_directions = n.ints(directions, std::vector<int64_t>(scanned, 0));
  if (in_axes.size() != scanned || in_directions.size() != scanned)
    n.fail("scan_input_axes or directions have a wrong length");
  Types types;
  for (size_t k = 0; k < carried; ++k) types.push_back(given[k].type());
  std::vector<int64_t> axes;
  for (size_t k = 0; k < scanned; ++k) {
    const Value x = given[carried + k];
    axes.push_back(n.axis(in_axes[k], x));
    std::vector<Dimension> dims = x.shape().dims();
    if (axes[k] >= std::ssize(dims)) n.fail("scan_input_axes is out of range");
    dims.erase(dims.begin() + axes[k]);
    types.push_back(Type(x.element_type(), PartialShape(dims)));
  }
  const Subgraph body = stable_body(n, "body", types, 0, carried);
  const size_t outputs = body.graph->outputs().size() - carried;

  auto region = std::make_shared<Graph>();
  Builder b(*region);
  auto op = [&](auto o, const Values& v) {
    const OpDef* def = find_op(decltype(o)::name);
    if (!def) n.refuse(std::string("needs operator ") + decltype(o)::name + ", which this build lacks");
    return b.add(*def, std::make_shared<decltype(o)>(o), v).output(0);
  };
  const Value iteration = b.parameter(scalar(ElementType::i64));
  b.parameter(scalar(ElementType::boolean));
  Values inner;
  const Values body_inputs = body.graph->inputs();
  for (size_t k = 0; k < carried; ++k) inner.push_back(b.parameter(body_inputs[k].type()));
  Values invariants;
  for (size_t k = 0; k < scanned; ++k) invariants.push_back(b.parameter(given[carried + k].type()));
  for (size_t k = 0; k < scanned; ++k) {
    Value at = iteration;
    if (in_directions[k]) {
      const Value length =
          op(Gather{}, {op(ShapeOf{}, {invariants[k]}), b.scalar<int64_t>(axes[k]), b.scalar<int64_t>(0)});
      at = op(Subtract{}, {op(Subtract{}, {length, b.scalar<int64_t>(1)}), iteration});
    }
    inner.push_back(op(Gather{}, {invariants[k], at, b.scalar<int64_t>(axes[k])}));
  }
  for (const Value& v : body.captured) inner.push_back(b.parameter(v.type()));
  const Values results = inline_graph(b, *body.graph, inner);
  b.result(b.scalar<bool>(true));
  for (const Value& v : results) b.result(v);

  const Value trip = n.gather(n.shape_of(given[carried]), n.int_constant(axes[0]), 0);
  Values in{trip, n.b.scalar<bool>(true)};
  in.insert(in.end(), given.begin(), given.end());
  in.insert(in.end(), body.captured.begin(), body.captured.end());
  Loop l;
  l.num_carried = static_cast<int64_t>(carried);
  l.scan_outputs.assign(outputs, -1);
  Values out = n.all(l, in, {region});
  const auto out_axes = n.ints("scan_output_axes", std::vector<int64_t>(outputs, 0));
  const auto out_directions = n.ints("scan_output_directions", std::vector<int64_t>(outputs, 0));
  if (out_axes.size() != outputs || out_directions.size() != outputs)
    n.fail("scan_output_axes or directions have a wrong length");
  for (size_t k = 0; k < outputs; ++k) {
    Value& y = out[carried + k];
    if (out_directions[k]) y = n(Reverse{{0}}, y);
    const int64_t axis = out_axes[k] == 0 ? 0 : n.axis(out_axes[k], y);
    if (axis == 0) continue;
    std::vector<int64_t> order;
    for (int64_t a = 1; a < static_cast<int64_t>(n.rank(y)); ++a) order.push_back(a);
    order.insert(order.begin() + axis, 0);
    y = n.transpose(y, order);
  }
  return out;
}

// Set 8 scans every sample of a batch by itself: batch on axis 0, time on axis 1, lengths of the sequences as the first
// input.
Values scan_8(NodeContext& n) {
  if (n.has(0))
    n.refuse("of operator set 8 with lengths of sequences is not offered; export with operator set 9 or newer");
  if (n.num_inputs() < 2) n.fail("has no inputs to scan");
  const Values batched(n.inputs().begin() + 1, n.inputs().end());
  for (const Value& v : batched) {
    if (!v) n.fail("an input is missing");
  }
  const PartialShape& shape = batched.back().shape();
  if (!shape.rank_known() || shape.rank() < 1 || shape[0].is_dynamic() || shape[0].get_length() > 256)
    n.refuse("of operator set 8 needs a static batch of at most 256");
  std::vector<Values> parts;
  for (int64_t i = 0; i < shape[0].get_length(); ++i) {
    Values sample;
    for (const Value& v : batched) sample.push_back(n.gather(v, n.int_constant(i), 0));
    const Values out = scan_values(n, sample, "directions");
    parts.resize(out.size());
    for (size_t k = 0; k < out.size(); ++k) parts[k].push_back(n.unsqueeze(out[k], {0}));
  }
  Values out;
  for (const Values& p : parts) out.push_back(n.concat(p, 0));
  return out;
}

Values scan(NodeContext& n) {
  return n.version < 9 ? scan_8(n) : scan_values(n, n.inputs(), "scan_input_directions");
}

constexpr OperatorRow rows[] = {
    {"If", 1, if_else},
    {"Loop", 1, loop},
    {"Scan", 8, scan},
};

}  // namespace

std::span<const OperatorRow> control_rows() {
  return rows;
}

}  // namespace hone::onnx
