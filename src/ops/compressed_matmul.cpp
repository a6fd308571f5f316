#include "ops/compressed_matmul.hpp"

#include "ops/family.hpp"

namespace hone {

Types CompressedMatMul::infer(InferCtx& ctx) const {
  ctx.check(is_float(ctx.element(0)), std::string("is not defined on ") + name_of(ctx.element(0)));
  const ElementType w = ctx.element(1);
  ctx.check(is_integer(w) && (bit_width(w) == 4 || bit_width(w) == 8),
            std::string("the weights are ") + name_of(w) + ", not integers of 4 or 8 bits");
  ctx.check(is_float(ctx.element(2)), std::string("the scales are ") + name_of(ctx.element(2)));
  ctx.check(group > 0, "a group has no elements");
  const PartialShape &x = ctx.shape(0), &weights = ctx.shape(1);
  ctx.check(weights.is_static() && weights.rank() == 2, "the weights need two known dimensions");
  const int64_t rows = weights[transposed_weights ? 0 : 1].get_length(),
                depth = weights[transposed_weights ? 1 : 0].get_length();
  const int64_t groups = (depth + group - 1) / group;
  const PartialShape wanted(transposed_weights ? Shape{rows, groups} : Shape{groups, rows});
  ctx.check(ctx.shape(2).compatible(wanted), "scales " + to_string(ctx.shape(2)) + " are not " + to_string(wanted));
  if (ctx.has(3)) {
    ctx.check(is_float(ctx.element(3)), std::string("the zero points are ") + name_of(ctx.element(3)));
    ctx.check(ctx.shape(3).compatible(wanted),
              "zero points " + to_string(ctx.shape(3)) + " are not " + to_string(wanted));
  }
  if (!x.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  ctx.check(x.rank() > 0, "a scalar has no matrix product");
  ctx.check(x[x.rank() - 1].compatible(depth),
            "inner dimensions of " + to_string(x) + " and " + to_string(weights) + " differ");
  PartialShape y = x;
  y[x.rank() - 1] = rows;
  return {Type(ctx.element(0), y)};
}

void CompressedMatMul::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &w = ctx.input(1), &scales = ctx.input(2);
  const auto rows = static_cast<size_t>(w.shape()[transposed_weights ? 0 : 1]),
             depth = static_cast<size_t>(w.shape()[transposed_weights ? 1 : 0]);
  const auto per_group = static_cast<size_t>(group), groups = (depth + per_group - 1) / per_group;
  Shape shape = x.shape();
  if (shape.empty() || static_cast<size_t>(shape.back()) != depth)
    ctx.fail("inner dimensions of " + to_string(x.shape()) + " and " + to_string(w.shape()) + " differ");
  shape.back() = static_cast<int64_t>(rows);
  Tensor y = ctx.output(0, x.element_type(), shape);
  const std::vector<double> in = x.to_doubles();
  std::vector<double> row(depth);
  for (size_t n = 0; n < rows; ++n) {
    for (size_t k = 0; k < depth; ++k) {
      const size_t at = transposed_weights ? n * depth + k : k * rows + n, g = k / per_group;
      const size_t group_at = transposed_weights ? n * groups + g : g * rows + n;
      const double zero = ctx.has(3) ? get_element(ctx.input(3), group_at) : static_cast<double>(zero_point);
      row[k] = (static_cast<double>(get_integer(w, at)) - zero) * get_element(scales, group_at);
    }
    for (size_t m = 0; m * depth < in.size(); ++m) {
      double sum = 0;
      for (size_t k = 0; k < depth; ++k) sum += in[m * depth + k] * row[k];
      set_element(y, m * rows + n, sum);
    }
  }
}

Samples CompressedMatMul::samples() {
  const auto integers = [](ElementType t, Shape shape, uint64_t seed) {
    const double levels = bit_width(t) == 4 ? 16 : 256, low = is_signed(t) ? -levels / 2 : 0;
    return random_tensor(std::move(shape), seed, low, low + levels, t);
  };
  Tensor four(ElementType::i4, {1, 4});
  for (size_t i = 0; i < 4; ++i) set_integer(four, i, static_cast<int64_t>(i) * 5 - 8);
  return {
      // Weights -8 -3 2 7 less 1, times 2 and 10.
      sample(CompressedMatMul{2, 1},
             {Tensor::of<float>({1, 4}, {1, 2, 3, 4}), four, Tensor::of<float>({1, 2}, {2, 10})},
             {Tensor::of<float>({1, 1}, {-34 + 270})}),
      sample(CompressedMatMul{8, 8},
             {random_tensor({5, 24}, 1), integers(ElementType::u4, {7, 24}, 2), random_tensor({7, 3}, 3)}),
      sample(CompressedMatMul{32},
             {random_tensor({2, 3, 40}, 1), integers(ElementType::u8, {17, 40}, 2), random_tensor({17, 2}, 3),
              integers(ElementType::u8, {17, 2}, 4).converted(ElementType::f32)}),
      sample(CompressedMatMul{12, 0, false},
             {random_tensor({3, 12}, 1), integers(ElementType::i8, {12, 9}, 2), random_tensor({1, 9}, 3)}),
      sample(CompressedMatMul{16},
             {random_tensor({48}, 1), integers(ElementType::i4, {20, 48}, 2), random_tensor({20, 3}, 3)}),
  };
}
HONE_DEFINE_OP(CompressedMatMul)

}  // namespace hone
