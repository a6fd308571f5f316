#include "formats/prepare.hpp"

#include <algorithm>
#include <numbers>

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/recurrent.hpp"
#include "ops/registry.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

[[noreturn]] void refuse(const NodeData& n, const std::string& why) {
  throw Error(ErrorCode::unsupported, "[" + std::string(n.op->name) + "] " + why,
              n.name.empty() ? "" : "node '" + n.name + "'");
}

class Preparation {
 public:
  Preparation(const Graph& g, const FormatRules& rules) : g_(g), b_(g_), rules_(rules) {}

  Graph run() {
    // Expansions may need expanding themselves.
    for (int round = 0; round < 16; ++round) {
      bool changed = false;
      for (NodeId id : g_.topological_order()) {
        if (g_.alive(id)) changed |= change(id);
      }
      g_.remove_dead();
      if (!changed) return std::move(g_);
    }
    throw Error(ErrorCode::failed, "[write] expansions do not come to an end");
  }

 private:
  template <class Op, class... V>
  Value add(Op op, V... in) {
    const OpDef* def = find_op(Op::name);
    if (!def) throw Error(ErrorCode::unsupported, std::string("[write] needs operator ") + Op::name);
    return b_.add(*def, std::make_shared<Op>(std::move(op)), Values{in...}).output(0);
  }

  void replace(NodeId id, const Values& with) {
    const auto outputs = g_.node(id).outputs;
    for (size_t i = 0; i < outputs.size() && i < with.size(); ++i) {
      if (with[i]) g_.replace_uses(outputs[i], with[i].id);
    }
    bool used = false;
    for (ValueId v : outputs) used = used || !g_.value(v).uses.empty();
    if (used) refuse(g_.node(id), "an output in use has no counterpart in " + rules_.name);
    g_.remove(id);
  }

  bool change(NodeId id) {
    const NodeData n = g_.node(id);
    const Node node = g_.handle(id);
    for (ValueId v : n.outputs) {
      if (g_.value(v).type.quantization)
        refuse(n, "carries quantization in its type; write the model before it is compiled");
    }
    b_.set_name(n.name);
    b_.set_provenance(n.provenance);
    if (n.epilogue) {
      const size_t own = g_.num_op_inputs(id);
      const Values in = node.inputs();
      Values out =
          b_.add(*n.op, n.attributes, Values(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(own)), n.regions)
              .outputs();
      Values operands{out[0]};
      operands.insert(operands.end(), in.begin() + static_cast<std::ptrdiff_t>(own), in.end());
      Value y = inline_graph(b_, *n.epilogue, operands)[0];
      const ElementType wanted = g_.value(n.outputs[0]).type.element;
      if (y.element_type() != wanted) y = add(Convert{wanted}, y);
      out[0] = y;
      replace(id, out);
      return true;
    }
    if (node.is<Reorder>()) return replace(id, {node.input(0)}), true;
    if (n.op == find_op("Dropout")) return replace(id, {node.input(0)}), true;
    if (n.op == find_op("Variable")) return replace(id, {variable(node)}), true;
    if (rules_.fake_quantize && n.op == find_op("Quantize")) return replace(id, quantize(node)), true;
    if (rules_.fake_quantize && n.op == find_op("Dequantize")) return replace(id, {dequantize(node)}), true;
    if (n.op == find_op("SumToShape")) refuse(n, "is a part of gradients, which " + rules_.name + " lacks");
    if (rules_.whole_sequences && complete_sequence(node)) return true;
    if (rules_.has(g_, id)) return false;
    if (node.is<Atan2>()) return replace(id, {angle(node.input(0), node.input(1))}), true;
    if (!n.op->expand) refuse(n, "has no counterpart in " + rules_.name);
    replace(id, n.op->expand(n.attributes.get(), b_, node.inputs()));
    return true;
  }

  // atan(y / x), on the left moved by half a turn, and a quarter turn where x is 0.
  Value angle(Value y, Value x) {
    const Value zero = b_.like(x, 0), turn = b_.like(x, std::numbers::pi), a = add(Atan{}, add(Divide{}, y, x));
    const Value up = add(GreaterEqual{}, y, zero);
    const Value left = add(Select{}, up, add(Add{}, a, turn), add(Subtract{}, a, turn));
    const Value edge = add(Multiply{}, add(Sign{}, y), b_.like(x, std::numbers::pi / 2));
    const Value rest = add(Select{}, add(Equal{}, x, zero), edge, a);
    return add(Select{}, add(Greater{}, x, zero), a, add(Select{}, add(Less{}, x, zero), left, rest));
  }

  // Lengths and biases that a recurrent sequence leaves out: all of the time axis, and zero.
  bool complete_sequence(Node node) {
    const std::string_view op = node.op().name;
    if (op != "LSTMSequence" && op != "GRUSequence" && op != "RNNSequence") return false;
    const size_t lengths = op == "LSTMSequence" ? 3 : 2, bias = lengths + 3;
    Values in = node.inputs();
    in.resize(std::max(in.size(), bias + 1));
    if (in[lengths] && in[bias]) return false;
    const PartialShape& r = in[lengths + 2].shape();
    if (!in[bias] && !r.is_static()) return false;
    if (!in[lengths]) {
      const Value shape = add(ShapeOf{}, in[0]), axis = b_.scalar<int64_t>(0);
      const Value time = add(Gather{}, shape, b_.ints({1}), axis), batch = add(Gather{}, shape, b_.ints({0}), axis);
      in[lengths] = add(Convert{ElementType::i32}, add(Broadcast{}, time, batch));
    }
    if (!in[bias]) {
      const auto* gru = node.as<GRUSequence>();
      const int64_t rows = r[1].get_length();
      in[bias] = b_.constant(
          Tensor(in[0].element_type(), {r[0].get_length(), gru && gru->linear_before_reset ? rows / 3 * 4 : rows}));
    }
    replace(node.id, b_.add(node.op(), g_.node(node.id).attributes, in).outputs());
    return true;
  }

