#include "passes/pipeline.hpp"

#include "hone/error.hpp"
#include "passes/attention_inputs.hpp"
#include "passes/compressed_weights.hpp"
#include "passes/fuse_epilogue.hpp"
#include "passes/hoist_quantizers.hpp"
#include "passes/layout.hpp"
#include "passes/precision.hpp"
#include "passes/quantizers.hpp"
#include "passes/strided_attention.hpp"
#include "passes/transposed_convolutions.hpp"
#include "passes/volumes.hpp"
#include "rewrite/clean.hpp"
#include "rewrite/fold.hpp"

namespace hone {
namespace {

std::vector<Pass> all() {
  return {fold_pass(),
          common_subexpression_pass(),
          dead_code_pass(),
          remove_nops_pass(),
          normal_forms_pass(),
          fold_batch_norm_pass(),
          merge_branches_pass(),
          fuse_epilogues_pass(),
          layout_pass(),
          recognize_activations_pass(),
          recognize_norms_pass(),
          group_norms_to_rows_pass(),
          recognize_attention_pass(),
          strided_attention_pass(),
          recognize_group_convolution_pass(),
          split_channel_multipliers_pass(),
          integer_products_pass(),
          compressed_weights_pass(),
          channel_quantizers_pass(),
          join_quantizers_pass(),
          hoist_quantizers_pass(),
          int8_pass(),
          expand_quantizers_pass(),
          quantize_attention_inputs_pass(),
          bf16_pass(),
          widen_half_pass(),
          sink_transposes_pass(),
          transposed_convolutions_pass(),
          volumes_to_images_pass(),
          functions_on_images_pass()};
}

}  // namespace

Pass find_pass(std::string_view name) {
  for (Pass& p : all()) {
    if (p.name == name) return p;
  }
  throw Error(ErrorCode::usage, "[pass] there is no pass '" + std::string(name) + "'");
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const Pass& p : all()) names.push_back(p.name);
  return names;
}

std::vector<Pass> canonicalize_passes() {
  // Folding comes first: exporters wrap constants in casts and reshapes, behind which no rule sees a number. But bytes
  // that stay bytes need not become floats.
  return {integer_products_pass(),
          fold_pass(),
          common_subexpression_pass(),
          remove_nops_pass(),
          normal_forms_pass(),
          fold_pass(),
          sink_transposes_pass(),
          fold_pass(),
          recognize_norms_pass(),
          recognize_activations_pass(),
          recognize_group_convolution_pass(),
          fold_batch_norm_pass(),
          normal_forms_pass(),
          fold_pass(),
          integer_products_pass(),
          merge_branches_pass(),
          fold_pass(),
          remove_nops_pass(),
          recognize_activations_pass(),
          common_subexpression_pass(),
          dead_code_pass()};
}

}  // namespace hone
