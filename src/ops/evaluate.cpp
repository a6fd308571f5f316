#include "ops/evaluate.hpp"

#include <cmath>
#include <new>
#include <stdexcept>

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/region_context.hpp"

namespace hone {
namespace {

bool is_small_float(ElementType t) {
  return is_float(t) && t != ElementType::f64 && t != ElementType::f32;
}
bool is_small_integer(ElementType t) {
  return is_integer(t) && bit_width(t) < 8;
}

Datum promoted(const Datum& d) {
  if (!d.is_tensor()) return d;
  const Tensor& t = d.tensor();
  if (is_small_float(t.element_type())) return t.converted(ElementType::f32);
  if (is_small_integer(t.element_type())) return t.converted(ElementType::i32);
  return d;
}

// The element type that an output should have when the wanted one is not given: small floats in, small floats out.
ElementType demoted_type(const std::vector<Datum>& inputs, ElementType computed) {
  if (computed != ElementType::f32 && computed != ElementType::i32) return computed;
  for (const Datum& d : inputs) {
    if (!d.is_tensor()) continue;
    const ElementType e = d.tensor().element_type();
    if (computed == ElementType::f32 ? is_small_float(e) : is_small_integer(e)) return e;
    if (e == computed) return computed;
  }
  return computed;
}

// Index of the scale for element `i`. More scales than `axis` has entries count the leading axes together: output
// channels of grouped weights [G, O / G, ...].
// A missing input or a size that no memory holds is the user's error, whichever operator stumbles over it.
void guarded_eval(const OpDef& op, const void* attributes, EvalCtx& ctx) {
  try {
    op.eval(attributes, ctx);
  } catch (const std::out_of_range&) {
    throw Error(ErrorCode::failed, "[" + std::string(op.name) + "] an input is missing or of too low a rank");
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::failed, "[" + std::string(op.name) + "] out of memory");
  } catch (const std::length_error&) {
    throw Error(ErrorCode::failed, "[" + std::string(op.name) + "] out of memory");
  }
}

size_t channel_of(size_t i, const Shape& shape, const Quantization& q) {
  size_t inner = 1;
  for (size_t k = static_cast<size_t>(q.axis) + 1; k < shape.size(); ++k) inner *= static_cast<size_t>(shape[k]);
  const auto along = static_cast<size_t>(shape[static_cast<size_t>(q.axis)]);
  if (q.scales.size() > along) return i * q.scales.size() / static_cast<size_t>(element_count(shape));
  return i / inner % along;
}

}  // namespace

std::vector<Datum> EvalCtx::run_region(size_t, std::vector<Datum>) {
  fail("the operator has no regions here");
}
Tensor EvalCtx::blank_region_output(size_t, size_t) const {
  fail("the operator has no regions here");
}
void EvalCtx::fail(const std::string& message) const {
  throw Error(ErrorCode::failed, message);
}

Tensor dequantize(const Tensor& t, const Quantization& q) {
  Tensor out(ElementType::f32, t.shape());
  float* to = out.data<float>();
  for (size_t i = 0; i < t.size(); ++i) {
    const size_t c = q.axis < 0 ? 0 : channel_of(i, t.shape(), q);
    to[i] = static_cast<float>(get_integer(t, i) - q.zero_point(c)) * q.scale(c);
  }
  return out;
}

Tensor quantize(const Tensor& t, const Quantization& q, ElementType type) {
  Tensor out(type, t.shape());
  for (size_t i = 0; i < t.size(); ++i) {
    const size_t c = q.axis < 0 ? 0 : channel_of(i, t.shape(), q);
    set_element(out, i, std::nearbyint(static_cast<float>(get_element(t, i)) / q.scale(c)) + q.zero_point(c));
  }
  return out;
}

std::vector<Datum> evaluate_op(const OpDef& op, const void* attributes, std::vector<Datum> inputs,
                               const std::vector<Region>& regions, size_t num_outputs, const Types* types) {
  const auto run = [&](size_t r, const std::vector<Datum>& in) { return evaluate(*regions[r], in); };
  if (op.raw_types) {
    RegionContext ctx(std::move(inputs), num_outputs, regions, run);
    guarded_eval(op, attributes, ctx);
    return ctx.take_outputs();
  }
  std::vector<Datum> wide;
  for (const Datum& d : inputs) wide.push_back(promoted(d));
  RegionContext ctx(std::move(wide), num_outputs, regions, run);
  guarded_eval(op, attributes, ctx);
  auto outputs = ctx.take_outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].is_tensor()) continue;
    const ElementType have = outputs[i].tensor().element_type();
    ElementType want = have;
    if (types && i < types->size() && (*types)[i].is_tensor() && (*types)[i].element != ElementType::dynamic) {
      if (!(*types)[i].quantization) want = (*types)[i].element;
    } else {
      want = demoted_type(inputs, have);
    }
    if (want != have) outputs[i] = outputs[i].tensor().converted(want);
  }
  return outputs;
}

