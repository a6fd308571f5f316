// Rows for 3x3 convolutions of stride 1 in f32 with variable weights, forward and gradient to the data, by Winograd's
// F(4x4, 3x3). Rounding errors are some 1e-5 of the largest sums instead of 1e-6, far below the noise of a training
// step.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

constexpr int64_t kMostChannels = 1024;
constexpr int64_t kScratchBytes =
    512 * 1024;                 ///< transformed sources and products of the images worked on together: within L2
constexpr int64_t kTiles = 28;  ///< enough for the widest tile of the products

class WinogradKernel final : public PreparedKernel {
 public:
  WinogradKernel(const KernelQuery& q, const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa)
      : isa_(isa),
        forward_(forward),
        g_(g),
        weights_bf16_(q.inputs[1].type == ElementType::bf16),
        threads_(std::max(1, q.threads)) {
    t_ = convolution_tables(g, forward, isa, Storage::f32, Storage::f32, false);
    read_epilogue(q, added_);
    t_.conv.add = added_.storage;
    const DirectConvolution& c = t_.conv;
    pad_top_ = forward ? g.pad_top : 2 - g.pad_top;
    pad_left_ = forward ? g.pad_left : 2 - g.pad_left;
    packed_floats_ = c.units * c.channels_out;
    weight_floats_ = kWinogradProducts * c.rows.channels * c.channels_out;
    const int64_t tiles = winograd_tiles(c), bytes = kWinogradProducts * tiles * (c.rows.channels + c.channels_out) * 4;
    together_ = 1;
    while (together_ < g.batch && together_ * tiles < kTiles) ++together_;
    while (together_ < g.batch && together_ * tiles < 2 * kTiles && (together_ + 1) * bytes <= kScratchBytes)
      ++together_;
    source_floats_ = kWinogradProducts * tiles * together_ * c.rows.channels;
    column_floats_ = 6 * ((c.width_out + 3) / 4 * 4 + 2) * 16;
    product_floats_ = kWinogradProducts * tiles * together_ * c.channels_out;
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(packed_floats_ + weight_floats_ + t_.conv.rows.channels +
                               threads_ * (source_floats_ + product_floats_ + column_floats_)) *
               4 +
           64;
  }

  void run(const KernelArgs& args) noexcept override {
    const DirectConvolution& c = t_.conv;
    auto* packed = static_cast<float*>(args.scratch);
    float *weights = packed + packed_floats_, *zeros = weights + weight_floats_, *buffers = zeros + c.rows.channels;
    std::memset(zeros, 0, static_cast<size_t>(c.rows.channels) * 4);
    t_.pack_weights(g_, forward_, isa_, args.inputs[1], weights_bf16_, packed, args.pool);
    args.pool.parallel_for(c.rows.channels, 4, [&](int64_t begin, int64_t end, int) {
      isa_.winograd_weights(c, packed, weights, begin, end);
    });
    args.pool.parallel_for(g_.batch, 1, [&](int64_t begin, int64_t end, int thread) {
      WinogradImages w;
      w.weights = weights;
      w.source = buffers + thread * (source_floats_ + product_floats_ + column_floats_);
      w.product = w.source + source_floats_;
      w.columns = w.product + product_floats_;
      w.zeros = zeros;
      w.pad_top = pad_top_, w.pad_left = pad_left_;
      for (int64_t n = begin; n < end; n += together_) {
        w.images = std::min(together_, end - n);
        w.x = static_cast<const float*>(args.inputs[0]) + n * c.height_in * c.pixel_in_row;
        const int64_t to = n * c.height_out * c.width_out * c.pixel_out;
        w.y = static_cast<float*>(args.outputs[0]) + to;
        w.add = nullptr;
        if (added_.present)
          w.add =
              static_cast<const char*>(args.inputs[added_.input]) + static_cast<size_t>(to) * bytes_of(added_.storage);
        isa_.winograd(c, w);
      }
    });
  }

 private:
  const TrainingIsa& isa_;
  bool forward_;
  ConvolutionGeometry g_;
  ConvolutionTables t_;
  AddedTensor added_;
  bool weights_bf16_;
  int64_t threads_, pad_top_ = 0, pad_left_ = 0, together_ = 1;
  int64_t packed_floats_ = 0, weight_floats_ = 0, source_floats_ = 0, product_floats_ = 0, column_floats_ = 0;
};

template <bool Forward, int Isa>
Support supports(const KernelQuery& q) {
  const TrainingIsa* isa = training_isa(Isa);
  if (!isa) return Support::no(lacking(Isa));
  ConvolutionGeometry g;
  if (auto why = refuse_convolution(q, Forward, g); !why.empty()) return Support::no(why);
  if (q.inputs[0].type != ElementType::f32 || q.outputs[0].type != ElementType::f32)
    return Support::no("bf16 is faster and more exact in direct form");
  if (q.bf16_compute && isa->pairs) return Support::no("products in bf16 are allowed, which are faster in direct form");
  if (auto why = refuse_winograd(g); !why.empty()) return Support::no(why);
  if (g.data_channels % 16 || g.result_channels % 16 || std::max(g.data_channels, g.result_channels) > kMostChannels)
    return Support::no("channels must be a multiple of 16, at most 1024");
  if (g.batch * g.result_height * g.result_width < 256)
    return Support::no("too few outputs to transform the weights for");
  return Support::yes();
}

template <bool Forward, int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  const double tiles = static_cast<double>(g.batch * ((g.result_height + 3) / 4) * ((g.result_width + 3) / 4));
  const auto in = static_cast<double>(g.data_channels), out = static_cast<double>(g.result_channels);
  // 36 products a tile, two transforms of some 8 vectors of work each, and the weights
  p.cost = (36 * tiles * in * out / 45e3 + tiles * (in + out) * 150 / 50e3 + in * out * 0.02) * (1 + 0.01 * Isa);
  return p;
}

template <bool Forward, int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  return std::make_unique<WinogradKernel>(q, g, Forward, *training_isa(Isa));
}

template <bool Forward, int Isa>
constexpr Kernel row(const char* name, const char* op) {
  return {name, "hone", op, supports<Forward, Isa>, plan<Forward, Isa>, nullptr, prepare<Forward, Isa>};
}

// avx512_bf16 adds nothing here
const Kernel kRows[] = {
    row<true, 1>("Convolution_variable_winograd4x4__avx512", Convolution::name),
    row<true, 2>("Convolution_variable_winograd4x4__avx2", Convolution::name),
    row<false, 1>("ConvolutionBackpropData_winograd4x4__avx512", ConvolutionBackpropData::name),
    row<false, 2>("ConvolutionBackpropData_winograd4x4__avx2", ConvolutionBackpropData::name),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_winograd() {
  return training::kRows;
}
}  // namespace hone::cpu
