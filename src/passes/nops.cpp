#include <algorithm>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"
#include "ops/resize.hpp"
#include "ops/unary.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

bool all_equal(const std::optional<std::vector<int64_t>>& v, int64_t n) {
  return v && std::all_of(v->begin(), v->end(), [n](int64_t x) { return x == n; });
}

// `Op(x, ...)` is `x` where `holds` says so and the types are the same.
template <class Op>
Rule nop(const char* name, std::function<bool(Node)> holds = {}) {
  return rule(name, op<Op>(), [holds = std::move(holds)](const Match& m, Builder&) -> Value {
    const Node n = m.root();
    const Value x = n.input(0);
    if (!x || !same_type(x, n.output(0)) || (holds && !holds(n))) return {};
    for (size_t i = 1; i < n.num_outputs(); ++i) {
      if (!n.output(i).uses().empty()) return {};
    }
    return x;
  });
}

// A binary operator whose other operand is the neutral element.
template <class Op>
Rule neutral(const char* name, double element, bool commutes) {
  return rule(name, op<Op>(), [=](const Match& m, Builder&) -> Value {
    const Node n = m.root();
    for (size_t i = 0; i < (commutes ? 2u : 1u); ++i) {
      if (splat_value(n.input(1 - i)) == element && same_type(n.input(i), n.output(0))) return n.input(i);
    }
    return {};
  });
}

bool is_one_element_window(const std::vector<int64_t>& kernel, const std::vector<int64_t>& strides,
                           const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
  const auto all = [](const std::vector<int64_t>& v, int64_t n) {
    return std::all_of(v.begin(), v.end(), [n](int64_t x) { return x == n; });
  };
  return all(kernel, 1) && all(strides, 1) && all(begin, 0) && all(end, 0);
}

// Every number of `from` is a number of `to`.
bool widens(ElementType from, ElementType to) {
  if (from == to) return true;
  if (is_float(from) && is_float(to))
    return (to == ElementType::f64) || (to == ElementType::f32 && from != ElementType::f64);
  if (is_integer(from) && is_integer(to)) {
    return is_signed(from) ? is_signed(to) && bit_width(to) >= bit_width(from) : bit_width(to) > bit_width(from);
  }
  if (is_integer(from) && to == ElementType::f32) return bit_width(from) <= 16;
  if (is_integer(from) && to == ElementType::f64) return bit_width(from) <= 32;
  return false;
}

template <class Op>
Rule involution(const char* name) {
  const auto x = any();
  const auto inner = op<Op>(x).shared();
  return rule(name, op<Op>(inner), [=](const Match& m, Builder&) { return m[x]; });
}

// Select whose condition is known and the same everywhere.
Rule select_one_side() {
  return rule("select_one_side", op<Select>(), [](const Match& m, Builder&) -> Value {
    const Node n = m.root();
    const auto condition = splat_value(n.input(0));
    if (!condition) return {};
    const Value side = n.input(*condition != 0 ? 1 : 2);
    return same_type(side, n.output(0)) ? side : Value{};
  });
}

