#include "formats/tensorflow/importer.hpp"

#include <algorithm>
#include <stdexcept>

#include "formats/tensorflow/mapping.hpp"
#include "hone/error.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"

namespace hone::tensorflow {
namespace {

constexpr int max_depth = 64;  // of functions and regions: deeper ones are hostile
constexpr size_t max_nodes = 1'000'000;

// Sets and restores whose node is being built.
struct Current {
  Current(Names*& slot, Names* names) : slot(slot), before(slot) { slot = names; }
  ~Current() { slot = before; }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  Names*& slot;
  Names* before;
};

void name_value(Value v, const std::string& name) {
  auto names = v.names();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  names.push_back(name);
  v.graph->set_names(v.id, std::move(names));
}

bool is_switch(Bytes op) {
  return op == "Switch" || op == "RefSwitch";
}
bool is_merge(Bytes op) {
  return op == "Merge" || op == "RefMerge";
}
bool is_exit(Bytes op) {
  return op == "Exit" || op == "RefExit";
}

}  // namespace

Value GraphScope::capture(Value v) {
  if (!v || v.graph == &graph) return v;
  if (const auto it = inside.find(v.id); it != inside.end()) return it->second;
  if (v.graph != &outer->graph) v = outer->capture(v);
  Value mine;
  if (Tensor t = v.constant()) {
    mine = builder.constant(t);
  } else {
    mine = builder.parameter(v.type());
    captured.push_back(v);
    parameters.push_back(mine);
  }
  return inside[v.id] = mine;
}

Item GraphScope::capture(const Item& i) {
  Item out = i;
  if (i.value) out.value = capture(i.value);
  if (i.resource && i.resource->size && i.resource->size.graph != &graph) {
    out.resource = std::make_shared<Resource>(*i.resource);
    out.resource->size = capture(i.resource->size);
  }
  if (i.pending && i.pending->size && i.pending->size.graph != &graph) {
    PendingList p = *i.pending;
    p.size = capture(p.size);
    out.pending = std::make_shared<const PendingList>(p);
  }
  return out;
}

void GraphScope::prune() {
  graph.remove_dead();
  Values used_captured, used_parameters;
  for (size_t k = 0; k < captured.size(); ++k) {
    if (parameters[k].uses().empty()) {
      graph.remove(parameters[k].node().id);
    } else {
      used_captured.push_back(captured[k]);
      used_parameters.push_back(parameters[k]);
    }
  }
  captured = std::move(used_captured);
  parameters = std::move(used_parameters);
}

Library::Library(const GraphMessage& g) {
  for (const FunctionMessage& f : g.functions) functions_.emplace(f.name, &f);
}

const FunctionMessage* Library::find(Bytes name) const {
  const auto it = functions_.find(name);
  return it == functions_.end() ? nullptr : it->second;
}

Body::OutputIndex Library::output_index() const {
  return [this](const NodeMessage& n, Bytes output, int64_t number) {
    const int known = tensorflow::output_index(n.op, output, number);
    if (known >= 0) return known;
    // A function called by its name.
    if (const FunctionMessage* f = find(n.op)) {
      for (size_t k = 0; k < f->outputs.size(); ++k) {
        if (f->outputs[k].name == output) return static_cast<int>(k);
      }
    }
    return find_row(n.op)
               ? -1
               : static_cast<int>(number);  // an unknown operator is reported as such, not as an unknown output
  };
}

const Body& Library::body(const FunctionMessage& f) {
  auto& b = bodies_[f.name];
  if (!b) b = std::make_unique<Body>(f, output_index());
  return *b;
}

Item Names::get(Ref r) {
  const bool own = r.node != Ref::argument && body_.context(r.node) == context_;
  if (!own) {
    const auto key = std::pair(r.node, r.port);
    if (const auto it = outer_.find(key); it != outer_.end()) return it->second;
    Item item;
    if (!parent_) {
      if (r.node != Ref::argument) {
        throw Error(ErrorCode::unsupported,
                    "[" + std::string(body_.node(r.node).op) +
                        "] a value from inside of a loop or condition is read outside of it",
                    "node '" + std::string(body_.node(r.node).name) + "'");
      }
      if (!arguments || r.port >= arguments->size())
        throw Error(ErrorCode::unreadable, "[tensorflow] a function is called with too few arguments");
      item = (*arguments)[r.port];
    } else {
      item = parent_->get(r);
      if (&parent_->scope_ != &scope_) item = scope_.capture(item);
    }
    return outer_[key] = item;
  }
  if (!memo_.contains(r.node)) evaluate(r.node);
  const Items& all = memo_.at(r.node);
  if (r.port >= all.size() || !all[r.port]) {
    const NodeMessage& n = body_.node(r.node);
    throw Error(ErrorCode::unsupported,
                "[" + std::string(n.op) + "] output " + std::to_string(r.port) + " is not offered",
                "node '" + std::string(n.name) + "'");
  }
  return all[r.port];
}

void Names::evaluate(uint32_t start) {
  std::vector<std::pair<uint32_t, bool>> stack{{start, false}};
  std::set<uint32_t> open;
  while (!stack.empty()) {
    const auto [n, ready] = stack.back();
    if (memo_.contains(n)) {
      stack.pop_back();
      continue;
    }
    const Bytes op = body_.node(n).op;
    if (ready) {
      stack.pop_back();
      open.erase(n);
      if (is_exit(op))
        looped(n);
      else if (is_merge(op))
        memo_[n] = joined(n);
      else
        memo_[n] = built(n);
      continue;
    }
    stack.back().second = true;
    if (!open.insert(n).second)
      throw Error(ErrorCode::unreadable, "[tensorflow] the graph has a cycle that is no loop",
                  "node '" + std::string(body_.node(n).name) + "'");
    if (is_merge(op) && body_.is_loop_merge(n))
      throw Error(ErrorCode::unreadable, "[Merge] a loop without structure",
                  "node '" + std::string(body_.node(n).name) + "'");
    const std::vector<Ref> deep = is_merge(op) || is_exit(op) ? body_.frontier(n) : std::vector<Ref>();
    for (const Ref r : is_merge(op) || is_exit(op) ? deep : body_.inputs(n)) {
      if (r.node != Ref::argument && body_.context(r.node) == context_ && !memo_.contains(r.node))
        stack.emplace_back(r.node, false);
    }
  }
}

Items Names::built(uint32_t index) {
  const NodeMessage& n = body_.node(index);
  if (is_switch(n.op)) {
    if (body_.inputs(index).empty())
      throw Error(ErrorCode::unreadable, "[Switch] has no data", "node '" + std::string(n.name) + "'");
    const Item data = get(body_.inputs(index)[0]);
    return {data, data};
  }
  Items in;
  for (const Ref r : body_.inputs(index)) in.push_back(get(r));
  return session_.node(scope_, *this, index, in);
}

// A Merge of the two sides of a condition.
Items Names::joined(uint32_t merge) {
  const Body::Join j = body_.join(merge);
  const Current here(session_.current, this);
  Emitter e(scope_.builder);
  const std::string label = root().prefix + std::string(body_.node(merge).name);
  const auto part = [&](int side) -> Part {
    return [this, &j, merge, side](GraphScope& scope, const Items&) {
      Names inner(session_, body_, scope, this, j.branch[side]);
      if (++root().depth > max_depth) throw Error(ErrorCode::unsafe, "[tensorflow] conditions are nested too deeply");
      const Item y = inner.get(body_.inputs(merge)[j.input[side]]);
      --root().depth;
      return Items{y};
    };
  };
  const Value predicate = get(j.predicate).value;
  if (!predicate)
    throw Error(ErrorCode::unsupported, "[Merge] the condition is no tensor",
                "node '" + std::string(body_.node(merge).name) + "'");
  scope_.builder.set_name(label);
  const Items y = session_.choose(e, scope_, predicate, part(0), part(1), {});
  if (y[0].value && !root().parent_ && scope_.outer == nullptr) name_value(y[0].value, label);
  // Which input it was: the one of the side taken.
  Item which;
  if (j.input[0] != j.input[1]) {
    const Value i = e.cast(predicate, ElementType::i32);
    which = j.input[1] == 1 ? i : e(Select{}, predicate, e.b.scalar<int32_t>(0), e.b.scalar<int32_t>(1));
  }
  return {y[0], which};
}

// The loop that an Exit leaves: all of its Exits become known at once.
void Names::looped(uint32_t exit) {
  const int loop = [&] {
    for (size_t c = 0; c < body_.contexts().size(); ++c) {
      const auto& e = body_.exits(static_cast<int>(c));
      if (std::find(e.begin(), e.end(), exit) != e.end()) return static_cast<int>(c);
    }
    throw Error(ErrorCode::unreadable, "[Exit] outside of a loop");
  }();
  if (++root().depth > max_depth) throw Error(ErrorCode::unsafe, "[tensorflow] loops are nested too deeply");
  const auto& wanted = root().needed;
  struct Variable {
    uint32_t merge;
    Ref enter, next;
  };
  std::vector<Variable> variables;
  for (uint32_t i = 0; i < body_.size(); ++i) {
    if (body_.context(i) != loop || !is_merge(body_.node(i).op) || !body_.is_loop_merge(i) ||
        (i < wanted.size() && !wanted[i]))
      continue;
    Variable v{i, {}, {}};
    bool entered = false, closed = false;
    for (const Ref r : body_.inputs(i)) {
      const bool next = r.node != Ref::argument &&
                        (body_.node(r.node).op == "NextIteration" || body_.node(r.node).op == "RefNextIteration");
      (next ? v.next : v.enter) = r;
      (next ? closed : entered) = true;
    }
    if (!entered || !closed || v.enter.node == Ref::argument || body_.inputs(v.enter.node).empty() ||
        body_.inputs(v.next.node).empty()) {
      throw Error(ErrorCode::unreadable, "[Merge] a loop without structure",
                  "node '" + std::string(body_.node(i).name) + "'");
    }
    variables.push_back(v);
  }
  Items initial;
  for (const Variable& v : variables) initial.push_back(get(body_.inputs(v.enter.node)[0]));
  const auto inner_names = [&](GraphScope& scope, const Items& carried) {
    auto inner = std::make_unique<Names>(session_, body_, scope, this, loop);
    for (size_t k = 0; k < variables.size(); ++k) inner->set(variables[k].merge, {carried[k]});
    // What enters the loop once: a constant Enter.
    for (const uint32_t e : body_.enters(loop)) {
      if (body_.inputs(e).empty() || (e < wanted.size() && !wanted[e])) continue;
      if (std::any_of(variables.begin(), variables.end(), [&](const Variable& v) { return v.enter.node == e; }))
        continue;
      const Item item = get(body_.inputs(e)[0]);
      inner->set(e, {&scope == &scope_ ? item : scope.capture(item)});
    }
    return inner;
  };
  const uint32_t condition = body_.loop_condition(loop);
  if (body_.inputs(condition).empty())
    throw Error(ErrorCode::unreadable, "[LoopCond] has no input",
                "node '" + std::string(body_.node(condition).name) + "'");
  Emitter e(scope_.builder);
  scope_.builder.set_name(root().prefix + std::string(body_.node(exit).name));
  const Items last = session_.iterate(
      e, scope_, initial,
      [&](GraphScope& scope, const Items& carried) {
        return Items{inner_names(scope, carried)->get(body_.inputs(condition)[0])};
      },
      [&](GraphScope& scope, const Items& carried) {
        const auto inner = inner_names(scope, carried);
        Items out;
        for (const Variable& v : variables) out.push_back(inner->get(body_.inputs(v.next.node)[0]));
        return out;
      });
  for (const uint32_t x : body_.exits(loop)) {
    if (body_.inputs(x).empty()) continue;
    // Exit reads Switch, which reads Merge.
    const Ref s = body_.inputs(x)[0];
    if (s.node == Ref::argument || body_.inputs(s.node).empty()) continue;
    const uint32_t merge = body_.inputs(s.node)[0].node;
    for (size_t k = 0; k < variables.size(); ++k) {
      if (variables[k].merge != merge) continue;
      memo_[x] = {last[k]};
      if (last[k].value && scope_.outer == nullptr)
        name_value(last[k].value, root().prefix + std::string(body_.node(x).name));
    }
  }
  --root().depth;
  if (!memo_.contains(exit))
    throw Error(ErrorCode::unreadable, "[Exit] leaves a loop without structure",
                "node '" + std::string(body_.node(exit).name) + "'");
}

Items Session::node(GraphScope& scope, Names& names, uint32_t index, const Items& inputs) {
  if (++built_ > max_nodes)
    throw Error(ErrorCode::unsafe, "[tensorflow] functions expand to more than 1,000,000 nodes");
  const NodeMessage& n = names.body().node(index);
  const Current here(current, &names);
  const std::string label = names.root().prefix + std::string(n.name);
  Builder& b = scope.builder;
  b.set_name(label);
  b.set_provenance({label});
  Items out;
  try {
    NodeContext context(*this, b, n, inputs, names.root().attributes);
    const size_t before = b.added().size();
    if (const OperatorRow* row = find_row(n.op))
      out = row->build(context);
    else if (library_.find(n.op))
      out = call(context, {std::string(n.op), n.attributes}, inputs);
    else
      context.refuse("is not known");
    if (ImportNotes::wanted()) note_import(b, before, n.op, label);
  } catch (const Error& e) {
    if (e.where().starts_with("node '")) throw;
    throw e.at("node '" + label + "' (" + std::string(n.op) + ")");
  } catch (const std::logic_error&) {  // rows take what an operator must have with .at()
    throw Error(ErrorCode::unreadable,
                "[" + std::string(n.op) + "] lacks inputs, attributes or results that it must have",
                "node '" + label + "'");
  }
  b.set_name({});
  b.set_provenance({});
  for (size_t k = 0; k < out.size() && scope.outer == nullptr; ++k) {
    if (!out[k].value) continue;
    if (k == 0) name_value(out[k].value, label);
    name_value(out[k].value, label + ":" + std::to_string(k));
  }
  return out;
}

Items Session::run(GraphScope& scope, const FunctionCall& f, const Items& arguments, const std::string& prefix) {
  const FunctionMessage* m = library_.find(f.name);
  if (!m) throw Error(ErrorCode::unreadable, "[tensorflow] the file lacks function '" + f.name + "'");
  const int depth = current ? current->root().depth : 0;
  if (depth >= max_depth) throw Error(ErrorCode::unsafe, "[tensorflow] functions call each other too deeply");
  const Body& body = library_.body(*m);
  Names names(*this, body, scope, nullptr, 0);
  names.arguments = &arguments;
  names.attributes = &f.attributes;
  names.prefix = prefix.empty() ? prefix : prefix + "/";
  names.depth = depth + 1;
  names.needed.assign(body.size(), false);
  for (const uint32_t n : body.needed(body.returns())) names.needed[n] = true;
  Items out;
  for (const Ref r : body.returns()) out.push_back(names.get(r));
  return out;
}

Items Session::call(NodeContext& n, const FunctionCall& f, const Items& arguments) {
  // Attributes of the call that stand for those of the caller.
  FunctionCall resolved = f;
  if (current && current->root().attributes) {
    for (auto& [key, value] : resolved.attributes) {
      const AttributeMessage a = parse_attribute(value);
      if (a.kind != AttributeMessage::placeholder_) continue;
      for (const auto& [given, content] : *current->root().attributes) {
        if (given == a.s) value = content;
      }
    }
  }
  return run(current->scope(), resolved, arguments, current->root().prefix + std::string(n.name()));
}

Items Session::branches(NodeContext& n, Value selector, const std::vector<FunctionCall>& functions,
                        const Items& arguments) {
  if (functions.empty()) n.fail("has no branches");
  if (functions.size() > 4096) n.refuse("has too many branches");
  const std::string prefix = current->root().prefix + std::string(n.name());
  GraphScope& scope = current->scope();
  if (selector.element_type() == ElementType::boolean) {
    return choose(
        n, scope, selector, [&](GraphScope& s, const Items& a) { return run(s, functions[0], a, prefix); },
        [&](GraphScope& s, const Items& a) { return run(s, functions.at(1), a, prefix); }, arguments);
  }
  // Numbers: a chain of conditions, the last one for all that fits no other.
  Items all{selector};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const std::function<Items(GraphScope&, const Items&, size_t)> from = [&](GraphScope& s, const Items& a,
                                                                           size_t k) -> Items {
    const Items own(a.begin() + 1, a.end());
    if (k + 1 == functions.size()) return run(s, functions[k], own, prefix);
    Emitter e(s.builder);
    const Value is = e(Equal{}, a[0].value, e.like(a[0].value, static_cast<double>(k)));
    return choose(
        e, s, is, [&from, k](GraphScope& t, const Items& x) { return from(t, x, k + 1); },
        [&, k](GraphScope& t, const Items& x) { return run(t, functions[k], Items(x.begin() + 1, x.end()), prefix); },
        a);
  };
  return from(scope, all, 0);
}

Items Session::loop(NodeContext& n, const FunctionCall& condition, const FunctionCall& body, const Items& arguments) {
  const std::string prefix = current->root().prefix + std::string(n.name());
  return iterate(
      n, current->scope(), arguments, [&](GraphScope& s, const Items& a) { return run(s, condition, a, prefix); },
      [&](GraphScope& s, const Items& a) { return run(s, body, a, prefix); });
}

Tensor Session::variable(const NodeContext& n, const std::string& name, const std::string& shared_name) {
  const Tensor t = variables_(name, shared_name);
  if (!t) {
    throw Error(ErrorCode::unsupported,
                "[" + std::string(n.op()) + "] the content of variable '" + (shared_name.empty() ? name : shared_name) +
                    "' is not in the file",
                "node '" + std::string(n.name()) + "'",
                "freeze the graph, or read it as SavedModel or .meta with its checkpoint beside it");
  }
  return t;
}

}  // namespace hone::tensorflow
