// The nodes of a graph or of a function with their edges resolved, and the control-flow contexts of the first kind
// (Switch, Merge, Enter, Exit, NextIteration, LoopCond) that each node lies in.
#pragma once
#include <functional>
#include <unordered_map>

#include "formats/tensorflow/proto.hpp"

namespace hone::tensorflow {

/// A tensor: output `port` of a node, or an argument of the function.
struct Ref {
  static constexpr uint32_t argument = ~0u;
  uint32_t node = 0;
  uint32_t port = 0;  ///< number of the argument where `node` is `argument`
  bool operator==(const Ref&) const = default;
};

/// A loop, one side of a condition, or the whole body (no parent).
struct Context {
  enum Kind { whole, loop, branch };
  Kind kind = whole;
  int parent = -1;
  int depth = 0;
  Bytes frame;    ///< of a loop
  Ref predicate;  ///< of a branch
  bool side = false;
};

class Body {
 public:
  /// Says which output of an operator bears a name; -1 where that is not known.
  using OutputIndex = std::function<int(const NodeMessage&, Bytes output, int64_t number)>;

  /// Throws `Error` (unreadable): an edge from nowhere, a cycle that is no loop, control flow without structure.
  Body(std::vector<NodeMessage> nodes, const OutputIndex& outputs);
  Body(const FunctionMessage& f, const OutputIndex& outputs);

  size_t size() const { return nodes_.size(); }
  const NodeMessage& node(uint32_t i) const { return nodes_[i]; }
  const std::vector<Ref>& inputs(uint32_t i) const { return inputs_[i]; }
  const std::vector<uint32_t>& control_inputs(uint32_t i) const { return controls_[i]; }
  const std::vector<Ref>& returns() const { return returns_; }  ///< of a function, in order of its outputs
  size_t num_arguments() const { return num_arguments_; }
  /// The tensor that a name such as "node", "node:1" or "node:out:0" stands for.
  Ref ref(Bytes name) const;
  /// -1 where there is none.
  int64_t find(Bytes node) const;
  /// Everything that `roots` hang on, producers before users; edges that close loops do not count.
  std::vector<uint32_t> needed(const std::vector<Ref>& roots) const;

  const std::vector<Context>& contexts() const { return contexts_; }
  /// The context whose values a node computes.
  int context(uint32_t node) const { return home_[node]; }
  /// The context that reading an output of the node leads into: a branch for those of a Switch.
  int context_of(Ref r) const;
  bool is_loop_merge(uint32_t node) const;
  /// The Enter nodes of a loop.
  const std::vector<uint32_t>& enters(int context) const;
  const std::vector<uint32_t>& exits(int context) const;
  uint32_t loop_condition(int context) const;  ///< the LoopCond node; throws where there is none
  /// Of a Merge that joins a condition: the two branches (false, true) and which of its inputs each gives.
  struct Join {
    int branch[2] = {-1, -1};
    uint32_t input[2] = {0, 0};
    Ref predicate;
  };
  const Join& join(uint32_t merge) const;
  /// Nodes outside of a Merge's branches, or of an Exit's loop, that they read.
  std::vector<Ref> frontier(uint32_t node) const;

 private:
  void resolve(const OutputIndex& outputs);
  void analyse();
  void place(uint32_t node);
  /// The predicate of a Switch behind the Identities that hand it on.
  Ref predicate_of(uint32_t node) const;
  int child(const Context& c);
  int common(int a, int b) const;
  int deepest(int a, int b, uint32_t node) const;
  bool inside(int context, int ancestor) const;

  std::vector<NodeMessage> nodes_;
  std::unordered_map<Bytes, uint32_t> index_, argument_index_;
  std::vector<std::vector<Ref>> inputs_;
  std::vector<std::vector<uint32_t>> controls_;
  std::vector<Ref> returns_;
  size_t num_arguments_ = 0;
  OutputIndex outputs_;
  std::vector<Context> contexts_;
  std::vector<int> home_;
  std::map<int, std::vector<uint32_t>> enters_, exits_;
  std::map<int, uint32_t> conditions_;
  std::unordered_map<uint32_t, Join> joins_;
};

}  // namespace hone::tensorflow
