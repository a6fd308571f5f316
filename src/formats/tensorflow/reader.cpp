#include "formats/tensorflow/reader.hpp"

#include <algorithm>
#include <filesystem>

#include "base/file.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "formats/tensorflow/tables.hpp"
#include "formats/tensorflow/text_proto.hpp"
#include "formats/tensorflow/variables.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

namespace fs = std::filesystem;

std::string suffix_of(const std::string& path) {
  std::string s = fs::path(path).extension().string();
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

// The outputs of a graph that names none: what nobody reads.
std::vector<std::pair<std::string, Ref>> open_ends(const Body& b, bool training_reads = true) {
  std::vector<bool> read(b.size(), false), useless(b.size(), false);
  for (uint32_t i = 0; i < b.size(); ++i) {
    useless[i] = is_training_operator(b.node(i).op);
    for (const Ref r : b.inputs(i)) {
      if (r.node != Ref::argument && !is_observer(b.node(i).op) && (training_reads || !useless[i])) read[r.node] = true;
    }
  }
  static constexpr std::string_view sources[] = {"Const",
                                                 "Placeholder",
                                                 "PlaceholderWithDefault",
                                                 "PlaceholderV2",
                                                 "VariableV2",
                                                 "VarHandleOp",
                                                 "Variable",
                                                 "HashTableV2",
                                                 "HashTable",
                                                 "MutableHashTableV2",
                                                 "VarIsInitializedOp",
                                                 "IsVariableInitialized"};
  std::vector<std::pair<std::string, Ref>> out;
  for (uint32_t i = 0; i < b.size(); ++i) {
    const NodeMessage& n = b.node(i);
    if (read[i] || useless[i] || std::find(std::begin(sources), std::end(sources), n.op) != std::end(sources)) continue;
    if (b.context(i) != 0) continue;  // inside of a loop or a branch
    if (n.op == "ReadVariableOp" || n.op == "Enter" || n.op == "NextIteration" || n.op == "Switch") continue;
    // Reading a variable alone is bookkeeping.
    if (n.op == "Identity" && !b.inputs(i).empty() && b.inputs(i)[0].node != Ref::argument) {
      const Bytes from = b.node(b.inputs(i)[0].node).op;
      if (from == "VariableV2" || from == "Variable" || from == "ReadVariableOp" || is_training_operator(from))
        continue;
    }
    const OperatorRow* row = find_row(n.op);
    size_t ports = 1;
    if (row && !row->outputs.empty() && !n.op.starts_with("FusedBatchNorm") && n.op != "Merge") {
      ports = 1 + static_cast<size_t>(std::count(row->outputs.begin(), row->outputs.end(), ','));
    } else if (n.op == "Split" || n.op == "SplitV" || n.op == "Unpack") {
      for (const auto& [key, value] : n.attributes) {
        if (key == "num_split" || key == "num")
          ports = static_cast<size_t>(std::clamp<int64_t>(parse_attribute(value).i, 0, 4096));
      }
    }
    for (uint32_t p = 0; p < ports; ++p)
      out.emplace_back(std::string(n.name) + (p ? ":" + std::to_string(p) : ""), Ref{i, p});
  }
  // A training graph without ends of its own: what its checks and updates read.
  return out.empty() && training_reads ? open_ends(b, false) : out;
}

struct Source {
  GraphMessage graph;
  const SignatureMessage* signature = nullptr;
  std::shared_ptr<const void> owner;
  std::shared_ptr<const Checkpoint> checkpoint;
  Assets assets;
};

void add_name(Graph& g, Value v, const std::string& name, bool first = false) {
  auto names = v.names();
  std::erase(names, name);
  names.insert(first ? names.begin() : names.end(), name);
  g.set_names(v.id, std::move(names));
}

// Type and shape of a Placeholder, which the signature may say better.
Type input_type(const NodeMessage& n, const TensorInfo* info) {
  Type t(ElementType::f32, PartialShape::dynamic());
  int64_t number = info ? info->type : 0;
  for (const auto& [key, value] : n.attributes) {
    if (key == "dtype" && number == 0) number = parse_attribute(value).type;
    if (key == "shape" || key == "_output_shapes") {
      const AttributeMessage a = parse_attribute(value);
      if (key == "shape" && a.kind == AttributeMessage::shape_)
        t.shape = a.shape;
      else if (key == "_output_shapes" && !a.shapes.empty() && !t.shape.rank_known())
        t.shape = a.shapes[0];
    }
  }
  if (info && (info->shape.rank_known() || !t.shape.rank_known())) t.shape = info->shape;
  // Old files say "scalar" where they mean "unknown": a graph of producer version below 24 writes no shape.
  if (number != 0) t.element = element_type_of_tf(number);
  if (is_complex_type(number))
    throw Error(ErrorCode::unsupported, "[Placeholder] inputs of complex numbers are not offered",
                "node '" + std::string(n.name) + "'");
  if (t.element == ElementType::dynamic) {
    throw Error(ErrorCode::unsupported, "[Placeholder] inputs of type " + name_of_tf_type(number) + " are not offered",
                "node '" + std::string(n.name) + "'");
  }
  return t;
}

Graph import(const Source& s) {
  Library library(s.graph);
  const Body body(s.graph.nodes, library.output_index());
  std::vector<std::pair<std::string, Ref>> outputs;
  if (s.signature) {
    for (const TensorInfo& o : s.signature->outputs) outputs.emplace_back(o.key, body.ref(o.name));
  } else {
    outputs = open_ends(body);
  }
  if (outputs.empty())
    throw Error(ErrorCode::unreadable, "[tensorflow] the graph has no outputs", "",
                "check that it is an inference graph");
  std::vector<Ref> roots;
  for (const auto& [name, ref] : outputs) roots.push_back(ref);
  check_operators(body, roots, library);

  Graph g;
  g.info["framework"] = "tensorflow";
  GraphScope scope(g, nullptr);
  Session session(library, s.owner, frozen_variables(s.graph, s.checkpoint),
                  table_contents(s.graph, s.owner, s.assets));
  Names names(session, body, scope, nullptr, 0);
  names.needed.assign(body.size(), false);
  const auto needed = body.needed(roots);
  for (const uint32_t n : needed) names.needed[n] = true;
  std::set<uint32_t> given;
  if (s.signature) {
    for (const TensorInfo& i : s.signature->inputs) {
      const Ref r = body.ref(i.name);
      if (r.node == Ref::argument || !given.insert(r.node).second) continue;
      const NodeMessage& n = body.node(r.node);
      const Value v = scope.builder.parameter(input_type(n, &i), i.key);
      for (const std::string& name : {std::string(n.name), std::string(n.name) + ":0", i.key}) add_name(g, v, name);
      Items all(r.port + 1);
      all[r.port] = v;
      names.set(r.node, all);
    }
  }
  for (uint32_t i = 0; i < body.size(); ++i) {
    const NodeMessage& n = body.node(i);
    if ((n.op != "Placeholder" && n.op != "PlaceholderV2") || !names.needed[i] || given.contains(i)) continue;
    const Value v = scope.builder.parameter(input_type(n, nullptr), std::string(n.name));
    for (const std::string& name : {std::string(n.name), std::string(n.name) + ":0"}) add_name(g, v, name);
    names.set(i, {v});
  }
  for (const auto& [name, ref] : outputs) {
    const Item y = names.get(ref);
    if (!y.value) {
      // Lists and handles that nobody reads are left over from what was built of them.
      if (!s.signature) continue;
      throw Error(ErrorCode::unsupported, "[tensorflow] output '" + name + "' is no tensor", "",
                  "name outputs that are tensors in the signature");
    }
    scope.builder.set_name({});
    scope.builder.set_provenance({});
    // Each Result bears the name of its output, so it needs a value of its own where one value gives two.
    scope.builder.result(y.value, name);
    if (s.signature) add_name(g, y.value, name, true);
  }
  if (g.results().empty()) {
    throw Error(ErrorCode::unreadable, "[tensorflow] the graph has no outputs", "",
                "check that it is an inference graph");
  }
  g.remove_dead();
  return g;
}

Error refused_signature(const MetaGraphMessage& m) {
  std::string known;
  for (const SignatureMessage& s : m.signatures) known += (known.empty() ? "" : ", ") + s.key;
  return Error(ErrorCode::unsupported,
               "[tensorflow] the model has no signature with outputs" + (known.empty() ? "" : " among " + known), "",
               "save it with a serving signature");
}

const SignatureMessage* signature_of(const MetaGraphMessage& m) {
  const SignatureMessage* best = nullptr;
  for (const SignatureMessage& s : m.signatures) {
    if (s.outputs.empty() || s.key.starts_with("__saved_model")) continue;
    if (s.key == "serving_default") return &s;
    if (!best) best = &s;
  }
  return best;
}

// Files beside a graph; an empty path: the graph was given as bytes.
Assets assets_at(const fs::path& folder) {
  Assets a;
  if (!folder.empty()) a.folders = {folder / "assets", folder};
  return a;
}

Graph import_meta(Bytes meta, const std::shared_ptr<const void>& owner,
                  const std::shared_ptr<const Checkpoint>& checkpoint, bool saved_model, const fs::path& folder) {
  const MetaGraphMessage m = parse_meta_graph(meta);
  Source s{parse_graph(m.graph), signature_of(m), owner, checkpoint, assets_at(folder)};
  for (const auto& [tensor, file] : m.assets) s.assets.names.emplace(tensor.substr(0, tensor.find(':')), file);
  if (saved_model && !s.signature) throw refused_signature(m);
  Graph g = import(s);
  if (!m.version.empty()) g.info["producer"] = "TensorFlow " + std::string(m.version);
  return g;
}

// The MetaGraph for serving, else the first.
Bytes serving_graph(Bytes saved_model) {
  const auto graphs = parse_saved_model(saved_model);
  if (graphs.empty()) throw Error(ErrorCode::unreadable, "[tensorflow] the SavedModel holds no graph");
  for (const Bytes b : graphs) {
    const MetaGraphMessage m = parse_meta_graph(b);
    if (std::find(m.tags.begin(), m.tags.end(), "serve") != m.tags.end()) return b;
  }
  return graphs[0];
}

Bytes bytes_of(const MappedFile& f) {
  return {reinterpret_cast<const char*>(f.bytes().data()), f.bytes().size()};
}

// A SavedModel begins with its schema version, a GraphDef with a node, a MetaGraphDef with its information.
enum class Kind { graph, meta, saved_model };
Kind kind_of(Bytes b) {
  if (!b.empty() && b[0] == 0x08) return Kind::saved_model;
  return looks_like_graph(b) ? Kind::graph : Kind::meta;
}

Graph import_bytes(Bytes b, const std::shared_ptr<const void>& owner,
                   const std::shared_ptr<const Checkpoint>& checkpoint, const fs::path& folder) {
  switch (kind_of(b)) {
    case Kind::graph:
      return import({parse_graph(b), nullptr, owner, checkpoint, assets_at(folder)});
    case Kind::meta:
      return import_meta(b, owner, checkpoint, false, folder);
    default:
      return import_meta(serving_graph(b), owner, checkpoint, true, folder);
  }
}

std::shared_ptr<const Checkpoint> checkpoint_at(const fs::path& prefix) {
  std::error_code ec;
  return fs::exists(prefix.string() + ".index", ec) ? Checkpoint::open(prefix.string()) : nullptr;
}

// The bytes of a message, from its text where the file holds that.
struct Content {
  std::shared_ptr<const void> owner;
  Bytes bytes;
};
Content content_of(const fs::path& path) {
  const auto file = MappedFile::open(path.string());
  const Bytes b = bytes_of(*file);
  if (b.empty()) throw Error(ErrorCode::unreadable, "[tensorflow] the file is empty");
  if (suffix_of(path.string()) != ".pbtxt") return {file, b};
  const auto binary = std::make_shared<const std::string>(binary_from_text(b));
  return {binary, *binary};
}

Graph read(const fs::path& path) {
  std::error_code ec;
  if (fs::is_directory(path, ec)) {
    const bool binary = fs::exists(path / "saved_model.pb", ec);
    const Content c = content_of(path / (binary ? "saved_model.pb" : "saved_model.pbtxt"));
    return import_meta(serving_graph(c.bytes), c.owner, checkpoint_at(path / "variables" / "variables"), true, path);
  }
  const Content c = content_of(path);
  fs::path prefix = path;
  prefix.replace_extension();
  if (path.stem() == "saved_model") prefix = path.parent_path() / "variables" / "variables";
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return import_bytes(c.bytes, c.owner, checkpoint_at(prefix), folder);
}

}  // namespace
}  // namespace hone::tensorflow

namespace hone {

bool is_tensorflow(std::string_view head, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  if (fs::is_directory(path, ec)) {
    return fs::exists(fs::path(path) / "saved_model.pb", ec) || fs::exists(fs::path(path) / "saved_model.pbtxt", ec);
  }
  const std::string suffix = tensorflow::suffix_of(path);
  if (suffix == ".pb" || suffix == ".meta") return !head.empty() && (head[0] == 0x0a || head[0] == 0x08);
  return suffix == ".pbtxt";
}

Graph parse_tensorflow(std::string_view bytes, std::shared_ptr<const void> owner) {
  return tensorflow::import_bytes(bytes, owner, nullptr, {});
}

Graph read_tensorflow(const std::string& path) {
  try {
    return tensorflow::read(path);
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace hone
