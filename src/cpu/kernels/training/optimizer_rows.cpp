// Rows for the optimizer steps. One run walks over all tensors in blocks of equal size, whichever tensor they belong
// to.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/kernels/training/families.hpp"
#include "cpu/kernels/training/isa.hpp"
#include "ops/optimizer.hpp"

namespace hone::cpu::training {
namespace {

constexpr int64_t kBlock = 8192;

struct Block {
  int32_t tensor;
  int64_t first, size;
};
/// Blocks of the tensors inputs[first...first + count).
std::vector<Block> blocks_of(const KernelQuery& q, size_t first, int64_t count) {
  std::vector<Block> blocks;
  for (int64_t k = 0; k < count; ++k) {
    const auto size = static_cast<int64_t>(q.inputs[first + static_cast<size_t>(k)].size());
    for (int64_t at = 0; at < size; at += kBlock)
      blocks.push_back({static_cast<int32_t>(k), at, std::min(kBlock, size - at)});
  }
  return blocks;
}
float scalar(const KernelArgs& a, size_t i) {
  return *static_cast<const float*>(a.inputs[i]);
}

/// The k-th tensor of group `group` behind `head` scalars.
struct Groups {
  size_t head;
  int64_t count;
  const float* in(const KernelArgs& a, int64_t group, const Block& b) const {
    return static_cast<const float*>(a.inputs[head + static_cast<size_t>(group * count + b.tensor)]) + b.first;
  }
  float* out(const KernelArgs& a, int64_t group, const Block& b) const {
    auto* p = static_cast<float*>(a.outputs[static_cast<size_t>(group * count + b.tensor)]);
    return p ? p + b.first : nullptr;
  }
};
/// A gradient scale of 0 says that the gradient is not finite: the step is skipped, and 0 * infinity must not enter.
/// Copies what is not updated in place; `pairs` are groups of outputs and the inputs they continue.
void keep(const KernelArgs& a, const Groups& groups, const std::vector<Block>& blocks,
          std::initializer_list<std::pair<int64_t, int64_t>> pairs) noexcept {
  for (const Block& b : blocks)
    for (auto [to, from] : pairs) {
      float* out = groups.out(a, to, b);
      const float* in = groups.in(a, from, b);
      if (out && out != in) std::memcpy(out, in, static_cast<size_t>(b.size) * 4);
    }
}
bool decays(const std::vector<int64_t>& mask, int32_t tensor) {
  return static_cast<size_t>(tensor) >= mask.size() || mask[static_cast<size_t>(tensor)] != 0;
}

class SgdKernel final : public PreparedKernel {
 public:
  SgdKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa), op_(q.attrs<SgdStep>()), groups_{2, op_.count}, blocks_(blocks_of(q, 2, op_.count)) {}
  void run(const KernelArgs& a) noexcept override {
    const float lr = scalar(a, 0), scale = scalar(a, 1);
    if (scale == 0) return keep(a, groups_, blocks_, {{0, 0}, {1, 2}});
    a.pool.parallel_for(static_cast<int64_t>(blocks_.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const Block& b = blocks_[static_cast<size_t>(i)];
        const float decay = decays(op_.decay_mask, b.tensor) ? static_cast<float>(op_.weight_decay) : 0.0f;
        const SgdFactors f{lr, scale, static_cast<float>(op_.momentum), decay, op_.nesterov};
        isa_.sgd(f, groups_.in(a, 0, b), groups_.in(a, 1, b), groups_.in(a, 2, b), groups_.out(a, 0, b),
                 groups_.out(a, 1, b), b.size);
      }
    });
  }

 private:
  const TrainingIsa& isa_;
  SgdStep op_;
  Groups groups_;
  std::vector<Block> blocks_;
};

