// Tuning records: which kernel was measured to be the fastest for a question on a CPU.
//
// Selection asks in this order: `supports`, then the record, then the lowest cost. Records are found by everything that
// a kernel is asked about (operator, attributes, types, shapes, layouts, epilogue, threads), not by model, so they
// serve every model with such a layer.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "device/kernel.hpp"
#include "program/program.hpp"

namespace hone {

struct TuningRecord {
  std::string kernel;
  double microseconds = 0;            ///< of that kernel, in place
  double incumbent_microseconds = 0;  ///< of what cost alone would take
  std::string description;            ///< for people: operator and shapes
};

struct TuningRecords {
  std::string cpu;  ///< as `tuning_cpu` says; records of another CPU are not used
  std::map<std::string, TuningRecord> by_query;
};

/// By question: the kernels that took it, cheapest first, without the reference.
using KernelCandidates = std::map<std::string, std::vector<std::string>>;

/// The key of a graph's information under which a model carries its records.
inline constexpr const char* tuning_records_info = "hone/tuning_records";

/// A question as text, without what differs between compiling and loading (constants' content, packed forms).
std::string query_key(const KernelQuery& query);
/// What a step was asked for: equal to the key of the query that chose its kernel.
std::string query_key(const Program& p, const ProgramStep& step, int threads);
/// Operator and shapes, short.
std::string describe(const KernelQuery& query);
/// The CPU and its ISA, as records name it.
std::string tuning_cpu();

/// JSON.
std::string to_text(const TuningRecords& records);
/// Throws `Error` (unreadable) naming `where`.
TuningRecords tuning_records_from(const std::string& text, const std::string& where);

}  // namespace hone
