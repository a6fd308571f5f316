// Slice and StridedSlice. Both come down to one entry an axis: start, stop and step by NumPy's rules.
#include <algorithm>

#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// A start or stop: its number where it is known, else what its dimension says.
struct Bound {
  std::optional<int64_t> number;
  Dimension dimension;
};

// What happens to one axis of the data, or a new axis.
struct AxisSlice {
  enum class Kind { keep, slice, shrink, insert } kind = Kind::keep;
  size_t axis = 0;
  Bound start, stop;
  int64_t step = 1;
};

// Elements `begin, begin + step...` of an axis of `n`.
struct Picked {
  int64_t begin, count;
};
Picked pick(int64_t n, int64_t start, int64_t stop, int64_t step) {
  if (start < 0) start += n;
  if (stop < 0) stop += n;
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  start = std::clamp(start, low, std::max(low, high));
  stop = std::clamp(stop, low, std::max(low, high));
  const int64_t distance = step > 0 ? stop - start : start - stop;
  // The magnitude is taken unsigned: the lowest step has no positive counterpart.
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return {start, distance <= 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / stride + 1)};
}

// Numbers from here on mean "to the end": exporters write the largest 32-bit integer as well as the largest 64-bit one.
constexpr int64_t endless = 2147483647;

Dimension sliced(const Dimension& d, const AxisSlice& s) {
  if (s.start.number && s.stop.number) {
    const int64_t start = *s.start.number, step = s.step;
    const int64_t stop = *s.stop.number >= endless    ? Dimension::unbounded
                         : *s.stop.number <= -endless ? -Dimension::unbounded
                                                      : *s.stop.number;
    if (d.is_static()) return Dimension(pick(d.min(), start, stop, step).count);
    const bool to_end = stop >= d.max(), to_begin = stop == -Dimension::unbounded;
    if (step == 1 && start == 0 && to_end) return d;
    if (step == -1 && to_begin && (start == -1 || start >= endless)) return d;
    // Does a longer axis always give at least as many elements? Not where the window hangs between both ends.
    const bool grows = step > 0 ? start >= 0 || stop < 0 || to_end : stop >= 0 || start < 0 || to_begin;
    if (!grows) return Dimension(0, d.max());
    constexpr int64_t huge = int64_t{1} << 40;
    const int64_t high = pick(std::min(d.max(), huge), start, stop, step).count;
    return Dimension(pick(d.min(), start, stop, step).count, high > (int64_t{1} << 30) ? Dimension::unbounded : high);
  }
  // x[0:N] where N is a symbol.
  if (s.start.number == 0 && s.step == 1) {
    const Dimension& stop = s.stop.dimension;
    if (stop.same(d)) return d;
    if (stop.max() <= d.min()) return stop;
    return Dimension(0, std::min(stop.max(), d.max()));
  }
  return Dimension(0, d.max());
}

// The entries of input `i`; an unknown number of unknown entries is nullopt.
std::optional<std::vector<Bound>> bounds(const InferCtx& ctx, size_t i) {
  std::vector<Bound> out;
  if (const Tensor t = ctx.constant(i)) {
    for (int64_t n : t.to_ints()) out.push_back({n, Dimension(n)});
    return out;
  }
  if (const auto c = ctx.content(i)) {
    for (const Dimension& d : *c) out.push_back({d.is_static() ? std::optional(d.min()) : std::nullopt, d});
    return out;
  }
  const PartialShape& s = ctx.shape(i);
  if (!s.rank_known() || !s.is_static()) return std::nullopt;
  return std::vector<Bound>(static_cast<size_t>(element_count(s.to_shape())));
}
std::vector<Bound> bounds(const Tensor& t) {
  std::vector<Bound> out;
  for (int64_t n : t.to_ints()) out.push_back({n, Dimension(n)});
  return out;
}