  // State where something assigns to it, else a constant.
  Value variable(Node node) {
    const auto& v = *static_cast<const Variable*>(g_.node(node.id).attributes.get());
    const Value initial = b_.constant(v.value);
    for (NodeId id : g_.topological_order()) {
      const auto* a = g_.handle(id).as<Assign>();
      if (!a || a->variable_id != v.variable_id) continue;
      if (!rules_.state)
        refuse(g_.node(node.id), "is state that changes from run to run, which " + rules_.name + " lacks");
      return add(ReadValue{v.variable_id, PartialShape(v.value.shape()), v.value.element_type()}, initial);
    }
    return initial;
  }

  // A scale or zero point along `axis` as something that broadcasts over data of this rank.
  Value broadcastable(Value v, Value data, int64_t axis) {
    if (!v.shape().rank_known() || v.shape().rank() != 1) return v;
    if (Tensor t = v.constant(); t && t.size() == 1) return b_.constant(t.reshaped({}));
    if (!data.shape().rank_known())
      throw Error(ErrorCode::unsupported, "[write] quantization by channel needs data of known rank");
    const auto rank = static_cast<int64_t>(data.shape().rank());
    if (axis < 0) axis += rank;
    Shape shape(static_cast<size_t>(rank), 1);
    shape[static_cast<size_t>(axis)] = -1;
    if (Tensor t = v.constant()) {
      shape[static_cast<size_t>(axis)] = static_cast<int64_t>(t.size());
      return b_.constant(t.reshaped(shape));
    }
    return add(Reshape{}, v, b_.ints(shape));
  }
  Value to_float(Value v) {
    if (Tensor t = v.constant()) return b_.constant(t.converted(ElementType::f32));
    return v.element_type() == ElementType::f32 ? v : add(Convert{ElementType::f32}, v);
  }

  Value dequantize(Node node) {
    const auto& d = *static_cast<const Dequantize*>(g_.node(node.id).attributes.get());
    const Value x = node.input(0);
    Value y = add(Convert{ElementType::f32}, x);
    if (const Value zero = node.input(2))
      y = add(Subtract{}, y, add(Convert{ElementType::f32}, broadcastable(zero, x, d.axis)));
    y = add(Multiply{}, y, to_float(broadcastable(node.input(1), x, d.axis)));
    return d.output_type == ElementType::f32 ? y : add(Convert{d.output_type}, y);
  }

  static std::pair<double, double> range_of(const Quantize& q) {
    if (q.low < q.high) return {static_cast<double>(q.low), static_cast<double>(q.high)};
    const int bits = bit_width(q.output_type);
    if (!is_integer(q.output_type) || bits > 16)
      throw Error(ErrorCode::unsupported,
                  std::string("[Quantize] to ") + name_of(q.output_type) + " has no FakeQuantize form");
    const double n = static_cast<double>(int64_t{1} << bits);
    return is_signed(q.output_type) ? std::pair(-n / 2, n / 2 - 1) : std::pair(0.0, n - 1);
  }

  // FakeQuantize to the real values where all that follows is the matching Dequantize; else to the integers, with a
  // Convert.
  Values quantize(Node node) {
    const auto& q = *static_cast<const Quantize*>(g_.node(node.id).attributes.get());
    const auto [low, high] = range_of(q);
    const Value x = node.input(0), scale = to_float(broadcastable(node.input(1), x, q.axis));
    const Value zero = node.input(2) ? to_float(broadcastable(node.input(2), x, q.axis)) : Value{};
    auto bound = [&](double level) {
      const Value l = b_.scalar<float>(static_cast<float>(level));
      if (const Tensor s = scale.constant(), z = zero ? zero.constant() : Tensor::scalar<float>(0); s && z) {
        Tensor t(ElementType::f32, s.size() >= z.size() ? s.shape() : z.shape());
        for (size_t i = 0; i < t.size(); ++i) {
          set_element(t, i, (level - get_element(z, z.size() == 1 ? 0 : i)) * get_element(s, s.size() == 1 ? 0 : i));
        }
        return b_.constant(t);
      }
      return add(Multiply{}, zero ? add(Subtract{}, l, zero) : l, scale);
    };
    const Value il = bound(low), ih = bound(high);
    FakeQuantize f;
    f.levels = static_cast<int64_t>(high - low) + 1;
    const Value real = x.element_type() == ElementType::f32 ? x : add(Convert{ElementType::f32}, x);
    bool all_back = !node.output().uses().empty();
    for (const Use& u : node.output().uses()) {
      const Node user = g_.handle(u.node);
      const auto* d = user.as<Dequantize>();
      all_back = all_back && d && u.index == 0 && d->output_type == ElementType::f32 &&
                 user.input(1) == node.input(1) && user.input(2) == node.input(2);
    }
    if (all_back) {
      const Value y = add(f, real, il, ih, il, ih);
      const auto uses = node.output().uses();
      for (const Use& u : uses) {
        if (!g_.alive(u.node)) continue;
        g_.replace_uses(g_.node(u.node).outputs[0], y.id);
        g_.remove(u.node);
      }
      return {};
    }
    const Value y =
        add(f, real, il, ih, b_.scalar<float>(static_cast<float>(low)), b_.scalar<float>(static_cast<float>(high)));
    return {add(Convert{q.output_type}, y)};
  }

  Graph g_;
  Builder b_;
  const FormatRules& rules_;
};

}  // namespace

Graph prepared_for(const Graph& g, const FormatRules& rules) {
  return Preparation(g, rules).run();
}

}  // namespace hone
