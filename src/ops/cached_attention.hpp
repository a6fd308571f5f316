// Attention to a cache of keys and values in bytes, as language models use it a token at a time.
//
// The cache of a layer is four states: keys and values of 8 bits, and a scale for each token and head of either. A step
// puts its tokens into the cache (CacheUpdate, in place where the states are assigned what it gives), then attends to
// all of them (CachedAttention). Room for S tokens is there from the beginning; how many there are is data, so one
// program serves every step.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Puts new tokens into a cache. Inputs: cache i8 [B, heads, S, E], its scales f32 [B, heads, S], tokens [B, heads, L,
/// E], position of the first of them (i32 or i64, one number or [B]). Outputs: cache and scales with L rows replaced. A
/// row x becomes round(x * 127 / max|x|) with the scale max|x| / 127. Tokens that do not fit are an error.
struct CacheUpdate {
  static void fields(auto&, auto&&) {}
  HONE_OP("CacheUpdate") HONE_NO_GRAD("the cache is of integers")
};

/// softmax(Q K^T * scale) V on a cache. Inputs: query [B, H, L, E], keys i8 [B, G, S, E], their scales f32 [B, G, S]
/// (optional: all 1), values i8 [B, G, S, V], their scales (the same), number of tokens in the cache (i32 or i64, one
/// number or [B]). H is a multiple of G: head h reads keys and values h / (H / G). The queries are the last L of the
/// tokens, or, where there are fewer than L, the first ones: with `causal` row i sees max(tokens - L, 0) + i + 1 keys,
/// else each row all tokens. Output [B, H, L, V] of the query's type. Fewer than 1 or more than S keys are an error.
struct CachedAttention {
  double scale = 0;  ///< 0: 1 / sqrt(E)
  bool causal = true;
  static void fields(auto& o, auto&& f) {
    f("scale", o.scale);
    f("causal", o.causal);
  }
  HONE_OP("CachedAttention") HONE_EXPAND
};

}  // namespace hone
