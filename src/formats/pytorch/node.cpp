#include "formats/pytorch/node.hpp"

#include <algorithm>

#include "formats/pytorch/strided.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::pytorch {
namespace {

using Kind = Argument::Kind;

// Categories of PyTorch's type promotion.
int category(ElementType t) {
  return t == ElementType::boolean ? 0 : is_integer(t) ? 1 : 2;
}

ElementType wider(ElementType a, ElementType b) {
  if (a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (category(a) == 2) {
    if (bit_width(a) != bit_width(b)) return bit_width(a) > bit_width(b) ? a : b;
    return ElementType::f32;  // f16 and bf16
  }
  if (is_signed(a) == is_signed(b) || bit_width(a) != bit_width(b)) {
    const ElementType big = bit_width(a) >= bit_width(b) ? a : b;
    if (is_signed(a) == is_signed(b) || is_signed(big)) return big;
  }
  return bit_width(a) < 16 && bit_width(b) < 16 ? ElementType::i16 : ElementType::i64;
}

}  // namespace

const Argument* NodeContext::argument(std::string_view name) const {
  for (const NamedArgument& a : node_.inputs) {
    if (a.name == name) return &a.value;
  }
  return nullptr;
}
const Argument* NodeContext::argument(size_t position) const {
  return position < node_.inputs.size() ? &node_.inputs[position].value : nullptr;
}

bool NodeContext::has(std::string_view name) const {
  const Argument* a = argument(name);
  return a && !a->is_none();
}
bool NodeContext::is_tensor(std::string_view name) const {
  const Argument* a = argument(name);
  return a && a->kind == Kind::tensor;
}

const Argument& NodeContext::required(std::string_view name) const {
  const Argument* a = argument(name);
  if (!a || a->is_none()) fail("argument '" + std::string(name) + "' is missing");
  return *a;
}

Value NodeContext::in(std::string_view name) const {
  const Argument& a = required(name);
  if (a.kind != Kind::tensor) fail("argument '" + std::string(name) + "' is no tensor");
  const Value v = importer_.find(a.text);
  if (!v) fail("'" + a.text + "' is made by no earlier node");
  return v;
}

Values NodeContext::tensors(std::string_view name) const {
  Values out;
  const Argument& a = required(name);
  if (a.kind != Kind::list) fail("argument '" + std::string(name) + "' is no list of tensors");
  for (const Argument& e : a.list) {
    if (e.is_none()) {
      out.emplace_back();
      continue;
    }
    if (e.kind != Kind::tensor) fail("argument '" + std::string(name) + "' is no list of tensors");
    out.push_back(importer_.find(e.text));
    if (!out.back()) fail("'" + e.text + "' is made by no earlier node");
  }
  return out;
}

int64_t NodeContext::as_int(const Argument& a) const {
  if (a.kind == Kind::integer || a.kind == Kind::boolean) return a.integer;
  if (a.kind == Kind::real && a.real == static_cast<double>(static_cast<int64_t>(a.real)))
    return static_cast<int64_t>(a.real);
  if (a.kind == Kind::symbol || a.kind == Kind::tensor) {
    const Value v = importer_.find(a.text);
    if (!v) fail("'" + a.text + "' is made by no earlier node");
    const Tensor t = known(v);
    if (t && t.size() == 1) return get_integer(t, 0);
    refuse("needs to know '" + a.text + "' when the model is read; export it with that dimension static");
  }
  fail("an argument is no integer");
}

int64_t NodeContext::i(std::string_view name) const {
  return as_int(required(name));
}

double NodeContext::f(std::string_view name, double otherwise) const {
  const Argument* a = argument(name);
  if (!a || a->is_none()) return otherwise;
  if (a->kind == Kind::real) return a->real;
  return static_cast<double>(as_int(*a));
}
bool NodeContext::flag(std::string_view name, bool otherwise) const {
  return has(name) ? i(name) != 0 : otherwise;
}

std::string NodeContext::s(std::string_view name, std::string otherwise) const {
  if (!has(name)) return otherwise;
  if (argument(name)->kind != Kind::text) fail("argument '" + std::string(name) + "' is no text");
  return argument(name)->text;
}

std::optional<ElementType> NodeContext::type(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  const Argument* a = argument(name);
  if (a->kind != Kind::scalar_type) fail("argument '" + std::string(name) + "' is no element type");
  const auto t = scalar_type(a->integer);
  if (!t) refuse("wants element type " + scalar_type_name(a->integer) + ", which is not offered");
  return t;
}

std::vector<int64_t> NodeContext::ints(std::string_view name, std::vector<int64_t> otherwise) const {
  if (!has(name)) return otherwise;
  const Argument& a = *argument(name);
  if (a.kind != Kind::list) return {as_int(a)};
  std::vector<int64_t> out;
  for (const Argument& e : a.list) out.push_back(as_int(e));
  return out;
}

std::vector<double> NodeContext::floats(std::string_view name) const {
  std::vector<double> out;
  if (!has(name)) return out;
  for (const Argument& e : argument(name)->list)
    out.push_back(e.kind == Kind::real ? e.real : static_cast<double>(as_int(e)));
  return out;
}

const GraphMessage& NodeContext::graph(std::string_view name, size_t position) const {
  const Argument* a = argument(name);
  if (!a || name.empty()) a = argument(position);
  if (!a || a->kind != Kind::graph) fail("a graph argument is missing");
  return *a->graph;
}

Value NodeContext::symbol(const Argument& a) {
  switch (a.kind) {
    case Kind::integer:
      return b.scalar<int64_t>(a.integer);
    case Kind::boolean:
      return b.scalar<bool>(a.integer != 0);
    case Kind::real:
      return b.scalar<double>(a.real);
    case Kind::symbol:
    case Kind::tensor: {
      const Value v = importer_.find(a.text);
      if (!v) fail("'" + a.text + "' is made by no earlier node");
      return v;
    }
    default:
      fail("an argument is no number");
  }
}

Value NodeContext::number(const Argument& a, ElementType t) {
  if (a.kind == Kind::integer && is_integer(t)) {
    Tensor v(t, {});
    set_integer(v, 0, a.integer);
    return b.constant(v);
  }
  if (a.kind == Kind::integer || a.kind == Kind::boolean) return scalar_of(t, static_cast<double>(a.integer));
  if (a.kind == Kind::real) return scalar_of(t, a.real);
  return cast(symbol(a), t);
}
Value NodeContext::number(std::string_view name, ElementType t) {
  return number(required(name), t);
}

Value NodeContext::size(std::string_view name) {
  return cast(symbol(required(name)), ElementType::i64);
}

Value NodeContext::sizes(const std::vector<Argument>& list) {
  std::vector<int64_t> numbers;
  for (const Argument& a : list) {
    if (a.kind == Kind::integer) numbers.push_back(a.integer);
  }
  if (numbers.size() == list.size()) return b.ints(numbers);
  Values parts;
  for (const Argument& a : list) parts.push_back(reshape(cast(symbol(a), ElementType::i64), {1}));
  return parts.size() == 1 ? parts[0] : concat(parts, 0);
}
Value NodeContext::sizes(std::string_view name) {
  const Argument& a = required(name);
  return a.kind == Kind::list ? sizes(a.list) : sizes(std::vector<Argument>{a});
}

ElementType NodeContext::out_type(size_t k, ElementType otherwise) const {
  if (k >= node_.outputs.size() || node_.outputs[k].kind != Kind::tensor) return otherwise;
  const ElementType t = importer_.type_of(node_.outputs[k].text);
  return t == ElementType::dynamic ? otherwise : t;
}

ElementType NodeContext::promoted(std::string_view a, std::string_view b) const {
  struct Operand {
    ElementType type;
    int priority;  // tensors with axes, tensors without, numbers
  };
  auto operand = [&](std::string_view name) -> Operand {
    const Argument& g = required(name);
    if (g.kind == Kind::tensor) {
      const Value v = in(name);
      return {v.element_type(), v.shape().rank_known() && v.shape().rank() == 0 ? 1 : 2};
    }
    if (g.kind == Kind::real) return {ElementType::f32, 0};
    if (g.kind == Kind::boolean) return {ElementType::boolean, 0};
    if (g.kind == Kind::symbol) {
      const Value v = importer_.find(g.text);
      // Python's floats are f64, but promote like the default type.
      return {!v ? ElementType::i64 : is_float(v.element_type()) ? ElementType::f32 : v.element_type(), 0};
    }
    return {ElementType::i64, 0};
  };
  const Operand x = operand(a), y = operand(b);
  if (x.priority == y.priority) return wider(x.type, y.type);
  const Operand &strong = x.priority > y.priority ? x : y, &weak = x.priority > y.priority ? y : x;
  return category(weak.type) > category(strong.type) ? weak.type : strong.type;
}

size_t NodeContext::rank(Value v) const {
  if (!v.type().is_tensor() || !v.shape().rank_known()) refuse("needs to know the rank of its input");
  return v.shape().rank();
}

int64_t NodeContext::axis(int64_t axis, Value v) const {
  const auto r = static_cast<int64_t>(rank(v));
  const int64_t most = std::max<int64_t>(r, 1);
  if (axis < -most || axis >= most) fail("axis " + std::to_string(axis) + " is out of range");
  return axis < 0 ? axis + most : axis;
}
std::vector<int64_t> NodeContext::axes(std::vector<int64_t> axes, Value v) const {
  for (int64_t& a : axes) a = axis(a, v);
  return axes;
}

std::vector<int64_t> NodeContext::laid_along(int64_t axis, size_t rank) const {
  if (axis < 0 || static_cast<size_t>(axis) >= rank) fail("axis " + std::to_string(axis) + " is out of range");
  std::vector<int64_t> shape(rank, 1);
  shape[static_cast<size_t>(axis)] = -1;
  return shape;
}

Node NodeContext::add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) {
  const OpDef* def = find_op(op);
  if (!def) refuse(std::string("needs operator ") + op + ", which this build lacks");
  return b.add(*def, std::move(attributes), in, std::move(regions));
}