Types infer_sliced(InferCtx& ctx, const std::vector<AxisSlice>& slices) {
  const PartialShape& in = ctx.shape(0);
  std::vector<Dimension> out;
  for (const AxisSlice& s : slices) {
    if (s.kind == AxisSlice::Kind::insert)
      out.emplace_back(1);
    else if (s.kind == AxisSlice::Kind::keep)
      out.push_back(in[s.axis]);
    else if (s.kind == AxisSlice::Kind::slice)
      out.push_back(sliced(in[s.axis], s));
  }
  // Shape arithmetic: pieces of a list of dimensions.
  if (auto content = known_elements(ctx, 0); content && in.rank() == 1) {
    for (const AxisSlice& s : slices) {
      if (s.kind == AxisSlice::Kind::insert) continue;
      if (s.kind == AxisSlice::Kind::keep) {
        ctx.set_content(0, std::move(*content));
      } else if (s.start.number && s.stop.number) {
        const auto n = static_cast<int64_t>(content->size());
        const Picked p = s.kind == AxisSlice::Kind::slice
                             ? pick(n, *s.start.number, *s.stop.number, s.step)
                             : Picked{*s.start.number < 0 ? *s.start.number + n : *s.start.number, 1};
        std::vector<Dimension> picked;
        for (int64_t i = 0, at = p.begin; i < p.count && at >= 0 && at < n; ++i, at += s.step)
          picked.push_back((*content)[static_cast<size_t>(at)]);
        if (static_cast<int64_t>(picked.size()) == p.count) ctx.set_content(0, std::move(picked));
      }
      break;
    }
  }
  return {Type(ctx.element(0), PartialShape(out))};
}

void eval_sliced(EvalCtx& ctx, const std::vector<AxisSlice>& slices) {
  const Tensor& x = ctx.input(0);
  const auto strides = strides_of(x.shape());
  Walk from;
  Shape extent, out;
  for (const AxisSlice& s : slices) {
    if (s.kind == AxisSlice::Kind::insert) {
      out.push_back(1);
      continue;
    }
    const int64_t n = x.shape()[s.axis];
    Picked p{0, n};
    if (s.kind == AxisSlice::Kind::slice) p = pick(n, *s.start.number, *s.stop.number, s.step);
    if (s.kind == AxisSlice::Kind::shrink) {
      p = {*s.start.number < 0 ? *s.start.number + n : *s.start.number, 1};
      if (p.begin < 0 || p.begin >= n)
        ctx.fail("index " + std::to_string(*s.start.number) + " is outside of a dimension of " + std::to_string(n));
    }
    from.offset += p.begin * strides[s.axis];
    from.strides.push_back(p.count > 1 ? s.step * strides[s.axis] : 0);
    extent.push_back(p.count);
    if (s.kind != AxisSlice::Kind::shrink) out.push_back(p.count);
  }
  Tensor y = ctx.output(0, x.element_type(), out);
  copy_strided(x, from, y, {0, strides_of(extent)}, extent);
}

