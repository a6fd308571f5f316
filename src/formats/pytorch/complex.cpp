#include "formats/pytorch/complex.hpp"

#include <map>
#include <unordered_map>

#include "formats/pytorch/strided.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"

namespace hone::pytorch {
namespace {

using Kind = Argument::Kind;

// Names of a rewritten node that stand for parts; others are those of the graph.
class Parts : public Importer {
 public:
  explicit Parts(Importer& outer) : outer_(outer) {}
  std::map<std::string, Value, std::less<>> bound;

  Value find(std::string_view name) const override {
    const auto it = bound.find(name);
    return it != bound.end() ? it->second : outer_.find(name);
  }
  ElementType type_of(std::string_view name) const override {
    const auto it = bound.find(name);
    return it != bound.end() ? it->second.element_type() : outer_.type_of(name);
  }
  bool is_complex(std::string_view name) const override { return !bound.contains(name) && outer_.is_complex(name); }
  std::shared_ptr<Graph> region(const GraphMessage& g, const Types& inputs) override {
    return outer_.region(g, inputs);
  }
  Values inlined(const GraphMessage& g, const Values& inputs) override { return outer_.inlined(g, inputs); }

 private:
  Importer& outer_;
};

// Is the value another one with a new last axis of 1?
bool is_unsqueezed(Value v) {
  const Node n = v.node();
  if (!n.is<Unsqueeze>() || !n.input(0).shape().rank_known() || !v.shape().rank_known()) return false;
  const PartialShape &before = n.input(0).shape(), &after = v.shape();
  if (after.rank() != before.rank() + 1 || after[before.rank()] != Dimension(1)) return false;
  for (size_t k = 0; k < before.rank(); ++k) {
    if (!before[k].same(after[k])) return false;
  }
  return true;
}
// What `joined` made is taken apart without a node.
Complex parts_of(NodeContext& n, Value v) {
  const Node join = v.node();
  if (join.is<Concat>() && join.num_inputs() == 2 && is_unsqueezed(join.input(0)) && is_unsqueezed(join.input(1)) &&
      v.shape()[v.shape().rank() - 1] == Dimension(2))
    return {join.input(0).node().input(0), join.input(1).node().input(0)};
  return {n.gather(v, n.int_constant(0), -1), n.gather(v, n.int_constant(1), -1)};
}

}  // namespace

bool is_complex_type(int64_t scalar_type) {
  return scalar_type >= 9 && scalar_type <= 11;
}
int64_t part_type(int64_t scalar_type) {
  return is_complex_type(scalar_type) ? scalar_type - 3 : scalar_type;
}

bool ComplexContext::is_complex(std::string_view name) const {
  return is_tensor(name) && outer_.is_complex(argument(name)->text);
}

Complex ComplexContext::pair(const Argument& a) {
  const ElementType t = out_type(0, ElementType::f32);
  if (a.kind == Kind::complex) return {scalar_of(t, a.real), scalar_of(t, a.imaginary)};
  if (a.kind != Kind::tensor) return {number(a, t), {}};
  const Value v = outer_.find(a.text);
  if (!v) fail("'" + a.text + "' is made by no earlier node");
  if (!outer_.is_complex(a.text)) return {is_float(v.element_type()) ? v : cast(v, t), {}};
  return parts_of(*this, v);
}
Complex ComplexContext::pair(std::string_view name) {
  const Argument* a = argument(name);
  if (!a || a->is_none()) fail("argument '" + std::string(name) + "' is missing");
  return pair(*a);
}

Complex ComplexContext::both_parts(std::string_view name) {
  Complex z = pair(name);
  if (!z.im) z.im = filled(shape_of(z.re), like(z.re, 0));
  return z;
}

Value ComplexContext::joined(Complex z) {
  if (!z.im) z.im = filled(shape_of(z.re), scalar_of(z.re.element_type(), 0));
  z.im = cast(z.im, z.re.element_type());
  if (!(z.re.shape().is_static() && z.re.shape() == z.im.shape())) {
    const Broadcast both{BroadcastMode::bidirectional};
    const Value re = (*this)(both, z.re, shape_of(z.im));
    z.im = (*this)(both, z.im, shape_of(z.re));
    z.re = re;
  }
  return concat({unsqueeze(z.re, {-1}), unsqueeze(z.im, {-1})}, -1);
}

Values ComplexContext::plain(const std::function<Value(const std::string&)>& part, bool imaginary,
                             std::string_view without) {
  const OperatorRow* row = find_row(op());
  if (!row) refuse("of complex numbers is not offered");
  Parts inner(outer_);
  NodeMessage m = message_;
  const auto replace = [&](auto&& self, Argument& a) -> void {
    for (Argument& e : a.list) self(self, e);
    if (a.kind == Kind::scalar_type) a.integer = part_type(a.integer);
    if (a.kind != Kind::tensor || !outer_.is_complex(a.text)) return;
    const Value v = part(a.text);
    a.text += ".part";
    inner.bound[a.text] = v;
  };
  if (!without.empty()) std::erase_if(m.inputs, [&](const NamedArgument& a) { return a.name == without; });
  for (NamedArgument& a : m.inputs) {
    replace(replace, a.value);
    const bool fills = a.name == "value" || a.name == "fill_value";
    if (a.value.kind == Kind::complex) {
      if (!fills) refuse("with a complex number is not offered");
      a.value.kind = Kind::real;
      if (imaginary) a.value.real = a.value.imaginary;
    } else if (fills && imaginary && a.value.kind != Kind::tensor) {
      a.value = Argument();
      a.value.kind = Kind::integer;
    }
  }
  NodeContext context(inner, b, m, op());
  return row->build(context);
}

Values ComplexContext::by_parts() {
  const auto parts = [&](const std::string& name) {
    const Value v = outer_.find(name);
    if (!v) fail("'" + name + "' is made by no earlier node");
    return parts_of(*this, v);
  };
  const Values re = plain([&](const std::string& name) { return parts(name).re; });
  // A complex tensor may only say what shape a real one takes.
  if (outputs().size() == 1 && outputs()[0].kind == Kind::tensor && !outer_.is_complex(outputs()[0].text)) return re;
  const Values im = plain([&](const std::string& name) { return parts(name).im; }, true);
  Values out;
  for (size_t k = 0; k < re.size(); ++k) out.push_back(joined({re[k], im.at(k)}));
  return out;
}

const ComplexRow* find_complex_row(std::string_view op) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const ComplexRow*> t;
    for (auto rows : {complex_rows(), spectral_complex_rows()}) {
      for (const ComplexRow& r : rows) t.emplace(r.name, &r);
    }
    return t;
  }();
  auto it = index.find(op);
  if (it == index.end() && is_in_place(op)) it = index.find(op.substr(0, op.size() - 1));
  return it == index.end() ? nullptr : it->second;
}

}  // namespace hone::pytorch
