// Rows for the gradient of a convolution to its weights. The batch is cut into chunks by shape; each chunk sums into a
// buffer of its own, and the buffers are added in order, so the result has the same bits on any number of threads.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

constexpr int64_t kMostChunks = 16;
constexpr int64_t kPartialBytes = 8 << 20;  ///< all chunks' sums together: more would cost more to add than to compute
constexpr int64_t kBandBytes = 112 * 1024;  ///< packed x and dy of a band
constexpr int64_t kBandPixels = 196;  ///< a tile's registers are loaded and stored once for so many pixels at least

class WeightGradientKernel final : public PreparedKernel {
 public:
  WeightGradientKernel(const KernelQuery& q, const ConvolutionGeometry& g, const TrainingIsa& isa)
      : isa_(isa), g_(g), bf16_result_(q.outputs[0].type == ElementType::bf16), threads_(std::max(1, q.threads)) {
    const bool bf16 = q.inputs[0].type == ElementType::bf16 || q.inputs[1].type == ElementType::bf16;
    const bool pairs = isa.pairs && (bf16 || q.bf16_compute);
    t_ = gradient_tables(g, isa, storage_of(q.inputs[0].type), storage_of(q.inputs[1].type), pairs);
    const WeightGradient& w = t_.gradient;
    vectors_ = (g.result_channels + isa.lanes - 1) / isa.lanes;
    const int64_t leading = vectors_ * isa.lanes;
    group_floats_ = w.units * leading;
    per_unit_ = pairs ? 2 : 1;
    images_ = (g.batch + per_unit_ - 1) / per_unit_;
    const int64_t room = std::max<int64_t>(1, kPartialBytes / (group_floats_ * g.groups * 4));
    chunks_ = std::min({images_, kMostChunks, room});
    // where few chunks fit, output channels are divided too
    parts_ = std::min(vectors_, std::max<int64_t>(1, kMostChunks / std::max<int64_t>(1, chunks_ * g.groups)));
    const int64_t part_vectors = (vectors_ + parts_ - 1) / parts_;
    parts_ = (vectors_ + part_vectors - 1) / part_vectors;
    part_vectors_ = part_vectors;

    // bands: rows that fit beside each other in L2, or several small images
    const int64_t dy_row = w.width_out * part_vectors * isa.lanes;
    auto bytes = [&](int64_t height, int64_t& rows) {
      int64_t a = 0, b = 0;
      rows = 0;
      for (int64_t y = 0; y < w.height_out; y += height) {
        t_.source_rows(y, std::min(w.height_out, y + height), a, b);
        rows = std::max(rows, b - a);
      }
      return (rows * w.rows.row_units() + height * dy_row) * 4;
    };
    height_ = w.height_out;
    int64_t rows = 0;
    while (bytes(height_, rows) > kBandBytes && height_ > 1 && (height_ + 1) / 2 * w.width_out >= kBandPixels)
      height_ = (height_ + 1) / 2;
    const int64_t used = bytes(height_, rows);
    together_ = 1;
    if (height_ == w.height_out)
      while (together_ < 8 && together_ * height_ * w.width_out < kBandPixels &&
             (together_ + 1) * used <= 2 * kBandBytes)
        ++together_;
    x_floats_ = (together_ * rows * w.rows.row_units() + 15) / 16 * 16 + 16;
    dy_floats_ = w.copy_out ? (together_ * height_ * dy_row + 15) / 16 * 16 + 16 : 0;
    for (int64_t y = 0; y < w.height_out; y += height_) {
      Band b{y, std::min(w.height_out, y + height_), 0, 0};
      t_.source_rows(b.y0, b.y1, b.row0, b.row1);
      bands_.push_back(b);
    }
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(chunks_ * g_.groups * group_floats_ + threads_ * (x_floats_ + dy_floats_)) * 4 + 64;
  }

  void run(const KernelArgs& args) noexcept override {
    auto* sums = static_cast<float*>(args.scratch);
    float* buffers = sums + chunks_ * g_.groups * group_floats_;
    const WeightGradient& w = t_.gradient;
    const int64_t x_bytes = w.rows.storage == Storage::f32 ? 4 : 2, dy_bytes = w.out == Storage::f32 ? 4 : 2;
    const int64_t leading = vectors_ * isa_.lanes;
    args.pool.parallel_for_dynamic(chunks_ * g_.groups * parts_, 1, [&](int64_t begin, int64_t end, int thread) {
      float* mine = buffers + thread * (x_floats_ + dy_floats_);
      for (int64_t u = begin; u < end; ++u) {
        const int64_t chunk = u / (g_.groups * parts_), group = u / parts_ % g_.groups, part = u % parts_;
        float* sum = sums + (chunk * g_.groups + group) * group_floats_;
        WeightGradientBand band;
        band.v0 = part * part_vectors_;
        band.v1 = std::min(vectors_, band.v0 + part_vectors_);
        band.sum = sum;
        band.scratch_x = mine;
        band.scratch_dy = mine + x_floats_;
        for (int64_t k = 0; k < w.units; ++k)
          std::memset(sum + k * leading + band.v0 * isa_.lanes, 0,
                      static_cast<size_t>((band.v1 - band.v0) * isa_.lanes) * 4);
        const int64_t first = images_ * chunk / chunks_, last = images_ * (chunk + 1) / chunks_;
        for (int64_t i = first; i < last; i += together_) {
          band.images = std::min(together_, last - i);
          band.last_single = per_unit_ == 2 && (i + band.images) * 2 > g_.batch;
          band.x = static_cast<const char*>(args.inputs[0]) +
                   (i * per_unit_ * w.image_in + group * g_.data_channels) * x_bytes;
          band.dy = static_cast<const char*>(args.inputs[1]) +
                    (i * per_unit_ * w.image_out + group * g_.result_channels) * dy_bytes;
          for (size_t k = 0; k < bands_.size(); ++k) {
            const Band& b = bands_[k];
            set_next(band, k, i + band.images < last);
            band.y0 = b.y0, band.y1 = b.y1, band.row0 = b.row0, band.row1 = b.row1;
            isa_.weight_gradient(w, band);
          }
        }
      }
    });
    if (bf16_result_)
      add_chunks(sums, static_cast<bfloat16*>(args.outputs[0]), args.pool);
    else
      add_chunks(sums, static_cast<float*>(args.outputs[0]), args.pool);
  }

