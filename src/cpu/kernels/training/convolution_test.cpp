// Convolutions with variable weights, and both gradients, against plain double loops.
#include "ops/convolution.hpp"

#include "cpu/kernels/training/row_test.hpp"

namespace hone::cpu::test {
namespace {

struct Case {
  int64_t batch, groups, in, out;  ///< channels of one group
  int64_t height, width, kernel_y, kernel_x, stride, dilation, pad_begin, pad_end;
  std::string text() const {
    std::string s;
    for (int64_t v : {batch, groups, in, out, height, width, kernel_y, kernel_x, stride, dilation, pad_begin, pad_end})
      s += std::to_string(v) + " ";
    return s;
  }
  int64_t result(int64_t size, int64_t kernel) const {
    return (size + pad_begin + pad_end - (kernel - 1) * dilation - 1) / stride + 1;
  }
  int64_t oh() const { return result(height, kernel_y); }
  int64_t ow() const { return result(width, kernel_x); }
};

const Case kCases[] = {
    {2, 1, 16, 16, 28, 28, 3, 3, 1, 1, 1, 1},  // the layers of a ResNet-20
    {3, 1, 1, 16, 28, 28, 3, 3, 1, 1, 1, 1},   //
    {2, 1, 16, 32, 28, 28, 3, 3, 2, 1, 1, 1},  //
    {2, 1, 32, 32, 14, 14, 3, 3, 1, 1, 1, 1},  //
    {5, 1, 64, 64, 7, 7, 3, 3, 1, 1, 1, 1},    //
    {2, 1, 32, 64, 14, 14, 1, 1, 2, 1, 0, 0},  //
    {1, 1, 3, 8, 23, 19, 7, 7, 2, 1, 3, 3},    // first layers
    {1, 1, 5, 7, 9, 11, 5, 3, 1, 1, 2, 1},     // odd everything
    {2, 1, 24, 40, 9, 13, 3, 3, 1, 2, 2, 2},   // dilation
    {2, 1, 8, 8, 12, 10, 3, 3, 2, 1, 0, 1},    // the pad at one side only
    {1, 1, 6, 20, 13, 13, 5, 5, 3, 1, 2, 2},   // stride 3
    {2, 1, 4, 6, 8, 8, 2, 2, 2, 1, 0, 0},      // patches
    {1, 1, 17, 70, 5, 31, 1, 3, 1, 1, 1, 1},   // five vectors of outputs
    {3, 2, 4, 6, 7, 9, 3, 3, 1, 1, 1, 1},      // groups
    {2, 4, 8, 8, 9, 9, 3, 3, 2, 1, 1, 1},      //
    {2, 48, 1, 1, 9, 11, 3, 3, 1, 1, 1, 1},    // depthwise
    {3, 21, 1, 1, 10, 9, 5, 5, 2, 1, 2, 2},    //
    {1, 100, 1, 1, 7, 8, 3, 3, 1, 2, 2, 2},    //
    {1, 5, 1, 3, 6, 7, 3, 3, 2, 1, 1, 1},      // three outputs for each channel
    {1, 1, 2, 3, 1, 1, 1, 1, 1, 1, 0, 0},      // one element
    {2, 1, 16, 48, 13, 18, 3, 3, 1, 1, 0, 2},  // pads of their own
    {1, 1, 16, 16, 40, 61, 3, 3, 1, 1, 1, 1},  // several tiles in a row
    {2, 1, 3, 4, 6, 6, 3, 3, 1, 1, 0, 0},      // no padding
};

struct Reference {
  std::vector<double> y, dx, dw, magnitude_y, magnitude_dx, magnitude_dw;
};

/// y, dx (of dy) and dw, and the sums of absolute products that bound rounding errors.
Reference reference(const Case& c, const std::vector<double>& x, const std::vector<double>& w,
                    const std::vector<double>& dy) {
  Reference r;
  const int64_t oh = c.oh(), ow = c.ow(), ci = c.groups * c.in, co = c.groups * c.out;
  r.y.assign(static_cast<size_t>(c.batch * co * oh * ow), 0);
  r.dx.assign(x.size(), 0);
  r.dw.assign(w.size(), 0);
  r.magnitude_y = r.y, r.magnitude_dx = r.dx, r.magnitude_dw = r.dw;
  for (int64_t n = 0; n < c.batch; ++n)
    for (int64_t g = 0; g < c.groups; ++g)
      for (int64_t o = 0; o < c.out; ++o)
        for (int64_t oy = 0; oy < oh; ++oy)
          for (int64_t ox = 0; ox < ow; ++ox)
            for (int64_t i = 0; i < c.in; ++i)
              for (int64_t ky = 0; ky < c.kernel_y; ++ky)
                for (int64_t kx = 0; kx < c.kernel_x; ++kx) {
                  const int64_t iy = oy * c.stride + ky * c.dilation - c.pad_begin,
                                ix = ox * c.stride + kx * c.dilation - c.pad_begin;
                  if (iy < 0 || ix < 0 || iy >= c.height || ix >= c.width) continue;
                  const auto at_y = static_cast<size_t>(((n * co + g * c.out + o) * oh + oy) * ow + ox);
                  const auto at_x = static_cast<size_t>(((n * ci + g * c.in + i) * c.height + iy) * c.width + ix);
                  const auto at_w =
                      static_cast<size_t>((((g * c.out + o) * c.in + i) * c.kernel_y + ky) * c.kernel_x + kx);
                  r.y[at_y] += x[at_x] * w[at_w], r.magnitude_y[at_y] += std::fabs(x[at_x] * w[at_w]);
                  r.dx[at_x] += dy[at_y] * w[at_w], r.magnitude_dx[at_x] += std::fabs(dy[at_y] * w[at_w]);
                  r.dw[at_w] += dy[at_y] * x[at_x], r.magnitude_dw[at_w] += std::fabs(dy[at_y] * x[at_x]);
                }
  return r;
}

void expect_products(const TensorDesc& d, const Buffer& got, const std::vector<double>& want,
                     const std::vector<double>& magnitude, double tolerance, const std::string& where) {
  const std::vector<double> values = logical(d, got);
  const double storage = d.type == ElementType::bf16 ? std::ldexp(1.0, -8) : 0;
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(values[i], want[i], tolerance * magnitude[i] + storage * std::fabs(want[i]) + 1e-30)
        << where << " at " << i;
}

/// Winograd's transforms spread errors over the tile: 2^-13 of the largest sum of absolute products.
void expect_transformed(const TensorDesc& d, const Buffer& got, const std::vector<double>& want,
                        const std::vector<double>& magnitude, const std::string& where) {
  const double largest = *std::max_element(magnitude.begin(), magnitude.end());
  expect_all(logical(d, got), want, std::ldexp(largest, -13), 0, where);
}
bool transforms(const Kernel& row) {
  return std::string(row.name).find("winograd") != std::string::npos;
}

/// f32: sums of some thousand terms lose less than 2^-18 of the sum of absolute products. bf16 weights: 2^-9 of each
/// product.
/// Second: with rows for AMX on the scalar stand-in for its tiles, beside those of AVX2.
class TrainingConvolution : public testing::TestWithParam<std::tuple<ElementType, bool>> {};

TEST_P(TrainingConvolution, matches_plain_loops_forward_and_backward) {
  const auto [type, stand_in] = GetParam();
  Features f = stand_in ? capped(detect_features(), "avx2") : features();
  f.amx_stand_in = stand_in;
  ScopedFeatures scoped(f);
  std::mt19937 rng(7);
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text());
    const bool grouped = c.groups > 1;
    const Shape wide = {c.batch, c.groups * c.in, c.height, c.width},
                result = {c.batch, c.groups * c.out, c.oh(), c.ow()};
    const Shape weights =
        grouped ? Shape{c.groups, c.out, c.in, c.kernel_y, c.kernel_x} : Shape{c.out, c.in, c.kernel_y, c.kernel_x};
    const TensorDesc dx = desc(type, wide), dy = desc(type, result), dw = desc(ElementType::f32, weights, false);
    const Buffer x = random_buffer(dx, rng), g = random_buffer(dy, rng), w = random_buffer(dw, rng);
    const Reference want = reference(c, logical(dx, x), logical(dw, w), logical(dy, g));
    const double products = type == ElementType::bf16 ? std::ldexp(1.0, -8) : std::ldexp(1.0, -18);
    const std::vector<int64_t> strides = {c.stride, c.stride}, dilations = {c.dilation, c.dilation};
    const std::vector<int64_t> begin = {c.pad_begin, c.pad_begin}, end = {c.pad_end, c.pad_end};

