// What the rows of the writer see of a node, and the table of these rows.
#include <unordered_map>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"

namespace hone::onnx {

std::vector<std::string> EmitContext::ins() const {
  std::vector<std::string> v;
  for (size_t i = 0; i < num_inputs(); ++i) v.push_back(in(i));
  while (!v.empty() && v.back().empty()) v.pop_back();
  return v;
}
size_t EmitContext::rank(size_t i) const {
  const Type& t = node.input(i).type();
  if (!t.is_tensor() || !t.shape.rank_known()) refuse("needs an input of known rank");
  return t.shape.rank();
}
Tensor EmitContext::known(size_t i) const {
  if (!has(i)) return {};
  const Value v = node.input(i);
  if (Tensor t = v.constant()) return t;
  const ValueData& d = g.value(v.id);
  if (!d.content || !d.type.is_static()) return {};
  Tensor t(d.type.element, d.type.shape.to_shape());
  if (t.size() != d.content->size()) return {};
  for (size_t k = 0; k < t.size(); ++k) {
    if ((*d.content)[k].is_dynamic()) return {};
    set_integer(t, k, (*d.content)[k].min());
  }
  return t;
}
Tensor EmitContext::must_know(size_t i, const char* what) const {
  Tensor t = known(i);
  if (!t) refuse(std::string("needs to know ") + what + " when it is written");
  return t;
}
std::string EmitContext::like(size_t i, double v) {
  const ElementType t = element(i) == ElementType::dynamic ? ElementType::f32 : element(i);
  Tensor x(t, {});
  set_element(x, 0, v);
  return constant(x);
}
std::string EmitContext::op(const char* type, const std::vector<std::string>& in, const AttributeList& attributes) {
  const std::string name = w.fresh((node.name().empty() ? std::string(node.op().name) : node.name()) + "/" + type);
  w.emit(type, in, {name}, attributes, name);
  return name;
}
void EmitContext::result(const char* type, const std::vector<std::string>& in, const AttributeList& attributes) {
  std::vector<std::string> outputs;
  for (size_t i = 0; i < node.num_outputs(); ++i) outputs.push_back(out(i));
  w.emit(type, in, outputs, attributes, node.name());
}
void EmitContext::result_to(size_t output, const char* type, const std::vector<std::string>& in,
                            const AttributeList& attributes) {
  w.emit(type, in, {out(output)}, attributes, output == 0 ? node.name() : std::string());
}
std::string EmitContext::cast(const std::string& v, ElementType t) {
  for (size_t i = 0; i < num_inputs(); ++i) {
    if (!has(i) || element(i) != t) continue;
    // Asking for the name would write a constant that nobody may read.
    const auto named = w.names.find(node.input(i).id);
    if (named != w.names.end() && named->second == v) return v;
  }
  return op("Cast", {v}, AttributeList().i("to", onnx_data_type(t)));
}
void EmitContext::needs(int64_t least, const std::string& what) const {
  if (opset >= least) return;
  throw NeedsOperatorSet(
      Error(ErrorCode::unsupported,
            "[" + std::string(node.op().name) + "] " + what + "needs operator set " + std::to_string(least),
            node.name().empty() ? "" : "node '" + node.name() + "'", "leave --opset away, or write OpenVINO IR"),
      least);
}
void EmitContext::refuse(const std::string& why) const {
  throw Error(ErrorCode::unsupported, "[" + std::string(node.op().name) + "] " + why,
              node.name().empty() ? "" : "node '" + node.name() + "'",
              "choose another operator set with --opset, or write OpenVINO IR");
}

const EmitRow* find_emit_row(std::string_view op) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const EmitRow*> m;
    for (auto rows : {emit_elementwise_rows(), emit_shape_rows(), emit_network_rows(), emit_recurrent_rows(),
                      emit_spectral_rows(), emit_random_rows()}) {
      for (const EmitRow& r : rows) m.emplace(r.name, &r);
    }
    return m;
  }();
  const auto it = index.find(op);
  return it == index.end() ? nullptr : it->second;
}

}  // namespace hone::onnx
