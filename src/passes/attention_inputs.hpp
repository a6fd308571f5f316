// Projections that write what quantized attention reads.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// Where Q, K and V of a StridedAttention with quantizers come from products of integers and nothing else reads these,
/// the products round to the quantizers' integers themselves, each column as the quantizer that reads it says.
/// `accepts`: does a kernel run the node? Null: always. Returns the number of attentions.
size_t quantize_attention_inputs(Graph& g, const std::function<bool(const Graph&, NodeId)>& accepts = {});
Pass quantize_attention_inputs_pass(std::function<bool(const Graph&, NodeId)> accepts = {});

}  // namespace hone