std::vector<Datum> evaluate_node(const Graph& g, NodeId id, std::vector<Datum> inputs) {
  const NodeData& n = g.node(id);
  Types types;
  for (ValueId v : n.outputs) types.push_back(g.value(v).type);
  const size_t op_inputs = g.num_op_inputs(id);
  if (!n.op->raw_types || n.epilogue) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (n.inputs[i] == no_id || !inputs[i].is_tensor()) continue;
      if (const auto& q = g.value(n.inputs[i]).type.quantization) inputs[i] = dequantize(inputs[i].tensor(), *q);
    }
  }
  std::vector<Datum> outputs;
  try {
    std::vector<Datum> op_values(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(op_inputs));
    if (n.epilogue) {
      // The result stays in f32 through the epilogue.
      for (Datum& d : op_values) d = promoted(d);
      outputs = evaluate_op(*n.op, n.attributes.get(), std::move(op_values), n.regions, n.outputs.size(), nullptr);
      std::vector<Datum> region_inputs{outputs[0]};
      for (size_t i = op_inputs; i < inputs.size(); ++i) region_inputs.push_back(promoted(inputs[i]));
      outputs[0] = evaluate(*n.epilogue, region_inputs)[0];
      if (!types[0].quantization && types[0].element != ElementType::dynamic)
        outputs[0] = outputs[0].tensor().converted(types[0].element);
    } else {
      outputs = evaluate_op(*n.op, n.attributes.get(), std::move(op_values), n.regions, n.outputs.size(), &types);
    }
    if (!n.op->raw_types || n.epilogue) {
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (types[i].is_tensor() && types[i].quantization)
          outputs[i] = quantize(outputs[i].tensor(), *types[i].quantization, types[i].element);
      }
    }
  } catch (const Error& e) {
    const std::string prefix = "[" + std::string(n.op->name) + "]";
    throw Error(e.code(), e.message().starts_with(prefix) ? e.message() : prefix + " " + e.message(),
                e.where().empty() && !n.name.empty() ? "node '" + n.name + "'" : e.where(), e.hint());
  }
  return outputs;
}

std::vector<Datum> evaluate(const Graph& g, const std::vector<Datum>& inputs, const EvaluateOptions& options) {
  if (inputs.size() != g.parameters().size()) {
    throw Error(ErrorCode::usage, "[evaluate] " + std::to_string(inputs.size()) + " inputs given, the model has " +
                                      std::to_string(g.parameters().size()));
  }
  std::vector<Datum> values(g.value_capacity());
  std::vector<size_t> uses_left(g.value_capacity(), 0);
  for (ValueId v = 0; v < uses_left.size(); ++v) uses_left[v] = g.value(v).uses.size();
  std::map<std::string, Datum> assigned;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueId v = g.node(g.parameters()[i]).outputs[0];
    values[v] = inputs[i];
    if (options.on_value) options.on_value(g, v, inputs[i]);
  }
  std::vector<Datum> results(g.results().size());
  for (NodeId id : g.topological_order()) {
    const NodeData& n = g.node(id);
    if (n.op == &op_def<Parameter>()) continue;
    std::vector<Datum> in;
    for (ValueId v : n.inputs) in.push_back(v == no_id ? Datum() : values[v]);
    std::vector<Datum> out;
    const auto* variable = g.handle(id).as<Variable>();
    const auto* read = g.handle(id).as<ReadValue>();
    const std::string* state = variable ? &variable->variable_id : read ? &read->variable_id : nullptr;
    if (const auto* assign = g.handle(id).as<Assign>()) {
      assigned[assign->variable_id] = in[0];
      out = {in[0]};
      out.resize(n.outputs.size());
    } else if (state && options.variables && options.variables->contains(*state)) {
      out = {(*options.variables)[*state]};
    } else {
      out = evaluate_node(g, id, in);
    }
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      values[n.outputs[i]] = out[i];
      if (options.on_value) options.on_value(g, n.outputs[i], out[i]);
    }
    if (n.op == &op_def<Result>()) {
      for (size_t r = 0; r < results.size(); ++r) {
        if (g.results()[r] == id) results[r] = in[0];
      }
    }
    for (ValueId v : n.inputs) {
      if (v != no_id && --uses_left[v] == 0) values[v] = Datum();
    }
  }
  if (options.variables) {
    for (auto& [k, v] : assigned) (*options.variables)[k] = std::move(v);
  }
  return results;
}

}  // namespace hone
