#include "rewrite/fold.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

class Folder {
 public:
  Folder(Graph& g, Evaluator& evaluator, const FoldOptions& options)
      : g_(g), evaluator_(evaluator), options_(options) {}

  size_t run() {
    known_.assign(g_.node_capacity(), false);
    passing_.assign(g_.node_capacity(), 0);
    compressed_.assign(g_.node_capacity(), false);
    const auto order = g_.topological_order();
    for (NodeId id : order) {
      if (!g_.alive(id)) continue;
      compressed_[id] = is_decompression(id);
      known_[id] = foldable(id);
    }
    // Each value at the border between what is known and what is not ends a chain.
    for (NodeId id : order) {
      if (!g_.alive(id) || g_.node(id).op == &op_def<Constant>()) continue;
      if (known_[id]) {
        if (is_border(id)) fold_chain(id);
      } else {
        fold_contents(id);
      }
    }
    return folded_;
  }

 private:
  // Notes in `passing_` what could be computed but is too large to be kept.
  bool foldable(NodeId id) {
    const NodeData& n = g_.node(id);
    if (n.op == &op_def<Constant>()) return true;
    if (n.op->has_side_effect || n.op == &op_def<Parameter>() || n.op == &op_def<Variable>() ||
        n.op == &op_def<ReadValue>() || n.op == &op_def<Result>() || n.op == &op_def<Reorder>() || n.inputs.empty() ||
        compressed_[id]) {
      return false;
    }
    size_t bytes_in = 0, bytes_out = 0;
    for (ValueId v : n.inputs) {
      if (v == no_id) continue;
      const NodeId from = g_.value(v).producer;
      if (!known_[from] && passing_[from] == 0) return false;
      bytes_in += known_[from] ? bytes(v) : passing_[from];
    }
    for (ValueId v : n.outputs) {
      const Type& t = g_.value(v).type;
      if (!t.is_tensor() || t.layout != Layout::plain || t.quantization) return false;
      bytes_out += bytes(v);
    }
    // Half floats become whole ones; stored integers become as many numbers as there are.
    if (bytes_out <= 2 * bytes_in + options_.growth_limit || n.op == &op_def<Convert>() || n.op->name == "Dequantize")
      return true;
    if (bytes_out > options_.passing_limit - passing_bytes_) return false;
    passing_bytes_ += bytes_out;
    passing_[id] = std::max<size_t>(1, bytes_in);
    return false;
  }

  // The way from stored integers to float weights: FakeQuantize and its kin, and Convert from an integer type of a
  // tensor that has the rank of weights.
  bool is_decompression(NodeId id) const {
    if (!options_.keep_quantization) return false;
    const NodeData& n = g_.node(id);
    if (n.op->name == "FakeQuantize" || n.op->name == "Quantize" || n.op->name == "Dequantize") return true;
    if (n.op != &op_def<Convert>()) return false;
    const Type& from = g_.value(n.inputs[0]).type;
    const Type& to = g_.value(n.outputs[0]).type;
    return from.is_static() && is_integer(from.element) && bit_width(from.element) <= 8 && is_float(to.element) &&
           from.shape.rank() > 1 && element_count(from.shape.to_shape()) > 1;
  }

  size_t bytes(ValueId v) const {
    const Type& t = g_.value(v).type;
    return t.is_static() ? byte_size(t.element, static_cast<size_t>(element_count(t.shape.to_shape()))) : 0;
  }

  bool is_border(NodeId id) const {
    for (ValueId v : g_.node(id).outputs) {
      for (const Use& u : g_.value(v).uses) {
        if (!known_[u.node]) return true;
      }
    }
    return false;
  }

  void fold_chain(NodeId last) {
    // The chain in order of evaluation; what earlier chains made is a Constant already.
    std::vector<NodeId> chain, stack{last};
    std::unordered_set<NodeId> in_chain;
    while (!stack.empty()) {
      const NodeId id = stack.back();
      if (in_chain.contains(id)) {
        stack.pop_back();
        continue;
      }
      bool ready = true;
      for (ValueId v : g_.node(id).inputs) {
        if (v == no_id) continue;
        const NodeId p = g_.value(v).producer;
        if (g_.node(p).op != &op_def<Constant>() && !in_chain.contains(p)) {
          stack.push_back(p);
          ready = false;
        }
      }
      if (!ready) continue;
      stack.pop_back();
      chain.push_back(id);
      in_chain.insert(id);
    }
    struct Held {
      Datum datum;
      int64_t users;  ///< that the chain has still to come to
    };
    std::unordered_map<ValueId, Held> passing;
    for (NodeId id : chain) {
      std::vector<Datum> in;
      for (ValueId v : g_.node(id).inputs) {
        const auto held = passing.find(v);
        in.push_back(v == no_id              ? Datum()
                     : held != passing.end() ? held->second.datum
                                             : Datum(g_.value_handle(v).constant()));
      }
      std::vector<Datum> out;
      try {
        out = evaluator_.run(g_, id, std::move(in));
      } catch (const Error&) {
        // An operator that refuses these numbers refuses them when the model runs, with its name.
        for (NodeId k : chain) known_[k] = known_[k] && g_.alive(k) && g_.node(k).op == &op_def<Constant>();
        return;
      }
      for (const Datum& d : out) {
        if (!d.is_tensor()) return;
      }
      for (ValueId v : g_.node(id).inputs) {
        const auto held = v == no_id ? passing.end() : passing.find(v);
        if (held != passing.end() && --held->second.users == 0) passing.erase(held);
      }
      if (known_[id]) {
        replace(id, out);
        continue;
      }
      const auto& outputs = g_.node(id).outputs;
      for (size_t i = 0; i < outputs.size(); ++i) {
        const auto& uses = g_.value(outputs[i]).uses;
        const auto users =
            std::count_if(uses.begin(), uses.end(), [&](const Use& u) { return in_chain.contains(u.node); });
        if (users > 0) passing[outputs[i]] = {out[i], users};
      }
    }
  }

