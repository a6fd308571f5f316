// The AMX tile instructions, for files compiled with them. Included first thing, with HONE_NS set to `amx`.
#pragma once
#include <immintrin.h>
#include <stdint.h>

namespace hone::cpu::amx {

// gcc 12's intrinsics do not say that they read memory: without this, stores to it could be dropped or come later.
static inline __attribute__((always_inline)) void stores_happened() {
  __asm__ volatile("" ::: "memory");
}

// The state lies in the tile registers. gcc pastes their numbers into the assembler text, so each must be written out.
struct Tiles {
  template <int T>
  void zero() {
    if constexpr (T == 0) _tile_zero(0);
    if constexpr (T == 1) _tile_zero(1);
    if constexpr (T == 2) _tile_zero(2);
    if constexpr (T == 3) _tile_zero(3);
  }
  template <int T>
  void load(const void* p, int64_t stride) {
    stores_happened();
    if constexpr (T == 0) _tile_loadd(0, p, stride);
    if constexpr (T == 1) _tile_loadd(1, p, stride);
    if constexpr (T == 2) _tile_loadd(2, p, stride);
    if constexpr (T == 3) _tile_loadd(3, p, stride);
    if constexpr (T == 4) _tile_loadd(4, p, stride);
    if constexpr (T == 5) _tile_loadd(5, p, stride);
    if constexpr (T == 6) _tile_loadd(6, p, stride);
    if constexpr (T == 7) _tile_loadd(7, p, stride);
  }
  template <int T>
  void store(void* p, int64_t stride) {
    if constexpr (T == 0) _tile_stored(0, p, stride);
    if constexpr (T == 1) _tile_stored(1, p, stride);
    if constexpr (T == 2) _tile_stored(2, p, stride);
    if constexpr (T == 3) _tile_stored(3, p, stride);
  }
  template <bool BF16, int C, int A, int B>
  void multiply() {
#define HONE_MULTIPLY(c, a, b)                   \
  if constexpr (C == c && A == a && B == b) {    \
    if constexpr (BF16) _tile_dpbf16ps(c, a, b); \
    if constexpr (!BF16) _tile_dpbusd(c, a, b);  \
    return;                                      \
  }
    // One tile of A with up to four of B; then two and two, in any pairs.
    HONE_MULTIPLY(0, 4, 5)
    HONE_MULTIPLY(3, 4, 5)
    HONE_MULTIPLY(0, 4, 6)
    HONE_MULTIPLY(0, 4, 7)
    HONE_MULTIPLY(0, 5, 6)
    HONE_MULTIPLY(0, 5, 7)
    HONE_MULTIPLY(1, 4, 6)
    HONE_MULTIPLY(1, 4, 7)
    HONE_MULTIPLY(1, 5, 6)
    HONE_MULTIPLY(1, 5, 7)
    HONE_MULTIPLY(2, 4, 6)
    HONE_MULTIPLY(2, 4, 7)
    HONE_MULTIPLY(2, 5, 6)
    HONE_MULTIPLY(2, 5, 7)
    HONE_MULTIPLY(3, 4, 6)
    HONE_MULTIPLY(3, 4, 7)
    HONE_MULTIPLY(3, 5, 6)
    HONE_MULTIPLY(3, 5, 7)
#undef HONE_MULTIPLY
  }
  static void copy_line(uint8_t* to, const uint8_t* from) {
    _mm512_store_si512(to, _mm512_loadu_si512(from));
  }
  // The first `bytes` of a line, and zeros.
  static void copy_part(uint8_t* to, const uint8_t* from, int64_t bytes) {
    _mm512_store_si512(to, _mm512_maskz_loadu_epi8((__mmask64(1) << bytes) - 1, from));
  }
};

// All eight tiles: 16 rows of 64 bytes.
static void begin_tiles() {
  struct alignas(64) Config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config;
  __builtin_memset(&config, 0, sizeof config);
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  stores_happened();
  _tile_loadconfig(&config);
}
static void end_tiles() {
  _tile_release();
}

}  // namespace hone::cpu::amx
