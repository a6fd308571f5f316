// Follows the run step by step and remembers which tensor every byte belongs to. Shares no code with the planner.
#include <map>

#include "base/checked.hpp"
#include "hone/error.hpp"
#include "program/program.hpp"

namespace hone {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& where = {}) {
  throw Error(ErrorCode::unreadable, "[program] " + what, where);
}

// Disjoint byte ranges and their owners.
class Owners {
 public:
  void write(uint64_t begin, uint64_t end, uint32_t owner) {
    if (begin == end) return;
    split(begin);
    split(end);
    ranges_.erase(ranges_.lower_bound(begin), ranges_.lower_bound(end));
    ranges_[begin] = {end, owner};
  }
  bool holds(uint64_t begin, uint64_t end, uint32_t owner) const {
    if (begin == end) return true;
    auto it = ranges_.upper_bound(begin);
    if (it == ranges_.begin()) return false;
    --it;
    return it->second.end >= end && it->second.owner == owner;
  }

 private:
  struct Range {
    uint64_t end;
    uint32_t owner;
  };
  void split(uint64_t at) {
    auto it = ranges_.upper_bound(at);
    if (it == ranges_.begin()) return;
    --it;
    if (it->first < at && it->second.end > at) {
      ranges_[at] = it->second;
      it->second.end = at;
    }
  }
  std::map<uint64_t, Range> ranges_;
};

class Verifier {
 public:
  explicit Verifier(const Program& p)
      : p_(p), states_(p.states.size()), outputs_(p.outputs.size(), no_tensor), written_(p.tensors.size(), false) {}

  void run() {
    for (uint32_t t = 0; t < p_.tensors.size(); ++t) tensor(t);
    ports();
    for (const ProgramState& s : p_.states) states_[p_[s.tensor].index].write(0, p_[s.tensor].bytes, s.tensor);
    for (size_t s = 0; s < p_.steps.size(); ++s) {
      where_ = "step " + std::to_string(s) + " (" + p_.steps[s].op + " '" + p_.steps[s].name + "')";
      step(p_.steps[s]);
    }
    where_.clear();
    for (const ProgramPort& o : p_.outputs) {
      if (!valid(o.tensor)) fail("output '" + o.name + "' is not complete at the end of the run");
    }
    for (const ProgramState& s : p_.states) {
      const uint32_t last = s.next == no_tensor ? s.tensor : s.next;
      if (!valid(last)) fail("state '" + s.name + "' is lost in the run");
      // Commits are copied in order after the last step, so none may read what another one replaces.
      if (s.next != no_tensor && p_[s.next].place == Place::state && p_[s.next].index != p_[s.tensor].index) {
        fail("state '" + s.name + "' takes the memory of another state");
      }
    }
  }

 private:
  void tensor(uint32_t t) const {
    const ProgramTensor& x = p_[t];
    const std::string where = "tensor " + std::to_string(t);
    if (x.root >= p_.tensors.size() || p_[x.root].root != x.root) fail("a view of a tensor that has no memory", where);
    const ProgramTensor& r = p_[x.root];
    if (x.place != r.place || x.index != r.index || x.offset != r.offset || x.bytes != r.bytes)
      fail("a view lies elsewhere than its memory", where);
    for (int64_t d : x.shape) {
      if (d < 0) fail("negative dimension", where);
    }
    if (x.type == ElementType::dynamic || x.type == ElementType::string) fail("an element type without memory", where);
    const uint64_t bytes = byte_size(x.type, static_cast<size_t>(element_count(x.shape)));
    if (x.packed.empty() && x.bytes != bytes) fail("its size is not that of its shape", where);
    if (!x.packed.empty() && x.place != Place::constant) fail("packed, but not a constant", where);
    if (const Quantization* q = x.quantization.get()) {
      if (q->axis >= static_cast<int64_t>(x.shape.size()) || q->axis < -1)
        fail("quantization axis out of range", where);
      const size_t n = q->axis < 0 ? 1 : static_cast<size_t>(x.shape[static_cast<size_t>(q->axis)]);
      if ((q->scales.size() != n && q->scales.size() != 1) || q->scales.empty()) fail("wrong number of scales", where);
      if (!q->zero_points.empty() && q->zero_points.size() != n && q->zero_points.size() != 1)
        fail("wrong number of zero points", where);
    }
    switch (x.place) {
      case Place::arena:
        if (x.offset % memory_alignment || checked_add(x.offset, x.bytes) > p_.arena_bytes)
          fail("outside of the arena", where);
        break;
      case Place::constant:
        if (x.index >= p_.constants.size() || p_.constants[x.index].byte_size() < x.bytes)
          fail("outside of the constants", where);
        if (reinterpret_cast<uintptr_t>(p_.constants[x.index].raw()) % memory_alignment)
          fail("a constant is not aligned", where);
        break;
      case Place::input:
        if (x.index >= p_.inputs.size()) fail("no such input", where);
        break;
      case Place::output:
        if (x.index >= p_.outputs.size()) fail("no such output", where);
        break;
      case Place::state:
        if (x.index >= p_.states.size()) fail("no such state", where);
        break;
      case Place::nowhere:
        break;
      default:
        fail("unknown place", where);
    }
  }

