// Direct convolution on packed rows: P neighbouring outputs x NV vectors of output channels stay in registers over the
// whole reduction; each step broadcasts one 32-bit unit of the source and multiplies it with NV vectors of packed
// weights.
#pragma once
#include "cpu/kernels/training/isa.hpp"
#include "cpu/kernels/training/vec.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

// ---- packing
// ----------------------------------------------------------------------------------------------------------------

template <int Bytes>
HONE_INLINE void copy_pixels(char* dst, const char* src, int64_t src_step, int64_t n) {
  for (int64_t j = 0; j < n; ++j) __builtin_memcpy(dst + j * Bytes, src + j * src_step, Bytes);
}

/// Copies bytes as they are: f32 to f32 units, bf16 to pairs.
HONE_INLINE void pack_copy(char* dst, const char* src, int64_t src_step, int64_t n, int64_t take, int64_t block) {
  if (take == block && src_step == block) {
    __builtin_memcpy(dst, src, static_cast<size_t>(n * block));
    return;
  }
  if (take == block) {
    switch (block) {
      case 64:
        return copy_pixels<64>(dst, src, src_step, n);
      case 32:
        return copy_pixels<32>(dst, src, src_step, n);
      case 16:
        return copy_pixels<16>(dst, src, src_step, n);
      case 4:
        return copy_pixels<4>(dst, src, src_step, n);
      default:
        break;
    }
  }
  for (int64_t j = 0; j < n; ++j) {
    __builtin_memset(dst + j * block, 0, static_cast<size_t>(block));
    __builtin_memcpy(dst + j * block, src + j * src_step, static_cast<size_t>(take));
  }
}

HONE_INLINE void widen_pixel(float* dst, const uint16_t* src, int64_t take, int64_t block) {
  int64_t c = 0;
  for (; c + kLanes <= take; c += kLanes) store(dst + c, load(src + c));
  for (; c < take; ++c) dst[c] = from_bf16(src[c]);
  for (; c < block; ++c) dst[c] = 0;
}
HONE_INLINE void narrow_pixel(uint16_t* dst, const float* src, int64_t take, int64_t block) {
  int64_t c = 0;
  for (; c + kLanes <= take; c += kLanes) store(dst + c, load(src + c));
  for (; c < take; ++c) dst[c] = to_bf16(src[c]);
  for (; c < block; ++c) dst[c] = 0;
}
HONE_INLINE uint16_t as_bf16(const uint16_t* p) {
  return *p;
}
HONE_INLINE uint16_t as_bf16(const float* p) {
  return to_bf16(*p);
}
/// Units of (a[c], b[c]); a null b stands for zeros.
template <class T>
HONE_INLINE void pair_pixel(uint32_t* dst, const T* a, const T* b, int64_t take, int64_t block) {
  int64_t c = 0;
#if defined(__AVX512BF16__)
  for (; c + kLanes <= take; c += kLanes) {
    VF lo = load(a + c), hi = b ? load(b + c) : splat(0.0f);
    if constexpr (sizeof(T) == 4) {
      lo = reinterpret_cast<VF>(_mm512_slli_epi32(
          _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(lo)))), 16));
      hi = reinterpret_cast<VF>(_mm512_slli_epi32(
          _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(hi)))), 16));
    }
    _mm512_storeu_si512(
        dst + c, _mm512_or_si512(_mm512_srli_epi32(reinterpret_cast<__m512i>(lo), 16), reinterpret_cast<__m512i>(hi)));
  }
#endif
  for (; c < take; ++c)
    dst[c] = static_cast<uint32_t>(as_bf16(a + c)) | (b ? static_cast<uint32_t>(as_bf16(b + c)) << 16 : 0u);
  for (; c < block; ++c) dst[c] = 0;
}

