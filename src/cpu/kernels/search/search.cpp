// Rows of TopK and CumSum: lines of a tensor, one after the other, shared by the threads.
#include <algorithm>
#include <cstring>
#include <functional>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/search/lines.hpp"
#include "ops/indexing.hpp"
#include "ops/reduce.hpp"

namespace hone::cpu {
namespace {

Support supports_plain(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  for (const auto* list : {&q.inputs, &q.outputs}) {
    for (const TensorDesc& d : *list) {
      if (d.present && (d.layout != Layout::plain || d.quantization))
        return Support::no("takes plain layouts without quantization only");
    }
  }
  return Support::yes();
}

// ---- TopK
// Values as numbers that compare in the same order; not a number counts as the largest, and both zeros are one.
uint32_t order_of(float v) {
  uint32_t u;
  std::memcpy(&u, &v, 4);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0xffffffffu;
  if (u == 0x80000000u) u = 0;
  return u & 0x80000000u ? ~u : u | 0x80000000u;
}
uint32_t order_of(int32_t v) {
  return uint32_t(v) ^ 0x80000000u;
}

class TopKKernel : public PreparedKernel {
 public:
  TopKKernel(const KernelQuery& q, const TopK& op)
      : lines_(*lines_of(q.inputs[0].shape, op.axis)),
        k_(get_integer(q.inputs[1].value, 0)),
        lowest_(op.mode == TopKMode::min),
        by_index_(op.sort == TopKSort::index),
        floats_(q.inputs[0].type == ElementType::f32),
        wide_(op.index_element_type == ElementType::i64),
        threads_(std::max(1, q.threads)) {}
  size_t scratch_bytes() const override { return size_t(threads_) * size_t(lines_.n) * 8; }

  void run(const KernelArgs& args) noexcept override {
    const int64_t count = lines_.outer * lines_.inner;
    args.pool.parallel_for(threads_, 1, [&](int64_t from, int64_t to, int) {
      for (int64_t part = from; part < to; ++part) {
        auto* keys = static_cast<uint64_t*>(args.scratch) + part * lines_.n;
        for (int64_t i = count * part / threads_; i < count * (part + 1) / threads_; ++i) line(args, i, keys);
      }
    });
  }

 private:
  // A key holds the order of the value above, and below what makes the lower index come first.
  void line(const KernelArgs& args, int64_t i, uint64_t* keys) const {
    const int64_t o = i / lines_.inner, c = i % lines_.inner, n = lines_.n;
    const auto* x = static_cast<const uint32_t*>(args.inputs[0]) + o * n * lines_.inner + c;
    for (int64_t e = 0; e < n; ++e) {
      const uint32_t bits = x[e * lines_.inner];
      uint32_t order;
      if (floats_) {
        float v;
        std::memcpy(&v, &bits, 4);
        order = order_of(v);
      } else {
        order = order_of(int32_t(bits));
      }
      keys[e] = uint64_t(lowest_ ? ~order : order) << 32 | (0xffffffffu - uint32_t(e));
    }
    std::partial_sort(keys, keys + k_, keys + n, std::greater<>());
    if (by_index_) std::sort(keys, keys + k_, [](uint64_t a, uint64_t b) { return uint32_t(a) > uint32_t(b); });
    for (int64_t e = 0; e < k_; ++e) {
      const auto index = int64_t(0xffffffffu - uint32_t(keys[e]));
      const int64_t to = (o * k_ + e) * lines_.inner + c;
      if (args.outputs[0]) static_cast<uint32_t*>(args.outputs[0])[to] = x[index * lines_.inner];
      if (args.outputs.size() < 2 || !args.outputs[1]) continue;
      if (wide_) {
        static_cast<int64_t*>(args.outputs[1])[to] = index;
      } else {
        static_cast<int32_t*>(args.outputs[1])[to] = int32_t(index);
      }
    }
  }

  Lines lines_;
  int64_t k_;
  bool lowest_, by_index_, floats_, wide_;
  int threads_;
};

struct TopKRow {
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_plain(q); !s) return s;
    const auto op = q.attrs<TopK>();
    const ElementType t = q.inputs[0].type;
    if (t != ElementType::f32 && t != ElementType::i32)
      return Support::no(std::string("the data are ") + name_of(t) + ", not f32 or i32");
    if (op.index_element_type != ElementType::i32 && op.index_element_type != ElementType::i64)
      return Support::no("the indices are not i32 or i64");
    if (!q.inputs[1].constant || !q.inputs[1].value || q.inputs[1].value.size() != 1)
      return Support::no("k is not constant");
    const auto lines = lines_of(q.inputs[0].shape, op.axis);
    if (!lines) return Support::no("the axis lies outside of the shape");
    const int64_t k = get_integer(q.inputs[1].value, 0);
    if (k < 0 || k > lines->n) return Support::no("k lies outside of the axis");
    if (lines->n > 0x7fffffff) return Support::no("a line has more than 2^31 elements");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.inputs[0].size()) * 3e-3;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<TopKKernel>(q, q.attrs<TopK>());
  }
};

// ---- CumSum
template <class T, class Sum>
void sum_line(const T* x, T* y, int64_t n, int64_t step, bool exclusive, bool reverse) {
  Sum sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = (reverse ? n - 1 - i : i) * step;
    const Sum next = sum + static_cast<Sum>(x[at]);
    y[at] = static_cast<T>(exclusive ? sum : next);
    sum = next;
  }
}

class CumSumKernel : public PreparedKernel {
 public:
  CumSumKernel(const KernelQuery& q, int64_t axis)
      : lines_(*lines_of(q.inputs[0].shape, axis)), op_(q.attrs<CumSum>()), type_(q.inputs[0].type) {}

  void run(const KernelArgs& args) noexcept override {
    const int64_t n = lines_.n, inner = lines_.inner;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, n));
    args.pool.parallel_for(lines_.outer * inner, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i / inner * n * inner + i % inner;
        const auto line = [&](auto zero, auto sum) {
          using T = decltype(zero);
          sum_line<T, decltype(sum)>(static_cast<const T*>(args.inputs[0]) + at, static_cast<T*>(args.outputs[0]) + at,
                                     n, inner, op_.exclusive, op_.reverse);
        };
        if (type_ == ElementType::f32) line(float(), double());
        if (type_ == ElementType::i32) line(int32_t(), uint64_t());
        if (type_ == ElementType::i64) line(int64_t(), uint64_t());
      }
    });
  }

 private:
  Lines lines_;
  CumSum op_;
  ElementType type_;
};

struct CumSumRow {
  // The axis; none where it is not known.
  static std::optional<int64_t> axis(const KernelQuery& q) {
    if (q.num_op_inputs < 2 || !q.inputs[1].present) return 0;
    if (!q.inputs[1].constant || !q.inputs[1].value || q.inputs[1].value.size() != 1) return std::nullopt;
    return get_integer(q.inputs[1].value, 0);
  }
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_plain(q); !s) return s;
    const ElementType t = q.inputs[0].type;
    if (t != ElementType::f32 && t != ElementType::i32 && t != ElementType::i64)
      return Support::no(std::string("the data are ") + name_of(t) + ", not f32, i32 or i64");
    const auto a = axis(q);
    if (!a) return Support::no("the axis is not constant");
    if (!lines_of(q.inputs[0].shape, *a)) return Support::no("the axis lies outside of the shape");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.inputs[0].size()) * 1e-3;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<CumSumKernel>(q, *axis(q));
  }
};

}  // namespace

KernelList search_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<TopKRow>("top_k_lines__any", "TopK");
    r.add<CumSumRow>("cum_sum_lines__any", "CumSum");
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
