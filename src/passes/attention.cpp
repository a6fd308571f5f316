#include "ops/attention.hpp"

#include <algorithm>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

// Key [.., S, E] where the product reads it as [.., E, S]: a transposition that is there already turns once more and
// merges.
Value key_of(Builder& b, Value k, bool transposed) {
  if (transposed) return k;
  const PartialShape s = k.shape();
  if (!s.rank_known() || s.rank() < 2 || !k.node().is<Transpose>()) return {};
  std::vector<int64_t> order;
  for (size_t i = 0; i < s.rank(); ++i) order.push_back(static_cast<int64_t>(i));
  std::swap(order[s.rank() - 1], order[s.rank() - 2]);
  return b(Transpose{}, k, b.ints(order));
}

// softmax(Q K^T * scale + mask) V with the scale on the scores, or on Q or K (which stay as they are), or nowhere.
Rule attention(bool scaled, bool masked) {
  const auto q = any(), k = any(), v = any(), mask = any(), scale = constant();
  const auto product = op<MatMul>(q, k);
  const auto scores = scaled ? op<Multiply>(product, scale) : product;
  const auto shifted = masked ? op<Add>(scores, mask) : scores;
  const auto softmax = op<Softmax>(shifted);
  const auto root = op<MatMul>(softmax, v);
  const std::string name = std::string("attention") + (scaled ? "_scaled" : "") + (masked ? "_masked" : "");
  return rule(name, root, [=](const Match& m, Builder& b) -> Value {
    const auto &first = m.as<MatMul>(product), &second = m.as<MatMul>(root);
    const PartialShape shape = m[product].shape();
    if (first.transpose_a || second.transpose_a || second.transpose_b || !shape.rank_known() || shape.rank() < 3)
      return {};
    if (!is_float(m[q].element_type()) || !m[v].shape().rank_known() || m[v].shape().rank() != shape.rank()) return {};
    const auto axis = positive_axes({m.as<Softmax>(softmax).axis}, shape);
    if (!axis || (*axis)[0] != static_cast<int64_t>(shape.rank()) - 1) return {};
    double factor = 1;
    if (scaled) {
      const auto c = splat_value(m[scale]);
      if (!c) return {};
      factor = *c;
    }
    if (masked && (!same_shape(m[shifted].shape(), shape) || m[mask].element_type() != m[q].element_type())) return {};
    // Weights on either side: a plain product, not attention.
    if (m[k].node().is<Constant>() || m[v].node().is<Constant>()) return {};
    const Value key = key_of(b, m[k], first.transpose_b);
    if (!key) return {};
    return b(ScaledDotProductAttention{}, Values{m[q], key, m[v], masked ? m[mask] : Value{}, b.like(m[q], factor)});
  });
}

}  // namespace

Pass recognize_attention_pass() {
  return rules_pass("recognize_attention",
                    {attention(true, true), attention(true, false), attention(false, true), attention(false, false)},
                    true);
}

}  // namespace hone
