// From a legalized graph to the flat program: order, views, in-place updates, states, packed constants, memory.
#pragma once
#include <map>

#include "compile/legalize.hpp"
#include "program/program.hpp"

namespace hone {

/// A state as the model declares it; the node may be gone where nobody reads it any more.
struct DeclaredState {
  Type type;
  Tensor initial;  ///< empty: zeros
  bool trainable = false;
};
/// All states of a graph by name. Throws `Error` where two differ under one name.
std::map<std::string, DeclaredState> declared_states(const Graph& g);

/// The program is verified before it is returned. Constants that are only packed are taken out of the graph.
Program emit(Graph& g, const Legalized& legalized, const std::map<std::string, DeclaredState>& states,
             const SelectOptions& options);

}  // namespace hone
