#include "compile/stepwise.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <list>

#include "base/pool_use.hpp"
#include "compile/buffer_pool.hpp"
#include "compile/node_plan.hpp"
#include "cpu/kernels/search/non_zero.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/region_context.hpp"
#include "runtime/executor.hpp"

namespace hone {
namespace {

constexpr size_t plans_per_node = 8;

// What a plan hangs on: a number for each property of each input.
using Signature = std::vector<int64_t>;

Signature signature_of(const std::vector<HeldValue>& inputs, const std::vector<bool>& constant, bool with_values) {
  Signature s;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (constant[i]) continue;
    if (!inputs[i].is_tensor()) {
      s.push_back(-1);
      continue;
    }
    const Tensor& t = inputs[i].any();
    s.push_back(static_cast<int64_t>(t.element_type()));
    s.push_back((inputs[i].plain.is_none() ? 0 : 1) + (inputs[i].channels_last ? 2 : 0));
    s.push_back(static_cast<int64_t>(t.rank()));
    s.insert(s.end(), t.shape().begin(), t.shape().end());
    if (!with_values || !is_shape_like(t) || inputs[i].plain.is_none()) continue;
    const size_t at = s.size(), bytes = t.byte_size();
    s.resize(at + (bytes + sizeof(int64_t) - 1) / sizeof(int64_t), 0);
    if (bytes > 0) std::memcpy(s.data() + at, t.raw(), bytes);
  }
  return s;
}

// Kernels read aligned tensors, and one vector past their end.
Tensor readable(const Tensor& t) {
  const auto at = reinterpret_cast<uintptr_t>(t.raw());
  const uintptr_t last = at + std::max<size_t>(t.byte_size(), 1) - 1;
  return at % memory_alignment == 0 && last / 4096 == (last + memory_alignment) / 4096 ? t : t.clone();
}

// The most recently used plans by signature.
class PlanCache {
 public:
  const NodePlan* find(const Signature& s) {
    for (auto it = plans_.begin(); it != plans_.end(); ++it) {
      if (it->first != s) continue;
      plans_.splice(plans_.begin(), plans_, it);
      return &plans_.front().second;
    }
    return nullptr;
  }
  const NodePlan& keep(Signature s, NodePlan plan) {
    if (plans_.size() >= plans_per_node) plans_.pop_back();
    plans_.emplace_front(std::move(s), std::move(plan));
    return plans_.front().second;
  }

 private:
  std::list<std::pair<Signature, NodePlan>> plans_;
};

}  // namespace

// Shared by a graph and the regions in it.
struct StepwiseGraph::Shared {
  explicit Shared(const StepwiseOptions& o)
      : options(o.select), profile(o.profile), worthwhile_elements(o.worthwhile_elements) {}
  SelectOptions options;
  bool profile;
  size_t worthwhile_elements;
  std::shared_ptr<BufferPool> buffers = std::make_shared<BufferPool>();
  PackedForms forms;
  AlignedMemory scratch;
  PlanCache reorders;

  void* scratch_of(size_t bytes) {
    if (bytes > scratch.size()) scratch = AlignedMemory(bytes + bytes / 2);
    return scratch.data();
  }
};

struct StepwiseGraph::Impl {
  struct Step {
    NodeId id;
    PlannedNode planned;
    bool plannable = false, large = false, with_values = false;
    bool grows = false;               ///< joins more to what came in, and gives it to who comes next
    std::vector<bool> constant = {};  ///< inputs that are constants of the graph
    PlanCache plans = {};
    std::vector<std::unique_ptr<StepwiseGraph>> regions = {};
    const char* kernel = "reference";
    double microseconds = 0, shortest = 0;
  };

  Graph graph;
  std::shared_ptr<Shared> shared;
  std::vector<Step> steps;
  std::vector<HeldValue> values;
  std::vector<size_t> uses;

  Impl(Graph g, std::shared_ptr<Shared> s) : graph(std::move(g)), shared(std::move(s)) {
    for (NodeId id : graph.topological_order()) {
      const NodeData& n = graph.node(id);
      if (n.op == &op_def<Parameter>() || n.op == &op_def<Constant>()) continue;
      Step step{id, {graph, id, attribute_bytes(*n.op, n.attributes.get())}};
      step.plannable = can_be_planned(graph, id);
      for (ValueId v : n.inputs)
        step.constant.push_back(v != no_id && static_cast<bool>(graph.value_handle(v).constant()));
      step.grows = n.op->name == "Concat" && grows_parameter(id);
      step.regions.resize(n.regions.size());
      steps.push_back(std::move(step));
    }
    uses.resize(graph.value_capacity());
    for (ValueId v = 0; v < uses.size(); ++v) uses[v] = graph.value(v).uses.size();
  }

