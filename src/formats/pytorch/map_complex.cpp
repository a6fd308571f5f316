// Operators on complex tensors.
#include "formats/pytorch/complex.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

Values by_parts(ComplexContext& n) {
  return n.by_parts();
}
// What is asked of the shape alone.
Values of_real_part(ComplexContext& n) {
  return n.plain([&](const std::string& name) {
    Argument a;
    a.kind = Argument::Kind::tensor;
    a.text = name;
    return n.pair(a).re;
  });
}

Value sum(NodeContext& n, Value a, Value b) {
  return !a ? b : !b ? a : n(Add{}, a, b);
}
Value difference(NodeContext& n, Value a, Value b) {
  return !b ? a : !a ? n(Negative{}, b) : n(Subtract{}, a, b);
}
Value times(NodeContext& n, Value a, Value b) {
  return !a || !b ? Value{} : n(Multiply{}, a, b);
}
// (a + bi)(c + di) = (ac - bd) + (ad + bc)i
Complex product(NodeContext& n, Complex x, Complex y) {
  return {difference(n, times(n, x.re, y.re), times(n, x.im, y.im)),
          sum(n, times(n, x.re, y.im), times(n, x.im, y.re))};
}
Value squared_size(NodeContext& n, Complex x) {
  return sum(n, times(n, x.re, x.re), times(n, x.im, x.im));
}
Complex quotient(NodeContext& n, Complex x, Complex y) {
  if (!y.im) return {n(Divide{}, x.re, y.re), x.im ? n(Divide{}, x.im, y.re) : Value{}};
  const Value size = squared_size(n, y);
  const Complex z = product(n, x, {y.re, n(Negative{}, y.im)});
  return {n(Divide{}, z.re, size), n(Divide{}, z.im, size)};
}
Value size_of(NodeContext& n, Complex x) {
  return x.im ? n(Sqrt{}, squared_size(n, x)) : n(Abs{}, x.re);
}

Complex scaled_other(ComplexContext& n) {
  Complex y = n.pair("other");
  return n.has("alpha") ? product(n, y, n.pair("alpha")) : y;
}
Values add(ComplexContext& n) {
  const Complex x = n.pair("self"), y = scaled_other(n);
  return {n.joined({sum(n, x.re, y.re), sum(n, x.im, y.im)})};
}
Values subtract(ComplexContext& n) {
  const Complex x = n.pair("self"), y = scaled_other(n);
  return {n.joined({difference(n, x.re, y.re), difference(n, x.im, y.im)})};
}
Values reversed_subtract(ComplexContext& n) {
  Complex x = n.pair("self");
  const Complex y = n.pair("other");
  if (n.has("alpha")) x = product(n, x, n.pair("alpha"));
  return {n.joined({difference(n, y.re, x.re), difference(n, y.im, x.im)})};
}
Values multiply(ComplexContext& n) {
  return {n.joined(product(n, n.pair("self"), n.pair("other")))};
}
Values divide(ComplexContext& n) {
  return {n.joined(quotient(n, n.pair("self"), n.pair("other")))};
}
Values reciprocal(ComplexContext& n) {
  const Complex x = n.pair("self");
  return {n.joined(quotient(n, {n.like(x.re, 1), {}}, x))};
}
Values square(ComplexContext& n) {
  const Complex x = n.pair("self");
  return {n.joined(product(n, x, x))};
}
Complex polar_of(NodeContext& n, Value size, Value angle) {
  return {n(Multiply{}, size, n(Cos{}, angle)), n(Multiply{}, size, n(Sin{}, angle))};
}
Value angle_of(NodeContext& n, Complex x) {
  return n(Atan2{}, x.im ? x.im : n.like(x.re, 0), x.re);
}
Complex exponential(NodeContext& n, Complex x) {
  return polar_of(n, n(Exp{}, x.re), x.im ? x.im : n.like(x.re, 0));
}
Complex logarithm(NodeContext& n, Complex x) {
  return {n(Log{}, size_of(n, x)), angle_of(n, x)};
}
// x^y = exp(y log x); whole powers are products.
Values power(ComplexContext& n) {
  const Complex x = n.pair("self");
  const Argument* e = n.argument("exponent");
  double whole = 0;
  if (e && e->kind == Argument::Kind::integer) whole = static_cast<double>(e->integer);
  if (e && e->kind == Argument::Kind::real && e->real == static_cast<double>(static_cast<int64_t>(e->real)))
    whole = e->real;
  if (whole >= 1 && whole <= 64) {
    Complex y = x;
    for (int64_t k = 1; k < static_cast<int64_t>(whole); ++k) y = product(n, y, x);
    return {n.joined(y)};
  }
  const Complex y = exponential(n, product(n, logarithm(n, x), n.pair("exponent")));
  const Value zero = n(Equal{}, size_of(n, x), n.like(x.re, 0));
  return {n.joined({n(Select{}, zero, n.like(x.re, 0), y.re), n(Select{}, zero, n.like(x.re, 0), y.im)})};
}
Values exp(ComplexContext& n) {
  return {n.joined(exponential(n, n.pair("self")))};
}
Values log(ComplexContext& n) {
  return {n.joined(logarithm(n, n.pair("self")))};
}
Values square_root(ComplexContext& n) {
  const Complex x = n.pair("self");
  return {n.joined(polar_of(n, n(Sqrt{}, size_of(n, x)), n(Multiply{}, angle_of(n, x), n.like(x.re, 0.5))))};
}
// sin(a + bi) = sin a cosh b + i cos a sinh b
Values sine(ComplexContext& n) {
  const Complex x = n.both_parts("self");
  return {n.joined({n(Multiply{}, n(Sin{}, x.re), n(Cosh{}, x.im)), n(Multiply{}, n(Cos{}, x.re), n(Sinh{}, x.im))})};
}
Values cosine(ComplexContext& n) {
  const Complex x = n.both_parts("self");
  return {n.joined(
      {n(Multiply{}, n(Cos{}, x.re), n(Cosh{}, x.im)), n(Negative{}, n(Multiply{}, n(Sin{}, x.re), n(Sinh{}, x.im)))})};
}
Values sign(ComplexContext& n) {
  const Complex x = n.both_parts("self");
  const Value size = size_of(n, x), zero = n.like(x.re, 0);
  const Value by = n(Select{}, n(Equal{}, size, zero), n.like(x.re, 1), size);
  return {n.joined({n(Divide{}, x.re, by), n(Divide{}, x.im, by)})};
}

