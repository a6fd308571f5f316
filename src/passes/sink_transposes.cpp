#include <algorithm>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/registry.hpp"
#include "ops/resize.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"
#include "rewrite/clean.hpp"
#include "rewrite/fold.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

// Axis i of a transposed value is axis order[i] of the value.
using Order = std::vector<int64_t>;

std::optional<Order> order_of(Node n) {
  if (!n || !n.is<Transpose>()) return std::nullopt;
  Order order;
  if (n.input(1)) {
    const auto known = known_ints(n.input(1));
    if (!known) return std::nullopt;
    order = *known;
  }
  if (order.empty()) {
    if (!n.input(0).shape().rank_known()) return std::nullopt;
    for (size_t i = n.input(0).shape().rank(); i-- > 0;) order.push_back(static_cast<int64_t>(i));
  }
  return order;
}

Order inverse(const Order& order) {
  Order out(order.size());
  for (size_t i = 0; i < order.size(); ++i) out[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return out;
}

Value transposed(Builder& b, Value v, const Order& order) {
  return is_identity(order) ? v : b(Transpose{}, v, b.ints(order));
}

// What is left of an order where some axes of the transposed value go.
Order without(const Order& order, const std::vector<int64_t>& gone) {
  Order out;
  for (size_t i = 0; i < order.size(); ++i) {
    if (std::find(gone.begin(), gone.end(), static_cast<int64_t>(i)) == gone.end()) out.push_back(order[i]);
  }
  Order sorted = out;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t& a : out) a = std::lower_bound(sorted.begin(), sorted.end(), a) - sorted.begin();
  return out;
}

// An operand beside a transposed value, as it meets the value before its transposition: another transposed value of the
// same order, or a weight. Null where it is neither.
Value before_transpose(Builder& b, Value v, const Order& order) {
  if (const auto o = order_of(v.node()); o && *o == order) return v.node().input(0);
  const PartialShape s = v.shape();
  if (!s.is_static() || s.rank() > order.size()) return {};
  if (element_count(s.to_shape()) == 1 && s.rank() == 0) return v;
  if (!is_parameter_like(v)) return {};
  Shape padded = s.to_shape();
  padded.insert(padded.begin(), order.size() - padded.size(), 1);
  const Value full = padded == s.to_shape() ? v : b(Reshape{}, v, b.ints(padded));
  return transposed(b, full, inverse(order));
}

// Elementwise operators and quantizers: all inputs move in front of the transposition.
Rule elementwise(const char* name, std::vector<const OpDef*> ops) {
  const Pattern root = op_pattern(std::move(ops), {}, true);
  return rule(name, root, [=](const Match& m, Builder& b) -> Value {
    const Node n = m.root();
    std::optional<Order> order;
    for (const Value& v : n.inputs()) {
      if (!v) return {};
      if (!order && order_of(v.node())) order = order_of(v.node());
    }
    if (!order || n.num_outputs() != 1 || !n.output().shape().rank_known() ||
        n.output().shape().rank() != order->size())
      return {};
    const bool unary = is_unary_elementwise(n.op());
    Values in;
    for (size_t i = 0; i < n.num_inputs(); ++i) {
      const Value v = unary && i > 0 ? n.input(i) : before_transpose(b, n.input(i), *order);
      if (!v) return {};
      in.push_back(v);
    }
    return transposed(b, b.add(n.op(), b.graph().node(n.id).attributes, in).output(0), *order);
  });
}

template <class Op, class Build>
Rule one_input(const char* name, Build build) {
  return rule(name, op<Op>(), [=](const Match& m, Builder& b) -> Values {
    const Node n = m.root();
    const Node t = n.input(0).node();
    const auto order = order_of(t);
    return order ? build(n, t.input(0), *order, b) : Values{};
  });
}

// One slope for all.
Values one_slope(Node n, Value x, const Order& order, Builder& b) {
  const PartialShape slope = n.input(1).shape();
  if (!slope.is_static() || element_count(slope.to_shape()) != 1) return {};
  return {transposed(b, b(PRelu{}, x, on_axis(b, n.input(1), 0, 1)), order)};
}

