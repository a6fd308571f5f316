#include "ops/arrays.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// Three-way order of elements `a` and `b`; NaN is the largest and equals itself.
int compare(const Tensor& t, size_t a, size_t b) {
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (t.element_type() == ElementType::string) return order(t.strings()[a], t.strings()[b]);
  if (t.element_type() == ElementType::u64) return order(t.data<uint64_t>()[a], t.data<uint64_t>()[b]);
  if (!is_float(t.element_type())) return order(get_integer(t, a), get_integer(t, b));
  const double x = get_element(t, a), y = get_element(t, b);
  if (std::isnan(x) || std::isnan(y)) return order(std::isnan(x), std::isnan(y));
  return order(x, y);
}

}  // namespace

Types Unique::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  Dimension all(1);
  if (in.rank_known()) {
    for (const Dimension& d : in) all = all * d;
  }
  PartialShape values = PartialShape::dynamic(1);
  Dimension slices = in.rank_known() ? all : Dimension();
  if (ctx.has(1)) {
    const Tensor axis = ctx.constant(1);
    values = in.rank_known() ? in : PartialShape();
    slices = Dimension();
    if (in.rank_known() && axis) {
      Dimension& d = values[axis_of(ctx, get_integer(axis, 0), in.rank())];
      slices = d;
      d = Dimension(std::min<int64_t>(1, d.min()), d.max());
    } else if (in.rank_known()) {
      values = PartialShape::dynamic(in.rank());
    }
  }
  const Dimension found(std::min<int64_t>(1, slices.min()), slices.max());
  if (!ctx.has(1)) values = PartialShape{found};
  return {Type(ctx.element(0), values), Type(index_element_type, PartialShape{found}),
          Type(index_element_type, PartialShape{slices}), Type(count_element_type, PartialShape{found})};
}
void Unique::eval(EvalCtx& ctx) const {
  Tensor x = ctx.input(0);
  size_t a = 0;
  if (ctx.has(1))
    a = axis_of(ctx, get_integer(ctx.input(1), 0), x.rank());
  else
    x = x.reshaped({static_cast<int64_t>(x.size())});
  const auto n = static_cast<size_t>(x.shape()[a]);
  size_t outer = 1, inner = 1;
  for (size_t k = 0; k < a; ++k) outer *= static_cast<size_t>(x.shape()[k]);
  for (size_t k = a + 1; k < x.rank(); ++k) inner *= static_cast<size_t>(x.shape()[k]);
  const auto slices = [&](size_t p, size_t q) {
    for (size_t o = 0; o < outer; ++o) {
      for (size_t i = 0; i < inner; ++i) {
        if (const int c = compare(x, (o * n + p) * inner + i, (o * n + q) * inner + i)) return c;
      }
    }
    return 0;
  };
  std::vector<size_t> order(n), group(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t p, size_t q) { return slices(p, q) < 0; });
  std::vector<size_t> first;  // of each group; the sort is stable, so it is the lowest index
  std::vector<int64_t> count;
  for (size_t i = 0; i < n; ++i) {
    if (i == 0 || slices(order[i - 1], order[i]) != 0) {
      first.push_back(order[i]);
      count.push_back(0);
    }
    group[order[i]] = first.size() - 1;
    ++count.back();
  }
  std::vector<size_t> place(first.size());  // of each group in the result
  std::vector<size_t> listed(first.size());
  std::iota(listed.begin(), listed.end(), 0);
  if (!sorted) std::sort(listed.begin(), listed.end(), [&](size_t p, size_t q) { return first[p] < first[q]; });
  for (size_t i = 0; i < listed.size(); ++i) place[listed[i]] = i;
  const auto found = static_cast<int64_t>(first.size());
  Shape shape = x.shape();
  shape[a] = found;
  std::vector<std::vector<int64_t>> maps(x.rank());
  for (size_t k = 0; k < x.rank(); ++k) {
    for (int64_t i = 0; i < shape[k]; ++i)
      maps[k].push_back(k == a ? static_cast<int64_t>(first[listed[static_cast<size_t>(i)]]) : i);
  }
  Tensor values = ctx.output(0, x.element_type(), shape), indices = ctx.output(1, index_element_type, {found});
  Tensor inverse = ctx.output(2, index_element_type, {static_cast<int64_t>(n)}),
         counts = ctx.output(3, count_element_type, {found});
  copy_mapped(x, values, maps);
  for (size_t i = 0; i < listed.size(); ++i) {
    set_integer(indices, i, static_cast<int64_t>(first[listed[i]]));
    set_integer(counts, i, count[listed[i]]);
  }
  for (size_t i = 0; i < n; ++i) set_integer(inverse, i, static_cast<int64_t>(place[group[i]]));
}
Samples Unique::samples() {
  const Tensor x = Tensor::of<float>({6}, {2, 1, 1, 3, 4, 3}),
               rows = Tensor::of<float>({3, 3}, {1, 0, 0, 1, 0, 0, 2, 3, 4});
  return {sample(Unique{}, {x},
                 {Tensor::of<float>({4}, {1, 2, 3, 4}), int_tensor({1, 0, 3, 4}), int_tensor({1, 0, 0, 2, 3, 2}),
                  int_tensor({2, 1, 2, 1})}),
          sample(Unique{false}, {x},
                 {Tensor::of<float>({4}, {2, 1, 3, 4}), int_tensor({0, 1, 3, 4}), int_tensor({0, 1, 1, 2, 3, 2}),
                  int_tensor({1, 2, 2, 1})}),
          sample(Unique{true, ElementType::i32, ElementType::i32}, {rows, int_scalar(0)},
                 {Tensor::of<float>({2, 3}, {1, 0, 0, 2, 3, 4}), Tensor::of<int32_t>({2}, {0, 2}),
                  Tensor::of<int32_t>({3}, {0, 0, 1}), Tensor::of<int32_t>({2}, {2, 1})}),
          sample(Unique{}, {rows, int_scalar(-1)},
                 {Tensor::of<float>({3, 3}, {0, 0, 1, 0, 0, 1, 3, 4, 2}), int_tensor({1, 2, 0}), int_tensor({2, 0, 1}),
                  int_tensor({1, 1, 1})}),
          sample(Unique{}, {Tensor::strings({2, 2}, {"b", "a", "b", "b"})},
                 {Tensor::strings({2}, {"a", "b"}), int_tensor({1, 0}), int_tensor({1, 0, 1, 1}), int_tensor({1, 3})})};
}
HONE_DEFINE_OP(Unique)

