// Comparison, logic, bits and Select.
#include <cmath>

#include "ops/binary.hpp"
#include "ops/binary_family.hpp"

namespace hone {

std::vector<int64_t> broadcast_strides(const Shape& from, const Shape& to) {
  std::vector<int64_t> strides(to.size(), 0);
  int64_t step = 1;
  for (size_t k = from.size(); k-- > 0;) {
    if (from[k] != 1) strides[to.size() - from.size() + k] = step;
    step *= from[k];
  }
  return strides;
}

PartialShape broadcast_inputs(InferCtx& ctx, AutoBroadcast rule, const PartialShape& a, const PartialShape& b) {
  if (!a.compatible(b) && rule == AutoBroadcast::none)
    ctx.fail("shapes " + to_string(a) + " and " + to_string(b) + " differ and auto_broadcast is none");
  if (rule == AutoBroadcast::none) return PartialShape::merge(a, b);
  if (!a.rank_known() || !b.rank_known()) return PartialShape::dynamic();
  try {
    return broadcast(a, b);
  } catch (const Error&) {
    ctx.fail("shapes " + to_string(a) + " and " + to_string(b) + " cannot be broadcast");
  }
}

Types infer_binary(InferCtx& ctx, AutoBroadcast rule, ElementType result) {
  const ElementType a = ctx.element(0), b = ctx.element(1);
  ctx.check(a == b || a == ElementType::dynamic || b == ElementType::dynamic,
            std::string("element types ") + name_of(a) + " and " + name_of(b) + " differ");
  const ElementType element = result != ElementType::dynamic ? result : a == ElementType::dynamic ? b : a;
  return {Type(element, broadcast_inputs(ctx, rule, ctx.shape(0), ctx.shape(1)))};
}

Known known_content(const InferCtx& ctx, size_t input) {
  Known k;
  const ElementType e = ctx.element(input);
  if (e != ElementType::i64 && e != ElementType::i32) return k;
  k.dims = ctx.content(input);
  const Tensor t = ctx.constant(input);
  if (t && t.size() <= 1024) k.numbers = t.to_ints();
  return k;
}

Shape broadcast_operands(const EvalCtx& ctx, AutoBroadcast rule) {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  if (a.element_type() != b.element_type()) {
    ctx.fail(std::string("element types ") + name_of(a.element_type()) + " and " + name_of(b.element_type()) +
             " differ");
  }
  if (rule == AutoBroadcast::none && a.shape() != b.shape()) {
    ctx.fail("shapes " + to_string(a.shape()) + " and " + to_string(b.shape()) + " differ and auto_broadcast is none");
  }
  return broadcast(a.shape(), b.shape());
}

namespace {

// Comparisons of shape arithmetic, where every answer is certain: exporters choose between a size and a default by
// them. `truth(a, b)` takes two intervals and whether they are surely one number; nullopt: not certain.
template <class F>
void infer_truth(InferCtx& ctx, F&& truth) {
  const PartialShape &sa = ctx.shape(0), &sb = ctx.shape(1);
  if (!sa.rank_known() || !sb.rank_known() || sa.rank() > 1 || sb.rank() > 1) return;
  const Known a = known_content(ctx, 0), b = known_content(ctx, 1);
  if (!a || !b) return;
  const size_t n = std::max(a.size(), b.size());
  if ((a.size() != n && a.size() != 1) || (b.size() != n && b.size() != 1)) return;
  const auto element = [](const Known& k, size_t i) {
    if (k.size() == 1) i = 0;
    return k.numbers ? Dimension((*k.numbers)[i], (*k.numbers)[i]) : (*k.dims)[i];
  };
  std::vector<Dimension> out;
  for (size_t i = 0; i < n; ++i) {
    const Dimension u = element(a, i), v = element(b, i);
    const std::optional<bool> t = truth(u, v, u.same(v));
    if (!t) return;
    out.emplace_back(*t ? 1 : 0);
  }
  ctx.set_content(0, std::move(out));
}
using Truth = std::optional<bool>;
Truth surely_equal(const Dimension& a, const Dimension& b, bool same) {
  if (same) return true;
  return a.max() < b.min() || b.max() < a.min() ? Truth(false) : Truth();
}
Truth surely_less(const Dimension& a, const Dimension& b, bool same) {
  if (same || a.min() >= b.max()) return false;
  return a.max() < b.min() ? Truth(true) : Truth();
}
Truth negated(Truth t) {
  return t ? Truth(!*t) : t;
}

template <class F>
void eval_compare(EvalCtx& ctx, AutoBroadcast rule, F&& f) {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  Tensor y = ctx.output(0, ElementType::boolean, broadcast_operands(ctx, rule));
  bool* to = y.data<bool>();
  if (a.element_type() == ElementType::string) {
    map_broadcast(a.strings().data(), a.shape(), b.strings().data(), b.shape(), to, y.shape(), f);
    return;
  }
  with_any_type(ctx, a.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_broadcast(a.data<T>(), a.shape(), b.data<T>(), b.shape(), to, y.shape(), f);
  });
}

template <class F>
void eval_logical(EvalCtx& ctx, AutoBroadcast rule, F&& f) {
  const Tensor a = ctx.input(0).converted(ElementType::boolean), b = ctx.input(1).converted(ElementType::boolean);
  Tensor y = ctx.output(0, ElementType::boolean, broadcast_operands(ctx, rule));
  map_broadcast(a.data<bool>(), a.shape(), b.data<bool>(), b.shape(), y.data<bool>(), y.shape(), f);
}

// Booleans count as bits too.
template <class F>
void eval_bits(EvalCtx& ctx, AutoBroadcast rule, F&& f) {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  Tensor y = ctx.output(0, a.element_type(), broadcast_operands(ctx, rule));
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    map_broadcast(a.data<T>(), a.shape(), b.data<T>(), b.shape(), y.data<T>(), y.shape(), f);
  };
  if (a.element_type() == ElementType::boolean)
    run(bool{});
  else
    with_integer_type(ctx, a.element_type(), run);
}

