// Boxes: cropping and non-maximum suppression.
#include <limits>

#include "formats/tensorflow/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

Value f32(NodeContext& n, double v) {
  return n.b.scalar<float>(static_cast<float>(v));
}

// Positions of the samples of all boxes along one axis [boxes, count]: from `low` to `high` of an image of `size`.
Value positions(NodeContext& n, Value low, Value high, Value count, Value size) {
  const Value last = n.cast(n(Subtract{}, size, n.int_constant(1)), ElementType::f32);
  const Value gaps = n.cast(n(Subtract{}, count, n.int_constant(1)), ElementType::f32);
  const Value one = n(LessEqual{}, count, n.int_constant(1));
  const Value at = n.unsqueeze(n.cast(n.range(count), ElementType::f32), {0});
  const Value from = n.unsqueeze(low, {1}), to = n.unsqueeze(high, {1});
  const Value step = n(Divide{}, n(Multiply{}, n(Subtract{}, to, from), last), n(Maximum{}, gaps, f32(n, 1)));
  const Value many = n(Add{}, n(Multiply{}, from, last), n(Multiply{}, at, step));
  // A single sample is the middle.
  const Value middle = n(Multiply{}, n(Multiply{}, f32(n, 0.5), n(Add{}, from, to)), last);
  return n(Select{}, one, middle, many);
}

// Boxes [R, 4] (y1, x1, y2, x2 as fractions) of images [N, H, W, C] sampled on a grid of fixed size.
Items crop_and_resize(NodeContext& n) {
  const Value image = n.cast(n.in(0), ElementType::f32), boxes = n.in(1), owner = n.cast(n.in(2), ElementType::i64),
              size = n.vector(n.in(3));
  const Value h = n.dim(image, 1), w = n.dim(image, 2);
  const Value rows = n.gather(size, n.int_constant(0), 0), columns = n.gather(size, n.int_constant(1), 0);
  const auto side = [&](int64_t k) { return n.gather(boxes, n.int_constant(k), 1); };
  const Value y = positions(n, side(0), side(2), rows, h), x = positions(n, side(1), side(3), columns, w);
  const auto inside = [&](Value at, Value extent) {
    const Value last = n.cast(n(Subtract{}, extent, n.int_constant(1)), ElementType::f32);
    return n(LogicalAnd{}, n(GreaterEqual{}, at, f32(n, 0)), n(LessEqual{}, at, last));
  };
  const Value valid = n.unsqueeze(n(LogicalAnd{}, n.unsqueeze(inside(y, h), {2}), n.unsqueeze(inside(x, w), {1})), {3});
  const auto clamped = [&](Value at, Value extent) {
    return n(Minimum{}, n(Maximum{}, n.cast(at, ElementType::i64), n.int_constant(0)),
             n(Subtract{}, extent, n.int_constant(1)));
  };
  const Value grid = n.concat({n.dims(y, 0, 2), n.dims(x, 1, 2), n.ints_constant({1})}, 0);
  const auto column = [&](Value v, std::vector<int64_t> axes) {
    return n(Broadcast{}, n.unsqueeze(v, std::move(axes)), grid);
  };
  const auto pixel = [&](Value yy, Value xx) {
    const Value index =
        n.concat({column(owner, {1, 2, 3}), column(clamped(yy, h), {2, 3}), column(clamped(xx, w), {1, 3})}, 3);
    return n(GatherND{}, image, index);
  };
  const std::string method = n.s("method", "bilinear");
  const Value outside = f32(n, n.f("extrapolation_value", 0));
  if (method == "nearest") {
    const Round half{RoundMode::half_away_from_zero};
    return {n(Select{}, valid, pixel(n(half, y), n(half, x)), outside)};
  }
  const Value top = n(Floor{}, y), bottom = n(Ceiling{}, y), left = n(Floor{}, x), right = n(Ceiling{}, x);
  const Value fy = n.unsqueeze(n(Subtract{}, y, top), {2, 3}), fx = n.unsqueeze(n(Subtract{}, x, left), {1, 3});
  const auto mix = [&](Value a, Value b, Value f) { return n(Add{}, a, n(Multiply{}, n(Subtract{}, b, a), f)); };
  const Value upper = mix(pixel(top, left), pixel(top, right), fx),
              lower = mix(pixel(bottom, left), pixel(bottom, right), fx);
  return {n(Select{}, valid, mix(upper, lower, fy), outside)};
}

struct Suppressed {
  Value indices, scores;
};

// One class of one image: boxes [M, 4], scores [M].
Suppressed suppress(NodeContext& n, Value limit, Value iou, Value score, Value sigma) {
  NonMaxSuppression op;
  op.output_type = ElementType::i32;
  const ElementType type = ElementType::f32;
  const Value boxes = n.unsqueeze(n.cast(n.in(0), type), {0}), scores = n.unsqueeze(n.cast(n.in(1), type), {0, 1});
  Values in{boxes, scores, n.scalar(limit), iou, score};
  if (sigma) in.push_back(sigma);
  const Values y = n.all(op, in);
  return {n.gather(y[0], n.int_constant(2), 1), n.gather(y[1], n.int_constant(2), 1)};
}
Value threshold(NodeContext& n, size_t i) {
  return n.reshape(n.cast(n.in(i), ElementType::f32), {});
}
Value lowest(NodeContext& n) {
  return f32(n, -std::numeric_limits<float>::max());
}

Items suppression(NodeContext& n) {
  return {suppress(n, n.in(2), f32(n, n.f("iou_threshold", 0.5)), lowest(n), {}).indices};
}
Items suppression_v2(NodeContext& n) {
  return {suppress(n, n.in(2), threshold(n, 3), lowest(n), {}).indices};
}
Items suppression_v3(NodeContext& n) {
  return {suppress(n, n.in(2), threshold(n, 3), threshold(n, 4), {}).indices};
}

