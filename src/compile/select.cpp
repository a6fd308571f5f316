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

void set_image_layouts(const Graph& g, NodeId id, Layout layout, KernelQuery& q) {
  const NodeData& n = g.node(id);
  // Weights are input 1 of the convolutions, and what the weight gradient gives.
  const bool weights_out = n.op->name == "ConvolutionBackpropWeights";
  const bool weights_in = !weights_out && n.op->name.find("Convolution") != std::string_view::npos;
  const auto is_image = [](const TensorDesc& d) { return d.present && d.shape.size() >= 3 && d.shape.size() <= 5; };
  for (size_t i = 0; i < q.inputs.size(); ++i) {
    if (is_image(q.inputs[i]) && !q.inputs[i].constant && !(weights_in && i == 1)) q.inputs[i].layout = layout;
  }
  for (TensorDesc& d : q.outputs) {
    if (is_image(d) && !weights_out) d.layout = layout;
  }
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
