#include "hone/tools.hpp"

#include <algorithm>
#include <set>

#include "api/cached_model.hpp"
#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/model_run.hpp"
#include "api/ports.hpp"
#include "data/preprocess.hpp"
#include "data/random.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/npy/npy.hpp"
#include "grad/differentiate.hpp"
#include "grad/training_form.hpp"
#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/reduce.hpp"

namespace hone {

// Runs a graph once; any graph, through whatever the compiler chooses.
std::vector<Datum> run_graph(const Graph& g, const std::vector<Datum>& inputs, const RunOptions& o) {
  CompileOptions c;
  c.precision = choose_precision(o.precision, g, g.name);
  c.exact_rest = o.precision.empty();
  c.threads = o.threads;
  CompiledGraph compiled = compile_model(g, c);
  std::vector<Datum> out;
  for (int i = 0; i < std::max(1, o.repeat); ++i) out = compiled.infer(inputs);
  return out;
}

// Values that take other values' numbers: those not named as inputs get random ones. A port answers to all of its
// names.
std::vector<Datum> feeds(const std::vector<Port>& inputs, const std::map<std::string, Datum>& named,
                         const std::map<std::string, PartialShape>& shapes, uint64_t seed) {
  // A name, else a position.
  const auto index_of = [&](const std::string& name, const char* what) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Port& p = inputs[i];
      if (name == p.name || std::find(p.names.begin(), p.names.end(), name) != p.names.end()) return i;
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (name == std::to_string(i)) return i;
    }
    std::string all;
    for (const Port& p : inputs) all += (all.empty() ? "" : ", ") + p.name;
    throw Error(ErrorCode::usage, "[run] no input '" + name + "'" + what, "",
                "the inputs are " + (all.empty() ? "none" : all));
  };
  std::vector<const Datum*> given(inputs.size(), nullptr);
  for (const auto& [name, d] : named) {
    const Datum*& to = given[index_of(name, "")];
    if (to) throw Error(ErrorCode::usage, "[run] input '" + name + "' is given twice");
    to = &d;
  }
  std::vector<Port> ports = inputs;
  for (const auto& [name, shape] : shapes) {
    const size_t i = index_of(name, " to give a shape to");
    if (given[i])
      throw Error(ErrorCode::usage, "[run] input '" + name + "' has values, which have a shape of their own", "",
                  "give --input or --shape");
    if (!ports[i].partial_shape.compatible(shape))
      throw Error(ErrorCode::usage, "[run] the shape " + to_string(shape) + " does not fit input '" + name + "' " +
                                        to_string(ports[i].partial_shape));
    ports[i].partial_shape = shape;
  }
  std::vector<Datum> out;
  for (size_t i = 0; i < ports.size(); ++i) {
    const ElementType wanted = ports[i].element_type;
    if (!given[i]) {
      out.emplace_back(random_input(ports[i], seed + i));
      continue;
    }
    const ElementType have = given[i]->is_tensor() ? given[i]->tensor().element_type() : wanted;
    if (have == wanted || wanted == ElementType::dynamic) {
      out.push_back(*given[i]);
    } else if ((have == ElementType::string) != (wanted == ElementType::string)) {
      throw Error(ErrorCode::usage,
                  "[run] input '" + ports[i].name + "' is " + name_of(wanted) + ", given " + name_of(have));
    } else {
      out.emplace_back(given[i]->tensor().converted(wanted));  // what travelled wider comes back
    }
  }
  return out;
}

std::vector<Datum> feeds(const Graph& g, const std::map<std::string, Datum>& named,
                         const std::map<std::string, PartialShape>& shapes, uint64_t seed) {
  std::vector<Port> ports;
  for (const Value& v : g.inputs()) {
    ports.push_back(port_of(v, v.node().name()));
    ports.back().names.push_back(v.node().name());
  }
  return feeds(ports, named, shapes, seed);
}

std::string advice_on_shapes(const std::vector<Port>& inputs, const std::map<std::string, Datum>& named,
                             const std::map<std::string, PartialShape>& shapes) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Port& p = inputs[i];
    const auto has = [&](const auto& map) {
      return map.contains(p.name) || map.contains(std::to_string(i)) ||
             std::any_of(p.names.begin(), p.names.end(), [&](const std::string& n) { return map.contains(n); });
    };
    if (!p.partial_shape.rank_known() || p.partial_shape.is_static() || has(named) || has(shapes)) continue;
    return "free sizes of input '" + p.name + "' " + to_string(p.partial_shape) +
           " were taken as small as can be: give others with --shape '" + p.name + "[...]'";
  }
  return "";
}

Tensor load_npy(const std::string& path) {
  return read_npy(path);
}
void save_npy(const std::string& path, const Tensor& tensor) {
  write_npy(path, tensor);
}

Tensor random_input(const Port& port, uint64_t seed) {
  if (port.element_type == ElementType::dynamic)
    throw Error(ErrorCode::usage, "[run] the type of input '" + port.name + "' is not known", "",
                "give it with --input");
  if (!port.partial_shape.rank_known())
    throw Error(ErrorCode::usage, "[run] the shape of input '" + port.name + "' is not known", "",
                "give it with --shape or --input");
  Shape shape;
  for (const Dimension& d : port.partial_shape)
    shape.push_back(d.is_static() ? d.min() : std::max<int64_t>(1, d.min()));
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
  } else if (const auto own = picture_preprocessing(s, o.layout)) {
    p = *own;
  } else {
    throw Error(ErrorCode::usage, "[run] input '" + inputs[index].name + "' takes no picture: it is " + to_string(s),
                path, "give a .npy file");
  }
  take_picture_options(p, o, "run");
  return p.apply_file(path).converted(inputs[index].element_type);
}

