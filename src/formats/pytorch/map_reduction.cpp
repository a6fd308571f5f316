// Sums, means, extremes, norms, variances.
#include <cmath>
#include <limits>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

// The axes of `dim`: all where it is absent or empty.
std::vector<int64_t> reduced_axes(NodeContext& n, Value x) {
  const auto given = n.ints("dim");
  if (!given.empty()) return n.rank(x) == 0 ? std::vector<int64_t>{} : n.axes(given, x);
  std::vector<int64_t> all;
  for (size_t k = 0; k < n.rank(x); ++k) all.push_back(static_cast<int64_t>(k));
  return all;
}

template <class Op>
Value reduced(NodeContext& n, Value x) {
  const auto axes = reduced_axes(n, x);
  if (axes.empty()) return x;
  return n(Op{n.flag("keepdim", false)}, x, n.ints_constant(axes));
}

// Integers are summed in 64 bits.
template <class Op>
Values accumulate(NodeContext& n) {
  Value x = n.in("self");
  const ElementType t = is_float(x.element_type()) ? x.element_type() : ElementType::i64;
  x = n.cast(x, n.type("dtype").value_or(n.out_type(0, t)));
  return {reduced<Op>(n, x)};
}
Values mean(NodeContext& n) {
  Value x = n.in("self");
  return {reduced<ReduceMean>(n, n.cast(x, n.type("dtype").value_or(n.out_type(0, x.element_type()))))};
}
template <class Op>
Values extreme(NodeContext& n) {
  const Value x = n.in("self");
  if (x.element_type() == ElementType::boolean)
    return {n.cast(reduced<Op>(n, n.cast(x, ElementType::i32)), ElementType::boolean)};
  return {reduced<Op>(n, x)};
}
Values min_and_max(NodeContext& n) {
  return {extreme<ReduceMin>(n)[0], extreme<ReduceMax>(n)[0]};
}

Values index_of_extreme(NodeContext& n, TopKMode mode, Value* value) {
  Value x = n.in("self");
  const bool all = !n.has("dim");
  const bool keep = n.flag("keepdim", false);
  const size_t rank = n.rank(x);
  if (x.element_type() == ElementType::boolean) x = n.cast(x, ElementType::i32);
  if (all || rank == 0) x = n.reshape(x, {-1});
  TopK op;
  op.axis = all || rank == 0 ? 0 : n.axis(n.i("dim"), x);
  op.mode = mode;
  op.index_element_type = ElementType::i64;
  op.stable = true;
  const Values top = n.all(op, {x, n.int_constant(1)});
  auto shaped = [&](Value v) {
    if (all || rank == 0) return n.reshape(v, keep ? std::vector<int64_t>(rank, 1) : std::vector<int64_t>{});
    return keep ? v : n.squeeze(v, {op.axis});
  };
  if (value) *value = n.cast(shaped(top[0]), n.in("self").element_type());
  return {shaped(top[1])};
}
Values argmax(NodeContext& n) {
  return index_of_extreme(n, TopKMode::max, nullptr);
}
Values argmin(NodeContext& n) {
  return index_of_extreme(n, TopKMode::min, nullptr);
}

// max(self), max(self, other), max(self, dim)
template <class Reduce, class Binary, TopKMode mode>
Values max_or_min(NodeContext& n) {
  if (n.has("other")) {
    const ElementType t = n.out_type(0, n.promoted("self", "other"));
    return {n(Binary{}, n.number("self", t), n.number("other", t))};
  }
  if (!n.has("dim")) return extreme<Reduce>(n);
  Value value;
  const Values index = index_of_extreme(n, mode, &value);
  return {value, index[0]};
}

template <class Op>
Values logical_reduction(NodeContext& n) {
  const Value x = n.cast(n.in("self"), ElementType::boolean);
  return {reduced<Op>(n, x)};
}

