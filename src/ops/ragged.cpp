#include "ops/ragged.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "ops/family.hpp"
#include "ops/strided_copy.hpp"

namespace hone {

Types RaggedToDense::infer(InferCtx& ctx) const {
  const PartialShape &values = ctx.shape(0), &splits = ctx.shape(1);
  ctx.check(!splits.rank_known() || splits.rank() == 1, "splits " + to_string(splits) + " are not a list");
  ctx.check(!values.rank_known() || values.rank() >= 1, "values without rows");
  ctx.check(ctx.element(0) == ctx.element(2) || ctx.element(0) == ElementType::dynamic ||
                ctx.element(2) == ElementType::dynamic,
            std::string("fills ") + name_of(ctx.element(0)) + " up with " + name_of(ctx.element(2)));
  if (!values.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  std::vector<Dimension> dims(values.rank() + 1);
  if (splits.rank_known() && splits[0].is_static()) {
    ctx.check(splits[0].max() > 0, "splits of no rows");
    dims[0] = Dimension(splits[0].max() - 1);
  }
  for (size_t i = 1; i < values.rank(); ++i) dims[i + 1] = values[i];
  if (const Tensor wanted = ctx.constant(3)) {
    ctx.check(wanted.size() == dims.size(),
              "wants " + std::to_string(wanted.size()) + " dimensions of " + std::to_string(dims.size()));
    for (size_t i = 0; i < 2; ++i) {
      if (get_integer(wanted, i) >= 0) dims[i] = Dimension(get_integer(wanted, i));
    }
  } else {
    dims[0] = dims[1] = Dimension();
  }
  return {Type(ctx.element(0), PartialShape(dims))};
}
void RaggedToDense::eval(EvalCtx& ctx) const {
  const Tensor &values = ctx.input(0), &otherwise = ctx.input(2);
  const std::vector<int64_t> splits = ctx.input(1).to_ints(), wanted = ctx.input(3).to_ints();
  if (values.rank() < 1 || splits.empty() || splits.front() != 0 || splits.back() > values.shape()[0] ||
      !std::is_sorted(splits.begin(), splits.end()))
    ctx.fail("splits do not fit values " + to_string(values.shape()));
  if (wanted.size() != values.rank() + 1)
    ctx.fail("wants " + std::to_string(wanted.size()) + " dimensions of " + std::to_string(values.rank() + 1));
  const int64_t rows = wanted[0] < 0 ? std::ssize(splits) - 1 : wanted[0];
  int64_t columns = wanted[1];
  for (size_t r = 0; wanted[1] < 0 && r + 1 < splits.size(); ++r)
    columns = std::max(columns, splits[r + 1] - splits[r]);
  columns = std::max<int64_t>(columns, 0);
  Shape one(values.shape().begin() + 1, values.shape().end()), shape{rows, columns};
  for (size_t i = 0; i < one.size(); ++i) {
    if (wanted[i + 2] >= 0 && wanted[i + 2] != one[i])
      ctx.fail("wants " + to_string(wanted) + " of values " + to_string(values.shape()));
  }
  shape.insert(shape.end(), one.begin(), one.end());
  if (broadcast(otherwise.shape(), one) != one)
    ctx.fail("fills up with " + to_string(otherwise.shape()) + " where a value is " + to_string(one));
  Tensor y = ctx.output(0, values.element_type(), shape);
  Walk from{0, std::vector<int64_t>(shape.size(), 0)};
  const auto own = strides_of(otherwise.shape());
  for (size_t k = 0; k < otherwise.rank(); ++k) {
    if (otherwise.shape()[k] != 1) from.strides[shape.size() - otherwise.rank() + k] = own[k];
  }
  copy_strided(otherwise, from, y, {0, strides_of(shape)}, shape);
  const auto size = element_count(one);
  for (int64_t r = 0; r < std::min<int64_t>(rows, std::ssize(splits) - 1); ++r) {
    const int64_t begin = splits[static_cast<size_t>(r)], n = splits[static_cast<size_t>(r) + 1] - begin;
    copy_elements(values, begin * size, y, r * columns * size, std::min(n, columns) * size);
  }
}
Samples RaggedToDense::samples() {
  const Tensor words = Tensor::strings({4}, {"a", "b", "c", "d"}), splits = int_tensor({0, 3, 3, 4});
  const Tensor none = Tensor::strings({}, {"-"}), pairs = Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  return {sample(RaggedToDense{}, {words, splits, none, int_tensor({-1, -1})},
                 {Tensor::strings({3, 3}, {"a", "b", "c", "-", "-", "-", "d", "-", "-"})}),
          sample(RaggedToDense{}, {words, splits, none, int_tensor({4, 2})},
                 {Tensor::strings({4, 2}, {"a", "b", "-", "-", "d", "-", "-", "-"})}),
          sample(RaggedToDense{},
                 {pairs, Tensor::of<int32_t>({3}, {0, 1, 3}), Tensor::of<float>({2}, {8, 9}), int_tensor({-1, 2, -1})},
                 {Tensor::of<float>({2, 2, 2}, {1, 2, 8, 9, 3, 4, 5, 6})}),
          sample(RaggedToDense{}, {pairs, int_tensor({0}), float_scalar(0), int_tensor({-1, -1, 2})},
                 {Tensor(ElementType::f32, {0, 0, 2})})};
}
HONE_DEFINE_OP(RaggedToDense)

}  // namespace hone
