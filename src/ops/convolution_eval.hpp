// Reference evaluation of the convolution family on tensors, for one group or many. Shapes are those of the ungrouped
// operators with the group axis folded away: weights [groups * O, I, kernel...] and so on.
#pragma once
#include <vector>

#include "ops/product.hpp"
#include "ops/window.hpp"

namespace hone::reference {

/// Sizes of a convolution x [batch, groups * in_channels, space] -> y [batch, groups * out_channels, space].
struct ConvolutionSizes {
  size_t batch = 0, groups = 1, in_channels = 0, out_channels = 0;  ///< channels per group
  std::vector<WindowAxis> axes;                                     ///< from x to y
  size_t in_space() const {
    size_t n = 1;
    for (const auto& a : axes) n *= static_cast<size_t>(a.in);
    return n;
  }
  size_t out_space() const {
    size_t n = 1;
    for (const auto& a : axes) n *= static_cast<size_t>(a.out);
    return n;
  }
  size_t kernel_space() const {
    size_t n = 1;
    for (const auto& a : axes) n *= static_cast<size_t>(a.kernel);
    return n;
  }
};

/// For every kernel position the offset into the plane of x that output position `at` reads, or -1 in the padding.
inline void input_offsets(const std::vector<WindowAxis>& axes, size_t at, std::vector<int64_t>& offsets) {
  const size_t rank = axes.size();
  int64_t start[8];
  for (size_t k = rank; k-- > 0;) {
    start[k] = static_cast<int64_t>(at % static_cast<size_t>(axes[k].out)) * axes[k].stride - axes[k].pad_begin;
    at /= static_cast<size_t>(axes[k].out);
  }
  int64_t tap[8] = {};
  for (auto& offset : offsets) {
    offset = 0;
    for (size_t k = 0; k < rank; ++k) {
      const int64_t p = start[k] + tap[k] * axes[k].dilation;
      offset = p < 0 || p >= axes[k].in || offset < 0 ? -1 : offset * axes[k].in + p;
    }
    for (size_t k = rank; k-- > 0;) {
      if (++tap[k] < axes[k].kernel) break;
      tap[k] = 0;
    }
  }
}

/// For every kernel position the output position whose window has input position `at` there, or -1 where there is none.
inline void output_offsets(const std::vector<WindowAxis>& axes, size_t at, std::vector<int64_t>& offsets) {
  const size_t rank = axes.size();
  int64_t start[8];
  for (size_t k = rank; k-- > 0;) {
    start[k] = static_cast<int64_t>(at % static_cast<size_t>(axes[k].in)) + axes[k].pad_begin;
    at /= static_cast<size_t>(axes[k].in);
  }
  int64_t tap[8] = {};
  for (auto& offset : offsets) {
    offset = 0;
    for (size_t k = 0; k < rank; ++k) {
      const int64_t p = start[k] - tap[k] * axes[k].dilation;
      offset = p < 0 || p % axes[k].stride || p / axes[k].stride >= axes[k].out || offset < 0
                   ? -1
                   : offset * axes[k].out + p / axes[k].stride;
    }
    for (size_t k = rank; k-- > 0;) {
      if (++tap[k] < axes[k].kernel) break;
      tap[k] = 0;
    }
  }
}

/// Offsets of one position after the other; with many groups they are computed once and kept.
class Offsets {
 public:
  using Compute = void (*)(const std::vector<WindowAxis>&, size_t, std::vector<int64_t>&);
  Offsets(Compute compute, const std::vector<WindowAxis>& axes, size_t positions, size_t taps, bool keep)
      : compute_(compute), axes_(axes), row_(taps) {
    if (!keep || positions > (size_t{1} << 24) / std::max<size_t>(taps, 1)) return;
    table_.reserve(positions * taps);
    for (size_t p = 0; p < positions; ++p) {
      compute_(axes_, p, row_);
      table_.insert(table_.end(), row_.begin(), row_.end());
    }
  }
  /// Valid until the next call.
  const int64_t* at(size_t position) {
    if (!table_.empty()) return table_.data() + position * row_.size();
    compute_(axes_, position, row_);
    return row_.data();
  }

