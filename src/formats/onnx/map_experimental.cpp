// Experimental operators that the default domain had until set 10; converters of Core ML and Caffe2 wrote them.
#include <limits>

#include "base/checked.hpp"
#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

Value scaled(NodeContext& n, Value x, double by) {
  return by == 1 ? x : n(Multiply{}, x, n.like(x, by));
}

Values affine(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Add{}, scaled(n, x, n.f("alpha", 1)), n.like(x, n.f("beta", 0)))};
}
Values scale(NodeContext& n) {
  return {scaled(n, n.in(0), n.f("scale", 1))};
}
// Pictures [N, C, H, W] with a bias for each channel.
Values image_scaler(NodeContext& n) {
  const Value y = scaled(n, n.in(0), n.f("scale", 1));
  const std::vector<float> bias = n.floats("bias");
  if (bias.empty()) return {y};
  const Tensor t = Tensor::of<float>({std::ssize(bias), 1, 1}, std::span<const float>(bias));
  return {n(Add{}, y, n.cast(n.b.constant(t), y.element_type()))};
}
// Borders left, top, right, bottom; `scale` is the height and width that stay.
Values crop(NodeContext& n) {
  const auto border = n.ints("border"), size = n.ints("scale");
  if (border.size() != 4 || (!size.empty() && size.size() != 2))
    n.fail("wants four borders, and a height and a width or none");
  const auto end = [&](size_t k, int64_t begin, int64_t last) {
    return size.empty() ? (last == 0 ? std::numeric_limits<int64_t>::max() : -last) : checked_add(begin, size[k]);
  };
  const Value rows = n.slice(n.in(0), 2, border[1], end(0, border[1], border[3]));
  return {n.slice(rows, 3, border[0], end(1, border[0], border[2]))};
}
Values parametric_softplus(NodeContext& n) {
  return {scaled(n, n(SoftPlus{}, scaled(n, n.in(0), n.f("beta", 1))), n.f("alpha", 1))};
}
Values scaled_tanh(NodeContext& n) {
  return {scaled(n, n(Tanh{}, scaled(n, n.in(0), n.f("beta", 1))), n.f("alpha", 1))};
}

// The shape is an attribute, or an input's: its numbers where `input_as_shape` says so.
Value filled(NodeContext& n, Value with) {
  const auto more = n.ints("extra_shape");
  if (!n.has(0)) return n(Broadcast{}, with, n.ints_constant(n.ints("shape")));
  Value shape = n.i("input_as_shape", 0) ? n.cast(n.in(0), ElementType::i64) : n.shape_of(n.in(0));
  if (!more.empty()) shape = n.concat({shape, n.ints_constant(more)}, 0);
  return n(Broadcast{}, with, shape);
}
Values constant_fill(NodeContext& n) {
  return {
      filled(n, n.cast(n.b.scalar<float>(static_cast<float>(n.f("value", 0))), element_type_of_onnx(n.i("dtype", 1))))};
}
Values given_tensor_fill(NodeContext& n) {
  const std::vector<float> values = n.floats("values");
  const Value flat = n.b.constant(Tensor::of<float>({std::ssize(values)}, std::span<const float>(values)));
  if (n.has(0) || n.has_attribute("extra_shape")) n.refuse("with a shape of its input is not offered");
  return {n.reshape(flat, n.ints("shape"))};
}

constexpr OperatorRow rows[] = {
    {"Affine", 1, affine},
    {"ConstantFill", 1, constant_fill},
    {"Crop", 1, crop},
    {"GivenTensorFill", 1, given_tensor_fill},
    {"ImageScaler", 1, image_scaler},
    {"ParametricSoftplus", 1, parametric_softplus},
    {"Scale", 1, scale},
    {"ScaledTanh", 1, scaled_tanh},
};

}  // namespace

std::span<const OperatorRow> experimental_rows() {
  return rows;
}

}  // namespace hone::onnx
