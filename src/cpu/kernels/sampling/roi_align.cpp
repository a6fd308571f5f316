// Rows of ROIAlign. Where there are many boxes, the map is turned once so that the channels of a place lie side by
// side, and each bin is a weighted sum of such places; else each plane is read for itself.
#include <atomic>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/sampling/planes.hpp"
#include "cpu/kernels/scratch.hpp"
#include "ops/sampling.hpp"

namespace hone::cpu {
namespace {

// Two neighbours of a position along one axis; outside of the map both have weight zero.
Line neighbours(double v, int64_t size) {
  if (!(v >= -1) || v > double(size)) return {2, {0, 0}, {0, 0}};
  v = std::max(v, 0.0);
  const int64_t low = std::min(int64_t(v), size - 1), high = std::min(low + 1, size - 1);
  const double d = low == high ? 0 : v - double(low);
  return {2, {low, high}, {1 - d, d}};
}

// A box on the map, cut into bins.
struct BoxOnMap {
  double left, top, bin_w, bin_h;
  int64_t nx, ny;  ///< samples of a bin

  BoxOnMap(const ROIAlign& op, const float* box) {
    const bool aligned = op.aligned_mode != RoiAlignedMode::asymmetric;
    const double before = op.aligned_mode == RoiAlignedMode::half_pixel ? 0.5 : 0, after = aligned ? -0.5 : 0;
    double c[4];
    for (int k = 0; k < 4; ++k) c[k] = (double(box[k]) + before) * op.spatial_scale + after;
    left = c[0], top = c[1];
    double w = c[2] - c[0], h = c[3] - c[1];
    if (!aligned) w = std::max(w, 1.0), h = std::max(h, 1.0);
    bin_w = w / double(op.pooled_w), bin_h = h / double(op.pooled_h);
    const auto samples_of = [&](double bin) {
      if (op.sampling_ratio > 0) return op.sampling_ratio;
      return std::isfinite(bin) ? int64_t(std::clamp(std::ceil(bin), 0.0, 65536.0)) : int64_t{0};
    };
    nx = samples_of(bin_w), ny = samples_of(bin_h);
  }
  Line column(int64_t pw, int64_t ix, int64_t size) const {
    return neighbours(left + (double(pw) + (double(ix) + 0.5) / double(nx)) * bin_w, size);
  }
  Line row(int64_t ph, int64_t iy, int64_t size) const {
    return neighbours(top + (double(ph) + (double(iy) + 0.5) / double(ny)) * bin_h, size);
  }
};

// The image of a box; -1 where there is none such.
int64_t image_of(const KernelArgs& args, bool wide, int64_t box, int64_t images) {
  const int64_t i =
      wide ? static_cast<const int64_t*>(args.inputs[2])[box] : static_cast<const int32_t*>(args.inputs[2])[box];
  return i >= 0 && i < images ? i : -1;
}
void refuse_image(const KernelArgs& args) {
  if (args.error) args.error->set("[ROIAlign] a box lies in an image that there is not");
}

class ROIAlignKernel : public PreparedKernel {
 public:
  explicit ROIAlignKernel(const KernelQuery& q)
      : op_(q.attrs<ROIAlign>()),
        x_(q.inputs[0].shape),
        boxes_(q.inputs[1].shape[0]),
        wide_(q.inputs[2].type == ElementType::i64) {}

  void run(const KernelArgs& args) noexcept override {
    std::atomic<bool> bad{false};
    args.pool.parallel_for_dynamic(boxes_ * op_.pooled_h, 1, [&](int64_t begin, int64_t end, int) {
      Taps taps;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t box = i / op_.pooled_h;
        const int64_t image = image_of(args, wide_, box, x_[0]);
        if (image < 0) {
          bad.store(true, std::memory_order_relaxed);
          continue;
        }
        row(args, box, i % op_.pooled_h, image, taps);
      }
    });
    if (bad.load()) refuse_image(args);
  }