    auto forward = [&](const auto& op) {
      Asked asked(op, {dx, dw}, {dy});
      const int ran = for_each_row(asked.q, {x.data, w.data}, [&](const Kernel& row, std::vector<Buffer>& out) {
        if (transforms(row))
          expect_transformed(dy, out[0], want.y, want.magnitude_y, row.name);
        else
          expect_products(dy, out[0], want.y, want.magnitude_y, products, row.name);
      });
      EXPECT_GT(ran, 0);
    };
    auto backward = [&](const auto& op) {
      const TensorDesc shape = desc(ElementType::i64, {2});
      Asked asked(op, {dy, dw, shape}, {dx});
      const int64_t space[2] = {c.height, c.width};
      const int ran = for_each_row(asked.q, {g.data, w.data, space}, [&](const Kernel& row, std::vector<Buffer>& out) {
        if (transforms(row))
          expect_transformed(dx, out[0], want.dx, want.magnitude_dx, row.name);
        else
          expect_products(dx, out[0], want.dx, want.magnitude_dx, products, row.name);
      });
      EXPECT_GT(ran, 0);
      if (op.name == GroupConvolutionBackpropData::name) return;
      // with another gradient that is added
      Asked fused(op, {dy, dw, shape, dx}, {dx});
      fused.q.num_op_inputs = 3;
      fused.q.epilogue.operands = {{3, Spread::full}};
      fused.q.epilogue.steps = {{EpilogueOp::add, 0, 1}};
      const std::vector<double> more = logical(dx, x);
      std::vector<double> sum = want.dx, magnitude = want.magnitude_dx;
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += more[i], magnitude[i] += std::fabs(more[i]);
      EXPECT_GT(for_each_row(fused.q, {g.data, w.data, space, x.data},
                             [&](const Kernel& row, std::vector<Buffer>& out) {
                               if (transforms(row))
                                 expect_transformed(dx, out[0], sum, magnitude, row.name);
                               else
                                 expect_products(dx, out[0], sum, magnitude, products, row.name);
                             }),
                0);
    };
    if (grouped) {
      forward(GroupConvolution{strides, begin, end, dilations, AutoPad::explicit_});
      backward(GroupConvolutionBackpropData{strides, begin, end, dilations, AutoPad::explicit_, {}});
    } else {
      forward(Convolution{strides, begin, end, dilations, AutoPad::explicit_});
      backward(ConvolutionBackpropData{strides, begin, end, dilations, AutoPad::explicit_, {}});
    }
    ConvolutionBackpropWeights op{strides, begin, end, dilations, {c.kernel_y, c.kernel_x}, c.groups, grouped};
    Asked asked(op, {dx, dy}, {dw});
    const int ran = for_each_row(asked.q, {x.data, g.data}, [&](const Kernel& row, std::vector<Buffer>& out) {
      // the factors are exact in bf16, sums are f32
      if (transforms(row))
        expect_transformed(dw, out[0], want.dw, want.magnitude_dw, row.name);
      else
        expect_products(dw, out[0], want.dw, want.magnitude_dw, std::ldexp(1.0, -18), row.name);
    });
    EXPECT_GT(ran, 0);
    if (type == ElementType::bf16) {  // also rounded to the type of the factors, as a graph in bf16 asks
      const TensorDesc rounded = desc(type, weights, false);
      Asked narrow(op, {dx, dy}, {rounded});
      EXPECT_EQ(ran, for_each_row(narrow.q, {x.data, g.data}, [&](const Kernel& row, std::vector<Buffer>& out) {
                  expect_products(rounded, out[0], want.dw, want.magnitude_dw, std::ldexp(1.0, -18), row.name);
                }));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, TrainingConvolution,
                         testing::Values(std::tuple{ElementType::f32, false}, std::tuple{ElementType::bf16, false},
                                         std::tuple{ElementType::bf16, true}),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) +
                                  (std::get<1>(info.param) ? "_on_the_stand_in_for_amx" : "");
                         });

