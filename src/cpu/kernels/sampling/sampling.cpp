// Rows of GridSample over planes: the elements that a piece of positions reads, with their weights, are found once and
// used for every channel.
#include "ops/sampling.hpp"

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/sampling/planes.hpp"

namespace hone::cpu {
namespace {

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

}  // namespace

KernelList sampling_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<GridSampleRow>("grid_sample__any", "GridSample");
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
