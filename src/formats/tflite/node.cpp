#include "formats/tflite/node.hpp"

#include <numeric>

#include "formats/tflite/importer.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {

const TensorValue& NodeContext::value(size_t i) const {
  if (!has(i)) fail("input " + std::to_string(i) + " is missing");
  return inputs_[i];
}

const TensorInfo& NodeContext::info(size_t i) const {
  value(i);
  return graph_.tensors[static_cast<size_t>(op_.inputs[i])];
}
const TensorInfo& NodeContext::info_out(size_t i) const {
  if (i >= op_.outputs.size() || op_.outputs[i] < 0) fail("output " + std::to_string(i) + " is missing");
  return graph_.tensors[static_cast<size_t>(op_.outputs[i])];
}
const TensorInfo& NodeContext::intermediate(size_t i) const {
  if (!has_intermediate(i)) fail("intermediate tensor " + std::to_string(i) + " is missing");
  return graph_.tensors[static_cast<size_t>(op_.intermediates[i])];
}

Value NodeContext::in(size_t i) {
  value(i);
  TensorValue& v = inputs_[i];
  if (!v.resource.empty()) fail("input " + std::to_string(i) + " is a resource");
  if (v.real) return v.real;
  if (v.steps) return v.real = (*this)(Multiply{}, v.steps, b.scalar<float>(scales(i).scale.at(0)));
  return v.real = scales(i) ? dequantized(v.stored, scales(i), scale_axis(info(i), scales(i).axis)) : v.stored;
}

Value NodeContext::stored(size_t i) {
  value(i);
  if (!inputs_[i].resource.empty()) fail("input " + std::to_string(i) + " is a resource");
  return stored(inputs_[i], info(i));
}

Value NodeContext::stored(TensorValue& v, const TensorInfo& as) {
  if (v.stored) return v.stored;
  if (v.steps)
    return v.stored = cast((*this)(Add{}, v.steps, b.scalar<float>(static_cast<float>(as.scales.zero.at(0)))),
                           element_type_of(as.type));
  return v.stored = quantized(v.real, as);
}

TensorValue NodeContext::whole_steps(Value v, const TensorInfo& as) {
  const double zero = static_cast<double>(as.scales.zero.at(0));
  return {.stored = {},
          .real = {},
          .steps = (*this)(Clamp{0 - zero, 255 - zero}, (*this)(Round{RoundMode::half_to_even}, v)),
          .resource = {}};
}

TensorValue NodeContext::kept(Value real, const TensorInfo& as) {
  if (importer_.counts_steps() && as.type == TensorType::u8 && as.scales.scale.size() == 1) {
    return whole_steps((*this)(Divide{}, real, b.scalar<float>(as.scales.scale[0])), as);
  }
  return {.stored = quantized(real, as), .real = {}, .steps = {}, .resource = {}};
}

Values NodeContext::all_in() {
  Values v;
  for (size_t i = 0; i < inputs_.size(); ++i) v.push_back(in(i));
  return v;
}

int64_t NodeContext::scale_axis(const TensorInfo& t, int64_t usual) const {
  if (t.scales.scale.size() <= 1) return 0;
  const auto fits = [&](int64_t a) {
    return a >= 0 && a < static_cast<int64_t>(t.shape.size()) &&
           t.shape[static_cast<size_t>(a)] == static_cast<int64_t>(t.scales.scale.size());
  };
  // Some converters leave the axis at 0 whatever it is.
  if (fits(t.scales.axis)) return t.scales.axis;
  if (fits(usual)) return usual;
  fail(std::to_string(t.scales.scale.size()) + " scales fit no axis of tensor '" + std::string(t.name) + "'");
}

Value NodeContext::dequantized(Value stored, const Scales& s, int64_t axis) {
  if (!s) return stored;
  const bool one = s.scale.size() == 1;
  const Shape shape = one ? Shape{} : Shape{static_cast<int64_t>(s.scale.size())};
  const Value scale = b.constant(Tensor::of<float>(shape, s.scale));
  const Dequantize d{one ? 0 : axis, ElementType::f32};
  bool centred = true;
  for (int64_t z : s.zero) centred &= z == 0;
  if (centred) return (*this)(d, stored, scale);
  Tensor zero(stored.element_type(), shape);
  for (size_t k = 0; k < s.zero.size(); ++k) set_integer(zero, k, s.zero[k]);
  return (*this)(d, stored, scale, b.constant(zero));
}

Value NodeContext::quantized(Value real, const TensorInfo& as) {
  const Scales& s = as.scales;
  if (!s) return real;
  const bool one = s.scale.size() == 1;
  const Shape shape = one ? Shape{} : Shape{static_cast<int64_t>(s.scale.size())};
  const Value scale = b.constant(Tensor::of<float>(shape, s.scale));
  Quantize q;
  q.output_type = element_type_of(as.type);
  q.axis = scale_axis(as, s.axis);
  bool centred = true;
  for (int64_t z : s.zero) centred &= z == 0;
  if (centred) return (*this)(q, real, scale);
  Tensor zero(q.output_type, shape);
  for (size_t k = 0; k < s.zero.size(); ++k) set_integer(zero, k, s.zero[k]);
  return (*this)(q, real, scale, b.constant(zero));
}

Value NodeContext::steps(size_t i) {
  value(i);
  TensorValue& v = inputs_[i];
  if (!v.steps) v.steps = dequantized(stored(i), {{1}, {scales(i).zero.at(0)}, 0}, 0);
  return v.steps;
}