// Sum of squared differences over the count minus the correction.
Value variance_of(NodeContext& n, Value x, Value* mean) {
  const auto axes = reduced_axes(n, x);
  const bool keep = n.flag("keepdim", false);
  const double correction = n.has("correction") ? n.f("correction", 1) : n.flag("unbiased", true) ? 1 : 0;
  const Value list = n.ints_constant(axes);
  const Value m = n(ReduceMean{true}, x, list), d = n(Subtract{}, x, m);
  const Value sum = n(ReduceSum{keep}, n(Multiply{}, d, d), list);
  const ElementType t = x.element_type();
  const Value count = n.cast(n(ReduceProd{false}, n.gather(n.shape_of(x), list, 0), n.ints_constant({0})), t);
  if (mean) *mean = keep || axes.empty() ? m : n.squeeze(m, axes);
  return n(Divide{}, sum, n(Maximum{}, n(Subtract{}, count, n.scalar_of(t, correction)), n.scalar_of(t, 0)));
}
Values variance(NodeContext& n) {
  return {variance_of(n, n.in("self"), nullptr)};
}
Values deviation(NodeContext& n) {
  return {n(Sqrt{}, variance_of(n, n.in("self"), nullptr))};
}
Values variance_and_mean(NodeContext& n) {
  Value mean;
  const Value v = variance_of(n, n.in("self"), &mean);
  return {v, mean};
}
Values deviation_and_mean(NodeContext& n) {
  Value mean;
  const Value v = variance_of(n, n.in("self"), &mean);
  return {n(Sqrt{}, v), mean};
}

Values log_sum_exp(NodeContext& n) {
  Value x = n.in("self");
  x = is_float(x.element_type()) ? x : n.cast(x, n.out_type(0, ElementType::f32));
  const auto axes = reduced_axes(n, x);
  if (axes.empty()) return {x};
  const Value list = n.ints_constant(axes), high = n(ReduceMax{true}, x, list);
  const Value sum = n(ReduceSum{true}, n(Exp{}, n(Subtract{}, x, high)), list);
  const Value y = n(Add{}, n(Log{}, sum), high);
  return {n.flag("keepdim", false) ? y : n.squeeze(y, axes)};
}

Values norm(NodeContext& n) {
  Value x = n.in("self");
  x = n.cast(x, n.type("dtype").value_or(n.out_type(0, x.element_type())));
  if (n.op() == "linalg_norm" && n.has("ord") && (n.ints("dim").size() == 2 || (!n.has("dim") && n.rank(x) == 2)))
    return matrix_norm(n);
  if (n.has("p") && n.argument("p")->kind == Argument::Kind::text) return matrix_norm(n);
  const double p = n.f(n.has("ord") ? "ord" : "p", 2);
  if (n.rank(x) == 0 && p != 0) return {n(Abs{}, x)};
  if (p == 2) return {reduced<ReduceL2>(n, x)};
  if (p == 1) return {reduced<ReduceL1>(n, x)};
  const Value a = n(Abs{}, x);
  if (p == std::numeric_limits<double>::infinity()) return {reduced<ReduceMax>(n, a)};
  if (p == -std::numeric_limits<double>::infinity()) return {reduced<ReduceMin>(n, a)};
  if (p == 0) return {reduced<ReduceSum>(n, n.cast(n(NotEqual{}, x, n.like(x, 0)), x.element_type()))};
  const Value sum = reduced<ReduceSum>(n, n(Power{}, a, n.like(x, p)));
  return {n(Power{}, sum, n.like(sum, 1 / p))};
}

Values cumulative_sum(NodeContext& n) {
  Value x = n.in("self");
  const ElementType t = is_float(x.element_type()) ? x.element_type() : ElementType::i64;
  x = n.cast(x, n.type("dtype").value_or(n.out_type(0, t)));
  if (n.rank(x) == 0) return {x};
  return {n(CumSum{}, x, n.int_constant(n.axis(n.i("dim"), x)))};
}
Values count_nonzero(NodeContext& n) {
  const Value x = n.in("self");
  const Value one = n.cast(n.cast(x, ElementType::boolean), ElementType::i64);
  return {reduced<ReduceSum>(n, one)};
}
// Norm of the difference of the rows: p = 2 by products, else by broadcasting.
Values distances(NodeContext& n) {
  const Value a = n.in("x1"), b = n.in("x2");
  const double p = n.f("p", 2);
  const auto ra = static_cast<int64_t>(n.rank(a)), rb = static_cast<int64_t>(n.rank(b));
  const Value d = n(Subtract{}, n.unsqueeze(a, {ra - 1}), n.unsqueeze(b, {rb - 2}));
  const Value last = n.ints_constant({std::max(ra, rb)});
  if (p == 2) return {n(ReduceL2{}, d, last)};
  if (p == 1) return {n(ReduceL1{}, d, last)};
  const Value sum = n(ReduceSum{}, n(Power{}, n(Abs{}, d), n.like(d, p)), last);
  return {n(Power{}, sum, n.like(sum, 1 / p))};
}
Values cosine_similarity(NodeContext& n) {
  Value a = n.in("x1"), b = n.in("x2");
  const bool scalar = n.rank(a) == 0 && n.rank(b) == 0;
  if (n.rank(a) == 0) a = n.unsqueeze(a, {0});
  if (n.rank(b) == 0) b = n.unsqueeze(b, {0});
  const int64_t axis = scalar ? 0 : n.axis(n.i("dim", 1), n.rank(a) >= n.rank(b) ? a : b);
  const Value list = n.ints_constant({axis}), eps = n.like(a, n.f("eps", 1e-8));
  const Value la = n(Maximum{}, n(ReduceL2{true}, a, list), eps), lb = n(Maximum{}, n(ReduceL2{true}, b, list), eps);
  return {n(ReduceSum{}, n(Multiply{}, n(Divide{}, a, la), n(Divide{}, b, lb)), list)};
}

