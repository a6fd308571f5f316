// Convolutions of the same input whose results are added are one convolution with the sum of their weights: blocks that
// were trained as several branches (RepVGG, MobileOne) and exported so.
#include <algorithm>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/movement.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

int64_t entry(const std::vector<int64_t>& v, size_t i, int64_t missing) {
  return i < v.size() ? v[i] : missing;
}

// A convolution with constant weights that nobody else reads. The attributes of both kinds have the same names.
struct Branch {
  Node node;
  size_t term;
  Shape kernel;  ///< with groups and channels before the windows
  size_t spatial;
  Convolution op;
};

std::optional<Branch> branch_of(Value v, size_t term) {
  const Node n = v.node();
  Branch branch{n, term, {}, 0, {}};
  if (const auto* c = n.as<Convolution>()) {
    branch.op = *c;
  } else if (const auto* g = n.as<GroupConvolution>()) {
    branch.op = {g->strides, g->pads_begin, g->pads_end, g->dilations, g->auto_pad};
  } else {
    return std::nullopt;
  }
  if (v.uses().size() != 1 || n.graph->node(n.id).epilogue || branch.op.auto_pad != AutoPad::explicit_)
    return std::nullopt;
  const Value w = n.input(1);
  if (!w.node().is<Constant>() || !w.shape().is_static() || !is_float(w.element_type())) return std::nullopt;
  branch.kernel = w.shape().to_shape();
  branch.spatial = branch.kernel.size() - (n.is<GroupConvolution>() ? 3 : 2);
  return branch;
}

// Do the windows of `small` lie in the middle of those of `large`, so that both have the same results? The padding of
// the kernel to get there, or nullopt.
std::optional<std::vector<int64_t>> room(const Branch& small, const Branch& large) {
  if (small.node.op().name != large.node.op().name || small.node.input(0) != large.node.input(0) ||
      small.kernel.size() != large.kernel.size() ||
      small.node.input(1).element_type() != large.node.input(1).element_type())
    return std::nullopt;
  const size_t first = small.kernel.size() - small.spatial;
  if (!std::equal(small.kernel.begin(), small.kernel.begin() + int64_t(first), large.kernel.begin()))
    return std::nullopt;
  std::vector<int64_t> around(small.kernel.size(), 0);
  for (size_t i = 0; i < small.spatial; ++i) {
    const int64_t a = small.kernel[first + i], b = large.kernel[first + i], more = (b - a) / 2;
    const Convolution &s = small.op, &l = large.op;
    if (a > b || (b - a) % 2 != 0 || entry(s.strides, i, 1) != entry(l.strides, i, 1)) return std::nullopt;
    if (a == b ? entry(s.dilations, i, 1) != entry(l.dilations, i, 1)
               : entry(s.dilations, i, 1) != 1 || entry(l.dilations, i, 1) != 1)
      return std::nullopt;
    if (entry(s.pads_begin, i, 0) + more != entry(l.pads_begin, i, 0) ||
        entry(s.pads_end, i, 0) + more != entry(l.pads_end, i, 0))
      return std::nullopt;
    around[first + i] = more;
  }
  return around;
}

// The terms of a sum, through additions that nobody else reads and that do not broadcast a full term.
void collect(Value v, bool root, Values& terms) {
  const Node n = v.node();
  const auto whole = [&](size_t i) { return same_shape(n.input(i).shape(), v.shape()); };
  if (n.is<Add>() && !n.graph->node(n.id).epilogue && (root || v.uses().size() == 1) && (whole(0) || whole(1)) &&
      terms.size() < 64) {
    collect(n.input(0), false, terms);
    collect(n.input(1), false, terms);
  } else {
    terms.push_back(v);
  }
}

Rule sum_of_convolutions() {
  const auto root = op<Add>();
  return rule("sum_of_convolutions", root, [=](const Match& m, Builder& b) -> Value {
    const Value y = m.root().output(0);
    // The outermost addition sees all terms.
    if (y.uses().size() == 1 && Node{m.root().graph, y.uses()[0].node}.is<Add>()) return {};
    Values terms;
    collect(y, true, terms);
    std::vector<Branch> branches;
    for (size_t i = 0; i < terms.size(); ++i) {
      if (auto branch = branch_of(terms[i], i)) branches.push_back(std::move(*branch));
    }
    // Larger windows first: they take in the smaller ones.
    std::stable_sort(branches.begin(), branches.end(), [](const Branch& x, const Branch& y) {
      return element_count(x.kernel) > element_count(y.kernel);
    });
    bool merged = false;
    std::vector<bool> gone(terms.size(), false);
    for (size_t i = 0; i < branches.size(); ++i) {
      const Branch& large = branches[i];
      if (gone[large.term] || !same_shape(terms[large.term].shape(), y.shape())) continue;
      Value weights = large.node.input(1);
      bool alone = true;
      for (size_t k = i + 1; k < branches.size(); ++k) {
        const Branch& small = branches[k];
        const auto around = gone[small.term] ? std::nullopt : room(small, large);
        if (!around) continue;
        Value w = small.node.input(1);
        if (small.kernel != large.kernel) w = b(Pad{}, w, b.ints(*around), b.ints(*around), b.like(w, 0));
        weights = b(Add{}, weights, w);
        gone[small.term] = true;
        alone = false;
      }
      if (alone) continue;
      const Node n = large.node;
      terms[large.term] = b.add(n.op(), b.graph().node(n.id).attributes, {n.input(0), weights}).output(0);
      merged = true;
    }
    if (!merged) return {};
    // Biases meet each other first: constants fold. Then they meet the convolution in front of them.
    Value bias, sum;
    for (size_t i = 0; i < terms.size(); ++i) {
      if (!gone[i] && !same_shape(terms[i].shape(), y.shape())) bias = bias ? b(Add{}, bias, terms[i]) : terms[i];
    }
    for (size_t i = 0; i < terms.size(); ++i) {
      if (gone[i] || !same_shape(terms[i].shape(), y.shape())) continue;
      Value term = terms[i];
      if (bias && (term.node().is<Convolution>() || term.node().is<GroupConvolution>())) {
        term = b(Add{}, term, bias);
        bias = {};
      }
      sum = sum ? b(Add{}, sum, term) : term;
    }
    return bias ? b(Add{}, sum, bias) : sum;
  });
}

}  // namespace

Pass merge_branches_pass() {
  return rules_pass("merge_branches", {sum_of_convolutions()});
}

}  // namespace hone
