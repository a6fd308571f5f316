// Two models, or a model and another runtime, on the same inputs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "api/files.hpp"
#include "api/model_run.hpp"
#include "api/peer.hpp"
#include "api/ports.hpp"
#include "graph/builder.hpp"
#include "hone/tools.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

bool close(double a, double b, double rtol, double atol) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::fabs(a - b) <= atol + rtol * std::fabs(b);
}

// What an output may differ by whatever its values are. An output of tiny values must not pass for that alone, so the
// default shrinks with the largest of them, down to where floats lose their digits.
double absolute_tolerance(const Tensor& x, const Tensor& y, double asked) {
  if (asked >= 0) return asked;
  double size = 0;
  for (const Tensor* t : {&x, &y}) {
    for (size_t i = 0; i < t->size() && size < 1; ++i) {
      const double v = std::fabs(get_element(*t, i));
      if (std::isfinite(v)) size = std::max(size, v);
    }
  }
  return 1e-4 * std::clamp(size, static_cast<double>(std::numeric_limits<float>::min()), 1.0);
}

OutputDifference difference(const std::string& name, const Datum& a, const Datum& b, const CompareOptions& o) {
  OutputDifference d{name, 0, 0, true};
  if (a.is_sequence() && b.is_sequence() && a.sequence().size() == b.sequence().size()) {
    for (size_t i = 0; i < a.sequence().size(); ++i) {
      const OutputDifference e = difference(name, a.sequence()[i], b.sequence()[i], o);
      d.max_abs = std::max(d.max_abs, e.max_abs);
      d.max_rel = std::max(d.max_rel, e.max_rel);
      d.equal &= e.equal;
    }
    return d;
  }
  if (!a.is_tensor() || !b.is_tensor()) {
    d.equal = a.is_none() && b.is_none();
    return d;
  }
  const Tensor &x = a.tensor(), &y = b.tensor();
  if (x.shape() != y.shape() ||
      (x.element_type() == ElementType::string) != (y.element_type() == ElementType::string)) {
    d.max_abs = d.max_rel = INFINITY;
    d.equal = false;
    return d;
  }
  if (x.element_type() == ElementType::string) {
    d.equal = x.strings() == y.strings();
    return d;
  }
  const double atol = absolute_tolerance(x, y, o.atol);
  for (size_t i = 0; i < x.size(); ++i) {
    const double p = get_element(x, i), q = get_element(y, i);
    d.equal &= close(p, q, o.rtol, atol);
    if (p == q || (std::isnan(p) && std::isnan(q))) continue;
    d.max_abs = std::max(d.max_abs, std::fabs(p - q));
    d.max_rel = std::max(d.max_rel, std::fabs(p - q) / std::max(std::fabs(q), 1e-12));
  }
  return d;
}

using NamedValues = std::map<std::string, Datum>;

// What is compared: anything that runs on inputs and can show the tensors inside of it.
class Side {
 public:
  virtual ~Side() = default;
  virtual std::vector<std::vector<std::string>> input_names() const = 0;
  /// Results with their names, in order.
  virtual std::vector<PeerTensor> run(const std::vector<PeerTensor>& inputs) = 0;
  /// Those of the `wanted` tensors that this side has.
  virtual NamedValues values(const std::vector<PeerTensor>& inputs, const std::vector<std::string>& wanted) = 0;
};

// The value of one's own input: the given one that shares a name, else the one at its place.
const Datum& matching(const std::vector<PeerTensor>& given, const std::vector<std::string>& names, size_t index) {
  for (const PeerTensor& t : given) {
    for (const std::string& n : t.names) {
      if (std::find(names.begin(), names.end(), n) != names.end()) return t.value;
    }
  }
  return given.at(index).value;
}

class ModelSide : public Side {
 public:
  explicit ModelSide(const Model& m) : model_(m) {}

  std::vector<std::vector<std::string>> input_names() const override {
    std::vector<std::vector<std::string>> out;
    for (const Port& p : model_.inputs()) out.push_back(p.names.empty() ? std::vector<std::string>{p.name} : p.names);
    return out;
  }

  std::vector<PeerTensor> run(const std::vector<PeerTensor>& inputs) override {
    const auto out = run_graph(model_.graph(), own(inputs));
    std::vector<PeerTensor> named;
    const auto ports = model_.outputs();
    for (size_t i = 0; i < out.size(); ++i) {
      named.push_back({ports[i].names, out[i]});
      named.back().names.insert(named.back().names.begin(), ports[i].name);
    }
    return named;
  }

  // The tensors become results of a copy, so that what computes them is what computed the outputs: the compiled model,
  // not the reference.
  NamedValues values(const std::vector<PeerTensor>& inputs, const std::vector<std::string>& wanted) override {
    Graph g = model_.graph();
    const size_t own_results = g.results().size();
    const std::set<std::string> names(wanted.begin(), wanted.end());
    std::vector<std::vector<std::string>> added;
    for (NodeId id : g.topological_order()) {
      const Node n = g.handle(id);
      if (n.is<Constant>() || n.is<Parameter>() || n.is<Result>()) continue;
      for (const Value& v : n.outputs()) {
        std::vector<std::string> hit;
        for (const std::string& name : v.names()) {
          if (names.contains(name)) hit.push_back(name);
        }
        if (hit.empty()) continue;
        Builder(g).result(v);
        added.push_back(hit);
      }
    }
    const auto out = run_graph(g, own(inputs));
    NamedValues named;
    for (size_t i = 0; i < added.size(); ++i) {
      for (const std::string& name : added[i]) named[name] = out[own_results + i];
    }
    return named;
  }

