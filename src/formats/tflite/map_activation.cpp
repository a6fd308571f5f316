// Activations and normalizations.
#include "formats/tflite/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/normalization.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

template <class Op>
Values unary(NodeContext& n) {
  return {n(Op{}, n.in(0))};
}

Values relu_n1_to_1(NodeContext& n) {
  return {n(Clamp{-1, 1}, n.in(0))};
}
Values relu6(NodeContext& n) {
  return {n(Clamp{0, 6}, n.in(0))};
}
Values relu_0_to_1(NodeContext& n) {
  return {n(Clamp{0, 1}, n.in(0))};
}
Values elu(NodeContext& n) {
  return {n(Elu{1}, n.in(0))};
}
Values gelu(NodeContext& n) {
  return {n(Gelu{n.flag(0) ? GeluMode::tanh : GeluMode::erf}, n.in(0))};
}
Values leaky_relu(NodeContext& n) {
  const Value x = n.in(0);
  return {n(PRelu{}, x, n.b.constant(Tensor::of<float>({1}, {n.f(0)})))};
}

// The slopes broadcast like NumPy: on images one for each channel.
Values prelu(NodeContext& n) {
  const Value x = n.in(0), slope = n.in(1);
  const size_t rank = n.rank(x);
  if (rank == 4 && n.rank(slope) <= 4 && slope.shape().is_static()) {
    const Shape s = slope.shape().to_shape();
    bool channels = !s.empty();
    for (size_t k = 0; k + 1 < s.size(); ++k) channels &= s[k] == 1;
    if (channels) return {n.channels_last(n(PRelu{}, n.channels_first(x), n.reshape(slope, {-1})))};
  }
  const Value zero = n.like(x, 0);
  return {n(Select{}, n(Less{}, x, zero), n(Multiply{}, x, slope), x)};
}

Values softmax(NodeContext& n) {
  Value x = n.in(0);
  const float beta = n.f(0);
  if (beta != 1 && beta != 0) x = n(Multiply{}, x, n.like(x, beta));
  return {n(Softmax{n.axis(-1, x)}, x)};
}
Values log_softmax(NodeContext& n) {
  return {n(LogSoftmax{n.axis(-1, n.in(0))}, n.in(0))};
}

// Along the last axis. The sum of squares has the floor 1e-6 of the kernel's specification.
Values l2_normalization(NodeContext& n) {
  const Value x = n.in(0);
  const Value squares = n(ReduceSum{true}, n(Multiply{}, x, x), n.ints_constant({n.axis(-1, x)}));
  return {n.activated(n(Divide{}, x, n(Maximum{}, n(Sqrt{}, squares), n.like(x, 1e-6))), n.code(0))};
}

// y = x / (bias + alpha * sum of squares over 2 * radius + 1 channels) ^ beta; LRN divides alpha by the size of the
// window.
Values local_response_normalization(NodeContext& n) {
  const Value x = n.in(0);
  LRN op;
  op.size = 2 * static_cast<int64_t>(n.i(0)) + 1;
  if (op.size < 1 || op.size > (1 << 20)) n.fail("the radius is out of range");
  op.bias = n.f(1);
  op.alpha = static_cast<double>(n.f(2)) * static_cast<double>(op.size);
  op.beta = n.f(3);
  return {n.channels_last(n(op, n.channels_first(x), n.ints_constant({1})))};
}

constexpr OperatorRow rows[] = {
    {11, "L2_NORMALIZATION", l2_normalization},
    {13, "LOCAL_RESPONSE_NORMALIZATION", local_response_normalization},
    {14, "LOGISTIC", unary<Sigmoid>},
    {19, "RELU", unary<Relu>},
    {20, "RELU_N1_TO_1", relu_n1_to_1},
    {21, "RELU6", relu6},
    {25, "SOFTMAX", softmax},
    {28, "TANH", unary<Tanh>},
    {50, "LOG_SOFTMAX", log_softmax},
    {54, "PRELU", prelu},
    {98, "LEAKY_RELU", leaky_relu},
    {111, "ELU", elu},
    {117, "HARD_SWISH", unary<HSwish>},
    {150, "GELU", gelu},
    {152, "RELU_0_TO_1", relu_0_to_1},
};

}  // namespace

std::span<const OperatorRow> activation_rows() {
  return rows;
}

}  // namespace hone::tflite
