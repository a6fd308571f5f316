// What runs a graph whose shapes are not all known: programs by input signature, or node by node.
#include <list>
#include <map>
#include <mutex>

#include "compile/automatic.hpp"
#include "compile/compile.hpp"
#include "compile/kernel_evaluator.hpp"
#include "compile/pipeline.hpp"
#include "compile/segments.hpp"
#include "compile/stepwise.hpp"
#include "cpu/reference/reference.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "passes/canonicalize.hpp"
#include "passes/fuse_epilogue.hpp"
#include "passes/precision.hpp"

namespace hone {
namespace {

// A static program with its session and the request that `infer` uses.
struct Instance {
  std::unique_ptr<StepwiseGraph> tail;  ///< behind the program, where sizes depend on data
  std::shared_ptr<const Program> program;
  std::shared_ptr<Session> session;
  std::unique_ptr<Request> request;

  Instance(std::shared_ptr<const Program> p, const CompileOptions& o) : program(std::move(p)) {
    SessionOptions s;
    s.threads = o.threads;
    s.streams = o.streams;
    s.pool = o.pool;
    s.profile = o.profile;
    session = Session::create(program, s);
    request = session->request();
  }
};

void check(const Status& s) {
  if (!s) throw Error(ErrorCode::failed, s.message);
}

using Signature = std::vector<Shape>;

std::shared_ptr<const Program> compiled(Graph g, const CompileOptions& options, CompileReport& report) {
  if (options.precision == Precision::automatic)
    return std::make_shared<const Program>(compile_fastest(std::move(g), options, report));
  return std::make_shared<const Program>(compile_program(std::move(g), options, &report));
}

// For graphs with sizes that only data can tell: what needs no sizes is settled, the rest waits for them.
void settle(Graph& g, const CompileOptions& options) {
  cpu::add_reference_kernels();
  if (!options.optimize) return;
  KernelEvaluator evaluator(*options.pool);
  PassOptions run;
  run.evaluator = &evaluator;
  run.disabled = options.disabled_passes;
  std::vector<Pass> passes = canonicalize_passes();
  passes.insert(passes.begin(), widen_half_pass());
  run_passes(g, passes, run);
}

// A bias, an activation, a number: what every kernel of a dense operator does to its results. Pooling and reductions
// stay alone.
bool is_common_epilogue(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  const std::string_view op = n.op->name;
  if (op != "Convolution" && op != "GroupConvolution" && op != "ConvolutionBackpropData" && op != "MatMul")
    return false;
  if (g.value(n.outputs[0]).type.element != ElementType::f32) return false;
  for (size_t i = g.num_op_inputs(id); i < n.inputs.size(); ++i) {
    if (!g.value_handle(n.inputs[i]).constant()) return false;
  }
  return true;
}

std::unique_ptr<StepwiseGraph> stepwise(Graph g, const CompileOptions& options) {
  SelectOptions select;
  select.pool = options.pool;
  select.threads = options.pool->size();
  select.bf16_compute = options.precision == Precision::bf16 && cpu_has_bf16();
  if (options.optimize) {
    // Sizes are not known yet, so this takes what the kernels of dense operators take of any size.
    FuseOptions dense;
    dense.elementwise_roots = false;
    dense.accepts = [](const Graph& graph, NodeId id) { return is_common_epilogue(graph, id); };
    PassOptions run;
    run.disabled = options.disabled_passes;
    run_passes(g, {fuse_epilogues_pass(dense)}, run);
  }
  return std::make_unique<StepwiseGraph>(std::move(g), StepwiseOptions{select, options.profile});
}

}  // namespace

struct CompiledGraph::Impl {
  CompileOptions options;
  CompileReport report;
  std::vector<Port> inputs, outputs;
  std::mutex mutex;
  std::unique_ptr<Instance> fixed;  ///< of a static graph
  std::unique_ptr<Instance> head;   ///< static part of a graph with data-dependent sizes
  std::shared_ptr<Session> no_session;

  // Dynamic models keep their graph.
  std::unique_ptr<Graph> graph;
  std::string stepwise_reason;                                       ///< not empty: sizes depend on data
  std::list<std::pair<Signature, std::unique_ptr<Instance>>> cache;  ///< most recently used first
  std::unique_ptr<StepwiseGraph> whole;                              ///< of a graph without static parts
  VariableStore variables;

  std::vector<Datum> run(Instance& in, const std::vector<Datum>& values) {
    Request& r = *in.request;
    for (size_t i = 0; i < values.size(); ++i) check(r.set_input(i, values[i].tensor()));
    std::vector<Datum> out;
    for (size_t o = 0; o < in.program->outputs.size(); ++o) {
      const ProgramTensor& t = (*in.program)[in.program->outputs[o].tensor];
      Tensor fresh(t.type, t.shape);
      check(r.set_output(o, fresh));
      out.emplace_back(fresh);
    }
    check(r.run());
    if (!in.tail) return out;
    std::vector<Datum> rest = values;
    rest.insert(rest.end(), out.begin(), out.end());
    return in.tail->run(rest);
  }

