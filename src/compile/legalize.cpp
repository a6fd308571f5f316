#include "compile/legalize.hpp"

#include <algorithm>
#include <map>

#include "compile/epilogue.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

constexpr int max_expansion_depth = 6;
// A Reorder runs at the speed of memory, both ways.
constexpr double reorder_bytes_per_microsecond = 4000;

// Do plain and channels-last coincide in memory?
bool same_bytes_in_any_layout(const Shape& s) {
  if (s.size() < 3 || s.size() > 5) return true;
  int64_t space = 1;
  for (size_t i = 2; i < s.size(); ++i) space *= s[i];
  return space == 1 || s[1] == 1;
}

bool is_reshape(const OpDef& op) {
  return op.name == "Reshape" || op.name == "Squeeze" || op.name == "Unsqueeze";
}

double reorder_microseconds(const Type& t) {
  return 2.0 * static_cast<double>(byte_size(t.element, static_cast<size_t>(element_count(t.shape.to_shape())))) /
         reorder_bytes_per_microsecond;
}

bool quantized(const Graph& g, const NodeData& n) {
  const auto is = [&](ValueId v) { return v != no_id && g.value(v).type.quantization; };
  return std::any_of(n.inputs.begin(), n.inputs.end(), is) || std::any_of(n.outputs.begin(), n.outputs.end(), is);
}

// Layouts for the inputs and outputs of one node.
struct Layouts {
  std::vector<Layout> inputs, outputs;
  bool operator==(const Layouts&) const = default;
};

class Legalizer {
 public:
  Legalizer(Graph& g, const SelectOptions& options, bool explain) : g_(g), options_(options), explain_(explain) {}

  Legalized run() {
    for (NodeId id : g_.topological_order()) {
      if (g_.alive(id)) legalize(id, 0);
    }
    g_.remove_dead();
    // Kernels see which outputs have readers: removing dead nodes may have taken some away, so what is left is asked
    // once more.
    std::erase_if(result_.choices, [&](const auto& c) { return !g_.alive(c.first); });
    for (auto& [id, choice] : result_.choices) {
      if (auto fresh = ask(id, current(id), nullptr)) choice = *fresh;
    }
    return std::move(result_);
  }

 private:
  // ---- questions ----
  Layouts current(NodeId id) const {
    Layouts l;
    for (ValueId v : g_.node(id).inputs) l.inputs.push_back(v == no_id ? Layout::plain : g_.value(v).type.layout);
    for (ValueId v : g_.node(id).outputs) l.outputs.push_back(g_.value(v).type.layout);
    return l;
  }

  std::optional<Choice> ask(NodeId id, const Layouts& layouts, std::vector<Refusal>* refusals) const {
    std::string why;
    const auto epilogue = lower(id, &why);
    if (!epilogue) {
      if (refusals) refusals->push_back({"any", why});
      return std::nullopt;
    }
    const NodeData& n = g_.node(id);
    const auto bytes = attribute_bytes(*n.op, n.attributes.get());
    KernelQuery q = query_of(g_, id, *epilogue, bytes, options_);
    for (size_t i = 0; i < q.inputs.size(); ++i) q.inputs[i].layout = layouts.inputs[i];
    for (size_t i = 0; i < q.outputs.size(); ++i) q.outputs[i].layout = layouts.outputs[i];
    return select_kernel(q, refusals, &options_);
  }

  std::optional<Epilogue> lower(NodeId id, std::string* why) const;

  // Layouts worth asking about besides the present ones.
  std::vector<Layouts> variants(NodeId id) const {
    const Layouts now = current(id);
    const KernelQuery query = query_of(g_, id, {}, {}, options_);
    const auto all = [&](Layout layout) {
      KernelQuery q = query;
      set_image_layouts(g_, id, layout, q);
      Layouts l;
      for (const TensorDesc& d : q.inputs) l.inputs.push_back(d.layout);
      for (const TensorDesc& d : q.outputs) l.outputs.push_back(d.layout);
      return l;
    };
    std::vector<Layouts> v{now};
    const auto add = [&](Layouts l) {
      if (std::find(v.begin(), v.end(), l) == v.end()) v.push_back(std::move(l));
    };
    Layouts last = all(Layout::channels_last);
    add(last);
    if (!last.inputs.empty()) {
      last.inputs[0] = now.inputs[0];  // a first layer reads the picture as it is
      add(last);
    }
    add(all(Layout::plain));
    return v;
  }

