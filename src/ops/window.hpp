// Arithmetic of sliding windows, shared by inference, reference evaluation and kernels of convolution and pooling.
// Needs tensors only. Formulas: OpenVINO opset specifications of Convolution-1, ConvolutionBackpropData-1, MaxPool-14
// and AvgPool-16.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "hone/error.hpp"
#include "hone/shape.hpp"
#include "ops/pooling.hpp"

namespace hone {

/// Strides, dilations and pads of one operator, with the empty lists of the attributes filled in and checked.
struct WindowAttributes {
  std::vector<int64_t> strides, dilations, pads_begin, pads_end;
  AutoPad auto_pad = AutoPad::explicit_;
  RoundingType rounding = RoundingType::floor;
};

/// One spatial axis of a sliding window: position `o` of the output reads `o * stride - pad_begin + k * dilation` for k
/// < kernel.
struct WindowAxis {
  int64_t in = 0, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0, out = 0;
  int64_t extent() const { return (kernel - 1) * dilation + 1; }
};

namespace window {

/// Numbers above this are no sizes of a real network; the bound keeps all products within 64 bits.
inline constexpr int64_t limit = int64_t{1} << 31;

inline std::vector<int64_t> filled(const std::vector<int64_t>& v, size_t rank, int64_t value, int64_t lowest,
                                   const char* what) {
  if (v.empty()) return std::vector<int64_t>(rank, value);
  if (v.size() != rank) {
    throw Error(ErrorCode::failed, std::string(what) + " has " + std::to_string(v.size()) + " entries for " +
                                       std::to_string(rank) + " spatial dimensions");
  }
  for (int64_t n : v) {
    if (n < lowest || n > limit) throw Error(ErrorCode::failed, std::string(what) + " holds " + std::to_string(n));
  }
  return v;
}

/// Of any operator with `strides`, `pads_begin`, `pads_end`, `auto_pad` and perhaps `dilations` and `rounding_type`.
/// Throws `Error` without operator name.
template <class Op>
WindowAttributes attributes_of(const Op& op, size_t rank) {
  WindowAttributes w;
  w.strides = filled(op.strides, rank, 1, 1, "strides");
  if constexpr (requires { op.dilations; })
    w.dilations = filled(op.dilations, rank, 1, 1, "dilations");
  else
    w.dilations.assign(rank, 1);
  w.pads_begin = filled(op.pads_begin, rank, 0, -limit, "pads_begin");
  w.pads_end = filled(op.pads_end, rank, 0, -limit, "pads_end");
  if constexpr (requires { op.auto_pad; }) w.auto_pad = op.auto_pad;
  if constexpr (requires { op.rounding_type; }) w.rounding = op.rounding_type;
  return w;
}

/// Number of window positions over `in` elements; 0 where none fits.
inline int64_t count(int64_t in, int64_t extent, int64_t stride, int64_t pad_begin, int64_t pad_end,
                     RoundingType rounding) {
  const int64_t room = in + pad_begin + pad_end - extent;
  if (room < 0) return 0;
  int64_t out = (rounding == RoundingType::floor ? room / stride : (room + stride - 1) / stride) + 1;
  // PyTorch drops a last window that would begin in the padding behind the data.
  if (rounding == RoundingType::ceil_torch && (out - 1) * stride >= in + pad_begin) --out;
  return out;
}

/// Resolves `auto_pad` for one axis of known size and counts the positions.
inline WindowAxis resolve(const WindowAttributes& w, size_t i, int64_t in, int64_t kernel) {
  WindowAxis a{in, kernel, w.strides[i], w.dilations[i], w.pads_begin[i], w.pads_end[i], 0};
  if (kernel < 0 || kernel > limit || in < 0 || in > limit || (kernel > 1 && a.dilation > limit / kernel)) {
    throw Error(ErrorCode::failed,
                "window of " + std::to_string(kernel) + " over " + std::to_string(in) + " elements is out of range");
  }
  if (w.auto_pad == AutoPad::same_upper || w.auto_pad == AutoPad::same_lower) {
    const int64_t out = (in + a.stride - 1) / a.stride;
    const int64_t total = std::max<int64_t>(0, (out - 1) * a.stride + a.extent() - in);
    const int64_t less = total / 2;
    a.pad_begin = w.auto_pad == AutoPad::same_upper ? less : total - less;
    a.pad_end = total - a.pad_begin;
  } else if (w.auto_pad == AutoPad::valid) {
    a.pad_begin = a.pad_end = 0;
  }
  a.out = count(in, a.extent(), a.stride, a.pad_begin, a.pad_end, w.rounding);
  return a;
}

inline std::vector<WindowAxis> resolve(const WindowAttributes& w, const Shape& spatial, const Shape& kernel) {
  std::vector<WindowAxis> axes;
  for (size_t i = 0; i < spatial.size(); ++i) axes.push_back(resolve(w, i, spatial[i], kernel[i]));
  return axes;
}

/// The output size where the input size or the kernel may be an interval.
inline Dimension count(const WindowAttributes& w, size_t i, const Dimension& in, const Dimension& kernel) {
  if (in.is_static() && kernel.is_static()) {
    const WindowAxis a = resolve(w, i, in.get_length(), kernel.get_length());
    if (a.out == 0 && a.in > 0) {
      throw Error(ErrorCode::failed, "a window of " + std::to_string(a.extent()) + " does not fit " +
                                         std::to_string(a.in) + " elements with pads " + std::to_string(a.pad_begin) +
                                         " and " + std::to_string(a.pad_end));
    }
    return Dimension(a.out);
  }
  const bool same = w.auto_pad == AutoPad::same_upper || w.auto_pad == AutoPad::same_lower;
  if (same && w.strides[i] == 1 && w.rounding != RoundingType::ceil_torch) return in;
  const bool plain =
      kernel.is_static() && w.strides[i] == 1 && kernel.get_length() >= 1 && kernel.get_length() <= limit;
  if (plain && !same) {
    const int64_t pads = w.auto_pad == AutoPad::valid ? 0 : w.pads_begin[i] + w.pads_end[i];
    if ((kernel.get_length() - 1) * w.dilations[i] == pads) return in;  // keeps the symbol
  }
  const auto at = [&](int64_t n, int64_t k) { return resolve(w, i, std::min(n, limit), std::min(k, limit)).out; };
  const bool open = in.max() == Dimension::unbounded;
  const int64_t low = kernel.max() > limit ? 0 : at(in.min(), kernel.max());
  return Dimension(low, open ? Dimension::unbounded : at(in.max(), std::max<int64_t>(kernel.min(), 1)));
}

/// One axis of a transposed convolution. `axis.in` is the size of its data, `axis.out` that of its output; the other
/// numbers are those of the forward convolution from `out` to `in`. `wanted` < 0: no output size is given.
inline WindowAxis resolve_transposed(const WindowAttributes& w, size_t i, int64_t in, int64_t kernel,
                                     int64_t output_padding, int64_t wanted) {
  WindowAxis a{in, kernel, w.strides[i], w.dilations[i], w.pads_begin[i], w.pads_end[i], 0};
  if (kernel < 0 || kernel > limit || in < 0 || in > limit || (kernel > 1 && a.dilation > limit / kernel) ||
      a.stride > limit / std::max<int64_t>(in, 1)) {
    throw Error(ErrorCode::failed,
                "window of " + std::to_string(kernel) + " over " + std::to_string(in) + " elements is out of range");
  }
  const int64_t full = a.stride * (in - 1) + a.extent() + output_padding;
  if (w.auto_pad != AutoPad::explicit_) a.pad_begin = a.pad_end = 0;
  if (wanted < 0) {
    a.out = std::max<int64_t>(0, full - a.pad_begin - a.pad_end);
    return a;
  }
  a.out = wanted;
  if (w.auto_pad == AutoPad::same_upper || w.auto_pad == AutoPad::same_lower) {
    const int64_t total = std::max<int64_t>(0, full - wanted);
    const int64_t less = total / 2;
    a.pad_begin = w.auto_pad == AutoPad::same_upper ? total - less : less;
    a.pad_end = total - a.pad_begin;
  }
  return a;
}

}  // namespace window
}  // namespace hone