/// Packs one row. `b` is the second image where units pair images (`image_pairs`), else unused.
template <bool ImagePairs>
inline void pack_row(const PackedRows& r, const void* a, const void* b, float* dst) {
  const int64_t per_unit = !ImagePairs && r.pairs ? 2 : 1;
  const int64_t element = r.storage == Storage::f32 ? 4 : 2;
  for (int64_t cb = 0; cb < r.blocks; ++cb) {
    const int64_t c0 = cb * r.block * per_unit;
    const int64_t take = r.channels - c0 < r.block * per_unit ? r.channels - c0 : r.block * per_unit;
    for (int64_t f = 0; f < r.phases; ++f, dst += r.width * r.block) {
      // source columns j * phases + f + base that lie in [0, width_in)
      const int64_t first = f + r.base;
      int64_t lo = first >= 0 ? 0 : (-first + r.phases - 1) / r.phases;
      int64_t hi = r.width_in - first <= 0 ? 0 : (r.width_in - first + r.phases - 1) / r.phases;
      if (hi > r.width) hi = r.width;
      if (lo > hi) lo = hi;
      __builtin_memset(dst, 0, static_cast<size_t>(lo * r.block) * 4);
      __builtin_memset(dst + hi * r.block, 0, static_cast<size_t>((r.width - hi) * r.block) * 4);
      const int64_t step = r.phases * r.pixel;  // elements
      const int64_t start = (lo * r.phases + first) * r.pixel + c0;
      float* to = dst + lo * r.block;
      const int64_t n = hi - lo;
      if constexpr (ImagePairs) {
        auto* units = reinterpret_cast<uint32_t*>(to);
        if (r.storage == Storage::bf16) {
          const auto* pa = static_cast<const uint16_t*>(a) + start;
          const auto* pb = b ? static_cast<const uint16_t*>(b) + start : nullptr;
          for (int64_t j = 0; j < n; ++j)
            pair_pixel(units + j * r.block, pa + j * step, pb ? pb + j * step : nullptr, take, r.block);
        } else {
          const auto* pa = static_cast<const float*>(a) + start;
          const auto* pb = b ? static_cast<const float*>(b) + start : nullptr;
          for (int64_t j = 0; j < n; ++j)
            pair_pixel(units + j * r.block, pa + j * step, pb ? pb + j * step : nullptr, take, r.block);
        }
      } else if ((r.storage == Storage::bf16) == r.pairs) {
        pack_copy(reinterpret_cast<char*>(to), static_cast<const char*>(a) + start * element, step * element, n,
                  take * element, r.block * 4);
      } else if (r.pairs) {
        const auto* pa = static_cast<const float*>(a) + start;
        for (int64_t j = 0; j < n; ++j)
          narrow_pixel(reinterpret_cast<uint16_t*>(to + j * r.block), pa + j * step, take, 2 * r.block);
      } else {
        const auto* pa = static_cast<const uint16_t*>(a) + start;
        for (int64_t j = 0; j < n; ++j) widen_pixel(to + j * r.block, pa + j * step, take, r.block);
      }
    }
  }
}

// ---- tiles
// ------------------------------------------------------------------------------------------------------------------

struct TileOut {
  void* y;
  int64_t pixel;     ///< elements from one output of the tile to the next
  int64_t channels;  ///< valid ones
  Storage storage;
  const void* add = nullptr;  ///< at the same places, of type `add_storage`
  Storage add_storage = Storage::f32;
};
/// The place of element `at`; null stays null.
HONE_INLINE const void* place(const void* p, Storage s, int64_t at) {
  return p ? static_cast<const char*>(p) + at * (s == Storage::f32 ? 4 : 2) : nullptr;
}
template <int P, int NV>
HONE_INLINE void add_full(const TileOut& out, VF (&acc)[P][NV]) {
  if (!out.add) return;
  if (out.add_storage == Storage::f32) {
    auto* a = static_cast<const float*>(out.add);
    HONE_UNROLL for (int p = 0; p < P; ++p, a += out.pixel) HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] +=
        load(a + v * kLanes);
  } else {
    auto* a = static_cast<const uint16_t*>(out.add);
    HONE_UNROLL for (int p = 0; p < P; ++p, a += out.pixel) HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] +=
        load(a + v * kLanes);
  }
}
using Tile = void (*)(const ActiveRun* runs, int64_t count, int64_t shift, const TileOut& out);

