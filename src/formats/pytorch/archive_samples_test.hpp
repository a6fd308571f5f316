// Archives and pickles as PyTorch writes them, made by hand: for tests and fuzz targets.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/pytorch/zip.hpp"

namespace hone::archive_samples {

using Entries = std::vector<std::pair<std::string, std::string>>;

inline std::string little(uint64_t v, size_t width) {
  std::string s;
  for (size_t k = 0; k < width; ++k) s += static_cast<char>(v >> (8 * k) & 0xff);
  return s;
}

/// A zip archive of stored entries, each aligned to 64 bytes by a padded extra field.
inline std::string zip(const Entries& entries) {
  std::string out, directory;
  for (const auto& [name, content] : entries) {
    const size_t offset = out.size();
    size_t pad = (64 - (offset + 30 + name.size() + 4) % 64) % 64;
    const std::string extra = little(0x4246, 2) + little(pad, 2) + std::string(pad, 'Z');
    const std::string sizes =
        little(0, 4) + little(content.size(), 4) + little(content.size(), 4) + little(name.size(), 2);
    out += "PK\x03\x04" + little(20, 2) + little(0, 2) + little(0, 2) + little(0, 4) + sizes + little(extra.size(), 2) +
           name + extra + content;
    directory += "PK\x01\x02" + little(20, 2) + little(20, 2) + little(0, 2) + little(0, 2) + little(0, 4) + sizes +
                 little(0, 2) + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(offset, 4) + name;
  }
  const size_t at = out.size();
  return out + directory + "PK\x05\x06" + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) +
         little(directory.size(), 4) + little(at, 4) + little(0, 2);
}

inline std::string floats(const std::vector<float>& v) {
  return {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)};
}

inline pytorch::Blob blob(std::string bytes) {
  auto owner = std::make_shared<std::string>(std::move(bytes));
  return {*owner, owner};
}

// Pickles
// -----------------------------------------------------------------------------------------------------------------
inline std::string text(const std::string& s) {
  return "X" + little(s.size(), 4) + s;
}
inline std::string number(uint32_t v) {
  return "J" + little(v, 4);
}
inline std::string numbers(const std::vector<uint32_t>& v) {
  std::string s = "(";
  for (uint32_t n : v) s += number(n);
  return s + "t";
}
/// torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, False, OrderedDict())
inline std::string tensor(const std::string& storage_type, const std::string& key, uint32_t count, uint32_t offset,
                          const std::vector<uint32_t>& sizes, const std::vector<uint32_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storage_type + "\n" + text(key) +
         text("cpu") + number(count) + "tQ" + number(offset) + numbers(sizes) + numbers(strides) + "\x89" +
         "ccollections\nOrderedDict\n)RtR";
}
/// A dictionary of pickled values.
inline std::string dictionary(const Entries& items) {
  std::string s = "\x80\x02}(";
  for (const auto& [key, value] : items) s += text(key) + value;
  return s + "u.";
}
/// A checkpoint as torch.save writes it.
inline std::string checkpoint(const std::string& pickle, const Entries& storages) {
  Entries e{{"weights/data.pkl", pickle}, {"weights/byteorder", "little"}};
  for (const auto& [key, bytes] : storages) e.emplace_back("weights/data/" + key, bytes);
  e.emplace_back("weights/version", "3\n");
  return zip(e);
}

// Exported programs
// -------------------------------------------------------------------------------------------------------
inline std::string tensor_name(const std::string& name) {
  return R"({"as_tensor": {"name": ")" + name + R"("}})";
}
inline std::string argument(const std::string& name, const std::string& value) {
  return R"({"name": ")" + name + R"(", "arg": )" + value + R"(, "kind": 1})";
}
inline std::string tensor_argument(const std::string& name, const std::string& value) {
  return argument(name, tensor_name(value));
}
inline std::string joined(const std::vector<std::string>& v) {
  std::string s;
  for (const std::string& e : v) s += (s.empty() ? "" : ", ") + e;
  return "[" + s + "]";
}
inline std::string node(const std::string& target, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const std::string& name = "n") {
  return R"({"target": ")" + target + R"(", "inputs": )" + joined(inputs) + R"(, "outputs": )" + joined(outputs) +
         R"(, "metadata": {}, "name": ")" + name + R"("})";
}
/// Sizes are numbers or names of symbols.
inline std::string meta(const std::vector<std::string>& sizes, int dtype = 7, const std::vector<int>& strides = {},
                        int offset = 0) {
  std::vector<std::string> dims, steps;
  for (const std::string& s : sizes) {
    const bool digits = s.find_first_not_of("0123456789") == s.npos;
    const std::string unknown = R"x({"as_expr": {"expr_str": "Symbol(')x" + s +
                                R"x(', positive=True, integer=True)", "hint": {"as_int": 4}}})x";
    dims.push_back(digits ? R"({"as_int": )" + s + "}" : unknown);
  }
  for (int s : strides) steps.push_back(R"({"as_int": )" + std::to_string(s) + "}");
  return R"({"dtype": )" + std::to_string(dtype) + R"(, "sizes": )" + joined(dims) +
         R"(, "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": )" + joined(steps) +
         R"(, "storage_offset": {"as_int": )" + std::to_string(offset) + R"(}, "layout": 7})";
}

