#include "formats/tensorflow/body.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

[[noreturn]] void malformed(const std::string& what, Bytes node) {
  throw Error(ErrorCode::unreadable, "[tensorflow] " + what, node.empty() ? "" : "node '" + std::string(node) + "'");
}

int64_t number(Bytes text, Bytes where) {
  int64_t v = -1;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), v);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || v < 0 || v > 100000)
    malformed("the tensor name '" + std::string(where) + "' is malformed", {});
  return v;
}

bool is_switch(const NodeMessage& n) {
  return n.op == "Switch" || n.op == "RefSwitch";
}
bool is_merge(const NodeMessage& n) {
  return n.op == "Merge" || n.op == "RefMerge";
}
bool is_enter(const NodeMessage& n) {
  return n.op == "Enter" || n.op == "RefEnter";
}
bool is_exit(const NodeMessage& n) {
  return n.op == "Exit" || n.op == "RefExit";
}
bool is_next(const NodeMessage& n) {
  return n.op == "NextIteration" || n.op == "RefNextIteration";
}

// A context by its number, which control flow without structure may leave out of range.
template <class V>
auto& checked(V& contexts, int i) {
  if (i < 0 || i >= static_cast<int>(contexts.size())) malformed("loops and conditions without structure", {});
  return contexts[static_cast<size_t>(i)];
}

constexpr int not_placed = -2;
constexpr int max_contexts = 8000, max_nesting = 32;

}  // namespace

Body::Body(std::vector<NodeMessage> nodes, const OutputIndex& outputs) : nodes_(std::move(nodes)), outputs_(outputs) {
  resolve(outputs);
}

Body::Body(const FunctionMessage& f, const OutputIndex& outputs)
    : nodes_(f.nodes), num_arguments_(f.inputs.size()), outputs_(outputs) {
  for (uint32_t i = 0; i < f.inputs.size(); ++i) argument_index_[f.inputs[i].name] = i;
  resolve(outputs);
  for (const ArgumentMessage& o : f.outputs) {
    const auto at = std::find_if(f.returns.begin(), f.returns.end(), [&](const auto& r) { return r.first == o.name; });
    if (at == f.returns.end())
      malformed("function '" + std::string(f.name) + "' does not say what its output '" + std::string(o.name) + "' is",
                {});
    returns_.push_back(ref(at->second));
  }
}

int64_t Body::find(Bytes node) const {
  const auto it = index_.find(node);
  return it == index_.end() ? -1 : it->second;
}

Ref Body::ref(Bytes name) const {
  const size_t first = name.find(':');
  const Bytes node = name.substr(0, first);
  if (const auto a = argument_index_.find(node); a != argument_index_.end()) return {Ref::argument, a->second};
  const auto it = index_.find(node);
  if (it == index_.end()) malformed("the graph lacks a node '" + std::string(node) + "'", {});
  if (first == Bytes::npos) return {it->second, 0};
  const size_t last = name.rfind(':');
  const int64_t n = number(name.substr(last + 1), name);
  if (last == first) return {it->second, static_cast<uint32_t>(n)};
  // In functions: node, name of the output, number within that output.
  const int port = outputs_(nodes_[it->second], name.substr(first + 1, last - first - 1), n);
  if (port < 0) malformed("the output '" + std::string(name) + "' is not known", node);
  return {it->second, static_cast<uint32_t>(port)};
}

void Body::resolve(const OutputIndex&) {
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (!index_.emplace(nodes_[i].name, i).second) malformed("two nodes have one name", nodes_[i].name);
  }
  inputs_.resize(nodes_.size());
  controls_.resize(nodes_.size());
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    for (const Bytes in : nodes_[i].inputs) {
      if (in.starts_with('^')) {
        const int64_t c = find(in.substr(1));
        if (c >= 0) controls_[i].push_back(static_cast<uint32_t>(c));
      } else {
        inputs_[i].push_back(ref(in));
      }
    }
  }
  analyse();
}

std::vector<uint32_t> Body::needed(const std::vector<Ref>& roots) const {
  std::vector<uint32_t> order;
  std::vector<uint8_t> state(nodes_.size(), 0);  // 1: on the way, 2: done
  std::vector<std::pair<uint32_t, size_t>> stack;
  const auto visit = [&](uint32_t start) {
    if (state[start]) return;
    stack.emplace_back(start, 0);
    state[start] = 1;
    while (!stack.empty()) {
      auto& [n, next] = stack.back();
      if (next == inputs_[n].size()) {
        state[n] = 2;
        order.push_back(n);
        stack.pop_back();
        continue;
      }
      const Ref r = inputs_[n][next++];
      if (r.node == Ref::argument) continue;
      if (is_merge(nodes_[n]) && is_next(nodes_[r.node])) continue;
      if (state[r.node] == 1) malformed("the graph has a cycle that is no loop", nodes_[r.node].name);
      if (state[r.node] == 0) {
        state[r.node] = 1;
        stack.emplace_back(r.node, 0);
      }
    }
  };
  for (const Ref r : roots) {
    if (r.node != Ref::argument) visit(r.node);
  }
  // What closes the loops that were met.
  for (bool more = true; more;) {
    more = false;
    for (size_t k = 0; k < order.size(); ++k) {
      const uint32_t n = order[k];
      if (!is_merge(nodes_[n])) continue;
      for (const Ref r : inputs_[n]) {
        if (r.node == Ref::argument || state[r.node] || !is_next(nodes_[r.node])) continue;
        visit(r.node);
        more = true;
      }
    }
  }
  return order;
}

