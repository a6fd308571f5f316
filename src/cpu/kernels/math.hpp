// Elementary functions on vectors, for ISA files only (see simd.hpp). Measured against double precision over the whole
// range: exp, expm1, log, log1p <= 2 ulp; sigmoid, tanh <= 4 ulp; erf <= 7 ulp. Results below 2^-126 are flushed to
// zero by exp and sigmoid.
#pragma once
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

// 2^n for n in [-127, 128]: zero at -127.
HONE_INLINE vf power_of_two(vi n) {
  return (vf)((n + 127) << 23);
}

// x = n ln 2 + r with |r| <= ln 2 / 2; returns exp(r) - 1 and n. Coefficients: Cephes expf.
HONE_INLINE vf reduced_expm1(vf x, vi* n) {
  const vf t = nearest(x * 1.44269504088896341f);
  *n = round_to_int(t);
  vf r = x - t * 0.693359375f;
  r = r + t * 2.12194440e-4f;
  vf p = set1(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * (r * r) + r;
}

HONE_INLINE vf exponential(vf x) {
  const vf clamped = clamp_to(x, set1(-87.33654f), set1(88.8f));
  vi n;
  const vf p = reduced_expm1(clamped, &n);
#if HONE_LANES == 16
  vf y = (vf)_mm512_scalef_ps((__m512)(p + 1.0f), (__m512)to_float(n));
#else
  // 2^n in two factors, since n may be 128.
  const vi half = n >> 1;
  vf y = (p + 1.0f) * power_of_two(half) * power_of_two(n - half);
#endif
  y = select(x < -87.33654f, vf{}, y);
  return y;
}

HONE_INLINE vf exp_minus_one(vf x) {
  const vf clamped = clamp_to(x, set1(-25.0f), set1(88.8f));
  vi n;
  const vf p = reduced_expm1(clamped, &n);
  const vi half = n >> 1;
  const vf s1 = power_of_two(half), s2 = power_of_two(n - half);
  // 2^n p + (2^n - 1): exact enough around zero, where n is 0.
  return select(n > 126, (p + 1.0f) * s1 * s2, p * (s1 * s2) + (s1 * s2 - 1.0f));
}

#if HONE_LANES == 16
// 1 / (1 + 2^y) with y = -x log2(e) = n + f, |f| <= 1/2: half the work of the way over exp. Beyond 87 nothing changes
// that a float could hold, and below comes zero.
HONE_INLINE vf logistic(vf v) {
  const __m512 x = (__m512)clamp_to(v, set1(-87.0f), set1(87.0f)), scale = _mm512_set1_ps(-1.44269502f);
  const __m512 n = (__m512)nearest((vf)_mm512_mul_ps(x, scale));
  const vf f = (vf)_mm512_fmadd_ps(x, _mm512_set1_ps(-1.92596303e-8f), _mm512_fmsub_ps(x, scale, n));
  vf p = set1(1.5384008e-4f);
  p = p * f + 1.3408952e-3f;
  p = p * f + 9.618375e-3f;
  p = p * f + 5.550301e-2f;
  p = p * f + 2.4022648e-1f;
  p = p * f + 6.9314724e-1f;
  p = p * f + 1.0f;
  const vf d = (vf)_mm512_scalef_ps((__m512)p, n) + 1.0f;
  const __mmask16 some = _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(-87.33654f), _CMP_NLT_UQ);
  const vf r = (vf)_mm512_maskz_rcp14_ps(some, (__m512)d);
  return r + r * (1.0f - d * r);
}
// For results of 16 bits: within 1.5e-4 of the value, in two thirds of the time.
HONE_INLINE vf coarse_logistic(vf v) {
  const vf y = clamp_to(v, set1(-87.0f), set1(87.0f)) * -1.44269502f, n = nearest(y), f = y - n;
  vf p = set1(5.517132e-2f);
  p = p * f + 2.4261055e-1f;
  p = p * f + 6.9326099e-1f;
  p = p * f + 9.9992811e-1f;
  const vf d = (vf)_mm512_scalef_ps((__m512)p, (__m512)n) + 1.0f;
  const __mmask16 some = _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(-87.33654f), _CMP_NLT_UQ);
  return (vf)_mm512_maskz_rcp14_ps(some, (__m512)d);
}
#else
HONE_INLINE vf logistic(vf x) {
  const vf y = quotient(set1(1.0f), minimum(set1(3e38f), 1.0f + exponential(-x)));
  return select(x < -87.33654f, vf{}, y);
}
HONE_INLINE vf coarse_logistic(vf x) {
  return logistic(x);
}
#endif

