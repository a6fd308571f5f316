#include "compile/graph_file.hpp"

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "ops/basic.hpp"
#include "program/bytes.hpp"

namespace hone {
namespace {

constexpr int max_depth = 32;

class GraphWriter {
 public:
  explicit GraphWriter(std::vector<Tensor>& constants) : constants_(constants) {}

  void graph(const Graph& g) {
    w_.text(g.name);
    pairs(g.info);
    const auto order = g.topological_order();
    std::vector<uint32_t> number(g.value_capacity(), no_id);
    uint32_t next = 0;
    std::vector<uint32_t> node_number(g.node_capacity(), no_id);
    w_.u32(static_cast<uint32_t>(order.size()));
    for (size_t i = 0; i < order.size(); ++i) {
      node_number[order[i]] = static_cast<uint32_t>(i);
      node(g, order[i], number, next);
    }
    // Parameters and results have an order of their own.
    for (const auto* list : {&g.parameters(), &g.results()}) {
      w_.u32(static_cast<uint32_t>(list->size()));
      for (NodeId id : *list) w_.u32(node_number[id]);
    }
  }
  std::vector<uint8_t> take() { return w_.take(); }

 private:
  void pairs(const std::map<std::string, std::string>& m) {
    w_.u32(static_cast<uint32_t>(m.size()));
    for (const auto& [k, v] : m) {
      w_.text(k);
      w_.text(v);
    }
  }
  void texts(const std::vector<std::string>& v) {
    w_.u32(static_cast<uint32_t>(v.size()));
    for (const std::string& s : v) w_.text(s);
  }

  // Contents go to the constants; strings stay with the attributes.
  bool apart(const Tensor& t) {
    if (!t || t.element_type() == ElementType::string) {
      w_.u8(0);
      return false;
    }
    w_.u8(1);
    w_.u32(static_cast<uint32_t>(constants_.size()));
    w_.u8(static_cast<uint8_t>(t.element_type()));
    w_.numbers(t.shape());
    constants_.emplace_back(ElementType::u8, Shape{static_cast<int64_t>(t.byte_size())}, t.raw(),
                            std::make_shared<Tensor>(t));
    return true;
  }

  void node(const Graph& g, NodeId id, std::vector<uint32_t>& number, uint32_t& next) {
    const NodeData& n = g.node(id);
    w_.text(n.op->name);
    if (const auto* c = g.handle(id).as<Constant>()) {
      attributes(*n.op, n, apart(c->value) ? std::make_shared<Constant>() : n.attributes);
    } else if (const auto* v = g.handle(id).as<Variable>()) {
      const bool moved = apart(v->value);
      attributes(*n.op, n,
                 moved ? std::make_shared<Variable>(Variable{{}, v->variable_id, v->trainable}) : n.attributes);
    } else {
      w_.u8(0);
      attributes(*n.op, n, n.attributes);
    }
    w_.text(n.name);
    texts(n.provenance);
    pairs(n.info);
    w_.u32(static_cast<uint32_t>(n.inputs.size()));
    for (ValueId v : n.inputs) w_.u32(v == no_id ? no_id : number[v]);
    w_.u32(static_cast<uint32_t>(n.regions.size()));
    for (const auto& r : n.regions) graph(*r);
    w_.u8(n.epilogue != nullptr);
    if (n.epilogue) graph(*n.epilogue);
    w_.u32(static_cast<uint32_t>(n.outputs.size()));
    for (ValueId v : n.outputs) {
      number[v] = next++;
      w_.text(to_string(g.value(v).type));
      texts(g.value(v).names);
    }
  }
  void attributes(const OpDef& op, const NodeData&, const Attributes& a) { w_.blob(attribute_bytes(op, a.get())); }

  std::vector<Tensor>& constants_;
  ByteWriter w_;
};

class GraphReader {
 public:
  GraphReader(std::span<const uint8_t> bytes, const std::vector<Tensor>& constants)
      : r_(bytes, "graph"), constants_(constants) {}

  Graph read() {
    Graph g = graph(0);
    r_.finish();
    return g;
  }

 private:
  std::map<std::string, std::string> pairs() {
    std::map<std::string, std::string> m;
    for (uint32_t n = r_.count(8); n > 0; --n) {
      std::string k = r_.text();
      m[std::move(k)] = r_.text();
    }
    return m;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> v(r_.count(4));
    for (std::string& s : v) s = r_.text();
    return v;
  }

  Tensor content() {
    if (r_.u8() == 0) return {};
    const uint32_t c = r_.u32();
    const auto type = r_.enumerated(ElementType::u1);
    Shape shape = r_.numbers<int64_t>();
    if (c >= constants_.size() || type == ElementType::dynamic) r_.fail("a constant is missing");
    if (byte_size(type, static_cast<size_t>(element_count(shape))) != constants_[c].byte_size()) {
      r_.fail("a constant has the wrong size");
    }
    return Tensor(type, std::move(shape), constants_[c].raw(), std::make_shared<Tensor>(constants_[c]));
  }

