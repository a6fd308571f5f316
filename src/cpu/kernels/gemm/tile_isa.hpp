// Register tiles of dense products, for ISA files only. `Dot` says what a step of 4 bytes means.
#pragma once
#include "cpu/kernels/fused.hpp"
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/tile_end_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

constexpr int panel_vectors = 16 / lanes;
typedef int32_t LooseWord __attribute__((aligned(1), may_alias));  // pairs of bf16, four bytes: wherever a row begins

struct DotF32 {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = true, ends_bf16 = false;
  using Acc = vf;
  using A = vf;
  using B = vf;
  HONE_INLINE A load_a(const uint8_t* p) { return set1(*reinterpret_cast<const float __attribute__((may_alias))*>(p)); }
  HONE_INLINE B load_b(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
  HONE_INLINE Acc step(Acc c, A a, B b) { return fused(a, b, c); }
  HONE_INLINE void keep(A& a) { HONE_KEEP(a); }
  HONE_INLINE void put(void* c, int64_t i, Acc v) { store(static_cast<float*>(c) + i, v); }
#if HONE_LANES == 16
  using Half = __m256;
  HONE_INLINE Half no_half() {
    return _mm256_setzero_ps();
  }
  HONE_INLINE __m256 load_half(const uint8_t* b) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(b));
  }
  HONE_INLINE Half half_step(Half c, A a, __m256 b) {
    return _mm256_fmadd_ps(_mm512_castps512_ps256((__m512)a), b, c);
  }
  HONE_INLINE Half half_step(Half c, const uint8_t* a, __m256 b) {
    return _mm256_fmadd_ps(_mm256_set1_ps(*reinterpret_cast<const float __attribute__((may_alias))*>(a)), b, c);
  }
  HONE_INLINE Acc widened(Half c) {
    return (vf)_mm512_zextps256_ps512(c);
  }
#endif
};

// bf16 pairs without an instruction of their own: the halves are widened by shifts.
struct DotBf16Wide {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = false, ends_bf16 = false;
  using Acc = vf;
  struct A {
    vf even, odd;
  };
  using B = A;
  HONE_INLINE A split(vu u) { return {(vf)(u << 16), (vf)(u & 0xffff0000u)}; }
  HONE_INLINE A load_a(const uint8_t* p) { return split((vu)set1i(*reinterpret_cast<const LooseWord*>(p))); }
  HONE_INLINE B load_b(const uint8_t* p) { return split((vu)load_i32(reinterpret_cast<const int32_t*>(p))); }
  HONE_INLINE Acc step(Acc c, A a, B b) { return (c + a.even * b.even) + a.odd * b.odd; }
  HONE_INLINE void keep(A&) {}
  HONE_INLINE void put(void* c, int64_t i, Acc v) { store(static_cast<float*>(c) + i, v); }
};

#if HONE_LANES == 16
// What the dot products of four bytes a lane share.
struct LaneDot {
  using A = vi;
  using B = vi;
  HONE_INLINE A load_a(const uint8_t* p) { return set1i(*reinterpret_cast<const LooseWord*>(p)); }
  HONE_INLINE B load_b(const uint8_t* p) { return load_i32(reinterpret_cast<const int32_t*>(p)); }
  HONE_INLINE void keep(A& a) { HONE_KEEP(a); }
  HONE_INLINE __m256i load_half(const uint8_t* b) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)); }
  HONE_INLINE __m256i half_a(A a) { return _mm512_castsi512_si256((__m512i)a); }
  HONE_INLINE __m256i half_a(const uint8_t* p) { return _mm256_set1_epi32(*reinterpret_cast<const LooseWord*>(p)); }
};
// Those with exact sums.
struct IntegerDot : LaneDot {
  static constexpr bool ends_f32 = false, ends_bf16 = false;
  using Acc = vi;
  using Half = __m256i;
  HONE_INLINE void put(void* c, int64_t i, Acc v) { store_i32(static_cast<int32_t*>(c) + i, v); }
  HONE_INLINE Half no_half() { return _mm256_setzero_si256(); }
  HONE_INLINE Acc widened(Half c) { return (vi)_mm512_zextsi256_si512(c); }
};