/// The row that the compiler takes.
const Kernel* cheapest(const KernelQuery& q) {
  const Kernel* best = nullptr;
  for (const Kernel* row : kernels_for(q.op))
    if (row->supports(q) && (!best || row->plan(q).cost < best->plan(q).cost)) best = row;
  return best;
}

TEST(TrainingConvolutionRows, go_to_tiles_where_these_pay) {
  if (!features().amx_bf16) GTEST_SKIP() << "the CPU has no AMX BF16: its rows ran on the stand-in alone";
  struct {
    int64_t in, out, size, kernel, stride;
    bool data, weights;
  } layers[] = {
      {16, 16, 28, 3, 1, true, true},  {32, 32, 14, 3, 1, true, true},
      {64, 64, 7, 3, 1, true, true},   {16, 32, 28, 3, 2, true, true},
      {64, 256, 56, 1, 1, true, true}, {1, 16, 28, 3, 1, false, false},  // of x, one of 16 columns would be used
      {3, 5, 4, 3, 1, false, false},
  };
  for (const auto& l : layers) {
    const int64_t pad = l.kernel / 2, result = (l.size + 2 * pad - l.kernel) / l.stride + 1;
    const TensorDesc x = desc(ElementType::bf16, {128, l.in, l.size, l.size}),
                     y = desc(ElementType::bf16, {128, l.out, result, result}),
                     w = desc(ElementType::f32, {l.out, l.in, l.kernel, l.kernel}, false);
    const std::vector<int64_t> s = {l.stride, l.stride}, p = {pad, pad};
    const std::string layer = std::to_string(l.in) + " -> " + std::to_string(l.out);
    const auto on_tiles = [](const Kernel* k) { return k && std::string(k->name).ends_with("amx"); };
    if (l.in >= 16) {
      Asked forward(Convolution{s, p, p, {}, AutoPad::explicit_}, {x, w}, {y});
      EXPECT_TRUE(on_tiles(cheapest(forward.q))) << layer;
    }
    Asked data(ConvolutionBackpropData{s, p, p, {}, AutoPad::explicit_, {}}, {y, w, desc(ElementType::i64, {2})}, {x});
    EXPECT_EQ(l.data, on_tiles(cheapest(data.q))) << layer;
    Asked weights(ConvolutionBackpropWeights{s, p, p, {}, {l.kernel, l.kernel}, 1, false}, {x, y}, {w});
    EXPECT_EQ(l.weights, on_tiles(cheapest(weights.q))) << layer;
  }
}

