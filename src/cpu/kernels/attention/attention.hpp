// Attention on the dense tile kernels: scores of a few rows, their softmax and the product with V follow each other
// while they are in L1, so the scores never reach memory. K and V of a head are packed once by the thread that takes
// its rows; heads are read where they lie. With one or two rows (a token at a time) packing would cost more than the
// products: those run on vectors.
// Quantized attention rounds Q, K and V to bytes on the way in, the weights on the way between the products, and both
// products are of integers; it may find them rounded already.
#pragma once
#include <array>
#include <vector>

#include "cpu/kernels/attention/attention_view.hpp"
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/packed_b.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

struct AttentionSpec {
  DenseKind kind = DenseKind::f32;
  Num type = Num::f32;  ///< of Q, K and V
  /// Of bytes: those of the quantizer itself, from 0 on? Else their scale and zero point.
  struct Bytes {
    bool rounded = false;
    float scale = 1, zero = 0;
  };
  std::array<Bytes, 3> bytes{};
  Num result = Num::f32;
  float result_scale = 1, result_zero = 0;
  int64_t rows = 0, keys = 0, features = 0, width = 0;
  std::vector<int64_t> q, k, v, y, mask, late_mask;  ///< elements before each matrix
  int64_t q_row = 0, k_row = 0, v_row = 0, y_row = 0;
  int64_t mask_row = 0, mask_column = 0, late_mask_row = 0, late_mask_column = 0;
  float scale = 1;
  bool masked = false, late_masked = false, causal = false, zero_empty_rows = false;
  /// Of quantized attention: of Q, K, V and the weights, and of the scores where their step is not 0.
  struct Level {
    double step = 0, low = 0, high = 0;
  };
  std::array<Level, 5> levels{};
};

struct AttentionIsa {
  decltype(avx2::attention_columns)* columns;
  decltype(avx2::attention_panel)* panel;
  decltype(avx2::attention_pairs)* pairs;
  decltype(avx2::attention_softmax)* softmax;
  decltype(avx2::attention_result)* result;
  decltype(avx2::attention_dots)* dots;
  decltype(avx2::attention_mix)* mix;
  decltype(avx2::attention_widen)* widen;
  decltype(avx2::attention_quantize)* quantize;
  decltype(avx2::attention_flip)* flip;
  decltype(avx2::attention_quads)* quads;
  decltype(avx2::attention_sums)* sums;
  decltype(avx2::attention_softmax_int8)* softmax_int8;
  decltype(avx2::attention_result_int8)* result_int8;
};

class AttentionKernel : public PreparedKernel {
 public:
  AttentionKernel(AttentionSpec spec, const DenseIsa& dense, const AttentionIsa& isa, int threads);
  size_t scratch_bytes() const override { return size_t(thread_bytes_ * threads_); }
  void run(const KernelArgs& args) noexcept override;

  static constexpr int64_t few_rows = 2;

 private:
  struct Scratch;
  Scratch cut(void* memory, int part) const;
  void pack(const KernelArgs& args, const Scratch& s, int64_t matrix, bool keys, bool values) const;
  void pack_bytes(const KernelArgs& args, const Scratch& s, int64_t matrix, bool keys, bool values) const;
  void run_rows(const KernelArgs& args, const Scratch& s, int64_t matrix, int64_t begin, int64_t end) const;
  /// The row of Q as the products read it.
  const uint8_t* query_row(const Scratch& s, const uint8_t* from, int r) const;
  void weigh(const KernelArgs& args, const Scratch& s, int64_t matrix, int64_t first, int rows, int64_t keys) const;
  void put(const KernelArgs& args, const Scratch& s, int64_t matrix, int64_t first, int rows) const;
  bool is_int8() const { return spec_.kind == DenseKind::int8; }
  bool few() const { return !is_int8() && spec_.rows <= few_rows; }
  void run_few_rows(const KernelArgs& args, const Scratch& s, int64_t matrix) const;
  void multiply(const PackedB& b, const uint8_t* packed, const uint8_t* const* a, int rows, int64_t columns,
                int64_t steps, float* to) const;

  AttentionSpec spec_;
  const DenseIsa& dense_;
  AttentionIsa isa_;
  PackedB k_, v_;
  int threads_;
  int64_t parts_ = 1;  ///< of the rows of a matrix
  int tile_rows_ = 1;
  int64_t padded_keys_ = 0;
  bool copies_q_ = false;
  int64_t q_pitch_ = 0, wide_ = 0;
  AttentionLevels q_levels_{}, k_levels_{}, v_levels_{};
  int64_t thread_bytes_ = 0;
};

}  // namespace hone::cpu
