// A fuzzer for compilers without one: flips, overwrites, cuts, copies and repeats bytes of sample files, from a seed.
// A crash, a sanitizer report or an exception that escapes the target ends the program with the number of the run.
#include "driver.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace {

using Bytes = std::vector<uint8_t>;

void mutate(Bytes& b, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return size_t(random() % n); };
  const size_t changes = 1 + below(8);
  for (size_t i = 0; i < changes && !b.empty(); ++i) {
    const size_t at = below(b.size());
    switch (below(5)) {
      case 0:
        b[at] = uint8_t(b[at] ^ (1u << below(8)));
        break;
      case 1:
        b[at] = uint8_t(random());
        break;
      case 2:
        b.resize(1 + at);
        break;
      case 3: {
        const size_t n = std::min(below(32) + 1, b.size() - at);
        const Bytes part(b.begin() + ptrdiff_t(at), b.begin() + ptrdiff_t(at + n));
        b.insert(b.begin() + ptrdiff_t(below(b.size())), part.begin(), part.end());
        break;
      }
      default: {
        // The values at which lengths and counts break.
        static constexpr uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        for (size_t k = at; k < std::min(b.size(), at + 1 + below(8)); ++k) b[k] = edges[below(5)];
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 100000, seed = 1;
  std::vector<Bytes> samples;
  for (int i = 1; i < argc; ++i) {
    if (i + 1 < argc && std::strcmp(argv[i], "--runs") == 0) {
      runs = std::strtoull(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && std::strcmp(argv[i], "--seed") == 0) {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else {
      const std::string text = hone::read_text_file(argv[i]);
      samples.emplace_back(text.begin(), text.end());
    }
  }
  if (samples.empty()) samples = fuzz_samples();
  for (const Bytes& b : samples) LLVMFuzzerTestOneInput(b.data(), b.size());
  for (uint64_t run = 0; run < runs; ++run) {
    std::mt19937_64 random(seed * 1000003 + run);
    Bytes b = samples[size_t(random() % samples.size())];
    mutate(b, random);
    try {
      LLVMFuzzerTestOneInput(b.data(), b.size());
    } catch (const std::exception& e) {
      std::fprintf(stderr, "run %llu of seed %llu: %s\n", static_cast<unsigned long long>(run),
                   static_cast<unsigned long long>(seed), e.what());
      return 1;
    }
  }
  std::printf("%llu runs, %zu samples\n", static_cast<unsigned long long>(runs), samples.size());
  return 0;
}
