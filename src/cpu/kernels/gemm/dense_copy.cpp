// How dense products bring a strip of their input into the form that the tile kernels read.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/gemm/dense.hpp"

namespace hone::cpu {
namespace {

// n values, of `bytes` each, to every `channels`-th place.
void spread_one(const uint8_t* from, int64_t bytes, uint8_t* to, int64_t channels, int64_t n) {
  const auto each = [&](const auto* x, auto* y) {
    for (int64_t i = 0; i < n; ++i) y[i * channels] = x[i];
  };
  if (bytes == 4) {
    each(reinterpret_cast<const uint32_t*>(from), reinterpret_cast<uint32_t*>(to));
  } else if (bytes == 2) {
    each(reinterpret_cast<const uint16_t*>(from), reinterpret_cast<uint16_t*>(to));
  } else {
    each(from, to);
  }
}

// Four planes of n values to four neighbours in each pixel of `pixel` bytes: one store a pixel.
void spread_four(const uint8_t* const* from, int64_t bytes, uint8_t* to, int64_t pixel, int64_t n) {
  if (bytes == 1) {
    const uint8_t *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    for (int64_t i = 0; i < n; ++i, to += pixel) {
      const uint32_t four = uint32_t(a[i]) | uint32_t(b[i]) << 8 | uint32_t(c[i]) << 16 | uint32_t(d[i]) << 24;
      std::memcpy(to, &four, 4);
    }
    return;
  }
  const auto words = [&](auto* a, auto* b, auto* c, auto* d, int shift) {
    for (int64_t i = 0; i < n; ++i, to += pixel) {
      const uint64_t low = uint64_t(a[i]) | uint64_t(b[i]) << shift, high = uint64_t(c[i]) | uint64_t(d[i]) << shift;
      if (shift == 16) {
        const uint64_t four = low | high << 32;
        std::memcpy(to, &four, 8);
      } else {
        std::memcpy(to, &low, 8);
        std::memcpy(to + 8, &high, 8);
      }
    }
  };
  if (bytes == 2) {
    const auto* p = reinterpret_cast<const uint16_t* const*>(from);
    words(p[0], p[1], p[2], p[3], 16);
  } else {
    const auto* p = reinterpret_cast<const uint32_t* const*>(from);
    words(p[0], p[1], p[2], p[3], 32);
  }
}

}  // namespace

void DenseKernel::copy_pixels(const uint8_t* from, int64_t step, uint8_t* to, int64_t pixels) const {
  const DenseSpec& d = spec_;
  const int64_t channels = d.a_channels();
  if (d.a_channel == 1 && step == channels) {
    const int64_t n = pixels * channels;
    if (d.kind == DenseKind::f32 && d.a_type == Num::f16) {
      isa_.f16_to_f32(reinterpret_cast<const uint16_t*>(from), reinterpret_cast<float*>(to), n);
    } else if (d.kind == DenseKind::f32 && d.a_type == Num::bf16) {
      isa_.bf16_to_f32(reinterpret_cast<const uint16_t*>(from), reinterpret_cast<float*>(to), n);
    } else if (d.kind == DenseKind::bf16 && d.a_type == Num::f32) {
      isa_.f32_to_bf16(reinterpret_cast<const float*>(from), reinterpret_cast<uint16_t*>(to), n);
    } else if (flips_copy()) {
      for (int64_t i = 0; i < n; ++i) to[i] = from[i] ^ 0x80;
    } else {
      std::memcpy(to, from, size_t(n * a_bytes_));
    }
    return;
  }
  // From planes: a stretch of each is converted, then spread out.
  const int64_t source_bytes = int64_t(num_bytes(d.a_type));
  constexpr int64_t stretch = 512;
  alignas(64) uint8_t buffer[4][stretch * 4 + 64];
  for (int64_t x = 0; x < pixels; x += stretch) {
    const int64_t n = std::min(stretch, pixels - x);
    const auto plane = [&](int64_t c, uint8_t* to) {
      const uint8_t* source = from + (c * d.a_channel + x * step) * source_bytes;
      if (step == 1) return convert(source, to, n);
      for (int64_t i = 0; i < n; ++i)
        std::memcpy(to + i * source_bytes, source + i * step * source_bytes, size_t(source_bytes));
      return convert(to, to, n);
    };
    uint8_t* out = to + x * channels * a_bytes_;
    if (channels == 3) {
      interleave(plane(0, buffer[0]), plane(1, buffer[1]), plane(2, buffer[2]), out, n);
      continue;
    }
    int64_t c = 0;
    for (; c + 4 <= channels; c += 4) {
      const uint8_t* planes[4];
      for (int k = 0; k < 4; ++k) planes[k] = plane(c + k, buffer[k]);
      spread_four(planes, a_bytes_, out + c * a_bytes_, channels * a_bytes_, n);
    }
    for (; c < channels; ++c) spread_one(plane(c, buffer[0]), a_bytes_, out + c * a_bytes_, channels, n);
  }
}

// n values as the tiles read them: converted to `to`, which may be `from`, or where they lie.
const uint8_t* DenseKernel::convert(const uint8_t* from, uint8_t* to, int64_t n) const {
  const DenseSpec& d = spec_;
  const auto* words = reinterpret_cast<const uint16_t*>(from);
  if (d.kind == DenseKind::f32) {
    if (d.a_type == Num::f32) return from;
    // 16 bits to 32: not in place.
    alignas(64) uint16_t copy[512 + 32];
    std::memcpy(copy, words, size_t(n) * 2);
    (d.a_type == Num::f16 ? isa_.f16_to_f32 : isa_.bf16_to_f32)(copy, reinterpret_cast<float*>(to), n);
  } else if (d.kind == DenseKind::bf16) {
    if (d.a_type == Num::bf16) return from;
    isa_.f32_to_bf16(reinterpret_cast<const float*>(from), reinterpret_cast<uint16_t*>(to), n);
  } else {
    if (!flips_copy()) return from;
    for (int64_t i = 0; i < n; ++i) to[i] = from[i] ^ 0x80;
  }
  return to;
}

// Three planes to pixels. Pixels of 16 bits are written as 8 bytes, of which the next pixel overwrites two: there is
// room behind the last.
void DenseKernel::interleave(const uint8_t* a, const uint8_t* b, const uint8_t* c, uint8_t* to, int64_t n) const {
  if (a_bytes_ == 2) {
    const auto *x = reinterpret_cast<const uint16_t*>(a), *y = reinterpret_cast<const uint16_t*>(b),
               *z = reinterpret_cast<const uint16_t*>(c);
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t pixel = uint64_t(x[i]) | uint64_t(y[i]) << 16 | uint64_t(z[i]) << 32;
      std::memcpy(to + i * 6, &pixel, 8);
    }
    return;
  }
  const auto each = [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    const T *x = reinterpret_cast<const T*>(a), *y = reinterpret_cast<const T*>(b), *z = reinterpret_cast<const T*>(c);
    for (int64_t i = 0; i < n; ++i) {
      out[i * 3] = x[i];
      out[i * 3 + 1] = y[i];
      out[i * 3 + 2] = z[i];
    }
  };
  if (a_bytes_ == 4) {
    each(reinterpret_cast<float*>(to));
  } else {
    each(to);
  }
}

