#include "formats/conformance/cases.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "formats/npy/npy.hpp"
#include "formats/onnx/proto.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

[[noreturn]] void unreadable(const std::string& what, const std::string& where) {
  throw Error(ErrorCode::unreadable, "[conformance] " + what, where);
}

json read_json(const std::string& path) {
  json j = json::parse(read_text_file(path), nullptr, false);
  if (j.is_discarded() || !j.is_object() || !j.contains("cases") || !j["cases"].is_array())
    unreadable("not a file of cases", path);
  return j;
}

// `stored_as` keeps a tensor smaller: feed = (file - mean[c]) / std[c], or file * scale + offset, or f16.
Tensor restored(const Tensor& stored, const json& entry, ElementType type) {
  if (!entry.contains("stored_as")) return stored.element_type() == type ? stored : stored.converted(type);
  const json& how = entry["stored_as"];
  Tensor wide = stored.converted(ElementType::f32);
  float* p = wide.data<float>();
  if (how.contains("mean")) {
    const auto mean = how["mean"].get<std::vector<double>>(), deviation = how["std"].get<std::vector<double>>();
    const auto axis = how["channel_axis"].get<size_t>();
    if (axis >= wide.rank() || static_cast<int64_t>(mean.size()) != wide.shape()[axis] ||
        mean.size() != deviation.size())
      unreadable("stored_as does not fit the tensor", "");
    size_t inner = 1;
    for (size_t k = axis + 1; k < wide.rank(); ++k) inner *= static_cast<size_t>(wide.shape()[k]);
    for (size_t i = 0; i < wide.size(); ++i) {
      const size_t c = i / inner % mean.size();
      p[i] = (p[i] - static_cast<float>(mean[c])) / static_cast<float>(deviation[c]);
    }
  } else if (how.contains("scale")) {
    const auto scale = how["scale"].get<float>(), offset = how.value("offset", 0.0f);
    for (size_t i = 0; i < wide.size(); ++i) p[i] = p[i] * scale + offset;
  }
  return wide.converted(type);
}

ElementType type_named(const json& entry, const std::string& where) {
  const auto t = element_type_from(entry.value("dtype", entry.value("type", std::string("float32"))));
  if (!t) unreadable("unknown type of '" + entry.value("name", std::string()) + "'", where);
  return *t;
}

Tensor load_entry(const json& entry, const fs::path& folder, const std::string& where) {
  if (!entry.contains("file")) unreadable("an entry names no file", where);
  return restored(read_npy((folder / entry["file"].get<std::string>()).string()), entry, type_named(entry, where));
}

bool has_name(const Value& v, const std::string& name) {
  return v.node().name() == name || std::find(v.names().begin(), v.names().end(), name) != v.names().end();
}

// Makes every inner tensor that the case feeds an input; what fed it disappears.
void cut(Graph& g, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (g.input(name)) continue;
    for (ValueId v = 0; v < g.value_capacity(); ++v) {
      const ValueData& d = g.value(v);
      if (!g.alive(d.producer) || std::find(d.names.begin(), d.names.end(), name) == d.names.end()) continue;
      Builder b(g);
      const Value in = b.parameter(d.type, name);
      g.replace_uses(v, in.id);
      break;
    }
  }
  g.remove_dead();
  std::vector<NodeId> used;
  for (NodeId p : g.parameters()) {
    const auto& d = g.node(p);
    if (!g.value(d.outputs[0]).uses.empty() || std::find(names.begin(), names.end(), d.name) != names.end())
      used.push_back(p);
  }
  const auto all = g.parameters();
  for (NodeId p : all) {
    if (std::find(used.begin(), used.end(), p) == used.end()) g.remove(p);
  }
}

CaseValues load_json_case(const RecordedCase& c, Graph& g) {
  const json all = read_json(c.source);
  const json& one = all["cases"].at(c.index);
  const fs::path folder = fs::path(c.source).parent_path();
  CaseValues v;
  v.tolerance = Tolerance::parse(all.value("tolerance", std::string()));
  v.repeat = one.value("repeat", size_t{1});
  std::vector<std::string> names;
  for (const json& in : one["inputs"]) names.push_back(in.value("name", std::string()));
  if (all.contains("cut")) cut(g, names);
  const Values parameters = g.inputs();
  v.inputs.resize(parameters.size());
  for (size_t i = 0; i < names.size(); ++i) {
    size_t at = parameters.size();
    for (size_t k = 0; k < parameters.size(); ++k) {
      if (has_name(parameters[k], names[i])) at = k;
    }
    if (at == parameters.size()) at = i;  // formats without names go by position
    if (at >= parameters.size()) unreadable("the model has no input '" + names[i] + "'", c.source);
    v.inputs[at] = load_entry(one["inputs"][i], folder, c.source);
  }
  for (size_t k = 0; k < parameters.size(); ++k) {
    if (v.inputs[k].is_none() && parameters[k].type().is_tensor())
      unreadable("the case gives no value for input '" + parameters[k].node().name() + "'", c.source);
  }
  const Values results = g.outputs();
  for (size_t i = 0; i < one["outputs"].size(); ++i) {
    const json& out = one["outputs"][i];
    const std::string name = out.value("name", std::string());
    size_t at = results.size();
    for (size_t k = 0; k < results.size(); ++k) {
      if (has_name(results[k], name)) at = k;
    }
    // What the result itself is called counts most.
    for (size_t k = 0; k < results.size(); ++k) {
      if (g.handle(g.results()[k]).name() == name) at = k;
    }
    if (at == results.size()) at = i;
    if (at >= results.size()) unreadable("the model has no output '" + name + "'", c.source);
    if (!out.contains("file")) continue;  // only a part of it was recorded
    v.expected.emplace_back(at, load_entry(out, folder, c.source));
    v.output_names.push_back(name);
    if (out.contains("stored_as") && out["stored_as"].value("dtype", std::string()) == "float16")
      v.tolerance.atol = std::max(v.tolerance.atol, 5e-4);
  }
  return v;
}