// Zeros around and between the elements of the gradient. Sliced axes must be static.
void grad_sliced(GradCtx& ctx, const std::vector<AxisSlice>& slices) {
  Builder& b = ctx.b;
  const PartialShape in = ctx.input(0).shape();  // a copy: building nodes moves the originals
  // Back to one axis for each axis of the data.
  Values dims;
  bool same_rank = true;
  for (const AxisSlice& s : slices) same_rank &= s.kind == AxisSlice::Kind::keep || s.kind == AxisSlice::Kind::slice;
  std::vector<int64_t> begins(in.rank(), 0), ends(in.rank(), 0);
  Value g = ctx.dout();
  if (!same_rank) {
    size_t out_axis = 0;
    for (const AxisSlice& s : slices) {
      if (s.kind == AxisSlice::Kind::shrink)
        dims.push_back(b.ints({1}));
      else if (s.kind == AxisSlice::Kind::insert)
        ++out_axis;
      else
        dims.push_back(dimension_value(b, g, out_axis++));
    }
    g = b(Reshape{}, g, join(b, dims));
  }
  for (const AxisSlice& s : slices) {
    if (s.kind == AxisSlice::Kind::keep || s.kind == AxisSlice::Kind::insert) continue;
    if (s.start.number == 0 && s.step == 1 && s.stop.number && *s.stop.number >= endless) continue;
    if (!in[s.axis].is_static() || !s.start.number || (s.kind == AxisSlice::Kind::slice && !s.stop.number)) {
      throw Error(ErrorCode::unsupported,
                  "[" + std::string(ctx.node().op().name) +
                      "] the gradient wants constant bounds and a known size of the sliced axes");
    }
    const int64_t n = in[s.axis].get_length(), magnitude = std::abs(s.step);
    Picked p = s.kind == AxisSlice::Kind::slice
                   ? pick(n, *s.start.number, *s.stop.number, s.step)
                   : Picked{*s.start.number < 0 ? *s.start.number + n : *s.start.number, 1};
    if (s.step < 0 && p.count > 0) {
      g = b(Reverse{{static_cast<int64_t>(s.axis)}}, g);
      p.begin += (p.count - 1) * s.step;
    }
    int64_t covered = p.count;
    if (magnitude > 1 && p.count > 1) {
      // [.., n, ..] -> [.., n, 1, ..] -> [.., n, step, ..] -> [.., n * step, ..]
      const size_t rank = in.rank();
      const auto after = static_cast<int64_t>(s.axis + 1);
      Values merged;
      for (size_t k = 0; k < rank; ++k)
        merged.push_back(k == s.axis ? b.ints({p.count * magnitude}) : dimension_value(b, g, k));
      std::vector<int64_t> none(rank + 1, 0), right(rank + 1, 0);
      right[s.axis + 1] = magnitude - 1;
      g = b(Pad{}, b(Unsqueeze{}, g, b.ints({after})), b.ints(none), b.ints(right));
      g = b(Reshape{}, g, join(b, merged));
      covered = p.count * magnitude;
    }
    begins[s.axis] = p.count > 0 ? p.begin : 0;
    ends[s.axis] = n - begins[s.axis] - covered;
  }
  const auto nothing = [](int64_t v) { return v == 0; };
  if (!std::all_of(begins.begin(), begins.end(), nothing) || !std::all_of(ends.begin(), ends.end(), nothing))
    g = b(Pad{}, g, b.ints(begins), b.ints(ends));
  ctx.set(0, g);
}

// One entry for each axis of the data, from the lists of Slice.
template <class Ctx>
std::vector<AxisSlice> slice_axes(const Ctx& ctx, size_t rank, const std::vector<Bound>& start,
                                  const std::vector<Bound>& stop, const std::vector<int64_t>& step,
                                  std::vector<int64_t> axes, bool has_axes) {
  if (!has_axes) {
    for (size_t k = 0; k < start.size(); ++k) axes.push_back(static_cast<int64_t>(k));
  }
  if (stop.size() != start.size() || step.size() != start.size() || axes.size() != start.size())
    ctx.fail("start, stop, step and axes differ in length");
  std::vector<AxisSlice> out(rank);
  for (size_t k = 0; k < rank; ++k) out[k].axis = k;
  const auto at = axes_of(ctx, axes, rank);
  for (size_t i = 0; i < at.size(); ++i) {
    if (out[at[i]].kind != AxisSlice::Kind::keep) ctx.fail("an axis is given twice");
    if (step[i] == 0) ctx.fail("a step of zero");
    out[at[i]] = {AxisSlice::Kind::slice, at[i], start[i], stop[i], step[i]};
  }
  return out;
}

