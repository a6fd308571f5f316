// What the training kernels ask of one instruction set: a table of functions on plain data. The row files (shapes,
// packing, thread split) are compiled once; the loops behind this table once for each instruction set, see
// `training_avx512_bf16.cpp`.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hone::cpu::training {

enum class Storage : uint8_t { f32, bf16 };
inline size_t bytes_of(Storage s) {
  return s == Storage::f32 ? 4 : 2;
}

// Direct convolutions work on packed rows. A row of the source is copied once into scratch, columns padded with zeros,
// channels in blocks, pixels of one remainder modulo the stride together:
//   src = [x][c]   dst = [c/block][column phase][x][block]   in units of 32 bits: one f32, or a pair of bf16
// so that neighbouring outputs always read `block` units apart, whatever stride and channel count, and the reduction
// falls into a few contiguous runs. With stride 1 a run spans all columns of the kernel.
struct PackedRows {
  int64_t width_in = 0;  ///< columns of the source
  int64_t pixel = 0;     ///< elements from one column of the source to the next
  int64_t channels = 0;  ///< channels to take
  Storage storage = Storage::f32;
  bool pairs = false;  ///< units are pairs of bf16
  int64_t block = 16;  ///< units of a pixel in one channel block: 1, 4, 8 or 16
  int64_t blocks = 1;
  int64_t phases = 1;
  int64_t base = 0;   ///< dst column j of phase f is source column j * phases + f + base
  int64_t width = 0;  ///< columns of a phase
  int64_t row_units() const { return blocks * phases * width * block; }
};

/// A contiguous stretch of the reduction in one packed row.
struct Run {
  int32_t row;     ///< source row, relative to row_step * (row of the output phase)
  int32_t offset;  ///< in units from the start of the packed row
  int32_t length;  ///< in units
  int32_t unit;    ///< its first unit in the packed weights of the phase
};

/// The outputs (y0 + i * y_step, x0 + j * x_step). A forward convolution has one phase, a backward one stride x stride.
struct Phase {
  int64_t y0, x0, y_step, x_step;
  int64_t row_step;
  int64_t first_run, run_count;
  int64_t first_unit, unit_count;
};

/// One stretch of the reduction whose source row exists, as a tile takes it.
struct ActiveRun {
  const float* x;
  const float* w;
  int64_t length;
};

struct DirectConvolution {
  PackedRows rows;
  int64_t height_in = 0, height_out = 0, width_out = 0;
  int64_t pixel_in_row = 0;  ///< elements of a source row
  int64_t pixel_out = 0;     ///< elements from one output column to the next: the channels of all groups
  int64_t channels_out = 0;  ///< of one group
  Storage out = Storage::f32, add = Storage::f32;
  bool same_rows = false;  ///< three columns wide, stride 1, one column of padding, sources in units already
  int64_t vectors = 1;     ///< vectors of output channels in a tile
  int64_t units = 0;       ///< of all phases
  const Phase* phases = nullptr;
  int64_t phase_count = 0;
  const Run* runs = nullptr;
};

/// Rows [y0, y1) of one image and one group. `x` and `y` point to the first channel of the group; packed source rows
/// are [row0, row1) and take (row1 - row0) * row_units units of `scratch`. `weights`: [vectors group][unit][vectors *
/// lanes].
struct ConvolutionBand {
  const void* x;
  void* y;
  const void* add;  ///< like y, added to the sums before they are stored; null: nothing
  const float* weights;
  int64_t y0, y1, row0, row1;
  float* scratch;
  ActiveRun* active;  ///< room for the runs of a phase
};

// Winograd's F(4x4, 3x3) for stride 1 in f32: 36 products for 16 outputs instead of 144. Tiles of several images are
// transformed together, [36][channels / 16][tile][16], multiplied as 36 small matrices and transformed back.
struct WinogradImages {
  const float* x;  ///< the first of `images` images
  float* y;
  const void* add;  ///< as in ConvolutionBand
  int64_t images;
  const float* weights;  ///< what winograd_weights made: [vectors group][36][channel][vectors * lanes]
  float* source;         ///< scratch: 36 * tiles * channels in
  float* product;        ///< scratch: 36 * tiles * channels out
  float* columns;        ///< scratch: 6 * (4 * tiles across + 2) vectors
  const float* zeros;    ///< one pixel of zeros
  int64_t pad_top, pad_left;
};
/// The gradient to the weights by the same transforms: sums of 36 outer products over the tiles, transformed back at
/// the end.
struct WinogradGradient {
  const float *x, *dy;  ///< the first of `images` images
  int64_t images;
  float *source, *result;  ///< scratch: 36 * tiles * channels in, out
  float* columns;          ///< as above
  const float* zeros;
  int64_t pad_top, pad_left;
  float* sum;  ///< [36][channel in][channel out], added to
};
/// Tiles of 4x4 outputs in one image.
inline int64_t winograd_tiles(const DirectConvolution& c) {
  return (c.height_out + 3) / 4 * ((c.width_out + 3) / 4);
}
constexpr int64_t kWinogradProducts = 36;

