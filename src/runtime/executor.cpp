#include "runtime/executor.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "base/checked.hpp"
#include "base/pool_use.hpp"
#include "cpu/registry.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

bool same_forms(const KernelQuery& q, const KernelPlan& plan) {
  std::vector<const std::string*> wanted(q.inputs.size(), nullptr);
  for (const PackedInput& p : plan.packs) {
    if (p.input >= q.inputs.size()) return false;
    wanted[p.input] = &p.form;
  }
  for (size_t i = 0; i < q.inputs.size(); ++i) {
    if ((wanted[i] ? *wanted[i] : std::string()) != q.inputs[i].packed) return false;
  }
  return true;
}

bool allows_in_place(const KernelPlan& plan, const ProgramStep& step) {
  return std::all_of(step.in_place.begin(), step.in_place.end(), [&](const auto& pair) {
    if (pair.first == 0 && static_cast<int>(pair.second) == plan.in_place_input) return true;
    return std::find(plan.in_place.begin(), plan.in_place.end(), pair) != plan.in_place.end();
  });
}

}  // namespace

AlignedMemory::AlignedMemory(size_t bytes) : size_(bytes) {
  // Large arenas on large pages: a training step walks hundreds of megabytes, and each 4 KiB page costs a fault and a
  // TLB entry.
  constexpr size_t large = size_t{2} << 20;
  const size_t alignment = bytes >= 2 * large ? large : memory_alignment;
  const size_t padded = checked_add(bytes, size_t{memory_alignment} + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, padded);
  if (!p) throw Error(ErrorCode::failed, "[session] out of memory for " + std::to_string(bytes) + " bytes");
  owner_ = std::shared_ptr<void>(p, [](void* q) { std::free(q); });
#if defined(MADV_HUGEPAGE)
  if (alignment == large) madvise(p, padded, MADV_HUGEPAGE);
#endif
  if (alignment != large) std::memset(p, 0, padded);
  data_ = static_cast<uint8_t*>(p);
}

void AlignedMemory::touch(ThreadPool& pool) const {
  constexpr size_t page = 4096, block = size_t{2} << 20;
  pool.parallel_for(static_cast<int64_t>((size_ + block - 1) / block), 1, [&](int64_t first, int64_t last, int) {
    const size_t end = std::min(size_, static_cast<size_t>(last) * block);
    for (size_t at = static_cast<size_t>(first) * block; at < end; at += page) {
      static_cast<volatile uint8_t*>(data_)[at] = 0;
    }
  });
}

const Kernel* choose_kernel(const KernelQuery& query, const ProgramStep& step) {
  const Kernel* best = nullptr;
  double best_cost = 0;
  std::string refusals;
  for (const Kernel* k : cpu::kernels_for(step.op)) {
    const bool first_choice = step.kernel == k->name;
    try {
      const Support support = k->supports(query);
      if (!support) {
        refusals += std::string(refusals.empty() ? "" : "; ") + k->name + ": " + support.why();
        continue;
      }
      const KernelPlan plan = k->plan(query);
      if (!same_forms(query, plan) || !allows_in_place(plan, step)) {
        refusals += std::string(refusals.empty() ? "" : "; ") + k->name + ": wants other packed forms";
        continue;
      }
      if (first_choice) return k;
      if (!best || plan.cost < best_cost) {
        best = k;
        best_cost = plan.cost;
      }
    } catch (const Error& e) {
      refusals += std::string(refusals.empty() ? "" : "; ") + k->name + ": " + e.message();
    }
  }
  if (!best) {
    throw Error(ErrorCode::unsupported,
                "[" + step.op + "] no kernel of this CPU takes what was compiled for " + step.kernel +
                    (refusals.empty() ? "" : " (" + refusals + ")"),
                "step '" + step.name + "'", "compile the model for this CPU");
  }
  return best;
}

