// Special functions, by series in f64: what f32 shows of them is exact.
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

// Arithmetic on f64 values with numbers, so that formulas read as such.
struct Wide {
  NodeContext* n;
  Value v;
};
Wide number(const Wide& like, double x) {
  return {like.n, like.n->scalar_of(ElementType::f64, x)};
}
template <class Op>
Wide both(const Wide& a, const Wide& b) {
  return {a.n, (*a.n)(Op{}, a.v, b.v)};
}
template <class Op>
Wide of(const Wide& a) {
  return {a.n, (*a.n)(Op{}, a.v)};
}
Wide operator+(const Wide& a, const Wide& b) {
  return both<Add>(a, b);
}
Wide operator-(const Wide& a, const Wide& b) {
  return both<Subtract>(a, b);
}
Wide operator*(const Wide& a, const Wide& b) {
  return both<Multiply>(a, b);
}
Wide operator/(const Wide& a, const Wide& b) {
  return both<Divide>(a, b);
}
Wide operator+(const Wide& a, double b) {
  return a + number(a, b);
}
Wide operator-(const Wide& a, double b) {
  return a - number(a, b);
}
Wide operator*(const Wide& a, double b) {
  return a * number(a, b);
}
Wide operator/(const Wide& a, double b) {
  return a / number(a, b);
}
Wide over(double a, const Wide& b) {
  return number(b, a) / b;
}
Wide minus(const Wide& a) {
  return of<Negative>(a);
}
Wide chosen(const Wide& condition, const Wide& yes, const Wide& no) {
  return {yes.n, (*yes.n)(Select{}, condition.v, yes.v, no.v)};
}
Wide below(const Wide& a, double b) {
  return both<Less>(a, number(a, b));
}
Wide is(const Wide& a, double b) {
  return both<Equal>(a, number(a, b));
}

template <class F>
Values in_f64(NodeContext& n, F&& f) {
  const Value x = n.in(n.has("self") ? "self" : "x");
  const ElementType t = is_float(x.element_type()) ? x.element_type() : n.out_type(0, ElementType::f32);
  return {n.cast(f(Wide{&n, n.cast(x, ElementType::f64)}).v, t)};
}

// Of x >= 0.5, by Lanczos (g = 7, 9 terms).
Wide log_gamma_right(const Wide& x) {
  static constexpr std::array<double, 8> c{676.5203681218851,     -1259.1392167224028,  771.32342877765313,
                                           -176.61502916214059,   12.507343278686905,   -0.13857109526572012,
                                           9.9843695780195716e-6, 1.5056327351493116e-7};
  const Wide z = x - 1;
  Wide sum = number(x, 0.99999999999980993);
  for (size_t k = 0; k < c.size(); ++k) sum = sum + over(c[k], z + static_cast<double>(k + 1));
  const Wide t = z + 7.5;
  return (z + 0.5) * of<Log>(t) - t + of<Log>(sum) + 0.5 * std::log(2 * std::numbers::pi);
}
// sin(pi x) of the distance to the whole number below, so that whole numbers give 0.
Wide sine_of_pi(const Wide& x) {
  return of<Sin>((x - of<Floor>(x)) * std::numbers::pi);
}
Wide log_gamma(const Wide& x) {
  const Wide left = below(x, 0.5);
  const Wide y = log_gamma_right(chosen(left, minus(x) + 1, x));
  return chosen(left, of<Log>(number(x, std::numbers::pi) / of<Abs>(sine_of_pi(x))) - y, y);
}
Values lgamma(NodeContext& n) {
  return in_f64(n, log_gamma);
}
Values multi_log_gamma(NodeContext& n) {
  const int64_t p = n.i("p");
  if (p < 1 || p > 64) n.refuse("with that p is not offered");
  return in_f64(n, [&](const Wide& x) {
    Wide y = log_gamma(x) + 0.25 * static_cast<double>(p * (p - 1)) * std::log(std::numbers::pi);
    for (int64_t k = 1; k < p; ++k) y = y + log_gamma(x - 0.5 * static_cast<double>(k));
    return y;
  });
}
// Shifted to x + 8, where the asymptotic series holds 1e-13; psi(1 - x) - pi / tan(pi x) on the left.
Wide digamma_of(const Wide& x) {
  const Wide left = below(x, 0);
  Wide z = chosen(left, minus(x) + 1, x);
  Wide low = number(x, 0);
  for (int k = 0; k < 8; ++k) low = low + over(1, z + k);
  z = z + 8;
  const Wide r = over(1, z * z);
  Wide tail = number(x, 1.0 / 240) - r / 132;
  tail = r * (number(x, 1.0 / 12) - r * (number(x, 1.0 / 120) - r * (number(x, 1.0 / 252) - r * tail)));
  const Wide y = of<Log>(z) - over(0.5, z) - tail - low;
  const Wide turn = (x - of<Floor>(x)) * std::numbers::pi;
  const Wide reflected = y - number(x, std::numbers::pi) / of<Tan>(turn);
  const Wide whole = both<Equal>(x, of<Floor>(x));
  const Wide pole = chosen(is(x, 0), number(x, -std::numeric_limits<double>::infinity()),
                           number(x, std::numeric_limits<double>::quiet_NaN()));
  return chosen(Wide{x.n, (*x.n)(LogicalAnd{}, whole.v, below(x, 0.5).v)}, pole, chosen(left, reflected, y));
}
Values digamma(NodeContext& n) {
  return in_f64(n, digamma_of);
}

