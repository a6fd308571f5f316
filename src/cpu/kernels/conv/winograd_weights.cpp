#include "cpu/kernels/conv/winograd_weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/kernels/conv/winograd_view.hpp"

namespace hone::cpu {
namespace {

constexpr int lanes = 16;  // columns at a time

// G g for the 3 taps of a line to m + 2 values, `from` and `to` apart.
template <class T>
void tap_line(int m, const T (*g)[lanes], int from, T (*u)[lanes], int to) {
  if (m == 2) {
    for (int i = 0; i < lanes; ++i) {
      const T g0 = g[0][i], g1 = g[from][i], g2 = g[2 * from][i];
      u[0][i] = g0;
      u[to][i] = (g0 + g2 + g1) * T(0.5);
      u[2 * to][i] = (g0 + g2 - g1) * T(0.5);
      u[3 * to][i] = g2;
    }
    return;
  }
  for (int i = 0; i < lanes; ++i) {
    const T g0 = g[0][i], g1 = g[from][i], g2 = g[2 * from][i];
    const T even = g0 * T(1.0 / 24) + g2 * T(1.0 / 6), odd = g1 * T(1.0 / 12);
    u[0][i] = g0 * T(0.25);
    u[to][i] = (g0 + g2 + g1) * T(-1.0 / 6);
    u[2 * to][i] = (g0 + g2 - g1) * T(-1.0 / 6);
    u[3 * to][i] = even + odd;
    u[4 * to][i] = even - odd;
    u[5 * to][i] = g2;
  }
}

// The same for whole numbers, without the denominators.
void whole_line(const int32_t (*g)[lanes], int from, int32_t (*u)[lanes], int to) {
  for (int i = 0; i < lanes; ++i) {
    const int32_t g0 = g[0][i], g1 = g[from][i], g2 = g[2 * from][i];
    u[0][i] = g0;
    u[to][i] = -(g0 + g2 + g1);
    u[2 * to][i] = g1 - g0 - g2;
    u[3 * to][i] = g0 + 2 * g1 + 4 * g2;
    u[4 * to][i] = g0 - 2 * g1 + 4 * g2;
    u[5 * to][i] = g2;
  }
}

// The products of one channel of 16 columns, w and columns `step` apart.
template <class T>
void transform(int m, const float* w, int64_t step, int64_t columns, T (*u)[lanes]) {
  T g[9][lanes] = {}, half[18][lanes];
  for (int64_t i = 0; i < columns; ++i) {
    for (int tap = 0; tap < 9; ++tap) g[tap][i] = w[i * step + tap];
  }
  for (int x = 0; x < 3; ++x) tap_line(m, g + x, 3, half + x, 3);
  for (int y = 0; y < m + 2; ++y) tap_line(m, half + y * 3, 1, u + y * (m + 2), 1);
}

}  // namespace

PackedB WinogradWeights::panels() const {
  PackedB b;
  b.kind = words ? DenseKind::bf16 : DenseKind::f32;  // by the size of its elements
  b.groups = winograd_products(m);
  b.columns = columns;
  b.runs = 1;
  b.run_length = channels;
  return b;
}

int64_t WinogradWeights::bytes() const {
  return scales_offset() + (words ? winograd_products(m) * scale_step() * 4 : 0);
}

float WinogradWeights::most_word() const {
  return std::floor(std::clamp(std::sqrt(1.2e10f / float(channels)), 2048.0f, 32767.0f));
}

void WinogradWeights::pack(const float* from, uint8_t* to) const {
  const PackedB b = panels();
  const int64_t products = b.groups, step = channels * 9;
  std::memset(to, 0, size_t(bytes()));
#if defined(__x86_64__)
  const bool vectors = words && features().avx512_vnni && step < (int64_t{1} << 26);  // 16 columns within 32 bits
  std::vector<float> taps(vectors ? size_t(channels * 9 * lanes) : 0);
#endif
  for (int64_t p = 0; p < b.panels(); ++p) {
    const float* w = from + p * lanes * step;
    const int64_t n = std::min<int64_t>(lanes, columns - p * lanes);
    uint8_t* panel = to + p * b.panel_stride();
    if (!words) {
      double u[36][lanes];
      for (int64_t c = 0; c < channels; ++c) {
        transform(m, w + c * 9, step, n, u);
        for (int64_t f = 0; f < products; ++f) {
          auto* at = reinterpret_cast<float*>(panel + f * b.group_stride()) + c * lanes;
          for (int i = 0; i < lanes; ++i) at[i] = float(u[f][i]);
        }
      }
      continue;
    }
    // Sums of magnitudes and the largest, then the scales, then the words.
    float u[36][lanes], factor[36][lanes], sums[36][lanes] = {}, most[36][lanes] = {};
#if defined(__x86_64__)
    if (vectors) avx512vnni::winograd_weight_sums(w, step, n, channels, taps.data(), sums[0], most[0]);
#else
    constexpr bool vectors = false;
#endif
    for (int64_t c = 0; !vectors && c < channels; ++c) {
      transform(4, w + c * 9, step, n, u);
      for (int64_t f = 0; f < products; ++f) {
        for (int i = 0; i < lanes; ++i) {
          const float v = std::fabs(u[f][i]);
          sums[f][i] += v;
          most[f][i] = most[f][i] > v ? most[f][i] : v;
        }
      }
    }
    auto* scales = reinterpret_cast<float*>(to + scales_offset());
    // Each word may be half a unit larger than its value; sums of f32 lose some units of their last place.
    const double room = (2147483647.0 / double(most_word()) - 0.5 * double(channels)) * 0.9999;
    for (int64_t f = 0; f < products; ++f) {
      // Lines 3 and 4 of the transformed pixels are doubled.
      const double twice = (f / 6 == 3 || f / 6 == 4 ? 2.0 : 1.0) * (f % 6 == 3 || f % 6 == 4 ? 2.0 : 1.0);
      for (int i = 0; i < lanes; ++i) {
        const bool any = most[f][i] > 1e-30f;
        factor[f][i] = any ? float(std::min(room / double(sums[f][i]), 32766.0 / double(most[f][i]))) : 0.0f;
        scales[f * scale_step() + p * lanes + i] = any ? float(1 / (double(factor[f][i]) * twice)) : 0.0f;
      }
    }
#if defined(__x86_64__)
    if (vectors) {
      avx512vnni::winograd_weight_words(taps.data(), channels, factor[0], reinterpret_cast<int16_t*>(panel),
                                        b.group_stride() / 2);
      continue;
    }
#endif
    for (int64_t c = 0; c < channels; ++c) {
      transform(4, w + c * 9, step, n, u);
      for (int64_t f = 0; f < products; ++f) {
        auto* at = reinterpret_cast<int16_t*>(panel + f * b.group_stride()) + c / 2 * (2 * lanes) + c % 2;
        int32_t word[lanes];
        for (int i = 0; i < lanes; ++i) {
          const float v = u[f][i] * factor[f][i];
          word[i] = int32_t(v + (v < 0 ? -0.5f : 0.5f));
        }
        for (int i = 0; i < lanes; ++i) at[2 * i] = int16_t(word[i]);
      }
    }
  }
}

void WinogradWeights::pack(const int8_t* from, uint8_t* to) const {
  // Sums of the positive and the negative factors of the lines of B^T: bounds of transformed bytes.
  constexpr int64_t above[6] = {5, 2, 5, 3, 3, 5}, below[6] = {5, 8, 5, 3, 3, 5};
  const PackedB b = panels();
  const int64_t step = channels * 9;
  std::memset(to, 0, size_t(bytes()));
  auto* scales = reinterpret_cast<float*>(to + scales_offset());
  for (int64_t p = 0; p < b.panels(); ++p) {
    const int8_t* w = from + p * lanes * step;
    const int64_t n = std::min<int64_t>(lanes, columns - p * lanes);
    uint8_t* panel = to + p * b.panel_stride();
    const auto words = [&](int64_t f, int64_t c) {
      return reinterpret_cast<int16_t*>(panel + f * b.group_stride()) + c / 2 * (2 * lanes) + c % 2;
    };
    int64_t sums[36][lanes] = {};
    for (int64_t c = 0; c < channels; ++c) {
      int32_t g[9][lanes] = {}, half[18][lanes], u[36][lanes];
      for (int64_t i = 0; i < n; ++i) {
        for (int tap = 0; tap < 9; ++tap) g[tap][i] = w[i * step + c * 9 + tap];
      }
      for (int x = 0; x < 3; ++x) whole_line(g + x, 3, half + x, 3);
      for (int y = 0; y < 6; ++y) whole_line(half + y * 3, 1, u + y * 6, 1);
      for (int64_t f = 0; f < 36; ++f) {
        int16_t* at = words(f, c);
        for (int i = 0; i < lanes; ++i) {
          at[2 * i] = int16_t(u[f][i]);
          sums[f][i] += std::abs(u[f][i]);
        }
      }
    }
    for (int64_t f = 0; f < 36; ++f) {
      const int64_t y = f / 6, x = f % 6;
      const int64_t largest =
          255 * std::max(above[y] * above[x] + below[y] * below[x], above[y] * below[x] + below[y] * above[x]);
      for (int64_t i = 0; i < lanes; ++i) {
        int halves = 0;
        // Rounding may add half a unit to each word.
        while ((sums[f][i] >> halves) + channels > INT32_MAX / largest) ++halves;
        scales[f * scale_step() + p * lanes + i] =
            float(1 << halves) / float(winograd_line_unit[y] * winograd_line_unit[x]);
        for (int64_t c = 0; halves > 0 && c < channels; ++c) {
          int16_t& word = words(f, c)[2 * i];
          word = int16_t((word + (1 << (halves - 1))) >> halves);
        }
      }
    }
  }
}

}  // namespace hone::cpu
