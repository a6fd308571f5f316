#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

bool is_real(Value v) {
  return is_float(v.element_type()) && !v.type().quantization;
}

// x - c = x + (-c), exactly.
Rule subtract_constant() {
  const auto x = any(), c = constant();
  return rule("subtract_constant_to_add", op<Subtract>(x, c), [=](const Match& m, Builder& b) -> Value {
    if (!is_real(m[x]) || m[x].node().is<Constant>()) return {};
    // Zero points of compressed weights stay.
    if (m[x].node().is<Convert>() && is_integer(m[x].node().input(0).element_type())) return {};
    return b(Add{}, m[x], b(Negative{}, m[c]));
  });
}

// x / c = x * (1 / c): off by half a unit in the last place at most, once for 1/c and once for the product.
Rule divide_by_constant() {
  const auto x = any(), c = constant();
  return rule("divide_by_constant_to_multiply", op<Divide>(x, c), [=](const Match& m, Builder& b) -> Value {
    if (!is_real(m[x]) || m[x].node().is<Constant>()) return {};
    const Tensor t = m[c].constant();
    const double tiny = std::numeric_limits<float>::min();
    for (size_t i = 0; i < t.size(); ++i) {
      const double v = std::fabs(get_element(t, i));
      if (!(v > tiny && v < 1 / tiny)) return {};
    }
    return b(Multiply{}, m[x], b(Divide{}, b.like(m[c], 1), m[c]));
  });
}

Rule power_of_constant() {
  const auto x = any(), c = constant();
  return rule("power_of_constant", op<Power>(x, c), [=](const Match& m, Builder& b) -> Value {
    const auto e = splat_value(m[c]);
    if (!e || !is_real(m[x]) || m[x].node().is<Constant>() || !same_shape(m[x].shape(), m.root().output().shape()))
      return {};
    if (*e == 2) return b(Multiply{}, m[x], m[x]);
    if (*e == 3) return b(Multiply{}, b(Multiply{}, m[x], m[x]), m[x]);
    if (*e == 0.5) return b(Sqrt{}, m[x]);
    if (*e == -1) return b(Divide{}, b.like(m[x], 1), m[x]);
    if (*e == -0.5) return b(Divide{}, b.like(m[x], 1), b(Sqrt{}, m[x]));
    return {};
  });
}

// Minima and maxima with constants are Clamp; Clamp from 0 without an upper end is Relu.
std::vector<Rule> clamps() {
  std::vector<Rule> r;
  const double inf = std::numeric_limits<double>::infinity();
  const auto clamp = [](Builder& b, Value x, double low, double high) -> Value {
    const bool open = high >= std::numeric_limits<float>::max();
    if (low == 0 && open) return b(Relu{}, x);
    // A half-open interval ends at the largest float, so that attributes stay finite.
    const double end = static_cast<double>(std::numeric_limits<float>::max());
    return b(Clamp{std::max(low, -end), std::min(high, end)}, x);
  };
  {
    const auto x = any(), c = constant();
    r.push_back(rule("maximum_to_clamp", op<Maximum>(x, c), [=](const Match& m, Builder& b) -> Value {
      const auto v = splat_value(m[c]);
      if (!v || !is_real(m[x]) || m[x].node().is<Constant>() || !same_shape(m[x].shape(), m.root().output().shape()))
        return {};
      return clamp(b, m[x], *v, inf);
    }));
  }
  {
    const auto x = any(), c = constant();
    r.push_back(rule("minimum_to_clamp", op<Minimum>(x, c), [=](const Match& m, Builder& b) -> Value {
      const auto v = splat_value(m[c]);
      if (!v || !is_real(m[x]) || m[x].node().is<Constant>() || !same_shape(m[x].shape(), m.root().output().shape()))
        return {};
      return clamp(b, m[x], -inf, *v);
    }));
  }
  {
    const auto x = any();
    const auto inner = op<Clamp, Relu>(x);
    const auto outer = op<Clamp, Relu>(inner);
    r.push_back(rule("clamp_twice", outer, [=](const Match& m, Builder& b) -> Value {
      const auto range = [&](Node n) {
        const auto* c = n.as<Clamp>();
        return c ? std::pair(c->min, c->max) : std::pair(0.0, inf);
      };
      const auto [l1, h1] = range(m.node(inner));
      const auto [l2, h2] = range(m.node(outer));
      const double low = std::max(l1, l2), high = std::min(h1, h2);
      return low <= high ? clamp(b, m[x], low, high) : Value{};
    }));
  }
  r.push_back(rule("clamp_from_zero_to_relu", op<Clamp>(), [=](const Match& m, Builder& b) -> Value {
    const auto& c = *m.root().as<Clamp>();
    const bool open = c.max >= std::numeric_limits<float>::max();
    return c.min == 0 && open && is_real(m.root().input(0)) ? b(Relu{}, m.root().input(0)) : Value{};
  }));
  return r;
}

