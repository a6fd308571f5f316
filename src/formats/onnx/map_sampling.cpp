// Files of pictures, grids, regions of interest, windows of signals, Fourier transforms and the rest of linear algebra.
#include <cmath>
#include <limits>
#include <numbers>

#include "base/checked.hpp"
#include "formats/onnx/mapping.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/convolution.hpp"
#include "ops/einsum.hpp"
#include "ops/image_decoder.hpp"
#include "ops/indexing.hpp"
#include "ops/linear_algebra.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/sampling.hpp"
#include "ops/unary.hpp"
#include "ops/window.hpp"

namespace hone::onnx {
namespace {

Values image_decoder(NodeContext& n) {
  ImageDecoder op;
  const std::string format = n.s("pixel_format", "RGB");
  if (format == "BGR")
    op.pixel_format = PixelFormat::bgr;
  else if (format == "Grayscale")
    op.pixel_format = PixelFormat::grayscale;
  else if (format != "RGB")
    n.fail("unknown pixel_format '" + format + "'");
  return {n(op, n.in(0))};
}

Values grid_sample(NodeContext& n) {
  GridSample op;
  op.align_corners = n.i("align_corners", 0) != 0;
  const std::string mode = n.s("mode", "linear"), padding = n.s("padding_mode", "zeros");
  if (mode == "linear" || mode == "bilinear")
    op.mode = GridMode::bilinear;
  else if (mode == "nearest")
    op.mode = GridMode::nearest;
  else if (mode == "cubic" || mode == "bicubic")
    op.mode = GridMode::bicubic;
  else
    n.fail("unknown mode '" + mode + "'");
  op.padding_mode = padding == "border"       ? GridPadding::border
                    : padding == "reflection" ? GridPadding::reflection
                                              : GridPadding::zeros;
  return {n(op, n.in(0), n.in(1))};
}

Values roi_align(NodeContext& n) {
  ROIAlign op;
  op.pooled_h = n.i("output_height", 1);
  op.pooled_w = n.i("output_width", 1);
  op.sampling_ratio = n.i("sampling_ratio", 0);
  op.spatial_scale = n.f("spatial_scale", 1);
  op.mode = n.s("mode", "avg") == "max" ? RoiMode::max_neighbour : RoiMode::avg;
  op.aligned_mode = n.version >= 16 && n.s("coordinate_transformation_mode", "half_pixel") == "half_pixel"
                        ? RoiAlignedMode::half_pixel_for_nn
                        : RoiAlignedMode::asymmetric;
  return {n(op, n.in(0), n.in(1), n.in(2))};
}

// theta [N, k, k + 1] applied to the regular grid of [-1, 1] in each axis, x first.
Values affine_grid(NodeContext& n) {
  const Value theta = n.in(0);
  const bool corners = n.i("align_corners", 0) != 0;
  if (!n.in(1).shape().is_static()) n.refuse("needs to know the number of sizes");
  const int64_t spatial = element_count(n.in(1).shape().to_shape()) - 2;
  const Value size = n.in(1), space = n.slice(size, 0, 2, spatial + 2);
  Values coordinates;  // the last axis first
  for (int64_t axis = spatial - 1; axis >= 0; --axis) {
    const Value length = n.gather(size, n.int_constant(axis + 2), 0);
    const Value count = n.cast(length, ElementType::f32);
    const Value at = n.cast(n(Range{ElementType::i64}, n.int_constant(0), length, n.int_constant(1)), ElementType::f32);
    const Value two = n.b.scalar<float>(2), one = n.b.scalar<float>(1);
    const Value p = corners ? n(Subtract{}, n(Divide{}, n(Multiply{}, at, two), n(Subtract{}, count, one)), one)
                            : n(Subtract{}, n(Divide{}, n(Add{}, n(Multiply{}, at, two), one), count), one);
    std::vector<int64_t> shape(static_cast<size_t>(spatial), 1);
    shape[static_cast<size_t>(axis)] = -1;
    coordinates.push_back(n.unsqueeze(n(Broadcast{}, n.reshape(p, shape), space), {spatial}));
  }
  coordinates.push_back(n(Broadcast{}, n.b.scalar<float>(1), n.concat({space, n.ints_constant({1})}, 0)));
  const Value grid = n.cast(n.reshape(n.concat(coordinates, spatial), {-1, spatial + 1}), theta.element_type());
  const Value moved = n(MatMul{false, true}, grid, theta);  // [N, points, k]
  return {n(Reshape{}, moved, n.concat({n.slice(size, 0, 0, 1), space, n.ints_constant({spatial})}, 0))};
}

Values einsum(NodeContext& n) {
  std::string equation = n.s("equation");
  std::erase(equation, ' ');
  return n.all(Einsum{equation}, n.inputs());
}

Values col2im(NodeContext& n) {
  Col2Im op;
  const PartialShape known = shape_of_rank(n.in(1).shape());
  if (!known.rank_known()) n.refuse("needs to know the number of spatial axes");
  const size_t spatial = known.rank();
  op.strides = n.ints("strides", std::vector<int64_t>(spatial, 1));
  op.dilations = n.ints("dilations", std::vector<int64_t>(spatial, 1));
  const auto pads = n.ints("pads", std::vector<int64_t>(2 * spatial, 0));
  if (pads.size() != 2 * spatial) n.fail("pads must have two numbers for each spatial axis");
  op.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  op.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial), pads.end());
  return {n(op, n.in(0), n.in(1), n.in(2))};
}

