// What a row of the mapping table sees: one node of an exported graph, its arguments by name as Hone values, and a
// builder.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "formats/emitter.hpp"
#include "formats/pytorch/exported_program.hpp"
#include "graph/builder.hpp"
#include "ops/registry.hpp"

namespace hone::pytorch {

/// What a NodeContext asks of the importer.
class Importer {
 public:
  virtual ~Importer() = default;
  /// The value of a tensor or symbol; a null handle where the graph has none.
  virtual Value find(std::string_view name) const = 0;
  /// The element type that the file gives a tensor; `dynamic` where it says nothing.
  virtual ElementType type_of(std::string_view name) const = 0;
  /// Is the tensor complex? Its value then has a last axis of 2, and its type is that of the parts.
  virtual bool is_complex(std::string_view name) const = 0;
  /// A graph argument with these types of its inputs, as a region.
  virtual std::shared_ptr<Graph> region(const GraphMessage& g, const Types& inputs) = 0;
  /// A graph argument applied to these values, in place.
  virtual Values inlined(const GraphMessage& g, const Values& inputs) = 0;
};

class NodeContext : public Emitter {
 public:
  NodeContext(Importer& importer, Builder& builder, const NodeMessage& node, std::string_view op)
      : Emitter(builder), importer_(importer), node_(node), op_(op) {}

  std::string_view op() const { return op_; }               ///< the operator's name without overload
  std::string_view target() const { return node_.target; }  ///< with library and overload
  size_t num_outputs() const { return node_.outputs.size(); }
  const std::vector<Argument>& outputs() const { return node_.outputs; }
  Importer& importer() { return importer_; }

  // Arguments. Those with the operator's default value are left out of the file.
  const Argument* argument(std::string_view name) const;  ///< null where absent
  const Argument* argument(size_t position) const;        ///< of operators without argument names
  bool has(std::string_view name) const;                  ///< there, and not None
  Value in(std::string_view name) const;                  ///< a tensor; throws `Error` where it is absent
  Value opt(std::string_view name) const { return has(name) ? in(name) : Value{}; }
  Values tensors(std::string_view name) const;  ///< absent ones are null handles
  int64_t i(std::string_view name) const;
  int64_t i(std::string_view name, int64_t otherwise) const { return has(name) ? i(name) : otherwise; }
  double f(std::string_view name, double otherwise) const;
  bool flag(std::string_view name, bool otherwise) const;
  std::string s(std::string_view name, std::string otherwise) const;
  std::optional<ElementType> type(std::string_view name) const;
  std::vector<int64_t> ints(std::string_view name, std::vector<int64_t> otherwise = {}) const;
  std::vector<double> floats(std::string_view name) const;
  const GraphMessage& graph(std::string_view name, size_t position) const;
  bool is_tensor(std::string_view name) const;
  /// A scalar of type `t`: a number, a symbol or a tensor.
  Value number(std::string_view name, ElementType t);
  Value number(const Argument& a, ElementType t);
  /// A number or symbol as it is (i64, f64 or boolean scalar).
  Value symbol(const Argument& a);
  Value size(std::string_view name);   ///< i64 scalar
  Value sizes(std::string_view name);  ///< i64 vector
  Value sizes(const std::vector<Argument>& list);
  /// The element type that the file gives output `k`; of `otherwise` where it says nothing.
  ElementType out_type(size_t k, ElementType otherwise) const;
  /// Common type of two arguments by PyTorch's promotion: tensors with axes before scalars, floats before integers.
  ElementType promoted(std::string_view a, std::string_view b) const;

  /// The numbers of a value where they are known at import: a constant, or shape arithmetic. An empty tensor otherwise.
  size_t rank(Value v) const;
  int64_t axis(int64_t axis, Value v) const;  ///< counted from the front, checked; 0 for a scalar
  std::vector<int64_t> axes(std::vector<int64_t> axes, Value v) const;

  /// Ones, and -1 at the axis: the shape that lays a vector along it.
  std::vector<int64_t> laid_along(int64_t axis, size_t rank) const;

  // Building, beside Emitter's short forms.
  Node add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) override;
  Value scalar_of(ElementType t, double x);
  Value cast(Value v, ElementType t);
  Value reshape(Value v, std::vector<int64_t> shape);
  Value reshape_to(Value v, Value shape);
  Value transpose(Value v, std::vector<int64_t> order);
  Value dim(Value v, int64_t axis);  ///< i64 scalar
  using Emitter::slice;
  Value slice(Value v, int64_t axis, Value begin, Value end, Value step);  ///< i64 scalars
  Value broadcast(Value v, Value shape);
  Value filled(Value shape, Value scalar) { return broadcast(scalar, shape); }

  [[noreturn]] void fail(const std::string& what) const;    ///< malformed
  [[noreturn]] void refuse(const std::string& what) const;  ///< well-formed, but not offered

 private:
  const Argument& required(std::string_view name) const;
  int64_t as_int(const Argument& a) const;
  Importer& importer_;
  const NodeMessage& node_;
  std::string_view op_;
};

}  // namespace hone::pytorch
