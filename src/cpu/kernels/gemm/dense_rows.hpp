// Which tile kernels exist, for which element type, and what they need of the CPU: the rows of Convolution and MatMul
// are made from this.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/features.hpp"
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/packed_b.hpp"

namespace hone::cpu {

struct DenseRow {
  const char* suffix;  ///< end of the kernel's name
  DenseKind kind;
  const DenseIsa* isa;
  bool Features::*has;
  const char* needs;  ///< in words, for refusals
  double gflops;      ///< of one core, roughly; only the order matters

  /// For products of `rows` rows with runs of `length` values: tiles take as long for a part of 16 rows or 64 bytes.
  double rate(int64_t rows, int64_t length) const {
    if (isa->row_block == 1) return gflops;
    const auto used = [](int64_t n, int64_t whole) { return double(n) / double((n + whole - 1) / whole * whole); };
    return gflops * used(std::max<int64_t>(1, rows), isa->row_block) *
           used(std::max<int64_t>(1, length), kind == DenseKind::bf16 ? 32 : 64);
  }
};

#if defined(__x86_64__)
constexpr DenseRow dense_rows[] = {
    {"bf16_32x32__amx", DenseKind::bf16, &amx::dense_bf16, &Features::amx_bf16, "AMX BF16", 1800},
    {"int8_32x32__amx", DenseKind::int8, &amx::dense_int8, &Features::amx_int8, "AMX INT8", 3500},
    {"f32_6x64__avx512", DenseKind::f32, &avx512::dense_f32, &Features::avx512, "AVX-512", 115},
    {"bf16_6x64__avx512bf16", DenseKind::bf16, &avx512bf16::dense_bf16, &Features::avx512_bf16, "AVX-512 BF16", 225},
    {"int8_6x64__avx512vnni", DenseKind::int8, &avx512vnni::dense_int8, &Features::avx512_vnni, "AVX-512 VNNI", 440},
    {"bf16_8x32__avx512", DenseKind::bf16, &avx512::dense_bf16, &Features::avx512, "AVX-512", 80},
    {"f32_6x16__avx2", DenseKind::f32, &avx2::dense_f32, &Features::avx2, "AVX2", 110},
    {"bf16_4x16__avx2", DenseKind::bf16, &avx2::dense_bf16, &Features::avx2, "AVX2", 70},
    {"int8_2x16__avx2", DenseKind::int8, &avx2::dense_int8, &Features::avx2, "AVX2", 130},
    {"bf16_32x32__amx_stand_in", DenseKind::bf16, &amx_stand_in::dense_bf16, &Features::amx_stand_in,
     "stand-in for AMX", 0.2},
    {"int8_32x32__amx_stand_in", DenseKind::int8, &amx_stand_in::dense_int8, &Features::amx_stand_in,
     "stand-in for AMX", 0.2},
};
#elif defined(__aarch64__)
constexpr DenseRow dense_rows[] = {
    {"f32_6x16__neon", DenseKind::f32, &neon::dense_f32, &Features::neon, "NEON", 35},
    {"bf16_4x16__neon", DenseKind::bf16, &neon::dense_bf16, &Features::neon, "NEON", 20},
    {"int8_1x16__neon", DenseKind::int8, &neon::dense_int8, &Features::neon, "NEON", 20},
    {"int8_6x16__neondot", DenseKind::int8, &neondot::dense_int8, &Features::dotprod, "NEON dot products", 140},
    {"int8_6x16__neoni8mm", DenseKind::int8, &neoni8mm::dense_int8, &Features::i8mm, "NEON I8MM", 280},
    {"bf16_6x16__neonbf16", DenseKind::bf16, &neonbf16::dense_bf16, &Features::neon_bf16, "NEON BF16", 100},
    {"bf16_32x32__amx_stand_in", DenseKind::bf16, &amx_stand_in::dense_bf16, &Features::amx_stand_in,
     "stand-in for AMX", 0.2},
    {"int8_32x32__amx_stand_in", DenseKind::int8, &amx_stand_in::dense_int8, &Features::amx_stand_in,
     "stand-in for AMX", 0.2},
};
#endif
constexpr size_t num_dense_rows = sizeof(dense_rows) / sizeof(DenseRow);

}  // namespace hone::cpu
