// Stockham's transform with mixed radices: each pass reads one block in order and writes the other in order, so no
// bits are reversed. In f64: spectra of quiet parts are what logarithms behind them look at.
#include "cpu/kernels/spectral/spectral_view.hpp"

namespace hone::cpu::HONE_NS {
namespace {

typedef double vd __attribute__((vector_size(8 * fourier_lanes)));

struct Complex {
  vd re, im;
};
inline Complex at(const double* p) {
  return {*reinterpret_cast<const vd*>(p), *reinterpret_cast<const vd*>(p + fourier_lanes)};
}
inline void put(double* p, Complex v) {
  *reinterpret_cast<vd*>(p) = v.re;
  *reinterpret_cast<vd*>(p + fourier_lanes) = v.im;
}
inline Complex operator+(Complex a, Complex b) {
  return {a.re + b.re, a.im + b.im};
}
inline Complex operator-(Complex a, Complex b) {
  return {a.re - b.re, a.im - b.im};
}
inline Complex turned(Complex a, const double* turn) {
  return {a.re * turn[0] - a.im * turn[1], a.re * turn[1] + a.im * turn[0]};
}

constexpr int64_t step = 2 * fourier_lanes;

}  // namespace

double* fourier_lines(const FourierView& f, double* a, double* b) {
  for (int64_t pass = 0; pass < f.num_stages; ++pass) {
    const FourierStage s = f.stages[pass];
    const int64_t far = s.stride * s.left * step, near = s.stride * step;
    for (int64_t p = 0; p < s.left; ++p) {
      const double* in = a + p * near;
      double* out = b + p * s.radix * near;
      const auto turn = [&](int64_t u) { return f.turns + 2 * (p * u * s.stride % f.n); };
      if (s.radix == 4) {
        const double *w1 = turn(1), *w2 = turn(2), *w3 = turn(3);
        for (int64_t q = 0; q < near; q += step) {
          const Complex x0 = at(in + q), x1 = at(in + q + far), x2 = at(in + q + 2 * far), x3 = at(in + q + 3 * far);
          const Complex even = x0 + x2, odd = x1 + x3, difference = x0 - x2, other = x1 - x3;
          const Complex quarter{other.im, -other.re};  // a quarter of a turn backwards
          put(out + q, even + odd);
          put(out + q + near, turned(difference + quarter, w1));
          put(out + q + 2 * near, turned(even - odd, w2));
          put(out + q + 3 * near, turned(difference - quarter, w3));
        }
      } else if (s.radix == 2) {
        const double* w1 = turn(1);
        for (int64_t q = 0; q < near; q += step) {
          const Complex x0 = at(in + q), x1 = at(in + q + far);
          put(out + q, x0 + x1);
          put(out + q + near, turned(x0 - x1, w1));
        }
      } else {
        const int64_t root = f.n / s.radix;
        for (int64_t u = 0; u < s.radix; ++u) {
          for (int64_t q = 0; q < near; q += step) {
            Complex sum = at(in + q);
            for (int64_t t = 1; t < s.radix; ++t)
              sum = sum + turned(at(in + q + t * far), f.turns + 2 * (t * u % s.radix * root));
            put(out + q + u * near, turned(sum, turn(u)));
          }
        }
      }
    }
    double* t = a;
    a = b;
    b = t;
  }
  return a;
}

}  // namespace hone::cpu::HONE_NS
