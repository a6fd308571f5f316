// Rows for the gradient of 3x3 convolutions of stride 1 to their weights in f32, by Winograd's transforms. As in
// `weight_gradient_rows.cpp` the batch is cut into chunks by shape, whose sums are added in order.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

constexpr int64_t kMostChunks = 8;
constexpr int64_t kSumBytes =
    1200 * 1024;  ///< of a chunk: beyond, loading and storing sums costs what the products save
constexpr int64_t kScratchBytes = 512 * 1024;  ///< transformed tiles of the images worked on together
constexpr int64_t kTiles = 28;

class WinogradGradientKernel final : public PreparedKernel {
 public:
  WinogradGradientKernel(const KernelQuery& q, const ConvolutionGeometry& g, const TrainingIsa& isa)
      : isa_(isa), g_(g), bf16_result_(q.outputs[0].type == ElementType::bf16), threads_(std::max(1, q.threads)) {
    t_ = convolution_tables(g, true, isa, Storage::f32, Storage::f32, false);
    const DirectConvolution& c = t_.conv;
    const int64_t tiles = winograd_tiles(c),
                  bytes = kWinogradProducts * tiles * (g.data_channels + g.result_channels) * 4;
    together_ = 1;
    while (together_ * tiles < kTiles) ++together_;
    while (together_ * tiles < 2 * kTiles && (together_ + 1) * bytes <= kScratchBytes) ++together_;
    chunks_ = std::max<int64_t>(1, std::min(kMostChunks, g.batch / together_));
    sum_floats_ = kWinogradProducts * g.data_channels * g.result_channels;
    source_floats_ = kWinogradProducts * tiles * together_ * g.data_channels;
    result_floats_ = kWinogradProducts * tiles * together_ * g.result_channels;
    column_floats_ = 6 * ((c.width_out + 3) / 4 * 4 + 2) * 16;
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(chunks_ * sum_floats_ + 9 * g_.data_channels * g_.result_channels + g_.data_channels +
                               threads_ * thread_floats()) *
               4 +
           64;
  }

  void run(const KernelArgs& args) noexcept override {
    const DirectConvolution& c = t_.conv;
    auto* sums = static_cast<float*>(args.scratch);
    float *taps = sums + chunks_ * sum_floats_, *zeros = taps + 9 * g_.data_channels * g_.result_channels;
    float* buffers = zeros + g_.data_channels;
    std::memset(zeros, 0, static_cast<size_t>(g_.data_channels) * 4);
    args.pool.parallel_for(chunks_, 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        WinogradGradient w;
        w.source = buffers + thread * thread_floats();
        w.result = w.source + source_floats_;
        w.columns = w.result + result_floats_;
        w.zeros = zeros;
        w.pad_top = g_.pad_top, w.pad_left = g_.pad_left;
        w.sum = sums + chunk * sum_floats_;
        std::memset(w.sum, 0, static_cast<size_t>(sum_floats_) * 4);
        const int64_t last = g_.batch * (chunk + 1) / chunks_;
        for (int64_t n = g_.batch * chunk / chunks_; n < last; n += together_) {
          w.images = std::min(together_, last - n);
          w.x = static_cast<const float*>(args.inputs[0]) + n * c.height_in * c.pixel_in_row;
          w.dy = static_cast<const float*>(args.inputs[1]) + n * c.height_out * c.width_out * c.pixel_out;
          isa_.winograd_gradient(c, w);
        }
      }
    });
    constexpr int64_t slice = 4096;
    args.pool.parallel_for((sum_floats_ + slice - 1) / slice, 1, [&](int64_t begin, int64_t end, int) {
      float* part = sums + begin * slice;
      isa_.add_parts(part, sum_floats_, chunks_, part, std::min(sum_floats_, end * slice) - begin * slice);
    });
    args.pool.parallel_for(g_.data_channels, 4, [&](int64_t begin, int64_t end, int) {
      isa_.winograd_gradient_taps(sums, g_.data_channels, g_.result_channels, begin, end, taps);
      if (bf16_result_)
        scatter(taps, static_cast<bfloat16*>(args.outputs[0]), begin, end);
      else
        scatter(taps, static_cast<float*>(args.outputs[0]), begin, end);
    });
  }

 private:
  int64_t thread_floats() const { return source_floats_ + result_floats_ + column_floats_; }
  /// src = [channel][taps][o]   dst = [o][channel][taps]
  template <class T>
  void scatter(const float* taps, T* dw, int64_t begin, int64_t end) const {
    for (int64_t k = begin * 9; k < end * 9; ++k)
      for (int64_t o = 0; o < g_.result_channels; ++o)
        dw[o * g_.data_channels * 9 + k] = T(taps[k * g_.result_channels + o]);
  }

  const TrainingIsa& isa_;
  ConvolutionGeometry g_;
  bool bf16_result_;
  ConvolutionTables t_;
  int64_t threads_, together_ = 1, chunks_ = 1;
  int64_t sum_floats_ = 0, source_floats_ = 0, result_floats_ = 0, column_floats_ = 0;
};

template <int Isa>
Support supports(const KernelQuery& q) {
  const TrainingIsa* isa = training_isa(Isa);
  if (!isa) return Support::no(lacking(Isa));
  ConvolutionGeometry g;
  if (auto why = refuse_weight_gradient(q, g); !why.empty()) return Support::no(why);
  if (q.inputs[0].type != ElementType::f32 || q.inputs[1].type != ElementType::f32 || q.bf16_compute)
    return Support::no("bf16 is faster and more exact in direct form");
  if (auto why = refuse_winograd(g); !why.empty()) return Support::no(why);
  if (g.data_channels % 16 || g.result_channels % 16) return Support::no("channels must be multiples of 16");
  if (kWinogradProducts * g.data_channels * g.result_channels * 4 > kSumBytes)
    return Support::no("so many sums do not stay in cache");
  if (g.batch * g.result_height * g.result_width < 256) return Support::no("too few outputs to transform");
  return Support::yes();
}

template <int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  const double tiles = static_cast<double>(g.batch * ((g.result_height + 3) / 4) * ((g.result_width + 3) / 4));
  const auto in = static_cast<double>(g.data_channels), out = static_cast<double>(g.result_channels);
  p.cost = (36 * tiles * in * out / 40e3 + tiles * (in + out) * 150 / 50e3 + in * out * 0.1) * (1 + 0.01 * Isa);
  return p;
}

template <int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  return std::make_unique<WinogradGradientKernel>(q, g, *training_isa(Isa));
}

template <int Isa>
constexpr Kernel row(const char* name) {
  return {name, "hone", ConvolutionBackpropWeights::name, supports<Isa>, plan<Isa>, nullptr, prepare<Isa>};
}

const Kernel kRows[] = {
    row<1>("ConvolutionBackpropWeights_winograd4x4__avx512"),
    row<2>("ConvolutionBackpropWeights_winograd4x4__avx2"),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_winograd_gradient() {
  return training::kRows;
}
}  // namespace hone::cpu
