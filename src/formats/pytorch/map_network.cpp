// Convolutions, matrix products, padding, resizing.
#include <algorithm>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/einsum.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/resize.hpp"
#include "ops/sampling.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

std::vector<int64_t> per_axis(NodeContext& n, const char* name, size_t spatial, int64_t otherwise) {
  auto v = n.ints(name);
  if (v.empty()) v.assign(spatial, otherwise);
  if (v.size() == 1) v.resize(spatial, v[0]);
  if (v.size() != spatial) n.fail(std::string(name) + " must have one number for each spatial axis");
  return v;
}

// [a, b, k...] -> [groups, a / groups, b, k...].
Value grouped_weights(NodeContext& n, Value w, int64_t groups) {
  if (!w.shape().is_static()) n.refuse("with groups needs static weights");
  Shape s = w.shape().to_shape();
  if (groups < 1 || s[0] % groups != 0) n.fail("groups do not divide the channels of the weights");
  s[0] /= groups;
  s.insert(s.begin(), groups);
  return n.reshape(w, s);
}

Value with_bias(NodeContext& n, Value y, size_t spatial) {
  if (!n.has("bias")) return y;
  std::vector<int64_t> axes;
  for (size_t k = 0; k < spatial; ++k) axes.push_back(static_cast<int64_t>(k) + 1);
  return n(Add{}, y, n.unsqueeze(n.in("bias"), axes));
}

template <class Op>
Op windowed(NodeContext& n, size_t spatial) {
  Op op;
  op.strides = per_axis(n, "stride", spatial, 1);
  op.dilations = per_axis(n, "dilation", spatial, 1);
  if (n.has("padding") && n.argument("padding")->kind == Argument::Kind::text) {
    const std::string mode = n.s("padding", "");
    if (mode != "same" && mode != "valid") n.fail("unknown padding '" + mode + "'");
    op.auto_pad = mode == "same" ? AutoPad::same_upper : AutoPad::valid;
    op.pads_begin.assign(spatial, 0);
  } else {
    op.pads_begin = per_axis(n, "padding", spatial, 0);
  }
  op.pads_end = op.pads_begin;
  return op;
}

Value forward(NodeContext& n, Value x, Value w, size_t spatial, int64_t groups) {
  if (groups == 1) return n(windowed<Convolution>(n, spatial), x, w);
  return n(windowed<GroupConvolution>(n, spatial), x, grouped_weights(n, w, groups));
}
template <class Op>
Value transposed(NodeContext& n, Value x, Value w, size_t spatial) {
  Op op = windowed<Op>(n, spatial);
  op.output_padding = per_axis(n, "output_padding", spatial, 0);
  return n(op, x, w);
}
Value backward(NodeContext& n, Value x, Value w, size_t spatial, int64_t groups) {
  if (groups == 1) return transposed<ConvolutionBackpropData>(n, x, w, spatial);
  return transposed<GroupConvolutionBackpropData>(n, x, grouped_weights(n, w, groups), spatial);
}

// A picture without a batch axis gets one for the time being.
template <class F>
Value batched(NodeContext& n, Value x, size_t spatial, F&& f) {
  if (n.rank(x) == spatial + 2) return f(x);
  if (n.rank(x) != spatial + 1) n.fail("input and weights differ in the number of axes");
  return n.squeeze(f(n.unsqueeze(x, {0})), {0});
}
size_t spatial_axes(NodeContext& n, Value w) {
  if (n.rank(w) < 3) n.fail("wants spatial axes");
  return n.rank(w) - 2;
}

Values convolution(NodeContext& n) {
  const Value w = n.in("weight");
  const size_t spatial = spatial_axes(n, w);
  const int64_t groups = n.i("groups", 1);
  const bool back = n.flag("transposed", false) || n.op().starts_with("conv_transpose");
  return {batched(n, n.in("input"), spatial, [&](Value x) {
    return with_bias(n, back ? backward(n, x, w, spatial, groups) : forward(n, x, w, spatial, groups), spatial);
  })};
}

