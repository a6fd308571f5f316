#include "cpu/onednn/post_ops.hpp"

#include <optional>

namespace hone::cpu::onednn {
namespace {

using dnnl::algorithm;

// Real numbers are (integer - zero) * scale.
struct Grid {
  float scale = 1, zero = 0;
};
std::optional<Grid> grid_of(const TensorDesc& d) {
  if (!d.quantization) return Grid{};
  if (d.quantization->scales.size() != 1) return std::nullopt;
  return Grid{d.quantization->scale(0), float(d.quantization->zero_point(0))};
}

class Chain {
 public:
  Chain(const KernelQuery& q, bool integer) : q_(q), free_(integer) {}

  PostOps take() {
    const Epilogue& e = q_.epilogue;
    int value = 0;  // number of the value that the chain has come to
    for (size_t i = 0; i < e.steps.size() && out_.refusal.empty(); ++i) {
      const EpilogueStep& s = e.steps[i];
      if (s.a != value && s.b != value) return refuse("the epilogue is no chain: a step reads an earlier value");
      if (s.a == value && s.b == value) return refuse("a step of the epilogue combines a value with itself");
      if (s.b >= 0) {
        const int other = s.a == value ? s.b : s.a;
        if (other == 0 || size_t(other) > e.operands.size())
          return refuse("the epilogue is no chain: a step reads an earlier value");
        binary(s.op, size_t(other - 1), s.a == value, i == 0);
      } else {
        unary(s);
      }
      value = int(e.operands.size() + 1 + i);
    }
    if (!out_.refusal.empty()) return out_;
    const auto grid = grid_of(q_.outputs[0]);
    if (!grid) return refuse("the result is quantized per channel");
    reach(1 / grid->scale, grid->zero);
    return out_;
  }

 private:
  PostOps refuse(std::string why) {
    out_.refusal = std::move(why);
    return out_;
  }

  // Up to version 2.6 a function that comes twice has the same constants both times, whatever it was given.
  void add(algorithm a, float alpha = 0, float beta = 0) {
    bool differs = false;
    for (const PostStep& s : out_.steps)
      differs |= s.operand < 0 && !s.number && s.algorithm == a && (s.alpha != alpha || s.beta != beta);
    if (!differs) return out_.steps.push_back({a, alpha, beta});
    if (a != algorithm::eltwise_linear) return void(refuse("a function comes twice, with other constants"));
    if (alpha != 1) out_.steps.push_back({algorithm::binary_mul, alpha, 0, -1, true});
    if (beta != 0) out_.steps.push_back({algorithm::binary_add, beta, 0, -1, true});
  }

  // The value times `factor`, plus `shift`. As long as no step has been made, integer results come with any factor.
  void reach(float factor, float shift = 0) {
    if (free_) {
      out_.factor = factor_ = factor;
      free_ = false;
    }
    if (factor != factor_ || shift != 0) add(algorithm::eltwise_linear, factor / factor_, shift);
    factor_ = factor;
  }

  // Steps that keep the factor wait until it is known.
  void unary(const EpilogueStep& s) {
    switch (s.op) {
      case EpilogueOp::relu:
        settle();
        return add(algorithm::eltwise_relu);
      case EpilogueOp::leaky_relu:
        settle();
        return add(algorithm::eltwise_relu, s.alpha);
      case EpilogueOp::clamp:
        settle();
        return add(algorithm::eltwise_clip, s.alpha * factor_, s.beta * factor_);
      case EpilogueOp::abs:
        settle();
        return add(algorithm::eltwise_abs);
      case EpilogueOp::negative:
        settle();
        return add(algorithm::eltwise_linear, -1, 0);
      case EpilogueOp::scale_shift:
        settle();
        return add(algorithm::eltwise_linear, s.alpha, s.beta * factor_);
      default:
        break;
    }
    reach(1);
    switch (s.op) {
      case EpilogueOp::sigmoid:
        return add(algorithm::eltwise_logistic);
      case EpilogueOp::tanh:
        return add(algorithm::eltwise_tanh);
      case EpilogueOp::swish:
        return add(algorithm::eltwise_swish, s.alpha);
      case EpilogueOp::hswish:
        return add(algorithm::eltwise_hardswish, 1.0f / 6, 0.5f);
      case EpilogueOp::hsigmoid:
        add(algorithm::eltwise_linear, 1.0f / 6, 0.5f);
        return add(algorithm::eltwise_clip, 0, 1);
      case EpilogueOp::hard_sigmoid:
        add(algorithm::eltwise_linear, s.alpha, s.beta);
        return add(algorithm::eltwise_clip, 0, 1);
      case EpilogueOp::gelu_erf:
        return add(algorithm::eltwise_gelu_erf);
      case EpilogueOp::gelu_tanh:
        return add(algorithm::eltwise_gelu_tanh);
      case EpilogueOp::elu:
        return add(algorithm::eltwise_elu, s.alpha);
      case EpilogueOp::mish:
        return add(algorithm::eltwise_mish);
      case EpilogueOp::exp:
        return add(algorithm::eltwise_exp);
      case EpilogueOp::sqrt:
        return add(algorithm::eltwise_sqrt);
      case EpilogueOp::round:
        return add(algorithm::eltwise_round);
      case EpilogueOp::softplus:
        return add(algorithm::eltwise_soft_relu, 1);
      default:
        refuse("oneDNN has no post-op for a step of the epilogue");
    }
  }

