#include "compile/emit.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/file_pages.hpp"
#include "compile/memory_plan.hpp"
#include "cpu/features.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

// Constants as kernels may use them where they lie: aligned, with a readable vector behind the end.
Tensor usable(const Tensor& t) {
  const auto at = reinterpret_cast<uintptr_t>(t.raw());
  const uintptr_t last = at + std::max<size_t>(t.byte_size(), 1) - 1;
  const bool good = at % memory_alignment == 0 && last / 4096 == (last + memory_alignment) / 4096;
  return good ? t : t.clone();
}

Tensor raw_bytes(const Tensor& t) {
  return Tensor(ElementType::u8, {static_cast<int64_t>(t.byte_size())}, t.raw(), std::make_shared<Tensor>(t));
}

class Emitter {
 public:
  Emitter(Graph& g, const Legalized& l, const std::map<std::string, DeclaredState>& states,
          const SelectOptions& options)
      : g_(g), choices_(l.choices), declared_(states), options_(options) {}

  Program run() {
    p_.target = cpu::to_string(cpu::features());
    tensor_of_.assign(g_.value_capacity(), no_tensor);
    sources();
    declare_states();
    const auto order = g_.topological_order();
    pack_constants(order);
    for (NodeId id : order) node(id);
    bind_results();
    bind_states();
    place();
    finish_copies();
    verify(p_);
    return std::move(p_);
  }

 private:
  uint32_t add_tensor(const Type& t) {
    ProgramTensor x;
    x.type = t.element;
    x.shape = t.shape.to_shape();
    x.layout = t.layout;
    x.quantization = t.quantization;
    if (x.type == ElementType::string || x.type == ElementType::dynamic)
      throw Error(ErrorCode::unsupported, std::string("[compile] a tensor of ") + name_of(x.type));
    x.bytes = byte_size(x.type, static_cast<size_t>(element_count(x.shape)));
    x.root = static_cast<uint32_t>(p_.tensors.size());
    p_.tensors.push_back(std::move(x));
    return p_.tensors.back().root;
  }

  uint32_t add_constant(const Type& type, const Tensor& value, const std::string& form = {}) {
    const uint32_t t = add_tensor(type);
    ProgramTensor& x = p_.tensors[t];
    x.place = Place::constant;
    x.packed = form;
    x.bytes = value.byte_size();
    const auto key = std::make_pair(value.raw(), value.byte_size());
    const auto [it, fresh] = constant_of_.emplace(key, static_cast<uint32_t>(p_.constants.size()));
    if (fresh) {
      p_.constants.push_back(raw_bytes(form.empty() ? usable(value) : value));
      kept_.push_back(value);  // its address is the key
    }
    x.index = it->second;
    return t;
  }

  uint32_t tensor(ValueId v) {
    if (v == no_id) return no_tensor;
    uint32_t& t = tensor_of_[v];
    if (t == no_tensor) {
      if (const Tensor c = g_.value_handle(v).constant()) t = add_constant(g_.value(v).type, c);
    }
    if (t == no_tensor)
      throw Error(ErrorCode::failed, "[compile] a value is used before it is computed",
                  g_.value_handle(v).node().name());
    return t;
  }

  void sources() {
    for (NodeId id : g_.parameters()) {
      const ValueId v = g_.node(id).outputs[0];
      const uint32_t t = add_tensor(g_.value(v).type);
      p_.tensors[t].place = Place::input;
      p_.tensors[t].index = static_cast<uint32_t>(p_.inputs.size());
      p_.inputs.push_back(port(g_.node(id).name, g_.value(v).names, t));
      tensor_of_[v] = t;
    }
  }

  static ProgramPort port(const std::string& name, std::vector<std::string> names, uint32_t t) {
    ProgramPort p{name, std::move(names), t};
    if (p.name.empty() && !p.names.empty()) p.name = p.names[0];
    return p;
  }

