#include "compile/select.hpp"

#include <algorithm>

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

// Why a kernel that takes the query is not taken.
std::string reason_against(const Kernel& loser, const std::string& winner, bool measured) {
  if (measured) return "measured slower than " + winner;
  const std::string_view provider = loser.provider;
  if (provider == "hone" || provider == "reference") return "costs more than " + winner;
  return "another library's is taken where `hone tune` measures it to be faster than " + winner;
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

std::optional<Choice> select_kernel(const KernelQuery& query, std::vector<Refusal>* refusals,
                                    const SelectOptions* options) {
  const TuningRecords* records = options ? options->records.get() : nullptr;
  KernelCandidates* collected = options ? options->candidates : nullptr;
  std::string key, measured;
  if (records || collected) key = query_key(query);
  if (records) {
    if (const auto it = records->by_query.find(key); it != records->by_query.end()) measured = it->second.kernel;
  }
  const auto refuse = [&](const char* kernel, std::string why) {
    if (refusals) refusals->push_back({kernel, std::move(why)});
  };
  std::optional<Choice> best;
  std::vector<std::pair<double, const char*>> takers;
  for (const Kernel* k : cpu::kernels_for(query.op)) {
    try {
      if (const Support s = k->supports(query); !s) {
        refuse(k->name, s.why());
        continue;
      }
      KernelPlan plan = k->plan(query);
      if (std::string_view(k->provider) != "reference") takers.emplace_back(plan.cost, k->name);
      const bool best_is_measured = best && best->kernel->name == measured;
      const bool wins = !best || (!best_is_measured && (k->name == measured || plan.cost < best->plan.cost));
      const Kernel* loser = wins ? (best ? best->kernel : nullptr) : k;
      const char* winner = wins ? k->name : best->kernel->name;
      if (loser) refuse(loser->name, reason_against(*loser, winner, winner == measured));
      if (wins) best = Choice{k, std::move(plan), query.epilogue};
    } catch (const Error& e) {
      refuse(k->name, e.message());
    }
  }
  const auto named = [&](const auto& taker) { return taker.second == measured; };
  if (!measured.empty() && std::none_of(takers.begin(), takers.end(), named))
    refuse(measured.c_str(), "a record names it, but it refuses or is missing here");
  std::stable_sort(takers.begin(), takers.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (best && !takers.empty()) best->plan.cost = std::min(best->plan.cost, takers.front().first);
  if (collected && takers.size() > 1) {
    auto& names = (*collected)[key];
    names.clear();
    for (const auto& [cost, name] : takers) names.emplace_back(name);
  }
  return best;
}

}  // namespace hone