class AdamWKernel final : public PreparedKernel {
 public:
  AdamWKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa), op_(q.attrs<AdamWStep>()), groups_{3, op_.count}, blocks_(blocks_of(q, 3, op_.count)) {}
  void run(const KernelArgs& a) noexcept override {
    if (scalar(a, 1) == 0) return keep(a, groups_, blocks_, {{0, 0}, {1, 2}, {2, 3}});
    const double step = scalar(a, 2);
    AdamFactors f{};
    f.lr = scalar(a, 0);
    f.scale = scalar(a, 1);
    f.beta1 = static_cast<float>(op_.beta1);
    f.beta2 = static_cast<float>(op_.beta2);
    f.epsilon = static_cast<float>(op_.epsilon);
    f.correction1 = static_cast<float>(1.0 / (1.0 - std::pow(op_.beta1, step)));
    f.correction2 = static_cast<float>(1.0 / (1.0 - std::pow(op_.beta2, step)));
    a.pool.parallel_for(static_cast<int64_t>(blocks_.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const Block& b = blocks_[static_cast<size_t>(i)];
        AdamFactors mine = f;
        mine.decay = decays(op_.decay_mask, b.tensor) ? static_cast<float>(op_.weight_decay) : 0.0f;
        isa_.adamw(mine, groups_.in(a, 0, b), groups_.in(a, 1, b), groups_.in(a, 2, b), groups_.in(a, 3, b),
                   groups_.out(a, 0, b), groups_.out(a, 1, b), groups_.out(a, 2, b), b.size);
      }
    });
  }

 private:
  const TrainingIsa& isa_;
  AdamWStep op_;
  Groups groups_;
  std::vector<Block> blocks_;
};

class EmaKernel final : public PreparedKernel {
 public:
  EmaKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa), groups_{1, q.attrs<EmaStep>().count}, blocks_(blocks_of(q, 1, groups_.count)) {}
  void run(const KernelArgs& a) noexcept override {
    const float decay = scalar(a, 0);
    a.pool.parallel_for(static_cast<int64_t>(blocks_.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const Block& b = blocks_[static_cast<size_t>(i)];
        if (float* out = groups_.out(a, 0, b)) isa_.ema(decay, groups_.in(a, 0, b), groups_.in(a, 1, b), out, b.size);
      }
    });
  }

 private:
  const TrainingIsa& isa_;
  Groups groups_;
  std::vector<Block> blocks_;
};

class GradientScaleKernel final : public PreparedKernel {
 public:
  GradientScaleKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa),
        op_(q.attrs<GradientScale>()),
        groups_{0, static_cast<int64_t>(q.num_op_inputs ? q.num_op_inputs : q.inputs.size())},
        blocks_(blocks_of(q, 0, groups_.count)) {}
  size_t scratch_bytes() const override { return blocks_.size() * 8 + 64; }
  void run(const KernelArgs& a) noexcept override {
    auto* parts = static_cast<double*>(a.scratch);
    a.pool.parallel_for(static_cast<int64_t>(blocks_.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const Block& b = blocks_[static_cast<size_t>(i)];
        parts[i] = isa_.sum_of_squares(groups_.in(a, 0, b), b.size);
      }
    });
    double total = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) total += parts[i];
    const double norm = std::sqrt(total);
    double scale = 1;
    if (!std::isfinite(norm))
      scale = 0;
    else if (op_.max_norm > 0 && norm > op_.max_norm)
      scale = op_.max_norm / norm;
    if (a.outputs[0]) *static_cast<float*>(a.outputs[0]) = static_cast<float>(scale);
    if (a.outputs.size() > 1 && a.outputs[1]) *static_cast<float*>(a.outputs[1]) = static_cast<float>(norm);
  }

 private:
  const TrainingIsa& isa_;
  GradientScale op_;
  Groups groups_;
  std::vector<Block> blocks_;
};

