#include "ops/blocks.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

// The four lists of BatchToSpace and SpaceToBatch.
struct Blocks {
  std::vector<int64_t> shape, begin, end;
};
template <class Ctx>
Blocks blocks_of(const Ctx& ctx, const Tensor& shape, const Tensor& begin, const Tensor& end, size_t rank) {
  Blocks b{shape.to_ints(), begin.to_ints(), end.to_ints()};
  if (b.shape.size() != rank || b.begin.size() != rank || b.end.size() != rank)
    ctx.fail("wants one block size, begin and end for each of " + std::to_string(rank) + " axes");
  for (size_t k = 0; k < rank; ++k) {
    if (b.shape[k] < 1 || b.shape[k] > (1 << 20) || b.begin[k] < 0 || b.end[k] < 0)
      ctx.fail("a block of " + std::to_string(b.shape[k]));
  }
  if (rank < 1 || b.shape[0] != 1 || b.begin[0] != 0 || b.end[0] != 0)
    ctx.fail("the batch itself has a block of 1 and is not cropped");
  return b;
}
int64_t product(const std::vector<int64_t>& v) {
  int64_t n = 1;
  for (int64_t x : v) n = checked_mul(n, x);
  return n;
}

// Walks that move between the batch form [blocks..., N, d1, d2...] and space [N, d1 * b1, d2 * b2...].
void block_walks(const Shape& batch_form, const std::vector<int64_t>& block, Walk& batch, Walk& space, Shape& extent) {
  const auto from = strides_of(batch_form);
  Shape wide = batch_form;
  wide[0] /= product(block);
  for (size_t k = 1; k < wide.size(); ++k) wide[k] = checked_mul(wide[k], block[k]);
  const auto to = strides_of(wide);
  int64_t step = batch_form[0] * from[0];
  for (size_t k = 1; k < block.size(); ++k) {
    step /= block[k];
    extent.push_back(block[k]);
    batch.strides.push_back(step);
    space.strides.push_back(to[k]);
  }
  for (size_t k = 0; k < wide.size(); ++k) {
    extent.push_back(k == 0 ? wide[0] : batch_form[k]);
    batch.strides.push_back(from[k]);
    space.strides.push_back(k == 0 ? to[0] : to[k] * block[k]);
  }
}

Types unknown_like(const InferCtx& ctx) {
  return {
      Type(ctx.element(0), ctx.shape(0).rank_known() ? PartialShape::dynamic(ctx.shape(0).rank()) : PartialShape())};
}

// Element `k` of a list as a list of one.
Value at(Builder& b, Value list, size_t k) {
  return b(Gather{}, list, b.ints({static_cast<int64_t>(k)}), b.scalar<int64_t>(0));
}
Value joined(Builder& b, const Values& lists) {
  return b.all(Concat{0}, lists)[0];
}
Value as_i64(Builder& b, Value v) {
  return v.element_type() == ElementType::i64 ? v : b(Convert{ElementType::i64}, v);
}
size_t known_rank(const char* op, Value v) {
  if (!v.shape().rank_known() || v.shape().rank() < 1)
    throw Error(ErrorCode::unsupported, std::string("[") + op + "] needs data of known rank to be expanded");
  return v.shape().rank();
}

}  // namespace