// A closed first guess (Winitzki), then Newton's steps on erf.
Wide inverse_erf(const Wide& y) {
  const Wide l = of<Log>(minus(y * y) + 1), a = l * 0.5 + 2 / (std::numbers::pi * 0.147);
  const Wide root = of<Sqrt>(of<Sqrt>(a * a - l / 0.147) - a);
  Wide x = chosen(below(y, 0), minus(root), root);
  for (int k = 0; k < 4; ++k) x = x - (of<Erf>(x) - y) * of<Exp>(x * x) * (std::sqrt(std::numbers::pi) / 2);
  const double infinity = std::numeric_limits<double>::infinity();
  return chosen(is(y, 1), number(y, infinity), chosen(is(y, -1), number(y, -infinity), x));
}
Values erf_inverse(NodeContext& n) {
  return in_f64(n, inverse_erf);
}
Values normal_quantile(NodeContext& n) {
  return in_f64(n, [](const Wide& x) { return inverse_erf(x * 2 - 1) * std::numbers::sqrt2; });
}
Wide normal_distribution(const Wide& x) {
  return (of<Erf>(x / std::numbers::sqrt2) + 1) * 0.5;
}
Values ndtr(NodeContext& n) {
  return in_f64(n, normal_distribution);
}
// Below -5 the tail's asymptotic series, where 1 + erf has no digits left.
Values log_ndtr(NodeContext& n) {
  return in_f64(n, [](const Wide& x) {
    const Wide left = below(x, -5), z = chosen(left, x, number(x, -5)), r = over(1, z * z);
    Wide series = number(x, 1);
    for (int k = 8; k >= 1; --k) series = minus(r * series) * (2 * k - 1) + 1;
    const Wide tail = z * z * -0.5 - of<Log>(minus(z)) - 0.5 * std::log(2 * std::numbers::pi) + of<Log>(series);
    return chosen(left, tail, of<Log>(normal_distribution(chosen(left, number(x, 0), x))));
  });
}