  double reorder_cost(NodeId id, const Layouts& l) const {
    double cost = 0;
    const NodeData& n = g_.node(id);
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      if (n.inputs[i] == no_id) continue;
      const Value v = g_.value_handle(n.inputs[i]);
      if (v.type().layout == l.inputs[i] || available_in(v, l.inputs[i])) continue;
      cost += reorder_microseconds(v.type());
    }
    // Users may well take the new layout, so a result in another one is not charged in full.
    for (size_t o = 0; o < n.outputs.size(); ++o) {
      const Type& t = g_.value(n.outputs[o]).type;
      if (t.layout != l.outputs[o]) cost += 0.25 * reorder_microseconds(t);
    }
    return cost;
  }

  bool available_in(Value v, Layout layout) const {
    const Node p = v.node();
    if (p.is<Reorder>() && p.input(0).type().layout == layout) return true;
    return reordered_.contains({v.id, layout});
  }

  // ---- changes ----
  Value reorder(Value v, Layout layout) {
    Builder b(g_);
    b.set_name(v.node().name());
    const Value r = b(Reorder{layout == Layout::plain ? LayoutName::plain : LayoutName::channels_last}, v);
    Type type = v.type();  // integers stay integers
    type.layout = layout;
    g_.set_type(r.id, type);
    return r;
  }

  Value in_layout(Value v, Layout layout) {
    if (v.type().layout == layout) return v;
    if (v.node().is<Reorder>() && v.node().input(0).type().layout == layout) return v.node().input(0);
    if (const auto it = reordered_.find({v.id, layout}); it != reordered_.end()) return it->second;
    const Value r = reorder(v, layout);
    reordered_[{v.id, layout}] = r;
    legalize(r.node().id, max_expansion_depth);
    return r;
  }

  void apply(NodeId id, const Layouts& l) {
    const std::vector<ValueId> inputs = g_.node(id).inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] != no_id) g_.set_input(id, i, in_layout(g_.value_handle(inputs[i]), l.inputs[i]).id);
    }
    const std::vector<ValueId> outputs = g_.node(id).outputs;
    for (size_t o = 0; o < outputs.size(); ++o) {
      const Value v = g_.value_handle(outputs[o]);
      const Layout wanted = v.type().layout;
      if (wanted == l.outputs[o]) continue;
      Type t = v.type();
      t.layout = l.outputs[o];
      g_.set_type(v.id, t);
      if (v.uses().empty()) continue;
      // Readers planned with the old layout: they get it back, and take the new one where they can.
      const std::vector<Use> uses = v.uses();
      const std::vector<std::string> names = v.names();
      const Value back = reorder(v, wanted);
      for (const Use& u : uses) g_.set_input(u.node, u.index, back.id);
      g_.set_names(back.id, names);
      reordered_[{v.id, wanted}] = back;
      legalize(back.node().id, max_expansion_depth);
    }
  }

  void accept(NodeId id, Choice choice, const std::vector<Refusal>& refusals) {
    if (explain_) {
      const NodeData& n = g_.node(id);
      std::string line = std::string(n.op->name) + " '" + n.name + "': " + choice.kernel->name;
      for (const Refusal& r : refusals) line += "\n    not " + r.kernel + ": " + r.why;
      result_.notes.push_back(std::move(line));
    }
    result_.choices[id] = std::move(choice);
  }

  // The epilogue as nodes of their own behind the operator. False: nothing changed.
  bool unfuse(NodeId id, std::vector<NodeId>& added) {
    const NodeData n = g_.node(id);
    if (!n.epilogue || quantized(g_, n)) return false;
    const Value old = g_.value_handle(n.outputs[0]);
    const Type wanted = old.type();
    const size_t op_inputs = g_.num_op_inputs(id);
    Transaction t(g_);
    Builder b(g_);
    b.set_name(n.name);
    b.set_provenance(n.provenance);
    Values in;
    for (size_t i = 0; i < op_inputs; ++i) in.push_back(n.inputs[i] == no_id ? Value{} : g_.value_handle(n.inputs[i]));
    try {
      const auto real = [&](Value v) {
        return is_float(v.element_type()) && v.element_type() != ElementType::f32 ? b(Convert{ElementType::f32}, v) : v;
      };
      const Values bare = b.add(*n.op, n.attributes, in, n.regions).outputs();
      Values region{real(bare[0])};
      for (size_t i = op_inputs; i < n.inputs.size(); ++i) region.push_back(real(g_.value_handle(n.inputs[i])));
      Value y = inline_graph(b, *n.epilogue, region).at(0);
      if (y.element_type() != wanted.element) y = b(Convert{wanted.element}, y);
      // All of these run over the result: they keep its layout.
      for (NodeId a : b.added()) {
        for (ValueId v : g_.node(a).outputs) {
          Type type = g_.value(v).type;
          if (type.shape != wanted.shape) continue;
          type.layout = wanted.layout;
          g_.set_type(v, type);
        }
      }
      g_.replace_uses(old.id, y.id);
      for (size_t o = 1; o < n.outputs.size(); ++o) g_.replace_uses(n.outputs[o], bare[o].id);
      g_.remove(id);
    } catch (const Error&) {
      return false;
    }
    added = b.added();
    t.commit();
    return true;
  }

  bool expand(NodeId id, std::vector<NodeId>& added) {
    const NodeData n = g_.node(id);
    if (!n.op->expand || n.epilogue || quantized(g_, n)) return false;
    const Layouts l = current(id);
    const auto plain = [](Layout x) { return x == Layout::plain; };
    if (!std::all_of(l.inputs.begin(), l.inputs.end(), plain) ||
        !std::all_of(l.outputs.begin(), l.outputs.end(), plain))
      return false;
    Transaction t(g_);
    Builder b(g_);
    b.set_name(n.name);
    b.set_provenance(n.provenance);
    try {
      Values in;
      for (ValueId v : n.inputs) in.push_back(v == no_id ? Value{} : g_.value_handle(v));
      const Values out = n.op->expand(n.attributes.get(), b, in);
      if (out.size() != n.outputs.size()) return false;
      for (size_t o = 0; o < out.size(); ++o) {
        if (g_.value(n.outputs[o]).uses.empty()) continue;
        const Type &have = out[o].type(), &want = g_.value(n.outputs[o]).type;
        if (!have.is_static() || have.element != want.element || have.shape != want.shape) return false;
        g_.replace_uses(n.outputs[o], out[o].id);
      }
      g_.remove(id);
      // Worth it only where real kernels take all of it.
      for (NodeId a : b.added()) {
        if (is_structural(*g_.node(a).op) || is_view(g_, a) || g_.node(a).op->expand) continue;
        for (ValueId v : g_.node(a).outputs) {
          if (!g_.value(v).type.is_static()) return false;
        }
        const auto choice = best_choice(a);
        if (!choice || choice->second.is_reference()) return false;
      }
    } catch (const Error&) {
      return false;
    }
    added = b.added();
    t.commit();
    return true;
  }

  // A first layer that reads the picture as it is, where that costs less than the Reorder made for this node alone.
  std::optional<std::pair<Layouts, Choice>> without_reorder(NodeId id, std::vector<Refusal>* refusals) const {
    const NodeData& n = g_.node(id);
    if (n.op->name != "Convolution" || n.inputs[0] == no_id) return std::nullopt;
    const Value v = g_.value_handle(n.inputs[0]);
    if (!v.node().is<Reorder>() || v.uses().size() != 1) return std::nullopt;
    Layouts l = current(id);
    const auto with = ask(id, l, nullptr);
    l.inputs[0] = v.node().input(0).type().layout;
    std::vector<Refusal> said;
    const auto without = ask(id, l, refusals ? &said : nullptr);
    if (!without || without->is_reference()) return std::nullopt;
    if (with && with->plan.cost + reorder_microseconds(v.type()) < without->plan.cost) return std::nullopt;
    if (refusals) *refusals = std::move(said);
    return std::pair(l, *without);
  }

  // `refusals`: what the others said to the choice, or to the present layouts where there is none.
  std::optional<std::pair<Layouts, Choice>> best_choice(NodeId id, std::vector<Refusal>* refusals = nullptr) const {
    if (auto direct = without_reorder(id, refusals)) return direct;
    std::optional<std::pair<Layouts, Choice>> best;
    double best_cost = 0;
    bool first = true;
    for (const Layouts& l : variants(id)) {
      std::vector<Refusal> said;
      const auto c = ask(id, l, refusals ? &said : nullptr);
      const double cost = c ? c->plan.cost + reorder_cost(id, l) : 0;
      // What the layout pass decided stands where a kernel takes it.
      const bool decided = c && !best && !c->is_reference() && l == current(id);
      const bool better = c && (!best || cost < best_cost);
      if (refusals && (first || better)) *refusals = std::move(said);
      first = false;
      if (decided) return std::pair(l, *c);
      if (better) {
        best = {l, *c};
        best_cost = cost;
      }
    }
    return best;
  }

  void legalize(NodeId id, int depth) {
    const OpDef& op = *g_.node(id).op;
    if (is_structural(op)) {
      if (op.name == "Result" || op.name == "Assign") {  // what leaves the program is in the plain layout
        const Value v = g_.handle(id).input(0);
        if (v && v.type().layout != Layout::plain) g_.set_input(id, 0, in_layout(v, Layout::plain).id);
      }
      return;
    }
    if (is_view(g_, id)) return;
    if (is_reshape(op)) {
      // Cheaper than a kernel: bring the data into the plain layout, where it is a view.
      Layouts plain = current(id);
      std::fill(plain.inputs.begin(), plain.inputs.end(), Layout::plain);
      std::fill(plain.outputs.begin(), plain.outputs.end(), Layout::plain);
      apply(id, plain);
      if (is_view(g_, id)) return;
    }
    for (const Value& v : g_.handle(id).inputs()) {
      if (v && !v.type().is_static())
        throw Error(ErrorCode::unsupported, "[compile] a value has no static type", "node '" + g_.node(id).name + "'");
    }
    std::vector<Refusal> refusals;
    auto best = best_choice(id, &refusals);
    if (best && !best->second.is_reference()) {
      apply(id, best->first);
      accept(id, std::move(best->second), refusals);
      return;
    }
    std::vector<NodeId> added;
    if (depth < max_expansion_depth && (unfuse(id, added) || expand(id, added))) {
      for (NodeId a : added) {
        if (g_.alive(a)) legalize(a, depth + 1);
      }
      return;
    }
    if (!best) {
      std::string all;
      for (const Refusal& r : refusals) all += (all.empty() ? "" : "; ") + r.kernel + ": " + r.why;
      throw Error(ErrorCode::unsupported,
                  "[" + std::string(op.name) + "] no kernel takes it" + (all.empty() ? "" : " (" + all + ")"),
                  "node '" + g_.node(id).name + "'");
    }
    apply(id, best->first);
    accept(id, std::move(best->second), refusals);
  }

  Graph& g_;
  SelectOptions options_;
  bool explain_;
  std::map<std::pair<ValueId, Layout>, Value> reordered_;
  Legalized result_;
};