Types infer_bits(InferCtx& ctx, AutoBroadcast rule, bool boolean) {
  const ElementType e = ctx.element(0);
  ctx.check(is_integer(e) || e == ElementType::dynamic || (boolean && e == ElementType::boolean),
            std::string("is not defined on ") + name_of(e));
  return infer_binary(ctx, rule);
}

Tensor booleans(Shape shape, std::initializer_list<bool> v) {
  return Tensor::of<bool>(std::move(shape), v);
}

template <class Op>
Samples compare_samples(std::initializer_list<bool> integers, std::initializer_list<bool> mixed) {
  const double inf = INFINITY, nan = NAN;
  // 2^53 + 1 differs from 2^53 only in exact integer arithmetic.
  return {sample(Op{},
                 {Tensor::of<int64_t>({4}, {9007199254740993, -1, 5, 7}),
                  Tensor::of<int64_t>({4}, {9007199254740992, 1, 5, 8})},
                 {booleans({4}, integers)}),
          sample(Op{}, {Tensor::of<float>({3}, {float(nan), float(inf), -0.0f}), Tensor::of<float>({}, {0.0f})},
                 {booleans({3}, mixed)}),
          sample(Op{}, {random_tensor({2, 1, 3}, 1), random_tensor({2, 1}, 2)}),
          sample(Op{}, {booleans({4}, {true, true, false, false}), booleans({4}, {true, false, true, false})})};
}

template <class Op>
Samples logical_samples(std::initializer_list<bool> expected) {
  return {sample(Op{}, {booleans({4}, {true, true, false, false}), booleans({4}, {true, false, true, false})},
                 {booleans({4}, expected)}),
          sample(Op{}, {booleans({2, 1}, {true, false}), booleans({3}, {true, false, true})})};
}

}  // namespace

// CERTAIN: the same on intervals u and v, `same` where both are surely one number.
#define HONE_COMPARE(OP, EXPR, CERTAIN)                                                          \
  Types OP::infer(InferCtx& ctx) const {                                                         \
    infer_truth(ctx, [](const Dimension& u, const Dimension& v, bool same) { return CERTAIN; }); \
    return infer_binary(ctx, auto_broadcast, ElementType::boolean);                              \
  }                                                                                              \
  void OP::eval(EvalCtx& ctx) const {                                                            \
    eval_compare(ctx, auto_broadcast, [](const auto& a, const auto& b) { return EXPR; });        \
  }                                                                                              \
  HONE_DEFINE_OP(OP)
HONE_COMPARE(Equal, a == b, surely_equal(u, v, same))
HONE_COMPARE(NotEqual, a != b, negated(surely_equal(u, v, same)))
HONE_COMPARE(Less, a < b, surely_less(u, v, same))
HONE_COMPARE(LessEqual, a <= b, negated(surely_less(v, u, same)))
HONE_COMPARE(Greater, a > b, surely_less(v, u, same))
HONE_COMPARE(GreaterEqual, a >= b, negated(surely_less(u, v, same)))
#undef HONE_COMPARE

Samples Equal::samples() {
  Samples s = compare_samples<Equal>({false, false, true, false}, {false, false, true});
  s.push_back(
      sample(Equal{}, {Tensor::strings({2}, {"a", "b"}), Tensor::strings({}, {"b"})}, {booleans({2}, {false, true})}));
  return s;
}
Samples NotEqual::samples() {
  return compare_samples<NotEqual>({true, true, false, true}, {true, true, false});
}
Samples Less::samples() {
  return compare_samples<Less>({false, true, false, true}, {false, false, false});
}
Samples LessEqual::samples() {
  return compare_samples<LessEqual>({false, true, true, true}, {false, false, true});
}
Samples Greater::samples() {
  return compare_samples<Greater>({true, false, false, false}, {false, true, false});
}
Samples GreaterEqual::samples() {
  return compare_samples<GreaterEqual>({true, false, true, false}, {false, true, true});
}

