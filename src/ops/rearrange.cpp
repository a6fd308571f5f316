// Blocks of space and groups of channels: a Reshape, a Transpose and a Reshape each.
#include <algorithm>

#include "ops/axes.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// One axis of the data, cut into parts (outermost first; one may be -1), whose pieces are then permuted and merged.
struct Rearrangement {
  std::vector<std::vector<int64_t>> parts;  // for each axis of the data
  std::vector<std::vector<size_t>> merged;  // for each axis of the result: the pieces it is made of, outermost first
};

void eval_rearranged(EvalCtx& ctx, const Rearrangement& r) {
  const Tensor& x = ctx.input(0);
  Shape apart;
  for (size_t k = 0; k < r.parts.size(); ++k) {
    int64_t known = 1;
    for (int64_t p : r.parts[k]) known *= p == -1 ? 1 : p;
    if (x.shape()[k] % known != 0)
      ctx.fail("axis " + std::to_string(k) + " of " + to_string(x.shape()) + " does not divide by " +
               std::to_string(known));
    for (int64_t p : r.parts[k]) apart.push_back(p == -1 ? x.shape()[k] / known : p);
  }
  if (element_count(apart) != static_cast<int64_t>(x.size())) ctx.fail("cannot cut " + to_string(x.shape()));
  const auto strides = strides_of(apart);
  Shape extent, out;
  Walk from;
  for (const auto& pieces : r.merged) {
    out.push_back(1);
    for (size_t p : pieces) {
      extent.push_back(apart[p]);
      from.strides.push_back(strides[p]);
      out.back() *= apart[p];
    }
  }
  Tensor y = ctx.output(0, x.element_type(), out);
  copy_strided(x, from, y, {0, strides_of(extent)}, extent);
}

Values expand_rearranged(Builder& b, Value x, const Rearrangement& r) {
  Values apart, merged;
  std::vector<int64_t> order;
  for (size_t k = 0; k < r.parts.size(); ++k) {
    int64_t known = 1;
    for (int64_t p : r.parts[k]) known *= p == -1 ? 1 : p;
    for (int64_t p : r.parts[k]) {
      if (p != -1) {
        apart.push_back(b.ints({p}));
        continue;
      }
      const Value d = dimension_value(b, x, k);
      if (d.constant())
        apart.push_back(b.ints({get_integer(d.constant(), 0) / known}));
      else
        apart.push_back(known == 1 ? d : b(Divide{}, d, b.ints({known})));
    }
  }
  for (const auto& pieces : r.merged) {
    Value size;
    for (size_t p : pieces) {
      order.push_back(static_cast<int64_t>(p));
      if (!size)
        size = apart[p];
      else if (size.constant() && apart[p].constant())
        size = b.ints({get_integer(size.constant(), 0) * get_integer(apart[p].constant(), 0)});
      else
        size = b(Multiply{}, size, apart[p]);
    }
    merged.push_back(size);
  }
  return {b(Reshape{}, b(Transpose{}, b(Reshape{}, x, join(b, apart)), b.ints(order)), join(b, merged))};
}

Dimension divided(const InferCtx& ctx, const Dimension& d, int64_t by) {
  ctx.check(by >= 1, "a block size of " + std::to_string(by));
  ctx.check(d.is_dynamic() || d.min() % by == 0, std::to_string(d.min()) + " does not divide by " + std::to_string(by));
  return d / by;
}

int64_t power(const InferCtx& ctx, int64_t base, size_t exponent) {
  ctx.check(base >= 1 && base <= 1 << 15, "a block size of " + std::to_string(base));
  int64_t r = 1;
  for (size_t i = 0; i < exponent; ++i) {
    r *= base;
    ctx.check(r < int64_t{1} << 40, "blocks are too large");
  }
  return r;
}

// Pieces: n, then the blocks and c in the order of the mode, then one of each spatial axis.
Rearrangement depth_to_space(size_t rank, int64_t block, DepthMode mode) {
  const size_t spatial = rank - 2, first_block = mode == DepthMode::blocks_first ? 1 : 2,
               c = mode == DepthMode::blocks_first ? 1 + spatial : 1;
  Rearrangement r;
  r.parts.push_back({-1});
  std::vector<int64_t> channels(spatial, block);
  channels.insert(mode == DepthMode::blocks_first ? channels.end() : channels.begin(), -1);
  r.parts.push_back(channels);
  r.merged = {{0}, {c}};
  for (size_t k = 0; k < spatial; ++k) {
    r.parts.push_back({-1});
    r.merged.push_back({2 + spatial + k, first_block + k});
  }
  return r;
}

// Pieces: n, c, then the position and the place inside of the block for each spatial axis.
Rearrangement space_to_depth(size_t rank, int64_t block, DepthMode mode) {
  Rearrangement r;
  r.parts = {{-1}, {-1}};
  std::vector<size_t> channels;
  for (size_t k = 0; k + 2 < rank; ++k) {
    r.parts.push_back({-1, block});
    channels.push_back(3 + 2 * k);
  }
  channels.insert(mode == DepthMode::blocks_first ? channels.end() : channels.begin(), 1);
  r.merged = {{0}, channels};
  for (size_t k = 0; k + 2 < rank; ++k) r.merged.push_back({2 + 2 * k});
  return r;
}

