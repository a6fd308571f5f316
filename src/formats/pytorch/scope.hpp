// One graph being built: names and their values, and what shares memory with what.
//
// Exported programs may change tensors in place, also through views: `x[:, 0] += 1`. Values here never change; a name
// is bound to a new value instead, the tensors that it is a view of get theirs by writing the part back, and other
// views of them are made anew.
#pragma once
#include <set>
#include <unordered_map>

#include "formats/pytorch/complex.hpp"
#include "formats/pytorch/mapping.hpp"

namespace hone::pytorch {

class Scope : public Importer {
 public:
  Scope(Graph& g, const GraphMessage& message, int depth) : graph_(g), builder_(g), message_(message), depth_(depth) {
    for (const auto& [name, t] : message.tensors) has_complex_ = has_complex_ || is_complex_type(t.dtype);
  }

  Graph& graph() { return graph_; }
  Builder& builder() { return builder_; }
  void bind(const std::string& name, Value v) { values_[name] = v; }
  /// Adds all nodes. Throws `Error` naming the node.
  void run();
  /// The value of an output: a tensor, a symbol or a number.
  Value output(const Argument& a);

  Value find(std::string_view name) const override;
  ElementType type_of(std::string_view name) const override;
  bool is_complex(std::string_view name) const override;
  std::shared_ptr<Graph> region(const GraphMessage& g, const Types& inputs) override;
  Values inlined(const GraphMessage& g, const Values& inputs) override;

  /// Inputs of a graph that its nodes change in place, directly or through views.
  static std::set<std::string> changed_inputs(const GraphMessage& g);

 private:
  struct View {
    std::string parent;
    const NodeMessage* node;
    size_t output;
  };
  Values apply(const NodeMessage& n, const std::string& op);
  bool touches_complex(const NodeMessage& n) const;
  void node(const NodeMessage& n);
  void changed(const std::string& name);
  Value written_back(const View& v, const std::string& child);
  Value call(const char* op, std::vector<NamedArgument> inputs, const NodeMessage& like);

  Graph& graph_;
  Builder builder_;
  const GraphMessage& message_;
  int depth_;
  bool has_complex_ = false;
  std::unordered_map<std::string, Value> values_;
  std::unordered_map<std::string, std::string> missing_;  ///< outputs that are not offered, and of which operator
  std::unordered_map<std::string, View> views_;
  std::vector<std::string> view_order_;
};

}  // namespace hone::pytorch
