// The OpenVINO IR reader on arbitrary bytes. What follows a zero byte is the .bin file.
#include <cstring>
#include <memory>
#include <string>

#include "budget.hpp"
#include "driver.hpp"
#include "formats/openvino_ir/reader.hpp"
#include "formats/openvino_ir/writer.hpp"
#include "hone/error.hpp"
#include "sample_network.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  const auto* zero = size ? static_cast<const uint8_t*>(std::memchr(data, 0, size)) : nullptr;
  const size_t xml = zero ? static_cast<size_t>(zero - data) : size;
  auto weights = std::make_shared<std::string>(
      zero ? std::string(reinterpret_cast<const char*>(zero) + 1, size - xml - 1) : std::string());
  try {
    hone::parse_openvino_ir({reinterpret_cast<const char*>(data), xml},
                            {reinterpret_cast<const uint8_t*>(weights->data()), weights->size()}, weights);
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  const auto [xml, weights] = hone::to_openvino_ir(sample_network());
  std::vector<uint8_t> both(xml.begin(), xml.end());
  both.push_back(0);
  both.insert(both.end(), weights.begin(), weights.end());
  return {both};
}