  // Lists that loops carry.
  bool grows_parameter(NodeId id) const {
    const NodeData& n = graph.node(id);
    if (n.epilogue || n.inputs.size() < 2) return false;
    const auto& uses = graph.value(n.outputs[0]).uses;
    return graph.node(graph.value(n.inputs[0]).producer).op == &op_def<Parameter>() &&
           std::any_of(uses.begin(), uses.end(),
                       [&](const Use& u) { return graph.node(u.node).op == &op_def<Result>(); });
  }

  // ---- layouts ----
  Tensor reordered(const Tensor& t, Layout from, Layout to) {
    Signature s{static_cast<int64_t>(t.element_type()), static_cast<int64_t>(to)};
    s.insert(s.end(), t.shape().begin(), t.shape().end());
    const NodePlan* plan = shared->reorders.find(s);
    if (!plan) plan = &shared->reorders.keep(s, plan_reorder(t, from, to, shared->options));
    return run_kernel(*plan, {t})[0];
  }
  const Datum& plain(HeldValue& v) {
    if (v.plain.is_none() && v.channels_last)
      v.plain = reordered(v.channels_last, Layout::channels_last, Layout::plain);
    return v.plain;
  }
  const Tensor& channels_last(HeldValue& v) {
    if (!v.channels_last) v.channels_last = reordered(v.plain.tensor(), Layout::plain, Layout::channels_last);
    return v.channels_last;
  }

  // ---- nodes ----
  std::vector<Tensor> run_kernel(const NodePlan& plan, std::vector<Tensor> inputs) {
    std::vector<const void*> from;
    for (Tensor& t : inputs) {
      if (t) t = readable(t);
      from.push_back(t ? t.raw() : nullptr);
    }
    std::vector<Tensor> outputs;
    std::vector<void*> to;
    for (size_t o = 0; o < plan.shapes.size(); ++o) {
      outputs.push_back(plan.wanted[o] ? shared->buffers->tensor(plan.types[o], plan.shapes[o]) : Tensor());
      to.push_back(plan.wanted[o] ? outputs.back().raw() : nullptr);
    }
    const auto empty = [](const Tensor& t) { return !t || t.size() == 0; };
    if (std::all_of(outputs.begin(), outputs.end(), empty)) return outputs;
    RunError error;
    void* scratch = shared->scratch_of(plan.prepared->scratch_bytes());
    plan.prepared->run({from, to, scratch, *shared->options.pool, &error});
    if (error.failed) throw Error(ErrorCode::failed, error.message);
    return outputs;
  }

