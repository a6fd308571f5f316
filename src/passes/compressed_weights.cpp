#include "passes/compressed_weights.hpp"

#include <cmath>
#include <optional>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/compressed_matmul.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

// What is left behind conversions between numbers that lose nothing here: to floats.
Value behind_converts(Value v) {
  while (v.node().is<Convert>() && is_float(v.element_type())) v = v.node().input(0);
  return v;
}

// A constant behind conversions and reshapes, in the shape that it has in the end.
Tensor numbers_of(Value v) {
  if (!v.type().is_static()) return {};
  const Shape shape = v.shape().to_shape();
  for (;;) {
    v = behind_converts(v);
    if (!v.node().is<Reshape>() && !v.node().is<Unsqueeze>() && !v.node().is<Squeeze>()) break;
    v = v.node().input(0);
  }
  const Tensor t = v.constant();
  if (!t || t.element_type() == ElementType::string || element_count(shape) != element_count(t.shape())) return {};
  return t.reshaped(shape);
}

struct Decompression {
  Tensor weights;        // as stored: two dimensions, or three where one is cut into groups
  Tensor scales, zeros;  // zeros may be empty
};

std::optional<Decompression> decompression_of(Value v) {
  v = behind_converts(v);
  if (!v.node().is<Multiply>() || v.node().num_inputs() != 2) return std::nullopt;
  for (size_t side : {1u, 0u}) {
    Decompression d;
    d.scales = numbers_of(v.node().input(side));
    if (!d.scales || !is_float(d.scales.element_type())) continue;
    Value core = behind_converts(v.node().input(1 - side));
    if (core.node().is<Subtract>()) {
      d.zeros = numbers_of(core.node().input(1));
      if (!d.zeros) continue;
      core = behind_converts(core.node().input(0));
    }
    d.weights = core.constant();
    if (!d.weights || !is_integer(d.weights.element_type())) continue;
    if (const int bits = bit_width(d.weights.element_type()); bits != 4 && bits != 8) continue;
    return d;
  }
  return std::nullopt;
}

// For each row (index along the outputs) and group: an element of `t`, which spreads over `shape`. Empty where it
// changes within a group.
struct Place {
  Shape shape;           // of the weights as stored
  size_t row_axis;       // its axis of the outputs
  size_t group_axis;     // its axis of the groups; the axis inside of a group where there are none
  bool grouped = false;  // are there two axes along the inner dimension?
};
Tensor by_group(const Tensor& t, const Place& p, int64_t rows, int64_t groups, bool transposed) {
  const size_t rank = p.shape.size();
  if (t.rank() > rank) return {};
  Shape own(rank - t.rank(), 1);
  own.insert(own.end(), t.shape().begin(), t.shape().end());
  std::vector<int64_t> step(rank, 0);
  int64_t each = 1;
  for (size_t i = rank; i-- > 0;) {
    if (own[i] != 1 && own[i] != p.shape[i]) return {};
    if (own[i] != 1) step[i] = each;
    each *= own[i];
    const bool inside = i != p.row_axis && !(p.grouped && i == p.group_axis);
    if (inside && own[i] != 1) return {};
  }
  Tensor out(ElementType::f32, transposed ? Shape{rows, groups} : Shape{groups, rows});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t at = r * step[p.row_axis] + (p.grouped ? g * step[p.group_axis] : 0);
      set_element(out, static_cast<size_t>(transposed ? r * groups + g : g * rows + r),
                  get_element(t, static_cast<size_t>(at)));
    }
  }
  return out;
}

// Half the memory where it loses nothing.
Tensor as_small_floats(const Tensor& t) {
  const Tensor half = t.converted(ElementType::f16);
  for (size_t i = 0; i < t.size(); ++i) {
    if (get_element(half, i) != get_element(t, i)) return t;
  }
  return half;
}

class Keeper {
 public:
  Keeper(Graph& g, const CompressedWeightsOptions& options) : g_(g), options_(options) {}

  size_t run() {
    size_t kept = 0;
    for (NodeId id : g_.topological_order()) {
      if (g_.alive(id)) kept += keep(id);
    }
    return kept;
  }

