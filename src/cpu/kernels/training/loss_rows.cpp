// Rows for the softmax cross entropy and its gradient. Each sample is worked on in f32, losses are added in f64 in the
// order of samples.
#include <algorithm>
#include <cmath>

#include "cpu/kernels/training/families.hpp"
#include "ops/loss.hpp"

namespace hone::cpu::training {
namespace {

float get(const void* p, ElementType t, int64_t i) {
  return t == ElementType::f32 ? static_cast<const float*>(p)[i]
                               : static_cast<float>(static_cast<const bfloat16*>(p)[i]);
}
void put(void* p, ElementType t, int64_t i, float v) {
  if (t == ElementType::f32)
    static_cast<float*>(p)[i] = v;
  else
    static_cast<bfloat16*>(p)[i] = bfloat16(v);
}
int64_t get_label(const void* p, ElementType t, int64_t i) {
  switch (t) {
    case ElementType::i64:
      return static_cast<const int64_t*>(p)[i];
    case ElementType::i32:
      return static_cast<const int32_t*>(p)[i];
    case ElementType::u8:
      return static_cast<const uint8_t*>(p)[i];
    default:
      return -1;
  }
}
bool float_like(ElementType t) {
  return t == ElementType::f32 || t == ElementType::bf16;
}
bool label_like(ElementType t) {
  return t == ElementType::i64 || t == ElementType::i32 || t == ElementType::u8;
}

struct Setting {
  int64_t samples, classes;
  ElementType logits, labels;
  bool probabilities;
  double smoothing;
  Reduction reduction;
  int64_t ignore;
};
template <class Op>
Setting setting_of(const KernelQuery& q) {
  const auto op = q.attrs<Op>();
  const Shape& s = q.inputs[0].shape;
  return {s[0],
          s[1],
          q.inputs[0].type,
          q.inputs[1].type,
          float_like(q.inputs[1].type),
          op.label_smoothing,
          op.reduction,
          op.ignore_index};
}
/// A label outside of the classes counts as ignored: a run cannot report it, and it must not read beyond the row.
bool counts(const Setting& s, int64_t label) {
  return label != s.ignore && label >= 0 && label < s.classes;
}
int64_t counted(const Setting& s, const void* labels) {
  if (s.probabilities) return s.samples;
  int64_t n = 0;
  for (int64_t i = 0; i < s.samples; ++i) n += counts(s, get_label(labels, s.labels, i));
  return n;
}

class LossKernel final : public PreparedKernel {
 public:
  explicit LossKernel(const KernelQuery& q)
      : s_(setting_of<SoftmaxCrossEntropy>(q)),
        loss_type_(q.outputs[0].type),
        log_type_(q.outputs.size() > 1 ? q.outputs[1].type : ElementType::f32) {}
  size_t scratch_bytes() const override { return static_cast<size_t>(s_.samples) * 4 + 64; }

  void run(const KernelArgs& a) noexcept override {
    auto* losses = static_cast<float*>(a.scratch);
    void* logs = a.outputs.size() > 1 ? a.outputs[1] : nullptr;
    const auto smooth = static_cast<float>(s_.smoothing), even = smooth / static_cast<float>(s_.classes);
    a.pool.parallel_for(s_.samples, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i * s_.classes;
        float most = get(a.inputs[0], s_.logits, at);
        for (int64_t c = 1; c < s_.classes; ++c) most = std::max(most, get(a.inputs[0], s_.logits, at + c));
        float sum = 0;
        for (int64_t c = 0; c < s_.classes; ++c) sum += std::exp(get(a.inputs[0], s_.logits, at + c) - most);
        const float base = most + std::log(sum);
        const int64_t label = s_.probabilities ? 0 : get_label(a.inputs[1], s_.labels, i);
        float total = 0, weighted = 0;
        for (int64_t c = 0; c < s_.classes; ++c) {
          const float lp = get(a.inputs[0], s_.logits, at + c) - base;
          if (logs) put(logs, log_type_, at + c, lp);
          total += lp;
          if (s_.probabilities)
            weighted += get(a.inputs[1], s_.labels, at + c) * lp;
          else if (c == label)
            weighted = lp;
        }
        losses[i] = s_.probabilities || counts(s_, label)
                        ? -((1 - smooth) * weighted + (smooth == 0 ? 0 : even * total))
                        : 0.0f;
      }
    });
    if (!a.outputs[0]) return;
    if (s_.reduction == Reduction::none) {
      for (int64_t i = 0; i < s_.samples; ++i) put(a.outputs[0], loss_type_, i, losses[i]);
      return;
    }
    double all = 0;
    for (int64_t i = 0; i < s_.samples; ++i) all += losses[i];
    if (s_.reduction == Reduction::mean) all /= static_cast<double>(counted(s_, a.inputs[1]));
    put(a.outputs[0], loss_type_, 0, static_cast<float>(all));
  }

