// What the code of an instruction set sees of an epilogue: plain data only, so that ISA files can include it.
#pragma once
#include <stdint.h>

namespace hone::cpu {

/// Element types that kernels read and write directly.
enum class Num : uint8_t { f32, bf16, u8, s8, i32, f16 };

/// An operand: real = (x - zero) * scale.
struct OperandView {
  const void* data;
  Num type;
  uint8_t spread;  ///< hone::Spread
  float scale, zero;
};

/// A step of the tile interpreter on slots of one tile each. Source -1 is absent.
struct SlotStep {
  uint8_t op;  ///< hone::EpilogueOp, or levels_step
  int8_t dst, a, b;
  int8_t operand;  ///< >= 0: this step only loads that operand into `dst`
  float alpha, beta, gamma, delta;
};
/// The four steps of a quantizer in one: clamp(round(alpha * a), beta, gamma) * delta.
constexpr uint8_t levels_step = 63;

/// Integer accumulators straight to 8-bit results, where that is all. A result is v = acc * scale[c] + offset[c]; with
/// a residual v = clamp(round(v), level_low, level_high) * level_scale (without levels v) + r * residual_scale +
/// residual_offset; then clamp(round(v) + zero, low, high) ^ flip. Bytes count as u8: zero, low and high of signed ones
/// are 128 more, `flip` takes that back, and r is a signed residual plus 128.
struct RequantView {
  const float* scale;  ///< per column; null: another form
  const float* offset;
  int32_t zero, low, high;
  uint8_t flip;
  bool levels, residual_signed;
  const uint8_t* residual;  ///< laid out as the result, or null
  float level_low, level_high, level_scale, residual_scale, residual_offset;
};

/// clamp(round(inverse * v), low, high) * step
struct LevelsView {
  float inverse, low, high, step;
};

/// A value times its sigmoid (or hard sigmoid), both rounded to levels or neither; then perhaps a factor a channel,
/// levels and a residual.
struct GateView {
  bool on, hard, levels, rounds_result, has_residual;
  LevelsView value, gate, result;
  const float* factor;  ///< or null
  OperandView residual;
};

struct EpilogueView;
struct TileView;
using EpilogueFn = void (*)(const EpilogueView&, const TileView&);

/// Smooth functions of the biased result v, in levels: 32 polynomials of degree 3 or 4. Piece p is where x = scale * v
/// + offset rounds to p, from 1 on, in terms of x - p; beyond the first and the last piece their ends go on.
struct CurveView {
  const float* coefficients;  ///< from the constant on: curve_pieces of each, that of piece 32 first
  float scale, offset;
  int degree;
  EpilogueFn run;  ///< null: another form
};
constexpr int curve_pieces = 32;
/// Levels of values times their gates, which lie between +-gate_reach.
constexpr float gate_reach = 256;

/// How a tile of results becomes output: accumulators to real numbers, the epilogue, conversion to the output type.
struct EpilogueView {
  // integer accumulators: real = (acc - comp[c]) * dequant[c]; both readable to a multiple of 16
  const int32_t* comp;
  const float* dequant;
  bool integer;
  // both forms add bias[c] first; fast form: clamp or activation of (acc + bias[c] + residual), or of (acc + bias[c])
  // with the residual added last
  bool fast;
  bool has_residual, residual_last;
  uint8_t activation;  ///< 0: clamp to [clamp_low, clamp_high]; else 1 + hone::EpilogueOp
  float alpha, beta;
  float clamp_low, clamp_high;
  const float* bias;  ///< per channel or null
  OperandView residual;
  RequantView requant;
  GateView gate;
  // general form
  const SlotStep* steps;
  int num_steps;
  int result_slot;
  const OperandView* operands;
  // output
  void* out;
  Num out_type;
  int64_t ld_out;  ///< elements between rows
  float out_inv_scale, out_zero, out_low, out_high;
  int64_t rows_per_image;  ///< rows of one n, for operands spread per row
  int64_t channels;
  CurveView curve;
};

/// A tile of at most `tile_capacity` accumulators, f32 or i32, rows `ld` apart (a multiple of 16); it may be
/// overwritten.
struct TileView {
  void* acc;
  int64_t ld;
  int rows, cols;
  int64_t row0;  ///< index of the first row in the whole result
  int64_t col0;
};

constexpr int tile_capacity = 1024;
constexpr int max_slots = 8;

#define HONE_EPILOGUE_ISA(ISA)                                  \
  namespace ISA {                                               \
  void epilogue_tile(const EpilogueView& e, const TileView& t); \
  void f32_to_bf16(const float* from, uint16_t* to, int64_t n); \
  void bf16_to_f32(const uint16_t* from, float* to, int64_t n); \
  void f16_to_f32(const uint16_t* from, float* to, int64_t n);  \
  }
HONE_EPILOGUE_ISA(avx2)
HONE_EPILOGUE_ISA(avx512)
HONE_EPILOGUE_ISA(avx512bf16)
HONE_EPILOGUE_ISA(neon)
#undef HONE_EPILOGUE_ISA

namespace avx512 {
/// Bytes of a curve.
void curve_tile(const EpilogueView& e, const TileView& t);
/// Bytes of a gate whose value has levels: the curve gives those of its sigmoid.
void gate_tile(const EpilogueView& e, const TileView& t);
}  // namespace avx512

}  // namespace hone::cpu