Types BatchToSpace::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const Tensor shape = ctx.constant(1), begin = ctx.constant(2), end = ctx.constant(3);
  if (!in.rank_known() || !shape || !begin || !end) return unknown_like(ctx);
  const Blocks b = blocks_of(ctx, shape, begin, end, in.rank());
  std::vector<Dimension> out{in[0] / product(b.shape)};
  ctx.check(!in[0].is_static() || in[0].min() % product(b.shape) == 0,
            "the batch of " + to_string(in) + " does not divide by " + std::to_string(product(b.shape)));
  for (size_t k = 1; k < in.rank(); ++k)
    out.push_back(in[k] * Dimension(b.shape[k]) - Dimension(b.begin[k] + b.end[k]));
  return {Type(ctx.element(0), PartialShape(out))};
}
void BatchToSpace::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Blocks b = blocks_of(ctx, ctx.input(1), ctx.input(2), ctx.input(3), x.rank());
  if (x.shape()[0] % product(b.shape) != 0)
    ctx.fail("the batch of " + to_string(x.shape()) + " does not divide by " + std::to_string(product(b.shape)));
  Walk batch, space;
  Shape extent, wide = x.shape(), out;
  block_walks(x.shape(), b.shape, batch, space, extent);
  wide[0] /= product(b.shape);
  for (size_t k = 1; k < wide.size(); ++k) wide[k] = checked_mul(wide[k], b.shape[k]);
  Tensor whole(x.element_type(), wide);
  copy_strided(x, batch, whole, space, extent);
  Walk crop{0, strides_of(wide)};
  for (size_t k = 0; k < wide.size(); ++k) {
    out.push_back(wide[k] - b.begin[k] - b.end[k]);
    if (out[k] < 0) ctx.fail("crops more than all of axis " + std::to_string(k));
    crop.offset += b.begin[k] * crop.strides[k];
  }
  Tensor y = ctx.output(0, x.element_type(), out);
  copy_strided(whole, crop, y, {0, strides_of(out)}, out);
}
void BatchToSpace::grad(GradCtx& ctx) const {
  if (ctx.needs(0)) ctx.set(0, ctx.b(SpaceToBatch{}, ctx.dout(), ctx.input(1), ctx.input(2), ctx.input(3)));
}
// [b1, b2..., N, d1, d2...] to [N, d1, b1, d2, b2...], joined and cropped.
Values BatchToSpace::expand(Builder& b, const Values& in) const {
  const size_t rank = known_rank(name, in[0]);
  const Value shape = b(ShapeOf{}, in[0]), block = as_i64(b, in[1]);
  Values apart, whole{b.ints({-1})};
  std::vector<int64_t> order{static_cast<int64_t>(rank) - 1};
  for (size_t k = 1; k < rank; ++k) apart.push_back(at(b, block, k));
  apart.push_back(b.ints({-1}));
  for (size_t k = 1; k < rank; ++k) {
    apart.push_back(at(b, shape, k));
    order.push_back(static_cast<int64_t>(rank - 1 + k));
    order.push_back(static_cast<int64_t>(k) - 1);
    whole.push_back(b(Multiply{}, at(b, shape, k), at(b, block, k)));
  }
  const Value moved = b(Transpose{}, b(Reshape{}, in[0], joined(b, apart)), b.ints(order));
  const Value y = b(Reshape{}, moved, joined(b, whole)), size = b(ShapeOf{}, y);
  std::vector<int64_t> axes, ones(rank, 1);
  for (size_t k = 0; k < rank; ++k) axes.push_back(static_cast<int64_t>(k));
  const Value begin = as_i64(b, in[2]), end = b(Subtract{}, size, as_i64(b, in[3]));
  return {b(Slice{}, y, begin, end, b.ints(ones), b.ints(axes))};
}
Samples BatchToSpace::samples() {
  return {sample(BatchToSpace{},
                 {Tensor::of<float>({4, 1, 1, 1}, {1, 2, 3, 4}), int_tensor({1, 1, 2, 2}), int_tensor({0, 0, 0, 0}),
                  int_tensor({0, 0, 0, 0})},
                 {Tensor::of<float>({1, 1, 2, 2}, {1, 2, 3, 4})}),
          sample(BatchToSpace{},
                 {random_tensor({6, 2, 3}, 1), int_tensor({1, 1, 3}), int_tensor({0, 0, 1}), int_tensor({0, 0, 2})}),
          sample(BatchToSpace{}, {random_tensor({8, 1, 2, 3}, 2), int_tensor({1, 2, 2, 1}), int_tensor({0, 0, 1, 0}),
                                  int_tensor({0, 1, 0, 1})})};
}
HONE_DEFINE_OP(BatchToSpace)