Values absolute(ComplexContext& n) {
  return {size_of(n, n.pair("self"))};
}
Values angle(ComplexContext& n) {
  return {angle_of(n, n.pair("self"))};
}
Values real(ComplexContext& n) {
  return {n.pair("self").re};
}
Values imaginary(ComplexContext& n) {
  return {n.both_parts("self").im};
}
Values conjugate(ComplexContext& n) {
  const Complex x = n.both_parts("self");
  return {n.joined({x.re, n(Negative{}, x.im)})};
}
// Between [..., 2] and complex: the same numbers.
Values same(ComplexContext& n) {
  return {n.in("self")};
}
Values complex(ComplexContext& n) {
  return {n.joined({n.in("real"), n.in("imag")})};
}
Values polar(ComplexContext& n) {
  return {n.joined(polar_of(n, n.in("abs"), n.in("angle")))};
}
Values converted(ComplexContext& n) {
  const char* name = n.has("self") ? "self" : "a";
  Complex x = n.pair(name);
  const bool complex = n.outputs().empty() || n.importer().is_complex(n.outputs()[0].text);
  const ElementType t = n.out_type(0, x.re.element_type());
  x.re = n.cast(x.re, t);
  if (!complex) return {x.re};
  if (x.im) x.im = n.cast(x.im, t);
  return {n.joined(x)};
}
// A number everywhere.
Values filled(ComplexContext& n) {
  const Value re = of_real_part(n).at(0);
  const Argument* a = n.argument("fill_value");
  if (!a || a->kind != Argument::Kind::complex) return {n.joined({re, {}})};
  return {n.joined({re, n.filled(n.shape_of(re), n.like(re, a->imaginary))})};
}
Values copied(ComplexContext& n) {
  const Complex x = n.pair("self"), src = n.pair("src");
  const Value shape = n.shape_of(x.re);
  return {n.joined({n.broadcast(src.re, shape), src.im ? n.broadcast(src.im, shape) : Value{}})};
}
Values where(ComplexContext& n) {
  const Value condition = n.cast(n.in("condition"), ElementType::boolean);
  const Complex x = n.pair("self"), y = n.pair("other");
  const auto chosen = [&](Value a, Value b) {
    const Value zero = n.like(x.re, 0);
    return n(Select{}, condition, a ? a : zero, b ? b : zero);
  };
  return {n.joined({chosen(x.re, y.re), chosen(x.im, y.im)})};
}
Values masked_fill(ComplexContext& n) {
  const Value mask = n.cast(n.in("mask"), ElementType::boolean);
  const Complex x = n.both_parts("self"), v = n.pair("value");
  return {n.joined({n(Select{}, mask, v.re, x.re), n(Select{}, mask, v.im ? v.im : n.like(x.re, 0), x.im)})};
}
template <bool equal>
Values comparison(ComplexContext& n) {
  const Complex x = n.pair("self"), y = n.pair("other");
  const auto part = [&](Value a, Value b) { return n(Equal{}, a ? a : n.like(x.re, 0), b ? b : n.like(x.re, 0)); };
  const Value same = n(LogicalAnd{}, part(x.re, y.re), part(x.im, y.im));
  return {equal ? same : n(LogicalNot{}, same)};
}
// Norms are those of the absolute values.
Values of_sizes(ComplexContext& n) {
  return n.plain([&](const std::string& name) {
    Argument a;
    a.kind = Argument::Kind::tensor;
    a.text = name;
    return size_of(n, n.pair(a));
  });
}

