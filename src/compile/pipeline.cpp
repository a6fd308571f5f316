#include "compile/pipeline.hpp"

#include "base/thread_pool.hpp"
#include "rewrite/clean.hpp"
#include "rewrite/fold.hpp"

namespace hone {

SelectOptions prepare(Graph& g, const CompileOptions& options, CompileReport& report) {
  SelectOptions select;
  select.threads = options.threads > 0 ? options.threads : options.pool ? options.pool->size() : available_cores();
  select.bf16_compute = options.precision == Precision::bf16;
  if (!options.optimize) return select;
  FoldOptions fold;
  fold.keep_quantization = false;
  PassOptions run;
  run.disabled = options.disabled_passes;
  run.verify = false;
  report.passes = run_passes(g, {fold_pass(fold), common_subexpression_pass(), dead_code_pass()}, run);
  return select;
}

}  // namespace hone
