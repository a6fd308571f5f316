// Graphs in text form, with shape inference. Constants whose values are generated, as tests write them, are as large as
// they say: inputs with such are left out.
#include <string>
#include <string_view>

#include "budget.hpp"
#include "driver.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "sample_network.hpp"
#include "sample_texts.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* generated : {"{zeros", "{ones", "{iota", "{full:", "{random:"})
    if (text.find(generated) != std::string_view::npos) return 0;
  const InputBudget budget(size);
  try {
    hone::parse_graph(text);
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  std::vector<std::vector<uint8_t>> out;
  for (const std::string& text :
       {hone::to_text(sample_network()),
        std::string("graph g {\n  %c = Parameter() {element_type=boolean,shape=[]} : boolean[] \"c\"\n  %x = "
                    "Parameter() {element_type=f32,shape=[?,3]} : "
                    "f32[?,3] \"x\"\n  %r = If(%c, %x) {\n    %a = Parameter() {element_type=f32,shape=[?,3]} : "
                    "f32[?,3] \"a\"\n    %n = Negative(%a)\n    "
                    "Result(%n) \"n\"\n  } {\n    %b = Parameter() {element_type=f32,shape=[?,3]} : f32[?,3] \"b\"\n   "
                    " Result(%b) \"m\"\n  }\n  %w = "
                    "Constant() {value=f32[3,2]{1,2,3,4,5,6}}\n  %y = MatMul(%r, %w) epilogue {\n    %p = Parameter() "
                    "{element_type=f32,shape=[?,2]} : f32[?,2] \"p\"\n    %q = Relu(%p)\n    Result(%q) \"q\"\n  }\n  "
                    "Result(%y) \"y\"\n}\n")}) {
    out.emplace_back(text.begin(), text.end());
  }
  add_sample_texts(out, false, 2000);
  return out;
}