// The constant that reshapes to `shape`, with at most one unknown dimension.
Value target_shape(Builder& b, const PartialShape& shape) {
  if (!shape.rank_known()) return {};
  std::vector<int64_t> out;
  bool unknown = false, zero = false;
  for (const Dimension& d : shape.dims()) {
    if (d.is_dynamic() && unknown) return {};
    unknown |= d.is_dynamic();
    zero |= d == Dimension(0);
    out.push_back(d.is_dynamic() ? -1 : d.min());
  }
  return unknown && zero ? Value{} : b.ints(out);
}

// Reshape, Squeeze, Unsqueeze: with a known result all are Reshape to a constant, and two in a row are one.
Rule reshape_chain() {
  const auto x = any();
  const auto inner = op<Reshape, Squeeze, Unsqueeze>(x).more_inputs().shared();
  const auto outer = op<Reshape, Squeeze, Unsqueeze>(inner).more_inputs();
  return rule("reshape_twice", outer, [=](const Match& m, Builder& b) -> Value {
    if (m[inner].uses().size() != 1 && !is_real(m[x])) return {};  // shape arithmetic is folded elsewhere
    const Value target = target_shape(b, m[outer].shape());
    return target ? b(Reshape{}, m[x], target) : Value{};
  });
}

std::optional<std::vector<int64_t>> transpose_order(Node n) {
  if (!n.input(1)) return std::nullopt;
  auto order = known_ints(n.input(1));
  if (order && order->empty() && n.input(0).shape().rank_known()) {
    for (size_t i = n.input(0).shape().rank(); i-- > 0;) order->push_back(static_cast<int64_t>(i));
  }
  return order;
}

Rule transpose_chain() {
  const auto x = any();
  const auto inner = op<Transpose>(x, any()).shared(), outer = op<Transpose>(inner, any());
  return rule("transpose_twice", outer, [=](const Match& m, Builder& b) -> Value {
    const auto p = transpose_order(m.node(inner)), q = transpose_order(m.node(outer));
    if (!p || !q || p->size() != q->size()) return {};
    std::vector<int64_t> order;
    for (int64_t axis : *q) order.push_back((*p)[static_cast<size_t>(axis)]);
    return is_identity(order) ? m[x] : b(Transpose{}, m[x], b.ints(order));
  });
}

// A transpose that only moves dimensions of size 1 is a reshape.
Rule transpose_of_ones() {
  const auto x = any();
  const auto t = op<Transpose>(x, any());
  return rule("transpose_of_ones_to_reshape", t, [=](const Match& m, Builder& b) -> Value {
    const auto order = transpose_order(m.node(t));
    const PartialShape s = m[x].shape();
    if (!order || !s.rank_known() || s.rank() != order->size() || is_identity(*order)) return {};
    int64_t last = -1;
    for (int64_t axis : *order) {
      if (s[static_cast<size_t>(axis)] == Dimension(1)) continue;
      if (axis < last) return {};
      last = axis;
    }
    const Value target = target_shape(b, m[t].shape());
    return target ? b(Reshape{}, m[x], target) : Value{};
  });
}

// An image [N, C, D...] as a list of its pixels [N, D..., C] and back: where exporters flatten first and then swap the
// last two axes, the swap is a change between the two orders of an image instead, which costs nothing beside operators
// that take pixels.
struct PixelList {
  bool fits = false;
  std::vector<int64_t> image_shape;  ///< N, D..., C; a batch that is not known is -1
};

PixelList pixel_list(const PartialShape& image, const PartialShape& flat) {
  if (!image.rank_known() || !flat.rank_known() || image.rank() < 4 || flat.rank() != 3) return {};
  if (image[0] != flat[0] || !flat[1].is_static() || image[1] != flat[1]) return {};
  PixelList list{true, {image[0].is_static() ? image[0].min() : -1}};
  for (size_t i = 2; i < image.rank(); ++i) {
    if (!image[i].is_static() || image[i].min() < 1) return {};
    list.image_shape.push_back(image[i].min());
  }
  list.image_shape.push_back(image[1].min());
  return list;
}

bool swaps_last_of_three(const std::optional<std::vector<int64_t>>& order) {
  return order && *order == std::vector<int64_t>{0, 2, 1};
}

