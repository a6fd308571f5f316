// What every operator header needs: the contexts by name and the macros that declare an operator's capabilities.
//
// An operator is one struct. It must have `name`, `infer`, `eval` and `samples`; `expand`, `grad` and
// `not_differentiable` are optional and detected. Its `fields` list the attributes; names and meaning are those of
// OpenVINO opset 16 where it has the operator.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hone/tensor.hpp"

namespace hone {

class InferCtx;  // graph/contexts.hpp
class EvalCtx;   // ops/eval.hpp
class GradCtx;   // graph/contexts.hpp
class Builder;   // graph/builder.hpp
struct Value;    // graph/graph.hpp
struct Type;     // graph/type.hpp
struct Sample;   // ops/sample.hpp
using Types = std::vector<Type>;
using Values = std::vector<Value>;
using Samples = std::vector<Sample>;

/// Declares the capabilities that every operator has.
#define HONE_OP(NAME)                       \
  static constexpr const char* name = NAME; \
  Types infer(InferCtx& ctx) const;         \
  void eval(EvalCtx& ctx) const;            \
  static Samples samples();
/// An operator with a gradient, written with the public builders.
#define HONE_GRAD void grad(GradCtx& ctx) const;
/// An operator that is defined by others: `in` are its inputs (absent ones are null handles), the result its outputs.
#define HONE_EXPAND Values expand(Builder& b, const Values& in) const;
/// No gradient, and why.
#define HONE_NO_GRAD(REASON) static constexpr const char* not_differentiable = REASON;

/// Names of an enum's values, in order.
#define HONE_ENUM_NAMES(E, ...)                                \
  inline std::span<const std::string_view> enum_names(E) {     \
    static constexpr std::string_view names[] = {__VA_ARGS__}; \
    return names;                                              \
  }

enum class AutoBroadcast { none, numpy, pdpd };
HONE_ENUM_NAMES(AutoBroadcast, "none", "numpy", "pdpd")

}  // namespace hone
