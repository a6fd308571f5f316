// Shapes, constants and movement of data.
#include <cmath>
#include <limits>

#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

Values identity(NodeContext& n) {
  return {n.in(0)};
}

Values constant(NodeContext& n) {
  if (n.has_attribute("value")) return {n.b.constant(n.tensor("value"))};
  if (n.has_attribute("value_float")) return {n.b.scalar<float>(static_cast<float>(n.f("value_float", 0)))};
  if (n.has_attribute("value_int")) return {n.int_constant(n.i("value_int"))};
  if (n.has_attribute("value_string")) return {n.b.constant(Tensor::strings({}, {n.s("value_string")}))};
  if (n.has_attribute("value_ints")) return {n.ints_constant(n.ints("value_ints"))};
  if (n.has_attribute("value_floats")) {
    const auto v = n.floats("value_floats");
    return {n.b.constant(Tensor::of<float>({static_cast<int64_t>(v.size())}, std::span<const float>(v)))};
  }
  if (n.has_attribute("value_strings")) {
    auto v = n.strings("value_strings");
    const auto count = static_cast<int64_t>(v.size());
    return {n.b.constant(Tensor::strings({count}, std::move(v)))};
  }
  if (const AttributeMessage* a = n.attribute("sparse_value")) return {n.b.constant(sparse_to_tensor(a->message, {}))};
  n.fail("has no value");
}

Values constant_of_shape(NodeContext& n) {
  Tensor value = n.tensor("value");
  if (!value) value = Tensor::scalar<float>(0);
  return {n(Broadcast{}, n.b.constant(value.reshaped({})), n.in(0))};
}

Values reshape(NodeContext& n) {
  const Value shape = n.version < 5 ? n.ints_constant(n.ints("shape")) : n.in(1);
  return {n(Reshape{n.i("allowzero", 0) == 0}, n.in(0), shape)};
}

Values flatten(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t axis = n.axis(n.i("axis", 1), x);
  if (axis == 0) return {n.reshape(x, {1, -1})};
  if (x.shape().is_static()) {
    const Shape s = x.shape().to_shape();
    if (axis > std::ssize(s)) n.fail("axis is out of range");
    return {n.reshape(
        x, {element_count(Shape(s.begin(), s.begin() + axis)), element_count(Shape(s.begin() + axis, s.end()))})};
  }
  if (axis == 1) return {n.reshape(x, {0, -1}, true)};
  const Value rows = n(ReduceProd{true}, n.dims(x, 0, axis), n.ints_constant({0}));
  // There may be no rows, which would leave a -1 open.
  const auto rank = static_cast<int64_t>(n.rank(x));
  const Value columns =
      axis == rank ? n.ints_constant({1}) : n(ReduceProd{true}, n.dims(x, axis, rank), n.ints_constant({0}));
  return {n(Reshape{}, x, n.concat({rows, columns}, 0))};
}

Values transpose(NodeContext& n) {
  return {n.transpose(n.in(0), n.ints("perm"))};
}

Values squeeze(NodeContext& n) {
  if (n.has_attribute("axes")) return {n.squeeze(n.in(0), n.ints("axes"))};
  return {n.has(1) ? n(Squeeze{}, n.in(0), n.in(1)) : n(Squeeze{}, n.in(0))};
}
Values unsqueeze(NodeContext& n) {
  if (n.has_attribute("axes")) return {n.unsqueeze(n.in(0), n.ints("axes"))};
  return {n(Unsqueeze{}, n.in(0), n.in(1))};
}

Values concat(NodeContext& n) {
  for (size_t k = 0; k < n.num_inputs(); ++k) n.in(k);
  return n.all(Concat{n.i("axis", n.version < 4 ? 1 : 0)}, n.inputs());
}

