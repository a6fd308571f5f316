#include "formats/pytorch/exported_program.hpp"

#include <limits>
#include <nlohmann/json.hpp>

#include "hone/error.hpp"

namespace hone::pytorch {
namespace {

using nlohmann::json;

constexpr int max_depth = 32;  // of graphs in arguments and of lists: deeper ones are hostile

[[noreturn]] void malformed(const std::string& what) {
  throw Error(ErrorCode::unreadable, "[torch.export] " + what, "", "export the model again");
}

const json& member(const json& j, const char* key) {
  if (!j.is_object()) malformed(std::string("an object with '") + key + "' is missing");
  const auto it = j.find(key);
  if (it == j.end()) malformed(std::string("'") + key + "' is missing");
  return *it;
}
const json& array(const json& j, const char* key) {
  const json& a = member(j, key);
  if (!a.is_array()) malformed(std::string("'") + key + "' is no list");
  return a;
}
std::string text(const json& j) {
  if (!j.is_string()) malformed("a name is no text");
  return j.get<std::string>();
}
int64_t integer(const json& j) {
  if (j.is_boolean()) return j.get<bool>();
  if (!j.is_number_integer()) malformed("a number is no integer");
  return j.get<int64_t>();
}
double real(const json& j) {
  if (j.is_number()) return j.get<double>();
  if (j == "Infinity") return std::numeric_limits<double>::infinity();
  if (j == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (j == "NaN") return std::numeric_limits<double>::quiet_NaN();
  malformed("a number is missing");
}

// A union is an object with one member; null members stand for the others in older files.
std::pair<std::string, const json*> chosen(const json& j) {
  if (!j.is_object()) malformed("a union is no object");
  for (const auto& [key, value] : j.items()) {
    if (!value.is_null()) return {key, &value};
  }
  return {"as_none", nullptr};
}

GraphMessage graph_message(const json& j, int depth);

Argument scalar(Argument::Kind kind, int64_t i, double r = 0) {
  Argument a;
  a.kind = kind;
  a.integer = i;
  a.real = r;
  return a;
}
Argument named(Argument::Kind kind, std::string name) {
  Argument a;
  a.kind = kind;
  a.text = std::move(name);
  return a;
}

// {"as_name": "s0"} or {"as_int": 3}
Argument symbolic(const json& j) {
  const auto [key, value] = chosen(j);
  if (!value) return {};
  if (key == "as_name") return named(Argument::Kind::symbol, text(*value));
  if (key == "as_int") return scalar(Argument::Kind::integer, integer(*value));
  if (key == "as_float") return scalar(Argument::Kind::real, 0, real(*value));
  if (key == "as_bool") return scalar(Argument::Kind::boolean, integer(*value));
  malformed("unknown symbolic argument '" + key + "'");
}

Argument argument(const json& j, int depth);

template <class F>
Argument list_of(const json& j, F&& each) {
  if (!j.is_array()) malformed("a list argument is no list");
  Argument a;
  a.kind = Argument::Kind::list;
  for (const json& e : j) a.list.push_back(each(e));
  return a;
}

Argument argument(const json& j, int depth) {
  using Kind = Argument::Kind;
  if (depth > max_depth) throw Error(ErrorCode::unsafe, "[torch.export] arguments are nested too deeply");
  const auto [key, value] = chosen(j);
  if (!value || key == "as_none") return {};
  const json& v = *value;
  const auto tensor = [](const json& t) { return named(Kind::tensor, text(member(t, "name"))); };
  const auto maybe_tensor = [&](const json& t) {
    const auto [k, inner] = chosen(t);
    return inner && k == "as_tensor" ? tensor(*inner) : Argument();
  };
  const auto number = [](const json& n) { return scalar(Kind::integer, integer(n)); };
  const auto fraction = [](const json& n) { return scalar(Kind::real, 0, real(n)); };
  if (key == "as_tensor") return tensor(v);
  if (key == "as_tensors") return list_of(v, tensor);
  if (key == "as_optional_tensor") return maybe_tensor(v);
  if (key == "as_optional_tensors") return list_of(v, maybe_tensor);
  if (key == "as_int") return number(v);
  if (key == "as_ints") return list_of(v, number);
  if (key == "as_float") return fraction(v);
  if (key == "as_floats") return list_of(v, fraction);
  if (key == "as_bool") return scalar(Kind::boolean, integer(v));
  if (key == "as_bools") return list_of(v, [](const json& n) { return scalar(Kind::boolean, integer(n)); });
  if (key == "as_complex") {
    Argument a = scalar(Kind::complex, 0, real(member(v, "real")));
    a.imaginary = real(member(v, "imag"));
    return a;
  }
  if (key == "as_string") return named(Kind::text, text(v));
  if (key == "as_strings") return list_of(v, [](const json& n) { return named(Kind::text, text(n)); });
  if (key == "as_sym_int" || key == "as_sym_float" || key == "as_sym_bool") return symbolic(v);
  if (key == "as_sym_ints" || key == "as_sym_floats" || key == "as_sym_bools") return list_of(v, symbolic);
  if (key == "as_scalar_type") return scalar(Kind::scalar_type, integer(v));
  if (key == "as_graph") {
    Argument a = named(Kind::graph, text(member(v, "name")));
    a.graph = std::make_shared<const GraphMessage>(graph_message(member(v, "graph"), depth + 1));
    return a;
  }
  return named(Kind::other, key);
}

std::vector<Argument> arguments(const json& list, int depth) {
  std::vector<Argument> out;
  for (const json& j : list) out.push_back(argument(j, depth));
  return out;
}

// A symbol is written as `Symbol('s77', integer=True)`, in older files as its bare name.
std::string symbol_of(const std::string& expression) {
  if (expression.starts_with("Symbol('")) {
    const size_t end = expression.find('\'', 8);
    if (end != std::string::npos && expression.find("Symbol(", end) == std::string::npos && expression.back() == ')')
      return expression.substr(8, end - 8);
    return {};
  }
  const bool identifier =
      !expression.empty() && expression.size() < 64 && std::isalpha(static_cast<unsigned char>(expression[0])) &&
      expression.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
          std::string::npos;
  return identifier ? expression : std::string();
}

SizeMessage size(const json& j) {
  const auto [key, value] = chosen(j);
  if (!value) malformed("a size is missing");
  if (key == "as_int") return {integer(*value), {}};
  if (key == "as_expr") return {-1, symbol_of(text(member(*value, "expr_str")))};
  malformed("unknown size '" + key + "'");
}

TensorMessage tensor_message(const json& j) {
  TensorMessage t;
  t.dtype = integer(member(j, "dtype"));
  for (const json& s : array(j, "sizes")) t.sizes.push_back(size(s));
  if (j.contains("strides")) {
    for (const json& s : array(j, "strides")) t.strides.push_back(size(s));
  }
  if (j.contains("storage_offset")) {
    const json& offset = j["storage_offset"];
    t.storage_offset = offset.is_number() ? SizeMessage{integer(offset), {}} : size(offset);
  }
  return t;
}

GraphMessage graph_message(const json& j, int depth) {
  if (depth > max_depth) throw Error(ErrorCode::unsafe, "[torch.export] graphs are nested too deeply");
  GraphMessage g;
  g.inputs = arguments(array(j, "inputs"), depth);
  g.outputs = arguments(array(j, "outputs"), depth);
  for (const json& n : array(j, "nodes")) {
    NodeMessage node;
    node.target = text(member(n, "target"));
    for (const json& i : array(n, "inputs"))
      node.inputs.push_back({text(member(i, "name")), argument(member(i, "arg"), depth)});
    node.outputs = arguments(array(n, "outputs"), depth);
    if (n.contains("name") && n["name"].is_string()) node.name = text(n["name"]);
    g.nodes.push_back(std::move(node));
  }
  const json& tensors = member(j, "tensor_values");
  if (!tensors.is_object()) malformed("'tensor_values' is no object");
  for (const auto& [name, t] : tensors.items()) g.tensors.emplace(name, tensor_message(t));
  return g;
}

InputSpec input_spec(const json& j) {
  const auto choice = chosen(j);
  const std::string& key = choice.first;
  const json* const value = choice.second;
  if (!value) malformed("an input specification is empty");
  InputSpec s;
  const auto tensor = [&](InputSpec::Kind kind, const char* target) {
    s.kind = kind;
    s.argument = named(Argument::Kind::tensor, text(member(member(*value, "arg"), "name")));
    s.target = text(member(*value, target));
  };
  if (key == "user_input")
    s.argument = argument(member(*value, "arg"), 0);
  else if (key == "parameter")
    tensor(InputSpec::Kind::parameter, "parameter_name");
  else if (key == "buffer")
    tensor(InputSpec::Kind::buffer, "buffer_name");
  else if (key == "tensor_constant")
    tensor(InputSpec::Kind::constant, "tensor_constant_name");
  else if (key == "constant_input") {
    s.kind = InputSpec::Kind::literal;
    s.target = text(member(*value, "name"));
    s.argument = argument(member(*value, "value"), 0);
  } else {
    s.kind = InputSpec::Kind::other;
    s.target = key;
  }
  return s;
}

OutputSpec output_spec(const json& j) {
  const auto choice = chosen(j);
  const std::string& key = choice.first;
  const json* const value = choice.second;
  if (!value) malformed("an output specification is empty");
  OutputSpec s;
  const auto mutated = [&](OutputSpec::Kind kind, const char* target) {
    s.kind = kind;
    s.argument = named(Argument::Kind::tensor, text(member(member(*value, "arg"), "name")));
    s.target = text(member(*value, target));
  };
  if (key == "user_output")
    s.argument = argument(member(*value, "arg"), 0);
  else if (key == "loss_output")
    s.argument = named(Argument::Kind::tensor, text(member(member(*value, "arg"), "name")));
  else if (key == "buffer_mutation")
    mutated(OutputSpec::Kind::buffer_mutation, "buffer_name");
  else if (key == "user_input_mutation")
    mutated(OutputSpec::Kind::input_mutation, "user_input_name");
  else {
    s.kind = OutputSpec::Kind::other;
    s.target = key;
  }
  return s;
}

json parsed(std::string_view bytes) {
  json j = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (j.is_discarded() || !j.is_object()) malformed("the JSON is malformed");
  return j;
}

std::optional<int64_t> bound(const json& j, const char* key) {
  const auto it = j.find(key);
  if (it == j.end() || !it->is_number_integer()) return std::nullopt;
  return it->get<int64_t>();
}

}  // namespace

ProgramMessage parse_program(std::string_view bytes) {
  const json j = parsed(bytes);
  const json& version = member(j, "schema_version");
  const int64_t major = version.is_object() ? integer(member(version, "major")) : integer(version);
  if (major < 5 || major > 8) {
    throw Error(ErrorCode::unsupported, "[torch.export] schema version " + std::to_string(major) + " is not known", "",
                "export again with PyTorch 2.3 to 2.15");
  }
  ProgramMessage p;
  const json& module = member(j, "graph_module");
  p.graph = graph_message(member(module, "graph"), 0);
  const json& signature = member(module, "signature");
  for (const json& s : array(signature, "input_specs")) p.inputs.push_back(input_spec(s));
  for (const json& s : array(signature, "output_specs")) p.outputs.push_back(output_spec(s));
  if (j.contains("range_constraints") && j["range_constraints"].is_object()) {
    for (const auto& [name, r] : j["range_constraints"].items()) {
      if (r.is_object()) p.ranges[name] = {bound(r, "min_val"), bound(r, "max_val")};
    }
  }
  if (j.contains("torch_version") && j["torch_version"].is_string())
    p.torch_version = j["torch_version"].get<std::string>();
  return p;
}

std::map<std::string, PayloadMessage> parse_payloads(std::string_view bytes) {
  const json j = parsed(bytes);
  const json& config = member(j, "config");
  if (!config.is_object()) malformed("'config' is no object");
  std::map<std::string, PayloadMessage> out;
  for (const auto& [name, p] : config.items()) {
    PayloadMessage m;
    m.path = text(member(p, "path_name"));
    m.pickled = p.contains("use_pickle") && p["use_pickle"].is_boolean() && p["use_pickle"].get<bool>();
    if (p.contains("tensor_meta") && p["tensor_meta"].is_object())
      m.meta = tensor_message(p["tensor_meta"]);
    else
      m.pickled = true;
    out.emplace(name, std::move(m));
  }
  return out;
}

}  // namespace hone::pytorch
