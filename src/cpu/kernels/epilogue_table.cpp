// Chains to bytes that are a function of the biased result alone, made tables and curves by the code that they replace.
// As SiLU and HardSwish come out of quantizers, the biased result is rounded to levels first: a table. Smooth ones
// (SiLU, GELU and others alone) become parabolas.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/features.hpp"
#include "cpu/kernels/epilogue.hpp"

namespace hone::cpu {

// bias?, then steps on values of the chain alone. A step that rounds the biased result to at most 256 levels makes it a
// table; what else reads that (a gate beside the rounded value) reads the middle of a part of a level instead.
void EpiloguePlan::find_table_form(const Epilogue& e) {
  if (bytes_.fits || columns_ || e.steps.empty()) return;
  const GateView& g = base_.gate;
  if (base_.integer && g.on && g.levels && g.gate.low >= 0 && g.gate.high <= 255 && g.value.inverse > 0 &&
      g.value.high >= g.value.low && g.value.high - g.value.low < table_entries / 2)
    lookup_ = Lookup::gate;
  const int first_value = 1 + int(e.operands.size());
  const size_t begin = bias_operand_ >= 0 ? 1 : 0;
  const int start = begin == 1 ? first_value : 0;
  const auto on_chain = [&](int v) { return v == start || v >= first_value; };
  bool levels = false, rounds = false;
  for (size_t i = begin; i < e.steps.size(); ++i) {
    const EpilogueStep& s = e.steps[i];
    if (!on_chain(s.a) || (s.op <= EpilogueOp::prelu && !on_chain(s.b))) return;
    rounds = rounds || s.op == EpilogueOp::round;
    if (s.a != start || !rounds_to_levels(e.steps, i, first_value)) continue;
    if (levels) return;
    grid_ = levels_of(e.steps, i);
    levels = rounds = true;
    i += 3;
  }
  if (levels && grid_.alpha > 0 && grid_.gamma >= grid_.beta && grid_.gamma - grid_.beta < table_entries / 2)
    lookup_ = Lookup::table;
  // HardSwish takes less than a curve.
  if (!rounds && !(fast_ && base_.activation == 1 + uint8_t(EpilogueOp::hswish))) lookup_ = Lookup::curve;
}

void EpiloguePlan::tabulate(EpilogueFn run) {
#if defined(__x86_64__)
  if (run != avx512::epilogue_tile && run != avx512bf16::epilogue_tile) return;
  // Bytes out of several registers (VBMI) choose no kernel, only how some end; they come with the level of VNNI.
  static const bool vbmi = __builtin_cpu_supports("avx512vbmi");
  if (lookup_ == Lookup::table && vbmi && features().avx512_vnni) make_table(run);
  if (lookup_ == Lookup::gate && vbmi && features().avx512_vnni) make_gate_table(run);
  if (lookup_ == Lookup::curve) make_curve(run);
#else
  (void)run;
#endif
}

#if defined(__x86_64__)
void EpiloguePlan::make_table(EpilogueFn run) {
  int parts = 2;
  while ((grid_.gamma - grid_.beta + 1) * float(2 * parts) <= table_entries) parts *= 2;
  constexpr int cols = 64, rows = table_entries / cols;
  EpilogueView v = base_;
  v.integer = false;
  v.steps = steps_.data();
  v.ld_out = cols;
  // The steps themselves give the entries, and what comes of places all over their parts.
  const auto at = [&](float place) {
    alignas(64) float values[table_entries];
    for (int i = 0; i < table_entries; ++i)
      values[i] = ((float(i) + place) / float(parts) + grid_.beta - 0.5f) / grid_.alpha;
    std::vector<uint8_t> bytes(table_entries);
    v.out = bytes.data();
    run(v, TileView{values, cols, rows, cols, 0, 0});
    return bytes;
  };
  std::vector<uint8_t> table = at(0.5f);
  // Steep steps beside the rounded value want more than an entry.
  for (float place : {0.02f, 0.25f, 0.75f, 0.98f}) {
    const std::vector<uint8_t> other = at(place);
    for (size_t i = 0; i < table.size(); ++i) {
      const int difference =
          base_.out_type == Num::s8 ? int(int8_t(table[i])) - int(int8_t(other[i])) : int(table[i]) - int(other[i]);
      if (difference < -1 || difference > 1) return;
    }
  }
  table_ = std::move(table);
  base_.table = {nullptr, float(parts) * grid_.alpha, float(parts) * (0.5f - grid_.beta) - 0.5f + table_margin,
                 avx512vbmi::table_tile, run};
}

// Where channels have factors of their own or a residual follows: levels of the gate alone, by those of the value.
void EpiloguePlan::make_gate_table(EpilogueFn run) {
  const GateView& g = base_.gate;
  int parts = 2;
  while ((g.value.high - g.value.low + 1) * float(2 * parts) <= table_entries) parts *= 2;
  std::vector<uint8_t> table(table_entries);
  for (int i = 0; i < table_entries; ++i) {
    double value = 0;
    const auto level = [&](double place) {
      value = ((i + place) / parts + double(g.value.low) - 0.5) / double(g.value.inverse);
      const double gate = g.hard ? std::clamp((value + 3) / 6, 0.0, 1.0) : 1 / (1 + std::exp(-value));
      return std::clamp(std::nearbyint(gate * double(g.gate.inverse)), double(g.gate.low), double(g.gate.high));
    };
    const double begin = level(0), end = level(1), middle = level(0.5);
    const double off = std::max(std::fabs(begin - middle), std::fabs(end - middle)) * double(g.gate.step);
    // A gate as steep as that wants more than an entry.
    if (!(std::fabs(value) * off <= 0.75 / double(g.value.inverse))) return;
    table[size_t(i)] = uint8_t(middle);
  }
  table_ = std::move(table);
  base_.table = {nullptr, float(parts), float(parts) * (0.5f - g.value.low) - 0.5f + table_margin,
                 avx512vbmi::gate_tile, run};
}

void EpiloguePlan::make_curve(EpilogueFn run) {
  EpilogueView v = base_;
  v.integer = false;
  v.steps = steps_.data();
  v.out_type = Num::f32;
  const double center = base_.out_type == Num::u8 ? 128 : 0;
  // Results in levels, without an end at the range of bytes.
  std::array<double, 64> at_places;
  const auto levels = [&](const std::array<float, 64>& places) {
    alignas(64) float values[64], results[64];
    std::copy(places.begin(), places.end(), values);
    v.out = results;
    v.ld_out = 64;
    run(v, TileView{values, 64, 1, 64, 0, 0});
    for (size_t i = 0; i < 64; ++i)
      at_places[i] = double(results[i]) * double(base_.out_inv_scale) + double(base_.out_zero) - center;
  };
  // Beyond an end all results are the same byte. Farther out than bytes reach, functions may be less exact.
  const int top = std::max(5, std::ilogb(512 / base_.out_inv_scale) + 1);
  const auto end = [&](float sign) {
    std::array<float, 64> places;
    float last = 0;
    double seen = 0;
    for (int octave = top - 2; octave > top - 18; octave -= 2) {
      for (int i = 0; i < 64; ++i) places[size_t(i)] = sign * std::exp2(float(octave) + float(63 - i) / 32);
      levels(places);
      for (size_t i = 0; i < 64; ++i) {
        const double l = std::clamp(at_places[i], -129.0, 129.0);
        if (last == 0) seen = l;
        if (!(std::fabs(l - seen) < 0.02)) return last;
        last = places[i];
      }
    }
    return last;
  };
  const float low = end(-1), high = end(1);
  const float farthest = std::exp2(float(top) - 0.1f);
  if (!(low > -farthest && high < farthest && low < high)) return;
  const double width = (double(high) - double(low)) / curve_pieces;
  const auto clamped = [&](size_t i) { return std::clamp(at_places[i], -200.0, 200.0); };
  // Parabolas through the places of a Chebyshev polynomial's roots.
  constexpr double root = 0.8660254037844386;
  std::array<std::array<double, 64>, 3> y;
  std::array<float, 64> places;
  const auto go_to = [&](double t) {
    for (int p = 0; p < curve_pieces; ++p) places[size_t(p)] = float(double(low) + width * (p + 0.5 + 0.5 * t));
    levels(places);
  };
  for (int k = 0; k < 3; ++k) {
    go_to(root * (k - 1));
    for (size_t p = 0; p < 64; ++p) y[size_t(k)][p] = clamped(p);
  }
  int16_t coefficients[3][curve_pieces];
  constexpr double unit = 1 << curve_bits;
  for (size_t p = 0; p < 64; ++p) {
    const double c[3] = {y[1][p] * unit + unit / 2, (y[2][p] - y[0][p]) / (2 * root) * unit,
                         (y[2][p] + y[0][p] - 2 * y[1][p]) / (2 * root * root) * unit};
    for (int k = 0; k < 3; ++k) {
      if (!(std::fabs(c[k]) < 32000)) return;
      coefficients[k][(p + 32) % 64] = int16_t(std::nearbyint(c[k]));
    }
  }
  // As the vectors compute it: within a tenth of a level.
  const auto high_half = [](int a, int b) { return (a * b + (1 << 14)) >> 15; };
  for (int k = 0; k < 16; ++k) {
    const int t = -32768 + (k * 65535 + 7) / 15;
    go_to(t / 32768.0);
    for (size_t p = 0; p < 64; ++p) {
      const size_t i = (p + 32) % 64;
      const int slope = int16_t(high_half(coefficients[2][i], t) + coefficients[1][i]);
      const double level = (high_half(slope, t) + coefficients[0][i] - unit / 2) / unit;
      if (!(std::fabs(std::clamp(level, -128.0, 127.0) - std::clamp(at_places[p], -128.0, 127.0)) < 0.1)) return;
    }
  }
  table_.resize(sizeof coefficients);
  std::memcpy(table_.data(), coefficients, sizeof coefficients);
  const float scale = float(1024 / width);
  base_.table = {nullptr, scale, -32768.0f - scale * low, avx512::curve_tile, run};
}
#endif

}  // namespace hone::cpu