TEST(TrainingConvolutionRows, offer_winograd_where_it_pays) {
  const TensorDesc x = desc(ElementType::f32, {8, 32, 14, 14}), w = desc(ElementType::f32, {32, 32, 3, 3}, false);
  Asked asked(Convolution{{1, 1}, {1, 1}, {1, 1}, {}, AutoPad::explicit_}, {x, w}, {x});
  const Kernel* best = cheapest(asked.q);
  if (!features().avx2) GTEST_SKIP() << "no AVX2";
  ASSERT_TRUE(best);
  EXPECT_TRUE(transforms(*best)) << best->name;
}

TEST(TrainingConvolutionRows, pad_transposed_convolutions_to_the_given_shape) {
  // sizes of which one pad is larger than the other
  const TensorDesc x = desc(ElementType::f32, {1, 1, 1, 3}), w = desc(ElementType::f32, {1, 1, 1, 3}, false),
                   shape = desc(ElementType::i64, {2}), y = desc(ElementType::f32, {1, 1, 1, 4});
  const float in[32] = {1, 2, 3}, taps[32] = {1, 10, 100};
  const int64_t space[2] = {1, 4};
  for (const auto& each : {std::pair{AutoPad::same_upper, std::vector<double>{102, 20, 203, 30}},
                           std::pair{AutoPad::same_lower, std::vector<double>{10, 102, 20, 203}}}) {
    const AutoPad pad = each.first;
    const std::vector<double>& want = each.second;
    Asked asked(ConvolutionBackpropData{{1, 2}, {}, {}, {}, pad, {}}, {x, w, shape}, {y});
    EXPECT_GT(for_each_row(asked.q, {in, taps, space},
                           [&](const Kernel& row, std::vector<Buffer>& out) {
                             expect_all(logical(y, out[0]), want, 0, 0, row.name);
                           }),
              0);
  }
}

TEST(TrainingConvolutionRows, say_why_they_decline) {
  const TensorDesc dx = desc(ElementType::f32, {1, 16, 8, 8}), dy = desc(ElementType::f32, {1, 16, 8, 8}, false),
                   dw = desc(ElementType::f32, {16, 16, 3, 3}, false);
  ConvolutionBackpropWeights op{{}, {1, 1}, {1, 1}, {}, {3, 3}, 1, false};
  Asked asked(op, {dx, dy}, {dw});
  int rows = 0;
  for (const Kernel* row : kernels_for(ConvolutionBackpropWeights::name)) {
    if (!std::string(row->name).starts_with("ConvolutionBackpropWeights_direct")) continue;
    ++rows;
    const Support s = row->supports(asked.q);
    EXPECT_FALSE(s);
    if (!s.why().starts_with("the CPU has no")) {
      EXPECT_EQ(s.why(), "dy is not in channels_last order");
    }
  }
  EXPECT_EQ(rows, 3);
}

}  // namespace
}  // namespace hone::cpu::test
