// Elementwise programs as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

/// Operators of elementwise programs beyond hone::EpilogueOp, numbered after them.
enum class ExtraOp : uint8_t { squared_difference = 64, log, erf, floor, ceiling };

struct ElementOperand {
  const void* data;
  Num type;
  bool quantized;  ///< real = (x - zero) * scale; else the number itself
  float scale, zero;
  int64_t row_stride;
  int col_stride;  ///< 0 or 1
};

struct ElementwiseView {
  const SlotStep* steps;
  int num_steps, result_slot;
  const ElementOperand* operands;
  void* out;
  Num out_type;
  int64_t out_row_stride;
  float out_inv_scale, out_zero, out_low, out_high;
  /// clamp(x * a + b, low, high) on operands that are f32, bf16 or quantized u8 along the last dimension: no slots, and
  /// tiles may be as large as one likes. Operands -1 are absent; x -1: another form.
  int direct_x = -1, direct_a = -1, direct_b = -1;
  float direct_low = 0, direct_high = 0;
};

/// A tile: rows x cols with cols rounded up to a vector fits element_tile; `offsets` are elements to add to each
/// operand's pointer.
constexpr int element_tile = 512;
using ElementwiseFn = void (*)(const ElementwiseView&, const int64_t* offsets, int64_t out_offset, int rows, int cols);

#define HONE_ELEMENTWISE_ISA(ISA)                                                                                  \
  namespace ISA {                                                                                                  \
  void elementwise_tile(const ElementwiseView& e, const int64_t* offsets, int64_t out_offset, int rows, int cols); \
  /* n bytes of each of three planes to pixels */                                                                  \
  void interleave_planes(const uint8_t* a, const uint8_t* b, const uint8_t* c, uint8_t* to, int64_t n);            \
  }
HONE_ELEMENTWISE_ISA(avx2)
HONE_ELEMENTWISE_ISA(avx512)
HONE_ELEMENTWISE_ISA(avx512bf16)
HONE_ELEMENTWISE_ISA(neon)
#undef HONE_ELEMENTWISE_ISA

}  // namespace hone::cpu
