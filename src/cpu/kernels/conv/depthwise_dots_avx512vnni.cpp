#define HONE_NS avx512vnni
#define HONE_LANES 16
#include "cpu/kernels/conv/depthwise_dots_view.hpp"
#include "cpu/kernels/requantize_isa.hpp"

namespace hone::cpu::avx512vnni {
namespace {

constexpr int max_taps = 16;

// A strip of results in a block of channels.
struct Strip {
  int64_t image, y, x, results;
  int64_t channel;
  int channels;
  const uint8_t* w;
  const float* factors;
  int64_t quarter;  // bytes between two quarters of the dwords
  uint8_t* dwords;
  int64_t tap[max_taps];  // bytes from the dwords of a result to those of a tap
};

HONE_INLINE __m512i load512(const void* p) {
  return _mm512_loadu_si512(p);
}

// Four rows of 64 bytes as dwords, a quarter of each unit to each quarter of `to`.
HONE_INLINE void put_dwords(__m512i r0, __m512i r1, __m512i r2, __m512i r3, uint8_t* to, int64_t quarter) {
  const __m512i low01 = _mm512_unpacklo_epi8(r0, r1), high01 = _mm512_unpackhi_epi8(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi8(r2, r3), high23 = _mm512_unpackhi_epi8(r2, r3);
  _mm512_storeu_si512(to, _mm512_unpacklo_epi16(low01, low23));
  _mm512_storeu_si512(to + quarter, _mm512_unpackhi_epi16(low01, low23));
  _mm512_storeu_si512(to + 2 * quarter, _mm512_unpacklo_epi16(high01, high23));
  _mm512_storeu_si512(to + 3 * quarter, _mm512_unpackhi_epi16(high01, high23));
}

// The units of 1, 2 or 4 columns, `step` bytes apart.
template <int UNITS>
HONE_INLINE __m512i load_units(const uint8_t* p, int64_t step) {
  if constexpr (UNITS == 4) return load512(p);
  if constexpr (UNITS == 2) {
    const auto* a = reinterpret_cast<const __m256i*>(p);
    const auto* b = reinterpret_cast<const __m256i*>(p + step);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(a)), _mm256_loadu_si256(b), 1);
  }
  const auto at = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i * step)); };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(at(2)), at(3), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// Dwords of `count` columns from `column` on, `stride` apart. `row`: column 0 of four rows, of which some lie outside
// of the image: their `inside` is 0.
template <int UNITS>
void interleave(const DotsView& d, const uint8_t* const* row, const int64_t* inside, int64_t column, int64_t stride,
                int64_t count, uint8_t* to, int64_t quarter) {
  constexpr int columns = 4 / UNITS;
  const __m512i flip = _mm512_set1_epi8(char(d.flip)), none = _mm512_set1_epi8(char(d.outside));
  const int64_t step = stride * d.channels;
  for (int64_t j = 0; j < count; j += columns, column += columns * stride, to += 64) {
    __m512i r[4];
    if (column >= 0 && column + (columns - 1) * stride < d.in_w) {
      const int64_t at = column * d.channels;
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) r[k] = load_units<UNITS>(row[k] + (at & inside[k]), step & inside[k]);
    } else if (column >= d.in_w || column + (columns - 1) * stride < 0) {
      for (int k = 0; k < 4; ++k) _mm512_storeu_si512(to + k * quarter, _mm512_xor_si512(none, flip));
      continue;
    } else {
      for (int k = 0; k < 4; ++k) {
        alignas(64) uint8_t units[64];
        _mm512_store_si512(units, none);
        for (int v = 0; v < columns; ++v) {
          const int64_t c = column + v * stride;
          if (c < 0 || c >= d.in_w) continue;
          __builtin_memcpy(units + v * UNITS * 16, row[k] + ((c * d.channels) & inside[k]), UNITS * 16);
        }
        r[k] = _mm512_load_si512(units);
      }
    }
    if (d.flip) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) r[k] = _mm512_xor_si512(r[k], flip);
    }
    put_dwords(r[0], r[1], r[2], r[3], to, quarter);
  }
}

