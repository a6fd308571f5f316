// The loops of `tile_convolution.hpp`; see `tile_gradient.isa.hpp` for what the including file defines.
#pragma once
#include "cpu/kernels/training/tile_convolution.hpp"
#include "cpu/kernels/training/tile_gradient.isa.hpp"

namespace hone::cpu::training::HONE_TILES {

// n values to `padded`, a multiple of 8.
static inline void copy_padded(const uint16_t* from, int64_t n, int64_t padded, uint16_t* to) {
#if defined(__AVX512BF16__)
  for (; n >= 16; n -= 16, padded -= 16, from += 16, to += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), load16(from));
  for (; padded > 0; n -= 8, padded -= 8, from += 8, to += 8) {
    const int64_t left = n < 0 ? 0 : n > 8 ? 8 : n;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), load8_part(from, static_cast<__mmask8>((1u << left) - 1)));
  }
#else
  __builtin_memcpy(to, from, static_cast<size_t>(n) * 2);
  __builtin_memset(to + n, 0, static_cast<size_t>(padded - n) * 2);
#endif
}
static inline void copy_padded(const float* from, int64_t n, int64_t padded, uint16_t* to) {
  int64_t c = 0;
#if defined(__AVX512BF16__)
  for (; c + 16 <= n; c += 16) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + c), load16(from + c));
#endif
  for (; c < n; ++c) to[c] = rounded(from[c]);
  for (; c < padded; ++c) to[c] = 0;
}
static inline void clear_values(uint16_t* to, int64_t n) {
#if defined(__AVX512BF16__)
  for (; n > 0; n -= 8, to += 8) _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_setzero_si128());
#else
  __builtin_memset(to, 0, static_cast<size_t>(n) * 2);
#endif
}

template <class T>
static void pack_source_of(const SourceRows& s) {
  int64_t lo = s.first_x >= 0 ? 0 : (-s.first_x + s.stride_x - 1) / s.stride_x;
  int64_t hi = s.width <= s.first_x ? 0 : (s.width - s.first_x + s.stride_x - 1) / s.stride_x;
  if (hi > s.pitch) hi = s.pitch;
  if (lo > hi) lo = hi;
  uint16_t* to = s.to;
  for (int64_t r = 0; r < s.rows; ++r, to += s.pitch * s.padded) {
    const int64_t y = s.first_y + r * s.stride_y;
    if (y < 0 || y >= s.height || lo == hi) {
      clear_values(to, s.pitch * s.padded);
      continue;
    }
    clear_values(to, lo * s.padded);
    clear_values(to + hi * s.padded, (s.pitch - hi) * s.padded);
    const T* from = static_cast<const T*>(s.from) + y * s.pixel_in_row + (s.first_x + lo * s.stride_x) * s.pixel;
    const int64_t step = s.stride_x * s.pixel;
    if (step == s.channels && s.channels == s.padded) {
      copy_padded(from, (hi - lo) * step, (hi - lo) * step, to + lo * s.padded);
      continue;
    }
    for (int64_t x = lo; x < hi; ++x, from += step) copy_padded(from, s.channels, s.padded, to + x * s.padded);
  }
}
static void pack_source(const SourceRows& s) {
  if (s.storage == Storage::f32) return pack_source_of<float>(s);
  pack_source_of<uint16_t>(s);
}

template <class T>
static void pack_weights_of(const WeightTile& w) {
  const T* from = static_cast<const T*>(w.from);
  uint32_t* to = w.to;
  for (int k = 0; k < kTileDepth; k += 2, to += kTilePanel) {
    const T *a = w.element[k] < 0 ? nullptr : from + w.element[k],
            *b = w.element[k + 1] < 0 ? nullptr : from + w.element[k + 1];
    for (int64_t c = 0; c < kTilePanel; ++c) {
      const bool is_one = c < w.columns;
      const uint32_t low = is_one && a ? as_bf16(a + c * w.column) : 0,
                     high = is_one && b ? as_bf16(b + c * w.column) : 0;
      to[c] = low | high << 16;
    }
  }
}
#if defined(__AVX512BF16__)
// Sixteen columns at once.
template <>
void pack_weights_of<float>(const WeightTile& w) {
  const auto* from = static_cast<const float*>(w.from);
  const __m512i index = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                           _mm512_set1_epi32(int(w.column)));
  const auto columns = static_cast<__mmask16>(w.columns >= kTilePanel ? 0xffffu : (1u << w.columns) - 1);
  const auto column = [&](int32_t element) __attribute__((always_inline)) {
    if (element < 0) return _mm512_setzero_si512();
    const __m512 v = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), columns, index, from + element, 4);
    return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
  };
  uint32_t* to = w.to;
  for (int k = 0; k < kTileDepth; k += 2, to += kTilePanel)
    _mm512_store_si512(to, _mm512_or_si512(column(w.element[k]), _mm512_slli_epi32(column(w.element[k + 1]), 16)));
}
#endif
static void pack_weights(const WeightTile& w) {
  if (w.bf16) return pack_weights_of<uint16_t>(w);
  pack_weights_of<float>(w);
}

