// NumPy arrays on arbitrary bytes.
#include "budget.hpp"
#include "driver.hpp"
#include "formats/npy/npy.hpp"
#include "hone/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  try {
    hone::parse_npy({data, size}, "input");
  } catch (const hone::Error& e) {
    if (e.where() != "input") throw;
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  const auto array = [](const std::string& header, size_t bytes) {
    std::string s("\x93NUMPY\x01\x00", 8);
    const std::string padded = header + std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
    s += {static_cast<char>(padded.size()), static_cast<char>(padded.size() >> 8)};
    s += padded + std::string(bytes, '\1');
    return std::vector<uint8_t>(s.begin(), s.end());
  };
  return {array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24),
          array("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", 12),
          array("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", 1),
          array("{'descr': '<U2', 'fortran_order': False, 'shape': (3,), }", 24)};
}
