#include "ops/sparse_rows.hpp"

#include <algorithm>
#include <array>

#include "ops/family.hpp"

namespace hone {
namespace {

// Rows of a matrix that has none are one output each, so their number is bounded before memory is taken.
constexpr int64_t most_rows = int64_t{1} << 28;

void copy_element(const Tensor& from, size_t i, Tensor& to, size_t j) {
  if (from.element_type() == ElementType::string)
    to.strings()[j] = from.strings()[i];
  else if (is_float(from.element_type()))
    set_element(to, j, get_element(from, i));
  else
    set_integer(to, j, get_integer(from, i));
}

}  // namespace

Types SparseFillEmptyRows::infer(InferCtx& ctx) const {
  const PartialShape &values = ctx.shape(0), &places = ctx.shape(2);
  ctx.check(ctx.shape(1).compatible(PartialShape{2}), "the dense shape " + to_string(ctx.shape(1)) + " is not [2]");
  ctx.check(!values.rank_known() || values.rank() == 1, "values " + to_string(values) + " are not [K]");
  ctx.check(places.compatible(PartialShape{values.rank_known() ? values[0] : Dimension(), Dimension(2)}),
            "places " + to_string(places) + " for values " + to_string(values));
  Dimension rows;
  if (const auto shape = ctx.content(1); shape && shape->size() == 2) rows = (*shape)[0];
  const Dimension known = values.rank_known() ? values[0] : Dimension();
  const Dimension count(known.min(), (known + rows).max());
  return {Type(ctx.element(2), PartialShape{count, 2}), Type(ctx.element(0), PartialShape{count}),
          Type(ElementType::boolean, PartialShape{rows})};
}
void SparseFillEmptyRows::eval(EvalCtx& ctx) const {
  const Tensor &values = ctx.input(0), &places = ctx.input(2), &fill = ctx.input(3);
  const auto shape = ctx.input(1).to_ints();
  const auto n = static_cast<int64_t>(values.size());
  if (values.rank() != 1 || places.shape() != Shape{n, 2} || shape.size() != 2 || fill.size() != 1 ||
      fill.element_type() != values.element_type())
    ctx.fail("values " + to_string(values.shape()) + " and places " + to_string(places.shape()) + " do not fit");
  if (shape[0] < 0 || shape[0] > most_rows) ctx.fail(std::to_string(shape[0]) + " rows");
  std::vector<std::array<int64_t, 3>> order;  // row, column, place in the input or n for a filled one
  std::vector<bool> has(static_cast<size_t>(shape[0]), false);
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t row = get_integer(places, i * 2), column = get_integer(places, i * 2 + 1);
    if (row < 0 || row >= shape[0] || column < 0 || column >= shape[1])
      ctx.fail("place (" + std::to_string(row) + ", " + std::to_string(column) + ") outside of " + to_string(shape));
    has[static_cast<size_t>(row)] = true;
    order.push_back({row, column, static_cast<int64_t>(i)});
  }
  Tensor empty = ctx.output(2, ElementType::boolean, {shape[0]});
  for (int64_t r = 0; r < shape[0]; ++r) {
    set_integer(empty, static_cast<size_t>(r), !has[static_cast<size_t>(r)]);
    if (!has[static_cast<size_t>(r)]) order.push_back({r, 0, n});
  }
  std::sort(order.begin(), order.end());
  const auto count = static_cast<int64_t>(order.size());
  Tensor to = ctx.output(0, places.element_type(), {count, 2}), out = ctx.output(1, values.element_type(), {count});
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [row, column, from] = order[i];
    const bool filled = from == n;
    set_integer(to, i * 2, row);
    set_integer(to, i * 2 + 1, column);
    copy_element(filled ? fill : values, filled ? 0 : static_cast<size_t>(from), out, i);
  }
}
Samples SparseFillEmptyRows::samples() {
  const Tensor values = Tensor::of<float>({3}, {1, 2, 3}), places = Tensor::of<int64_t>({3, 2}, {3, 1, 0, 2, 3, 0});
  return {
      sample(SparseFillEmptyRows{}, {values, int_tensor({5, 4}), places, float_scalar(-1)},
             {Tensor::of<int64_t>({6, 2}, {0, 2, 1, 0, 2, 0, 3, 0, 3, 1, 4, 0}),
              Tensor::of<float>({6}, {2, -1, -1, 3, 1, -1}), Tensor::of<bool>({5}, {false, true, true, false, true})}),
      sample(SparseFillEmptyRows{},
             {Tensor::strings({1}, {"a"}), Tensor::of<int32_t>({2}, {2, 2}), Tensor::of<int32_t>({1, 2}, {1, 1}),
              Tensor::strings({}, {"-"})},
             {Tensor::of<int32_t>({2, 2}, {0, 0, 1, 1}), Tensor::strings({2}, {"-", "a"}),
              Tensor::of<bool>({2}, {true, false})})};
}
HONE_DEFINE_OP(SparseFillEmptyRows)

}  // namespace hone