Values linear(NodeContext& n) {
  const Value y = n(MatMul{false, true}, n.in("input"), n.in("weight"));
  return {n.has("bias") ? n(Add{}, y, n.in("bias")) : y};
}
Values bilinear(NodeContext& n) {
  const Value w = n.in("weight");  // [out, in1, in2]
  const Value y = n.all(Einsum{"...i,oij,...j->...o"}, {n.in("input1"), w, n.in("input2")})[0];
  return {n.has("bias") ? n(Add{}, y, n.in("bias")) : y};
}
// The decomposed form: the product of three tensors with new axes, summed over some.
Values trilinear(NodeContext& n) {
  const auto operand = [&](const char* name, const char* axes) {
    const auto at = n.ints(axes);
    return at.empty() ? n.in(name) : n.unsqueeze(n.in(name), at);
  };
  const Value y =
      n(Multiply{}, n(Multiply{}, operand("i1", "expand1"), operand("i2", "expand2")), operand("i3", "expand3"));
  return {n(ReduceSum{}, y, n.ints_constant(n.axes(n.ints("sumdim"), y)))};
}
// Both operands in the type of the result.
Value product(NodeContext& n, const char* a, const char* b) {
  const ElementType t = n.out_type(0, n.promoted(a, b));
  return n(MatMul{}, n.cast(n.in(a), t), n.cast(n.in(b), t));
}
Values matmul(NodeContext& n) {
  return {product(n, "self", n.has("mat2") ? "mat2" : n.has("other") ? "other" : n.has("tensor") ? "tensor" : "vec2")};
}
Values matrix_vector(NodeContext& n) {
  return {product(n, "self", "vec")};
}
// Sums over the last axes of both.
Values inner(NodeContext& n) {
  const Value a = n.in("self"), b = n.in("other");
  if (n.rank(a) == 0 || n.rank(b) == 0) return {n(Multiply{}, a, b)};
  if (n.rank(b) == 1) return {n(MatMul{}, a, b)};
  if (n.rank(b) > 2) n.refuse("of tensors with more than two axes is not offered");
  return {n(MatMul{false, true}, a, b)};
}
Values outer(NodeContext& n) {
  const ElementType t = n.out_type(0, n.promoted("self", "vec2"));
  return {n(Multiply{}, n.unsqueeze(n.cast(n.in("self"), t), {1}), n.unsqueeze(n.cast(n.in("vec2"), t), {0}))};
}

// beta * self + alpha * a b
Values add_product(NodeContext& n) {
  const bool batch = n.has("batch1");
  const bool vector = n.has("vec");
  Value y = batch ? product(n, "batch1", "batch2") : vector ? product(n, "mat", "vec") : product(n, "mat1", "mat2");
  Value x = n.cast(n.in("self"), y.element_type());
  if (n.op().starts_with("addbmm")) y = n(ReduceSum{}, y, n.ints_constant({0}));
  if (n.f("alpha", 1) != 1) y = n(Multiply{}, y, n.number("alpha", y.element_type()));
  if (n.f("beta", 1) == 0) return {y};
  if (n.f("beta", 1) != 1) x = n(Multiply{}, x, n.number("beta", y.element_type()));
  return {n(Add{}, y, x)};
}
Values einsum(NodeContext& n) {
  std::string equation = n.s("equation", "");
  std::erase(equation, ' ');
  return {n.all(Einsum{equation}, n.tensors("tensors"))[0]};
}
Values tensordot(NodeContext& n) {
  const Value a = n.in("self"), b = n.in("other");
  const auto da = n.axes(n.ints("dims_self"), a), db = n.axes(n.ints("dims_other"), b);
  if (n.rank(a) + n.rank(b) > 26 || da.size() != db.size()) n.fail("has wrong axes");
  std::string left(n.rank(a), ' '), right(n.rank(b), ' '), out;
  char next = 'a';
  for (size_t k = 0; k < da.size(); ++k, ++next)
    left[static_cast<size_t>(da[k])] = right[static_cast<size_t>(db[k])] = next;
  for (std::string* s : {&left, &right}) {
    for (char& c : *s) {
      if (c == ' ') out += c = next++;
    }
  }
  return {n.all(Einsum{left + "," + right + "->" + out}, {a, b})[0]};
}