/// P outputs x NV vectors; neighbouring outputs read U units apart.
template <int NV, int P, int U, bool Pairs>
void tile(const ActiveRun* runs, int64_t count, int64_t shift, const TileOut& out) {
  VF acc[P][NV];
  HONE_UNROLL for (int p = 0; p < P; ++p) HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] = splat(0.0f);
  for (int64_t r = 0; r < count; ++r) {
    const float* x = runs[r].x + shift;
    const float* w = runs[r].w;
    for (int64_t k = runs[r].length; k > 0; --k, ++x, w += NV * kLanes) {
      VF wv[NV];
      HONE_UNROLL for (int v = 0; v < NV; ++v) wv[v] = load(w + v * kLanes);
      HONE_UNROLL for (int p = 0; p < P; ++p) {
        const VF b = splat(x[p * U]);
        HONE_UNROLL for (int v = 0; v < NV; ++v) acc[p][v] = madd_unit<Pairs>(b, wv[v], acc[p][v]);
      }
    }
  }
  if (out.channels >= NV * kLanes) {
    add_full(out, acc);
    if (out.storage == Storage::f32) {
      auto* y = static_cast<float*>(out.y);
      HONE_UNROLL for (int p = 0; p < P; ++p, y += out.pixel) HONE_UNROLL for (int v = 0; v < NV; ++v)
          store(y + v * kLanes, acc[p][v]);
    } else {
      auto* y = static_cast<uint16_t*>(out.y);
      HONE_UNROLL for (int p = 0; p < P; ++p, y += out.pixel) HONE_UNROLL for (int v = 0; v < NV; ++v)
          store(y + v * kLanes, acc[p][v]);
    }
    return;
  }
  float rest[P][NV * kLanes];
  HONE_UNROLL for (int p = 0; p < P; ++p) HONE_UNROLL for (int v = 0; v < NV; ++v)
      store(rest[p] + v * kLanes, acc[p][v]);
  for (int p = 0; p < P; ++p) {
    for (int64_t c = 0; c < out.channels; ++c) {
      if (out.add)
        rest[p][c] += out.add_storage == Storage::f32
                          ? static_cast<const float*>(out.add)[p * out.pixel + c]
                          : from_bf16(static_cast<const uint16_t*>(out.add)[p * out.pixel + c]);
      if (out.storage == Storage::f32)
        static_cast<float*>(out.y)[p * out.pixel + c] = rest[p][c];
      else
        static_cast<uint16_t*>(out.y)[p * out.pixel + c] = to_bf16(rest[p][c]);
    }
  }
}

struct TileChoice {
  Tile run = nullptr;
  int64_t outputs = 0;
};

/// The smallest tile that covers `width` outputs in the fewest steps and is no wider than `width`; the last step is
/// moved back so that it ends at the border. Sizes are tried in this order; each is code of its own, so those that
/// save little are left out.
template <int NV, int U, bool Pairs, int... P>
TileChoice choose_from(int64_t width) {
  constexpr int sizes[] = {P...};
  constexpr Tile tiles[] = {tile<NV, P, U, Pairs>...};
  constexpr int count = sizeof...(P);
  TileChoice best;
  int64_t best_work = 0;
  for (int i = 0; i < count; ++i) {
    if (sizes[i] > width) continue;
    const int64_t steps = (width + sizes[i] - 1) / sizes[i];
    const int64_t work = steps * (sizes[i] * NV + 2);  // outputs that are computed twice cost; so does each step
    if (!best.run || work < best_work) best = {tiles[i], sizes[i]}, best_work = work;
  }
  return best;
}