Datum load_pb(const fs::path& path, const Type& type) {
  const auto file = MappedFile::open(path.string());
  const auto b = file->bytes();
  onnx::Storage storage;
  storage.owner = file;
  try {
    return onnx::parse_datum({reinterpret_cast<const char*>(b.data()), b.size()}, type, storage);
  } catch (const Error& e) {
    throw e.at(path.string());
  }
}

// Older suites store bf16 as the bits of u16.
Datum with_type(Datum d, const Type& type) {
  if (!d.is_tensor() || !type.is_tensor() || type.element != ElementType::bf16 ||
      d.tensor().element_type() != ElementType::u16)
    return d;
  Tensor t(ElementType::bf16, d.tensor().shape());
  if (t.byte_size() > 0) std::memcpy(t.raw(), d.tensor().raw(), t.byte_size());
  return t;
}

std::vector<Datum> load_pbs(const fs::path& folder, const char* prefix, const Types& types) {
  std::vector<Datum> out;
  for (size_t i = 0;; ++i) {
    const fs::path p = folder / (prefix + std::to_string(i) + ".pb");
    if (!fs::exists(p)) return out;
    if (i >= types.size()) unreadable("more values than the model has", p.string());
    out.push_back(with_type(load_pb(p, types[i]), types[i]));
  }
}

Types types_of(const Values& values) {
  Types t;
  for (const Value& v : values) t.push_back(v.type());
  return t;
}

CaseValues load_data_set(const RecordedCase& c, Graph& g) {
  CaseValues v;
  v.inputs = load_pbs(c.source, "input_", types_of(g.inputs()));
  const auto expected = load_pbs(c.source, "output_", types_of(g.outputs()));
  for (size_t i = 0; i < expected.size(); ++i) {
    v.expected.emplace_back(i, expected[i]);
    v.output_names.push_back(g.handle(g.results()[i]).name());
  }
  if (v.inputs.size() != g.parameters().size())
    unreadable("the case has another number of inputs than the model", c.source);
  return v;
}

// Inputs are arange(n) / n.
CaseValues load_light(const RecordedCase& c, Graph& g) {
  CaseValues v;
  for (const Value& p : g.inputs()) {
    Tensor t(ElementType::f32, p.shape().to_shape());
    for (size_t i = 0; i < t.size(); ++i)
      t.data<float>()[i] = static_cast<float>(static_cast<double>(i) / static_cast<double>(t.size()));
    v.inputs.emplace_back(t);
  }
  v.expected.emplace_back(0, load_pb(c.source, g.outputs()[0].type()));
  v.output_names.push_back(g.handle(g.results()[0]).name());
  return v;
}

// Integers separated by commas.
Tensor load_csv(const fs::path& path, const Type& type) {
  if (!type.is_tensor() || !is_integer(type.element)) unreadable("a layer of integers is expected", path.string());
  const std::string text = read_text_file(path.string());
  const auto count = static_cast<int64_t>(std::count(text.begin(), text.end(), ',')) + 1;
  Tensor t(type.element, type.shape.is_static() ? type.shape.to_shape() : Shape{count});
  size_t n = 0;
  for (const char* p = text.c_str(); *p;) {
    char* end;
    const long long v = std::strtoll(p, &end, 10);
    if (end == p) break;
    if (n == t.size()) unreadable("more numbers than the tensor has", path.string());
    set_integer(t, n++, v);
    p = end;
    while (*p == ',' || *p == ' ' || *p == '\n' || *p == '\r') ++p;
  }
  if (n != t.size())
    unreadable(std::to_string(n) + " numbers for a tensor of " + std::to_string(t.size()), path.string());
  return t;
}

