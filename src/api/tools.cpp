#include "hone/tools.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/ports.hpp"
#include "data/preprocess.hpp"
#include "data/random.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/npy/npy.hpp"
#include "grad/differentiate.hpp"
#include "grad/training_form.hpp"
#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

// Runs a graph once; any graph, through whatever the compiler chooses.
std::vector<Datum> run_once(const Graph& g, const std::vector<Datum>& inputs, const RunOptions& o) {
  CompileOptions c;
  c.precision = choose_precision(o.precision == "f32" ? "" : o.precision, g, g.name);
  c.threads = o.threads;
  CompiledGraph compiled = compile_model(g, c);
  std::vector<Datum> out;
  for (int i = 0; i < std::max(1, o.repeat); ++i) out = compiled.infer(inputs);
  return out;
}

// A value by tensor name anywhere in the graph.
Value find_value(const Graph& g, const std::string& name) {
  for (NodeId id : g.topological_order()) {
    for (const Value& v : g.handle(id).outputs()) {
      if (std::find(v.names().begin(), v.names().end(), name) != v.names().end()) return v;
    }
  }
  return {};
}

// Values that take other values' numbers: those not named as inputs get random ones.
std::vector<Datum> feeds(const Graph& g, const std::map<std::string, Datum>& named, uint64_t seed) {
  std::vector<Datum> out;
  for (size_t i = 0; i < g.parameters().size(); ++i) {
    const Value v = g.inputs()[i];
    const Port p = port_of(v, v.node().name());
    const Datum* given = nullptr;
    for (const auto& [name, d] : named) {
      if (name == p.name || std::find(p.names.begin(), p.names.end(), name) != p.names.end() || v.node().name() == name || name == std::to_string(i)) given = &d;
    }
    if (given) {
      if (given->is_tensor() && v.type().is_tensor() && given->tensor().element_type() != p.element_type) {
        out.emplace_back(given->tensor().converted(p.element_type));  // what travelled wider comes back
      } else {
        out.push_back(*given);
      }
    } else {
      out.emplace_back(random_input(p, seed + i));
    }
  }
  return out;
}

bool close(double a, double b, double rtol, double atol) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::fabs(a - b) <= atol + rtol * std::fabs(b);
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
  if (x.shape() != y.shape() || (x.element_type() == ElementType::string) != (y.element_type() == ElementType::string)) {
    d.max_abs = d.max_rel = INFINITY;
    d.equal = false;
    return d;
  }
  if (x.element_type() == ElementType::string) {
    d.equal = x.strings() == y.strings();
    return d;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const double p = get_element(x, i), q = get_element(y, i);
    d.equal &= close(p, q, o.rtol, o.atol);
    if (p == q || (std::isnan(p) && std::isnan(q))) continue;
    d.max_abs = std::max(d.max_abs, std::fabs(p - q));
    d.max_rel = std::max(d.max_rel, std::fabs(p - q) / std::max(std::fabs(q), 1e-12));
  }
  return d;
}

// Every named tensor of a graph as it is computed.
std::map<std::string, Datum> all_values(const Graph& g, const std::vector<Datum>& inputs, std::vector<std::string>* order) {
  std::map<std::string, Datum> out;
  EvaluateOptions o;
  o.on_value = [&](const Graph& graph, ValueId v, const Datum& d) {
    if (&graph != &g) return;
    for (const std::string& n : g.value(v).names) {
      if (out.emplace(n, d).second && order) order->push_back(n);
    }
  };
  evaluate(g, inputs, o);
  return out;
}

}  // namespace

Tensor load_npy(const std::string& path) { return read_npy(path); }
void save_npy(const std::string& path, const Tensor& tensor) { write_npy(path, tensor); }

Tensor random_input(const Port& port, uint64_t seed) {
  if (port.element_type == ElementType::dynamic) throw Error(ErrorCode::usage, "[run] the type of input '" + port.name + "' is not known", "", "give it with --input");
  if (!port.partial_shape.rank_known()) throw Error(ErrorCode::usage, "[run] the shape of input '" + port.name + "' is not known", "", "give it with --input");
  Shape shape;
  for (const Dimension& d : port.partial_shape) shape.push_back(d.is_static() ? d.min() : std::max<int64_t>(1, d.min()));
  Tensor t(port.element_type, shape);
  if (port.element_type == ElementType::string) return t;
  data::Random random{seed, 0x1a9};
  for (size_t i = 0; i < t.size(); ++i) set_element(t, i, is_float(port.element_type) ? random.uniform() : 1);
  return t;
}

