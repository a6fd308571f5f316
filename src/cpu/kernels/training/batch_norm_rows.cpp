// Rows for BatchNorm in training and its gradient. Pixels are cut into chunks by shape; sums of a chunk are taken in
// f32 around a value of the chunk itself and combined in f64, so the statistics are accurate and have the same bits on
// any number of threads.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/normalization.hpp"

namespace hone::cpu::training {
namespace {

/// Sums of so many terms in f32 keep about six digits.
constexpr int64_t kMostPixels = 4096;
constexpr int64_t kLeastPixels = 64;
constexpr int64_t kChunks = 64;

struct Split {
  int64_t pixels, channels, chunk, chunks;
  explicit Split(const Shape& s) {
    channels = s[1];
    pixels = s[0];
    for (size_t a = 2; a < s.size(); ++a) pixels *= s[a];
    chunk = std::clamp((pixels + kChunks - 1) / kChunks, kLeastPixels, kMostPixels);
    chunks = (pixels + chunk - 1) / chunk;
  }
  int64_t length(int64_t i) const { return std::min(chunk, pixels - i * chunk); }
};

class BatchNormKernel final : public PreparedKernel {
 public:
  BatchNormKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa),
        op_(q.attrs<BatchNormTraining>()),
        split_(q.inputs[0].shape),
        storage_(storage_of(q.inputs[0].type)) {}
  size_t scratch_bytes() const override {
    return static_cast<size_t>((3 * split_.chunks + 2) * split_.channels + 64) * 4;
  }

  void run(const KernelArgs& a) noexcept override {
    const int64_t channels = split_.channels, parts = split_.chunks * channels;
    auto* shift = static_cast<float*>(a.scratch);
    float *sum = shift + parts, *square = sum + parts, *scale = square + parts, *offset = scale + channels;
    const size_t bytes = storage_ == Storage::f32 ? 4 : 2;
    a.pool.parallel_for(split_.chunks, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const char* x =
            static_cast<const char*>(a.inputs[0]) + static_cast<size_t>(i * split_.chunk * channels) * bytes;
        float* k = shift + i * channels;
        if (storage_ == Storage::f32)
          std::memcpy(k, x, static_cast<size_t>(channels) * 4);
        else
          for (int64_t c = 0; c < channels; ++c) k[c] = static_cast<float>(reinterpret_cast<const bfloat16*>(x)[c]);
        isa_.norm_statistics(storage_, x, split_.length(i), channels, k, sum + i * channels, square + i * channels);
      }
    });
    const auto input = [&](size_t i) { return static_cast<const float*>(a.inputs[i]); };
    const auto output = [&](size_t i) { return i < a.outputs.size() ? static_cast<float*>(a.outputs[i]) : nullptr; };
    a.pool.parallel_for(channels, 64, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        // Chan, Golub, LeVeque: parallel variance
        double n = 0, mean = 0, m2 = 0;
        for (int64_t i = 0; i < split_.chunks; ++i) {
          const auto m = static_cast<double>(split_.length(i));
          const double s = sum[i * channels + c], q = square[i * channels + c];
          const double part_mean = shift[i * channels + c] + s / m, part_m2 = std::max(0.0, q - s * s / m);
          const double delta = part_mean - mean, all = n + m;
          mean += delta * m / all;
          m2 += part_m2 + delta * delta * n * m / all;
          n = all;
        }
        const double variance = m2 / n, unbiased = n > 1 ? m2 / (n - 1) : variance;
        const double inverse = 1.0 / std::sqrt(variance + op_.epsilon);
        const auto factor = static_cast<float>(input(1)[c] * inverse);
        scale[c] = factor;
        offset[c] = static_cast<float>(input(2)[c] - mean * input(1)[c] * inverse);
        const double keep = 1.0 - op_.momentum;
        const float new_mean = static_cast<float>(keep * input(3)[c] + op_.momentum * mean);
        const float new_variance = static_cast<float>(keep * input(4)[c] + op_.momentum * unbiased);
        if (float* o = output(1)) o[c] = new_mean;
        if (float* o = output(2)) o[c] = new_variance;
        if (float* o = output(3)) o[c] = static_cast<float>(mean);
        if (float* o = output(4)) o[c] = static_cast<float>(inverse);
      }
    });
    if (!a.outputs[0]) return;
    NormApply apply{a.inputs[0], a.inputs.size() > 5 ? a.inputs[5] : nullptr, a.outputs[0], scale,
                    offset,      op_.activation == NormActivation::relu};
    // last chunk first: it is the one still in cache
    a.pool.parallel_for(split_.chunks, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = end; i-- > begin;)
        isa_.norm_apply(storage_, apply, i * split_.chunk, split_.length(i), channels);
    });
  }

 private:
  const TrainingIsa& isa_;
  BatchNormTraining op_;
  Split split_;
  Storage storage_;
};

