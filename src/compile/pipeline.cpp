#include "compile/pipeline.hpp"

#include "base/thread_pool.hpp"
#include "compile/epilogue.hpp"
#include "compile/kernel_evaluator.hpp"
#include "compile/legalize.hpp"
#include "cpu/features.hpp"
#include "hone/error.hpp"
#include "passes/attention_inputs.hpp"
#include "passes/canonicalize.hpp"
#include "passes/compressed_weights.hpp"
#include "passes/fuse_epilogue.hpp"
#include "passes/hoist_quantizers.hpp"
#include "passes/layout.hpp"
#include "passes/pipeline.hpp"
#include "passes/precision.hpp"
#include "passes/quantizers.hpp"
#include "passes/strided_attention.hpp"
#include "passes/transposed_convolutions.hpp"
#include "passes/volumes.hpp"
#include "rewrite/clean.hpp"
#include "rewrite/fold.hpp"

namespace hone {
namespace {

bool all_static(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  const auto good = [&](ValueId v) { return v == no_id || g.value(v).type.is_static(); };
  return std::all_of(n.inputs.begin(), n.inputs.end(), good) && std::all_of(n.outputs.begin(), n.outputs.end(), good);
}

// Does a kernel of its own (not the reference) take the node as it stands, or with all its images in one layout?
bool has_kernel(const Graph& g, NodeId id, const SelectOptions& options, const NodeLayouts* layouts) {
  if (!all_static(g, id)) return false;
  if (is_view(g, id)) return !layouts;
  const auto epilogue = lower_epilogue(g, id);
  if (!epilogue) return false;
  const NodeData& n = g.node(id);
  const auto bytes = attribute_bytes(*n.op, n.attributes.get());
  KernelQuery q = query_of(g, id, *epilogue, bytes, options);
  const auto taken = [&] {
    const auto choice = select_kernel(q, nullptr, &options);
    return choice && !choice->is_reference();
  };
  if (layouts) {
    for (size_t i = 0; i < q.inputs.size(); ++i) q.inputs[i].layout = layouts->inputs[i];
    for (size_t i = 0; i < q.outputs.size(); ++i) q.outputs[i].layout = layouts->outputs[i];
    if (taken()) return true;
    // A first layer reads the picture as it is.
    if (!q.inputs.empty() && q.inputs[0].layout != Layout::plain && !g.value(n.inputs[0]).uses.empty() &&
        g.value_handle(n.inputs[0]).node().op().name == "Parameter") {
      q.inputs[0].layout = Layout::plain;
      return taken();
    }
    return false;
  }
  if (taken()) return true;
  set_image_layouts(g, id, Layout::channels_last, q);
  return taken();
}

}  // namespace

bool has_quantizers(const Graph& g) {
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    const std::string_view op = g.node(id).op->name;
    if (op == "FakeQuantize" || op == "Quantize" || op == "Dequantize") return true;
  }
  return false;
}

bool cpu_has_bf16() {
  const cpu::Features& f = cpu::features();
  return f.avx512_bf16 || f.amx_bf16 || f.neon_bf16;
}

SelectOptions prepare(Graph& g, const CompileOptions& options, CompileReport& report) {
  SelectOptions select;
  select.threads = options.threads > 0 ? options.threads : options.pool ? options.pool->size() : available_cores();
  select.pool = options.pool ? options.pool : std::make_shared<ThreadPool>(select.threads);
  select.records = options.records;
  if (const auto carried = g.info.find(tuning_records_info); !select.records && carried != g.info.end())
    select.records = std::make_shared<const TuningRecords>(tuning_records_from(carried->second, tuning_records_info));
  if (select.records && select.records->cpu != tuning_cpu()) select.records = nullptr;
  select.candidates = options.candidates;
  const bool int8 = options.precision == Precision::int8;
  if (int8 && !has_quantizers(g)) {
    throw Error(ErrorCode::usage, "[compile] int8 wants a quantized model, and this one is not", {},
                "type: hone quantize MODEL --data DATA --out FILE");
  }
  const bool bf16 = options.precision == Precision::bf16 || (int8 && !options.exact_rest && cpu_has_bf16());
  select.bf16_compute = bf16;
  if (!options.optimize) return select;

  PrecisionOptions precision;
  precision.accepts = [&select](const Graph& graph, NodeId id) { return has_kernel(graph, id, select, nullptr); };
  FuseOptions fuse;
  fuse.accepts = precision.accepts;
  LayoutOptions layout;
  layout.accepts = [&select](const Graph& graph, NodeId id, const NodeLayouts& l) {
    return has_kernel(graph, id, select, &l);
  };
  FoldOptions everything;
  everything.keep_quantization = false;

  std::vector<Pass> passes = canonicalize_passes();
  // No CPU kernel computes in f16.
  passes.insert(passes.begin(), widen_half_pass());
  passes.insert(passes.begin() + 1, group_norms_to_rows_pass());
  passes.insert(passes.begin() + 2, compressed_weights_pass({precision.accepts}));
  passes.push_back(transposed_convolutions_pass());
  passes.push_back(split_channel_multipliers_pass());
  const bool volumes = has_volumes(g);
  if (volumes) {
    passes.push_back(volumes_to_images_pass());
    passes.push_back(sink_transposes_pass());
  }
  passes.push_back(functions_on_images_pass());
  if (volumes) {
    passes.push_back(normal_forms_pass());
    passes.push_back(remove_nops_pass());
    passes.push_back(normal_forms_pass());
  }
  if (int8) passes.push_back(join_quantizers_pass());
  // The parts of attention are recognized in f32 and without epilogues; its masks are folded with the rest.
  passes.push_back(strided_attention_pass({precision.accepts, int8}));
  passes.push_back(common_subexpression_pass());
  passes.push_back(dead_code_pass());
  if (int8) {
    passes.push_back(channel_quantizers_pass());
    passes.push_back(fold_pass());
    passes.push_back(hoist_quantizers_pass());
    passes.push_back(int8_pass(precision));
    passes.push_back(expand_quantizers_pass());
  } else {
    passes.push_back(fold_pass(everything, "fold_quantized_weights"));
  }
  // Epilogues before layouts: what a dense operator swallows needs no layout of its own.
  passes.push_back(fuse_epilogues_pass(fuse));
  if (int8) passes.push_back(quantize_attention_inputs_pass(precision.accepts));
  if (bf16) passes.push_back(bf16_pass(precision));
  passes.push_back(layout_pass(layout));
  passes.push_back(fold_pass(everything, "fold_all"));
  passes.push_back(dead_code_pass());

  KernelEvaluator evaluator(*select.pool);
  PassOptions run;
  run.evaluator = &evaluator;
  run.disabled = options.disabled_passes;
  run.verify = false;  // the program is verified as a whole
  report.passes = run_passes(g, passes, run);
  return select;
}

}  // namespace hone
