// Rows for convolutions whose weights change from run to run: forward, and the gradient to the data. Weights are packed
// into scratch at the start of each run, which costs about a hundredth of the products of a batch.
#include <algorithm>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

constexpr int64_t kBandBytes = 128 * 1024;  ///< packed source rows of a band: they stay in L2 beside the weights

/// A single channel fills a unit alone: a pair would be half empty.
bool takes_pairs(const KernelQuery& q, const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa) {
  return isa.pairs && (forward ? g.data_channels : g.result_channels) > 1 &&
         (q.inputs[0].type == ElementType::bf16 || q.bf16_compute);
}

class DirectKernel final : public PreparedKernel {
 public:
  DirectKernel(const KernelQuery& q, const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa)
      : isa_(isa),
        forward_(forward),
        g_(g),
        weights_bf16_(q.inputs[1].type == ElementType::bf16),
        threads_(std::max(1, q.threads)) {
    const Storage in = q.inputs[0].type == ElementType::f32 ? Storage::f32 : Storage::bf16;
    const Storage out = q.outputs[0].type == ElementType::f32 ? Storage::f32 : Storage::bf16;
    t_ = convolution_tables(g, forward, isa, in, out, takes_pairs(q, g, forward, isa));
    read_epilogue(q, added_);
    t_.conv.add = added_.storage;
    const DirectConvolution& c = t_.conv;
    all_vectors_ = (c.channels_out + isa.lanes - 1) / isa.lanes;
    weight_floats_ = g.groups * all_vectors_ * c.units * isa.lanes;
    // as high as fits, and at least one for each thread
    const int64_t row_bytes = c.rows.row_units() * 4;
    int64_t height = c.height_out;
    auto rows_of = [&](int64_t h) {
      int64_t a = 0, b = 0, most = 0;
      for (int64_t y = 0; y < c.height_out; y += h) {
        t_.source_rows(y, std::min(c.height_out, y + h), a, b);
        most = std::max(most, b - a);
      }
      return most;
    };
    while (height > 1 && rows_of(height) * row_bytes > kBandBytes) height = (height + 1) / 2;
    while (height > 1 && g.batch * g.groups * ((c.height_out + height - 1) / height) < threads_)
      height = (height + 1) / 2;
    for (int64_t y = 0; y < c.height_out; y += height) {
      Band b{y, std::min(c.height_out, y + height), 0, 0};
      t_.source_rows(b.y0, b.y1, b.row0, b.row1);
      bands_.push_back(b);
    }
    const int64_t active_floats = (t_.most_runs * static_cast<int64_t>(sizeof(ActiveRun)) + 63) / 64 * 16;
    band_floats_ = (rows_of(height) * c.rows.row_units() + 15) / 16 * 16;
    thread_floats_ = band_floats_ + active_floats;
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(weight_floats_ + threads_ * thread_floats_) * 4 + 64;
  }

  void run(const KernelArgs& args) noexcept override {
    auto* weights = static_cast<float*>(args.scratch);
    t_.pack_weights(g_, forward_, isa_, args.inputs[1], weights_bf16_, weights, args.pool);
    const DirectConvolution& c = t_.conv;
    const auto bands = static_cast<int64_t>(bands_.size());
    const int64_t in_bytes = c.rows.storage == Storage::f32 ? 4 : 2, out_bytes = c.out == Storage::f32 ? 4 : 2;
    args.pool.parallel_for_dynamic(g_.batch * g_.groups * bands, 1, [&](int64_t begin, int64_t end, int thread) {
      float* scratch = weights + weight_floats_ + thread * thread_floats_;
      for (int64_t u = begin; u < end; ++u) {
        const int64_t image = u / (g_.groups * bands), group = u / bands % g_.groups;
        const Band& b = bands_[static_cast<size_t>(u % bands)];
        ConvolutionBand band;
        band.x = static_cast<const char*>(args.inputs[0]) +
                 (image * c.height_in * c.pixel_in_row + group * c.rows.channels) * in_bytes;
        const int64_t to = image * c.height_out * c.width_out * c.pixel_out + group * c.channels_out;
        band.y = static_cast<char*>(args.outputs[0]) + to * out_bytes;
        band.add = nullptr;
        if (added_.present)
          band.add =
              static_cast<const char*>(args.inputs[added_.input]) + static_cast<size_t>(to) * bytes_of(added_.storage);
        band.weights = weights + group * all_vectors_ * c.units * isa_.lanes;
        band.y0 = b.y0, band.y1 = b.y1, band.row0 = b.row0, band.row1 = b.row1;
        band.scratch = scratch;
        band.active = reinterpret_cast<ActiveRun*>(scratch + band_floats_);
        isa_.convolve(c, band);
      }
    });
  }

