// Layers that are not simply the Hone operator of their name: older versions of operators, and other shapes of the same thing.
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
#include "ops/resize.hpp"

namespace hone::ir {

namespace control {
Values if_else(LayerContext& l);
Values loop(LayerContext& l);
}  // namespace control

namespace {

Values constant(LayerContext& l) { return {l.b.constant(l.importer.constant(l.data))}; }

// Opset 1 lists gamma and beta before the data.
Values batch_norm_1(LayerContext& l) {
  BatchNormInference op = l.fields<BatchNormInference>();
  if (const auto eps = l.data.attribute("eps")) op.epsilon = eps.as_double();
  return l.all(op, {l.in(2), l.in(0), l.in(1), l.in(3), l.in(4)});
}

Values range_1(LayerContext& l) { return {l(Range{l.in(0).element_type()}, l.in(0), l.in(1), l.in(2))}; }
Values shape_of_1(LayerContext& l) { return {l(ShapeOf{ElementType::i64}, l.in(0))}; }

// Opset 1: sizes of the listed axes, linear or nearest with align_corners.
Values interpolate_1(LayerContext& l) {
  Interpolate op;
  const std::string mode = l.attribute("mode", "nearest");
  const bool align = l.flag("align_corners", true);
  if (mode == "nearest") op.mode = InterpolateMode::nearest;
  else if (mode == "linear" || mode == "linear_onnx") op.mode = InterpolateMode::linear_onnx;
  else if (mode == "cubic") op.mode = InterpolateMode::cubic;
  else l.fail("mode '" + mode + "' is not offered");
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
    for (auto k = l.flag("across_channels", true) ? 1 : 2; k < static_cast<int64_t>(l.in(0).shape().rank()); ++k) axes.push_back(k);
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
Values random_uniform(LayerContext& l) {
  const RandomUniform op = l.fields<RandomUniform>();
  const auto key = l.data.attribute("global_seed").as_ullong() * 0x9e3779b97f4a7c15ull + l.data.attribute("op_seed").as_ullong();
  const Value state = l.b.constant(Tensor::of<uint64_t>({2}, {key, 0}));
  return {l.all(op, {l.in(0), l.in(1), l.in(2), state})[0]};
}

constexpr LayerRow rows[] = {
    {"batchnorminference", 1, 4, batch_norm_1},
    {"const", 0, 99, constant},
    {"constant", 0, 99, constant},
    {"if", 0, 99, control::if_else},
    {"interpolate", 1, 3, interpolate_1},
    {"interpolate", 4, 10, interpolate_4},
    {"loop", 0, 99, control::loop},
    {"mvn", 1, 5, mvn_1},
    {"randomuniform", 0, 99, random_uniform},
    {"range", 1, 3, range_1},
    {"reverse", 0, 99, reverse_1},
    {"shapeof", 1, 2, shape_of_1},
    {"tensoriterator", 0, 99, control::loop},
};

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
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