// Pads are listed from the last axis on: begin, end.
Values pad(NodeContext& n) {
  const Value x = n.in("self");
  std::string mode = n.s("mode", "constant");
  if (n.op().starts_with("reflection")) mode = "reflect";
  if (n.op().starts_with("replication")) mode = "replicate";
  const Argument* list = n.argument(n.has("pad") ? "pad" : "padding");
  if (!list || list->list.size() % 2 != 0 || list->list.size() > 2 * n.rank(x)) n.fail("has a wrong number of pads");
  std::vector<Argument> begin(n.rank(x)), end(n.rank(x));
  for (size_t k = 0; k < n.rank(x); ++k) begin[k].kind = end[k].kind = Argument::Kind::integer;
  for (size_t k = 0; 2 * k < list->list.size(); ++k) {
    begin[n.rank(x) - 1 - k] = list->list[2 * k];
    end[n.rank(x) - 1 - k] = list->list[2 * k + 1];
  }
  const Value b = n.sizes(begin), e = n.sizes(end);
  if (mode == "constant") {
    const bool given = n.has("value");
    return {n(Pad{PadMode::constant}, x, b, e,
              given ? n.number("value", x.element_type()) : n.scalar_of(x.element_type(), 0))};
  }
  if (mode == "reflect") return {n(Pad{PadMode::reflect}, x, b, e)};
  if (mode == "replicate") return {n(Pad{PadMode::edge}, x, b, e)};
  if (mode == "circular") {
    Value y = x;
    for (size_t k = 0; 2 * k < list->list.size(); ++k) {
      const auto axis = static_cast<int64_t>(n.rank(x) - 1 - k);
      const Value length = n.dim(y, axis), left = n.reshape(n.symbol(begin[static_cast<size_t>(axis)]), {}),
                  right = n.reshape(n.symbol(end[static_cast<size_t>(axis)]), {});
      const Value one = n.int_constant(1), zero = n.int_constant(0);
      y = n.concat({n.slice(y, axis, n(Subtract{}, length, left), length, one), y, n.slice(y, axis, zero, right, one)},
                   axis);
    }
    return {y};
  }
  n.fail("unknown mode '" + mode + "'");
}

