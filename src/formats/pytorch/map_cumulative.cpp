// Running results along an axis, differences, counts and histograms.
#include <algorithm>
#include <limits>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/search.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

constexpr int64_t longest = 1 << 22;

// Running results of an associative `combine(earlier, later)` on tuples, in log2(length) rounds: round k joins every
// element with the one 2^k places before it.
template <class F>
Values running(NodeContext& n, Values x, int64_t axis, F&& combine) {
  const Dimension d = x[0].shape()[static_cast<size_t>(axis)];
  if (d.min() > longest || (d.is_static() && d.get_length() > longest)) n.refuse("of that length is not offered");
  const int64_t most = std::min<int64_t>(d.max(), longest);
  const Value length = n.dim(x[0], axis), zero = n.int_constant(0), one = n.int_constant(1);
  for (int64_t step = 1; step < most; step *= 2) {
    // Of a line that is shorter than the step nothing is joined.
    const Value by = n.int_constant(step), rest = n(Maximum{}, n(Subtract{}, length, by), zero);
    Values earlier, later, head;
    for (const Value& v : x) {
      earlier.push_back(n.slice(v, axis, zero, rest, one));
      later.push_back(n.slice(v, axis, by, length, one));
      head.push_back(n.slice(v, axis, zero, by, one));
    }
    const Values joined = combine(earlier, later);
    for (size_t k = 0; k < x.size(); ++k) x[k] = n.concat({head[k], joined[k]}, axis);
  }
  return x;
}
Value integers_wide(NodeContext& n, Value x) {
  const ElementType t = is_float(x.element_type()) ? x.element_type() : ElementType::i64;
  return n.cast(x, n.type("dtype").value_or(n.out_type(0, t)));
}
Values cumulative_product(NodeContext& n) {
  const Value x = integers_wide(n, n.in("self"));
  if (n.rank(x) == 0) return {x};
  const int64_t axis = n.axis(n.i("dim"), x);
  return running(n, {x}, axis, [&](const Values& a, const Values& b) -> Values { return {n(Multiply{}, a[0], b[0])}; });
}
// The later of equal ones wins, and nothing wins against NaN.
template <class Better>
Values cumulative_extreme(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) == 0) return {x, n.int_constant(0)};
  const int64_t axis = n.axis(n.i("dim"), x);
  const bool boolean = x.element_type() == ElementType::boolean, real = is_float(x.element_type());
  const Value at = n.broadcast(n.reshape(n.range(n.dim(x, axis)), n.laid_along(axis, n.rank(x))), n.shape_of(x));
  Values y = running(
      n, {boolean ? n.cast(x, ElementType::i32) : x, at}, axis, [&](const Values& a, const Values& b) -> Values {
        Value later = n(Better{}, b[0], a[0]);
        if (real) {
          later = n(LogicalOr{}, n(LogicalAnd{}, later, n(LogicalNot{}, n(IsNaN{}, a[0]))), n(IsNaN{}, b[0]));
        }
        return {n(Select{}, later, b[0], a[0]), n(Select{}, later, b[1], a[1])};
      });
  y[0] = n.cast(y[0], x.element_type());
  return y;
}
Value log_add(NodeContext& n, Value a, Value b) {
  const Value high = n(Maximum{}, a, b), least = n.like(a, std::numeric_limits<float>::lowest());
  const Value by = n(Maximum{}, high, least);  // finite, so that -inf and -inf give -inf
  return n(Add{}, n(Log{}, n(Add{}, n(Exp{}, n(Subtract{}, a, by)), n(Exp{}, n(Subtract{}, b, by)))), by);
}
Values cumulative_log_sum(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) == 0) return {x};
  const int64_t axis = n.axis(n.i("dim"), x);
  return running(n, {x}, axis, [&](const Values& a, const Values& b) -> Values { return {log_add(n, a[0], b[0])}; });
}