Tensor load_input(const Model& model, size_t index, const std::string& path, const PictureOptions& o) {
  const auto inputs = model.inputs();
  if (index >= inputs.size()) throw Error(ErrorCode::usage, "[run] no input " + std::to_string(index));
  data::Preprocessing p;
  const PartialShape& s = inputs[index].partial_shape;
  if (const auto info = load_info(model.graph())) {
    p = info->preprocessing;
  } else if (s.rank_known() && s.rank() == 4) {
    const bool nhwc = o.layout == "NHWC" || (o.layout.empty() && (s[3] == Dimension(3) || s[3] == Dimension(1)) && s[1] != Dimension(3) && s[1] != Dimension(1));
    p.layout = nhwc ? data::PixelLayout::nhwc : data::PixelLayout::nchw;
    const Dimension h = s[nhwc ? 1 : 2], w = s[nhwc ? 2 : 3], c = s[nhwc ? 3 : 1];
    if (h.is_static() && w.is_static()) {
      p.height = h.min();
      p.width = w.min();
    } else {
      p.resize = data::ResizeRule::exact;
    }
    if (c == Dimension(1)) p.color = data::ColorOrder::grey;
  } else {
    throw Error(ErrorCode::usage, "[run] input '" + inputs[index].name + "' takes no picture: it is " + to_string(s), path, "give a .npy file");
  }
  if (!o.mean.empty()) p.mean = o.mean;
  if (!o.scale.empty()) p.scale = o.scale;
  return p.apply_file(path).converted(inputs[index].element_type);
}

std::vector<NamedValue> run_model(const Model& model, const std::map<std::string, Datum>& inputs, const RunOptions& options, uint64_t seed) {
  Graph g = model.graph();
  std::set<NodeId> unused;  // inputs that nothing reads stay inputs
  for (NodeId p : g.parameters()) {
    if (g.handle(p).output().uses().empty()) unused.insert(p);
  }
  // Names inside of the graph cut it there; what fed only the cut disappears.
  for (const auto& [name, d] : inputs) {
    if (g.input(name) || std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); })) continue;
    const Value v = find_value(g, name);
    if (!v) find_input(g, name);  // throws, listing the inputs
    const Value cut = Builder(g).parameter(v.type(), name);
    g.replace_uses(v.id, cut.id);
  }
  g.remove_dead();
  for (NodeId p : std::vector<NodeId>(g.parameters())) {
    if (g.handle(p).output().uses().empty() && !unused.contains(p)) g.remove(p);
  }
  const auto in = feeds(g, inputs, seed);
  std::map<ValueId, PartialShape> shapes;
  for (size_t i = 0; i < in.size(); ++i) {
    const Value v = g.inputs()[i];
    if (!in[i].is_tensor() || !v.type().is_tensor()) continue;
    const PartialShape given(in[i].tensor().shape());
    if (!given.compatible(v.shape())) {
      throw Error(ErrorCode::usage, "[run] input '" + port_of(v, v.node().name()).name + "' is " + to_string(v.type()) + ", given " + to_string(given));
    }
    if (given != v.shape()) shapes[v.id] = given;
  }
  if (!shapes.empty()) g.reshape(shapes);
  const auto out = run_once(g, in, options);
  std::vector<NamedValue> named;
  for (size_t i = 0; i < out.size(); ++i) {
    const NodeId r = g.results()[i];
    named.push_back({port_of(g.handle(r).input(0), g.node(r).name).name, out[i]});
  }
  return named;
}