 private:
  Setting s_;
  ElementType loss_type_, log_type_;
};

class LossGradKernel final : public PreparedKernel {
 public:
  explicit LossGradKernel(const KernelQuery& q)
      : s_(setting_of<SoftmaxCrossEntropyGrad>(q)), dloss_type_(q.inputs[2].type), out_type_(q.outputs[0].type) {}

  void run(const KernelArgs& a) noexcept override {
    if (!a.outputs[0]) return;
    const auto smooth = static_cast<float>(s_.smoothing), even = smooth / static_cast<float>(s_.classes);
    const float factor = s_.reduction == Reduction::mean ? 1.0f / static_cast<float>(counted(s_, a.inputs[1])) : 1.0f;
    a.pool.parallel_for(s_.samples, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i * s_.classes, label = s_.probabilities ? 0 : get_label(a.inputs[1], s_.labels, i);
        const float g = factor * get(a.inputs[2], dloss_type_, s_.reduction == Reduction::none ? i : 0);
        const bool valid = s_.probabilities || counts(s_, label);
        // the sum of the targets, 1 unless the given probabilities do not add up
        float mass = 1;
        if (s_.probabilities) {
          mass = 0;
          for (int64_t c = 0; c < s_.classes; ++c) mass += (1 - smooth) * get(a.inputs[1], s_.labels, at + c) + even;
        }
        for (int64_t c = 0; c < s_.classes; ++c) {
          const float hit = s_.probabilities ? get(a.inputs[1], s_.labels, at + c) : c == label ? 1.0f : 0.0f;
          const float target = (1 - smooth) * hit + even;
          put(a.outputs[0], out_type_, at + c,
              valid ? g * (mass * std::exp(get(a.inputs[0], s_.logits, at + c)) - target) : 0.0f);
        }
      }
    });
  }

 private:
  Setting s_;
  ElementType dloss_type_, out_type_;
};

Support supports_both(const KernelQuery& q, size_t inputs) {
  if (!q.epilogue.empty()) return Support::no("an epilogue is not run here");
  if (q.inputs.size() < inputs || q.outputs.empty()) return Support::no("inputs are missing");
  if (q.inputs[0].shape.size() != 2 || q.inputs[0].size() == 0)
    return Support::no("logits must be [N, C] and not empty");
  const TensorDesc& labels = q.inputs[1];
  if (!float_like(q.inputs[0].type)) return Support::no("logits must be f32 or bf16");
  if (float_like(labels.type) ? labels.shape != q.inputs[0].shape
                              : !label_like(labels.type) || labels.shape != Shape{q.inputs[0].shape[0]})
    return Support::no("labels must be [N] of i64, i32 or u8, or probabilities like the logits");
  for (const TensorDesc& d : q.outputs)
    if (d.present && !float_like(d.type)) return Support::no("results must be f32 or bf16");
  return Support::yes();
}
Support supports_loss(const KernelQuery& q) {
  return supports_both(q, 2);
}
Support supports_gradient(const KernelQuery& q) {
  if (Support s = supports_both(q, 3); !s) return s;
  if (!float_like(q.inputs[2].type)) return Support::no("the gradient of the loss must be f32 or bf16");
  return Support::yes();
}
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.cost = static_cast<double>(q.inputs[0].size()) * 0.01;
  return p;
}

const Kernel kRows[] = {
    {"SoftmaxCrossEntropy_rows__any", "hone", SoftmaxCrossEntropy::name, supports_loss, plan, nullptr,
     [](const KernelQuery& q) -> std::unique_ptr<PreparedKernel> { return std::make_unique<LossKernel>(q); }},
    {"SoftmaxCrossEntropyGrad_rows__any", "hone", SoftmaxCrossEntropyGrad::name, supports_gradient, plan, nullptr,
     [](const KernelQuery& q) -> std::unique_ptr<PreparedKernel> { return std::make_unique<LossGradKernel>(q); }},
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_loss() {
  return training::kRows;
}
}  // namespace hone::cpu
