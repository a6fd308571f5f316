// Matrices: inverses, determinants, triangular factors, powers, diagonals.
//
// Elimination and Cholesky's factorization are written out step by step, so sizes are bounded; what needs an iteration
// (eigenvalues, singular values) is not offered.
#include <cmath>
#include <limits>

#include "formats/pytorch/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/inverse.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

constexpr int64_t most_steps = 64;

Value matrix(NodeContext& n) {
  return n.in(n.has("self") ? "self" : n.has("A") ? "A" : "input");
}
int64_t known_size(NodeContext& n, Value x) {
  const size_t r = n.rank(x);
  if (r < 2) n.fail("wants matrices");
  if (x.shape()[r - 1].is_dynamic()) n.refuse("needs to know the size of its matrices");
  const int64_t size = x.shape()[r - 1].get_length();
  if (size > most_steps) n.refuse("of matrices larger than 64 x 64 is not offered");
  return size;
}
Value transposed(NodeContext& n, Value x) {
  std::vector<int64_t> order(n.rank(x));
  for (size_t k = 0; k < order.size(); ++k) order[k] = static_cast<int64_t>(k);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return n.transpose(x, order);
}
Value numbers_on(NodeContext& n, Value x, int64_t axis) {
  return n.range(n.dim(x, axis));
}
// Rows and columns of the last two axes compared.
template <class Compare>
Value where_places(NodeContext& n, Value x, Value otherwise) {
  const auto r = static_cast<int64_t>(n.rank(x));
  const Value kept = n(Compare{}, n.unsqueeze(numbers_on(n, x, r - 2), {1}), n.unsqueeze(numbers_on(n, x, r - 1), {0}));
  return n(Select{}, kept, x, otherwise);
}

Values inverse(NodeContext& n) {
  const Value x = matrix(n);
  const Value y = n(Inverse{}, x);
  if (n.op() != "linalg_inv_ex") return {y};
  const Value info = n.filled(n.dims(x, 0, static_cast<int64_t>(n.rank(x)) - 2), n.scalar_of(ElementType::i32, 0));
  return {y, info};
}
// A X = B, where B may be vectors; X A = B with `left` off.
Value solved(NodeContext& n, Value a, Value b, bool left) {
  const bool vectors =
      n.rank(b) == 1 || (n.rank(b) + 1 == n.rank(a) && a.shape().is_static() && b.shape().is_static() && [&] {
        auto lead = a.shape().to_shape();
        lead.pop_back();
        return lead == b.shape().to_shape();
      }());
  if (vectors) b = n.unsqueeze(b, {-1});
  const Value i = n(Inverse{}, a);
  const Value y = left ? n(MatMul{}, i, b) : n(MatMul{}, b, i);
  return vectors ? n.squeeze(y, {-1}) : y;
}
Value no_error(NodeContext& n, Value x) {
  return n.filled(n.dims(x, 0, static_cast<int64_t>(n.rank(x)) - 2), n.scalar_of(ElementType::i32, 0));
}
Values solve(NodeContext& n) {
  const Value a = n.in("A"), y = solved(n, a, n.in("B"), n.flag("left", true));
  if (n.op() == "linalg_solve_ex") return {y, no_error(n, a)};
  if (n.op() == "_linalg_solve_ex") return {y, Value{}, Value{}, no_error(n, a)};
  return {y};
}
Value triangle_of(NodeContext& n, Value a, bool upper, bool unit) {
  const Value zero = n.like(a, 0);
  Value t = upper ? where_places<LessEqual>(n, a, zero) : where_places<GreaterEqual>(n, a, zero);
  if (unit) t = where_places<NotEqual>(n, t, n.like(a, 1));
  return t;
}
Values solve_triangular(NodeContext& n) {
  const Value t = triangle_of(n, n.in("self"), n.flag("upper", false), n.flag("unitriangular", false));
  return {solved(n, t, n.in("B"), n.flag("left", true))};
}
Values triangular_solve(NodeContext& n) {
  Value t = triangle_of(n, n.in("A"), n.flag("upper", true), n.flag("unitriangular", false));
  if (n.flag("transpose", false)) t = transposed(n, t);
  return {n(MatMul{}, n(Inverse{}, t), n.in("self")), n.in("A")};
}

