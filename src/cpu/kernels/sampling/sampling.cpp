// Rows of GridSample and ROIAlign over planes: the elements that a piece of positions reads, with their weights, are
// found once and used for every channel.
#include "ops/sampling.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t piece = 128;
using Four = float __attribute__((vector_size(16)));
using FourBits = int32_t __attribute__((vector_size(16)));

// What positions read from a plane; a mask of 0 stands for an element outside, which is not read.
struct Taps {
  int count = 4;
  int32_t offset[16][piece];
  float weight[16][piece];
  int32_t mask[16][piece];

  void set(int k, int64_t p, int64_t at, double w, bool inside) {
    offset[k][p] = inside ? int32_t(at) : 0;
    weight[k][p] = float(w);
    mask[k][p] = inside ? -1 : 0;
  }
  /// Fills the last four up with what reads nothing.
  void close(int64_t n) {
    for (; n % 4 != 0; ++n) {
      for (int k = 0; k < count; ++k) set(k, n, 0, 0, false);
    }
  }
  Four part(const float* plane, int k, int64_t p) const {
    const int32_t* at = offset[k] + p;
    const Four v = {plane[at[0]], plane[at[1]], plane[at[2]], plane[at[3]]};
    Four w;
    FourBits m;
    std::memcpy(&w, weight[k] + p, sizeof w);
    std::memcpy(&m, mask[k] + p, sizeof m);
    return Four(FourBits(v) & m) * w;
  }
  /// The sums of the parts, or the largest ones.
  void read(const float* plane, int64_t n, bool largest, float* out) const {
    for (int64_t p = 0; p < n; p += 4) {
      Four v = part(plane, 0, p);
      if (largest) {
        for (int k = 1; k < count; ++k) {
          const Four u = part(plane, k, p);
          v = v < u ? u : v;
        }
      } else if (count == 4) {
        v = (v + part(plane, 1, p)) + (part(plane, 2, p) + part(plane, 3, p));
      } else {
        for (int k = 1; k < count; ++k) v += part(plane, k, p);
      }
      if (n - p >= 4)
        std::memcpy(out + p, &v, sizeof v);
      else
        std::memcpy(out + p, &v, size_t(n - p) * 4);
    }
  }
};

int64_t floor_of(double v) {
  const auto i = int64_t(v);
  return i - (v < double(i));
}

Support supports_planes(const KernelQuery& q, size_t real_inputs) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const auto real = [](const TensorDesc& d) {
    return d.type == ElementType::f32 && d.layout == Layout::plain && !d.quantization;
  };
  for (size_t i = 0; i < real_inputs; ++i) {
    if (!real(q.inputs[i])) return Support::no("takes f32 in the plain layout only");
  }
  if (!real(q.outputs[0])) return Support::no("gives f32 in the plain layout only");
  const Shape& x = q.inputs[0].shape;
  if (x.size() != 4) return Support::no("takes two spatial dimensions");
  if (x[2] < 1 || x[3] < 1 || x[2] * x[3] > 0x7fffffff) return Support::no("the planes are empty or too large");
  return Support::yes();
}

// ---- GridSample
struct Line {
  int count;
  int64_t at[4];
  double weight[4];
};

class GridSampleKernel : public PreparedKernel {
 public:
  explicit GridSampleKernel(const KernelQuery& q)
      : op_(q.attrs<GridSample>()), x_(q.inputs[0].shape), points_(q.inputs[1].shape[1] * q.inputs[1].shape[2]) {}

  void run(const KernelArgs& args) noexcept override {
    const int64_t pieces = (points_ + piece - 1) / piece, plane = x_[2] * x_[3];
    const auto* x = static_cast<const float*>(args.inputs[0]);
    const auto* grid = static_cast<const float*>(args.inputs[1]);
    auto* y = static_cast<float*>(args.outputs[0]);
    args.pool.parallel_for(x_[0] * pieces, 1, [&](int64_t begin, int64_t end, int) {
      Taps taps;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / pieces, first = i % pieces * piece, n = std::min(piece, points_ - first);
        find(grid + (image * points_ + first) * 2, n, taps);
        for (int64_t c = image * x_[1]; c < (image + 1) * x_[1]; ++c)
          taps.read(x + c * plane, n, false, y + c * points_ + first);
      }
    });
  }

 private:
  double position(float v, int64_t size) const {
    const double n = double(size);
    const double x = op_.align_corners ? (double(v) + 1) / 2 * (n - 1) : ((double(v) + 1) * n - 1) / 2;
    return std::isnan(x) ? -1e9 : std::clamp(x, -1e9, 1e9);
  }
  // Where the padding mode takes a position to.
  double padded(double x, int64_t size) const {
    if (op_.padding_mode == GridPadding::zeros) return x;
    const double top = double(size - 1);
    if (op_.padding_mode == GridPadding::reflection && (x < 0 || x > top)) {
      const double low = op_.align_corners ? 0 : -0.5, span = op_.align_corners ? top : double(size);
      if (span <= 0) return 0;
      const double away = std::fabs(x - low), extra = std::fmod(away, span);
      x = floor_of(away / span) % 2 == 0 ? extra + low : span - extra + low;
    }
    return std::clamp(x, 0.0, top);
  }
  Line line(float v, int64_t size) const {
    Line l{};
    const double x = position(v, size);
    if (op_.mode == GridMode::bicubic) {
      // Keys' kernel with a = -0.75; every tap is padded by itself.
      constexpr double a = -0.75;
      const int64_t base = floor_of(x);
      const double d = x - double(base);
      const auto near = [](double u) { return ((a + 2) * u - (a + 3)) * u * u + 1; };
      const auto far = [](double u) { return ((a * u - 5 * a) * u + 8 * a) * u - 4 * a; };
      l = {4, {}, {far(d + 1), near(d), near(1 - d), far(2 - d)}};
      for (int k = 0; k < 4; ++k) l.at[k] = int64_t(std::nearbyint(padded(double(base + k - 1), size)));
      return l;
    }
    const double p = padded(x, size);
    if (op_.mode == GridMode::nearest) return {1, {int64_t(std::nearbyint(p))}, {1}};
    const int64_t base = floor_of(p);
    return {2, {base, base + 1}, {1 - (p - double(base)), p - double(base)}};
  }
  void find(const float* grid, int64_t n, Taps& taps) const {
    for (int64_t p = 0; p < n; ++p) {
      const Line h = line(grid[p * 2], x_[3]), v = line(grid[p * 2 + 1], x_[2]);
      taps.count = h.count * v.count;
      for (int k = 0; k < taps.count; ++k) {
        const int64_t iy = v.at[k / h.count], ix = h.at[k % h.count];
        const bool inside = uint64_t(iy) < uint64_t(x_[2]) && uint64_t(ix) < uint64_t(x_[3]);
        taps.set(k, p, iy * x_[3] + ix, v.weight[k / h.count] * h.weight[k % h.count], inside);
      }
    }
    taps.close(n);
  }

  GridSample op_;
  Shape x_;
  int64_t points_;
};