Types Eye::infer(InferCtx& ctx) const {
  std::vector<Dimension> out;
  if (ctx.has(3)) {
    const auto batch = known_elements(ctx, 3);
    if (!batch) return {Type(output_type, PartialShape::dynamic())};
    out = *batch;
  }
  for (size_t i : {0, 1}) {
    const auto size = known_elements(ctx, i);
    out.push_back(size && !size->empty() ? (*size)[0] : Dimension());
  }
  return {Type(output_type, PartialShape(out))};
}
void Eye::eval(EvalCtx& ctx) const {
  Shape shape = ctx.has(3) ? ctx.input(3).to_ints() : Shape{};
  const int64_t batch = element_count(shape), rows = get_integer(ctx.input(0), 0),
                columns = get_integer(ctx.input(1), 0), shift = ctx.has(2) ? get_integer(ctx.input(2), 0) : 0;
  shape.insert(shape.end(), {rows, columns});
  Tensor y = ctx.output(0, output_type, shape);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t c = r + shift;
      if (c >= 0 && c < columns) set_integer(y, static_cast<size_t>((b * rows + r) * columns + c), 1);
    }
  }
}
Samples Eye::samples() {
  return {sample(Eye{}, {int_scalar(2), int_scalar(3), int_scalar(1)}, {Tensor::of<float>({2, 3}, {0, 1, 0, 0, 0, 1})}),
          sample(Eye{ElementType::i64}, {int_scalar(2), int_scalar(2), int_scalar(-1), int_tensor({2})},
                 {Tensor::of<int64_t>({2, 2, 2}, {0, 0, 1, 0, 0, 0, 1, 0})}),
          sample(Eye{ElementType::boolean}, {int_scalar(1), int_scalar(2), int_scalar(5)},
                 {Tensor::of<bool>({1, 2}, {false, false})})};
}
HONE_DEFINE_OP(Eye)

Types BitCast::infer(InferCtx& ctx) const {
  const ElementType from = ctx.element(0);
  ctx.check(from == ElementType::dynamic || bit_width(from) == bit_width(destination_type),
            std::string(name_of(from)) + " and " + name_of(destination_type) + " differ in width");
  return {Type(destination_type, ctx.shape(0))};
}
void BitCast::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.element_type() == ElementType::string || bit_width(x.element_type()) != bit_width(destination_type))
    ctx.fail(std::string(name_of(x.element_type())) + " and " + name_of(destination_type) + " differ in width");
  Tensor y = ctx.output(0, destination_type, x.shape());
  if (x.byte_size() > 0) std::memcpy(y.raw(), x.raw(), x.byte_size());
}
Samples BitCast::samples() {
  return {sample(BitCast{}, {Tensor::of<float>({2}, {1, -2})},
                 {Tensor::of<int32_t>({2}, {0x3F800000, static_cast<int32_t>(0xC0000000)})}),
          sample(BitCast{ElementType::i16}, {Tensor::of<uint16_t>({1, 2}, {1, 65535})},
                 {Tensor::of<int16_t>({1, 2}, {1, -1})})};
}
HONE_DEFINE_OP(BitCast)

}  // namespace hone