 private:
  struct Band {
    int64_t y0, y1, row0, row1;
  };

  /// src = [chunk][group][unit][o]   dst = [group][o][channel][taps]
  /// What the band after band k reads: pairs of images are packed, so that their first touch would wait for memory.
  void set_next(WeightGradientBand& band, size_t k, bool more_images) const {
    band.next_x = band.next_dy = nullptr;
    band.next_x_bytes = band.next_dy_bytes = 0;
    const WeightGradient& w = t_.gradient;
    if (!w.same_rows || !w.copy_out || g_.groups > 1) return;
    const bool same_images = k + 1 < bands_.size();
    if (!same_images && !more_images) return;
    const auto x_bytes = static_cast<int64_t>(bytes_of(w.rows.storage)),
               dy_bytes = static_cast<int64_t>(bytes_of(w.out));
    // whole images where they are small, else the rows of the first image of the pair
    const Band& b = bands_[same_images ? k + 1 : 0];
    const int64_t images = bands_.size() == 1 ? together_ * per_unit_ : 1;
    const int64_t forward = same_images ? 0 : band.images * per_unit_;
    band.next_x = static_cast<const char*>(band.x) + (forward * w.image_in + b.row0 * w.pixel_in_row) * x_bytes;
    band.next_x_bytes =
        bands_.size() == 1 ? images * w.image_in * x_bytes : (b.row1 - b.row0) * w.pixel_in_row * x_bytes;
    const int64_t row = w.width_out * w.pixel_out;
    band.next_dy = static_cast<const char*>(band.dy) + (forward * w.image_out + b.y0 * row) * dy_bytes;
    band.next_dy_bytes = bands_.size() == 1 ? images * w.image_out * dy_bytes : (b.y1 - b.y0) * row * dy_bytes;
  }

  template <class T>
  void add_chunks(float* sums, T* dw, ThreadPool& pool) const {
    const WeightGradient& w = t_.gradient;
    const int64_t leading = vectors_ * isa_.lanes, out_stride = g_.data_channels * g_.taps();
    constexpr int64_t slice = 16;
    const int64_t slices = (w.units + slice - 1) / slice;
    pool.parallel_for(g_.groups * slices, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t group = u / slices, first = u % slices * slice, last = std::min(w.units, first + slice);
        float* total = sums + group * group_floats_ + first * leading;
        isa_.add_parts(total, g_.groups * group_floats_, chunks_, total, (last - first) * leading);
        for (int64_t k = first; k < last; ++k, total += leading) {
          const int32_t at = t_.element[static_cast<size_t>(k)];
          if (at < 0) continue;
          T* to = dw + group * g_.result_channels * out_stride + at;
          for (int64_t o = 0; o < g_.result_channels; ++o) to[o * out_stride] = T(total[o]);
        }
      }
    });
  }

  const TrainingIsa& isa_;
  ConvolutionGeometry g_;
  bool bf16_result_;
  GradientTables t_;
  std::vector<Band> bands_;
  int64_t threads_, vectors_ = 0, group_floats_ = 0, per_unit_ = 1, images_ = 0, chunks_ = 1, parts_ = 1,
                    part_vectors_ = 1;
  int64_t height_ = 1, together_ = 1, x_floats_ = 0, dy_floats_ = 0;
};

template <int Isa>
Support supports(const KernelQuery& q) {
  if (!training_isa(Isa)) return Support::no(lacking(Isa));
  ConvolutionGeometry g;
  if (auto why = refuse_weight_gradient(q, g); !why.empty()) return Support::no(why);
  if (is_depthwise(g)) return Support::no("depthwise: a kernel of its own");
  return Support::yes();
}

template <int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  p.cost = static_cast<double>(g.batch * g.groups * g.result_channels) *
           static_cast<double>(g.data_channels * g.taps() * g.result_height * g.result_width) / 50e3 * (1 + 0.01 * Isa);
  return p;
}

template <int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  return std::make_unique<WeightGradientKernel>(q, g, *training_isa(Isa));
}

template <int Isa>
constexpr Kernel row(const char* name) {
  return {name, "hone", ConvolutionBackpropWeights::name, supports<Isa>, plan<Isa>, nullptr, prepare<Isa>};
}

const Kernel kRows[] = {
    row<0>("ConvolutionBackpropWeights_direct__avx512_bf16"),
    row<1>("ConvolutionBackpropWeights_direct__avx512"),
    row<2>("ConvolutionBackpropWeights_direct__avx2"),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_weight_gradient() {
  return training::kRows;
}
}  // namespace hone::cpu
