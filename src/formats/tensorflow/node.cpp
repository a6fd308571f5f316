#include "formats/tensorflow/node.hpp"

#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone::tensorflow {

Items items(const Values& v) {
  return Items(v.begin(), v.end());
}

const Item& NodeContext::item(size_t i) const {
  if (!has(i)) fail("input " + std::to_string(i) + " is missing");
  return inputs_[i];
}

Value NodeContext::in(size_t i) const {
  const Item& x = item(i);
  if (x.complex) refuse("of complex numbers is not offered");
  if (!x.value) {
    if (x.pending) refuse("reads a list of which no element is known");
    refuse("reads a " + std::string(x.resource->kind == Resource::table ? "table" : "resource") +
           ", which is no tensor");
  }
  return x.value;
}

Values NodeContext::ins(size_t first, size_t count) const {
  Values v;
  for (size_t k = 0; k < count; ++k) v.push_back(in(first + k));
  return v;
}

const std::shared_ptr<Resource>& NodeContext::resource(size_t i, Resource::Kind kind) const {
  const Item& x = item(i);
  if (!x.resource || x.resource->kind != kind)
    refuse("input " + std::to_string(i) + " is no resource of the kind that the operator needs");
  return x.resource;
}

const Bytes* NodeContext::raw(std::string_view name) const {
  for (const auto& [key, value] : node_.attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::optional<AttributeMessage> NodeContext::attribute(std::string_view name) const {
  const Bytes* b = raw(name);
  if (!b) return std::nullopt;
  AttributeMessage a = parse_attribute(*b);
  if (a.kind != AttributeMessage::placeholder_) return a;
  if (arguments_) {
    for (const auto& [key, value] : *arguments_) {
      if (key == a.s) return parse_attribute(value);
    }
  }
  return std::nullopt;
}

AttributeMessage NodeContext::typed(std::string_view name, AttributeMessage::Kind kind) const {
  auto a = attribute(name);
  if (!a) fail("attribute '" + std::string(name) + "' is missing");
  // A message without content is the default of any kind.
  if (a->kind != kind && a->kind != AttributeMessage::none)
    fail("attribute '" + std::string(name) + "' has another type than the operator's definition says");
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
bool NodeContext::flag(std::string_view name, bool otherwise) const {
  return attribute(name) ? typed(name, AttributeMessage::b_).b : otherwise;
}
std::string NodeContext::s(std::string_view name, std::string otherwise) const {
  return attribute(name) ? std::string(typed(name, AttributeMessage::s_).s) : otherwise;
}
std::vector<int64_t> NodeContext::ints(std::string_view name, std::vector<int64_t> otherwise) const {
  return attribute(name) ? typed(name, AttributeMessage::list_).ints : otherwise;
}
std::vector<float> NodeContext::floats(std::string_view name) const {
  return attribute(name) ? typed(name, AttributeMessage::list_).floats : std::vector<float>();
}
std::vector<std::string> NodeContext::strings(std::string_view name) const {
  if (!attribute(name)) return {};
  const auto list = typed(name, AttributeMessage::list_).strings;
  return {list.begin(), list.end()};
}
std::vector<PartialShape> NodeContext::shapes(std::string_view name) const {
  return attribute(name) ? typed(name, AttributeMessage::list_).shapes : std::vector<PartialShape>();
}
int32_t NodeContext::raw_type(std::string_view name, int32_t otherwise) const {
  return attribute(name) ? typed(name, AttributeMessage::type_).type : otherwise;
}
ElementType NodeContext::type(std::string_view name, ElementType otherwise) const {
  const int32_t t = raw_type(name);
  return t == 0 ? otherwise : element_type_of_tf(t);
}
PartialShape NodeContext::shape(std::string_view name) const {
  return attribute(name) ? typed(name, AttributeMessage::shape_).shape : PartialShape::dynamic();
}
FunctionCall NodeContext::function(std::string_view name) const {
  const FunctionReference f = parse_function_reference(typed(name, AttributeMessage::function_).message);
  return {std::string(f.name), f.attributes};
}
std::vector<FunctionCall> NodeContext::functions(std::string_view name) const {
  std::vector<FunctionCall> out;
  for (const Bytes m : typed(name, AttributeMessage::list_).messages) {
    const FunctionReference f = parse_function_reference(m);
    out.push_back({std::string(f.name), f.attributes});
  }
  return out;
}
size_t NodeContext::num_types(std::string_view name) const {
  return attribute(name) ? typed(name, AttributeMessage::list_).types.size() : 0;
}

Tensor NodeContext::constant(size_t i, const char* what) const {
  const Tensor t = folded(in(i));
  if (!t) refuse(std::string(what) + " must be known when the model is read");
  return t;
}

size_t NodeContext::rank(Value v) const {
  if (!v.type().is_tensor() || !v.shape().rank_known())
    refuse("needs to know the rank of its input; give the input a shape");
  return v.shape().rank();
}

int64_t NodeContext::axis(int64_t axis, Value v) const {
  const auto r = static_cast<int64_t>(rank(v));
  const int64_t a = axis < 0 ? axis + r : axis;
  if (a < 0 || a > r) fail("axis " + std::to_string(axis) + " is out of range");
  return a;
}

void NodeContext::fail(const std::string& what) const {
  throw Error(ErrorCode::unreadable, "[" + std::string(node_.op) + "] " + what,
              "node '" + std::string(node_.name) + "'");
}
void NodeContext::refuse(const std::string& what) const {
  throw Error(ErrorCode::unsupported, "[" + std::string(node_.op) + "] " + what,
              "node '" + std::string(node_.name) + "'");
}

}  // namespace hone::tensorflow