class BatchNormGradKernel final : public PreparedKernel {
 public:
  BatchNormGradKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa),
        op_(q.attrs<BatchNormTrainingGrad>()),
        split_(q.inputs[0].shape),
        storage_(storage_of(q.inputs[0].type)) {}
  size_t scratch_bytes() const override {
    return static_cast<size_t>((2 * split_.chunks + 3) * split_.channels + 64) * 4;
  }

  void run(const KernelArgs& args) noexcept override {
    const int64_t channels = split_.channels, parts = split_.chunks * channels;
    auto* sum = static_cast<float*>(args.scratch);
    float *product = sum + parts, *a = product + parts, *b = a + channels, *c = b + channels;
    const auto output = [&](size_t i) { return i < args.outputs.size() ? args.outputs[i] : nullptr; };
    const auto* gamma = static_cast<const float*>(args.inputs[2]);
    const auto* mean = static_cast<const float*>(args.inputs[3]);
    const auto* inverse = static_cast<const float*>(args.inputs[4]);
    const bool relu = op_.activation == NormActivation::relu;
    NormGrad g{args.inputs[0], args.inputs[1], relu ? args.inputs[5] : nullptr, output(0), output(3), mean, a, b, c};
    args.pool.parallel_for(split_.chunks, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        isa_.norm_grad_sums(storage_, g, i * split_.chunk, split_.length(i), channels, sum + i * channels,
                            product + i * channels);
    });
    args.pool.parallel_for(channels, 64, [&](int64_t begin, int64_t end, int) {
      for (int64_t k = begin; k < end; ++k) {
        double s = 0, p = 0;
        for (int64_t i = 0; i < split_.chunks; ++i) s += sum[i * channels + k], p += product[i * channels + k];
        const double inv = inverse[k], scale = static_cast<double>(gamma[k]) * inv,
                     n = static_cast<double>(split_.pixels);
        a[k] = static_cast<float>(scale);
        b[k] = static_cast<float>(-scale * inv * inv * p / n);
        c[k] = static_cast<float>(-scale * s / n);
        if (auto* dgamma = static_cast<float*>(output(1))) dgamma[k] = static_cast<float>(p * inv);
        if (auto* dbeta = static_cast<float*>(output(2))) dbeta[k] = static_cast<float>(s);
      }
    });
    if (!g.dx) return;
    if (g.dresidual) g.dy = g.dresidual, g.y = nullptr;  // already behind the activation
    args.pool.parallel_for(split_.chunks, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = end; i-- > begin;)
        isa_.norm_grad_apply(storage_, g, i * split_.chunk, split_.length(i), channels);
    });
  }

 private:
  const TrainingIsa& isa_;
  BatchNormTrainingGrad op_;
  Split split_;
  Storage storage_;
};

std::string refuse_statistics(const TensorDesc& d) {
  if (d.present && (d.type != ElementType::f32 || d.quantization)) return "statistics and factors must be f32";
  return {};
}

