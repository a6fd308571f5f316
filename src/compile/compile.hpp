// From a graph to something that runs.
//
//   CompiledGraph model = compile_model(graph, {.precision = Precision::f32, .threads = 2});
//   std::vector<Datum> y = model.infer({x});
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compile/tuning.hpp"
#include "program/program.hpp"
#include "rewrite/pass.hpp"
#include "runtime/session.hpp"

namespace hone {

enum class Precision {
  f32,   ///< everything in f32 (a quantized graph: its own arithmetic)
  bf16,  ///< dense operators in bf16
  int8,  ///< quantized regions in integers; refused for a graph that has none
  automatic,
};
const char* name_of(Precision p);
/// Parses `f32 | bf16 | int8 | auto`. Throws `Error` (usage).
Precision precision_from(std::string_view text);

struct CompileOptions {
  Precision precision = Precision::f32;
  int threads = 0;  ///< 0: HONE_NUM_THREADS, else all cores
  int streams = 1;
  bool explain = false;                        ///< fill CompileReport::explanation
  bool profile = false;                        ///< time every step
  std::set<std::string> disabled_passes = {};  ///< names of passes not to run
  bool optimize = true;                        ///< false: no passes at all
  bool exact_rest = false;  ///< `int8`: what is not quantized stays in f32 where bf16 would be faster
  std::shared_ptr<ThreadPool> pool = nullptr;  ///< shared pool (one stream)
  double tune_seconds = 2;       ///< for `automatic`: time spent on measuring; 0: by rule, without measuring
  double tolerance = 0.01;       ///< for `automatic`: relative RMS difference to the exact outputs that is accepted
  size_t cached_signatures = 8;  ///< programs kept for a model with dynamic input shapes
  /// Measured choices of kernels; null: what the graph carries. Those of another CPU are not used.
  std::shared_ptr<const TuningRecords> records = nullptr;
  KernelCandidates* candidates = nullptr;  ///< where given: filled with the kernels that each question could take
};

struct CompileReport {
  PassReport passes;
  std::string explanation;  ///< a paragraph a node: kernel, and why not the others
  size_t steps = 0, reference_steps = 0;
  uint64_t arena_bytes = 0, constant_bytes = 0;
  double milliseconds = 0;
  Precision precision = Precision::f32;  ///< taken: of `automatic`, what won
  std::string choice;                    ///< how `automatic` decided: a line a candidate
};

/// Why a graph cannot become one program: dynamic shapes, sequences, strings, control flow. Empty: it can.
std::string why_not_static(const Graph& g);

/// Compiles a static graph (see `why_not_static`). Throws `Error` naming the node. A graph that is moved in gives its
/// weights up as they are packed, so that they are not in memory twice.
Program compile_program(Graph graph, const CompileOptions& options = {}, CompileReport* report = nullptr);

/// A model ready to run, whatever its shapes: one session for a static graph; for dynamic input shapes a program for
/// each input signature, compiled on first use and kept in a bounded cache; node by node on the kernels where sizes
/// depend on data. Calls are serialised: use `session()->request()` for runs side by side.
class CompiledGraph {
 public:
  struct Port {
    std::string name;
    std::vector<std::string> names;
    Type type;
  };

  /// Runs on values for the inputs, in order; fresh outputs. Tensor inputs of another element type are refused. Throws
  /// `Error`.
  std::vector<Datum> infer(const std::vector<Datum>& inputs);

  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;
  /// The session and the program of a static model; null otherwise.
  const std::shared_ptr<Session>& session() const;
  std::shared_ptr<const Program> program() const;
  /// The request that `infer` uses, for states and zero-copy inputs; null unless static.
  Request* request();
  /// How it runs: "program", "program per signature", or "node by node" with the reason.
  std::string mode() const;

  /// Content of a state (weights, running statistics). Null where there is none of that name. A static model gives its
  /// own memory.
  Datum state(const std::string& name) const;
  void set_state(const std::string& name, const Tensor& content);
  std::vector<std::string> state_names() const;
  void reset_states();

  const CompileReport& report() const;
  /// Times of the runs of `request()`, with `CompileOptions::profile` only.
  std::vector<StepProfile> profile() const;

 private:
  friend CompiledGraph compile_model(Graph graph, const CompileOptions& options);
  friend CompiledGraph load_program(std::shared_ptr<const Program> program, const CompileOptions& options);
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// See `compile_program` for a graph that is moved in.
CompiledGraph compile_model(Graph graph, const CompileOptions& options = {});
/// A compiled program from a file.
CompiledGraph load_program(std::shared_ptr<const Program> program, const CompileOptions& options = {});

}  // namespace hone