Rule image_to_pixels() {
  const auto x = any();
  const auto flat = op<Reshape>(x, any()).shared();
  const auto root = op<Transpose>(flat, any());
  return rule("image_to_pixels", root, [=](const Match& m, Builder& b) -> Value {
    const PartialShape s = m[x].shape();
    if (!swaps_last_of_three(transpose_order(m.node(root))) || !pixel_list(s, m[flat].shape()).fits) return {};
    const Value target = target_shape(b, m[root].shape());
    if (!target) return {};
    std::vector<int64_t> order{0};
    for (size_t i = 2; i < s.rank(); ++i) order.push_back(static_cast<int64_t>(i));
    order.push_back(1);
    return b(Reshape{}, b(Transpose{}, m[x], b.ints(order)), target);
  });
}

Rule pixels_to_image() {
  const auto x = any();
  const auto swapped = op<Transpose>(x, any());
  const auto root = op<Reshape>(swapped, any());
  return rule("pixels_to_image", root, [=](const Match& m, Builder& b) -> Value {
    const PartialShape s = m[root].shape();
    const PixelList list = pixel_list(s, m[swapped].shape());
    if (!swaps_last_of_three(transpose_order(m.node(swapped))) || !list.fits) return {};
    std::vector<int64_t> order{0, static_cast<int64_t>(s.rank()) - 1};
    for (size_t i = 1; i + 1 < s.rank(); ++i) order.push_back(static_cast<int64_t>(i));
    return b(Transpose{}, b(Reshape{}, m[x], b.ints(list.image_shape)), b.ints(order));
  });
}

// Channels cut into groups, groups and channels swapped, put together again.
Rule shuffle_of_channels() {
  const auto x = any();
  const auto cut = op<Reshape>(x, any()), swapped = op<Transpose>(cut, any()), root = op<Reshape>(swapped, any());
  return rule("reshapes_to_shuffle_channels", root, [=](const Match& m, Builder& b) -> Value {
    const PartialShape &s = m[x].shape(), &c = m[cut].shape();
    const auto order = transpose_order(m.node(swapped));
    if (!s.rank_known() || s.rank() < 3 || !c.rank_known() || c.rank() != s.rank() + 1 || !order) return {};
    if (!s[1].is_static() || !c[1].is_static() || !c[2].is_static() || c[1].min() * c[2].min() != s[1].min()) return {};
    if (s[0] != c[0] || !same_shape(s, m[root].shape())) return {};
    for (size_t i = 2; i < s.rank(); ++i) {
      if (!s[i].is_static() || s[i] != c[i + 1]) return {};
    }
    for (size_t i = 0; i < order->size(); ++i) {
      const size_t expected = i == 1 ? 2 : i == 2 ? 1 : i;
      if ((*order)[i] != static_cast<int64_t>(expected)) return {};
    }
    return b(ShuffleChannels{1, c[1].min()}, m[x]);
  });
}

// MatMul reads either order: a transpose of the last two axes is a flag.
Rule transpose_into_matmul(size_t index) {
  const auto x = any(), other = any();
  const auto t = op<Transpose>(x, any()).shared();
  const auto mm = index == 0 ? op<MatMul>(t, other) : op<MatMul>(other, t);
  return rule(index == 0 ? "transpose_into_matmul_a" : "transpose_into_matmul_b", mm,
              [=](const Match& m, Builder& b) -> Value {
                auto order = transpose_order(m.node(t));
                if (!order || order->size() < 2) return {};
                std::swap((*order)[order->size() - 1], (*order)[order->size() - 2]);
                if (!is_identity(*order)) return {};
                MatMul attributes = m.as<MatMul>(mm);
                (index == 0 ? attributes.transpose_a : attributes.transpose_b) ^= true;
                return index == 0 ? b(attributes, m[x], m[other]) : b(attributes, m[other], m[x]);
              });
}

// Rows of a product (and its bias) reshaped: the reshape moves to the factor, so that what follows the product meets
// it.
Rule reshape_of_product(bool with_bias) {
  const auto a = any(), w = any(), bias = weights();
  const auto product = op<MatMul>(a, w);
  const auto root = op<Reshape>(with_bias ? op<Add>(product, bias) : product, any());
  return rule(with_bias ? "reshape_before_matmul_and_bias" : "reshape_before_matmul", root,
              [=](const Match& m, Builder& b) -> Value {
                const PartialShape in = m[a].shape(), out = m[root].shape(), weights = m[w].shape(),
                                   rows = m[product].shape();
                if (!in.rank_known() || in.rank() != 2 || !weights.rank_known() || weights.rank() != 2 ||
                    !out.rank_known() || out.rank() < 3)
                  return {};
                if (m.as<MatMul>(product).transpose_a || !in[1].is_static() || !out[out.rank() - 1].same(rows[1]))
                  return {};
                if (with_bias && !spreads_along(m[bias], rows, 1)) return {};
                PartialShape factor = out;
                factor[out.rank() - 1] = in[1];
                const Value target = target_shape(b, factor);
                if (!target) return {};
                const Value y = b(m.as<MatMul>(product), b(Reshape{}, m[a], target), m[w]);
                return with_bias ? b(Add{}, y, on_axis(b, m[bias], out.rank() - 1, out.rank())) : y;
              });
}

