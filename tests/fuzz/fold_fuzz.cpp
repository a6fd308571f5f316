// Graphs in text form whose constants are folded: the reference evaluation of operators, as conversion and compilation
// run it on what a file holds. Constants whose values are generated are as large as they say: inputs with such are left
// out.
#include <string>
#include <string_view>

#include "budget.hpp"
#include "driver.hpp"
#include "hone/error.hpp"
#include "rewrite/fold.hpp"
#include "sample_texts.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* generated : {"{zeros", "{ones", "{iota", "{full:", "{random:"})
    if (text.find(generated) != std::string_view::npos) return 0;
  const InputBudget budget(size);
  try {
    hone::Graph g = hone::parse_graph(text);
    hone::fold_constants(g, hone::reference_evaluator());
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  std::vector<std::vector<uint8_t>> out;
  add_sample_texts(out, true, 2000);
  return out;
}
