// One convolution of the tests against a plain double loop, on every row that takes it.
#pragma once
#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {

struct ConvolutionCase {
  int64_t n = 1, c = 1, h = 1, w = 1, o = 1, kh = 1, kw = 1;
  int64_t sh = 1, sw = 1, dh = 1, dw = 1, pt = 0, pl = 0, pb = 0, pr = 0;
  int64_t groups = 1;  ///< 0 in `op`: Convolution
  bool grouped = false;
  ElementType x = ElementType::f32, wt = ElementType::f32, y = ElementType::f32;
  int chain = 0;  ///< which epilogue, see convolution_case.cpp
  bool bf16_compute = false, constant = true;
  Layout in_layout = Layout::channels_last;
  std::string text() const {
    return "n" + std::to_string(n) + " c" + std::to_string(c) + " " + std::to_string(h) + "x" + std::to_string(w) +
           " o" + std::to_string(o) + " k" + std::to_string(kh) + "x" + std::to_string(kw) + " s" + std::to_string(sh) +
           std::to_string(sw) + " d" + std::to_string(dh) + std::to_string(dw) + " p" + std::to_string(pt) +
           std::to_string(pl) + std::to_string(pb) + std::to_string(pr) + " g" + std::to_string(groups) + " " +
           name_of(x) + "x" + name_of(wt) + "->" + name_of(y) + " chain " + std::to_string(chain) +
           (bf16_compute ? " bf16_compute" : "") + (constant ? "" : " loose");
  }
};

/// Runs `k` on all rows that take it, at every level of instructions and with one to three threads, and counts them.
void check(const ConvolutionCase& k, int* rows_run);

}  // namespace hone::cpu::test