// Products that are linear in two operands: the row for real tensors on every pair of parts.
Values bilinear(ComplexContext& n) {
  std::vector<std::string> names;
  const auto note = [&](auto&& self, const Argument& a) -> void {
    if (a.kind == Argument::Kind::tensor) names.push_back(a.text);
    for (const Argument& e : a.list) self(self, e);
  };
  for (const NamedArgument& a : n.message().inputs) note(note, a.value);
  // A bias is added at last.
  Complex bias;
  if (names.size() == 3 && n.has("bias")) {
    bias = n.pair("bias");
    names.pop_back();
  }
  if (names.size() != 2) n.refuse("of other than two complex tensors is not offered");
  std::vector<Complex> operand;
  for (const std::string& name : names) {
    Argument a;
    a.kind = Argument::Kind::tensor;
    a.text = name;
    operand.push_back(n.pair(a));
  }
  if (n.op() == "vdot" && operand[0].im) operand[0].im = n(Negative{}, operand[0].im);
  const auto part = [&](bool first, bool second) -> Value {
    const Value a = first ? operand[0].im : operand[0].re, b = second ? operand[1].im : operand[1].re;
    if (!a || !b) return {};
    // A tensor times itself has one name: complex operands are asked for in order.
    std::vector<Value> in;
    if (operand[0].im) in.push_back(a);
    if (operand[1].im) in.push_back(b);
    size_t next = 0;
    return n.plain([&](const std::string&) { return in.at(next++); }, false, "bias").at(0);
  };
  Complex y{difference(n, part(false, false), part(true, true)), sum(n, part(false, true), part(true, false))};
  if (bias.re) {
    const auto rank = n.rank(y.re);
    // Of a convolution the axis before the spatial ones.
    const size_t behind = n.op() == "linear" ? 1 : n.rank(operand[1].re) - 1;
    const int64_t axis = static_cast<int64_t>(rank) - static_cast<int64_t>(behind);
    const auto added = [&](Value v, Value b) { return b ? sum(n, v, n.reshape(b, n.laid_along(axis, rank))) : v; };
    y = {added(y.re, bias.re), added(y.im, bias.im)};
  }
  return {n.joined(y)};
}