// NaN counts for nothing.
Value without_nan(NodeContext& n, Value x) {
  return is_float(x.element_type()) ? n(Select{}, n(IsNaN{}, x), n.like(x, 0), x) : x;
}
Values nan_sum(NodeContext& n) {
  return {reduced<ReduceSum>(n, without_nan(n, n.in("self")))};
}
Values nan_mean(NodeContext& n) {
  const Value x = n.in("self");
  const Value count = reduced<ReduceSum>(n, n.cast(n(LogicalNot{}, n(IsNaN{}, x)), x.element_type()));
  return {n(Divide{}, reduced<ReduceSum>(n, without_nan(n, x)), count)};
}
Values trace(NodeContext& n) {
  const Value x = n.in("self");
  const Value rows = n.unsqueeze(n(Range{ElementType::i64}, n.int_constant(0), n.dim(x, 0), n.int_constant(1)), {1});
  const Value columns = n(Range{ElementType::i64}, n.int_constant(0), n.dim(x, 1), n.int_constant(1));
  const ElementType t = n.out_type(0, x.element_type());
  return {
      n(ReduceSum{}, n(Select{}, n(Equal{}, rows, columns), n.cast(x, t), n.scalar_of(t, 0)), n.ints_constant({0, 1}))};
}
// a x b along an axis of three.
Values cross(NodeContext& n) {
  const Value a = n.in("self"), b = n.in("other");
  const int64_t axis = n.axis(n.i("dim", -1), a);
  const auto turned = [&](Value v, int64_t by) {
    return n.gather(v, n.ints_constant({by % 3, (by + 1) % 3, (by + 2) % 3}), axis);
  };
  return {n(Subtract{}, n(Multiply{}, turned(a, 1), turned(b, 2)), n(Multiply{}, turned(a, 2), turned(b, 1)))};
}
constexpr OperatorRow rows[] = {
    {"_cdist_forward", distances},
    {"all", logical_reduction<ReduceLogicalAnd>},
    {"amax", extreme<ReduceMax>},
    {"amin", extreme<ReduceMin>},
    {"aminmax", min_and_max},
    {"any", logical_reduction<ReduceLogicalOr>},
    {"argmax", argmax},
    {"argmin", argmin},
    {"cdist", distances},
    {"cosine_similarity", cosine_similarity},
    {"count_nonzero", count_nonzero},
    {"cross", cross},
    {"cumsum", cumulative_sum},
    {"linalg_cross", cross},
    {"linalg_norm", norm},
    {"linalg_vector_norm", norm},
    {"logsumexp", log_sum_exp},
    {"max", max_or_min<ReduceMax, Maximum, TopKMode::max>},
    {"mean", mean},
    {"min", max_or_min<ReduceMin, Minimum, TopKMode::min>},
    {"nanmean", nan_mean},
    {"nansum", nan_sum},
    {"norm", norm},
    {"prod", accumulate<ReduceProd>},
    {"special_logsumexp", log_sum_exp},
    {"std", deviation},
    {"std_mean", deviation_and_mean},
    {"sum", accumulate<ReduceSum>},
    {"trace", trace},
    {"var", variance},
    {"var_mean", variance_and_mean},
};

}  // namespace

std::span<const OperatorRow> reduction_rows() {
  return rows;
}

}  // namespace hone::pytorch
