// What libFuzzer asks for besides the input: with HONE_FUZZ_SAMPLES=DIR the target writes its own samples there and
// ends.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "driver.hpp"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("HONE_FUZZ_SAMPLES");
  if (!folder) return 0;
  size_t number = 0;
  for (const auto& sample : fuzz_samples()) {
    const std::string path = std::string(folder) + "/sample_" + std::to_string(number++);
    std::FILE* f = std::fopen(path.c_str(), "wb");
    if (!f || std::fwrite(sample.data(), 1, sample.size(), f) != sample.size() || std::fclose(f) != 0) {
      std::perror(path.c_str());
      std::exit(1);
    }
  }
  std::exit(0);
}
