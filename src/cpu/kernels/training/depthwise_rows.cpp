// Rows for depthwise convolutions in training: forward with variable weights, gradient to the data, gradient to the
// weights.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

enum class Direction { forward, data, weights };

/// Which taps reach output `o` along one axis. Backward, outputs are those of the data.
void list_taps(bool forward, int64_t outputs, int64_t sources, int64_t kernel, int64_t stride, int64_t dilation,
               int64_t pad, std::vector<Tap>& taps, std::vector<int32_t>& begin) {
  for (int64_t o = 0; o < outputs; ++o) {
    begin.push_back(static_cast<int32_t>(taps.size()));
    for (int64_t k = 0; k < kernel; ++k) {
      int64_t s = forward ? o * stride + k * dilation - pad : o + pad - k * dilation;
      if (!forward) {
        if (s < 0 || s % stride) continue;
        s /= stride;
      }
      if (s >= 0 && s < sources) taps.push_back({static_cast<int32_t>(k), static_cast<int32_t>(s)});
    }
  }
  begin.push_back(static_cast<int32_t>(taps.size()));
}

struct Tables {
  Depthwise d{};
  std::vector<Tap> rows, columns;
  std::vector<int32_t> row_begin, column_begin;
  int64_t height_out = 0, image_in = 0, image_out = 0;
  void fill(const ConvolutionGeometry& g, bool forward, Storage in, Storage out) {
    const int64_t height_in = forward ? g.data_height : g.result_height;
    d.width_in = forward ? g.data_width : g.result_width;
    height_out = forward ? g.result_height : g.data_height;
    d.width_out = forward ? g.result_width : g.data_width;
    list_taps(forward, height_out, height_in, g.kernel_height, g.stride_y, g.dilation_y, g.pad_top, rows, row_begin);
    list_taps(forward, d.width_out, d.width_in, g.kernel_width, g.stride_x, g.dilation_x, g.pad_left, columns,
              column_begin);
    d.channels = g.groups;
    d.kernel_x = g.kernel_width;
    d.in = in, d.out = out;
    d.rows = rows.data(), d.columns = columns.data();
    d.row_begin = row_begin.data(), d.column_begin = column_begin.data();
    image_in = height_in * d.width_in * d.channels;
    image_out = height_out * d.width_out * d.channels;
  }
};
size_t bytes(Storage s, int64_t n) {
  return bytes_of(s) * static_cast<size_t>(n);
}

class DepthwiseKernel final : public PreparedKernel {
 public:
  DepthwiseKernel(const KernelQuery& q, const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa)
      : isa_(isa), g_(g), bf16_weights_(q.inputs[1].type == ElementType::bf16) {
    t_.fill(g, forward, storage_of(q.inputs[0].type), storage_of(q.outputs[0].type));
  }
  size_t scratch_bytes() const override { return static_cast<size_t>(g_.taps() * g_.groups) * 4 + 64; }
  void run(const KernelArgs& a) noexcept override {
    // src = [channel][taps]   dst = [taps][channel]
    auto* w = static_cast<float*>(a.scratch);
    const int64_t taps = g_.taps();
    for (int64_t c = 0; c < g_.groups; ++c)
      for (int64_t k = 0; k < taps; ++k)
        w[k * g_.groups + c] = bf16_weights_
                                   ? static_cast<float>(static_cast<const bfloat16*>(a.inputs[1])[c * taps + k])
                                   : static_cast<const float*>(a.inputs[1])[c * taps + k];
    const int64_t height = t_.height_out;
    a.pool.parallel_for(g_.batch * height, 1, [&](int64_t begin, int64_t end, int) {
      while (begin < end) {
        const int64_t image = begin / height, y0 = begin % height, y1 = std::min(height, y0 + end - begin);
        isa_.depthwise(t_.d, static_cast<const char*>(a.inputs[0]) + bytes(t_.d.in, image * t_.image_in), w,
                       static_cast<char*>(a.outputs[0]) + bytes(t_.d.out, image * t_.image_out), y0, y1);
        begin += y1 - y0;
      }
    });
  }

 private:
  const TrainingIsa& isa_;
  ConvolutionGeometry g_;
  Tables t_;
  bool bf16_weights_;
};