  void ports() const {
    for (uint32_t i = 0; i < p_.inputs.size(); ++i) {
      const uint32_t t = known(p_.inputs[i].tensor);
      if (p_[t].place != Place::input || p_[t].index != i || p_[t].root != t)
        fail("input " + std::to_string(i) + " has no memory of its own");
    }
    for (uint32_t i = 0; i < p_.outputs.size(); ++i) {
      const uint32_t t = known(p_.outputs[i].tensor);
      if (p_[t].place != Place::output || p_[t].index != i)
        fail("output " + std::to_string(i) + " has no memory of its own");
    }
    for (uint32_t i = 0; i < p_.states.size(); ++i) {
      const ProgramState& s = p_.states[i];
      const uint32_t t = known(s.tensor);
      if (p_[t].place != Place::state || p_[t].index != i || p_[t].root != t)
        fail("state '" + s.name + "' has no memory of its own");
      if (s.next != no_tensor && p_[known(s.next)].bytes != p_[t].bytes)
        fail("state '" + s.name + "' changes its size");
      if (s.initial != no_tensor &&
          (p_[known(s.initial)].place != Place::constant || p_[s.initial].bytes != p_[t].bytes)) {
        fail("state '" + s.name + "' has no initial content");
      }
    }
    for (const ProgramTensor& t : p_.tensors) {
      // Memory of inputs, outputs and states has the size of its port.
      if (t.place == Place::input && t.bytes != p_[p_.inputs[t.index].tensor].bytes)
        fail("a tensor outgrows its input");
      if (t.place == Place::output && t.bytes != p_[p_.outputs[t.index].tensor].bytes)
        fail("a tensor outgrows its output");
      if (t.place == Place::state && t.bytes != p_[p_.states[t.index].tensor].bytes)
        fail("a tensor outgrows its state");
    }
  }

  uint32_t known(uint32_t t) const {
    if (t >= p_.tensors.size()) fail("tensor number out of range", where_);
    return t;
  }

  // Does the memory of `t` hold its content now?
  bool valid(uint32_t t) const {
    const uint32_t r = p_[t].root;
    const ProgramTensor& x = p_[r];
    switch (x.place) {
      case Place::constant:
      case Place::input:
        return true;
      case Place::output:
        return outputs_[x.index] == r;
      case Place::state:
        return states_[x.index].holds(0, x.bytes, r);
      case Place::arena:
        return written_[r] && arena_.holds(x.offset, x.offset + x.bytes, r);
      case Place::nowhere:
        return false;
    }
    return false;
  }

  bool overlap(uint32_t a, uint32_t b) const {
    const ProgramTensor &x = p_[a], &y = p_[b];
    if (x.place != y.place || x.place == Place::nowhere) return false;
    if (x.place != Place::arena) return x.index == y.index;
    return x.offset < y.offset + y.bytes && y.offset < x.offset + x.bytes;
  }

