// Colours of pictures [..., 3]: hue, saturation, value, contrast.
#include "formats/tensorflow/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

// The three channels, each [..., 1].
struct Channels {
  Value a, b, c;
};
Channels channels(NodeContext& n, Value x) {
  const auto last = static_cast<int64_t>(n.rank(x)) - 1;
  if (last < 0 || !x.shape()[static_cast<size_t>(last)].compatible(3)) n.fail("wants three channels");
  return {n.slice(x, last, 0, 1), n.slice(x, last, 1, 2), n.slice(x, last, 2, 3)};
}
Value joined(NodeContext& n, const Channels& c) {
  return n.concat({c.a, c.b, c.c}, static_cast<int64_t>(n.rank(c.a)) - 1);
}

// The formulas of tensorflow/core/kernels/image/colorspace_op.h.
Channels hsv_of(NodeContext& n, const Channels& rgb) {
  const Value &r = rgb.a, &g = rgb.b, &b = rgb.c;
  const auto number = [&](double v) { return n.like(r, v); };
  const Value v = n(Maximum{}, n(Maximum{}, r, g), b), least = n(Minimum{}, n(Minimum{}, r, g), b);
  const Value range = n(Subtract{}, v, least), some = n(Greater{}, range, number(0));
  const Value s = n(Select{}, n(Greater{}, v, number(0)), n(Divide{}, range, v), number(0));
  const auto sector = [&](Value x, Value y, double at) {
    return n(Add{}, n(Divide{}, n(Subtract{}, x, y), n(Multiply{}, range, number(6))), number(at));
  };
  Value h = n(Select{}, n(Equal{}, g, v), sector(b, r, 2.0 / 6), sector(r, g, 4.0 / 6));
  h = n(Select{}, some, n(Select{}, n(Equal{}, r, v), sector(g, b, 0), h), number(0));
  return {n(Select{}, n(Less{}, h, number(0)), n(Add{}, h, number(1)), h), s, v};
}
Channels rgb_of(NodeContext& n, const Channels& hsv) {
  const Value &h = hsv.a, &s = hsv.b, &v = hsv.c;
  const auto number = [&](double x) { return n.like(h, x); };
  const Value six = n(Multiply{}, h, number(6)), grey = n(Subtract{}, number(1), s);
  const auto away = [&](double from) { return n(Abs{}, n(Subtract{}, six, number(from))); };
  const auto channel = [&](Value d) { return n(Multiply{}, n(Add{}, grey, n(Multiply{}, s, n(Clamp{0, 1}, d))), v); };
  return {channel(n(Subtract{}, away(3), number(1))), channel(n(Subtract{}, number(2), away(2))),
          channel(n(Subtract{}, number(2), away(4)))};
}

Items rgb_to_hsv(NodeContext& n) {
  return {joined(n, hsv_of(n, channels(n, n.in(0))))};
}
Items hsv_to_rgb(NodeContext& n) {
  return {joined(n, rgb_of(n, channels(n, n.in(0))))};
}
Items adjust_hue(NodeContext& n) {
  Channels c = hsv_of(n, channels(n, n.in(0)));
  const Value turned = n(Add{}, c.a, n.cast(n.in(1), c.a.element_type()));
  c.a = n(Subtract{}, turned, n(Floor{}, turned));
  return {joined(n, rgb_of(n, c))};
}
Items adjust_saturation(NodeContext& n) {
  Channels c = hsv_of(n, channels(n, n.in(0)));
  c.b = n(Clamp{0, 1}, n(Multiply{}, c.b, n.cast(n.in(1), c.b.element_type())));
  return {joined(n, rgb_of(n, c))};
}

// Away from the mean of each channel of each picture.
Items adjust_contrast(NodeContext& n) {
  const Value x = n.in(0);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (rank < 3) n.fail("wants pictures");
  const Value mean = n(ReduceMean{true}, x, n.ints_constant({rank - 3, rank - 2}));
  return {n(Add{}, n(Multiply{}, n(Subtract{}, x, mean), n.cast(n.in(1), x.element_type())), mean)};
}

constexpr OperatorRow rows[] = {
    {"AdjustContrastv2", adjust_contrast},
    {"AdjustHue", adjust_hue},
    {"AdjustSaturation", adjust_saturation},
    {"HSVToRGB", hsv_to_rgb},
    {"RGBToHSV", rgb_to_hsv},
};

}  // namespace

std::span<const OperatorRow> color_rows() {
  return rows;
}

}  // namespace hone::tensorflow
