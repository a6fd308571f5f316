// The steps of attention between its products, as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

/// A quantizer to bytes: clamp(round((x - zero) * inverse), low, high) - shift, with a zero of bytes alone.
struct AttentionLevels {
  float inverse, low, high;
  int32_t shift;
  float zero;
};

/// Softmax of a few rows of scores, which lie in blocks of `block` columns as the tiles wrote them.
struct AttentionRows {
  float* scores;  ///< [blocks][height][block], overwritten; rows of the last block are `last_width` apart
  int64_t block, height, last_block, last_width;
  int rows;
  int64_t keys, padded;  ///< columns; how many of the weights are written, zeros behind the last
  float scale;
  const float* mask;  ///< of the first row, or null
  int64_t mask_row, mask_column;
  int64_t seen;  ///< causal: columns that the first row sees, one more for each next row; else `keys` and no more
  bool causal;
  void* weights;  ///< f32 or bf16, not yet divided by their sum
  int64_t ld;
  bool bf16;
  bool zero_empty_rows;
  float* factors;  ///< of each row: 1 / sum
  // of integer scores (acc + comp[column]) * scale; the weights are bytes then
  const int32_t* comp;
  const float* late_mask;  ///< as `mask`, but added to rounded scores
  int64_t late_mask_row, late_mask_column;
  float score_step;  ///< 0: scores are not rounded
  AttentionLevels score_levels, weight_levels;
  bool sums;  ///< factors become the sums of the weights
};

/// Rows of a product times their factors, to the result.
struct AttentionResult {
  const float* tile;
  int64_t ld_tile;
  int rows, columns;
  const float* factors;
  void* out;
  Num type;
  int64_t ld;
  // of an integer product: (acc + offsets[row]) * factor
  const float* offsets;
  float factor;
  float inverse_scale, zero;  ///< of results in bytes
};

#define HONE_ATTENTION_ISA(ISA)                                                                                   \
  namespace ISA {                                                                                                 \
  /* 16 rows of 32-bit words, `ld` bytes apart, become columns: to[word][16]; missing rows are zero */            \
  void attention_columns(const uint8_t* from, int64_t ld, int rows, int64_t words, uint32_t* to);                 \
  /* up to 16 columns of `rows` rows of f32: to[row][16] */                                                       \
  void attention_panel(const float* from, int64_t ld, int64_t rows, int columns, float* to);                      \
  /* the same of bf16, pairs of rows beside each other: to[row / 2][16][2] */                                     \
  void attention_pairs(const uint16_t* from, int64_t ld, int64_t rows, int columns, uint16_t* to);                \
  void attention_softmax(const AttentionRows& a);                                                                 \
  void attention_result(const AttentionResult& r);                                                                \
  /* products of one row with `keys` others */                                                                    \
  void attention_dots(const float* row, const void* with, Num type, int64_t ld, int64_t keys, int64_t features,   \
                      float* to);                                                                                 \
  /* sum of `keys` rows times their weights */                                                                    \
  void attention_mix(const float* weights, const void* rows, Num type, int64_t ld, int64_t keys, int64_t columns, \
                     float* to);                                                                                  \
  void attention_widen(const void* from, Num type, int64_t n, float* to);                                         \
  void attention_quantize(const void* from, Num type, int64_t ld, int64_t rows, int64_t n,                        \
                          const AttentionLevels& levels, uint8_t* to, int64_t ld_to);                             \
  /* unsigned bytes minus 128 */                                                                                  \
  void attention_flip(const uint8_t* from, int64_t ld, int64_t rows, int64_t n, uint8_t* to, int64_t ld_to);      \
  /* four rows of bytes beside each other, `rows` up to a multiple of four: to[row / 4][16][4] */                 \
  void attention_quads(const uint8_t* from, int64_t ld, int64_t rows, uint8_t* to);                               \
  /* sums of the columns of a panel [steps][16][4] of signed bytes */                                             \
  void attention_sums(const uint8_t* panel, int64_t steps, int32_t* to);                                          \
  void attention_softmax_int8(const AttentionRows& a);                                                            \
  void attention_result_int8(const AttentionResult& r);                                                           \
  }
HONE_ATTENTION_ISA(avx2)
HONE_ATTENTION_ISA(avx512)
HONE_ATTENTION_ISA(neon)
#undef HONE_ATTENTION_ISA

}  // namespace hone::cpu
