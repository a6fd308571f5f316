#include "formats/pytorch/scope.hpp"

#include <algorithm>
#include <stdexcept>

#include "formats/import_notes.hpp"
#include "formats/pytorch/strided.hpp"
#include "hone/error.hpp"

namespace hone::pytorch {
namespace {

constexpr int max_depth = 32;            // of graphs in graphs: deeper ones are hostile
constexpr size_t max_nodes = 4'000'000;  // views that are made anew again and again could grow without bound

enum class ViewKind { none, same, reshape, permute, select, slice, split, other };
struct ViewRow {
  std::string_view op;
  ViewKind kind;
};
constexpr ViewRow view_rows[] = {
    {"alias", ViewKind::same},         {"alpha_dropout", ViewKind::same},
    {"contiguous", ViewKind::same},    {"detach", ViewKind::same},
    {"dropout", ViewKind::same},       {"feature_dropout", ViewKind::same},
    {"lift", ViewKind::same},          {"lift_fresh", ViewKind::same},
    {"positive", ViewKind::same},      {"resolve_conj", ViewKind::same},
    {"resolve_neg", ViewKind::same},   {"to", ViewKind::same},
    {"type_as", ViewKind::same},       {"_reshape_alias", ViewKind::reshape},
    {"atleast_1d", ViewKind::reshape}, {"atleast_2d", ViewKind::reshape},
    {"atleast_3d", ViewKind::reshape}, {"flatten", ViewKind::reshape},
    {"reshape", ViewKind::reshape},    {"reshape_as", ViewKind::reshape},
    {"squeeze", ViewKind::reshape},    {"unflatten", ViewKind::reshape},
    {"unsqueeze", ViewKind::reshape},  {"view", ViewKind::reshape},
    {"view_as", ViewKind::reshape},    {"mT", ViewKind::permute},
    {"movedim", ViewKind::permute},    {"numpy_T", ViewKind::permute},
    {"permute", ViewKind::permute},    {"swapaxes", ViewKind::permute},
    {"swapdims", ViewKind::permute},   {"t", ViewKind::permute},
    {"transpose", ViewKind::permute},  {"select", ViewKind::select},
    {"slice", ViewKind::slice},        {"chunk", ViewKind::split},
    {"split", ViewKind::split},        {"split_with_sizes", ViewKind::split},
    {"unbind", ViewKind::split},       {"as_strided", ViewKind::other},
    {"broadcast_to", ViewKind::other}, {"diagonal", ViewKind::other},
    {"expand", ViewKind::other},       {"expand_as", ViewKind::other},
    {"narrow", ViewKind::other},       {"tensor_split", ViewKind::other},
    {"unfold", ViewKind::other},
};

std::string first_tensor(const NodeMessage& n) {
  if (n.inputs.empty() || n.inputs[0].value.kind != Argument::Kind::tensor) return {};
  return n.inputs[0].value.text;
}

// Is the tensor dense and in order, as far as the file says?
bool contiguous(const GraphMessage& g, const std::string& name) {
  const auto it = g.tensors.find(name);
  if (it == g.tensors.end() || it->second.strides.size() != it->second.sizes.size()) return true;
  int64_t expected = 1;
  for (size_t k = it->second.sizes.size(); k-- > 0;) {
    const SizeMessage &size = it->second.sizes[k], &stride = it->second.strides[k];
    if (size.number < 0 || stride.number < 0) return true;
    if (size.number != 1 && stride.number != expected) return false;
    expected *= size.number;
  }
  return true;
}

ViewKind view_kind(const GraphMessage& g, const NodeMessage& n, std::string_view op) {
  for (const ViewRow& r : view_rows) {
    if (r.op != op) continue;
    const std::string from = first_tensor(n);
    // These copy where they cannot be a view.
    if ((op == "contiguous" || op == "reshape" || op == "flatten" || op == "reshape_as") && !contiguous(g, from))
      return ViewKind::none;
    if (op == "to" || op == "type_as") {
      const auto a = g.tensors.find(from);
      const auto b = n.outputs.empty() ? g.tensors.end() : g.tensors.find(n.outputs[0].text);
      if (a == g.tensors.end() || b == g.tensors.end() || a->second.dtype != b->second.dtype) return ViewKind::none;
      for (const NamedArgument& i : n.inputs) {
        if (i.name == "copy" && i.value.integer) return ViewKind::none;
      }
    }
    return r.kind;
  }
  return ViewKind::none;
}

// Names of a node's outputs in order; absent ones are empty.
std::vector<std::string> output_names(const NodeMessage& n) {
  std::vector<std::string> out;
  for (const Argument& a : n.outputs) {
    if (a.kind == Argument::Kind::list) {
      for (const Argument& e : a.list) out.push_back(e.text);
    } else {
      out.push_back(a.kind == Argument::Kind::tensor || a.kind == Argument::Kind::symbol ? a.text : std::string());
    }
  }
  return out;
}

// Views of views end at a tensor of its own; names that lead back to themselves are hostile.
[[noreturn]] void refuse_ring(const std::string& name) {
  throw Error(ErrorCode::unreadable, "[torch.export] '" + name + "' is a view of itself");
}

Argument tensor_argument(std::string name) {
  Argument a;
  a.kind = Argument::Kind::tensor;
  a.text = std::move(name);
  return a;
}

}  // namespace

std::set<std::string> Scope::changed_inputs(const GraphMessage& g) {
  std::unordered_map<std::string, std::string> parent;
  std::set<std::string> roots;
  for (const NodeMessage& n : g.nodes) {
    const std::string op = operator_name(n.target), from = first_tensor(n);
    if (from.empty()) continue;
    const bool in_place = is_in_place(op);
    if (in_place || view_kind(g, n, op) != ViewKind::none) {
      for (const std::string& out : output_names(n)) {
        if (out != from) parent.emplace(out, from);
      }
    }
    if (!in_place) continue;
    std::string root = from;
    size_t steps = 0;
    for (auto it = parent.find(root); it != parent.end(); it = parent.find(root)) {
      if (++steps > parent.size()) refuse_ring(root);
      root = it->second;
    }
    roots.insert(root);
  }
  return roots;
}

Value Scope::find(std::string_view name) const {
  const auto it = values_.find(std::string(name));
  if (it != values_.end()) return it->second;
  if (const auto gone = missing_.find(std::string(name)); gone != missing_.end()) {
    throw Error(ErrorCode::unsupported, "[" + gone->second + "] output '" + gone->first + "' is not offered");
  }
  return {};
}

ElementType Scope::type_of(std::string_view name) const {
  const auto it = message_.tensors.find(name);
  if (it == message_.tensors.end()) return ElementType::dynamic;
  const auto t = scalar_type(part_type(it->second.dtype));
  if (!t)
    throw Error(ErrorCode::unsupported, "[torch.export] tensor '" + std::string(name) + "' is " +
                                            scalar_type_name(it->second.dtype) + ", which is not offered");
  return *t;
}

bool Scope::is_complex(std::string_view name) const {
  if (!has_complex_) return false;
  const auto it = message_.tensors.find(name);
  return it != message_.tensors.end() && is_complex_type(it->second.dtype);
}

bool Scope::touches_complex(const NodeMessage& n) const {
  if (!has_complex_) return false;
  const auto complex = [&](auto&& self, const Argument& a) -> bool {
    if (a.kind == Argument::Kind::tensor && is_complex(a.text)) return true;
    return std::any_of(a.list.begin(), a.list.end(), [&](const Argument& e) { return self(self, e); });
  };
  return std::any_of(n.inputs.begin(), n.inputs.end(), [&](const auto& a) { return complex(complex, a.value); }) ||
         std::any_of(n.outputs.begin(), n.outputs.end(), [&](const auto& a) { return complex(complex, a); });
}

Values Scope::inlined(const GraphMessage& g, const Values& inputs) {
  if (depth_ >= max_depth) throw Error(ErrorCode::unsafe, "[torch.export] graphs are nested too deeply");
  if (g.inputs.size() != inputs.size())
    throw Error(ErrorCode::unreadable, "[torch.export] a graph takes another number of inputs than it is given");
  Scope inner(graph_, g, depth_ + 1);
  for (size_t i = 0; i < inputs.size(); ++i) inner.bind(g.inputs[i].text, inputs[i]);
  inner.run();
  Values out;
  for (const Argument& a : g.outputs) out.push_back(a.is_none() ? Value{} : inner.output(a));
  return out;
}

std::shared_ptr<Graph> Scope::region(const GraphMessage& g, const Types& inputs) {
  auto out = std::make_shared<Graph>();
  Scope inner(*out, message_, depth_ + 1);
  Values parameters;
  for (const Type& t : inputs) parameters.push_back(inner.builder_.parameter(t));
  for (const Value& v : inner.inlined(g, parameters)) {
    if (!v) throw Error(ErrorCode::unsupported, "[torch.export] a graph with an output that is None is not offered");
    inner.builder_.result(v);
  }
  return out;
}

Value Scope::output(const Argument& a) {
  NodeMessage n;
  n.name = a.text;
  return NodeContext(*this, builder_, n, "output").symbol(a);
}

Values Scope::apply(const NodeMessage& n, const std::string& op) {
  const bool control = op.starts_with("higher_order.") || op == "_operator.getitem";
  const OperatorRow* plain = find_row(op);
  // Fourier transforms take real numbers as complex ones.
  if (!control && (touches_complex(n) || !plain)) {
    const ComplexRow* row = find_complex_row(op);
    if (!row && !plain) throw Error(ErrorCode::unsupported, "[" + op + "] is not known", "node '" + n.name + "'");
    if (!row)
      throw Error(ErrorCode::unsupported, "[" + op + "] of complex numbers is not offered", "node '" + n.name + "'",
                  "export with run_decompositions(), or compute with real and imaginary parts");
    ComplexContext context(*this, builder_, n, op);
    return row->build(context);
  }
  if (!plain) throw Error(ErrorCode::unsupported, "[" + op + "] is not known", "node '" + n.name + "'");
  if (graph_.node_capacity() > max_nodes)
    throw Error(ErrorCode::unsafe, "[torch.export] the graph expands to more than 4,000,000 nodes");
  NodeContext context(*this, builder_, n, op);
  return plain->build(context);
}

Value Scope::call(const char* op, std::vector<NamedArgument> inputs, const NodeMessage& like) {
  NodeMessage n;
  n.name = like.name;
  n.inputs = std::move(inputs);
  return apply(n, op).at(0);
}

void Scope::run() {
  for (const NodeMessage& n : message_.nodes) {
    const auto names = output_names(n);
    const std::string label = !n.name.empty() ? n.name : names.empty() ? n.target : names[0];
    builder_.set_name(label);
    builder_.set_provenance({label});
    try {
      const size_t before = builder_.added().size();
      node(n);
      note_operators(builder_, before, label, operator_name(n.target));
    } catch (const Error& e) {
      if (e.where().starts_with("node '")) throw;
      throw e.at("node '" + label + "' (" + operator_name(n.target) + ")");
    } catch (const std::logic_error&) {  // rows take what an operator must have with .at()
      throw Error(ErrorCode::unreadable,
                  "[" + operator_name(n.target) + "] lacks inputs, attributes or results that it must have",
                  "node '" + label + "'");
    }
  }
  builder_.set_name({});
  builder_.set_provenance({});
}

void Scope::node(const NodeMessage& n) {
  const std::string op = operator_name(n.target);
  const Values outputs = apply(n, op);
  const auto names = output_names(n);
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    if (i >= outputs.size() || !outputs[i]) {
      missing_[names[i]] = op;
      continue;
    }
    values_[names[i]] = outputs[i];
    auto known = outputs[i].names();
    if (std::find(known.begin(), known.end(), names[i]) == known.end()) {
      known.push_back(names[i]);
      graph_.set_names(outputs[i].id, std::move(known));
    }
  }
  const std::string from = first_tensor(n);
  if (from.empty() || outputs.empty()) return;
  const bool in_place = is_in_place(op);
  if (!in_place && view_kind(message_, n, op) == ViewKind::none) return;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || names[i] == from) continue;
    views_[names[i]] = {from, &n, i};
    view_order_.push_back(names[i]);
  }
  if (!in_place) return;
  values_[from] = outputs[0];
  changed(from);
}