bool Body::inside(int context, int ancestor) const {
  while (context >= 0 && checked(contexts_, context).depth > checked(contexts_, ancestor).depth)
    context = checked(contexts_, context).parent;
  return context == ancestor;
}

int Body::common(int a, int b) const {
  while (a != b) {
    if (a < 0 || b < 0) malformed("a Merge without structure", {});
    int& deeper = checked(contexts_, a).depth >= checked(contexts_, b).depth ? a : b;
    deeper = checked(contexts_, deeper).parent;
  }
  return a;
}

int Body::deepest(int a, int b, uint32_t node) const {
  if (inside(a, b)) return a;
  if (inside(b, a)) return b;
  malformed("the node reads values of two loops or branches at once", nodes_[node].name);
}

int Body::child(const Context& c) {
  for (size_t i = 0; i < contexts_.size(); ++i) {
    const Context& o = contexts_[i];
    if (o.kind == c.kind && o.parent == c.parent && o.frame == c.frame && o.predicate == c.predicate &&
        o.side == c.side)
      return static_cast<int>(i);
  }
  if (contexts_.size() >= max_contexts || c.depth > max_nesting)
    throw Error(ErrorCode::unsafe, "[tensorflow] loops and conditions are nested too deeply");
  contexts_.push_back(c);
  return static_cast<int>(contexts_.size()) - 1;
}

Ref Body::predicate_of(uint32_t node) const {
  if (inputs_[node].size() < 2) malformed("a Switch without a predicate", nodes_[node].name);
  Ref r = inputs_[node][1];
  for (int k = 0; k < 16 && r.node != Ref::argument && nodes_[r.node].op == "Identity" && !inputs_[r.node].empty();
       ++k) {
    r = inputs_[r.node][0];
  }
  return r;
}

int Body::context_of(Ref r) const {
  if (r.node >= nodes_.size()) return 0;  // an argument
  const NodeMessage& n = nodes_[r.node];
  const int at = home_[r.node];
  if (at == not_placed) malformed("a loop without structure", n.name);
  if (!is_switch(n) || inputs_[r.node].size() < 2) return at;
  const Ref predicate = predicate_of(r.node);
  if (predicate.node != Ref::argument && nodes_[predicate.node].op == "LoopCond") return at;
  for (size_t i = 0; i < contexts_.size(); ++i) {
    const Context& c = contexts_[i];
    if (c.kind == Context::branch && c.parent == at && c.predicate == predicate && c.side == (r.port == 1))
      return static_cast<int>(i);
  }
  return at;
}

void Body::analyse() {
  contexts_.push_back({});
  home_.assign(nodes_.size(), not_placed);
  const bool any = std::any_of(nodes_.begin(), nodes_.end(),
                               [](const NodeMessage& n) { return is_switch(n) || is_merge(n) || is_enter(n); });
  if (!any) {
    home_.assign(nodes_.size(), 0);
    return;
  }
  // Producers before users, control edges included; loops are cut at their Merges.
  std::vector<std::pair<uint32_t, size_t>> stack;
  std::vector<uint8_t> open(nodes_.size(), 0);
  for (uint32_t start = 0; start < nodes_.size(); ++start) {
    if (home_[start] != not_placed) continue;
    stack.emplace_back(start, 0);
    open[start] = 1;
    while (!stack.empty()) {
      auto& [n, next] = stack.back();
      const size_t data = inputs_[n].size();
      if (next == data + controls_[n].size()) {
        place(n);
        open[n] = 0;
        stack.pop_back();
        continue;
      }
      const uint32_t from = next < data ? inputs_[n][next].node : controls_[n][next - data];
      const bool is_control = next >= data;
      ++next;
      if (from == Ref::argument || home_[from] != not_placed) continue;
      if (is_merge(nodes_[n]) && is_next(nodes_[from])) continue;
      if (open[from]) {
        if (is_control) continue;  // an order of execution within a loop
        malformed("the graph has a cycle that is no loop", nodes_[from].name);
      }
      open[from] = 1;
      stack.emplace_back(from, 0);
    }
  }
}