std::optional<std::vector<int64_t>> mapped_axes(Value axes, const Order& order) {
  const auto known = known_ints(axes);
  if (!known) return std::nullopt;
  std::vector<int64_t> out;
  for (int64_t a : *known) {
    if (a < 0) a += static_cast<int64_t>(order.size());
    if (a < 0 || a >= static_cast<int64_t>(order.size())) return std::nullopt;
    out.push_back(order[static_cast<size_t>(a)]);
  }
  return out;
}

// Numbers per axis, in the order of the value before its transposition.
std::optional<std::vector<int64_t>> mapped_list(Value list, const Order& order) {
  const auto known = known_ints(list);
  if (!known || known->size() != order.size()) return std::nullopt;
  std::vector<int64_t> out(order.size());
  for (size_t i = 0; i < order.size(); ++i) out[static_cast<size_t>(order[i])] = (*known)[i];
  return out;
}

template <class Op>
Rule reduction(const char* name) {
  return one_input<Op>(name, [](Node n, Value x, const Order& order, Builder& b) -> Values {
    const auto axes = mapped_axes(n.input(1), order);
    if (!axes) return {};
    const Op op = *n.as<Op>();
    const Value y = b(Op(op), x, b.ints(*axes));
    if (op.keep_dims) return {transposed(b, y, order)};
    const auto gone = positive_axes(*known_ints(n.input(1)), n.input(0).shape());
    return gone ? Values{transposed(b, y, without(order, *gone))} : Values{};
  });
}

template <class Op>
Rule softmax(const char* name) {
  return one_input<Op>(name, [](Node n, Value x, const Order& order, Builder& b) -> Values {
    const auto axis = positive_axes({n.as<Op>()->axis}, n.input(0).shape());
    if (!axis) return {};
    return {transposed(b, b(Op{order[static_cast<size_t>((*axis)[0])]}, x), order)};
  });
}

Values split(Node n, Value x, const Order& order, Builder& b) {
  const auto axis = mapped_axes(n.input(1), order);
  if (!axis || axis->size() != 1) return {};
  Values in = n.inputs();
  in[0] = x;
  in[1] = b.scalar<int64_t>((*axis)[0]);
  Values out;
  for (const Value& v : b.add(n.op(), b.graph().node(n.id).attributes, in).outputs())
    out.push_back(transposed(b, v, order));
  return out;
}

Values pad(Node n, Value x, const Order& order, Builder& b) {
  const auto begin = mapped_list(n.input(1), order), end = mapped_list(n.input(2), order);
  if (!begin || !end) return {};
  return {transposed(b, b(Pad(*n.as<Pad>()), Values{x, b.ints(*begin), b.ints(*end), n.input(3)}), order)};
}

Values tile(Node n, Value x, const Order& order, Builder& b) {
  const auto repeats = mapped_list(n.input(1), order);
  return repeats ? Values{transposed(b, b(Tile{}, x, b.ints(*repeats)), order)} : Values{};
}

Values slice(Node n, Value x, const Order& order, Builder& b) {
  std::vector<int64_t> all;
  const auto start = known_ints(n.input(1));
  if (!start) return {};
  for (size_t i = 0; i < start->size(); ++i) all.push_back(static_cast<int64_t>(i));
  const auto axes = n.input(4) ? mapped_axes(n.input(4), order) : mapped_axes(b.ints(all), order);
  return axes ? Values{transposed(b, b(Slice{}, Values{x, n.input(1), n.input(2), n.input(3), b.ints(*axes)}), order)}
              : Values{};
}