std::optional<Epilogue> Legalizer::lower(NodeId id, std::string* why) const {
  return lower_epilogue(g_, id, why);
}

}  // namespace

bool is_structural(const OpDef& op) {
  static constexpr std::string_view names[] = {"Parameter", "Constant", "Variable", "Assign", "ReadValue", "Result"};
  return std::find(std::begin(names), std::end(names), op.name) != std::end(names);
}

// Does a transposition leave all elements where they are in memory, because the layouts differ as its axes do?
static bool stays_in_place(Node n, const Type& in, const Type& out) {
  auto order = n.input(1) ? known_ints(n.input(1)) : std::optional(std::vector<int64_t>{});
  const Shape shape = in.shape.to_shape();
  if (!order) return false;
  if (order->empty()) {
    for (size_t i = shape.size(); i-- > 0;) order->push_back(int64_t(i));
  }
  const auto memory_order = [&](Layout layout) {
    std::vector<size_t> axes;
    for (size_t i = 0; i < shape.size(); ++i) axes.push_back(i);
    if (layout == Layout::channels_last && axes.size() > 2) std::rotate(axes.begin() + 1, axes.begin() + 2, axes.end());
    return axes;
  };
  std::vector<size_t> before, after;
  for (const size_t axis : memory_order(in.layout)) {
    if (shape[axis] != 1) before.push_back(axis);
  }
  for (const size_t axis : memory_order(out.layout)) {
    const auto from = size_t((*order)[axis]);
    if (shape[from] != 1) after.push_back(from);
  }
  return before == after;
}

