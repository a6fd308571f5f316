// Activations, Softmax and its kin.
#include "formats/pytorch/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/random.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

template <class Op>
Values activation(NodeContext& n) {
  return {n(Op{}, n.in("self"))};
}
Values sigmoid(NodeContext& n) {
  const Value x = n.in("self");
  return {n(Sigmoid{}, is_float(x.element_type()) ? x : n.cast(x, n.out_type(0, ElementType::f32)))};
}
Values relu6(NodeContext& n) {
  return {n(Clamp{0, 6}, n.in("self"))};
}
Values hard_tanh(NodeContext& n) {
  return {n(Clamp{n.f("min_val", -1), n.f("max_val", 1)}, n.in("self"))};
}
Values leaky_relu(NodeContext& n) {
  const Value x = n.in("self");
  return {n(PRelu{}, x, n.like(x, n.f("negative_slope", 0.01)))};
}
// A vector of slopes belongs to axis 1.
Values prelu(NodeContext& n) {
  const Value x = n.in("self");
  return {n(PRelu{}, x, n.in("weight"))};
}
// The decomposed form has slopes of the shape of x.
Values prelu_kernel(NodeContext& n) {
  const Value x = n.in("self"), zero = n.like(x, 0);
  return {n(Select{}, n(Greater{}, x, zero), x, n(Multiply{}, x, n.in("weight")))};
}
Values elu(NodeContext& n) {
  const Value x = n.in("self");
  const double alpha = n.f("alpha", 1), scale = n.f("scale", 1), input_scale = n.f("input_scale", 1);
  if (input_scale == 1) {
    const Value y = n(Elu{alpha}, x);
    return {scale == 1 ? y : n(Multiply{}, y, n.like(x, scale))};
  }
  const Value low = n(Multiply{}, n(Elu{1}, n(Multiply{}, x, n.like(x, input_scale))), n.like(x, alpha * scale));
  return {n(Select{}, n(Greater{}, x, n.like(x, 0)), n(Multiply{}, x, n.like(x, scale)), low)};
}
Values selu(NodeContext& n) {
  const Value x = n.in("self");
  return {n(Selu{}, x, n.like(x, 1.6732632423543772), n.like(x, 1.0507009873554805))};
}
Values celu(NodeContext& n) {
  const Value x = n.in("self"), alpha = n.like(x, n.f("alpha", 1));
  return {n(Multiply{}, n(Elu{1}, n(Divide{}, x, alpha)), alpha)};
}
Values gelu(NodeContext& n) {
  const std::string mode = n.s("approximate", "none");
  if (mode != "none" && mode != "tanh") n.fail("approximate must be none or tanh");
  return {n(Gelu{mode == "tanh" ? GeluMode::tanh : GeluMode::erf}, n.in("self"))};
}
Values softplus(NodeContext& n) {
  const Value x = n.in("self");
  const double beta = n.f("beta", 1), threshold = n.f("threshold", 20);
  if (beta == 1 && threshold == 20) return {n(SoftPlus{}, x)};
  const Value scaled = n(Multiply{}, x, n.like(x, beta));
  const Value y = n(Divide{}, n(SoftPlus{}, scaled), n.like(x, beta));
  return {n(Select{}, n(Greater{}, scaled, n.like(x, threshold)), x, y)};
}
Values softshrink(NodeContext& n) {
  const Value x = n.in("self"), zero = n.like(x, 0), by = n.like(x, n.f("lambd", 0.5)),
              minus = n.like(x, -n.f("lambd", 0.5));
  return {
      n(Select{}, n(Greater{}, x, by), n(Subtract{}, x, by), n(Select{}, n(Less{}, x, minus), n(Add{}, x, by), zero))};
}
Values hardshrink(NodeContext& n) {
  const Value x = n.in("self");
  return {n(Select{}, n(LessEqual{}, n(Abs{}, x), n.like(x, n.f("lambd", 0.5))), n.like(x, 0), x)};
}
Values threshold(NodeContext& n) {
  const Value x = n.in("self");
  return {
      n(Select{}, n(Greater{}, x, n.number("threshold", x.element_type())), x, n.number("value", x.element_type()))};
}
Values log_sigmoid(NodeContext& n) {
  const Value x = n.in("self");
  return {n(Negative{}, n(SoftPlus{}, n(Negative{}, x)))};
}
Values glu(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", -1), x);
  const Values halves = n.all(Split{2}, {x, n.int_constant(axis)});
  return {n(Multiply{}, halves[0], n(Sigmoid{}, halves[1]))};
}
Values rrelu(NodeContext& n) {
  if (n.flag("training", false)) n.refuse("was exported in training mode; call model.eval() first");
  const Value x = n.in("self");
  return {n(PRelu{}, x, n.like(x, (n.f("lower", 0.125) + n.f("upper", 1.0 / 3)) / 2))};
}

template <class Op>
Values along_axis(NodeContext& n) {
  Value x = n.in("self");
  if (const auto t = n.type("dtype")) x = n.cast(x, *t);
  if (!is_float(x.element_type())) x = n.cast(x, ElementType::f32);
  if (n.rank(x) == 0) return {n.squeeze(n(Op{0}, n.unsqueeze(x, {0})), {0})};
  return {n(Op{n.axis(n.i("dim"), x)}, x)};
}
// A row that is masked out whole gives zeros instead of NaN.
Values safe_softmax(NodeContext& n) {
  const Value y = along_axis<Softmax>(n)[0];
  return {n(Select{}, n(IsNaN{}, y), n.like(y, 0), y)};
}

Values dropout(NodeContext& n) {
  const Value x = n.has("input") ? n.in("input") : n.in("self");
  if (n.flag("train", false) && n.f("p", 0.5) > 0) n.refuse("was exported in training mode; call model.eval() first");
  Values out{x};
  if (n.num_outputs() > 1) out.push_back(n.filled(n.shape_of(x), n.b.scalar<bool>(true)));
  return out;
}

constexpr OperatorRow rows[] = {
    {"_log_softmax", along_axis<LogSoftmax>},
    {"_prelu_kernel", prelu_kernel},
    {"_safe_softmax", safe_softmax},
    {"_softmax", along_axis<Softmax>},
    {"alpha_dropout", dropout},
    {"celu", celu},
    {"dropout", dropout},
    {"elu", elu},
    {"feature_dropout", dropout},
    {"gelu", gelu},
    {"glu", glu},
    {"hardshrink", hardshrink},
    {"hardsigmoid", activation<HSigmoid>},
    {"hardswish", activation<HSwish>},
    {"hardtanh", hard_tanh},
    {"leaky_relu", leaky_relu},
    {"log_sigmoid", log_sigmoid},
    {"log_sigmoid_forward", log_sigmoid},
    {"log_softmax", along_axis<LogSoftmax>},
    {"mish", activation<Mish>},
    {"native_dropout", dropout},
    {"prelu", prelu},
    {"relu", activation<Relu>},
    {"relu6", relu6},
    {"rrelu", rrelu},
    {"rrelu_with_noise", rrelu},
    {"rrelu_with_noise_functional", rrelu},
    {"selu", selu},
    {"sigmoid", sigmoid},
    {"silu", activation<Swish>},
    {"softmax", along_axis<Softmax>},
    {"softplus", softplus},
    {"softshrink", softshrink},
    {"special_log_softmax", along_axis<LogSoftmax>},
    {"special_softmax", along_axis<Softmax>},
    {"threshold", threshold},
};

}  // namespace

std::span<const OperatorRow> activation_rows() {
  return rows;
}

}  // namespace hone::pytorch
