#include "compile/epilogue.hpp"

#include <unordered_map>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

const std::unordered_map<std::string_view, EpilogueOp>& two_operands() {
  static const std::unordered_map<std::string_view, EpilogueOp> ops = {
      {"Add", EpilogueOp::add},       {"Subtract", EpilogueOp::subtract}, {"Multiply", EpilogueOp::multiply},
      {"Divide", EpilogueOp::divide}, {"Maximum", EpilogueOp::maximum},   {"Minimum", EpilogueOp::minimum},
      {"PRelu", EpilogueOp::prelu}};
  return ops;
}
const std::unordered_map<std::string_view, EpilogueOp>& one_operand() {
  static const std::unordered_map<std::string_view, EpilogueOp> ops = {
      {"Relu", EpilogueOp::relu},         {"Sigmoid", EpilogueOp::sigmoid},   {"Tanh", EpilogueOp::tanh},
      {"HSwish", EpilogueOp::hswish},     {"HSigmoid", EpilogueOp::hsigmoid}, {"SoftPlus", EpilogueOp::softplus},
      {"Mish", EpilogueOp::mish},         {"Exp", EpilogueOp::exp},           {"Abs", EpilogueOp::abs},
      {"Negative", EpilogueOp::negative}, {"Sqrt", EpilogueOp::sqrt}};
  return ops;
}

// A value inside the region: a number of the epilogue, or a constant scalar.
struct Known {
  int16_t number = -1;
  bool scalar = false;
  float value = 0;
};

int64_t product(const Shape& s, size_t begin) {
  int64_t n = 1;
  for (size_t i = begin; i < s.size(); ++i) n *= s[i];
  return n;
}

// How an operand of this shape meets the result, where that is one of the spreads that kernels know.
std::optional<Spread> spread_of(Shape operand, const Shape& result, bool channels_at_end) {
  const int64_t n = product(operand, 0);
  if (n == 1) return Spread::scalar;
  if (operand == result) return Spread::full;
  if (operand.size() > result.size()) return std::nullopt;
  operand.insert(operand.begin(), result.size() - operand.size(), 1);
  if (operand == result) return Spread::full;
  const size_t axis = channels_at_end || result.size() < 2 ? result.size() - 1 : 1;
  if (operand[axis] != result[axis]) return std::nullopt;
  if (n == result[axis]) return Spread::per_channel;
  if (!channels_at_end && operand[0] == result[0] && n == result[0] * result[1]) return Spread::per_row;
  return std::nullopt;
}

}  // namespace

