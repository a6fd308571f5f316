#include "program/program.hpp"

namespace hone {

KernelQuery query_of(const Program& p, const ProgramStep& step, int threads, bool with_values) {
  KernelQuery q;
  q.op = step.op;
  q.attributes = step.attributes;
  q.num_op_inputs = step.num_op_inputs;
  q.epilogue = step.epilogue;
  q.threads = threads;
  q.bf16_compute = step.bf16_compute;
  const auto desc = [&](uint32_t t) {
    TensorDesc d;
    d.present = t != no_tensor;
    if (!d.present) return d;
    const ProgramTensor& x = p[t];
    d.present = x.place != Place::nowhere;
    d.type = x.type;
    d.shape = x.shape;
    d.layout = x.layout;
    d.quantization = x.quantization;
    d.constant = x.place == Place::constant;
    d.packed = x.packed;
    if (d.constant && with_values && x.packed.empty())
      d.value = Tensor(x.type, x.shape, p.constants[x.index].raw(), std::make_shared<Tensor>(p.constants[x.index]));
    return d;
  };
  for (uint32_t t : step.inputs) q.inputs.push_back(desc(t));
  for (uint32_t t : step.outputs) q.outputs.push_back(desc(t));
  return q;
}

std::string to_text(const Program& p) {
  static constexpr const char* places[] = {"arena", "constant", "input", "output", "state", "nowhere"};
  const auto tensor = [&](uint32_t t) {
    if (t == no_tensor) return std::string("_");
    const ProgramTensor& x = p[t];
    std::string s = "%" + std::to_string(t) + ":" + name_of(x.type) + to_string(x.shape);
    if (x.layout != Layout::plain) s += std::string("@") + name_of(x.layout);
    if (!x.packed.empty()) s += "#" + x.packed;
    return s + " " + places[static_cast<int>(x.place)] + "+" +
           std::to_string(x.place == Place::arena ? x.offset : x.index);
  };
  std::string s = "program for " + p.target + ", arena " + std::to_string(p.arena_bytes) + " bytes\n";
  for (const ProgramPort& i : p.inputs) s += "input " + i.name + " = " + tensor(i.tensor) + "\n";
  for (const ProgramState& v : p.states)
    s += "state " + v.name + " = " + tensor(v.tensor) + (v.next == no_tensor ? "" : " <- " + tensor(v.next)) + "\n";
  for (const ProgramStep& step : p.steps) {
    for (size_t o = 0; o < step.outputs.size(); ++o) s += (o ? ", " : "") + tensor(step.outputs[o]);
    s += " = " + step.op + " [" + step.kernel + "](";
    for (size_t i = 0; i < step.inputs.size(); ++i) s += (i ? ", " : "") + tensor(step.inputs[i]);
    s += ")";
    if (!step.epilogue.empty()) s += " +" + std::to_string(step.epilogue.steps.size()) + " epilogue steps";
    for (const auto& [o, i] : step.in_place) s += " in place " + std::to_string(o) + "<-" + std::to_string(i);
    s += step.name.empty() ? "\n" : " '" + step.name + "'\n";
  }
  for (const ProgramPort& o : p.outputs) s += "output " + o.name + " = " + tensor(o.tensor) + "\n";
  return s;
}

}  // namespace hone
