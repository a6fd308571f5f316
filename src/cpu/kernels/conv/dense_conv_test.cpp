// Every row of Convolution and GroupConvolution against a plain double loop.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::test {
namespace {

struct Case {
  int64_t n = 1, c = 1, h = 1, w = 1, o = 1, kh = 1, kw = 1;
  int64_t sh = 1, sw = 1, dh = 1, dw = 1, pt = 0, pl = 0, pb = 0, pr = 0;
  int64_t groups = 1;  ///< 0 in `op`: Convolution
  bool grouped = false;
  ElementType x = ElementType::f32, wt = ElementType::f32, y = ElementType::f32;
  int chain = 0;  ///< which epilogue
  bool bf16_compute = false, constant = true;
  Layout in_layout = Layout::channels_last;
  std::string text() const {
    return "n" + std::to_string(n) + " c" + std::to_string(c) + " " + std::to_string(h) + "x" + std::to_string(w) +
           " o" + std::to_string(o) + " k" + std::to_string(kh) + "x" + std::to_string(kw) + " s" + std::to_string(sh) +
           std::to_string(sw) + " d" + std::to_string(dh) + std::to_string(dw) + " p" + std::to_string(pt) +
           std::to_string(pl) + std::to_string(pb) + std::to_string(pr) + " g" + std::to_string(groups) + " " +
           name_of(x) + "x" + name_of(wt) + "->" + name_of(y) + " chain " + std::to_string(chain) +
           (bf16_compute ? " bf16_compute" : "") + (constant ? "" : " loose");
  }
};

// 0 none; 1 bias+relu; 2 bias+residual+relu; 3 bias+hswish; 4 swish then a product with a value per image and channel,
// residual after it; 5 bias, then the product of its sigmoid with itself rounded to levels of 1/2; 6
// bias+swish+residual; 7 bias rounded to levels of 1/16, residual, relu;
// 8 bias, then the product of it with its hard sigmoid, times a value per channel; 9 bias, then the product of its
// levels of 1/16 with those of 1/256 of its sigmoid, rounded to levels of 1/8, residual; 10 the same product alone, of
// 256 levels that not all results meet; 11 bias+swish; 12 bias+gelu; 13 bias, then tanh times a third of itself;
// 14 bias+hswish, times a value per channel
Epilogue epilogue_of(int chain, uint32_t first) {
  Epilogue e;
  auto operand = [&](Spread s) { e.operands.push_back({first + uint32_t(e.operands.size()), s}); };
  if (chain == 1 || chain == 3) {
    operand(Spread::per_channel);
    e.steps = {{EpilogueOp::add, 0, 1}, {chain == 1 ? EpilogueOp::relu : EpilogueOp::hswish, 2}};
  } else if (chain == 2) {
    operand(Spread::per_channel);
    operand(Spread::full);
    e.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::add, 3, 2}, {EpilogueOp::clamp, 4, -1, -0.5f, 2.0f}};
  } else if (chain == 7) {
    operand(Spread::per_channel);
    operand(Spread::full);
    e.steps = {{EpilogueOp::add, 0, 1},
               {EpilogueOp::scale_shift, 3, -1, 16.0f, 0},
               {EpilogueOp::round, 4},
               {EpilogueOp::clamp, 5, -1, -20.0f, 100.0f},
               {EpilogueOp::scale_shift, 6, -1, 0.0625f, 0},
               {EpilogueOp::add, 7, 2},
               {EpilogueOp::relu, 8}};
  } else if (chain == 8) {
    operand(Spread::per_channel);
    operand(Spread::per_channel);
    e.steps = {
        {EpilogueOp::add, 0, 1}, {EpilogueOp::hsigmoid, 3}, {EpilogueOp::multiply, 3, 4}, {EpilogueOp::multiply, 2, 5}};
  } else if (chain == 9) {
    operand(Spread::per_channel);
    operand(Spread::full);
    e.steps = {{EpilogueOp::add, 0, 1},
               {EpilogueOp::sigmoid, 3},
               {EpilogueOp::scale_shift, 3, -1, 16.0f, 0},
               {EpilogueOp::round, 5},
               {EpilogueOp::clamp, 6, -1, -20.0f, 100.0f},
               {EpilogueOp::scale_shift, 7, -1, 0.0625f, 0},
               {EpilogueOp::scale_shift, 4, -1, 256.0f, 0},
               {EpilogueOp::round, 9},
               {EpilogueOp::clamp, 10, -1, 0.0f, 255.0f},
               {EpilogueOp::scale_shift, 11, -1, 0.00390625f, 0},
               {EpilogueOp::multiply, 8, 12},
               {EpilogueOp::scale_shift, 13, -1, 8.0f, 0},
               {EpilogueOp::round, 14},
               {EpilogueOp::clamp, 15, -1, -10.0f, 40.0f},
               {EpilogueOp::scale_shift, 16, -1, 0.125f, 0},
               {EpilogueOp::add, 17, 2}};
  } else if (chain == 10) {
    operand(Spread::per_channel);
    e.steps = {{EpilogueOp::add, 0, 1},
               {EpilogueOp::sigmoid, 2},
               {EpilogueOp::scale_shift, 2, -1, 16.0f, 0},
               {EpilogueOp::round, 4},
               {EpilogueOp::clamp, 5, -1, -12.0f, 243.0f},
               {EpilogueOp::scale_shift, 6, -1, 0.0625f, 0},
               {EpilogueOp::scale_shift, 3, -1, 256.0f, 0},
               {EpilogueOp::round, 8},
               {EpilogueOp::clamp, 9, -1, 0.0f, 255.0f},
               {EpilogueOp::scale_shift, 10, -1, 0.00390625f, 0},
               {EpilogueOp::multiply, 7, 11}};
  } else if (chain == 11 || chain == 12) {
    operand(Spread::per_channel);
    e.steps = {{EpilogueOp::add, 0, 1}, {chain == 11 ? EpilogueOp::swish : EpilogueOp::gelu_erf, 2, -1, 1.0f}};
  } else if (chain == 14) {
    operand(Spread::per_channel);
    operand(Spread::per_channel);
    e.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::hswish, 3}, {EpilogueOp::multiply, 4, 2}};
  } else if (chain == 13) {
    operand(Spread::per_channel);
    e.steps = {{EpilogueOp::add, 0, 1},
               {EpilogueOp::scale_shift, 2, -1, 1.0f / 3, 0},
               {EpilogueOp::tanh, 2},
               {EpilogueOp::multiply, 3, 4}};
  } else if (chain == 6) {
    operand(Spread::per_channel);
    operand(Spread::full);
    e.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::swish, 3, -1, 1.0f}, {EpilogueOp::add, 2, 4}};
  } else if (chain == 4) {
    operand(Spread::per_channel);
    operand(Spread::per_row);
    operand(Spread::full);
    operand(Spread::scalar);
    e.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::swish, 5, -1, 1.0f}, {EpilogueOp::multiply, 6, 2},
               {EpilogueOp::add, 7, 3}, {EpilogueOp::maximum, 8, 4},      {EpilogueOp::multiply, 9, 6}};
  } else if (chain == 5) {
    operand(Spread::per_channel);
    e.steps = {{EpilogueOp::add, 0, 1},
               {EpilogueOp::scale_shift, 2, -1, 2.0f, 0},
               {EpilogueOp::round, 3},
               {EpilogueOp::clamp, 4, -1, -3.0f, 12.0f},
               {EpilogueOp::scale_shift, 5, -1, 0.5f, 0},
               {EpilogueOp::sigmoid, 2},
               {EpilogueOp::multiply, 6, 7}};
  }
  return e;
}

