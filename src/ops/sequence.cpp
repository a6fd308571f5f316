#include "ops/sequence.hpp"

#include <algorithm>

#include "graph/common_type.hpp"
#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// The type of the elements of sequence input `i`.
Type element_type(const InferCtx& ctx, size_t i) {
  const Type& t = ctx.input(i);
  ctx.check(t.kind == Type::Kind::sequence, "wants a sequence, got " + to_string(t));
  return t.inner ? *t.inner : Type();
}

// A position in [0, limit).
size_t position(const EvalCtx& ctx, size_t input, size_t limit) {
  const int64_t at = get_integer(ctx.input(input), 0), n = static_cast<int64_t>(limit);
  if (at < -n || at >= n) ctx.fail("position " + std::to_string(at) + " in a sequence of " + std::to_string(n));
  return static_cast<size_t>(at < 0 ? at + n : at);
}

Tensor part(const Tensor& x, size_t axis, int64_t begin, int64_t length) {
  Shape shape = x.shape();
  shape[axis] = length;
  Tensor y(x.element_type(), shape);
  const auto strides = strides_of(x.shape());
  copy_strided(x, {begin * strides[axis], strides}, y, {0, strides_of(shape)}, shape);
  return y;
}

Datum sequence(std::vector<Tensor> tensors) {
  return Datum(Datum::Sequence(tensors.begin(), tensors.end()));
}

}  // namespace

Types SequenceConstruct::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_inputs() > 0, "needs an element");
  Type inner = ctx.input(0);
  for (size_t i = 1; i < ctx.num_inputs(); ++i) inner = common_type(inner, ctx.input(i));
  return {Type::sequence(inner)};
}
void SequenceConstruct::eval(EvalCtx& ctx) const {
  Datum::Sequence s;
  for (size_t i = 0; i < ctx.num_inputs(); ++i) s.push_back(ctx.datum(i));
  ctx.set_output(0, Datum(std::move(s)));
}
Samples SequenceConstruct::samples() {
  const Tensor a = random_tensor({2}, 1), b = random_tensor({3}, 2);
  return {sample(SequenceConstruct{}, {a, b}, {sequence({a, b})}),
          sample(SequenceConstruct{}, {int_tensor({1})}, {sequence({int_tensor({1})})})};
}
HONE_DEFINE_OP(SequenceConstruct)

Types SequenceEmpty::infer(InferCtx&) const {
  return {Type::sequence(Type(element_type, PartialShape::dynamic()))};
}
void SequenceEmpty::eval(EvalCtx& ctx) const {
  ctx.set_output(0, Datum(Datum::Sequence()));
}
Samples SequenceEmpty::samples() {
  return {sample(SequenceEmpty{ElementType::i64}, {}, {sequence({})})};
}
HONE_DEFINE_OP(SequenceEmpty)

Types SequenceAt::infer(InferCtx& ctx) const {
  return {element_type(ctx, 0)};
}
void SequenceAt::eval(EvalCtx& ctx) const {
  const auto& s = ctx.datum(0).sequence();
  ctx.set_output(0, s[position(ctx, 1, s.size())]);
}
Samples SequenceAt::samples() {
  const Tensor a = random_tensor({2}, 1), b = random_tensor({3}, 2);
  return {sample(SequenceAt{}, {sequence({a, b}), int_scalar(0)}, {a}),
          sample(SequenceAt{}, {sequence({a, b}), int_scalar(-1)}, {b})};
}
HONE_DEFINE_OP(SequenceAt)

Types SequenceInsert::infer(InferCtx& ctx) const {
  return {Type::sequence(common_type(element_type(ctx, 0), ctx.input(1)))};
}
void SequenceInsert::eval(EvalCtx& ctx) const {
  Datum::Sequence s = ctx.datum(0).sequence();
  size_t at = s.size();
  if (ctx.has(2)) {
    // The end is a position too; negative ones count from it.
    const int64_t p = get_integer(ctx.input(2), 0), n = static_cast<int64_t>(s.size());
    if (p < -n || p > n) ctx.fail("position " + std::to_string(p) + " in a sequence of " + std::to_string(n));
    at = static_cast<size_t>(p < 0 ? p + n : p);
  }
  s.insert(s.begin() + static_cast<std::ptrdiff_t>(at), ctx.datum(1));
  ctx.set_output(0, Datum(std::move(s)));
}
Samples SequenceInsert::samples() {
  const Tensor a = random_tensor({2}, 1), b = random_tensor({3}, 2), c = random_tensor({1}, 3);
  return {sample(SequenceInsert{}, {sequence({a, b}), c}, {sequence({a, b, c})}),
          sample(SequenceInsert{}, {sequence({a, b}), c, int_scalar(-2)}, {sequence({c, a, b})}),
          sample(SequenceInsert{}, {sequence({a, b}), c, int_scalar(1)}, {sequence({a, c, b})})};
}
HONE_DEFINE_OP(SequenceInsert)