// Row M and those that are packed with it. Only the last row may be none of the results'. Rows are template arguments
// and the accumulators no captures: gcc would keep them in memory.
template <Between BETWEEN, int ROWS, int PANELS, int M>
HONE_INLINE void put_rows(const TileArgs& t, const Requantizer<BETWEEN>& q, const vi (&acc)[ROWS][PANELS]) {
  constexpr int group = PANELS == 1 ? 4 : PANELS == 2 ? 2 : 1;
  const int64_t ld = t.ld_out;
  const bool last = t.rows == ROWS;
  const int tail = t.cols - 16 * (PANELS - 1);  // columns of the last panel
#define HONE_LEVEL(N, J)                                                                                         \
  q.level(acc[N][J], load(t.scale + 16 * (J)), load(t.offset + 16 * (J)),                                        \
          BETWEEN != Between::nothing ? t.residual + ((N) == ROWS - 1 && !last ? ROWS - 2 : (N)) * ld + 16 * (J) \
                                      : nullptr)
  uint8_t* to = t.out + M * ld;
  if constexpr (PANELS >= 3) {
    const __m512i bytes =
        q.pack(HONE_LEVEL(M, 0), HONE_LEVEL(M, 1), HONE_LEVEL(M, 2), PANELS == 4 ? HONE_LEVEL(M, PANELS - 1) : vi{});
    if (M == ROWS - 1 && !last) return;
    if (tail != 16) {
      store_first_bytes(to, bytes, t.cols);
    } else if constexpr (PANELS == 4) {
      _mm512_storeu_si512(to, bytes);
    } else {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(bytes));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm512_extracti32x4_epi32(bytes, 2));
    }
  } else if constexpr (PANELS == 2) {
    constexpr int n = M + 1 < ROWS ? M + 1 : M;
    const __m512i bytes = q.pack(HONE_LEVEL(M, 0), HONE_LEVEL(M, 1), HONE_LEVEL(n, 0), HONE_LEVEL(n, 1));
    const __m256i half[2] = {_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64(bytes, 1)};
    for (int k = 0; k < 2 && M + k < ROWS; ++k, to += ld) {
      if (M + k == ROWS - 1 && !last) return;
      if (tail == 16) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half[k]);
      } else {
        _mm256_mask_storeu_epi8(to, (__mmask32(1) << (16 + tail)) - 1, half[k]);
      }
    }
  } else {
    constexpr int n1 = M + 1 < ROWS ? M + 1 : M, n2 = M + 2 < ROWS ? M + 2 : M, n3 = M + 3 < ROWS ? M + 3 : M;
    const __m512i bytes = q.pack(HONE_LEVEL(M, 0), HONE_LEVEL(n1, 0), HONE_LEVEL(n2, 0), HONE_LEVEL(n3, 0));
    const __m128i chunk[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                              _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
    for (int k = 0; k < 4 && M + k < ROWS; ++k, to += ld) {
      if (M + k == ROWS - 1 && !last) return;
      if (tail == 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), chunk[k]);
      } else {
        _mm_mask_storeu_epi8(to, first_lanes(tail), chunk[k]);
      }
    }
  }
#undef HONE_LEVEL
  if constexpr (M + group < ROWS) put_rows<BETWEEN, ROWS, PANELS, M + group>(t, q, acc);
}
#endif

template <class Dot, bool HALF>
struct HalfOf {
  using type = int;
};
template <class Dot>
struct HalfOf<Dot, true> {
  using type = typename Dot::Half;
};