// Of the sum of magnitudes of a window's products; see the head of conv/winograd.cpp.
constexpr double winograd_tolerance = 4e-6, winograd_words_tolerance = 4e-3;

void check(const Case& k, int* rows_run) {
  if (skip_case()) return void(++*rows_run);
  std::mt19937 rng(unsigned(k.c * 31 + k.h * 7 + k.o));
  const int64_t oh = (k.h + k.pt + k.pb - (k.kh - 1) * k.dh - 1) / k.sh + 1,
                ow = (k.w + k.pl + k.pr - (k.kw - 1) * k.dw - 1) / k.sw + 1;
  const int64_t cg = k.c / k.groups, og = k.o / k.groups;
  KernelQuery q;
  auto set = [&](auto op) {
    op.strides = {k.sh, k.sw};
    op.dilations = {k.dh, k.dw};
    op.pads_begin = {k.pt, k.pl};
    op.pads_end = {k.pb, k.pr};
    return attributes_of(op);
  };
  const auto attributes = k.grouped ? set(GroupConvolution{}) : set(Convolution{});
  q.op = k.grouped ? "GroupConvolution" : "Convolution";
  q.attributes = attributes;
  q.bf16_compute = k.bf16_compute;
  TensorDesc x, w, y;
  x.type = k.x;
  x.shape = {k.n, k.c, k.h, k.w};
  x.layout = k.in_layout;
  w.type = k.wt;
  w.shape = k.grouped ? Shape{k.groups, og, cg, k.kh, k.kw} : Shape{k.o, k.c, k.kh, k.kw};
  w.constant = k.constant;
  y.type = k.y;
  y.shape = {k.n, k.o, oh, ow};
  y.layout = Layout::channels_last;
  const bool integer = is_integer(k.x);
  if (integer) {
    x.quantization = per_tensor(0.02f, k.x == ElementType::u8 ? 113 : -7);
    if (is_integer(k.wt)) {
      auto wq = std::make_shared<Quantization>();
      for (int64_t i = 0; i < k.o; ++i) wq->scales.push_back(0.004f + 0.0001f * float(i % 9));
      wq->axis = 0;
      w.quantization = wq;
    }
  }
  if (is_integer(k.y)) y.quantization = per_tensor(integer ? 0.05f : 0.03f, k.y == ElementType::u8 ? 100 : 3);
  Buffer xb = random_buffer(x, rng), wb = random_buffer(w, rng);
  w.value = Tensor(w.type, w.shape, wb.data);
  q.inputs = {x, w};
  q.num_op_inputs = 2;
  q.outputs = {y};
  q.epilogue = epilogue_of(k.chain, 2);
  std::vector<Buffer> operands;
  std::vector<const void*> inputs = {xb.data, wb.data};
  for (const EpilogueOperand& o : q.epilogue.operands) {
    TensorDesc d;
    d.type = ElementType::f32;
    d.layout = Layout::channels_last;
    if (o.spread == Spread::scalar) d.shape = {1};
    if (o.spread == Spread::per_channel) {
      d.shape = {k.o};
      d.constant = k.constant && k.h % 2 == 1;  // both kinds of bias
    }
    if (o.spread == Spread::per_row) d.shape = {k.n, k.o, 1, 1};
    if (o.spread == Spread::full) {
      d.shape = y.shape;
      d.type = k.y;
      d.quantization = y.quantization;
    }
    q.inputs.push_back(d);
    operands.push_back(random_buffer(d, rng));
    inputs.push_back(operands.back().data);
  }
  // exact result and the sum of magnitudes that rounding errors are measured by
  std::vector<double> want(y.size()), magnitude(y.size());
  std::vector<double> to_tie(y.size(), 1);  // from half-way between two levels, where either is right
  auto value_w = [&](int64_t o, size_t i) {
    const double v = get_element(w.value, i);
    return w.quantization ? v * double(w.quantization->scale(size_t(o))) : v;
  };
  for (int64_t n = 0; n < k.n; ++n) {
    for (int64_t o = 0; o < k.o; ++o) {
      const int64_t g = o / og;
      for (int64_t s = 0; s < oh * ow; ++s) {
        double sum = 0, mag = 0;
        for (int64_t c = 0; c < cg; ++c) {
          for (int64_t y0 = 0; y0 < k.kh; ++y0) {
            for (int64_t x0 = 0; x0 < k.kw; ++x0) {
              const int64_t iy = (s / ow) * k.sh + y0 * k.dh - k.pt, ix = (s % ow) * k.sw + x0 * k.dw - k.pl;
              if (iy < 0 || ix < 0 || iy >= k.h || ix >= k.w) continue;
              const double a = read(x, xb.data, at(x.layout, k.c, k.h * k.w, n, g * cg + c, iy * k.w + ix));
              const double b = value_w(o, size_t(((o * cg + c) * k.kh + y0) * k.kw + x0));
              sum += a * b;
              mag += std::fabs(a * b);
            }
          }
        }
        const size_t i = at(Layout::channels_last, k.o, oh * ow, n, o, s);
        want[i] = apply_epilogue(q.epilogue, sum, [&](size_t e) {
          const Spread spread = q.epilogue.operands[e].spread;
          const size_t j = spread == Spread::full          ? i
                           : spread == Spread::scalar      ? 0
                           : spread == Spread::per_channel ? size_t(o)
                                                           : size_t(n * k.o + o);
          return read(q.inputs[2 + e], operands[e].data, j);
        });
        magnitude[i] = mag + 1;
        if (k.chain == 5 || k.chain == 7 || k.chain == 9 || k.chain == 10) {
          const double value = sum + read(q.inputs[2], operands[0].data, size_t(o));
          const auto near = [&](double level) {
            to_tie[i] = std::min(to_tie[i], std::fabs(level - std::floor(level) - 0.5));
          };
          near((k.chain == 5 ? 2 : 16) * value);
          if (k.chain >= 9) {
            const double gate = 256 / (1 + std::exp(-value));
            near(gate);
            near(8 * std::clamp(std::nearbyint(16 * value), -20.0, 100.0) / 16 * std::min(std::nearbyint(gate), 255.0) /
                 256);
          }
        }
      }
    }
  }
  std::set<const Kernel*> seen;
  for (const std::string& level : levels()) {
    ScopedFeatures cap(features_of(level));
    for (const Kernel* row : kernels_for(q.op)) {
      if (seen.count(row) || !row->supports(q)) continue;
      seen.insert(row);
      ++*rows_run;
      const bool rounds = std::string(row->name).find("bf16") != std::string::npos;
      // f32: error grows with the square root of K; bf16 factors carry 2^-9 each, of f32 inputs only
      const bool winograd = std::string(row->name).find("winograd") != std::string::npos;
      const bool words = winograd && std::string(row->name).find("int16") != std::string::npos;
      // SiLU that ends in bf16 is computed to 1.5e-4, GELU to 2e-5 of the larger of 1 and the value.
      const double coarse = k.y != ElementType::bf16        ? 0
                            : k.chain == 6 || k.chain == 11 ? 2e-4
                            : k.chain == 12                 ? 4e-5
                                                            : 0;
      const double products = integer && is_integer(k.wt) ? 1e-6
                              : words                     ? winograd_words_tolerance
                              : winograd                  ? winograd_tolerance
                              : rounds && (k.x == ElementType::f32 || k.wt == ElementType::f32) ? 6e-3
                                                                                                : 2e-6;
      const double tolerance = coarse + products;
      const std::string where = std::string(row->name) + " (" + level + ") " + k.text();
      Buffer first = run_row(*row, q, inputs, 1);
      for (size_t i = 0; i < want.size(); ++i) {
        if (to_tie[i] < (k.chain >= 7 ? 64 : 4) * tolerance * magnitude[i]) continue;
        expect_close(y, first, i, want[i], magnitude[i] * (k.chain == 4 ? 4 : 1), tolerance, where);
        if (testing::Test::HasFatalFailure()) return;
      }
      for (int threads : {2, 3}) {
        Buffer other = run_row(*row, q, inputs, threads);
        ASSERT_EQ(std::memcmp(first.data, other.data, first.size), 0)
            << where << " differs with " << threads << " threads";
      }
    }
  }
}