Types SequenceErase::infer(InferCtx& ctx) const {
  return {Type::sequence(element_type(ctx, 0))};
}
void SequenceErase::eval(EvalCtx& ctx) const {
  Datum::Sequence s = ctx.datum(0).sequence();
  if (s.empty()) ctx.fail("the sequence is empty");
  const size_t at = ctx.has(1) ? position(ctx, 1, s.size()) : s.size() - 1;
  s.erase(s.begin() + static_cast<std::ptrdiff_t>(at));
  ctx.set_output(0, Datum(std::move(s)));
}
Samples SequenceErase::samples() {
  const Tensor a = random_tensor({2}, 1), b = random_tensor({3}, 2);
  return {sample(SequenceErase{}, {sequence({a, b})}, {sequence({a})}),
          sample(SequenceErase{}, {sequence({a, b}), int_scalar(-2)}, {sequence({b})})};
}
HONE_DEFINE_OP(SequenceErase)

Types SequenceLength::infer(InferCtx& ctx) const {
  element_type(ctx, 0);
  return {Type(ElementType::i64, PartialShape(Shape{}))};
}
void SequenceLength::eval(EvalCtx& ctx) const {
  ctx.set_output(0, int_scalar(static_cast<int64_t>(ctx.datum(0).sequence().size())));
}
Samples SequenceLength::samples() {
  return {sample(SequenceLength{}, {sequence({random_tensor({2}, 1), random_tensor({3}, 2)})}, {int_scalar(2)})};
}
HONE_DEFINE_OP(SequenceLength)

Types SplitToSequence::infer(InferCtx& ctx) const {
  Type inner(ctx.element(0), ctx.shape(0));
  if (!inner.shape.rank_known()) return {Type::sequence(inner)};
  std::vector<Dimension> dims = inner.shape.dims();
  const size_t a = axis_of(ctx, axis, dims.size());
  if (ctx.has(1)) {
    dims[a] = Dimension();
  } else if (keep_dims) {
    dims[a] = 1;
  } else {
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(a));
  }
  inner.shape = PartialShape(dims);
  return {Type::sequence(inner)};
}
void SplitToSequence::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const size_t a = axis_of(ctx, axis, x.rank());
  const int64_t n = x.shape()[a];
  std::vector<int64_t> lengths;
  if (ctx.has(1) && ctx.input(1).rank() == 1) {
    lengths = ctx.input(1).to_ints();
  } else {
    const int64_t each = ctx.has(1) ? get_integer(ctx.input(1), 0) : 1;
    if (each < 1) ctx.fail("chunks of " + std::to_string(each));
    for (int64_t at = 0; at < n; at += each) lengths.push_back(std::min(each, n - at));
  }
  Datum::Sequence parts;
  int64_t at = 0;
  for (int64_t length : lengths) {
    if (length < 0 || length > n - at) ctx.fail("lengths exceed the axis of " + std::to_string(n));
    Tensor p = part(x, a, at, length);
    if (!ctx.has(1) && !keep_dims) {
      Shape shape = p.shape();
      shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(a));
      p = p.reshaped(shape);
    }
    parts.emplace_back(std::move(p));
    at += length;
  }
  if (at != n) ctx.fail("lengths of " + std::to_string(at) + " in all for an axis of " + std::to_string(n));
  ctx.set_output(0, Datum(std::move(parts)));
}
Samples SplitToSequence::samples() {
  const Tensor x = Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  const auto f = [](Shape s, std::initializer_list<float> v) { return Tensor::of<float>(std::move(s), v); };
  return {sample(SplitToSequence{}, {x, int_scalar(2)}, {sequence({f({2, 2}, {1, 2, 3, 4}), f({1, 2}, {5, 6})})}),
          sample(SplitToSequence{1}, {x}, {sequence({f({3, 1}, {1, 3, 5}), f({3, 1}, {2, 4, 6})})}),
          sample(SplitToSequence{-1, false}, {x}, {sequence({f({3}, {1, 3, 5}), f({3}, {2, 4, 6})})}),
          sample(SplitToSequence{0}, {x, int_tensor({0, 1, 2})},
                 {sequence({Tensor(ElementType::f32, {0, 2}), f({1, 2}, {1, 2}), f({2, 2}, {3, 4, 5, 6})})})};
}
HONE_DEFINE_OP(SplitToSequence)

