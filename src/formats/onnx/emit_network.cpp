// Convolution, pooling, matrix products, normalization, resizing, quantization and control flow as ONNX nodes.
#include <cmath>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/control.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/quantize.hpp"
#include "ops/resize.hpp"

namespace hone::onnx {
namespace {

std::vector<int64_t> filled(std::vector<int64_t> v, size_t n, int64_t with) {
  v.resize(std::max(v.size(), n), with);
  return v;
}

// Strides, pads and dilations of a windowed operator.
template <class Op>
AttributeList window(const Op& op, size_t spatial) {
  AttributeList a;
  a.ints("strides", filled(op.strides, spatial, 1));
  if constexpr (requires { op.dilations; }) {
    // Average pooling has the attribute only since operator set 19: it is left out where it says nothing.
    if (std::any_of(op.dilations.begin(), op.dilations.end(), [](int64_t d) { return d != 1; }))
      a.ints("dilations", filled(op.dilations, spatial, 1));
  }
  switch (op.auto_pad) {
    case AutoPad::same_upper:
      a.s("auto_pad", "SAME_UPPER");
      break;
    case AutoPad::same_lower:
      a.s("auto_pad", "SAME_LOWER");
      break;
    case AutoPad::valid:
      a.s("auto_pad", "VALID");
      break;
    case AutoPad::explicit_: {
      auto pads = filled(op.pads_begin, spatial, 0);
      const auto end = filled(op.pads_end, spatial, 0);
      pads.insert(pads.end(), end.begin(), end.end());
      a.ints("pads", pads);
    }
  }
  return a;
}

// [G, O/G, I/G, k...] -> [O, I/G, k...], and likewise for transposed ones.
std::string merged_weights(EmitContext& e) {
  const PartialShape& s = e.node.input(1).shape();
  std::vector<int64_t> shape{-1};
  for (size_t k = 2; k < s.rank(); ++k) shape.push_back(s[k].is_static() ? s[k].get_length() : 0);
  if (const Tensor w = e.known(1)) {
    Shape full(w.shape().begin() + 1, w.shape().end());
    full[0] *= w.shape()[0];
    const Value own = e.node.input(1);
    return e.w.constant(w.reshaped(full), !own.names().empty() ? own.names()[0] : own.node().name());
  }
  for (int64_t d : shape) {
    if (d == 0) e.refuse("needs weights of known shape");
  }
  return e.op("Reshape", {e.in(1), e.ints(shape)});
}
int64_t groups(EmitContext& e) {
  const Dimension& d = e.node.input(1).shape()[0];
  if (d.is_dynamic()) e.refuse("needs to know the number of groups");
  return d.get_length();
}

void convolution(EmitContext& e) {
  e.result("Conv", {e.in(0), e.in(1)}, window(e.as<Convolution>(), e.rank(1) - 2));
}
void group_convolution(EmitContext& e) {
  e.result("Conv", {e.in(0), merged_weights(e)}, window(e.as<GroupConvolution>(), e.rank(1) - 3).i("group", groups(e)));
}
template <class Op>
void transposed(EmitContext& e, const std::string& weights, size_t spatial, int64_t group) {
  const auto& op = e.as<Op>();
  // ONNX gives the two names to the halves of the padding of a transposed convolution the other way round.
  Op turned = op;
  if (op.auto_pad == AutoPad::same_upper) turned.auto_pad = AutoPad::same_lower;
  if (op.auto_pad == AutoPad::same_lower) turned.auto_pad = AutoPad::same_upper;
  AttributeList a = window(turned, spatial);
  a.i("group", group);
  if (e.has(2))
    a.ints("output_shape", e.must_know(2, "the output shape").to_ints());
  else
    a.ints("output_padding", filled(op.output_padding, spatial, 0));
  e.result("ConvTranspose", {e.in(0), weights}, a);
}
void backprop(EmitContext& e) {
  transposed<ConvolutionBackpropData>(e, e.in(1), e.rank(1) - 2, 1);
}
void group_backprop(EmitContext& e) {
  transposed<GroupConvolutionBackpropData>(e, merged_weights(e), e.rank(1) - 3, groups(e));
}

void max_pool(EmitContext& e) {
  const auto& op = e.as<MaxPool>();
  AttributeList a = window(op, op.kernel.size());
  a.ints("kernel_shape", op.kernel).i("ceil_mode", op.rounding_type != RoundingType::floor);
  if (!e.used(1)) return e.result_to(0, "MaxPool", {e.in(0)}, a);
  if (op.axis != 0) e.refuse("with indices from an inner axis has no counterpart in ONNX");
  if (op.index_element_type == ElementType::i64) return e.result("MaxPool", {e.in(0)}, a);
  const std::string index = e.w.fresh(e.out(1) + "_i64");
  e.w.emit("MaxPool", {e.in(0)}, {e.out(0), index}, a, e.node.name());
  e.result_to(1, "Cast", {index}, AttributeList().i("to", onnx_data_type(op.index_element_type)));
}
void avg_pool(EmitContext& e) {
  const auto& op = e.as<AvgPool>();
  AttributeList a = window(op, op.kernel.size());
  a.ints("kernel_shape", op.kernel)
      .i("ceil_mode", op.rounding_type != RoundingType::floor)
      .i("count_include_pad", !op.exclude_pad);
  e.result("AveragePool", {e.in(0)}, a);
}
void adaptive_avg_pool(EmitContext& e) {
  const auto out = e.must_know(1, "the output size").to_ints();
  const PartialShape& s = e.node.input(0).shape();
  if (std::all_of(out.begin(), out.end(), [](int64_t d) { return d == 1; }))
    return e.result("GlobalAveragePool", {e.in(0)});
  std::vector<int64_t> kernel;
  for (size_t k = 0; k < out.size(); ++k) {
    if (s[k + 2].is_dynamic() || out[k] < 1 || s[k + 2].get_length() % out[k] != 0)
      e.refuse("with uneven windows has no counterpart in ONNX");
    kernel.push_back(s[k + 2].get_length() / out[k]);
  }
  e.result("AveragePool", {e.in(0)}, AttributeList().ints("kernel_shape", kernel).ints("strides", kernel));
}

void matmul(EmitContext& e) {
  const auto& op = e.as<MatMul>();
  auto turned = [&](size_t i, bool turn) {
    if (!turn) return e.in(i);  // of any rank
    const size_t r = e.rank(i);
    if (r < 2) return e.in(i);
    std::vector<int64_t> order;
    for (size_t k = 0; k < r; ++k) order.push_back(static_cast<int64_t>(k));
    std::swap(order[r - 1], order[r - 2]);
    return e.op("Transpose", {e.in(i)}, AttributeList().ints("perm", order));
  };
  if ((op.transpose_a || op.transpose_b) && e.rank(0) == 2 && e.rank(1) == 2 && is_float(e.element(0))) {
    return e.result("Gemm", {e.in(0), e.in(1)},
                    AttributeList().i("transA", op.transpose_a).i("transB", op.transpose_b));
  }
  const auto a = turned(0, op.transpose_a), b = turned(1, op.transpose_b);
  e.result("MatMul", {a, b});
}

void batch_norm(EmitContext& e) {
  e.result("BatchNormalization", e.ins(), AttributeList().f("epsilon", e.as<BatchNormInference>().epsilon));
}
void layer_norm(EmitContext& e) {
  const auto& op = e.as<LayerNorm>();
  e.result("LayerNormalization", e.ins(), AttributeList().f("epsilon", op.epsilon).i("axis", op.axis));
}
void lrn(EmitContext& e) {
  const auto& op = e.as<LRN>();
  if (e.must_know(1, "the axes").to_ints() != std::vector<int64_t>{1})
    e.refuse("over other axes than channels has no counterpart in ONNX");
  e.result("LRN", {e.in(0)},
           AttributeList().f("alpha", op.alpha).f("beta", op.beta).f("bias", op.bias).i("size", op.size));
}

void interpolate(EmitContext& e) {
  const auto& op = e.as<Interpolate>();
  AttributeList a;
  switch (op.mode) {
    case InterpolateMode::nearest:
      a.s("mode", "nearest");
      break;
    case InterpolateMode::linear:
    case InterpolateMode::linear_onnx:
      a.s("mode", "linear");
      break;
    case InterpolateMode::cubic:
      a.s("mode", "cubic").f("cubic_coeff_a", op.cube_coeff);
      break;
    default:
      e.refuse("in Pillow's modes has no counterpart in ONNX");
  }
  for (const auto* pads : {&op.pads_begin, &op.pads_end}) {
    if (std::any_of(pads->begin(), pads->end(), [](int64_t p) { return p != 0; }))
      e.refuse("with pads has no counterpart in ONNX");
  }
  if (op.nearest_mode == NearestMode::simple) e.refuse("with nearest_mode simple has no counterpart in ONNX");
  if (op.coordinate_transformation_mode == CoordinateMode::half_pixel_symmetric)
    e.needs(19, "with half_pixel_symmetric ");
  if (op.antialias) e.needs(18, "with antialias ");
  // With scales ONNX does not round the length.
  const CoordinateMode mode = op.coordinate_transformation_mode == CoordinateMode::align_corners_unrounded
                                  ? CoordinateMode::align_corners
                                  : op.coordinate_transformation_mode;
  a.s("coordinate_transformation_mode", std::string(enum_names(mode)[static_cast<size_t>(mode)]));
  a.s("nearest_mode", std::string(enum_names(op.nearest_mode)[static_cast<size_t>(op.nearest_mode)]));
  a.i("exclude_outside", op.exclude_outside);
  if (op.antialias) a.i("antialias", 1);
  const bool sized = op.shape_calculation_mode == ShapeCalculation::sizes;
  std::string target = sized ? e.cast(e.in(1), ElementType::i64) : e.cast(e.in(1), ElementType::f32);
  if (e.has(2)) {
    const auto axes = e.must_know(2, "the axes").to_ints();
    if (e.opset >= 18) {
      a.ints("axes", axes);
    } else {
      // Before set 18 all axes are named: the others keep their size.
      const size_t rank = e.rank(0);
      std::vector<std::string> parts;
      const std::string shape =
          sized ? e.op("Shape", {e.in(0)})
                : e.constant(Tensor::of<float>({static_cast<int64_t>(rank)}, std::vector<float>(rank, 1.0f)));
      for (size_t k = 0; k < rank; ++k) {
        size_t at = axes.size();
        for (size_t i = 0; i < axes.size(); ++i) {
          if (axes[i] == static_cast<int64_t>(k) || axes[i] + static_cast<int64_t>(rank) == static_cast<int64_t>(k))
            at = i;
        }
        const auto from = static_cast<int64_t>(at < axes.size() ? at : k);
        parts.push_back(e.op("Slice", {at < axes.size() ? target : shape, e.ints({from}), e.ints({from + 1})}));
      }
      target = e.op("Concat", parts, AttributeList().i("axis", 0));
    }
  }
  if (sized)
    e.result("Resize", {e.in(0), "", "", target}, a);
  else
    e.result("Resize", {e.in(0), "", target}, a);
}

void quantize(EmitContext& e) {
  const auto& op = e.as<Quantize>();
  const bool wide = op.output_type != ElementType::i8 && op.output_type != ElementType::u8;
  if (wide) e.needs(21, std::string("to ") + name_of(op.output_type) + " ");
  AttributeList a;
  const bool vector = e.node.input(1).shape().rank_known() && e.node.input(1).shape().rank() == 1;
  if (vector) a.i("axis", op.axis);
  std::string x = e.in(0), zero = e.in(2);
  if (zero.empty()) {
    const Tensor scale = e.known(1);
    zero = e.constant(Tensor(op.output_type, scale ? scale.shape() : Shape{}));
  } else if (e.element(2) != op.output_type) {
    zero = e.cast(zero, op.output_type);
  }
  if (op.low < op.high) {
    const int bits = bit_width(op.output_type);
    const int64_t least = is_signed(op.output_type) ? -(int64_t{1} << (bits - 1)) : 0,
                  most = least + (int64_t{1} << bits) - 1;
    if (op.low > least || op.high < most) {  // a narrower range than the type's: clip the real values
      if (vector) e.refuse("to a narrow range by channel has no counterpart in ONNX");
      const auto z = e.cast(zero, ElementType::f32);
      auto bound = [&](int64_t level) {
        return e.op("Mul", {e.op("Sub", {e.constant(Tensor::scalar<float>(static_cast<float>(level))), z}), e.in(1)});
      };
      x = e.op("Min", {e.op("Max", {x, bound(op.low)}), bound(op.high)});
    }
  }
  e.result("QuantizeLinear", {x, e.in(1), zero}, a);
}
void dequantize(EmitContext& e) {
  const auto& op = e.as<Dequantize>();
  AttributeList a;
  if (e.node.input(1).shape().rank_known() && e.node.input(1).shape().rank() == 1) a.i("axis", op.axis);
  std::string zero = e.in(2), x = e.in(0);
  ElementType t = e.element(0);
  if (!zero.empty() && e.element(2) != t) zero = e.cast(zero, t);
  const bool plain = t == ElementType::i8 || t == ElementType::u8 || (t == ElementType::i32 && zero.empty());
  if (!plain && t != ElementType::i32) e.needs(21, std::string("of ") + name_of(t) + " ");
  std::vector<std::string> in{x, e.cast(e.in(1), ElementType::f32)};
  if (!zero.empty()) in.push_back(zero);
  if (op.output_type == ElementType::f32) return e.result("DequantizeLinear", in, a);
  e.result("Cast", {e.op("DequantizeLinear", in, a)}, AttributeList().i("to", onnx_data_type(op.output_type)));
}

// QuantizeLinear and DequantizeLinear where the range is a scale and a whole zero point of 8 bits; else the arithmetic
// itself.
void fake_quantize(EmitContext& e) {
  const auto& op = e.as<FakeQuantize>();
  const Tensor il = e.known(1), ih = e.known(2), ol = e.known(3), oh = e.known(4);
  auto same = [](const Tensor& a, const Tensor& b) {
    return a && b && a.size() == b.size() && a.to_doubles() == b.to_doubles();
  };
  if (same(il, ol) && same(ih, oh) && il.size() == ih.size() && (op.levels == 256 || op.levels == 255)) {
    const size_t n = il.size();
    std::vector<float> scales;
    std::vector<double> points;
    int64_t axis = 0;
    bool whole = true, is_signed = true;
    for (size_t i = 0; i < n; ++i) {
      const double low = get_element(il, i), high = get_element(ih, i),
                   scale = (high - low) / static_cast<double>(op.levels - 1);
      if (!(scale > 0)) whole = false;
      const double at = -low / scale;  // the level that stands for zero
      whole =
          whole && std::abs(at - std::nearbyint(at)) < 2e-3 && at > -0.5 && at < static_cast<double>(op.levels) - 0.5;
      is_signed = is_signed && std::abs(std::nearbyint(at) - (op.levels == 256 ? 128 : 127)) < 0.5;
      scales.push_back(static_cast<float>(scale));
      points.push_back(std::nearbyint(at));
    }
    size_t long_axes = 0;
    const size_t offset = e.rank(0) >= il.rank() ? e.rank(0) - il.rank() : 0;
    for (size_t k = 0; k < il.rank(); ++k) {
      if (il.shape()[k] != 1) {
        ++long_axes;
        axis = static_cast<int64_t>(k + offset);
      }
    }
    // 255 levels are the symmetric range of i8: the lowest number is never reached by clipping to it.
    if (whole && long_axes <= 1 && (op.levels == 256 || is_signed)) {
      const ElementType t = is_signed ? ElementType::i8 : ElementType::u8;
      const Shape shape = n == 1 ? Shape{} : Shape{static_cast<int64_t>(n)};
      Tensor zero(t, shape);
      for (size_t i = 0; i < n && !is_signed; ++i) set_integer(zero, i, static_cast<int64_t>(points[i]));
      const auto s = e.constant(Tensor::of<float>(shape, std::span<const float>(scales))), z = e.constant(zero);
      AttributeList a;
      if (n > 1) a.i("axis", axis);
      std::string x = e.in(0);
      if (op.levels == 255) x = e.op("Min", {e.op("Max", {x, e.in(1)}), e.in(2)});
      return e.result("DequantizeLinear", {e.op("QuantizeLinear", {x, s, z}, a), s, z}, a);
    }
  }
  const auto steps = e.constant(Tensor::scalar<float>(static_cast<float>(op.levels - 1)));
  const auto width = e.op("Sub", {e.in(2), e.in(1)});
  const auto clipped =
      e.op("Min", {e.op("Max", {e.in(0), e.op("Min", {e.in(1), e.in(2)})}), e.op("Max", {e.in(1), e.in(2)})});
  const auto level = e.op("Round", {e.op("Mul", {e.op("Div", {e.op("Sub", {clipped, e.in(1)}), width}), steps})});
  e.result("Add", {e.op("Mul", {e.op("Div", {level, steps}), e.op("Sub", {e.in(4), e.in(3)})}), e.in(3)});
}

std::string body(EmitContext& e, const Region& region, const std::vector<std::string>& outer, size_t outer_from,
                 std::set<std::string>& used) {
  GraphWriter inner(e.w.options, used);
  Graph prepared = *region;
  std::vector<std::string> names(outer_from);  // the body's own inputs get names of their own
  names.insert(names.end(), outer.begin(), outer.end());
  inner.write(prepared, names);
  return inner.finish(prepared, outer_from);
}

}  // namespace

// Subgraphs see outer values by name, so what a region takes as input needs no copy.
void emit_if(EmitContext& e, std::set<std::string>& used) {
  std::vector<std::string> outer;
  for (size_t i = 1; i < e.num_inputs(); ++i) outer.push_back(e.in(i));
  const auto& regions = e.g.node(e.node.id).regions;
  e.result("If", {e.in(0)},
           AttributeList()
               .graph("then_branch", body(e, regions[0], outer, 0, used))
               .graph("else_branch", body(e, regions[1], outer, 0, used)));
}

void emit_loop(EmitContext& e, std::set<std::string>& used) {
  const auto& op = e.as<Loop>();
  const auto carried = static_cast<size_t>(op.num_carried);
  for (int64_t axis : op.scan_outputs) {
    if (axis != -1) e.refuse("that concatenates along an axis has no counterpart in ONNX");
  }
  std::vector<std::string> outer, in{e.in(0), e.in(1)};
  for (size_t i = 2; i < 2 + carried; ++i) in.push_back(e.in(i));
  for (size_t i = 2 + carried; i < e.num_inputs(); ++i) outer.push_back(e.in(i));
  e.result("Loop", in,
           AttributeList().graph("body", body(e, e.g.node(e.node.id).regions[0], outer, 2 + carried, used)));
}

namespace {
constexpr EmitRow rows[] = {
    {"AdaptiveAvgPool", adaptive_avg_pool},
    {"AvgPool", avg_pool},
    {"BatchNormInference", batch_norm},
    {"Convolution", convolution},
    {"ConvolutionBackpropData", backprop},
    {"Dequantize", dequantize},
    {"FakeQuantize", fake_quantize},
    {"GroupConvolution", group_convolution},
    {"GroupConvolutionBackpropData", group_backprop},
    {"Interpolate", interpolate},
    {"LRN", lrn},
    {"LayerNorm", layer_norm},
    {"MatMul", matmul},
    {"MaxPool", max_pool},
    {"Quantize", quantize},
};
}  // namespace

std::span<const EmitRow> emit_network_rows() {
  return rows;
}

}  // namespace hone::onnx
