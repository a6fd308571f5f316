// Elementwise operators, activations and reductions as ONNX nodes.
#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

// Operators that are the same under another name.
struct Renamed {
  std::string_view hone;
  const char* onnx;
};
constexpr Renamed renamed[] = {
    // clang-format off
    {"Abs", "Abs"}, {"Acos", "Acos"}, {"Acosh", "Acosh"}, {"Add", "Add"}, {"Asin", "Asin"}, {"Asinh", "Asinh"}, {"Atan", "Atan"}, {"Atanh", "Atanh"},
    {"BitwiseAnd", "BitwiseAnd"}, {"BitwiseNot", "BitwiseNot"}, {"BitwiseOr", "BitwiseOr"}, {"BitwiseXor", "BitwiseXor"}, {"Ceiling", "Ceil"}, {"Cos", "Cos"},
    {"Cosh", "Cosh"}, {"Equal", "Equal"}, {"Erf", "Erf"}, {"Exp", "Exp"}, {"Floor", "Floor"}, {"Greater", "Greater"}, {"GreaterEqual", "GreaterOrEqual"},
    {"IsNaN", "IsNaN"}, {"Less", "Less"}, {"LessEqual", "LessOrEqual"}, {"Log", "Log"}, {"LogicalAnd", "And"}, {"LogicalNot", "Not"}, {"LogicalOr", "Or"},
    {"LogicalXor", "Xor"}, {"Maximum", "Max"}, {"Minimum", "Min"}, {"Multiply", "Mul"}, {"Negative", "Neg"}, {"Power", "Pow"}, {"Relu", "Relu"},
    {"Select", "Where"}, {"Sigmoid", "Sigmoid"}, {"Sign", "Sign"}, {"Sin", "Sin"}, {"Sinh", "Sinh"}, {"SoftPlus", "Softplus"}, {"SoftSign", "Softsign"},
    {"Sqrt", "Sqrt"}, {"Subtract", "Sub"}, {"Tan", "Tan"}, {"Tanh", "Tanh"},
    // clang-format on
};

void same(EmitContext& e) {
  for (const Renamed& r : renamed) {
    if (r.hone != e.node.op().name) continue;
    if (r.hone.starts_with("Bitwise")) e.needs(18);
    return e.result(r.onnx, e.ins());
  }
  e.refuse("has no counterpart in ONNX");
}

// Bitwise operators take booleans here and in OpenVINO, and whole numbers only in ONNX.
void bitwise(EmitContext& e) {
  if (e.element(0) != ElementType::boolean) return same(e);
  const std::string_view op = e.node.op().name.substr(std::string_view("Bitwise").size());
  e.result(std::string(op).c_str(), e.ins());
}
void convert(EmitContext& e) {
  e.result("Cast", {e.in(0)}, AttributeList().i("to", onnx_data_type(e.as<Convert>().destination_type)));
}

void round(EmitContext& e) {
  if (e.as<Round>().mode == RoundMode::half_to_even) return e.result("Round", {e.in(0)});
  const auto magnitude = e.op("Floor", {e.op("Add", {e.op("Abs", {e.in(0)}), e.like(0, 0.5)})});
  e.result("Mul", {e.op("Sign", {e.in(0)}), magnitude});
}
void is_inf(EmitContext& e) {
  e.result("IsInf", {e.in(0)},
           AttributeList()
               .i("detect_negative", e.as<IsInf>().detect_negative)
               .i("detect_positive", e.as<IsInf>().detect_positive));
}
void is_finite(EmitContext& e) {
  e.result("Not", {e.op("Or", {e.op("IsNaN", {e.in(0)}), e.op("IsInf", {e.in(0)})})});
}
void not_equal(EmitContext& e) {
  e.result("Not", {e.op("Equal", e.ins())});
}
void squared_difference(EmitContext& e) {
  const auto d = e.op("Sub", e.ins());
  e.result("Mul", {d, d});
}
// ONNX divides integers toward zero, Python toward minus infinity.
void divide(EmitContext& e) {
  if (!is_integer(e.element(0)) || !e.as<Divide>().m_pythondiv || !is_signed(e.element(0)))
    return e.result("Div", e.ins());
  const auto rest = e.op("Mod", e.ins());
  e.result("Div", {e.op("Sub", {e.in(0), rest}), e.in(1)});
}
void mod(EmitContext& e) {
  e.result("Mod", e.ins(), AttributeList().i("fmod", 1));
}
void floor_mod(EmitContext& e) {
  if (is_integer(e.element(0))) return e.result("Mod", e.ins());
  e.result("Sub", {e.in(0), e.op("Mul", {e.op("Floor", {e.op("Div", e.ins())}), e.in(1)})});
}
void shift(EmitContext& e) {
  e.result("BitShift", e.ins(),
           AttributeList().s("direction", e.node.op().name == "BitwiseLeftShift" ? "LEFT" : "RIGHT"));
}