Types ConcatFromSequence::infer(InferCtx& ctx) const {
  Type t = element_type(ctx, 0);
  ctx.check(t.is_tensor(), "joins tensors, got " + to_string(t));
  if (!t.shape.rank_known()) return {t};
  std::vector<Dimension> dims = t.shape.dims();
  const size_t a = axis_of(ctx, axis, dims.size() + (new_axis ? 1 : 0));
  if (new_axis)
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(a), Dimension());
  else
    dims[a] = Dimension();
  t.shape = PartialShape(dims);
  return {t};
}
void ConcatFromSequence::eval(EvalCtx& ctx) const {
  const auto& s = ctx.datum(0).sequence();
  if (s.empty()) ctx.fail("the sequence is empty");
  std::vector<Tensor> parts;
  const size_t a = axis_of(ctx, axis, s[0].tensor().rank() + (new_axis ? 1 : 0));
  for (const Datum& d : s) {
    Tensor t = d.tensor();
    Shape shape = t.shape();
    if (new_axis) shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(a), 1);
    parts.push_back(t.reshaped(shape));
  }
  Shape out = parts[0].shape();
  out[a] = 0;
  for (const Tensor& t : parts) {
    Shape shape = t.shape();
    const bool fits = shape.size() == out.size() && t.element_type() == parts[0].element_type();
    if (fits) {
      out[a] += shape[a];
      shape[a] = out[a];
    }
    if (!fits || shape != out)
      ctx.fail("element of " + to_string(t.shape()) + " does not fit " + to_string(parts[0].shape()));
  }
  Tensor y = ctx.output(0, parts[0].element_type(), out);
  const auto strides = strides_of(out);
  int64_t at = 0;
  for (const Tensor& t : parts) {
    copy_strided(t, {0, strides_of(t.shape())}, y, {at * strides[a], strides}, t.shape());
    at += t.shape()[a];
  }
}
Samples ConcatFromSequence::samples() {
  const Tensor a = Tensor::of<float>({2}, {1, 2}), b = Tensor::of<float>({2}, {3, 4}), c = Tensor::of<float>({1}, {5});
  return {sample(ConcatFromSequence{}, {sequence({a, c})}, {Tensor::of<float>({3}, {1, 2, 5})}),
          sample(ConcatFromSequence{-1, true}, {sequence({a, b})}, {Tensor::of<float>({2, 2}, {1, 3, 2, 4})}),
          sample(ConcatFromSequence{0, true}, {sequence({a, b})}, {Tensor::of<float>({2, 2}, {1, 2, 3, 4})})};
}
HONE_DEFINE_OP(ConcatFromSequence)

Types OptionalConstruct::infer(InferCtx& ctx) const {
  if (ctx.has(0)) return {Type::optional(ctx.input(0))};
  ctx.check(!type.empty(), "an optional without a value needs a type");
  return {Type::optional(parse_type(type))};
}
void OptionalConstruct::eval(EvalCtx& ctx) const {
  ctx.set_output(0, ctx.has(0) ? ctx.datum(0) : Datum());
}
Samples OptionalConstruct::samples() {
  const Tensor a = random_tensor({2}, 1);
  return {sample(OptionalConstruct{}, {a}, {a}), sample(OptionalConstruct{"f32[2]"}, {})};
}
HONE_DEFINE_OP(OptionalConstruct)

Types OptionalHasElement::infer(InferCtx&) const {
  return {Type(ElementType::boolean, PartialShape(Shape{}))};
}
void OptionalHasElement::eval(EvalCtx& ctx) const {
  ctx.set_output(0, Tensor::scalar<bool>(ctx.has(0)));
}
Samples OptionalHasElement::samples() {
  return {sample(OptionalHasElement{}, {random_tensor({2}, 1)}, {Tensor::scalar<bool>(true)}),
          sample(OptionalHasElement{}, {Datum()}, {Tensor::scalar<bool>(false)})};
}
HONE_DEFINE_OP(OptionalHasElement)

Types OptionalGetElement::infer(InferCtx& ctx) const {
  const Type& t = ctx.input(0);
  return {t.kind == Type::Kind::optional && t.inner ? *t.inner : t};
}
void OptionalGetElement::eval(EvalCtx& ctx) const {
  if (!ctx.has(0)) ctx.fail("the optional is none");
  ctx.set_output(0, ctx.datum(0));
}
Samples OptionalGetElement::samples() {
  const Tensor a = random_tensor({2}, 1);
  return {sample(OptionalGetElement{}, {a}, {a}), sample(OptionalGetElement{}, {sequence({a})}, {sequence({a})})};
}
HONE_DEFINE_OP(OptionalGetElement)

}  // namespace hone
