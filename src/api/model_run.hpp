// Running a model once on named or random inputs, as several verbs do.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "hone/error.hpp"
#include "hone/tools.hpp"

namespace hone {

/// Runs a graph `o.repeat` times through whatever the compiler chooses; the last results.
std::vector<Datum> run_graph(const Graph& g, const std::vector<Datum>& inputs, const RunOptions& o = {});
/// A value for each parameter: the one named for it (by tensor name, node name or position), else random numbers.
std::vector<Datum> feeds(const std::vector<Port>& inputs, const std::map<std::string, Datum>& named,
                         const std::map<std::string, PartialShape>& shapes, uint64_t seed);
std::vector<Datum> feeds(const Graph& g, const std::map<std::string, Datum>& named,
                         const std::map<std::string, PartialShape>& shapes, uint64_t seed);

/// Which free sizes `feeds` chose by itself and how to choose others; empty where it chose none.
std::string advice_on_shapes(const std::vector<Port>& inputs, const std::map<std::string, Datum>& named,
                             const std::map<std::string, PartialShape>& shapes);
/// `f()`, whose errors say `advice` where they have none of their own.
template <class F>
auto with_advice(const std::string& advice, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (advice.empty() || !e.hint().empty()) throw;
    throw Error(e.code(), e.message(), e.where(), advice);
  }
}

}  // namespace hone
