#include "passes/strided_attention.hpp"

#include <algorithm>
#include <cmath>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/attention.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/strided_attention.hpp"
#include "passes/facts.hpp"
#include "passes/quantizers.hpp"
#include "passes/strided_view.hpp"

namespace hone {
namespace {

bool used_once(Value v) {
  return v.uses().size() == 1;
}

// A mask with the dimensions that the scores had where it was added. A boolean one says which scores stay, or go
// where it is inverted; the others become `gone`, which is so low that it drowns any score.
struct Mask {
  Value value;
  Shape scores;
  double gone = -INFINITY;
  bool inverted = false;
};
constexpr double drowns = -1e30;

struct Found {
  Node product;
  double factor = 1;
  std::vector<Mask> masks, late_masks;  // the late ones are added behind the quantizer
  Levels levels;                        // of the scores
};

// From what Softmax reads back to the product.
std::optional<Found> find_product(Value v, bool quantizers, int depth = 0) {
  const auto shape = static_shape(v);
  if (!shape || shape->size() < 2 || !used_once(v) || depth > 8) return std::nullopt;
  const Node n = v.node();
  if (n.is<MatMul>()) return Found{n, 1, {}, {}, {}};
  const auto reached = [&](Value in) -> std::optional<Found> {
    if (!in || in.constant() || in.element_type() != v.element_type()) return std::nullopt;
    return find_product(in, quantizers, depth + 1);
  };
  if (n.is<FakeQuantize>() && quantizers) {
    const auto levels = levels_of(n);
    auto f = levels ? reached(n.input(0)) : std::nullopt;
    if (!f || f->levels.step != 0) return std::nullopt;
    f->levels = *levels;
    return f;
  }
  if (n.is<Multiply>() || n.is<Divide>()) {
    for (size_t i = 0; i < (n.is<Divide>() ? 1u : 2u); ++i) {
      const auto c = splat_value(n.input(1 - i));
      if (!c || (n.is<Divide>() && *c == 0) || !same_shape(n.input(i).shape(), v.shape())) continue;
      auto f = reached(n.input(i));
      if (!f || !f->masks.empty() || f->levels.step != 0) continue;
      f->factor *= n.is<Divide>() ? 1 / *c : *c;
      return f;
    }
    return std::nullopt;
  }
  if (n.is<Add>()) {
    for (size_t i = 0; i < 2; ++i) {
      const Value mask = n.input(1 - i);
      if (!same_shape(n.input(i).shape(), v.shape()) || !static_shape(mask) || mask.element_type() != v.element_type())
        continue;
      auto f = reached(n.input(i));
      if (!f) continue;
      (f->levels.step != 0 ? f->late_masks : f->masks).push_back({mask, *shape});
      return f;
    }
    return std::nullopt;
  }
  if (n.is<Select>()) {
    for (size_t i = 1; i < 3; ++i) {
      const auto gone = splat_value(n.input(3 - i));
      if (!gone || !(*gone <= drowns) || !same_shape(n.input(i).shape(), v.shape()) || !static_shape(n.input(0)))
        continue;
      auto f = reached(n.input(i));
      if (!f) continue;
      (f->levels.step != 0 ? f->late_masks : f->masks).push_back({n.input(0), *shape, *gone, i == 2});
      return f;
    }
    return std::nullopt;
  }
  if (n.is<Reshape>() || n.is<Squeeze>() || n.is<Unsqueeze>()) {
    const auto from = static_shape(n.input(0));
    // Only the dimensions of the batch may change.
    if (!from || from->size() < 2 || !std::equal(from->end() - 2, from->end(), shape->end() - 2)) return std::nullopt;
    return reached(n.input(0));
  }
  return std::nullopt;
}

// All masks in one, with the dimensions of the product; false where that cannot be had.
bool sum_of_masks(Builder& b, const std::vector<Mask>& masks, const Shape& scores, ElementType e, Value& sum) {
  for (const Mask& m : masks) {
    Value v = m.value;
    if (v.element_type() == ElementType::boolean) {
      const auto number = [&](double x) { return b.constant(Tensor::scalar(static_cast<float>(x)).converted(e)); };
      const Value stays = number(0), gone = number(m.gone);
      v = m.inverted ? b(Select{}, v, gone, stays) : b(Select{}, v, stays, gone);
    }
    if (m.scores != scores) {
      if (!v.constant()) return false;
      v = b(Broadcast{}, v, b.ints(m.scores));
      v = b(Reshape{}, v, b.ints(scores));
    }
    sum = sum ? b(Add{}, sum, v) : v;
  }
  return true;
}

class Maker {
 public:
  Maker(Graph& g, const AttentionOptions& options) : g_(g), options_(options) {}

