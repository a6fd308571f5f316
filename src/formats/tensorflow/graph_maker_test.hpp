// Small GraphDefs for tests, written field by field.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/protobuf.hpp"
#include "formats/tensorflow/reader.hpp"

namespace hone::tensorflow {

using Attribute = std::pair<std::string, std::string>;  ///< name and AttrValue

template <class F>
Attribute attribute(const std::string& name, F&& write) {
  std::string value;
  protozero::pbf_writer w(value);
  write(w);
  return {name, value};
}
inline Attribute type_attribute(const std::string& name, int32_t type) {
  return attribute(name, [&](auto& w) { w.add_int32(6, type); });
}
inline Attribute int_attribute(const std::string& name, int64_t i) {
  return attribute(name, [&](auto& w) { w.add_int64(3, i); });
}
inline Attribute flag_attribute(const std::string& name, bool b) {
  return attribute(name, [&](auto& w) { w.add_bool(5, b); });
}
inline Attribute text_attribute(const std::string& name, const std::string& s) {
  return attribute(name, [&](auto& w) { w.add_bytes(2, s); });
}
inline Attribute ints_attribute(const std::string& name, const std::vector<int64_t>& v) {
  std::string list;
  protozero::pbf_writer l(list);
  l.add_packed_int64(3, v.begin(), v.end());
  return attribute(name, [&](auto& w) { w.add_message(1, list); });
}
inline Attribute function_attribute(const std::string& name, const std::string& function) {
  std::string f;
  protozero::pbf_writer w(f);
  w.add_string(1, function);
  return attribute(name, [&](auto& a) { a.add_message(10, f); });
}
inline std::string shape_message(const std::vector<int64_t>& dims) {
  std::string s;
  protozero::pbf_writer w(s);
  for (const int64_t d : dims) {
    std::string dim;
    protozero::pbf_writer(dim).add_int64(1, d);
    w.add_message(2, dim);
  }
  return s;
}
inline Attribute shape_attribute(const std::string& name, const std::vector<int64_t>& dims) {
  return attribute(name, [&](auto& w) { w.add_message(7, shape_message(dims)); });
}
inline Attribute tensor_attribute(const std::vector<int64_t>& dims, const std::vector<float>& values) {
  std::string t;
  protozero::pbf_writer w(t);
  w.add_int32(1, 1);
  w.add_message(2, shape_message(dims));
  w.add_packed_float(5, values.begin(), values.end());
  return attribute("value", [&](auto& a) { a.add_message(8, t); });
}
inline Attribute ints_tensor_attribute(const std::vector<int64_t>& dims, const std::vector<int32_t>& values) {
  std::string t;
  protozero::pbf_writer w(t);
  w.add_int32(1, 3);
  w.add_message(2, shape_message(dims));
  w.add_packed_int32(7, values.begin(), values.end());
  return attribute("value", [&](auto& a) { a.add_message(8, t); });
}

inline std::string node_message(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
                                const std::vector<Attribute>& attributes) {
  std::string n;
  protozero::pbf_writer w(n);
  w.add_string(1, name);
  w.add_string(2, op);
  for (const auto& i : inputs) w.add_string(3, i);
  for (const auto& [key, value] : attributes) {
    std::string entry;
    protozero::pbf_writer e(entry);
    e.add_string(1, key);
    e.add_message(2, value);
    w.add_message(5, entry);
  }
  return n;
}

/// Builds a GraphDef node by node.
class GraphMaker {
 public:
  GraphMaker& node(const std::string& name, const std::string& op, const std::vector<std::string>& inputs = {},
                   const std::vector<Attribute>& attributes = {}) {
    protozero::pbf_writer(graph_).add_message(1, node_message(name, op, inputs, attributes));
    return *this;
  }
  GraphMaker& input(const std::string& name, const std::vector<int64_t>& shape, int32_t type = 1) {
    return node(name, "Placeholder", {}, {type_attribute("dtype", type), shape_attribute("shape", shape)});
  }
  GraphMaker& constant(const std::string& name, const std::vector<int64_t>& dims, const std::vector<float>& values) {
    return node(name, "Const", {}, {type_attribute("dtype", 1), tensor_attribute(dims, values)});
  }
  GraphMaker& ints(const std::string& name, const std::vector<int64_t>& dims, const std::vector<int32_t>& values) {
    return node(name, "Const", {}, {type_attribute("dtype", 3), ints_tensor_attribute(dims, values)});
  }
  struct Argument {
    std::string name;
    int32_t type;
  };
  /// `nodes` are node messages; `returns` name the tensors of the outputs as functions do ("node:output:0").
  GraphMaker& function(const std::string& name, const std::vector<Argument>& inputs,
                       const std::vector<Argument>& outputs, const std::vector<std::string>& nodes,
                       const std::vector<std::string>& returns) {
    std::string signature;
    protozero::pbf_writer s(signature);
    s.add_string(1, name);
    for (const bool out : {false, true}) {
      for (const Argument& a : out ? outputs : inputs) {
        std::string argument;
        protozero::pbf_writer w(argument);
        w.add_string(1, a.name);
        w.add_int32(3, a.type);
        s.add_message(out ? 3 : 2, argument);
      }
    }
    std::string f;
    protozero::pbf_writer w(f);
    w.add_message(1, signature);
    for (const auto& n : nodes) w.add_message(3, n);
    for (size_t k = 0; k < outputs.size(); ++k) {
      std::string entry;
      protozero::pbf_writer e(entry);
      e.add_string(1, outputs[k].name);
      e.add_string(2, returns[k]);
      w.add_message(4, entry);
    }
    protozero::pbf_writer(library_).add_message(1, f);
    return *this;
  }
  std::string bytes() const {
    std::string b = graph_;
    if (!library_.empty()) protozero::pbf_writer(b).add_message(2, library_);
    return b;
  }
  Graph read() const {
    const auto b = std::make_shared<std::string>(bytes());
    return parse_tensorflow(*b, b);
  }

 private:
  std::string graph_, library_;
};

}  // namespace hone::tensorflow
