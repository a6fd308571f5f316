#include "compile/automatic.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "compile/pipeline.hpp"
#include "hone/error.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

struct Candidate {
  Precision precision;
  CompileReport report;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Request> request;
  double best_microseconds = 1e30;
  double difference = 0;
};

// Floats uniform in [0,1), integers 1: what `hone run` feeds without inputs.
void fill(Request& r, const Program& p) {
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    Tensor t = r.input(i);
    if (is_float(t.element_type())) {
      const Tensor values = random_tensor(t.shape(), 1 + i, 0, 1);
      for (size_t k = 0; k < t.size(); ++k) set_element(t, k, get_element(values, k));
    } else {
      for (size_t k = 0; k < t.size(); ++k) set_integer(t, k, 1);
    }
  }
}

// Over all float outputs: RMS of the difference over RMS of the exact values; infinite where something is not a number.
double relative_rms(const Request& a, const Request& exact, const Program& p) {
  double worst = 0;
  for (size_t o = 0; o < p.outputs.size(); ++o) {
    const Tensor x = a.output(o), y = exact.output(o);
    if (!is_float(y.element_type())) continue;
    double difference = 0, size = 0;
    for (size_t k = 0; k < y.size(); ++k) {
      const double e = get_element(y, k), d = get_element(x, k) - e;
      difference += d * d;
      size += e * e;
    }
    const double rms = difference == 0 ? 0 : std::sqrt(difference / std::max(size, 1e-30));
    if (!(rms <= worst)) worst = std::isfinite(rms) ? rms : 1e30;
  }
  return worst;
}

bool changes_state(const Program& p) {
  return std::any_of(p.states.begin(), p.states.end(), [](const ProgramState& s) { return s.next != no_tensor; });
}

}  // namespace

Program compile_fastest(Graph graph, const CompileOptions& options, CompileReport& report) {
  const bool quantized = has_quantizers(graph);
  // The last one counts as exact: f32, or the file's own integers with everything else in f32.
  std::vector<Precision> wanted;
  if (quantized) wanted.push_back(Precision::int8);
  if (cpu_has_bf16()) wanted.push_back(Precision::bf16);
  wanted.push_back(quantized ? Precision::int8 : Precision::f32);
  CompileOptions one = options;
  if (options.tune_seconds <= 0) {
    one.precision = wanted.front();
    Program p = compile_program(std::move(graph), one, &report);
    report.choice = std::string(name_of(one.precision)) + ": taken by rule, not measured\n";
    return p;
  }
  SessionOptions session;
  session.pool = options.pool ? options.pool : std::make_shared<ThreadPool>(options.threads);
  std::vector<Candidate> candidates;
  for (Precision p : wanted) {
    Candidate c;
    c.precision = one.precision = p;
    one.exact_rest = candidates.size() + 1 == wanted.size();
    Graph copy = one.exact_rest ? std::move(graph) : graph;
    c.program = std::make_shared<const Program>(compile_program(std::move(copy), one, &c.report));
    c.request = Session::create(c.program, session)->request();
    fill(*c.request, *c.program);
    candidates.push_back(std::move(c));
  }
  Candidate& exact = candidates.back();
  const auto deadline = Clock::now() + std::chrono::duration<double>(options.tune_seconds);
  for (int round = 0; round < 50; ++round) {
    for (Candidate& c : candidates) {
      if (changes_state(*c.program)) c.request->reset_states();
      const auto start = Clock::now();
      if (const Status s = c.request->run(); !s) throw Error(ErrorCode::failed, s.message);
      const double t = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
      c.best_microseconds = std::min(c.best_microseconds, t);
    }
    // All are compared after the same number of runs from the same state.
    if (round == 0) {
      for (Candidate& c : candidates) c.difference = relative_rms(*c.request, *exact.request, *exact.program);
    }
    if (round > 0 && Clock::now() > deadline) break;
  }
  Candidate* best = &exact;
  for (Candidate& c : candidates) {
    if (c.difference <= options.tolerance && c.best_microseconds < best->best_microseconds) {
      best = &c;
    }
  }
  report = best->report;
  for (const Candidate& c : candidates) {
    char line[160];
    std::snprintf(line, sizeof line, "%s: %.1f us, relative RMS %.2g%s\n", name_of(c.precision), c.best_microseconds,
                  c.difference, &c == best ? ", taken" : "");
    report.choice += line;
  }
  return *best->program;
}

}  // namespace hone
