// The TensorFlow Lite reader on arbitrary bytes: any outcome but a model or an Error is a finding.
#include <memory>
#include <string>

#include "budget.hpp"
#include "driver.hpp"
#include "formats/tflite/file_builder.hpp"
#include "formats/tflite/reader.hpp"
#include "hone/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  auto bytes = std::make_shared<std::string>(reinterpret_cast<const char*>(data), size);
  try {
    hone::parse_tflite(*bytes, bytes);
  } catch (const hone::Error&) {
  }
  return 0;
}

// A quantized network, a sparse one, a loop with a variable, a detection head without its options.
std::vector<std::vector<uint8_t>> fuzz_samples() {
  using namespace hone::tflite;
  const auto f = TensorType::f32;
  const auto scalar = [](float v) { return bytes_of(std::vector<float>{v}); };
  TensorSpec bias{"b", TensorType::i32, {2}, bytes_of(std::vector<int32_t>{1, 2}), {0.02f}, {0}};
  const SubgraphSpec network{{{"x", TensorType::u8, {1, 4, 4, 1}, {}, {0.1f}, {3}},
                              {"w", TensorType::u8, {2, 2, 2, 1}, "abcdefgh", {0.2f}, {100}},
                              bias,
                              {"c", TensorType::u8, {1, 2, 2, 2}, {}, {0.5f}, {0}},
                              {"p", TensorType::u8, {1, 1, 1, 2}, {}, {0.5f}, {0}},
                              {"s", TensorType::i32, {2}, bytes_of(std::vector<int32_t>{1, 2})},
                              {"y", TensorType::u8, {1, 2}, {}, {0.5f}, {0}}},
                             {0},
                             {6},
                             {{3, {0, 1, 2}, {3}, {{0, int8_t{0}}, {1, 2}, {2, 2}, {3, int8_t{1}}}},
                              {1, {3}, {4}, {{0, int8_t{1}}, {1, 2}, {2, 2}, {3, 2}, {4, 2}}},
                              {22, {4, 5}, {6}}},
                             "main"};
  TensorSpec w{"w", f, {2, 3}, bytes_of(std::vector<float>{5, 7, 9})};
  w.sparse = {{2}, {0, {0, 1, 3}, {1, 0, 2}}};
  const SubgraphSpec sparse{{{"x", f, {1, 3}, {}}, w, {"y", f, {1, 2}, {}}}, {0}, {2}, {{9, {0, 1}, {2}}}, "main"};
  const Options name{{0, std::string("")}, {1, std::string("sum")}};
  const TensorSpec handle{"handle", TensorType::resource, {}, {}};
  const SubgraphSpec loop{
      {{"x", f, {}, {}}, handle, {"zero", f, {}, scalar(0)}, {"last", f, {}, {}}, {"sum", f, {}, {}}},
      {0},
      {4},
      {{142, {}, {1}, name}, {144, {1, 2}, {}}, {119, {0}, {3}, {{0, 1}, {1, 2}}}, {143, {1}, {4}}},
      "main"};
  const SubgraphSpec below{{{"a", f, {}, {}}, {"limit", f, {}, scalar(3)}, {"c", TensorType::boolean, {}, {}}},
                           {0},
                           {2},
                           {{58, {0, 1}, {2}}},
                           "below"};
  const SubgraphSpec body{
      {{"a", f, {}, {}},
       handle,
       {"old", f, {}, {}},
       {"new", f, {}, {}},
       {"one", f, {}, scalar(1)},
       {"next", f, {}, {}}},
      {0},
      {5},
      {{142, {}, {1}, name}, {143, {1}, {2}}, {0, {2, 0}, {3}}, {144, {1, 3}, {}}, {0, {0, 4}, {5}}},
      "body"};
  const SubgraphSpec head{{{"codes", f, {1, 6, 4}, {}},
                           {"scores", f, {1, 6, 3}, {}},
                           {"anchors", f, {6, 4}, {}},
                           {"boxes", f, {1, 2, 4}, {}}},
                          {0, 1, 2},
                          {3},
                          {{32, {0, 1, 2}, {3}, {}, "TFLite_Detection_PostProcess", "options"}},
                          "main"};
  std::vector<std::vector<uint8_t>> out;
  for (const FileSpec& spec :
       {FileSpec{{network}}, FileSpec{{sparse}}, FileSpec{{loop, below, body}}, FileSpec{{head}}}) {
    const std::string bytes = tflite_file(spec);
    out.emplace_back(bytes.begin(), bytes.end());
  }
  return out;
}
