#include "cpu/reference/reference.hpp"

#include <algorithm>
#include <cstring>
#include <list>

#include "cpu/registry.hpp"
#include "graph/op_def.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"
#include "ops/registry.hpp"

namespace hone::cpu {
namespace {

// Beyond any real kernel, so that one of these is taken only where nothing else applies.
constexpr double cost_floor = 1e9;

bool small_float(ElementType t) {
  return is_float(t) && t != ElementType::f64 && t != ElementType::f32;
}
Tensor as_f32(const Tensor& t) {
  return t.element_type() == ElementType::f32 ? t : t.converted(ElementType::f32);
}

Attributes attributes_of(const OpDef& op, std::span<const uint8_t> bytes) {
  Attributes fresh = op.make();
  FieldReader reader(bytes);
  op.visit(const_cast<void*>(fresh.get()), reader);  // the object is ours until it is returned
  return fresh;
}

// Operators without a meaning as a kernel: sources, sinks and state belong to the program; control flow to the
// interpreter.
bool structural(std::string_view op) {
  static constexpr std::string_view names[] = {"Parameter", "Constant", "Variable", "Assign",         "ReadValue",
                                               "Result",    "If",       "Loop",     "TensorIterator", "Region"};
  return std::find(std::begin(names), std::end(names), op) != std::end(names);
}

Support supports_reference(const KernelQuery& q) {
  if (!find_op(q.op)) return Support::no("the operator is not known");
  for (const auto* list : {&q.inputs, &q.outputs}) {
    for (const TensorDesc& d : *list) {
      if (!d.present) continue;
      if (d.layout != Layout::plain) return Support::no("reads and writes the plain layout only");
      if (!d.packed.empty()) return Support::no("takes no packed form");
    }
  }
  return Support::yes();
}

KernelPlan plan_reference(const KernelQuery& q) {
  KernelPlan p;
  p.cost = cost_floor;
  for (const TensorDesc& d : q.outputs) p.cost += d.present ? static_cast<double>(d.size()) : 0;
  return p;
}

class Reference : public PreparedKernel {
 public:
  explicit Reference(const KernelQuery& q)
      : op_(*find_op(q.op)),
        inputs_(q.inputs),
        outputs_(q.outputs),
        num_op_inputs_(q.num_op_inputs),
        epilogue_(q.epilogue),
        channels_at_end_(q.op == "MatMul"),
        attributes_(attributes_of(op_, q.attributes)) {
    for (TensorDesc& d : inputs_) d.value = {};
    for (const TensorDesc& d : outputs_) {
      Type t(d.type, d.present ? PartialShape(d.shape) : PartialShape());
      t.quantization = d.quantization;
      types_.push_back(t);
    }
  }

  void run(const KernelArgs& args) noexcept override {
    try {
      compute(args);
    } catch (const std::exception& e) {
      if (args.error) args.error->set(e.what());
    }
  }

 private:
  // Quantized tensors stand for real numbers, and epilogues compute in f32: the same rules as `evaluate_node`.
  void compute(const KernelArgs& args) const {
    const bool fused = !epilogue_.empty(), real = !op_.raw_types || fused;
    std::vector<Datum> in;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const TensorDesc& d = inputs_[i];
      if (!d.present) {
        in.emplace_back();
        continue;
      }
      Tensor t(d.type, d.shape, const_cast<void*>(args.inputs[i]));
      if (real && d.quantization) t = dequantize(t, *d.quantization);
      if (fused && small_float(t.element_type())) t = as_f32(t);
      in.emplace_back(std::move(t));
    }
    std::vector<Datum> out =
        evaluate_op(op_, attributes_.get(), {in.begin(), in.begin() + static_cast<std::ptrdiff_t>(num_op_inputs_)}, {},
                    outputs_.size(), fused ? nullptr : &types_);
    if (fused) {
      Tensor result = as_f32(out.at(0).tensor()).clone();
      std::vector<Tensor> operands;
      for (const EpilogueOperand& o : epilogue_.operands) operands.push_back(as_f32(in.at(o.input).tensor()));
      run_epilogue(epilogue_, result, operands, channels_at_end_);
      out[0] = result;
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const TensorDesc& d = outputs_[i];
      if (!d.present || !args.outputs[i]) continue;
      Tensor t = out.at(i).tensor();
      if (real && d.quantization) t = quantize(t, *d.quantization, d.type);
      if (t.element_type() != d.type) t = t.converted(d.type);
      if (t.byte_size() != d.bytes()) {
        throw Error(ErrorCode::failed, "[" + std::string(op_.name) + "] output " + std::to_string(i) + " is " +
                                           to_string(t.shape()) + ", planned " + to_string(d.shape));
      }
      if (t.byte_size() > 0) std::memcpy(args.outputs[i], t.raw(), t.byte_size());
    }
  }