std::vector<Case> shapes() {
  return {
      {.n = 1, .c = 16, .h = 9, .w = 7, .o = 16, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1},
      {.n = 2, .c = 64, .h = 7, .w = 7, .o = 80, .kh = 1, .kw = 1},
      {.n = 1, .c = 24, .h = 8, .w = 8, .o = 100, .kh = 1, .kw = 1, .sh = 2, .sw = 2},
      {.n = 3,
       .c = 32,
       .h = 5,
       .w = 6,
       .o = 20,
       .kh = 3,
       .kw = 3,
       .sh = 2,
       .sw = 2,
       .pt = 0,
       .pl = 0,
       .pb = 1,
       .pr = 1},
      {.n = 1,
       .c = 3,
       .h = 15,
       .w = 13,
       .o = 33,
       .kh = 7,
       .kw = 7,
       .sh = 2,
       .sw = 2,
       .pt = 3,
       .pl = 3,
       .pb = 3,
       .pr = 3},
      {.n = 1,
       .c = 5,
       .h = 11,
       .w = 9,
       .o = 7,
       .kh = 2,
       .kw = 3,
       .sh = 1,
       .sw = 2,
       .dh = 2,
       .dw = 3,
       .pt = 2,
       .pl = 1,
       .pb = 0,
       .pr = 4},
      // tiles of 9, 11 and 13 rows, which larger ones serve, of one panel and two, whole and not
      {.n = 1, .c = 16, .h = 3, .w = 3, .o = 16, .kh = 1, .kw = 1},
      {.n = 1, .c = 16, .h = 1, .w = 11, .o = 24, .kh = 1, .kw = 1},
      {.n = 1, .c = 16, .h = 1, .w = 13, .o = 32, .kh = 1, .kw = 1},
      {.n = 1, .c = 16, .h = 1, .w = 13, .o = 9, .kh = 1, .kw = 1},
      {.n = 9, .c = 16, .h = 4, .w = 4, .o = 48, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1},
      // pointers for each tap: dilated beyond the image, and long taps
      {.n = 2,
       .c = 18,
       .h = 6,
       .w = 7,
       .o = 20,
       .kh = 3,
       .kw = 3,
       .dh = 5,
       .dw = 6,
       .pt = 5,
       .pl = 6,
       .pb = 5,
       .pr = 6},
      {.n = 1, .c = 6, .h = 5, .w = 5, .o = 9, .kh = 3, .kw = 3, .dh = 9, .dw = 9, .pt = 9, .pl = 9, .pb = 9, .pr = 9},
      {.n = 2, .c = 64, .h = 7, .w = 7, .o = 70, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1},
      {.n = 1,
       .c = 128,
       .h = 9,
       .w = 5,
       .o = 24,
       .kh = 3,
       .kw = 3,
       .sh = 2,
       .sw = 2,
       .pt = 1,
       .pl = 1,
       .pb = 1,
       .pr = 1},
      {.n = 1, .c = 19, .h = 1, .w = 1, .o = 1000, .kh = 1, .kw = 1},
      {.n = 1, .c = 8, .h = 20, .w = 3, .o = 130, .kh = 5, .kw = 1, .pt = 2, .pb = 2},
  };
}