// One entry for each axis, from the lists and masks of StridedSlice.
template <class Ctx>
std::vector<AxisSlice> strided_slice_axes(const Ctx& ctx, const StridedSlice& op, size_t rank,
                                          const std::vector<Bound>& begin, const std::vector<Bound>& end,
                                          const std::vector<int64_t>& strides) {
  const auto bit = [](const std::vector<int64_t>& mask, size_t i) { return i < mask.size() && mask[i] != 0; };
  if (end.size() != begin.size()) ctx.fail("begin and end differ in length");
  size_t consumed = 0;
  for (size_t i = 0; i < begin.size(); ++i) consumed += !bit(op.new_axis_mask, i) && !bit(op.ellipsis_mask, i);
  if (consumed > rank)
    ctx.fail("slices " + std::to_string(consumed) + " axes of a tensor of rank " + std::to_string(rank));
  std::vector<AxisSlice> out;
  size_t axis = 0;
  const auto keep = [&](size_t n) {
    for (size_t k = 0; k < n; ++k) out.push_back({AxisSlice::Kind::keep, axis++, {}, {}, 1});
  };
  bool ellipsis = false;
  for (size_t i = 0; i < begin.size(); ++i) {
    if (bit(op.ellipsis_mask, i)) {
      if (ellipsis) ctx.fail("more than one ellipsis");
      ellipsis = true;
      keep(rank - consumed);
    } else if (bit(op.new_axis_mask, i)) {
      out.push_back({AxisSlice::Kind::insert, 0, {}, {}, 1});
    } else if (bit(op.shrink_axis_mask, i)) {
      AxisSlice s{AxisSlice::Kind::shrink, axis++, begin[i], {}, 1};
      if (bit(op.begin_mask, i)) s.start = {0, Dimension(0)};
      out.push_back(s);
    } else {
      const int64_t step = i < strides.size() ? strides[i] : 1;
      if (step == 0) ctx.fail("a stride of zero");
      const int64_t last = Dimension::unbounded;
      AxisSlice s{AxisSlice::Kind::slice, axis++, begin[i], end[i], step};
      if (bit(op.begin_mask, i)) s.start = {step > 0 ? 0 : last, Dimension(0)};
      if (bit(op.end_mask, i)) s.stop = {step > 0 ? last : -last, Dimension()};
      out.push_back(s);
    }
  }
  keep(rank - axis);
  return out;
}

std::vector<int64_t> ones_or(const Tensor& t, size_t n) {
  return t ? t.to_ints() : std::vector<int64_t>(n, 1);
}

}  // namespace