// Column by column: l = a[:, 0] / sqrt(a[0, 0]), and l l' is taken from what is left.
Value cholesky_factor(NodeContext& n, Value x) {
  const int64_t size = known_size(n, x);
  if (size == 0) return x;
  Values columns;
  Value left = x;
  for (int64_t k = 0; k < size; ++k) {
    const Value pivot = n(Sqrt{}, n.slice(n.slice(left, -2, 0, 1), -1, 0, 1));
    const Value column = n(Divide{}, n.slice(left, -1, 0, 1), pivot);
    Value whole = column;
    if (k > 0) {
      std::vector<int64_t> begin(n.rank(x), 0), end(n.rank(x), 0);
      begin[n.rank(x) - 2] = k;
      whole = n(Pad{PadMode::constant}, column, n.ints_constant(begin), n.ints_constant(end), n.like(x, 0));
    }
    columns.push_back(whole);
    if (k + 1 == size) break;
    const Value below = n.slice(column, -2, 1, size - k);
    const Value rest = n.slice(n.slice(left, -2, 1, size - k), -1, 1, size - k);
    left = n(Subtract{}, rest, n(MatMul{false, true}, below, below));
  }
  return columns.size() == 1 ? columns[0] : n.concat(columns, -1);
}
Values cholesky(NodeContext& n) {
  const Value x = matrix(n);
  Value l = cholesky_factor(n, x);
  if (n.flag("upper", false)) l = transposed(n, l);
  if (n.op() != "linalg_cholesky_ex") return {l};
  const Value info = n.filled(n.dims(x, 0, static_cast<int64_t>(n.rank(x)) - 2), n.scalar_of(ElementType::i32, 0));
  return {l, info};
}
Value product_of_factor(NodeContext& n, Value l, bool upper) {
  l = triangle_of(n, l, upper, false);
  return upper ? n(MatMul{true, false}, l, l) : n(MatMul{false, true}, l, l);
}
Values cholesky_solve(NodeContext& n) {
  const Value i = n(Inverse{}, triangle_of(n, n.in("input2"), n.flag("upper", false), false));
  const bool upper = n.flag("upper", false);
  // (L L')^-1 = L^-1' L^-1
  const Value y = upper ? n(MatMul{true, false}, i, n.in("self")) : n(MatMul{}, i, n.in("self"));
  return {upper ? n(MatMul{}, i, y) : n(MatMul{true, false}, i, y)};
}
Values cholesky_inverse(NodeContext& n) {
  return {n(Inverse{}, product_of_factor(n, n.in("self"), n.flag("upper", false)))};
}

struct Determinant {
  Value sign, log, value;
};
// Gauss' elimination with the largest pivot of each column; the matrix that is left shrinks.
Determinant determinant(NodeContext& n, Value x) {
  const int64_t size = known_size(n, x);
  const auto row_axis = static_cast<int64_t>(n.rank(x)) - 2;
  const Value one = n.like(x, 1), zero = n.like(x, 0);
  Value left = x;
  Determinant d{one, zero, one};
  for (int64_t k = 0; k < size; ++k) {
    const int64_t m = size - k;
    TopK largest;
    largest.axis = row_axis;
    largest.index_element_type = ElementType::i64;
    largest.stable = true;
    const Value at = n.all(largest, {n(Abs{}, n.slice(left, -1, 0, 1)), n.int_constant(1)})[1];  // [..., 1, 1]
    const auto shape = n.laid_along(row_axis, n.rank(x));
    const Value row_number = n.reshape(n.range(n.int_constant(m)), shape);
    const Value chosen = n.cast(n(Equal{}, row_number, at), x.element_type());
    const Value row = n(ReduceSum{true}, n(Multiply{}, left, chosen), n.ints_constant({row_axis}));
    const Value pivot = n.slice(row, -1, 0, 1);
    const Value odd = n(FloorMod{}, at, n.int_constant(2));
    const Value signed_pivot = n(Select{}, n(Equal{}, odd, n.int_constant(1)), n(Negative{}, pivot), pivot);
    const Value scalar = n.squeeze(signed_pivot, {-2, -1});
    d.value = n(Multiply{}, d.value, scalar);
    d.sign = n(Multiply{}, d.sign, n(Sign{}, scalar));
    d.log = n(Add{}, d.log, n(Log{}, n(Abs{}, scalar)));
    if (m == 1) break;
    // The other rows, in order.
    const Value place = n.reshape(n.range(n.int_constant(m - 1)), shape);
    const Value source = n(Add{}, place, n.cast(n(GreaterEqual{}, place, at), ElementType::i64));  // [..., m - 1, 1]
    const Value others =
        n(GatherElements{row_axis}, left,
          n(Broadcast{}, source, n.concat({n.dims(left, 0, row_axis), n.ints_constant({m - 1, m})}, 0)));
    const Value safe = n(Select{}, n(Equal{}, pivot, zero), one, pivot);
    const Value factor = n(Divide{}, n.slice(others, -1, 0, 1), safe);
    left = n(Subtract{}, n.slice(others, -1, 1, m), n(Multiply{}, factor, n.slice(row, -1, 1, m)));
  }
  if (size == 0) {
    const Value shape = n.dims(x, 0, row_axis);
    d = {n.filled(shape, one), n.filled(shape, zero), n.filled(shape, one)};
  }
  return d;
}
// In f64, where elimination loses nothing that f32 shows.
Determinant exact_determinant(NodeContext& n, Value x) {
  const ElementType t = x.element_type();
  const Determinant d = determinant(n, n.cast(x, ElementType::f64));
  return {n.cast(d.sign, t), n.cast(d.log, t), n.cast(d.value, t)};
}
Values det(NodeContext& n) {
  return {exact_determinant(n, matrix(n)).value};
}
Values log_det(NodeContext& n) {
  const Determinant d = exact_determinant(n, matrix(n));
  const Value nan = n.like(d.log, std::numeric_limits<double>::quiet_NaN());
  return {n(Select{}, n(Less{}, d.sign, n.like(d.sign, 0)), nan, d.log)};
}
Values sign_and_log_det(NodeContext& n) {
  const Determinant d = exact_determinant(n, matrix(n));
  return {d.sign, d.log};
}