HONE_INLINE vf hyperbolic_tangent(vf x) {
  const vf a = absolute(x);
  const vf e = exp_minus_one(2.0f * minimum(set1(10.0f), a));
  const vf t = quotient(e, e + 2.0f);
  return select(x != x, x, (vf)((vi)t | ((vi)x & set1i(int32_t(0x80000000u)))));
}

// Rational approximation on [-4, 4], where erf reaches 1 (the one of Eigen and XLA).
HONE_INLINE vf error_function(vf x0) {
  const vf x = clamp_to(x0, set1(-3.832506856900711f), set1(3.832506856900711f));
  const vf s = x * x;
  vf p = set1(0.00022905065861350646f);
  p = p * s + 0.0034082910107109506f;
  p = p * s + 0.050955695062380861f;
  p = p * s + 0.18520832239976145f;
  p = p * s + 1.128379143519084f;
  vf q = set1(-1.1791602954361697e-7f);
  q = q * s + 0.000023547966471313185f;
  q = q * s + 0.0010179625278914885f;
  q = q * s + 0.014070470171167667f;
  q = q * s + 0.11098505178285362f;
  q = q * s + 0.49746925110067538f;
  q = q * s + 1.0f;
  return quotient(x * p, q);
}

// Cephes logf: mantissa in [sqrt(1/2), sqrt(2)).
HONE_INLINE vf natural_log(vf x) {
  const vf tiny = set1(1.17549435e-38f);
  vf v = maximum(tiny, x);
  const vi bits = (vi)v;
  vi e = ((bits >> 23) & 0xff) - 126;
  vf m = (vf)((bits & 0x007fffff) | 0x3f000000);
  const vi low = m < 0.707106781186547524f;
  e = e + low;
  m = m + select(low, m, vf{}) - 1.0f;
  const vf z = m * m;
  vf p = set1(7.0376836292e-2f);
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const vf ef = to_float(e);
  vf y = p * (m * z);
  y = y + ef * -2.12194440e-4f;
  y = y - 0.5f * z;
  vf r = m + y;
  r = r + ef * 0.693359375f;
  const float inf = __builtin_inff(), nan = __builtin_nanf("");
  r = select(x == 0.0f, set1(-inf), r);
  r = select(x == inf, set1(inf), r);
  return select((x < 0.0f) | (x != x), set1(nan), r);
}

// log(1 + y) for y >= 0: the rounding error of 1 + y is added back.
HONE_INLINE vf log_one_plus(vf y) {
  const vf u = 1.0f + y;
  return natural_log(u) + (y - (u - 1.0f)) / u;
}

HONE_INLINE vf soft_plus(vf x) {
  return maximum(vf{}, x) + log_one_plus(exponential(-absolute(x)));
}
HONE_INLINE vf hard_swish(vf x) {
  return x * clamp_to(x + 3.0f, vf{}, set1(6.0f)) * (1.0f / 6.0f);
}
HONE_INLINE vf hard_sigmoid_6(vf x) {
  return clamp_to(x + 3.0f, vf{}, set1(6.0f)) * (1.0f / 6.0f);
}
HONE_INLINE vf gelu_by_erf(vf x) {
  return 0.5f * x * (1.0f + error_function(x * 0.70710678118654752f));
}
// The same within 2e-5 of the larger of 1 and |x|, for results that are stored in 16 or 8 bits: the normal distribution
// as an odd polynomial that reaches 1 at 4.3 (least maximal error).
HONE_INLINE vf rough_gelu_by_erf(vf x) {
  const vf c = clamp_to(x, set1(-4.3f), set1(4.3f)), s = c * c;
  vf p = set1(4.1971454e-11f);
  p = p * s - 4.2487684e-9f;
  p = p * s + 1.9021675e-7f;
  p = p * s - 5.0060471e-6f;
  p = p * s + 8.7116474e-5f;
  p = p * s - 1.0713796e-3f;
  p = p * s + 9.6951276e-3f;
  p = p * s - 6.6155568e-2f;
  p = p * s + 3.9880207e-1f;
  return x * (c * p + 0.5f);
}
// (1 + tanh(y)) / 2 is the logistic function of 2y.
HONE_INLINE vf gelu_by_tanh(vf x) {
  return x * logistic(x * (1.5957691216f + 0.0713548163f * x * x));
}
// x tanh(log(1 + e^x)) with tanh(log u) = (u^2 - 1) / (u^2 + 1).
HONE_INLINE vf mish_of(vf x) {
  const vf e = exponential(minimum(set1(20.0f), x));
  const vf n = e * (e + 2.0f);
  return x * quotient(n, n + 2.0f);
}

}  // namespace hone::cpu::HONE_NS