// The offsets and factors of ONNX are those of OpenVINO's operator; neighbours outside of the data count as zero.
Values deform_conv(NodeContext& n) {
  DeformableConvolution op;
  op.strides = n.ints("strides", {1, 1});
  op.dilations = n.ints("dilations", {1, 1});
  const auto pads = n.ints("pads", {0, 0, 0, 0});
  if (pads.size() != 4) n.refuse("is offered for two spatial axes");
  op.pads_begin = {pads[0], pads[1]};
  op.pads_end = {pads[2], pads[3]};
  op.group = n.i("group", 1);
  op.deformable_group = n.i("offset_group", 1);
  op.bilinear_interpolation_pad = true;
  Value y = n(op, n.in(0), n.in(2), n.in(1), n.opt(4));
  if (n.has(3)) y = n(Add{}, y, n.unsqueeze(n.in(3), {1, 2}));
  return {y};
}

Values max_unpool(NodeContext& n) {
  const Value x = n.in(0);
  const auto kernel = n.ints("kernel_shape");
  const auto strides = window::filled(n.ints("strides"), kernel.size(), 1, 1, "strides"),
             pads = window::filled(n.ints("pads"), 2 * kernel.size(), 0, -window::limit, "pads");
  window::filled(kernel, kernel.size(), 1, 1, "kernel_shape");
  if (!x.shape().is_static()) n.refuse("needs static sizes");
  Shape shape = x.shape().to_shape();
  if (shape.size() != kernel.size() + 2) n.fail("has a kernel of another rank than its input");
  for (size_t k = 0; k < kernel.size(); ++k)
    shape[k + 2] = checked_mul(shape[k + 2] - 1, strides[k]) - pads[k] - pads[kernel.size() + k] + kernel[k];
  const Value zeros = n(Broadcast{}, n.like(x, 0), n.ints_constant({element_count(shape)}));
  const Value flat = n(ScatterElementsUpdate{}, zeros, n.reshape(n.in(1), {-1}), n.reshape(x, {-1}), n.int_constant(0));
  const Value y = n.reshape(flat, shape);
  if (!n.has(2)) return {y};
  const std::vector<int64_t> none(shape.size(), 0);
  return {n(Pad{}, y, n.ints_constant(none), n(Subtract{}, n.in(2), n.ints_constant(shape)), n.like(x, 0))};
}

// Element i is the product of those that a triangular mask lets through.
Values cum_prod(NodeContext& n) {
  const Value x = n.in(0);
  const auto rank = static_cast<int64_t>(n.rank(x));
  const bool exclusive = n.i("exclusive", 0) != 0, reverse = n.i("reverse", 0) != 0;
  auto along = [&](int64_t axis) {
    const Value length = n.gather(n.shape_of(x), n.int_constant(axis), 0);
    const Value at = n(Range{ElementType::i64}, n.int_constant(0), length, n.int_constant(1));
    const Value row = n.unsqueeze(at, {1}), column = n.unsqueeze(at, {0});
    Value kept = reverse ? (exclusive ? n(Greater{}, column, row) : n(GreaterEqual{}, column, row))
                         : (exclusive ? n(Less{}, column, row) : n(LessEqual{}, column, row));
    std::vector<int64_t> trailing;
    for (int64_t k = 0; k < rank - axis - 1; ++k) trailing.push_back(k + 2);
    if (!trailing.empty()) kept = n.unsqueeze(kept, trailing);
    return n(ReduceProd{false}, n(Select{}, kept, n.unsqueeze(x, {axis}), n.like(x, 1)), n.ints_constant({axis + 1}));
  };
  if (const Tensor given = n.constant(1); given && given.size() == 1) return {along(n.axis(get_integer(given, 0), x))};
  // An axis that is data picks among the products along all axes.
  const Value given = n.reshape(n.cast(n.in(1), ElementType::i64), {});
  const Value axis = n(FloorMod{}, given, n.int_constant(rank));
  Value y = along(0);
  for (int64_t k = 1; k < rank; ++k) y = n(Select{}, n(Equal{}, axis, n.int_constant(k)), along(k), y);
  return {y};
}

