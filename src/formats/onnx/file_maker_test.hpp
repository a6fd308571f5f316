// Small ONNX files for tests.
#pragma once
#include <string>
#include <vector>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/reader.hpp"
#include "formats/protobuf.hpp"
#include "ops/evaluate.hpp"

namespace hone {

using protozero::pbf_writer;

/// The first result.
inline Tensor run(const Graph& g, const std::vector<Datum>& in) {
  return evaluate(g, in)[0].tensor();
}

// Builds small files by hand, the malformed ones too.
struct OnnxFile {
  std::string graph;
  std::string functions;
  int64_t ir = 8, opset = 17;

  OnnxFile& input(const std::string& name, ElementType t, const Shape& shape, uint32_t field = 11) {
    std::string dims;
    for (int64_t d : shape) {
      std::string dim;
      pbf_writer(dim).add_int64(1, d);
      pbf_writer(dims).add_message(1, dim);
    }
    std::string tensor, type, value;
    pbf_writer(tensor).add_int32(1, t == ElementType::f32 ? 1 : 7);
    pbf_writer(tensor).add_message(2, dims);
    pbf_writer(type).add_message(1, tensor);
    pbf_writer(value).add_string(1, name);
    pbf_writer(value).add_message(2, type);
    pbf_writer(graph).add_message(field, value);
    return *this;
  }
  OnnxFile& output(const std::string& name) { return input(name, ElementType::f32, {}, 12); }
  static std::string node(const std::string& op, const std::vector<std::string>& in,
                          const std::vector<std::string>& out, const std::string& domain = "",
                          const onnx::AttributeList& attributes = {}) {
    std::string n;
    pbf_writer w(n);
    for (const auto& s : in) w.add_string(1, s);
    for (const auto& s : out) w.add_string(2, s);
    w.add_string(3, out[0] + "_node");
    w.add_string(4, op);
    for (const auto& a : attributes.messages()) w.add_message(5, a);
    if (!domain.empty()) w.add_string(7, domain);
    return n;
  }
  OnnxFile& add(const std::string& node) {
    pbf_writer(graph).add_message(1, node);
    return *this;
  }
  OnnxFile& constant(const std::string& name, const Tensor& t) {
    pbf_writer(graph).add_message(5, onnx::tensor_message(t, name));
    return *this;
  }
  std::string bytes() const {
    std::string out;
    pbf_writer w(out);
    w.add_int64(1, ir);
    w.add_message(7, graph);
    if (opset > 0) {
      std::string set;
      pbf_writer(set).add_int64(2, opset);
      w.add_message(8, set);
    }
    out += functions;
    return out;
  }
  Graph read() const {
    auto owner = std::make_shared<std::string>(bytes());
    return parse_onnx(*owner, owner);
  }
};

}  // namespace hone
