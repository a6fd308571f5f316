#include "ops/quantize.hpp"

#include <algorithm>
#include <cmath>

#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

// Strides that read `small` as if it had been broadcast to `shape`.
std::vector<int64_t> broadcast_strides(const EvalCtx& ctx, const Shape& small, const Shape& shape) {
  if (broadcast(small, shape) != shape) ctx.fail("a range of " + to_string(small) + " for data of " + to_string(shape));
  const auto own = strides_of(small);
  std::vector<int64_t> out(shape.size(), 0);
  const size_t lead = shape.size() - small.size();
  for (size_t k = 0; k < small.size(); ++k) out[lead + k] = small[k] == 1 ? 0 : own[k];
  return out;
}

// Which scale an element takes: one for all, one for each index of an axis, or one for each block of a tensor of the
// same rank.
class ScaleIndex {
 public:
  template <class Ctx>
  ScaleIndex(const Ctx& ctx, const Shape& x, const Shape& scale, int64_t axis) {
    int64_t count = 1;
    for (int64_t d : scale) count *= d;
    if (count == 1) return;
    if (scale.size() == 1) {
      const size_t a = axis_of(ctx, axis, x.size());
      if (scale[0] != x[a])
        ctx.fail(std::to_string(scale[0]) + " scales for axis " + std::to_string(a) + " of " + to_string(x));
      axes_.push_back({strides_of(x)[a], x[a], 1, 1});
      return;
    }
    if (scale.size() != x.size()) ctx.fail("scales " + to_string(scale) + " for data " + to_string(x));
    const auto from = strides_of(x), to = strides_of(scale);
    for (size_t k = 0; k < x.size(); ++k) {
      if (scale[k] < 1 || scale[k] > std::max<int64_t>(x[k], 1))
        ctx.fail("scales " + to_string(scale) + " for data " + to_string(x));
      if (scale[k] > 1) axes_.push_back({from[k], x[k], (x[k] + scale[k] - 1) / scale[k], to[k]});
    }
  }
  size_t operator()(size_t i) const {
    int64_t at = 0;
    for (const Part& p : axes_) at += static_cast<int64_t>(i) / p.stride % p.size / p.block * p.step;
    return static_cast<size_t>(at);
  }

 private:
  struct Part {
    int64_t stride, size, block, step;
  };
  std::vector<Part> axes_;
};

void check_scales(const InferCtx& ctx, int64_t axis) {
  const PartialShape &x = ctx.shape(0), &scale = ctx.shape(1);
  if (ctx.has(2))
    ctx.check(ctx.shape(2).compatible(scale),
              "zero points " + to_string(ctx.shape(2)) + " and scales " + to_string(scale) + " differ in shape");
  if (x.is_static() && scale.is_static()) ScaleIndex(ctx, x.to_shape(), scale.to_shape(), axis);
}

// The integers (or finite numbers) that a type holds.
std::pair<double, double> range_of(ElementType t) {
  switch (t) {
    case ElementType::f8e4m3:
      return {-448, 448};
    case ElementType::f8e5m2:
      return {-57344, 57344};
    case ElementType::f8e4m3fnuz:
      return {-240, 240};
    case ElementType::f8e5m2fnuz:
      return {-57344, 57344};
    case ElementType::f4e2m1:
      return {-6, 6};
    default:
      break;
  }
  const int bits = bit_width(t);
  if (is_signed(t)) return {-std::ldexp(1.0, bits - 1), std::ldexp(1.0, bits - 1) - 1};
  return {0, std::ldexp(1.0, bits) - 1};
}