  size_t run() {
    size_t made = 0;
    for (NodeId id : g_.topological_order()) {
      if (!g_.alive(id)) continue;
      const Node n = g_.handle(id);
      if (n.is<MatMul>() && !g_.node(id).epilogue) {
        made += from_products(n);
      } else if (n.is<ScaledDotProductAttention>()) {
        made += from_operator(n);
      }
    }
    return made;
  }

 private:
  struct Parts {
    StridedView q, k, v;  // K as [.., S, E]
    Shape batch;
    double scale = 1;
    bool causal = false, zero_empty_rows = false;
    std::vector<Mask> masks, late_masks;
    Shape scores;
    Levels weight_levels, score_levels;
    Node guard;  // Select that gives zeros where the mask lets a row see nothing
  };

  bool from_products(Node root) {
    const auto& second = *root.as<MatMul>();
    const auto out = static_shape(root.output(0)), weights_shape = static_shape(root.input(0)),
               values = static_shape(root.input(1));
    if (second.transpose_a || !out || !weights_shape || !values || out->size() < 2 || values->size() != out->size() ||
        root.input(1).constant())
      return false;
    Parts p;
    Value weights = root.input(0);
    if (!used_once(weights)) return false;
    Node n = weights.node();
    if (n.is<Select>()) {
      // Select(IsNaN(w), 0, w)
      const Value w = n.input(2);
      const auto zero = splat_value(n.input(1));
      if (!zero || *zero != 0 || n.input(0).node().op().name != "IsNaN" || n.input(0).node().input(0).id != w.id ||
          w.uses().size() != 2 || !used_once(n.input(0)) || !same_shape(w.shape(), weights.shape()))
        return false;
      p.zero_empty_rows = true;
      weights = w;
      n = weights.node();
    }
    // The scores may come in other batch dimensions than the weights leave in.
    const auto quantizer = [&] {
      const auto levels = options_.quantizers && p.weight_levels.step == 0 ? levels_of(n) : std::nullopt;
      if (!levels || !used_once(n.input(0))) return false;
      p.weight_levels = *levels;
      return true;
    };
    while (n.is<Reshape>() || quantizer()) {
      const auto from = static_shape(n.input(0));
      if (!from || from->size() < 2 || !used_once(n.input(0)) ||
          !std::equal(from->end() - 2, from->end(), weights_shape->end() - 2))
        return false;
      n = n.input(0).node();
    }
    if (!n.is<Softmax>()) return false;
    const auto axis = positive_axes({n.as<Softmax>()->axis}, n.input(0).shape());
    if (!axis || (*axis)[0] != static_cast<int64_t>(n.input(0).shape().rank()) - 1) return false;
    auto found = find_product(n.input(0), options_.quantizers);
    if (!found || g_.node(found->product.id).epilogue) return false;
    const Node product = found->product;
    const auto& first = *product.as<MatMul>();
    const auto scores = static_shape(product.output(0)), qs = static_shape(product.input(0)),
               ks = static_shape(product.input(1));
    if (!scores || *scores != *weights_shape || !qs || !ks || qs->size() != scores->size() ||
        ks->size() != scores->size() || product.input(0).constant() || product.input(1).constant())
      return false;
    p.scale = found->factor;
    p.masks = found->masks;
    p.late_masks = found->late_masks;
    p.score_levels = found->levels;
    p.scores = *scores;
    p.q = view_of(product.input(0), options_.quantizers);
    p.k = view_of(product.input(1), options_.quantizers);
    p.v = view_of(root.input(1), options_.quantizers);
    if (first.transpose_a) swap_last(p.q);
    if (!first.transpose_b) swap_last(p.k);
    if (second.transpose_b) swap_last(p.v);
    p.batch.assign(scores->begin(), scores->end() - 2);
    if (Shape(out->begin(), out->end() - 2) != p.batch) return false;
    return replace(root, p);
  }

