// The row of TopK with k = 1 (ArgMax, ArgMin): neighbouring lines side by side, or 16 parts of one line.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/search/lines.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t piece = 256;

// A value as a number that compares in the same order; not a number counts as the largest, and both zeros are one.
inline int32_t order_of(int32_t bits, bool floats, int32_t flip) {
  if (floats) {
    const int32_t magnitude = bits & 0x7fffffff, signs = bits >> 31 & 0x7fffffff;
    const int32_t order = magnitude == 0 ? 0 : bits ^ signs;
    bits = magnitude > 0x7f800000 ? 0x7fffffff : order;
  }
  return bits ^ flip;
}

// Keeps the first of the largest: `best` and `at` of each of n columns.
template <bool floats>
void update(const int32_t* x, int64_t n, int32_t flip, int32_t e, int32_t* best, int32_t* at) {
  for (int64_t c = 0; c < n; ++c) {
    const int32_t order = order_of(x[c], floats, flip);
    const bool more = order > best[c];
    best[c] = more ? order : best[c];
    at[c] = more ? e : at[c];
  }
}

class Prepared : public PreparedKernel {
 public:
  explicit Prepared(const KernelQuery& q)
      : lines_(*lines_of(q.inputs[0].shape, q.attrs<TopK>().axis)),
        flip_(q.attrs<TopK>().mode == TopKMode::min ? -1 : 0),
        floats_(q.inputs[0].type == ElementType::f32),
        wide_(q.attrs<TopK>().index_element_type == ElementType::i64) {}

  void run(const KernelArgs& args) noexcept override {
    const int64_t pieces = (lines_.inner + piece - 1) / piece, work = lines_.n * std::min(piece, lines_.inner);
    args.pool.parallel_for(lines_.outer * pieces, 1 + 16384 / (work + 1), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        if (floats_)
          lines<true>(args, i / pieces, i % pieces * piece);
        else
          lines<false>(args, i / pieces, i % pieces * piece);
      }
    });
  }

 private:
  template <bool floats>
  void lines(const KernelArgs& args, int64_t outer, int64_t first) const {
    const int64_t n = lines_.n, inner = lines_.inner, count = std::min(piece, inner - first);
    const auto* x = static_cast<const int32_t*>(args.inputs[0]) + outer * n * inner + first;
    int32_t best[piece], at[piece] = {};
    if (inner == 1) {
      constexpr int64_t parts = 16;
      std::fill_n(best, parts, INT32_MIN);
      int64_t e = 0;
      for (; e + parts <= n; e += parts) update<floats>(x + e, parts, flip_, int32_t(e), best, at);
      update<floats>(x + e, n - e, flip_, int32_t(e), best, at);
      int64_t winner = 0;
      for (int32_t k = 0; k < parts; ++k) {
        at[k] += k;
        if (best[k] > best[winner] || (best[k] == best[winner] && at[k] < at[winner])) winner = k;
      }
      at[0] = at[winner];
    } else {
      std::fill_n(best, count, INT32_MIN);
      for (int64_t e = 0; e < n; ++e) update<floats>(x + e * inner, count, flip_, int32_t(e), best, at);
    }
    const int64_t to = outer * inner + first;
    if (args.outputs[0]) {
      auto* y = static_cast<int32_t*>(args.outputs[0]) + to;
      for (int64_t c = 0; c < count; ++c) y[c] = x[at[c] * inner + c];
    }
    if (args.outputs.size() < 2 || !args.outputs[1]) return;
    if (wide_)
      std::copy_n(at, count, static_cast<int64_t*>(args.outputs[1]) + to);
    else
      std::copy_n(at, count, static_cast<int32_t*>(args.outputs[1]) + to);
  }

  Lines lines_;
  int32_t flip_;
  bool floats_, wide_;
};

Support supports(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  for (const auto* list : {&q.inputs, &q.outputs}) {
    for (const TensorDesc& d : *list) {
      if (d.present && (d.layout != Layout::plain || d.quantization))
        return Support::no("takes plain layouts without quantization only");
    }
  }
  const auto op = q.attrs<TopK>();
  const ElementType t = q.inputs[0].type, index = op.index_element_type;
  if (t != ElementType::f32 && t != ElementType::i32) return Support::no("the data are not f32 or i32");
  if (index != ElementType::i32 && index != ElementType::i64) return Support::no("the indices are not i32 or i64");
  const TensorDesc& k = q.inputs[1];
  if (!k.constant || !k.value || k.value.size() != 1 || get_integer(k.value, 0) != 1)
    return Support::no("takes the first one only");
  const auto lines = lines_of(q.inputs[0].shape, op.axis);
  if (!lines || lines->n < 1 || lines->n > 0x7fffffff) return Support::no("the axis is out of range");
  return Support::yes();
}
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.cost = 1 + double(q.inputs[0].size()) * 5e-4;
  return p;
}
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  return std::make_unique<Prepared>(q);
}

constexpr Kernel rows[] = {{"top_one__any", "hone", "TopK", supports, plan, nullptr, prepare}};

}  // namespace

KernelList top_one_kernels() {
  return rows;
}

}  // namespace hone::cpu
