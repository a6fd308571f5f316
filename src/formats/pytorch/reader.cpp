#include "formats/pytorch/reader.hpp"

#include <algorithm>
#include <map>

#include "base/checked.hpp"
#include "formats/nearest_names.hpp"
#include "formats/pytorch/complex.hpp"
#include "formats/pytorch/mapping.hpp"
#include "formats/pytorch/scope.hpp"
#include "formats/pytorch/state_dict.hpp"
#include "formats/pytorch/strided.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone::pytorch {
namespace {

// The parts of an archive. PyTorch 2.8 and later: models/NAME.json, data/weights, data/constants. Before: one file
// each.
struct Archive {
  ZipArchive zip;
  std::string root, model;  ///< path of the JSON, name of the model (empty: the older layout)
};

Archive open_archive(const Blob& file) {
  Archive a{ZipArchive(file), {}, {}};
  a.root = a.zip.root();
  std::vector<std::string> models;
  for (const auto& [name, content] : a.zip.entries()) {
    const std::string prefix = a.root + "models/";
    if (name.starts_with(prefix) && name.ends_with(".json"))
      models.push_back(name.substr(prefix.size(), name.size() - prefix.size() - 5));
  }
  if (const std::string order = a.root + "byteorder"; a.zip.has(order) && a.zip.read(order).bytes != "little") {
    throw Error(ErrorCode::unsupported, "[torch.export] the archive was written on a big-endian machine");
  }
  if (!models.empty()) {
    const bool usual = std::find(models.begin(), models.end(), "model") != models.end();
    if (models.size() > 1 && !usual)
      throw Error(ErrorCode::unsupported,
                  "[torch.export] the archive holds " + std::to_string(models.size()) + " models", "",
                  "save one model a file");
    a.model = usual ? "model" : models[0];
    return a;
  }
  if (a.zip.has(a.root + "serialized_exported_program.json")) return a;
  for (const auto& [name, content] : a.zip.entries()) {
    if (name.starts_with(a.root + "data/aotinductor/")) {
      throw Error(ErrorCode::unsupported, "[torch.export] the archive holds compiled code (AOTInductor) and no graph",
                  "", "save the exported program with torch.export.save");
    }
  }
  throw Error(ErrorCode::unreadable, "[torch.export] the archive holds no exported program", "",
              "save it with torch.export.save");
}

using Weights = std::map<std::string, Tensor>;

Shape numbers(const std::vector<SizeMessage>& sizes) {
  Shape s;
  for (const SizeMessage& m : sizes) {
    if (m.number < 0) throw Error(ErrorCode::unreadable, "[torch.export] a weight has no fixed size");
    s.push_back(m.number);
  }
  return s;
}

void take_state_dict(const Blob& bytes, Weights& out) {
  for (auto& [name, t] : unpickled_weights(bytes).tensors) out.emplace(name, t);
}

void take_payloads(const Archive& a, const std::string& folder, const std::string& config, Weights& out) {
  for (const auto& [name, p] : parse_payloads(a.zip.read(a.root + folder + config).bytes)) {
    const std::string path = a.root + folder + p.path;
    if (p.pickled) {
      // Tensors of unusual kinds are pickled whole; objects of other kinds cannot be used by a graph that runs here.
      if (p.path.starts_with("custom_obj_") || p.path.starts_with("opaque_obj_")) continue;
      throw Error(ErrorCode::unsupported, "[torch.export] weight '" + name + "' is a pickled tensor subclass", "",
                  "export the model with plain tensors");
    }
    const auto t = scalar_type(part_type(p.meta.dtype));
    if (!t)
      throw Error(ErrorCode::unsupported, "[torch.export] weight '" + name + "' is " + scalar_type_name(p.meta.dtype) +
                                              ", which is not offered");
    try {
      Shape sizes = numbers(p.meta.sizes), strides = numbers(p.meta.strides);
      int64_t offset = p.meta.storage_offset.number;
      if (is_complex_type(p.meta.dtype)) {
        // Real and imaginary part lie side by side.
        for (int64_t& s : strides) s = checked_mul(s, int64_t{2});
        offset = checked_mul(offset, int64_t{2});
        sizes.push_back(2);
        strides.push_back(1);
      }
      out.emplace(name, strided_view(a.zip.read(path), *t, sizes, strides, offset));
    } catch (const Error& e) {
      throw e.at("weight '" + name + "'");
    }
  }
}

Weights weights_of(const Archive& a) {
  Weights out;
  if (a.model.empty()) {
    for (const char* name : {"serialized_state_dict.pt", "serialized_constants.pt"}) {
      if (a.zip.has(a.root + name)) take_state_dict(a.zip.read(a.root + name), out);
    }
    if (a.zip.has(a.root + "serialized_state_dict.json")) {
      throw Error(ErrorCode::unsupported, "[torch.export] archives of PyTorch 2.1 are not read", "",
                  "export again with a newer PyTorch");
    }
    return out;
  }
  for (const char* kind : {"weights", "constants"}) {
    const std::string folder = std::string("data/") + kind + "/", whole = a.root + folder + a.model + ".pt";
    const std::string config = a.model + "_" + kind + "_config.json";
    if (a.zip.has(whole))
      take_state_dict(a.zip.read(whole), out);
    else if (a.zip.has(a.root + folder + config))
      take_payloads(a, folder, config, out);
  }
  return out;
}

void find_unknown(const GraphMessage& g, std::map<std::string, std::vector<std::string>>& unknown) {
  const auto inner = [&](const Argument& a) {
    if (a.graph) find_unknown(*a.graph, unknown);
  };
  for (const NodeMessage& n : g.nodes) {
    const std::string op = operator_name(n.target);
    if (!find_row(op) && !find_complex_row(op)) unknown[op].push_back(n.name);
    for (const NamedArgument& a : n.inputs) inner(a.value);
  }
}

void check_operators(const GraphMessage& g) {
  std::map<std::string, std::vector<std::string>> unknown;
  find_unknown(g, unknown);
  if (unknown.empty()) return;
  std::string text;
  size_t named = 0;
  for (const auto& [op, nodes] : unknown) {
    text += (text.empty() ? "" : "; ") + op + " x" + std::to_string(nodes.size()) + " (";
    for (size_t i = 0; i < std::min<size_t>(nodes.size(), 5); ++i) text += (i ? ", " : "") + nodes[i];
    text += nodes.size() > 5 ? ", ...)" : ")";
    const auto near = named++ < most_suggested ? nearest_names(op) : std::vector<std::string>();
    for (size_t i = 0; i < near.size(); ++i) text += (i ? ", " : ", nearest known: ") + near[i];
  }
  throw Error(ErrorCode::unsupported, "[torch.export] operators that Hone does not know: " + text, "",
              "export with run_decompositions(), or add a row to the mapping table (formats/pytorch/mapping.hpp)");
}

Dimension dimension(const SizeMessage& m, const std::map<std::string, SymbolRange>& ranges) {
  if (m.number >= 0) return m.number;
  if (m.symbol.empty()) return {};
  int64_t low = 0, high = Dimension::unbounded;
  if (const auto it = ranges.find(m.symbol); it != ranges.end()) {
    // PyTorch reasons about open sizes as if they were 2 or more and takes 0 and 1 all the same.
    low = std::max<int64_t>(0, it->second.min.value_or(0));
    if (low <= 2) low = 0;
    if (it->second.max && *it->second.max >= low && *it->second.max < (int64_t{1} << 48)) high = *it->second.max;
  }
  return Dimension::symbolic(m.symbol, low, high);
}

Type type_of_input(const ProgramMessage& p, const Argument& a) {
  if (a.kind != Argument::Kind::tensor) {
    // A number that the caller gives.
    return Type(ElementType::i64, PartialShape(Shape{}));
  }
  const auto it = p.graph.tensors.find(a.text);
  if (it == p.graph.tensors.end())
    throw Error(ErrorCode::unreadable, "[torch.export] input '" + a.text + "' has no type");
  const auto t = scalar_type(part_type(it->second.dtype));
  if (!t)
    throw Error(ErrorCode::unsupported, "[torch.export] input '" + a.text + "' is " +
                                            scalar_type_name(it->second.dtype) + ", which is not offered");
  std::vector<Dimension> dims;
  for (const SizeMessage& s : it->second.sizes) dims.push_back(dimension(s, p.ranges));
  if (is_complex_type(it->second.dtype)) dims.emplace_back(2);
  return Type(*t, PartialShape(dims));
}

class Program {
 public:
  Program(const ProgramMessage& p, const Weights& weights, Graph& g)
      : p_(p), weights_(weights), scope_(g, p.graph, 0) {}

