// BatchNorm in training over [pixels][channels]: sums for the statistics, then one elementwise pass; the gradient
// likewise. Up to four vectors of channels stay in registers while the pixels pass by.
#pragma once
#include "cpu/kernels/training/isa.hpp"
#include "cpu/kernels/training/vec.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

template <int N>
struct Count {
  static constexpr int value = N;
};

/// Calls f(first channel, lanes of the last vector, Count<vectors>) for stretches of up to four vectors.
template <class F>
HONE_INLINE void for_channels(int64_t channels, F&& f) {
  for (int64_t c = 0; c < channels;) {
    const int64_t left = channels - c;
    if (left >= 4 * kLanes) {
      f(c, static_cast<int64_t>(kLanes), Count<4>());
      c += 4 * kLanes;
    } else if (left >= 2 * kLanes) {
      f(c, static_cast<int64_t>(kLanes), Count<2>());
      c += 2 * kLanes;
    } else {
      f(c, left < kLanes ? left : static_cast<int64_t>(kLanes), Count<1>());
      c += kLanes;
    }
  }
}
/// Vector v of NV; the last one has `last` lanes.
template <int NV, class T>
HONE_INLINE VF get(const T* p, int v, int64_t last) {
  if (NV > 1 || last == kLanes) return load(p + v * kLanes);
  return load_n(p, last);
}
template <int NV, class T>
HONE_INLINE void put(T* p, int v, VF x, int64_t last) {
  if (NV > 1 || last == kLanes) return store(p + v * kLanes, x);
  store_n(p, x, last);
}

template <class T>
void norm_statistics_of(const T* x, int64_t pixels, int64_t channels, const float* shift, float* sum, float* square) {
  for_channels(
      channels, [&](int64_t c, int64_t last, auto count) __attribute__((always_inline)) {
        constexpr int NV = decltype(count)::value;
        constexpr int PU = 4 / NV;  // pixels in flight, so that four chains of additions overlap
        VF k[NV], s[PU][NV], q[PU][NV];
        for (int v = 0; v < NV; ++v) k[v] = get<NV>(shift + c, v, last);
        for (int u = 0; u < PU; ++u)
          for (int v = 0; v < NV; ++v) s[u][v] = q[u][v] = splat(0.0f);
        const T* p = x + c;
        int64_t i = 0;
        for (; i + PU <= pixels; i += PU) {
          HONE_UNROLL for (int u = 0; u < PU; ++u, p += channels) HONE_UNROLL for (int v = 0; v < NV; ++v) {
            const VF d = get<NV>(p, v, last) - k[v];
            s[u][v] += d;
            q[u][v] = madd(d, d, q[u][v]);
          }
        }
        for (; i < pixels; ++i, p += channels)
          for (int v = 0; v < NV; ++v) {
            const VF d = get<NV>(p, v, last) - k[v];
            s[0][v] += d;
            q[0][v] = madd(d, d, q[0][v]);
          }
        for (int v = 0; v < NV; ++v) {
          for (int u = 1; u < PU; ++u) s[0][v] += s[u][v], q[0][v] += q[u][v];
          put<NV>(sum + c, v, s[0][v], last);
          put<NV>(square + c, v, q[0][v], last);
        }
      });
}
inline void norm_statistics(Storage t, const void* x, int64_t pixels, int64_t channels, const float* shift, float* sum,
                            float* square) {
  if (t == Storage::f32) return norm_statistics_of(static_cast<const float*>(x), pixels, channels, shift, sum, square);
  norm_statistics_of(static_cast<const uint16_t*>(x), pixels, channels, shift, sum, square);
}

template <class T, bool Relu, bool Residual>
void norm_apply_of(const NormApply& a, int64_t first, int64_t pixels, int64_t channels) {
  for_channels(
      channels, [&](int64_t c, int64_t last, auto count) __attribute__((always_inline)) {
        constexpr int NV = decltype(count)::value;
        VF k[NV], o[NV];
        for (int v = 0; v < NV; ++v) k[v] = get<NV>(a.scale + c, v, last), o[v] = get<NV>(a.offset + c, v, last);
        const int64_t at = first * channels + c;
        const T* x = static_cast<const T*>(a.x) + at;
        const T* r = Residual ? static_cast<const T*>(a.residual) + at : nullptr;
        T* y = static_cast<T*>(a.y) + at;
        for (int64_t i = 0; i < pixels; ++i, x += channels, y += channels) {
          HONE_UNROLL for (int v = 0; v < NV; ++v) {
            VF z = madd(get<NV>(x, v, last), k[v], o[v]);
            if (Residual) z += get<NV>(r, v, last);
            if (Relu) z = maximum(splat(0.0f), z);  // NaN stays
            put<NV>(y, v, z, last);
          }
          if (Residual) r += channels;
        }
      });
}
template <class T>
void norm_apply_as(const NormApply& a, int64_t first, int64_t pixels, int64_t channels) {
  if (a.residual)
    return a.relu ? norm_apply_of<T, true, true>(a, first, pixels, channels)
                  : norm_apply_of<T, false, true>(a, first, pixels, channels);
  return a.relu ? norm_apply_of<T, true, false>(a, first, pixels, channels)
                : norm_apply_of<T, false, false>(a, first, pixels, channels);
}
inline void norm_apply(Storage t, const NormApply& a, int64_t first, int64_t pixels, int64_t channels) {
  if (t == Storage::f32) return norm_apply_as<float>(a, first, pixels, channels);
  norm_apply_as<uint16_t>(a, first, pixels, channels);
}

