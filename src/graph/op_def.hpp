// The type-erased definition of an operator, derived from its struct. Never written by hand.
#pragma once
#include <concepts>
#include <memory>

#include "graph/type.hpp"
#include "ops/attributes.hpp"
#include "tensor/fields.hpp"

namespace hone {

/// Attributes of one node: immutable, shared.
using Attributes = std::shared_ptr<const void>;

class Graph;

/// One small case of an operator; drives the generated tests, benchmarks and docs.
struct Sample {
  Attributes attributes;
  std::vector<Datum> inputs;  ///< a none Datum is an absent optional input
  std::vector<std::shared_ptr<const Graph>> regions;
  std::vector<Datum> expected;         ///< known outputs (from a specification or a peer); empty: not compared
  double tolerance = 1e-5;             ///< absolute and relative, between implementations in f32
  double gradient_tolerance = 2e-2;    ///< relative to the largest entry, against central differences
  std::vector<size_t> differentiable;  ///< inputs to check gradients of; empty: every f32 input
  bool check_gradient = true;          ///< false where the sample sits on a kink
};
using Samples = std::vector<Sample>;

struct OpDef {
  std::string_view name;
  Attributes (*make)();
  Attributes (*copy)(const void*);
  void (*visit)(void*, FieldVisitor&);
  Types (*infer)(const void*, InferCtx&);
  void (*eval)(const void*, EvalCtx&);
  Values (*expand)(const void*, Builder&, const Values&);  ///< null: no decomposition
  void (*grad)(const void*, GradCtx&);                     ///< null: see not_differentiable, or expand first
  Samples (*samples)();
  const char* not_differentiable;  ///< null where there is grad or expand
  bool raw_types;  ///< eval takes any element type as it is; else small floats arrive as f32, small integers as i32
  bool has_side_effect;  ///< kept although nobody reads it
};

/// The definition of an operator struct; specialised by HONE_DEFINE_OP in the family's .cpp.
template <class Op>
const OpDef& op_def();

template <class Op>
constexpr OpDef make_op_def() {
  OpDef d{};
  d.name = Op::name;
  d.make = [] { return Attributes(std::make_shared<Op>()); };
  d.copy = [](const void* a) { return Attributes(std::make_shared<Op>(*static_cast<const Op*>(a))); };
  d.visit = [](void* a, FieldVisitor& v) { visit_fields(*static_cast<Op*>(a), v); };
  d.infer = [](const void* a, InferCtx& c) { return static_cast<const Op*>(a)->infer(c); };
  d.eval = [](const void* a, EvalCtx& c) { static_cast<const Op*>(a)->eval(c); };
  if constexpr (requires(const Op& o, Builder& b, const Values& in) { o.expand(b, in); }) {
    d.expand = [](const void* a, Builder& b, const Values& in) { return static_cast<const Op*>(a)->expand(b, in); };
  }
  if constexpr (requires(const Op& o, GradCtx& c) { o.grad(c); }) {
    d.grad = [](const void* a, GradCtx& c) { static_cast<const Op*>(a)->grad(c); };
  }
  d.samples = [] { return Op::samples(); };
  if constexpr (requires { Op::not_differentiable; }) d.not_differentiable = Op::not_differentiable;
  if constexpr (requires { Op::raw_types; }) d.raw_types = Op::raw_types;
  if constexpr (requires { Op::has_side_effect; }) d.has_side_effect = Op::has_side_effect;
  constexpr bool has_grad = requires(const Op& o, GradCtx& c) {
    o.grad(c);
  };
  constexpr bool has_expand = requires(const Op& o, Builder& b, const Values& in) {
    o.expand(b, in);
  };
  constexpr bool has_reason = requires {
    Op::not_differentiable;
  };
  static_assert(has_grad || has_expand || has_reason, "an operator without gradient or expansion says why");
  return d;
}

/// Stands once per operator in the family's .cpp, where graph/builder.hpp, graph/contexts.hpp and ops/eval.hpp are
/// known.
#define HONE_DEFINE_OP(OP)                      \
  template <>                                   \
  const OpDef& op_def<OP>() {                   \
    static const OpDef def = make_op_def<OP>(); \
    return def;                                 \
  }

/// One sample: `sample(Softmax{.axis = 1}, {x})`.
template <class Op>
Sample sample(Op op, std::vector<Datum> inputs, std::vector<Datum> expected = {}) {
  Sample s;
  s.attributes = std::make_shared<Op>(std::move(op));
  s.inputs = std::move(inputs);
  s.expected = std::move(expected);
  return s;
}

/// Equality of attributes by their serialised fields.
bool same_attributes(const OpDef& op, const void* a, const void* b);
std::vector<uint8_t> attribute_bytes(const OpDef& op, const void* attributes);
std::vector<std::pair<std::string, std::string>> attribute_text(const OpDef& op, const void* attributes,
                                                                size_t max_elements);

}  // namespace hone
