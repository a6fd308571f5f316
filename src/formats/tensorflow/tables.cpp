#include "formats/tensorflow/tables.hpp"

#include <algorithm>
#include <charconv>

#include "base/file.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

using Index = std::map<Bytes, const NodeMessage*>;

Index index_of(const std::vector<NodeMessage>& nodes) {
  Index i;
  for (const NodeMessage& n : nodes) i.emplace(n.name, &n);
  return i;
}

// A body, and what its arguments are where it is a function that is called.
struct Scope {
  Index nodes;
  const FunctionMessage* function = nullptr;
  const NodeMessage* call = nullptr;
  const Scope* outer = nullptr;

  // The node behind a tensor, wherever it stands. A variable is what its one assignment says.
  const NodeMessage* node(Bytes ref) const {
    for (int k = 0; k < 16; ++k) {
      const Bytes name = ref.substr(0, ref.find(':'));
      if (const auto at = nodes.find(name); at != nodes.end()) {
        const NodeMessage* n = at->second;
        if (n->op == "ReadVariableOp" && !n->inputs.empty()) n = assignment(n->inputs[0]);
        if (!n || (n->op != "Identity" && n->op != "AssignVariableOp") || n->inputs.empty()) return n ? n : at->second;
        ref = n->inputs[n->op == "Identity" ? 0 : 1];
        continue;
      }
      if (!function || !outer) return nullptr;
      for (size_t i = 0; i < function->inputs.size() && i < call->inputs.size(); ++i) {
        if (function->inputs[i].name == name) return outer->node(call->inputs[i]);
      }
      return nullptr;
    }
    return nullptr;
  }
  const NodeMessage* assignment(Bytes variable) const {
    for (const auto& [name, n] : nodes) {
      if (n->op == "AssignVariableOp" && n->inputs.size() == 2 && n->inputs[0] == variable) return n;
    }
    return nullptr;
  }
};

Tensor constant(const NodeMessage* n, const std::shared_ptr<const void>& owner) {
  if (!n || n->op != "Const") return {};
  for (const auto& [key, value] : n->attributes) {
    if (key != "value") continue;
    bool repeated = false;
    const Tensor t = to_tensor(parse_tensor(parse_attribute(value).message), owner, repeated);
    return repeated ? Tensor() : t;
  }
  return {};
}

AttributeMessage attribute(const NodeMessage& n, std::string_view name) {
  for (const auto& [key, value] : n.attributes) {
    if (key == name) return parse_attribute(value);
  }
  return {};
}

// A column of a text file as TensorFlow reads it: -2 the whole line, -1 its number, else what stands between
// delimiters.
struct Column {
  int64_t index = 0;
  ElementType type = ElementType::string;
  std::vector<std::string> texts;
  std::vector<double> numbers;
  std::vector<int64_t> integers;

  void add(const std::string& file, std::string_view line, int64_t number, char delimiter) {
    if (index == -1) {
      integers.push_back(number);
      return;
    }
    const std::string_view whole = line;
    for (int64_t k = 0; k < index; ++k) {
      const size_t end = line.find(delimiter);
      if (end == line.npos)
        throw Error(ErrorCode::unreadable,
                    "[tensorflow] line '" + std::string(whole) + "' has no column " + std::to_string(index), file);
      line.remove_prefix(end + 1);
    }
    if (index >= 0) line = line.substr(0, line.find(delimiter));
    if (type == ElementType::string) {
      texts.emplace_back(line);
      return;
    }
    const auto parsed = [&](auto& to) {
      const auto [end, wrong] = std::from_chars(line.data(), line.data() + line.size(), to);
      if (wrong != std::errc{} || end != line.data() + line.size())
        throw Error(ErrorCode::unreadable, "[tensorflow] '" + std::string(line) + "' is no number", file);
    };
    if (is_float(type))
      parsed(numbers.emplace_back());
    else
      parsed(integers.emplace_back());
  }
  Tensor tensor() const {
    if (type == ElementType::string) return Tensor::strings({std::ssize(texts)}, texts);
    Tensor t(type, {static_cast<int64_t>(std::max(numbers.size(), integers.size()))});
    for (size_t i = 0; i < numbers.size(); ++i) set_element(t, i, numbers[i]);
    for (size_t i = 0; i < integers.size(); ++i) set_integer(t, i, integers[i]);
    return t;
  }
};

