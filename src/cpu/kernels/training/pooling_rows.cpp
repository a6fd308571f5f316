// Rows for the gradients of pooling: one image at a time, sums in f32 whatever the storage.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/pooling.hpp"

namespace hone::cpu::training {
namespace {

template <class Op>
std::string read_pooling(const KernelQuery& q, Pooling& p) {
  const auto op = q.attrs<Op>();
  const Shape& x = q.outputs[0].shape;
  const Shape& y = (std::is_same_v<Op, MaxPoolGrad> ? q.inputs[1] : q.inputs[0]).shape;
  if (x.size() != y.size() || x.size() < 3 || x.size() > 4) return "only one or two spatial dimensions";
  const size_t spatial = x.size() - 2;
  if (op.kernel.size() != spatial) return "the kernel does not fit the rank";
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, begin[2] = {0, 0}, end[2] = {0, 0};
  auto item = [](const std::vector<int64_t>& list, size_t a, int64_t otherwise) {
    return a < list.size() ? list[a] : otherwise;
  };
  for (size_t a = 0; a < spatial; ++a) {
    const size_t at = a + 2 - spatial;
    kernel[at] = op.kernel[a];
    stride[at] = item(op.strides, a, 1);
    if constexpr (requires { op.dilations; }) dilation[at] = item(op.dilations, a, 1);
    begin[at] = item(op.pads_begin, a, 0);
    end[at] = item(op.pads_end, a, 0);
    if (op.auto_pad == AutoPad::valid) begin[at] = end[at] = 0;
    if (op.auto_pad == AutoPad::same_upper || op.auto_pad == AutoPad::same_lower) {
      const int64_t all =
          std::max<int64_t>(0, (y[a + 2] - 1) * stride[at] + (kernel[at] - 1) * dilation[at] + 1 - x[a + 2]);
      begin[at] = op.auto_pad == AutoPad::same_upper ? all / 2 : (all + 1) / 2;
      end[at] = all - begin[at];
    }
    if (kernel[at] < 1 || stride[at] < 1 || dilation[at] < 1) return "kernel, strides and dilations must be positive";
  }
  if (kernel[0] * kernel[1] > (int64_t{1} << 24)) return "the window exceeds 2^24 elements";
  p.channels = x[1];
  p.height_in = spatial == 2 ? x[2] : 1;
  p.width_in = x.back();
  p.height_out = spatial == 2 ? y[2] : 1;
  p.width_out = y.back();
  p.kernel_y = kernel[0], p.kernel_x = kernel[1];
  p.stride_y = stride[0], p.stride_x = stride[1];
  p.dilation_y = dilation[0], p.dilation_x = dilation[1];
  p.pad_top = begin[0], p.pad_left = begin[1];
  p.pad_bottom = end[0], p.pad_right = end[1];
  p.exclude_pad = true;
  if constexpr (requires { op.exclude_pad; }) p.exclude_pad = op.exclude_pad;
  return {};
}

template <class Op>
class PoolGradKernel final : public PreparedKernel {
 public:
  PoolGradKernel(const KernelQuery& q, const TrainingIsa& isa)
      : isa_(isa),
        batch_(q.outputs[0].shape[0]),
        storage_(q.outputs[0].type == ElementType::f32 ? Storage::f32 : Storage::bf16),
        threads_(std::max(1, q.threads)) {
    read_pooling<Op>(q, p_);
    image_ = p_.height_in * p_.width_in * p_.channels;
    image_floats_ = (image_ + 15) / 16 * 16;
  }
  size_t scratch_bytes() const override {
    return storage_ == Storage::f32 ? 0 : static_cast<size_t>(threads_ * image_floats_) * 4 + 64;
  }
  void run(const KernelArgs& a) noexcept override {
    if (!a.outputs[0]) return;
    const size_t bytes = storage_ == Storage::f32 ? 4 : 2;
    const int64_t image_out = p_.height_out * p_.width_out * p_.channels;
    a.pool.parallel_for(batch_, 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t n = begin; n < end; ++n) {
        char* out = static_cast<char*>(a.outputs[0]) + static_cast<size_t>(n * image_) * bytes;
        float* dx = storage_ == Storage::f32 ? reinterpret_cast<float*>(out)
                                             : static_cast<float*>(a.scratch) + thread * image_floats_;
        std::memset(dx, 0, static_cast<size_t>(image_) * 4);
        if constexpr (std::is_same_v<Op, MaxPoolGrad>)
          isa_.max_pool_grad(storage_, p_,
                             static_cast<const char*>(a.inputs[0]) + static_cast<size_t>(n * image_) * bytes,
                             static_cast<const char*>(a.inputs[1]) + static_cast<size_t>(n * image_out) * bytes, dx);
        else
          isa_.avg_pool_grad(storage_, p_,
                             static_cast<const char*>(a.inputs[0]) + static_cast<size_t>(n * image_out) * bytes, dx);
        if (storage_ == Storage::bf16) isa_.narrow(dx, out, image_);
      }
    });
  }

 private:
  const TrainingIsa& isa_;
  int64_t batch_, image_ = 0, image_floats_ = 0;
  Storage storage_;
  int64_t threads_;
  Pooling p_{};
};

template <class Op, int Isa>
Support supports(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  if (!q.epilogue.empty()) return Support::no("an epilogue is not run here");
  if (q.inputs.size() < 2 || q.outputs.empty()) return Support::no("inputs are missing");
  const size_t activations = std::is_same_v<Op, MaxPoolGrad> ? 2 : 1;
  for (size_t i = 0; i < activations; ++i)
    if (auto why = refuse_activation(q.inputs[i], "an input"); !why.empty()) return Support::no(why);
  if (auto why = refuse_activation(q.outputs[0], "the output"); !why.empty()) return Support::no(why);
  for (size_t i = 0; i < activations; ++i)
    if (q.inputs[i].type != q.outputs[0].type) return Support::no("inputs and output differ in type");
  if (q.outputs[0].size() == 0) return Support::no("an empty tensor");
  Pooling p{};
  if (auto why = read_pooling<Op>(q, p); !why.empty()) return Support::no(why);
  return Support::yes();
}
template <int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.cost = static_cast<double>(q.outputs[0].bytes()) / 5e3 * (1 + 0.01 * Isa);
  return p;
}
template <class Op, int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  return std::make_unique<PoolGradKernel<Op>>(q, *training_isa(Isa));
}

const Kernel kRows[] = {
    {"MaxPoolGrad_channels_last__avx512", "hone", MaxPoolGrad::name, supports<MaxPoolGrad, 1>, plan<1>, nullptr,
     prepare<MaxPoolGrad, 1>},
    {"MaxPoolGrad_channels_last__avx2", "hone", MaxPoolGrad::name, supports<MaxPoolGrad, 2>, plan<2>, nullptr,
     prepare<MaxPoolGrad, 2>},
    {"AvgPoolGrad_channels_last__avx512", "hone", AvgPoolGrad::name, supports<AvgPoolGrad, 1>, plan<1>, nullptr,
     prepare<AvgPoolGrad, 1>},
    {"AvgPoolGrad_channels_last__avx2", "hone", AvgPoolGrad::name, supports<AvgPoolGrad, 2>, plan<2>, nullptr,
     prepare<AvgPoolGrad, 2>},
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_pooling() {
  return training::kRows;
}
}  // namespace hone::cpu