// Four vectors of sums for each row of results.
template <int ROWS>
HONE_INLINE void sums(const Strip& s, const uint8_t* dwords, const uint8_t* w, int taps, __m512i start,
                      __m512i (*acc)[4]) {
#pragma GCC unroll 2
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) acc[r][p] = start;
  }
  for (int t = 0; t < taps; ++t) {
    const uint8_t* from = dwords + s.tap[t];
    __m512i weight[ROWS];
#pragma GCC unroll 2
    for (int r = 0; r < ROWS; ++r) weight[r] = load512(w + (t * ROWS + r) * 64);
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
      __m512i v = load512(from + p * 64);
      HONE_KEEP(v);
#pragma GCC unroll 2
      for (int r = 0; r < ROWS; ++r) acc[r][p] = _mm512_dpbusd_epi32(acc[r][p], v, weight[r]);
    }
  }
}

// The bytes of a vector: of 1, 2 or 4 results.
template <int UNITS>
HONE_INLINE void store_units(uint8_t* to, __m512i bytes, int64_t channels_of_tensor, int channels, int64_t results) {
  if constexpr (UNITS == 4) {
    if (results <= 0) return;
    if (channels == 64) {
      _mm512_storeu_si512(to, bytes);
    } else {
      store_first_bytes(to, bytes, channels);
    }
  } else if constexpr (UNITS == 2) {
    const __m256i half[2] = {_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64(bytes, 1)};
    const __mmask32 mask = channels >= 32 ? ~__mmask32(0) : (__mmask32(1) << channels) - 1;
    for (int v = 0; v < 2 && v < results; ++v) _mm256_mask_storeu_epi8(to + v * channels_of_tensor, mask, half[v]);
  } else {
    const __m128i part[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                             _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
    const __mmask16 mask = first_lanes(channels < 16 ? channels : 16);
    for (int v = 0; v < 4 && v < results; ++v) _mm_mask_storeu_epi8(to + v * channels_of_tensor, mask, part[v]);
  }
}

HONE_INLINE __m512i trimmed(const RequantView& q, __m512i bytes) {
  const __m512i low = _mm512_set1_epi8(char(q.low)), high = _mm512_set1_epi8(char(q.high));
  return _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes, low), high), _mm512_set1_epi8(char(q.flip)));
}

// Bytes of each row and quarter, a 32-bit lane to four channels of one of four vectors, in the order of the output.
template <int UNITS>
void put_bytes(const DotsView& d, const Strip& s, int64_t first, int row, const __m512i* quarters) {
  const RequantView& q = d.epilogue->requant;
  const __m512i a = _mm512_unpacklo_epi32(quarters[0], quarters[1]),
                b = _mm512_unpackhi_epi32(quarters[0], quarters[1]);
  const __m512i c = _mm512_unpacklo_epi32(quarters[2], quarters[3]),
                e = _mm512_unpackhi_epi32(quarters[2], quarters[3]);
  __m512i bytes[4] = {_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c), _mm512_unpacklo_epi64(b, e),
                      _mm512_unpackhi_epi64(b, e)};
  if (q.low > 0 || q.high < 255 || q.flip) {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) bytes[p] = trimmed(q, bytes[p]);
  }
  const int64_t pixel = (s.image * d.out_h + s.y + row) * d.out_w + s.x + first;
  uint8_t* to = static_cast<uint8_t*>(d.epilogue->out) + pixel * d.channels + s.channel;
  constexpr int results = 4 / UNITS;
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p)
    store_units<UNITS>(to + p * results * d.channels, bytes[p], d.channels, s.channels,
                       s.results - first - p * results);
}

template <int UNITS, int ROWS>
void strip_to_bytes(const DotsView& d, const Strip& s) {
  const int taps = d.groups * d.kernel_w;
  const __m512i zero = _mm512_set1_epi16(int16_t(d.epilogue->requant.zero));
  const int64_t weights = 64 + int64_t(taps) * ROWS * 64;
  for (int64_t first = 0; first < s.results; first += 16 / UNITS) {
    __m512i bytes[ROWS][4];
    const uint8_t* from = s.dwords + first * UNITS * 16;
    const uint8_t* w = s.w;
    for (int k = 0; k < 4; ++k, from += s.quarter, w += weights) {
      __m512i acc[ROWS][4];
      sums<ROWS>(s, from, w + 64, taps, _mm512_setzero_si512(), acc);
      const vf scale = load(s.factors + k * 32), offset = load(s.factors + k * 32 + 16);
#pragma GCC unroll 2
      for (int r = 0; r < ROWS; ++r) {
        __m512i level[4];
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) level[p] = (__m512i)round_to_int(to_float((vi)acc[r][p]) * scale + offset);
        const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(level[0], level[1]), zero);
        const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(level[2], level[3]), zero);
        bytes[r][k] = _mm512_packus_epi16(ab, cd);
      }
    }
    for (int r = 0; r < ROWS; ++r) {
      if (s.y + r < d.out_h) put_bytes<UNITS>(d, s, first, r, bytes[r]);
    }
  }
}