// upsample_bilinear2d and the like: sizes, or scales that PyTorch also computes the coordinates with.
Values upsample(NodeContext& n) {
  const std::string_view op = n.op();
  const Value x = n.in(n.has("self") ? "self" : "input");
  const size_t spatial = spatial_axes(n, x);
  Interpolate r;
  const bool corners = n.flag("align_corners", false);
  r.coordinate_transformation_mode = corners ? CoordinateMode::align_corners : CoordinateMode::half_pixel;
  if (op.find("nearest") != op.npos) {
    const bool exact = op.find("exact") != op.npos;
    r.mode = InterpolateMode::nearest;
    r.coordinate_transformation_mode = exact ? CoordinateMode::half_pixel : CoordinateMode::asymmetric;
    r.nearest_mode = exact ? NearestMode::round_prefer_ceil : NearestMode::floor;
  } else if (op.find("cubic") != op.npos) {
    r.mode = InterpolateMode::cubic;
  } else {
    r.mode = InterpolateMode::linear_onnx;
  }
  if (op.ends_with("_aa")) {
    if (corners) n.refuse("with align_corners is not offered");
    r.antialias = r.exclude_outside = true;
    if (r.mode == InterpolateMode::cubic) r.cube_coeff = -0.5;
  }
  std::vector<int64_t> resized;
  for (size_t k = 0; k < spatial; ++k) resized.push_back(static_cast<int64_t>(k) + 2);
  const Value axes = n.ints_constant(resized);
  if (n.has("output_size")) {
    static constexpr const char* names[][3] = {
        {"scales"}, {"scales_h", "scales_w"}, {"scales_d", "scales_h", "scales_w"}};
    // Scales beside the sizes say how positions are computed; they matter where they are not the ratio of the sizes.
    for (size_t k = 0; k < spatial && spatial <= 3; ++k) {
      if (!n.has(names[spatial - 1][k]) || corners) continue;
      const auto sizes = n.ints("output_size");
      const Dimension d = x.shape()[k + 2];
      if (d.is_dynamic() ||
          static_cast<double>(sizes.at(k)) != n.f(names[spatial - 1][k], 1) * static_cast<double>(d.get_length()))
        n.refuse("with scales that are not the ratio of the sizes is not offered");
    }
    return {n(r, x, n.sizes("output_size"), axes)};
  }
  std::vector<double> factors = n.floats("scale_factors");
  if (factors.size() == 1) factors.resize(spatial, factors[0]);
  if (factors.size() != spatial) n.fail("wants output_size or scale_factors");
  if (corners) {
    // Corners are aligned to the sizes, whatever the factors.
    const Value scaled = n(Multiply{}, n.cast(n.gather(n.shape_of(x), axes, 0), ElementType::f64),
                           n.b.constant(Tensor::of<double>({std::ssize(factors)}, std::span<const double>(factors))));
    return {n(r, x, n.cast(n(Floor{}, scaled), ElementType::i64), axes)};
  }
  std::vector<float> narrow(factors.begin(), factors.end());
  r.shape_calculation_mode = ShapeCalculation::scales;
  return {n(r, x, n.b.constant(Tensor::of<float>({std::ssize(narrow)}, std::span<const float>(narrow))), axes)};
}

Values grid_sample(NodeContext& n) {
  GridSample op;
  op.align_corners = n.flag("align_corners", false);
  const int64_t mode = n.i("interpolation_mode", 0), padding = n.i("padding_mode", 0);
  if (mode < 0 || mode > 2 || padding < 0 || padding > 2) n.fail("unknown mode");
  op.mode = static_cast<GridMode>(mode);
  op.padding_mode = static_cast<GridPadding>(padding);
  return {n(op, n.in("input"), n.in("grid"))};
}
// Positions of an affine map: theta [N, 2, 3] on the grid of an image of `size`.
Values affine_grid(NodeContext& n) {
  const Value theta = n.in("theta");
  const auto size = n.ints("size");
  if (size.size() != 4) n.refuse("is offered for two spatial axes");
  const bool corners = n.flag("align_corners", false);
  const int64_t h = size[2], w = size[3];
  if (h < 0 || w < 0 || h > 1 << 14 || w > 1 << 14) n.refuse("of that size is not offered");
  Tensor base(ElementType::f32, {h * w, 3});
  const auto at = [&](int64_t i, int64_t length) {
    if (corners) return length > 1 ? 2.0 * static_cast<double>(i) / static_cast<double>(length - 1) - 1 : 0.0;
    return (2.0 * static_cast<double>(i) + 1) / static_cast<double>(length) - 1;
  };
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      float* p = base.data<float>() + (y * w + x) * 3;
      p[0] = static_cast<float>(at(x, w));
      p[1] = static_cast<float>(at(y, h));
      p[2] = 1;
    }
  }
  const Value grid = n(MatMul{false, true}, n.cast(n.b.constant(base), theta.element_type()), theta);
  return {n.reshape(grid, {-1, h, w, 2})};
}

