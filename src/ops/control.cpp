#include "ops/control.hpp"

#include <algorithm>

#include "graph/common_type.hpp"
#include "graph/text.hpp"
#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// Output types of region `r`. Shapes of its inputs may differ from what it was built with, element types may not.
Types region_types(const InferCtx& ctx, size_t r, const Types& in) {
  const Values own = ctx.region(r).inputs();
  for (size_t i = 0; i < std::min(own.size(), in.size()); ++i) {
    const Type& t = own[i].type();
    const bool same =
        t.kind == in[i].kind && (!t.is_tensor() || t.element == in[i].element || t.element == ElementType::dynamic ||
                                 in[i].element == ElementType::dynamic);
    ctx.check(same, "input " + std::to_string(i) + " of region " + std::to_string(r) + " is " + to_string(t) +
                        ", given is " + to_string(in[i]));
  }
  return ctx.region_types(r, in);
}

bool truth(const EvalCtx& ctx, const Tensor& t) {
  if (t.size() != 1) ctx.fail("the condition has " + std::to_string(t.size()) + " elements");
  return get_integer(t, 0) != 0;
}

// All pieces side by side along an axis, or stacked on a new first axis (-1).
Tensor collected(const EvalCtx& ctx, std::vector<Tensor> pieces, int64_t axis) {
  if (axis == -1) {
    for (Tensor& t : pieces) {
      Shape s = t.shape();
      s.insert(s.begin(), 1);
      t = t.reshaped(s);
    }
    axis = 0;
  }
  Shape shape = pieces[0].shape();
  const size_t a = axis_of(ctx, axis, shape.size());
  shape[a] = 0;
  for (const Tensor& t : pieces) {
    Shape s = t.shape();
    if (s.size() != shape.size() || t.element_type() != pieces[0].element_type())
      ctx.fail("scanned values differ in rank or type");
    std::swap(s[a], shape[a]);
    shape[a] += s[a];
    s[a] = shape[a];
    if (s != shape) ctx.fail("scanned values differ in shape");
  }
  return pieces[0].element_type() == ElementType::dynamic ? Tensor() : [&] {
    Tensor y(pieces[0].element_type(), shape);
    const auto strides = strides_of(shape);
    int64_t at = 0;
    for (const Tensor& t : pieces) {
      copy_strided(t, {0, strides_of(t.shape())}, y, {at, strides}, t.shape());
      at += t.shape()[a] * strides[a];
    }
    return y;
  }();
}

Types tail_types(const InferCtx& ctx, size_t first) {
  Types t;
  for (size_t i = first; i < ctx.num_inputs(); ++i) t.push_back(ctx.input(i));
  return t;
}
std::vector<Datum> tail(const EvalCtx& ctx, size_t first) {
  std::vector<Datum> d;
  for (size_t i = first; i < ctx.num_inputs(); ++i) d.push_back(ctx.datum(i));
  return d;
}

std::shared_ptr<const Graph> region(const char* text) {
  return std::make_shared<const Graph>(parse_graph(text));
}

}  // namespace