  bool from_operator(Node root) {
    const auto out = static_shape(root.output(0));
    Parts p;
    for (size_t i = 0; i < 3; ++i) {
      const auto s = static_shape(root.input(i));
      if (!out || !s || s->size() != out->size() || s->size() < 2) return false;
    }
    p.q = view_of(root.input(0), options_.quantizers);
    p.k = view_of(root.input(1), options_.quantizers);
    p.v = view_of(root.input(2), options_.quantizers);
    p.causal = root.as<ScaledDotProductAttention>()->causal;
    p.scale = 1 / std::sqrt(static_cast<double>(p.q.dims.back()));
    if (root.num_inputs() > 4 && root.input(4)) {
      const auto c = splat_value(root.input(4));
      if (!c) return false;
      p.scale = *c;
    }
    p.batch.assign(out->begin(), out->end() - 2);
    p.scores = p.batch;
    p.scores.insert(p.scores.end(), {p.q.dims[p.q.dims.size() - 2], p.k.dims[p.k.dims.size() - 2]});
    if (root.num_inputs() > 3 && root.input(3) && !p.causal) {
      const Value mask = root.input(3);
      if (!static_shape(mask) ||
          (mask.element_type() != root.input(0).element_type() && mask.element_type() != ElementType::boolean))
        return false;
      if (mask.element_type() != ElementType::boolean || splat_value(mask) != 1.0) p.masks.push_back({mask, p.scores});
      p.guard = guard_of(root.output(0), mask);
      p.zero_empty_rows = static_cast<bool>(p.guard);
    }
    return replace(root, p);
  }

  // Select(a row of the mask lets something through, y, 0), where y has no other reader.
  Node guard_of(Value y, Value mask) const {
    if (!used_once(y)) return {};
    const Node select = g_.handle(y.uses()[0].node);
    if (!select.is<Select>() || select.input(1).id != y.id || !same_shape(select.output(0).shape(), y.shape()))
      return {};
    const auto zero = splat_value(select.input(2));
    if (!zero || *zero != 0) return {};
    Node seen = select.input(0).node();
    const bool truth = mask.element_type() == ElementType::boolean;
    if (!truth) {
      const auto least = seen.is<Greater>() ? splat_value(seen.input(1)) : std::nullopt;
      if (!least || *least != -INFINITY) return {};
      seen = seen.input(0).node();
    }
    if (truth ? !seen.is<ReduceLogicalOr>() : !seen.is<ReduceMax>()) return {};
    const auto axes = known_ints(seen.input(1));
    const auto from = static_shape(seen.input(0)), to = static_shape(seen.output(0));
    if (!axes || axes->size() != 1 || !from || !to || from->empty() || to->size() != from->size() ||
        seen.input(0).id != mask.id)
      return {};
    return (*axes)[0] == -1 || (*axes)[0] == std::ssize(*from) - 1 ? select : Node{};
  }

  // The same view of what the quantizer with its levels leaves of its base.
  bool go_behind(StridedView& v) const {
    for (const Use& u : v.base.uses()) {
      const auto levels = u.index == 0 ? levels_of(g_.handle(u.node)) : std::nullopt;
      if (!levels || levels->step != v.levels.step || levels->low != v.levels.low || levels->high != v.levels.high)
        continue;
      v.base = g_.handle(u.node).output(0);
      return true;
    }
    return false;
  }

  static void swap_last(StridedView& v) {
    const size_t n = v.dims.size();
    std::swap(v.dims[n - 1], v.dims[n - 2]);
    std::swap(v.steps[n - 1], v.steps[n - 2]);
  }

  // offset, steps of the batch (none along dimensions that are broadcast), step of the rows
  static std::optional<std::vector<int64_t>> place(const StridedView& v, const Shape& batch) {
    const size_t n = v.dims.size();
    if (n != batch.size() + 2 || (v.steps[n - 1] != 1 && v.dims[n - 1] != 1)) return std::nullopt;
    std::vector<int64_t> out{v.offset};
    for (size_t i = 0; i < batch.size(); ++i) {
      if (v.dims[i] != batch[i] && v.dims[i] != 1) return std::nullopt;
      out.push_back(v.dims[i] == 1 ? 0 : v.steps[i]);
    }
    out.push_back(v.dims[n - 2] == 1 ? 0 : v.steps[n - 2]);
    return out;
  }

  static bool quantized(Value v) {
    const std::string_view op = v.node().op().name;
    return op == "FakeQuantize" || op == "Dequantize" || op == "Quantize";
  }

