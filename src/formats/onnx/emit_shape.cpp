// Movement, indexing and shapes as ONNX nodes.
#include <algorithm>
#include <limits>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"
#include "ops/basic.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::onnx {
namespace {

std::vector<std::string> trimmed(std::vector<std::string> v) {
  while (!v.empty() && v.back().empty()) v.pop_back();
  return v;
}
std::string i64(EmitContext& e, size_t i) {
  if (const Tensor t = e.known(i); t && t.rank() == 1) return e.ints(t.to_ints());
  return e.cast(e.in(i), ElementType::i64);
}

void reshape(EmitContext& e) {
  const Tensor shape = e.known(1);
  bool zero = !shape;
  for (size_t k = 0; shape && k < shape.size(); ++k) zero = zero || get_integer(shape, k) == 0;
  AttributeList a;
  if (zero && !e.as<Reshape>().special_zero && e.opset >= 14) a.i("allowzero", 1);
  e.result("Reshape", {e.in(0), i64(e, 1)}, a);
}
void transpose(EmitContext& e) {
  const Tensor order = e.must_know(1, "the order");
  e.result("Transpose", {e.in(0)}, order.size() == 0 ? AttributeList() : AttributeList().ints("perm", order.to_ints()));
}
// Axes, a vector even where there is one.
std::string axes_vector(EmitContext& e, size_t i) {
  if (const Tensor t = e.known(i)) return e.ints(t.to_ints());
  const std::string v = i64(e, i);
  return e.rank(i) == 1 ? v : e.op("Reshape", {v, e.ints({-1})});
}
void squeeze(EmitContext& e) {
  e.result("Squeeze",
           e.has(1) ? std::vector<std::string>{e.in(0), axes_vector(e, 1)} : std::vector<std::string>{e.in(0)});
}
void unsqueeze(EmitContext& e) {
  e.result("Unsqueeze", {e.in(0), axes_vector(e, 1)});
}
void concat(EmitContext& e) {
  e.result("Concat", e.ins(), AttributeList().i("axis", e.as<Concat>().axis));
}

void split(EmitContext& e) {
  const int64_t axis = get_integer(e.must_know(1, "the axis"), 0);
  AttributeList a;
  a.i("axis", axis);
  if (e.opset >= 18) a.i("num_outputs", e.as<Split>().num_splits);
  e.result("Split", {e.in(0)}, a);
}
void variadic_split(EmitContext& e) {
  int64_t axis = get_integer(e.must_know(1, "the axis"), 0);
  std::string lengths = i64(e, 2);
  if (const Tensor known = e.known(2)) {
    auto v = known.to_ints();
    const auto rest = std::find(v.begin(), v.end(), -1);
    if (rest != v.end()) {
      if (axis < 0) axis += static_cast<int64_t>(e.rank(0));
      const Dimension& d = e.node.input(0).shape()[static_cast<size_t>(axis)];
      if (d.is_dynamic()) e.refuse("needs to know the length that -1 stands for");
      int64_t sum = 1;  // the -1 itself
      for (int64_t x : v) sum += x;
      *rest = d.get_length() - sum;
    }
    lengths = e.ints(v);
  }
  e.result("Split", {e.in(0), lengths}, AttributeList().i("axis", axis));
}
void slice(EmitContext& e) {
  const ElementType t = e.element(1) == ElementType::i32 ? ElementType::i32 : ElementType::i64;
  auto index = [&](size_t i) -> std::string {
    if (!e.has(i)) return {};
    return e.element(i) == t ? e.in(i) : e.cast(e.in(i), t);
  };
  std::string axes = index(4);
  if (axes.empty()) {
    std::vector<int64_t> all;
    for (size_t k = 0; k < static_cast<size_t>(element_count(e.node.input(1).shape().to_shape())); ++k)
      all.push_back(static_cast<int64_t>(k));
    axes = e.constant(Tensor::of<int64_t>({std::ssize(all)}, std::span<const int64_t>(all)).converted(t));
  }
  e.result("Slice", {e.in(0), index(1), index(2), axes, index(3)});
}

// Masks become axes of one Slice; new and shrunk axes follow as Unsqueeze and Squeeze.
void strided_slice(EmitContext& e) {
  const auto& op = e.as<StridedSlice>();
  const auto begin = e.must_know(1, "begin").to_ints(), end = e.must_know(2, "end").to_ints();
  const auto stride = e.has(3) ? e.must_know(3, "strides").to_ints() : std::vector<int64_t>(begin.size(), 1);
  auto set = [](const std::vector<int64_t>& mask, size_t i) { return i < mask.size() && mask[i] != 0; };
  std::vector<int64_t> starts, ends, axes, steps, added, dropped;
  size_t consumed = 0;  // data axes that the entries take, the ellipsis aside
  for (size_t i = 0; i < begin.size(); ++i) consumed += !set(op.new_axis_mask, i) && !set(op.ellipsis_mask, i);
  int64_t axis = 0, out = 0;
  for (size_t i = 0; i < begin.size(); ++i) {
    if (set(op.ellipsis_mask, i)) {
      const auto skipped = static_cast<int64_t>(e.rank(0) - consumed);
      axis += skipped;
      out += skipped;
      continue;
    }
    if (set(op.new_axis_mask, i)) {
      added.push_back(out++);
      continue;
    }
    const bool shrink = set(op.shrink_axis_mask, i);
    const bool open_begin = set(op.begin_mask, i), open_end = set(op.end_mask, i);
    constexpr int64_t far = std::numeric_limits<int64_t>::max();
    starts.push_back(shrink || !open_begin ? begin[i] : stride[i] < 0 ? far : 0);
    ends.push_back(shrink ? (begin[i] == -1 ? far : begin[i] + 1) : !open_end ? end[i] : stride[i] < 0 ? -far : far);
    steps.push_back(shrink ? 1 : stride[i]);
    axes.push_back(axis);
    if (shrink)
      dropped.push_back(axis);
    else
      ++out;
    ++axis;
  }
  std::vector<std::pair<const char*, std::vector<std::string>>> chain;
  std::string v = e.in(0);
  auto next = [&](const char* type, std::vector<std::string> rest, bool last) {
    rest.insert(rest.begin(), v);
    if (last)
      e.result(type, rest);
    else
      v = e.op(type, rest);
  };
  next("Slice", {e.ints(starts), e.ints(ends), e.ints(axes), e.ints(steps)}, dropped.empty() && added.empty());
  if (!dropped.empty()) next("Squeeze", {e.ints(dropped)}, added.empty());
  if (!added.empty()) next("Unsqueeze", {e.ints(added)}, true);
}

void pad(EmitContext& e) {
  const PadMode mode = e.as<Pad>().pad_mode;
  if (mode == PadMode::symmetric) e.refuse("in symmetric mode has no counterpart in ONNX");
  std::vector<std::string> in{e.in(0)};
  const Tensor low = e.known(1), high = e.known(2);
  if (low && high) {
    auto both = low.to_ints();
    const auto h = high.to_ints();
    both.insert(both.end(), h.begin(), h.end());
    in.push_back(e.ints(both));
  } else {
    in.push_back(e.op("Concat", {i64(e, 1), i64(e, 2)}, AttributeList().i("axis", 0)));
  }
  if (mode == PadMode::constant && e.has(3)) in.push_back(e.in(3));
  e.result("Pad", in,
           AttributeList().s("mode", mode == PadMode::constant ? "constant"
                                     : mode == PadMode::edge   ? "edge"
                                                               : "reflect"));
}
void tile(EmitContext& e) {
  e.result("Tile", {e.in(0), i64(e, 1)});
}
void broadcast(EmitContext& e) {
  std::string x = e.in(0);
  if (e.as<Broadcast>().mode == BroadcastMode::explicit_) {
    const auto axes = e.must_know(2, "the axes").to_ints();
    const auto rank = element_count(e.node.input(1).shape().to_shape());
    std::vector<int64_t> missing;
    for (int64_t k = 0; k < rank; ++k) {
      if (std::find(axes.begin(), axes.end(), k) == axes.end()) missing.push_back(k);
    }
    if (!missing.empty()) x = e.op("Unsqueeze", {x, e.ints(missing)});
  }
  e.result("Expand", {x, i64(e, 1)});
}
void shape_of(EmitContext& e) {
  if (e.as<ShapeOf>().output_type == ElementType::i64) return e.result("Shape", {e.in(0)});
  e.result("Cast", {e.op("Shape", {e.in(0)})}, AttributeList().i("to", onnx_data_type(e.as<ShapeOf>().output_type)));
}
void range(EmitContext& e) {
  const ElementType t = e.as<Range>().output_type;
  e.result("Range", {e.cast(e.in(0), t), e.cast(e.in(1), t), e.cast(e.in(2), t)});
}
void depth_to_space(EmitContext& e) {
  const auto& op = e.as<DepthToSpace>();
  e.result("DepthToSpace", {e.in(0)},
           AttributeList().i("blocksize", op.block_size).s("mode", op.mode == DepthMode::depth_first ? "CRD" : "DCR"));
}
void reverse(EmitContext& e) {
  const auto& axes = e.as<Reverse>().axes;
  const size_t n = axes.size();
  if (n == 0) return e.result("Identity", {e.in(0)});
  e.result("Slice", {e.in(0), e.ints(std::vector<int64_t>(n, -1)),
                     e.ints(std::vector<int64_t>(n, std::numeric_limits<int64_t>::min())), e.ints(axes),
                     e.ints(std::vector<int64_t>(n, -1))});
}

void gather(EmitContext& e) {
  if (e.as<Gather>().batch_dims != 0) e.refuse("with batch_dims has no counterpart in ONNX");
  std::string index = e.in(1);
  if (e.element(1) != ElementType::i64 && e.element(1) != ElementType::i32) index = e.cast(index, ElementType::i64);
  e.result("Gather", {e.in(0), index}, AttributeList().i("axis", get_integer(e.must_know(2, "the axis"), 0)));
}
void gather_elements(EmitContext& e) {
  e.result("GatherElements", e.ins(), AttributeList().i("axis", e.as<GatherElements>().axis));
}
void gather_nd(EmitContext& e) {
  e.result("GatherND", {e.in(0), e.cast(e.in(1), ElementType::i64)},
           AttributeList().i("batch_dims", e.as<GatherND>().batch_dims));
}

AttributeList reduction(EmitContext& e, ScatterReduction r) {
  AttributeList a;
  switch (r) {
    case ScatterReduction::none:
      break;
    case ScatterReduction::sum:
      a.s("reduction", "add");
      break;
    case ScatterReduction::prod:
      a.s("reduction", "mul");
      break;
    case ScatterReduction::min:
      a.s("reduction", "min");
      break;
    case ScatterReduction::max:
      a.s("reduction", "max");
      break;
    default:
      e.refuse("by mean has no counterpart in ONNX");
  }
  if (r != ScatterReduction::none)
    e.needs(r == ScatterReduction::min || r == ScatterReduction::max ? 18 : 16, "with a reduction ");
  return a;
}
void scatter_elements(EmitContext& e) {
  const auto& op = e.as<ScatterElementsUpdate>();
  if (!op.use_init_val) e.refuse("without initial values has no counterpart in ONNX");
  e.result("ScatterElements", {e.in(0), e.in(1), e.in(2)},
           reduction(e, op.reduction).i("axis", get_integer(e.must_know(3, "the axis"), 0)));
}
void scatter_nd(EmitContext& e) {
  e.result("ScatterND", {e.in(0), e.cast(e.in(1), ElementType::i64), e.in(2)},
           reduction(e, e.as<ScatterNDUpdate>().reduction));
}

void one_hot(EmitContext& e) {
  const auto on = e.op("Reshape", {e.in(2), e.ints({1})}), off = e.op("Reshape", {e.in(3), e.ints({1})});
  std::string index = e.in(0);
  const auto depth = e.op("Reshape", {e.in(1), e.ints({1})});
  if (e.as<OneHot>().negative_indices_mode == NegativeIndices::ignore_negative) {
    // ONNX counts negative indices from the end: moved behind it they give off values.
    index = e.cast(index, ElementType::i64);
    const auto scalar = [&](const std::string& v) { return e.op("Reshape", {v, e.ints({})}); };
    index =
        e.op("Where", {e.op("Less", {index, scalar(e.ints({0}))}), scalar(e.cast(e.in(1), ElementType::i64)), index});
  }
  e.result("OneHot", {index, depth, e.op("Concat", {off, on}, AttributeList().i("axis", 0))},
           AttributeList().i("axis", e.as<OneHot>().axis));
}
void top_k(EmitContext& e) {
  const auto& op = e.as<TopK>();
  if (op.sort == TopKSort::index) e.refuse("sorted by index has no counterpart in ONNX");
  const auto k = e.known(1) ? e.ints({get_integer(e.known(1), 0)})
                            : e.op("Reshape", {e.cast(e.in(1), ElementType::i64), e.ints({1})});
  const AttributeList a = AttributeList().i("axis", op.axis).i("largest", op.mode == TopKMode::max).i("sorted", 1);
  if (op.index_element_type == ElementType::i64) return e.result("TopK", {e.in(0), k}, a);
  const std::string index = e.w.fresh(e.out(1) + "_i64");
  e.w.emit("TopK", {e.in(0), k}, {e.out(0), index}, a, e.node.name());
  e.result_to(1, "Cast", {index}, AttributeList().i("to", onnx_data_type(op.index_element_type)));
}
void non_zero(EmitContext& e) {
  if (e.as<NonZero>().output_type == ElementType::i64) return e.result("NonZero", {e.in(0)});
  e.result("Cast", {e.op("NonZero", {e.in(0)})}, AttributeList().i("to", onnx_data_type(e.as<NonZero>().output_type)));
}
void non_max_suppression(EmitContext& e) {
  const auto& op = e.as<NonMaxSuppression>();
  if (e.used(1) || e.used(2)) e.refuse("selected scores have no counterpart in ONNX");
  auto vector = [&](size_t i, ElementType t) -> std::string {
    if (!e.has(i)) return {};
    return e.op("Reshape", {e.cast(e.in(i), t), e.ints({1})});
  };
  const auto in = trimmed(
      {e.in(0), e.in(1), vector(2, ElementType::i64), vector(3, ElementType::f32), vector(4, ElementType::f32)});
  const AttributeList a = AttributeList().i("center_point_box", op.box_encoding == BoxEncoding::center);
  if (op.output_type == ElementType::i64) return e.result_to(0, "NonMaxSuppression", in, a);
  e.result_to(0, "Cast", {e.op("NonMaxSuppression", in, a)}, AttributeList().i("to", onnx_data_type(op.output_type)));
}
void reverse_sequence(EmitContext& e) {
  const auto& op = e.as<ReverseSequence>();
  e.result("ReverseSequence", {e.in(0), e.cast(e.in(1), ElementType::i64)},
           AttributeList().i("batch_axis", op.batch_axis).i("time_axis", op.seq_axis));
}

// Two slices that change places; where the length is open, positions counted anew.
void roll(EmitContext& e) {
  const auto shifts = e.must_know(1, "the shift").to_ints(), axes = e.must_know(2, "the axes").to_ints();
  const PartialShape shape = e.node.input(0).shape();
  const auto rank = static_cast<int64_t>(e.rank(0));
  if (shifts.size() != axes.size()) e.refuse("has not one shift for each axis");
  std::string x = e.in(0);
  for (size_t k = 0; k < shifts.size(); ++k) {
    const int64_t axis = axes[k] < 0 ? axes[k] + rank : axes[k];
    const Dimension length = shape[static_cast<size_t>(axis)];
    const AttributeList along = AttributeList().i("axis", axis);
    if (length.is_static()) {
      const int64_t n = length.get_length(), by = n > 0 ? (shifts[k] % n + n) % n : 0;
      if (by == 0) continue;
      const auto part = [&](int64_t from, int64_t to) {
        return e.op("Slice", {x, e.ints({from}), e.ints({to}), e.ints({axis})});
      };
      x = e.op("Concat", {part(n - by, n), part(0, n - by)}, along);
    } else {
      const auto number = [&](int64_t v) { return e.constant(Tensor::scalar(v)); };
      const std::string n = e.op("Gather", {e.op("Shape", {x}), number(axis)});
      const std::string places = e.op("Sub", {e.op("Range", {number(0), n, number(1)}), number(shifts[k])});
      x = e.op("Gather", {x, e.op("Mod", {places, n})}, along);
    }
  }
  e.result("Identity", {x});
}

constexpr EmitRow rows[] = {
    {"Broadcast", broadcast},
    {"Concat", concat},
    {"DepthToSpace", depth_to_space},
    {"Gather", gather},
    {"GatherElements", gather_elements},
    {"GatherND", gather_nd},
    {"NonMaxSuppression", non_max_suppression},
    {"NonZero", non_zero},
    {"OneHot", one_hot},
    {"Pad", pad},
    {"Range", range},
    {"Reshape", reshape},
    {"Reverse", reverse},
    {"ReverseSequence", reverse_sequence},
    {"Roll", roll},
    {"ScatterElementsUpdate", scatter_elements},
    {"ScatterNDUpdate", scatter_nd},
    {"ShapeOf", shape_of},
    {"Slice", slice},
    {"Split", split},
    {"Squeeze", squeeze},
    {"StridedSlice", strided_slice},
    {"Tile", tile},
    {"TopK", top_k},
    {"Transpose", transpose},
    {"Unsqueeze", unsqueeze},
    {"VariadicSplit", variadic_split},
};

}  // namespace

std::span<const EmitRow> emit_shape_rows() {
  return rows;
}

}  // namespace hone::onnx