Value identity_like(NodeContext& n, Value x) {
  return where_places<Equal>(n, n.filled(n.shape_of(x), n.like(x, 1)), n.like(x, 0));
}
Values matrix_power(NodeContext& n) {
  Value x = matrix(n);
  int64_t e = n.i("n");
  if (e < 0) {
    x = n(Inverse{}, x);
    e = -e;
  }
  if (e > 1 << 20) n.refuse("with that power is not offered");
  Value y;
  for (; e > 0; e >>= 1) {
    if (e & 1) y = y ? n(MatMul{}, y, x) : x;
    if (e > 1) x = n(MatMul{}, x, x);
  }
  return {y ? y : identity_like(n, x)};
}
Values chain(NodeContext& n) {
  Values m = n.tensors(n.has("tensors") ? "tensors" : "matrices");
  if (m.empty()) n.fail("wants tensors");
  const bool row = n.rank(m.front()) == 1, column = m.size() > 1 && n.rank(m.back()) == 1;
  if (row) m.front() = n.unsqueeze(m.front(), {0});
  if (column) m.back() = n.unsqueeze(m.back(), {1});
  Value y = m[0];
  for (size_t k = 1; k < m.size(); ++k) y = n(MatMul{}, y, m[k]);
  if (column) y = n.squeeze(y, {-1});
  return {row ? n.squeeze(y, {0}) : y};
}
Values vector_dot(NodeContext& n) {
  const Value p = n(Multiply{}, n.in("x"), n.in("y"));
  return {n(ReduceSum{}, p, n.ints_constant({n.axis(n.i("dim", -1), p)}))};
}

}  // namespace

// Norms of matrices: Frobenius, and the largest or smallest sum of a row or column.
Values matrix_norm(NodeContext& n) {
  Value x = n.in(n.has("self") ? "self" : "A");
  x = n.cast(x, n.type("dtype").value_or(n.out_type(0, x.element_type())));
  const Argument* ord = n.argument(n.has("p") ? "p" : "ord");
  auto axes = n.ints("dim", {-2, -1});
  if (n.op() == "norm" && !n.has("dim")) {
    axes.clear();
    for (size_t k = 0; k < n.rank(x); ++k) axes.push_back(static_cast<int64_t>(k));
  }
  axes = n.axes(axes, x);
  const bool keep = n.flag("keepdim", false);
  if (!ord || ord->is_none() || ord->kind == Argument::Kind::text || n.op() == "frobenius_norm") {
    if (ord && ord->kind == Argument::Kind::text && ord->text != "fro")
      n.refuse("of kind '" + ord->text + "' is not offered");
    return {n(ReduceL2{keep}, x, n.ints_constant(axes))};
  }
  const double p = n.f(n.has("p") ? "p" : "ord", 2);
  if (axes.size() != 2) n.fail("wants two axes");
  const bool rows = std::isinf(p);
  if (!rows && p != 1 && p != -1) n.refuse("of singular values is not offered");
  const Value sums = n(ReduceL1{true}, x, n.ints_constant({axes[rows ? 1 : 0]}));
  const Value list = n.ints_constant({axes[rows ? 0 : 1]});
  const Value y = p > 0 ? n(ReduceMax{true}, sums, list) : n(ReduceMin{true}, sums, list);
  return {keep ? y : n.squeeze(y, axes)};
}

