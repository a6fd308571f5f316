// Groups of few channels: a vector holds the results of 16 / G groups, and a permutation puts in front of each lane
// the input of its group that is next. For ISA files with AVX-512 only.
#pragma once
#include "cpu/kernels/conv/narrow_groups_view.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

#ifdef HONE_NARROW_BF16
// A lane takes a pair of channels at a time.
using Element = uint16_t;
constexpr int taken = 2;
HONE_INLINE __m512i load_block(const Element* p) {
  return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
HONE_INLINE vf multiply_add(vf acc, __m512i x, vf w) {
  return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)x, (__m512bh)w);
}
#else
using Element = float;
constexpr int taken = 1;
HONE_INLINE __m512i load_block(const Element* p) {
  return _mm512_loadu_si512(p);
}
HONE_INLINE vf multiply_add(vf acc, __m512i x, vf w) {
  return acc + (vf)x * w;
}
#endif
// Weights of a step in a register: a load in front of each product would be one too many.
HONE_INLINE vf load_weights(const Element* p) {
  vf w = load(reinterpret_cast<const float*>(p));
  HONE_KEEP(w);
  return w;
}

// Which 32-bit lane of a block's inputs goes where in the first step; each further step takes the next one.
template <int G>
HONE_INLINE vi first_places() {
  vi index;
  for (int i = 0; i < lanes; ++i) index[i] = i / G * (G / taken);
  return index;
}

// Input J of a tile and all those behind it, by recursion: a loop would not be unrolled.
template <int STRIDE, int J>
HONE_INLINE void slide_over(vf (&acc)[narrow_pixels], const Element* x, int64_t step, vf a, vf b, vf c, __m512i place,
                            int first, int last) {
  if constexpr (J < (narrow_pixels - 1) * STRIDE + 3) {
    if (J >= first && J < last) {
      const __m512i in = _mm512_permutexvar_epi32(place, load_block(x));
      if constexpr (J % STRIDE == 0 && J / STRIDE < narrow_pixels)
        acc[J / STRIDE] = multiply_add(acc[J / STRIDE], in, a);
      if constexpr (J >= 1 && (J - 1) % STRIDE == 0 && (J - 1) / STRIDE < narrow_pixels)
        acc[(J - 1) / STRIDE] = multiply_add(acc[(J - 1) / STRIDE], in, b);
      if constexpr (J >= 2 && (J - 2) % STRIDE == 0) acc[(J - 2) / STRIDE] = multiply_add(acc[(J - 2) / STRIDE], in, c);
    }
    slide_over<STRIDE, J + 1>(acc, x + step, step, a, b, c, place, first, last);
  }
}

// Windows 3 wide without dilation: each input, once in place, meets all the results that see it.
template <int G, int STRIDE>
static void narrow_slide(const NarrowGroupsView& view) {
  const NarrowGroupsView v = view;
  constexpr int steps = G / taken, w_step = lanes * taken;
  vf acc[narrow_pixels] = {};
  for (int y = 0; y < v.ny; ++y) {
    const Element* x = static_cast<const Element*>(v.x) + y * v.row_step;
    const Element* w = static_cast<const Element*>(v.w) + y * v.w_row;
    vi place = first_places<G>();
    for (int s = 0; s < steps; ++s, w += w_step, place = place + 1) {
      const vf a = load_weights(w), b = load_weights(w + steps * w_step), c = load_weights(w + 2 * steps * w_step);
      slide_over<STRIDE, 0>(acc, x, v.tap_step, a, b, c, (__m512i)place, v.first, v.last);
    }
  }
  for (int p = 0; p < narrow_pixels; ++p) store(v.acc + p * 64, acc[p]);
}

// Windows of any width that lie inside from end to end.
template <int G, int PIXELS>
static void narrow_tile(const NarrowGroupsView& view) {
  const NarrowGroupsView v = view;
  constexpr int steps = G / taken, w_step = lanes * taken;
  vf acc[PIXELS] = {};
  for (int y = 0; y < v.ny; ++y) {
    const Element* x = static_cast<const Element*>(v.x) + y * v.row_step + v.first * v.tap_step;
    const Element* w = static_cast<const Element*>(v.w) + y * v.w_row + v.first * steps * w_step;
    for (int t = v.first; t < v.last; ++t, x += v.tap_step) {
      vi place = first_places<G>();
      for (int s = 0; s < steps; ++s, w += w_step, place = place + 1) {
        const vf weights = load_weights(w);
#pragma GCC unroll 8
        for (int p = 0; p < PIXELS; ++p) {
          acc[p] =
              multiply_add(acc[p], _mm512_permutexvar_epi32((__m512i)place, load_block(x + p * v.pixel_step)), weights);
        }
      }
    }
  }
  for (int p = 0; p < PIXELS; ++p) store(v.acc + p * 64, acc[p]);
}

template <int G>
static void narrow_groups_of(const NarrowGroupsView& view) {
  NarrowGroupsView v = view;
  for (int b = 0; b < view.blocks; ++b) {
    if (v.slide == 1) {
      narrow_slide<G, 1>(v);
    } else if (v.slide == 2) {
      narrow_slide<G, 2>(v);
    } else if (v.pixels == narrow_pixels) {
      narrow_tile<G, narrow_pixels>(v);
    } else {
      narrow_tile<G, 1>(v);
    }
    v.x = static_cast<const Element*>(v.x) + lanes;
    v.w = static_cast<const Element*>(v.w) + v.w_block;
    v.acc += lanes;
  }
}

void narrow_groups(const NarrowGroupsView& v, int group) {
#ifdef HONE_NARROW_BF16
  if (group == 16) return narrow_groups_of<16>(v);
#endif
  return group == 4 ? narrow_groups_of<4>(v) : narrow_groups_of<8>(v);
}

}  // namespace hone::cpu::HONE_NS