  // False: left to the reference.
  bool run_planned(Step& step, const NodeData& n) {
    std::vector<HeldValue> in;
    size_t elements = 0;
    for (ValueId v : n.inputs) {
      in.push_back(v == no_id ? HeldValue() : values[v]);
      if (!in.back().is_tensor()) {
        if (!in.back().plain.is_none()) return false;
        continue;
      }
      elements += in.back().any().size();
    }
    if (elements < shared->worthwhile_elements && !step.large) return false;
    const NodePlan* plan = nullptr;
    for (;;) {
      Signature s = signature_of(in, step.constant, step.with_values);
      plan = step.plans.find(s);
      if (plan) break;
      NodePlan fresh = plan_node(step.planned, in, step.with_values, shared->options, shared->forms);
      // Sizes may hang on what is in the inputs.
      if (fresh.kind == NodePlan::Kind::reference && !step.with_values) {
        NodePlan better = plan_node(step.planned, in, true, shared->options, shared->forms);
        if (better.kind != NodePlan::Kind::reference) {
          step.with_values = true;
          step.plans = {};
          continue;
        }
      }
      plan = &step.plans.keep(std::move(s), std::move(fresh));
      break;
    }
    step.kernel = plan->kernel;
    if (plan->kind == NodePlan::Kind::reference) return false;
    if (plan->kind == NodePlan::Kind::view) {
      values[n.outputs[0]] = {plain(values[n.inputs[0]]).tensor().reshaped(plan->shapes[0]), {}};
      return true;
    }
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      if (!in[i].is_tensor())
        tensors.emplace_back();
      else if (plan->packed[i])
        tensors.push_back(plan->packed[i]);
      else if (plan->input_layouts[i] == Layout::plain)
        tensors.push_back(plain(values[n.inputs[i]]).tensor());
      else
        tensors.push_back(channels_last(values[n.inputs[i]]));
    }
    const auto out = run_kernel(*plan, std::move(tensors));
    for (size_t o = 0; o < out.size(); ++o) {
      if (!out[o]) continue;
      HeldValue& v = values[n.outputs[o]];
      v = {};
      if (plan->output_layouts[o] == Layout::plain)
        v.plain = out[o];
      else
        v.channels_last = out[o];
    }
    return true;
  }

  // Appends to the first input in place where its memory has room. False: left to the others.
  bool run_grown(const NodeData& n, int64_t axis) {
    std::vector<Tensor> in;
    for (ValueId v : n.inputs) {
      if (!values[v].is_tensor()) return false;
      in.push_back(plain(values[v]).tensor());
    }
    Shape shape = in[0].shape();
    const auto rank = static_cast<int64_t>(shape.size());
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || in[0].size() == 0 || bit_width(in[0].element_type()) % 8 != 0 ||
        in[0].element_type() == ElementType::string)
      return false;
    const auto at = static_cast<size_t>(axis);
    if (std::any_of(shape.begin(), shape.begin() + axis, [](int64_t d) { return d != 1; })) return false;
    for (size_t i = 1; i < in.size(); ++i) {
      Shape same = in[i].shape();
      if (in[i].element_type() != in[0].element_type() || same.size() != shape.size()) return false;
      shape[at] += same[at];
      same[at] = in[0].shape()[at];
      if (same != in[0].shape()) return false;
    }
    Tensor all = shared->buffers->grown(in[0], shape);
    auto* to = static_cast<uint8_t*>(all.raw()) + in[0].byte_size();
    for (size_t i = 1; i < in.size(); ++i) {
      if (in[i].size() > 0) std::memcpy(to, in[i].raw(), in[i].byte_size());
      to += in[i].byte_size();
    }
    values[n.outputs[0]] = {all, {}};
    return true;
  }

  // False: left to the reference.
  bool run_non_zero(const NodeData& n, ElementType index) {
    HeldValue& held = values[n.inputs[0]];
    if (!held.is_tensor() || (index != ElementType::i64 && index != ElementType::i32)) return false;
    const Tensor& x = plain(held).tensor();
    if (!cpu::NonZeroPlaces::takes(x) || x.size() < shared->worthwhile_elements) return false;
    const cpu::NonZeroPlaces found(x, *shared->options.pool);
    Tensor places = shared->buffers->tensor(index, {static_cast<int64_t>(x.rank()), found.count()});
    found.write(places);
    values[n.outputs[0]] = {places, {}};
    return true;
  }

  std::vector<Datum> plain_inputs(const NodeData& n) {
    std::vector<Datum> in;
    for (ValueId v : n.inputs) in.push_back(v == no_id ? Datum() : plain(values[v]));
    return in;
  }

  std::vector<Datum> run_regions(Step& step, const NodeData& n);

  void run_step(Step& step, VariableStore* variables, std::map<std::string, Datum>& assigned) {
    const NodeData& n = graph.node(step.id);
    const Node node = graph.handle(step.id);
    const auto* variable = node.as<Variable>();
    const auto* read = node.as<ReadValue>();
    const std::string* state = variable ? &variable->variable_id : read ? &read->variable_id : nullptr;
    std::vector<Datum> out;
    if (const auto* assign = node.as<Assign>()) {
      out = {plain(values[n.inputs[0]])};
      assigned[assign->variable_id] = out[0];
      out.resize(n.outputs.size());
    } else if (state && variables && variables->contains(*state)) {
      out = {(*variables)[*state]};
    } else if (!n.regions.empty() && n.op->raw_types && !n.epilogue) {
      out = run_regions(step, n);
    } else if (n.op->name == "ShapeOf" && values[n.inputs[0]].is_tensor()) {
      out = evaluate_node(graph, step.id, {values[n.inputs[0]].any()});  // the layout is no matter
    } else if (step.grows && run_grown(n, node.as<Concat>()->axis)) {
      step.kernel = "append";
      return;
    } else if (const auto* search = node.as<NonZero>(); search && run_non_zero(n, search->output_type)) {
      step.kernel = "non_zero";
      return;
    } else if (step.plannable && run_planned(step, n)) {
      return;
    } else {
      out = evaluate_node(graph, step.id, plain_inputs(n));
    }
    for (size_t o = 0; o < n.outputs.size(); ++o) {
      if (out[o].is_tensor() && out[o].tensor().size() >= shared->worthwhile_elements) step.large = true;
      values[n.outputs[o]] = {out[o], {}};
    }
  }

  std::vector<Datum> run(const std::vector<Datum>& inputs, VariableStore* variables) {
    values.assign(graph.value_capacity(), {});
    std::vector<size_t> left = uses;
    for (size_t i = 0; i < inputs.size(); ++i) values[graph.node(graph.parameters()[i]).outputs[0]] = {inputs[i], {}};
    for (NodeId id = 0; id < graph.node_capacity(); ++id) {
      if (!graph.alive(id) || graph.node(id).op != &op_def<Constant>()) continue;
      const ValueId v = graph.node(id).outputs[0];
      values[v] = {graph.value_handle(v).constant(), {}};
    }
    std::vector<Datum> results(graph.results().size());
    std::map<std::string, Datum> assigned;
    using Clock = std::chrono::steady_clock;
    for (Step& step : steps) {
      const NodeData& n = graph.node(step.id);
      const auto before = shared->profile ? Clock::now() : Clock::time_point();
      if (n.op == &op_def<Result>()) {
        for (size_t r = 0; r < results.size(); ++r) {
          if (graph.results()[r] == step.id) results[r] = plain(values[n.inputs[0]]);
        }
      } else {
        try {
          run_step(step, variables, assigned);
        } catch (const Error& e) {
          const std::string where = e.where().empty() && !n.name.empty() ? "node '" + n.name + "'" : e.where();
          const std::string prefix = e.message().starts_with("[") ? "" : "[" + std::string(n.op->name) + "] ";
          throw Error(e.code(), prefix + e.message(), where, e.hint());
        }
      }
      if (shared->profile) {
        step.microseconds = std::chrono::duration<double, std::micro>(Clock::now() - before).count();
        step.shortest = step.shortest > 0 ? std::min(step.shortest, step.microseconds) : step.microseconds;
      }
      for (ValueId v : n.inputs) {
        if (v != no_id && --left[v] == 0) values[v] = {};
      }
      for (ValueId v : n.outputs) {
        if (uses[v] == 0) values[v] = {};
      }
    }
    if (variables) {
      for (auto& [name, value] : assigned) (*variables)[name] = std::move(value);
    }
    values.clear();
    return results;
  }
};

