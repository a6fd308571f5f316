// Turns subgraphs into graphs: the frame of one subgraph, the scope of one graph, and what all of them share.
#pragma once
#include <set>

#include "formats/tflite/mapping.hpp"

namespace hone::tflite {

/// What all graphs of one import share.
struct Shared {
  Model model;
  std::map<std::string, Tensor> initial;          ///< first content of resource variables
  std::map<std::string, Importer::Table> tables;  ///< hash tables
  std::set<size_t> initialized;                   ///< subgraphs that ran once
  bool steps = false;                             ///< see Importer::counts_steps
  size_t nodes = 0;
  size_t states = 0;
};

/// One graph under construction: the model, or a region.
struct Scope {
  Scope(Graph& g, bool region) : graph(g), builder(g), region(region) {}
  Graph& graph;
  Builder builder;
  bool region;
  std::map<std::string, Value> variables;  ///< content of the resource variables at this point
  std::set<std::string> changed;
};

class SubgraphImporter : public Importer {
 public:
  SubgraphImporter(Shared& shared, Scope& scope, int depth) : shared_(shared), scope_(scope), depth_(depth) {}

  const Model& model() const override { return shared_.model; }
  TensorValues inlined(size_t subgraph, const TensorValues& inputs) override;
  std::vector<std::string> variables_of(const std::vector<size_t>& subgraphs, const TensorValues& inputs) override;
  std::shared_ptr<Graph> region(const Types& leading, const TensorValues& inputs, const Types& types,
                                const std::vector<std::string>& variables, const Types& variable_types,
                                const Body& body) override;
  Value variable(const std::string& name, const TensorInfo* of) override;
  void assign(const std::string& name, Value v) override;
  void initialize(size_t subgraph) override;
  std::map<std::string, Table>& tables() override { return shared_.tables; }
  bool counts_steps() const override { return shared_.steps; }
  std::string fresh_state(const std::string& purpose) override {
    return purpose + " " + std::to_string(shared_.states++);
  }
  /// Writes the variables that changed back at the end of the run.
  void write_back();

 private:
  const SubgraphInfo& subgraph(size_t i) const;
  TensorValue& value(const SubgraphInfo& g, TensorValues& values, int32_t tensor);
  void node(const SubgraphInfo& g, TensorValues& values, const OperatorInfo& o);
  void take(NodeContext& n, const OperatorRow* row, const Values& results, TensorValues& values, const SubgraphInfo& g,
            const OperatorInfo& o);

  Shared& shared_;
  Scope& scope_;
  int depth_;
};

/// Subgraphs that an operator calls.
std::vector<size_t> called(const OperatorInfo& o);
/// The name under which the content of a variable tensor is kept from run to run.
std::string state_name(const SubgraphInfo& g, int32_t tensor);
/// The type of a tensor as the file states it.
Type stored_type(const TensorInfo& t);
void name_value(Value v, std::string_view name);

/// Labels, normalization and descriptions that the file carries, into `g.info`.
void read_metadata(const Model& m, size_t subgraph, Graph& g);

}  // namespace hone::tflite
