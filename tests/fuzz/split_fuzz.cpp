// Stored splits, read against a small data set.
#include "budget.hpp"
#include "data/split.hpp"
#include "driver.hpp"
#include "hone/error.hpp"

using namespace hone::data;

namespace {

const Dataset& numbers() {
  static const auto data = [] {
    static const uint8_t pixels[40] = {};
    PixelBlock b;
    b.name = "all";
    b.width = b.height = 1;
    b.pixels = pixels;
    for (int i = 0; i < 40; ++i) b.labels.push_back(uint8_t(i % 2));
    return make_memory_dataset("numbers", {"even", "odd"}, {b});
  }();
  return *data;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  try {
    const Split s = split_from_json({reinterpret_cast<const char*>(data), size}, numbers(), "input");
    if (s.train.size() + s.val.size() + s.test.size() > numbers().size()) std::abort();
  } catch (const hone::Error&) {
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  SplitOptions options;
  options.duplicates_together = false;  // the pictures are all alike
  const std::string text = split_to_json(make_split(numbers(), options), numbers());
  return {std::vector<uint8_t>(text.begin(), text.end())};
}