/// Stores `places` results of a panel from tiles of f32.
static void store_places(const TileWindow& w, const float* from, const int64_t* to, int64_t places, int64_t column) {
  const int64_t n = w.columns - column < kTilePanel ? w.columns - column : kTilePanel;
#if defined(__AVX512BF16__)
  const auto mask = static_cast<__mmask16>((1u << n) - 1);
  for (int64_t i = 0; i < places; ++i, from += kTilePanel) {
    if (to[i] < 0) continue;
    const int64_t at = to[i] + column;
    __m512 v = _mm512_load_ps(from);
    if (w.add) {
      if (w.add_storage == Storage::f32)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, static_cast<const float*>(w.add) + at));
      else
        v = _mm512_add_ps(
            v,
            _mm512_castsi512_ps(_mm512_slli_epi32(
                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(w.add) + at)), 16)));
    }
    if (w.out == Storage::f32)
      _mm512_mask_storeu_ps(static_cast<float*>(w.y) + at, mask, v);
    else
      _mm256_mask_storeu_epi16(static_cast<uint16_t*>(w.y) + at, mask,
                               reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
  }
#else
  for (int64_t i = 0; i < places; ++i, from += kTilePanel) {
    if (to[i] < 0) continue;
    for (int64_t c = 0; c < n; ++c) {
      const int64_t at = to[i] + column + c;
      float v = from[c];
      if (w.add && w.add_storage == Storage::f32) v += static_cast<const float*>(w.add)[at];
      if (w.add && w.add_storage == Storage::bf16) {
        const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(w.add)[at]) << 16;
        float f;
        __builtin_memcpy(&f, &bits, 4);
        v += f;
      }
      if (w.out == Storage::f32)
        static_cast<float*>(w.y)[at] = v;
      else
        static_cast<uint16_t*>(w.y)[at] = rounded(v);
    }
  }
#endif
}

// TILES tiles of places meet one of weights. Two tiles in turns for each factor: the next is loaded while the last one
// is read.
template <int TILES>
static void convolve_tiles(const TileWindow& w, const uint8_t* a, const uint8_t* b, float* result) {
  Tiles t;
  const int64_t tile = kTilePlaces * w.pixel_bytes;
  t.template zero<0>();
  if constexpr (TILES > 1) t.template zero<1>();
  if constexpr (TILES > 2) t.template zero<2>();
  if constexpr (TILES > 3) t.template zero<3>();
  const auto block = [&]<int B>(int64_t k) __attribute__((always_inline)) {
    const uint8_t* from = a + w.block[k];
    t.template load<B>(b + k * kTileBytes, 64);
    t.template load<4>(from, w.pixel_bytes);
    t.template multiply<true, 0, 4, B>();
    if constexpr (TILES > 1) {
      t.template load<5>(from + tile, w.pixel_bytes);
      t.template multiply<true, 1, 5, B>();
    }
    if constexpr (TILES > 2) {
      t.template load<4>(from + 2 * tile, w.pixel_bytes);
      t.template multiply<true, 2, 4, B>();
    }
    if constexpr (TILES > 3) {
      t.template load<5>(from + 3 * tile, w.pixel_bytes);
      t.template multiply<true, 3, 5, B>();
    }
  };
  int64_t k = 0;
  for (; k + 2 <= w.blocks; k += 2) {
    block.template operator()<6>(k);
    block.template operator()<7>(k + 1);
  }
  if (k < w.blocks) block.template operator()<6>(k);
  constexpr int64_t line = 64;
  auto* to = reinterpret_cast<uint8_t*>(result);
  t.template store<0>(to, line);
  if constexpr (TILES > 1) t.template store<1>(to + kTileBytes, line);
  if constexpr (TILES > 2) t.template store<2>(to + 2 * kTileBytes, line);
  if constexpr (TILES > 3) t.template store<3>(to + 3 * kTileBytes, line);
}

// The results of some tiles are stored behind the products of the next ones, which the tile unit works on meanwhile.
static void convolve(const TileWindow& w) {
  alignas(64) float result[2][kTilesTogether * kTilePlaces * kTilePanel];
  int which = 0;
  int64_t waiting = -1, waiting_tiles = 0, waiting_column = 0;
  for (int64_t panel = 0; panel < w.panels; ++panel) {
    const uint8_t* b = w.b + panel * w.blocks * kTileBytes;
    for (int64_t first = 0; first < w.tiles; first += kTilesTogether) {
      const int64_t n = w.tiles - first < kTilesTogether ? w.tiles - first : kTilesTogether;
      const uint8_t* a = w.a + first * kTilePlaces * w.pixel_bytes;
      switch (n) {
        case 1:
          convolve_tiles<1>(w, a, b, result[which]);
          break;
        case 2:
          convolve_tiles<2>(w, a, b, result[which]);
          break;
        case 3:
          convolve_tiles<3>(w, a, b, result[which]);
          break;
        default:
          convolve_tiles<4>(w, a, b, result[which]);
      }
      which = 1 - which;
      if (waiting >= 0)
        store_places(w, result[which], w.to + waiting * kTilePlaces, waiting_tiles * kTilePlaces, waiting_column);
      waiting = first, waiting_tiles = n, waiting_column = panel * kTilePanel;
    }
  }
  if (waiting >= 0)
    store_places(w, result[1 - which], w.to + waiting * kTilePlaces, waiting_tiles * kTilePlaces, waiting_column);
}

constexpr TileConvolutionIsa make_convolution_table() {
  return {HONE_NS::begin_tiles, HONE_NS::end_tiles, pack_source, pack_weights, convolve};
}

}  // namespace hone::cpu::training::HONE_TILES