  Graph graph(int depth) {
    if (depth > max_depth) r_.fail("regions nest too deeply");
    Graph g;
    g.name = r_.text();
    g.info = pairs();
    std::vector<ValueId> values;
    std::vector<NodeId> nodes;
    for (uint32_t n = r_.count(30); n > 0; --n) nodes.push_back(node(g, values, depth));
    const auto order = [&] {
      std::vector<NodeId> list(r_.count(4));
      for (NodeId& id : list) {
        const uint32_t i = r_.u32();
        if (i >= nodes.size()) r_.fail("a node number is out of range");
        id = nodes[i];
      }
      return list;
    };
    const auto same = [](std::vector<NodeId> a, std::vector<NodeId> b) {
      std::sort(a.begin(), a.end());
      std::sort(b.begin(), b.end());
      return a == b;
    };
    const auto parameters = order(), results = order();
    if (!same(parameters, g.parameters()) || !same(results, g.results())) r_.fail("inputs or outputs are missing");
    g.reorder_parameters(parameters);
    g.reorder_results(results);
    return g;
  }

  NodeId node(Graph& g, std::vector<ValueId>& values, int depth) {
    const std::string name = r_.text();
    const OpDef* op = find_op(name);
    if (!op)
      throw Error(ErrorCode::unsupported, "[hone] the file uses the operator '" + name + "', which this build has not");
    const Tensor tensor = content();
    Attributes attributes = op->make();
    FieldReader fields(r_.blob());
    op->visit(const_cast<void*>(attributes.get()), fields);
    if (tensor) {
      if (name == "Constant") {
        attributes = std::make_shared<Constant>(Constant{tensor});
      } else if (name == "Variable") {
        const auto* v = static_cast<const Variable*>(attributes.get());
        attributes = std::make_shared<Variable>(Variable{tensor, v->variable_id, v->trainable});
      } else {
        r_.fail("an operator without content has one");
      }
    }
    const std::string node_name = r_.text();
    auto provenance = texts();
    const auto info = pairs();
    std::vector<ValueId> inputs(r_.count(4));
    for (ValueId& v : inputs) {
      const uint32_t i = r_.u32();
      if (i != no_id && i >= values.size()) r_.fail("a node reads what is not computed yet");
      v = i == no_id ? no_id : values[i];
    }
    std::vector<hone::Region> regions(r_.count(8));
    for (auto& region : regions) region = std::make_shared<Graph>(graph(depth + 1));
    hone::Region epilogue;
    if (r_.u8() != 0) epilogue = std::make_shared<Graph>(graph(depth + 1));
    std::vector<ValueId> operands;
    if (epilogue) {
      const size_t n = epilogue->parameters().size();
      if (n < 1 || n - 1 > inputs.size() || epilogue->results().size() != 1) r_.fail("malformed epilogue");
      operands.assign(inputs.end() - static_cast<std::ptrdiff_t>(n - 1), inputs.end());
      inputs.resize(inputs.size() - (n - 1));
      for (ValueId v : operands) {
        if (v == no_id) r_.fail("an epilogue operand is absent");
      }
    }
    const NodeId id = g.add(*op, std::move(attributes), std::move(inputs), std::move(regions), node_name);
    std::vector<Type> types(r_.count(8));
    if (types.size() != g.node(id).outputs.size()) r_.fail("'" + name + "' has another number of outputs");
    for (size_t o = 0; o < types.size(); ++o) {
      const ValueId v = g.node(id).outputs[o];
      types[o] = parse_type(r_.text());
      g.set_names(v, texts());
      values.push_back(v);
    }
    if (epilogue) g.set_epilogue(id, std::move(epilogue), operands);
    // Types carry decisions of passes (layout, quantization) and of the builder (inputs); they must fit what inference
    // says.
    for (size_t o = 0; o < types.size(); ++o) {
      const ValueId v = g.node(id).outputs[o];
      const Type& inferred = g.value(v).type;
      const bool fits = inferred.kind == types[o].kind &&
                        (!inferred.is_tensor() || name == "Parameter" || inferred.shape.compatible(types[o].shape));
      if (!fits) r_.fail("'" + name + "' has type " + to_string(types[o]) + ", inference says " + to_string(inferred));
      g.set_type(v, std::move(types[o]));
    }
    if (!provenance.empty()) g.set_provenance(id, std::move(provenance));
    for (const auto& [k, v] : info) g.set_info(id, k, v);
    return id;
  }

  ByteReader r_;
  const std::vector<Tensor>& constants_;
};

}  // namespace

std::vector<uint8_t> graph_bytes(const Graph& g, std::vector<Tensor>& constants) {
  GraphWriter w(constants);
  w.graph(g);
  return w.take();
}

Graph graph_from_bytes(std::span<const uint8_t> bytes, const std::vector<Tensor>& constants) {
  return GraphReader(bytes, constants).read();
}

}  // namespace hone
