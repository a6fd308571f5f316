// The graph: nodes and values in arenas, addressed by 32-bit ids. Every change goes through a method that journals,
// so a declined rule or a failed pass rolls back.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/op_def.hpp"
#include "graph/type.hpp"

namespace hone {

class Graph;
using NodeId = uint32_t;
using ValueId = uint32_t;
inline constexpr uint32_t no_id = ~0u;

/// A handle to a node.
struct Node {
  Graph* graph = nullptr;
  NodeId id = no_id;

  explicit operator bool() const { return graph && id != no_id; }
  bool operator==(const Node& o) const { return graph == o.graph && id == o.id; }
  const OpDef& op() const;
  /// The attributes where the node is an Op, else null.
  template <class Op>
  const Op* as() const;
  template <class Op>
  bool is() const {
    return &op() == &op_def<Op>();
  }
  size_t num_inputs() const;  ///< epilogue operands included
  size_t num_outputs() const;
  Value input(size_t i) const;  ///< null handle where absent
  Value output(size_t i = 0) const;
  Values inputs() const;
  Values outputs() const;
  const std::string& name() const;
};

/// A use of a value: input `index` of `node`.
struct Use {
  NodeId node;
  uint32_t index;
  bool operator==(const Use&) const = default;
};

/// A handle to a value: an output of a node.
struct Value {
  Graph* graph = nullptr;
  ValueId id = no_id;

  explicit operator bool() const { return graph && id != no_id; }
  bool operator==(const Value& o) const { return graph == o.graph && id == o.id; }
  const Type& type() const;
  ElementType element_type() const { return type().element; }
  const PartialShape& shape() const { return type().shape; }
  Node node() const;     ///< the producer
  size_t index() const;  ///< which output of it
  const std::vector<Use>& uses() const;
  /// The content where the producer is a Constant; an empty tensor otherwise.
  Tensor constant() const;
  /// Tensor names of the source file.
  const std::vector<std::string>& names() const;
};

using Region = std::shared_ptr<const Graph>;

struct NodeData {
  const OpDef* op = nullptr;  ///< null: removed
  Attributes attributes;
  std::vector<ValueId> inputs;  ///< operator inputs, then operands of the epilogue
  std::vector<ValueId> outputs;
  std::vector<Region> regions;
  /// Elementwise operators on output 0. Its Parameters: the operator's own result, then one for each trailing input.
  Region epilogue;
  std::string name;
  std::vector<std::string> provenance;      ///< names of the nodes of the source file this one stands for
  std::map<std::string, std::string> info;  ///< rt_info and the like: kept, never interpreted
};

struct ValueData {
  Type type;
  NodeId producer = no_id;
  uint32_t index = 0;
  std::vector<Use> uses;
  std::vector<std::string> names;
  /// Elements of a small integer tensor as far as known: shape arithmetic with symbols.
  std::optional<std::vector<Dimension>> content;
};

class Graph {
 public:
  Graph() = default;
  Graph(const Graph& o);
  Graph& operator=(const Graph& o);
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;

  std::string name;
  std::map<std::string, std::string> info;  ///< model-level rt_info, `model_info/labels` and the like

  // Reading
  // ------------------------------------------------------------------------------------------------------------
  const NodeData& node(NodeId id) const { return nodes_[id]; }
  const ValueData& value(ValueId id) const { return values_[id]; }
  bool alive(NodeId id) const { return id < nodes_.size() && nodes_[id].op; }
  size_t node_capacity() const { return nodes_.size(); }
  size_t value_capacity() const { return values_.size(); }
  size_t num_nodes() const;
  Node handle(NodeId id) const { return {const_cast<Graph*>(this), id}; }
  Value value_handle(ValueId id) const { return {const_cast<Graph*>(this), id}; }

  /// Parameters and Results in the model's order.
  const std::vector<NodeId>& parameters() const { return parameters_; }
  const std::vector<NodeId>& results() const { return results_; }
  Values inputs() const;                     ///< values of the parameters
  Values outputs() const;                    ///< values the results take
  Value input(std::string_view name) const;  ///< by tensor or node name; null where there is none

  /// All living nodes, producers before users; ties by id. Throws `Error` on a cycle.
  std::vector<NodeId> topological_order() const;
  /// Number of inputs that belong to the operator; the rest feed the epilogue.
  size_t num_op_inputs(NodeId id) const;

