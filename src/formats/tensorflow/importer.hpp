// Builds a Hone graph from bodies: functions are built in place, control flow becomes If and Loop with regions.
#pragma once
#include <functional>
#include <set>

#include "formats/import_notes.hpp"
#include "formats/tensorflow/body.hpp"
#include "formats/tensorflow/node.hpp"

namespace hone::tensorflow {

/// One graph being built: the model's, or a region. Outer values become explicit inputs of the region.
struct GraphScope {
  GraphScope(Graph& g, GraphScope* outer) : graph(g), builder(g), outer(outer) {}
  Graph& graph;
  Builder builder;
  GraphScope* outer;
  Values captured;    ///< values of the outer graph
  Values parameters;  ///< made for them
  std::map<ValueId, Value> inside;

  Value capture(Value v);
  Item capture(const Item& i);
  /// Drops the captured values that nothing reads.
  void prune();
};

/// Functions by name with their bodies.
class Library {
 public:
  explicit Library(const GraphMessage& g);
  const FunctionMessage* find(Bytes name) const;
  const Body& body(const FunctionMessage& f);
  Body::OutputIndex output_index() const;

 private:
  std::map<Bytes, const FunctionMessage*> functions_;
  std::map<Bytes, std::unique_ptr<Body>> bodies_;
};

class Session;

/// The values of a body as one graph sees them. A loop or a branch has names of its own, whose parent are those around
/// it.
class Names {
 public:
  Names(Session& session, const Body& body, GraphScope& scope, Names* parent, int context)
      : session_(session), body_(body), scope_(scope), parent_(parent), context_(context) {}

  Item get(Ref r);
  void set(uint32_t node, Items items) { memo_[node] = std::move(items); }

  const Body& body() const { return body_; }
  GraphScope& scope() { return scope_; }
  Names& root() { return parent_ ? parent_->root() : *this; }

  // Of the root.
  const Items* arguments = nullptr;
  const RawAttributes* attributes = nullptr;
  std::string prefix;        ///< of the names of nodes
  std::vector<bool> needed;  ///< nodes that the outputs hang on
  int depth = 0;

 private:
  void evaluate(uint32_t node);
  Items built(uint32_t node);
  Items joined(uint32_t merge);
  void looped(uint32_t exit);
  Session& session_;
  const Body& body_;
  GraphScope& scope_;
  Names* parent_;
  int context_;
  std::unordered_map<uint32_t, Items> memo_;
  std::map<std::pair<uint32_t, uint32_t>, Item> outer_;
};

/// One branch of a condition, or a part of a loop: builds its results in a scope.
using Part = std::function<Items(GraphScope&, const Items&)>;

/// Keys and values of tables by the name of their node.
using Tables = std::map<std::string, std::pair<Tensor, Tensor>>;

class Session : public Importer {
 public:
  using Variables = std::function<Tensor(const std::string& name, const std::string& shared_name)>;
  Session(Library& library, std::shared_ptr<const void> owner, Variables variables, Tables tables)
      : library_(library), owner_(std::move(owner)), variables_(std::move(variables)), tables_(std::move(tables)) {}

  Items call(NodeContext& n, const FunctionCall& f, const Items& arguments) override;
  Items branches(NodeContext& n, Value selector, const std::vector<FunctionCall>& functions,
                 const Items& arguments) override;
  Items loop(NodeContext& n, const FunctionCall& condition, const FunctionCall& body, const Items& arguments) override;
  Tensor variable(const NodeContext& n, const std::string& name, const std::string& shared_name) override;
  std::pair<Tensor, Tensor> table(const std::string& name) const override {
    const auto it = tables_.find(name);
    return it == tables_.end() ? std::pair<Tensor, Tensor>() : it->second;
  }
  bool has_function(const std::string& name) const override { return library_.find(name) != nullptr; }
  const std::shared_ptr<const void>& owner() const override { return owner_; }

  /// The results of a function in a scope.
  Items run(GraphScope& scope, const FunctionCall& f, const Items& arguments, const std::string& prefix);
  /// If with the regions that the parts build, or the part that is taken where that is known.
  Items choose(Emitter& e, GraphScope& scope, Value condition, const Part& no, const Part& yes, const Items& arguments);
  /// Loop while `condition` holds. The results are those of the last iteration.
  Items iterate(Emitter& e, GraphScope& scope, const Items& initial, const Part& condition, const Part& body);
  /// One node with a row in the table, or a function called by its name.
  Items node(GraphScope& scope, Names& names, uint32_t index, const Items& inputs);

  Names* current = nullptr;  ///< whose node is being built

 private:
  Library& library_;
  std::shared_ptr<const void> owner_;
  Variables variables_;
  Tables tables_;
  size_t built_ = 0;
};

/// Reports the nodes that a builder has added since `before` as what stands for an operator, where somebody asks.
void note_import(Builder& b, size_t before, Bytes op, const std::string& label);

/// All operators that lack a row, with the nodes that need them. Throws `Error` (unsupported) where there are any.
void check_operators(const Body& body, const std::vector<Ref>& roots, Library& library);

}  // namespace hone::tensorflow