  bool replace(Node root, Parts& p) {
    const ElementType e = root.output(0).element_type();
    const bool rounded = p.q.levels.step != 0;
    // Where one reads what a quantizer left, the others do as well: all have one type then.
    const auto behind = [](const StridedView& v) { return v.base.node().is<FakeQuantize>(); };
    if (rounded && (behind(p.q) || behind(p.k) || behind(p.v))) {
      for (StridedView* v : {&p.q, &p.k, &p.v}) {
        if (!behind(*v) && !go_behind(*v)) return false;
      }
    }
    for (const StridedView* v : {&p.q, &p.k, &p.v}) {
      if ((v->levels.step != 0) != rounded || v->base.element_type() != e || !is_float(e) ||
          (!rounded && quantized(v->base)) || v->base.type().quantization)
        return false;
    }
    if ((p.weight_levels.step != 0) != rounded || (p.score_levels.step != 0 && !rounded)) return false;
    const size_t rank = p.batch.size() + 2;
    StridedAttention op;
    if (rounded) {
      for (const Levels& l : {p.q.levels, p.k.levels, p.v.levels, p.weight_levels, p.score_levels}) {
        if (l.step != 0) op.levels.insert(op.levels.end(), {l.step, l.low, l.high});
      }
    }
    op.batch = p.batch;
    op.sizes = {p.q.dims[rank - 2], p.k.dims[rank - 2], p.q.dims[rank - 1], p.v.dims[rank - 1]};
    const auto q = place(p.q, p.batch), k = place(p.k, p.batch), v = place(p.v, p.batch);
    if (!q || !k || !v || p.v.factor != 1) return false;
    op.query = *q;
    op.key = *k;
    op.value = *v;
    op.scale = p.scale * p.q.factor * p.k.factor;
    op.causal = p.causal;
    op.zero_empty_rows = p.zero_empty_rows;

    // The result, turned where that is all that its one reader does.
    Value last = root.output(0);
    Shape shape = last.shape().to_shape();
    op.shape = shape;
    std::vector<int64_t> steps = dense_steps(shape);
    if (p.guard) last = p.guard.output(0);
    Node quantizer;  // of the result; it rounds the same numbers behind the transposition
    if (used_once(last)) {
      const Node reader = g_.handle(last.uses()[0].node);
      if (rounded && levels_of(reader) && reader.input(0).id == last.id) {
        quantizer = reader;
        last = reader.output(0);
      }
    }
    if (used_once(last)) {
      const Node reader = g_.handle(last.uses()[0].node);
      const auto order = reader.is<Transpose>() ? known_ints(reader.input(1)) : std::nullopt;
      if (order && order->size() == rank && order->back() == static_cast<int64_t>(rank) - 1) {
        for (size_t i = 0; i < rank; ++i) op.shape[i] = shape[static_cast<size_t>((*order)[i])];
        const auto turned = dense_steps(op.shape);
        for (size_t i = 0; i < rank; ++i) steps[static_cast<size_t>((*order)[i])] = turned[i];
        last = reader.output(0);
      }
    }
    op.result = {0};
    op.result.insert(op.result.end(), steps.begin(), steps.end() - 1);

    Transaction t(g_);
    Builder b(g_);
    b.set_name(root.name());
    b.set_provenance(g_.node(root.id).provenance);
    try {
      Value mask, late_mask;
      if (!sum_of_masks(b, p.masks, p.scores, e, mask) || !sum_of_masks(b, p.late_masks, p.scores, e, late_mask))
        return false;
      Values inputs{p.q.base, p.k.base, p.v.base, mask};
      if (late_mask) inputs.push_back(late_mask);
      Value y = b(std::move(op), inputs);
      const auto names = last.names();
      if (options_.accepts && !options_.accepts(g_, y.node().id)) return false;
      if (quantizer) {
        b.set_name(quantizer.name());
        y = b(*quantizer.as<FakeQuantize>(), y, quantizer.input(1), quantizer.input(2), quantizer.input(3),
              quantizer.input(4));
      }
      g_.replace_uses(last.id, y.id);
      if (!names.empty()) g_.set_names(y.id, names);
    } catch (const Error&) {
      return false;
    }
    t.commit();
    return true;
  }

  Graph& g_;
  const AttentionOptions& options_;
};

}  // namespace

size_t make_strided_attention(Graph& g, const AttentionOptions& options) {
  return Maker(g, options).run();
}

Pass strided_attention_pass(AttentionOptions options) {
  Pass pass;
  pass.name = "strided_attention";
  pass.run = [options = std::move(options)](Graph& g, PassContext& ctx) {
    const size_t n = make_strided_attention(g, options);
    ctx.result.fused += n;
    return n;
  };
  return pass;
}

}  // namespace hone
