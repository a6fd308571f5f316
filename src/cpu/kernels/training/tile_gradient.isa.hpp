// Packing and products of `tile_gradient.hpp` on `HONE_NS::Tiles`, the real tile instructions or their stand-in. The
// including file defines HONE_NS and HONE_TILES, the namespace of its table.
#pragma once
#include "cpu/kernels/training/tile_gradient.hpp"

namespace hone::cpu::training::HONE_TILES {

using Tiles = HONE_NS::Tiles;

static inline uint16_t rounded(float f) {
  uint32_t u;
  __builtin_memcpy(&u, &f, 4);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
static inline uint16_t as_bf16(const uint16_t* p) {
  return *p;
}
static inline uint16_t as_bf16(const float* p) {
  return rounded(*p);
}

#if defined(__AVX512BF16__)
// 16 or 8 values as bf16.
static inline __m256i load16(const uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
static inline __m256i load16(const float* p) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(p)));
}
static inline __m256i load_part(const uint16_t* p, __mmask16 mask) {
  return _mm256_maskz_loadu_epi16(mask, p);
}
static inline __m256i load_part(const float* p, __mmask16 mask) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, p)));
}
static inline __m128i load8(const uint16_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
static inline __m128i load8(const float* p) {
  return reinterpret_cast<__m128i>(_mm256_cvtneps_pbh(_mm256_loadu_ps(p)));
}
static inline __m128i load8_part(const uint16_t* p, __mmask8 mask) {
  return _mm_maskz_loadu_epi16(mask, p);
}
static inline __m128i load8_part(const float* p, __mmask8 mask) {
  return reinterpret_cast<__m128i>(_mm256_cvtneps_pbh(_mm256_maskz_loadu_ps(mask, p)));
}

// Neighbouring columns `step` elements apart. In each half of a vector the four low words of a and b fall into each
// other, then the four high ones: the order of `tile_channel`.
template <class T>
static void pair_columns(const T* a, const T* b, int64_t step, int64_t n, int64_t channels, uint32_t* to) {
  const auto put = [](uint32_t * line, __m256i va, __m256i vb) __attribute__((always_inline)) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(line), _mm256_unpacklo_epi16(va, vb));
    _mm256_store_si256(reinterpret_cast<__m256i*>(line + 8), _mm256_unpackhi_epi16(va, vb));
  };
  constexpr int64_t line = kTileChannels;
  const __m256i zero = _mm256_setzero_si256();
  if (channels < kTileChannels) {
    const auto mask = static_cast<__mmask16>((1u << channels) - 1);
    for (; n > 0; --n, a += step, b += b ? step : 0, to += line)
      put(to, load_part(a, mask), b ? load_part(b, mask) : zero);
  } else if (b) {
    for (; n > 0; --n, a += step, b += step, to += line) put(to, load16(a), load16(b));
  } else {
    for (; n > 0; --n, a += step, to += line) put(to, load16(a), zero);
  }
}

static inline void clear_lines(uint32_t* to, int64_t n) {
  for (; n > 0; --n, to += kTileChannels) _mm512_store_si512(to, _mm512_setzero_si512());
}