Values split(NodeContext& n) {
  const Value x = n.in(0), axis = n.int_constant(n.axis(n.i("axis", 0), x));
  if (n.has_attribute("split")) return n.all(VariadicSplit{}, {x, axis, n.ints_constant(n.ints("split"))});
  if (n.version != 2 && n.has(1)) return n.all(VariadicSplit{}, {x, axis, n.in(1)});
  const int64_t parts = n.i("num_outputs", static_cast<int64_t>(n.num_outputs()));
  if (parts < 1 || parts > 100000) n.fail("num_outputs is out of range");
  const auto k = static_cast<size_t>(get_integer(axis.constant(), 0));
  // Unequal parts: all of the rounded-up size but the last.
  if (x.shape().rank_known() && k < x.shape().rank() && x.shape()[k].is_static() &&
      x.shape()[k].get_length() % parts != 0) {
    const int64_t whole = x.shape()[k].get_length(), size = (whole + parts - 1) / parts;
    std::vector<int64_t> lengths(static_cast<size_t>(parts), size);
    lengths.back() = whole - size * (parts - 1);
    return n.all(VariadicSplit{}, {x, axis, n.ints_constant(lengths)});
  }
  return n.all(Split{parts}, {x, axis});
}

Values slice(NodeContext& n) {
  const Value x = n.in(0);
  if (n.version < 10) {
    const auto starts = n.ints("starts"), ends = n.ints("ends");
    std::vector<int64_t> axes = n.ints("axes");
    for (size_t k = 0; axes.size() < starts.size() && !n.has_attribute("axes"); ++k)
      axes.push_back(static_cast<int64_t>(k));
    if (starts.size() != ends.size() || starts.size() != axes.size()) n.fail("starts, ends and axes differ in length");
    return {n(Slice{}, x, n.ints_constant(starts), n.ints_constant(ends),
              n.ints_constant(std::vector<int64_t>(starts.size(), 1)), n.ints_constant(axes))};
  }
  Value step = n.opt(4);
  if (!step) {
    const PartialShape known = shape_of_rank(n.in(1).shape());
    if (!known.rank_known()) n.refuse("needs to know how many axes it cuts");
    step = n.cast(n.ints_constant(std::vector<int64_t>(known.rank(), 1)), n.in(1).element_type());
  }
  return {n(Slice{}, x, n.in(1), n.in(2), step, n.opt(3))};
}

Values shape(NodeContext& n) {
  const Value s = n.shape_of(n.in(0));
  const bool cut = n.has_attribute("start") || n.has_attribute("end");
  if (!cut) return {s};
  return {n.slice(s, 0, n.i("start", 0), n.i("end", std::numeric_limits<int32_t>::max()))};
}
Values size(NodeContext& n) {
  return {n(ReduceProd{false}, n.shape_of(n.in(0)), n.ints_constant({0}))};
}

Values expand(NodeContext& n) {
  return {n(Broadcast{BroadcastMode::bidirectional}, n.in(0), n.in(1))};
}

Values tile(NodeContext& n) {
  if (n.version >= 6) return {n(Tile{}, n.in(0), n.in(1))};
  // Operator set 1: `tiles` repetitions along `axis`.
  const Tensor tiles = n.constant(1), axis = n.constant(2);
  if (!tiles || !axis) n.refuse("needs constant tiles and axis in operator set 1");
  std::vector<int64_t> repeats(n.rank(n.in(0)), 1);
  const int64_t a = n.axis(get_integer(axis, 0), n.in(0));
  if (a >= std::ssize(repeats)) n.fail("axis is out of range");
  repeats[static_cast<size_t>(a)] = get_integer(tiles, 0);
  return {n(Tile{}, n.in(0), n.ints_constant(repeats))};
}

// Repeats the data around itself: each axis is gathered with indices modulo its length.
Value wrap(NodeContext& n, Value x, Value begin, Value end) {
  const size_t rank = n.rank(x);
  for (size_t k = 0; k < rank; ++k) {
    const auto axis = static_cast<int64_t>(k);
    const Value at = n.int_constant(axis), length = n.gather(n.shape_of(x), at, 0);
    const Value from = n(Negative{}, n.gather(begin, at, 0)), to = n(Add{}, length, n.gather(end, at, 0));
    x = n.gather(x, n(FloorMod{}, n(Range{ElementType::i64}, from, to, n.int_constant(1)), length), axis);
  }
  return x;
}