void prelu(EmitContext& e) {
  const Tensor slope = e.known(1);
  if (slope && slope.size() == 1)
    return e.result("LeakyRelu", {e.in(0)}, AttributeList().f("alpha", get_element(slope, 0)));
  std::string s = e.in(1);
  if (e.node.input(1).shape().rank_known() && e.node.input(1).shape().rank() == 1 &&
      e.rank(0) > 2) {  // a vector stands for channels
    std::vector<int64_t> axes;
    for (size_t k = 2; k < e.rank(0); ++k) axes.push_back(static_cast<int64_t>(k) - 1);
    if (slope) {
      Shape shape(e.rank(0) - 1, 1);
      shape[0] = static_cast<int64_t>(slope.size());
      s = e.constant(slope.reshaped(shape));
    } else {
      s = e.op("Unsqueeze", {s, e.ints(axes)});
    }
  }
  e.result("PRelu", {e.in(0), s});
}
void elu(EmitContext& e) {
  e.result("Elu", {e.in(0)}, AttributeList().f("alpha", e.as<Elu>().alpha));
}
void clamp(EmitContext& e) {
  e.result("Clip", {e.in(0), e.like(0, e.as<Clamp>().min), e.like(0, e.as<Clamp>().max)});
}
void hsigmoid(EmitContext& e) {
  e.result("HardSigmoid", {e.in(0)}, AttributeList().f("alpha", 1.0 / 6).f("beta", 0.5));
}
void hswish(EmitContext& e) {
  if (e.opset >= 14) return e.result("HardSwish", {e.in(0)});
  e.result("Mul", {e.in(0), e.op("HardSigmoid", {e.in(0)}, AttributeList().f("alpha", 1.0 / 6).f("beta", 0.5))});
}
void swish(EmitContext& e) {
  const Tensor beta = e.known(1);
  const bool plain = !e.has(1) || (beta && beta.size() == 1 && get_element(beta, 0) == 1);
  e.result("Mul", {e.in(0), e.op("Sigmoid", {plain ? e.in(0) : e.op("Mul", {e.in(0), e.in(1)})})});
}
void mish(EmitContext& e) {
  if (e.opset >= 18) return e.result("Mish", {e.in(0)});
  e.result("Mul", {e.in(0), e.op("Tanh", {e.op("Softplus", {e.in(0)})})});
}
void gelu(EmitContext& e) {
  const bool tanh = e.as<Gelu>().approximation_mode == GeluMode::tanh;
  if (e.opset >= 20) return e.result("Gelu", {e.in(0)}, AttributeList().s("approximate", tanh ? "tanh" : "none"));
  const auto x = e.in(0), half = e.op("Mul", {x, e.like(0, 0.5)});
  std::string inner;
  if (tanh) {
    const auto cube = e.op("Mul", {e.op("Mul", {x, x}), x});
    inner = e.op(
        "Tanh",
        {e.op("Mul", {e.op("Add", {x, e.op("Mul", {cube, e.like(0, 0.044715)})}), e.like(0, 0.7978845608028654)})});
  } else {
    inner = e.op("Erf", {e.op("Mul", {x, e.like(0, 0.7071067811865476)})});
  }
  e.result("Mul", {half, e.op("Add", {inner, e.like(0, 1)})});
}
void hard_sigmoid(EmitContext& e) {
  const double alpha = get_element(e.must_know(1, "alpha"), 0), beta = get_element(e.must_know(2, "beta"), 0);
  e.result("HardSigmoid", {e.in(0)}, AttributeList().f("alpha", alpha).f("beta", beta));
}
void selu(EmitContext& e) {
  const double alpha = get_element(e.must_know(1, "alpha"), 0), gamma = get_element(e.must_know(2, "lambda"), 0);
  e.result("Selu", {e.in(0)}, AttributeList().f("alpha", alpha).f("gamma", gamma));
}
void softmax(EmitContext& e) {
  e.result("Softmax", {e.in(0)}, AttributeList().i("axis", e.as<Softmax>().axis));
}
void log_softmax(EmitContext& e) {
  e.result("LogSoftmax", {e.in(0)}, AttributeList().i("axis", e.as<LogSoftmax>().axis));
}

