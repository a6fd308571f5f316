// If and Loop from parts of a TensorFlow graph, whichever kind of control flow they come from.
#include <algorithm>

#include "formats/tensorflow/importer.hpp"
#include "formats/tensorflow/lists.hpp"
#include "graph/common_type.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/registry.hpp"

namespace hone::tensorflow {
namespace {

constexpr int max_rounds = 8;  // until the types of carried values are stable

Type scalar(ElementType e) {
  return Type(e, PartialShape(std::vector<Dimension>{}));
}

Value as_condition(Emitter& e, Value v) {
  v = e.cast(v, ElementType::boolean);
  return v.shape().rank_known() && v.shape().rank() == 0 ? v : e.reshape(v, {});
}

// Behind operators that keep the number of a single element.
Value stripped(Value v) {
  for (int k = 0; k < 16; ++k) {
    const Node n = v.node();
    if (!(n.is<Convert>() || n.is<Reshape>() || n.is<Squeeze>() || n.is<Unsqueeze>())) break;
    if (n.is<Convert>() && !is_integer(n.input(0).element_type())) break;
    v = n.input(0);
  }
  return v;
}

bool is_one(Value v) {
  const Tensor t = Emitter::folded(v);
  return t && t.size() == 1 && is_integer(t.element_type()) && get_integer(t, 0) == 1;
}

// One carried value of a loop and what becomes of it.
struct Slot {
  enum Kind { carried, constant, scanned } kind = carried;
  Item initial;
  Value parameter;  ///< in the region
  Item result;      ///< of the body
};

// `now` is `parameter` + 1.
bool counts(Value parameter, Value now) {
  now = stripped(now);
  const Node n = now.node();
  if (!n.is<Add>()) return false;
  for (size_t k = 0; k < 2; ++k) {
    if (stripped(n.input(k)) == parameter && is_one(n.input(1 - k))) return true;
  }
  return false;
}

// The conditions "counter < bound" that hold together; false where the condition is something else.
bool bounds_of(Value condition, std::vector<std::pair<Value, Value>>& out, int depth = 0) {
  if (depth > 8) return false;
  const Node n = condition.node();
  if (n.is<LogicalAnd>()) return bounds_of(n.input(0), out, depth + 1) && bounds_of(n.input(1), out, depth + 1);
  if (n.is<Reshape>() || n.is<Squeeze>()) return bounds_of(n.input(0), out, depth + 1);
  if (const Tensor t = condition.constant()) return t.size() == 1 && get_integer(t, 0) != 0;
  if (n.is<Less>())
    out.emplace_back(n.input(0), n.input(1));
  else if (n.is<Greater>())
    out.emplace_back(n.input(1), n.input(0));
  else
    return false;
  return is_integer(out.back().first.element_type());
}

bool reaches(const Graph& g, const std::vector<Value>& from, ValueId wanted) {
  std::set<ValueId> seen;
  std::vector<ValueId> stack;
  for (const Value& v : from) stack.push_back(v.id);
  while (!stack.empty()) {
    const ValueId v = stack.back();
    stack.pop_back();
    if (v == wanted) return true;
    if (v == no_id || !seen.insert(v).second) continue;
    for (ValueId i : g.node(g.value(v).producer).inputs) stack.push_back(i);
  }
  return false;
}

// Do two integers have one value wherever the graph runs?
bool same_number(Value a, Value b) {
  a = stripped(a);
  b = stripped(b);
  if (a == b) return true;
  const Tensor x = Emitter::folded(a), y = Emitter::folded(b);
  if (x && y) return x.size() == 1 && y.size() == 1 && get_integer(x, 0) == get_integer(y, 0);
  const auto& c = a.graph->value(a.id).content;
  const auto& d = b.graph->value(b.id).content;
  return c && d && c->size() == 1 && d->size() == 1 && c->front().symbol() != 0 && c->front().same(d->front());
}

}  // namespace

Items Session::choose(Emitter& e, GraphScope& scope, Value condition, const Part& no, const Part& yes,
                      const Items& arguments) {
  if (const Tensor t = Emitter::folded(condition); t && t.size() == 1)
    return get_integer(t, 0) ? yes(scope, arguments) : no(scope, arguments);
  auto build = [&](const Part& part, std::unique_ptr<GraphScope>& inner, std::shared_ptr<Graph>& graph) {
    graph = std::make_shared<Graph>();
    inner = std::make_unique<GraphScope>(*graph, &scope);
    Items own;
    for (const Item& a : arguments) own.push_back(inner->capture(a));
    return part(*inner, own);
  };
  std::unique_ptr<GraphScope> scopes[2];
  std::shared_ptr<Graph> graphs[2];
  Items results[2] = {build(no, scopes[0], graphs[0]), build(yes, scopes[1], graphs[1])};
  if (results[0].size() != results[1].size())
    throw Error(ErrorCode::unreadable, "[If] the branches give different numbers of values");
  Items out(results[0].size());
  std::vector<size_t> tensors;
  for (size_t k = 0; k < out.size(); ++k) {
    Item& a = results[0][k];
    Item& b = results[1][k];
    // A list that one side leaves empty takes the rank that the other gives it.
    if (!a.value && a.pending && b.value) a.value = materialized(scopes[0]->builder, *a.pending, b.value.type());
    if (!b.value && b.pending && a.value) b.value = materialized(scopes[1]->builder, *b.pending, a.value.type());
    if (a.value && b.value) {
      if (a.complex != b.complex)
        throw Error(ErrorCode::unreadable, "[If] one branch gives complex numbers, the other real ones");
      tensors.push_back(k);
    } else if (a.resource && b.resource && a.resource->name == b.resource->name) {
      out[k].resource = a.resource;
    } else if (!a.value && !b.value && a.pending && b.pending) {
      throw Error(ErrorCode::unsupported, "[If] lists that nothing is written to are not offered as results");
    } else {
      throw Error(ErrorCode::unsupported, "[If] a resource that depends on the condition is not offered");
    }
  }
  if (tensors.empty()) return out;
  Values captured;
  for (int side = 0; side < 2; ++side) {
    for (const size_t k : tensors) scopes[side]->builder.result(results[side][k].value);
    scopes[side]->prune();
    for (const Value& v : scopes[side]->captured) {
      if (std::find(captured.begin(), captured.end(), v) == captured.end()) captured.push_back(v);
    }
  }
  // Both regions have the same inputs; those that one lacks are made and unused.
  for (int side = 0; side < 2; ++side) {
    GraphScope& s = *scopes[side];
    std::vector<NodeId> order;
    for (const Value& v : captured) {
      const auto at = std::find(s.captured.begin(), s.captured.end(), v);
      order.push_back(at != s.captured.end() ? s.parameters[static_cast<size_t>(at - s.captured.begin())].node().id
                                             : s.builder.parameter(v.type()).node().id);
    }
    s.graph.reorder_parameters(std::move(order));
  }
  Values in{as_condition(e, condition)};
  in.insert(in.end(), captured.begin(), captured.end());
  const Values y = e.all(If{}, in, {graphs[1], graphs[0]});
  for (size_t k = 0; k < tensors.size(); ++k) {
    out[tensors[k]].value = y[k];
    out[tensors[k]].complex = results[0][tensors[k]].complex;
  }
  return out;
}

Items Session::iterate(Emitter& e, GraphScope& scope, const Items& initial, const Part& condition, const Part& body) {
  std::vector<Slot> slots(initial.size());
  Types types(initial.size());
  for (size_t k = 0; k < initial.size(); ++k) {
    slots[k].initial = initial[k];
    if (initial[k].value)
      types[k] = initial[k].value.type();
    else
      slots[k].kind = Slot::constant;
  }
  std::shared_ptr<Graph> graph;
  std::unique_ptr<GraphScope> inner;
  Value iteration, again;
  for (int round = 0;; ++round) {
    graph = std::make_shared<Graph>();
    inner = std::make_unique<GraphScope>(*graph, &scope);
    iteration = inner->builder.parameter(scalar(ElementType::i64));
    inner->builder.parameter(scalar(ElementType::boolean));
    Items own;
    for (size_t k = 0; k < slots.size(); ++k) {
      Slot& s = slots[k];
      Item i = s.initial;
      if (s.kind == Slot::constant) {
        i = inner->capture(i);
        s.parameter = i.value;
      } else {
        i.value = s.parameter = inner->builder.parameter(types[k]);
      }
      own.push_back(i);
    }
    const Items out = body(*inner, own);
    if (out.size() != slots.size())
      throw Error(ErrorCode::unreadable, "[While] the body gives another number of values than it takes");
    bool stable = true;
    for (size_t k = 0; k < slots.size(); ++k) {
      Slot& s = slots[k];
      s.result = out[k];
      if (s.initial.pending && !s.initial.value) {
        if (!out[k].value) continue;  // still empty
        // The first write says what the elements are.
        s.initial.value = materialized(scope.builder, *s.initial.pending, out[k].value.type());
        s.kind = Slot::carried;
        types[k] = s.initial.value.type();
        stable = false;
      } else if (s.initial.resource) {
        if (!out[k].resource)
          throw Error(ErrorCode::unsupported, "[While] a resource that becomes a tensor is not offered");
      } else if (!out[k].value) {
        throw Error(ErrorCode::unsupported,
                    "[While] a carried tensor becomes a list or resource, which is not offered");
      } else if (s.kind == Slot::carried) {
        if (out[k].value == s.parameter) {
          s.kind = Slot::constant;
          stable = false;
          continue;
        }
        if (out[k].complex != s.initial.complex)
          throw Error(ErrorCode::unreadable, "[While] a carried value changes its element type");
        const Type wide = common_type(types[k], out[k].value.type());
        if (!(wide == types[k])) {
          types[k] = wide;
          stable = false;
        }
      } else if (!(out[k].value == s.parameter)) {
        s.kind = Slot::carried;  // constant only as long as another value was thought to be
        stable = false;
      }
    }
    if (stable) {
      const Items c = condition(*inner, out);
      if (c.empty() || !c[0].value) throw Error(ErrorCode::unreadable, "[While] the condition gives no tensor");
      Emitter inside(inner->builder);
      again = as_condition(inside, c[0].value);
      break;
    }
    if (round == max_rounds)
      throw Error(ErrorCode::unsupported, "[While] the types of its carried values do not come to rest");
  }

  // "counter < bound" with a counter that goes up by one gives the number of iterations.
  std::vector<std::pair<Value, Value>> conditions;
  Values bounds, trips;  // outside
  bool counted = bounds_of(again, conditions) && !conditions.empty();
  const auto outside = [&](Value v) -> Value {
    v = stripped(v);
    if (const Tensor t = v.constant()) return e.b.constant(t);
    for (size_t k = 0; k < inner->parameters.size(); ++k) {
      if (inner->parameters[k] == v) return inner->captured[k];
    }
    return {};
  };
  const auto to_scalar = [&](Value v) { return e.reshape(e.cast(v, ElementType::i64), {}); };
  std::vector<bool> from_zero(slots.size(), false);
  for (size_t k = 0; k < slots.size(); ++k) {
    const Tensor start = slots[k].initial.value ? Emitter::folded(slots[k].initial.value) : Tensor();
    from_zero[k] = slots[k].kind == Slot::carried && start && start.size() == 1 && is_integer(start.element_type()) &&
                   get_integer(start, 0) == 0 && counts(slots[k].parameter, slots[k].result.value);
  }
  for (const auto& [counter, bound] : conditions) {
    if (!counted) break;
    Value start;
    for (const Slot& s : slots) {
      if (s.kind != Slot::carried || !(stripped(s.result.value) == stripped(counter)) || !counts(s.parameter, counter))
        continue;
      start = s.initial.value;
    }
    const Value b = outside(bound);
    counted = start && b && start.type().is_tensor();
    if (!counted) break;
    bounds.push_back(b);
    const Tensor zero = Emitter::folded(start);
    const bool from_nothing = zero && zero.size() == 1 && get_integer(zero, 0) == 0;
    const Tensor end = Emitter::folded(b);
    if (zero && end && zero.size() == 1 && end.size() == 1)
      trips.push_back(e.int_constant(std::max<int64_t>(0, get_integer(end, 0) - get_integer(zero, 0))));
    else
      trips.push_back(from_nothing ? to_scalar(b) : e(Subtract{}, to_scalar(b), to_scalar(start)));
    if (!from_nothing) bounds.back() = Value{};
  }
  Value trip;
  if (counted) {
    trip = trips[0];
    bool all_equal = static_cast<bool>(bounds[0]);
    for (size_t k = 1; k < trips.size(); ++k) {
      all_equal = all_equal && bounds[k] && same_number(bounds[0], bounds[k]);
      const Tensor a = Emitter::folded(trip), b = Emitter::folded(trips[k]);
      if (a && b)
        trip = e.int_constant(std::min(get_integer(a, 0), get_integer(b, 0)));
      else if (!same_number(trip, trips[k]))
        trip = e(Minimum{}, trip, trips[k]);
    }
    // A list whose element i is written in iteration i, all of them: the values are simply collected.
    for (size_t k = 0; k < slots.size(); ++k) {
      Slot& s = slots[k];
      if (s.kind != Slot::carried || !s.initial.pending || !s.initial.pending->size) continue;
      const ListWrite w = list_write(s.result.value);
      if (!w.item || !(w.list == s.parameter)) continue;
      const Value index = stripped(w.index);
      bool at_iteration = index == iteration;
      for (size_t j = 0; j < slots.size(); ++j)
        at_iteration = at_iteration || (from_zero[j] && index == slots[j].parameter);
      if (!at_iteration || !(same_number(s.initial.pending->size, trip) ||
                             (all_equal && same_number(s.initial.pending->size, bounds[0]))))
        continue;
      std::vector<Value> roots;
      for (size_t j = 0; j < slots.size(); ++j) {
        if (slots[j].kind == Slot::carried) roots.push_back(j == k ? w.item : slots[j].result.value);
        if (slots[j].kind == Slot::scanned) roots.push_back(slots[j].result.value);
      }
      if (reaches(*graph, roots, s.parameter.id)) continue;
      s.kind = Slot::scanned;
      s.result.value = w.item;
    }
  }

  Loop op;
  Values in{trip, counted ? e.b.scalar<bool>(true)
                          : as_condition(e, condition(scope,
                                                      [&] {
                                                        Items first;
                                                        for (const Slot& s : slots) first.push_back(s.initial);
                                                        return first;
                                                      }())[0]
                                                .value)};
  std::vector<NodeId> order(graph->parameters().begin(), graph->parameters().begin() + 2);
  inner->builder.result(counted ? inner->builder.scalar<bool>(true) : again);
  for (const Slot& s : slots) {
    if (s.kind != Slot::carried) continue;
    inner->builder.result(s.result.value);
    in.push_back(s.initial.value);
    order.push_back(s.parameter.node().id);
    ++op.num_carried;
  }
  for (const Slot& s : slots) {
    if (s.kind != Slot::scanned) continue;
    inner->builder.result(s.result.value);
    op.scan_outputs.push_back(-1);
  }
  inner->prune();
  for (const Slot& s : slots) {
    if (s.kind == Slot::scanned) graph->remove(s.parameter.node().id);
  }
  for (const Value& p : inner->parameters) order.push_back(p.node().id);
  graph->reorder_parameters(std::move(order));
  in.insert(in.end(), inner->captured.begin(), inner->captured.end());
  const Values y = op.num_carried + std::ssize(op.scan_outputs) > 0 ? e.all(op, in, {graph}) : Values();
  Items out;
  size_t carried = 0, scanned = static_cast<size_t>(op.num_carried);
  for (const Slot& s : slots) {
    Item i = s.initial;
    if (s.kind != Slot::constant) {
      i.pending = nullptr;
      i.value = s.kind == Slot::carried ? y[carried++] : y[scanned++];
    }
    out.push_back(i);
  }
  return out;
}

}  // namespace hone::tensorflow
