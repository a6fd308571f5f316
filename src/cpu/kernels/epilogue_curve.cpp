// Smooth functions of the biased result alone, as curves: SiLU, GELU and others that end in bytes, and the gate of a
// value times its sigmoid where both are rounded to levels. A curve is made only where it keeps to `curve_bound` of a
// level: about what the rounding errors of single precision come to in the steps that it replaces.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "cpu/kernels/epilogue.hpp"

namespace hone::cpu {
namespace {

constexpr double curve_bound = 1.0 / 4096;

#if defined(__x86_64__)
// Beyond an end of [low, high] all results round to one level. `levels(places)`: results at 64 places, in levels of
// [least, most]; places reach 2^top.
template <class Levels>
bool find_ends(const Levels& levels, double least, double most, int top, double* low, double* high) {
  std::array<double, 64> places;
  double first = 0;
  // How many places lie beyond the end, from the first on.
  const auto beyond = [&]() {
    const std::array<double, 64> l = levels(places);
    size_t i = 0;
    for (; i < 64; ++i) {
      const double inside = std::clamp(l[i], least, most);
      if (!(std::nearbyint(inside) == first && std::fabs(inside - first) < 0.48)) break;
    }
    return i;
  };
  const auto end = [&](double sign) {
    double last = sign * std::exp2(top);
    places.fill(last);
    first = std::nearbyint(std::clamp(levels(places)[0], least, most));
    for (int octave = top - 2; octave > top - 18; octave -= 2) {
      for (int i = 0; i < 64; ++i) places[size_t(i)] = sign * std::exp2(octave + (63 - i) / 32.0);
      size_t i = beyond();
      if (i > 0) last = places[i - 1];
      if (i == 64) continue;
      // Closer to it, twice.
      for (double step = (places[i] - last) / 64; std::fabs(step) > 1e-5 * std::fabs(last); step /= 64) {
        const double from = last;
        for (int k = 0; k < 64; ++k) places[size_t(k)] = from + step * (k + 1);
        if (const size_t found = beyond(); found > 0) last = places[found - 1];
      }
      return last;
    }
    return last;
  };
  *low = end(-1);
  *high = end(1);
  const double farthest = std::exp2(top - 0.1);
  return *low < 0 && *high > 0 && *low > -farthest && *high < farthest;
}

// Polynomials through the Chebyshev points of each piece of [low, high]. False: some place is more than `curve_bound`
// of a level off, or beyond the levels though it must be `within` them.
template <class Levels>
bool fit_curve(const Levels& levels, double least, double most, double low, double high, bool within, int degree,
               float* coefficients) {
  const double width = (high - low) / curve_pieces;
  const auto at = [&](double t) {
    std::array<double, 64> places;
    for (size_t p = 0; p < 64; ++p) places[p] = low + width * (double(p % curve_pieces) + 0.5 + t);
    return levels(places);
  };
  // Piece 32 comes first.
  const auto coefficient = [&](int j, size_t p) -> float& {
    return coefficients[size_t(j * curve_pieces) + (p + 1) % curve_pieces];
  };
  const int points = degree + 1;
  std::array<std::array<double, 64>, 5> y;
  for (int k = 0; k < points; ++k) y[size_t(k)] = at(0.5 * std::cos(M_PI * (2 * k + 1) / (2 * points)));
  for (size_t p = 0; p < curve_pieces; ++p) {
    double c[5] = {};
    for (int j = 0; j < points; ++j) {
      for (int k = 0; k < points; ++k)
        c[j] += (j == 0 ? 1.0 : 2.0) / points * y[size_t(k)][p] * std::cos(M_PI * j * (2 * k + 1) / (2 * points));
    }
    // Sums of Chebyshev polynomials of 2t as powers of t.
    const double powers[5] = {c[0] - c[2] + c[4], 2 * (c[1] - 3 * c[3]), 4 * (2 * c[2] - 8 * c[4]), 8 * 4 * c[3],
                              16 * 8 * c[4]};
    for (int j = 0; j < points; ++j) coefficient(j, p) = float(powers[j]);
  }
  constexpr int checks = 32;
  for (int k = 0; k <= checks; ++k) {
    const float t = float(k) / checks - 0.5f;
    const std::array<double, 64> want = at(double(t));
    for (size_t p = 0; p < curve_pieces; ++p) {
      float sum = coefficient(degree, p);
      for (int j = degree - 1; j >= 0; --j) sum = std::fma(sum, t, coefficient(j, p));
      const double level = double(sum);
      if (within && !(level > least - 0.499 && level < most + 0.499)) return false;
      // Beyond the levels all that counts is that it is beyond.
      const double off = std::clamp(level, least - 1, most + 1) - std::clamp(want[p], least - 1, most + 1);
      if (!(std::fabs(off) < curve_bound)) return false;
    }
  }
  return true;
}

template <class Levels>
bool find_curve(const Levels& levels, double least, double most, bool within, int top, CurveView* curve,
                std::vector<float>* coefficients) {
  double low = 0, high = 0;
  if (!find_ends(levels, least, most, top, &low, &high)) return false;
  for (int degree : {3, 4}) {
    coefficients->resize(size_t((degree + 1) * curve_pieces));
    if (!fit_curve(levels, least, most, low, high, within, degree, coefficients->data())) continue;
    curve->degree = degree;
    curve->scale = float(curve_pieces / (high - low));
    curve->offset = float(0.5 - low * curve_pieces / (high - low));
    return true;
  }
  coefficients->clear();
  return false;
}
#endif

}  // namespace

// bias?, then smooth steps on values of the chain alone.
void EpiloguePlan::find_curve_form(const Epilogue& e) {
  if (bytes_.fits || columns_ || e.steps.empty()) return;
  if (base_.gate.on && base_.gate.levels) {
    curve_ = Curve::gate;
    return;
  }
  const int first_value = 1 + int(e.operands.size());
  const size_t begin = bias_operand_ >= 0 ? 1 : 0;
  const int start = begin == 1 ? first_value : 0;
  const auto on_chain = [&](int v) { return v == start || v >= first_value; };
  for (size_t i = begin; i < e.steps.size(); ++i) {
    const EpilogueStep& s = e.steps[i];
    if (!on_chain(s.a) || (s.op <= EpilogueOp::prelu && !on_chain(s.b)) || s.op == EpilogueOp::round) return;
  }
  // HardSwish takes less than a curve.
  if (!(fast_ && base_.activation == 1 + uint8_t(EpilogueOp::hswish))) curve_ = Curve::result;
}

void EpiloguePlan::make_curve(EpilogueFn run) {
#if defined(__x86_64__)
  if (run != avx512::epilogue_tile && run != avx512bf16::epilogue_tile) return;
  if (curve_ == Curve::gate) make_gate_curve();
  if (curve_ == Curve::result) make_result_curve(run);
#else
  (void)run;
#endif
}

#if defined(__x86_64__)
void EpiloguePlan::make_gate_curve() {
  const GateView& g = base_.gate;
  // Levels of bytes, with whole numbers for ends.
  const auto fits = [](const LevelsView& l) {
    return l.inverse > 0 && l.high >= l.low && l.low > -gate_reach && l.high < gate_reach &&
           std::nearbyint(l.low) == l.low && std::nearbyint(l.high) == l.high;
  };
  if (!fits(g.value) || !fits(g.gate)) return;
  const auto levels = [&](const std::array<double, 64>& places) {
    std::array<double, 64> out;
    for (size_t i = 0; i < 64; ++i) out[i] = double(g.gate.inverse) / (1 + std::exp(-places[i]));
    return out;
  };
  // (A straight line needs no curve.)
  if (g.hard || find_curve(levels, double(g.gate.low), double(g.gate.high), true, 7, &base_.curve, &coefficients_))
    base_.curve.run = avx512::gate_tile;
}

void EpiloguePlan::make_result_curve(EpilogueFn run) {
  EpilogueView v = base_;
  v.integer = false;
  v.steps = steps_.data();
  v.out_type = Num::f32;
  v.ld_out = 64;
  // The steps themselves give the results.
  const auto levels = [&](const std::array<double, 64>& places) {
    alignas(64) float values[64], results[64];
    for (size_t i = 0; i < 64; ++i) values[i] = float(places[i]);
    v.out = results;
    run(v, TileView{values, 64, 1, 64, 0, 0});
    std::array<double, 64> out;
    for (size_t i = 0; i < 64; ++i) out[i] = double(results[i]) * double(base_.out_inv_scale);
    return out;
  };
  // Farther out than bytes reach, functions may be less exact.
  const int top = std::max(5, std::ilogb(512 / base_.out_inv_scale) + 1);
  const double zero = double(base_.out_zero);
  if (find_curve(levels, double(base_.out_low) - zero, double(base_.out_high) - zero, false, top, &base_.curve,
                 &coefficients_))
    base_.curve.run = avx512::curve_tile;
}
#endif

}  // namespace hone::cpu