// Axes are an input from operator set 18 on (of ReduceSum from 13 on), an attribute before.
void reduce_with(EmitContext& e, const char* type, std::string data, bool keep, size_t output_cast) {
  const Tensor axes = e.known(1);
  AttributeList a;
  a.i("keepdims", keep);
  std::vector<std::string> in{std::move(data)};
  if (axes && axes.size() == 0) {
    if (output_cast)
      e.result("Cast", in, AttributeList().i("to", static_cast<int64_t>(output_cast)));
    else
      e.result("Identity", in);
    return;
  }
  const bool as_input = e.opset >= 18 || (e.opset >= 13 && std::string_view(type) == "ReduceSum");
  if (!as_input)
    a.ints("axes", e.must_know(1, "axes").to_ints());
  else if (axes)
    in.push_back(e.ints(axes.to_ints()));
  else
    in.push_back(e.cast(e.in(1), ElementType::i64));
  if (output_cast)
    e.result("Cast", {e.op(type, in, a)}, AttributeList().i("to", static_cast<int64_t>(output_cast)));
  else
    e.result(type, in, a);
}
// The one field that all reductions have.
bool keeps_dims(EmitContext& e) {
  for (const auto& [name, text] : attribute_text(e.node.op(), e.g.node(e.node.id).attributes.get(), 0)) {
    if (name == "keep_dims") return text == "true";
  }
  return false;
}
void reduce(EmitContext& e) {
  reduce_with(e, e.node.op().name.data(), e.in(0), keeps_dims(e), 0);
}
void reduce_logical(EmitContext& e) {
  const bool all = e.node.op().name == "ReduceLogicalAnd";
  reduce_with(e, all ? "ReduceMin" : "ReduceMax", e.cast(e.in(0), ElementType::i32), keeps_dims(e),
              static_cast<size_t>(onnx_data_type(ElementType::boolean)));
}
void cum_sum(EmitContext& e) {
  e.result("CumSum", e.ins(),
           AttributeList().i("exclusive", e.as<CumSum>().exclusive).i("reverse", e.as<CumSum>().reverse));
}

constexpr EmitRow rows[] = {
    // clang-format off
    {"Abs", same}, {"Acos", same}, {"Acosh", same}, {"Add", same}, {"Asin", same}, {"Asinh", same}, {"Atan", same}, {"Atanh", same}, {"BitwiseAnd", bitwise},
    {"BitwiseLeftShift", shift}, {"BitwiseNot", bitwise}, {"BitwiseOr", bitwise}, {"BitwiseRightShift", shift}, {"BitwiseXor", bitwise}, {"Ceiling", same},
    {"Clamp", clamp}, {"Convert", convert}, {"Cos", same}, {"Cosh", same}, {"CumSum", cum_sum}, {"Divide", divide}, {"Elu", elu}, {"Equal", same},
    {"Erf", same}, {"Exp", same}, {"Floor", same}, {"FloorMod", floor_mod}, {"Gelu", gelu}, {"Greater", same}, {"GreaterEqual", same},
    {"HSigmoid", hsigmoid}, {"HSwish", hswish}, {"HardSigmoid", hard_sigmoid}, {"IsFinite", is_finite}, {"IsInf", is_inf}, {"IsNaN", same}, {"Less", same},
    {"LessEqual", same}, {"Log", same}, {"LogSoftmax", log_softmax}, {"LogicalAnd", same}, {"LogicalNot", same}, {"LogicalOr", same}, {"LogicalXor", same},
    {"Maximum", same}, {"Minimum", same}, {"Mish", mish}, {"Mod", mod}, {"Multiply", same}, {"Negative", same}, {"NotEqual", not_equal}, {"PRelu", prelu},
    {"Power", same}, {"ReduceL1", reduce}, {"ReduceL2", reduce}, {"ReduceLogicalAnd", reduce_logical}, {"ReduceLogicalOr", reduce_logical},
    {"ReduceMax", reduce}, {"ReduceMean", reduce}, {"ReduceMin", reduce}, {"ReduceProd", reduce}, {"ReduceSum", reduce}, {"Relu", same}, {"Round", round},
    {"Select", same}, {"Selu", selu}, {"Sigmoid", same}, {"Sign", same}, {"Sin", same}, {"Sinh", same}, {"SoftPlus", same}, {"SoftSign", same},
    {"Softmax", softmax}, {"Sqrt", same}, {"SquaredDifference", squared_difference}, {"Subtract", same}, {"Swish", swish}, {"Tan", same}, {"Tanh", same},
    // clang-format on
};

}  // namespace

std::span<const EmitRow> emit_elementwise_rows() {
  return rows;
}

}  // namespace hone::onnx