 private:
  // One row of bins in all channels.
  void row(const KernelArgs& args, int64_t box, int64_t ph, int64_t image, Taps& taps) const {
    const BoxOnMap b(op_, static_cast<const float*>(args.inputs[1]) + box * 4);
    const int64_t nx = b.nx, each = b.nx * b.ny, width = op_.pooled_w;
    const int64_t plane = x_[2] * x_[3], step = op_.pooled_h * width;
    const auto* x = static_cast<const float*>(args.inputs[0]) + image * x_[1] * plane;
    auto* y = static_cast<float*>(args.outputs[0]) + box * x_[1] * step + ph * width;
    const bool average = op_.mode == RoiMode::avg;
    for (int64_t ch = 0; ch < x_[1]; ++ch) std::fill_n(y + ch * step, width, each == 0 || average ? 0.0f : -INFINITY);
    float values[piece];
    for (int64_t first = 0; first < width * each; first += piece) {
      const int64_t n = std::min(piece, width * each - first);
      taps.count = 4;
      for (int64_t p = 0; p < n; ++p) {
        const int64_t pw = (first + p) / each, iy = (first + p) % each / nx, ix = (first + p) % nx;
        const Line v = b.row(ph, iy, x_[2]), u = b.column(pw, ix, x_[3]);
        for (int k = 0; k < 4; ++k) {
          const double weight = v.weight[k / 2] * u.weight[k % 2];
          taps.set(k, p, v.at[k / 2] * x_[3] + u.at[k % 2], weight, weight != 0);
        }
      }
      taps.close(n);
      for (int64_t ch = 0; ch < x_[1]; ++ch) {
        taps.read(x + ch * plane, n, op_.mode == RoiMode::max_neighbour, values);
        float* to = y + ch * step;
        for (int64_t p = 0; p < n;) {
          const int64_t bin = (first + p) / each, last = std::min(n, (bin + 1) * each - first);
          float v = to[bin];
          for (; p < last; ++p) v = average ? v + values[p] : std::max(v, values[p]);
          to[bin] = v;
        }
      }
    }
    if (!average || each == 0) return;
    for (int64_t ch = 0; ch < x_[1]; ++ch) {
      for (int64_t k = 0; k < width; ++k) y[ch * step + k] /= float(each);
    }
  }

  ROIAlign op_;
  Shape x_;
  int64_t boxes_;
  bool wide_;
};

// Weights of the places along one axis for each bin: what the samples of a bin read, summed up.
struct BinWeights {
  float* weights;                  ///< of all bins, one after the other
  int32_t *first, *count, *begin;  ///< a bin's places, and where its weights begin

  static int64_t most(int64_t size, int64_t bins) { return size + 4 * bins; }
  static BinWeights take(Cutter& c, int64_t size, int64_t bins) {
    return {c.take<float>(most(size, bins)), c.take<int32_t>(bins), c.take<int32_t>(bins), c.take<int32_t>(bins)};
  }
  /// `line(bin, sample)` gives the places that a sample reads.
  template <class F>
  void find(int64_t bins, int64_t samples, F line) const {
    int32_t used = 0;
    for (int64_t b = 0; b < bins; ++b) {
      int64_t low = INT64_MAX, high = -1;
      for (int64_t s = 0; s < samples; ++s) {
        const Line l = line(b, s);
        for (int k = 0; k < l.count; ++k) {
          if (l.weight[k] == 0) continue;  // outside, or on the place before
          low = std::min(low, l.at[k]);
          high = std::max(high, l.at[k]);
        }
      }
      first[b] = high < 0 ? 0 : int32_t(low);
      count[b] = high < 0 ? 0 : int32_t(high - low + 1);
      begin[b] = used;
      float* w = weights + used;
      std::fill_n(w, count[b], 0.0f);
      for (int64_t s = 0; s < samples; ++s) {
        const Line l = line(b, s);
        for (int k = 0; k < l.count; ++k) {
          if (l.weight[k] != 0) w[l.at[k] - low] += float(l.weight[k] / double(samples));
        }
      }
      used += count[b];
    }
  }
};

class ROIAlignChannelsKernel : public PreparedKernel {
 public:
  explicit ROIAlignChannelsKernel(const KernelQuery& q)
      : op_(q.attrs<ROIAlign>()),
        x_(q.inputs[0].shape),
        boxes_(q.inputs[1].shape[0]),
        channels_(round_up(x_[1], lanes)),
        wide_(q.inputs[2].type == ElementType::i64),
        threads_(std::max(1, q.threads)) {}

  size_t scratch_bytes() const override {
    Cutter c{nullptr};
    c.take<float>(x_[0] * x_[2] * x_[3] * channels_);
    for (int t = 0; t < threads_; ++t) Own(c, *this);
    return size_t(c.used);
  }
  void run(const KernelArgs& args) noexcept override {
    Cutter cut{static_cast<uint8_t*>(args.scratch)};
    auto* turned = cut.take<float>(x_[0] * x_[2] * x_[3] * channels_);
    const int64_t own_begin = cut.used;
    Own(cut, *this);
    const int64_t own_bytes = cut.used - own_begin;
    turn(args, turned);
    std::atomic<bool> bad{false};
    args.pool.parallel_for_dynamic(boxes_, 1, [&](int64_t begin, int64_t end, int thread) {
      Cutter c{cut.base + own_begin + thread * own_bytes};
      const Own own(c, *this);
      for (int64_t box = begin; box < end; ++box) {
        const int64_t image = image_of(args, wide_, box, x_[0]);
        if (image < 0)
          bad.store(true, std::memory_order_relaxed);
        else
          pool(args, box, turned + image * x_[2] * x_[3] * channels_, own);
      }
    });
    if (bad.load()) refuse_image(args);
  }

 private:
  static constexpr int64_t lanes = 16;
  struct Own {
    BinWeights rows, columns;
    float* bins;  ///< channels side by side, a vector of them at a time
    Own(Cutter& c, const ROIAlignChannelsKernel& k)
        : rows(BinWeights::take(c, k.x_[2], k.op_.pooled_h)),
          columns(BinWeights::take(c, k.x_[3], k.op_.pooled_w)),
          bins(c.take<float>(k.op_.pooled_h * k.op_.pooled_w * lanes)) {}
  };

