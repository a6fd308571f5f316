#include "ops/cost.hpp"

#include <algorithm>

#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/normalization.hpp"

namespace hone {
namespace {

int64_t length(const Dimension& d) {
  return std::max<int64_t>(1, d.min());
}

int64_t elements(const PartialShape& s, size_t from = 0) {
  if (!s.rank_known()) return 1;
  int64_t n = 1;
  for (size_t i = from; i < s.rank(); ++i) n *= length(s[i]);
  return n;
}

}  // namespace

int64_t multiply_accumulates(const Graph& g, NodeId id) {
  const Node n = g.handle(id);
  if (n.is<Convolution>() && n.input(1).shape().rank_known())
    return elements(n.output().shape()) * elements(n.input(1).shape(), 1);
  if (n.is<GroupConvolution>() && n.input(1).shape().rank_known())
    return elements(n.output().shape()) * elements(n.input(1).shape(), 2);
  if (n.is<ConvolutionBackpropData>() && n.input(1).shape().rank_known())
    return elements(n.input(0).shape()) * elements(n.input(1).shape(), 1);
  if (n.is<GroupConvolutionBackpropData>() && n.input(1).shape().rank_known())
    return elements(n.input(0).shape()) * elements(n.input(1).shape(), 2);
  if (const auto* m = n.as<MatMul>()) {
    const PartialShape& a = n.input(0).shape();
    if (!a.rank_known() || a.rank() == 0) return 0;
    const size_t k = m->transpose_a && a.rank() > 1 ? a.rank() - 2 : a.rank() - 1;
    return elements(n.output().shape()) * length(a[k]);
  }
  return 0;
}

int64_t multiply_accumulates(const Graph& g) {
  int64_t total = 0;
  for (NodeId id : g.topological_order()) {
    total += multiply_accumulates(g, id);
    for (const Region& r : g.node(id).regions) total += multiply_accumulates(*r);
  }
  return total;
}

int64_t parameter_count(const Graph& g) {
  int64_t total = 0;
  for (NodeId id : g.topological_order()) {
    const Node n = g.handle(id);
    const auto* c = n.as<Constant>();
    const auto* v = n.as<Variable>();
    if (v && v->trainable) total += static_cast<int64_t>(v->value.size());
    if (c && (is_float(c->value.element_type()) || bit_width(c->value.element_type()) <= 8) && c->value.rank() > 0) {
      const auto& uses = n.output().uses();
      const bool statistic = !uses.empty() && std::all_of(uses.begin(), uses.end(), [&](const Use& u) {
        return g.handle(u.node).is<BatchNormInference>() && u.index >= 3;
      });
      if (!statistic) total += static_cast<int64_t>(c->value.size());
    }
    for (const Region& r : g.node(id).regions) total += parameter_count(*r);
  }
  return total;
}

}  // namespace hone
