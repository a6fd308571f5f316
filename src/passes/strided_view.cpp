#include "passes/strided_view.hpp"

#include <algorithm>
#include <cmath>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "passes/facts.hpp"
#include "passes/quantizers.hpp"

namespace hone {

using View = StridedView;

std::optional<Shape> static_shape(Value v) {
  if (!v || !v.type().is_tensor() || !v.shape().is_static()) return std::nullopt;
  return v.shape().to_shape();
}

std::optional<Levels> levels_of(Node n) {
  const auto form = n.is<FakeQuantize>() ? activation_form(n) : std::nullopt;
  if (!form || form->quantization->scales.size() != 1) return std::nullopt;
  const double zero = form->quantization->zero_point(0);
  return Levels{form->quantization->scales[0], static_cast<double>(form->low) - zero,
                static_cast<double>(form->high) - zero};
}

std::vector<int64_t> dense_steps(const Shape& s) {
  std::vector<int64_t> steps(s.size(), 1);
  for (size_t i = s.size(); i-- > 1;) steps[i - 1] = steps[i] * s[i];
  return steps;
}

namespace {

constexpr int most_steps = 12;  // back from an operand

// The same elements in the same order as `to`, where no group of dimensions has to be copied for it.
bool reshape(View& v, const Shape& to) {
  if (element_count(v.dims) != element_count(to) || element_count(to) == 0) return false;
  std::vector<int64_t> steps(to.size(), 0);
  size_t from = 0, at = 0;
  while (from < v.dims.size() || at < to.size()) {
    // The shortest stretch of dimensions with equal products.
    const size_t from0 = from, at0 = at;
    int64_t have = from < v.dims.size() ? v.dims[from++] : 1, want = at < to.size() ? to[at++] : 1;
    while (have != want) {
      if (have < want) {
        if (from == v.dims.size()) return false;
        have *= v.dims[from++];
      } else {
        if (at == to.size()) return false;
        want *= to[at++];
      }
    }
    // It must lie evenly.
    int64_t inner = 0;
    for (size_t i = from; i-- > from0;) {
      if (v.dims[i] == 1) continue;
      if (inner == 0) {
        inner = v.steps[i];
      } else {
        size_t next = i + 1;
        while (v.dims[next] == 1) ++next;
        if (v.steps[i] != v.steps[next] * v.dims[next]) return false;
      }
    }
    int64_t step = inner;
    for (size_t i = at; i-- > at0;) {
      steps[i] = step;
      step *= to[i];
    }
  }
  v.dims = to;
  v.steps = steps;
  return true;
}

bool slice(View& v, Node n) {
  const auto start = known_ints(n.input(1)), stop = known_ints(n.input(2)), step = known_ints(n.input(3));
  if (!start || !stop || !step || start->size() != stop->size() || start->size() != step->size()) return false;
  std::vector<int64_t> axes;
  if (n.num_inputs() > 4 && n.input(4)) {
    const auto given = known_ints(n.input(4));
    if (!given) return false;
    const auto positive = positive_axes(*given, n.input(0).shape());
    if (!positive) return false;
    axes = *positive;
  } else {
    for (size_t i = 0; i < start->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  }
  const auto out = static_shape(n.output(0));
  if (axes.size() != start->size() || !out) return false;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<size_t>(axes[i]);
    if ((*step)[i] < 1 || a >= v.dims.size()) return false;
    int64_t begin = (*start)[i];
    if (begin < 0) begin += v.dims[a];
    begin = std::clamp<int64_t>(begin, 0, v.dims[a]);
    if (begin >= v.dims[a]) return false;
    v.offset += begin * v.steps[a];
    v.steps[a] *= (*step)[i];
  }
  v.dims = *out;
  return true;
}

bool take(View& v, Node n) {
  const auto index = known_ints(n.input(1)), axis = known_ints(n.input(2));
  const auto indices = static_shape(n.input(1));
  if (!index || index->size() != 1 || !axis || axis->size() != 1 || !indices || n.as<Gather>()->batch_dims != 0)
    return false;
  const auto positive = positive_axes(*axis, n.input(0).shape());
  if (!positive) return false;
  const auto a = static_cast<size_t>((*positive)[0]);
  const int64_t i = (*index)[0] < 0 ? (*index)[0] + v.dims[a] : (*index)[0];
  if (i < 0 || i >= v.dims[a]) return false;
  v.offset += i * v.steps[a];
  v.dims[a] = 1;
  const auto out = static_shape(n.output(0));
  return out && reshape(v, *out);
}

bool part(View& v, Node n, size_t output) {
  const auto axis = known_ints(n.input(1));
  if (!axis || axis->size() != 1) return false;
  const auto positive = positive_axes(*axis, n.input(0).shape());
  if (!positive) return false;
  const auto a = static_cast<size_t>((*positive)[0]);
  for (size_t o = 0; o < output; ++o) {
    const auto s = static_shape(n.output(o));
    if (!s) return false;
    v.offset += (*s)[a] * v.steps[a];
  }
  const auto out = static_shape(n.output(output));
  if (!out) return false;
  v.dims = *out;
  return true;
}

// The view behind a quantizer. Of two in a row the second must leave the levels of the first as they are.
bool round_view(View& v, Node quantizer) {
  auto levels = levels_of(quantizer);
  if (!levels || v.factor <= 0) return false;
  levels->step /= v.factor;
  if (v.levels.step != 0) {
    return std::fabs(v.levels.step - levels->step) < 1e-4 * levels->step && levels->low <= v.levels.low &&
           levels->high >= v.levels.high;
  }
  v.levels = *levels;
  return true;
}

View view_of(Value v, bool quantizers, int steps) {
  View whole;
  whole.base = v;
  whole.dims = v.shape().to_shape();
  whole.steps = dense_steps(whole.dims);
  const Node n = v.node();
  if (steps == 0 || n.num_inputs() == 0 || !n.input(0) || !static_shape(n.input(0))) return whole;
  if (n.is<Multiply>()) {
    for (size_t i = 0; i < 2; ++i) {
      const auto c = splat_value(n.input(i));
      const Value other = n.input(1 - i);
      if (!c || !same_shape(other.shape(), v.shape()) || other.element_type() != v.element_type()) continue;
      View scaled = view_of(other, quantizers, steps - 1);
      scaled.factor *= *c;
      return scaled;
    }
    return whole;
  }
  if (n.is<FakeQuantize>() && quantizers) {
    View in = view_of(n.input(0), quantizers, steps - 1);
    if (round_view(in, n)) return in;
    // Of two quantizers with different levels the first one stays where it is.
    View behind = view_of(n.input(0), false, steps - 1);
    return behind.base.node().is<FakeQuantize>() && round_view(behind, n) ? behind : whole;
  }
  const bool moves = n.is<Reshape>() || n.is<Squeeze>() || n.is<Unsqueeze>() || n.is<Transpose>() || n.is<Slice>() ||
                     n.is<Gather>() || n.is<Split>() || n.is<VariadicSplit>();
  if (!moves || n.input(0).constant()) return whole;
  View in = view_of(n.input(0), quantizers, steps - 1);
  bool good = false;
  if (n.is<Transpose>()) {
    auto order = known_ints(n.input(1));
    if (order && order->empty()) {
      for (size_t i = in.dims.size(); i-- > 0;) order->push_back(static_cast<int64_t>(i));
    }
    if (order && order->size() == in.dims.size()) {
      const View old = in;
      for (size_t i = 0; i < order->size(); ++i) {
        in.dims[i] = old.dims[static_cast<size_t>((*order)[i])];
        in.steps[i] = old.steps[static_cast<size_t>((*order)[i])];
      }
      good = true;
    }
  } else if (n.is<Slice>()) {
    good = slice(in, n);
  } else if (n.is<Gather>()) {
    good = take(in, n);
  } else if (n.is<Split>() || n.is<VariadicSplit>()) {
    good = part(in, n, v.index());
  } else {
    good = reshape(in, whole.dims);
  }
  return good && in.dims == whole.dims ? in : whole;
}

}  // namespace

StridedView view_of(Value v, bool quantizers) {
  return view_of(v, quantizers, most_steps);
}

}  // namespace hone