/// Activations: inputs listed in `like_x`, outputs 0 and `last_output`; everything else is f32 of one entry per
/// channel.
std::string refuse(const KernelQuery& q, size_t most_inputs, std::initializer_list<size_t> like_x,
                   size_t like_x_output) {
  if (!q.epilogue.empty()) return "an epilogue is not run here";
  if (q.inputs.size() < 5 || q.inputs.size() > most_inputs || q.outputs.empty())
    return "an unexpected number of inputs";
  if (q.inputs[0].shape.size() < 2) return "x must have a channel axis";
  if (q.inputs[0].size() == 0) return "an empty tensor";
  auto check = [&](const TensorDesc& d, const char* what) -> std::string {
    if (!d.present) return {};
    if (auto why = refuse_activation(d, what); !why.empty()) return why;
    if (d.type != q.inputs[0].type) return std::string(what) + " has another type than x";
    return {};
  };
  for (size_t i = 0; i < q.inputs.size(); ++i) {
    const bool activation = std::find(like_x.begin(), like_x.end(), i) != like_x.end();
    std::string why = activation ? check(q.inputs[i], "an input") : refuse_statistics(q.inputs[i]);
    if (!why.empty()) return why;
  }
  for (size_t i = 0; i < q.outputs.size(); ++i) {
    std::string why = i == 0 || i == like_x_output ? check(q.outputs[i], "an output") : refuse_statistics(q.outputs[i]);
    if (!why.empty()) return why;
  }
  return {};
}

template <int Isa>
Support supports_forward(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  std::string why = refuse(q, 6, {0, 5}, 0);
  return why.empty() ? Support::yes() : Support::no(why);
}
template <int Isa>
Support supports_gradient(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  std::string why = refuse(q, 6, {0, 1, 5}, 3);
  if (why.empty() && q.attrs<BatchNormTrainingGrad>().activation == NormActivation::relu &&
      (q.inputs.size() < 6 || !q.inputs[5].present))
    why = "y is missing, which tells where the activation was 0";
  return why.empty() ? Support::yes() : Support::no(why);
}
template <int Isa, int InPlace, int Passes>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.in_place_input = InPlace;
  if (InPlace == 0) p.in_place = {{1, 3}, {2, 4}};  // running statistics
  p.cost = static_cast<double>(q.inputs[0].bytes()) * Passes / 20e3 * (1 + 0.01 * Isa);
  return p;
}
template <int Isa>
std::unique_ptr<PreparedKernel> prepare_forward(const KernelQuery& q) {
  return std::make_unique<BatchNormKernel>(q, *training_isa(Isa));
}
template <int Isa>
std::unique_ptr<PreparedKernel> prepare_gradient(const KernelQuery& q) {
  return std::make_unique<BatchNormGradKernel>(q, *training_isa(Isa));
}
template <int Isa>
constexpr Kernel forward_row(const char* name) {
  return {name, "hone", BatchNormTraining::name, supports_forward<Isa>, plan<Isa, 0, 3>, nullptr, prepare_forward<Isa>};
}
template <int Isa>
constexpr Kernel gradient_row(const char* name) {
  return {name,
          "hone",
          BatchNormTrainingGrad::name,
          supports_gradient<Isa>,
          plan<Isa, 1, 6>,
          nullptr,
          prepare_gradient<Isa>};
}

const Kernel kRows[] = {
    forward_row<0>("BatchNormTraining_two_pass__avx512_bf16"),
    forward_row<1>("BatchNormTraining_two_pass__avx512"),
    forward_row<2>("BatchNormTraining_two_pass__avx2"),
    gradient_row<0>("BatchNormTrainingGrad_two_pass__avx512_bf16"),
    gradient_row<1>("BatchNormTrainingGrad_two_pass__avx512"),
    gradient_row<2>("BatchNormTrainingGrad_two_pass__avx2"),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_batch_norm() {
  return training::kRows;
}
}  // namespace hone::cpu