  void step(const ProgramStep& s) {
    if (s.num_op_inputs > s.inputs.size()) fail("wrong number of inputs", where_);
    for (const EpilogueOperand& o : s.epilogue.operands) {
      if (o.input < s.num_op_inputs || o.input >= s.inputs.size() || s.inputs[o.input] == no_tensor)
        fail("an epilogue operand is missing", where_);
    }
    const auto values = static_cast<int>(s.epilogue.operands.size()) + 1;
    for (size_t i = 0; i < s.epilogue.steps.size(); ++i) {
      const EpilogueStep& e = s.epilogue.steps[i];
      const int known_values = values + static_cast<int>(i);
      if (e.a < 0 || e.a >= known_values || e.b < -1 || e.b >= known_values)
        fail("an epilogue step reads what is not computed yet", where_);
      if (e.op > EpilogueOp::round || (e.op <= EpilogueOp::prelu && e.b < 0)) fail("malformed epilogue", where_);
    }
    if (!s.epilogue.empty() && (s.outputs.empty() || s.outputs[0] == no_tensor))
      fail("an epilogue without a result", where_);
    for (uint32_t t : s.inputs) {
      if (t != no_tensor && !valid(known(t)))
        fail("reads tensor " + std::to_string(t) + ", whose memory does not hold it", where_);
    }
    if (s.op == "Copy") {
      if (s.inputs.size() != 1 || s.outputs.size() != 1 || s.inputs[0] == no_tensor || s.outputs[0] == no_tensor ||
          p_[s.inputs[0]].bytes != p_[s.outputs[0]].bytes) {
        fail("malformed copy", where_);
      }
    }
    for (const auto& [o, i] : s.in_place) {
      if (o >= s.outputs.size() || i >= s.inputs.size() || s.outputs[o] == no_tensor || s.inputs[i] == no_tensor)
        fail("malformed in-place pair", where_);
      const ProgramTensor &out = p_[known(s.outputs[o])], &in = p_[s.inputs[i]];
      if (out.bytes != in.bytes || out.offset != in.offset || out.place != in.place || out.index != in.index)
        fail("an in-place pair lies apart", where_);
    }
    for (uint32_t o = 0; o < s.outputs.size(); ++o) {
      const uint32_t t = s.outputs[o];
      if (t == no_tensor) continue;
      const ProgramTensor& x = p_[known(t)];
      if (x.root != t) fail("writes a view", where_);
      if (x.place == Place::constant || x.place == Place::input) fail("writes what is read-only", where_);
      if (written_[t]) fail("writes a tensor twice", where_);
      for (uint32_t i = 0; i < s.inputs.size(); ++i) {
        if (s.inputs[i] == no_tensor || !overlap(t, s.inputs[i])) continue;
        bool declared = false;
        for (const auto& pair : s.in_place) declared |= pair.first == o && s.inputs[pair.second] == s.inputs[i];
        if (!declared) fail("output " + std::to_string(o) + " overlaps input " + std::to_string(i), where_);
      }
      for (uint32_t other = 0; other < o; ++other) {
        if (s.outputs[other] != no_tensor && overlap(t, s.outputs[other])) fail("two outputs overlap", where_);
      }
    }
    for (uint32_t t : s.outputs) {
      if (t == no_tensor) continue;
      const ProgramTensor& x = p_[t];
      written_[t] = true;
      if (x.place == Place::arena) arena_.write(x.offset, x.offset + x.bytes, t);
      if (x.place == Place::state) states_[x.index].write(0, x.bytes, t);
      if (x.place == Place::output) outputs_[x.index] = t;
    }
  }

  const Program& p_;
  Owners arena_;
  std::vector<Owners> states_;
  std::vector<uint32_t> outputs_;
  std::vector<bool> written_;
  std::string where_;
};

}  // namespace

void verify(const Program& p) {
  Verifier(p).run();
}

}  // namespace hone
