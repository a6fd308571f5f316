// Builds graphs: `Value y = b(Softmax{.axis = 1}, x);`
#pragma once
#include <initializer_list>

#include "graph/graph.hpp"

namespace hone {

class Builder {
 public:
  explicit Builder(Graph& g) : graph_(g) {}
  Graph& graph() { return graph_; }

  /// Adds an operator; its first output. Null handles are absent optional inputs.
  template <class Op, class... V>
  requires(std::is_same_v<V, Value>&&...) Value operator()(Op op, V... inputs) {
    return add(op_def<Op>(), std::make_shared<Op>(std::move(op)), Values{inputs...}).output(0);
  }
  template <class Op>
  Value operator()(Op op, const Values& inputs) {
    return add(op_def<Op>(), std::make_shared<Op>(std::move(op)), inputs).output(0);
  }
  /// The same; all outputs.
  template <class Op>
  Values all(Op op, const Values& inputs, std::vector<Region> regions = {}) {
    return add(op_def<Op>(), std::make_shared<Op>(std::move(op)), inputs, std::move(regions)).outputs();
  }
  Node add(const OpDef& op, Attributes attributes, const Values& inputs, std::vector<Region> regions = {});

  Value parameter(ElementType type, PartialShape shape, std::string name = {});
  Value parameter(Type type, std::string name = {});
  Value constant(Tensor value);
  /// i64 constant of rank 1.
  Value ints(std::vector<int64_t> v);
  template <class T>
  Value scalar(T v) {
    return constant(Tensor::scalar<T>(v));
  }
  /// A scalar of the element type of `v` (f32 where that is not known).
  Value like(Value v, double x);
  Node result(Value v, std::string name = {});

  /// Names and provenance that the nodes added from now on get.
  void set_name(std::string name) { name_ = std::move(name); }
  void set_provenance(std::vector<std::string> p) { provenance_ = std::move(p); }
  const std::vector<NodeId>& added() const { return added_; }

 private:
  Graph& graph_;
  std::string name_;
  std::vector<std::string> provenance_;
  std::vector<NodeId> added_;
};

/// Copies the nodes of `from` into the builder's graph with its parameters replaced by `inputs`; the values of its
/// results.
Values inline_graph(Builder& b, const Graph& from, const Values& inputs);

}  // namespace hone