#define HONE_LOGICAL(OP, EXPR)                                              \
  Types OP::infer(InferCtx& ctx) const {                                    \
    return infer_binary(ctx, auto_broadcast, ElementType::boolean);         \
  }                                                                         \
  void OP::eval(EvalCtx& ctx) const {                                       \
    eval_logical(ctx, auto_broadcast, [](bool a, bool b) { return EXPR; }); \
  }                                                                         \
  HONE_DEFINE_OP(OP)
HONE_LOGICAL(LogicalAnd, a&& b)
HONE_LOGICAL(LogicalOr, a || b)
HONE_LOGICAL(LogicalXor, a != b)
#undef HONE_LOGICAL

Samples LogicalAnd::samples() {
  return logical_samples<LogicalAnd>({true, false, false, false});
}
Samples LogicalOr::samples() {
  return logical_samples<LogicalOr>({true, true, true, false});
}
Samples LogicalXor::samples() {
  return logical_samples<LogicalXor>({false, true, true, false});
}

#define HONE_BITS(OP, EXPR)                                                                            \
  Types OP::infer(InferCtx& ctx) const {                                                               \
    return infer_bits(ctx, auto_broadcast, true);                                                      \
  }                                                                                                    \
  void OP::eval(EvalCtx& ctx) const {                                                                  \
    eval_bits(ctx, auto_broadcast, [](auto a, auto b) { return static_cast<decltype(a)>(EXPR); });     \
  }                                                                                                    \
  Samples OP::samples() {                                                                              \
    const auto f = [](int32_t a, int32_t b) { return EXPR; };                                          \
    return {sample(OP{}, {Tensor::of<int32_t>({2}, {12, -7}), Tensor::of<int32_t>({}, {10})},          \
                   {Tensor::of<int32_t>({2}, {f(12, 10), f(-7, 10)})}),                                \
            sample(OP{}, {Tensor::of<uint8_t>({2, 1}, {200, 3}), Tensor::of<uint8_t>({2}, {255, 6})}), \
            sample(OP{}, {booleans({3}, {true, true, false}), booleans({3}, {true, false, false})})};  \
  }                                                                                                    \
  HONE_DEFINE_OP(OP)
HONE_BITS(BitwiseAnd, a& b)
HONE_BITS(BitwiseOr, a | b)
HONE_BITS(BitwiseXor, a ^ b)
#undef HONE_BITS

Types BitwiseLeftShift::infer(InferCtx& ctx) const {
  return infer_bits(ctx, auto_broadcast, false);
}
void BitwiseLeftShift::eval(EvalCtx& ctx) const {
  eval_bits(ctx, auto_broadcast, [](auto a, auto b) {
    const auto n = static_cast<uint64_t>(b);  // a negative count is a large one
    return static_cast<decltype(a)>(n < 8 * sizeof(a) ? static_cast<uint64_t>(a) << n : 0);
  });
}
Samples BitwiseLeftShift::samples() {
  return {sample(BitwiseLeftShift{}, {Tensor::of<uint8_t>({3}, {16, 4, 129}), Tensor::of<uint8_t>({3}, {1, 2, 1})},
                 {Tensor::of<uint8_t>({3}, {32, 16, 2})}),
          sample(BitwiseLeftShift{}, {Tensor::of<int32_t>({2}, {-3, 5}), Tensor::of<int32_t>({2}, {2, 32})},
                 {Tensor::of<int32_t>({2}, {-12, 0})})};
}
HONE_DEFINE_OP(BitwiseLeftShift)

Types BitwiseRightShift::infer(InferCtx& ctx) const {
  return infer_bits(ctx, auto_broadcast, false);
}
void BitwiseRightShift::eval(EvalCtx& ctx) const {
  eval_bits(ctx, auto_broadcast, [](auto a, auto b) {
    const auto n = static_cast<uint64_t>(b);
    const auto wide = static_cast<std::conditional_t<std::is_signed_v<decltype(a)>, int64_t, uint64_t>>(a);
    return static_cast<decltype(a)>(wide >> std::min<uint64_t>(n, 63));
  });
}
Samples BitwiseRightShift::samples() {
  return {sample(BitwiseRightShift{}, {Tensor::of<uint8_t>({3}, {16, 4, 129}), Tensor::of<uint8_t>({3}, {1, 2, 9})},
                 {Tensor::of<uint8_t>({3}, {8, 1, 0})}),
          sample(BitwiseRightShift{}, {Tensor::of<int32_t>({2}, {-12, 5}), Tensor::of<int32_t>({2}, {2, 1})},
                 {Tensor::of<int32_t>({2}, {-3, 2})})};
}
HONE_DEFINE_OP(BitwiseRightShift)

