#include "formats/tensorflow/variables.hpp"

#include <charconv>

namespace hone::tensorflow {
namespace {

using Index = std::map<Bytes, const NodeMessage*>;

Index index_of(const std::vector<NodeMessage>& nodes) {
  Index i;
  for (const NodeMessage& n : nodes) i.emplace(n.name, &n);
  return i;
}

Bytes node_of(Bytes ref) {
  return ref.substr(0, ref.find(':'));
}

size_t port_of(Bytes ref) {
  const size_t colon = ref.rfind(':');
  size_t port = 0;
  if (colon != ref.npos) std::from_chars(ref.data() + colon + 1, ref.data() + ref.size(), port);
  return port;
}

// Behind operators that hand a value on.
Bytes source(const Index& nodes, Bytes ref) {
  for (int k = 0; k < 16; ++k) {
    const auto at = nodes.find(node_of(ref));
    if (at == nodes.end()) return ref;
    const NodeMessage& n = *at->second;
    if (n.inputs.empty() || (n.op != "Identity" && n.op != "Cast" && n.op != "Reshape" && n.op != "ReadVariableOp"))
      return ref;
    ref = n.inputs[0];
  }
  return ref;
}

// What RestoreV2 reads for its output `ref`; empty where it is no such output.
std::string restored_key(const Index& nodes, Bytes ref) {
  const auto restore = nodes.find(node_of(ref));
  if (restore == nodes.end() || restore->second->op != "RestoreV2" || restore->second->inputs.size() < 2) return {};
  const auto names = nodes.find(node_of(source(nodes, restore->second->inputs[1])));
  if (names == nodes.end() || names->second->op != "Const") return {};
  for (const auto& [key, value] : names->second->attributes) {
    if (key != "value") continue;
    const TensorMessage t = parse_tensor(parse_attribute(value).message);
    const size_t port = port_of(ref);
    if (port < t.strings.size()) return std::string(t.strings[port]);
  }
  return {};
}

bool assigns(const NodeMessage& n) {
  return (n.op == "AssignVariableOp" || n.op == "Assign") && n.inputs.size() >= 2;
}

}  // namespace

Session::Variables frozen_variables(const GraphMessage& graph, std::shared_ptr<const Checkpoint> checkpoint) {
  if (!checkpoint) return [](const std::string&, const std::string&) { return Tensor(); };
  std::map<std::string, std::string, std::less<>> keys;  // of the variables' nodes
  const Index nodes = index_of(graph.nodes);
  for (const NodeMessage& n : graph.nodes) {
    if (!assigns(n)) continue;
    const std::string key = restored_key(nodes, source(nodes, n.inputs[1]));
    if (!key.empty()) keys.emplace(node_of(source(nodes, n.inputs[0])), key);
  }
  // A function that restores its arguments, and what it is called with.
  std::map<Bytes, std::vector<std::pair<size_t, std::string>>> restoring;
  for (const FunctionMessage& f : graph.functions) {
    const Index inner = index_of(f.nodes);
    for (const NodeMessage& n : f.nodes) {
      if (!assigns(n)) continue;
      const std::string key = restored_key(inner, source(inner, n.inputs[1]));
      const Bytes to = node_of(source(inner, n.inputs[0]));
      for (size_t k = 0; k < f.inputs.size() && !key.empty(); ++k) {
        if (f.inputs[k].name == to) restoring[f.name].emplace_back(k, key);
      }
    }
  }
  for (const NodeMessage& n : graph.nodes) {
    for (const auto& [name, value] : n.attributes) {
      if (name != "f" || restoring.empty()) continue;
      const AttributeMessage a = parse_attribute(value);
      if (a.kind != AttributeMessage::function_) continue;
      const auto f = restoring.find(parse_function_reference(a.message).name);
      if (f == restoring.end()) continue;
      for (const auto& [argument, key] : f->second) {
        if (argument < n.inputs.size()) keys.emplace(node_of(source(nodes, n.inputs[argument])), key);
      }
    }
  }
  return [keys, checkpoint](const std::string& name, const std::string& shared_name) -> Tensor {
    if (const auto it = keys.find(name); it != keys.end() && checkpoint->has(it->second))
      return checkpoint->tensor(it->second);
    for (const std::string& n : {shared_name, name}) {
      const auto it = checkpoint->key_of_name().find(n);
      if (it != checkpoint->key_of_name().end() && checkpoint->has(it->second)) return checkpoint->tensor(it->second);
      if (!n.empty() && checkpoint->has(n)) return checkpoint->tensor(n);
    }
    return {};
  };
}

}  // namespace hone::tensorflow