Rearrangement shuffle(size_t rank, size_t axis, int64_t group) {
  Rearrangement r;
  size_t piece = 0;
  for (size_t k = 0; k < rank; ++k) {
    if (k == axis) {
      r.parts.push_back({group, -1});
      r.merged.push_back({piece + 1, piece});
      piece += 2;
    } else {
      r.parts.push_back({-1});
      r.merged.push_back({piece++});
    }
  }
  return r;
}

size_t spatial_rank(const PartialShape& s) {
  if (!s.rank_known() || s.rank() < 3)
    throw Error(ErrorCode::unsupported, "[expand] wants a known rank of 3 and up, got " + to_string(s));
  return s.rank();
}

}  // namespace

Types DepthToSpace::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ctx.element(0), in)};
  ctx.check(in.rank() >= 3, "wants a rank of 3 and up, got " + to_string(in));
  PartialShape out = in;
  out[1] = divided(ctx, in[1], power(ctx, block_size, in.rank() - 2));
  for (size_t k = 2; k < in.rank(); ++k) out[k] = in[k] * Dimension(block_size);
  return {Type(ctx.element(0), out)};
}
void DepthToSpace::eval(EvalCtx& ctx) const {
  if (ctx.input(0).rank() < 3 || block_size < 1) ctx.fail("wants a rank of 3 and up, and blocks");
  eval_rearranged(ctx, depth_to_space(ctx.input(0).rank(), block_size, mode));
}
Values DepthToSpace::expand(Builder& b, const Values& in) const {
  return expand_rearranged(b, in[0], depth_to_space(spatial_rank(in[0].shape()), block_size, mode));
}
Samples DepthToSpace::samples() {
  const Tensor x = Tensor::of<float>({1, 8, 1, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  return {sample(DepthToSpace{DepthMode::blocks_first, 2}, {x},
                 {Tensor::of<float>({1, 2, 2, 4}, {0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15})}),
          sample(DepthToSpace{DepthMode::depth_first, 2}, {x},
                 {Tensor::of<float>({1, 2, 2, 4}, {0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15})}),
          sample(DepthToSpace{DepthMode::blocks_first, 3}, {random_tensor({2, 6, 4}, 1)}),
          sample(DepthToSpace{DepthMode::depth_first, 2}, {random_tensor({1, 8, 2, 1, 3}, 2)})};
}
HONE_DEFINE_OP(DepthToSpace)

Types SpaceToDepth::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ctx.element(0), in)};
  ctx.check(in.rank() >= 3, "wants a rank of 3 and up, got " + to_string(in));
  PartialShape out = in;
  out[1] = in[1] * Dimension(power(ctx, block_size, in.rank() - 2));
  for (size_t k = 2; k < in.rank(); ++k) out[k] = divided(ctx, in[k], block_size);
  return {Type(ctx.element(0), out)};
}
void SpaceToDepth::eval(EvalCtx& ctx) const {
  if (ctx.input(0).rank() < 3 || block_size < 1) ctx.fail("wants a rank of 3 and up, and blocks");
  eval_rearranged(ctx, space_to_depth(ctx.input(0).rank(), block_size, mode));
}
Values SpaceToDepth::expand(Builder& b, const Values& in) const {
  return expand_rearranged(b, in[0], space_to_depth(spatial_rank(in[0].shape()), block_size, mode));
}
Samples SpaceToDepth::samples() {
  const Tensor x = Tensor::of<float>({1, 2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  return {
      sample(SpaceToDepth{DepthMode::blocks_first, 2}, {x},
             {Tensor::of<float>({1, 8, 1, 1}, {0, 4, 1, 5, 2, 6, 3, 7})}),
      sample(SpaceToDepth{DepthMode::depth_first, 2}, {x}, {Tensor::of<float>({1, 8, 1, 1}, {0, 1, 2, 3, 4, 5, 6, 7})}),
      sample(SpaceToDepth{DepthMode::blocks_first, 2}, {random_tensor({2, 3, 4, 6}, 1)}),
      sample(SpaceToDepth{DepthMode::depth_first, 3}, {random_tensor({1, 2, 6}, 2)})};
}
HONE_DEFINE_OP(SpaceToDepth)

Types ShuffleChannels::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  if (in.rank_known()) divided(ctx, in[axis_of(ctx, axis, in.rank())], group);
  return {Type(ctx.element(0), in)};
}
void ShuffleChannels::eval(EvalCtx& ctx) const {
  const size_t rank = ctx.input(0).rank();
  if (group < 1) ctx.fail("group is " + std::to_string(group));
  eval_rearranged(ctx, shuffle(rank, axis_of(ctx, axis, rank), group));
}
Values ShuffleChannels::expand(Builder& b, const Values& in) const {
  const PartialShape& s = in[0].shape();
  if (!s.rank_known()) throw Error(ErrorCode::unsupported, "[ShuffleChannels] the expansion wants a known rank");
  return expand_rearranged(b, in[0], shuffle(s.rank(), axis_of(EvalCtx({}, 0), axis, s.rank()), group));
}
Samples ShuffleChannels::samples() {
  return {sample(ShuffleChannels{1, 2}, {Tensor::of<float>({1, 6}, {0, 1, 2, 3, 4, 5})},
                 {Tensor::of<float>({1, 6}, {0, 3, 1, 4, 2, 5})}),
          sample(ShuffleChannels{-3, 3}, {random_tensor({2, 6, 2, 3}, 1)})};
}
HONE_DEFINE_OP(ShuffleChannels)

}  // namespace hone