Types If::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_regions() == 2, "has " + std::to_string(ctx.num_regions()) + " regions instead of two");
  const Types in = tail_types(ctx, 1);
  // A condition that is known decides; the other region need not fit.
  if (const Tensor condition = ctx.constant(0)) return region_types(ctx, get_integer(condition, 0) != 0 ? 0 : 1, in);
  Types out = region_types(ctx, 0, in);
  const Types other = region_types(ctx, 1, in);
  ctx.check(out.size() == other.size(),
            "one region gives " + std::to_string(out.size()) + " values, the other " + std::to_string(other.size()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = common_type(out[i], other[i]);
  return out;
}
void If::eval(EvalCtx& ctx) const {
  auto out = ctx.run_region(truth(ctx, ctx.input(0)) ? 0 : 1, tail(ctx, 1));
  if (out.size() != ctx.num_outputs())
    ctx.fail("the region gives " + std::to_string(out.size()) + " values, wanted are " +
             std::to_string(ctx.num_outputs()));
  for (size_t i = 0; i < out.size(); ++i) ctx.set_output(i, std::move(out[i]));
}
Samples If::samples() {
  const auto twice = region("graph { %x = Parameter() : f32[2] %y = Add(%x, %x) Result(%y) }");
  const auto longer = region("graph { %x = Parameter() : f32[2] %y = Concat(%x, %x) Result(%y) }");
  Sample yes =
      sample(If{}, {Tensor::scalar<bool>(true), Tensor::of<float>({2}, {1, 2})}, {Tensor::of<float>({2}, {2, 4})});
  Sample no = sample(If{}, {Tensor::of<bool>({1}, {false}), Tensor::of<float>({2}, {1, 2})},
                     {Tensor::of<float>({4}, {1, 2, 1, 2})});
  yes.regions = no.regions = {twice, longer};
  return {yes, no};
}
HONE_DEFINE_OP(If)

Types Loop::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_regions() == 1, "has " + std::to_string(ctx.num_regions()) + " regions instead of one");
  const size_t carried = static_cast<size_t>(num_carried), scans = scan_outputs.size();
  ctx.check(num_carried >= 0 && ctx.num_inputs() >= 2 + carried,
            std::to_string(ctx.num_inputs()) + " inputs for " + std::to_string(num_carried) + " carried values");
  Types in{Type(ElementType::i64, PartialShape(Shape{})), Type(ElementType::boolean, PartialShape(Shape{}))};
  for (const Type& t : tail_types(ctx, 2)) in.push_back(t);
  Types out;
  // Types of carried values widen until they hold what the region gives back: each round loses a dimension or a rank,
  // so it ends.
  for (bool changed = true; changed;) {
    changed = false;
    out = region_types(ctx, 0, in);
    ctx.check(out.size() == 1 + carried + scans, "the region gives " + std::to_string(out.size()) +
                                                     " values, wanted are " + std::to_string(1 + carried + scans));
    for (size_t i = 0; i < carried; ++i) {
      Type wide = common_type(in[2 + i], out[1 + i]);
      if (wide == in[2 + i]) continue;
      in[2 + i] = std::move(wide);
      changed = true;
    }
  }
  // The number of iterations is known where no condition can end the loop early.
  Dimension trips;
  const Tensor count = ctx.has(0) ? ctx.constant(0) : Tensor(), start = ctx.has(1) ? ctx.constant(1) : Tensor();
  const Tensor again = ctx.region(0).outputs()[0].constant();
  if (ctx.has(1) && start && get_integer(start, 0) == 0)
    trips = Dimension(0);
  else if (count && (!ctx.has(1) || start) && again && get_integer(again, 0) != 0)
    trips = Dimension(std::max<int64_t>(get_integer(count, 0), 0));
  else if (const auto content = ctx.has(0) ? ctx.content(0) : std::nullopt;
           content && again && get_integer(again, 0) != 0 && (!ctx.has(1) || start))
    trips = content->at(0);
  ctx.check(ctx.has(0) || !again || get_integer(again, 0) == 0 || (start && get_integer(start, 0) == 0),
            "never ends: no trip count, and the condition stays true");
  Types result(in.begin() + 2, in.begin() + 2 + static_cast<std::ptrdiff_t>(carried));
  for (size_t s = 0; s < scans; ++s) {
    Type t = out[1 + carried + s];
    ctx.check(t.is_tensor(), "a scanned value is " + to_string(t));
    if (t.shape.rank_known()) {
      std::vector<Dimension> dims = t.shape.dims();
      if (scan_outputs[s] == -1) {
        dims.insert(dims.begin(), trips);
      } else {
        Dimension& d = dims[axis_of(ctx, scan_outputs[s], dims.size())];
        d = d.is_static() ? d * trips : Dimension();
      }
      t.shape = PartialShape(dims);
    }
    result.push_back(std::move(t));
  }
  return result;
}
void Loop::eval(EvalCtx& ctx) const {
  const size_t carried = static_cast<size_t>(num_carried), scans = scan_outputs.size();
  const int64_t trips = ctx.has(0) ? get_integer(ctx.input(0), 0) : INT64_MAX;
  bool condition = !ctx.has(1) || truth(ctx, ctx.input(1));
  std::vector<Datum> values = tail(ctx, 2);
  if (values.size() < carried)
    ctx.fail(std::to_string(values.size()) + " values for " + std::to_string(carried) + " carried ones");
  std::vector<std::vector<Tensor>> scanned(scans);
  for (int64_t i = 0; i < trips && condition; ++i) {
    std::vector<Datum> in{Tensor::scalar<int64_t>(i), Tensor::scalar<bool>(condition)};
    in.insert(in.end(), values.begin(), values.end());
    auto out = ctx.run_region(0, std::move(in));
    if (out.size() != 1 + carried + scans)
      ctx.fail("the region gives " + std::to_string(out.size()) + " values, wanted are " +
               std::to_string(1 + carried + scans));
    condition = truth(ctx, out[0].tensor());
    std::move(out.begin() + 1, out.begin() + 1 + static_cast<std::ptrdiff_t>(carried), values.begin());
    for (size_t s = 0; s < scans; ++s) scanned[s].push_back(out[1 + carried + s].tensor());
  }
  for (size_t i = 0; i < carried; ++i) ctx.set_output(i, values[i]);
  for (size_t s = 0; s < scans; ++s) {
    if (!scanned[s].empty()) {
      ctx.set_output(carried + s, collected(ctx, std::move(scanned[s]), scan_outputs[s]));
      continue;
    }
    // Not a single iteration: no elements along the axis of the scan.
    const Tensor blank = ctx.blank_region_output(0, 1 + carried + s);
    Shape shape = blank.shape();
    if (scan_outputs[s] == -1)
      shape.insert(shape.begin(), 0);
    else
      shape[axis_of(ctx, scan_outputs[s], shape.size())] = 0;
    ctx.set_output(carried + s, Tensor(blank.element_type(), shape));
  }
}
Samples Loop::samples() {
  // Runs three times: s += i, collecting s.
  const auto sums = region(R"(graph {
    %i = Parameter() : i64[] %c = Parameter() : boolean[] %s = Parameter() : f32[2]
    %f = Convert(%i) %t = Add(%s, %f) %true = Constant() {value=boolean[]{1}}
    Result(%true) Result(%t) Result(%t) })");
  Sample counted = sample(Loop{{-1}, 1}, {int_scalar(3), Datum(), Tensor::of<float>({2}, {0, 10})},
                          {Tensor::of<float>({2}, {3, 13}), Tensor::of<float>({3, 2}, {0, 10, 1, 11, 3, 13})});
  counted.regions = {sums};
  Sample joined = sample(Loop{{0}, 1}, {int_scalar(2), Datum(), Tensor::of<float>({2}, {0, 10})},
                         {Tensor::of<float>({2}, {1, 11}), Tensor::of<float>({4}, {0, 10, 1, 11})});
  joined.regions = {sums};
  Sample none = sample(Loop{{-1}, 1}, {int_scalar(0), Datum(), Tensor::of<float>({2}, {0, 10})},
                       {Tensor::of<float>({2}, {0, 10}), Tensor(ElementType::f32, {0, 2})});
  none.regions = {sums};
  // The carried value grows from run to run, until its sum passes a limit that does not change.
  const auto grows = region(R"(graph {
    %i = Parameter() : i64[] %c = Parameter() : boolean[] %v = Parameter() : f32[1] %limit = Parameter() : f32[]
    %w = Concat(%v, %v) %axes = Constant() {value=i64[1]{0}} %sum = ReduceSum(%w, %axes) %again = Less(%sum, %limit)
    Result(%again) Result(%w) })");
  Sample open = sample(Loop{{}, 1}, {Datum(), Tensor::scalar<bool>(true), Tensor::of<float>({1}, {1}), float_scalar(3)},
                       {Tensor::of<float>({4}, {1, 1, 1, 1})});
  open.regions = {grows};
  return {counted, joined, none, open};
}
HONE_DEFINE_OP(Loop)

Types Composite::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_regions() == 1, "has " + std::to_string(ctx.num_regions()) + " regions instead of one");
  return region_types(ctx, 0, tail_types(ctx, 0));
}
void Composite::eval(EvalCtx& ctx) const {
  auto out = ctx.run_region(0, tail(ctx, 0));
  for (size_t i = 0; i < out.size(); ++i) ctx.set_output(i, std::move(out[i]));
}
Samples Composite::samples() {
  Sample s = sample(Composite{"twice the square"}, {Tensor::of<float>({2}, {1, 3})}, {Tensor::of<float>({2}, {2, 18})});
  s.regions = {region("graph { %x = Parameter() : f32[2] %y = Multiply(%x, %x) %z = Add(%y, %y) Result(%z) }")};
  return {s};
}
HONE_DEFINE_OP(Composite)

}  // namespace hone