namespace {

// Names inside of the graph cut it there; what fed only the cut disappears.
void cut_at(Graph& g, const std::map<std::string, Datum>& inputs) {
  std::set<NodeId> unused;  // inputs that nothing reads stay inputs
  for (NodeId p : g.parameters()) {
    if (g.handle(p).output().uses().empty()) unused.insert(p);
  }
  for (const auto& [name, d] : inputs) {
    if (g.input(name)) continue;
    const Value v = find_tensor(g, name);
    if (!v) {
      find_input(g, name);  // a position, or an error that lists the inputs
      continue;
    }
    const Value cut = Builder(g).parameter(v.type(), name);
    g.replace_uses(v.id, cut.id);
  }
  g.remove_dead();
  for (NodeId p : std::vector<NodeId>(g.parameters())) {
    if (g.handle(p).output().uses().empty() && !unused.contains(p)) g.remove(p);
  }
}

void take_shapes(Graph& g, const std::vector<Datum>& in) {
  std::map<ValueId, PartialShape> shapes;
  for (size_t i = 0; i < in.size(); ++i) {
    const Value v = g.inputs()[i];
    if (!in[i].is_tensor() || !v.type().is_tensor()) continue;
    const PartialShape given(in[i].tensor().shape());
    if (!given.compatible(v.shape())) {
      throw Error(ErrorCode::usage, "[run] input '" + port_of(v, v.node().name()).name + "' is " + to_string(v.type()) +
                                        ", given " + to_string(given));
    }
    if (given != v.shape()) shapes[v.id] = given;
  }
  if (!shapes.empty()) g.reshape(shapes);
}

}  // namespace

std::vector<NamedValue> run_model(const Model& model, const std::map<std::string, Datum>& inputs,
                                  const RunOptions& options, uint64_t seed) {
  Graph g = model.graph();
  cut_at(g, inputs);
  const auto in = feeds(g, inputs, options.shapes, seed);
  take_shapes(g, in);
  const auto out = run_graph(g, in, options);
  std::vector<NamedValue> named;
  for (size_t i = 0; i < out.size(); ++i) {
    const NodeId r = g.results()[i];
    named.push_back({output_port(g, r).name, out[i]});
  }
  return named;
}

std::vector<NamedValue> run_file(const std::string& path, const std::map<std::string, Datum>& inputs,
                                 const RunOptions& options, uint64_t seed) {
  std::vector<Datum> in;
  ModelJob job;
  job.path = path;
  job.network = options.network;
  job.precision = options.precision;
  job.question = "run\n";
  for (const auto& [name, d] : inputs) {
    job.question += "input " + name + " " +
                    (d.is_tensor() ? std::string(name_of(d.tensor().element_type())) + to_string(d.tensor().shape())
                                   : std::string("other")) +
                    "\n";
  }
  for (const auto& [name, shape] : options.shapes) job.question += "shape " + name + " " + to_string(shape) + "\n";
  job.choose = [&](const Graph& g) { return choose_precision(job.precision, g, path); };
  std::string advice;
  job.prepare = [&](Graph& g) {
    cut_at(g, inputs);
    std::vector<Port> ports;
    for (const Value& v : g.inputs()) ports.push_back(port_of(v, v.node().name()));
    advice = advice_on_shapes(ports, inputs, options.shapes);
    in = feeds(g, inputs, options.shapes, seed);
    take_shapes(g, in);
  };
  job.options.threads = options.threads;
  job.options.exact_rest = job.precision.empty();
  job.cache_folder = cache_folder(options.cache);
  LoadedModel m = with_advice(advice, [&] { return load_model(job); });
  if (m.from_cache) {
    // The ports answer to the node's name as well.
    for (size_t i = 0; i < m.inputs.size(); ++i) m.inputs[i].names.push_back(m.compiled.inputs()[i].name);
    in = feeds(m.inputs, inputs, options.shapes, seed);
  }
  std::vector<Datum> out;
  for (int i = 0; i < std::max(1, options.repeat); ++i) out = with_advice(advice, [&] { return m.compiled.infer(in); });
  std::vector<NamedValue> named;
  for (size_t i = 0; i < out.size(); ++i) named.push_back({m.outputs.at(i).name, out[i]});
  return named;
}

std::vector<BlockingOperator> trainable_report(const Model& model) {
  TrainingForm form = to_training_form(model.graph());
  std::vector<BlockingOperator> out;
  std::vector<std::string> seen;
  Values weights;
  for (NodeId id : form.graph.topological_order()) {
    if (const auto* v = form.graph.handle(id).as<Variable>(); v && v->trainable)
      weights.push_back(form.graph.handle(id).output());
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

std::vector<ConformanceCase> conformance(const std::string& folder, const std::function<bool(size_t, size_t)>& progress,
                                         const std::string& network) {
  ConformanceOptions o;
  o.read = [&](const std::string& path) { return read_model_of_case(path, network); };
  size_t done = 0;
  o.prepare = [](Graph g) -> Run {
    auto compiled = std::make_shared<CompiledGraph>(compile_model(g, [&] {
      CompileOptions c;
      c.precision = is_quantized(g) ? Precision::int8 : Precision::f32;
      c.exact_rest = true;
      c.threads = 1;
      return c;
    }()));
    return [compiled](const std::vector<Datum>& in) { return compiled->infer(in); };
  };
  o.on_case = [&](const CaseResult&) {
    if (progress && !progress(++done, 0)) throw Error(ErrorCode::interrupted, "[conformance] interrupted");
  };
  std::vector<ConformanceCase> out;
  for (const CaseResult& c : run_conformance(folder, o).cases)
    out.push_back({c.name, name_of(c.status), c.reason, c.max_abs});
  return out;
}

}  // namespace hone