  void build() {
    check_operators(p_.graph);
    changed_ = Scope::changed_inputs(p_.graph);
    for (const OutputSpec& o : p_.outputs) {
      if (o.kind == OutputSpec::Kind::buffer_mutation) mutated_[o.target] = o.argument;
      // Tokens order operators that do more than compute; there are none left here.
      if (o.kind == OutputSpec::Kind::other && o.target != "token")
        throw Error(ErrorCode::unsupported, "[torch.export] an output of kind '" + o.target + "' is not offered", "",
                    "export the model for inference");
    }
    for (const InputSpec& i : p_.inputs) input(i);
    scope_.run();
    for (const OutputSpec& o : p_.outputs) {
      if (o.kind == OutputSpec::Kind::user) result(o.argument);
    }
    for (const OutputSpec& o : p_.outputs) {
      if (o.kind == OutputSpec::Kind::input_mutation) result(o.argument);
    }
    for (const auto& [name, buffer] : states_) {
      const auto it = mutated_.find(buffer);
      const Value next = it != mutated_.end() ? scope_.output(it->second) : scope_.find(name);
      scope_.builder().add(op_def<Assign>(), std::make_shared<Assign>(Assign{buffer}), {next});
    }
  }

 private:
  const Tensor& weight(const std::string& name) const {
    const auto it = weights_.find(name);
    if (it == weights_.end())
      throw Error(ErrorCode::unreadable, "[torch.export] the archive lacks weight '" + name + "'", "",
                  "check that the file is whole");
    return it->second;
  }

