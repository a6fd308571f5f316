// Non-maximum suppression and the detection head of the TensorFlow object detection API.
// Numbers in text are not read here, so the part of FlatBuffers that needs its library is left out.
#define FLATBUFFERS_LOCALE_INDEPENDENT 0
#include <flatbuffers/flexbuffers.h>

#include "formats/tflite/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

Value scalar(NodeContext& n, Value v) {
  return n.rank(v) == 0 ? v : n.reshape(v, {});
}

// The first `count` entries along axis 0, filled up with zeros.
Value exactly(NodeContext& n, Value v, Value count) {
  const auto rank = static_cast<int64_t>(n.rank(v));
  Values shape{count};
  if (rank > 1) shape.push_back(n.dims(v, 1, rank));
  const Value zeros = n(Broadcast{BroadcastMode::numpy}, n.like(v, 0), n.concat(shape, 0));
  return n(Slice{}, n.concat({v, zeros}, 0), n.ints_constant({0}), count, n.ints_constant({1}), n.ints_constant({0}));
}

// Boxes [N, 4], scores [N]: indices and scores of those chosen, best first. Output: how many, and the two lists.
struct Chosen {
  Value indices, scores, count;
};
Chosen suppress(NodeContext& n, Value boxes, Value scores, Value most, Value overlap, Value threshold, Value sigma) {
  NonMaxSuppression op;
  Values in{n.unsqueeze(boxes, {0}), n.unsqueeze(scores, {0, 1}), n.cast(most, ElementType::i64), overlap, threshold};
  if (sigma) in.push_back(sigma);
  const Values out = n.all(op, in);
  return {n.reshape(n.slice(out[0], 1, 2, 3), {-1}), n.reshape(n.slice(out[1], 1, 2, 3), {-1}), out[2]};
}

// Inputs: boxes, scores, most, overlap, threshold. Outputs: indices (filled up with zeros), how many.
Values nms_v4(NodeContext& n) {
  const Value most = scalar(n, n.any(2));
  const Chosen c = suppress(n, n.in(0), n.in(1), most, scalar(n, n.in(3)), scalar(n, n.in(4)), {});
  return {exactly(n, c.indices, n.reshape(n.cast(most, ElementType::i64), {1})), n.reshape(c.count, {})};
}
// With a sigma: scores fall instead. Outputs: indices, scores, how many.
Values nms_v5(NodeContext& n) {
  const Value most = scalar(n, n.any(2));
  const Chosen c = suppress(n, n.in(0), n.in(1), most, scalar(n, n.in(3)), scalar(n, n.in(4)), scalar(n, n.in(5)));
  const Value size = n.reshape(n.cast(most, ElementType::i64), {1});
  return {exactly(n, c.indices, size), exactly(n, c.scores, size), n.reshape(c.count, {})};
}

struct Head {
  int64_t detections = 0, classes_per_detection = 1, per_class = 100, classes = 0;
  bool regular = false;
  double score = 0, overlap = 0, scale[4] = {1, 1, 1, 1};
};

Head head_of(NodeContext& n) {
  const Bytes raw = n.op().custom_options;
  std::vector<uint8_t> seen;
  if (raw.size() < 3 || !flexbuffers::VerifyBuffer(raw.data(), raw.size(), &seen))
    n.fail("the options are no FlexBuffer");
  const auto root = flexbuffers::GetRoot(raw.data(), raw.size());
  if (!root.IsMap()) n.fail("the options are no map");
  const auto m = root.AsMap();
  Head h;
  h.detections = m["max_detections"].AsInt64();
  h.classes_per_detection = m["max_classes_per_detection"].AsInt64();
  if (!m["detections_per_class"].IsNull()) h.per_class = m["detections_per_class"].AsInt64();
  if (!m["use_regular_nms"].IsNull()) h.regular = m["use_regular_nms"].AsBool();
  h.score = m["nms_score_threshold"].AsDouble();
  h.overlap = m["nms_iou_threshold"].AsDouble();
  h.classes = m["num_classes"].AsInt64();
  const char* names[] = {"y_scale", "x_scale", "h_scale", "w_scale"};
  for (size_t k = 0; k < 4; ++k) {
    h.scale[k] = m[names[k]].AsDouble();
    if (!(h.scale[k] > 0)) n.fail("the scales must be positive");
  }
  if (h.detections < 1 || h.detections > 1'000'000 || h.classes < 1 || h.classes > 1'000'000)
    n.fail("the numbers of detections and classes are not possible");
  if (h.classes_per_detection < 1 || h.per_class < 1) n.fail("the numbers of detections and classes are not possible");
  return h;
}