#if defined(__AVX2__) && !defined(__AVX512F__)
template <int U, bool Pairs>
TileChoice choose_tile(int64_t vectors, int64_t width) {
  switch (vectors) {
    case 1:
      return choose_from<1, U, Pairs, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1>(width);
    default:
      return choose_from<2, U, Pairs, 6, 5, 4, 3, 2, 1>(width);
  }
}
#else
template <int U, bool Pairs>
TileChoice choose_tile(int64_t vectors, int64_t width) {
  if constexpr (U <= 4) {
    switch (vectors) {
      case 1:
        return choose_from<1, U, Pairs, 28, 14, 8, 4, 1>(width);
      case 2:
        return choose_from<2, U, Pairs, 14, 7, 4, 1>(width);
      case 3:
        return choose_from<3, U, Pairs, 8, 4, 1>(width);
      default:
        return choose_from<4, U, Pairs, 7, 4, 1>(width);
    }
  } else {
    switch (vectors) {
      case 1:
        return choose_from<1, U, Pairs, 28, 16, 14, 10, 8, 7, 4, 2, 1>(width);
      case 2:
        return choose_from<2, U, Pairs, 14, 10, 8, 7, 4, 2, 1>(width);
      case 3:
        return choose_from<3, U, Pairs, 8, 7, 4, 2, 1>(width);
      default:
        return choose_from<4, U, Pairs, 7, 5, 4, 2, 1>(width);
    }
  }
}
#endif
template <bool Pairs>
TileChoice choose_tile(int64_t block, int64_t vectors, int64_t width) {
  switch (block) {
    case 1:
      return choose_tile<1, Pairs>(vectors, width);
    case 4:
      return choose_tile<4, Pairs>(vectors, width);
    case 8:
      return choose_tile<8, Pairs>(vectors, width);
    default:
      return choose_tile<16, Pairs>(vectors, width);
  }
}

// ---- one band
// ---------------------------------------------------------------------------------------------------------------

inline void convolve_packed_rows(const DirectConvolution& c, const ConvolutionBand& band) {
  const int64_t row_units = c.rows.row_units();
  const int64_t in_bytes = c.rows.storage == Storage::f32 ? 4 : 2, out_bytes = c.out == Storage::f32 ? 4 : 2;
  for (int64_t r = band.row0; r < band.row1; ++r)
    pack_row<false>(c.rows, static_cast<const char*>(band.x) + r * c.pixel_in_row * in_bytes, nullptr,
                    band.scratch + (r - band.row0) * row_units);
  const int64_t all_vectors = (c.channels_out + kLanes - 1) / kLanes;
  for (int64_t v0 = 0; v0 < all_vectors; v0 += c.vectors) {
    const int64_t nv = all_vectors - v0 < c.vectors ? all_vectors - v0 : c.vectors;
    const float* group_weights = band.weights + v0 * c.units * kLanes;
    for (int64_t f = 0; f < c.phase_count; ++f) {
      const Phase& phase = c.phases[f];
      const int64_t width = (c.width_out - phase.x0 + phase.x_step - 1) / phase.x_step;
      if (width <= 0) continue;
      const float* weights = group_weights + phase.first_unit * nv * kLanes;
      TileChoice choice;
      if constexpr (kPairs)
        choice =
            c.rows.pairs ? choose_tile<true>(c.rows.block, nv, width) : choose_tile<false>(c.rows.block, nv, width);
      else
        choice = choose_tile<false>(c.rows.block, nv, width);
      int64_t first = band.y0 <= phase.y0 ? 0 : (band.y0 - phase.y0 + phase.y_step - 1) / phase.y_step;
      for (int64_t y = phase.y0 + first * phase.y_step; y < band.y1; y += phase.y_step, ++first) {
        int64_t count = 0;
        for (int64_t i = 0; i < phase.run_count; ++i) {
          const Run& run = c.runs[phase.first_run + i];
          const int64_t row = first * phase.row_step + run.row;
          if (row < 0 || row >= c.height_in) continue;
          band.active[count++] = {band.scratch + (row - band.row0) * row_units + run.offset,
                                  weights + run.unit * nv * kLanes, run.length};
        }
        TileOut out;
        out.pixel = phase.x_step * c.pixel_out;
        out.channels = c.channels_out - v0 * kLanes;
        out.storage = c.out;
        out.add_storage = c.add;
        for (int64_t j = 0; j < width; j += choice.outputs) {
          const int64_t at = j + choice.outputs <= width ? j : width - choice.outputs;
          const int64_t element = (y * c.width_out + phase.x0 + at * phase.x_step) * c.pixel_out + v0 * kLanes;
          out.y = static_cast<char*>(band.y) + element * out_bytes;
          out.add = place(band.add, c.add, element);
          choice.run(band.active, count, at * c.rows.block, out);
        }
      }
    }
  }
}

}  // namespace hone::cpu::training::HONE_ISA
