#include "passes/attention_inputs.hpp"

#include <map>

#include "hone/error.hpp"
#include "ops/matmul.hpp"
#include "ops/strided_attention.hpp"

namespace hone {
namespace {

// The quantizer of each column of a product: 0, 1, 2 for Q, K and V; -1 where attention does not read it.
using Columns = std::vector<int>;

class Rounder {
 public:
  Rounder(Graph& g, const std::function<bool(const Graph&, NodeId)>& accepts) : g_(g), accepts_(accepts) {}

  size_t run() {
    size_t made = 0;
    for (NodeId id : g_.topological_order()) {
      if (g_.alive(id) && g_.handle(id).is<StridedAttention>()) made += round_inputs(id);
    }
    return made;
  }

 private:
  bool round_inputs(NodeId id) {
    const Node attention = g_.handle(id);
    const StridedAttention op = *attention.as<StridedAttention>();
    if (op.levels.size() < 12) return false;
    std::map<ValueId, Columns> products;
    for (size_t i = 0; i < 3; ++i) {
      const Value v = attention.input(i);
      if (!is_product(v, id)) return false;
      const int64_t n = v.shape().to_shape().back();
      auto& columns = products.try_emplace(v.id, Columns(static_cast<size_t>(n), -1)).first->second;
      if (!mark(op, i, element_count(v.shape().to_shape()), columns)) return false;
    }
    Transaction t(g_);
    for (const auto& [v, columns] : products) {
      Type type = g_.value(v).type;
      type.element = ElementType::u8;
      type.quantization = quantization_of(op, columns, static_cast<int64_t>(type.shape.rank()) - 1);
      if (!type.quantization) return false;
      g_.set_type(v, type);
      if (accepts_ && !accepts_(g_, g_.value(v).producer)) return false;
    }
    if (accepts_ && !accepts_(g_, id)) return false;
    t.commit();
    return true;
  }

  // Real results of integers that this attention alone reads.
  bool is_product(Value v, NodeId reader) const {
    const Type& type = v.type();
    if (!v.node().is<MatMul>() || !type.is_tensor() || type.element != ElementType::f32 || !type.shape.is_static() ||
        type.shape.rank() < 2 || !v.node().input(0).type().quantization)
      return false;
    for (const Use& u : v.uses()) {
      if (u.node != reader || u.index > 2) return false;
    }
    return true;
  }

  // Which columns the matrices of input `number` take up. Rows must be whole rows of the product apart.
  static bool mark(const StridedAttention& op, size_t number, int64_t elements, Columns& columns) {
    const auto& place = number == 0 ? op.query : number == 1 ? op.key : op.value;
    const int64_t rows = number == 0 ? op.sizes[0] : op.sizes[1], width = number == 2 ? op.sizes[3] : op.sizes[2];
    const auto n = static_cast<int64_t>(columns.size());
    if (rows > 1 && place.back() % n != 0) return false;
    const auto offsets = attention_offsets(op, place, rows, width, elements);
    if (!offsets) return false;
    for (int64_t at : *offsets) {
      for (int64_t i = 0; i < width; ++i) {
        int& c = columns[static_cast<size_t>((at + i) % n)];
        if (c >= 0 && c != static_cast<int>(number)) return false;
        c = static_cast<int>(number);
      }
    }
    return true;
  }

  static QuantizationPtr quantization_of(const StridedAttention& op, const Columns& columns, int64_t axis) {
    auto q = std::make_shared<Quantization>();
    for (int c : columns) {
      const double* l = &op.levels[3 * static_cast<size_t>(c < 0 ? 0 : c)];
      if (l[2] - l[1] != 255) return nullptr;  // fewer levels than a byte has
      q->scales.push_back(static_cast<float>(l[0]));
      q->zero_points.push_back(static_cast<int32_t>(-l[1]));
    }
    q->axis = axis;
    return q;
  }

  Graph& g_;
  const std::function<bool(const Graph&, NodeId)>& accepts_;
};

}  // namespace

size_t quantize_attention_inputs(Graph& g, const std::function<bool(const Graph&, NodeId)>& accepts) {
  return Rounder(g, accepts).run();
}

Pass quantize_attention_inputs_pass(std::function<bool(const Graph&, NodeId)> accepts) {
  Pass pass;
  pass.name = "quantize_attention_inputs";
  pass.run = [accepts = std::move(accepts)](Graph& g, PassContext&) { return quantize_attention_inputs(g, accepts); };
  return pass;
}

}  // namespace hone
