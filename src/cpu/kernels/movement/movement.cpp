// Rows of the operators that move elements without computing: any element type of whole bytes.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <utility>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/movement/move_plan.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu {
namespace {

bool same_quantization(const TensorDesc& a, const TensorDesc& b) {
  if (!a.quantization || !b.quantization) return !a.quantization && !b.quantization;
  return *a.quantization == *b.quantization;
}

class MoveKernel : public PreparedKernel {
 public:
  MoveKernel(MovePlan plan, const TensorDesc& out)
      : plan_(std::move(plan)), bytes_(out.bytes()), element_(element_bytes(out.type)) {
    if (plan_.fill) {
      Tensor t(out.type, {1});
      set_element(t, 0, *plan_.fill);
      std::memcpy(pattern_, t.raw(), size_t(element_));
    }
  }
  void run(const KernelArgs& args) noexcept override {
    if (plan_.fill) {
      auto* to = static_cast<uint8_t*>(args.outputs[0]);
      args.pool.parallel_for(int64_t(bytes_) / element_, 64 << 10, [&](int64_t begin, int64_t end, int) {
        bool zero = true;
        for (int64_t i = 0; i < element_; ++i) zero = zero && pattern_[i] == pattern_[0];
        if (zero) {
          std::memset(to + begin * element_, pattern_[0], size_t((end - begin) * element_));
        } else {
          for (int64_t i = begin; i < end; ++i) std::memcpy(to + i * element_, pattern_, size_t(element_));
        }
      });
    }
    for (const Move& m : plan_.moves) m.copy.run(args.inputs[m.input], args.outputs[m.output], args.pool);
  }

 private:
  MovePlan plan_;
  size_t bytes_;
  int64_t element_;
  uint8_t pattern_[8] = {};
};

struct MoveRow {
  static Support supports(const KernelQuery& q) {
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    const TensorDesc& y = q.outputs[0];
    const int64_t bytes = element_bytes(y.type);
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
      return Support::no(std::string("moves no ") + name_of(y.type));
    const size_t data_inputs = q.op == "Concat" ? q.num_op_inputs : 1;
    for (size_t i = 0; i < data_inputs; ++i) {
      if (q.inputs[i].type != y.type) return Support::no("input and output have different element types");
      if (!same_quantization(q.inputs[i], y)) return Support::no("input and output have different scales");
      if (q.inputs[i].quantization && q.inputs[i].quantization->scales.size() != 1)
        return Support::no("an input is quantized per channel");
    }
    MovePlan p;
    if (const char* why = plan_move(q, p)) return Support::no(why);
    for (const Move& m : p.moves) {
      if (m.copy.dims.size() > StridedCopy::max_rank) return Support::no("has too many dimensions");
    }
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    MovePlan m;
    plan_move(q, m);
    for (const TensorDesc& y : q.outputs) p.cost += double(y.bytes()) * 1e-4;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    MovePlan p;
    plan_move(q, p);
    return std::make_unique<MoveKernel>(std::move(p), q.outputs[0]);
  }
};

// Gather: outer x indices x inner, whole rows at a time.
struct GatherRow {
  struct Sizes {
    int64_t outer = 1, axis = 1, count = 1, row_bytes = 1;
  };
  static std::optional<Sizes> sizes(const KernelQuery& q) {
    const TensorDesc& x = q.inputs[0];
    if (!known(q.inputs[2]) || q.attrs<Gather>().batch_dims != 0) return std::nullopt;
    int64_t axis = get_integer(q.inputs[2].value, 0);
    if (axis < 0) axis += int64_t(x.shape.size());
    if (axis < 0 || axis >= int64_t(x.shape.size())) return std::nullopt;
    Sizes s;
    s.row_bytes = element_bytes(x.type);
    for (int64_t i = 0; i < int64_t(x.shape.size()); ++i) {
      (i < axis ? s.outer : i == axis ? s.axis : s.row_bytes) *= i == axis ? 1 : x.shape[size_t(i)];
    }
    s.axis = x.shape[size_t(axis)];
    s.count = int64_t(q.inputs[1].size());
    return s;
  }
  class Prepared : public PreparedKernel {
   public:
    Prepared(Sizes s, bool wide) : s_(s), wide_(wide) {}
    void run(const KernelArgs& args) noexcept override {
      const auto* x = static_cast<const uint8_t*>(args.inputs[0]);
      auto* y = static_cast<uint8_t*>(args.outputs[0]);
      std::atomic<bool> bad{false};
      args.pool.parallel_for(
          s_.outer * s_.count, std::max<int64_t>(1, (32 << 10) / s_.row_bytes), [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) {
              const int64_t k = i % s_.count, o = i / s_.count;
              int64_t index = wide_ ? static_cast<const int64_t*>(args.inputs[1])[k]
                                    : static_cast<const int32_t*>(args.inputs[1])[k];
              if (index < 0) index += s_.axis;
              if (index < 0 || index >= s_.axis) {
                std::memset(y + i * s_.row_bytes, 0, size_t(s_.row_bytes));
                bad.store(true, std::memory_order_relaxed);
                continue;
              }
              std::memcpy(y + i * s_.row_bytes, x + (o * s_.axis + index) * s_.row_bytes, size_t(s_.row_bytes));
            }
          });
      if (bad.load() && args.error) args.error->set("[Gather] an index lies outside of the axis");
    }

   private:
    Sizes s_;
    bool wide_;
  };
  static Support supports(const KernelQuery& q) {
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    const TensorDesc& x = q.inputs[0];
    if (element_bytes(x.type) == 0 || x.type != q.outputs[0].type)
      return Support::no("moves elements of whole bytes only");
    if (!same_quantization(x, q.outputs[0]) || (x.quantization && x.quantization->scales.size() != 1)) {
      return Support::no("input and output have different scales");
    }
    if (x.layout != Layout::plain || q.outputs[0].layout != Layout::plain)
      return Support::no("takes the plain layout only");
    const ElementType t = q.inputs[1].type;
    if (t != ElementType::i32 && t != ElementType::i64) return Support::no("indices must be i32 or i64");
    if (!sizes(q)) return Support::no("takes a constant axis and no batch dimensions");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.outputs[0].bytes()) * 1e-4;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<Prepared>(*sizes(q), q.inputs[1].type == ElementType::i64);
  }
};

RowList make_rows() {
  RowList rows;
  for (const char* op : moved_operators()) rows.add<MoveRow>(row_prefix(op) + "_strided__any", op);
  rows.add<GatherRow>("gather_rows__any", "Gather");
  return rows;
}

}  // namespace

KernelList movement_kernels() {
  static const RowList rows = make_rows();
  return rows.list();
}

}  // namespace hone::cpu