  // All that belongs to the model runs on one pool.
  void share_pool() {
    if (!options.pool) options.pool = std::make_shared<ThreadPool>(options.threads);
    options.streams = 1;
  }

  // The static part as a program, the rest node by node. Null where that is no use.
  std::unique_ptr<Instance> segmented(Graph g) {
    share_pool();
    // Many a size is a constant behind arithmetic that only folding sees through.
    settle(g, options);
    auto segments = cut_static_head(g);
    if (!segments || segments->head.parameters().size() != g.parameters().size()) return nullptr;
    try {
      auto in = std::make_unique<Instance>(compiled(segments->head, options, report), options);
      in->tail = stepwise(std::move(segments->tail), options);
      return in;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported) throw;
      return nullptr;
    }
  }

  Instance& instance(const Signature& s) {
    for (auto it = cache.begin(); it != cache.end(); ++it) {
      if (it->first != s) continue;
      cache.splice(cache.begin(), cache, it);
      return *cache.front().second;
    }
    Graph g = *graph;
    std::map<ValueId, PartialShape> shapes;
    for (size_t i = 0; i < s.size(); ++i) shapes[g.node(g.parameters()[i]).outputs[0]] = PartialShape(s[i]);
    g.reshape(shapes);
    while (cache.size() >= std::max<size_t>(1, options.cached_signatures)) cache.pop_back();
    share_pool();
    std::unique_ptr<Instance> fresh;
    try {
      fresh = std::make_unique<Instance>(compiled(g, options, report), options);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported) throw;
      if (!(fresh = segmented(g))) throw;
    }
    cache.emplace_front(s, std::move(fresh));
    return *cache.front().second;
  }

  std::vector<Datum> infer(const std::vector<Datum>& values) {
    std::lock_guard lock(mutex);
    if (values.size() != inputs.size()) {
      throw Error(ErrorCode::usage, "[run] " + std::to_string(values.size()) + " inputs given, the model has " +
                                        std::to_string(inputs.size()));
    }
    Signature signature;
    for (size_t i = 0; i < values.size(); ++i) {
      const Type& t = inputs[i].type;
      if (!t.is_tensor()) continue;
      if (!values[i].is_tensor()) throw Error(ErrorCode::usage, "[run] input '" + inputs[i].name + "' wants a tensor");
      const Tensor& v = values[i].tensor();
      if ((t.element != ElementType::dynamic && v.element_type() != t.element) ||
          !t.shape.compatible(PartialShape(v.shape()))) {
        throw Error(ErrorCode::usage, "[run] input '" + inputs[i].name + "' is " + to_string(t) + ", given " +
                                          name_of(v.element_type()) + to_string(v.shape()));
      }
      signature.push_back(v.shape());
    }
    if (fixed) return run(*fixed, values);
    if (head) return run(*head, values);
    if (stepwise_reason.empty()) {
      try {
        return run(instance(signature), values);
      } catch (const Error& e) {
        if (e.code() != ErrorCode::unsupported) throw;
        stepwise_reason = e.message();  // from now on: a size that only data can tell
        cache.clear();
      }
    }
    if (!whole) {
      share_pool();
      Graph g = *graph;
      settle(g, options);
      whole = stepwise(std::move(g), options);
    }
    return whole->run(values, &variables);
  }
};

std::vector<Datum> CompiledGraph::infer(const std::vector<Datum>& inputs) {
  return impl_->infer(inputs);
}
const std::vector<CompiledGraph::Port>& CompiledGraph::inputs() const {
  return impl_->inputs;
}
const std::vector<CompiledGraph::Port>& CompiledGraph::outputs() const {
  return impl_->outputs;
}
const std::shared_ptr<Session>& CompiledGraph::session() const {
  return impl_->fixed ? impl_->fixed->session : impl_->no_session;
}
std::shared_ptr<const Program> CompiledGraph::program() const {
  return impl_->fixed ? impl_->fixed->program : nullptr;
}
Request* CompiledGraph::request() {
  return impl_->fixed ? impl_->fixed->request.get() : nullptr;
}
const CompileReport& CompiledGraph::report() const {
  return impl_->report;
}

std::string CompiledGraph::mode() const {
  if (impl_->fixed) return "program";
  if (impl_->head) return "program, then node by node: " + impl_->stepwise_reason;
  return impl_->stepwise_reason.empty() ? "program per signature" : "node by node: " + impl_->stepwise_reason;
}

