// Memory layout: convolutional regions run channels-last (NHWC), with Reorder at their borders only.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// The layouts a node would have. Inputs that carry no image (weights, axes, scales) are always plain.
struct NodeLayouts {
  std::vector<Layout> inputs, outputs;
};

struct LayoutOptions {
  /// Can the node run with these layouts? The compiler answers from its kernel rows; null: the operators that
  /// convolutional regions are made of.
  std::function<bool(const Graph&, NodeId, const NodeLayouts&)> accepts;
};

/// Do both layouts put the elements of such a shape in the same order? Then a Reorder between them moves nothing.
bool same_order_in_memory(const PartialShape& shape);

/// Tags values of convolutional regions channels_last and inserts Reorder where a region ends. Works on forward and
/// backward graphs alike: whatever is linked to a convolution through operators that accept the layout joins the
/// region. Transpose between logical NCHW and NHWC order changes the tag instead of moving memory: its channels_last
/// side has the same bytes as its plain side. Returns the number of values tagged.
size_t assign_layouts(Graph& g, const LayoutOptions& options = {});
Pass layout_pass(LayoutOptions options = {});

}  // namespace hone