class DepthwiseGradientKernel final : public PreparedKernel {
 public:
  DepthwiseGradientKernel(const KernelQuery& q, const ConvolutionGeometry& g, const TrainingIsa& isa)
      : isa_(isa), g_(g), bf16_result_(q.outputs[0].type == ElementType::bf16) {
    t_.fill(g, true, storage_of(q.inputs[0].type), storage_of(q.inputs[1].type));
    chunks_ = std::min<int64_t>(g.batch, 16);
    floats_ = (g.taps() * g.groups + 15) / 16 * 16;
  }
  size_t scratch_bytes() const override { return static_cast<size_t>(chunks_ * floats_) * 4 + 64; }
  void run(const KernelArgs& a) noexcept override {
    auto* sums = static_cast<float*>(a.scratch);
    a.pool.parallel_for(chunks_, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        float* sum = sums + chunk * floats_;
        std::memset(sum, 0, static_cast<size_t>(floats_) * 4);
        for (int64_t image = g_.batch * chunk / chunks_; image < g_.batch * (chunk + 1) / chunks_; ++image)
          isa_.depthwise_gradient(t_.d, static_cast<const char*>(a.inputs[0]) + bytes(t_.d.in, image * t_.image_in),
                                  static_cast<const char*>(a.inputs[1]) + bytes(t_.d.out, image * t_.image_out), sum, 0,
                                  t_.height_out);
      }
    });
    isa_.add_parts(sums, floats_, chunks_, sums, floats_);
    const int64_t taps = g_.taps();
    for (int64_t c = 0; c < g_.groups; ++c)
      for (int64_t k = 0; k < taps; ++k) {
        const float v = sums[k * g_.groups + c];
        if (bf16_result_)
          static_cast<bfloat16*>(a.outputs[0])[c * taps + k] = bfloat16(v);
        else
          static_cast<float*>(a.outputs[0])[c * taps + k] = v;
      }
  }

 private:
  const TrainingIsa& isa_;
  ConvolutionGeometry g_;
  bool bf16_result_;
  Tables t_;
  int64_t chunks_ = 1, floats_ = 0;
};

template <Direction D, int Isa>
Support supports(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  if (!q.epilogue.empty()) return Support::no("an epilogue is not run here");
  if (q.inputs.size() < 2 || q.outputs.empty()) return Support::no("inputs are missing");
  if (D == Direction::forward && q.inputs[1].constant)
    return Support::no("the weights are constant: kernels with packed weights are better");
  const bool to_weights = D == Direction::weights;
  if (auto why = refuse_activation(q.inputs[0], "the input"); !why.empty()) return Support::no(why);
  if (auto why = refuse_activation(to_weights ? q.inputs[1] : q.outputs[0], to_weights ? "dy" : "the output");
      !why.empty())
    return Support::no(why);
  const TensorDesc& w = to_weights ? q.outputs[0] : q.inputs[1];
  if ((w.type != ElementType::f32 && w.type != ElementType::bf16) || w.layout != Layout::plain || !w.packed.empty())
    return Support::no("weights are not f32 or bf16 in plain order");
  ConvolutionGeometry g;
  if (auto why = read_geometry(q, g); !why.empty()) return Support::no(why);
  if (g.data_channels != 1 || g.result_channels != 1) return Support::no("not depthwise");
  return Support::yes();
}
template <Direction D, int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  p.cost = static_cast<double>(g.batch * g.groups * g.taps()) * static_cast<double>(g.result_height * g.result_width) /
           15e3 * (1 + 0.01 * Isa);
  return p;
}
template <Direction D, int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  if constexpr (D == Direction::weights) return std::make_unique<DepthwiseGradientKernel>(q, g, *training_isa(Isa));
  return std::make_unique<DepthwiseKernel>(q, g, D == Direction::forward, *training_isa(Isa));
}
template <Direction D, int Isa>
constexpr Kernel row(const char* name, const char* op) {
  return {name, "hone", op, supports<D, Isa>, plan<D, Isa>, nullptr, prepare<D, Isa>};
}

const Kernel kRows[] = {
    row<Direction::forward, 0>("GroupConvolution_variable_depthwise__avx512_bf16", GroupConvolution::name),
    row<Direction::forward, 1>("GroupConvolution_variable_depthwise__avx512", GroupConvolution::name),
    row<Direction::forward, 2>("GroupConvolution_variable_depthwise__avx2", GroupConvolution::name),
    row<Direction::data, 0>("GroupConvolutionBackpropData_depthwise__avx512_bf16", GroupConvolutionBackpropData::name),
    row<Direction::data, 1>("GroupConvolutionBackpropData_depthwise__avx512", GroupConvolutionBackpropData::name),
    row<Direction::data, 2>("GroupConvolutionBackpropData_depthwise__avx2", GroupConvolutionBackpropData::name),
    row<Direction::weights, 0>("ConvolutionBackpropWeights_depthwise__avx512_bf16", ConvolutionBackpropWeights::name),
    row<Direction::weights, 1>("ConvolutionBackpropWeights_depthwise__avx512", ConvolutionBackpropWeights::name),
    row<Direction::weights, 2>("ConvolutionBackpropWeights_depthwise__avx2", ConvolutionBackpropWeights::name),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_depthwise() {
  return training::kRows;
}
}  // namespace hone::cpu