// By Laplace's expansion along the first row: meant for the small matrices of geometry.
Value determinant(NodeContext& n, Value x, int64_t size) {
  auto cell = [&](int64_t i, int64_t j) { return n.gather(n.gather(x, n.int_constant(i), -2), n.int_constant(j), -1); };
  if (size == 1) return cell(0, 0);
  if (size == 2) return n(Subtract{}, n(Multiply{}, cell(0, 0), cell(1, 1)), n(Multiply{}, cell(0, 1), cell(1, 0)));
  Value sum;
  for (int64_t j = 0; j < size; ++j) {
    std::vector<int64_t> rows, columns;
    for (int64_t k = 0; k < size; ++k) {
      if (k > 0) rows.push_back(k);
      if (k != j) columns.push_back(k);
    }
    const Value minor = n.gather(n.gather(x, n.ints_constant(rows), -2), n.ints_constant(columns), -1);
    const Value term = n(Multiply{}, cell(0, j), determinant(n, minor, size - 1));
    sum = !sum ? term : j % 2 ? n(Subtract{}, sum, term) : n(Add{}, sum, term);
  }
  return sum;
}
Values det(NodeContext& n) {
  const Value x = n.in(0);
  const size_t r = n.rank(x);
  if (r < 2) n.fail("wants matrices");
  const Dimension d = x.shape()[r - 1];
  // Small ones spelled out run on the kernels of arithmetic.
  if (d.is_static() && d.get_length() >= 1 && d.get_length() <= 5) return {determinant(n, x, d.get_length())};
  return {n(Determinant{}, x)};
}

// a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N).
Values window(NodeContext& n, double a0, double a1, double a2) {
  const ElementType type = element_type_of_onnx(n.i("output_datatype", 1));
  const Value size = n.reshape(n.cast(n.in(0), ElementType::i64), {});
  const Value at = n.cast(n(Range{ElementType::i64}, n.int_constant(0), size, n.int_constant(1)), ElementType::f64);
  Value period = n.cast(size, ElementType::f64);
  if (!n.i("periodic", 1)) period = n(Subtract{}, period, n.b.scalar<double>(1));
  auto cosine = [&](double turns) {
    return n(Cos{}, n(Divide{}, n(Multiply{}, at, n.b.scalar<double>(2 * std::numbers::pi * turns)), period));
  };
  Value y = n(Subtract{}, n.b.scalar<double>(a0), n(Multiply{}, cosine(1), n.b.scalar<double>(a1)));
  if (a2 != 0) y = n(Add{}, y, n(Multiply{}, cosine(2), n.b.scalar<double>(a2)));
  return {n.cast(y, type)};
}
Values hann(NodeContext& n) {
  return window(n, 0.5, 0.5, 0);
}
Values hamming(NodeContext& n) {
  return window(n, 25.0 / 46, 21.0 / 46, 0);
}
Values blackman(NodeContext& n) {
  return window(n, 0.42, 0.5, 0.08);
}

constexpr OperatorRow rows[] = {
    {"AffineGrid", 20, affine_grid}, {"BlackmanWindow", 17, blackman},    {"Col2Im", 18, col2im},
    {"CumProd", 26, cum_prod},       {"DeformConv", 19, deform_conv},     {"Det", 11, det},
    {"Einsum", 12, einsum},          {"GridSample", 16, grid_sample},     {"HammingWindow", 17, hamming},
    {"HannWindow", 17, hann},        {"ImageDecoder", 20, image_decoder}, {"MaxUnpool", 9, max_unpool},
    {"RoiAlign", 10, roi_align},
};

}  // namespace

std::span<const OperatorRow> sampling_rows() {
  return rows;
}

}  // namespace hone::onnx