/// All tensors f32; `head` scalars, then `in_groups` groups of count inputs each and `out_groups` of outputs, sizes
/// equal across groups.
Support check(const KernelQuery& q, size_t head, int64_t in_groups, int64_t out_groups, int64_t count) {
  if (!q.epilogue.empty()) return Support::no("an epilogue is not run here");
  if (count < 1 || q.inputs.size() != head + static_cast<size_t>(in_groups * count) ||
      q.outputs.size() != static_cast<size_t>(out_groups * count))
    return Support::no("the number of tensors does not fit `count`");
  for (const TensorDesc& d : q.inputs)
    if (!d.present || d.type != ElementType::f32) return Support::no("every input must be f32");
  for (const TensorDesc& d : q.outputs)
    if (d.present && d.type != ElementType::f32) return Support::no("every output must be f32");
  for (size_t i = head; i < q.inputs.size(); ++i) {
    const TensorDesc &d = q.inputs[i], &first = q.inputs[head + (i - head) % static_cast<size_t>(count)];
    if (d.shape != first.shape || d.layout != first.layout)
      return Support::no("the tensors of a parameter differ in shape or order");
  }
  return Support::yes();
}
template <int Isa>
Support supports_sgd(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  return check(q, 2, 3, 2, q.attrs<SgdStep>().count);
}
template <int Isa>
Support supports_adamw(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  return check(q, 3, 4, 3, q.attrs<AdamWStep>().count);
}
template <int Isa>
Support supports_ema(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  return check(q, 1, 2, 1, q.attrs<EmaStep>().count);
}
template <int Isa>
Support supports_scale(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  if (q.inputs.empty() || q.outputs.empty()) return Support::no("inputs are missing");
  for (const TensorDesc& d : q.inputs)
    if (!d.present || d.type != ElementType::f32) return Support::no("every gradient must be f32");
  for (const TensorDesc& d : q.outputs)
    if (d.present && d.type != ElementType::f32) return Support::no("the results must be f32");
  return Support::yes();
}
/// Every output may be updated in place.
template <int Isa, size_t Head, uint32_t OutGroups>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  for (const TensorDesc& d : q.inputs) p.cost += static_cast<double>(d.bytes()) / 20e3 * (1 + 0.01 * Isa);
  if (OutGroups == 0) return p;
  const auto count = static_cast<uint32_t>(q.outputs.size()) / OutGroups;
  // parameters are group 0 of the inputs and gradients group 1; states follow
  for (uint32_t g = 0; g < OutGroups; ++g)
    for (uint32_t k = 0; k < count; ++k)
      p.in_place.emplace_back(g * count + k, static_cast<uint32_t>(Head) + (g == 0 ? 0 : g + 1) * count + k);
  return p;
}
template <class K, int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  return std::make_unique<K>(q, *training_isa(Isa));
}

// avx512_bf16 adds nothing here
const Kernel kRows[] = {
    {"SgdStep_f32__avx512", "hone", SgdStep::name, supports_sgd<1>, plan<1, 2, 2>, nullptr, prepare<SgdKernel, 1>},
    {"SgdStep_f32__avx2", "hone", SgdStep::name, supports_sgd<2>, plan<2, 2, 2>, nullptr, prepare<SgdKernel, 2>},
    {"AdamWStep_f32__avx512", "hone", AdamWStep::name, supports_adamw<1>, plan<1, 3, 3>, nullptr,
     prepare<AdamWKernel, 1>},
    {"AdamWStep_f32__avx2", "hone", AdamWStep::name, supports_adamw<2>, plan<2, 3, 3>, nullptr,
     prepare<AdamWKernel, 2>},
    {"EmaStep_f32__avx512", "hone", EmaStep::name, supports_ema<1>, plan<1, 1, 1>, nullptr, prepare<EmaKernel, 1>},
    {"EmaStep_f32__avx2", "hone", EmaStep::name, supports_ema<2>, plan<2, 1, 1>, nullptr, prepare<EmaKernel, 2>},
    {"GradientScale_f32__avx512", "hone", GradientScale::name, supports_scale<1>, plan<1, 0, 0>, nullptr,
     prepare<GradientScaleKernel, 1>},
    {"GradientScale_f32__avx2", "hone", GradientScale::name, supports_scale<2>, plan<2, 0, 0>, nullptr,
     prepare<GradientScaleKernel, 2>},
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_optimizer() {
  return training::kRows;
}
}  // namespace hone::cpu
