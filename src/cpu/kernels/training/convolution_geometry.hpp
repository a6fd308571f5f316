// The numbers of a convolution and of its two gradients, taken from a query once and checked.
#pragma once
#include <string>
#include <vector>

#include "cpu/kernels/training/isa.hpp"
#include "device/kernel.hpp"

namespace hone::cpu::training {

/// All in two dimensions: one-dimensional convolutions have height 1. The "data" side is x and its gradient, the
/// "result" side is y and its gradient; channels are those of one group.
struct ConvolutionGeometry {
  int64_t batch = 0, groups = 1;
  int64_t data_channels = 0, data_height = 1, data_width = 0;
  int64_t result_channels = 0, result_height = 1, result_width = 0;
  int64_t kernel_height = 1, kernel_width = 1;
  int64_t stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1, pad_top = 0, pad_left = 0;
  int64_t taps() const { return kernel_height * kernel_width; }
};
inline bool is_depthwise(const ConvolutionGeometry& g) {
  return g.groups > 1 && g.data_channels == 1 && g.result_channels == 1;
}
/// Of a type that `refuse_activation` lets through.
inline Storage storage_of(ElementType t) {
  return t == ElementType::f32 ? Storage::f32 : Storage::bf16;
}

/// Memory order [N, spatial..., C], or indistinguishable from it.
bool channels_last(const TensorDesc& d);
/// Empty when the rows of this folder can run on `d` (f32 or bf16, channels last, not quantized), else why not.
std::string refuse_activation(const TensorDesc& d, const char* what);

/// The epilogues that convolutions run: none, or one tensor like the result that is added (a residual, another
/// gradient).
struct AddedTensor {
  bool present = false;
  size_t input = 0;
  Storage storage = Storage::f32;
};
/// Fills `a`, or says why the epilogue is not run.
std::string read_epilogue(const KernelQuery& q, AddedTensor& a);

/// Fills `g` for Convolution, GroupConvolution, their BackpropData forms and ConvolutionBackpropWeights; else says why
/// not.
std::string read_geometry(const KernelQuery& q, ConvolutionGeometry& g);

/// What every row for a convolution with weights that change (`forward`), or for its gradient to the data, asks of the
/// query. Fills `g` and gives nothing, or says why not.
std::string refuse_convolution(const KernelQuery& q, bool forward, ConvolutionGeometry& g);
/// The same for rows of the gradient to the weights.
std::string refuse_weight_gradient(const KernelQuery& q, ConvolutionGeometry& g);
/// Why Winograd's transforms, which are for windows of 3x3 with stride 1, do not take `g`.
std::string refuse_winograd(const ConvolutionGeometry& g);

/// A direct convolution with all its tables. `forward`: from the data side to the result side, else the gradient to the
/// data.
struct ConvolutionTables {
  DirectConvolution conv;
  std::vector<Phase> phases;
  std::vector<Run> runs;
  std::vector<int32_t> first_element,
      second_element;     ///< of each unit: channel * channel_stride + tap in the weights; -1: zero
  int64_t most_runs = 0;  ///< of a phase
  /// Source rows [row0, row1) that output rows [y0, y1) read.
  void source_rows(int64_t y0, int64_t y1, int64_t& row0, int64_t& row1) const;
  void pack_weights(const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa, const void* w, bool bf16,
                    float* dst, ThreadPool& pool) const;
};
ConvolutionTables convolution_tables(const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa, Storage in,
                                     Storage out, bool pairs);

struct GradientTables {
  WeightGradient gradient;
  std::vector<Run> runs;
  std::vector<int32_t>
      element;  ///< of each unit: channel * taps + tap in the weights of one output channel; -1: padding
  void source_rows(int64_t y0, int64_t y1, int64_t& row0, int64_t& row1) const;
};
GradientTables gradient_tables(const ConvolutionGeometry& g, const TrainingIsa& isa, Storage x, Storage dy, bool pairs);

}  // namespace hone::cpu::training
