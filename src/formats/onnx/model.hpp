// A model of the file while it is read, and what must hold before its graph is built.
#pragma once
#include <map>
#include <tuple>

#include "formats/onnx/mapping.hpp"

namespace hone::onnx {

constexpr int max_depth = 32;  // of subgraphs and functions: deeper ones are hostile

using FunctionKey = std::tuple<Bytes, Bytes, Bytes>;

struct Model {
  ModelMessage message;
  Storage storage;
  std::map<FunctionKey, const FunctionMessage*> functions;
  size_t inlined = 0;  ///< nodes made so far: functions of functions could grow without bound

  const FunctionMessage* function(const NodeMessage& n) const {
    const auto it = functions.find({n.domain, n.op, n.overload});
    return it == functions.end() ? nullptr : it->second;
  }
};

/// Throw `Error` (unsupported, unreadable): operators or operator sets that are not known, with the nearest names.
void check_operators(const Model& model, const GraphMessage& graph);
void check_opsets(ModelMessage& m);

}  // namespace hone::onnx