// Plain strides over all axes; masks move with their axes.
Values strided_slice(Node n, Value x, const Order& order, Builder& b) {
  StridedSlice a = *n.as<StridedSlice>();
  const auto none = [](const std::vector<int64_t>& mask) {
    return std::all_of(mask.begin(), mask.end(), [](int64_t v) { return v == 0; });
  };
  if (!none(a.new_axis_mask) || !none(a.shrink_axis_mask) || !none(a.ellipsis_mask)) return {};
  const auto begin = mapped_list(n.input(1), order), end = mapped_list(n.input(2), order);
  const auto stride =
      n.input(3) ? mapped_list(n.input(3), order) : std::optional(std::vector<int64_t>(order.size(), 1));
  if (!begin || !end || !stride) return {};
  for (auto* mask : {&a.begin_mask, &a.end_mask}) {
    mask->resize(order.size(), 0);
    const auto old = *mask;
    for (size_t i = 0; i < order.size(); ++i) (*mask)[static_cast<size_t>(order[i])] = old[i];
  }
  a.new_axis_mask.clear(), a.shrink_axis_mask.clear(), a.ellipsis_mask.clear();
  return {transposed(b, b(std::move(a), x, b.ints(*begin), b.ints(*end), b.ints(*stride)), order)};
}

Values squeeze(Node n, Value x, const Order& order, Builder& b) {
  if (!n.input(1)) return {};
  const auto axes = mapped_axes(n.input(1), order);
  const auto gone = axes ? positive_axes(*known_ints(n.input(1)), n.input(0).shape()) : std::nullopt;
  return gone ? Values{transposed(b, b(Squeeze{}, x, b.ints(*axes)), without(order, *gone))} : Values{};
}

// New axes of size 1 go in front; the order then puts them where they belong.
Values unsqueeze(Node n, Value x, const Order& order, Builder& b) {
  const auto known = known_ints(n.input(1));
  const auto axes = known ? positive_axes(*known, n.output().shape()) : std::nullopt;
  if (!axes) return {};
  const auto count = static_cast<int64_t>(axes->size());
  std::vector<int64_t> front;
  Order out;
  int64_t next_new = 0;
  size_t next_old = 0;
  for (int64_t i = 0; i < count; ++i) front.push_back(i);
  for (int64_t i = 0; i < static_cast<int64_t>(order.size()) + count; ++i) {
    if (std::find(axes->begin(), axes->end(), i) != axes->end())
      out.push_back(next_new++);
    else
      out.push_back(order[next_old++] + count);
  }
  return {transposed(b, b(Unsqueeze{}, x, b.ints(front)), out)};
}

Values interpolate(Node n, Value x, const Order& order, Builder& b) {
  const Interpolate a = *n.as<Interpolate>();
  const auto zero = [](const std::vector<int64_t>& v) {
    return std::all_of(v.begin(), v.end(), [](int64_t p) { return p == 0; });
  };
  if (!zero(a.pads_begin) || !zero(a.pads_end)) return {};
  std::vector<int64_t> all;
  for (size_t i = 0; i < order.size(); ++i) all.push_back(static_cast<int64_t>(i));
  const auto axes = mapped_axes(n.input(2) ? n.input(2) : b.ints(all), order);
  return axes ? Values{transposed(b, b(Interpolate(a), x, n.input(1), b.ints(*axes)), order)} : Values{};
}

Rule concat() {
  return rule("transpose_behind_concat", op<Concat>(), [](const Match& m, Builder& b) -> Value {
    const Node n = m.root();
    const auto order = order_of(n.input(0).node());
    const auto axis = order ? positive_axes({n.as<Concat>()->axis}, n.output().shape()) : std::nullopt;
    if (!axis) return {};
    Values in;
    for (const Value& v : n.inputs()) {
      const Value x =
          v.shape().rank_known() && v.shape().rank() == order->size() ? before_transpose(b, v, *order) : Value{};
      if (!x) return {};
      in.push_back(x);
    }
    return transposed(b, b(Concat{(*order)[static_cast<size_t>((*axis)[0])]}, in), *order);
  });
}

// Two transpositions in a row are one; those that cancel are none.
Rule merge() {
  const auto x = any();
  const auto inner = op<Transpose>(x).more_inputs().shared(), outer = op<Transpose>(inner).more_inputs();
  return rule("transposes_meet", outer, [=](const Match& m, Builder& b) -> Value {
    const auto p = order_of(m.node(inner)), q = order_of(m.node(outer));
    if (!p || !q || p->size() != q->size()) return {};
    Order order;
    for (int64_t axis : *q) order.push_back((*p)[static_cast<size_t>(axis)]);
    return transposed(b, m[x], order);
  });
}