std::vector<Rule> rules() {
  std::vector<Rule> r;
  r.push_back(select_one_side());
  r.push_back(nop<Convert>("convert_to_same_type"));
  r.push_back(nop<Reorder>("reorder_to_same_layout"));
  r.push_back(nop<Reshape>("reshape_to_same_shape"));
  r.push_back(nop<Squeeze>("squeeze_nothing"));
  r.push_back(nop<Unsqueeze>("unsqueeze_nothing"));
  r.push_back(nop<Broadcast>("broadcast_to_same_shape"));
  r.push_back(nop<SumToShape>("sum_to_same_shape"));
  r.push_back(nop<Tile>("tile_once", [](Node n) { return all_equal(known_ints(n.input(1)), 1); }));
  r.push_back(nop<Transpose>("transpose_identity", [](Node n) {
    const auto order = known_ints(n.input(1));
    return n.output(0).shape().rank() <= 1 || (order && !order->empty() && is_identity(*order));
  }));
  r.push_back(nop<Pad>("pad_nothing", [](Node n) {
    return all_equal(known_ints(n.input(1)), 0) && all_equal(known_ints(n.input(2)), 0);
  }));
  r.push_back(nop<Concat>("concat_of_one", [](Node n) { return n.num_inputs() == 1; }));
  r.push_back(nop<Split>("split_into_one", [](Node n) { return n.num_outputs() == 1; }));
  r.push_back(nop<VariadicSplit>("variadic_split_into_one", [](Node n) { return n.num_outputs() == 1; }));
  r.push_back(nop<Slice>("slice_of_everything", [](Node n) { return all_equal(known_ints(n.input(3)), 1); }));
  r.push_back(nop<StridedSlice>("strided_slice_of_everything",
                                [](Node n) { return !n.input(3) || all_equal(known_ints(n.input(3)), 1); }));
  r.push_back(nop<Reverse>("reverse_nothing", [](Node n) { return n.as<Reverse>()->axes.empty(); }));
  r.push_back(nop<ShuffleChannels>("shuffle_one_group", [](Node n) { return n.as<ShuffleChannels>()->group == 1; }));
  r.push_back(nop<DepthToSpace>("depth_to_space_of_one", [](Node n) { return n.as<DepthToSpace>()->block_size == 1; }));
  r.push_back(nop<SpaceToDepth>("space_to_depth_of_one", [](Node n) { return n.as<SpaceToDepth>()->block_size == 1; }));
  // Reductions of one element each.
  r.push_back(nop<ReduceSum>("reduce_sum_of_one"));
  r.push_back(nop<ReduceMean>("reduce_mean_of_one"));
  r.push_back(nop<ReduceMax>("reduce_max_of_one"));
  r.push_back(nop<ReduceMin>("reduce_min_of_one"));
  r.push_back(nop<ReduceProd>("reduce_prod_of_one"));
  r.push_back(nop<MaxPool>("max_pool_of_one", [](Node n) {
    const auto& a = *n.as<MaxPool>();
    return is_one_element_window(a.kernel, a.strides, a.pads_begin, a.pads_end);
  }));
  r.push_back(nop<AvgPool>("avg_pool_of_one", [](Node n) {
    const auto& a = *n.as<AvgPool>();
    return is_one_element_window(a.kernel, a.strides, a.pads_begin, a.pads_end);
  }));
  r.push_back(nop<Interpolate>("interpolate_to_same_size", [](Node n) {
    const auto& a = *n.as<Interpolate>();
    // tf_half_pixel_for_nn shifts by half a pixel even at scale 1.
    if (a.coordinate_transformation_mode == CoordinateMode::tf_half_pixel_for_nn) return false;
    if (a.shape_calculation_mode == ShapeCalculation::scales && splat_value(n.input(1)) != 1.0) return false;
    const auto zero = [](const std::vector<int64_t>& v) {
      return std::all_of(v.begin(), v.end(), [](int64_t p) { return p == 0; });
    };
    return zero(a.pads_begin) && zero(a.pads_end);
  }));
  r.push_back(neutral<Add>("add_zero", 0, true));
  r.push_back(neutral<Subtract>("subtract_zero", 0, false));
  r.push_back(neutral<Multiply>("multiply_by_one", 1, true));
  r.push_back(neutral<Divide>("divide_by_one", 1, false));
  r.push_back(neutral<Power>("power_of_one", 1, false));
  r.push_back(rule("dropout_in_inference", op<Dropout>(), [](const Match& m, Builder&) -> Values {
    const Node n = m.root();
    const auto& a = *n.as<Dropout>();
    if (a.training && a.probability != 0) return {};
    Values out(n.num_outputs());
    out[0] = n.input(0);
    if (out.size() > 1 && !a.training) out[1] = n.input(1);
    for (size_t i = 1; i < out.size(); ++i) {
      if (!out[i] && !n.output(i).uses().empty()) return {};
    }
    return out;
  }));
  r.push_back(involution<Negative>("negative_twice"));
  r.push_back(involution<LogicalNot>("not_twice"));
  {
    const auto x = any();
    const auto inner = op<Relu, Sigmoid, Clamp, Abs, Sqrt>(x).shared().where([](Value v) {
      const auto* clamp = v.node().as<Clamp>();
      return !clamp || clamp->min >= 0;
    });
    r.push_back(rule("relu_of_non_negative", op<Relu>(inner), [=](const Match& m, Builder&) { return m[inner]; }));
  }
  {
    const auto x = any();
    const auto inner = op<Convert>(x).shared().where(
        [](Value v) { return widens(v.node().input(0).element_type(), v.element_type()); });
    const auto outer = op<Convert>(inner);
    r.push_back(rule("convert_of_widened", outer, [=](const Match& m, Builder& b) -> Value {
      if (m[x].element_type() == m[outer].element_type()) return m[x];
      // Float to integer saturates; from an integer it wraps or saturates by width: only float targets are surely the
      // same.
      if (!is_float(m[outer].element_type()) && !is_float(m[x].element_type())) return {};
      return b(m.as<Convert>(outer), m[x]);
    }));
  }
  return r;
}

}  // namespace

Pass remove_nops_pass() {
  return rules_pass("remove_nops", rules());
}

}  // namespace hone
