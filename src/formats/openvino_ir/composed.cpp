// Layers of the IR that Hone says in several of its own operators.
#include <algorithm>
#include <array>
#include <limits>

#include "formats/openvino_ir/layer.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/sampling.hpp"
#include "ops/unary.hpp"

namespace hone::ir {
namespace {

Value ints(LayerContext& l, std::vector<int64_t> v) {
  return l.b.ints(std::move(v));
}
Value number(LayerContext& l, int64_t v) {
  return l.b.scalar<int64_t>(v);
}
Value cast(LayerContext& l, Value v, ElementType t) {
  return v.element_type() == t ? v : l(Convert{t}, v);
}
Value part(LayerContext& l, Value v, int64_t axis, int64_t begin, int64_t end) {
  return l(Slice{}, v, ints(l, {begin}), ints(l, {end}), ints(l, {1}), ints(l, {axis}));
}
Value reshaped(LayerContext& l, Value v, std::vector<int64_t> shape) {
  return l(Reshape{true}, v, ints(l, std::move(shape)));
}
Value shape_of(LayerContext& l, Value v) {
  return l(ShapeOf{ElementType::i64}, v);
}
Value length(LayerContext& l, Value v, int64_t axis) {
  return l(Gather{}, shape_of(l, v), number(l, axis), number(l, 0));
}
Value count(LayerContext& l, Value end) {
  return l(Range{ElementType::i64}, number(l, 0), end, number(l, 1));
}
Value rows_of(LayerContext& l, Value table, Value indices) {
  return l(Gather{}, table, indices, number(l, 0));
}
size_t rank(LayerContext& l, Value v) {
  if (!v.shape().rank_known()) l.fail("needs to know the rank of its input");
  return v.shape().rank();
}

// Over the channels: x / sqrt(sum of x^2 + bias).
Values grn(LayerContext& l) {
  const Value x = l.in(0), sum = l(ReduceSum{true}, l(Multiply{}, x, x), ints(l, {1}));
  return {l(Divide{}, x, l(Sqrt{}, l(Add{}, sum, l.b.like(x, l.data.attribute("bias").as_double()))))};
}

// Boxes of YOLO v2 and v3: [regions, coordinates, objectness, classes] as channels.
Values region_yolo(LayerContext& l) {
  const bool softmax = l.flag("do_softmax", true);
  const int64_t coords = l.data.attribute("coords").as_llong(), classes = l.data.attribute("classes").as_llong();
  const auto mask = parse_ints(l.attribute("mask"));
  const int64_t regions = softmax ? l.data.attribute("num").as_llong() : std::ssize(mask);
  if (coords < 2 || classes < 1 || regions < 1 || coords > 1 << 20 || classes > 1 << 20 || rank(l, l.in(0)) != 4)
    l.fail("coords, classes, num or mask are out of range");
  const int64_t entries = coords + 1 + classes;
  const Value shape = shape_of(l, l.in(0)),
              size = l(Slice{}, shape, ints(l, {2}), ints(l, {4}), ints(l, {1}), ints(l, {0}));
  const Value x = l(Reshape{true}, l.in(0), l.all(Concat{0}, {ints(l, {0, regions, entries}), size})[0]);
  const auto slice = [&](int64_t from, int64_t to) { return part(l, x, 2, from, to); };
  Values parts{l(Sigmoid{}, slice(0, 2))};
  if (coords > 2) parts.push_back(slice(2, coords));
  parts.push_back(l(Sigmoid{}, slice(coords, coords + 1)));
  const Value kinds = slice(coords + 1, entries);
  parts.push_back(softmax ? l(Softmax{2}, kinds) : l(Sigmoid{}, kinds));
  const Value y = l(Reshape{false}, l.all(Concat{2}, parts)[0], shape);
  if (!softmax) return {y};
  const int64_t axis = l.data.attribute("axis").as_llong(1), end = l.data.attribute("end_axis").as_llong(3);
  if (axis != 1 || (end != 3 && end != -1)) l.fail("flattens other axes than 1 to 3, which is not offered");
  return {reshaped(l, y, {0, -1})};
}

// Which rows of a list belong to which sum: [sums, rows], 1 or 0, times the rows; an empty sum is the default row or
// zero.
Values summed(LayerContext& l, Value table, Value indices, Value member, Value fallback, Value weights, bool mean) {
  const ElementType type = table.element_type();
  const Value g = reshaped(l, rows_of(l, table, indices), {0, -1});
  const Value ones = cast(l, member, type), per_bag = l(ReduceSum{true}, ones, ints(l, {1}));
  Value m = weights ? l(Multiply{}, ones, l(Unsqueeze{}, weights, ints(l, {0}))) : ones;
  Value y = l(MatMul{}, m, g);
  if (mean) y = l(Divide{}, y, l(Maximum{}, per_bag, l.b.like(y, 1)));
  if (fallback) {
    const Value index = cast(l, reshaped(l, fallback, {1}), ElementType::i64);
    const Value there = l(Maximum{}, index, ints(l, {0})), row = reshaped(l, rows_of(l, table, there), {1, -1});
    const Value given = cast(l, l(GreaterEqual{}, index, ints(l, {0})), type);
    y = l(Select{}, l(Equal{}, per_bag, l.b.like(y, 0)), l(Multiply{}, row, given), y);
  }
  const Value rest = l(Slice{}, shape_of(l, table), ints(l, {1}), ints(l, {std::numeric_limits<int64_t>::max()}),
                       ints(l, {1}), ints(l, {0}));
  return {l(Reshape{false}, y, l.all(Concat{0}, {l(Unsqueeze{}, length(l, member, 0), ints(l, {0})), rest})[0])};
}

Values embedding_bag_offsets(LayerContext& l) {
  const Value table = l.in(0), indices = l.in(1), offsets = cast(l, l.in(2), ElementType::i64),
              end = length(l, indices, 0);
  const Value next = l.all(Concat{0}, {l(Slice{}, offsets, ints(l, {1}), ints(l, {std::numeric_limits<int64_t>::max()}),
                                         ints(l, {1}), ints(l, {0})),
                                       l(Unsqueeze{}, end, ints(l, {0}))})[0];
  const Value j = l(Unsqueeze{}, count(l, end), ints(l, {0}));
  const Value member = l(LogicalAnd{}, l(GreaterEqual{}, j, l(Unsqueeze{}, offsets, ints(l, {1}))),
                         l(Less{}, j, l(Unsqueeze{}, next, ints(l, {1}))));
  return summed(l, table, indices, member, l.has(3) ? l.in(3) : Value{}, l.has(4) ? l.in(4) : Value{},
                std::string(l.attribute("reduction", "sum")) == "mean");
}
Values embedding_segments(LayerContext& l) {
  const Value j = l(Unsqueeze{}, count(l, cast(l, reshaped(l, l.in(3), {}), ElementType::i64)), ints(l, {1}));
  const Value member = l(Equal{}, l(Unsqueeze{}, cast(l, l.in(2), ElementType::i64), ints(l, {0})), j);
  return summed(l, l.in(0), l.in(1), member, l.has(4) ? l.in(4) : Value{}, l.has(5) ? l.in(5) : Value{}, false);
}
Values embedding_bag_packed(LayerContext& l) {
  Value g = rows_of(l, l.in(0), l.in(1));
  if (l.has(2)) {
    std::vector<int64_t> axes;
    for (size_t k = 2; k < rank(l, g); ++k) axes.push_back(static_cast<int64_t>(k));
    g = l(Multiply{}, g, axes.empty() ? l.in(2) : l(Unsqueeze{}, l.in(2), ints(l, axes)));
  }
  if (std::string(l.attribute("reduction", "sum")) == "mean") return {l(ReduceMean{false}, g, ints(l, {1}))};
  return {l(ReduceSum{false}, g, ints(l, {1}))};
}

// The largest of each segment.
Values segment_max(LayerContext& l) {
  const Value data = l.in(0), ids = cast(l, l.in(1), ElementType::i64);
  const Value segments = l.has(2) ? cast(l, reshaped(l, l.in(2), {}), ElementType::i64)
                                  : l(Add{}, l(ReduceMax{false}, ids, ints(l, {0})), number(l, 1));
  Value member = l(Equal{}, l(Unsqueeze{}, ids, ints(l, {0})), l(Unsqueeze{}, count(l, segments), ints(l, {1})));
  std::vector<int64_t> axes;
  for (size_t k = 1; k < rank(l, data); ++k) axes.push_back(static_cast<int64_t>(k + 1));
  if (!axes.empty()) member = l(Unsqueeze{}, member, ints(l, axes));
  if (data.element_type() != ElementType::f32)
    l.fail("of " + std::string(name_of(data.element_type())) + " is not offered");
  const Value lowest = l.b.like(data, -3.4028234663852886e38);
  Value y = l(ReduceMax{false}, l(Select{}, member, l(Unsqueeze{}, data, ints(l, {0})), lowest), ints(l, {1}));
  if (std::string(l.attribute("fill_mode", "ZERO")) != "LOWEST") {
    const Value any = l(ReduceLogicalOr{false}, member, ints(l, {1}));
    y = l(Select{}, any, y, l.b.like(data, 0));
  }
  return {y};
}

// Writes into a slice: numbered elements say where the slice lies.
Values slice_scatter(LayerContext& l) {
  const Value data = l.in(0), shape = shape_of(l, data), flat = ints(l, {-1});
  const Value all = count(l, l(ReduceProd{false}, shape, ints(l, {0})));
  const Value numbered = l(Reshape{false}, all, shape);
  const Value place = l.has(5) ? l(Slice{}, numbered, l.in(2), l.in(3), l.in(4), l.in(5))
                               : l(Slice{}, numbered, l.in(2), l.in(3), l.in(4));
  const Value y = l(ScatterElementsUpdate{}, l(Reshape{false}, data, flat), l(Reshape{false}, place, flat),
                    l(Reshape{false}, l.in(1), flat), number(l, 0));
  return {l(Reshape{false}, y, shape)};
}

// Rounds to an 8-bit float and back.
Values fake_convert(LayerContext& l) {
  const auto type = element_type_from(l.attribute("destination_type", "f8e4m3"));
  if (!type) l.fail("destination_type is not known");
  const ElementType own = l.in(0).element_type();
  Value x = l(Multiply{}, l.in(0), l.in(1));
  if (l.has(2)) x = l(Subtract{}, x, l.in(2));
  x = l(Convert{own}, l(Convert{*type}, x));
  if (l.has(2)) x = l(Add{}, x, l.in(2));
  return {l(Divide{}, x, l.in(1))};
}

ElementType promoted(ElementType a, ElementType b) {
  if (a == b) return a;
  if (a == ElementType::boolean) return b;
  if (b == ElementType::boolean) return a;
  if (is_float(a) != is_float(b)) return is_float(a) ? a : b;
  if (is_float(a)) return bit_width(a) == bit_width(b) ? ElementType::f32 : bit_width(a) > bit_width(b) ? a : b;
  const auto is_signed = [](ElementType t) { return name_of(t)[0] == 'i'; };
  if (is_signed(a) == is_signed(b)) return bit_width(a) > bit_width(b) ? a : b;
  const int of_signed = bit_width(is_signed(a) ? a : b), of_unsigned = bit_width(is_signed(a) ? b : a);
  if (of_signed > of_unsigned) return is_signed(a) ? a : b;
  return of_unsigned < 16 ? ElementType::i16 : of_unsigned < 32 ? ElementType::i32 : ElementType::i64;
}
Values convert_promote_types(LayerContext& l) {
  const ElementType a = l.in(0).element_type(), b = l.in(1).element_type();
  ElementType t = promoted(a, b);
  if ((a == ElementType::u64 || b == ElementType::u64) && a != b && !is_float(t))
    t = element_type_from(l.attribute("u64_integer_promotion_target", "f32")).value_or(ElementType::f32);
  if (l.flag("pytorch_scalar_promotion", false) && is_float(a) == is_float(b) && rank(l, l.in(0)) != rank(l, l.in(1)) &&
      (rank(l, l.in(0)) == 0 || rank(l, l.in(1)) == 0)) {
    t = rank(l, l.in(0)) == 0 ? b : a;
  }
  return {l(Convert{t}, l.in(0)), l(Convert{t}, l.in(1))};
}

// Pictures of luminance and half-size colour, ITU-R BT.601.
Values yuv(LayerContext& l, bool planar, bool rgb) {
  const ElementType type = l.in(0).element_type();
  const bool one = l.num_inputs() == 1;
  const Value first = cast(l, l.in(0), ElementType::f32);
  if (rank(l, first) != 4) l.fail("takes pictures of rank 4");
  Value y = first, u, v;
  if (one) {
    // Rows of luminance, then half as many of colour.
    const PartialShape s = first.shape();
    if (s[1].is_dynamic() || s[2].is_dynamic() || s[1].get_length() % 3 || s[2].get_length() % 2)
      l.fail("needs a static size in one plane");
    const int64_t h = s[1].get_length() / 3 * 2, w = s[2].get_length();
    y = part(l, first, 1, 0, h);
    if (planar) {
      const Value colour = reshaped(l, part(l, first, 1, h, h / 2 * 3), {0, 2, h / 2, w / 2});
      u = l(Unsqueeze{}, l(Squeeze{}, part(l, colour, 1, 0, 1), ints(l, {1})), ints(l, {3}));
      v = l(Unsqueeze{}, l(Squeeze{}, part(l, colour, 1, 1, 2), ints(l, {1})), ints(l, {3}));
    } else {
      const Value colour = reshaped(l, part(l, first, 1, h, h / 2 * 3), {0, h / 2, w / 2, 2});
      u = part(l, colour, 3, 0, 1);
      v = part(l, colour, 3, 1, 2);
    }
  } else if (planar) {
    u = cast(l, l.in(1), ElementType::f32);
    v = cast(l, l.in(2), ElementType::f32);
  } else {
    const Value colour = cast(l, l.in(1), ElementType::f32);
    u = part(l, colour, 3, 0, 1);
    v = part(l, colour, 3, 1, 2);
  }
  const auto doubled = [&](Value x) {
    for (int64_t axis : {1, 2})
      x = l(Gather{}, x, l(Divide{}, count(l, length(l, y, axis)), number(l, 2)), number(l, axis));
    return x;
  };
  const auto f = [&](double x) { return l.b.scalar<float>(static_cast<float>(x)); };
  const Value c = l(Multiply{}, l(Subtract{}, y, f(16)), f(1.164)), d = l(Subtract{}, doubled(u), f(128)),
              e = l(Subtract{}, doubled(v), f(128));
  const Value blue = l(Add{}, c, l(Multiply{}, d, f(2.018))), red = l(Add{}, c, l(Multiply{}, e, f(1.596)));
  const Value green = l(Subtract{}, l(Subtract{}, c, l(Multiply{}, d, f(0.391))), l(Multiply{}, e, f(0.813)));
  Value out = l(Clamp{0, 255}, l.all(Concat{3}, rgb ? Values{red, green, blue} : Values{blue, green, red})[0]);
  if (!is_float(type)) out = l(Round{RoundMode::half_away_from_zero}, out);
  return {cast(l, out, type)};
}

// Anchors [A, 4] at the centre of each cell of a feature map: [H x W x A, 4], or [H, W, A, 4].
Values prior_grid(LayerContext& l) {
  const Value priors = l.in(0), map = l.in(1), image = l.in(2);
  const auto centres = [&](const char* size, const char* stride, int64_t axis) {
    const int64_t given = l.data.attribute(size).as_llong(0);
    const float step = l.data.attribute(stride).as_float(0);
    const Value n = given > 0 ? number(l, given) : length(l, map, axis);
    const Value wide =
        step > 0 ? l.b.scalar<float>(step)
                 : l(Divide{}, cast(l, length(l, image, axis), ElementType::f32), cast(l, n, ElementType::f32));
    return l(Multiply{}, l(Add{}, cast(l, count(l, n), ElementType::f32), l.b.scalar<float>(0.5f)), wide);
  };
  const Value x = reshaped(l, centres("w", "stride_x", 3), {1, -1, 1, 1}),
              y = reshaped(l, centres("h", "stride_y", 2), {-1, 1, 1, 1});
  const Value zero = l.b.scalar<float>(0), xs = l(Add{}, x, l(Multiply{}, y, zero)),
              ys = l(Add{}, y, l(Multiply{}, x, zero));
  const Value at = l.all(Concat{3}, {xs, ys, xs, ys})[0];
  const Value grid = l(Add{}, reshaped(l, cast(l, priors, ElementType::f32), {1, 1, -1, 4}), at);
  return {cast(l, l.flag("flatten", true) ? reshaped(l, grid, {-1, 4}) : grid, priors.element_type())};
}

// The boxes of the highest scores, zeros where there are fewer than asked for.
Values top_k_rois(LayerContext& l) {
  const int64_t most = l.data.attribute("max_rois").as_llong(0);
  const PartialShape boxes = l.in(0).shape();
  if (most < 1 || !boxes.rank_known() || boxes[0].is_dynamic()) l.fail("needs max_rois and a known number of boxes");
  const int64_t n = boxes[0].get_length(), taken = std::min(n, most);
  const Value best = l.all(TopK{0}, {l.in(1), number(l, taken)})[1], kept = rows_of(l, l.in(0), best);
  if (taken == most) return {kept};
  return {l(Pad{PadMode::constant}, kept, ints(l, {0, 0}), ints(l, {most - taken, 0}), l.b.like(kept, 0))};
}

// Each box from the map of the pyramid that fits its size (Lin et al., Feature Pyramid Networks): level 2 for boxes of
// 224 pixels.
Values roi_features(LayerContext& l) {
  const Value boxes = cast(l, l.in(0), ElementType::f32);
  const std::vector<int64_t> scales = parse_ints(l.attribute("pyramid_scales"));
  const size_t levels = l.num_inputs() - 1;
  if (levels < 1 || scales.size() < levels) l.fail("needs a scale for each feature map");
  const auto f = [&](float v) { return l.b.scalar<float>(v); };
  const Value size = l(Subtract{}, part(l, boxes, 1, 2, 4), part(l, boxes, 1, 0, 2));
  const Value area = l(Multiply{}, part(l, size, 1, 0, 1), part(l, size, 1, 1, 2));  // [K, 1]
  Value level = l(Divide{}, l(Log{}, l(Add{}, l(Divide{}, l(Sqrt{}, area), f(224)), f(1e-6f))), f(0.69314718f));
  level = l(Add{}, l(Floor{}, level), f(2));
  level = l(Clamp{0, static_cast<double>(levels - 1)}, l(Select{}, l(Greater{}, area, f(0)), level, f(0)));
  level = reshaped(l, level, {-1, 1, 1, 1});
  ROIAlign op;
  op.pooled_h = op.pooled_w = l.data.attribute("output_size").as_llong(1);
  op.sampling_ratio = l.data.attribute("sampling_ratio").as_llong(0);
  op.aligned_mode = l.flag("aligned", false) ? RoiAlignedMode::half_pixel_for_nn : RoiAlignedMode::asymmetric;
  const Value images = l(Broadcast{}, l.b.scalar<int64_t>(0), l(Unsqueeze{}, length(l, boxes, 0), ints(l, {0})));
  Value y;
  for (size_t k = 0; k < levels; ++k) {
    op.spatial_scale = 1.0 / static_cast<double>(scales[k]);
    // A box is at least a pixel of the map wide and high.
    const Value begin = part(l, boxes, 1, 0, 2),
                end = l(Add{}, begin, l(Maximum{}, size, f(static_cast<float>(scales[k]))));
    const Value features = l(op, cast(l, l.in(k + 1), ElementType::f32), l.all(Concat{1}, {begin, end})[0], images);
    y = y ? l(Select{}, l(Equal{}, level, f(static_cast<float>(k))), features, y) : features;
  }
  return {cast(l, y, l.in(1).element_type()), l.in(0)};
}

constexpr LayerRow rows[] = {
    {"convertpromotetypes", 14, 99, convert_promote_types},
    {"embeddingbagoffsets", 15, 99, embedding_bag_offsets},
    {"embeddingbagoffsetssum", 3, 99, embedding_bag_offsets},
    {"embeddingbagpacked", 15, 99, embedding_bag_packed},
    {"embeddingbagpackedsum", 3, 99, embedding_bag_packed},
    {"embeddingsegmentssum", 3, 99, embedding_segments},
    {"experimentaldetectronpriorgridgenerator", 0, 99, prior_grid},
    {"experimentaldetectronroifeatureextractor", 0, 99, roi_features},
    {"experimentaldetectrontopkrois", 0, 99, top_k_rois},
    {"fakeconvert", 13, 99, fake_convert},
    {"grn", 1, 99, grn},
    {"i420tobgr", 8, 99, [](LayerContext& l) { return yuv(l, true, false); }},
    {"i420torgb", 8, 99, [](LayerContext& l) { return yuv(l, true, true); }},
    {"nv12tobgr", 8, 99, [](LayerContext& l) { return yuv(l, false, false); }},
    {"nv12torgb", 8, 99, [](LayerContext& l) { return yuv(l, false, true); }},
    {"regionyolo", 1, 99, region_yolo},
    {"segmentmax", 16, 99, segment_max},
    {"slicescatter", 15, 99, slice_scatter},
};

}  // namespace

std::span<const LayerRow> composed_rows() {
  return rows;
}

}  // namespace hone::ir