namespace {

// The last axis on a diagonal `offset` of two axes.
Value on_diagonal(NodeContext& n, Value x, int64_t offset) {
  const auto r = static_cast<int64_t>(n.rank(x));
  const int64_t first_row = offset < 0 ? -offset : 0, first_column = offset > 0 ? offset : 0;
  std::vector<int64_t> begin(n.rank(x), 0), end(n.rank(x), 0);
  begin.back() = first_column;
  end.back() = first_row;
  // Every row holds the vector; one place of each is kept.
  const Value wide = n(Pad{PadMode::constant}, x, n.ints_constant(begin), n.ints_constant(end), n.like(x, 0));
  const Value size = n.dim(wide, r - 1), places = n.range(size);
  const Value kept = n(Equal{}, n.unsqueeze(n(Add{}, places, n.int_constant(offset)), {1}), n.unsqueeze(places, {0}));
  return n(Select{}, kept, n.unsqueeze(wide, {r - 1}), n.like(x, 0));
}
Values diag_embed(NodeContext& n) {
  const Value x = n.in("self");
  const auto r = static_cast<int64_t>(n.rank(x)) + 1;
  int64_t a = n.i("dim1", -2), b = n.i("dim2", -1);
  a += a < 0 ? r : 0;
  b += b < 0 ? r : 0;
  if (a < 0 || b < 0 || a >= r || b >= r || a == b) n.fail("has wrong axes");
  const Value y = on_diagonal(n, x, n.i("offset", 0));
  std::vector<int64_t> order;
  for (int64_t k = 0, next = 0; k < r; ++k) order.push_back(k == a ? r - 2 : k == b ? r - 1 : next++);
  return {n.transpose(y, order)};
}
// A vector becomes a diagonal, of a matrix the diagonal is taken.
Values diag(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t offset = n.i(n.has("offset") ? "offset" : "diagonal", 0);
  if (n.op() == "diagflat") return {on_diagonal(n, n.reshape(x, {-1}), n.i("offset", 0))};
  if (n.rank(x) == 1) return {on_diagonal(n, x, offset)};
  const Value rows = n.dim(x, 0), columns = n.dim(x, 1);
  const Value length = n(Minimum{}, n(Subtract{}, rows, n.int_constant(offset < 0 ? -offset : 0)),
                         n(Subtract{}, columns, n.int_constant(offset > 0 ? offset : 0)));
  const Value at = n.range(n(Maximum{}, length, n.int_constant(0)));
  const Value flat = n(Add{}, n(Multiply{}, n(Add{}, at, n.int_constant(offset < 0 ? -offset : 0)), columns),
                       n(Add{}, at, n.int_constant(offset > 0 ? offset : 0)));
  return {n.gather(n.reshape(x, {-1}), flat, 0)};
}
Values block_diagonal(NodeContext& n) {
  Values in = n.tensors("tensors");
  for (Value& v : in) {
    while (n.rank(v) < 2) v = n.unsqueeze(v, {0});
    v = n.cast(v, n.out_type(0, v.element_type()));
  }
  Values rows;
  for (size_t i = 0; i < in.size(); ++i) {
    Values before{n.int_constant(0)}, after{n.int_constant(0)};
    for (size_t j = 0; j < in.size(); ++j) {
      if (j != i) (j < i ? before : after).push_back(n.dim(in[j], 1));
    }
    const auto sum = [&](const Values& v) {
      Value s = v[0];
      for (size_t k = 1; k < v.size(); ++k) s = n(Add{}, s, v[k]);
      return n.concat({n.ints_constant({0}), n.reshape(s, {1})}, 0);
    };
    rows.push_back(n(Pad{PadMode::constant}, in[i], sum(before), sum(after), n.like(in[i], 0)));
  }
  return {rows.size() == 1 ? rows[0] : n.concat(rows, 0)};
}
Values fill_diagonal(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) != 2 || n.flag("wrap", false)) n.refuse("is offered for matrices without wrap");
  return {where_places<NotEqual>(n, x, n.number("fill_value", x.element_type()))};
}
Values add_outer(NodeContext& n) {
  const Value x = n.in("self");
  const ElementType t = n.out_type(0, x.element_type());
  Value y = n(Multiply{}, n.unsqueeze(n.cast(n.in("vec1"), t), {1}), n.unsqueeze(n.cast(n.in("vec2"), t), {0}));
  if (n.has("alpha")) y = n(Multiply{}, y, n.number("alpha", t));
  Value base = n.cast(x, t);
  if (n.has("beta") && n.argument("beta")->kind != Argument::Kind::symbol && n.f("beta", 1) == 0)
    return {y};  // NaN too
  if (n.has("beta")) base = n(Multiply{}, base, n.number("beta", t));
  return {n(Add{}, base, y)};
}
Values kronecker(NodeContext& n) {
  Value a = n.in("self"), b = n.in("other");
  const ElementType t = n.out_type(0, n.promoted("self", "other"));
  a = n.cast(a, t);
  b = n.cast(b, t);
  while (n.rank(a) < n.rank(b)) a = n.unsqueeze(a, {0});
  while (n.rank(b) < n.rank(a)) b = n.unsqueeze(b, {0});
  std::vector<int64_t> odd, even;
  for (size_t k = 0; k < n.rank(a); ++k) {
    odd.push_back(2 * static_cast<int64_t>(k) + 1);
    even.push_back(2 * static_cast<int64_t>(k));
  }
  const Value y = n(Multiply{}, n.unsqueeze(a, odd), n.unsqueeze(b, even));
  return {n.reshape_to(y, n(Multiply{}, n.shape_of(a), n.shape_of(b)))};
}
// Powers of a vector as columns.
Values vandermonde(NodeContext& n) {
  const Value x = n.in("x");
  const Value count = n.has("N")       ? n.size("N")
                      : n.rank(x) == 0 ? n.int_constant(1)
                                       : n.dim(x, static_cast<int64_t>(n.rank(x)) - 1);
  Value e = n.range(count);
  const bool falling = n.op() == "vander" && !n.flag("increasing", false);
  if (falling) e = n(Subtract{}, n(Subtract{}, count, n.int_constant(1)), e);
  const Value wide = n.unsqueeze(n.rank(x) == 0 ? n.unsqueeze(x, {0}) : x, {-1});
  const Value power = n.cast(e, x.element_type());
  // 0^0 = 1
  return {n(Select{}, n(Equal{}, power, n.like(power, 0)), n.like(x, 1), n(Power{}, wide, power))};
}

