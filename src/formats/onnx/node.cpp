#include "formats/onnx/node.hpp"

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::onnx {

Value NodeContext::in(size_t i) const {
  if (!has(i)) fail("input " + std::to_string(i) + " is missing");
  return inputs_[i];
}

const AttributeMessage* NodeContext::attribute(std::string_view name) const {
  for (const AttributeMessage& a : node_.attributes) {
    if (a.name == name) return &a;
  }
  return nullptr;
}

const AttributeMessage& NodeContext::typed(std::string_view name, int kind) const {
  const AttributeMessage* a = attribute(name);
  if (!a) fail("attribute '" + std::string(name) + "' is missing");
  if (a->kind != kind)
    fail("attribute '" + std::string(name) + "' has another type than the operator's specification says");
  return *a;
}

int64_t NodeContext::i(std::string_view name) const {
  return typed(name, AttributeMessage::i_).i;
}
int64_t NodeContext::i(std::string_view name, int64_t otherwise) const {
  return attribute(name) ? i(name) : otherwise;
}
double NodeContext::f(std::string_view name, double otherwise) const {
  return attribute(name) ? typed(name, AttributeMessage::f_).f : otherwise;
}
std::string NodeContext::s(std::string_view name, std::string otherwise) const {
  return attribute(name) ? std::string(typed(name, AttributeMessage::s_).s) : otherwise;
}
std::vector<int64_t> NodeContext::ints(std::string_view name, std::vector<int64_t> otherwise) const {
  return attribute(name) ? typed(name, AttributeMessage::ints_).ints : otherwise;
}
std::vector<float> NodeContext::floats(std::string_view name) const {
  return attribute(name) ? typed(name, AttributeMessage::floats_).floats : std::vector<float>();
}
std::vector<std::string> NodeContext::strings(std::string_view name) const {
  if (!attribute(name)) return {};
  const auto& list = typed(name, AttributeMessage::strings_).list;
  return {list.begin(), list.end()};
}
Tensor NodeContext::tensor(std::string_view name) const {
  if (!attribute(name)) return {};
  return to_tensor(parse_tensor(typed(name, AttributeMessage::t_).message), importer_.storage());
}
Subgraph NodeContext::subgraph(std::string_view name, const Types& inputs) const {
  return importer_.subgraph(typed(name, AttributeMessage::g_), inputs);
}

size_t NodeContext::rank(Value v) const {
  if (!v.type().is_tensor() || !v.shape().rank_known())
    refuse("needs to know the rank of its input; give the input a shape");
  return v.shape().rank();
}

int64_t NodeContext::axis(int64_t axis, Value v) const {
  if (axis >= 0) return axis;
  const int64_t a = axis + static_cast<int64_t>(rank(v));
  if (a < 0) fail("axis " + std::to_string(axis) + " is out of range");
  return a;
}

Node NodeContext::add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) {
  const OpDef* def = find_op(op);
  if (!def) refuse(std::string("needs operator ") + op + ", which this build lacks");
  return b.add(*def, std::move(attributes), in, std::move(regions));
}

Value NodeContext::reshape(Value v, std::vector<int64_t> shape, bool zero_copies) {
  return (*this)(Reshape{zero_copies}, v, b.ints(std::move(shape)));
}
Value NodeContext::transpose(Value v, std::vector<int64_t> order) {
  return (*this)(Transpose{}, v, b.ints(std::move(order)));
}

void NodeContext::fail(const std::string& what) const {
  throw Error(ErrorCode::unreadable, "[" + std::string(node_.op) + "] " + what,
              node_.name.empty() ? "" : "node '" + std::string(node_.name) + "'");
}
void NodeContext::refuse(const std::string& what) const {
  throw Error(ErrorCode::unsupported, "[" + std::string(node_.op) + "] " + what,
              node_.name.empty() ? "" : "node '" + std::string(node_.name) + "'");
}

}  // namespace hone::onnx