std::pair<Tensor, Tensor> lines_of(const std::string& file, const NodeMessage& table, const NodeMessage& initializer) {
  const auto number = [&](const char* name, int64_t otherwise) {
    const AttributeMessage a = attribute(initializer, name);
    return a.kind == AttributeMessage::i_ ? a.i : otherwise;
  };
  Column key, value;
  key.index = number("key_index", -2);
  value.index = number("value_index", -1);
  key.type = element_type_of_tf(attribute(table, "key_dtype").type);
  value.type = element_type_of_tf(attribute(table, "value_dtype").type);
  for (const Column* c : {&key, &value}) {
    const bool fits =
        c->type == ElementType::string ? c->index != -1 : c->index != -2 && c->type != ElementType::dynamic;
    if (!fits || c->index < -2 || c->index > 1000)
      throw Error(ErrorCode::unsupported, "[tensorflow] a table of column " + std::to_string(c->index) + " of a file",
                  file);
  }
  const int64_t most = number("vocab_size", -1), offset = number("offset", 0);
  const AttributeMessage d = attribute(initializer, "delimiter");
  const char delimiter = d.kind == AttributeMessage::s_ && d.s.size() == 1 ? d.s[0] : '\t';
  const auto mapped = MappedFile::open(file);
  std::string_view rest(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
  std::string line;
  for (int64_t n = 0; !rest.empty() && (most < 0 || n < most); ++n) {
    const size_t end = rest.find('\n');
    line = rest.substr(0, end);
    std::erase(line, '\r');
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line.empty())
      throw Error(ErrorCode::unreadable, "[tensorflow] line " + std::to_string(n + 1) + " of a table is empty", file);
    key.add(file, line, n + offset, delimiter);
    value.add(file, line, n + offset, delimiter);
  }
  return {key.tensor(), value.tensor()};
}

// Where a file that a node names lies; only the last part of its path counts, so that no path leaves the folders.
std::string asset_file(const NodeMessage* path, const std::shared_ptr<const void>& owner, const Assets& assets) {
  if (!path) return {};
  std::string name;
  if (const auto known = assets.names.find(std::string(path->name)); known != assets.names.end()) {
    name = known->second;
  } else if (const Tensor t = constant(path, owner); t && t.element_type() == ElementType::string && t.size() == 1) {
    name = t.strings()[0];
  }
  name = std::filesystem::path(name).filename().string();
  if (name.empty() || name == "." || name == "..") return {};
  std::error_code ec;
  for (const auto& folder : assets.folders) {
    if (std::filesystem::is_regular_file(folder / name, ec)) return (folder / name).string();
  }
  return {};
}

void collect(const Scope& s, const std::vector<NodeMessage>& nodes, const std::shared_ptr<const void>& owner,
             const Assets& assets, Tables& out) {
  static constexpr std::string_view initializers[] = {"LookupTableImport", "LookupTableImportV2", "InitializeTable",
                                                      "InitializeTableV2"};
  for (const NodeMessage& n : nodes) {
    if (n.op.starts_with("InitializeTableFromTextFile") && n.inputs.size() >= 2) {
      const NodeMessage* table = s.node(n.inputs[0]);
      const std::string file = asset_file(s.node(n.inputs[1]), owner, assets);
      if (table && !file.empty()) out.emplace(std::string(table->name), lines_of(file, *table, n));
      continue;
    }
    if (std::find(std::begin(initializers), std::end(initializers), n.op) == std::end(initializers) ||
        n.inputs.size() < 3)
      continue;
    const NodeMessage* table = s.node(n.inputs[0]);
    const Tensor keys = constant(s.node(n.inputs[1]), owner), values = constant(s.node(n.inputs[2]), owner);
    if (!table || !keys || !values || keys.size() != values.size()) continue;
    const Shape flat{static_cast<int64_t>(keys.size())};
    out.emplace(std::string(table->name), std::pair(keys.reshaped(flat), values.reshaped(flat)));
  }
}

}  // namespace

Tables table_contents(const GraphMessage& graph, const std::shared_ptr<const void>& owner, const Assets& assets) {
  Tables out;
  Scope whole;
  whole.nodes = index_of(graph.nodes);
  collect(whole, graph.nodes, owner, assets, out);
  std::map<Bytes, const FunctionMessage*> functions;
  for (const FunctionMessage& f : graph.functions) {
    const bool initializes = std::any_of(f.nodes.begin(), f.nodes.end(), [](const NodeMessage& n) {
      return n.op.starts_with("LookupTableImport") || n.op.starts_with("InitializeTable");
    });
    if (initializes) functions.emplace(f.name, &f);
  }
  if (functions.empty()) return out;
  for (const NodeMessage& n : graph.nodes) {
    for (const auto& [key, value] : n.attributes) {
      if (key != "f") continue;
      const AttributeMessage a = parse_attribute(value);
      if (a.kind != AttributeMessage::function_) continue;
      const auto f = functions.find(parse_function_reference(a.message).name);
      if (f == functions.end()) continue;
      Scope inner;
      inner.nodes = index_of(f->second->nodes);
      inner.function = f->second;
      inner.call = &n;
      inner.outer = &whole;
      collect(inner, f->second->nodes, owner, assets, out);
    }
  }
  return out;
}

}  // namespace hone::tensorflow
