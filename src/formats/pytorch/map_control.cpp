// Higher-order operators: branches, loops, and graphs that are only wrapped.
#include "formats/pytorch/mapping.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/control.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::pytorch {
namespace {

using Kind = Argument::Kind;

// Tensors and symbols of an argument, lists taken apart.
void append(NodeContext& n, const Argument& a, Values& out) {
  if (a.kind == Kind::list) {
    for (const Argument& e : a.list) append(n, e, out);
  } else if (a.kind == Kind::tensor || a.kind == Kind::symbol || a.kind == Kind::integer || a.kind == Kind::real ||
             a.kind == Kind::boolean) {
    out.push_back(n.symbol(a));
  } else if (!a.is_none()) {
    n.refuse("has an argument of a kind that is not offered");
  }
}
Values operands(NodeContext& n, size_t position) {
  Values out;
  if (const Argument* a = n.argument(position)) append(n, *a, out);
  return out;
}
Values operands_from(NodeContext& n, size_t position) {
  Values out;
  for (; n.argument(position); ++position) append(n, *n.argument(position), out);
  return out;
}
Types types_of(const Values& values) {
  Types t;
  for (const Value& v : values) t.push_back(v.type());
  return t;
}

Values condition(NodeContext& n) {
  const Value c = n.cast(n.reshape(n.symbol(*n.argument(size_t{0})), {}), ElementType::boolean);
  Values in = operands_from(n, 3);
  const GraphMessage &yes = n.graph("", 1), &no = n.graph("", 2);
  if (const Tensor known = n.known(c)) return n.importer().inlined(get_integer(known, 0) ? yes : no, in);
  const Types types = types_of(in);
  const auto a = n.importer().region(yes, types), b = n.importer().region(no, types);
  in.insert(in.begin(), c);
  return n.all(If{}, in, {a, b});
}

// The graph applied to values, inside of another region.
Values applied(Builder& b, const Graph& g, const Values& in) {
  return inline_graph(b, g, in);
}

Values while_loop(NodeContext& n) {
  const Values carried = operands(n, 2), extra = operands(n, 3);
  Values all = carried;
  all.insert(all.end(), extra.begin(), extra.end());
  const auto test = n.importer().region(n.graph("", 0), types_of(all)),
             step = n.importer().region(n.graph("", 1), types_of(all));
  auto region = std::make_shared<Graph>();
  Builder b(*region);
  b.parameter(Type(ElementType::i64, PartialShape(Shape{})));
  b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  Values inner;
  for (const Value& v : all) inner.push_back(b.parameter(v.type()));
  Values next = applied(b, *step, inner);
  if (next.size() != carried.size()) n.fail("the body gives back another number of values");
  Values tested = next;
  tested.insert(tested.end(), inner.begin() + std::ssize(carried), inner.end());
  const Values again = applied(b, *test, tested);
  if (again.size() != 1) n.fail("the condition has no value");
  b.result(again[0]);
  for (const Value& v : next) b.result(v);
  const Value first = n.importer().inlined(n.graph("", 0), all).at(0);
  Values in{Value{}, n.reshape(first, {})};
  in.insert(in.end(), all.begin(), all.end());
  Loop op;
  op.num_carried = std::ssize(carried);
  return n.all(op, in, {region});
}

// One pass over slices of axis 0: map, and scan with carried values.
Values over_slices(NodeContext& n, const GraphMessage& body, const Values& carried, const Values& sliced,
                   const Values& extra, bool reverse) {
  if (sliced.empty()) n.fail("has nothing to run over");
  if (reverse) n.refuse("in reverse is not offered");
  Types types = types_of(carried);
  for (const Value& v : sliced) {
    if (n.rank(v) == 0) n.fail("wants tensors with an axis to run over");
    auto dims = v.shape().dims();
    dims.erase(dims.begin());
    types.push_back(Type(v.element_type(), PartialShape(dims)));
  }
  for (const Value& v : extra) types.push_back(v.type());
  const auto inner = n.importer().region(body, types);
  auto region = std::make_shared<Graph>();
  Builder b(*region);
  const Value iteration = b.parameter(Type(ElementType::i64, PartialShape(Shape{})));
  b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  Values in;
  for (const Value& v : carried) in.push_back(b.parameter(v.type()));
  const auto outside = [&](const Value& v) { return b.parameter(v.type()); };
  Values whole, rest;
  for (const Value& v : sliced) whole.push_back(outside(v));
  for (const Value& v : extra) rest.push_back(outside(v));
  for (const Value& v : whole)
    in.push_back(b.add(*find_op("Gather"), std::make_shared<Gather>(), {v, iteration, b.scalar<int64_t>(0)}).output(0));
  in.insert(in.end(), rest.begin(), rest.end());
  const Values out = applied(b, *inner, in);
  if (out.size() < carried.size()) n.fail("the body gives back too few values");
  b.result(b.scalar<bool>(true));
  for (const Value& v : out) b.result(v);
  Values loop{n.dim(sliced[0], 0), n.b.scalar<bool>(true)};
  for (const Values* v : {&carried, &sliced, &extra}) loop.insert(loop.end(), v->begin(), v->end());
  Loop op;
  op.num_carried = std::ssize(carried);
  op.scan_outputs.assign(out.size() - carried.size(), -1);
  return n.all(op, loop, {region});
}
Values map(NodeContext& n) {
  return over_slices(n, n.graph("", 0), {}, operands(n, 1), operands(n, 2), false);
}
Values scan(NodeContext& n) {
  return over_slices(n, n.graph("", 0), operands(n, 1), operands(n, 2), operands_from(n, 3), false);
}

// A graph under a switch that means nothing for inference: gradients off, autocast as it was traced, checkpoints.
Values wrapped(NodeContext& n) {
  size_t at = 0;
  while (n.argument(at) && n.argument(at)->kind != Kind::graph) ++at;
  if (!n.argument(at)) n.fail("a graph argument is missing");
  Values in;
  for (size_t k = at + 1; n.argument(k); ++k) {
    if (n.argument(k)->kind != Kind::text) append(n, *n.argument(k), in);
  }
  return n.importer().inlined(*n.argument(at)->graph, in);
}

// An operator that is kept for what it does beside its results, such as a check: nothing of it is left here.
Values with_effects(NodeContext&) {
  return {};
}

constexpr OperatorRow rows[] = {
    {"higher_order.cond", condition},
    {"higher_order.invoke_subgraph", wrapped},
    {"higher_order.map_impl", map},
    {"higher_order.scan", scan},
    {"higher_order.strict_mode", wrapped},
    {"higher_order.tag_activation_checkpoint", wrapped},
    {"higher_order.while_loop", while_loop},
    {"higher_order.with_effects", with_effects},
    {"higher_order.wrap_activation_checkpoint", wrapped},
    {"higher_order.wrap_with_autocast", wrapped},
    {"higher_order.wrap_with_set_grad_enabled", wrapped},
};

}  // namespace

std::span<const OperatorRow> control_rows() {
  return rows;
}

}  // namespace hone::pytorch
