#include "cpu/kernels/conv/convolution_case.hpp"

#include "ops/convolution.hpp"

namespace hone::cpu::test {
namespace {

// 0 none; 1 bias+relu; 2 bias+residual+relu; 3 bias+hswish; 4 swish then a product with a value per image and channel,
// residual after it; 5 bias, then the product of its sigmoid with itself rounded to levels of 1/2; 6
// bias+swish+residual; 7 bias rounded to levels of 1/16, residual, relu;
// 8 bias, then the product of it with its hard sigmoid, times a value per channel; 9 bias, then the product of its
// levels of 1/16 with those of 1/256 of its sigmoid, rounded to levels of 1/8, residual; 10 the same product alone, of
// 256 levels that not all results meet; 11 bias+swish; 12 bias+gelu; 13 bias, then tanh times a third of itself;
// 14 bias+hswish, times a value per channel
Epilogue epilogue_of(int chain, uint32_t first) {
  Epilogue e;
  const auto operand = [&](Spread s) { e.operands.push_back({first + uint32_t(e.operands.size()), s}); };
  // Values are numbered: the sum is 0, operands follow it, then come the steps.
  const auto step = [&](EpilogueOp op, int a, int b = -1, float alpha = 0, float beta = 0) {
    e.steps.push_back({op, int16_t(a), int16_t(b), alpha, beta});
    return int(e.operands.size() + e.steps.size());
  };
  // Multiples of 1 / `inverse` from `low` to `high` of them.
  const auto levels = [&](int a, float inverse, float low, float high) {
    const int scaled = step(EpilogueOp::scale_shift, a, -1, inverse);
    const int level = step(EpilogueOp::clamp, step(EpilogueOp::round, scaled), -1, low, high);
    return step(EpilogueOp::scale_shift, level, -1, 1 / inverse);
  };
  if (chain == 0) return e;
  operand(Spread::per_channel);
  if (chain == 2 || chain == 6 || chain == 7 || chain == 9) operand(Spread::full);
  if (chain == 8 || chain == 14) operand(Spread::per_channel);
  if (chain == 4) {
    for (Spread s : {Spread::per_row, Spread::full, Spread::scalar}) operand(s);
  }
  const int sum = step(EpilogueOp::add, 0, 1);
  switch (chain) {
    case 1:
      step(EpilogueOp::relu, sum);
      break;
    case 2:
      step(EpilogueOp::clamp, step(EpilogueOp::add, sum, 2), -1, -0.5f, 2.0f);
      break;
    case 3:
      step(EpilogueOp::hswish, sum);
      break;
    case 4: {
      const int swish = step(EpilogueOp::swish, sum, -1, 1.0f);
      const int skip = step(EpilogueOp::add, step(EpilogueOp::multiply, swish, 2), 3);
      step(EpilogueOp::multiply, step(EpilogueOp::maximum, skip, 4), swish);
      break;
    }
    case 5: {
      const int level = levels(sum, 2, -3, 12);
      step(EpilogueOp::multiply, level, step(EpilogueOp::sigmoid, sum));
      break;
    }
    case 6:
      step(EpilogueOp::add, 2, step(EpilogueOp::swish, sum, -1, 1.0f));
      break;
    case 7:
      step(EpilogueOp::relu, step(EpilogueOp::add, levels(sum, 16, -20, 100), 2));
      break;
    case 8:
      step(EpilogueOp::multiply, 2, step(EpilogueOp::multiply, sum, step(EpilogueOp::hsigmoid, sum)));
      break;
    case 9:
    case 10: {
      const int sigmoid = step(EpilogueOp::sigmoid, sum);
      const int level = chain == 9 ? levels(sum, 16, -20, 100) : levels(sum, 16, -12, 243);
      const int product = step(EpilogueOp::multiply, level, levels(sigmoid, 256, 0, 255));
      if (chain == 9) step(EpilogueOp::add, levels(product, 8, -10, 40), 2);
      break;
    }
    case 11:
      step(EpilogueOp::swish, sum, -1, 1.0f);
      break;
    case 12:
      step(EpilogueOp::gelu_erf, sum, -1, 1.0f);
      break;
    case 13: {
      const int third = step(EpilogueOp::scale_shift, sum, -1, 1.0f / 3);
      step(EpilogueOp::multiply, third, step(EpilogueOp::tanh, sum));
      break;
    }
    default:
      step(EpilogueOp::multiply, step(EpilogueOp::hswish, sum), 2);
  }
  return e;
}

// Of the sum of magnitudes of a window's products; see the head of conv/winograd.cpp.
constexpr double winograd_tolerance = 4e-6, winograd_words_tolerance = 4e-3;

// bfmmla rounds to odd, so each of the (products / 2) sums of an accumulator, and that of the pair beside it, is off by
// up to a unit of the last place, 2^-23 of no more than the sum of magnitudes: six standard deviations of their walk.
double bfmmla_tolerance(int64_t products) {
  return 6 * std::sqrt(double(products + 2) / 3) * std::ldexp(1.0, -23);
}

}  // namespace

void check(const ConvolutionCase& k, int* rows_run) {
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
      const bool pairs = std::string(row->name).find("neonbf16") != std::string::npos;
      const double tolerance = coarse + products + (pairs ? bfmmla_tolerance(cg * k.kh * k.kw) : 0);
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

}  // namespace hone::cpu::test