// Scales or zero points so that they broadcast against x; null stays null.
Value spread(Builder& b, Value parameter, Value x, int64_t axis) {
  if (!parameter || !parameter.shape().rank_known() || !x.shape().rank_known()) return parameter;
  const size_t rank = x.shape().rank();
  if (parameter.shape().rank() == 1 && rank > 1 && !(parameter.shape()[0] == Dimension(1))) {
    std::vector<int64_t> shape(rank, 1);
    shape[axis < 0 ? static_cast<size_t>(axis) + rank : static_cast<size_t>(axis)] = -1;
    return b(Reshape{}, parameter, b.ints(shape));
  }
  if (parameter.shape().rank() == rank && parameter.shape().is_static() && x.shape().is_static()) {
    // Blocks: [.., m, ..] -> [.., m, 1, ..] -> [.., m, n / m, ..] -> [.., n, ..].
    const Shape small = parameter.shape().to_shape(), big = x.shape().to_shape();
    Shape apart, repeated;
    bool blocks = false;
    for (size_t k = 0; k < rank; ++k) {
      const bool blocked = small[k] != 1 && small[k] != big[k];
      if (blocked && big[k] % small[k] != 0)
        throw Error(ErrorCode::unsupported, "[Dequantize] the gradient wants whole blocks");
      blocks |= blocked;
      apart.insert(apart.end(), {small[k], 1});
      repeated.insert(repeated.end(), {small[k], blocked ? big[k] / small[k] : 1});
    }
    if (!blocks) return parameter;
    Shape merged;
    for (size_t k = 0; k < rank; ++k) merged.push_back(repeated[2 * k] * repeated[2 * k + 1]);
    return b(Reshape{}, b(Broadcast{}, b(Reshape{}, parameter, b.ints(apart)), b.ints(repeated)), b.ints(merged));
  }
  return parameter;
}

}  // namespace

