// The optimizers' elementwise arithmetic. Outputs may be the inputs themselves.
#pragma once
#include "cpu/kernels/training/isa.hpp"
#include "cpu/kernels/training/vec.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

inline void sgd(const SgdFactors& f, const float* p, const float* g, const float* m, float* new_p, float* new_m,
                int64_t n) {
  const VF lr = splat(f.lr), scale = splat(f.scale), momentum = splat(f.momentum), decay = splat(f.decay);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t k = n - i;
    const VF w = load_n(p + i, k);
    const VF grad = madd(decay, w, scale * load_n(g + i, k));
    const VF v = madd(momentum, load_n(m + i, k), grad);
    const VF step = f.nesterov ? madd(momentum, v, grad) : v;
    if (new_m) store_n(new_m + i, v, k);
    if (new_p) store_n(new_p + i, w - lr * step, k);
  }
}

inline void adamw(const AdamFactors& f, const float* p, const float* g, const float* m, const float* v, float* new_p,
                  float* new_m, float* new_v, int64_t n) {
  const VF lr = splat(f.lr), scale = splat(f.scale), beta1 = splat(f.beta1), beta2 = splat(f.beta2);
  const VF rest1 = splat(1.0f - f.beta1), rest2 = splat(1.0f - f.beta2), keep = splat(1.0f - f.lr * f.decay);
  const VF correction1 = splat(f.correction1), correction2 = splat(f.correction2), epsilon = splat(f.epsilon);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t k = n - i;
    const VF grad = scale * load_n(g + i, k);
    const VF m1 = madd(rest1, grad, beta1 * load_n(m + i, k));
    const VF v1 = madd(rest2, grad * grad, beta2 * load_n(v + i, k));
    const VF step = (m1 * correction1) / (square_root(v1 * correction2) + epsilon);
    const VF w = keep * load_n(p + i, k);
    if (new_m) store_n(new_m + i, m1, k);
    if (new_v) store_n(new_v + i, v1, k);
    if (new_p) store_n(new_p + i, w - lr * step, k);
  }
}

inline void ema(float decay, const float* average, const float* p, float* out, int64_t n) {
  const VF keep = splat(decay), rest = splat(1.0f - decay);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t k = n - i;
    store_n(out + i, madd(rest, load_n(p + i, k), keep * load_n(average + i, k)), k);
  }
}

inline void add_parts(const float* parts, int64_t stride, int64_t count, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    VF s = load_n(parts + i, n - i);
    for (int64_t k = 1; k < count; ++k) s += load_n(parts + k * stride + i, n - i);
    store_n(out + i, s, n - i);
  }
}

/// Vectors of up to 1024 elements are summed in f32, then in f64.
inline double sum_of_squares(const float* p, int64_t n) {
  double total = 0;
  for (int64_t b = 0; b < n; b += 1024) {
    VF s = splat(0.0f);
    const int64_t end = b + 1024 < n ? b + 1024 : n;
    for (int64_t i = b; i < end; i += kLanes) {
      const VF v = load_n(p + i, end - i);
      s = madd(v, v, s);
    }
    for (int k = 0; k < kLanes; ++k) total += static_cast<double>(s[k]);
  }
  return total;
}

}  // namespace hone::cpu::training::HONE_ISA
