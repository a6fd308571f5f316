// What the reader knows of one layer, and the exceptions from the rule that a layer is the Hone operator of its name.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "formats/openvino_ir/fields.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/registry.hpp"

namespace hone::ir {

/// A region made from a `<body>`, with what its ports are called inside.
struct Body {
  std::shared_ptr<Graph> graph;
  std::vector<std::pair<int64_t, Value>> parameters;  ///< layer id and value, in the file's order
  std::vector<std::pair<int64_t, Value>> results;     ///< layer id and the value that the Result takes
};

/// What a LayerContext asks of the reader.
class LayerImporter {
 public:
  virtual ~LayerImporter() = default;
  /// Imports a body; `type_of` gives the types of its parameters by layer id where the node knows better than the file.
  virtual Body body(const pugi::xml_node& body, const std::function<const Type*(int64_t layer)>& type_of) = 0;
  virtual Tensor constant(const pugi::xml_node& data) = 0;
};

class LayerContext {
 public:
  LayerContext(LayerImporter& importer, Builder& builder, pugi::xml_node layer, Values inputs)
      : b(builder), xml(layer), data(layer.child("data")), importer(importer), inputs_(std::move(inputs)) {}

  Builder& b;
  pugi::xml_node xml, data;
  LayerImporter& importer;

  std::string type() const { return xml.attribute("type").value(); }
  std::string name() const { return xml.attribute("name").value(); }
  std::string version() const { return xml.attribute("version").value(); }  ///< `opset1`, `extension`...
  /// Number of the operator set; 0 for others.
  int opset() const {
    const std::string v = version();
    return v.starts_with("opset") ? std::atoi(v.c_str() + 5) : 0;
  }
  size_t num_inputs() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i]; }
  Value in(size_t i) const {
    if (!has(i)) fail("input " + std::to_string(i) + " is missing");
    return inputs_[i];
  }
  const Values& inputs() const { return inputs_; }
  const char* attribute(const char* name, const char* otherwise = "") const {
    const auto a = data.attribute(name);
    return a ? a.value() : otherwise;
  }
  bool flag(const char* name, bool otherwise) const {
    const auto a = data.attribute(name);
    return a ? std::string(a.value()) == "true" || std::string(a.value()) == "1" : otherwise;
  }
  /// The operator struct with the fields that the layer gives.
  template <class Op>
  Op fields() const {
    Op op;
    AttributeReader reader(data);
    visit_fields(op, reader);
    return op;
  }
  template <class Op, class... V>
  requires(std::is_same_v<V, Value>&&...) Value operator()(Op op, V... in) { return all(std::move(op), {in...})[0]; }
  template <class Op>
  Values all(Op op, const Values& in, std::vector<Region> regions = {}) {
    const OpDef* def = find_op(Op::name);
    if (!def) fail(std::string("needs operator ") + Op::name + ", which this build lacks");
    return b.add(*def, std::make_shared<Op>(std::move(op)), in, std::move(regions)).outputs();
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::unsupported, "[" + type() + "] " + what, "layer '" + name() + "'");
  }

 private:
  Values inputs_;
};

/// A row of the exceptions: the layer's type, in which operator sets (both ends included), and what it becomes.
struct LayerRow {
  std::string_view type;
  int first, last;
  Values (*build)(LayerContext&);
};
/// Layers that become several operators.
std::span<const LayerRow> composed_rows();
/// Null where the layer is the Hone operator of its name.
const LayerRow* find_layer_row(std::string_view type, int opset);
/// The Hone operator for a layer type, case-insensitively and with the IR's other spellings; null where there is none.
const OpDef* find_layer_op(std::string_view type);

}  // namespace hone::ir