Types SpaceToBatch::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const Tensor shape = ctx.constant(1), begin = ctx.constant(2), end = ctx.constant(3);
  if (!in.rank_known() || !shape || !begin || !end) return unknown_like(ctx);
  const Blocks b = blocks_of(ctx, shape, begin, end, in.rank());
  std::vector<Dimension> out{in[0] * Dimension(product(b.shape))};
  for (size_t k = 1; k < in.rank(); ++k) {
    const Dimension padded = in[k] + Dimension(b.begin[k] + b.end[k]);
    ctx.check(
        !padded.is_static() || padded.min() % b.shape[k] == 0,
        "axis " + std::to_string(k) + " of " + to_string(in) + " does not divide by " + std::to_string(b.shape[k]));
    out.push_back(padded / b.shape[k]);
  }
  return {Type(ctx.element(0), PartialShape(out))};
}
void SpaceToBatch::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Blocks b = blocks_of(ctx, ctx.input(1), ctx.input(2), ctx.input(3), x.rank());
  Shape wide = x.shape(), out = x.shape();
  for (size_t k = 0; k < wide.size(); ++k) {
    wide[k] += b.begin[k] + b.end[k];
    if (wide[k] % b.shape[k] != 0)
      ctx.fail("axis " + std::to_string(k) + " of " + to_string(x.shape()) + " does not divide by " +
               std::to_string(b.shape[k]));
    out[k] = k == 0 ? x.shape()[0] * product(b.shape) : wide[k] / b.shape[k];
  }
  Tensor whole(x.element_type(), wide), y = ctx.output(0, x.element_type(), out);
  Walk inside{0, strides_of(wide)};
  for (size_t k = 0; k < wide.size(); ++k) inside.offset += b.begin[k] * inside.strides[k];
  copy_strided(x, {0, strides_of(x.shape())}, whole, inside, x.shape());
  Walk batch, space;
  Shape extent;
  block_walks(out, b.shape, batch, space, extent);
  copy_strided(whole, space, y, batch, extent);
}
void SpaceToBatch::grad(GradCtx& ctx) const {
  if (ctx.needs(0)) ctx.set(0, ctx.b(BatchToSpace{}, ctx.dout(), ctx.input(1), ctx.input(2), ctx.input(3)));
}
// Padded, [N, d1 / b1, b1, d2 / b2, b2...] to [b1, b2..., N, d1 / b1, d2 / b2...].
Values SpaceToBatch::expand(Builder& b, const Values& in) const {
  const size_t rank = known_rank(name, in[0]);
  const Value block = as_i64(b, in[1]);
  const Value padded = b(Pad{}, in[0], as_i64(b, in[2]), as_i64(b, in[3]), b.like(in[0], 0));
  const Value parts = b(Divide{}, b(ShapeOf{}, padded), block);
  Values apart{at(b, parts, 0)}, whole{b.ints({-1})};
  std::vector<int64_t> order;
  for (size_t k = 1; k < rank; ++k) {
    apart.push_back(at(b, parts, k));
    apart.push_back(at(b, block, k));
    whole.push_back(at(b, parts, k));
    order.push_back(2 * static_cast<int64_t>(k));
  }
  for (size_t k = 0; k < rank; ++k) order.push_back(k == 0 ? 0 : 2 * static_cast<int64_t>(k) - 1);
  const Value moved = b(Transpose{}, b(Reshape{}, padded, joined(b, apart)), b.ints(order));
  return {b(Reshape{}, moved, joined(b, whole))};
}
Samples SpaceToBatch::samples() {
  return {sample(SpaceToBatch{},
                 {Tensor::of<float>({1, 1, 2, 2}, {1, 2, 3, 4}), int_tensor({1, 1, 2, 2}), int_tensor({0, 0, 0, 0}),
                  int_tensor({0, 0, 0, 0})},
                 {Tensor::of<float>({4, 1, 1, 1}, {1, 2, 3, 4})}),
          sample(SpaceToBatch{},
                 {random_tensor({2, 2, 5}, 1), int_tensor({1, 1, 3}), int_tensor({0, 0, 1}), int_tensor({0, 0, 3})}),
          sample(SpaceToBatch{}, {random_tensor({1, 3, 4, 2}, 2), int_tensor({1, 2, 2, 1}), int_tensor({0, 1, 0, 0}),
                                  int_tensor({0, 0, 2, 1})})};
}
HONE_DEFINE_OP(SpaceToBatch)