 private:
  struct Band {
    int64_t y0, y1, row0, row1;
  };

  const TrainingIsa& isa_;
  bool forward_;
  ConvolutionGeometry g_;
  ConvolutionTables t_;
  AddedTensor added_;
  std::vector<Band> bands_;
  bool weights_bf16_;
  int64_t threads_, all_vectors_ = 0, weight_floats_ = 0, band_floats_ = 0, thread_floats_ = 0;
};

template <bool Forward, int Isa>
Support supports(const KernelQuery& q) {
  const TrainingIsa* isa = training_isa(Isa);
  if (!isa) return Support::no(lacking(Isa));
  ConvolutionGeometry g;
  if (auto why = refuse_convolution(q, Forward, g); !why.empty()) return Support::no(why);
  if (is_depthwise(g)) return Support::no("depthwise: a kernel of its own");
  return Support::yes();
}

template <bool Forward, int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  const TrainingIsa* isa = training_isa(Isa);
  const double products = static_cast<double>(g.batch) *
                          static_cast<double>(g.groups * g.result_channels * g.data_channels) *
                          static_cast<double>(g.taps() * g.result_height * g.result_width);
  // tiles here lose nothing on thin layers; where a pixel is one tap, kernels that read it in place are better;
  // a single channel is as fast without pairs as elsewhere in pairs of which half are empty
  const bool half =
      isa && isa->pairs && (takes_pairs(q, g, Forward, *isa) || (Forward ? g.data_channels : g.result_channels) == 1);
  p.cost = products / (g.taps() > 1 ? 62e3 : 50e3) / (half ? 2 : 1) * (1 + 0.01 * Isa);
  return p;
}

template <bool Forward, int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  return std::make_unique<DirectKernel>(q, g, Forward, *training_isa(Isa));
}

template <bool Forward, int Isa>
constexpr Kernel row(const char* name, const char* op) {
  return {name, "hone", op, supports<Forward, Isa>, plan<Forward, Isa>, nullptr, prepare<Forward, Isa>};
}

const Kernel kRows[] = {
    row<true, 0>("Convolution_variable_direct__avx512_bf16", Convolution::name),
    row<true, 1>("Convolution_variable_direct__avx512", Convolution::name),
    row<true, 2>("Convolution_variable_direct__avx2", Convolution::name),
    row<true, 0>("GroupConvolution_variable_direct__avx512_bf16", GroupConvolution::name),
    row<true, 1>("GroupConvolution_variable_direct__avx512", GroupConvolution::name),
    row<true, 2>("GroupConvolution_variable_direct__avx2", GroupConvolution::name),
    row<false, 0>("ConvolutionBackpropData_direct__avx512_bf16", ConvolutionBackpropData::name),
    row<false, 1>("ConvolutionBackpropData_direct__avx512", ConvolutionBackpropData::name),
    row<false, 2>("ConvolutionBackpropData_direct__avx2", ConvolutionBackpropData::name),
    row<false, 0>("GroupConvolutionBackpropData_direct__avx512_bf16", GroupConvolutionBackpropData::name),
    row<false, 1>("GroupConvolutionBackpropData_direct__avx512", GroupConvolutionBackpropData::name),
    row<false, 2>("GroupConvolutionBackpropData_direct__avx2", GroupConvolutionBackpropData::name),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_convolution() {
  return training::kRows;
}
}  // namespace hone::cpu
