// The row of Pad that repeats elements of the data (edge, reflect, symmetric): lines put together from runs of the
// source.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/isa_choice.hpp"
#include "ops/movement.hpp"

namespace hone::cpu {
namespace {

// The element of an axis of `n` that position `at`, which may be outside, repeats.
int64_t source_of(PadMode mode, int64_t at, int64_t n) {
  if (mode == PadMode::edge) return std::clamp<int64_t>(at, 0, n - 1);
  const int64_t once = mode == PadMode::reflect ? n - 1 : n, period = std::max<int64_t>(2 * once, 1);
  const int64_t m = ((at % period) + period) % period;
  if (mode == PadMode::reflect) return m <= once ? m : period - m;
  return m < once ? m : period - 1 - m;
}

struct Axis {
  int64_t size = 1;
  std::vector<int64_t> from;  ///< where each position of the result starts in the data, in bytes
};
struct Run {
  int64_t from, to, bytes;
};
struct Plan {
  std::vector<Axis> outer;  ///< in the order of memory
  std::vector<Run> line;    ///< what a line of the innermost padded axis is made of
  int64_t lines = 1, line_bytes = 1;
};

const char* plan_lines(const KernelQuery& q, Plan& p) {
  const PadMode mode = q.attrs<Pad>().pad_mode;
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (mode == PadMode::constant) return "repeats elements only";
  if (x.layout != y.layout) return "changes no layout";
  if (!q.inputs[1].constant || !q.inputs[1].value) return "the pads are not constant";
  const auto begins = q.inputs[1].value.to_ints();
  const size_t rank = x.shape.size();
  if (begins.size() != rank || y.shape.size() != rank) return "there is not one pad for each axis";
  std::vector<size_t> order;
  for (size_t i = 0; i < rank; ++i) order.push_back(i);
  if (x.layout == Layout::channels_last && rank > 2) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  int64_t step = bit_width(x.type) / 8;
  bool inside = true;
  for (size_t k = rank; k-- > 0;) {
    const size_t a = order[k];
    const int64_t n = x.shape[a], size = y.shape[a];
    if (n == 0) return "the data are empty";
    if (inside && n == size && begins[a] == 0) {
      step *= n;
      p.line_bytes = step;
      if (k == 0) p.line.push_back({0, 0, step});
      continue;
    }
    Axis axis{size, {}};
    for (int64_t i = 0; i < size; ++i) axis.from.push_back(source_of(mode, i - begins[a], n) * step);
    if (inside) {
      for (int64_t i = 0; i < size; ++i) {
        if (i > 0 && axis.from[size_t(i)] == axis.from[size_t(i - 1)] + step)
          p.line.back().bytes += step;
        else
          p.line.push_back({axis.from[size_t(i)], i * step, step});
      }
      p.line_bytes = size * step;
    } else {
      p.lines *= size;
      p.outer.insert(p.outer.begin(), std::move(axis));
    }
    inside = false;
    step *= n;
  }
  return nullptr;
}

class Prepared : public PreparedKernel {
 public:
  explicit Prepared(Plan p) : p_(std::move(p)) {}
  void run(const KernelArgs& args) noexcept override {
    const auto* x = static_cast<const uint8_t*>(args.inputs[0]);
    auto* y = static_cast<uint8_t*>(args.outputs[0]);
    const int64_t grain = 1 + (32 << 10) / (p_.line_bytes + 1);
    args.pool.parallel_for(p_.lines, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const uint8_t* from = x;
        int64_t rest = i;
        for (size_t k = p_.outer.size(); k-- > 0;) {
          from += p_.outer[k].from[size_t(rest % p_.outer[k].size)];
          rest /= p_.outer[k].size;
        }
        uint8_t* to = y + i * p_.line_bytes;
        for (const Run& r : p_.line) {
          if (r.bytes == 4) {
            std::memcpy(to + r.to, from + r.from, 4);
          } else {
            std::memcpy(to + r.to, from + r.from, size_t(r.bytes));
          }
        }
      }
    });
  }

 private:
  Plan p_;
};

Support supports(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (bit_width(x.type) < 8 || x.type != y.type) return Support::no("moves elements of whole bytes only");
  const bool same = x.quantization && y.quantization ? *x.quantization == *y.quantization && x.quantization->axis < 0
                                                     : !x.quantization && !y.quantization;
  if (!same) return Support::no("input and output have different scales");
  Plan p;
  if (const char* why = plan_lines(q, p)) return Support::no(why);
  return Support::yes();
}
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.cost = 1 + double(q.outputs[0].bytes()) * 1e-4;
  return p;
}
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  Plan p;
  plan_lines(q, p);
  return std::make_unique<Prepared>(std::move(p));
}

constexpr Kernel rows[] = {{"pad_repeat__any", "hone", "Pad", supports, plan, nullptr, prepare}};

}  // namespace

KernelList repeated_pad_kernels() {
  return rows;
}

}  // namespace hone::cpu