  void replace(NodeId id, const std::vector<Datum>& out) {
    const std::vector<ValueId> outputs = g_.node(id).outputs;
    const std::string name = g_.node(id).name;
    const auto provenance = g_.node(id).provenance;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (g_.value(outputs[i]).uses.empty()) continue;
      const NodeId c = g_.add(op_def<Constant>(), std::make_shared<Constant>(Constant{out[i].tensor()}), {}, {},
                              outputs.size() == 1 ? name : "");
      if (!provenance.empty()) g_.set_provenance(c, provenance);
      known_.resize(g_.node_capacity(), true);
      compressed_.resize(g_.node_capacity(), false);
      g_.replace_uses(outputs[i], g_.node(c).outputs[0]);
    }
    release(id);
    ++folded_;
  }

  void release(NodeId id) {
    std::vector<NodeId> todo{id};
    while (!todo.empty()) {
      const NodeId n = todo.back();
      todo.pop_back();
      if (!g_.alive(n)) continue;
      const NodeData& d = g_.node(n);
      if (d.op->has_side_effect || d.op == &op_def<Parameter>() || d.op == &op_def<Result>()) continue;
      if (std::any_of(d.outputs.begin(), d.outputs.end(), [&](ValueId v) { return !g_.value(v).uses.empty(); }))
        continue;
      for (ValueId v : d.inputs) {
        if (v != no_id) todo.push_back(g_.value(v).producer);
      }
      g_.remove(n);
    }
  }

  // Shape arithmetic on data whose shape is known: ShapeOf, Gather of it...
  void fold_contents(NodeId id) {
    const NodeData& n = g_.node(id);
    if (n.op == &op_def<Variable>() || n.op == &op_def<ReadValue>() || n.op == &op_def<Parameter>() ||
        n.op->has_side_effect)
      return;
    const auto outputs = n.outputs;
    bool any = false;
    for (ValueId v : outputs) {
      const ValueData& d = g_.value(v);
      if (!d.content || d.uses.empty() || !d.type.is_static() || !is_integer(d.type.element)) continue;
      if (std::any_of(d.content->begin(), d.content->end(), [](const Dimension& x) { return x.is_dynamic(); }))
        continue;
      Tensor t(d.type.element, d.type.shape.to_shape());
      if (t.size() != d.content->size()) continue;
      for (size_t k = 0; k < t.size(); ++k) set_integer(t, k, (*d.content)[k].min());
      const NodeId c = g_.add(op_def<Constant>(), std::make_shared<Constant>(Constant{t}), {}, {}, g_.node(id).name);
      known_.resize(g_.node_capacity(), true);
      compressed_.resize(g_.node_capacity(), false);
      g_.replace_uses(v, g_.node(c).outputs[0]);
      any = true;
    }
    if (!any) return;
    ++folded_;
    release(id);
  }

  Graph& g_;
  Evaluator& evaluator_;
  const FoldOptions& options_;
  std::vector<bool> known_, compressed_;
  std::vector<size_t> passing_;  ///< not 0: can be computed on the way, from so many bytes of constants
  size_t passing_bytes_ = 0;
  size_t folded_ = 0;
};

bool has_open_shapes(const Graph& g) {
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    for (ValueId v : g.node(id).outputs) {
      if (!g.value(v).type.is_static()) return true;
    }
  }
  return false;
}

// Sizes that hung on what is a constant now become known.
void learn_shapes(Graph& g) {
  if (!has_open_shapes(g)) return;
  try {
    g.reshape({});
  } catch (const Error&) {
    // Refused for these numbers: the run will say so, if it ever comes there.
  }
}

}  // namespace

size_t fold_constants(Graph& g, Evaluator& evaluator, const FoldOptions& options) {
  size_t folded = 0;
  // A value found by shape arithmetic makes its users constant: again until nothing is left.
  while (const size_t n = Folder(g, evaluator, options).run()) {
    folded += n;
    learn_shapes(g);
  }
  return folded;
}

Pass fold_pass(FoldOptions options, std::string name) {
  Pass pass;
  pass.name = std::move(name);
  pass.releases = true;
  pass.run = [options](Graph& g, PassContext& context) {
    const size_t n = fold_constants(g, context.evaluator, options);
    context.result.folded += n;
    return n;
  };
  return pass;
}

}  // namespace hone
