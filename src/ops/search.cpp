#include "ops/search.hpp"

#include <algorithm>

#include "ops/elementwise.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

void check_index_type(const InferCtx& ctx, ElementType t) {
  ctx.check(t == ElementType::i64 || t == ElementType::i32,
            std::string("the output type is ") + name_of(t) + ", neither i32 nor i64");
}

// Positions of `values` in the sorted run that starts at `row(i)` for value i.
template <class Row>
void eval_search(EvalCtx& ctx, const Tensor& sorted, const Tensor& values, size_t length, bool right,
                 ElementType output, Row&& row) {
  if (sorted.element_type() != values.element_type()) ctx.fail("data differ in element type");
  Tensor y = ctx.output(0, output, values.shape());
  with_numeric_type(ctx, values.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < values.size(); ++i) {
      const T *first = sorted.data<T>() + row(i), *last = first + length, v = values.data<T>()[i];
      set_integer(y, i, (right ? std::upper_bound(first, last, v) : std::lower_bound(first, last, v)) - first);
    }
  });
}

}  // namespace

Types Bucketize::infer(InferCtx& ctx) const {
  check_index_type(ctx, output_type);
  ctx.check(ctx.shape(1).compatible(PartialShape{Dimension()}),
            "boundaries " + to_string(ctx.shape(1)) + " are not [K]");
  return {Type(output_type, ctx.shape(0))};
}
void Bucketize::eval(EvalCtx& ctx) const {
  Tensor boundaries = ctx.input(1), data = ctx.input(0);
  if (boundaries.rank() != 1) ctx.fail("boundaries " + to_string(boundaries.shape()) + " are not [K]");
  if (boundaries.element_type() != data.element_type()) {
    boundaries = boundaries.converted(ElementType::f64);
    data = data.converted(ElementType::f64);
  }
  eval_search(ctx, boundaries, data, boundaries.size(), !with_right_bound, output_type,
              [](size_t) { return size_t{0}; });
}
Samples Bucketize::samples() {
  const Tensor x = Tensor::of<float>({5}, {0, 1, 2, 3, 6}), boundaries = Tensor::of<float>({3}, {1, 3, 5});
  // Expected values from OpenVINO 2026.4.
  return {sample(Bucketize{}, {x, boundaries}, {Tensor::of<int64_t>({5}, {0, 0, 1, 1, 3})}),
          sample(Bucketize{ElementType::i32, false}, {x, boundaries}, {Tensor::of<int32_t>({5}, {0, 1, 1, 2, 3})}),
          sample(Bucketize{}, {Tensor::of<int32_t>({2, 1}, {1, 4}), Tensor::of<float>({1}, {2.5f})},
                 {Tensor::of<int64_t>({2, 1}, {0, 1})})};
}
HONE_DEFINE_OP(Bucketize)

Types SearchSorted::infer(InferCtx& ctx) const {
  check_index_type(ctx, output_type);
  const PartialShape &sorted = ctx.shape(0), &values = ctx.shape(1);
  ctx.check(!sorted.rank_known() || sorted.rank() >= 1, "the sorted data are a scalar");
  if (sorted.rank_known() && values.rank_known() && sorted.rank() != 1) {
    bool fits = sorted.rank() == values.rank();
    for (size_t k = 0; fits && k + 1 < sorted.rank(); ++k) fits = sorted[k].compatible(values[k]);
    ctx.check(fits, "sorted data " + to_string(sorted) + " and values " + to_string(values) + " do not fit");
  }
  return {Type(output_type, values)};
}
void SearchSorted::eval(EvalCtx& ctx) const {
  const Tensor &sorted = ctx.input(0), &values = ctx.input(1);
  if (sorted.rank() == 0) ctx.fail("the sorted data are a scalar");
  const auto length = static_cast<size_t>(sorted.shape().back());
  size_t run = std::max<size_t>(values.size(), 1);
  if (sorted.rank() > 1) {
    Shape a = sorted.shape(), b = values.shape();
    a.back() = 0;
    if (!b.empty()) b.back() = 0;
    if (a != b)
      ctx.fail("sorted data " + to_string(sorted.shape()) + " and values " + to_string(values.shape()) + " do not fit");
    run = std::max<size_t>(static_cast<size_t>(values.shape().back()), 1);
  }
  eval_search(ctx, sorted, values, length, right_mode, output_type, [&](size_t i) { return i / run * length; });
}
Samples SearchSorted::samples() {
  const Tensor sorted = Tensor::of<float>({2, 3}, {1, 3, 5, 2, 2, 9});
  return {sample(SearchSorted{}, {sorted, Tensor::of<float>({2, 2}, {3, 6, 2, 0})},
                 {Tensor::of<int64_t>({2, 2}, {1, 3, 0, 0})}),
          sample(SearchSorted{ElementType::i32, true}, {sorted, Tensor::of<float>({2, 2}, {3, 6, 2, 0})},
                 {Tensor::of<int32_t>({2, 2}, {2, 3, 2, 0})}),
          sample(SearchSorted{}, {int_tensor({1, 4}), Tensor::of<int64_t>({2, 2}, {0, 1, 2, 9})},
                 {Tensor::of<int64_t>({2, 2}, {0, 0, 1, 2})})};
}
HONE_DEFINE_OP(SearchSorted)

}  // namespace hone