Values pad(NodeContext& n) {
  const Value x = n.in(0);
  const std::string mode = n.s("mode", "constant");
  Value begin, end, value;
  if (n.version < 11) {
    const auto pads = n.ints(n.version < 2 ? "paddings" : "pads");
    const auto half = static_cast<std::ptrdiff_t>(pads.size() / 2);
    begin = n.ints_constant({pads.begin(), pads.begin() + half});
    end = n.ints_constant({pads.begin() + half, pads.end()});
    value = n.like(x, n.f("value", 0));
  } else {
    const Value pads = n.cast(n.in(1), ElementType::i64);
    value = n.opt(2)                                  ? n.opt(2)
            : x.element_type() == ElementType::string ? n.b.constant(Tensor::strings({}, {""}))
                                                      : n.like(x, 0);
    if (value.shape().rank_known() && value.shape().rank() == 1) value = n.reshape(value, {});
    if (n.has(3)) {
      const Tensor axes = n.constant(3);
      const auto rank = static_cast<int64_t>(n.rank(x));
      const Value zeros = n(Broadcast{}, n.int_constant(0), n.ints_constant({rank}));
      // Each half of the pads goes to the places of its axes.
      const auto halves = n.all(Split{2}, {pads, n.int_constant(0)});
      const Value named = n.cast(n.in(3), ElementType::i64);
      const Value at = n(Select{}, n(Less{}, named, n.int_constant(0)), n(Add{}, named, n.int_constant(rank)), named);
      begin = n(ScatterElementsUpdate{}, zeros, at, halves[0], n.int_constant(0));
      end = n(ScatterElementsUpdate{}, zeros, at, halves[1], n.int_constant(0));
      if (const Tensor p = n.constant(1);
          p && axes && p.size() == axes.size() * 2) {  // keep them constant where they are
        std::vector<int64_t> low(static_cast<size_t>(rank), 0), high(low);
        for (size_t k = 0; k < axes.size(); ++k) {
          const auto a = static_cast<size_t>(n.axis(get_integer(axes, k), x));
          if (a >= low.size()) n.fail("axis is out of range");
          low[a] = get_integer(p, k);
          high[a] = get_integer(p, k + axes.size());
        }
        begin = n.ints_constant(low);
        end = n.ints_constant(high);
      }
    } else if (const Tensor p = n.constant(1)) {
      const auto all = p.to_ints();
      const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
      begin = n.ints_constant({all.begin(), all.begin() + half});
      end = n.ints_constant({all.begin() + half, all.end()});
    } else {
      const auto parts = n.all(Split{2}, {pads, n.int_constant(0)});
      begin = parts[0];
      end = parts[1];
    }
  }
  if (mode == "wrap") return {wrap(n, x, begin, end)};
  const PadMode m = mode == "constant" ? PadMode::constant : mode == "reflect" ? PadMode::reflect : PadMode::edge;
  if (mode != "constant" && mode != "reflect" && mode != "edge") n.fail("unknown mode '" + mode + "'");
  return {m == PadMode::constant ? n(Pad{m}, x, begin, end, value) : n(Pad{m}, x, begin, end)};
}

Values range(NodeContext& n) {
  return {n(Range{n.in(0).element_type()}, n.in(0), n.in(1), n.in(2))};
}

Values depth_to_space(NodeContext& n) {
  const std::string mode = n.s("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") n.fail("mode must be DCR or CRD");
  return {n(DepthToSpace{mode == "CRD" ? DepthMode::depth_first : DepthMode::blocks_first, n.i("blocksize")}, n.in(0))};
}
Values space_to_depth(NodeContext& n) {
  return {n(SpaceToDepth{DepthMode::blocks_first, n.i("blocksize")}, n.in(0))};
}

