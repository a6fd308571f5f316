// What the operators of the domain com.microsoft share.
#pragma once
#include "formats/onnx/node.hpp"

namespace hone::onnx::microsoft {

/// The mapping of a standard operator, in the newest meaning that its old attributes fit.
Values standard(NodeContext& n, const char* op, int64_t version);
/// [B, L, heads * size] -> [B, heads, L, size] and back.
Value split_heads(NodeContext& n, Value v, int64_t heads);
Value join_heads(NodeContext& n, Value v);
/// Each head of [B, heads, L, size] `times` times in a row; `heads` of them in the end.
Value repeat_heads(NodeContext& n, Value x, int64_t times, int64_t heads);
/// Pairs of x [B, L, heads, size] turned by the angles of their positions [B or 1, L]; caches [positions, rotary / 2].
Value turned(NodeContext& n, Value x, Value place, Value cosines, Value sines, bool interleaved);

}  // namespace hone::onnx::microsoft