// Anchors are (y, x, h, w) of centres; codes are offsets in anchor sizes and logarithms of sizes. Result: (ymin, xmin,
// ymax, xmax).
Value decoded(NodeContext& n, const Head& h, Value codes, Value anchors) {
  const auto part = [&](Value v, int64_t k) { return n.slice(v, 1, k, k + 1); };
  const auto scaled = [&](int64_t k) { return n(Divide{}, part(codes, k), n.like(codes, h.scale[k])); };
  const Value ha = part(anchors, 2), wa = part(anchors, 3);
  const Value y = n(Add{}, n(Multiply{}, scaled(0), ha), part(anchors, 0)),
              x = n(Add{}, n(Multiply{}, scaled(1), wa), part(anchors, 1));
  const Value half = n.like(codes, 0.5);
  const Value dy = n(Multiply{}, half, n(Multiply{}, n(Exp{}, scaled(2)), ha)),
              dx = n(Multiply{}, half, n(Multiply{}, n(Exp{}, scaled(3)), wa));
  return n.concat({n(Subtract{}, y, dy), n(Subtract{}, x, dx), n(Add{}, y, dy), n(Add{}, x, dx)}, 1);
}

Values detection_post_process(NodeContext& n) {
  const Head h = head_of(n);
  const Value codes = n.reshape(n.in(0), {-1, 4}), anchors = n.in(2);
  Value scores = n.in(1);
  if (n.rank(scores) != 3 || scores.shape()[2].is_dynamic()) n.fail("wants scores [1, anchors, classes]");
  const int64_t stored = scores.shape()[2].get_length(), background = stored - h.classes;
  if (background != 0 && background != 1)
    n.fail("scores of " + std::to_string(stored) + " classes, expected " + std::to_string(h.classes));
  scores = n.slice(n.reshape(scores, {-1, stored}), 1, background, stored);
  const Value boxes = decoded(n, h, codes, anchors);
  const Value overlap = n.b.scalar<float>(static_cast<float>(h.overlap)),
              threshold = n.b.scalar<float>(static_cast<float>(h.score));
  Value of_box, of_class, best, count;
  if (h.regular) {
    // Each class on its own, then the best of all.
    NonMaxSuppression op;
    const Values out = n.all(op, {n.unsqueeze(boxes, {0}), n.unsqueeze(n.transpose(scores, {1, 0}), {0}),
                                  n.int_constant(h.per_class), overlap, threshold});
    const auto column = [&](Value v, int64_t k) { return n.reshape(n.slice(v, 1, k, k + 1), {-1}); };
    of_box = n.slice(column(out[0], 2), 0, 0, h.detections);
    of_class = n.slice(column(out[0], 1), 0, 0, h.detections);
    best = n.slice(column(out[1], 2), 0, 0, h.detections);
  } else {
    const int64_t each = std::min(h.classes_per_detection, h.classes);
    TopK top;
    top.axis = 1;
    top.stable = true;
    top.index_element_type = ElementType::i64;
    const Values classes = n.all(top, {scores, n.int_constant(each)});
    const Value first = n.reshape(n.slice(classes[0], 1, 0, 1), {-1});
    const Chosen c = suppress(n, boxes, first, n.int_constant(h.detections), overlap, threshold, {});
    // Every chosen box once for each of its classes.
    of_box =
        each == 1 ? c.indices : n.reshape(n(Tile{}, n.unsqueeze(c.indices, {1}), n.ints_constant({1, each})), {-1});
    of_class = n.reshape(n.gather(classes[1], c.indices, 0), {-1});
    best = n.reshape(n.gather(classes[0], c.indices, 0), {-1});
  }
  count = n.reshape(n.cast(n.shape_of(of_box), ElementType::f32), {1});
  const int64_t rows = h.regular ? h.detections : h.detections * std::min(h.classes_per_detection, h.classes);
  const Value size = n.ints_constant({rows});
  const auto row = [&](Value v) { return n.unsqueeze(exactly(n, v, size), {0}); };
  return {row(n.gather(boxes, of_box, 0)), row(n.cast(of_class, ElementType::f32)), row(best), count};
}

constexpr OperatorRow rows[] = {
    {120, "NON_MAX_SUPPRESSION_V4", nms_v4},
    {121, "NON_MAX_SUPPRESSION_V5", nms_v5},
};

constexpr CustomRow customs[] = {
    {"TFLite_Detection_PostProcess", detection_post_process},
};

}  // namespace

std::span<const OperatorRow> detection_rows() {
  return rows;
}
std::span<const CustomRow> detection_customs() {
  return customs;
}

}  // namespace hone::tflite
