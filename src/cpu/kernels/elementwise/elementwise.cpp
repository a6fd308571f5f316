// Rows of elementwise operators, conversions and quantization, with NumPy broadcasting in any common layout.
#include <algorithm>
#include <limits>
#include <utility>

#include "cpu/kernels/elementwise/program.hpp"
#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {
namespace {

class ElementwiseKernel : public PreparedKernel {
 public:
  ElementwiseKernel(ElementProgram p, SlotProgram slots, ElementwiseFn fn) : fn_(fn), slots_(std::move(slots)) {
    base_.steps = slots_.steps.data();
    base_.num_steps = int(slots_.steps.size());
    base_.result_slot = slots_.result_slot;
    base_.out_type = p.out_type;
    base_.out_inv_scale = 1.0f / p.out_scale;
    base_.out_zero = p.out_zero;
    base_.out_low = p.out_low;
    base_.out_high = p.out_high;
    const size_t rank = p.dims.size();
    cols_ = p.dims[rank - 1];
    rows_ = rank > 1 ? p.dims[rank - 2] : 1;
    outer_.assign(p.dims.begin(), p.dims.begin() + int64_t(rank > 2 ? rank - 2 : 0));
    for (const auto& o : p.operands) {
      inputs_.push_back(o.input);
      const int64_t row_stride = rank > 1 ? o.strides[rank - 2] : 0;
      operands_.push_back(
          {nullptr, o.type, o.quantized, o.scale, o.zero, row_stride, cols_ == 1 ? 0 : int(o.strides[rank - 1])});
      outer_strides_.emplace_back(o.strides.begin(), o.strides.begin() + int64_t(outer_.size()));
    }
    base_.out_row_stride = cols_;
    find_direct_form(p);
    const int64_t element_tile = base_.direct_x >= 0 ? direct_tile : cpu::element_tile;
    tile_cols_ = std::max<int64_t>(1, std::min<int64_t>(cols_, element_tile));
    tile_rows_ = std::max<int64_t>(1, std::min<int64_t>(rows_, element_tile / ((tile_cols_ + 15) / 16 * 16)));
    row_tiles_ = (rows_ + tile_rows_ - 1) / tile_rows_;
    col_tiles_ = (cols_ + tile_cols_ - 1) / tile_cols_;
    tiles_ = row_tiles_ * col_tiles_;
    for (int64_t d : outer_) tiles_ *= d;
  }

  void run(const KernelArgs& args) noexcept override {
    if (tiles_ == 0) return;
    ElementOperand operands[max_operands];
    for (size_t i = 0; i < operands_.size(); ++i) {
      operands[i] = operands_[i];
      operands[i].data = args.inputs[inputs_[i]];
    }
    ElementwiseView view = base_;
    view.operands = operands;
    view.out = args.outputs[0];
    // These are a few microseconds: below that a second thread does not pay.
    const int64_t grain = std::max<int64_t>(1, (base_.direct_x >= 0 ? 32768 : 16384) / (tile_rows_ * tile_cols_));
    args.pool.parallel_for(tiles_, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) run_tile(view, t);
    });
  }

  static constexpr size_t max_operands = 16;

 private:
  static constexpr int64_t direct_tile = 8192;  // elements

  // A product, then a sum, then a clamp, each of which may be missing; of real numbers or quantized bytes.
  void find_direct_form(const ElementProgram& p) {
    const int operands = int(p.operands.size());
    constexpr float infinity = std::numeric_limits<float>::infinity();
    ElementwiseView v;
    v.direct_low = -infinity;
    v.direct_high = infinity;
    const auto real = [](Num n) { return n == Num::f32 || n == Num::bf16; };
    const bool bytes = p.out_type == Num::u8 || p.out_type == Num::s8;
    if ((!real(p.out_type) && !bytes) || p.steps.empty()) return;
    for (const ElementOperand& o : operands_) {
      if (o.col_stride != 1 || !(real(o.type) ? !o.quantized : o.type == Num::u8 && o.quantized)) return;
    }
    for (size_t i = 0; i < p.steps.size(); ++i) {
      const ValueStep& s = p.steps[i];
      const auto op = EpilogueOp(s.op);
      const int before = operands + int(i) - 1;
      // The value so far, and the operand that it meets.
      int other = -1;
      if (i == 0) {
        v.direct_x = s.a;
        other = s.b;
      } else if (s.a == before) {
        other = s.b;
      } else if (s.b == before) {
        other = s.a;
      } else {
        return;
      }
      const bool clamped = v.direct_low > -infinity || v.direct_high < infinity;
      if (op == EpilogueOp::relu && !clamped) {
        v.direct_low = 0;
      } else if (op == EpilogueOp::clamp && !clamped) {
        v.direct_low = s.alpha;
        v.direct_high = s.beta;
      } else if (op == EpilogueOp::multiply && !clamped && v.direct_a < 0 && v.direct_b < 0 && is_operand(other, p)) {
        v.direct_a = other;
        // Factors that all rows share come second.
        if (i == 0 && operands_[size_t(v.direct_x)].row_stride == 0) std::swap(v.direct_x, v.direct_a);
      } else if (op == EpilogueOp::add && !clamped && v.direct_b < 0 && is_operand(other, p)) {
        v.direct_b = other;
      } else {
        return;
      }
    }
    base_.direct_x = v.direct_x;
    base_.direct_a = v.direct_a;
    base_.direct_b = v.direct_b;
    base_.direct_low = v.direct_low;
    base_.direct_high = v.direct_high;
  }
  static bool is_operand(int value, const ElementProgram& p) { return value >= 0 && value < int(p.operands.size()); }

  void run_tile(const ElementwiseView& view, int64_t t) const {
    const int64_t col = t % col_tiles_ * tile_cols_;
    t /= col_tiles_;
    const int64_t row = t % row_tiles_ * tile_rows_;
    t /= row_tiles_;
    int64_t offsets[max_operands];
    for (size_t i = 0; i < operands_.size(); ++i)
      offsets[i] = row * operands_[i].row_stride + col * operands_[i].col_stride;
    int64_t out = (t * rows_ + row) * cols_ + col;
    for (size_t d = outer_.size(); d-- > 0;) {
      const int64_t index = t % outer_[d];
      t /= outer_[d];
      for (size_t i = 0; i < operands_.size(); ++i) offsets[i] += index * outer_strides_[i][d];
    }
    fn_(view, offsets, out, int(std::min(tile_rows_, rows_ - row)), int(std::min(tile_cols_, cols_ - col)));
  }

  ElementwiseFn fn_;
  SlotProgram slots_;
  ElementwiseView base_{};
  std::vector<ElementOperand> operands_;
  std::vector<uint32_t> inputs_;
  std::vector<int64_t> outer_;
  std::vector<std::vector<int64_t>> outer_strides_;
  int64_t rows_, cols_, tile_rows_, tile_cols_, row_tiles_, col_tiles_, tiles_;
};