// Integers wrap around, as in C; Hone's Convert saturates, so what may be out of range is brought into it first.
Value wrapped(NodeContext& n, Value x, ElementType to) {
  const double full = std::exp2(bit_width(to));
  const Value v = n(FloorMod{}, n.cast(x, ElementType::i64), n.int_constant(static_cast<int64_t>(full)));
  if (!is_signed(to)) return n.cast(v, to);
  const Value high = n(GreaterEqual{}, v, n.int_constant(static_cast<int64_t>(full / 2)));
  return n.cast(n(Select{}, high, n(Subtract{}, v, n.int_constant(static_cast<int64_t>(full))), v), to);
}

// The 8-bit floats: infinities saturate too unless `saturate` is 0, when all that is too large becomes infinite or NaN.
Value to_small_float(NodeContext& n, Value x, ElementType to) {
  const bool saturate = n.i("saturate", 1) != 0;
  Value v = n.cast(x, ElementType::f32);
  const Value magnitude = n(Abs{}, v);
  if (to == ElementType::f8e8m0) {  // only powers of two; 1e-9 keeps those that are exact
    const std::string mode = n.s("round_mode", "up");
    if (mode == "nearest") return n.cast(v, to);
    const Value log = n(Divide{}, n(Log{}, n.cast(magnitude, ElementType::f64)), n.b.scalar<double>(std::log(2.0)));
    const Value power = mode == "up" ? n(Ceiling{}, n(Subtract{}, log, n.b.scalar<double>(1e-9)))
                                     : n(Floor{}, n(Add{}, log, n.b.scalar<double>(1e-9)));
    return n.cast(n.cast(n(Power{}, n.b.scalar<double>(2), power), ElementType::f32), to);
  }
  if (to == ElementType::f8e5m2 && saturate) return n.cast(n(Clamp{-57344, 57344}, v), to);
  if (saturate) return n.cast(v, to);
  const float infinity = std::numeric_limits<float>::infinity();
  if (to == ElementType::f8e5m2) {  // half a step above the largest number
    const Value huge = n(Multiply{}, n(Sign{}, v), n.b.scalar<float>(infinity));
    return n.cast(n(Select{}, n(GreaterEqual{}, magnitude, n.b.scalar<float>(61440)), huge, v), to);
  }
  if (to == ElementType::f8e4m3) {
    return n.cast(n(Select{}, n(Greater{}, magnitude, n.b.scalar<float>(464)),
                    n.b.scalar<float>(std::numeric_limits<float>::quiet_NaN()), v),
                  to);
  }
  // fnuz: half a step above 240 and 57344
  const float limit = to == ElementType::f8e4m3fnuz ? 248 : 61440;
  return n.cast(n(Select{}, n(GreaterEqual{}, magnitude, n.b.scalar<float>(limit)),
                  n.b.scalar<float>(std::numeric_limits<float>::quiet_NaN()), v),
                to);
}

Value converted(NodeContext& n, Value x, ElementType to) {
  const ElementType from = x.element_type();
  if (from == to || from == ElementType::string || to == ElementType::string) return n.cast(x, to);
  const bool narrow = is_integer(to) && bit_width(to) < 8;
  if (narrow || (is_integer(from) && is_integer(to) && bit_width(to) <= 16 && bit_width(from) > bit_width(to)))
    return wrapped(n, x, to);
  if (is_float(to) && bit_width(to) == 8) return to_small_float(n, x, to);
  return n.cast(x, to);
}

Values cast(NodeContext& n) {
  ElementType to;
  if (n.version < 6) {
    const auto t = element_type_from(n.s("to"));
    if (!t) n.fail("unknown type '" + n.s("to") + "'");
    to = *t;
  } else {
    to = element_type_of_onnx(n.i("to"));
  }
  return {converted(n, n.in(0), to)};
}
Values cast_like(NodeContext& n) {
  return {converted(n, n.in(0), n.in(1).element_type())};
}