// HALF: the last panel has at most 8 columns, and half a vector does for them.
template <class Dot, int ROWS, int PANELS, bool HALF = false>
static void dense_tile(const TileArgs& args) {
  const TileArgs t = args;  // a copy: stores might change the original, as far as the compiler knows
  constexpr int vectors = PANELS * panel_vectors;
  typename Dot::Acc acc[ROWS][vectors];
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 16
    for (int j = 0; j < vectors; ++j) acc[m][j] = typename Dot::Acc{};
  }
  constexpr int whole = HALF ? vectors - 1 : vectors;
  typename HalfOf<Dot, HALF>::type half[ROWS];
  if constexpr (HALF) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) half[m] = Dot::no_half();
  }
  const int64_t panel = t.panel_stride;
  for (int64_t r = 0; r < t.runs; ++r) {
    const TileRun run = t.run[r];
    const uint8_t* b = t.b + run.b_bytes;
    const uint8_t* a[ROWS];
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) a[m] = t.a[run.a_rows + m] + run.a_bytes;
    int64_t k = 0;
    // With one panel each broadcast serves one product, so steps are taken by four: a row's pointer is fetched once for
    // all.
    if constexpr (HALF && vectors == 1) {
      for (; k + 4 <= t.steps; k += 4) {
        const auto b0 = Dot::load_half(b), b1 = Dot::load_half(b + 64), b2 = Dot::load_half(b + 128),
                   b3 = Dot::load_half(b + 192);
#pragma GCC unroll 16
        for (int m = 0; m < ROWS; ++m) {
          const uint8_t* p = a[m] + 4 * k;
          half[m] = Dot::half_step(half[m], p, b0);
          half[m] = Dot::half_step(half[m], p + 4, b1);
          half[m] = Dot::half_step(half[m], p + 8, b2);
          half[m] = Dot::half_step(half[m], p + 12, b3);
        }
        b += 256;
      }
    } else if constexpr (vectors == 1) {
      for (; k + 4 <= t.steps; k += 4) {
        typename Dot::B bv[4];
#pragma GCC unroll 16
        for (int u = 0; u < 4; ++u) bv[u] = Dot::load_b(b + 64 * u);
#pragma GCC unroll 16
        for (int m = 0; m < ROWS; ++m) {
          const uint8_t* p = a[m] + 4 * k;
#pragma GCC unroll 16
          for (int u = 0; u < 4; ++u) acc[m][0] = Dot::step(acc[m][0], Dot::load_a(p + 4 * u), bv[u]);
        }
        b += 256;
      }
    }
    for (; k < t.steps; ++k) {
      typename Dot::B bv[vectors];
#pragma GCC unroll 16
      for (int j = 0; j < whole; ++j) {
        bv[j] = Dot::load_b(b + (j / panel_vectors) * panel + (j % panel_vectors) * (4 * lanes));
      }
#pragma GCC unroll 16
      for (int m = 0; m < ROWS; ++m) {
        typename Dot::A x = Dot::load_a(a[m] + 4 * k);
        if constexpr (vectors > 1) Dot::keep(x);
#pragma GCC unroll 16
        for (int j = 0; j < whole; ++j) acc[m][j] = Dot::step(acc[m][j], x, bv[j]);
        if constexpr (HALF) half[m] = Dot::half_step(half[m], x, Dot::load_half(b + (PANELS - 1) * panel));
      }
      b += 64;
    }
  }
  if constexpr (HALF) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) acc[m][vectors - 1] = Dot::widened(half[m]);
  }
#if HONE_LANES == 16
  if constexpr (Dot::requantizes) {
    if (t.requant) {
      if (t.residual) {
        put_rows<Between::levels_and_residual, ROWS, PANELS, 0>(
            t, Requantizer<Between::levels_and_residual>(*t.requant), acc);
      } else {
        put_rows<Between::nothing, ROWS, PANELS, 0>(t, Requantizer<Between::nothing>(*t.requant), acc);
      }
      return;
    }
  }