  // Changing (journalled)
  // ----------------------------------------------------------------------------------------------
  /// Adds a node and infers its types. Throws `Error`, with nothing changed, where inference refuses.
  NodeId add(const OpDef& op, Attributes attributes, std::vector<ValueId> inputs, std::vector<Region> regions = {},
             std::string name = {});
  void set_input(NodeId node, size_t index, ValueId value);
  void set_inputs(NodeId node, std::vector<ValueId> inputs);
  void set_attributes(NodeId node, Attributes attributes);
  template <class Op>
  void set(NodeId node, Op op);
  void set_region(NodeId node, size_t index, Region region);
  /// Sets or replaces the epilogue; `operands` become the trailing inputs. Output 0 takes the epilogue's element type.
  void set_epilogue(NodeId node, Region epilogue, const std::vector<ValueId>& operands);
  void set_name(NodeId node, std::string name);
  void set_provenance(NodeId node, std::vector<std::string> provenance);
  void set_info(NodeId node, std::string key, std::string value);
  void set_names(ValueId value, std::vector<std::string> names);
  void set_type(ValueId value, Type type);
  /// Every use of `from` becomes a use of `to`; tensor names move too.
  void replace_uses(ValueId from, ValueId to);
  /// Removes a node whose outputs have no uses.
  void remove(NodeId node);
  /// Removes every node that no Result and no side effect needs. Parameters stay.
  size_t remove_dead();
  void reorder_parameters(std::vector<NodeId> order);
  void reorder_results(std::vector<NodeId> order);

  /// Infers the node's output types again. Returns whether any changed.
  bool infer(NodeId node);
  /// Infers everything in topological order: after a change of input shapes.
  void infer_all();
  /// Sets parameter types and infers everything; on failure the graph is as before.
  void reshape(const std::map<ValueId, PartialShape>& shapes);

  /// A region graph with its parameters set to `types` and inferred again.
  static Region with_parameter_types(const Graph& region, const Types& types);

  // Journal
  // ------------------------------------------------------------------------------------------------------------
  size_t journal_mark();
  void rollback(size_t mark);
  void forget(size_t mark);

 private:
  friend class InferCtx;
  void record(std::function<void(Graph&)> undo);
  void link(NodeId node);
  void unlink(NodeId node);
  Types infer_types(NodeId id, std::vector<std::optional<std::vector<Dimension>>>& contents);
  // Deques: references to nodes and types stay valid while a rule adds new ones.
  std::deque<NodeData> nodes_;
  std::deque<ValueData> values_;
  std::vector<NodeId> parameters_, results_;
  std::vector<std::function<void(Graph&)>> journal_;
  int recording_ = 0;
};

/// Rolls the graph back on destruction unless committed. Nests.
class Transaction {
 public:
  explicit Transaction(Graph& g) : graph_(g), mark_(g.journal_mark()) {}
  ~Transaction() {
    if (!done_) graph_.rollback(mark_);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() {
    graph_.forget(mark_);
    done_ = true;
  }

 private:
  Graph& graph_;
  size_t mark_;
  bool done_ = false;
};

inline const OpDef& Node::op() const {
  return *graph->node(id).op;
}
template <class Op>
const Op* Node::as() const {
  const NodeData& d = graph->node(id);
  return d.op == &op_def<Op>() ? static_cast<const Op*>(d.attributes.get()) : nullptr;
}
inline size_t Node::num_inputs() const {
  return graph->node(id).inputs.size();
}
inline size_t Node::num_outputs() const {
  return graph->node(id).outputs.size();
}
inline Value Node::input(size_t i) const {
  const auto& in = graph->node(id).inputs;
  return i < in.size() && in[i] != no_id ? Value{graph, in[i]} : Value{};
}
inline Value Node::output(size_t i) const {
  return Value{graph, graph->node(id).outputs[i]};
}
inline const std::string& Node::name() const {
  return graph->node(id).name;
}
inline const Type& Value::type() const {
  return graph->value(id).type;
}
inline Node Value::node() const {
  return {graph, graph->value(id).producer};
}
inline size_t Value::index() const {
  return graph->value(id).index;
}
inline const std::vector<Use>& Value::uses() const {
  return graph->value(id).uses;
}
inline const std::vector<std::string>& Value::names() const {
  return graph->value(id).names;
}
template <class Op>
void Graph::set(NodeId node, Op op) {
  set_attributes(node, std::make_shared<Op>(std::move(op)));
}

/// Checks ids, uses, order, types against inference, regions. Throws `Error` naming the node.
void verify(const Graph& g);

}  // namespace hone
