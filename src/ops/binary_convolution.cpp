#include "ops/binary_convolution.hpp"

#include "ops/convolution_eval.hpp"
#include "ops/family.hpp"
#include "ops/window.hpp"

namespace hone {
namespace {

WindowAttributes window_attributes(const auto& ctx, const BinaryConvolution& op) {
  if (op.pad_value != -1 && op.pad_value != 0 && op.pad_value != 1) ctx.fail("pad_value is none of -1, 0 and 1");
  try {
    return window::attributes_of(op, 2);
  } catch (const Error& e) {
    ctx.fail(e.message());
  }
}

}  // namespace

Types BinaryConvolution::infer(InferCtx& ctx) const {
  const WindowAttributes attributes = window_attributes(ctx, *this);
  const PartialShape &x = ctx.shape(0), &w = ctx.shape(1);
  ctx.check(is_float(ctx.element(0)), std::string("is not defined on ") + name_of(ctx.element(0)));
  ctx.check(ctx.element(1) == ElementType::u1, std::string("the weights are ") + name_of(ctx.element(1)) + ", not u1");
  for (const PartialShape* s : {&x, &w})
    ctx.check(!s->rank_known() || s->rank() == 4, to_string(*s) + " is not of rank 4");
  std::vector<Dimension> out(4);
  if (x.rank_known()) out[0] = x[0];
  if (w.rank_known()) out[1] = w[0];
  if (x.rank_known() && w.rank_known()) {
    ctx.check(x[1].compatible(w[1]), "data " + to_string(x) + " has other channels than weights " + to_string(w));
    for (size_t k = 2; k < 4; ++k) {
      try {
        out[k] = window::count(attributes, k - 2, x[k], w[k]);
      } catch (const Error& e) {
        ctx.fail(e.message());
      }
    }
  }
  return {Type(ctx.element(0), PartialShape(std::move(out)))};
}

void BinaryConvolution::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &w = ctx.input(1);
  const WindowAttributes attributes = window_attributes(ctx, *this);
  if (x.rank() != 4 || w.rank() != 4 || x.shape()[1] != w.shape()[1])
    ctx.fail("data " + to_string(x.shape()) + " and weights " + to_string(w.shape()) + " do not fit");
  const Shape spatial(x.shape().begin() + 2, x.shape().end()), kernel(w.shape().begin() + 2, w.shape().end());
  reference::ConvolutionSizes s{static_cast<size_t>(x.shape()[0]), 1, static_cast<size_t>(w.shape()[1]),
                                static_cast<size_t>(w.shape()[0]), window::resolve(attributes, spatial, kernel)};
  Tensor y = ctx.output(0, x.element_type(), {x.shape()[0], w.shape()[0], s.axes[0].out, s.axes[1].out});
  const size_t taps = s.kernel_space(), space = s.in_space();
  std::vector<int64_t> offsets(taps);
  const auto* bits = static_cast<const uint8_t*>(w.raw());
  for (size_t n = 0; n < s.batch; ++n) {
    for (size_t at = 0; at < s.out_space(); ++at) {
      reference::input_offsets(s.axes, at, offsets);
      for (size_t o = 0; o < s.out_channels; ++o) {
        double sum = 0;
        for (size_t c = 0; c < s.in_channels; ++c) {
          for (size_t t = 0; t < taps; ++t) {
            double v = pad_value;
            if (offsets[t] >= 0)
              v = get_element(x, (n * s.in_channels + c) * space + static_cast<size_t>(offsets[t])) > 0 ? 1 : -1;
            sum += binary_weight(bits, (o * s.in_channels + c) * taps + t) ? v : -v;
          }
        }
        set_element(y, (n * s.out_channels + o) * s.out_space() + at, sum);
      }
    }
  }
}

Samples BinaryConvolution::samples() {
  // Bits 1 0 1 and 1 1 1 0 of the lowest nibble and beyond, lowest first.
  const auto bits = [](Shape shape, uint8_t seed) {
    Tensor t(ElementType::u1, std::move(shape));
    for (size_t i = 0; i < t.byte_size(); ++i)
      static_cast<uint8_t*>(t.raw())[i] = static_cast<uint8_t>(seed * (i * 37 + 11) >> 2);
    return t;
  };
  Tensor two(ElementType::u1, {2, 3, 1, 1});
  static_cast<uint8_t*>(two.raw())[0] = 0b111101;  // 1 -1 1 and 1 1 1
  BinaryConvolution strided;
  strided.strides = {2, 1};
  strided.pads_begin = {1, 2};
  strided.pads_end = {1, 0};
  BinaryConvolution ones;
  ones.pads_begin = ones.pads_end = {1, 1};
  ones.dilations = {1, 2};
  ones.pad_value = 1;
  BinaryConvolution minus;
  minus.auto_pad = AutoPad::same_upper;
  minus.pad_value = -1;
  return {sample(BinaryConvolution{}, {Tensor::of<float>({1, 3, 1, 1}, {0.5f, 0, 2}), two},
                 {Tensor::of<float>({1, 2, 1, 1}, {3, 1})}),
          sample(strided, {random_tensor({2, 5, 6, 7}, 1), bits({9, 5, 3, 2}, 7)}),
          sample(ones, {random_tensor({1, 40, 5, 8}, 2), bits({4, 40, 3, 3}, 13)}),
          sample(minus, {random_tensor({1, 3, 4, 4}, 3), bits({17, 3, 3, 3}, 29)})};
}
HONE_DEFINE_OP(BinaryConvolution)

}  // namespace hone