Values conjugate_transpose(ComplexContext& n) {
  const Complex x = n.both_parts("self");
  const auto turned = [&](Value v) {
    std::vector<int64_t> order(n.rank(v));
    for (size_t k = 0; k < order.size(); ++k) order[k] = static_cast<int64_t>(k);
    if (order.size() > 1) std::swap(order[order.size() - 1], order[order.size() - 2]);
    return n.transpose(v, order);
  };
  return {n.joined({turned(x.re), n(Negative{}, turned(x.im))})};
}
Values reciprocal_root(ComplexContext& n) {
  const Complex x = n.pair("self");
  const Value angle = n(Multiply{}, angle_of(n, x), n.like(x.re, -0.5));
  return {n.joined(polar_of(n, n(Divide{}, n.like(x.re, 1), n(Sqrt{}, size_of(n, x))), angle))};
}
// 1 / (1 + exp(-x))
Complex logistic(NodeContext& n, Complex x) {
  const Complex e = exponential(n, {n(Negative{}, x.re), n(Negative{}, x.im)});
  return quotient(n, {n.like(x.re, 1), {}}, {n(Add{}, e.re, n.like(x.re, 1)), e.im});
}
Values sigmoid(ComplexContext& n) {
  return {n.joined(logistic(n, n.both_parts("self")))};
}
// tanh x = 2 sigmoid(2 x) - 1
Values tangent(ComplexContext& n) {
  const Complex x = n.both_parts("self");
  const Value two = n.like(x.re, 2);
  const Complex y = logistic(n, {n(Multiply{}, x.re, two), n(Multiply{}, x.im, two)});
  return {n.joined({n(Subtract{}, n(Multiply{}, y.re, two), n.like(x.re, 1)), n(Multiply{}, y.im, two)})};
}
// beta self + alpha mat1 mat2
Values add_product(ComplexContext& n) {
  const Complex a = n.pair("mat1"), b = n.pair("mat2");
  const auto times_matrix = [&](Value x, Value y) { return !x || !y ? Value{} : n(MatMul{}, x, y); };
  Complex y{difference(n, times_matrix(a.re, b.re), times_matrix(a.im, b.im)),
            sum(n, times_matrix(a.re, b.im), times_matrix(a.im, b.re))};
  Complex x = n.pair("self");
  if (n.has("alpha")) y = product(n, y, n.pair("alpha"));
  if (n.has("beta")) x = product(n, x, n.pair("beta"));
  return {n.joined({sum(n, x.re, y.re), sum(n, x.im, y.im)})};
}