// Sums in tiles for the epilogue: 4, 8 or 16 results of 64, 32 or 16 channels.
template <int UNITS, int ROWS>
void strip_to_tiles(const DotsView& d, const Strip& s) {
  constexpr int results = 16 / UNITS;
  const int taps = d.groups * d.kernel_w;
  const int64_t weights = 64 + int64_t(taps) * ROWS * 64;
  for (int64_t first = 0; first < s.results; first += results) {
    alignas(64) int32_t quarters[ROWS][4][4][16], tile[results * 64];
    const uint8_t* from = s.dwords + first * UNITS * 16;
    const uint8_t* w = s.w;
    for (int k = 0; k < 4; ++k, from += s.quarter, w += weights) {
      __m512i acc[ROWS][4];
      sums<ROWS>(s, from, w + 64, taps, load512(w), acc);
      for (int r = 0; r < ROWS; ++r) {
        for (int p = 0; p < 4; ++p) _mm512_store_si512(quarters[r][k][p], acc[r][p]);
      }
    }
    for (int r = 0; r < ROWS && s.y + r < d.out_h; ++r) {
      for (int p = 0; p < 4; ++p) {
        for (int l = 0; l < 4; ++l) {
          int32_t* to = tile + (p * (4 / UNITS) + l / UNITS) * 64 + l % UNITS * 16;
          for (int k = 0; k < 4; ++k) __builtin_memcpy(to + k * 4, quarters[r][k][p] + l * 4, 16);
        }
      }
      const int64_t left = s.results - first, pixel = (s.image * d.out_h + s.y + r) * d.out_w + s.x + first;
      d.finish(*d.epilogue, TileView{tile, 64, int(left < results ? left : results), s.channels, pixel, s.channel});
    }
  }
}

// Three rows of units of neighbouring columns, some of them outside of the image.
template <int UNITS, int STRIDE>
__attribute__((noinline)) void edge_units(const DotsView& d, const uint8_t* const* row, const int64_t* inside,
                                          int64_t column, __m512i* r) {
  for (int k = 0; k < 3; ++k) {
    alignas(64) uint8_t units[64];
    _mm512_store_si512(units, _mm512_set1_epi8(char(d.outside)));
    for (int v = 0; v < 4 / UNITS; ++v) {
      const int64_t c = column + v * STRIDE;
      if (c >= 0 && c < d.in_w)
        __builtin_memcpy(units + v * UNITS * 16, row[k] + ((c * d.channels) & inside[k]), UNITS * 16);
    }
    r[k] = _mm512_xor_si512(_mm512_load_si512(units), _mm512_set1_epi8(char(d.flip)));
  }
}

