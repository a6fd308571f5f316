#include "grad/clip_units.hpp"

#include <algorithm>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

constexpr double least_weight = 1e-3, least_gradient = 1e-6;

// The axes of the outputs in a weight, by what reads it; none where that does not tell.
std::vector<size_t> output_axes(const Value& weight) {
  Value v = weight;
  for (;;) {
    if (v.uses().empty()) return {};
    const Use use = v.uses().front();
    const Node n = v.graph->handle(use.node);
    const size_t rank = v.shape().rank();
    if (n.is<Convert>()) {
      v = n.output();
      continue;
    }
    if (const auto* m = n.as<MatMul>(); m && rank >= 2)
      return {use.index == 1 ? (m->transpose_b ? rank - 2 : rank - 1) : (m->transpose_a ? rank - 1 : rank - 2)};
    if (use.index != 1) return {};
    if (n.is<Convolution>()) return {0};
    if (n.is<GroupConvolution>()) return {0, 1};
    if (n.is<ConvolutionBackpropData>()) return {1};
    if (n.is<GroupConvolutionBackpropData>()) return {0, 2};
    return {};
  }
}

}  // namespace

Value clip_units(Builder& b, Value weight, Value gradient, double ratio) {
  const auto kept = output_axes(weight);
  std::vector<int64_t> axes;
  for (size_t i = 0; i < weight.shape().rank(); ++i) {
    if (std::find(kept.begin(), kept.end(), i) == kept.end()) axes.push_back(static_cast<int64_t>(i));
  }
  const Value over = b.ints(axes);
  const auto length = [&](Value v, double least) { return b(Maximum{}, b(ReduceL2{true}, v, over), b.like(v, least)); };
  const Value allowed = b(Multiply{}, length(weight, least_weight), b.like(weight, ratio));
  const Value scale = b(Minimum{}, b(Divide{}, allowed, length(gradient, least_gradient)), b.like(gradient, 1));
  return b(Multiply{}, gradient, scale);
}

}  // namespace hone
