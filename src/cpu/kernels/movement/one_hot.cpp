// Rows of OneHot: everything off, then the places of the indices on.
#include <algorithm>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/movement/indices.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu {
namespace {

struct OneHotRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : count_(int64_t(q.inputs[0].size())),
          bytes_(bytes_of(q.outputs[0].type)),
          wide_(q.inputs[0].type == ElementType::i64),
          normalize_(q.attrs<OneHot>().negative_indices_mode == NegativeIndices::normalize) {
      const Shape& y = q.outputs[0].shape;
      const size_t axis = size_t(*axis_of(nullptr, q.attrs<OneHot>().axis, int64_t(y.size())));
      depth_ = y[axis];
      for (size_t k = axis + 1; k < y.size(); ++k) inner_ *= y[k];
    }
    void run(const KernelArgs& args) noexcept override {
      const Indices at{args.inputs[0], wide_};
      with_unit(bytes_, [&](auto unit) {
        using T = decltype(unit);
        auto* y = static_cast<T*>(args.outputs[0]);
        const T on = *static_cast<const T*>(args.inputs[2]), off = *static_cast<const T*>(args.inputs[3]);
        args.pool.parallel_for(count_ * depth_, 32 << 10,
                               [&](int64_t begin, int64_t end, int) { std::fill(y + begin, y + end, off); });
        args.pool.parallel_for(count_, 4096, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            int64_t c = at[i];
            if (normalize_ && c < 0) c += depth_;
            if (c >= 0 && c < depth_) y[(i / inner_ * depth_ + c) * inner_ + i % inner_] = on;
          }
        });
      });
    }

   private:
    int64_t count_, bytes_, depth_ = 1, inner_ = 1;
    bool wide_, normalize_;
  };
  static Support supports(const KernelQuery& q) {
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
    for (const TensorDesc* d : {&x, &q.inputs[2], &q.inputs[3], &y}) {
      if (d->layout != Layout::plain || d->quantization)
        return Support::no("takes plain layouts without quantization only");
    }
    if (!bytes_of(y.type) || q.inputs[2].type != y.type || q.inputs[3].type != y.type)
      return Support::no("gives elements of whole bytes only");
    if (x.type != ElementType::i32 && x.type != ElementType::i64) return Support::no("indices must be i32 or i64");
    if (!axis_of(nullptr, q.attrs<OneHot>().axis, int64_t(y.shape.size())) || y.shape.size() != x.shape.size() + 1)
      return Support::no("the axis lies outside of the shape");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.outputs[0].bytes()) * 1e-4;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

}  // namespace

KernelList one_hot_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<OneHotRow>("one_hot__any", "OneHot");
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
