// What a row of the writer's table sees: one Hone node, the names of its inputs and outputs, and means to emit ONNX
// nodes.
//
// To write an operator: add `void my_op(EmitContext& e)` to the file of its family and a row `{"MyOp", my_op}` there.
#pragma once
#include <functional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "formats/formats.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "tensor/fields.hpp"

namespace hone::onnx {

/// Attributes of one node, serialised as they are added.
class AttributeList {
 public:
  AttributeList& i(const char* name, int64_t v);
  AttributeList& f(const char* name, double v);
  AttributeList& s(const char* name, const std::string& v);
  AttributeList& ints(const char* name, const std::vector<int64_t>& v);
  AttributeList& floats(const char* name, const std::vector<double>& v);
  AttributeList& strings(const char* name, const std::vector<std::string>& v);
  AttributeList& tensor(const char* name, const Tensor& v);
  AttributeList& graph(const char* name, const std::string& serialised);
  const std::vector<std::string>& messages() const { return messages_; }

 private:
  std::vector<std::string> messages_;
};

std::string tensor_message(const Tensor& t, const std::string& name);
std::string value_info(const std::string& name, const Type& t);

/// One GraphProto being written.
class GraphWriter {
 public:
  GraphWriter(const WriteOptions& options, std::set<std::string>& used_names) : options(options), used_(used_names) {}

  const WriteOptions& options;
  std::string nodes;         ///< serialised NodeProtos, each with its field header
  std::string initializers;  ///< TensorProtos likewise
  std::unordered_map<ValueId, std::string> names;
  /// The name of a value. A constant becomes an initializer when it is first asked for, so that none is written that
  /// nobody reads.
  const std::string& name_of(const Graph& g, ValueId v);

  std::string fresh(const std::string& wanted);
  void emit(const std::string& type, const std::vector<std::string>& in, const std::vector<std::string>& out,
            const AttributeList& attributes, const std::string& node_name, const std::string& domain = {});
  std::string constant(const Tensor& t, const std::string& wanted);
  /// Writes all nodes of a prepared graph; `outer` names its parameters where a subgraph sees outer values directly.
  void write(const Graph& g, const std::vector<std::string>& outer);
  /// The serialised GraphProto; inputs named in `outer` are left out.
  std::string finish(const Graph& g, size_t outer_from);

 private:
  std::set<std::string>& used_;  ///< names of values, over all graphs of the model
  std::set<std::string> node_names_;
  std::unordered_map<uint64_t, std::vector<std::pair<Tensor, std::string>>> small_constants_;
};

/// An operator that is newer than the operator set written.
struct NeedsOperatorSet : Error {
  NeedsOperatorSet(Error e, int64_t least) : Error(std::move(e)), least(least) {}
  int64_t least;
};

class EmitContext {
 public:
  EmitContext(GraphWriter& writer, const Graph& graph, NodeId id)
      : w(writer), g(graph), node(graph.handle(id)), opset(writer.options.opset) {}

  GraphWriter& w;
  const Graph& g;
  Node node;
  int64_t opset;

  template <class Op>
  const Op& as() const {
    return *static_cast<const Op*>(g.node(node.id).attributes.get());
  }
  size_t num_inputs() const { return node.num_inputs(); }
  bool has(size_t i) const { return static_cast<bool>(node.input(i)); }
  std::string in(size_t i) const { return has(i) ? w.name_of(g, node.input(i).id) : std::string(); }
  std::vector<std::string> ins() const;
  const std::string& out(size_t i = 0) const { return w.names.at(node.output(i).id); }
  bool used(size_t i) const { return i < node.num_outputs() && !node.output(i).uses().empty(); }
  /// The type of an input; throws `Error` where it is no tensor of known rank.
  size_t rank(size_t i) const;
  ElementType element(size_t i) const { return node.input(i).element_type(); }
  /// The numbers of input `i` where they are known; an empty tensor otherwise.
  Tensor known(size_t i) const;
  /// The same; refuses where they are not known.
  Tensor must_know(size_t i, const char* what) const;

  std::string constant(const Tensor& t) { return w.constant(t, node.name() + "/constant"); }
  std::string ints(const std::vector<int64_t>& v) {
    return constant(Tensor::of<int64_t>({std::ssize(v)}, std::span<const int64_t>(v)));
  }
  /// A scalar of the element type of input `i`.
  std::string like(size_t i, double v);
  /// An intermediate result.
  std::string op(const char* type, const std::vector<std::string>& in, const AttributeList& attributes = {});
  /// The node's own outputs.
  void result(const char* type, const std::vector<std::string>& in, const AttributeList& attributes = {});
  void result_to(size_t output, const char* type, const std::vector<std::string>& in,
                 const AttributeList& attributes = {});
  std::string cast(const std::string& v, ElementType t);

  [[noreturn]] void refuse(const std::string& why) const;
  /// Throws `NeedsOperatorSet` below this operator set; `what` stands in front ("with antialias ").
  void needs(int64_t least, const std::string& what = {}) const;
};

struct EmitRow {
  std::string_view name;  ///< of the Hone operator
  void (*emit)(EmitContext&);
};
std::span<const EmitRow> emit_elementwise_rows();
std::span<const EmitRow> emit_shape_rows();
std::span<const EmitRow> emit_network_rows();
std::span<const EmitRow> emit_recurrent_rows();
std::span<const EmitRow> emit_spectral_rows();
std::span<const EmitRow> emit_random_rows();
const EmitRow* find_emit_row(std::string_view hone_op);

}  // namespace hone::onnx