// A shape each, so that every one of them ends soon under sanitizers as well.
class ConvolutionShapes : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Convolution, ConvolutionShapes, testing::Range(size_t{0}, shapes().size()));

TEST_P(ConvolutionShapes, match_the_plain_loop_in_f32_and_bf16) {
  int rows = 0;
  Case k = shapes()[GetParam()];
  for (int chain : {0, 1, 2, 3, 4, 5, 6}) {
    k.chain = chain;
    for (auto [x, y] : {std::pair{ElementType::f32, ElementType::f32},
                        {ElementType::bf16, ElementType::bf16},
                        {ElementType::bf16, ElementType::f32},
                        {ElementType::f32, ElementType::u8},
                        {ElementType::f16, ElementType::f16}}) {
      k.x = x;
      k.y = y;
      k.wt = chain == 3 ? ElementType::bf16 : ElementType::f32;
      k.bf16_compute = chain == 1 && x != ElementType::f16;
      k.constant = chain != 2;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST_P(ConvolutionShapes, match_the_plain_loop_in_int8) {
  int rows = 0;
  Case k = shapes()[GetParam()];
  for (int chain : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}) {
    k.chain = chain;
    k.wt = ElementType::i8;
    for (auto [x, y] : {std::pair{ElementType::u8, ElementType::u8},
                        {ElementType::i8, ElementType::i8},
                        {ElementType::u8, ElementType::f32},
                        {ElementType::i8, ElementType::bf16}}) {
      k.x = x;
      k.y = y;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

// Rows of a tile that lie evenly, beside others that meet the padding or the next line.
TEST(Convolution, tiles_match_the_plain_loop_where_taps_lie_in_the_padding) {
  int rows = 0;
  for (auto [x, wt, y] : {std::tuple{ElementType::u8, ElementType::i8, ElementType::u8},
                          {ElementType::bf16, ElementType::f32, ElementType::bf16}}) {
    for (int64_t columns : {24, 80}) {
      for (int64_t dilation : {1, 5}) {
        Case k{.n = 1,
               .c = 64,
               .h = 9,
               .w = 21,
               .o = columns,
               .kh = 3,
               .kw = 3,
               .dh = dilation,
               .dw = dilation,
               .pt = dilation,
               .pl = dilation,
               .pb = dilation,
               .pr = dilation};
        k.x = x;
        k.wt = wt;
        k.y = y;
        k.chain = 2;
        const int before = rows;
        check(k, &rows);
        if (HasFatalFailure()) return;
        EXPECT_GT(rows, before) << k.text();
      }
    }
  }
}

TEST(Convolution, strips_handed_out_on_demand_give_the_same_bits) {
  int rows = 0;
  Case k{.n = 1, .c = 48, .h = 64, .w = 64, .o = 32, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1};
  k.chain = 2;
  check(k, &rows);
  EXPECT_GT(rows, 0);
}

TEST(Convolution, reads_the_plain_layout_of_thin_inputs) {
  int rows = 0;
  for (int64_t c : {3, 4, 5, 12}) {
    for (auto [x, wt] : {std::pair{ElementType::f32, ElementType::f32},
                         {ElementType::bf16, ElementType::f32},
                         {ElementType::u8, ElementType::i8},
                         {ElementType::i8, ElementType::i8}}) {
      Case k{.n = 2,
             .c = c,
             .h = 12,
             .w = 10,
             .o = 18,
             .kh = 3,
             .kw = 3,
             .sh = 2,
             .sw = 2,
             .pt = 1,
             .pl = 1,
             .pb = 1,
             .pr = 1};
      k.x = x;
      k.wt = wt;
      k.chain = 1;
      k.in_layout = Layout::plain;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST(GroupConvolution, matches_the_plain_loop) {
  int rows = 0;
  for (auto [x, wt, y] : {std::tuple{ElementType::f32, ElementType::f32, ElementType::f32},
                          {ElementType::bf16, ElementType::f32, ElementType::bf16},
                          {ElementType::u8, ElementType::i8, ElementType::u8},
                          {ElementType::i8, ElementType::i8, ElementType::f32}}) {
    for (int64_t stride : {1, 2}) {
      Case k{.n = 2,
             .c = 20,
             .h = 7,
             .w = 9,
             .o = 30,
             .kh = 3,
             .kw = 3,
             .sh = stride,
             .sw = stride,
             .pt = 1,
             .pl = 1,
             .pb = 1,
             .pr = 1};
      k.groups = 5;
      k.grouped = true;
      k.x = x;
      k.wt = wt;
      k.y = y;
      k.chain = stride == 1 ? 1 : 2;
      check(k, &rows);
      k.kh = k.kw = 1;
      k.pt = k.pl = k.pb = k.pr = 0;
      check(k, &rows);
      k.c = 5;  // a multiplier: one channel in, six out of each group
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

struct DepthwiseForm {
  int64_t k, stride, dilation, pad, h, w, c;
};
constexpr DepthwiseForm depthwise_forms[] = {
    {3, 1, 1, 1, 7, 9, 20},  {3, 2, 1, 1, 9, 15, 70},  {5, 1, 1, 2, 8, 21, 33},  {5, 2, 1, 2, 13, 16, 16},
    {3, 1, 2, 2, 9, 10, 40}, {7, 1, 1, 3, 5, 4, 8},    {3, 1, 1, 0, 6, 14, 130}, {5, 1, 2, 4, 15, 20, 36},
    {3, 1, 3, 3, 6, 25, 19}, {7, 1, 1, 3, 9, 12, 24},  {3, 2, 1, 1, 14, 14, 66}, {3, 1, 1, 1, 5, 67, 80},
    {3, 2, 1, 1, 7, 71, 96}, {5, 1, 1, 2, 7, 40, 100}, {5, 2, 1, 2, 9, 30, 49},  {7, 1, 1, 3, 8, 31, 17},
    {2, 1, 1, 1, 5, 11, 18}};
class DepthwiseForms : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(GroupConvolution, DepthwiseForms, testing::Range(size_t{0}, std::size(depthwise_forms)));

TEST_P(DepthwiseForms, match_the_plain_loop) {
  int rows = 0;
  const DepthwiseForm& f = depthwise_forms[GetParam()];
  for (auto [x, wt, y] : {std::tuple{ElementType::f32, ElementType::f32, ElementType::f32},
                          {ElementType::bf16, ElementType::f32, ElementType::bf16},
                          {ElementType::u8, ElementType::f32, ElementType::u8},
                          {ElementType::u8, ElementType::i8, ElementType::u8},
                          {ElementType::i8, ElementType::i8, ElementType::i8},
                          {ElementType::f32, ElementType::bf16, ElementType::u8},
                          {ElementType::f16, ElementType::f32, ElementType::f16}}) {
    for (int chain : {0, 1, 2, 3, 4, 5, 6, 10, 11}) {
      if (chain >= 10 && !is_integer(x)) continue;
      Case k{.n = 2,
             .c = f.c,
             .h = f.h,
             .w = f.w,
             .o = f.c,
             .kh = f.k,
             .kw = f.k,
             .sh = f.stride,
             .sw = f.stride,
             .dh = f.dilation,
             .dw = f.dilation,
             .pt = f.pad,
             .pl = f.pad,
             .pb = f.pad,
             .pr = f.pad};
      k.groups = f.c;
      k.grouped = true;
      k.x = x;
      k.wt = wt;
      k.y = y;
      k.chain = chain;
      k.constant = is_integer(x) || chain != 1;
      const int before = rows;
      check(k, &rows);
      if (HasFatalFailure()) return;
      EXPECT_GT(rows, before) << k.text();
    }
  }
}

TEST(GroupConvolution, depthwise_signals_are_shared_out_by_channels) {
  int rows = 0;
  struct Form {
    int64_t k, stride, dilation, w, c;
  };
  for (const Form& f : std::vector<Form>{
           {3, 1, 4, 70, 130}, {3, 1, 1, 90, 200}, {3, 2, 1, 41, 80}, {5, 1, 2, 50, 70}, {15, 1, 1, 40, 144}}) {
    for (auto [x, wt, y] : {std::tuple{ElementType::f32, ElementType::f32, ElementType::f32},
                            {ElementType::bf16, ElementType::f32, ElementType::bf16},
                            {ElementType::u8, ElementType::i8, ElementType::u8}}) {
      for (int chain : {0, 1, 2, 3, 4, 5, 6}) {
        const int64_t pad = (f.k - 1) * f.dilation / 2;
        Case k{.n = 1,
               .c = f.c,
               .h = 1,
               .w = f.w,
               .o = f.c,
               .kh = 1,
               .kw = f.k,
               .sw = f.stride,
               .dw = f.dilation,
               .pl = pad,
               .pr = pad};
        k.groups = f.c;
        k.grouped = true;
        k.x = x;
        k.wt = wt;
        k.y = y;
        k.chain = chain;
        const int before = rows;
        check(k, &rows);
        if (HasFatalFailure()) return;
        EXPECT_GT(rows, before) << k.text();
      }
    }
  }
}

TEST(Convolution, amx_rows_run_on_the_stand_in_anywhere) {
  ScopedFeatures stand_in(features_of("amx_stand_in"));
  for (auto [x, w, name] : {std::tuple{ElementType::u8, ElementType::i8, "convolution_int8_32x32__amx_stand_in"},
                            {ElementType::bf16, ElementType::f32, "convolution_bf16_32x32__amx_stand_in"}}) {
    Node node(Convolution{});
    node.input(Node::desc(x, {1, 16, 4, 4}, Layout::channels_last));
    TensorDesc weights = Node::desc(w, {16, 16, 1, 1});
    weights.constant = true;
    node.input(weights);
    node.q.outputs = {Node::desc(ElementType::f32, {1, 16, 4, 4}, Layout::channels_last)};
    bool found = false;
    for (const Kernel* row : kernels_for("Convolution")) {
      if (std::string(row->name) == name) found = bool(row->supports(node.q));
    }
    EXPECT_EQ(found, w != ElementType::i8) << name << ": i8 weights with a zero point must be refused";
  }
}

TEST(Convolution, refuses_with_a_sentence) {
  ScopedFeatures none{Features{}};
  KernelQuery q;
  const auto attributes = attributes_of(Convolution{});
  q.op = "Convolution";
  q.attributes = attributes;
  TensorDesc x;
  x.type = ElementType::f32;
  x.shape = {1, 16, 4, 4};
  x.layout = Layout::channels_last;
  TensorDesc w = x;
  w.shape = {16, 16, 1, 1};
  w.layout = Layout::plain;
  w.constant = true;
  q.inputs = {x, w};
  q.num_op_inputs = 2;
  q.outputs = {x};
  for (const Kernel* row : kernels_for("Convolution")) {
    const Support s = row->supports(q);
    EXPECT_FALSE(s) << row->name;
    EXPECT_NE(s.why().find("the CPU has no"), std::string::npos) << row->name << ": " << s.why();
  }
}

}  // namespace
}  // namespace hone::cpu::test