// Zeros around an image are the convolution's own padding.
template <class Op>
Rule pad_into_convolution(const char* name) {
  const auto x = any(), w = any();
  const auto pad = op<Pad>(x, constant(), constant()).more_inputs();
  const auto conv = op<Op>(pad, w);
  return rule(name, conv, [=](const Match& m, Builder& b) -> Value {
    const Node p = m.node(pad);
    const auto begin = known_ints(p.input(1)), end = known_ints(p.input(2));
    Op op = m.template as<Op>(conv);
    if (!begin || !end || begin->size() != end->size() || begin->size() < 3 ||
        p.as<Pad>()->pad_mode != PadMode::constant)
      return {};
    if (p.input(3) && splat_value(p.input(3)) != 0.0) return {};
    if (op.auto_pad != AutoPad::explicit_ && op.auto_pad != AutoPad::valid) return {};
    const size_t space = begin->size() - 2;
    if (op.auto_pad == AutoPad::valid) op.pads_begin.clear(), op.pads_end.clear();
    op.auto_pad = AutoPad::explicit_;
    op.pads_begin.resize(space, 0), op.pads_end.resize(space, 0);
    for (size_t i = 0; i < begin->size(); ++i) {
      if ((*begin)[i] < 0 || (*end)[i] < 0 || (i < 2 && ((*begin)[i] != 0 || (*end)[i] != 0))) return {};
      if (i >= 2) op.pads_begin[i - 2] += (*begin)[i], op.pads_end[i - 2] += (*end)[i];
    }
    return b(std::move(op), m[x], m[w]);
  });
}

// Norms of rows, as sums that kernels know.
Rule norm_of_rows() {
  const auto x = any(), axes = any();
  const auto norm = op<ReduceL2>(x, axes);
  return rule("norm_to_root_of_sum", norm, [=](const Match& m, Builder& b) -> Value {
    if (m[x].element_type() != ElementType::f32 || m[x].type().quantization) return {};
    return b(Sqrt{}, b(ReduceSum{m.as<ReduceL2>(norm).keep_dims}, b(Multiply{}, m[x], m[x]), m[axes]));
  });
}

// Average over all of space in pooling's spelling.
Rule global_average() {
  return rule("global_average_pool_to_reduce_mean", op<AvgPool>(), [](const Match& m, Builder& b) -> Value {
    const Node n = m.root();
    const auto& a = *n.as<AvgPool>();
    const PartialShape s = n.input(0).shape();
    if (!s.rank_known() || s.rank() != a.kernel.size() + 2 || a.auto_pad == AutoPad::same_lower ||
        a.auto_pad == AutoPad::same_upper)
      return {};
    const auto zero = [](const std::vector<int64_t>& v) {
      return std::all_of(v.begin(), v.end(), [](int64_t p) { return p == 0; });
    };
    if (a.auto_pad == AutoPad::explicit_ && (!zero(a.pads_begin) || !zero(a.pads_end))) return {};
    std::vector<int64_t> axes;
    for (size_t i = 0; i < a.kernel.size(); ++i) {
      if (s[i + 2] != Dimension(a.kernel[i])) return {};
      axes.push_back(static_cast<int64_t>(i + 2));
    }
    return b(ReduceMean{true}, n.input(0), b.ints(axes));
  });
}

}  // namespace

Pass normal_forms_pass() {
  auto r = clamps();
  for (Rule& one : std::vector<Rule>{
           subtract_constant(), divide_by_constant(), power_of_constant(), reshape_chain(), transpose_chain(),
           transpose_of_ones(), image_to_pixels(), pixels_to_image(), shuffle_of_channels(), transpose_into_matmul(0),
           transpose_into_matmul(1), reshape_of_product(false), reshape_of_product(true),
           pad_into_convolution<Convolution>("pad_into_convolution"),
           pad_into_convolution<GroupConvolution>("pad_into_group_convolution"), norm_of_rows(), global_average()}) {
    r.push_back(std::move(one));
  }
  return rules_pass("normal_forms", std::move(r));
}

}  // namespace hone
