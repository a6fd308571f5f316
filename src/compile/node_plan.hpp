// How one node is computed for inputs of given shapes: the planning behind StepwiseGraph.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "compile/select.hpp"

namespace hone {

/// A value while a graph runs. A tensor may lie in both layouts; `plain` is none where it lies channels-last alone.
struct HeldValue {
  Datum plain;
  Tensor channels_last;
  /// In whichever layout; element type and shape are the same.
  const Tensor& any() const { return channels_last && plain.is_none() ? channels_last : plain.tensor(); }
  bool is_tensor() const { return channels_last || plain.is_tensor(); }
};

/// Packed forms of the graph's constants, by address, form, operator and attributes.
using PackedForms = std::map<std::tuple<const void*, std::string, std::string, std::vector<uint8_t>>, Tensor>;

struct NodePlan {
  enum class Kind {
    reference,  ///< the operator's evaluation
    view,       ///< the memory of input 0 with another shape
    kernel,
  };
  Kind kind = Kind::reference;
  std::vector<ElementType> types;  ///< of the outputs
  std::vector<Shape> shapes;
  std::vector<Layout> input_layouts, output_layouts;
  std::vector<bool> wanted;    ///< outputs that somebody reads
  std::vector<Tensor> packed;  ///< a form for each input; empty: the input as it is
  std::unique_ptr<PreparedKernel> prepared;
  const char* kernel = "reference";
};

/// What is the same for all plans of a node.
struct PlannedNode {
  const Graph& graph;
  NodeId id;
  std::vector<uint8_t> attributes;
};

/// Could a plan other than `reference` come out for this operator at all?
bool can_be_planned(const Graph& g, NodeId id);
/// A tensor whose content shapes may hang on: small enough to be part of a signature.
bool is_shape_like(const Tensor& t);
/// `with_values`: what `is_shape_like` counts as constant, so the plan holds for these contents alone. A plan of kind
/// `reference` where nothing better takes the node.
NodePlan plan_node(const PlannedNode& node, const std::vector<HeldValue>& inputs, bool with_values,
                   const SelectOptions& options, PackedForms& forms);
/// The step between layouts.
NodePlan plan_reorder(const Tensor& t, Layout from, Layout to, const SelectOptions& options);

}  // namespace hone
