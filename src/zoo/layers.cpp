#include "zoo/layers.hpp"

#include <algorithm>
#include <cmath>

#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/reduce.hpp"

namespace hone::zoo {
namespace {

uint64_t next(uint64_t& state) {  // splitmix64
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
double uniform(uint64_t& state) {
  return (static_cast<double>(next(state) >> 11) + 0.5) / 9007199254740992.0;
}

}  // namespace

int64_t make_divisible(double v, int64_t divisor) {
  const int64_t rounded =
      std::max(divisor, static_cast<int64_t>(v + static_cast<double>(divisor) / 2) / divisor * divisor);
  return static_cast<double>(rounded) < 0.9 * v ? rounded + divisor : rounded;
}

int64_t channels_of(const Value& v) {
  return v.shape()[1].get_length();
}

Value Layers::weight(const std::string& name, Shape shape, double deviation) {
  Tensor t(ElementType::f32, std::move(shape));
  uint64_t state =
      seed_ ^ hash_bytes(name.data(), name.size());  // a weight depends on its name, not on the order of building
  float* w = t.data<float>();
  for (size_t i = 0; initialize_ && i < t.size(); i += 2) {
    const double r = std::sqrt(-2 * std::log(uniform(state))) * deviation,
                 angle = 6.283185307179586 * uniform(state);  // Box-Muller
    w[i] = static_cast<float>(r * std::cos(angle));
    if (i + 1 < t.size()) w[i + 1] = static_cast<float>(r * std::sin(angle));
  }
  b_.set_name(name);
  const Value v = b_.constant(t);
  b_.graph().set_names(v.id, {name});
  return v;
}

Value Layers::filled(const std::string& name, int64_t n, float value) {
  Tensor t(ElementType::f32, {n});
  std::fill_n(t.data<float>(), n, value);
  b_.set_name(name);
  const Value v = b_.constant(t);
  b_.graph().set_names(v.id, {name});
  return v;
}

Value Layers::conv(Value x, const std::string& name, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                   bool bias) {
  const int64_t in = channels_of(x), pad = kernel / 2;
  for (size_t axis : {2, 3}) {
    const Dimension d = x.shape()[axis];
    if (d.is_static() && d.min() + 2 * pad < kernel)
      throw Error(ErrorCode::usage, "[zoo] the input is too small for the network", "layer '" + name + "'");
  }
  const std::vector<int64_t> s{stride, stride}, p{pad, pad};
  const double deviation = std::sqrt(2.0 / static_cast<double>(out / groups * kernel * kernel));
  Value y;
  if (groups == 1) {
    const Value w = weight(name + ".weight", {out, in, kernel, kernel}, deviation);
    b_.set_name(name);
    y = b_(Convolution{.strides = s, .pads_begin = p, .pads_end = p, .dilations = {1, 1}}, x, w);
  } else {
    const Value w = weight(name + ".weight", {groups, out / groups, in / groups, kernel, kernel}, deviation);
    b_.set_name(name);
    y = b_(GroupConvolution{.strides = s, .pads_begin = p, .pads_end = p, .dilations = {1, 1}}, x, w);
  }
  return bias ? biased(y, name, out) : y;
}

Value Layers::biased(Value y, const std::string& name, int64_t channels) {
  b_.set_name(name + ".bias");
  const Value v = b_.constant(Tensor(ElementType::f32, {1, channels, 1, 1}));
  b_.graph().set_names(v.id, {name + ".bias"});
  b_.set_name(name + "/add");
  return b_(Add{}, y, v);
}

Value Layers::valid_conv(Value x, const std::string& name, int64_t out, int64_t kernel) {
  const int64_t in = channels_of(x);
  for (size_t axis : {2, 3}) {
    const Dimension d = x.shape()[axis];
    if (d.is_static() && d.min() < kernel)
      throw Error(ErrorCode::usage, "[zoo] the input is too small for the network", "layer '" + name + "'");
  }
  const Value w =
      weight(name + ".weight", {out, in, kernel, kernel}, std::sqrt(2.0 / static_cast<double>(in * kernel * kernel)));
  b_.set_name(name);
  const Value y =
      b_(Convolution{.strides = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .dilations = {1, 1}}, x, w);
  return biased(y, name, out);
}

Value Layers::batch_norm(Value x, const std::string& name, double epsilon) {
  const int64_t c = channels_of(x);
  const Value gamma = filled(name + ".weight", c, 1), beta = filled(name + ".bias", c, 0);
  const Value mean = filled(name + ".running_mean", c, 0), variance = filled(name + ".running_var", c, 1);
  b_.set_name(name);
  return b_(BatchNormInference{epsilon}, x, gamma, beta, mean, variance);
}

Value Layers::activate(Value x, Act act, const std::string& name) {
  b_.set_name(name);
  switch (act) {
    case Act::none:
      return x;
    case Act::relu:
      return b_(Relu{}, x);
    case Act::relu6:
      return b_(Clamp{0, 6}, x);
    case Act::hswish:
      return b_(HSwish{}, x);
  }
  return x;
}

Value Layers::global_average(Value x, const std::string& name, bool keep_dims) {
  b_.set_name(name + "/axes");
  const Value axes = b_.ints({2, 3});
  b_.set_name(name);
  return b_(ReduceMean{keep_dims}, x, axes);
}

Value Layers::linear(Value x, const std::string& name, int64_t out) {
  const int64_t in = x.shape()[1].get_length();
  const Value w = weight(name + ".weight", {out, in}, 1.0 / std::sqrt(3.0 * static_cast<double>(in)));
  b_.set_name(name + "/matmul");
  const Value y = b_(MatMul{false, true}, x, w);
  const Value bias = filled(name + ".bias", out, 0);
  b_.set_name(name);
  return b_(Add{}, y, bias);
}

Value Layers::add(Value a, Value b, const std::string& name) {
  b_.set_name(name);
  return b_(Add{}, a, b);
}

Value Layers::squeeze_excite(Value x, const std::string& name, int64_t squeezed) {
  const int64_t c = channels_of(x);
  Value s = global_average(x, name + ".avgpool", true);
  s = activate(conv(s, name + ".fc1", squeezed, 1, 1, 1, true), Act::relu, name + ".activation");
  s = conv(s, name + ".fc2", c, 1, 1, 1, true);
  b_.set_name(name + ".scale_activation");
  s = b_(HSigmoid{}, s);
  b_.set_name(name + ".scale");
  return b_(Multiply{}, x, s);
}

}  // namespace hone::zoo
