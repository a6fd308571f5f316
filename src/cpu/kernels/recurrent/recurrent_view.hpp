// Gates of recurrent cells on blocks of 16 hidden units, as plain data for ISA files.
#pragma once
#include <stdint.h>

namespace hone::cpu {

enum class GateKind : uint8_t {
  sigmoid,
  tanh,
  relu,
  affine,
  leaky_relu,
  thresholded_relu,
  scaled_tanh,
  hard_sigmoid,
  elu,
  soft_sign,
  soft_plus
};

/// An activation with its parameters.
struct GateFunction {
  GateKind kind;
  float alpha, beta;
};

/// What is to be done with the products of a step. A GRU that resets the state before its last product takes two turns.
enum class GateForm : uint8_t { lstm, rnn, gru_linear, gru_reset, gru_candidate };

struct GateRule {
  GateForm form;
  GateFunction functions[3];
  float clip;  ///< of what the functions see; infinite where there is none
  bool input_forget;
};

/// One block of 16 units of a few sequences. Rows of `product` follow each other; those of `input` and of the states
/// belong to the sequences.
struct GateBlock {
  const float* product[4];  ///< h R^T, by gate
  int64_t product_ld[4];
  const float* input[4];  ///< x W^T, by gate
  int64_t input_ld[4];
  const int32_t* sequence;  ///< of each row
  int rows, units;
  const float* bias;       ///< [gates][16]; a GRU has a fourth: the recurrent part of h
  const float* peepholes;  ///< [3][16]: i, o, f; or null
  // states, `ld` apart, at the first unit of the block
  const float* h;
  float* next;
  float* c;        ///< LSTM: the cell state; GRU: z between the two turns
  float* reset;    ///< GRU: r h between the two turns
  uint16_t* bf16;  ///< what the next product reads (`next`, or `reset`) in bf16; null where it reads f32
  int64_t ld, bf16_ld;
  float* const* y;  ///< of each row, or null
  int64_t unit;     ///< the first unit of the block
};

#define HONE_RECURRENT_ISA(ISA)                                       \
  namespace ISA {                                                     \
  void recurrent_gates(const GateRule& rule, const GateBlock& block); \
  }
HONE_RECURRENT_ISA(avx2)
HONE_RECURRENT_ISA(avx512)
HONE_RECURRENT_ISA(neon)
#undef HONE_RECURRENT_ISA

}  // namespace hone::cpu