// Eight channels of 16 units: lane l of register j takes unit 4l + j, so that four rounds of unpacking within lanes
// leave one channel in each register, its units in order.
template <class T, bool Part>
static inline void transpose_half(const T* a, const T* b, const int64_t* from, __mmask16 valid, __mmask8 channels,
                                  uint32_t* to) {
  const auto gather = [&](const T* p, int j) __attribute__((always_inline)) {
    const auto eight = [&](int unit) __attribute__((always_inline)) {
      if constexpr (Part) return load8_part(p + from[unit], channels);
      return load8(p + from[unit]);
    };
    __m512i v = _mm512_castsi128_si512(eight(j));
    v = _mm512_inserti32x4(v, eight(4 + j), 1);
    v = _mm512_inserti32x4(v, eight(8 + j), 2);
    return _mm512_inserti32x4(v, eight(12 + j), 3);
  };
  __m512i low[4], high[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i va = gather(a, j), vb = b ? gather(b, j) : _mm512_setzero_si512();
    low[j] = _mm512_unpacklo_epi16(va, vb);
    high[j] = _mm512_unpackhi_epi16(va, vb);
  }
  const auto put = [valid](const __m512i* v, uint32_t* rows) __attribute__((always_inline)) {
    const auto store = [&](int row, __m512i units) __attribute__((always_inline)) {
      _mm512_store_si512(rows + row * kTileUnits, _mm512_maskz_mov_epi32(valid, units));
    };
    const __m512i ab = _mm512_unpacklo_epi32(v[0], v[1]), ab2 = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i cd = _mm512_unpacklo_epi32(v[2], v[3]), cd2 = _mm512_unpackhi_epi32(v[2], v[3]);
    store(0, _mm512_unpacklo_epi64(ab, cd));
    store(1, _mm512_unpackhi_epi64(ab, cd));
    store(2, _mm512_unpacklo_epi64(ab2, cd2));
    store(3, _mm512_unpackhi_epi64(ab2, cd2));
  };
  put(low, to);
  put(high, to + 4 * kTileUnits);
}
template <class T>
static inline void transpose_units(const T* a, const T* b, const int64_t* from, uint16_t valid, int64_t channels,
                                   uint32_t* to) {
  for (int64_t at = 0; at < kTileChannels; at += 8, a += 8, b += b ? 8 : 0, to += 8 * kTileUnits) {
    if (channels >= at + 8)
      transpose_half<T, false>(a, b, from, valid, 0, to);
    else if (channels > at)
      transpose_half<T, true>(a, b, from, valid, static_cast<__mmask8>((1u << (channels - at)) - 1), to);
    else
      clear_lines(to, 8);
  }
}
#else
template <class T>
static void pair_columns(const T* a, const T* b, int64_t step, int64_t n, int64_t channels, uint32_t* to) {
  for (; n > 0; --n, a += step, b += b ? step : 0, to += kTileChannels) {
    for (int c = 0; c < kTileChannels; ++c) {
      const int from = tile_channel(c);
      to[c] = from >= channels ? 0u : as_bf16(a + from) | (b ? static_cast<uint32_t>(as_bf16(b + from)) << 16 : 0u);
    }
  }
}
template <class T>
static void transpose_units(const T* a, const T* b, const int64_t* from, uint16_t valid, int64_t channels,
                            uint32_t* to) {
  for (int64_t c = 0; c < kTileChannels; ++c) {
    for (int u = 0; u < kTileUnits; ++u) {
      const bool is_one = c < channels && (valid >> u & 1);
      const uint32_t low = is_one ? as_bf16(a + from[u] + c) : 0, high = is_one && b ? as_bf16(b + from[u] + c) : 0;
      *to++ = low | high << 16;
    }
  }
}
static void clear_lines(uint32_t* to, int64_t n) {
  __builtin_memset(to, 0, static_cast<size_t>(n * kTileChannels) * 4);
}
#endif

template <class T>
static void pack_rows_of(const PhaseRows& p) {
  constexpr int64_t line = kTileChannels;
  // columns j of the phase that lie in the image: first_x + j * stride_x in [0, width)
  int64_t lo = p.first_x >= 0 ? 0 : (-p.first_x + p.stride_x - 1) / p.stride_x;
  int64_t hi = p.width <= p.first_x ? 0 : (p.width - p.first_x + p.stride_x - 1) / p.stride_x;
  if (hi > p.pitch) hi = p.pitch;
  if (lo > hi) lo = hi;
  uint32_t* to = p.to;
  for (int64_t r = 0; r < p.rows; ++r, to += p.pitch * line) {
    const int64_t y = p.first_y + r * p.stride_y;
    if (y < 0 || y >= p.height || lo == hi) {
      clear_lines(to, p.pitch);
      continue;
    }
    clear_lines(to, lo);
    clear_lines(to + hi * line, p.pitch - hi);
    const int64_t from = y * p.pixel_in_row + (p.first_x + lo * p.stride_x) * p.pixel;
    pair_columns(static_cast<const T*>(p.a) + from, p.b ? static_cast<const T*>(p.b) + from : nullptr,
                 p.stride_x * p.pixel, hi - lo, p.channels, to + lo * line);
  }
}
static void pack_rows(const PhaseRows& p) {
  if (p.storage == Storage::f32) return pack_rows_of<float>(p);
  pack_rows_of<uint16_t>(p);
}