CompareResult compare(const Model& a, const Model& b, const CompareOptions& o) {
  CompareResult r;
  if (a.outputs().size() != b.outputs().size()) {
    throw Error(ErrorCode::failed, "[compare] A has " + std::to_string(a.outputs().size()) + " outputs, B has " + std::to_string(b.outputs().size()));
  }
  if (a.inputs().size() != b.inputs().size()) {
    throw Error(ErrorCode::failed, "[compare] A has " + std::to_string(a.inputs().size()) + " inputs, B has " + std::to_string(b.inputs().size()));
  }
  std::map<std::string, Datum> given;
  for (const auto& [k, v] : o.inputs) given[k] = v;
  const auto outputs_a = a.outputs();
  for (const Port& p : outputs_a) r.outputs.push_back({p.name, 0, 0, true});
  for (int round = 0; round < o.random; ++round) {
    const auto in_a = feeds(a.graph(), given, o.seed + static_cast<uint64_t>(round) * 1000);
    // The same values for B, matched by name, else by position.
    std::map<std::string, Datum> by_name;
    const auto ports_a = a.inputs(), ports_b = b.inputs();
    std::vector<Datum> in_b(ports_b.size());
    for (size_t i = 0; i < ports_b.size(); ++i) {
      size_t from = i;
      for (size_t k = 0; k < ports_a.size(); ++k) {
        if (ports_a[k].name == ports_b[i].name) from = k;
      }
      in_b[i] = in_a[from];
    }
    const auto out_a = run_once(a.graph(), in_a, {}), out_b = run_once(b.graph(), in_b, {});
    bool equal = true;
    for (size_t i = 0; i < out_a.size(); ++i) {
      size_t other = i;
      for (size_t k = 0; k < out_b.size(); ++k) {
        if (b.outputs()[k].name == outputs_a[i].name) other = k;
      }
      const OutputDifference d = difference(outputs_a[i].name, out_a[i], out_b[other], o);
      r.outputs[i].max_abs = std::max(r.outputs[i].max_abs, d.max_abs);
      r.outputs[i].max_rel = std::max(r.outputs[i].max_rel, d.max_rel);
      r.outputs[i].equal &= d.equal;
      equal &= d.equal;
    }
    if (!equal && r.first_difference.empty()) {
      std::vector<std::string> order;
      const auto values_a = all_values(a.graph(), in_a, &order), values_b = all_values(b.graph(), in_b, nullptr);
      for (const std::string& n : order) {
        const auto it = values_b.find(n);
        if (it != values_b.end() && !difference(n, values_a.at(n), it->second, o).equal) {
          r.first_difference = n;
          break;
        }
      }
    }
    r.equal &= equal;
  }
  return r;
}

std::vector<BlockingOperator> trainable_report(const Model& model) {
  TrainingForm form = to_training_form(model.graph());
  std::vector<BlockingOperator> out;
  std::vector<std::string> seen;
  Values weights;
  for (NodeId id : form.graph.topological_order()) {
    if (const auto* v = form.graph.handle(id).as<Variable>(); v && v->trainable) weights.push_back(form.graph.handle(id).output());
  }
  if (weights.empty()) return {{"", "", "the model has no weights"}};
  for (const Value& y : form.graph.outputs()) {
    if (!y.type().is_tensor() || !is_float(y.element_type())) continue;
    for (const BlockingNode& n : blocking_nodes(y, weights)) {
      const std::string key = n.op + "/" + n.node;
      if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
      seen.push_back(key);
      out.push_back({n.node, n.op, n.reason});
    }
  }
  return out;
}

std::vector<std::string> unsupported_operators(const Model&) {
  // Every operator that a reader lets in has a reference evaluation: nothing is left over.
  return {};
}

std::vector<ConformanceCase> conformance(const std::string& folder, const std::function<bool(size_t, size_t)>& progress) {
  ConformanceOptions o;
  size_t done = 0;
  o.prepare = [](Graph g) -> Run {
    auto compiled = std::make_shared<CompiledGraph>(compile_model(g, [&] {
      CompileOptions c;
      c.precision = is_quantized(g) ? Precision::int8 : Precision::f32;
      c.threads = 1;
      return c;
    }()));
    return [compiled](const std::vector<Datum>& in) { return compiled->infer(in); };
  };
  o.on_case = [&](const CaseResult&) {
    if (progress && !progress(++done, 0)) throw Error(ErrorCode::interrupted, "[conformance] interrupted");
  };
  std::vector<ConformanceCase> out;
  for (const CaseResult& c : run_conformance(folder, o).cases) out.push_back({c.name, name_of(c.status), c.reason, c.max_abs});
  return out;
}

}  // namespace hone
