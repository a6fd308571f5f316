#include <algorithm>

#include "api/files.hpp"
#include "api/ports.hpp"
#include "graph/builder.hpp"
#include "hone/tools.hpp"
#include "ops/basic.hpp"
#include "passes/canonicalize.hpp"
#include "tensor/fields.hpp"

namespace hone {
namespace {

// `NAME[SHAPE]:TYPE=VALUE`, each part behind the name optional.
struct InputSpec {
  std::string name;
  std::optional<PartialShape> shape;
  std::optional<ElementType> type;
  std::string value;
};

InputSpec parse_input(const std::string& text) {
  InputSpec s;
  std::string rest = text;
  if (const size_t eq = rest.find('='); eq != std::string::npos) {
    s.value = rest.substr(eq + 1);
    rest.resize(eq);
    if (s.value.empty()) throw Error(ErrorCode::usage, "[convert] --input has an empty value", "'" + text + "'");
  }
  const size_t close = rest.rfind(']');
  const size_t colon = rest.rfind(':');
  if (colon != std::string::npos && (close == std::string::npos || colon > close)) {
    if (const auto type = element_type_from(rest.substr(colon + 1))) {
      s.type = type;
      rest.resize(colon);
    }
  }
  if (!rest.empty() && rest.back() == ']') {
    const size_t open = rest.rfind('[');
    if (open == std::string::npos) throw Error(ErrorCode::usage, "[convert] --input wants NAME[SHAPE]:TYPE=VALUE", "'" + text + "'");
    s.shape = PartialShape::parse(rest.substr(open));
    rest.resize(open);
  }
  s.name = rest;
  return s;
}

void apply_input(Graph& g, const InputSpec& s) {
  Value v = g.input(s.name);
  if (!v) {
    // A name inside of the graph: cut there.
    for (NodeId id : g.topological_order()) {
      for (const Value& o : g.handle(id).outputs()) {
        if (std::find(o.names().begin(), o.names().end(), s.name) != o.names().end()) v = o;
      }
    }
    if (!v) v = find_input(g, s.name);  // a position, or an error that lists the names
    if (!v.node().is<Parameter>()) {
      const Value cut = Builder(g).parameter(v.type(), s.name);
      g.replace_uses(v.id, cut.id);
      v = cut;
    }
  }
  if (!s.value.empty()) {
    const Type t = v.type();
    const ElementType e = s.type.value_or(t.element);
    const PartialShape shape = s.shape.value_or(t.shape.is_static() ? t.shape : PartialShape(Shape{}));
    std::string body = s.value;
    if (body.front() == '[' && body.back() == ']') body = body.substr(1, body.size() - 2);
    const Tensor value = tensor_from_text(std::string(name_of(e)) + to_string(shape) + "{" + body + "}");
    const Value c = Builder(g).constant(value);
    g.replace_uses(v.id, c.id);
    g.remove(v.node().id);
    g.infer_all();
    return;
  }
  if (s.type && *s.type != v.element_type()) {
    // The model keeps computing in its own type behind a conversion.
    Builder b(g);
    const ElementType own = v.element_type();
    Type t = v.type();
    const std::vector<Use> uses = v.uses();
    t.element = *s.type;
    g.set_type(v.id, t);
    g.set(v.node().id, Parameter{t.element, t.shape});
    const Value converted = b(Convert{own}, v);
    for (const Use& u : uses) g.set_input(u.node, u.index, converted.id);
    g.infer_all();
  }
  if (s.shape) g.reshape({{v.id, *s.shape}});
}

}  // namespace

ConvertReport convert(const std::string& in, const std::string& out, const ConvertOptions& o) {
  Graph g = read_any_model(in);
  for (const std::string& text : o.inputs) apply_input(g, parse_input(text));
  // Parameters that fed only what was cut off go with it.
  g.remove_dead();
  if (!o.inputs.empty()) {
    for (NodeId p : std::vector<NodeId>(g.parameters())) {
      if (g.handle(p).output().uses().empty()) g.remove(p);
    }
  }
  const PassReport report = run_passes(g, canonicalize_passes());
  SaveOptions save;
  save.compress_to_fp16 = o.fp16;
  save.opset = o.opset;
  save_any_model(g, out, save);
  ConvertReport r;
  r.out = out;
  r.nodes = static_cast<int64_t>(g.num_nodes());
  r.fused = static_cast<int64_t>(report.fused);
  r.folded = static_cast<int64_t>(report.folded);
  for (const PassResult& p : report.passes) {
    if (p.changes == 0) continue;
    r.changes.push_back(p.name + ": " + std::to_string(p.changes) + " changes, " + std::to_string(p.fused) + " fused, " + std::to_string(p.folded) + " folded");
  }
  return r;
}

}  // namespace hone
