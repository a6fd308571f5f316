// Layers that are not simply the Hone operator of their name: older versions of operators, and other shapes of the same
// thing.
#include <algorithm>
#include <unordered_map>

#include "formats/openvino_ir/layer.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"
#include "ops/resize.hpp"
#include "ops/unary.hpp"

namespace hone::ir {

namespace control {
Values if_else(LayerContext& l);
Values loop(LayerContext& l);
}  // namespace control

namespace {

Values constant(LayerContext& l) {
  return {l.b.constant(l.importer.constant(l.data))};
}

// Opset 1 lists gamma and beta before the data.
Values batch_norm_1(LayerContext& l) {
  BatchNormInference op = l.fields<BatchNormInference>();
  if (const auto eps = l.data.attribute("eps")) op.epsilon = eps.as_double();
  return l.all(op, {l.in(2), l.in(0), l.in(1), l.in(3), l.in(4)});
}

Values range_1(LayerContext& l) {
  return {l(Range{l.in(0).element_type()}, l.in(0), l.in(1), l.in(2))};
}
Values shape_of_1(LayerContext& l) {
  return {l(ShapeOf{ElementType::i64}, l.in(0))};
}

// Opset 1: sizes of the listed axes, linear or nearest with align_corners.
Values interpolate_1(LayerContext& l) {
  Interpolate op;
  const std::string mode = l.attribute("mode", "nearest");
  const bool align = l.flag("align_corners", true);
  if (mode == "nearest")
    op.mode = InterpolateMode::nearest;
  else if (mode == "linear" || mode == "linear_onnx")
    op.mode = InterpolateMode::linear_onnx;
  else if (mode == "cubic")
    op.mode = InterpolateMode::cubic;
  else
    l.fail("mode '" + mode + "' is not offered");
  op.coordinate_transformation_mode = align ? CoordinateMode::align_corners : CoordinateMode::asymmetric;
  if (mode == "nearest") {
    op.coordinate_transformation_mode = CoordinateMode::asymmetric;
    op.nearest_mode = NearestMode::floor;
  }
  op.antialias = l.flag("antialias", false);
  op.pads_begin = parse_ints(l.attribute("pads_begin"));
  op.pads_end = parse_ints(l.attribute("pads_end"));
  return {l(op, l.in(0), l.in(1), l.b.ints(parse_ints(l.attribute("axes"))))};
}

// Opset 4 takes sizes and scales both; one of them counts.
Values interpolate_4(LayerContext& l) {
  const Interpolate op = l.fields<Interpolate>();
  const Value chosen = op.shape_calculation_mode == ShapeCalculation::sizes ? l.in(1) : l.in(2);
  return {l.has(3) ? l(op, l.in(0), chosen, l.in(3)) : l(op, l.in(0), chosen)};
}

// Opset 1 and 2 name the axes by attributes.
Values mvn_1(LayerContext& l) {
  MVN op = l.fields<MVN>();
  std::vector<int64_t> axes = parse_ints(l.attribute("reduction_axes"));
  if (axes.empty()) {
    if (!l.in(0).shape().rank_known()) l.fail("needs to know the rank of its input");
    for (auto k = l.flag("across_channels", true) ? 1 : 2; k < static_cast<int64_t>(l.in(0).shape().rank()); ++k)
      axes.push_back(k);
  }
  return {l(op, l.in(0), l.b.ints(axes))};
}

Values reverse_1(LayerContext& l) {
  const Tensor axes = l.in(1).constant();
  if (!axes) l.fail("needs constant axes");
  Reverse op;
  if (std::string(l.attribute("mode", "index")) == "mask") {
    for (size_t i = 0; i < axes.size(); ++i) {
      if (get_integer(axes, i)) op.axes.push_back(static_cast<int64_t>(i));
    }
  } else {
    op.axes = axes.to_ints();
  }
  return {l(op, l.in(0))};
}

// The seeds become an explicit state.
Value random_state(LayerContext& l) {
  const auto key =
      l.data.attribute("global_seed").as_ullong() * 0x9e3779b97f4a7c15ull + l.data.attribute("op_seed").as_ullong();
  return l.b.constant(Tensor::of<uint64_t>({2}, {key, 0}));
}
Values random_uniform(LayerContext& l) {
  return {l.all(l.fields<RandomUniform>(), {l.in(0), l.in(1), l.in(2), random_state(l)})[0]};
}

// Draws with replacement count the cumulated probabilities below a uniform number; draws without it are the first
// places of log p - log(-log u) (Gumbel), which has the same distribution as one draw after the other.
Values multinomial(LayerContext& l) {
  const Value p = l(Convert{ElementType::f32}, l.in(0)), last = l.b.ints({-1});
  if (!p.shape().rank_known() || p.shape().rank() != 2) l.fail("takes probabilities [N, classes]");
  const bool log = l.flag("log_probs", false);
  const ElementType type = parse_type(l.attribute("convert_type", "i64"));
  const Value count = l(Reshape{}, l(Convert{ElementType::i64}, l.in(1)), l.b.ints({}));
  const auto part = [&](int64_t axis) {
    return l(Gather{}, l(ShapeOf{ElementType::i64}, p), l.b.ints({axis}), l.b.scalar<int64_t>(0));
  };
  const auto uniform = [&](const Values& shape) {
    return l.all(RandomUniform{},
                 {l.all(Concat{0}, shape)[0], l.b.scalar<float>(0), l.b.scalar<float>(1), random_state(l)})[0];
  };
  if (!l.flag("with_replacement", false)) {
    const Value u = uniform({part(0), part(1)});
    const Value key = l(Subtract{}, log ? p : l(Log{}, p), l(Log{}, l(Negative{}, l(Log{}, u))));
    TopK top;
    top.index_element_type = type;
    return {l.all(top, {key, count})[1]};
  }
  const Value weights = log ? l(Exp{}, l(Subtract{}, p, l(ReduceMax{true}, p, last))) : p;
  const Value sums = l(CumSum{}, weights, l.b.scalar<int64_t>(-1));
  const Value bounds = l(Unsqueeze{}, l(Divide{}, sums, l(ReduceSum{true}, weights, last)), l.b.ints({1}));
  const Value u = uniform({part(0), l(Unsqueeze{}, count, l.b.ints({0})), l.b.ints({1})});
  const Value below = l(ReduceSum{}, l(Convert{ElementType::i64}, l(LessEqual{}, bounds, u)), l.b.ints({2}));
  return {l(Convert{type}, l(Minimum{}, below, l(Subtract{}, part(1), l.b.ints({1}))))};
}

constexpr LayerRow rows[] = {
    {"batchnorminference", 1, 4, batch_norm_1},
    {"const", 0, 99, constant},
    {"constant", 0, 99, constant},
    {"if", 0, 99, control::if_else},
    {"interpolate", 1, 3, interpolate_1},
    {"interpolate", 4, 10, interpolate_4},
    {"loop", 0, 99, control::loop},
    {"multinomial", 13, 99, multinomial},
    {"mvn", 1, 5, mvn_1},
    {"randomuniform", 0, 99, random_uniform},
    {"range", 1, 3, range_1},
    {"reverse", 0, 99, reverse_1},
    {"shapeof", 1, 2, shape_of_1},
    {"tensoriterator", 0, 99, control::loop},
};

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

const LayerRow* find_layer_row(std::string_view type, int opset) {
  const std::string t = lower(type);
  for (const LayerRow& r : rows) {
    if (r.type == t && opset >= r.first && opset <= r.last) return &r;
  }
  for (const LayerRow& r : composed_rows()) {
    if (r.type == t && opset >= r.first && opset <= r.last) return &r;
  }
  return nullptr;
}

const OpDef* find_layer_op(std::string_view type) {
  static const auto index = [] {
    std::unordered_map<std::string, const OpDef*> m;
    for (const OpDef* op : all_ops()) m.emplace(lower(op->name), op);
    return m;
  }();
  const auto it = index.find(lower(type));
  return it == index.end() ? nullptr : it->second;
}

}  // namespace hone::ir