Value without_first(NodeContext& n, Value x, int64_t axis) {
  return n.slice(x, axis, 1, std::numeric_limits<int64_t>::max());
}
Value without_last(NodeContext& n, Value x, int64_t axis) {
  return n.slice(x, axis, 0, -1);
}
Values difference(NodeContext& n) {
  Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", -1), x), times = n.i("n", 1);
  if (times < 0 || times > 64) n.refuse("of that order is not offered");
  if (times == 0) return {x};
  Values parts;
  if (n.has("prepend")) parts.push_back(n.in("prepend"));
  parts.push_back(x);
  if (n.has("append")) parts.push_back(n.in("append"));
  if (parts.size() > 1) x = n.concat(parts, axis);
  for (int64_t k = 0; k < times; ++k) {
    const Value a = without_first(n, x, axis), b = without_last(n, x, axis);
    x = x.element_type() == ElementType::boolean ? n(LogicalXor{}, a, b) : n(Subtract{}, a, b);
  }
  return {x};
}
// Means of neighbours times the step.
Value trapezoids(NodeContext& n, int64_t axis) {
  Value y = n.in("y");
  y = n.cast(y, n.out_type(0, y.element_type()));
  const Value sums = n(Add{}, without_first(n, y, axis), without_last(n, y, axis));
  if (!n.has("x")) return n(Multiply{}, sums, n.like(y, 0.5 * n.f("dx", 1)));
  Value x = n.cast(n.in("x"), y.element_type());
  if (n.rank(x) == 1 && n.rank(y) > 1) x = n.reshape(x, n.laid_along(axis, n.rank(y)));
  const int64_t own = axis - static_cast<int64_t>(n.rank(y) - n.rank(x));
  if (own < 0) n.refuse("with an x of that shape is not offered");
  const Value step = n(Subtract{}, without_first(n, x, own), without_last(n, x, own));
  return n(Multiply{}, n(Multiply{}, sums, step), n.like(y, 0.5));
}
Values trapezoid(NodeContext& n) {
  const int64_t axis = n.axis(n.i("dim", -1), n.in("y"));
  return {n(ReduceSum{}, trapezoids(n, axis), n.ints_constant({axis}))};
}
Values cumulative_trapezoid(NodeContext& n) {
  const int64_t axis = n.axis(n.i("dim", -1), n.in("y"));
  return {n(CumSum{}, trapezoids(n, axis), n.int_constant(axis))};
}

// How often each number occurs, or the sum of its weights.
Values count_numbers(NodeContext& n) {
  const Value x = n.cast(n.in("self"), ElementType::i64);
  const Value most = n(ReduceMax{}, n.concat({x, n.ints_constant({-1})}, 0), n.ints_constant({0}));
  const Value size = n(Maximum{}, n(Add{}, most, n.int_constant(1)), n.int_constant(n.i("minlength", 0)));
  const bool weighted = n.has("weights");
  Value w = weighted ? n.in("weights") : n.filled(n.shape_of(x), n.scalar_of(ElementType::i64, 1));
  if (weighted)
    w = n.cast(w, n.out_type(0, w.element_type() == ElementType::f32 ? ElementType::f32 : ElementType::f64));
  const Value zeros = n.filled(n.reshape(size, {1}), n.scalar_of(w.element_type(), 0));
  return {n(ScatterElementsUpdate{ScatterReduction::sum}, zeros, x, w, n.int_constant(0))};
}
// Bins of equal width between two numbers; the last one holds its upper border.
Value histogram_of(NodeContext& n, Value x, int64_t bins, Value low, Value high, Value weight) {
  const Value flat = n.reshape(x, {-1});
  const Value same = n(Equal{}, low, high), one = n.like(x, 1);
  const Value from = n(Select{}, same, n(Subtract{}, low, one), low), to = n(Select{}, same, n(Add{}, high, one), high);
  const Value count = n.like(x, static_cast<double>(bins));
  const Value place = n(Floor{}, n(Divide{}, n(Multiply{}, n(Subtract{}, flat, from), count), n(Subtract{}, to, from)));
  const Value inside = n(LogicalAnd{}, n(GreaterEqual{}, flat, from), n(LessEqual{}, flat, to));
  const Value limited = n(Minimum{}, n(Maximum{}, place, n.like(x, 0)), n.like(x, static_cast<double>(bins - 1)));
  const Value at = n.cast(n(Select{}, inside, limited, n.like(x, 0)), ElementType::i64);
  const Value each = n(Select{}, inside, weight ? n.reshape(weight, {-1}) : one, n.like(x, 0));
  const Value zeros = n.filled(n.ints_constant({bins}), n.like(x, 0));
  return n(ScatterElementsUpdate{ScatterReduction::sum}, zeros, at, each, n.int_constant(0));
}
Values histogram(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t bins = n.i("bins", 100);
  if (bins < 1 || bins > longest) n.fail("bins is out of range");
  Value low = n.like(x, n.f("min", 0)), high = n.like(x, n.f("max", 0));
  if (n.f("min", 0) == n.f("max", 0)) {
    const Value flat = n.reshape(x, {-1});
    low = n(ReduceMin{}, flat, n.ints_constant({0}));
    high = n(ReduceMax{}, flat, n.ints_constant({0}));
  }
  return {histogram_of(n, x, bins, low, high, {})};
}

