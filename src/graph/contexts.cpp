#include "graph/contexts.hpp"

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/movement.hpp"

namespace hone {

InferCtx::InferCtx(const Graph& g, NodeId node, size_t num_op_inputs)
    : graph_(g), node_(g.node(node)), num_inputs_(num_op_inputs) {}

bool InferCtx::has(size_t i) const {
  return i < num_inputs_ && node_.inputs[i] != no_id;
}

const Type& InferCtx::input(size_t i) const {
  if (!has(i)) fail("input " + std::to_string(i) + " is missing");
  const Type& t = graph_.value(node_.inputs[i]).type;
  if (t.is_tensor() && t.quantization) {
    // Operators are defined on the real numbers that quantized integers stand for.
    Type& r = real_[i];
    r = t;
    r.element = ElementType::f32;
    r.quantization = nullptr;
    return r;
  }
  return t;
}

const PartialShape& InferCtx::shape(size_t i) const {
  const Type& t = input(i);
  if (!t.is_tensor()) fail("input " + std::to_string(i) + " is " + to_string(t) + ", not a tensor");
  return t.shape;
}

Tensor InferCtx::constant(size_t i) const {
  if (!has(i)) return {};
  const Value v = graph_.value_handle(node_.inputs[i]);
  if (Tensor t = v.constant()) return t;
  const ValueData& d = graph_.value(node_.inputs[i]);
  if (!d.content || !d.type.shape.is_static() || d.type.element == ElementType::dynamic) return {};
  Tensor t(d.type.element, d.type.shape.to_shape());
  if (t.size() != d.content->size()) return {};
  for (size_t k = 0; k < t.size(); ++k) {
    if ((*d.content)[k].is_dynamic()) return {};
    set_integer(t, k, (*d.content)[k].min());
  }
  return t;
}

std::optional<std::vector<Dimension>> InferCtx::content(size_t i) const {
  if (!has(i)) return std::nullopt;
  const ValueData& d = graph_.value(node_.inputs[i]);
  if (d.content) {
    // Shape arithmetic may know a negative number, which `constant` gives.
    for (const Dimension& n : *d.content) {
      if (n.min() < 0) return std::nullopt;
    }
    return d.content;
  }
  const Tensor t = graph_.value_handle(node_.inputs[i]).constant();
  if (!t || !is_integer(t.element_type()) || t.size() > 1024) return std::nullopt;
  std::vector<Dimension> out;
  for (size_t k = 0; k < t.size(); ++k) {
    const int64_t n = get_integer(t, k);
    if (n < 0) return std::nullopt;  // dimensions cannot say negative numbers; `constant` does
    out.emplace_back(n);
  }
  return out;
}

void InferCtx::set_content(size_t output, std::vector<Dimension> elements) {
  if (elements.size() > 1024) return;
  if (contents.size() <= output) contents.resize(output + 1);
  contents[output] = std::move(elements);
}

size_t InferCtx::num_regions() const {
  return node_.regions.size();
}
const Graph& InferCtx::region(size_t r) const {
  if (r >= node_.regions.size()) fail("region " + std::to_string(r) + " is missing");
  return *node_.regions[r];
}

Types InferCtx::region_types(size_t r, const Types& inputs) const {
  Types out;
  const Region typed = Graph::with_parameter_types(region(r), inputs);
  for (const Value& v : typed->outputs()) out.push_back(v.type());
  return out;
}

void InferCtx::fail(const std::string& message) const {
  throw Error(ErrorCode::failed, "[" + std::string(node_.op->name) + "] " + message,
              node_.name.empty() ? "" : "node '" + node_.name + "'");
}

Value GradCtx::unbroadcast(Value gradient, size_t i) {
  const Value in = input(i);
  if (gradient.shape().is_static() && gradient.shape() == in.shape()) return gradient;
  return b(SumToShape{}, gradient, b(ShapeOf{}, in));
}

}  // namespace hone