struct Program {
  std::vector<std::string> inputs;                              ///< names of user inputs
  std::vector<std::pair<std::string, std::string>> parameters;  ///< graph name and weight
  std::vector<std::pair<std::string, std::string>> buffers;
  std::vector<std::string> nodes;
  std::vector<std::string> outputs;  ///< names of user outputs
  Entries tensors;                   ///< names and their `meta`
  std::string ranges;
  int schema = 8;

  std::string graph() const {
    std::vector<std::string> in, out;
    for (const auto& list : {parameters, buffers}) {
      for (const auto& [name, target] : list) in.push_back(tensor_name(name));
    }
    for (const auto& n : inputs) in.push_back(tensor_name(n));
    for (const auto& n : outputs) out.push_back(tensor_name(n));
    std::string values;
    for (const auto& [name, m] : tensors) values += (values.empty() ? "\"" : ", \"") + name + "\": " + m;
    return R"({"inputs": )" + joined(in) + R"(, "outputs": )" + joined(out) + R"(, "nodes": )" + joined(nodes) +
           R"(, "tensor_values": {)" + values +
           R"(}, "sym_int_values": {}, "sym_bool_values": {}, "is_single_tensor_return": false})";
  }
  std::string json() const {
    std::vector<std::string> in, out;
    const auto tensor = [](const std::string& name) { return R"("arg": {"name": ")" + name + R"("})"; };
    for (const auto& [name, target] : parameters)
      in.push_back(R"({"parameter": {)" + tensor(name) + R"(, "parameter_name": ")" + target + R"("}})");
    for (const auto& [name, target] : buffers)
      in.push_back(R"({"buffer": {)" + tensor(name) + R"(, "buffer_name": ")" + target + R"(", "persistent": true}})");
    for (const auto& n : inputs) in.push_back(R"({"user_input": {"arg": )" + tensor_name(n) + "}}");
    for (const auto& n : outputs) out.push_back(R"({"user_output": {"arg": )" + tensor_name(n) + "}}");
    return R"({"graph_module": {"graph": )" + graph() + R"(, "signature": {"input_specs": )" + joined(in) +
           R"(, "output_specs": )" + joined(out) +
           R"(}, "module_call_graph": []}, "opset_version": {"aten": 10}, "range_constraints": {)" + ranges +
           R"(}, "schema_version": {"major": )" + std::to_string(schema) +
           R"(, "minor": 1}, "torch_version": "2.15.0"})";
  }
};

/// Weights are given with their `meta` and bytes.
struct Payload {
  std::string name, meta, bytes;
};
inline std::string archive(const Program& p, const std::vector<Payload>& weights = {}) {
  Entries e;
  std::string config;
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string file = "weight_" + std::to_string(i);
    e.emplace_back("m/data/weights/" + file, weights[i].bytes);
    config += (config.empty() ? "\"" : ", \"") + weights[i].name + R"(": {"path_name": ")" + file +
              R"(", "is_param": true, "use_pickle": false, "tensor_meta": )" + weights[i].meta + "}";
  }
  e.emplace_back("m/data/weights/model_weights_config.json", R"({"config": {)" + config + "}}");
  e.emplace_back("m/models/model.json", p.json());
  e.emplace_back("m/archive_format", "pt2");
  e.emplace_back("m/byteorder", "little");
  return zip(e);
}

/// y = relu(linear(x, w)) with a dynamic batch.
inline std::string linear_archive() {
  Program p;
  p.inputs = {"x"};
  p.parameters = {{"p_w", "w"}};
  p.nodes = {node("torch.ops.aten.linear.default", {tensor_argument("input", "x"), tensor_argument("weight", "p_w")},
                  {tensor_name("linear")}),
             node("torch.ops.aten.relu.default", {tensor_argument("self", "linear")}, {tensor_name("relu")})};
  p.outputs = {"relu"};
  p.tensors = {
      {"x", meta({"s0", "3"})}, {"p_w", meta({"2", "3"})}, {"linear", meta({"s0", "2"})}, {"relu", meta({"s0", "2"})}};
  p.ranges = R"("s0": {"min_val": 2, "max_val": 64})";
  return archive(p, {{"w", meta({"2", "3"}, 7, {3, 1}), floats({1, 2, 3, -1, -2, -3})}});
}

}  // namespace hone::archive_samples
