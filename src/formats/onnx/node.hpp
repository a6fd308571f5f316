// What a row of the mapping table sees: one ONNX node, its inputs as Hone values, and a builder.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "formats/emitter.hpp"
#include "formats/onnx/proto.hpp"
#include "graph/builder.hpp"
#include "ops/registry.hpp"

namespace hone::onnx {

/// A region made from a subgraph, and the outer values that it captures: they follow its own inputs.
struct Subgraph {
  std::shared_ptr<Graph> graph;
  Values captured;
};

/// What a NodeContext asks of the importer.
class Importer {
 public:
  virtual ~Importer() = default;
  /// Imports the graph attribute `a` with these types of its inputs. `extra` inputs stand before the graph's own.
  virtual Subgraph subgraph(const AttributeMessage& a, const Types& inputs) = 0;
  virtual Graph& graph() = 0;
  virtual const Storage& storage() const = 0;
};

class NodeContext : public Emitter {
 public:
  NodeContext(Importer& importer, Builder& builder, const NodeMessage& node, Values inputs, int64_t opset)
      : Emitter(builder), version(opset), importer_(importer), node_(node), inputs_(std::move(inputs)) {}

  int64_t version;  ///< operator set of the node's domain

  Bytes op() const { return node_.op; }
  Bytes name() const { return node_.name; }
  size_t num_inputs() const { return inputs_.size(); }
  size_t num_outputs() const { return node_.outputs.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i]; }
  /// Is output `i` named, so that somebody may read it?
  bool wants(size_t i) const { return i < node_.outputs.size() && !node_.outputs[i].empty(); }
  /// Input `i`; throws `Error` where it is absent.
  Value in(size_t i) const;
  /// Input `i`, or a null handle.
  Value opt(size_t i) const { return has(i) ? inputs_[i] : Value{}; }
  const Values& inputs() const { return inputs_; }

  // Attributes.
  const AttributeMessage* attribute(std::string_view name) const;
  bool has_attribute(std::string_view name) const { return attribute(name) != nullptr; }
  int64_t i(std::string_view name, int64_t otherwise) const;
  int64_t i(std::string_view name) const;  ///< throws `Error` where it is absent
  double f(std::string_view name, double otherwise) const;
  std::string s(std::string_view name, std::string otherwise = {}) const;
  std::vector<int64_t> ints(std::string_view name, std::vector<int64_t> otherwise = {}) const;
  std::vector<float> floats(std::string_view name) const;
  std::vector<std::string> strings(std::string_view name) const;
  Tensor tensor(std::string_view name) const;
  Subgraph subgraph(std::string_view name, const Types& inputs) const;

  /// The numbers of input `i` where they are known at import: a constant, or shape arithmetic. An empty tensor
  /// otherwise.
  Tensor constant(size_t i) const { return has(i) ? known(inputs_[i]) : Tensor(); }
  /// Rank of a value; throws `Error` where it is not known.
  size_t rank(Value v) const;
  /// `axis` counted from the front.
  int64_t axis(int64_t axis, Value v) const;

  // Building, beside Emitter's short forms.
  Node add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) override;
  Value reshape(Value v, std::vector<int64_t> shape, bool zero_copies = false);
  Value transpose(Value v, std::vector<int64_t> order);

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void refuse(const std::string& what) const;  ///< well-formed, but not offered

 private:
  const AttributeMessage& typed(std::string_view name, int kind) const;
  Importer& importer_;
  const NodeMessage& node_;
  Values inputs_;
};

}  // namespace hone::onnx