std::optional<Epilogue> lower_epilogue(const Graph& g, NodeId id, std::string* why) {
  Epilogue e;
  const NodeData& n = g.node(id);
  if (!n.epilogue) return e;
  const auto refuse = [&](const std::string& s) {
    if (why) *why = "epilogue: " + s;
    return std::nullopt;
  };
  const Type& out = g.value(n.outputs[0]).type;
  if (!out.is_static()) return refuse("the shape is not static");
  const Shape result = out.shape.to_shape();
  const bool at_end = n.op->name.ends_with("MatMul");
  const Graph& r = *n.epilogue;
  const size_t op_inputs = g.num_op_inputs(id);
  std::unordered_map<ValueId, Known> values;
  values[r.node(r.parameters()[0]).outputs[0]] = {0};
  for (size_t p = 1; p < r.parameters().size(); ++p) {
    const auto input = static_cast<uint32_t>(op_inputs + p - 1);
    const Type& t = g.value(n.inputs[input]).type;
    if (!t.is_static()) return refuse("an operand is not static");
    const auto spread = spread_of(t.shape.to_shape(), result, at_end);
    if (!spread)
      return refuse("an operand of shape " + to_string(t.shape) + " is neither scalar, per channel, per row nor full");
    e.operands.push_back({input, *spread});
    values[r.node(r.parameters()[p]).outputs[0]] = {static_cast<int16_t>(p)};
  }
  int16_t next = static_cast<int16_t>(r.parameters().size());
  const auto step = [&](ValueId v, EpilogueOp op, int16_t a, int16_t b = -1, float alpha = 0, float beta = 0) {
    e.steps.push_back({op, a, b, alpha, beta});
    values[v] = {next++};
  };
  for (NodeId k : r.topological_order()) {
    const NodeData& m = r.node(k);
    const std::string_view op = m.op->name;
    if (op == "Parameter" || op == "Result") continue;
    if (m.outputs.size() != 1) return refuse(std::string(op) + " has no step form");
    const ValueId v = m.outputs[0];
    if (op == "Constant") {
      const Tensor c = r.value_handle(v).constant();
      if (c.size() != 1) return refuse("a constant inside that is not a scalar");
      values[v] = {-1, true, static_cast<float>(get_element(c, 0))};
      continue;
    }
    std::vector<Known> in;
    for (ValueId i : m.inputs) {
      if (i == no_id) return refuse(std::string(op) + " with an absent input");
      in.push_back(values.at(i));
    }
    const auto* as_clamp = op == "Clamp" ? static_cast<const Clamp*>(m.attributes.get()) : nullptr;
    const bool all_scalar = std::all_of(in.begin(), in.end(), [](const Known& x) { return x.scalar; });
    if (all_scalar) return refuse("arithmetic on constants alone");
    if (op == "Convert") {  // everything inside is f32
      values[v] = in[0];
    } else if (const auto two = two_operands().find(op); two != two_operands().end()) {
      if (!in[0].scalar && !in[1].scalar) {
        step(v, two->second, in[0].number, in[1].number);
        continue;
      }
      const bool right = in[1].scalar;
      const int16_t x = right ? in[0].number : in[1].number;
      const float c = right ? in[1].value : in[0].value;
      constexpr float infinity = std::numeric_limits<float>::infinity();
      switch (two->second) {
        case EpilogueOp::add:
          step(v, EpilogueOp::scale_shift, x, -1, 1, c);
          break;
        case EpilogueOp::subtract:
          step(v, EpilogueOp::scale_shift, x, -1, right ? 1 : -1, right ? -c : c);
          break;
        case EpilogueOp::multiply:
          step(v, EpilogueOp::scale_shift, x, -1, c, 0);
          break;
        case EpilogueOp::divide:
          if (!right) return refuse("a constant divided by the result");
          step(v, EpilogueOp::scale_shift, x, -1, 1 / c, 0);
          break;
        case EpilogueOp::maximum:
          step(v, EpilogueOp::clamp, x, -1, c, infinity);
          break;
        case EpilogueOp::minimum:
          step(v, EpilogueOp::clamp, x, -1, -infinity, c);
          break;
        case EpilogueOp::prelu:
          if (!right) return refuse("PRelu of a constant");
          step(v, EpilogueOp::leaky_relu, x, -1, c);
          break;
        default:
          return refuse(std::string(op) + " has no step form");
      }
    } else if (in[0].scalar) {
      return refuse("arithmetic on constants alone");
    } else if (const auto one = one_operand().find(op); one != one_operand().end()) {
      step(v, one->second, in[0].number);
    } else if (op == "Round" && static_cast<const Round*>(m.attributes.get())->mode == RoundMode::half_to_even) {
      step(v, EpilogueOp::round, in[0].number);
    } else if (as_clamp) {
      step(v, EpilogueOp::clamp, in[0].number, -1, static_cast<float>(as_clamp->min),
           static_cast<float>(as_clamp->max));
    } else if (op == "Elu") {
      step(v, EpilogueOp::elu, in[0].number, -1,
           static_cast<float>(static_cast<const Elu*>(m.attributes.get())->alpha));
    } else if (op == "Gelu") {
      const bool erf = static_cast<const Gelu*>(m.attributes.get())->approximation_mode == GeluMode::erf;
      step(v, erf ? EpilogueOp::gelu_erf : EpilogueOp::gelu_tanh, in[0].number);
    } else if (op == "Swish" && (in.size() == 1 || in[1].scalar)) {
      step(v, EpilogueOp::swish, in[0].number, -1, in.size() == 1 ? 1.f : in[1].value);
    } else if (op == "HardSigmoid" && in.size() == 3 && in[1].scalar && in[2].scalar) {
      step(v, EpilogueOp::hard_sigmoid, in[0].number, -1, in[1].value, in[2].value);
    } else {
      return refuse(std::string(op) + " has no step form");
    }
  }
  // The last value is the one stored: where the region ends on another one (a Convert of an operand), an identity step
  // makes it last.
  const Known last = values.at(r.node(r.results()[0]).inputs[0]);
  if (last.scalar) return refuse("the result is a constant");
  if (last.number != next - 1) e.steps.push_back({EpilogueOp::scale_shift, last.number, -1, 1, 0});
  return e;
}

}  // namespace hone
