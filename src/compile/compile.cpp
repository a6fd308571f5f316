#include "compile/compile.hpp"

#include <chrono>

#include "compile/emit.hpp"
#include "compile/pipeline.hpp"
#include "cpu/reference/reference.hpp"
#include "hone/error.hpp"

namespace hone {

const char* name_of(Precision p) {
  switch (p) {
    case Precision::f32:
      return "f32";
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
    case Precision::automatic:
      return "auto";
  }
  return "f32";
}

Precision precision_from(std::string_view text) {
  for (Precision p : {Precision::f32, Precision::bf16, Precision::int8, Precision::automatic}) {
    if (text == name_of(p)) return p;
  }
  throw Error(ErrorCode::usage, "[compile] there is no precision '" + std::string(text) + "'", {},
              "use f32, bf16, int8 or auto");
}

std::string why_not_static(const Graph& g) {
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    const NodeData& n = g.node(id);
    const auto at = [&](const std::string& what) { return std::string(n.op->name) + " '" + n.name + "' " + what; };
    if (!n.regions.empty()) return at("is control flow");
    for (ValueId v : n.outputs) {
      const Type& t = g.value(v).type;
      if (!t.is_tensor()) return at("gives a sequence or map");
      if (t.element == ElementType::string) return at("gives strings");
      if (!t.is_static()) return at("gives " + to_string(t) + ", whose size is not known");
    }
    if (n.op->name == "ReadValue" && !n.inputs.empty() && n.inputs[0] != no_id && !g.handle(id).input(0).constant())
      return at("computes its initial value");
  }
  return {};
}

Program compile_program(Graph g, const CompileOptions& options, CompileReport* report) {
  const auto start = std::chrono::steady_clock::now();
  cpu::add_reference_kernels();
  CompileReport local;
  CompileReport& r = report ? *report : local;
  const auto states = declared_states(g);
  SelectOptions select = prepare(g, options, r);
  if (const std::string why = why_not_static(g); !why.empty()) throw Error(ErrorCode::unsupported, "[compile] " + why);
  const Legalized legalized = legalize(g, select, options.explain);
  for (const std::string& note : legalized.notes) r.explanation += note + "\n";
  Program p = emit(g, legalized, states, select);
  p.info["precision"] = name_of(options.precision);
  r.precision = options.precision;
  r.steps = p.steps.size();
  r.reference_steps = 0;
  for (const ProgramStep& s : p.steps) r.reference_steps += s.kernel.starts_with("reference_");
  r.arena_bytes = p.arena_bytes;
  r.constant_bytes = 0;
  for (const Tensor& c : p.constants) r.constant_bytes += c.byte_size();
  r.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return p;
}

}  // namespace hone
