#include "api/files.hpp"

#include <algorithm>
#include <fstream>

#include "api/networks.hpp"
#include "base/file.hpp"
#include "compile/graph_file.hpp"
#include "formats/formats.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "program/hone_file.hpp"

namespace hone {

namespace {

// The first bytes of a file; nothing where it cannot be read, which its reader will say.
std::string head_of(const std::string& path) {
  std::string head(64, '\0');
  std::ifstream f(path, std::ios::binary);
  f.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(std::max<std::streamsize>(0, f.gcount())));
  return head;
}

}  // namespace

bool is_hone_path(const std::string& path) {
  return path.ends_with(".hone");
}

Graph read_any_model(const std::string& path, const std::string& network) {
  const auto head = head_of(path);
  if (is_weights_file(head, path)) return read_network(path, network);
  if (!network.empty() && !head.empty())
    throw Error(ErrorCode::usage, "[network] the file holds a whole model, not weights alone", path,
                "leave --network away");
  if (!is_hone_path(path)) return read_model(path);
  const HoneFile f = read_hone(path);
  if (f.graph.empty())
    throw Error(ErrorCode::unsupported, "[hone] the file holds programs only, its graph was stripped", path,
                "use the file that it was made from");
  try {
    return graph_from_bytes(f.graph, f.graph_constants);
  } catch (const Error& e) {
    throw e.at(path);
  }
}

Graph read_model_of_case(const std::string& path, const std::string& network) {
  return is_weights_file(head_of(path), path) ? read_network_that_fits(path, network) : read_any_model(path);
}

namespace {

HoneFile container_of(const Graph& g) {
  HoneFile f;
  f.metadata = g.info;
  f.graph = graph_bytes(g, f.graph_constants);
  return f;
}

// Weights as f16 behind a conversion, as the other writers have them. Small tensors stay: they are scales, bounds and
// limits more often than weights.
constexpr size_t least_weights = 16;
Graph with_half_weights(const Graph& whole) {
  Graph g = whole;
  Builder b(g);
  for (NodeId id : g.topological_order()) {
    const auto* c = g.handle(id).as<Constant>();
    if (!c || c->value.element_type() != ElementType::f32 || c->value.size() < least_weights) continue;
    Tensor clamped = c->value.clone();
    for (float& v : clamped.span<float>()) v = std::clamp(v, -65504.0f, 65504.0f);
    b.set_name(g.node(id).name);
    b.set_provenance(g.node(id).provenance);
    const Value real = b(Convert{ElementType::f32}, b.constant(clamped.converted(ElementType::f16)));
    g.replace_uses(g.node(id).outputs[0], real.id);
  }
  g.remove_dead();
  return g;
}

}  // namespace

void save_any_model(const Graph& g, const std::string& path, const SaveOptions& options) {
  if (is_hone_path(path)) {
    write_hone(path, container_of(options.compress_to_fp16 ? with_half_weights(g) : g));
    return;
  }
  WriteOptions o;
  o.compress_to_fp16 = options.compress_to_fp16;
  if (options.opset > 0) o.opset = options.opset;
  write_model(g, path, o);
}

void save_compiled_model(const Graph& g, const CompiledGraph& compiled, const std::string& path, bool strip_graph,
                         const std::string& key_file) {
  if (!is_hone_path(path)) throw Error(ErrorCode::usage, "[hone] a compiled model is stored as .hone", path);
  if (!compiled.program())
    throw Error(ErrorCode::unsupported, "[hone] the model has no program of its own: " + compiled.mode(), path,
                "fix its input shapes first");
  HoneFile f = strip_graph ? HoneFile{} : container_of(g);
  f.metadata = g.info;
  f.programs.push_back(*compiled.program());
  if (key_file.empty())
    write_hone(path, f);
  else
    write_encrypted_hone(path, f, key_file);
}

}  // namespace hone