Types FakeQuantize::infer(InferCtx& ctx) const {
  ctx.check(levels >= 2, std::to_string(levels) + " levels");
  const PartialShape& x = ctx.shape(0);
  for (size_t i = 1; i < 5; ++i) {
    const PartialShape& r = ctx.shape(i);
    if (auto_broadcast == AutoBroadcast::none)
      ctx.check(r.compatible(x), "a range of " + to_string(r) + " for data of " + to_string(x));
    else
      ctx.check(broadcast(r, x).compatible(x), "a range of " + to_string(r) + " for data of " + to_string(x));
  }
  return {Type(ctx.element(0), x)};
}
void FakeQuantize::eval(EvalCtx& ctx) const {
  const Tensor x = ctx.input(0).converted(ElementType::f32);
  Tensor y = ctx.output(0, ElementType::f32, x.shape());
  Tensor range[4];
  std::vector<int64_t> stride[4];
  for (size_t r = 0; r < 4; ++r) {
    range[r] = ctx.input(r + 1).converted(ElementType::f32);
    stride[r] = broadcast_strides(ctx, range[r].shape(), x.shape());
  }
  const auto steps = static_cast<float>(levels - 1);
  std::vector<int64_t> index(x.rank(), 0);
  int64_t at[4] = {0, 0, 0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    const float v = x.data<float>()[i];
    const float il = range[0].data<float>()[at[0]], ih = range[1].data<float>()[at[1]],
                ol = range[2].data<float>()[at[2]], oh = range[3].data<float>()[at[3]];
    float& out = y.data<float>()[i];
    if (v <= std::min(il, ih))
      out = ol;
    else if (v > std::max(il, ih))
      out = oh;
    else
      out = std::nearbyint((v - il) / (ih - il) * steps) / steps * (oh - ol) + ol;
    for (size_t k = x.rank(); k-- > 0;) {
      const bool carry = ++index[k] == x.shape()[k];
      for (size_t r = 0; r < 4; ++r) at[r] += carry ? stride[r][k] * (1 - x.shape()[k]) : stride[r][k];
      if (!carry) break;
      index[k] = 0;
    }
  }
}
Values FakeQuantize::expand(Builder& b, const Values& in) const {
  const Value x = in[0], il = in[1], ih = in[2], ol = in[3], oh = in[4],
              steps = b.like(x, static_cast<double>(levels - 1));
  const Value unit = b(Divide{}, b(Subtract{}, x, il), b(Subtract{}, ih, il));
  const Value q = b(Divide{}, b(Round{RoundMode::half_to_even}, b(Multiply{}, unit, steps)), steps);
  const Value inside = b(Add{}, b(Multiply{}, q, b(Subtract{}, oh, ol)), ol);
  const Value below = b(LessEqual{}, x, b(Minimum{}, il, ih)), above = b(Greater{}, x, b(Maximum{}, il, ih));
  return {b(Select{}, below, ol, b(Select{}, above, oh, inside))};
}
// Rounding counts as the identity (straight-through). Inside of the range, with u = (x - il) / (ih - il) and q =
// round(u), that gives
//   dx = (oh - ol) / (ih - il)   dol = 1 - q   doh = q   dil = (u - 1) (oh - ol) / (ih - il)   dih = -u (oh - ol) / (ih
//   - il);
// below it only dol = 1, above it only doh = 1. Where the input and output range are the same parameter the sums are
// those of learned ranges: q - u for the upper bound, u - q for the lower.
void FakeQuantize::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), il = ctx.input(1), ih = ctx.input(2), ol = ctx.input(3), oh = ctx.input(4),
              d = ctx.dout();
  const Value zero = b.like(x, 0), one = b.like(x, 1);
  const Value below = b(LessEqual{}, x, b(Minimum{}, il, ih)), above = b(Greater{}, x, b(Maximum{}, il, ih)),
              outside = b(LogicalOr{}, below, above);
  const Value inside = b(Select{}, outside, zero, d);
  const Value slope = b(Divide{}, b(Subtract{}, oh, ol), b(Subtract{}, ih, il));
  if (ctx.needs(0)) ctx.set(0, b(Multiply{}, inside, slope));
  if (!ctx.needs(1) && !ctx.needs(2) && !ctx.needs(3) && !ctx.needs(4)) return;
  const Value u = b(Divide{}, b(Subtract{}, x, il), b(Subtract{}, ih, il)),
              steps = b.like(x, static_cast<double>(levels - 1));
  const Value q = b(Divide{}, b(Round{RoundMode::half_to_even}, b(Multiply{}, u, steps)), steps);
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Multiply{}, inside, b(Multiply{}, slope, b(Subtract{}, u, one))), 1));
  if (ctx.needs(2)) ctx.set(2, ctx.unbroadcast(b(Subtract{}, zero, b(Multiply{}, inside, b(Multiply{}, slope, u))), 2));
  if (ctx.needs(3))
    ctx.set(3, ctx.unbroadcast(
                   b(Multiply{}, d, b(Select{}, below, one, b(Select{}, above, zero, b(Subtract{}, one, q)))), 3));
  if (ctx.needs(4))
    ctx.set(4, ctx.unbroadcast(b(Multiply{}, d, b(Select{}, below, zero, b(Select{}, above, one, q))), 4));
}
Samples FakeQuantize::samples() {
  const auto f = [](float v) { return Tensor::of<float>({1}, {v}); };
  const Tensor x = Tensor::of<float>({8}, {-2, -1, -0.5f, 0.1f, 0.5f, 0.83f, 1, 7});
  // OpenVINO gives the same.
  Sample coarse =
      sample(FakeQuantize{5}, {x, f(-1), f(1), f(0), f(4)}, {Tensor::of<float>({8}, {0, 0, 1, 2, 3, 4, 4, 4})});
  Sample ties = sample(FakeQuantize{3}, {Tensor::of<float>({3}, {0.5f, 1.5f, 1.4f}), f(0), f(2), f(0), f(2)},
                       {Tensor::of<float>({3}, {0, 2, 1})});
  Sample inverted = sample(FakeQuantize{256}, {random_tensor({2, 3}, 1), f(1), f(-1), f(-1), f(1)});
  Sample channels =
      sample(FakeQuantize{255}, {random_tensor({2, 3, 2}, 1, -2, 2), random_tensor({1, 3, 1}, 2, -1, -0.5),
                                 random_tensor({3, 1}, 3, 0.5, 1), random_tensor({1, 3, 1}, 4, -1, -0.5), f(0.9f)});
  for (Sample* s : {&coarse, &ties, &inverted, &channels}) s->check_gradient = false;
  // With this many levels the function is smooth to the eye of a central difference.
  const Tensor away = Tensor::of<float>({2, 4}, {-1.5f, -0.6f, 0.3f, 1.7f, 0.7f, -0.2f, -1.3f, 0.55f});
  Sample fine = sample(FakeQuantize{1 << 20}, {away, f(-1.1f), f(1.2f), f(-0.8f), f(1.5f)});
  Sample fine_rows = sample(FakeQuantize{1 << 20},
                            {away, Tensor::of<float>({2, 1}, {-1, -1.1f}), f(1.2f),
                             Tensor::of<float>({2, 1}, {-1, -0.7f}), Tensor::of<float>({4}, {1, 0.9f, 1.3f, 1.1f})});
  return {coarse, ties, inverted, channels, fine, fine_rows};
}
HONE_DEFINE_OP(FakeQuantize)