void Body::place(uint32_t i) {
  const NodeMessage& n = nodes_[i];
  int at = 0;
  if (is_merge(n)) {
    std::vector<int> in;
    bool loop = false;
    for (const Ref r : inputs_[i]) {
      if (r.node != Ref::argument && is_next(nodes_[r.node]))
        loop = true;
      else
        in.push_back(context_of(r));
    }
    if (in.empty()) malformed("a Merge has no inputs", n.name);
    if (loop) {
      home_[i] = in[0];
      return;
    }
    if (in.size() != 2) malformed("a Merge of " + std::to_string(in.size()) + " branches is not structured", n.name);
    const int parent = common(in[0], in[1]);
    // The branch below the common ancestor on the way to each input.
    Join j;
    bool found[2] = {false, false};
    for (uint32_t k = 0; k < 2; ++k) {
      int b = in[k];
      while (b != parent && checked(contexts_, b).parent != parent) {
        b = checked(contexts_, b).parent;
        if (b < 0) malformed("a Merge without structure", n.name);
      }
      if (b == parent || checked(contexts_, b).kind != Context::branch) continue;
      const Context& c = checked(contexts_, b);
      if (found[c.side]) continue;
      found[c.side] = true;
      j.branch[c.side] = b;
      j.input[c.side] = k;
      j.predicate = c.predicate;
    }
    if (!found[0] && !found[1]) malformed("a Merge that joins no condition and no loop", n.name);
    for (int side = 0; side < 2; ++side) {
      // A side that takes its value from outside of the condition.
      if (found[side]) continue;
      Context c = checked(contexts_, j.branch[1 - side]);
      c.side = side == 1;
      j.branch[side] = child(c);
      j.input[side] = 1 - j.input[1 - side];
    }
    joins_[i] = j;
    home_[i] = parent;
    return;
  }
  for (const Ref r : inputs_[i]) at = deepest(at, context_of(r), i);
  for (const uint32_t c : controls_[i]) {
    if (c >= nodes_.size() || home_[c] == not_placed) continue;
    // The pivots of a condition are Switch outputs seen through Identity, so their own context says the branch.
    const int from = home_[c];
    if (inside(from, at)) at = from;
  }
  if (is_enter(n)) {
    Context c;
    c.kind = Context::loop;
    c.parent = at;
    c.depth = checked(contexts_, at).depth + 1;
    for (const auto& [key, value] : n.attributes) {
      if (key == "frame_name") c.frame = parse_attribute(value).s;
    }
    home_[i] = child(c);
    enters_[home_[i]].push_back(i);
    return;
  }
  if (is_exit(n)) {
    while (at > 0 && checked(contexts_, at).kind != Context::loop) at = checked(contexts_, at).parent;
    if (at == 0) malformed("an Exit outside of a loop", n.name);
    exits_[at].push_back(i);
    home_[i] = checked(contexts_, at).parent;
    return;
  }
  if (n.op == "LoopCond") conditions_[at] = i;
  home_[i] = at;
  if (is_switch(n) && inputs_[i].size() >= 2) {
    const Ref predicate = predicate_of(i);
    if (predicate.node != Ref::argument && nodes_[predicate.node].op == "LoopCond") return;
    for (const bool side : {false, true}) {
      Context c;
      c.kind = Context::branch;
      c.parent = at;
      c.depth = checked(contexts_, at).depth + 1;
      c.predicate = predicate;
      c.side = side;
      child(c);
    }
  }
}

bool Body::is_loop_merge(uint32_t node) const {
  return is_merge(nodes_[node]) && !joins_.contains(node);
}

const std::vector<uint32_t>& Body::enters(int context) const {
  static const std::vector<uint32_t> none;
  const auto it = enters_.find(context);
  return it == enters_.end() ? none : it->second;
}
const std::vector<uint32_t>& Body::exits(int context) const {
  static const std::vector<uint32_t> none;
  const auto it = exits_.find(context);
  return it == exits_.end() ? none : it->second;
}
uint32_t Body::loop_condition(int context) const {
  const auto it = conditions_.find(context);
  if (it == conditions_.end()) malformed("a loop has no LoopCond", checked(contexts_, context).frame);
  return it->second;
}
const Body::Join& Body::join(uint32_t merge) const {
  const auto it = joins_.find(merge);
  if (it == joins_.end()) malformed("a Merge outside of a condition", nodes_[merge].name);
  return it->second;
}

std::vector<Ref> Body::frontier(uint32_t node) const {
  std::vector<Ref> out;
  const int own = home_[node];
  std::vector<uint32_t> stack{node};
  std::unordered_set<uint32_t> seen{node};
  if (const auto j = joins_.find(node); j != joins_.end()) out.push_back(j->second.predicate);
  while (!stack.empty()) {
    const uint32_t n = stack.back();
    stack.pop_back();
    for (const Ref r : inputs_[n]) {
      if (r.node == Ref::argument) continue;
      if (home_[r.node] != own && inside(home_[r.node], own)) {
        if (seen.insert(r.node).second) stack.push_back(r.node);
      } else if (is_switch(nodes_[r.node])) {
        out.push_back(inputs_[r.node].empty() ? r : inputs_[r.node][0]);
      } else {
        out.push_back(r);
      }
    }
  }
  return out;
}

}  // namespace hone::tensorflow
