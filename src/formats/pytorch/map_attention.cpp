// Attention.
#include <algorithm>
#include <cmath>

#include "formats/pytorch/mapping.hpp"
#include "ops/attention.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::pytorch {
namespace {

// Each head of keys and values serves a group of heads of the query.
Value repeated_heads(NodeContext& n, Value kv, Value query) {
  const size_t rank = n.rank(kv);
  if (rank < 3) return kv;
  const Dimension have = kv.shape()[rank - 3], want = query.shape()[rank - 3];
  if (have.is_dynamic() || want.is_dynamic()) n.refuse("needs to know the number of heads");
  const int64_t times = want.get_length() / std::max<int64_t>(1, have.get_length());
  if (times == 1) return kv;
  const auto axis = static_cast<int64_t>(rank) - 2;
  std::vector<int64_t> counts(rank + 1, 1);
  counts[rank - 2] = times;
  const Value y = n(Tile{}, n.unsqueeze(kv, {axis}), n.ints_constant(counts));
  Values shape;
  if (rank > 3) shape.push_back(n.dims(kv, 0, static_cast<int64_t>(rank) - 3));
  shape.push_back(n.ints_constant({want.get_length()}));
  shape.push_back(n.dims(kv, static_cast<int64_t>(rank) - 2, static_cast<int64_t>(rank)));
  return n.reshape_to(y, n.concat(shape, 0));
}

Values attention(NodeContext& n) {
  const Value q = n.in("query");
  Value k = n.in("key"), v = n.in("value");
  if (n.f("dropout_p", 0) > 0) n.refuse("with dropout was exported in training mode; call model.eval() first");
  if (n.flag("enable_gqa", false)) {
    k = repeated_heads(n, k, q);
    v = repeated_heads(n, v, q);
  }
  ScaledDotProductAttention op;
  op.causal = n.flag("is_causal", false);
  Value mask = n.has("attn_mask") ? n.in("attn_mask") : n.opt("attn_bias");
  if (mask && mask.element_type() != ElementType::boolean) mask = n.cast(mask, q.element_type());
  Value scale;
  if (n.has("scale")) scale = n.number("scale", q.element_type());
  Values in{q, k, v};
  if (mask || scale) in.push_back(mask);
  if (scale) in.push_back(scale);
  const Value y = n.all(op, in)[0];
  if (!mask || op.causal) return {y};
  // PyTorch gives zeros for a row that may look at no key, softmax itself would give not a number.
  const Value seen = mask.element_type() == ElementType::boolean
                         ? n(ReduceLogicalOr{true}, mask, n.ints_constant({-1}))
                         : n(Greater{}, n(ReduceMax{true}, mask, n.ints_constant({-1})), n.like(mask, -INFINITY));
  return {n(Select{}, seen, y, n.like(y, 0))};
}

constexpr OperatorRow rows[] = {
    {"_scaled_dot_product_efficient_attention", attention},
    {"_scaled_dot_product_flash_attention", attention},
    {"_scaled_dot_product_flash_attention_for_cpu", attention},
    {"scaled_dot_product_attention", attention},
};

}  // namespace

std::span<const OperatorRow> attention_rows() {
  return rows;
}

}  // namespace hone::pytorch