  // Names of the tensors inside, producers first.
  std::vector<std::string> tensor_names() const {
    std::vector<std::string> out;
    const Graph& g = model_.graph();
    for (NodeId id : g.topological_order()) {
      const Node n = g.handle(id);
      if (n.is<Constant>() || n.is<Parameter>() || n.is<Result>()) continue;
      for (const Value& v : n.outputs()) out.insert(out.end(), v.names().begin(), v.names().end());
    }
    return out;
  }

 private:
  std::vector<Datum> own(const std::vector<PeerTensor>& inputs) const {
    std::vector<Datum> out;
    const auto names = input_names();
    for (size_t i = 0; i < names.size(); ++i) out.push_back(matching(inputs, names[i], i));
    return out;
  }
  Model model_;
};

class PeerSide : public Side {
 public:
  PeerSide(std::string peer, const std::string& file, const Model& model, CompareResult& r)
      : inputs_(ModelSide(model).input_names()) {
    job_.peer = std::move(peer);
    std::string note;
    job_.model = file_for_peer(job_.peer, file, model.graph(), folder_, &note);
    if (!note.empty()) r.notes.push_back(note);
    job_.outputs = model.outputs().size();
  }
  std::vector<std::vector<std::string>> input_names() const override { return inputs_; }

  std::vector<PeerTensor> run(const std::vector<PeerTensor>& inputs) override {
    job_.inputs = inputs;
    job_.values.clear();
    return run_in_peer(job_).outputs;
  }

  NamedValues values(const std::vector<PeerTensor>& inputs, const std::vector<std::string>& wanted) override {
    job_.inputs = inputs;
    job_.values = {wanted.begin(), wanted.end()};
    NamedValues named;
    const PeerOutputs out = run_in_peer(job_);
    for (const auto* list : {&out.values, &out.outputs}) {
      for (const PeerTensor& t : *list) {
        for (const std::string& n : t.names) named[n] = t.value;
      }
    }
    return named;
  }

 private:
  TemporaryFolder folder_;
  PeerJob job_;
  std::vector<std::vector<std::string>> inputs_;
};

// First tensor in A's order that both have and that differs; where none does, the first output that did.
std::string first_difference(ModelSide& a, Side& b, const std::vector<PeerTensor>& inputs, const std::string& output,
                             CompareResult& r, const CompareOptions& o) {
  const auto order = a.tensor_names();
  NamedValues in_a, in_b;
  try {
    in_b = b.values(inputs, order);
    in_a = a.values(inputs, order);
  } catch (const Error& e) {
    r.notes.push_back("the tensors inside could not be compared: " + e.message());
    return output;
  }
  for (const std::string& n : order) {
    const auto x = in_a.find(n), y = in_b.find(n);
    if (x != in_a.end() && y != in_b.end() && !difference(n, x->second, y->second, o).equal) return n;
  }
  return output;
}

void compare_sides(const Model& model, Side& b, const CompareOptions& o, CompareResult& r) {
  ModelSide a(model);
  std::map<std::string, Datum> given;
  for (const auto& [k, v] : o.inputs) given[k] = v;
  for (const Port& p : model.outputs()) r.outputs.push_back({p.name, 0, 0, true});
  const auto names = a.input_names();
  const std::string advice = advice_on_shapes(model.inputs(), given, o.shapes);
  for (int round = 0; round < o.random; ++round) {
    const auto values = feeds(model.graph(), given, o.shapes, o.seed + static_cast<uint64_t>(round) * 1000);
    std::vector<PeerTensor> inputs;
    for (size_t i = 0; i < values.size(); ++i) inputs.push_back({names[i], values[i]});
    const auto out_a = with_advice(advice, [&] { return a.run(inputs); });
    const auto out_b = with_advice(advice, [&] { return b.run(inputs); });
    if (out_a.size() != out_b.size()) {
      throw Error(ErrorCode::failed, "[compare] A has " + std::to_string(out_a.size()) + " outputs, B has " +
                                         std::to_string(out_b.size()));
    }
    std::string differs;
    for (size_t i = 0; i < out_a.size(); ++i) {
      const Datum* other = &out_b[i].value;
      for (const PeerTensor& t : out_b) {
        if (std::find(t.names.begin(), t.names.end(), r.outputs[i].name) != t.names.end()) other = &t.value;
      }
      const OutputDifference d = difference(r.outputs[i].name, out_a[i].value, *other, o);
      r.outputs[i].max_abs = std::max(r.outputs[i].max_abs, d.max_abs);
      r.outputs[i].max_rel = std::max(r.outputs[i].max_rel, d.max_rel);
      r.outputs[i].equal &= d.equal;
      if (!d.equal && differs.empty()) differs = d.name;
    }
    r.equal &= differs.empty();
    if (!differs.empty() && r.first_difference.empty())
      r.first_difference = first_difference(a, b, inputs, differs, r, o);
  }
}

}  // namespace

CompareResult compare(const Model& a, const Model& b, const CompareOptions& o) {
  if (a.inputs().size() != b.inputs().size()) {
    throw Error(ErrorCode::failed, "[compare] A has " + std::to_string(a.inputs().size()) + " inputs, B has " +
                                       std::to_string(b.inputs().size()));
  }
  CompareResult r;
  ModelSide side(b);
  compare_sides(a, side, o, r);
  return r;
}

CompareResult compare_with_peer(const std::string& file, const std::string& peer, const CompareOptions& o) {
  check_peer(peer, "compare");
  const Model model(std::make_shared<Graph>(read_any_model(file)));
  CompareResult r;
  PeerSide side(peer, file, model, r);
  compare_sides(model, side, o, r);
  return r;
}

}  // namespace hone