// Errors of a factorization show in its result.
Values checked(NodeContext&) {
  return {};
}

constexpr OperatorRow rows[] = {
    {"_linalg_check_errors", checked},
    {"_linalg_det", det},
    {"_linalg_slogdet", sign_and_log_det},
    {"_linalg_solve_ex", solve},
    {"addr", add_outer},
    {"block_diag", block_diagonal},
    {"chain_matmul", chain},
    {"cholesky", cholesky},
    {"cholesky_inverse", cholesky_inverse},
    {"cholesky_solve", cholesky_solve},
    {"det", det},
    {"diag", diag},
    {"diag_embed", diag_embed},
    {"diagflat", diag},
    {"fill_diagonal_", fill_diagonal},
    {"frobenius_norm", matrix_norm},
    {"inverse", inverse},
    {"kron", kronecker},
    {"linalg_cholesky", cholesky},
    {"linalg_cholesky_ex", cholesky},
    {"linalg_det", det},
    {"linalg_inv", inverse},
    {"linalg_inv_ex", inverse},
    {"linalg_matrix_norm", matrix_norm},
    {"linalg_matrix_power", matrix_power},
    {"linalg_multi_dot", chain},
    {"linalg_slogdet", sign_and_log_det},
    {"linalg_solve", solve},
    {"linalg_solve_ex", solve},
    {"linalg_solve_triangular", solve_triangular},
    {"linalg_vander", vandermonde},
    {"linalg_vecdot", vector_dot},
    {"logdet", log_det},
    {"matrix_power", matrix_power},
    {"slogdet", sign_and_log_det},
    {"triangular_solve", triangular_solve},
    {"vander", vandermonde},
};

}  // namespace

std::span<const OperatorRow> matrix_rows() {
  return rows;
}

}  // namespace hone::pytorch
