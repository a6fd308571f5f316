// Gradients of pooling over one image in channels_last order, vectors along the channels.
#pragma once
#include "cpu/kernels/training/isa.hpp"
#include "cpu/kernels/training/vec.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

/// Row and column ranges of the taps of one window that lie inside of x.
struct Window {
  int64_t y, x;  ///< of the first tap, may be negative
  int64_t ky0, ky1, kx0, kx1;
};
HONE_INLINE Window window_at(const Pooling& p, int64_t oy, int64_t ox) {
  Window w;
  w.y = oy * p.stride_y - p.pad_top;
  w.x = ox * p.stride_x - p.pad_left;
  w.ky0 = w.y < 0 ? (-w.y + p.dilation_y - 1) / p.dilation_y : 0;
  w.kx0 = w.x < 0 ? (-w.x + p.dilation_x - 1) / p.dilation_x : 0;
  const int64_t room_y = p.height_in - w.y, room_x = p.width_in - w.x;
  w.ky1 = room_y <= 0 ? 0 : (room_y + p.dilation_y - 1) / p.dilation_y;
  w.kx1 = room_x <= 0 ? 0 : (room_x + p.dilation_x - 1) / p.dilation_x;
  if (w.ky1 > p.kernel_y) w.ky1 = p.kernel_y;
  if (w.kx1 > p.kernel_x) w.kx1 = p.kernel_x;
  return w;
}

template <class T>
void max_pool_grad_of(const Pooling& p, const T* x, const T* dy, float* dx) {
  for (int64_t oy = 0; oy < p.height_out; ++oy) {
    for (int64_t ox = 0; ox < p.width_out; ++ox) {
      const Window w = window_at(p, oy, ox);
      if (w.ky0 >= w.ky1 || w.kx0 >= w.kx1) continue;
      for (int64_t c = 0; c < p.channels; c += kLanes) {
        const int64_t n = p.channels - c;
        // the number of the first maximum, as a float: windows of more than 2^24 taps are refused
        VF best = splat(-__builtin_inff()), which = splat(0.0f);
        bool first = true;
        for (int64_t ky = w.ky0; ky < w.ky1; ++ky)
          for (int64_t kx = w.kx0; kx < w.kx1; ++kx) {
            const VF v =
                load_n(x + ((w.y + ky * p.dilation_y) * p.width_in + w.x + kx * p.dilation_x) * p.channels + c, n);
            const VF number = splat(static_cast<float>(ky * p.kernel_x + kx));
            if (first) {
              best = v, which = number, first = false;
              continue;
            }
            which = v > best ? number : which;
            best = v > best ? v : best;
          }
        const VF d = load_n(dy + (oy * p.width_out + ox) * p.channels + c, n);
        for (int64_t ky = w.ky0; ky < w.ky1; ++ky)
          for (int64_t kx = w.kx0; kx < w.kx1; ++kx) {
            float* to = dx + ((w.y + ky * p.dilation_y) * p.width_in + w.x + kx * p.dilation_x) * p.channels + c;
            const VF number = splat(static_cast<float>(ky * p.kernel_x + kx));
            store_n(to, load_n(to, n) + (which == number ? d : splat(0.0f)), n);
          }
      }
    }
  }
}
inline void max_pool_grad(Storage t, const Pooling& p, const void* x, const void* dy, float* dx) {
  if (t == Storage::f32) return max_pool_grad_of(p, static_cast<const float*>(x), static_cast<const float*>(dy), dx);
  max_pool_grad_of(p, static_cast<const uint16_t*>(x), static_cast<const uint16_t*>(dy), dx);
}

template <class T>
void avg_pool_grad_of(const Pooling& p, const T* dy, float* dx) {
  for (int64_t oy = 0; oy < p.height_out; ++oy) {
    for (int64_t ox = 0; ox < p.width_out; ++ox) {
      const Window w = window_at(p, oy, ox);
      if (w.ky0 >= w.ky1 || w.kx0 >= w.kx1) continue;
      int64_t count = (w.ky1 - w.ky0) * (w.kx1 - w.kx0);
      if (!p.exclude_pad) {
        const int64_t rows = (p.height_in + p.pad_bottom - w.y + p.dilation_y - 1) / p.dilation_y;
        const int64_t columns = (p.width_in + p.pad_right - w.x + p.dilation_x - 1) / p.dilation_x;
        count = (rows < p.kernel_y ? rows : p.kernel_y) * (columns < p.kernel_x ? columns : p.kernel_x);
      }
      const VF share = splat(1.0f / static_cast<float>(count));
      for (int64_t c = 0; c < p.channels; c += kLanes) {
        const int64_t n = p.channels - c;
        const VF d = load_n(dy + (oy * p.width_out + ox) * p.channels + c, n) * share;
        for (int64_t ky = w.ky0; ky < w.ky1; ++ky)
          for (int64_t kx = w.kx0; kx < w.kx1; ++kx) {
            float* to = dx + ((w.y + ky * p.dilation_y) * p.width_in + w.x + kx * p.dilation_x) * p.channels + c;
            store_n(to, load_n(to, n) + d, n);
          }
      }
    }
  }
}
inline void avg_pool_grad(Storage t, const Pooling& p, const void* dy, float* dx) {
  if (t == Storage::f32) return avg_pool_grad_of(p, static_cast<const float*>(dy), dx);
  avg_pool_grad_of(p, static_cast<const uint16_t*>(dy), dx);
}

inline void narrow(const float* from, void* bf16, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) store_n(static_cast<uint16_t*>(bf16) + i, load_n(from + i, n - i), n - i);
}

}  // namespace hone::cpu::training::HONE_ISA
