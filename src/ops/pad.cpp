#include <algorithm>

#include "base/checked.hpp"
#include "ops/axes.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// The element of an axis of `n` that stands at position `at`, which may be outside; -1 for the pad value.
int64_t source_of(PadMode mode, int64_t at, int64_t n) {
  if (at >= 0 && at < n) return at;
  if (mode == PadMode::constant) return -1;
  if (mode == PadMode::edge) return std::clamp<int64_t>(at, 0, n - 1);
  // Mirrors without (reflect) or with (symmetric) the border element; pads longer than the data mirror again.
  const int64_t once = mode == PadMode::reflect ? n - 1 : n, period = std::max<int64_t>(2 * once, 1);
  const int64_t m = ((at % period) + period) % period;
  if (mode == PadMode::reflect) return m <= once ? m : period - m;
  return m < once ? m : period - 1 - m;
}

}  // namespace

Types Pad::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  const Tensor begin = ctx.constant(1), end = ctx.constant(2);
  if (!begin || !end) return {Type(ctx.element(0), PartialShape::dynamic(in.rank()))};
  const auto b = begin.to_ints(), e = end.to_ints();
  ctx.check(b.size() == in.rank() && e.size() == in.rank(), "one pad an axis for " + to_string(in));
  std::vector<Dimension> out;
  for (size_t k = 0; k < in.rank(); ++k) {
    const int64_t by = b[k] + e[k];
    ctx.check(in[k].max() == Dimension::unbounded || in[k].max() + by >= 0,
              "pads crop more than all of " + to_string(in));
    out.push_back(by >= 0 ? in[k] + Dimension(by) : in[k] - Dimension(-by));
  }
  return {Type(ctx.element(0), PartialShape(out))};
}
void Pad::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto begin = ctx.input(1).to_ints(), end = ctx.input(2).to_ints();
  if (begin.size() != x.rank() || end.size() != x.rank()) ctx.fail("one pad an axis for " + to_string(x.shape()));
  Shape out;
  std::vector<std::vector<int64_t>> maps(x.rank());
  for (size_t k = 0; k < x.rank(); ++k) {
    const int64_t n = x.shape()[k], size = checked_add(checked_add(n, begin[k]), end[k]);
    if (n == 0 && size > 0 && pad_mode != PadMode::constant) ctx.fail("nothing to repeat in " + to_string(x.shape()));
    if (size < 0) ctx.fail("pads crop more than all of " + to_string(x.shape()));
    out.push_back(size);
  }
  Tensor y = ctx.output(0, x.element_type(), out);  // refuses absurd sizes before the maps are made
  if (y.size() == 0) return;
  for (size_t k = 0; k < x.rank(); ++k) {
    for (int64_t i = 0; i < out[k]; ++i) maps[k].push_back(source_of(pad_mode, i - begin[k], x.shape()[k]));
  }
  if (pad_mode == PadMode::constant && ctx.has(3)) fill(y, ctx.input(3));
  copy_mapped(x, y, maps);
}
void Pad::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Tensor begin_constant = ctx.input(1).constant(), end_constant = ctx.input(2).constant();
  if (!begin_constant || !end_constant) throw Error(ErrorCode::unsupported, "[Pad] the gradient wants constant pads");
  const auto begin = begin_constant.to_ints(), end = end_constant.to_ints();
  if (pad_mode == PadMode::constant) {
    std::vector<int64_t> crop_begin, crop_end;
    for (int64_t n : begin) crop_begin.push_back(-n);
    for (int64_t n : end) crop_end.push_back(-n);
    const Value inside = b(Pad{}, ctx.dout(), b.ints(crop_begin), b.ints(crop_end));
    if (ctx.needs(0)) ctx.set(0, inside);
    if (ctx.needs(3)) {
      // Everything but the data, as far as it was not cropped.
      const auto total = [&](Value v) {
        return b(Reshape{}, b(SumToShape{}, v, b.ints({})), shape_value(b, ctx.input(3)));
      };
      ctx.set(3, b(Subtract{}, total(ctx.dout()), total(inside)));
    }
    return;
  }
  // Repeated elements are added where they came from, axis by axis.
  Value d = ctx.dout();
  const PartialShape in = ctx.input(0).shape();
  for (size_t k = 0; k < begin.size(); ++k) {
    if (begin[k] == 0 && end[k] == 0) continue;
    if (!in[k].is_static())
      throw Error(ErrorCode::unsupported, "[Pad] the gradient wants known sizes of the padded axes");
    const int64_t n = in[k].get_length();
    std::vector<int64_t> from;
    for (int64_t i = 0; i < n + begin[k] + end[k]; ++i) from.push_back(source_of(pad_mode, i - begin[k], n));
    std::vector<int64_t> wide(begin.size(), 1);
    wide[k] = static_cast<int64_t>(from.size());
    Values target;
    for (size_t a = 0; a < begin.size(); ++a) target.push_back(a == k ? b.ints({n}) : dimension_value(b, d, a));
    const Value index = b(Broadcast{}, b(Reshape{}, b.ints(from), b.ints(wide)), shape_value(b, d));
    const Value zeros = b(Broadcast{}, b.like(d, 0), join(b, target));
    d = b(ScatterElementsUpdate{ScatterReduction::sum}, zeros, index, d, b.scalar<int64_t>(static_cast<int64_t>(k)));
  }
  if (ctx.needs(0)) ctx.set(0, d);
}
Samples Pad::samples() {
  const Tensor x = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  Sample valued = sample(Pad{}, {x, int_tensor({0, 1}), int_tensor({1, 0}), float_scalar(9)},
                         {Tensor::of<float>({3, 4}, {9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9})});
  Sample edge = sample(Pad{PadMode::edge}, {x, int_tensor({1, 2}), int_tensor({0, 1})},
                       {Tensor::of<float>({3, 6}, {1, 1, 1, 2, 3, 3, 1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6})});
  Sample reflect = sample(Pad{PadMode::reflect}, {x, int_tensor({1, 2}), int_tensor({0, 2})},
                          {Tensor::of<float>({3, 7}, {6, 5, 4, 5, 6, 5, 4, 3, 2, 1, 2, 3, 2, 1, 6, 5, 4, 5, 6, 5, 4})});
  Sample symmetric = sample(Pad{PadMode::symmetric}, {x, int_tensor({0, 2}), int_tensor({0, 3})},
                            {Tensor::of<float>({2, 8}, {2, 1, 1, 2, 3, 3, 2, 1, 5, 4, 4, 5, 6, 6, 5, 4})});
  return {sample(Pad{}, {random_tensor({2, 3, 4}, 1), int_tensor({0, 1, -1}), int_tensor({1, 0, 2})}),
          valued,
          edge,
          reflect,
          symmetric,
          sample(Pad{}, {random_tensor({0, 2}, 1), int_tensor({1, 0}), int_tensor({1, 0})},
                 {Tensor(ElementType::f32, {2, 2})})};
}
HONE_DEFINE_OP(Pad)

}  // namespace hone