namespace {

// The geometry of Col2Im: sizes of the image, the kernel and the positions of its window.
struct Columns {
  Shape image, kernel, positions, stride, dilation, pad;
};
template <class Ctx>
Columns columns_of(const Ctx& ctx, const Col2Im& op, const Tensor& image, const Tensor& kernel) {
  Columns c{image.to_ints(), kernel.to_ints(), {}, {}, {}, {}};
  if (c.image.size() != c.kernel.size()) ctx.fail("the output and the kernel differ in rank");
  for (size_t k = 0; k < c.image.size(); ++k) {
    const auto at = [&](const std::vector<int64_t>& v, int64_t otherwise) { return k < v.size() ? v[k] : otherwise; };
    c.stride.push_back(at(op.strides, 1));
    c.dilation.push_back(at(op.dilations, 1));
    c.pad.push_back(at(op.pads_begin, 0));
    if (c.stride[k] < 1 || c.dilation[k] < 1 || c.kernel[k] < 1 || c.image[k] < 1)
      ctx.fail("sizes, strides and dilations begin at 1");
    const int64_t room = c.image[k] + c.pad[k] + at(op.pads_end, 0) - c.dilation[k] * (c.kernel[k] - 1) - 1;
    if (room < 0) ctx.fail("the kernel is larger than the padded image");
    c.positions.push_back(room / c.stride[k] + 1);
  }
  return c;
}

}  // namespace

