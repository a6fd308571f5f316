#include "formats/tensorflow/variables.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "hone/error.hpp"

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

// What a variable takes from the checkpoint: a tensor, or the part of one that `slice` says ("4 6 0,4:0,3": shape, then
// start and length of each axis).
struct Restored {
  std::string key, slice;
};

Bytes string_of(const Index& nodes, Bytes ref, size_t index) {
  const auto names = nodes.find(node_of(source(nodes, ref)));
  if (names == nodes.end() || names->second->op != "Const") return {};
  for (const auto& [key, value] : names->second->attributes) {
    if (key != "value") continue;
    const TensorMessage t = parse_tensor(parse_attribute(value).message);
    if (index < t.strings.size()) return t.strings[index];
  }
  return {};
}

// What RestoreV2 reads for its output `ref`; empty where it is no such output.
Restored restored_key(const Index& nodes, Bytes ref) {
  const auto restore = nodes.find(node_of(ref));
  if (restore == nodes.end() || restore->second->op != "RestoreV2" || restore->second->inputs.size() < 3) return {};
  const auto& in = restore->second->inputs;
  const size_t port = port_of(ref);
  return {std::string(string_of(nodes, in[1], port)), std::string(string_of(nodes, in[2], port))};
}

Tensor part(const Tensor& whole, const std::string& slice) {
  const size_t space = slice.rfind(' ');
  if (space == slice.npos) return whole;
  Shape start, length;
  for (std::string_view rest = std::string_view(slice).substr(space + 1); !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    int64_t from = 0, count = start.size() < whole.rank() ? whole.shape()[start.size()] : 0;
    if (const size_t comma = one.find(','); comma != one.npos) {
      std::from_chars(one.data(), one.data() + comma, from);
      std::from_chars(one.data() + comma + 1, one.data() + one.size(), count);
    }
    start.push_back(from);
    length.push_back(count);
  }
  const auto malformed = [&] {
    return Error(ErrorCode::unreadable, "[tensorflow] the slice '" + slice + "' does not fit the stored variable");
  };
  if (start.size() != whole.rank() || bit_width(whole.element_type()) < 8) throw malformed();
  for (size_t k = 0; k < start.size(); ++k) {
    if (start[k] < 0 || length[k] < 0 || start[k] > whole.shape()[k] || length[k] > whole.shape()[k] - start[k])
      throw malformed();
  }
  if (length == whole.shape()) return whole;
  Tensor y(whole.element_type(), length);
  const size_t width = static_cast<size_t>(bit_width(y.element_type())) / 8;
  Shape at(length.size(), 0);
  for (size_t i = 0; i < y.size(); ++i) {
    int64_t from = 0;
    for (size_t k = 0; k < at.size(); ++k) from = from * whole.shape()[k] + start[k] + at[k];
    std::memcpy(static_cast<char*>(y.raw()) + i * width,
                static_cast<const char*>(whole.raw()) + static_cast<size_t>(from) * width, width);
    for (size_t k = at.size(); k-- > 0;) {
      if (++at[k] < length[k]) break;
      at[k] = 0;
    }
  }
  return y;
}

bool assigns(const NodeMessage& n) {
  return (n.op == "AssignVariableOp" || n.op == "Assign") && n.inputs.size() >= 2;
}

}  // namespace

Session::Variables frozen_variables(const GraphMessage& graph, std::shared_ptr<const Checkpoint> checkpoint) {
  if (!checkpoint) return [](const std::string&, const std::string&) { return Tensor(); };
  std::map<std::string, Restored, std::less<>> keys;  // of the variables' nodes
  const Index nodes = index_of(graph.nodes);
  for (const NodeMessage& n : graph.nodes) {
    if (!assigns(n)) continue;
    const Restored key = restored_key(nodes, source(nodes, n.inputs[1]));
    if (!key.key.empty()) keys.emplace(node_of(source(nodes, n.inputs[0])), key);
  }
  // A function that restores its arguments, and what it is called with.
  std::map<Bytes, std::vector<std::pair<size_t, Restored>>> restoring;
  for (const FunctionMessage& f : graph.functions) {
    const Index inner = index_of(f.nodes);
    for (const NodeMessage& n : f.nodes) {
      if (!assigns(n)) continue;
      const Restored key = restored_key(inner, source(inner, n.inputs[1]));
      const Bytes to = node_of(source(inner, n.inputs[0]));
      for (size_t k = 0; k < f.inputs.size() && !key.key.empty(); ++k) {
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
    if (const auto it = keys.find(name); it != keys.end() && checkpoint->has(it->second.key)) {
      return part(checkpoint->tensor(it->second.key), it->second.slice);
    }
    for (const std::string& n : {shared_name, name}) {
      const auto it = checkpoint->key_of_name().find(n);
      if (it != checkpoint->key_of_name().end() && checkpoint->has(it->second)) return checkpoint->tensor(it->second);
      if (!n.empty() && checkpoint->has(n)) return checkpoint->tensor(n);
    }
    return {};
  };
}

}  // namespace hone::tensorflow