struct GridSampleRow {
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_planes(q, 2); !s) return s;
    const Shape &x = q.inputs[0].shape, &grid = q.inputs[1].shape;
    if (grid.size() != 4 || grid[0] != x[0] || grid[3] != 2) return Support::no("the grid does not fit the data");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.outputs[0].size()) * 2e-3;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<GridSampleKernel>(q); }
};

// ---- ROIAlign
// Two neighbours of a position along one axis; outside of the map both have weight zero.
Line neighbours(double v, int64_t size) {
  if (!(v >= -1) || v > double(size)) return {2, {0, 0}, {0, 0}};
  v = std::max(v, 0.0);
  const int64_t low = std::min(int64_t(v), size - 1), high = std::min(low + 1, size - 1);
  const double d = low == high ? 0 : v - double(low);
  return {2, {low, high}, {1 - d, d}};
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
        const int64_t image =
            wide_ ? static_cast<const int64_t*>(args.inputs[2])[box] : static_cast<const int32_t*>(args.inputs[2])[box];
        if (image < 0 || image >= x_[0]) {
          bad.store(true, std::memory_order_relaxed);
          continue;
        }
        row(args, box, i % op_.pooled_h, image, taps);
      }
    });
    if (bad.load() && args.error) args.error->set("[ROIAlign] a box lies in an image that there is not");
  }

 private:
  // One row of bins in all channels.
  void row(const KernelArgs& args, int64_t box, int64_t ph, int64_t image, Taps& taps) const {
    const auto* b = static_cast<const float*>(args.inputs[1]) + box * 4;
    const bool aligned = op_.aligned_mode != RoiAlignedMode::asymmetric;
    const double before = op_.aligned_mode == RoiAlignedMode::half_pixel ? 0.5 : 0, after = aligned ? -0.5 : 0;
    double c[4];
    for (int k = 0; k < 4; ++k) c[k] = (double(b[k]) + before) * op_.spatial_scale + after;
    double w = c[2] - c[0], h = c[3] - c[1];
    if (!aligned) w = std::max(w, 1.0), h = std::max(h, 1.0);
    const double bin_w = w / double(op_.pooled_w), bin_h = h / double(op_.pooled_h);
    const auto samples_of = [&](double bin) {
      if (op_.sampling_ratio > 0) return op_.sampling_ratio;
      return std::isfinite(bin) ? int64_t(std::clamp(std::ceil(bin), 0.0, 65536.0)) : int64_t{0};
    };
    const int64_t nx = samples_of(bin_w), ny = samples_of(bin_h), each = nx * ny, width = op_.pooled_w;
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
        const Line v = neighbours(c[1] + (double(ph) + (double(iy) + 0.5) / double(ny)) * bin_h, x_[2]);
        const Line u = neighbours(c[0] + (double(pw) + (double(ix) + 0.5) / double(nx)) * bin_w, x_[3]);
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

struct ROIAlignRow {
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_planes(q, 2); !s) return s;
    const Shape& boxes = q.inputs[1].shape;
    const TensorDesc& images = q.inputs[2];
    if (boxes.size() != 2 || boxes[1] != 4 || int64_t(images.size()) != boxes[0])
      return Support::no("boxes and batch numbers do not fit");
    if (images.type != ElementType::i32 && images.type != ElementType::i64)
      return Support::no("batch numbers must be i32 or i64");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.outputs[0].size()) * 1e-2;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<ROIAlignKernel>(q); }
};

}  // namespace

KernelList sampling_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<GridSampleRow>("grid_sample__any", "GridSample");
    r.add<ROIAlignRow>("roi_align__any", "ROIAlign");
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