// The gradient to the weights keeps a tile of [units of a run][vectors of output channels] in registers and walks over
// pixels. In bf16 a unit pairs one channel of two images, so pairs never straddle a border.
struct WeightGradient {
  PackedRows rows;  ///< `channels` in units: pairing runs over images
  int64_t height_in = 0, height_out = 0, width_out = 0, row_step = 1;
  int64_t pixel_in_row = 0, image_in = 0, image_out = 0;
  int64_t pixel_out = 0, channels_out = 0;  ///< of dy; channels of one group
  Storage out = Storage::f32;               ///< how dy is stored
  bool copy_out = false;                    ///< dy goes through scratch (bf16)
  bool same_rows = false;  ///< three columns wide, stride 1, one column of padding, full channel blocks
  int64_t units = 0;       ///< of the reduction's result for one group
  const Run* runs = nullptr;
  int64_t run_count = 0;
};
/// Adds the products of `images` images (pairs of images with `pairs`; `last_single`: the last pair has one image) over
/// output rows [y0, y1) and vectors [v0, v1) of output channels to `sum` [unit][vectors of the group * lanes].
struct WeightGradientBand {
  const void* x;
  const void* dy;
  int64_t images;
  bool last_single;
  int64_t y0, y1, row0, row1, v0, v1;
  float* sum;
  float* scratch_x;
  float* scratch_dy;
  const char *next_x, *next_dy;  ///< what the next band reads, fetched meanwhile; null: nothing
  int64_t next_x_bytes, next_dy_bytes;
};

/// A tap of a depthwise convolution: which of the kernel's rows or columns, and which row or column of the source.
struct Tap {
  int32_t kernel, source;
};
/// Output row y reads rows[row_begin[y]...row_begin[y + 1]), columns likewise; so both directions and any stride are
/// alike.
struct Depthwise {
  int64_t channels, width_in, width_out, kernel_x;
  Storage in, out;
  const Tap *rows, *columns;
  const int32_t *row_begin, *column_begin;
};

/// Elementwise work over [pixels][channels], see `batch_norm.isa.hpp`.
struct NormApply {
  const void *x, *residual;
  void* y;
  const float *scale, *offset;
  bool relu;
};
struct NormGrad {
  const void *x, *dy, *y;  ///< y: null without an activation
  void *dx, *dresidual;
  const float *mean, *a, *b, *c;  ///< dx = a * dy' + b * (x - mean) + c
};
/// One image of a pooling: x [height][width][channels] and its gradient, y likewise.
struct Pooling {
  int64_t channels, height_in, width_in, height_out, width_out;
  int64_t kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
  int64_t pad_bottom, pad_right;  ///< of AvgPool that counts padding
  bool exclude_pad;
};
struct AdamFactors {
  float lr, scale, beta1, beta2, epsilon, decay, correction1, correction2;
};
struct SgdFactors {
  float lr, scale, momentum, decay;
  bool nesterov;
};

struct TrainingIsa {
  const char* name;
  int lanes;
  bool pairs;  ///< multiplies pairs of bf16
  int accumulators;
  void (*convolve)(const DirectConvolution&, const ConvolutionBand&);
  /// `packed`: the weights as `convolve` takes them. Channels in and out must be multiples of 16.
  void (*winograd_weights)(const DirectConvolution&, const float* packed, float* weights, int64_t channel0,
                           int64_t channel1);
  void (*winograd)(const DirectConvolution&, const WinogradImages&);
  void (*winograd_gradient)(const DirectConvolution&, const WinogradGradient&);
  /// sum [36][channels][outputs] to taps [channels][9][outputs], for channels [channel0, channel1).
  void (*winograd_gradient_taps)(const float* sum, int64_t channels, int64_t outputs, int64_t channel0,
                                 int64_t channel1, float* taps);
  void (*weight_gradient)(const WeightGradient&, const WeightGradientBand&);
  /// Output rows [y0, y1) of one image; w: [taps][channels].
  void (*depthwise)(const Depthwise&, const void* x, const float* w, void* y, int64_t y0, int64_t y1);
  /// Adds the products of one image to sum [taps][channels]: `x` as depthwise reads it, dy in place of y.
  void (*depthwise_gradient)(const Depthwise&, const void* x, const void* dy, float* sum, int64_t y0, int64_t y1);
  /// Sums of (x - shift) and of its square over pixels; `shift`, `sum`, `square`: [channels].
  void (*norm_statistics)(Storage, const void* x, int64_t pixels, int64_t channels, const float* shift, float* sum,
                          float* square);
  void (*norm_apply)(Storage, const NormApply&, int64_t first, int64_t pixels, int64_t channels);
  /// Sums of dy' and dy' * (x - mean), where dy' is dy behind the activation; stores dy' to dresidual where that is not
  /// null.
  void (*norm_grad_sums)(Storage, const NormGrad&, int64_t first, int64_t pixels, int64_t channels, float* sum,
                         float* product);
  void (*norm_grad_apply)(Storage, const NormGrad&, int64_t first, int64_t pixels, int64_t channels);
  /// Add to dx [height][width][channels] in f32, which the caller has zeroed.
  void (*max_pool_grad)(Storage, const Pooling&, const void* x, const void* dy, float* dx);
  void (*avg_pool_grad)(Storage, const Pooling&, const void* dy, float* dx);
  void (*narrow)(const float* from, void* bf16, int64_t n);
  void (*sgd)(const SgdFactors&, const float* p, const float* g, const float* m, float* new_p, float* new_m, int64_t n);
  void (*adamw)(const AdamFactors&, const float* p, const float* g, const float* m, const float* v, float* new_p,
                float* new_m, float* new_v, int64_t n);
  void (*ema)(float decay, const float* average, const float* p, float* out, int64_t n);
  double (*sum_of_squares)(const float* p, int64_t n);
  /// out[i] = parts[i] + parts[stride + i] + ... over `count` parts, in order.
  void (*add_parts)(const float* parts, int64_t stride, int64_t count, float* out, int64_t n);
};

/// Fastest first; null where the build lacks it or the processor does.
constexpr int kIsaCount = 3;
const TrainingIsa* training_isa(int index);
/// "the CPU has no avx2", for rows that decline.
const char* lacking(int index);

}  // namespace hone::cpu::training