Types Quantize::infer(InferCtx& ctx) const {
  check_scales(ctx, axis);
  ctx.check(
      output_type != ElementType::dynamic && output_type != ElementType::boolean && output_type != ElementType::string,
      std::string("cannot quantize to ") + name_of(output_type));
  return {Type(output_type, ctx.shape(0))};
}
void Quantize::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), scale = ctx.input(1).converted(ElementType::f32);
  const ScaleIndex index(ctx, x.shape(), scale.shape(), axis);
  Tensor y = ctx.output(0, output_type, x.shape());
  auto [lowest, highest] = range_of(output_type);
  if (low < high) lowest = static_cast<double>(low), highest = static_cast<double>(high);
  const bool integer = is_integer(output_type);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = index(i);
    const double zero = ctx.has(2) ? get_element(ctx.input(2), c) : 0;
    const float v = static_cast<float>(get_element(x, i)) / scale.data<float>()[c];
    const double q = (integer ? std::nearbyint(v) : v) + zero;
    set_element(y, i, std::isnan(q) ? (integer ? zero : q) : std::clamp(q, lowest, highest));
  }
}
// Straight-through: rounding counts as the identity, what saturates passes nothing.
void Quantize::grad(GradCtx& ctx) const {
  if (!ctx.needs(0)) return;
  Builder& b = ctx.b;
  const Value x = ctx.input(0), scale = b(Convert{x.element_type()}, spread(b, ctx.input(1), x, axis));
  auto [lowest, highest] = range_of(output_type);
  if (low < high) lowest = static_cast<double>(low), highest = static_cast<double>(high);
  Value q = b(Divide{}, x, scale);
  if (ctx.input(2)) q = b(Add{}, q, b(Convert{x.element_type()}, spread(b, ctx.input(2), x, axis)));
  const Value outside =
      b(LogicalOr{}, b(Less{}, q, b.like(q, lowest - 0.5)), b(Greater{}, q, b.like(q, highest + 0.5)));
  ctx.set(0, b(Select{}, outside, b.like(x, 0), b(Divide{}, ctx.dout(), scale)));
}
Samples Quantize::samples() {
  const Tensor x = Tensor::of<float>({6}, {0, 0.5f, 1.5f, -300, 300, 2.4f}),
               rows = Tensor::of<float>({2, 2}, {1, -1, 3, 100});
  const Tensor half = Tensor::of<float>({2}, {1, 2}), zeros = Tensor::of<uint8_t>({2}, {10, 128});
  Tensor i4(ElementType::i4, {6}), u4(ElementType::u4, {4}), f8(ElementType::f8e4m3, {3});
  for (size_t i = 0; i < 6; ++i) set_integer(i4, i, std::vector<int64_t>{0, 0, 2, -8, 7, 2}[i]);
  for (size_t i = 0; i < 4; ++i) set_integer(u4, i, std::vector<int64_t>{1, 0, 2, 15}[i]);
  for (size_t i = 0; i < 3; ++i) set_element(f8, i, std::vector<double>{0.5, 448, -448}[i]);
  return {sample(Quantize{}, {x, float_scalar(1)}, {Tensor::of<int8_t>({6}, {0, 0, 2, -128, 127, 2})}),
          sample(Quantize{.output_type = ElementType::u8}, {x, float_scalar(1), Tensor::scalar<uint8_t>(128)},
                 {Tensor::of<uint8_t>({6}, {128, 128, 130, 0, 255, 130})}),
          sample(Quantize{.output_type = ElementType::u8, .axis = 0}, {rows, half, zeros},
                 {Tensor::of<uint8_t>({2, 2}, {11, 9, 130, 178})}),
          sample(Quantize{.output_type = ElementType::u8, .axis = -1}, {rows, half, zeros},
                 {Tensor::of<uint8_t>({2, 2}, {11, 128, 13, 178})}),
          sample(Quantize{.output_type = ElementType::i8, .low = -127, .high = 127}, {x, float_scalar(1)},
                 {Tensor::of<int8_t>({6}, {0, 0, 2, -127, 127, 2})}),
          sample(Quantize{.output_type = ElementType::i16}, {x, float_scalar(0.001f)},
                 {Tensor::of<int16_t>({6}, {0, 500, 1500, -32768, 32767, 2400})}),
          sample(Quantize{.output_type = ElementType::u16}, {x, float_scalar(1), Tensor::scalar<uint16_t>(100)},
                 {Tensor::of<uint16_t>({6}, {100, 100, 102, 0, 400, 102})}),
          sample(Quantize{.output_type = ElementType::i4}, {x, float_scalar(1)}, {i4}),
          sample(Quantize{.output_type = ElementType::u4, .axis = 1},
                 {Tensor::of<float>({1, 4}, {1, -1, 4, 80}), Tensor::of<float>({1, 2}, {1, 2})}, {u4.reshaped({1, 4})}),
          sample(Quantize{.output_type = ElementType::f8e4m3},
                 {Tensor::of<float>({3}, {1, 5000, -5000}), float_scalar(2)}, {f8})};
}
HONE_DEFINE_OP(Quantize)

