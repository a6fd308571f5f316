// If, Loop and TensorIterator: bodies become regions with explicit inputs.
#include "ops/control.hpp"

#include <algorithm>
#include <limits>
#include <map>

#include "formats/openvino_ir/layer.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::ir::control {
namespace {

struct Port {
  int64_t external = -1, internal = -1;
  bool sliced = false;
  int64_t axis = 0, start = 0, end = -1, stride = 1, part = 1;
  std::string purpose;
};

std::vector<Port> ports(const pugi::xml_node& map, const char* kind) {
  std::vector<Port> out;
  for (const auto& p : map.children(kind)) {
    Port port;
    port.external = p.attribute("external_port_id").as_llong(-1);
    port.internal = p.attribute("internal_layer_id").as_llong(-1);
    port.sliced = static_cast<bool>(p.attribute("axis"));
    port.axis = p.attribute("axis").as_llong(0);
    port.start = p.attribute("start").as_llong(0);
    port.end = p.attribute("end").as_llong(-1);
    port.stride = p.attribute("stride").as_llong(1);
    port.part = p.attribute("part_size").as_llong(1);
    port.purpose = p.attribute("purpose").value();
    out.push_back(port);
  }
  return out;
}

// Position of a port id among the ports of the layer; inputs and outputs are numbered together.
int64_t position(const LayerContext& l, const char* side, int64_t id) {
  int64_t k = 0;
  for (const auto& p : l.xml.child(side).children("port")) {
    if (p.attribute("id").as_llong() == id) return k;
    ++k;
  }
  l.fail("a port map names port " + std::to_string(id) + ", which the layer lacks");
}

template <class Op>
Value emit(LayerContext& l, Builder& b, Op op, const Values& in) {
  const OpDef* def = find_op(Op::name);
  if (!def) l.fail(std::string("needs operator ") + Op::name + ", which this build lacks");
  return b.add(*def, std::make_shared<Op>(std::move(op)), in).output(0);
}

Value find(const LayerContext& l, const std::vector<std::pair<int64_t, Value>>& list, int64_t id) {
  for (const auto& [layer, v] : list) {
    if (layer == id) return v;
  }
  l.fail("a port map names layer " + std::to_string(id) + ", which the body lacks");
}

}  // namespace

Values if_else(LayerContext& l) {
  Values in{l.in(0)};
  std::vector<int64_t> taken;  // position of each region input among the layer's inputs
  Body bodies[2];
  std::vector<Port> outputs[2];
  const char* const names[2][2] = {{"then_port_map", "then_body"}, {"else_port_map", "else_body"}};
  std::vector<Port> inputs[2];
  for (int k = 0; k < 2; ++k) {
    const auto map = l.xml.child(names[k][0]);
    inputs[k] = ports(map, "input");
    outputs[k] = ports(map, "output");
    for (const Port& p : inputs[k]) {
      const int64_t at = position(l, "input", p.external);
      if (std::find(taken.begin(), taken.end(), at) == taken.end()) taken.push_back(at);
    }
    bodies[k] = l.importer.body(l.xml.child(names[k][1]), [&](int64_t layer) -> const Type* {
      for (const Port& p : inputs[k]) {
        if (p.internal == layer) return &l.in(static_cast<size_t>(position(l, "input", p.external))).type();
      }
      return nullptr;
    });
  }
  for (int64_t at : taken) in.push_back(l.in(static_cast<size_t>(at)));
  std::vector<Region> regions;
  for (int k = 0; k < 2; ++k) {
    Graph& g = *bodies[k].graph;
    Builder b(g);
    std::vector<NodeId> order(taken.size(), no_id);
    for (const Port& p : inputs[k]) {
      const auto at =
          static_cast<size_t>(std::find(taken.begin(), taken.end(), position(l, "input", p.external)) - taken.begin());
      order[at] = find(l, bodies[k].parameters, p.internal).node().id;
    }
    for (size_t i = 0; i < order.size(); ++i) {
      if (order[i] == no_id) order[i] = b.parameter(in[i + 1].type()).node().id;
    }
    if (order.size() != g.parameters().size()) l.fail("a body has an input that no port feeds");
    g.reorder_parameters(order);
    // Results in the order of the layer's outputs.
    std::vector<NodeId> results;
    for (const auto& port : l.xml.child("output").children("port")) {
      const int64_t id = port.attribute("id").as_llong();
      for (const Port& p : outputs[k]) {
        if (p.external != id) continue;
        for (size_t r = 0; r < bodies[k].results.size(); ++r) {
          if (bodies[k].results[r].first == p.internal) results.push_back(g.results()[r]);
        }
      }
    }
    const auto all = g.results();
    for (NodeId r : all) {
      if (std::find(results.begin(), results.end(), r) == results.end()) g.remove(r);
    }
    g.reorder_results(results);
    g.remove_dead();
    regions.push_back(bodies[k].graph);
  }
  return l.all(If{}, in, regions);
}