Value NodeContext::weights(size_t i, const std::vector<int64_t>& order, int64_t usual_axis, bool in_steps) {
  const auto permuted = [&](Value v) {
    bool identity = true;
    for (size_t k = 0; k < order.size(); ++k) identity &= order[k] == static_cast<int64_t>(k);
    if (rank(v) != order.size())
      fail("weights have " + std::to_string(rank(v)) + " axes, expected " + std::to_string(order.size()));
    return identity ? v : transpose(v, order);
  };
  Scales s = scales(i);
  if (!s || (inputs_[i].real && !in_steps)) return permuted(in(i));
  const int64_t old = scale_axis(info(i), usual_axis);
  if (in_steps) s.scale.assign(s.scale.size(), 1);
  int64_t axis = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    if (order[k] == old) axis = static_cast<int64_t>(k);
  }
  return dequantized(permuted(stored(i)), s, axis);
}

Value NodeContext::bias(size_t i, size_t data, size_t weight) {
  const ElementType type = any(i).element_type();
  if (!is_integer(type) || !scales(data) || !scales(weight)) return in(i);
  Scales s;
  for (float w : scales(weight).scale) s.scale.push_back(scales(data).scale[0] * w);
  s.zero.assign(s.scale.size(), 0);
  return dequantized(stored(i), s, 0);
}

void NodeContext::keep(size_t i, Value v) {
  if (!info(i).variable) return;
  if (in_region) refuse("state inside of a loop or a branch");
  importer_.assign(state_name(graph_, op_.inputs[i]), v);
}

Tensor NodeContext::constant(size_t i) {
  return has(i) && inputs_[i].resource.empty() ? known(any(i)) : Tensor();
}

std::vector<int64_t> NodeContext::ints(size_t i, const char* what) {
  const Tensor t = constant(i);
  if (!t) refuse(std::string("needs ") + what + " to be constant");
  if (!is_integer(t.element_type())) fail(std::string(what) + " are no integers");
  return t.to_ints();
}

size_t NodeContext::rank(Value v) const {
  if (!v.type().is_tensor() || !v.shape().rank_known())
    refuse("needs to know the rank of its input; give the input a shape");
  return v.shape().rank();
}

bool NodeContext::has_pairs() const {
  return !op_.inputs.empty() && op_.inputs[0] >= 0 && is_complex(info(0).type);
}

int64_t NodeContext::file_rank(Value v) const {
  return static_cast<int64_t>(rank(v)) - (has_pairs() ? 1 : 0);
}

int64_t NodeContext::axis(int64_t axis, Value v) const {
  const int64_t r = file_rank(v);
  const int64_t a = axis < 0 ? axis + r : axis;
  if (a < 0 || a >= std::max<int64_t>(r, 1)) fail("axis " + std::to_string(axis) + " is out of range");
  return a;
}

Value NodeContext::index_vector(size_t i) {
  if (const Tensor t = constant(i); t && is_integer(t.element_type())) return b.ints(t.to_ints());
  const Value v = cast(any(i), ElementType::i64);
  return rank(v) == 1 ? v : reshape(v, {-1});
}

Node NodeContext::add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) {
  const OpDef* def = find_op(op);
  if (!def) refuse(std::string("needs operator ") + op + ", which this build lacks");
  return b.add(*def, std::move(attributes), in, std::move(regions));
}

Value NodeContext::reshape(Value v, std::vector<int64_t> shape, bool zero_copies) {
  return (*this)(Reshape{zero_copies}, v, b.ints(std::move(shape)));
}
Value NodeContext::transpose(Value v, std::vector<int64_t> order) {
  return (*this)(Transpose{}, v, b.ints(std::move(order)));
}

Value NodeContext::channels_first(Value v) {
  std::vector<int64_t> order(rank(v));
  if (order.size() < 3) fail("wants images, has data of rank " + std::to_string(order.size()));
  std::iota(order.begin(), order.end(), int64_t{-1});
  order[0] = 0;
  order[1] = static_cast<int64_t>(order.size()) - 1;
  std::iota(order.begin() + 2, order.end(), int64_t{1});
  return transpose(v, order);
}
Value NodeContext::channels_last(Value v) {
  std::vector<int64_t> order(rank(v));
  std::iota(order.begin(), order.end(), int64_t{1});
  order.front() = 0;
  order.back() = 1;
  return transpose(v, order);
}

Value NodeContext::concat(const Values& v, int64_t axis) {
  return v.size() == 1 ? v[0] : all(Concat{axis}, v)[0];
}

Value NodeContext::activated(Value v, int8_t code) {
  switch (code) {
    case 0:
      return v;
    case 1:
      return (*this)(Relu{}, v);
    case 2:
      return (*this)(Clamp{-1, 1}, v);
    case 3:
      return (*this)(Clamp{0, 6}, v);
    case 4:
      return (*this)(Tanh{}, v);
    case 5:
      return cast((*this)(Less{}, v, like(v, 0)), v.element_type());
    default:
      fail("fused activation " + std::to_string(code) + " does not exist");
  }
}

void NodeContext::fail(const std::string& what) const {
  throw Error(ErrorCode::unreadable, "[" + operator_name(op_) + "] " + what);
}
void NodeContext::refuse(const std::string& what) const {
  throw Error(ErrorCode::unsupported, "[" + operator_name(op_) + "] " + what);
}

}  // namespace hone::tflite