Value padded(NodeContext& n, Value v, Value limit) {
  if (!n.flag("pad_to_max_output_size", false)) return v;
  const Value missing = n(Subtract{}, n.reshape(limit, {1}), n.dims(v, 0, 1));
  return n(Pad{}, v, n.ints_constant({0}), missing, n.like(v, 0));
}
Items suppression_v4(NodeContext& n) {
  const Value limit = n.scalar(n.in(2));
  const Suppressed s = suppress(n, limit, threshold(n, 3), threshold(n, 4), {});
  return {padded(n, s.indices, limit), n.cast(n.dim(s.indices, 0), ElementType::i32)};
}
Items suppression_v5(NodeContext& n) {
  const Value limit = n.scalar(n.in(2));
  const Suppressed s = suppress(n, limit, threshold(n, 3), threshold(n, 4), threshold(n, 5));
  return {padded(n, s.indices, limit), padded(n, s.scores, limit), n.cast(n.dim(s.indices, 0), ElementType::i32)};
}

// Boxes [B, M, 1 or C, 4], scores [B, M, C]: suppression by class, then the best of each image.
Items combined(NodeContext& n) {
  const Value boxes = n.in(0), scores = n.transpose(n.in(1), {0, 2, 1});  // [B, C, M]
  const Value per_class = n.scalar(n.in(2)), total = n.scalar(n.in(3));
  const Dimension q = boxes.shape().rank_known() ? boxes.shape()[2] : Dimension();
  const Value batch = n.dim(scores, 0), classes = n.dim(scores, 1), count = n.dim(scores, 2);
  const bool shared = q.is_static() && q.get_length() == 1;
  NonMaxSuppression op;
  op.output_type = ElementType::i64;
  const Value iou = threshold(n, 4), least = threshold(n, 5);
  const Value no_score = f32(n, -std::numeric_limits<float>::infinity());
  Value dense;  // [B, C * M]: the score of what was selected
  const auto one = [&](Value v) { return n.reshape(v, {1}); };
  if (shared) {
    const Values y = n.all(op, {n.squeeze(boxes, {2}), scores, per_class, iou, least});
    const Value blank = n(Broadcast{}, no_score, n.shape_of(scores));
    dense = n(ScatterNDUpdate{}, blank, y[0], n.gather(y[1], n.int_constant(2), 1));
  } else {
    // Each class of each image is an image of its own.
    const Value flat_boxes = n(Reshape{}, n.transpose(boxes, {0, 2, 1, 3}),
                               n.concat({n.ints_constant({-1}), one(count), n.ints_constant({4})}, 0));
    const Value flat_scores = n(Reshape{}, scores, n.concat({n.ints_constant({-1, 1}), one(count)}, 0));
    const Values y = n.all(op, {flat_boxes, flat_scores, per_class, iou, least});
    dense = n(ScatterNDUpdate{}, n(Broadcast{}, no_score, n.shape_of(flat_scores)), y[0],
              n.gather(y[1], n.int_constant(2), 1));
  }
  const Value elements = n(Multiply{}, classes, count);
  dense = n(Reshape{}, dense, n.concat({one(batch), one(elements)}, 0));
  Value wanted = total;
  if (n.flag("pad_per_class", false)) wanted = n(Minimum{}, total, n(Multiply{}, per_class, classes));
  const Value missing = n(Maximum{}, n(Subtract{}, wanted, elements), n.int_constant(0));
  dense = n(Pad{}, dense, n.ints_constant({0, 0}), n.concat({n.ints_constant({0}), one(missing)}, 0), no_score);
  TopK best;
  best.axis = 1;
  best.stable = true;
  best.index_element_type = ElementType::i64;
  const Values top = n.all(best, {dense, wanted});
  const Value valid = n(Greater{}, top[0], no_score), zero = n.int_constant(0);
  const Value at = n(Select{}, valid, top[1], zero);
  const Value which = n(Divide{}, at, count), box = n(FloorMod{}, at, count);
  const Value image = n(Broadcast{}, n.unsqueeze(n.range(batch), {1}), n.shape_of(at));
  const Value part = shared ? n(Broadcast{}, zero, n.shape_of(at)) : which;
  const Value index = n.concat({n.unsqueeze(image, {2}), n.unsqueeze(box, {2}), n.unsqueeze(part, {2})}, 2);
  Value chosen = n(GatherND{}, boxes, index);
  if (n.flag("clip_boxes", true)) chosen = n(Clamp{0, 1}, chosen);
  const Value nothing = f32(n, 0);
  return {n(Select{}, n.unsqueeze(valid, {2}), chosen, nothing), n(Select{}, valid, top[0], nothing),
          n(Select{}, valid, n.cast(which, ElementType::f32), nothing),
          n.cast(n(ReduceSum{false}, n.cast(valid, ElementType::i64), n.ints_constant({1})), ElementType::i32)};
}

constexpr OperatorRow rows[] = {
    {"CombinedNonMaxSuppression", combined, "nmsed_boxes,nmsed_scores,nmsed_classes,valid_detections"},
    {"CropAndResize", crop_and_resize},
    {"NonMaxSuppression", suppression},
    {"NonMaxSuppressionV2", suppression_v2},
    {"NonMaxSuppressionV3", suppression_v3},
    {"NonMaxSuppressionV4", suppression_v4, "selected_indices,valid_outputs"},
    {"NonMaxSuppressionV5", suppression_v5, "selected_indices,selected_scores,valid_outputs"},
};

}  // namespace

std::span<const OperatorRow> box_rows() {
  return rows;
}

}  // namespace hone::tensorflow