  void input(const InputSpec& i) {
    Builder& b = scope_.builder();
    const std::string& name = i.argument.text;
    switch (i.kind) {
      case InputSpec::Kind::user:
        if (i.argument.kind == Argument::Kind::tensor || i.argument.kind == Argument::Kind::symbol) {
          scope_.bind(name, b.parameter(type_of_input(p_, i.argument), name));
        }
        return;
      case InputSpec::Kind::parameter:
      case InputSpec::Kind::buffer:
      case InputSpec::Kind::constant: {
        b.set_name(i.target);
        const bool state = changed_.contains(name) || mutated_.contains(i.target);
        Value v;
        if (state) {
          Variable variable{weight(i.target), i.target, false};
          v = b.add(op_def<Variable>(), std::make_shared<Variable>(std::move(variable)), {}).output(0);
          states_.emplace_back(name, i.target);
        } else if (!used(name)) {
          return;  // counters of batches and the like
        } else {
          v = b.constant(weight(i.target));
        }
        b.graph().set_names(v.id, {i.target});
        scope_.bind(name, v);
        b.set_name({});
        return;
      }
      case InputSpec::Kind::literal:
        return;
      case InputSpec::Kind::other:
        if (i.target == "token") return;
        throw Error(ErrorCode::unsupported, "[torch.export] an input of kind '" + i.target + "' is not offered");
    }
  }

  bool used(const std::string& name) {
    if (used_.empty()) {
      const auto note = [&](auto&& self, const Argument& a) -> void {
        if (a.kind == Argument::Kind::tensor) used_.insert(a.text);
        for (const Argument& e : a.list) self(self, e);
      };
      for (const NodeMessage& n : p_.graph.nodes) {
        for (const NamedArgument& a : n.inputs) note(note, a.value);
      }
      for (const Argument& a : p_.graph.outputs) note(note, a);
      used_.insert("");
    }
    return used_.contains(name);
  }

  void result(const Argument& a) {
    if (a.kind == Argument::Kind::list) {
      for (const Argument& e : a.list) result(e);
      return;
    }
    if (a.is_none()) return;
    const Value v = scope_.output(a);
    const std::string name = a.text.empty() ? "output" + std::to_string(scope_.graph().results().size()) : a.text;
    scope_.builder().result(v, name);
  }

  const ProgramMessage& p_;
  const Weights& weights_;
  Scope scope_;
  std::set<std::string> changed_, used_;
  std::map<std::string, Argument> mutated_;                  ///< buffers and their new content
  std::vector<std::pair<std::string, std::string>> states_;  ///< graph names and buffers
};

}  // namespace
}  // namespace hone::pytorch

namespace hone {

Graph parse_torch_export(const pytorch::Blob& file) {
  using namespace pytorch;
  const Archive a = open_archive(file);
  const std::string json =
      a.root + (a.model.empty() ? "serialized_exported_program.json" : "models/" + a.model + ".json");
  const ProgramMessage p = parse_program(a.zip.read(json).bytes);
  const Weights weights = weights_of(a);
  Graph g;
  g.name = a.model.empty() ? "model" : a.model;
  g.info["framework"] = "pytorch";
  if (!p.torch_version.empty()) g.info["producer"] = "torch " + p.torch_version;
  Program(p, weights, g).build();
  g.remove_dead();
  return g;
}

Graph read_torch_export(const std::string& path) {
  try {
    return parse_torch_export(pytorch::map_file(path));
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace hone
