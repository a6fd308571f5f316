#include "compile/select.hpp"

#include "cpu/registry.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

TensorDesc desc_of(const Graph& g, ValueId v) {
  TensorDesc d;
  d.present = v != no_id;
  if (!d.present) return d;
  const Value value = g.value_handle(v);
  const Type& t = value.type();
  d.type = t.element;
  d.shape = t.shape.to_shape();
  d.layout = t.layout;
  d.quantization = t.quantization;
  d.value = value.constant();
  d.constant = static_cast<bool>(d.value);
  return d;
}

}  // namespace

KernelQuery query_of(const Graph& g, NodeId id, const Epilogue& epilogue, const std::vector<uint8_t>& attributes,
                     const SelectOptions& options) {
  const NodeData& n = g.node(id);
  KernelQuery q;
  q.op = n.op->name;
  q.attributes = attributes;
  for (ValueId v : n.inputs) q.inputs.push_back(desc_of(g, v));
  for (ValueId v : n.outputs) {
    q.outputs.push_back(desc_of(g, v));
    q.outputs.back().present = !g.value(v).uses.empty();
  }
  q.num_op_inputs = g.num_op_inputs(id);
  q.epilogue = epilogue;
  q.threads = options.threads;
  q.bf16_compute = options.bf16_compute;
  return q;
}

std::optional<Choice> select_kernel(const KernelQuery& query, std::vector<Refusal>* refusals) {
  std::optional<Choice> best;
  for (const Kernel* k : cpu::kernels_for(query.op)) {
    std::string why;
    try {
      if (const Support s = k->supports(query); !s) {
        why = s.why();
      } else {
        KernelPlan plan = k->plan(query);
        if (best && best->plan.cost <= plan.cost)
          why = std::string("costs more than ") + best->kernel->name;
        else
          best = Choice{k, std::move(plan), query.epilogue};
      }
    } catch (const Error& e) {
      why = e.message();
    }
    if (!why.empty() && refusals) refusals->push_back({k->name, why});
  }
  return best;
}

}  // namespace hone