constexpr ComplexRow rows[] = {
    {"_assert_tensor_metadata", of_real_part},
    {"_conj", conjugate},
    {"_conj_physical", conjugate},
    {"_neg_view", by_parts},
    {"_reshape_alias", by_parts},
    {"_to_copy", converted},
    {"_unsafe_view", by_parts},
    {"abs", absolute},
    {"absolute", absolute},
    {"add", add},
    {"addmm", add_product},
    {"adjoint", conjugate_transpose},
    {"alias", by_parts},
    {"alias_copy", by_parts},
    {"angle", angle},
    {"as_strided", by_parts},
    {"as_strided_copy", by_parts},
    {"atleast_1d", by_parts},
    {"atleast_2d", by_parts},
    {"atleast_3d", by_parts},
    {"block_diag", by_parts},
    {"bmm", bilinear},
    {"broadcast_tensors", by_parts},
    {"broadcast_to", by_parts},
    {"cartesian_prod", by_parts},
    {"cat", by_parts},
    {"chunk", by_parts},
    {"clone", by_parts},
    {"column_stack", by_parts},
    {"combinations", by_parts},
    {"complex", complex},
    {"concat", by_parts},
    {"conj", conjugate},
    {"conj_physical", conjugate},
    {"constant_pad_nd", by_parts},
    {"contiguous", by_parts},
    {"conv1d", bilinear},
    {"conv2d", bilinear},
    {"conv3d", bilinear},
    {"conv_transpose1d", bilinear},
    {"conv_transpose2d", bilinear},
    {"conv_transpose3d", bilinear},
    {"convolution", bilinear},
    {"copy", copied},
    {"copy_", copied},
    {"cos", cosine},
    {"cumsum", by_parts},
    {"detach", by_parts},
    {"detach_copy", by_parts},
    {"diag", by_parts},
    {"diag_embed", by_parts},
    {"diagflat", by_parts},
    {"diagonal", by_parts},
    {"diagonal_copy", by_parts},
    {"diagonal_scatter", by_parts},
    {"diff", by_parts},
    {"div", divide},
    {"divide", divide},
    {"dot", bilinear},
    {"dsplit", by_parts},
    {"dstack", by_parts},
    {"einsum", bilinear},
    {"empty", filled},
    {"empty_like", filled},
    {"eq", comparison<true>},
    {"exp", exp},
    {"expand", by_parts},
    {"expand_as", by_parts},
    {"expand_copy", by_parts},
    {"fft_fftshift", by_parts},
    {"fft_ifftshift", by_parts},
    {"flatten", by_parts},
    {"flip", by_parts},
    {"fliplr", by_parts},
    {"flipud", by_parts},
    {"full", filled},
    {"full_like", filled},
    {"gather", by_parts},
    {"ger", bilinear},
    {"hsplit", by_parts},
    {"hstack", by_parts},
    {"imag", imaginary},
    {"index", by_parts},
    {"index_add", by_parts},
    {"index_copy", by_parts},
    {"index_fill", by_parts},
    {"index_put", by_parts},
    {"index_select", by_parts},
    {"inner", bilinear},
    {"lift", by_parts},
    {"lift_fresh", by_parts},
    {"lift_fresh_copy", by_parts},
    {"linalg_matmul", bilinear},
    {"linalg_norm", of_sizes},
    {"linalg_vector_norm", of_sizes},
    {"linear", bilinear},
    {"log", log},
    {"mH", conjugate_transpose},
    {"mT", by_parts},
    {"masked_fill", masked_fill},
    {"masked_scatter", by_parts},
    {"masked_select", by_parts},
    {"matmul", bilinear},
    {"matrix_H", conjugate_transpose},
    {"mean", by_parts},
    {"meshgrid", by_parts},
    {"mm", bilinear},
    {"movedim", by_parts},
    {"mul", multiply},
    {"multiply", multiply},
    {"mv", bilinear},
    {"narrow", by_parts},
    {"narrow_copy", by_parts},
    {"ne", comparison<false>},
    {"neg", by_parts},
    {"negative", by_parts},
    {"new_zeros", filled},
    {"norm", of_sizes},
    {"numpy_T", by_parts},
    {"ones", filled},
    {"ones_like", filled},
    {"outer", bilinear},
    {"pad", by_parts},
    {"pad_sequence", by_parts},
    {"permute", by_parts},
    {"permute_copy", by_parts},
    {"polar", polar},
    {"positive", by_parts},
    {"pow", power},
    {"real", real},
    {"reciprocal", reciprocal},
    {"reflection_pad1d", by_parts},
    {"reflection_pad2d", by_parts},
    {"repeat", by_parts},
    {"repeat_interleave", by_parts},
    {"reshape", by_parts},
    {"reshape_as", by_parts},
    {"resolve_conj", by_parts},
    {"resolve_neg", by_parts},
    {"roll", by_parts},
    {"rot90", by_parts},
    {"row_stack", by_parts},
    {"rsqrt", reciprocal_root},
    {"rsub", reversed_subtract},
    {"scatter", by_parts},
    {"scatter_add", by_parts},
    {"select", by_parts},
    {"select_copy", by_parts},
    {"select_scatter", by_parts},
    {"sgn", sign},
    {"sigmoid", sigmoid},
    {"sin", sine},
    {"slice", by_parts},
    {"slice_copy", by_parts},
    {"slice_scatter", by_parts},
    {"split", by_parts},
    {"split_copy", by_parts},
    {"split_with_sizes", by_parts},
    {"split_with_sizes_copy", by_parts},
    {"sqrt", square_root},
    {"square", square},
    {"squeeze", by_parts},
    {"squeeze_copy", by_parts},
    {"stack", by_parts},
    {"sub", subtract},
    {"subtract", subtract},
    {"sum", by_parts},
    {"sum_to_size", by_parts},
    {"swapaxes", by_parts},
    {"swapdims", by_parts},
    {"sym_numel", of_real_part},
    {"sym_size", of_real_part},
    {"sym_storage_offset", of_real_part},
    {"sym_stride", of_real_part},
    {"t", by_parts},
    {"t_copy", by_parts},
    {"take", by_parts},
    {"take_along_dim", by_parts},
    {"tanh", tangent},
    {"tensor_split", by_parts},
    {"tensordot", bilinear},
    {"tile", by_parts},
    {"to", converted},
    {"trace", by_parts},
    {"transpose", by_parts},
    {"transpose_copy", by_parts},
    {"tril", by_parts},
    {"triu", by_parts},
    {"true_divide", divide},
    {"type_as", converted},
    {"unbind", by_parts},
    {"unbind_copy", by_parts},
    {"unflatten", by_parts},
    {"unfold", by_parts},
    {"unsafe_chunk", by_parts},
    {"unsafe_split", by_parts},
    {"unsqueeze", by_parts},
    {"unsqueeze_copy", by_parts},
    {"vdot", bilinear},
    {"view", by_parts},
    {"view_as", by_parts},
    {"view_as_complex", same},
    {"view_as_complex_copy", same},
    {"view_as_real", same},
    {"view_as_real_copy", same},
    {"view_copy", by_parts},
    {"vsplit", by_parts},
    {"vstack", by_parts},
    {"where", where},
    {"zero", filled},
    {"zeros", filled},
    {"zeros_like", filled},
};

}  // namespace

std::span<const ComplexRow> complex_rows() {
  return rows;
}

}  // namespace hone::pytorch
