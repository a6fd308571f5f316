// Depthwise convolutions with variable weights and their gradients, channels last: vectors along the channels, sums
// over the taps in registers.
#pragma once
#include "cpu/kernels/training/batch_norm.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

template <class TI, class TO>
void depthwise_of(const Depthwise& d, const TI* x, const float* w, TO* y, int64_t y0, int64_t y1) {
  for (int64_t oy = y0; oy < y1; ++oy) {
    for (int64_t ox = 0; ox < d.width_out; ++ox) {
      for_channels(
          d.channels, [&](int64_t c, int64_t last, auto count) __attribute__((always_inline)) {
            constexpr int NV = decltype(count)::value;
            VF acc[NV];
            for (int v = 0; v < NV; ++v) acc[v] = splat(0.0f);
            for (int32_t r = d.row_begin[oy]; r < d.row_begin[oy + 1]; ++r) {
              const TI* row = x + d.rows[r].source * d.width_in * d.channels + c;
              const float* wr = w + d.rows[r].kernel * d.kernel_x * d.channels + c;
              for (int32_t k = d.column_begin[ox]; k < d.column_begin[ox + 1]; ++k) {
                const TI* p = row + d.columns[k].source * d.channels;
                const float* q = wr + d.columns[k].kernel * d.channels;
                HONE_UNROLL for (int v = 0; v < NV; ++v) acc[v] =
                    madd(get<NV>(p, v, last), get<NV>(q, v, last), acc[v]);
              }
            }
            for (int v = 0; v < NV; ++v) put<NV>(y + (oy * d.width_out + ox) * d.channels + c, v, acc[v], last);
          });
    }
  }
}
inline void depthwise(const Depthwise& d, const void* x, const float* w, void* y, int64_t y0, int64_t y1) {
  const auto* xf = static_cast<const float*>(x);
  const auto* xb = static_cast<const uint16_t*>(x);
  auto* yf = static_cast<float*>(y);
  auto* yb = static_cast<uint16_t*>(y);
  if (d.in == Storage::f32)
    return d.out == Storage::f32 ? depthwise_of(d, xf, w, yf, y0, y1) : depthwise_of(d, xf, w, yb, y0, y1);
  d.out == Storage::f32 ? depthwise_of(d, xb, w, yf, y0, y1) : depthwise_of(d, xb, w, yb, y0, y1);
}

template <class TI, class TO>
void depthwise_gradient_of(const Depthwise& d, const TI* x, const TO* dy, float* sum, int64_t y0, int64_t y1) {
  for (int64_t oy = y0; oy < y1; ++oy) {
    for_channels(
        d.channels, [&](int64_t c, int64_t last, auto count) __attribute__((always_inline)) {
          constexpr int NV = decltype(count)::value;
          for (int32_t r = d.row_begin[oy]; r < d.row_begin[oy + 1]; ++r) {
            const TI* row = x + d.rows[r].source * d.width_in * d.channels + c;
            float* to = sum + d.rows[r].kernel * d.kernel_x * d.channels + c;
            for (int64_t kx = 0; kx < d.kernel_x; ++kx, to += d.channels) {
              VF acc[NV];
              for (int v = 0; v < NV; ++v) acc[v] = get<NV>(to, v, last);
              // columns of a tap are few at the border and all in between: look each up
              for (int64_t ox = 0; ox < d.width_out; ++ox) {
                for (int32_t k = d.column_begin[ox]; k < d.column_begin[ox + 1]; ++k) {
                  if (d.columns[k].kernel != kx) continue;
                  const TI* p = row + d.columns[k].source * d.channels;
                  const TO* q = dy + (oy * d.width_out + ox) * d.channels + c;
                  HONE_UNROLL for (int v = 0; v < NV; ++v) acc[v] =
                      madd(get<NV>(p, v, last), get<NV>(q, v, last), acc[v]);
                }
              }
              for (int v = 0; v < NV; ++v) put<NV>(to, v, acc[v], last);
            }
          }
        });
  }
}
inline void depthwise_gradient(const Depthwise& d, const void* x, const void* dy, float* sum, int64_t y0, int64_t y1) {
  const auto* xf = static_cast<const float*>(x);
  const auto* xb = static_cast<const uint16_t*>(x);
  const auto* yf = static_cast<const float*>(dy);
  const auto* yb = static_cast<const uint16_t*>(dy);
  if (d.in == Storage::f32)
    return d.out == Storage::f32 ? depthwise_gradient_of(d, xf, yf, sum, y0, y1)
                                 : depthwise_gradient_of(d, xf, yb, sum, y0, y1);
  d.out == Storage::f32 ? depthwise_gradient_of(d, xb, yf, sum, y0, y1) : depthwise_gradient_of(d, xb, yb, sum, y0, y1);
}

}  // namespace hone::cpu::training::HONE_ISA