template <class T, bool Relu, bool Residual>
void norm_grad_sums_of(const NormGrad& g, int64_t first, int64_t pixels, int64_t channels, float* sum, float* product) {
  for_channels(
      channels, [&](int64_t c, int64_t last, auto count) __attribute__((always_inline)) {
        constexpr int NV = decltype(count)::value;
        constexpr int PU = 4 / NV;
        VF m[NV], s[PU][NV], q[PU][NV];
        for (int v = 0; v < NV; ++v) m[v] = get<NV>(g.mean + c, v, last);
        for (int u = 0; u < PU; ++u)
          for (int v = 0; v < NV; ++v) s[u][v] = q[u][v] = splat(0.0f);
        int64_t at = first * channels + c;
        auto step = [&](int u, int64_t from) __attribute__((always_inline)) {
          const T* x = static_cast<const T*>(g.x) + from;
          const T* dy = static_cast<const T*>(g.dy) + from;
          HONE_UNROLL for (int v = 0; v < NV; ++v) {
            VF d = get<NV>(dy, v, last);
            if (Relu) d = where_positive(get<NV>(static_cast<const T*>(g.y) + from, v, last), d);
            if (Residual) put<NV>(static_cast<T*>(g.dresidual) + from, v, d, last);
            s[u][v] += d;
            q[u][v] = madd(d, get<NV>(x, v, last) - m[v], q[u][v]);
          }
        };
        int64_t i = 0;
        for (; i + PU <= pixels; i += PU) HONE_UNROLL for (int u = 0; u < PU; ++u, at += channels) step(u, at);
        for (; i < pixels; ++i, at += channels) step(0, at);
        for (int v = 0; v < NV; ++v) {
          for (int u = 1; u < PU; ++u) s[0][v] += s[u][v], q[0][v] += q[u][v];
          put<NV>(sum + c, v, s[0][v], last);
          put<NV>(product + c, v, q[0][v], last);
        }
      });
}
template <class T>
void norm_grad_sums_as(const NormGrad& g, int64_t first, int64_t pixels, int64_t channels, float* sum, float* product) {
  if (g.dresidual)
    return g.y ? norm_grad_sums_of<T, true, true>(g, first, pixels, channels, sum, product)
               : norm_grad_sums_of<T, false, true>(g, first, pixels, channels, sum, product);
  return g.y ? norm_grad_sums_of<T, true, false>(g, first, pixels, channels, sum, product)
             : norm_grad_sums_of<T, false, false>(g, first, pixels, channels, sum, product);
}
inline void norm_grad_sums(Storage t, const NormGrad& g, int64_t first, int64_t pixels, int64_t channels, float* sum,
                           float* product) {
  if (t == Storage::f32) return norm_grad_sums_as<float>(g, first, pixels, channels, sum, product);
  norm_grad_sums_as<uint16_t>(g, first, pixels, channels, sum, product);
}

template <class T, bool Relu>
void norm_grad_apply_of(const NormGrad& g, int64_t first, int64_t pixels, int64_t channels) {
  for_channels(
      channels, [&](int64_t c, int64_t last, auto count) __attribute__((always_inline)) {
        constexpr int NV = decltype(count)::value;
        VF m[NV], ka[NV], kb[NV], kc[NV];
        for (int v = 0; v < NV; ++v) {
          m[v] = get<NV>(g.mean + c, v, last);
          ka[v] = get<NV>(g.a + c, v, last);
          kb[v] = get<NV>(g.b + c, v, last);
          kc[v] = get<NV>(g.c + c, v, last);
        }
        int64_t at = first * channels + c;
        for (int64_t i = 0; i < pixels; ++i, at += channels) {
          HONE_UNROLL for (int v = 0; v < NV; ++v) {
            VF d = get<NV>(static_cast<const T*>(g.dy) + at, v, last);
            if (Relu) d = where_positive(get<NV>(static_cast<const T*>(g.y) + at, v, last), d);
            const VF x = get<NV>(static_cast<const T*>(g.x) + at, v, last) - m[v];
            put<NV>(static_cast<T*>(g.dx) + at, v, madd(kb[v], x, madd(ka[v], d, kc[v])), last);
          }
        }
      });
}
inline void norm_grad_apply(Storage t, const NormGrad& g, int64_t first, int64_t pixels, int64_t channels) {
  if (t == Storage::f32)
    return g.y ? norm_grad_apply_of<float, true>(g, first, pixels, channels)
               : norm_grad_apply_of<float, false>(g, first, pixels, channels);
  g.y ? norm_grad_apply_of<uint16_t, true>(g, first, pixels, channels)
      : norm_grad_apply_of<uint16_t, false>(g, first, pixels, channels);
}

}  // namespace hone::cpu::training::HONE_ISA