Value NodeContext::scalar_of(ElementType t, double x) {
  Tensor v(t, {});
  set_element(v, 0, x);
  return b.constant(v);
}
Value NodeContext::cast(Value v, ElementType t) {
  if (v.element_type() == t || t == ElementType::dynamic) return v;
  return (*this)(Convert{t}, v);
}
Value NodeContext::reshape(Value v, std::vector<int64_t> shape) {
  return (*this)(Reshape{}, v, b.ints(std::move(shape)));
}
Value NodeContext::reshape_to(Value v, Value shape) {
  return (*this)(Reshape{}, v, shape);
}
Value NodeContext::transpose(Value v, std::vector<int64_t> order) {
  return (*this)(Transpose{}, v, b.ints(std::move(order)));
}
Value NodeContext::dim(Value v, int64_t axis) {
  return gather(shape_of(v), int_constant(axis), 0);
}
Value NodeContext::slice(Value v, int64_t axis, Value begin, Value end, Value step) {
  return (*this)(Slice{}, v, reshape(begin, {1}), reshape(end, {1}), reshape(step, {1}), b.ints({axis}));
}
Value NodeContext::broadcast(Value v, Value shape) {
  return (*this)(Broadcast{}, v, shape);
}

void NodeContext::fail(const std::string& what) const {
  throw Error(ErrorCode::unreadable, "[" + std::string(op_) + "] " + what, "node '" + node_.name + "'");
}
void NodeContext::refuse(const std::string& what) const {
  throw Error(ErrorCode::unsupported, "[" + std::string(op_) + "] " + what, "node '" + node_.name + "'");
}

}  // namespace hone::pytorch
