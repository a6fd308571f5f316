// Measured choice of kernels.
#include <algorithm>
#include <chrono>

#include "api/cached_model.hpp"
#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/ports.hpp"
#include "base/file.hpp"
#include "base/thread_pool.hpp"
#include "compile/automatic.hpp"
#include "hone/error.hpp"
#include "hone/profile.hpp"
#include "hone/tools.hpp"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

// Another kernel must be this much faster before it replaces the one that the costs chose.
constexpr double needed_gain = 0.97;

struct Times {
  std::vector<double> steps;  ///< microseconds, best of the runs
  double total = 1e30;
};

void measure_into(const std::shared_ptr<const Program>& program, const std::shared_ptr<ThreadPool>& pool, int runs,
                  Times& times) {
  SessionOptions o;
  o.pool = pool;
  o.profile = true;
  const auto session = Session::create(program, o);
  const auto request = session->request();
  for (size_t i = 0; i < program->inputs.size(); ++i) {
    const ProgramTensor& t = (*program)[program->inputs[i].tensor];
    Port p;
    p.name = program->inputs[i].name;
    p.element_type = t.type;
    p.partial_shape = PartialShape(t.shape);
    if (const Status s = request->set_input(i, random_input(p, i)); !s) throw Error(ErrorCode::failed, s.message);
  }
  times.steps.resize(program->steps.size(), 1e30);
  for (int r = 0; r <= runs; ++r) {
    request->reset_states();
    const auto start = Clock::now();
    if (const Status s = request->run(); !s) throw Error(ErrorCode::failed, s.message);
    const double total = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    if (r == 0) continue;  // the first one touches memory for the first time
    times.total = std::min(times.total, total);
    const auto profile = request->profile();
    for (size_t i = 0; i < profile.size(); ++i) times.steps[i] = std::min(times.steps[i], profile[i].microseconds);
  }
}

// For each question of the program: the kernel that answers it and its mean time.
struct Answer {
  std::string kernel;
  double microseconds = 0;
};
std::map<std::string, Answer> answers_of(const Program& p, const Times& t, int threads) {
  std::map<std::string, std::pair<Answer, int>> sums;
  for (size_t i = 0; i < p.steps.size(); ++i) {
    if (p.steps[i].op == "Copy") continue;
    auto& [answer, count] = sums[query_key(p, p.steps[i], threads)];
    answer.kernel = p.steps[i].kernel;
    answer.microseconds += t.steps[i];
    ++count;
  }
  std::map<std::string, Answer> out;
  for (auto& [key, sum] : sums) out[key] = {sum.first.kernel, sum.first.microseconds / sum.second};
  return out;
}

void write_result(const TuneOptions& o, const std::string& records) {
  if (o.out.empty()) return;
  if (is_hone_path(o.out)) {
    Graph g = read_any_model(o.model);
    g.info[tuning_records_info] = records;
    save_any_model(g, o.out);
    return;
  }
  write_file(o.out, records);
}

}  // namespace

TuneResult tune(const TuneOptions& o) {
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  Graph g = read_any_model(o.model);
  settle_shapes(g, o.shapes, "tune");
  CompileOptions c;
  c.precision = choose_precision(o.precision, g, o.model);
  c.threads = o.threads > 0 ? o.threads : available_cores();
  c.pool = std::make_shared<ThreadPool>(c.threads);
  if (const std::string why = why_not_static(g); !why.empty())
    throw Error(ErrorCode::unsupported, "[tune] the model has no program of its own: " + why, o.model,
                "give input shapes with --shape");
  if (c.precision == Precision::automatic) {
    CompileReport report;
    (void)compile_fastest(g, c, report);
    c.precision = report.precision;
  }
  // What the model carries is measured anew: the incumbent is what cost alone takes.
  g.info.erase(tuning_records_info);
  KernelCandidates candidates;
  const auto compile = [&](const TuningRecords& records, KernelCandidates* collect = nullptr) {
    c.records = std::make_shared<const TuningRecords>(records);
    c.candidates = collect;
    return std::make_shared<const Program>(compile_program(g, c));
  };
  const std::shared_ptr<const Program> incumbent = compile({}, &candidates);
  constexpr int runs = 8;
  Times before;
  measure_into(incumbent, c.pool, runs, before);
  const auto first = answers_of(*incumbent, before, c.threads);
  TuneResult result;
  TuningRecords records;
  records.cpu = tuning_cpu();
  size_t rounds = 0;
  std::map<std::string, std::string> descriptions, layers;
  for (const ProgramStep& s : incumbent->steps) {
    if (s.op == "Copy") continue;
    const std::string key = query_key(*incumbent, s, c.threads);
    const auto it = candidates.find(key);
    if (it == candidates.end()) continue;
    ++result.tuned_nodes;
    rounds = std::max(rounds, it->second.size());
    descriptions[key] = describe(query_of(*incumbent, s, c.threads, false));
    layers[key] = s.name;
    records.by_query[key] = {first.at(key).kernel, first.at(key).microseconds, first.at(key).microseconds,
                             descriptions[key]};
  }
  // In each round every question is answered by its next candidate, all at once: each is measured where it will run.
  for (size_t round = 1; round < rounds && seconds() < o.time_budget; ++round) {
    if (o.progress &&
        !o.progress({"tune", static_cast<double>(round), static_cast<double>(rounds), "candidates a node", "", -1}))
      throw Error(ErrorCode::interrupted, "[tune] interrupted");
    TuningRecords forced;
    forced.cpu = records.cpu;
    for (const auto& [key, record] : records.by_query) {
      std::vector<std::string> others = candidates.at(key);
      std::erase(others, first.at(key).kernel);
      if (round <= others.size()) forced.by_query[key].kernel = others[round - 1];
    }
    const auto program = compile(forced);
    Times times;
    measure_into(program, c.pool, runs, times);
    for (const auto& [key, answer] : answers_of(*program, times, c.threads)) {
      const auto it = records.by_query.find(key);
      if (it == records.by_query.end() || answer.kernel == first.at(key).kernel) continue;
      TuningRecord& best = it->second;
      if (answer.microseconds < needed_gain * best.incumbent_microseconds && answer.microseconds < best.microseconds) {
        best.kernel = answer.kernel;
        best.microseconds = answer.microseconds;
      }
    }
  }
  const bool changes = std::any_of(records.by_query.begin(), records.by_query.end(),
                                   [&](const auto& r) { return r.second.kernel != first.at(r.first).kernel; });
  result.speedup = 1;
  if (changes) {  // the whole model in turns with what it was
    const auto tuned = compile(records);
    Times old_times, new_times;
    for (int turn = 0; turn < 8; ++turn) {
      measure_into(incumbent, c.pool, runs / 2, old_times);
      measure_into(tuned, c.pool, runs / 2, new_times);
    }
    result.speedup = old_times.total / new_times.total;
  }
  if (result.speedup < 1) {  // what is better alone is not better together
    for (auto& [key, r] : records.by_query)
      r = {first.at(key).kernel, r.incumbent_microseconds, r.incumbent_microseconds, r.description};
    result.speedup = 1;
  }
  for (const auto& [key, r] : records.by_query) {
    if (r.kernel != first.at(key).kernel)
      result.changed.push_back(
          {layers[key], r.kernel, first.at(key).kernel, r.microseconds / 1e3, r.incumbent_microseconds / 1e3});
  }
  result.records = to_text(records);
  write_result(o, result.records);
  result.seconds = seconds();
  return result;
}

}  // namespace hone