void DenseKernel::copy_strip(const uint8_t* a, const Strip& s, uint8_t* to) const {
  const DenseSpec& d = spec_;
  const int64_t pixel = d.a_channels() * a_bytes_;
  const int64_t in_rows = (s.rows - 1) * d.stride_h + (d.kernel_h - 1) * d.dilation_h + 1;
  const int padding = d.kind == DenseKind::int8 ? (d.a_zero + (flips_copy() ? 128 : 0)) & 0xff : 0;
  const int64_t source_bytes = int64_t(num_bytes(d.a_type));
  // Columns [left, right) of the copy come from the input.
  const int64_t left = std::min(d.pad_left, copy_w_), right = std::max(left, std::min(copy_w_, d.pad_left + d.in_w));
  // Rows of one pixel each, as those of a matrix, are copied like the pixels of a row.
  const bool column =
      copy_w_ == 1 && d.in_w == 1 && left == 0 && d.pad_top == 0 && (d.a_channel != 1 || d.a_row == d.a_channels());
  for (int64_t n = 0; n < s.images; ++n) {
    if (column) {
      const int64_t begin = s.row * d.stride_h, rows = std::min(in_rows, d.in_h - begin);
      copy_pixels(a + (d.a_image[size_t(s.image + n)] + begin * d.a_row) * source_bytes, d.a_row, to, rows);
      std::memset(to + rows * pixel, padding, size_t((in_rows - rows) * pixel));
      to += in_rows * pixel;
      continue;
    }
    for (int64_t y = 0; y < in_rows; ++y, to += copy_w_ * pixel) {
      const int64_t in_y = s.row * d.stride_h + y - d.pad_top;
      if (in_y < 0 || in_y >= d.in_h) {
        std::memset(to, padding, size_t(copy_w_ * pixel));
        continue;
      }
      std::memset(to, padding, size_t(left * pixel));
      copy_pixels(a + (d.a_image[size_t(s.image + n)] + in_y * d.a_row) * source_bytes, d.a_pixel, to + left * pixel,
                  right - left);
      std::memset(to + right * pixel, padding, size_t((copy_w_ - right) * pixel));
    }
  }
  std::memset(to, 0, 64);
}

}  // namespace hone::cpu