// Both loops become Loop: merged inputs are carried values, sliced ones are gathered by the iteration number.
Values loop(LayerContext& l) {
  const bool is_loop = l.type() == "Loop";
  const auto map = l.xml.child("port_map");
  const auto inputs = ports(map, "input"), outputs = ports(map, "output");
  std::map<int64_t, int64_t> back;  // body parameter -> body result
  for (const auto& e : l.xml.child("back_edges").children("edge"))
    back[e.attribute("to-layer").as_llong()] = e.attribute("from-layer").as_llong();

  std::map<int64_t, Type> types;
  for (const Port& p : inputs) {
    if (p.external < 0 || p.purpose == "current_iteration") continue;
    Type t = l.in(static_cast<size_t>(position(l, "input", p.external))).type();
    if (p.sliced && t.shape.rank_known()) {
      const int64_t axis = p.axis < 0 ? p.axis + static_cast<int64_t>(t.shape.rank()) : p.axis;
      if (axis < 0 || axis >= static_cast<int64_t>(t.shape.rank())) l.fail("axis of a sliced input is out of range");
      t.shape[static_cast<size_t>(axis)] = Dimension(p.part);
    }
    if (back.contains(p.internal)) t.shape = PartialShape();  // the body says how it changes
    types[p.internal] = t;
  }
  const Body body = l.importer.body(l.xml.child("body"), [&](int64_t layer) -> const Type* {
    const auto it = types.find(layer);
    return it == types.end() || !it->second.shape.rank_known() ? nullptr : &it->second;
  });

  // The region around the body: iteration, condition, carried values, then what stays the same.
  auto region = std::make_shared<Graph>();
  Builder b(*region);
  const Type index(ElementType::i64, PartialShape(Shape{}));
  const Value iteration = b.parameter(index);
  const Value condition = b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  std::map<int64_t, Value> inside;  // body parameter -> value in the region
  Values outer{Value{}, Value{}}, carried_results;
  std::vector<const Port*> carried, sliced, invariant;
  for (const Port& p : inputs) {
    if (p.purpose == "current_iteration" || (p.external < 0 && !back.contains(p.internal))) {
      const Value type = find(l, body.parameters, p.internal);
      Value v = iteration;
      if (type.element_type() != ElementType::i64) v = emit(l, b, Convert{type.element_type()}, {v});
      if (type.shape().rank_known() && type.shape().rank() == 1) v = emit(l, b, Unsqueeze{}, {v, b.ints({0})});
      inside[p.internal] = v;
    } else if (back.contains(p.internal)) {
      carried.push_back(&p);
    } else if (p.sliced) {
      sliced.push_back(&p);
    } else {
      invariant.push_back(&p);
    }
  }
  auto external = [&](const Port& p) { return l.in(static_cast<size_t>(position(l, "input", p.external))); };
  for (const Port* p : carried) {
    outer.push_back(external(*p));
    inside[p->internal] = b.parameter(find(l, body.parameters, p->internal).type());
  }
  Value trip;
  for (const Port* p : sliced) {
    const Value x = external(*p);
    outer.push_back(x);
    const Value whole = b.parameter(x.type());
    // Slice number i begins at start + i * stride; counting from the end when the stride is negative.
    auto along = [&](Builder& at, Value v) {
      return emit(l, at, Gather{}, {emit(l, at, ShapeOf{}, {v}), at.scalar<int64_t>(p->axis), at.scalar<int64_t>(0)});
    };
    const int64_t size = std::abs(p->stride);
    Value start = emit(l, b, Multiply{}, {iteration, b.scalar<int64_t>(p->stride)});
    if (p->stride > 0) {
      start = emit(l, b, Add{}, {start, b.scalar<int64_t>(p->start < 0 ? 0 : p->start)});
    } else {
      Value last = along(b, whole);
      if (p->start >= 0)
        last = b.scalar<int64_t>(p->start + 1);
      else if (p->start < -1)
        last = emit(l, b, Add{}, {last, b.scalar<int64_t>(p->start + 1)});
      start = emit(l, b, Add{}, {emit(l, b, Subtract{}, {last, b.scalar<int64_t>(p->part)}), start});
    }
    const Value one = b.ints({0});
    const Value from = emit(l, b, Unsqueeze{}, {start, one});
    const Value to = emit(l, b, Add{}, {from, b.ints({p->part})});
    inside[p->internal] = emit(l, b, Slice{}, {whole, from, to, b.ints({1}), b.ints({p->axis})});
    if (!trip && (!is_loop || !l.has(0))) {
      trip = emit(l, l.b, Divide{}, {along(l.b, x), l.b.scalar<int64_t>(std::max<int64_t>(size, 1))});
    }
  }
  for (const Port* p : invariant) {
    outer.push_back(external(*p));
    inside[p->internal] = b.parameter(external(*p).type());
  }
  Values body_inputs;
  for (const auto& [layer, v] : body.parameters) {
    if (!inside.contains(layer)) l.fail("a body has an input that no port feeds");
    body_inputs.push_back(inside[layer]);
  }
  const Values results = inline_graph(b, *body.graph, body_inputs);
  auto result_of = [&](int64_t layer) {
    for (size_t r = 0; r < body.results.size(); ++r) {
      if (body.results[r].first == layer) return results[r];
    }
    l.fail("a port map names layer " + std::to_string(layer) + ", which the body lacks");
  };
  Value go_on = condition;
  for (const Port& p : outputs) {
    if (p.purpose == "execution_condition") go_on = result_of(p.internal);
  }
  if (go_on.shape().rank_known() && go_on.shape().rank() == 1) go_on = emit(l, b, Squeeze{}, {go_on, b.ints({0})});
  b.result(go_on);
  for (const Port* p : carried) b.result(result_of(back[p->internal]));

  // Outputs: final carried values, then what each iteration adds.
  struct Output {
    int64_t position;
    size_t index;
    bool reversed;
    int64_t axis;
  };
  std::vector<Output> wanted;
  Loop op;
  op.num_carried = static_cast<int64_t>(carried.size());
  for (const Port& p : outputs) {
    if (p.external < 0) continue;
    const int64_t at = position(l, "output", p.external);
    if (!p.sliced) {
      size_t k = carried.size();
      for (size_t c = 0; c < carried.size(); ++c) {
        if (back[carried[c]->internal] == p.internal) k = c;
      }
      if (k < carried.size()) {
        wanted.push_back({at, k, false, 0});
        continue;
      }
    }
    // The last value of a body output is the last of all of them.
    const Value v = result_of(p.internal);
    b.result(v);
    wanted.push_back({at, carried.size() + op.scan_outputs.size(), p.sliced && p.stride < 0, p.sliced ? p.axis : -2});
    op.scan_outputs.push_back(p.sliced ? p.axis : -1);
  }
  if (is_loop) {
    if (l.has(0)) {
      Value t = l.in(0);
      if (t.element_type() != ElementType::i64) t = emit(l, l.b, Convert{ElementType::i64}, {t});
      // -1 stands for no limit.
      trip = emit(l, l.b, Reshape{}, {t, l.b.ints({})});
      trip = emit(l, l.b, Select{},
                  {emit(l, l.b, Less{}, {trip, l.b.scalar<int64_t>(0)}),
                   l.b.scalar<int64_t>(std::numeric_limits<int64_t>::max()), trip});
    }
    if (l.has(1)) outer[1] = emit(l, l.b, Reshape{}, {l.in(1), l.b.ints({})});
  }
  outer[0] = trip;
  if (!outer[1]) outer[1] = l.b.scalar<bool>(true);
  const Values made = l.all(op, outer, {region});
  Values out(wanted.size());
  for (const Output& w : wanted) {
    Value v = made[w.index];
    if (w.axis == -2) v = emit(l, l.b, Gather{}, {v, l.b.scalar<int64_t>(-1), l.b.scalar<int64_t>(0)});
    if (w.reversed) v = emit(l, l.b, Reverse{{w.axis}}, {v});
    if (w.position >= static_cast<int64_t>(out.size())) out.resize(static_cast<size_t>(w.position) + 1);
    out[static_cast<size_t>(w.position)] = v;
  }
  return out;
}

}  // namespace hone::ir::control
