// PyTorch checkpoints and safetensors on arbitrary bytes: any outcome but tensors or an Error is a finding. Inputs that
// begin like a pickle are put into an archive here.
#include "budget.hpp"
#include "driver.hpp"
#include "formats/pytorch/archive_samples_test.hpp"
#include "formats/pytorch/state_dict.hpp"
#include "hone/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("\x80\x02}")) bytes = hone::archive_samples::checkpoint(bytes, {{"0", std::string(64, '\1')}});
  try {
    hone::parse_weights(hone::archive_samples::blob(std::move(bytes)));
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  using namespace hone::archive_samples;
  const std::string pickle = dictionary(
      {{"w", tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})}, {"n", tensor("LongStorage", "0", 1, 0, {}, {})}});
  const std::string stream = std::string("\x80\x02\x8a\x0a") + "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." +
                             "\x80\x02M\xe9\x03." + dictionary({{"little_endian", "\x88"}}) + pickle + "\x80\x02](" +
                             text("0") + "e." + little(6, 8) + floats({1, 2, 3, 4, 5, 6});
  const std::string header =
      R"({"w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}, "b": {"dtype": "BOOL", "shape": [2], "data_offsets": [8, 10]}})";
  const std::string safe = little(header.size(), 8) + header + floats({5, 6}) + std::string("\1\2", 2);
  std::vector<std::vector<uint8_t>> out;
  for (const std::string& s : {pickle, checkpoint(pickle, {{"0", floats({1, 2, 3, 4, 5, 6})}}), stream, safe})
    out.emplace_back(s.begin(), s.end());
  return out;
}