 private:
  bool keep(NodeId id) {
    const Node n = g_.handle(id);
    const auto* product = n.as<MatMul>();
    if (!product || g_.node(id).epilogue || !n.input(0) || !n.input(1)) return false;
    const Type &x = n.input(0).type(), &b = n.input(1).type();
    if (!x.is_static() || !b.is_static() || b.shape.rank() != 2 || x.shape.rank() == 0) return false;
    if (product->transpose_a && x.shape.rank() > 1) return false;
    Value v = behind_converts(n.input(1));
    const bool reshaped = v.node().is<Reshape>();
    if (reshaped) v = v.node().input(0);
    const auto d = decompression_of(v);
    if (!d) return false;
    const bool transposed = product->transpose_b;
    const Shape matrix = b.shape.to_shape();
    Place p;
    p.shape = d->weights.shape();
    p.grouped = p.shape.size() == 3;
    if (v.shape() != PartialShape(p.shape)) return false;  // the weights themselves spread
    p.row_axis = transposed ? 0 : p.shape.size() - 1;
    p.group_axis = transposed ? 1 : 0;
    if (p.grouped) {
      const Shape joined =
          transposed ? Shape{p.shape[0], p.shape[1] * p.shape[2]} : Shape{p.shape[0] * p.shape[1], p.shape[2]};
      if (!reshaped || joined != matrix) return false;
    } else if (p.shape != matrix) {
      return false;
    }
    const int64_t rows = matrix[transposed ? 0 : 1], depth = matrix[transposed ? 1 : 0];
    const int64_t groups = p.grouped ? p.shape[p.group_axis] : 1;
    if (rows == 0 || depth == 0) return false;
    CompressedMatMul op;
    op.group = depth / groups;
    op.transposed_weights = transposed;
    const Tensor scales = by_group(d->scales, p, rows, groups, transposed);
    if (!scales) return false;
    Tensor zeros;
    if (d->zeros) {
      zeros = by_group(d->zeros, p, rows, groups, transposed);
      if (!zeros) return false;
      bool same = true;
      for (size_t i = 1; i < zeros.size(); ++i) same &= get_element(zeros, i) == get_element(zeros, 0);
      const double first = get_element(zeros, 0);
      if (same && first == std::nearbyint(first)) {
        op.zero_point = static_cast<int64_t>(first);
        zeros = {};
      }
    }
    Transaction t(g_);
    Builder builder(g_);
    Values inputs{n.input(0), builder.constant(d->weights.reshaped(matrix)), builder.constant(as_small_floats(scales))};
    if (zeros) inputs.push_back(builder.constant(zeros));
    builder.set_name(n.name());
    builder.set_provenance(g_.node(id).provenance);
    const Value old = g_.handle(id).output(0);
    const auto names = old.names();
    try {
      const Value y = builder(op, inputs);
      if (y.type() != old.type() || (options_.accepts && !options_.accepts(g_, y.node().id))) return false;
      g_.replace_uses(old.id, y.id);
      g_.set_names(y.id, names);
    } catch (const Error&) {
      return false;
    }
    g_.remove(id);
    t.commit();
    return true;
  }

  Graph& g_;
  const CompressedWeightsOptions& options_;
};

}  // namespace

// Integers on both sides of its products are worth more than small weights.
static bool quantizes_activations(const Graph& g) {
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    const Node n = g.handle(id);
    if ((n.is<FakeQuantize>() || n.is<Quantize>()) && !is_parameter_like(n.input(0))) return true;
  }
  return false;
}

size_t keep_compressed_weights(Graph& g, const CompressedWeightsOptions& options) {
  return quantizes_activations(g) ? 0 : Keeper(g, options).run();
}

Pass compressed_weights_pass(CompressedWeightsOptions options) {
  Pass pass;
  pass.name = "compressed_weights";
  pass.run = [options](Graph& g, PassContext&) { return keep_compressed_weights(g, options); };
  return pass;
}

}  // namespace hone
