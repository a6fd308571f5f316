// A model in memory: read, built, reshaped, saved. Names follow OpenVINO 2.0.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hone/error.hpp"
#include "hone/export.hpp"
#include "hone/tensor.hpp"

namespace hone {

class Graph;

/// An input or output of a model.
struct Port {
  std::string name;                                 ///< the first tensor name, else the node's
  std::vector<std::string> names;                   ///< all tensor names of the source file
  ElementType element_type = ElementType::dynamic;  ///< `dynamic` where it is known only when the model runs
  PartialShape partial_shape;                       ///< of unknown rank for what is no tensor
};

/// A model. Copies share the graph; `clone` does not. One thread at a time may change a model, any number may read it.
class HONE_API Model {
 public:
  Model();  ///< empty
  /// For the library.
  explicit Model(std::shared_ptr<Graph> graph);
  ~Model();
  Model(const Model&);                 ///< shares the graph
  Model(Model&&) noexcept;             ///< leaves an object that can only be assigned or destroyed
  Model& operator=(const Model&);      ///< shares the graph
  Model& operator=(Model&&) noexcept;  ///< takes the graph over

  /// As the file has it; may be empty.
  const std::string& name() const;
  /// In the model's order.
  std::vector<Port> inputs() const;
  /// In the model's order.
  std::vector<Port> outputs() const;
  /// Sets input shapes by name (or "0", "1"... for positions) and infers all others. Throws `Error` naming the node
  /// that refuses; the model is then as before.
  void reshape(const std::map<std::string, PartialShape>& shapes);
  /// Sets the first dimension of every input; where the first dimensions differ, of those whose first dimension is
  /// dynamic. Throws `Error` naming the node that refuses; the model is then as before.
  void set_batch(Dimension batch);
  /// A model of its own; weights are shared.
  Model clone() const;

  /// Key/value information carried with the model: `model_info/labels`, `model_info/mean_values`, and what the file
  /// had.
  const std::map<std::string, std::string>& rt_info() const;
  /// Adds or replaces an entry.
  void set_rt_info(const std::string& key, const std::string& value);

  /// Number of nodes by operator name.
  std::map<std::string, int64_t> operators() const;
  /// Elements of weights.
  int64_t parameter_count() const;
  /// 2 x multiply-accumulates of convolutions and matrix products; dynamic dimensions count as their minimum, at
  /// least 1.
  int64_t flops() const;
  /// The graph as text (see docs/architecture.md); constants above `max_elements` elements print a hash.
  std::string to_text(size_t max_elements = 16) const;

  /// For the library: the graph behind the model.
  Graph& graph() { return *graph_; }
  /// For the library: the graph behind the model.
  const Graph& graph() const { return *graph_; }

 private:
  std::shared_ptr<Graph> graph_;
};

/// Builds a model operator by operator:
///     ModelBuilder b("net");
///     auto x = b.parameter("x", ElementType::f32, {1, 3});
///     b.result("y", b.add("Softmax", {x}, {{"axis", "1"}}));
///     Model m = b.build();
class HONE_API ModelBuilder {
 public:
  /// A value of the model under construction.
  struct Value {
    uint32_t id = ~0u;  ///< ~0: an absent optional input
  };
  /// An empty model of that name.
  explicit ModelBuilder(std::string name = {});
  ~ModelBuilder();
  /// Adds an input; inputs keep the order in which they are added.
  Value parameter(const std::string& name, ElementType type, const PartialShape& shape);
  /// Adds a constant; the tensor's memory is shared, not copied.
  Value constant(const Tensor& value, const std::string& name = {});
  /// Adds an operator of OpenVINO opset 16 (or one of Hone's own) with attributes as text; its outputs. Throws `Error`
  /// for unknown names, unknown attributes and types that do not fit.
  std::vector<Value> add_all(const std::string& op, const std::vector<Value>& inputs,
                             const std::map<std::string, std::string>& attributes = {}, const std::string& name = {});
  /// The same; its first output.
  Value add(const std::string& op, const std::vector<Value>& inputs,
            const std::map<std::string, std::string>& attributes = {}, const std::string& name = {});
  /// Adds an output; outputs keep the order in which they are added. Throws `Error` where `v` is no value of this
  /// model.
  void result(const std::string& name, Value v);
  /// The model so far. Throws `Error` where it has no result.
  Model build();

 private:
  std::shared_ptr<Graph> graph_;
};

}  // namespace hone