void Scope::changed(const std::string& name) {
  std::set<std::string> fresh{name};
  size_t steps = 0;
  for (std::string child = name; views_.contains(child);) {
    if (++steps > views_.size()) refuse_ring(child);
    const View v = views_.at(child);
    values_[v.parent] = written_back(v, child);
    fresh.insert(v.parent);
    child = v.parent;
  }
  for (const std::string& other : view_order_) {
    if (fresh.contains(other) || !fresh.contains(views_.at(other).parent)) continue;
    const View& v = views_.at(other);
    const std::string op = operator_name(v.node->target);
    // What an operator changed in place is that tensor itself.
    values_[other] = is_in_place(op) ? values_.at(v.parent) : apply(*v.node, op).at(v.output);
    fresh.insert(other);
  }
}

Value Scope::written_back(const View& v, const std::string& child) {
  const std::string op = operator_name(v.node->target);
  const NodeMessage& n = *v.node;
  if (is_in_place(op)) return values_.at(child);
  const auto with_self = [&](const std::string& name) {
    std::vector<NamedArgument> in = n.inputs;
    in[0].value = tensor_argument(name);
    return in;
  };
  switch (view_kind(message_, n, op)) {
    case ViewKind::same:
      return values_.at(child);
    case ViewKind::reshape:
      return call("reshape_as", {{"self", tensor_argument(child)}, {"other", tensor_argument(v.parent)}}, n);
    case ViewKind::permute: {
      auto in = with_self(child);
      for (NamedArgument& a : in) {
        if (a.name == "source")
          a.name = "destination";
        else if (a.name == "destination")
          a.name = "source";
        if (a.name != "dims") continue;
        std::vector<Argument> back(a.value.list.size());
        for (size_t k = 0; k < back.size(); ++k) {
          int64_t to = a.value.list[k].integer;
          if (to < 0) to += std::ssize(back);
          if (to < 0 || to >= std::ssize(back)) throw Error(ErrorCode::unreadable, "[permute] an axis is out of range");
          back[static_cast<size_t>(to)].kind = Argument::Kind::integer;
          back[static_cast<size_t>(to)].integer = static_cast<int64_t>(k);
        }
        a.value.list = std::move(back);
      }
      return call(op.c_str(), std::move(in), n);
    }
    case ViewKind::select:
    case ViewKind::slice: {
      auto in = n.inputs;
      in.push_back({"src", tensor_argument(child)});
      return call(op == "select" ? "select_scatter" : "slice_scatter", std::move(in), n);
    }
    case ViewKind::split: {
      Argument parts;
      parts.kind = Argument::Kind::list;
      for (const std::string& name : output_names(n)) parts.list.push_back(tensor_argument(name));
      std::vector<NamedArgument> in{{"tensors", std::move(parts)}};
      for (const NamedArgument& a : n.inputs) {
        if (a.name == "dim") in.push_back(a);
      }
      return call(op == "unbind" ? "stack" : "cat", std::move(in), n);
    }
    default:
      throw Error(ErrorCode::unsupported, "[" + op + "] a change in place through this view is not offered",
                  "node '" + n.name + "'", "export with run_decompositions()");
  }
}

}  // namespace hone::pytorch
