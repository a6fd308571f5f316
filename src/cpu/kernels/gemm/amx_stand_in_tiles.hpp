// The AMX tile instructions in scalar code, so that what is built on them is tested on every machine.
#pragma once
#include <stdint.h>

namespace hone::cpu::amx_stand_in {

// The tile instructions in scalar code, as the Intel manual defines them.
struct Tiles {
  union Tile {
    uint8_t u8[16][64];
    int8_t s8[16][64];
    uint16_t u16[16][32];
    int32_t s32[16][16];
    float f32[16][16];
  } tile[8];

  template <int T>
  void zero() {
    __builtin_memset(&tile[T], 0, sizeof(Tile));
  }
  template <int T>
  void load(const uint8_t* p, int64_t stride) {
    for (int r = 0; r < 16; ++r) __builtin_memcpy(tile[T].u8[r], p + r * stride, 64);
  }
  template <int T>
  void store(uint8_t* p, int64_t stride) const {
    for (int r = 0; r < 16; ++r) __builtin_memcpy(p + r * stride, tile[T].u8[r], 64);
  }
  // Denormals count as zero.
  static float widened(uint16_t bits) {
    const uint32_t u = bits & 0x7f80u ? uint32_t(bits) << 16 : 0;
    float f;
    __builtin_memcpy(&f, &u, 4);
    return f;
  }
  template <bool BF16, int C, int A, int B>
  void multiply() {
    static_assert(C < 4 && A >= 4 && B >= 4 && A != B && C != A, "three tiles");
    for (int m = 0; m < 16; ++m) {
      float even[16] = {}, odd[16] = {};
      for (int k = 0; k < 16; ++k) {
        for (int n = 0; n < 16; ++n) {
          if constexpr (BF16) {
            even[n] += widened(tile[A].u16[m][2 * k]) * widened(tile[B].u16[k][2 * n]);
            odd[n] += widened(tile[A].u16[m][2 * k + 1]) * widened(tile[B].u16[k][2 * n + 1]);
          } else {
            for (int i = 0; i < 4; ++i)
              tile[C].s32[m][n] += int32_t(tile[A].u8[m][4 * k + i]) * tile[B].s8[k][4 * n + i];
          }
        }
      }
      if constexpr (BF16) {
        for (int n = 0; n < 16; ++n) tile[C].f32[m][n] += even[n] + odd[n];
      }
    }
  }
  static void copy_line(uint8_t* to, const uint8_t* from) { __builtin_memcpy(to, from, 64); }
  static void copy_part(uint8_t* to, const uint8_t* from, int64_t bytes) {
    for (int64_t i = 0; i < 64; ++i) to[i] = i < bytes ? from[i] : 0;
  }
};

static void begin_tiles() {}
static void end_tiles() {}

}  // namespace hone::cpu::amx_stand_in
