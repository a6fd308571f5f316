// What an operator's `infer` and `grad` see.
#pragma once
#include "graph/builder.hpp"

namespace hone {

/// Types and known contents of a node's inputs.
class InferCtx {
 public:
  InferCtx(const Graph& g, NodeId node, size_t num_op_inputs);

  size_t num_inputs() const { return num_inputs_; }
  /// Is the optional input `i` there?
  bool has(size_t i) const;
  const Type& input(size_t i) const;  ///< throws `Error` where the input is absent
  ElementType element(size_t i) const { return input(i).element; }
  /// Shape of a tensor input; throws `Error` for other kinds.
  const PartialShape& shape(size_t i) const;
  /// The value of a constant input, also of shape arithmetic whose numbers are all known; an empty tensor otherwise.
  Tensor constant(size_t i) const;
  /// The same as integers, as far as known: dynamic dimensions stand for unknown numbers. nullopt where nothing is
  /// known.
  std::optional<std::vector<Dimension>> content(size_t i) const;
  /// What is known of the elements of an integer output (at most 1024 of them).
  void set_content(size_t output, std::vector<Dimension> elements);
  size_t num_regions() const;
  const Graph& region(size_t r) const;
  /// Output types of region `r` for these input types.
  Types region_types(size_t r, const Types& inputs) const;
  /// `a` must be true, or the error names operator and node.
  void check(bool a, const std::string& message) const {
    if (!a) fail(message);
  }
  [[noreturn]] void fail(const std::string& message) const;

  std::vector<std::optional<std::vector<Dimension>>> contents;

 private:
  const Graph& graph_;
  const NodeData& node_;
  size_t num_inputs_;
  mutable std::map<size_t, Type> real_;  ///< types of quantized inputs as the real numbers they stand for
};

/// What a gradient is built from: values of the forward graph and gradients of the outputs.
class GradCtx {
 public:
  GradCtx(Builder& builder, Node node, Values output_gradients, std::vector<bool> needed)
      : b(builder), node_(node), out_(std::move(output_gradients)), needed_(std::move(needed)), in_(needed_.size()) {}

  Builder& b;
  size_t num_inputs() const { return needed_.size(); }
  Value input(size_t i) const { return node_.input(i); }
  Value output(size_t i = 0) const { return node_.output(i); }
  Node node() const { return node_; }
  /// Gradient of output `i`; a null handle where nothing flows back.
  Value dout(size_t i = 0) const { return i < out_.size() ? out_[i] : Value{}; }
  /// Is the gradient of input `i` wanted?
  bool needs(size_t i) const { return i < needed_.size() && needed_[i]; }
  void set(size_t i, Value gradient) { in_[i] = gradient; }
  const Values& gradients() const { return in_; }
  /// `gradient` summed over what broadcasting expanded, so that it has the shape of input `i`.
  Value unbroadcast(Value gradient, size_t i);

 private:
  Node node_;
  Values out_;
  std::vector<bool> needed_;
  Values in_;
};

}  // namespace hone