  // The states in the model's order of names, read or not.
  void declare_states() {
    for (const auto& [name, declared] : declared_) {
      const uint32_t t = add_tensor(declared.type);
      p_.tensors[t].place = Place::state;
      p_.tensors[t].index = static_cast<uint32_t>(p_.states.size());
      ProgramState s;
      s.name = name;
      s.tensor = t;
      s.trainable = declared.trainable;
      if (declared.initial) s.initial = add_constant(declared.type, declared.initial);
      state_of_[name] = static_cast<uint32_t>(p_.states.size());
      p_.states.push_back(std::move(s));
    }
  }

  void state(NodeId id) {
    const auto* v = g_.handle(id).as<Variable>();
    const std::string& name = v ? v->variable_id : g_.handle(id).as<ReadValue>()->variable_id;
    tensor_of_[g_.node(id).outputs[0]] = p_.states[state_of_.at(name)].tensor;
  }

  // Grouping, strides and the like may be part of how a kernel packs, so equal forms of equal weights are shared per
  // operator.
  using PackKey = std::tuple<const void*, std::string, std::string, std::vector<uint8_t>>;
  static PackKey pack_key(const KernelQuery& q, const PackedInput& pack) {
    return {q.inputs[pack.input].value.raw(), pack.form, std::string(q.op), {q.attributes.begin(), q.attributes.end()}};
  }

  void free_constant(NodeId id) { g_.set_attributes(id, std::make_shared<Constant>()); }

