#include "api/layer_profile.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "hone/profile.hpp"
#include "ops/matmul.hpp"

namespace hone {
namespace {

double size_of(const ProgramTensor& t) {
  return static_cast<double>(element_count(t.shape));
}

// Multiplications and additions of dense operators, from logical shapes.
double flop_of(const Program& p, const ProgramStep& s) {
  const auto in = [&](size_t i) -> const ProgramTensor* {
    return i < s.inputs.size() && s.inputs[i] != no_tensor ? &p[s.inputs[i]] : nullptr;
  };
  const ProgramTensor* out = s.outputs.empty() || s.outputs[0] == no_tensor ? nullptr : &p[s.outputs[0]];
  const ProgramTensor *x = in(0), *w = in(1);
  if (!out || !x || !w) return 0;
  if (s.op == "Convolution" && w->shape.size() > 1)
    return 2 * size_of(*out) * size_of(*w) / static_cast<double>(w->shape[0]);
  if (s.op == "GroupConvolution" && w->shape.size() > 2)
    return 2 * size_of(*out) * size_of(*w) / static_cast<double>(w->shape[0] * w->shape[1]);
  if (s.op == "ConvolutionBackpropData" && w->shape.size() > 1)
    return 2 * size_of(*x) * size_of(*w) / static_cast<double>(w->shape[0]);
  if (s.op == "GroupConvolutionBackpropData" && w->shape.size() > 2)
    return 2 * size_of(*x) * size_of(*w) / static_cast<double>(w->shape[0] * w->shape[1]);
  if (s.op == "MatMul" && !x->shape.empty()) {
    MatMul m;
    FieldReader reader(s.attributes);
    visit_fields(m, reader);
    const size_t rank = x->shape.size();
    const int64_t k = rank == 1 ? x->shape[0] : x->shape[m.transpose_a ? rank - 2 : rank - 1];
    return 2 * size_of(*out) * static_cast<double>(k);
  }
  return 0;
}

double bytes_of(const Program& p, const ProgramStep& s) {
  std::set<uint32_t> seen;
  double n = 0;
  for (const auto* list : {&s.inputs, &s.outputs}) {
    for (uint32_t t : *list) {
      if (t != no_tensor && p[t].place != Place::nowhere && seen.insert(t).second) n += static_cast<double>(p[t].bytes);
    }
  }
  return n;
}

std::string arithmetic_of(const Program& p, const ProgramStep& s) {
  for (uint32_t t : s.inputs) {
    if (t == no_tensor) continue;
    if (p[t].type == ElementType::i8 || p[t].type == ElementType::u8) return "int8";
    break;
  }
  const bool narrow = !s.inputs.empty() && s.inputs[0] != no_tensor && p[s.inputs[0]].type == ElementType::bf16;
  return narrow || (s.bf16_compute && s.kernel.find("bf16") != std::string::npos) ? "bf16" : "f32";
}

// By the first line of their paragraph: what the other kernels said.
std::map<std::string, std::vector<std::string>> reasons_in(const std::string& explanation) {
  constexpr std::string_view mark = "    not ";
  std::map<std::string, std::vector<std::string>> all;
  std::vector<std::string>* at = nullptr;
  for (size_t begin = 0; begin < explanation.size();) {
    const size_t end = std::min(explanation.find('\n', begin), explanation.size());
    const std::string line = explanation.substr(begin, end - begin);
    begin = end + 1;
    if (!line.starts_with(mark))
      at = &all[line];
    else if (at)
      at->push_back(line.substr(mark.size()));
  }
  return all;
}

// In a few words.
std::string reason(const std::vector<std::string>& refused) {
  size_t dearer = 0;
  for (const std::string& r : refused) {
    if (r.find(": measured slower than ") != std::string::npos) return "tuning record";
    dearer += r.find(": costs more than ") != std::string::npos && !r.starts_with("reference_");
  }
  return dearer ? "cheapest of " + std::to_string(dearer + 1) : "the only one that takes it";
}

}  // namespace

double gflops(const LayerTime& l) {
  return l.milliseconds > 0 ? l.gflop / l.milliseconds * 1e3 : 0;
}

double share_of_peak(const LayerTime& l, const HostSpeed& s) {
  const double peak = l.type == "int8" ? s.int8_gops : l.type == "bf16" ? s.bf16_gflops : s.f32_gflops;
  return peak > 0 && l.gflop > 0 ? gflops(l) / peak : 0;
}

std::vector<LayerTime> layer_times(const Program* program, const std::vector<StepProfile>& profile,
                                   const std::string& explanation) {
  const auto reasons = reasons_in(explanation);
  std::vector<LayerTime> layers;
  for (size_t i = 0; i < profile.size(); ++i) {
    const StepProfile& row = profile[i];
    LayerTime l{.name = row.name,
                .op = row.op,
                .kernel = row.kernel,
                .milliseconds = row.shortest / 1e3,
                .type = {},
                .why = {}};
    if (program && i < program->steps.size()) {
      l.type = arithmetic_of(*program, program->steps[i]);
      l.gflop = flop_of(*program, program->steps[i]) / 1e9;
      l.mbytes = bytes_of(*program, program->steps[i]) / 1e6;
    }
    if (const auto it = reasons.find(row.op + " '" + row.name + "': " + row.kernel); it != reasons.end()) {
      l.refused = it->second;
      l.why = reason(l.refused);
    }
    layers.push_back(std::move(l));
  }
  return layers;
}

}  // namespace hone