Executor::Executor(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool)
    : program_(std::move(program)), pool_(std::move(pool)), arena_(program_->arena_bytes) {
  const Program& p = *program_;
  size_t scratch = 0;
  const auto slot = [&](uint32_t t, bool output, uint32_t position) -> uint8_t* {
    if (t == no_tensor) return nullptr;
    const ProgramTensor& x = p[t];
    switch (x.place) {
      case Place::arena:
        return arena_.data() + x.offset;
      case Place::constant:
        return static_cast<uint8_t*>(const_cast<void*>(p.constants[x.index].raw()));
      case Place::nowhere:
        return nullptr;
      default:
        patches_.push_back({position, x.index, x.place, output});
        return nullptr;
    }
  };
  for (const ProgramStep& s : p.steps) {
    Step step;
    step.first_input = static_cast<uint32_t>(inputs_.size());
    step.num_inputs = static_cast<uint32_t>(s.inputs.size());
    step.first_output = static_cast<uint32_t>(outputs_.size());
    step.num_outputs = static_cast<uint32_t>(s.outputs.size());
    for (uint32_t t : s.inputs) inputs_.push_back(slot(t, false, static_cast<uint32_t>(inputs_.size())));
    for (uint32_t t : s.outputs) outputs_.push_back(slot(t, true, static_cast<uint32_t>(outputs_.size())));
    if (s.op == "Copy") {
      step.copy_bytes = static_cast<size_t>(p[s.inputs[0]].bytes);
      kernels_.push_back(nullptr);
    } else {
      const KernelQuery query = query_of(p, s, pool_->size());
      const Kernel* k = choose_kernel(query, s);
      kernels_.push_back(k);
      prepared_.push_back(k->prepare(query));
      step.kernel = prepared_.back().get();
      scratch = std::max(scratch, step.kernel->scratch_bytes());
    }
    steps_.push_back(step);
  }
  scratch_ = AlignedMemory(scratch);
  // In the middle: threads divide it, and each should find the memory there that it used before.
  for (Step& step : steps_) {
    const size_t room = step.kernel ? scratch - step.kernel->scratch_bytes() : 0;
    step.scratch = scratch_.data() + room / 2 / memory_alignment * memory_alignment;
  }
  arena_.touch(*pool_);
  scratch_.touch(*pool_);
  for (uint32_t i = 0; i < p.states.size(); ++i) {
    const ProgramState& s = p.states[i];
    if (s.next == no_tensor || p[s.next].place == Place::state) continue;
    const ProgramTensor& x = p[s.next];
    const void* from = x.place == Place::arena      ? arena_.data() + x.offset
                       : x.place == Place::constant ? p.constants[x.index].raw()
                                                    : nullptr;
    commits_.push_back({from, x.place, x.index, i, static_cast<size_t>(x.bytes)});
  }
}

void Executor::copy(void* to, const void* from, size_t bytes) noexcept {
  constexpr int64_t block = 4096;
  const auto blocks = static_cast<int64_t>((bytes + block - 1) / block);
  pool_->parallel_for(blocks, 64, [&](int64_t b, int64_t e, int) {
    const auto first = static_cast<size_t>(b * block), last = std::min(bytes, static_cast<size_t>(e * block));
    std::memcpy(static_cast<uint8_t*>(to) + first, static_cast<const uint8_t*>(from) + first, last - first);
  });
}

bool Executor::run(const Bindings& b, RunError& error) noexcept {
  const PoolUse use(*pool_);
  const auto bound = [&](Place place, uint32_t index) {
    return place == Place::input ? b.inputs[index] : place == Place::output ? b.outputs[index] : b.states[index];
  };
  for (const Patch& p : patches_) {
    if (p.output)
      outputs_[p.slot] = bound(p.place, p.index);
    else
      inputs_[p.slot] = bound(p.place, p.index);
  }
  using Clock = std::chrono::steady_clock;
  const bool profile = !b.times.last.empty();
  auto before = profile ? Clock::now() : Clock::time_point();
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    if (s.kernel) {
      s.kernel->run({{inputs_.data() + s.first_input, s.num_inputs},
                     {outputs_.data() + s.first_output, s.num_outputs},
                     s.scratch,
                     *pool_,
                     &error});
      if (error.failed) return false;
    } else if (s.copy_bytes > 0) {
      copy(outputs_[s.first_output], inputs_[s.first_input], s.copy_bytes);
    }
    if (profile) {
      const auto now = Clock::now();
      const double took = std::chrono::duration<double, std::micro>(now - before).count();
      b.times.last[i] = took;
      double& shortest = b.times.shortest[i];
      shortest = shortest > 0 ? std::min(shortest, took) : took;
      before = now;
    }
  }
  for (const Commit& c : commits_) {
    const void* from = c.from ? c.from : bound(c.place, c.index);
    if (c.bytes > 0) copy(b.states[c.state], from, c.bytes);
  }
  return true;
}

}  // namespace hone