// Is each element among the others?
Values is_among(NodeContext& n) {
  const char *all = n.has("elements") ? "elements" : "element",
             *some = n.has("test_elements") ? "test_elements" : "test_element";
  const ElementType t = n.promoted(all, some);
  const Value x = n.number(all, t), y = n.reshape(n.number(some, t), {-1});
  const Value hit =
      n(ReduceLogicalOr{}, n(Equal{}, n.unsqueeze(x, {-1}), y), n.ints_constant({static_cast<int64_t>(n.rank(x))}));
  return {n.flag("invert", false) ? n(LogicalNot{}, hit) : hit};
}
// Runs of equal elements: the first of each, the run of each element, lengths.
Values unique_runs(NodeContext& n) {
  if (n.has("dim") && n.rank(n.in("self")) != 1) n.refuse("along an axis is not offered");
  const Value x = n.in("self"), flat = n.reshape(x, {-1});
  const Value changed =
      n(NotEqual{}, n.slice(flat, 0, 1, std::numeric_limits<int64_t>::max()), n.slice(flat, 0, 0, -1));
  const Value first = n.slice(n.filled(n.shape_of(flat), n.b.scalar<bool>(true)), 0, 0, 1);
  const Value starts = n.concat({first, changed}, 0);
  const Value at = n.squeeze(n(NonZero{ElementType::i64}, starts), {0});
  const Value run = n(Subtract{}, n(CumSum{}, n.cast(starts, ElementType::i64), n.int_constant(0)), n.int_constant(1));
  const Value ends = n.concat({n.slice(at, 0, 1, std::numeric_limits<int64_t>::max()), n.shape_of(flat)}, 0);
  return {n.gather(flat, at, 0), n.reshape_to(run, n.shape_of(x)), n(Subtract{}, ends, at)};
}
// Rows of a tensor scaled down to a norm.
Values renormalized(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim"), x);
  const double p = n.f("p", 2), most = n.f("maxnorm", 1);
  std::vector<int64_t> others;
  for (int64_t k = 0; k < static_cast<int64_t>(n.rank(x)); ++k) {
    if (k != axis) others.push_back(k);
  }
  const Value list = n.ints_constant(others);
  Value norm;
  if (p == 2)
    norm = n(ReduceL2{true}, x, list);
  else if (p == 1)
    norm = n(ReduceL1{true}, x, list);
  else if (p == std::numeric_limits<double>::infinity())
    norm = n(ReduceMax{true}, n(Abs{}, x), list);
  else
    norm = n(Power{}, n(ReduceSum{true}, n(Power{}, n(Abs{}, x), n.like(x, p)), list), n.like(x, 1 / p));
  const Value limit = n.like(x, most), by = n(Divide{}, limit, n(Add{}, norm, n.like(x, 1e-7)));
  return {n(Multiply{}, x, n(Select{}, n(Greater{}, norm, limit), by, n.like(x, 1)))};
}
// Covariances of rows, and those over the deviations.
Value covariance_of(NodeContext& n, Value x, double correction) {
  if (n.rank(x) < 2) x = n.reshape(x, {1, -1});
  const Value d = n(Subtract{}, x, n(ReduceMean{true}, x, n.ints_constant({1})));
  const Value count = n(Subtract{}, n.cast(n.dim(x, 1), x.element_type()), n.like(x, correction));
  const Value left = n.unsqueeze(d, {1}), right = n.unsqueeze(d, {0});
  return n(Divide{}, n(ReduceSum{}, n(Multiply{}, left, right), n.ints_constant({2})),
           n(Maximum{}, count, n.like(x, 0)));
}
Values covariance(NodeContext& n) {
  if (n.has("fweights") || n.has("aweights")) n.refuse("with weights is not offered");
  const Value x = n.in("self");
  const Value y = covariance_of(n, n.cast(x, n.out_type(0, x.element_type())), n.f("correction", 1));
  return {n.rank(x) < 2 ? n.reshape(y, {}) : y};
}
Values correlation(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) < 2) return {n.scalar_of(n.out_type(0, x.element_type()), 1)};
  const Value c = covariance_of(n, n.cast(x, n.out_type(0, x.element_type())), 1);
  const Value at = n.range(n.dim(c, 0)), own = n(Equal{}, n.unsqueeze(at, {1}), n.unsqueeze(at, {0}));
  const Value diagonal = n(Sqrt{}, n(ReduceSum{}, n(Select{}, own, c, n.like(c, 0)), n.ints_constant({1})));
  const Value y = n(Divide{}, n(Divide{}, c, n.unsqueeze(diagonal, {0})), n.unsqueeze(diagonal, {1}));
  return {n(Minimum{}, n(Maximum{}, y, n.like(y, -1)), n.like(y, 1))};
}

constexpr OperatorRow rows[] = {
    {"bincount", count_numbers},
    {"corrcoef", correlation},
    {"cov", covariance},
    {"cummax", cumulative_extreme<GreaterEqual>},
    {"cummin", cumulative_extreme<LessEqual>},
    {"cumprod", cumulative_product},
    {"cumulative_trapezoid", cumulative_trapezoid},
    {"diff", difference},
    {"histc", histogram},
    {"isin", is_among},
    {"logcumsumexp", cumulative_log_sum},
    {"_logcumsumexp", cumulative_log_sum},
    {"renorm", renormalized},
    {"trapezoid", trapezoid},
    {"trapz", trapezoid},
    {"unique_consecutive", unique_runs},
};

}  // namespace

std::span<const OperatorRow> cumulative_rows() {
  return rows;
}

}  // namespace hone::pytorch