 private:
  Compute compute_;
  const std::vector<WindowAxis>& axes_;
  std::vector<int64_t> row_, table_;
};

/// y = x * w. w = [groups][out_channels][in_channels][kernel]
template <class T>
void convolve(const ConvolutionSizes& s, const T* x, const T* w, T* y) {
  using Acc = Accumulator<T>;
  const size_t taps = s.kernel_space(), in_space = s.in_space(), out_space = s.out_space(),
               depth = s.in_channels * taps;
  Offsets table(input_offsets, s.axes, out_space, taps, s.groups > 1);
  for (size_t g = 0; g < s.groups; ++g) {
    const T* wg = w + g * s.out_channels * depth;
    product<Acc>(
        s.out_channels, s.batch * out_space, depth,
        [&](size_t m, size_t n, Acc* to) {
          for (size_t i = 0; i < n; ++i) {
            for (size_t k = 0; k < depth; ++k) to[k * 4 + i] = static_cast<Acc>(wg[(m + i) * depth + k]);
          }
        },
        [&](size_t column, size_t n, Acc* to) {
          for (size_t j = 0; j < n; ++j) {
            const size_t image = (column + j) / out_space;
            const int64_t* offsets = table.at((column + j) % out_space);
            const T* plane = x + (image * s.groups + g) * s.in_channels * in_space;
            for (size_t c = 0; c < s.in_channels; ++c, plane += in_space) {
              for (size_t t = 0; t < taps; ++t) {
                if (offsets[t] >= 0) to[(c * taps + t) * 4 + j] = static_cast<Acc>(plane[offsets[t]]);
              }
            }
          }
        },
        [&](size_t m, size_t column, Acc sum) {
          y[((column / out_space * s.groups + g) * s.out_channels + m) * out_space + column % out_space] =
              static_cast<T>(sum);
        });
  }
}

/// dx from dy: the transposed convolution. w as in `convolve`.
template <class T>
void convolve_transposed(const ConvolutionSizes& s, const T* dy, const T* w, T* dx) {
  using Acc = Accumulator<T>;
  const size_t taps = s.kernel_space(), in_space = s.in_space(), out_space = s.out_space(),
               depth = s.out_channels * taps;
  Offsets table(output_offsets, s.axes, in_space, taps, s.groups > 1);
  for (size_t g = 0; g < s.groups; ++g) {
    const T* wg = w + g * s.out_channels * s.in_channels * taps;
    product<Acc>(
        s.in_channels, s.batch * in_space, depth,
        [&](size_t m, size_t n, Acc* to) {
          for (size_t i = 0; i < n; ++i) {
            for (size_t k = 0; k < depth; ++k)
              to[k * 4 + i] = static_cast<Acc>(wg[(k / taps * s.in_channels + m + i) * taps + k % taps]);
          }
        },
        [&](size_t column, size_t n, Acc* to) {
          for (size_t j = 0; j < n; ++j) {
            const size_t image = (column + j) / in_space;
            const int64_t* offsets = table.at((column + j) % in_space);
            const T* plane = dy + (image * s.groups + g) * s.out_channels * out_space;
            for (size_t c = 0; c < s.out_channels; ++c, plane += out_space) {
              for (size_t t = 0; t < taps; ++t) {
                if (offsets[t] >= 0) to[(c * taps + t) * 4 + j] = static_cast<Acc>(plane[offsets[t]]);
              }
            }
          }
        },
        [&](size_t m, size_t column, Acc sum) {
          dx[((column / in_space * s.groups + g) * s.in_channels + m) * in_space + column % in_space] =
              static_cast<T>(sum);
        });
  }
}

/// dw from x and dy.
template <class T>
void convolution_weights(const ConvolutionSizes& s, const T* x, const T* dy, T* dw) {
  using Acc = Accumulator<T>;
  const size_t taps = s.kernel_space(), in_space = s.in_space(), out_space = s.out_space(), depth = s.batch * out_space;
  // Offset into the plane of x for each output position and tap.
  std::vector<int64_t> table(out_space * taps), offsets(taps);
  for (size_t p = 0; p < out_space; ++p) {
    input_offsets(s.axes, p, offsets);
    std::copy(offsets.begin(), offsets.end(), table.begin() + static_cast<std::ptrdiff_t>(p * taps));
  }
  for (size_t g = 0; g < s.groups; ++g) {
    product<Acc>(
        s.out_channels, s.in_channels * taps, depth,
        [&](size_t m, size_t n, Acc* to) {
          for (size_t i = 0; i < n; ++i) {
            for (size_t k = 0; k < depth; ++k) {
              to[k * 4 + i] = static_cast<Acc>(
                  dy[((k / out_space * s.groups + g) * s.out_channels + m + i) * out_space + k % out_space]);
            }
          }
        },
        [&](size_t column, size_t n, Acc* to) {
          for (size_t j = 0; j < n; ++j) {
            const size_t channel = (column + j) / taps, tap = (column + j) % taps;
            for (size_t image = 0; image < s.batch; ++image) {
              const T* plane = x + ((image * s.groups + g) * s.in_channels + channel) * in_space;
              for (size_t p = 0; p < out_space; ++p) {
                const int64_t offset = table[p * taps + tap];
                if (offset >= 0) to[(image * out_space + p) * 4 + j] = static_cast<Acc>(plane[offset]);
              }
            }
          }
        },
        [&](size_t m, size_t column, Acc sum) {
          dw[(g * s.out_channels + m) * s.in_channels * taps + column] = static_cast<T>(sum);
        });
  }
}

}  // namespace hone::reference
