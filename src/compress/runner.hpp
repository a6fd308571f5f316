// How compression executes a graph: the toolkit hands in the compiled engine, tests the reference interpreter.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

/// Runs one graph any number of times. Not thread-safe.
class Runner {
 public:
  virtual ~Runner() = default;
  /// One value per parameter, in order; one per result. Throws `Error`.
  virtual std::vector<Datum> run(const std::vector<Datum>& inputs) = 0;
};
using MakeRunner = std::function<std::unique_ptr<Runner>(const Graph&)>;

/// Runs graphs with the reference interpreter.
MakeRunner reference_runner();

/// Sample `i` as the model's inputs; nullopt where there are no more. Asked in rising order, from 0 on again for every
/// pass over the data.
using CalibrationData = std::function<std::optional<std::vector<Datum>>(size_t i)>;

}  // namespace hone