  const OpDef& op_;
  std::vector<TensorDesc> inputs_, outputs_;
  size_t num_op_inputs_;
  Epilogue epilogue_;
  bool channels_at_end_;
  Attributes attributes_;
  Types types_;
};

std::unique_ptr<PreparedKernel> prepare_reference(const KernelQuery& q) {
  return std::make_unique<Reference>(q);
}

Support supports_reorder(const KernelQuery& q) {
  if (q.inputs.size() != 1 || q.outputs.size() != 1 || !q.epilogue.empty()) return Support::no("one input, one output");
  const TensorDesc &in = q.inputs[0], &out = q.outputs[0];
  if (in.type != out.type) return Support::no("does not convert");
  if (bit_width(in.type) < 8) return Support::no("no elements below a byte");
  if (in.layout != out.layout && in.shape.size() < 3) return Support::no("rank below 3 has one layout");
  return Support::yes();
}

// The same elements in another order. src = n-c-s  dst = n-s-c, and back: each image is a transposed matrix.
class ReorderReference : public PreparedKernel {
 public:
  explicit ReorderReference(const KernelQuery& q) : size_(byte_size(q.inputs[0].type, 1)) {
    const Shape& s = q.inputs[0].shape;
    const bool same = q.inputs[0].layout == q.outputs[0].layout;
    batch_ = same ? 1 : s[0];
    rows_ = same ? 1 : s[1];
    for (size_t i = same ? 0 : 2; i < s.size(); ++i) columns_ *= s[i];
    if (!same && q.outputs[0].layout == Layout::plain) std::swap(rows_, columns_);
  }
  void run(const KernelArgs& a) noexcept override {
    const auto* from = static_cast<const uint8_t*>(a.inputs[0]);
    auto* to = static_cast<uint8_t*>(a.outputs[0]);
    const int64_t image = rows_ * columns_;
    a.pool.parallel_for(batch_ * columns_, 64, [&](int64_t b, int64_t e, int) {
      for (int64_t k = b; k < e; ++k) {
        const int64_t n = k / columns_, c = k % columns_;
        for (int64_t r = 0; r < rows_; ++r) {
          std::memcpy(to + static_cast<size_t>(n * image + c * rows_ + r) * size_,
                      from + static_cast<size_t>(n * image + r * columns_ + c) * size_, size_);
        }
      }
    });
  }

 private:
  size_t size_;
  int64_t batch_ = 1, rows_ = 1, columns_ = 1;
};

std::unique_ptr<PreparedKernel> prepare_reorder(const KernelQuery& q) {
  return std::make_unique<ReorderReference>(q);
}

struct Rows {
  std::list<std::string> names;
  std::vector<Kernel> kernels;
  Rows() {
    for (const OpDef* op : all_ops()) {
      if (structural(op->name)) continue;
      names.push_back("reference_" + std::string(op->name));
      const bool reorder = op->name == "Reorder";
      kernels.push_back({names.back().c_str(), "reference", op->name.data(),
                         reorder ? supports_reorder : supports_reference, plan_reference, nullptr,
                         reorder ? prepare_reorder : prepare_reference});
    }
  }
};

}  // namespace

KernelList reference_kernels() {
  static const Rows rows;
  return rows.kernels;
}

void add_reference_kernels() {
  add_kernels(reference_kernels());
}

}  // namespace hone::cpu