Support supports_program(const KernelQuery& q) {
  ElementProgramOrWhy p = element_program(q);
  if (!p.program) return Support::no(p.why);
  if (p.program->operands.size() > ElementwiseKernel::max_operands) return Support::no("more than 16 operands");
  if (!assign_slots(p.program->operands.size(), p.program->steps))
    return Support::no("keeps more than 8 values at a time");
  if (!collapse(*p.program)) return Support::no("an input lies in another layout than the result");
  return Support::yes();
}

template <size_t I>
struct Row {
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    return supports_program(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan plan;
    const TensorDesc& out = q.outputs[0];
    plan.cost = 1 + double(out.size()) * 5e-4 * vector_isas[I].cost;
    const TensorDesc& x = q.inputs[0];
    if (x.shape == out.shape && x.type == out.type && x.layout == out.layout && !x.constant) plan.in_place_input = 0;
    return plan;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    ElementProgram p = *element_program(q).program;
    SlotProgram slots = *assign_slots(p.operands.size(), p.steps);
    collapse(p);
    ElementwiseFn fn = HONE_VECTOR_FN(I, elementwise_tile);
#if defined(__x86_64__)
    if (I == 0 && features().avx512_bf16 && p.out_type == Num::bf16) fn = avx512bf16::elementwise_tile;
#endif
    return std::make_unique<ElementwiseKernel>(std::move(p), std::move(slots), fn);
  }
};

constexpr const char* operators[] = {
    "Add",         "Subtract", "Multiply", "Divide",      "Maximum", "Minimum",  "PRelu",    "SquaredDifference",
    "Relu",        "HSwish",   "HSigmoid", "Sigmoid",     "Tanh",    "SoftPlus", "Mish",     "Abs",
    "Negative",    "Exp",      "Sqrt",     "Log",         "Erf",     "Floor",    "Ceiling",  "Clamp",
    "Elu",         "Gelu",     "Swish",    "HardSigmoid", "Round",   "Convert",  "Quantize", "Dequantize",
    "FakeQuantize"};

// Planes of numbers to pixels of bytes, as an INT8 network takes a picture in: quantized plane by plane, then laid side
// by side while they are in cache.
template <size_t I>
struct PlanesRow {
  static KernelQuery in_planes(const KernelQuery& q) {
    KernelQuery plain = q;
    plain.outputs[0].layout = Layout::plain;
    return plain;
  }
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : planes_(Row<I>::prepare(in_planes(q))),
          images_(q.outputs[0].shape[0]),
          bytes_(int64_t(q.outputs[0].size())) {}
    size_t scratch_bytes() const override { return size_t(bytes_) + 64; }
    void run(const KernelArgs& args) noexcept override {
      auto* planes = static_cast<uint8_t*>(args.scratch);
      void* out = planes;
      planes_->run({args.inputs, {&out, 1}, nullptr, args.pool, args.error});
      auto* pixels = static_cast<uint8_t*>(args.outputs[0]);
      const int64_t plane = bytes_ / images_ / 3;
      for (int64_t n = 0; n < images_; ++n, planes += 3 * plane, pixels += 3 * plane) {
        args.pool.parallel_for(plane, 16384, [&](int64_t begin, int64_t end, int) {
          HONE_VECTOR_FN(I, interleave_planes)
          (planes + begin, planes + plane + begin, planes + 2 * plane + begin, pixels + 3 * begin, end - begin);
        });
      }
    }

   private:
    std::unique_ptr<PreparedKernel> planes_;
    int64_t images_, bytes_;
  };
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
    if (x.layout != Layout::plain || y.layout != Layout::channels_last || y.shape.size() < 3 || y.shape[1] != 3 ||
        y.size() == 0)
      return Support::no("turns three planes into pixels only");
    if (x.shape != y.shape || x.type != ElementType::f32 || byte_size(y.type, 1) != 1 || q.inputs[1].size() != 1)
      return Support::no("takes f32 with one scale and gives bytes");
    return supports_program(in_planes(q));
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan plan;
    plan.cost = 1 + double(q.outputs[0].size()) * 6e-4 * vector_isas[I].cost;
    return plan;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  for (const char* op : operators) {
    (rows.add<Row<I>>(row_prefix(op) + "_tile512__", vector_isas[I].suffix, op), ...);
  }
  (rows.add<PlanesRow<I>>("quantize_planes__", vector_isas[I].suffix, "Quantize"), ...);
  return rows;
}

}  // namespace

KernelList elementwise_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