// The same for windows 3 wide and at most 3 high, without a detour over memory: sums of all four quarters slide over
// the columns of one row of results, weights stay in registers. A step makes one vector of results.
template <int UNITS, int STRIDE>
void slide_to_bytes(const DotsView& d, const Strip& s, const uint8_t* const* row, const int64_t* inside) {
  constexpr int results = 4 / UNITS, advance = results * STRIDE, live = advance > 2 ? 1 : advance == 2 ? 2 : 3;
  const RequantView q = d.epilogue->requant;
  const __m512i zero = _mm512_set1_epi16(int16_t(q.zero)), flip = _mm512_set1_epi8(char(d.flip));
  const __m512i none = _mm512_xor_si512(_mm512_set1_epi8(char(d.outside)), flip);
  const bool trims = q.low > 0 || q.high < 255 || q.flip, flips = d.flip, whole = s.channels == 64;
  const int64_t quarter = 64 + 3 * int64_t(d.rows) * 64, channels = d.channels, in_w = d.in_w;
  const uint64_t last = uint64_t(in_w < (results - 1) * STRIDE ? 0 : in_w - (results - 1) * STRIDE);
  const float* factors = s.factors;
  __m512i weight[4][3], acc[live][4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
#pragma GCC unroll 3
    for (int t = 0; t < 3; ++t) weight[k][t] = load512(s.w + k * quarter + 64 + t * d.rows * 64);
#pragma GCC unroll 3
    for (int l = 0; l < live; ++l) acc[l][k] = _mm512_setzero_si512();
  }
  uint8_t* to =
      static_cast<uint8_t*>(d.epilogue->out) + ((s.image * d.out_h + s.y) * d.out_w + s.x) * channels + s.channel;
  int64_t column = s.x * STRIDE - d.pad_left, left = s.results + (live - 1) * results;
  const uint8_t* at[3];
  int64_t pixel[3];
#pragma GCC unroll 3
  for (int k = 0; k < 3; ++k) {
    pixel[k] = channels & inside[k];
    at[k] = row[k] + column * pixel[k];
  }
  // PHASE: which of the sums are the oldest.
  const auto step = [&]<int PHASE>() __attribute__((always_inline)) {
#pragma GCC unroll 3
    for (int tap = 0; tap < (advance < 3 ? advance : 3); ++tap) {
      __m512i r[3];
      if (uint64_t(column + tap) < last) [[likely]] {
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k) {
          r[k] = load_units<UNITS>(at[k] + tap * pixel[k], STRIDE * pixel[k]);
          if (flips) r[k] = _mm512_xor_si512(r[k], flip);
        }
      } else if constexpr (UNITS == 4) {
        r[0] = r[1] = r[2] = none;
      } else {
        edge_units<UNITS, STRIDE>(d, row, inside, column + tap, r);
      }
      const __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]), high01 = _mm512_unpackhi_epi8(r[0], r[1]);
      const __m512i low2 = _mm512_unpacklo_epi8(r[2], r[2]), high2 = _mm512_unpackhi_epi8(r[2], r[2]);
      const __m512i dwords[4] = {_mm512_unpacklo_epi16(low01, low2), _mm512_unpackhi_epi16(low01, low2),
                                 _mm512_unpacklo_epi16(high01, high2), _mm512_unpackhi_epi16(high01, high2)};
#pragma GCC unroll 3
      for (int t = tap; t < 3; t += advance) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          __m512i& sum = acc[(PHASE + live - 1 - t / advance) % live][k];
          sum = _mm512_dpbusd_epi32(sum, dwords[k], weight[k][t]);
        }
      }
    }
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) at[k] += advance * pixel[k];
    column += advance;
    if (left <= s.results) [[likely]] {
      __m512i level[4];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const vf scale = load(factors + k * 32), offset = load(factors + k * 32 + 16);
        level[k] = (__m512i)round_to_int(to_float((vi)acc[PHASE][k]) * scale + offset);
      }
      const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(level[0], level[1]), zero);
      const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(level[2], level[3]), zero);
      __m512i bytes = _mm512_packus_epi16(ab, cd);
      if (trims) bytes = trimmed(q, bytes);
      if (UNITS == 4 && whole) [[likely]] {
        _mm512_storeu_si512(to, bytes);
      } else {
        store_units<UNITS>(to, bytes, channels, s.channels, left);
      }
      to += results * channels;
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) acc[PHASE][k] = _mm512_setzero_si512();
    left -= results;
  };
  while (left > 0) {
    step.template operator()<0>();
    if constexpr (live > 1) {
      if (left <= 0) break;
      step.template operator()<1 % live>();
    }
    if constexpr (live > 2) {
      if (left <= 0) break;
      step.template operator()<2 % live>();
    }
  }
}

template <int UNITS>
void slide_row(const DotsView& d, const Strip& s, const uint8_t* const* row, const int64_t* inside) {
  if constexpr (UNITS == 4) {
    if (d.stride_w == 1) return slide_to_bytes<UNITS, 1>(d, s, row, inside);
  }
  slide_to_bytes<UNITS, 2>(d, s, row, inside);
}

