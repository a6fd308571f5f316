// The plain meaning of every epilogue step.
#include <algorithm>
#include <cmath>

#include "cpu/reference/reference.hpp"
#include "hone/error.hpp"

namespace hone::cpu {

float apply(const EpilogueStep& s, float a, float b) {
  const auto sigmoid = [](float x) { return 1 / (1 + std::exp(-x)); };
  const auto softplus = [](float x) { return x > 20 ? x : std::log1p(std::exp(x)); };
  switch (s.op) {
    case EpilogueOp::add:
      return a + b;
    case EpilogueOp::subtract:
      return a - b;
    case EpilogueOp::multiply:
      return a * b;
    case EpilogueOp::divide:
      return a / b;
    case EpilogueOp::maximum:
      return std::max(a, b);
    case EpilogueOp::minimum:
      return std::min(a, b);
    case EpilogueOp::prelu:
      return a >= 0 ? a : a * b;
    case EpilogueOp::relu:
      return std::max(a, 0.f);
    case EpilogueOp::clamp:
      return std::min(std::max(a, s.alpha), s.beta);
    case EpilogueOp::sigmoid:
      return sigmoid(a);
    case EpilogueOp::tanh:
      return std::tanh(a);
    case EpilogueOp::swish:
      return a * sigmoid(s.alpha * a);
    case EpilogueOp::hswish:
      return a * std::min(std::max(a + 3, 0.f), 6.f) / 6;
    case EpilogueOp::hsigmoid:
      return std::min(std::max(a + 3, 0.f), 6.f) / 6;
    case EpilogueOp::hard_sigmoid:
      return std::min(std::max(s.alpha * a + s.beta, 0.f), 1.f);
    case EpilogueOp::gelu_erf:
      return 0.5f * a * (1 + std::erf(a * 0.70710678118654752f));
    case EpilogueOp::gelu_tanh:
      return 0.5f * a * (1 + std::tanh(0.79788456080286536f * (a + 0.044715f * a * a * a)));
    case EpilogueOp::elu:
      return a > 0 ? a : s.alpha * std::expm1(a);
    case EpilogueOp::leaky_relu:
      return a >= 0 ? a : s.alpha * a;
    case EpilogueOp::softplus:
      return softplus(a);
    case EpilogueOp::mish:
      return a * std::tanh(softplus(a));
    case EpilogueOp::exp:
      return std::exp(a);
    case EpilogueOp::abs:
      return std::fabs(a);
    case EpilogueOp::negative:
      return -a;
    case EpilogueOp::sqrt:
      return std::sqrt(a);
    case EpilogueOp::scale_shift:
      return s.alpha * a + s.beta;
    case EpilogueOp::round:
      return std::nearbyint(a);
  }
  return a;
}

void run_epilogue(const Epilogue& epilogue, Tensor& result, const std::vector<Tensor>& operands, bool channels_at_end) {
  const Shape& shape = result.shape();
  int64_t channels = 1, inner = 1;
  if (channels_at_end || shape.size() < 2) {
    channels = shape.empty() ? 1 : shape.back();
  } else {
    channels = shape[1];
    for (size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
  }
  const auto n = static_cast<int64_t>(result.size());
  if (n == 0) return;
  // Element i of the result meets element i / divisor % size of the operand.
  struct Operand {
    const float* data;
    int64_t divisor, size;
  };
  std::vector<Operand> from;
  for (size_t k = 0; k < operands.size(); ++k) {
    Operand o{operands[k].data<float>(), 1, 1};
    switch (epilogue.operands[k].spread) {
      case Spread::scalar:
        break;
      case Spread::per_channel:
        o.divisor = inner, o.size = channels;
        break;
      case Spread::full:
        o.size = n;
        break;
      case Spread::per_row:
        o.divisor = inner, o.size = n / inner;
        break;
    }
    if (static_cast<int64_t>(operands[k].size()) != o.size) {
      throw Error(ErrorCode::failed, "[epilogue] operand " + std::to_string(k) + " has the wrong size");
    }
    from.push_back(o);
  }
  float* out = result.data<float>();
  std::vector<float> values(1 + operands.size() + epilogue.steps.size());
  for (int64_t i = 0; i < n; ++i) {
    values[0] = out[i];
    for (size_t k = 0; k < from.size(); ++k) values[1 + k] = from[k].data[i / from[k].divisor % from[k].size];
    size_t v = 1 + from.size();
    for (const EpilogueStep& s : epilogue.steps) {
      values[v] = apply(s, values.at(static_cast<size_t>(s.a)), s.b < 0 ? 0.f : values.at(static_cast<size_t>(s.b)));
      ++v;
    }
    out[i] = values.back();
  }
}

}  // namespace hone::cpu