Datum CompiledGraph::state(const std::string& name) const {
  if (impl_->fixed) {
    const Tensor t = impl_->fixed->request->state(name);
    return t ? Datum(t) : Datum();
  }
  const auto it = impl_->variables.find(name);
  return it == impl_->variables.end() ? Datum() : it->second;
}

void CompiledGraph::set_state(const std::string& name, const Tensor& content) {
  if (impl_->fixed)
    check(impl_->fixed->request->set_state(name, content));
  else if (impl_->stepwise_reason.empty())
    throw Error(ErrorCode::unsupported, "[run] states of a model that is compiled per signature");
  else
    impl_->variables[name] = content.clone();
}

std::vector<std::string> CompiledGraph::state_names() const {
  std::vector<std::string> names;
  if (impl_->fixed) {
    for (const ProgramState& s : impl_->fixed->program->states) names.push_back(s.name);
  } else {
    for (const auto& [name, value] : impl_->variables) names.push_back(name);
  }
  return names;
}

void CompiledGraph::reset_states() {
  if (impl_->fixed) impl_->fixed->request->reset_states();
  impl_->variables.clear();
}

std::vector<StepProfile> CompiledGraph::profile() const {
  if (impl_->fixed) return impl_->fixed->request->profile();
  if (impl_->whole) return impl_->whole->profile();
  const Instance* in = impl_->head            ? impl_->head.get()
                       : impl_->cache.empty() ? nullptr
                                              : impl_->cache.front().second.get();
  if (!in) return {};
  std::vector<StepProfile> steps = in->request->profile();
  if (in->tail) {
    for (StepProfile& s : in->tail->profile()) steps.push_back(std::move(s));
  }
  return steps;
}

CompiledGraph compile_model(Graph graph, const CompileOptions& options) {
  CompiledGraph c;
  c.impl_ = std::make_shared<CompiledGraph::Impl>();
  CompiledGraph::Impl& m = *c.impl_;
  m.options = options;
  for (NodeId id : graph.parameters()) {
    const Value v = graph.value_handle(graph.node(id).outputs[0]);
    m.inputs.push_back(
        {v.node().name().empty() && !v.names().empty() ? v.names()[0] : v.node().name(), v.names(), v.type()});
  }
  for (NodeId id : graph.results()) {
    const Value v = graph.handle(id).input(0);
    std::string name = graph.node(id).name;
    if (name.empty()) name = v.names().empty() ? v.node().name() : v.names()[0];
    m.outputs.push_back({name, v.names(), v.type()});
  }
  const std::string why = why_not_static(graph);
  bool state = false, dynamic_input = false, only_tensors = true;
  for (NodeId id = 0; id < graph.node_capacity(); ++id) {
    if (!graph.alive(id)) continue;
    state |= graph.node(id).op->name == "Assign" || graph.node(id).op->name == "ReadValue";
  }
  for (const auto& p : m.inputs) {
    dynamic_input |= !p.type.is_static();
    only_tensors &=
        p.type.is_tensor() && p.type.element != ElementType::string && p.type.element != ElementType::dynamic;
  }
  if (why.empty() || !dynamic_input) {
    // Folding may still settle sizes that inference alone leaves open.
    try {
      Graph g = why.empty() ? std::move(graph) : graph;
      m.fixed = std::make_unique<Instance>(compiled(std::move(g), options, m.report), options);
      return c;
    } catch (const Error& e) {
      if (why.empty() || e.code() != ErrorCode::unsupported) throw;
    }
  }
  if (!dynamic_input && only_tensors && !state) m.head = m.segmented(graph);
  m.graph = std::make_unique<Graph>(std::move(graph));
  // State of a dynamic model would have to follow it from program to program.
  if (!dynamic_input || !only_tensors || state) m.stepwise_reason = why;
  return c;
}

CompiledGraph load_program(std::shared_ptr<const Program> program, const CompileOptions& options) {
  CompiledGraph c;
  c.impl_ = std::make_shared<CompiledGraph::Impl>();
  CompiledGraph::Impl& m = *c.impl_;
  m.options = options;
  const auto ports = [&](const std::vector<ProgramPort>& from, std::vector<CompiledGraph::Port>& to) {
    for (const ProgramPort& p : from)
      to.push_back({p.name, p.names, Type((*program)[p.tensor].type, PartialShape((*program)[p.tensor].shape))});
  };
  ports(program->inputs, m.inputs);
  ports(program->outputs, m.outputs);
  m.report.steps = program->steps.size();
  m.report.arena_bytes = program->arena_bytes;
  m.fixed = std::make_unique<Instance>(std::move(program), options);
  return c;
}

}  // namespace hone
