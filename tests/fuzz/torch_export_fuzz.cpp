// The torch.export reader on arbitrary bytes: any outcome but a model or an Error is a finding. Half of the inputs are
// the program's JSON alone, put into an archive here, so that mutations reach the graph.
#include "budget.hpp"
#include "driver.hpp"
#include "formats/pytorch/archive_samples_test.hpp"
#include "formats/pytorch/reader.hpp"
#include "hone/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("{")) {
    const std::string config = R"({"config": {"w": {"path_name": "weight_0", "use_pickle": false, "tensor_meta": )" +
                               hone::archive_samples::meta({"2", "3"}, 7, {3, 1}) + "}}}";
    bytes = hone::archive_samples::zip({{"m/models/model.json", bytes},
                                        {"m/data/weights/model_weights_config.json", config},
                                        {"m/data/weights/weight_0", std::string(24, '\1')}});
  }
  try {
    hone::parse_torch_export(hone::archive_samples::blob(std::move(bytes)));
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  using namespace hone::archive_samples;
  const std::string whole = linear_archive();
  Program p;
  p.inputs = {"x"};
  p.parameters = {{"p_w", "w"}};
  p.nodes = {
      node("torch.ops.aten.linear.default", {tensor_argument("input", "x"), tensor_argument("weight", "p_w")},
           {tensor_name("a")}),
      node("torch.ops.aten.select.int",
           {tensor_argument("self", "a"), argument("dim", R"({"as_int": 1})"), argument("index", R"({"as_int": 0})")},
           {tensor_name("v")}),
      node("torch.ops.aten.relu_.default", {tensor_argument("self", "v")}, {tensor_name("r")}),
      node("torch.ops.aten.split.Tensor",
           {tensor_argument("self", "a"), argument("split_size", R"({"as_int": 1})"),
            argument("dim", R"({"as_int": 1})")},
           {R"({"as_tensors": [{"name": "b"}, {"name": "c"}]})"}),
      node("torch.ops.aten.cat.default",
           {argument("tensors", R"({"as_tensors": [{"name": "c"}, {"name": "b"}]})"),
            argument("dim", R"({"as_int": -1})")},
           {tensor_name("y")})};
  p.outputs = {"y"};
  p.tensors = {{"x", meta({"s0", "3"})}, {"a", meta({"s0", "2"})}};
  const std::string json = p.json();
  return {std::vector<uint8_t>(whole.begin(), whole.end()), std::vector<uint8_t>(json.begin(), json.end())};
}