template <class T>
static void pack_units_of(const ResultUnits& r) {
  uint32_t* to = r.to;
  for (int64_t u = 0; u < r.units; u += kTileUnits, to += kTileFloats)
    transpose_units(static_cast<const T*>(r.a), static_cast<const T*>(r.b), r.from + u, r.valid[u / kTileUnits],
                    r.channels, to);
}
static void pack_units(const ResultUnits& r) {
  if (r.storage == Storage::f32) return pack_units_of<float>(r);
  pack_units_of<uint16_t>(r);
}

// A tile of dy meets one of x for each tile of sums. With four of these, five loads of 8 cycles hide behind four
// products of 16, and each sum is ready (52 cycles) when its next product comes. Two tiles in turns for each factor:
// the next is loaded while the last one is read.
template <int COLUMNS>
static void multiply_columns(const TileProducts& p) {
  constexpr int64_t line = 64;
  Tiles tiles;
  tiles.template load<0>(reinterpret_cast<const uint8_t*>(p.sum[0]), line);
  if constexpr (COLUMNS > 1) tiles.template load<1>(reinterpret_cast<const uint8_t*>(p.sum[1]), line);
  if constexpr (COLUMNS > 2) tiles.template load<2>(reinterpret_cast<const uint8_t*>(p.sum[2]), line);
  if constexpr (COLUMNS > 3) tiles.template load<3>(reinterpret_cast<const uint8_t*>(p.sum[3]), line);
  for (int64_t pair = 0; pair < p.pairs; ++pair) {
    const auto* dy = reinterpret_cast<const uint8_t*>(p.dy + pair * p.dy_pair);
    const uint8_t* x[COLUMNS];
    for (int i = 0; i < COLUMNS; ++i) x[i] = reinterpret_cast<const uint8_t*>(p.x[i] + pair * p.x_pair);
    const auto block = [&]<int A>(int64_t k) __attribute__((always_inline)) {
      const int64_t at = k * kTileUnits * line;
      tiles.template load<A>(dy + at, line);
      tiles.template load<6>(x[0] + at, line);
      tiles.template multiply<true, 0, A, 6>();
      if constexpr (COLUMNS > 1) {
        tiles.template load<7>(x[1] + at, line);
        tiles.template multiply<true, 1, A, 7>();
      }
      if constexpr (COLUMNS > 2) {
        tiles.template load<6>(x[2] + at, line);
        tiles.template multiply<true, 2, A, 6>();
      }
      if constexpr (COLUMNS > 3) {
        tiles.template load<7>(x[3] + at, line);
        tiles.template multiply<true, 3, A, 7>();
      }
    };
    int64_t k = 0;
    for (; k + 2 <= p.blocks; k += 2) {
      block.template operator()<4>(k);
      block.template operator()<5>(k + 1);
    }
    if (k < p.blocks) block.template operator()<4>(k);
  }
  tiles.template store<0>(reinterpret_cast<uint8_t*>(p.sum[0]), line);
  if constexpr (COLUMNS > 1) tiles.template store<1>(reinterpret_cast<uint8_t*>(p.sum[1]), line);
  if constexpr (COLUMNS > 2) tiles.template store<2>(reinterpret_cast<uint8_t*>(p.sum[2]), line);
  if constexpr (COLUMNS > 3) tiles.template store<3>(reinterpret_cast<uint8_t*>(p.sum[3]), line);
}
static void multiply(const TileProducts& p) {
  switch (p.columns) {
    case 1:
      return multiply_columns<1>(p);
    case 2:
      return multiply_columns<2>(p);
    case 3:
      return multiply_columns<3>(p);
    default:
      return multiply_columns<4>(p);
  }
}

constexpr TileGradientIsa make_table() {
  return {HONE_NS::begin_tiles, HONE_NS::end_tiles, pack_rows, pack_units, multiply};
}

}  // namespace hone::cpu::training::HONE_TILES