  // All packed forms, side by side: each is one thread's work. Who packs a constant last frees it.
  void pack_constants(const std::vector<NodeId>& order) {
    struct Job {
      std::vector<uint8_t> attributes;
      KernelQuery query;
      const Kernel* kernel;
      PackedInput pack;
      Tensor* result;
      NodeId source;
      std::exception_ptr error;
    };
    std::deque<Job> jobs;
    std::unordered_map<NodeId, std::atomic<size_t>> waiting;  // jobs and other readers of each constant
    for (NodeId id : order) {
      const auto choice = choices_.find(id);
      if (choice == choices_.end()) continue;
      const NodeData& n = g_.node(id);
      for (const PackedInput& pack : choice->second.plan.packs) {
        Job& job = jobs.emplace_back();
        job.attributes = attribute_bytes(*n.op, n.attributes.get());
        job.query = query_of(g_, id, choice->second.epilogue, job.attributes, options_);
        job.kernel = choice->second.kernel;
        job.pack = pack;
        if (pack.input >= job.query.inputs.size() || !job.query.inputs[pack.input].value) {
          throw Error(ErrorCode::failed,
                      std::string("[compile] ") + job.kernel->name + " packs an input that is not constant");
        }
        const ValueData& from = g_.value(n.inputs[pack.input]);
        job.source = from.producer;
        const auto readers = waiting.try_emplace(job.source, from.uses.size()).first;
        const auto [it, fresh] = packed_.emplace(pack_key(job.query, pack), Tensor());
        packed_of_[{id, pack.input}] = &it->second;
        if (fresh) {
          job.result = &it->second;
        } else {
          if (--readers->second == 0) free_constant(job.source);
          jobs.pop_back();
        }
      }
    }
    auto pack = [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        Job& job = jobs[static_cast<size_t>(i)];
        try {
          *job.result = job.kernel->pack(job.query, job.pack);
          const Tensor& plain = job.query.inputs[job.pack.input].value;
          release_mapped({static_cast<const uint8_t*>(plain.raw()), plain.byte_size()});
          job.query = {};
          if (--waiting.at(job.source) == 0) free_constant(job.source);
        } catch (...) {
          job.error = std::current_exception();
        }
      }
    };
    const auto count = static_cast<int64_t>(jobs.size());
    if (options_.pool)
      options_.pool->parallel_for_dynamic(count, 1, pack);
    else
      pack(0, count, 0);
    for (const Job& job : jobs) {
      if (job.error) std::rethrow_exception(job.error);
    }
  }

  void node(NodeId id) {
    const NodeData& n = g_.node(id);
    const std::string_view op = n.op->name;
    if (op == "Variable" || op == "ReadValue") return state(id);
    if (is_structural(*n.op)) return;
    const auto choice = choices_.find(id);
    if (choice == choices_.end()) {
      if (!is_view(g_, id)) throw Error(ErrorCode::failed, "[compile] no kernel was chosen", "node '" + n.name + "'");
      const uint32_t from = tensor(n.inputs[0]);
      const uint32_t t = add_tensor(g_.value(n.outputs[0]).type);
      ProgramTensor& x = p_.tensors[t];
      x.root = p_[from].root;
      x.place = p_[from].place;
      x.index = p_[from].index;
      tensor_of_[n.outputs[0]] = t;
      return;
    }
    ProgramStep s;
    s.op = op;
    s.name = n.name;
    s.kernel = choice->second.kernel->name;
    s.attributes = attribute_bytes(*n.op, n.attributes.get());
    s.num_op_inputs = static_cast<uint32_t>(g_.num_op_inputs(id));
    s.epilogue = choice->second.epilogue;
    s.bf16_compute = options_.bf16_compute;
    std::vector<bool> is_packed(n.inputs.size(), false);
    s.inputs.assign(n.inputs.size(), no_tensor);
    if (!choice->second.plan.packs.empty()) {
      for (const PackedInput& pack : choice->second.plan.packs) {
        const Tensor& form = *packed_of_.at({id, pack.input});
        s.inputs.at(pack.input) = add_constant(g_.value(n.inputs.at(pack.input)).type, form, pack.form);
        is_packed[pack.input] = true;
      }
    }
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      if (!is_packed[i]) s.inputs[i] = tensor(n.inputs[i]);
    }
    for (ValueId v : n.outputs) {
      const uint32_t t = add_tensor(g_.value(v).type);
      s.outputs.push_back(t);
      if (g_.value(v).uses.empty())
        p_.tensors[t].place = Place::nowhere;
      else
        tensor_of_[v] = t;
    }
    // Pairs that the kernel allows; those that come true stay.
    const KernelPlan& plan = choice->second.plan;
    if (plan.in_place_input >= 0) s.in_place.emplace_back(0u, static_cast<uint32_t>(plan.in_place_input));
    for (const auto& pair : plan.in_place) {
      if (std::find(s.in_place.begin(), s.in_place.end(), pair) == s.in_place.end()) s.in_place.push_back(pair);
    }
    p_.steps.push_back(std::move(s));
  }

  uint32_t root(uint32_t t) const { return p_[t].root; }
  // A tensor computed by a step whose memory is not spoken for.
  bool is_free(uint32_t t) const { return p_[root(t)].place == Place::arena && !bound_.contains(root(t)); }

  // A copy in the arena. Early: of what is there from the beginning, before any step can replace it; else behind all
  // steps.
  uint32_t copy_of(uint32_t from, bool early) {
    ProgramTensor x = p_[from];
    x.root = static_cast<uint32_t>(p_.tensors.size());
    x.place = Place::arena;
    x.index = 0;
    const uint32_t to = x.root;
    p_.tensors.push_back(std::move(x));
    copy_step(from, to, early);
    return to;
  }
  void copy_step(uint32_t from, uint32_t to, bool early) {
    ProgramStep s;
    s.op = "Copy";
    s.inputs = {from};
    s.outputs = {to};
    s.num_op_inputs = 1;
    (early ? early_ : late_).push_back(std::move(s));
  }

  void bind_results() {
    for (NodeId id : g_.results()) {
      const ValueId v = g_.node(id).inputs[0];
      const uint32_t t = tensor(v);
      const auto index = static_cast<uint32_t>(p_.outputs.size());
      uint32_t out = t;
      if (is_free(t)) {
        p_.tensors[root(t)].place = Place::output;
        p_.tensors[root(t)].index = index;
        bound_.insert(root(t));
      } else {
        ProgramTensor x = p_[t];
        x.root = out = static_cast<uint32_t>(p_.tensors.size());
        x.place = Place::output;
        x.index = index;
        x.offset = 0;
        x.packed.clear();
        p_.tensors.push_back(x);
        // Computed values are copied at the end, all others at once.
        const Place place = p_[root(t)].place;
        copy_step(t, out, place != Place::arena && place != Place::output);
      }
      std::vector<std::string> names = g_.value(v).names;
      p_.outputs.push_back(
          port(g_.node(id).name.empty() && names.empty() ? g_.value_handle(v).node().name() : g_.node(id).name,
               std::move(names), out));
    }
  }

  void bind_states() {
    // First and last steps that read each root.
    std::vector<uint32_t> last_read(p_.tensors.size(), 0), writer(p_.tensors.size(), no_tensor);
    std::vector<bool> read(p_.tensors.size(), false);
    for (uint32_t s = 0; s < p_.steps.size(); ++s) {
      for (uint32_t t : p_.steps[s].inputs) {
        if (t == no_tensor) continue;
        last_read[root(t)] = s;
        read[root(t)] = true;
      }
      for (uint32_t t : p_.steps[s].outputs) {
        if (t != no_tensor) writer[t] = s;
      }
    }
    for (NodeId id = 0; id < g_.node_capacity(); ++id) {
      if (!g_.alive(id)) continue;
      const auto* assign = g_.handle(id).as<Assign>();
      if (!assign) continue;
      const auto known = state_of_.find(assign->variable_id);
      if (known == state_of_.end())
        throw Error(ErrorCode::failed, "[Assign] there is no variable '" + assign->variable_id + "'",
                    "node '" + g_.node(id).name + "'");
      ProgramState& state = p_.states[known->second];
      if (state.next != no_tensor)
        throw Error(ErrorCode::failed, "[Assign] variable '" + assign->variable_id + "' is assigned twice",
                    "node '" + g_.node(id).name + "'");
      const uint32_t t = tensor(g_.node(id).inputs[0]);
      const ProgramTensor &next = p_[t], &old = p_[state.tensor];
      if (next.bytes != old.bytes || next.type != old.type)
        throw Error(ErrorCode::unsupported, "[Assign] changes the shape of '" + assign->variable_id + "'",
                    "node '" + g_.node(id).name + "'");
      if (root(t) == state.tensor) continue;  // stays as it is
      if (p_[root(t)].place == Place::state) {
        // The old content of another state is saved before anything replaces it, a new one when all is done.
        const bool old_content = p_.states[p_[root(t)].index].tensor == root(t);
        state.next = copy_of(t, old_content);
        bound_.insert(state.next);
        continue;
      }
      state.next = t;
      if (!is_free(t)) continue;
      bound_.insert(root(t));
      const uint32_t w = writer[root(t)];
      bool donate = !read[state.tensor] || last_read[state.tensor] < w;
      if (!donate && last_read[state.tensor] == w) {
        // Read by the very step that writes: its kernel must allow the pair, and nothing else of the step may read the
        // state.
        const ProgramStep& s = p_.steps[w];
        const auto readers = std::count_if(s.inputs.begin(), s.inputs.end(),
                                           [&](uint32_t i) { return i != no_tensor && root(i) == state.tensor; });
        donate = readers == 1 && std::any_of(s.in_place.begin(), s.in_place.end(), [&](const auto& pair) {
                   return s.outputs[pair.first] == root(t) && s.inputs[pair.second] != no_tensor &&
                          root(s.inputs[pair.second]) == state.tensor;
                 });
      }
      if (donate) {
        p_.tensors[root(t)].place = Place::state;
        p_.tensors[root(t)].index = known->second;
      }
    }
  }

  // Copies take their place before and behind the steps, then lifetimes, shared blocks and offsets.
  void place() {
    p_.steps.insert(p_.steps.begin(), early_.begin(), early_.end());
    p_.steps.insert(p_.steps.end(), late_.begin(), late_.end());
    const auto steps = static_cast<uint32_t>(p_.steps.size());
    constexpr uint32_t never = ~0u;
    std::vector<uint32_t> first(p_.tensors.size(), never), last(p_.tensors.size(), 0);
    for (uint32_t s = 0; s < steps; ++s) {
      for (uint32_t t : p_.steps[s].outputs) {
        if (t != no_tensor) first[t] = last[t] = s;
      }
      for (uint32_t t : p_.steps[s].inputs) {
        if (t != no_tensor) last[root(t)] = s;
      }
    }
    for (const ProgramState& s : p_.states) {
      if (s.next != no_tensor) last[root(s.next)] = steps;
    }
    std::vector<uint32_t> block_of(p_.tensors.size(), no_tensor);
    std::vector<MemoryBlock> blocks;
    for (uint32_t s = 0; s < steps; ++s) {
      ProgramStep& step = p_.steps[s];
      std::vector<std::pair<uint32_t, uint32_t>> kept;
      std::vector<bool> taken(step.inputs.size(), false);
      for (const auto& pair : step.in_place) {
        const uint32_t out = step.outputs.at(pair.first), in = step.inputs.at(pair.second);
        if (out == no_tensor || in == no_tensor || taken[pair.second] || p_[out].bytes != p_[in].bytes ||
            block_of[out] != no_tensor)
          continue;
        const auto readers = std::count_if(step.inputs.begin(), step.inputs.end(),
                                           [&](uint32_t i) { return i != no_tensor && root(i) == root(in); });
        const bool same_state =
            p_[out].place == Place::state && p_[root(in)].place == Place::state && p_[out].index == p_[root(in)].index;
        const bool reuse = p_[out].place == Place::arena && p_[root(in)].place == Place::arena && last[root(in)] == s &&
                           readers == 1 && block_of[root(in)] != no_tensor;
        if (!same_state && !reuse) continue;
        taken[pair.second] = true;
        kept.push_back(pair);
        if (reuse) {
          block_of[out] = block_of[root(in)];
          blocks[block_of[out]].last = std::max(blocks[block_of[out]].last, last[out]);
        }
      }
      step.in_place = std::move(kept);
      for (uint32_t out : step.outputs) {
        if (out == no_tensor || p_[out].place != Place::arena || block_of[out] != no_tensor) continue;
        block_of[out] = static_cast<uint32_t>(blocks.size());
        blocks.push_back({p_[out].bytes, first[out], last[out]});
      }
    }
    const MemoryPlan plan = plan_memory(blocks, options_.threads > 1);
    p_.arena_bytes = plan.bytes;
    for (uint32_t t = 0; t < p_.tensors.size(); ++t) {
      if (block_of[t] != no_tensor) p_.tensors[t].offset = plan.offsets[block_of[t]];
    }
  }

  void finish_copies() {
    for (ProgramTensor& t : p_.tensors) {
      const ProgramTensor& r = p_[t.root];
      t.place = r.place;
      t.index = r.index;
      t.offset = r.offset;
      t.bytes = r.bytes;
    }
  }

  Graph& g_;
  const std::unordered_map<NodeId, Choice>& choices_;
  const std::map<std::string, DeclaredState>& declared_;
  SelectOptions options_;
  Program p_;
  std::vector<uint32_t> tensor_of_;
  std::vector<ProgramStep> early_, late_;
  std::unordered_set<uint32_t> bound_;
  std::map<std::string, uint32_t> state_of_;
  std::map<std::pair<const void*, size_t>, uint32_t> constant_of_;
  std::map<PackKey, Tensor> packed_;
  std::map<std::pair<NodeId, size_t>, const Tensor*> packed_of_;
  std::vector<Tensor> kept_;
};

}  // namespace

std::map<std::string, DeclaredState> declared_states(const Graph& g) {
  std::map<std::string, DeclaredState> states;
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    const Node n = g.handle(id);
    std::string name;
    DeclaredState s;
    if (const auto* v = n.as<Variable>()) {
      name = v->variable_id;
      s = {n.output(0).type(), v->value, v->trainable};
    } else if (const auto* r = n.as<ReadValue>()) {
      name = r->variable_id;
      s.type = n.output(0).type();
      if (n.num_inputs() > 0 && n.input(0)) {
        s.initial = n.input(0).constant();
        if (!s.initial)
          throw Error(ErrorCode::unsupported, "[ReadValue] the initial value is computed by the model",
                      "node '" + n.name() + "'");
      }
    } else {
      continue;
    }
    s.type.layout = Layout::plain;
    const auto [it, fresh] = states.emplace(name, s);
    if (!fresh && it->second.type != s.type)
      throw Error(ErrorCode::failed, "[compile] two variables are called '" + name + "'");
  }
  return states;
}

Program emit(Graph& g, const Legalized& legalized, const std::map<std::string, DeclaredState>& states,
             const SelectOptions& options) {
  return Emitter(g, legalized, states, options).run();
}

}  // namespace hone