Types Col2Im::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const Tensor image = ctx.constant(1), kernel = ctx.constant(2);
  if (!in.rank_known() || !image || !kernel) return {Type(ctx.element(0), PartialShape::dynamic())};
  ctx.check(in.rank() == 3 || in.rank() == 2, "wants [N, C * kernel, positions], got " + to_string(in));
  const Columns c = columns_of(ctx, *this, image, kernel);
  const size_t channel = in.rank() - 2;
  ctx.check(in[channel + 1].compatible(Dimension(element_count(c.positions))),
            to_string(in) + " for " + std::to_string(element_count(c.positions)) + " positions");
  ctx.check(!in[channel].is_static() || in[channel].min() % element_count(c.kernel) == 0,
            to_string(in) + " does not divide by the kernel");
  std::vector<Dimension> out;
  if (in.rank() == 3) out.push_back(in[0]);
  out.push_back(in[channel] / element_count(c.kernel));
  for (int64_t d : c.image) out.emplace_back(d);
  return {Type(ctx.element(0), PartialShape(out))};
}
void Col2Im::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Columns c = columns_of(ctx, *this, ctx.input(1), ctx.input(2));
  const size_t channel = x.rank() - 2;
  const int64_t kernel = element_count(c.kernel), positions = element_count(c.positions),
                image = element_count(c.image);
  if (x.rank() < 2 || x.rank() > 3 || x.shape()[channel] % kernel != 0 || x.shape()[channel + 1] != positions)
    ctx.fail("data " + to_string(x.shape()) + " for " + std::to_string(positions) + " positions of a kernel of " +
             std::to_string(kernel));
  const int64_t planes = (x.rank() == 3 ? x.shape()[0] : 1) * (x.shape()[channel] / kernel);
  Shape out;
  if (x.rank() == 3) out.push_back(x.shape()[0]);
  out.push_back(x.shape()[channel] / kernel);
  out.insert(out.end(), c.image.begin(), c.image.end());
  Tensor y = ctx.output(0, x.element_type(), out);
  const auto strides = strides_of(c.image);
  for (int64_t p = 0; p < planes; ++p) {
    for (int64_t k = 0; k < kernel; ++k) {
      for (int64_t w = 0; w < positions; ++w) {
        int64_t rest_k = k, rest_w = w, at = 0;
        bool inside = true;
        for (size_t a = c.image.size(); a-- > 0;) {
          const int64_t i = rest_w % c.positions[a] * c.stride[a] - c.pad[a] + rest_k % c.kernel[a] * c.dilation[a];
          rest_w /= c.positions[a];
          rest_k /= c.kernel[a];
          inside &= i >= 0 && i < c.image[a];
          at += i * strides[a];
        }
        if (!inside) continue;
        const auto to = static_cast<size_t>(p * image + at),
                   from = static_cast<size_t>((p * kernel + k) * positions + w);
        set_element(y, to, get_element(y, to) + get_element(x, from));
      }
    }
  }
}
Samples Col2Im::samples() {
  const Tensor ones = Tensor::of<float>({1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  // torch.nn.functional.fold gives the same.
  return {sample(Col2Im{}, {ones, int_tensor({3, 3}), int_tensor({2, 2})},
                 {Tensor::of<float>({1, 1, 3, 3}, {1, 7, 6, 12, 34, 22, 11, 27, 16})}),
          sample(Col2Im{.strides = {2, 2}, .pads_begin = {1, 1}, .pads_end = {0, 0}},
                 {ones, int_tensor({3, 3}), int_tensor({2, 2})},
                 {Tensor::of<float>({1, 1, 3, 3}, {13, 10, 14, 7, 4, 8, 15, 12, 16})}),
          sample(Col2Im{.dilations = {2}}, {random_tensor({2, 6, 2}, 1), int_tensor({6}), int_tensor({3})}),
          sample(Col2Im{}, {random_tensor({8, 8}, 1), int_tensor({3, 3, 3}), int_tensor({2, 2, 2})})};
}
HONE_DEFINE_OP(Col2Im)

namespace {

// How far each axis moves, in [0, n).
template <class Ctx>
std::vector<int64_t> rolls(const Ctx& ctx, const Tensor& shift, const Tensor& axes, const Shape& shape) {
  const auto by = shift.to_ints();
  const auto at = axes_of(ctx, axes.to_ints(), shape.size());
  if (by.size() != at.size() && by.size() != 1)
    ctx.fail(std::to_string(by.size()) + " shifts for " + std::to_string(at.size()) + " axes");
  std::vector<int64_t> out(shape.size(), 0);
  for (size_t i = 0; i < at.size(); ++i) {
    const int64_t n = shape[at[i]];
    if (n > 0) out[at[i]] = ((out[at[i]] + by[by.size() == 1 ? 0 : i]) % n + n) % n;
  }
  return out;
}

}  // namespace

Types Roll::infer(InferCtx& ctx) const {
  if (const Tensor axes = ctx.constant(2); axes && ctx.shape(0).rank_known())
    axes_of(ctx, axes.to_ints(), ctx.shape(0).rank());
  return {Type(ctx.element(0), ctx.shape(0))};
}
void Roll::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto by = rolls(ctx, ctx.input(1), ctx.input(2), x.shape());
  std::vector<std::vector<int64_t>> maps(x.rank());
  for (size_t k = 0; k < x.rank(); ++k) {
    const int64_t n = x.shape()[k];
    for (int64_t i = 0; i < n; ++i) maps[k].push_back((i + n - by[k]) % n);
  }
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  copy_mapped(x, y, maps);
}
void Roll::grad(GradCtx& ctx) const {
  if (ctx.needs(0)) ctx.set(0, ctx.b(Roll{}, ctx.dout(), ctx.b(Negative{}, ctx.input(1)), ctx.input(2)));
}
Samples Roll::samples() {
  const Tensor x = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  return {
      sample(Roll{}, {x, int_tensor({1}), int_tensor({1})}, {Tensor::of<float>({2, 3}, {3, 1, 2, 6, 4, 5})}),
      sample(Roll{}, {x, int_tensor({-1, 1}), int_tensor({-1, 0})}, {Tensor::of<float>({2, 3}, {5, 6, 4, 2, 3, 1})}),
      sample(Roll{}, {random_tensor({3, 4}, 1), int_tensor({2, 3, 5}), int_tensor({1, 0, 1})})};
}
HONE_DEFINE_OP(Roll)

}  // namespace hone
