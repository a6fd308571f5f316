// The row of LRN along one axis: each element over a power of what its neighbours' squares come to.
#include <algorithm>
#include <cmath>

#include "cpu/kernels/isa_choice.hpp"
#include "ops/normalization.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t piece = 256, most_reach = 128;

struct Lines {
  int64_t outer = 1, n = 1, inner = 1;
};

std::optional<Lines> lines_of(const KernelQuery& q) {
  const TensorDesc &x = q.inputs[0], &axes = q.inputs[1];
  if (!axes.constant || !axes.value || axes.value.size() != 1) return std::nullopt;
  const auto rank = int64_t(x.shape.size());
  int64_t axis = get_integer(axes.value, 0);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  std::vector<int64_t> order;
  for (int64_t i = 0; i < rank; ++i) order.push_back(i);
  if (x.layout == Layout::channels_last && rank > 2) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  Lines l;
  bool before = true;
  for (int64_t i : order) {
    (i == axis ? l.n : before ? l.outer : l.inner) *= x.shape[size_t(i)];
    before = before && i != axis;
  }
  return l;
}

class Prepared : public PreparedKernel {
 public:
  explicit Prepared(const KernelQuery& q) : op_(q.attrs<LRN>()), lines_(*lines_of(q)) {
    reach_ = (op_.size - 1) / 2;
    scale_ = float(op_.alpha / double(op_.size));
  }
  void run(const KernelArgs& args) noexcept override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(args.outputs[0]);
    // Pieces of neighbouring lines, or pieces of one line where lines are contiguous.
    const int64_t width = lines_.inner == 1 ? lines_.n : lines_.inner, pieces = (width + piece - 1) / piece;
    const int64_t work = (lines_.inner == 1 ? 1 : lines_.n) * std::min(width, piece);
    args.pool.parallel_for(lines_.outer * pieces, 1 + 4096 / (work + 1), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % pieces * piece, at = i / pieces * lines_.n * lines_.inner;
        if (lines_.inner == 1) {
          along(x + at, y + at, first);
        } else {
          across(x + at + first, y + at + first, std::min(piece, width - first));
        }
      }
    });
  }

 private:
  void across(const float* x, float* y, int64_t n) const {
    for (int64_t e = 0; e < lines_.n; ++e) {
      float sums[piece] = {};
      for (int64_t j = std::max<int64_t>(0, e - reach_); j <= std::min(lines_.n - 1, e + reach_); ++j) {
        const float* v = x + j * lines_.inner;
        for (int64_t c = 0; c < n; ++c) sums[c] += v[c] * v[c];
      }
      divide(x + e * lines_.inner, sums, y + e * lines_.inner, n);
    }
  }
  void along(const float* x, float* y, int64_t first) const {
    const int64_t n = std::min(piece, lines_.n - first);
    float squares[piece + 2 * most_reach] = {}, sums[piece] = {};
    for (int64_t k = std::max<int64_t>(0, first - reach_); k < std::min(lines_.n, first + n + reach_); ++k)
      squares[k - first + reach_] = x[k] * x[k];
    for (int64_t j = 0; j <= 2 * reach_; ++j) {
      for (int64_t c = 0; c < n; ++c) sums[c] += squares[c + j];
    }
    divide(x + first, sums, y + first, n);
  }
  void divide(const float* x, const float* sums, float* y, int64_t n) const {
    const auto bias = float(op_.bias), beta = float(op_.beta);
    if (beta == 0.75f) {
      for (int64_t c = 0; c < n; ++c) {
        const float root = std::sqrt(bias + scale_ * sums[c]);
        y[c] = x[c] / (root * std::sqrt(root));
      }
    } else if (beta == 0.5f) {
      for (int64_t c = 0; c < n; ++c) y[c] = x[c] / std::sqrt(bias + scale_ * sums[c]);
    } else {
      for (int64_t c = 0; c < n; ++c) y[c] = x[c] / std::pow(bias + scale_ * sums[c], beta);
    }
  }

  LRN op_;
  Lines lines_;
  int64_t reach_ = 0;
  float scale_ = 0;
};

Support supports(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (x.type != ElementType::f32 || y.type != ElementType::f32) return Support::no("takes and gives f32 only");
  if (x.layout != y.layout) return Support::no("changes no layout");
  if (!lines_of(q)) return Support::no("takes one constant axis");
  const int64_t size = q.attrs<LRN>().size;
  if (size < 1 || size > 2 * most_reach) return Support::no("the window is too large");
  return Support::yes();
}
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.cost = 1 + double(q.inputs[0].size()) * 1e-3;
  return p;
}
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  return std::make_unique<Prepared>(q);
}

constexpr Kernel rows[] = {{"lrn_lines__any", "hone", "LRN", supports, plan, nullptr, prepare}};

}  // namespace

KernelList local_response_kernels() {
  return rows;
}

}  // namespace hone::cpu