Types Select::infer(InferCtx& ctx) const {
  const ElementType c = ctx.element(0), a = ctx.element(1), b = ctx.element(2);
  ctx.check(c == ElementType::boolean || c == ElementType::dynamic,
            std::string("the condition is ") + name_of(c) + ", not boolean");
  ctx.check(a == b || a == ElementType::dynamic || b == ElementType::dynamic,
            std::string("element types ") + name_of(a) + " and " + name_of(b) + " differ");
  const PartialShape values = broadcast_inputs(ctx, auto_broadcast, ctx.shape(1), ctx.shape(2));
  const PartialShape shape = broadcast_inputs(ctx, auto_broadcast, values, ctx.shape(0));
  // Shape arithmetic often chooses between a number and -1 by a constant condition.
  const Tensor condition = ctx.constant(0);
  const auto then = ctx.content(1), other = ctx.content(2);
  if (condition && shape.is_static() && shape.rank() <= 1) {
    const auto n = static_cast<size_t>(shape.rank() ? shape[0].get_length() : 1);
    std::vector<Dimension> out;
    for (size_t i = 0; i < n; ++i) {
      const auto& side = get_element(condition, condition.size() == 1 ? 0 : i) != 0 ? then : other;
      if (!side || (side->size() != 1 && side->size() != n)) break;
      out.push_back((*side)[side->size() == 1 ? 0 : i]);
    }
    if (out.size() == n) ctx.set_content(0, std::move(out));
  }
  return {Type(a == ElementType::dynamic ? b : a, shape)};
}
void Select::eval(EvalCtx& ctx) const {
  const Tensor c = ctx.input(0).converted(ElementType::boolean);
  const Tensor &a = ctx.input(1), &b = ctx.input(2);
  if (a.element_type() != b.element_type())
    ctx.fail(std::string("element types ") + name_of(a.element_type()) + " and " + name_of(b.element_type()) +
             " differ");
  const Shape shape = broadcast(broadcast(a.shape(), b.shape()), c.shape());
  if (auto_broadcast == AutoBroadcast::none && (a.shape() != shape || b.shape() != shape || c.shape() != shape)) {
    ctx.fail("shapes differ and auto_broadcast is none");
  }
  const bool* condition = c.data<bool>();
  const std::vector<int64_t> strides[3] = {broadcast_strides(c.shape(), shape), broadcast_strides(a.shape(), shape),
                                           broadcast_strides(b.shape(), shape)};
  const auto length = static_cast<size_t>(shape.empty() ? 1 : shape.back());
  const auto run = [&](const auto* pa, const auto* pb, auto* py) {
    if (element_count(shape) == 0) return;
    int64_t s[3];
    for (size_t k = 0; k < 3; ++k) s[k] = shape.empty() ? 0 : strides[k].back();
    for_each_row(shape, strides, [&](size_t r, const int64_t* offset) {
      for (size_t i = 0; i < length; ++i) {
        const auto n = static_cast<int64_t>(i);
        py[r * length + i] = condition[offset[0] + n * s[0]] ? pa[offset[1] + n * s[1]] : pb[offset[2] + n * s[2]];
      }
    });
  };
  Tensor y = ctx.output(0, a.element_type(), shape);
  if (a.element_type() == ElementType::string) {
    run(a.strings().data(), b.strings().data(), y.strings().data());
  } else {
    with_any_type(ctx, a.element_type(), [&](auto zero) {
      using T = decltype(zero);
      run(a.data<T>(), b.data<T>(), y.data<T>());
    });
  }
}
void Select::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value zero = b.like(ctx.dout(), 0);
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Select{}, ctx.input(0), ctx.dout(), zero), 1));
  if (ctx.needs(2)) ctx.set(2, ctx.unbroadcast(b(Select{}, ctx.input(0), zero, ctx.dout()), 2));
}
Samples Select::samples() {
  const Tensor c = booleans({2, 1}, {true, false});
  return {sample(Select{}, {c, Tensor::of<float>({2}, {1, 2}), Tensor::of<float>({}, {9})},
                 {Tensor::of<float>({2, 2}, {1, 2, 9, 9})}),
          sample(Select{}, {booleans({}, {false}), random_tensor({2, 3}, 1), random_tensor({3}, 2)}),
          sample(Select{}, {c, int_tensor({1, 2, 3}), int_tensor({4})}),
          sample(Select{}, {c, Tensor::strings({}, {"yes"}), Tensor::strings({1}, {"no"})},
                 {Tensor::strings({2, 1}, {"yes", "no"})})};
}
HONE_DEFINE_OP(Select)

}  // namespace hone