// Rows that are sorted by group, each times its group's matrix: [S, K] x [G, K, N] -> [S, N]; group g ends before row
// offs[g]. All matrices lie side by side as one and each row keeps the part of its group, so that no size hangs on the
// data. Rows behind the last group are zeros.
Values grouped_matmul(NodeContext& n) {
  const bool own = n.op().starts_with("transformers.");
  const Value x = n.in(own ? "input" : "self"), weights = n.cast(n.in(own ? "weight" : "mat2"), x.element_type());
  if (n.rank(x) != 2 || n.rank(weights) != 3 || !n.has("offs"))
    n.refuse("is offered for rows times a matrix a group, with offsets");
  if (n.has("bias")) n.refuse("with bias is not offered");
  if (!weights.shape().is_static()) n.refuse("needs to know the size of its matrices");
  const Shape sizes = weights.shape().to_shape();
  const Value joined = n.reshape(n.transpose(weights, {1, 0, 2}), {sizes[1], sizes[0] * sizes[2]});
  const Value parts = n.reshape(n(MatMul{}, x, joined), {-1, sizes[0], sizes[2]});
  const auto count = [&](Value length) {
    return n(Range{ElementType::i64}, n.int_constant(0), length, n.int_constant(1));
  };
  const Value passed = n(LessEqual{}, n.cast(n.in("offs"), ElementType::i64), n.unsqueeze(count(n.dim(x, 0)), {1}));
  const Value group = n(ReduceSum{true}, n.cast(passed, ElementType::i64), n.ints_constant({1}));
  const Value chosen = n.unsqueeze(n(Equal{}, group, count(n.int_constant(sizes[0]))), {2});
  return {n(ReduceSum{}, n(Select{}, chosen, parts, n.scalar_of(x.element_type(), 0)), n.ints_constant({1}))};
}

constexpr OperatorRow rows[] = {
    {"_convolution", convolution},
    {"_grouped_mm", grouped_matmul},
    {"_trilinear", trilinear},
    {"_upsample_bicubic2d_aa", upsample},
    {"_upsample_bilinear2d_aa", upsample},
    {"_upsample_nearest_exact1d", upsample},
    {"_upsample_nearest_exact2d", upsample},
    {"_upsample_nearest_exact3d", upsample},
    {"addbmm", add_product},
    {"addmm", add_product},
    {"addmv", add_product},
    {"affine_grid_generator", affine_grid},
    {"baddbmm", add_product},
    {"bilinear", bilinear},
    {"bmm", matmul},
    {"constant_pad_nd", pad},
    {"conv1d", convolution},
    {"conv2d", convolution},
    {"conv3d", convolution},
    {"conv_transpose1d", convolution},
    {"conv_transpose2d", convolution},
    {"conv_transpose3d", convolution},
    {"convolution", convolution},
    {"dot", matmul},
    {"einsum", einsum},
    {"grid_sampler", grid_sample},
    {"grid_sampler_2d", grid_sample},
    {"grid_sampler_3d", grid_sample},
    {"ger", outer},
    {"grouped_mm", grouped_matmul},
    {"inner", inner},
    {"linalg_matmul", matmul},
    {"linear", linear},
    {"matmul", matmul},
    {"mm", matmul},
    {"mv", matrix_vector},
    {"outer", outer},
    {"pad", pad},
    {"reflection_pad1d", pad},
    {"reflection_pad2d", pad},
    {"reflection_pad3d", pad},
    {"replication_pad1d", pad},
    {"replication_pad2d", pad},
    {"replication_pad3d", pad},
    {"tensordot", tensordot},
    {"transformers.grouped_mm_fallback", grouped_matmul},
    {"upsample_bicubic2d", upsample},
    {"upsample_bilinear2d", upsample},
    {"upsample_linear1d", upsample},
    {"upsample_nearest1d", upsample},
    {"upsample_nearest2d", upsample},
    {"upsample_nearest3d", upsample},
    {"upsample_trilinear3d", upsample},
    {"vdot", matmul},
};

}  // namespace

std::span<const OperatorRow> network_rows() {
  return rows;
}

}  // namespace hone::pytorch