Types Dequantize::infer(InferCtx& ctx) const {
  check_scales(ctx, axis);
  ctx.check(is_float(output_type), std::string("cannot dequantize to ") + name_of(output_type));
  return {Type(output_type, ctx.shape(0))};
}
void Dequantize::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), scale = ctx.input(1).converted(ElementType::f32);
  const ScaleIndex index(ctx, x.shape(), scale.shape(), axis);
  Tensor y = ctx.output(0, output_type, x.shape());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = index(i);
    const double zero = ctx.has(2) ? get_element(ctx.input(2), c) : 0;
    set_element(y, i, static_cast<float>(get_element(x, i) - zero) * scale.data<float>()[c]);
  }
}
void Dequantize::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), scale = ctx.input(1), zero = ctx.input(2);
  if (ctx.needs(0)) ctx.set(0, b(Multiply{}, ctx.dout(), b(Convert{output_type}, spread(b, scale, x, axis))));
  if (!ctx.needs(1)) return;
  const Value steps =
      b(Dequantize{axis, output_type}, x, b(Broadcast{}, b.like(scale, 1), shape_value(b, scale)), zero);
  Value g = b(Multiply{}, ctx.dout(), steps);
  const size_t rank = x.shape().rank();
  if (scale.shape().rank() == rank && rank > 1 && scale.shape().is_static() && x.shape().is_static()) {
    // Blocks: the elements of a block stand on an axis of their own.
    Shape apart, ones;
    for (size_t k = 0; k < rank; ++k) {
      const int64_t m = scale.shape()[k].get_length(), n = x.shape()[k].get_length();
      if (n % m != 0) throw Error(ErrorCode::unsupported, "[Dequantize] the gradient wants whole blocks");
      apart.insert(apart.end(), {m, n / m});
      ones.insert(ones.end(), {m, 1});
    }
    g = b(SumToShape{}, b(Reshape{}, g, b.ints(apart)), b.ints(ones));
  } else {
    g = b(SumToShape{}, g, shape_value(b, spread(b, scale, x, axis)));
  }
  ctx.set(1, b(Convert{scale.element_type()}, b(Reshape{}, g, shape_value(b, scale))));
}
Samples Dequantize::samples() {
  const Tensor x = Tensor::of<int8_t>({2, 2}, {-128, 127, 0, 4}), two = Tensor::of<float>({2}, {0.5f, 2});
  Tensor u4(ElementType::u4, {1, 4});
  for (size_t i = 0; i < 4; ++i) set_integer(u4, i, static_cast<int64_t>(i) * 5);
  Tensor zeros(ElementType::u4, {1, 2});
  set_integer(zeros, 1, 8);
  return {sample(Dequantize{}, {x, float_scalar(0.5f)}, {Tensor::of<float>({2, 2}, {-64, 63.5f, 0, 2})}),
          sample(Dequantize{.axis = 0}, {x, two, Tensor::of<int8_t>({2}, {-128, 2})},
                 {Tensor::of<float>({2, 2}, {0, 127.5f, -4, 4})}),
          sample(Dequantize{.axis = 1}, {x, two}, {Tensor::of<float>({2, 2}, {-64, 254, 0, 8})}),
          sample(Dequantize{.axis = 1}, {u4, Tensor::of<float>({1, 2}, {1, 0.5f}), zeros},
                 {Tensor::of<float>({1, 4}, {0, 5, 1, 3.5f})}),
          sample(Dequantize{}, {Tensor::of<int32_t>({2}, {2000000000, -1}), float_scalar(1e-3f)},
                 {Tensor::of<float>({2}, {2000000, -0.001f})}),
          sample(Dequantize{.output_type = ElementType::f16}, {x, float_scalar(0.5f)},
                 {Tensor::of<float16>({2, 2}, {float16(-64), float16(63.5f), float16(0), float16(2)})})};
}
HONE_DEFINE_OP(Dequantize)

}  // namespace hone