  // The factor that the rest of the chain ends with, where nothing in between asks for another one.
  void settle() {
    if (free_) reach(wanted_later());
  }
  float wanted_later() const {
    const auto grid = grid_of(q_.outputs[0]);
    if (!grid) return 1;
    for (const EpilogueStep& s : q_.epilogue.steps) {
      const bool keeps = s.op == EpilogueOp::relu || s.op == EpilogueOp::leaky_relu || s.op == EpilogueOp::clamp ||
                         s.op == EpilogueOp::abs || s.op == EpilogueOp::negative || s.op == EpilogueOp::scale_shift;
      if (s.b < 0 && !keeps) return 1;
      if (s.b < 0) continue;
      // Residuals of bytes come last of all that asks for something.
      if (s.op == EpilogueOp::add && &s == q_.epilogue.steps.data()) continue;
      const size_t other =
          size_t(std::max(s.a, s.b) <= int(q_.epilogue.operands.size()) ? std::max(s.a, s.b) : std::min(s.a, s.b));
      if (other < 1 || other > q_.epilogue.operands.size()) return 1;
      const auto o = grid_of(q_.inputs[q_.epilogue.operands[other - 1].input]);
      const bool sum = s.op == EpilogueOp::add || s.op == EpilogueOp::subtract;
      return sum && o ? 1 / o->scale : 1;
    }
    return 1 / grid->scale;
  }

  void binary(EpilogueOp op, size_t operand, bool value_first, bool first) {
    const EpilogueOperand& o = q_.epilogue.operands[operand];
    const TensorDesc& d = q_.inputs[o.input];
    const auto grid = grid_of(d);
    if (!grid) return void(refuse("an operand is quantized per channel"));
    const bool bytes = d.type == ElementType::u8 || d.type == ElementType::i8;
    if (d.type != ElementType::f32 && d.type != ElementType::bf16 && !bytes)
      return void(refuse(std::string("an operand of the epilogue is ") + name_of(d.type)));
    if (o.spread == Spread::full && d.layout != q_.outputs[0].layout)
      return void(refuse("an operand lies in another layout"));
    if (o.spread == Spread::per_row && q_.outputs[0].shape[0] != 1)
      return void(refuse("no post-op takes a value for each image and channel"));
    const bool swaps =
        op == EpilogueOp::add || op == EpilogueOp::multiply || op == EpilogueOp::maximum || op == EpilogueOp::minimum;
    if (!value_first && !swaps) return void(refuse("a step of the epilogue has the result on its right"));
    if (first && op == EpilogueOp::add && o.spread == Spread::per_channel && d.type == ElementType::f32 && d.constant &&
        d.value) {
      out_.bias = int(operand);
      return settle();
    }
    const auto step = [&](algorithm a) { out_.steps.push_back({a, 0, 0, int(operand), false}); };
    switch (op) {
      case EpilogueOp::add:
      case EpilogueOp::subtract: {
        reach(1 / grid->scale);
        const bool plus = op == EpilogueOp::add;
        step(plus ? algorithm::binary_add : algorithm::binary_sub);
        if (grid->zero != 0) add(algorithm::eltwise_linear, 1, plus ? -grid->zero : grid->zero);
        return;
      }
      case EpilogueOp::multiply:
      case EpilogueOp::divide:
        if (grid->zero != 0) return void(refuse("a factor of the epilogue has a zero point"));
        settle();
        step(op == EpilogueOp::multiply ? algorithm::binary_mul : algorithm::binary_div);
        factor_ = op == EpilogueOp::multiply ? factor_ / grid->scale : factor_ * grid->scale;
        return;
      case EpilogueOp::maximum:
      case EpilogueOp::minimum:
        if (grid->zero != 0 || bytes) return void(refuse("a limit of the epilogue is quantized"));
        reach(1);
        return step(op == EpilogueOp::maximum ? algorithm::binary_max : algorithm::binary_min);
      default:
        refuse("oneDNN has no post-op for a step of the epilogue");
    }
  }

  const KernelQuery& q_;
  bool free_;  // the factor is still open
  float factor_ = 1;
  PostOps out_;
};

}  // namespace

PostOps post_ops_of(const KernelQuery& q, bool integer) {
  return Chain(q, integer).take();
}

}  // namespace hone::cpu::onednn
