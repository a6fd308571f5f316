// What a row of the mapping table sees: one TensorFlow node, its inputs as items, and a builder.
#pragma once
#include <memory>
#include <optional>

#include "formats/emitter.hpp"
#include "formats/tensorflow/proto.hpp"

namespace hone::tensorflow {

/// Something that a graph names and that is no tensor: a variable, a table, a list.
struct Resource {
  enum Kind { variable, table, array };
  Kind kind = variable;
  std::string name;         ///< of the node that makes it
  std::string shared_name;  ///< of a variable, as its file calls it
  Tensor keys, values;      ///< of a table, once it is initialized
  Value size;               ///< of an array: number of elements
  ElementType element = ElementType::dynamic;
  PartialShape shape;  ///< of the elements of an array
};

/// A list whose elements have no known rank yet, because none was written.
struct PendingList {
  Value size;  ///< i64 scalar; null: the list grows from nothing
  ElementType element = ElementType::dynamic;
  PartialShape shape;
};

/// What an edge carries: a tensor, a list (a tensor of its elements stacked on axis 0, or pending), or a resource.
struct Item {
  Value value;
  std::shared_ptr<Resource> resource;
  std::shared_ptr<const PendingList> pending;
  bool complex = false;  ///< the last axis of the tensor holds real and imaginary part

  Item() = default;
  Item(Value v) : value(v) {}
  explicit operator bool() const { return value || resource || pending; }
};
using Items = std::vector<Item>;
Items items(const Values& v);

/// A function of the file with the attributes of the call.
struct FunctionCall {
  std::string name;
  RawAttributes attributes;
};

class NodeContext;

/// What a NodeContext asks of the importer.
class Importer {
 public:
  virtual ~Importer() = default;
  /// The results of a function for these arguments, built in place.
  virtual Items call(NodeContext& n, const FunctionCall& f, const Items& arguments) = 0;
  /// The results of the branch that the selector names: by truth (false, true), or by number with the last one for all
  /// others.
  virtual Items branches(NodeContext& n, Value selector, const std::vector<FunctionCall>& functions,
                         const Items& arguments) = 0;
  /// `Loop` of a condition and a body over the arguments.
  virtual Items loop(NodeContext& n, const FunctionCall& condition, const FunctionCall& body,
                     const Items& arguments) = 0;
  /// The frozen content of a variable. Throws `Error` where it is not known.
  virtual Tensor variable(const NodeContext& n, const std::string& name, const std::string& shared_name) = 0;
  /// Keys and values that a table is initialized with; empty tensors where the file does not say.
  virtual std::pair<Tensor, Tensor> table(const std::string& name) const = 0;
  virtual bool has_function(const std::string& name) const = 0;
  virtual const std::shared_ptr<const void>& owner() const = 0;
};

class NodeContext : public Emitter {
 public:
  NodeContext(Importer& importer, Builder& builder, const NodeMessage& node, Items inputs,
              const RawAttributes* arguments)
      : Emitter(builder), importer(importer), node_(node), inputs_(std::move(inputs)), arguments_(arguments) {}

  Importer& importer;

  Bytes op() const { return node_.op; }
  Bytes name() const { return node_.name; }
  size_t num_inputs() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i]; }
  /// Input `i` as a tensor of real elements; throws `Error` where it is absent or something else.
  Value in(size_t i) const;
  /// Input `i` whatever it is.
  const Item& item(size_t i) const;
  const Items& inputs() const { return inputs_; }
  /// Inputs [first, first + count) as tensors.
  Values ins(size_t first, size_t count) const;
  const std::shared_ptr<Resource>& resource(size_t i, Resource::Kind kind) const;

  // Attributes. Those of a function's body may stand for attributes of the call.
  bool has_attribute(std::string_view name) const { return raw(name) != nullptr; }
  std::optional<AttributeMessage> attribute(std::string_view name) const;
  int64_t i(std::string_view name, int64_t otherwise) const;
  int64_t i(std::string_view name) const;  ///< throws `Error` where it is absent
  double f(std::string_view name, double otherwise) const;
  bool flag(std::string_view name, bool otherwise) const;
  std::string s(std::string_view name, std::string otherwise = {}) const;
  std::vector<int64_t> ints(std::string_view name, std::vector<int64_t> otherwise = {}) const;
  std::vector<float> floats(std::string_view name) const;
  std::vector<std::string> strings(std::string_view name) const;
  std::vector<PartialShape> shapes(std::string_view name) const;
  int32_t raw_type(std::string_view name, int32_t otherwise = 0) const;
  ElementType type(std::string_view name, ElementType otherwise) const;
  PartialShape shape(std::string_view name) const;
  FunctionCall function(std::string_view name) const;
  std::vector<FunctionCall> functions(std::string_view name) const;
  size_t num_types(std::string_view name) const;
  const RawAttributes& raw_attributes() const { return node_.attributes; }

  /// The numbers of input `i`, which the operator must know when it is read; throws `Error` with `what` where it does
  /// not.
  Tensor constant(size_t i, const char* what) const;
  std::vector<int64_t> constant_ints(size_t i, const char* what) const { return constant(i, what).to_ints(); }
  /// Rank of a value; throws `Error` where it is not known.
  size_t rank(Value v) const;
  /// `axis` counted from the front.
  int64_t axis(int64_t axis, Value v) const;
  /// An integer tensor as an i64 vector.
  Value vector(Value v) { return reshape(cast(v, ElementType::i64), {-1}); }
  Value scalar(Value v) { return reshape(cast(v, ElementType::i64), {}); }

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void refuse(const std::string& what) const;  ///< well-formed, but not offered

 private:
  const Bytes* raw(std::string_view name) const;
  AttributeMessage typed(std::string_view name, AttributeMessage::Kind kind) const;
  const NodeMessage& node_;
  Items inputs_;
  const RawAttributes* arguments_;
};

}  // namespace hone::tensorflow
