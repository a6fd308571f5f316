#include "compile/kernel_evaluator.hpp"

#include <algorithm>

#include "compile/epilogue.hpp"
#include "program/program.hpp"

namespace hone {
namespace {

// Below this a kernel costs more to prepare than the reference takes.
constexpr size_t worthwhile_elements = 4096;

// Kernels read aligned tensors, and one vector past their end.
Tensor readable(const Tensor& t) {
  const auto at = reinterpret_cast<uintptr_t>(t.raw());
  const uintptr_t last = at + std::max<size_t>(t.byte_size(), 1) - 1;
  return at % memory_alignment == 0 && last / 4096 == (last + memory_alignment) / 4096 ? t : t.clone();
}

}  // namespace

std::vector<Datum> KernelEvaluator::run(const Graph& g, NodeId node, std::vector<Datum> inputs) {
  std::vector<Datum> outputs;
  if (run_on_kernel(g, node, inputs, outputs)) return outputs;
  return reference_evaluator().run(g, node, std::move(inputs));
}

bool KernelEvaluator::run_on_kernel(const Graph& g, NodeId node, const std::vector<Datum>& inputs,
                                    std::vector<Datum>& outputs) {
  const NodeData& n = g.node(node);
  if (!n.regions.empty()) return false;
  size_t elements = 0;
  for (ValueId v : n.outputs) {
    const Type& t = g.value(v).type;
    if (!t.is_static() || t.element == ElementType::string || t.quantization || t.layout != Layout::plain) return false;
    elements += static_cast<size_t>(element_count(t.shape.to_shape()));
  }
  if (elements < worthwhile_elements) return false;
  const auto epilogue = lower_epilogue(g, node);
  if (!epilogue) return false;
  KernelQuery q;
  const auto bytes = attribute_bytes(*n.op, n.attributes.get());
  q.op = n.op->name;
  q.attributes = bytes;
  q.num_op_inputs = g.num_op_inputs(node);
  q.epilogue = *epilogue;
  q.threads = pool_.size();
  std::vector<Tensor> held;
  std::vector<const void*> from;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TensorDesc d;
    d.present = !inputs[i].is_none();
    from.push_back(nullptr);
    if (d.present) {
      if (!inputs[i].is_tensor() || g.value(n.inputs[i]).type.quantization ||
          g.value(n.inputs[i]).type.layout != Layout::plain) {
        return false;
      }
      const Tensor& t = inputs[i].tensor();
      if (t.element_type() == ElementType::string) return false;
      held.push_back(readable(t));
      d.type = t.element_type();
      d.shape = t.shape();
      d.constant = true;
      d.value = held.back();
      from.back() = held.back().raw();
    }
    q.inputs.push_back(std::move(d));
  }
  for (ValueId v : n.outputs) {
    TensorDesc d;
    d.type = g.value(v).type.element;
    d.shape = g.value(v).type.shape.to_shape();
    q.outputs.push_back(std::move(d));
  }
  const auto choice = select_kernel(q);
  if (!choice || choice->is_reference() || !choice->plan.packs.empty()) return false;
  const auto kernel = choice->kernel->prepare(q);
  const Tensor scratch(ElementType::u8, {static_cast<int64_t>(kernel->scratch_bytes())});
  std::vector<void*> to;
  for (const TensorDesc& d : q.outputs) {
    Tensor t(d.type, d.shape);
    to.push_back(t.raw());
    outputs.emplace_back(t);
  }
  RunError error;
  kernel->run({from, to, const_cast<void*>(scratch.raw()), pool_, &error});
  if (error.failed) outputs.clear();
  return !error.failed;
}

}  // namespace hone