// The golden outputs were made by the integer arithmetic of another implementation: half a step may fall to either
// side.
CaseValues load_layer(const RecordedCase& c, Graph& g) {
  CaseValues v;
  const std::string stem = c.model.substr(0, c.model.size() - 7);
  v.tolerance.steps = 1;
  v.any_shape = true;
  for (size_t i = 0; i < g.inputs().size(); ++i) {
    fs::path found;
    for (const char* type : {"int16", "int32", "int8", "uint8"}) {
      const fs::path p = stem + "_input" + std::to_string(i) + "_" + type + ".csv";
      if (fs::exists(p)) found = p;
    }
    if (found.empty()) unreadable("the case gives no value for input " + std::to_string(i), stem);
    v.inputs.emplace_back(load_csv(found, g.inputs()[i].type()));
  }
  v.expected.emplace_back(0, load_csv(c.source, g.outputs().at(0).type()));
  v.output_names.push_back(g.handle(g.results()[0]).name());
  return v;
}

void cases_of_folder(const fs::path& folder, const fs::path& root, std::vector<RecordedCase>& out) {
  std::vector<fs::path> entries;
  for (const auto& e : fs::directory_iterator(folder)) entries.push_back(e.path());
  std::sort(entries.begin(), entries.end());
  auto relative = [&](const fs::path& p) {
    const std::string r = p.lexically_relative(root).string();
    return r == "." ? root.filename().string() : r;
  };
  for (const fs::path& p : entries) {
    const std::string file = p.filename().string();
    if (file == "io.json" || file.ends_with("_io.json")) {
      const json j = json::parse(read_text_file(p.string()), nullptr, false);
      if (!j.is_object() || !j.contains("cases") || !j.contains("model")) continue;
      const std::string model = j["model"].get<std::string>();
      const std::string base = relative(file == "io.json" ? folder : p.parent_path() / file.substr(0, file.size() - 8));
      for (size_t i = 0; i < j["cases"].size(); ++i) {
        out.push_back(
            {RecordedCase::Kind::json, base + "/" + std::to_string(i), (folder / model).string(), p.string(), i});
      }
    } else if (file == "model.onnx") {
      for (const fs::path& set : entries) {
        if (set.filename().string().starts_with("test_data_set_") && fs::is_directory(set)) {
          const std::string number = set.filename().string().substr(14);
          out.push_back({RecordedCase::Kind::onnx_data_set, relative(folder) + (number == "0" ? "" : "/" + number),
                         p.string(), set.string(), 0});
        }
      }
    } else if (file.ends_with(".tflite")) {
      for (const char* type : {"int16", "int32", "int8", "uint8"}) {
        const fs::path golden = folder / (file.substr(0, file.size() - 7) + "_golden_" + type + ".csv");
        if (fs::exists(golden)) out.push_back({RecordedCase::Kind::csv, relative(p), p.string(), golden.string(), 0});
      }
    } else if (file.starts_with("light_") && file.ends_with(".onnx")) {
      const fs::path expected = folder / (file.substr(0, file.size() - 5) + "_output_0.pb");
      if (fs::exists(expected))
        out.push_back({RecordedCase::Kind::onnx_light, relative(p), p.string(), expected.string(), 0});
    }
  }
  for (const fs::path& p : entries) {
    if (fs::is_directory(p) && !p.filename().string().starts_with("test_data_set_")) cases_of_folder(p, root, out);
  }
}

}  // namespace

std::vector<RecordedCase> find_cases(const std::string& path, const std::string& scratch) {
  std::vector<RecordedCase> out;
  if (!fs::exists(path)) unreadable("there is no such folder", path);
  std::vector<fs::path> archives;
  if (fs::is_directory(path)) {
    cases_of_folder(fs::path(path).lexically_normal(), fs::path(path).lexically_normal(), out);
    for (const auto& e : fs::recursive_directory_iterator(path)) {
      if (e.path().string().ends_with(".tar.gz")) archives.push_back(e.path());
    }
    std::sort(archives.begin(), archives.end());
  } else {
    archives.push_back(path);
  }
  for (const fs::path& a : archives) {
    std::string stem = a.filename().string();
    if (stem.ends_with(".tar.gz")) stem.resize(stem.size() - 7);
    const fs::path to = fs::path(scratch) / stem;
    unpack_tar_gz(a.string(), to.string());
    std::vector<RecordedCase> found;
    cases_of_folder(to, to, found);
    for (RecordedCase& c : found) {
      c.name = stem + "/" + c.name;
      out.push_back(std::move(c));
    }
    if (found.empty()) fs::remove_all(to);
  }
  return out;
}

CaseValues load_case(const RecordedCase& c, Graph& g) {
  switch (c.kind) {
    case RecordedCase::Kind::json:
      return load_json_case(c, g);
    case RecordedCase::Kind::onnx_data_set:
      return load_data_set(c, g);
    case RecordedCase::Kind::onnx_light:
      return load_light(c, g);
    case RecordedCase::Kind::csv:
      return load_layer(c, g);
  }
  return {};
}

}  // namespace hone