Types Slice::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  const auto start = bounds(ctx, 1), stop = bounds(ctx, 2);
  const Tensor step = ctx.constant(3), axes = ctx.constant(4);
  if (!start || !stop || (ctx.has(3) && !step) || (ctx.has(4) && !axes))
    return {Type(ctx.element(0), PartialShape::dynamic(in.rank()))};
  return infer_sliced(ctx, slice_axes(ctx, in.rank(), *start, *stop, ones_or(step, start->size()),
                                      ctx.has(4) ? axes.to_ints() : std::vector<int64_t>{}, ctx.has(4)));
}
void Slice::eval(EvalCtx& ctx) const {
  const size_t n = ctx.input(1).size();
  eval_sliced(ctx, slice_axes(ctx, ctx.input(0).rank(), bounds(ctx.input(1)), bounds(ctx.input(2)),
                              ones_or(ctx.has(3) ? ctx.input(3) : Tensor(), n),
                              ctx.has(4) ? ctx.input(4).to_ints() : std::vector<int64_t>{}, ctx.has(4)));
}
void Slice::grad(GradCtx& ctx) const {
  const auto list = [&](size_t i) { return ctx.input(i) ? ctx.input(i).constant() : Tensor(); };
  const Tensor start = list(1), stop = list(2), step = list(3), axes = list(4);
  const Value data = ctx.input(0);
  const bool missing =
      !start || !stop || (ctx.input(3) && !step) || (ctx.input(4) && !axes) || !data.shape().rank_known();
  if (missing) throw Error(ErrorCode::unsupported, "[Slice] the gradient wants constant bounds");
  const EvalCtx place({}, 0);
  grad_sliced(ctx, slice_axes(place, data.shape().rank(), bounds(start), bounds(stop), ones_or(step, start.size()),
                              axes ? axes.to_ints() : std::vector<int64_t>{}, bool(axes)));
}
Samples Slice::samples() {
  const Tensor ten = Tensor::of<float>({10}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  return {sample(Slice{}, {ten, int_tensor({1}), int_tensor({7}), int_tensor({2}), int_tensor({0})},
                 {Tensor::of<float>({3}, {1, 3, 5})}),
          sample(Slice{}, {ten, int_tensor({-2}), int_tensor({INT64_MIN}), int_tensor({-3}), int_tensor({0})},
                 {Tensor::of<float>({3}, {8, 5, 2})}),
          sample(Slice{}, {ten, int_tensor({5}), int_tensor({2}), int_tensor({1})}, {Tensor(ElementType::f32, {0})}),
          sample(Slice{}, {random_tensor({2, 5, 4}, 1), int_tensor({0, -3}), int_tensor({2147483647, 100}),
                           int_tensor({2, 1}), int_tensor({-1, 1})}),
          sample(Slice{}, {random_tensor({3, 4}, 2), int_tensor({1, 3}), int_tensor({3, 0}), int_tensor({1, -1})}),
          sample(Slice{}, {Tensor::strings({3}, {"a", "b", "c"}), int_tensor({2}), int_tensor({-4}), int_tensor({-1})},
                 {Tensor::strings({3}, {"c", "b", "a"})})};
}
HONE_DEFINE_OP(Slice)

Types StridedSlice::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const auto begin = bounds(ctx, 1), end = bounds(ctx, 2);
  const Tensor strides = ctx.constant(3);
  if (!in.rank_known() || !begin || !end || (ctx.has(3) && !strides))
    return {Type(ctx.element(0), PartialShape::dynamic())};
  return infer_sliced(ctx, strided_slice_axes(ctx, *this, in.rank(), *begin, *end, ones_or(strides, begin->size())));
}
void StridedSlice::eval(EvalCtx& ctx) const {
  const auto strides = ones_or(ctx.has(3) ? ctx.input(3) : Tensor(), ctx.input(1).size());
  eval_sliced(ctx,
              strided_slice_axes(ctx, *this, ctx.input(0).rank(), bounds(ctx.input(1)), bounds(ctx.input(2)), strides));
}
void StridedSlice::grad(GradCtx& ctx) const {
  const Tensor begin = ctx.input(1).constant(), end = ctx.input(2).constant(),
               strides = ctx.input(3) ? ctx.input(3).constant() : Tensor();
  const Value data = ctx.input(0);
  if (!begin || !end || (ctx.input(3) && !strides) || !data.shape().rank_known())
    throw Error(ErrorCode::unsupported, "[StridedSlice] the gradient wants constant bounds");
  const EvalCtx place({}, 0);
  grad_sliced(ctx, strided_slice_axes(place, *this, data.shape().rank(), bounds(begin), bounds(end),
                                      ones_or(strides, begin.size())));
}
Samples StridedSlice::samples() {
  const Tensor x = Tensor::of<float>({2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  StridedSlice shrink{.shrink_axis_mask = {0, 1}}, fresh{.new_axis_mask = {1, 0}},
      ellipsis{.begin_mask = {0, 1}, .end_mask = {0, 1}, .ellipsis_mask = {1, 0}};
  StridedSlice masked{.begin_mask = {1, 1, 1}, .end_mask = {1, 1, 1}};
  return {sample(StridedSlice{}, {x, int_tensor({0, 1}), int_tensor({1, 3}), int_tensor({1, 1})},
                 {Tensor::of<float>({1, 2, 2}, {2, 3, 4, 5})}),
          sample(shrink, {x, int_tensor({0, -1}), int_tensor({2, 0}), int_tensor({1, 1})},
                 {Tensor::of<float>({2, 2}, {4, 5, 10, 11})}),
          sample(fresh, {x, int_tensor({0, 1}), int_tensor({0, 2}), int_tensor({1, 1})},
                 {Tensor::of<float>({1, 1, 3, 2}, {6, 7, 8, 9, 10, 11})}),
          sample(ellipsis, {x, int_tensor({0, 0}), int_tensor({0, 0}), int_tensor({1, -1})},
                 {Tensor::of<float>({2, 3, 2}, {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10})}),
          sample(masked,
                 {random_tensor({4, 5, 3}, 1), int_tensor({0, 0, 0}), int_tensor({0, 0, 0}), int_tensor({2, -2, 1})}),
          sample(StridedSlice{}, {int_tensor({5, 6, 7, 8}), int_tensor({-3}), int_tensor({-1})}, {int_tensor({6, 7})})};
}
HONE_DEFINE_OP(StridedSlice)

}  // namespace hone