// Where the rows of a group begin; those outside of the image are `none` at every column.
HONE_INLINE void four_rows(const DotsView& d, const Strip& s, int group, int used, const uint8_t* none,
                           const uint8_t** row, int64_t* inside) {
  for (int k = 0; k < 4; ++k) {
    // A row that no weight is for is read as any other.
    const int i = group * 4 + k < used ? group * 4 + k : used - 1;
    const int64_t y = s.y * d.stride_h - d.pad_top + i * d.dilation_h;
    inside[k] = y >= 0 && y < d.in_h ? -1 : 0;
    row[k] = inside[k] ? d.x + (s.image * d.in_h + y) * d.in_w * d.channels + s.channel : none;
  }
}

template <int UNITS>
void run_strip(const DotsView& d, Strip& s) {
  // With results side by side in a vector and stride 1, dwords in memory are shifted more cheaply.
  if (s.factors && d.slides && (UNITS == 4 || d.stride_w == 2)) {
    alignas(64) uint8_t none[64];
    _mm512_store_si512(none, _mm512_set1_epi8(char(d.outside)));
    const int64_t y = s.y;
    for (int r = 0; r < d.rows && s.y < d.out_h; ++r, ++s.y) {
      const uint8_t* row[4];
      int64_t inside[4];
      four_rows(d, s, 0, d.kernel_h, none, row, inside);
      slide_row<UNITS>(d, s, row, inside);
    }
    s.y = y;
    return;
  }
  constexpr int64_t columns = 4 / UNITS;
  // Whole tiles of four vectors, and what taps reach beyond them.
  const int64_t results = (s.results + 4 * columns - 1) / (4 * columns) * (4 * columns);
  const int64_t count = (results + d.reach + columns - 1) / columns * columns;
  s.quarter = count * UNITS * 16;
  int taps = 0;
  const int64_t left = s.x * d.stride_w - d.pad_left;
  alignas(64) uint8_t none[64];
  _mm512_store_si512(none, _mm512_set1_epi8(char(d.outside)));
  const uint8_t* row[4];
  int64_t inside[4];
  for (int g = 0; g < d.groups; ++g) {
    four_rows(d, s, g, d.kernel_h + (d.rows - 1) * d.stride_h, none, row, inside);
    uint8_t* to = s.dwords + int64_t(g) * d.planes * 4 * s.quarter;
    for (int plane = 0; plane < d.planes; ++plane)
      interleave<UNITS>(d, row, inside, left + plane, d.stride_w, count, to + plane * 4 * s.quarter, s.quarter);
    for (int k = 0; k < d.kernel_w; ++k) {
      const int at = k * d.dilation_w;
      s.tap[taps++] = int64_t(g * d.planes + at % d.stride_w) * 4 * s.quarter + int64_t(at / d.stride_w) * UNITS * 16;
    }
  }
  if (!s.factors) return d.rows == 2 ? strip_to_tiles<UNITS, 2>(d, s) : strip_to_tiles<UNITS, 1>(d, s);
  d.rows == 2 ? strip_to_bytes<UNITS, 2>(d, s) : strip_to_bytes<UNITS, 1>(d, s);
}

}  // namespace

void depthwise_dots(const DotsView& view, int64_t image, int64_t y) {
  const DotsView d = view;
  alignas(64) uint8_t dwords[dots_bytes];
  Strip s{};
  s.image = image;
  s.y = y;
  s.dwords = dwords;
  const int64_t weights = 4 * (64 + int64_t(d.groups) * d.kernel_w * d.rows * 64);
  for (s.x = 0; s.x < d.out_w; s.x += d.strip) {
    s.results = d.out_w - s.x < d.strip ? d.out_w - s.x : d.strip;
    s.w = d.w;
    s.factors = d.factors;
    for (s.channel = 0; s.channel < d.channels; s.w += weights) {
      const int64_t left = d.channels - s.channel;
      const int units = dots_units(left);
      s.channels = int(left < units * 16 ? left : units * 16);
      if (units == 4) {
        run_strip<4>(d, s);
      } else if (units == 2) {
        run_strip<2>(d, s);
      } else {
        run_strip<1>(d, s);
      }
      s.channel += units * 16;
      if (s.factors) s.factors += 128;
    }
  }
}

}  // namespace hone::cpu::avx512vnni