bool is_view(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  const std::string_view op = n.op->name;
  const bool transposes = op == "Transpose";
  if ((!is_reshape(*n.op) && op != "Convert" && op != "Reorder" && !transposes) || n.epilogue || n.inputs.empty() ||
      n.outputs.size() != 1)
    return false;
  const Type &in = g.value(n.inputs[0]).type, &out = g.value(n.outputs[0]).type;
  if (!in.is_static() || !out.is_static() || in.element != out.element || in.element == ElementType::string)
    return false;
  const bool same_numbers = in.quantization == out.quantization ||
                            (in.quantization && out.quantization && *in.quantization == *out.quantization);
  if (!same_numbers) return false;
  const Shape from = in.shape.to_shape(), to = out.shape.to_shape();
  if (is_reshape(*n.op)) {
    const bool from_plain = in.layout == Layout::plain || same_bytes_in_any_layout(from);
    const bool to_plain = out.layout == Layout::plain || same_bytes_in_any_layout(to);
    return from_plain && to_plain;
  }
  if (transposes) return stays_in_place(g.handle(id), in, out);
  return in.layout == out.layout || same_bytes_in_any_layout(from);
}

Legalized legalize(Graph& g, const SelectOptions& options, bool explain) {
  return Legalizer(g, options, explain).run();
}

}  // namespace hone
