// Calls, branches, loops; resource variables and hash tables.
#include "formats/tflite/mapping.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/control.hpp"
#include "ops/movement.hpp"
#include "ops/string.hpp"

namespace hone::tflite {
namespace {

size_t subgraph(NodeContext& n, unsigned field) {
  return static_cast<size_t>(static_cast<uint32_t>(n.i(field)));
}

// What is passed to a subgraph: integers as they are stored.
TensorValues passed(NodeContext& n, size_t from) {
  TensorValues out;
  for (size_t i = from; i < n.num_inputs(); ++i) {
    TensorValue v = n.value(i);
    if (v.resource.empty()) v.stored = n.stored(i);
    out.push_back(v);
  }
  return out;
}

Values call_subgraph(NodeContext& n, size_t index) {
  const TensorValues out = n.importer().inlined(index, passed(n, 0));
  for (size_t k = 0; k < std::min(out.size(), n.num_outputs()); ++k) n.give(k, out[k]);
  return {};
}
Values call(NodeContext& n) {
  return call_subgraph(n, subgraph(n, 0));
}
// A composite runs as its decomposition.
Values composite(NodeContext& n) {
  return call_subgraph(n, static_cast<size_t>(static_cast<uint32_t>(n.op().options2.get<int32_t>(1))));
}

Values call_once(NodeContext& n) {
  n.importer().initialize(subgraph(n, 0));
  return {};
}

// The faces that leave a region: integers as stored, real numbers rounded where no other face is there.
Values stored_results(Builder& b, Importer& importer, const TensorValues& values, size_t index) {
  const SubgraphInfo& g = importer.model().subgraphs.at(index);
  const OperatorInfo none;
  Values out;
  for (size_t k = 0; k < values.size(); ++k) {
    if (!values[k].resource.empty()) throw Error(ErrorCode::unsupported, "[tflite] a resource leaves a region");
    const TensorInfo& t = g.tensors[static_cast<size_t>(g.outputs[k])];
    TensorValue kept = values[k];
    out.push_back(NodeContext(importer, b, g, none, {}, true).stored(kept, t));
  }
  return out;
}

struct Passed {
  TensorValues inputs;
  Values values;  ///< of inputs that are no resources, then of variables
  Types types, variable_types;
  std::vector<std::string> variables;
};
Passed pass(NodeContext& n, size_t from, const std::vector<size_t>& subgraphs) {
  Passed p;
  p.inputs = passed(n, from);
  for (const TensorValue& v : p.inputs) {
    if (!v.resource.empty()) continue;
    p.values.push_back(v.stored);
    p.types.push_back(v.stored.type());
  }
  p.variables = n.importer().variables_of(subgraphs, p.inputs);
  for (const std::string& name : p.variables) {
    p.values.push_back(n.importer().variable(name, nullptr));
    p.variable_types.push_back(p.values.back().type());
  }
  return p;
}
// The last outputs are the new contents of the variables.
void take_variables(NodeContext& n, const Passed& p, const Values& out) {
  for (size_t k = 0; k < p.variables.size(); ++k)
    n.importer().assign(p.variables[k], out.at(out.size() - p.variables.size() + k));
}

Value scalar(NodeContext& n, Value v) {
  return v.shape().rank_known() && v.shape().rank() == 0 ? v : n.reshape(v, {});
}

Values if_else(NodeContext& n) {
  const size_t branches[] = {subgraph(n, 0), subgraph(n, 1)};
  const Passed p = pass(n, 1, {branches[0], branches[1]});
  std::vector<Region> regions;
  for (size_t at : branches) {
    regions.push_back(n.importer().region({}, p.inputs, p.types, p.variables, p.variable_types,
                                          [&](Importer& inner, Builder& b, const Values&, const TensorValues& in) {
                                            const TensorValues out = inner.inlined(at, in);
                                            if (out.size() < n.num_outputs()) n.fail("a branch has too few outputs");
                                            return stored_results(b, inner, out, at);
                                          }));
  }
  Values in{scalar(n, n.stored(0))};
  in.insert(in.end(), p.values.begin(), p.values.end());
  const Values out = n.all(If{}, in, std::move(regions));
  take_variables(n, p, out);
  for (size_t k = 0; k < n.num_outputs(); ++k) n.give_stored(k, out.at(k));
  return {};
}

// What a carried value may become: dimensions that the body changes are unknown.
bool widen(Type& a, const Type& b) {
  if (!a.is_tensor() || !b.is_tensor()) return false;
  if (!a.shape.rank_known()) return false;
  if (!b.shape.rank_known() || a.shape.rank() != b.shape.rank()) {
    a.shape = PartialShape::dynamic();
    return true;
  }
  bool changed = false;
  for (size_t k = 0; k < a.shape.rank(); ++k) {
    if (a.shape[k].same(b.shape[k]) || a.shape[k] == Dimension()) continue;
    a.shape[k] = Dimension();
    changed = true;
  }
  return changed;
}

// The condition runs before the loop and at the end of each turn.
Values while_loop(NodeContext& n) {
  const size_t condition = subgraph(n, 0), body = subgraph(n, 1);
  Passed p = pass(n, 0, {condition, body});
  const Type flag(ElementType::boolean, PartialShape(Shape{}));
  const auto holds = [&](Importer& importer, Builder& b, const TensorValues& in) {
    const TensorValues out = importer.inlined(condition, in);
    if (out.size() != 1 || !out[0].stored) n.fail("the condition must have one output");
    return b(Reshape{}, out[0].stored, b.ints({}));
  };
  const Value first = holds(n.importer(), n.b, p.inputs);
  std::shared_ptr<Graph> region;
  for (int round = 0; round < 4; ++round) {
    region =
        n.importer().region({Type(ElementType::i64, PartialShape(Shape{})), flag}, p.inputs, p.types, p.variables,
                            p.variable_types, [&](Importer& inner, Builder& b, const Values&, const TensorValues& in) {
                              const TensorValues out = inner.inlined(body, in);
                              if (out.size() != in.size()) n.fail("the body must give back what it is given");
                              TensorValues changed, next;
                              for (size_t k = 0; k < out.size(); ++k) {
                                if (in[k].resource.empty()) changed.push_back(out[k]);
                              }
                              // The condition sees what the next turn would be given.
                              const Values stored = stored_results(b, inner, changed, body);
                              for (size_t k = 0, at = 0; k < out.size(); ++k) {
                                next.push_back(in[k]);
                                if (in[k].resource.empty())
                                  next.back().stored = stored[at++], next.back().real = next.back().steps = {};
                              }
                              Values results{holds(inner, b, next)};
                              results.insert(results.end(), stored.begin(), stored.end());
                              return results;
                            });
    bool changed = false;
    const Values out = region->outputs();
    for (size_t k = 0; k < p.types.size(); ++k) changed |= widen(p.types[k], out.at(1 + k).type());
    if (!changed) break;
  }
  Loop op;
  op.num_carried = static_cast<int64_t>(p.values.size());
  Values in{Value{}, first};
  in.insert(in.end(), p.values.begin(), p.values.end());
  const Values out = n.all(op, in, {region});
  take_variables(n, p, out);
  size_t next = 0;
  if (n.num_outputs() > p.inputs.size()) n.fail("has more outputs than inputs");
  for (size_t k = 0; k < n.num_outputs(); ++k) {
    if (k < p.inputs.size() && !p.inputs[k].resource.empty())
      n.give(k, p.inputs[k]);
    else
      n.give_stored(k, out.at(next++));
  }
  return {};
}

Values var_handle(NodeContext& n) {
  TensorValue v;
  v.resource = std::string(n.op().options.string(0)) + "/" + std::string(n.op().options.string(1));
  n.give(0, v);
  return {};
}
const std::string& resource(NodeContext& n, size_t i) {
  const std::string& name = n.value(i).resource;
  if (name.empty()) n.fail("input " + std::to_string(i) + " is no resource");
  return name;
}
Values read_variable(NodeContext& n) {
  n.give_stored(0, n.importer().variable(resource(n, 0), &n.info_out(0)));
  return {};
}
Values assign_variable(NodeContext& n) {
  const std::string name = resource(n, 0);
  // The variable is made first, so that it knows its first content.
  if (!n.in_region) {
    try {
      n.importer().variable(name, &n.info(1));
    } catch (const Error&) {
      // Only written: it needs none.
    }
  }
  n.importer().assign(name, n.stored(1));
  return {};
}

Values hash_table(NodeContext& n) {
  TensorValue v;
  v.resource = "table " + std::to_string(n.i(0));
  n.give(0, v);
  return {};
}
Values hash_table_import(NodeContext& n) {
  const Tensor keys = n.constant(1), values = n.constant(2);
  if (!keys || !values || keys.size() != values.size()) n.refuse("needs constant keys and values");
  n.importer().tables()[resource(n, 0)] = {keys, values};
  return {};
}
const Importer::Table& table(NodeContext& n) {
  const auto& all = n.importer().tables();
  const auto it = all.find(resource(n, 0));
  if (it == all.end()) n.refuse("a table that no initialization fills");
  return it->second;
}
Values hash_table_find(NodeContext& n) {
  const Importer::Table& t = table(n);
  const Tensor otherwise = n.constant(2);
  if (!otherwise || otherwise.size() != 1) n.refuse("needs a constant default");
  const auto count = static_cast<int64_t>(t.keys.size());
  return {n(LabelEncoder{t.keys.reshaped({count}), t.values.reshaped({count}), otherwise.reshaped({1})}, n.stored(1))};
}
Values hash_table_size(NodeContext& n) {
  return {n.ints_constant({static_cast<int64_t>(table(n).keys.size())})};
}

constexpr OperatorRow rows[] = {
    {31, "CALL", call},
    {118, "IF", if_else},
    {119, "WHILE", while_loop},
    {129, "CALL_ONCE", call_once},
    {136, "HASHTABLE", hash_table},
    {137, "HASHTABLE_FIND", hash_table_find},
    {138, "HASHTABLE_IMPORT", hash_table_import},
    {139, "HASHTABLE_SIZE", hash_table_size},
    {142, "VAR_HANDLE", var_handle},
    {143, "READ_VARIABLE", read_variable},
    {144, "ASSIGN_VARIABLE", assign_variable},
    {206, "STABLEHLO_COMPOSITE", composite},
};

}  // namespace

std::span<const OperatorRow> control_rows() {
  return rows;
}

}  // namespace hone::tflite