// exp(-|x|) I_k(x): the power series below 15, the asymptotic one above.
template <int order>
Wide scaled_bessel(const Wide& x) {
  const Wide a = of<Abs>(x), large = both<Greater>(a, number(a, 15));
  const Wide s = chosen(large, number(a, 1), a), q = s * s * 0.25;
  Wide series = number(x, 1);
  for (int k = 45; k >= 1; --k) series = series * q / static_cast<double>(k * (k + order)) + 1;
  if (order == 1) series = series * s * 0.5;
  const Wide l = chosen(large, a, number(a, 15)), r = over(0.125, l);
  Wide tail = number(x, 1);
  for (int k = 12; k >= 1; --k) tail = minus(tail * r) * ((4.0 * order * order - (2 * k - 1) * (2 * k - 1)) / k) + 1;
  const Wide far = tail / of<Sqrt>(l * (2 * std::numbers::pi));
  const Wide y = chosen(large, far, series * of<Exp>(minus(s)));
  return order == 1 ? chosen(below(x, 0), minus(y), y) : y;
}
template <int order, bool scaled>
Values bessel(NodeContext& n) {
  return in_f64(n, [](const Wide& x) {
    const Wide y = scaled_bessel<order>(x);
    return scaled ? y : y * of<Exp>(of<Abs>(x));
  });
}
// exp(x^2) erfc(x)
Values scaled_erfc(NodeContext& n) {
  return in_f64(n, [](const Wide& x) {
    const Wide large = both<Greater>(x, number(x, 4)), s = chosen(large, number(x, 0), x),
               l = chosen(large, x, number(x, 4));
    const Wide near = of<Exp>(s * s) * (minus(of<Erf>(s)) + 1);
    // Continued fraction from the end.
    Wide f = l;
    for (int k = 40; k >= 1; --k) f = l + over(0.5 * k, f);
    return chosen(large, over(1 / std::sqrt(std::numbers::pi), f), near);
  });
}
Values entropy(NodeContext& n) {
  return in_f64(n, [](const Wide& x) {
    const Wide zero = number(x, 0), negative = below(x, 0);
    const Wide y = minus(x * of<Log>(chosen(both<Greater>(x, zero), x, number(x, 1))));
    return chosen(negative, number(x, -std::numeric_limits<double>::infinity()), y);
  });
}
Values x_log1p_y(NodeContext& n) {
  const ElementType t = n.out_type(0, n.promoted("self", "other"));
  const Wide x{&n, n.number("self", ElementType::f64)}, y{&n, n.number("other", ElementType::f64)};
  return {n.cast(chosen(is(x, 0), number(x, 0), x * of<Log>(y + 1)).v, t)};
}
Values log_add_exp2(NodeContext& n) {
  const ElementType t = n.out_type(0, n.promoted("self", "other"));
  const Value a = n.number("self", t), b = n.number("other", t), high = n(Maximum{}, a, b);
  const Wide h{&n, n.cast(high, ElementType::f64)}, x{&n, n.cast(a, ElementType::f64)},
      y{&n, n.cast(b, ElementType::f64)};
  const double ln2 = std::numbers::ln2;
  const Wide sum = of<Exp>((x - h) * ln2) + of<Exp>((y - h) * ln2);
  const Wide infinite{&n, n(IsInf{}, high)};
  return {n.cast(chosen(infinite, h, h + of<Log>(sum) / ln2).v, t)};
}

constexpr OperatorRow rows[] = {
    {"digamma", digamma},
    {"erfinv", erf_inverse},
    {"i0", bessel<0, false>},
    {"lgamma", lgamma},
    {"logaddexp2", log_add_exp2},
    {"mvlgamma", multi_log_gamma},
    {"special_digamma", digamma},
    {"special_entr", entropy},
    {"special_erfcx", scaled_erfc},
    {"special_erfinv", erf_inverse},
    {"special_gammaln", lgamma},
    {"special_i0", bessel<0, false>},
    {"special_i0e", bessel<0, true>},
    {"special_i1", bessel<1, false>},
    {"special_i1e", bessel<1, true>},
    {"special_log_ndtr", log_ndtr},
    {"special_modified_bessel_i0", bessel<0, false>},
    {"special_modified_bessel_i1", bessel<1, false>},
    {"special_multigammaln", multi_log_gamma},
    {"special_ndtr", ndtr},
    {"special_ndtri", normal_quantile},
    {"special_psi", digamma},
    {"special_xlog1py", x_log1p_y},
};

}  // namespace

std::span<const OperatorRow> special_rows() {
  return rows;
}

}  // namespace hone::pytorch
