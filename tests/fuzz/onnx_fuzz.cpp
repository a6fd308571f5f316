// The ONNX reader on arbitrary bytes: any outcome but a model or an Error is a finding.
#include <memory>
#include <string>

#include "budget.hpp"
#include "driver.hpp"
#include "formats/onnx/reader.hpp"
#include "formats/onnx/writer.hpp"
#include "hone/error.hpp"
#include "sample_network.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  auto bytes = std::make_shared<std::string>(reinterpret_cast<const char*>(data), size);
  try {
    hone::parse_onnx(*bytes, bytes);
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  const std::string bytes = hone::to_onnx(sample_network());
  return {std::vector<uint8_t>(bytes.begin(), bytes.end())};
}