#endif
  if constexpr (Dot::ends_f32) {
    if (t.end) return put_results<Dot::ends_bf16>(*t.end, acc);
  }
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 16
    for (int j = 0; j < vectors; ++j) Dot::put(t.c, m * (16 * PANELS) + j * lanes, acc[m][j]);
  }
}

#define HONE_T(DOT, R, ...) dense_tile<DOT, R, __VA_ARGS__>  // panels, and whether the last one is a half
// Up to 6 (or 7) rows of 4 or 3 panels, 14 rows of 2 or 1: at most 28 accumulators in 32 registers.
#define HONE_TILES_32(D, H)                                                                                    \
  {                                                                                                            \
    {HONE_T(D, 1, 1, H), HONE_T(D, 2, 1, H),  HONE_T(D, 3, 1, H), HONE_T(D, 4, 1, H), HONE_T(D, 5, 1, H),      \
     HONE_T(D, 6, 1, H), HONE_T(D, 7, 1, H),  HONE_T(D, 8, 1, H), TileFn{},           HONE_T(D, 10, 1, H),     \
     TileFn{},           HONE_T(D, 12, 1, H), TileFn{},           HONE_T(D, 14, 1, H)},                        \
        {HONE_T(D, 1, 2, H), HONE_T(D, 2, 2, H),  HONE_T(D, 3, 2, H), HONE_T(D, 4, 2, H), HONE_T(D, 5, 2, H),  \
         HONE_T(D, 6, 2, H), HONE_T(D, 7, 2, H),  HONE_T(D, 8, 2, H), TileFn{},           HONE_T(D, 10, 2, H), \
         TileFn{},           HONE_T(D, 12, 2, H), TileFn{},           HONE_T(D, 14, 2, H)},                    \
        {HONE_T(D, 1, 3, H), HONE_T(D, 2, 3, H), HONE_T(D, 3, 3, H), HONE_T(D, 4, 3, H),                       \
         HONE_T(D, 5, 3, H), HONE_T(D, 6, 3, H), HONE_T(D, 7, 3, H), HONE_T(D, 8, 3, H)},                      \
    {                                                                                                          \
      HONE_T(D, 1, 4, H), HONE_T(D, 2, 4, H), HONE_T(D, 3, 4, H), HONE_T(D, 4, 4, H), HONE_T(D, 5, 4, H),      \
          HONE_T(D, 6, 4, H)                                                                                   \
    }                                                                                                          \
  }
#define HONE_DENSE_TABLE_32(NAME, DOT)                    \
  extern const DenseIsa NAME;                             \
  const DenseIsa NAME = {HONE_TILES_32(DOT, false),       \
                         {14, 14, 8, 6},                  \
                         4,                               \
                         HONE_EPILOGUE_NS::epilogue_tile, \
                         HONE_EPILOGUE_NS::f32_to_bf16,   \
                         HONE_EPILOGUE_NS::bf16_to_f32,   \
                         HONE_EPILOGUE_NS::f16_to_f32,    \
                         nullptr,                         \
                         nullptr,                         \
                         1,                               \
                         DOT::requantizes,                \
                         DOT::ends_f32,                   \
                         DOT::ends_bf16,                  \
                         HONE_TILES_32(DOT, true)};

// One panel a tile, for instruction sets with few or short registers.
#define HONE_DENSE_TABLE_1(NAME, MAX_ROWS, ENDS_F32, ...) \
  extern const DenseIsa NAME;                             \
  const DenseIsa NAME = {{{__VA_ARGS__}},                 \
                         {MAX_ROWS, 0, 0, 0},             \
                         1,                               \
                         HONE_EPILOGUE_NS::epilogue_tile, \
                         HONE_EPILOGUE_NS::f32_to_bf16,   \
                         HONE_EPILOGUE_NS::bf16_to_f32,   \
                         HONE_EPILOGUE_NS::f16_to_f32,    \
                         nullptr,                         \
                         nullptr,                         \
                         1,                               \
                         false,                           \
                         ENDS_F32,                        \
                         false};

}  // namespace hone::cpu::HONE_NS