// Keeps the elements on and above (or below) a diagonal: row + k <= column.
Values trilu(NodeContext& n) {
  const Value x = n.in(0);
  const bool upper = n.i("upper", 1) != 0;
  Value k = n.has(1) ? n.in(1) : n.int_constant(0);
  if (k.shape().rank_known() && k.shape().rank() == 1) k = n.reshape(k, {});
  const Value s = n.shape_of(x), zero = n.int_constant(0), one = n.int_constant(1);
  const Value rows = n.unsqueeze(n(Range{ElementType::i64}, zero, n.gather(s, n.int_constant(-2), 0), one), {1});
  const Value columns = n.unsqueeze(n(Range{ElementType::i64}, zero, n.gather(s, n.int_constant(-1), 0), one), {0});
  const Value shifted = n(Add{}, rows, k);
  const Value kept = upper ? n(LessEqual{}, shifted, columns) : n(GreaterEqual{}, shifted, columns);
  const Value nothing = x.element_type() == ElementType::boolean ? n.b.scalar<bool>(false) : n.like(x, 0);
  return {n(Select{}, kept, x, nothing)};
}

Values eye_like(NodeContext& n) {
  const Value x = n.in(0), s = n.shape_of(x), zero = n.int_constant(0), one = n.int_constant(1);
  const Value rows = n.unsqueeze(n(Range{ElementType::i64}, zero, n.gather(s, n.int_constant(0), 0), one), {1});
  const Value columns = n.unsqueeze(n(Range{ElementType::i64}, zero, n.gather(s, n.int_constant(1), 0), one), {0});
  const ElementType t = n.has_attribute("dtype") ? element_type_of_onnx(n.i("dtype")) : x.element_type();
  return {n.cast(n(Equal{}, n(Add{}, rows, n.int_constant(n.i("k", 0))), columns), t)};
}

// Crops or pads with zeros around the centre.
Values center_crop_pad(NodeContext& n) {
  Value x = n.in(0);
  std::vector<int64_t> axes = n.ints("axes");
  if (axes.empty()) {
    for (size_t k = 0; k < n.rank(x); ++k) axes.push_back(static_cast<int64_t>(k));
  }
  const Value target = n.cast(n.in(1), ElementType::i64);
  const Value zero = n.ints_constant({0}), two = n.ints_constant({2});
  for (size_t k = 0; k < axes.size(); ++k) {
    const int64_t a = n.axis(axes[k], x);
    const Value wanted = n.slice(target, 0, static_cast<int64_t>(k), static_cast<int64_t>(k) + 1);
    const Value have = n.dims(x, a, a + 1);
    const Value extra = n(Maximum{}, n(Subtract{}, wanted, have), zero),
                surplus = n(Maximum{}, n(Subtract{}, have, wanted), zero);
    const Value start = n(Divide{}, surplus, two), before = n(Divide{}, extra, two);
    x = n(Slice{}, x, start, n(Add{}, start, n(Minimum{}, have, wanted)), n.ints_constant({1}), n.ints_constant({a}));
    Values begin(n.rank(x), zero), end(begin);
    begin[static_cast<size_t>(a)] = before;
    end[static_cast<size_t>(a)] = n(Subtract{}, extra, before);
    x = n(Pad{}, x, n.concat(begin, 0), n.concat(end, 0), n.like(x, 0));
  }
  return {x};
}

constexpr OperatorRow rows[] = {
    {"Cast", 1, cast},
    {"CastLike", 15, cast_like},
    {"CenterCropPad", 18, center_crop_pad},
    {"Concat", 1, concat},
    {"Constant", 1, constant},
    {"ConstantOfShape", 9, constant_of_shape},
    {"DepthToSpace", 1, depth_to_space},
    {"Expand", 8, expand},
    {"EyeLike", 9, eye_like},
    {"Flatten", 1, flatten},
    {"Identity", 1, identity},
    {"Pad", 1, pad},
    {"Range", 11, range},
    {"Reshape", 1, reshape},
    {"Shape", 1, shape},
    {"Size", 1, size},
    {"Slice", 1, slice},
    {"SpaceToDepth", 1, space_to_depth},
    {"Split", 1, split},
    {"Squeeze", 1, squeeze},
    {"Tile", 1, tile},
    {"Transpose", 1, transpose},
    {"Trilu", 14, trilu},
    {"Unsqueeze", 1, unsqueeze},
};

}  // namespace

std::span<const OperatorRow> shape_rows() {
  return rows;
}

}  // namespace hone::onnx