  void turn(const KernelArgs& args, float* to) const {
    const int64_t plane = x_[2] * x_[3], blocks = channels_ / lanes;
    const auto* x = static_cast<const float*>(args.inputs[0]);
    args.pool.parallel_for(x_[0] * plane, 256, [&](int64_t begin, int64_t end, int) {
      for (int64_t p0 = begin; p0 < end; p0 += lanes) {
        const int64_t p1 = std::min(end, p0 + lanes);
        for (int64_t b = 0; b < blocks; ++b) {
          const int64_t n = std::min(lanes, x_[1] - b * lanes);
          for (int64_t p = p0; p < p1; ++p) {
            const float* from = x + (p / plane * x_[1] + b * lanes) * plane + p % plane;
            float* place = to + p * channels_ + b * lanes;
            for (int64_t c = 0; c < n; ++c) place[c] = from[c * plane];
            for (int64_t c = n; c < lanes; ++c) place[c] = 0;
          }
        }
      }
    });
  }
  void pool(const KernelArgs& args, int64_t box, const float* map, const Own& own) const {
    const BoxOnMap b(op_, static_cast<const float*>(args.inputs[1]) + box * 4);
    const bool none = b.nx == 0 || b.ny == 0;
    own.rows.find(op_.pooled_h, none ? 0 : b.ny, [&](int64_t p, int64_t s) { return b.row(p, s, x_[2]); });
    own.columns.find(op_.pooled_w, none ? 0 : b.nx, [&](int64_t p, int64_t s) { return b.column(p, s, x_[3]); });
    const int64_t bins = op_.pooled_h * op_.pooled_w;
    auto* y = static_cast<float*>(args.outputs[0]) + box * x_[1] * bins;
    for (int64_t c0 = 0; c0 < x_[1]; c0 += lanes) {
      for (int64_t i = 0; i < bins; ++i) bin(map + c0, own, i / op_.pooled_w, i % op_.pooled_w, own.bins + i * lanes);
      const int64_t n = std::min(lanes, x_[1] - c0);
      for (int64_t c = 0; c < n; ++c) {
        for (int64_t i = 0; i < bins; ++i) y[(c0 + c) * bins + i] = own.bins[i * lanes + c];
      }
    }
  }
  void bin(const float* map, const Own& own, int64_t ph, int64_t pw, float* to) const {
    Four sum[4] = {};
    const float *wy = own.rows.weights + own.rows.begin[ph], *wx = own.columns.weights + own.columns.begin[pw];
    for (int64_t i = 0; i < own.rows.count[ph]; ++i) {
      if (wy[i] == 0) continue;
      const float* row = map + ((own.rows.first[ph] + i) * x_[3] + own.columns.first[pw]) * channels_;
      for (int64_t j = 0; j < own.columns.count[pw]; ++j) {
        if (wx[j] == 0) continue;
        const float w = wy[i] * wx[j];
        const Four weight = {w, w, w, w};
        for (int k = 0; k < 4; ++k) {
          Four v;
          std::memcpy(&v, row + j * channels_ + 4 * k, sizeof v);
          sum[k] += v * weight;
        }
      }
    }
    std::memcpy(to, sum, sizeof sum);
  }

  ROIAlign op_;
  Shape x_;
  int64_t boxes_, channels_;
  bool wide_;
  int threads_;
};

Support supports_boxes(const KernelQuery& q) {
  if (auto s = supports_planes(q, 2); !s) return s;
  const Shape& boxes = q.inputs[1].shape;
  const TensorDesc& images = q.inputs[2];
  if (boxes.size() != 2 || boxes[1] != 4 || int64_t(images.size()) != boxes[0])
    return Support::no("boxes and batch numbers do not fit");
  if (images.type != ElementType::i32 && images.type != ElementType::i64)
    return Support::no("batch numbers must be i32 or i64");
  return Support::yes();
}

struct ROIAlignRow {
  static Support supports(const KernelQuery& q) { return supports_boxes(q); }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.outputs[0].size()) * 1e-2;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<ROIAlignKernel>(q); }
};

struct ROIAlignChannelsRow {
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_boxes(q); !s) return s;
    if (q.attrs<ROIAlign>().mode != RoiMode::avg) return Support::no("takes averages only");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    const Shape& x = q.inputs[0].shape;
    const double filled = double(round_up(x[1], 16)) / double(x[1]);
    p.cost = 1 + (double(q.inputs[0].size()) * 1.5e-3 + double(q.outputs[0].size()) * 2e-3) * filled;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<ROIAlignChannelsKernel>(q);
  }
};

}  // namespace

KernelList roi_align_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<ROIAlignRow>("roi_align__any", "ROIAlign");
    r.add<ROIAlignChannelsRow>("roi_align_channels__any", "ROIAlign");
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