std::vector<Rule> rules() {
  std::vector<const OpDef*> unary, binary;
  for (const char* name :
       {"Abs",   "Negative", "Exp",      "Log",  "Sqrt",        "Sin",    "Cos",      "Erf",       "Floor",   "Ceiling",
        "Sign",  "Round",    "Relu",     "Elu",  "Gelu",        "HSwish", "HSigmoid", "Swish",     "Sigmoid", "Tanh",
        "Clamp", "SoftPlus", "SoftSign", "Mish", "HardSigmoid", "Selu",   "Convert",  "LogicalNot"}) {
    if (const OpDef* op = find_op(name)) unary.push_back(op);
  }
  for (const char* name :
       {"Add", "Subtract", "Multiply", "Divide", "Power", "Maximum", "Minimum", "SquaredDifference", "Equal", "Less",
        "Greater", "LessEqual", "GreaterEqual", "NotEqual", "Select", "FakeQuantize"}) {
    if (const OpDef* op = find_op(name)) binary.push_back(op);
  }
  return {merge(),
          elementwise("transpose_behind_function", unary),
          elementwise("transpose_behind_arithmetic", binary),
          one_input<PRelu>("transpose_behind_slope", one_slope),
          concat(),
          one_input<Split>("transpose_behind_split", split),
          one_input<VariadicSplit>("transpose_behind_variadic_split", split),
          one_input<Pad>("transpose_behind_pad", pad),
          one_input<Tile>("transpose_behind_tile", tile),
          one_input<Slice>("transpose_behind_slice", slice),
          one_input<StridedSlice>("transpose_behind_strided_slice", strided_slice),
          one_input<Squeeze>("transpose_behind_squeeze", squeeze),
          one_input<Unsqueeze>("transpose_behind_unsqueeze", unsqueeze),
          one_input<Interpolate>("transpose_behind_interpolate", interpolate),
          reduction<ReduceSum>("transpose_behind_reduce_sum"),
          reduction<ReduceMean>("transpose_behind_reduce_mean"),
          reduction<ReduceMax>("transpose_behind_reduce_max"),
          reduction<ReduceMin>("transpose_behind_reduce_min"),
          reduction<ReduceProd>("transpose_behind_reduce_prod"),
          reduction<ReduceL1>("transpose_behind_reduce_l1"),
          reduction<ReduceL2>("transpose_behind_reduce_l2"),
          softmax<Softmax>("transpose_behind_softmax"),
          softmax<LogSoftmax>("transpose_behind_log_softmax")};
}

// Elements that transpositions of data move; dynamic dimensions count once.
int64_t moved(const Graph& g) {
  int64_t n = 0;
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id) || !g.handle(id).is<Transpose>() || is_parameter_like(g.handle(id).output())) continue;
    const PartialShape s = g.handle(id).output().shape();
    int64_t size = 1;
    if (s.rank_known()) {
      for (const Dimension& d : s.dims()) size *= std::clamp<int64_t>(d.is_static() ? d.min() : 1, 1, 1 << 20);
    }
    n += size;
  }
  return n;
}

}  // namespace

Pass sink_transposes_pass() {
  Pass pass;
  pass.name = "sink_transposes";
  pass.run = [rules = rules()](Graph& g, PassContext& context) -> size_t {
    // A transposition read by many sinks into each of them: worth it only where enough of them cancel.
    const int64_t before = moved(g);
    if (before == 0) return 0;
    Transaction t(g);
    RuleCounts counts = apply_rules(g, rules);
    merge_common_subexpressions(g);
    if (moved(g) >= before) return 0;
    t.commit();
    context.result.rules = std::move(counts);
    return context.result.rules.total();
  };
  return pass;
}

}  // namespace hone
