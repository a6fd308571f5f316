#include "ops/random.hpp"

#include <cmath>
#include <cstring>

#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/philox.hpp"

namespace hone {
namespace {

void check_state(const InferCtx& ctx, size_t i) {
  ctx.check(ctx.element(i) == ElementType::u64 && ctx.shape(i).compatible(PartialShape{2}),
            "the state is u64[2], got " + to_string(ctx.input(i)));
}
PhiloxStream stream_of(const EvalCtx& ctx, size_t i) {
  const Tensor& s = ctx.input(i);
  if (s.element_type() != ElementType::u64 || s.size() != 2) ctx.fail("the state is u64[2]");
  return {s.data<uint64_t>()[0], s.data<uint64_t>()[1]};
}
Tensor advanced(const EvalCtx& ctx, size_t i, const PhiloxStream& s) {
  return Tensor::of<uint64_t>({2}, {ctx.input(i).data<uint64_t>()[0], s.counter()});
}

Type shaped(const InferCtx& ctx, ElementType type) {
  if (const auto c = ctx.content(0)) return {type, PartialShape(*c)};
  return {type, shape_of_rank(ctx.shape(0))};
}

// The natural logarithm of a positive normal number, from exactly rounded operations alone: libraries differ in the
// last bits.
double exact_log(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  bits = (bits & 0xFFFFFFFFFFFFFull) | (uint64_t{1023} << 52);
  double m;
  std::memcpy(&m, &bits, 8);
  if (m > 1.4142135623730951) {
    m /= 2;
    ++exponent;
  }
  // log m = 2 atanh((m - 1) / (m + 1)); |s| < 0.172, so eleven terms are enough.
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
  return 2 * s * sum + static_cast<double>(exponent) * 0.6931471805599453;
}

double polynomial(const double (&c)[8], double x) {
  double v = c[7];
  for (int k = 6; k >= 0; --k) v = v * x + c[k];
  return v;
}

// Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", PPND16.
double normal_quantile(double p) {
  static constexpr double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                  1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                  3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr double b[8] = {1.0,
                                  4.2313330701600911252e+1,
                                  6.8718700749205790830e+2,
                                  5.3941960214247511077e+3,
                                  2.1213794301586595867e+4,
                                  3.9307895800092710610e+4,
                                  2.8729085735721942674e+4,
                                  5.2264952788528545610e+3};
  static constexpr double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                  3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                  2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[8] = {1.0,
                                  2.05319162663775882187e0,
                                  1.67638483018380384940e0,
                                  6.89767334985100004550e-1,
                                  1.48103976427480074590e-1,
                                  1.51986665636164571966e-2,
                                  5.47593808499534494600e-4,
                                  1.05075007164441684324e-9};
  static constexpr double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                  2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                  2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[8] = {1.0,
                                  5.99832206555887937690e-1,
                                  1.36929880922735805310e-1,
                                  1.48753612908506148525e-2,
                                  7.86869131145613259100e-4,
                                  1.84631831751005468180e-5,
                                  1.42151175831644588870e-7,
                                  2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  double r = std::sqrt(-exact_log(q < 0 ? p : 1 - p));
  if (r <= 5) {
    r -= 1.6;
    r = polynomial(c, r) / polynomial(d, r);
  } else {
    r -= 5;
    r = polynomial(e, r) / polynomial(f, r);
  }
  return q < 0 ? -r : r;
}

Tensor state(uint64_t key, uint64_t counter) {
  return Tensor::of<uint64_t>({2}, {key, counter});
}

}  // namespace

Types Dropout::infer(InferCtx& ctx) const {
  ctx.check(probability >= 0 && probability <= 1, "a probability of " + std::to_string(probability));
  check_state(ctx, 1);
  return {Type(ctx.element(0), ctx.shape(0)), Type(ElementType::u64, PartialShape{2}),
          Type(ElementType::boolean, ctx.shape(0))};
}
void Dropout::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor mask = ctx.output(2, ElementType::boolean, x.shape());
  auto* keep = static_cast<uint8_t*>(mask.raw());
  if (!training || probability == 0) {
    std::memset(keep, 1, x.size());
    ctx.set_output(0, x);
    ctx.set_output(1, ctx.input(1));
    return;
  }
  PhiloxStream words = stream_of(ctx, 1);
  const auto threshold = static_cast<uint64_t>(probability * 4294967296.0);
  const auto scale = static_cast<float>(1 / (1 - probability));
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  for (size_t i = 0; i < x.size(); ++i) {
    keep[i] = words.next() >= threshold;
    if (keep[i])
      set_element(y, i,
                  x.element_type() == ElementType::f64 ? get_element(x, i) / (1 - probability)
                                                       : static_cast<float>(get_element(x, i)) * scale);
  }
  ctx.set_output(1, advanced(ctx, 1, words));
}
void Dropout::grad(GradCtx& ctx) const {
  if (!ctx.needs(0) || !ctx.dout(0)) return;
  Builder& b = ctx.b;
  if (!training || probability == 0) return ctx.set(0, ctx.dout());
  const Value d = ctx.dout();
  const double scale = probability < 1 ? 1 / (1 - probability) : 0;
  ctx.set(0, b(Select{}, ctx.output(2), b(Multiply{}, d, b.like(d, scale)), b.like(d, 0)));
}
Samples Dropout::samples() {
  const Tensor x = random_tensor({3, 7}, 1);
  return {sample(Dropout{0.4}, {x, state(7, 0)}), sample(Dropout{0.5, false}, {x, state(7, 3)}, {x, state(7, 3)}),
          sample(Dropout{0.0}, {x, state(7, 3)}, {x, state(7, 3)}),
          sample(Dropout{1.0}, {Tensor::of<float>({5}, {1, 2, 3, 4, 5}), state(1, 10)},
                 {Tensor(ElementType::f32, {5}), state(1, 12), Tensor(ElementType::boolean, {5})})};
}
HONE_DEFINE_OP(Dropout)

Types RandomUniform::infer(InferCtx& ctx) const {
  check_state(ctx, 3);
  ctx.check(is_float(output_type) || is_integer(output_type),
            std::string("no numbers of type ") + name_of(output_type));
  return {shaped(ctx, output_type), Type(ElementType::u64, PartialShape{2})};
}
void RandomUniform::eval(EvalCtx& ctx) const {
  Tensor y = ctx.output(0, output_type, ctx.input(0).to_ints());
  PhiloxStream words = stream_of(ctx, 3);
  if (is_integer(output_type)) {
    const int64_t low = get_integer(ctx.input(1), 0), high = get_integer(ctx.input(2), 0);
    if (high <= low) ctx.fail("an empty range from " + std::to_string(low) + " to " + std::to_string(high));
    const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    for (size_t i = 0; i < y.size(); ++i) {
      const auto offset = static_cast<uint64_t>((static_cast<unsigned __int128>(words.next()) * range) >> 32);
      set_integer(y, i, static_cast<int64_t>(static_cast<uint64_t>(low) + offset));
    }
  } else {
    const double low = get_element(ctx.input(1), 0), high = get_element(ctx.input(2), 0);
    const auto low_f = static_cast<float>(low), width_f = static_cast<float>(high) - low_f;
    // 24, 11 and 8 bits are what the significands hold: rounding up to `high` cannot happen in the unit interval.
    const int drop = output_type == ElementType::f16 ? 21 : output_type == ElementType::bf16 ? 24 : 8;
    for (size_t i = 0; i < y.size(); ++i) {
      const uint32_t w = words.next();
      if (output_type == ElementType::f64) {
        const uint64_t both = (static_cast<uint64_t>(words.next()) << 32 | w) >> 11;
        y.data<double>()[i] = low + (high - low) * (static_cast<double>(both) / 9007199254740992.0);
      } else {
        set_element(y, i,
                    low_f + width_f * (static_cast<float>(w >> drop) / static_cast<float>(uint64_t{1} << (32 - drop))));
      }
    }
  }
  ctx.set_output(1, advanced(ctx, 3, words));
}
Samples RandomUniform::samples() {
  // The words of the published test vector of Philox4x32-10 for key 0 and counter 0: 6627e8d5 e169c58d bc57ac4c
  // 9b00dbd8.
  const auto u = [](uint32_t w) { return static_cast<float>(w >> 8) / 16777216.0f; };
  return {
      sample(RandomUniform{}, {int_tensor({4}), float_scalar(0), float_scalar(1), state(0, 0)},
             {Tensor::of<float>({4}, {u(0x6627e8d5u), u(0xe169c58du), u(0xbc57ac4cu), u(0x9b00dbd8u)}), state(0, 1)}),
      sample(RandomUniform{ElementType::i32}, {int_tensor({3, 3}), int_scalar(-2), int_scalar(5), state(42, 7)},
             {Datum(), state(42, 10)}),
      sample(RandomUniform{ElementType::f64}, {int_tensor({5}), float_scalar(-1), float_scalar(1), state(1, 0)},
             {Datum(), state(1, 3)}),
      sample(RandomUniform{}, {int_tensor({0, 2}), float_scalar(0), float_scalar(1), state(3, 4)},
             {Tensor(ElementType::f32, {0, 2}), state(3, 4)})};
}
HONE_DEFINE_OP(RandomUniform)

Types RandomNormal::infer(InferCtx& ctx) const {
  check_state(ctx, 3);
  ctx.check(is_float(output_type), std::string("no normal numbers of type ") + name_of(output_type));
  return {shaped(ctx, output_type), Type(ElementType::u64, PartialShape{2})};
}
void RandomNormal::eval(EvalCtx& ctx) const {
  const double mean = get_element(ctx.input(1), 0), deviation = get_element(ctx.input(2), 0);
  Tensor y = ctx.output(0, output_type, ctx.input(0).to_ints());
  PhiloxStream words = stream_of(ctx, 3);
  for (size_t i = 0; i < y.size(); ++i)
    set_element(y, i, mean + deviation * normal_quantile((words.next() + 0.5) / 4294967296.0));
  ctx.set_output(1, advanced(ctx, 3, words));
}
Samples RandomNormal::samples() {
  // scipy.stats.norm.ppf of the same words.
  return {sample(RandomNormal{}, {int_tensor({4}), float_scalar(0), float_scalar(1), state(0, 0)},
                 {Tensor::of<float>({4}, {-0.25581597f, 1.17759124f, 0.630183656f, 0.267562249f}), state(0, 1)}),
          sample(RandomNormal{ElementType::f64}, {int_tensor({2, 3}), float_scalar(1), float_scalar(0.5f), state(9, 9)},
                 {Datum(), state(9, 11)})};
}
HONE_DEFINE_OP(RandomNormal)

}  // namespace hone
