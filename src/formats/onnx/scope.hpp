// Where the nodes of a graph, of a region or of a function body find their values.
#pragma once
#include <map>
#include <unordered_map>

#include "formats/onnx/mapping.hpp"

namespace hone::onnx {

// One graph being built: the model's, or a region. Outer values become explicit inputs of the region.
struct GraphScope {
  GraphScope(Graph& g, GraphScope* outer) : graph(g), builder(g), outer(outer) {}
  Graph& graph;
  Builder builder;
  GraphScope* outer;
  Values captured;  ///< values of the outer graph, in order of the parameters made for them
  std::map<ValueId, Value> inside;

  Value capture(Value v) {
    if (const auto it = inside.find(v.id); it != inside.end()) return it->second;
    Value mine;
    if (Tensor t = v.constant()) {
      mine = builder.constant(t);
    } else {
      mine = builder.parameter(v.type());
      captured.push_back(v);
    }
    return inside[v.id] = mine;
  }
};

// Names of values as one graph or function body sees them.
struct Names {
  GraphScope* scope;
  Names* outer = nullptr;  ///< of the enclosing graph; null for functions, which see nothing outside
  std::unordered_map<Bytes, Value> values;
  const std::vector<AttributeMessage>* arguments = nullptr;  ///< of the function whose body this is
  const Opsets* opsets = nullptr;

  /// Is there such a value here or around? Captures nothing.
  bool sees(Bytes name) const { return values.contains(name) || (outer && outer->sees(name)); }
  Value find(Bytes name) {
    if (const auto it = values.find(name); it != values.end()) return it->second;
    if (!outer) return {};
    Value v = outer->find(name);
    if (!v) return {};
    if (outer->scope != scope) v = scope->capture(v);
    return values[name] = v;
  }
};

}  // namespace hone::onnx