std::vector<Datum> StepwiseGraph::Impl::run_regions(Step& step, const NodeData& n) {
  const auto run_region = [&](size_t r, const std::vector<Datum>& inputs) {
    auto& region = step.regions[r];
    if (!region) region.reset(new StepwiseGraph(*n.regions[r], shared));
    return region->impl_->run(inputs, nullptr);
  };
  RegionContext ctx(plain_inputs(n), n.outputs.size(), n.regions, run_region);
  step.kernel = "regions";
  try {
    n.op->eval(n.attributes.get(), ctx);
  } catch (const std::out_of_range&) {
    throw Error(ErrorCode::failed, "an input is missing or of too low a rank");
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::failed, "out of memory");
  }
  return ctx.take_outputs();
}

StepwiseGraph::StepwiseGraph(Graph graph, const StepwiseOptions& options)
    : StepwiseGraph(std::move(graph), std::make_shared<Shared>(options)) {}
StepwiseGraph::StepwiseGraph(Graph graph, std::shared_ptr<Shared> shared)
    : impl_(std::make_unique<Impl>(std::move(graph), std::move(shared))) {}
StepwiseGraph::~StepwiseGraph() = default;

std::vector<Datum> StepwiseGraph::run(const std::vector<Datum>& inputs, VariableStore* variables) {
  if (inputs.size() != impl_->graph.parameters().size()) {
    throw Error(ErrorCode::usage, "[run] " + std::to_string(inputs.size()) + " inputs given, the model has " +
                                      std::to_string(impl_->graph.parameters().size()));
  }
  const PoolUse use(*impl_->shared->options.pool);
  return impl_->run(inputs, variables);
}

const Graph& StepwiseGraph::graph() const {
  return impl_->graph;
}

std::vector<StepProfile> StepwiseGraph::profile() const {
  std::vector<StepProfile> p;
  for (const Impl::Step& s : impl_->steps) {
    const NodeData& n = impl_->graph.node(s.id);
    p.push_back({std::string(n.op->name), n.name, s.kernel, s.microseconds, s.shortest});
  }
  return p;
}

}  // namespace hone
