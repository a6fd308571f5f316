// What readers build nodes with: operators found by name, and the short forms of common ones.
#pragma once
#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include "graph/builder.hpp"

namespace hone {

class Emitter {
 public:
  explicit Emitter(Builder& builder) : b(builder) {}
  virtual ~Emitter() = default;

  Builder& b;

  // Operators are found by name, so a build without an operator refuses the models that need it.
  template <class Op, class... V>
  requires(std::is_same_v<V, Value>&&...) Value operator()(Op op, V... in) {
    return add(Op::name, std::make_shared<Op>(std::move(op)), {in...}, {}).output(0);
  }
  template <class Op>
  Values all(Op op, const Values& in, std::vector<Region> regions = {}) {
    return add(Op::name, std::make_shared<Op>(std::move(op)), in, std::move(regions)).outputs();
  }
  virtual Node add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions);

  /// The numbers of a value where they are known: a constant, or shape arithmetic. An empty tensor otherwise.
  static Tensor known(Value v);
  /// The same, evaluated where the value hangs on a few small known ones.
  static Tensor folded(Value v, int depth = 24);

  Value ints_constant(std::vector<int64_t> v) { return b.ints(std::move(v)); }
  Value int_constant(int64_t v) { return b.scalar<int64_t>(v); }
  /// A scalar of the element type of `v`.
  Value like(Value v, double x) { return b.like(v, x); }
  Value cast(Value v, ElementType t);
  Value reshape(Value v, std::vector<int64_t> shape);
  Value unsqueeze(Value v, std::vector<int64_t> axes);
  Value squeeze(Value v, std::vector<int64_t> axes);
  /// Joins with a Transpose that makes `v`, so that orders which cancel leave nothing.
  Value transpose(Value v, std::vector<int64_t> order);
  /// The shape of `v` as an i64 vector, and dimensions [begin, end) of it.
  Value shape_of(Value v);
  Value dims(Value v, int64_t begin, int64_t end);
  /// Dimension `axis` as an i64 scalar.
  Value dim(Value v, int64_t axis);
  Value gather(Value v, Value indices, int64_t axis);
  Value slice(Value v, int64_t axis, int64_t begin, int64_t end, int64_t step = 1);
  Value concat(const Values& v, int64_t axis);
  /// 0, 1, ... below `end` (an i64 scalar).
  Value range(Value end);
};

}  // namespace hone
