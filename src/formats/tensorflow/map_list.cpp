// Lists: TensorList of TensorFlow 2 and TensorArray of TensorFlow 1. A list is the tensor of its elements stacked on
// axis 0; before the first write it is pending, since the rank of its elements need not be known.
#include "formats/tensorflow/lists.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "hone/error.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::tensorflow {

Value materialized(Builder& b, const PendingList& p, const Type& like) {
  Emitter e(b);
  if (!like.is_tensor() || !like.shape.rank_known() || like.shape.rank() == 0) {
    throw Error(ErrorCode::unsupported, "[TensorList] a list whose elements have no known rank is not offered");
  }
  std::vector<int64_t> element;
  const bool ranked = p.shape.rank_known() && p.shape.rank() + 1 == like.shape.rank();
  for (size_t k = 1; k < like.shape.rank(); ++k) {
    const Dimension d = ranked && p.shape[k - 1].is_static() ? p.shape[k - 1] : like.shape[k];
    element.push_back(d.is_static() ? d.get_length() : 1);
  }
  const Value size = p.size ? e.reshape(p.size, {1}) : e.ints_constant({0});
  const Value shape = element.empty() ? size : e.concat({size, e.ints_constant(element)}, 0);
  const ElementType type = like.element == ElementType::dynamic ? p.element : like.element;
  const Value zero =
      type == ElementType::string ? b.constant(Tensor::strings({}, {""})) : e.cast(b.scalar<float>(0), type);
  return e(Broadcast{}, zero, shape);
}

ListWrite list_write(Value v) {
  const Node n = v.node();
  if (!n.is<ScatterNDUpdate>()) return {};
  Value list = n.input(0);
  if (list.node().is<Broadcast>()) list = list.node().input(0);
  const Node item = n.input(2).node();
  if (!item.is<Unsqueeze>()) return {};
  return {list, n.input(1), item.input(0)};
}

namespace {

// Type of a list of such elements.
Type list_type(Value element) {
  std::vector<Dimension> dims{Dimension()};
  if (!element.shape().rank_known())
    throw Error(ErrorCode::unsupported, "[TensorList] a list whose elements have no known rank is not offered");
  dims.insert(dims.end(), element.shape().begin(), element.shape().end());
  return Type(element.element_type(), PartialShape(dims));
}

// The list of input `i` as a tensor; `element` says what a pending one holds.
Value list_of(NodeContext& n, const Item& x, Value element = {}) {
  if (x.value) return x.value;
  if (!x.pending) n.fail("reads something that is no list");
  if (element) return materialized(n.b, *x.pending, list_type(element));
  if (!x.pending->shape.rank_known()) n.refuse("reads a list of which no element is known");
  std::vector<Dimension> dims{Dimension()};
  dims.insert(dims.end(), x.pending->shape.begin(), x.pending->shape.end());
  return materialized(n.b, *x.pending, Type(x.pending->element, PartialShape(dims)));
}

Item pending(Value size, ElementType element, PartialShape shape) {
  PendingList p;
  p.size = size;
  p.element = element;
  p.shape = std::move(shape);
  Item y;
  y.pending = std::make_shared<const PendingList>(p);
  return y;
}

// element_shape as an input: -1 is unknown, a scalar -1 an unknown rank.
PartialShape element_shape(NodeContext& n, size_t i) {
  const Tensor t = NodeContext::folded(n.in(i));
  if (!t) {
    return shape_of_rank(n.in(i).shape());
  }
  if (t.rank() == 0) return PartialShape::dynamic();
  std::vector<Dimension> dims;
  for (int64_t d : t.to_ints()) dims.push_back(d < 0 ? Dimension() : Dimension(d));
  return PartialShape(dims);
}

// One element written at an index.
Item written(NodeContext& n, const Item& x, Value index, Value element) {
  Value list = list_of(n, x, element);
  const PartialShape &have = list.shape(), &give = element.shape();
  bool fits = have.rank_known() && give.rank_known() && have.rank() == give.rank() + 1;
  for (size_t k = 0; fits && k < give.rank(); ++k) fits = have[k + 1].same(give[k]);
  if (!fits) {
    // Elements of size 1 stand for a size that was not known when the list was made.
    const Value size = n.dims(list, 0, 1);
    const bool scalar = give.rank_known() && give.rank() == 0;
    list = n(Broadcast{BroadcastMode::bidirectional}, list, scalar ? size : n.concat({size, n.shape_of(element)}, 0));
  }
  const Value y =
      n(ScatterNDUpdate{}, list, n.reshape(n.cast(index, ElementType::i64), {1, 1}), n.unsqueeze(element, {0}));
  Item out(y);
  out.pending = x.pending;  // remembers how it was made
  return out;
}

Value read(NodeContext& n, const Item& x, Value index) {
  return n.gather(list_of(n, x), n.scalar(index), 0);
}

// 0, 1, 2...: then the indices say "all".
bool is_count(Value v) {
  const Node n = v.node();
  if (const Tensor t = v.constant()) {
    for (size_t k = 0; k < t.size(); ++k) {
      if (get_integer(t, k) != static_cast<int64_t>(k)) return false;
    }
    return true;
  }
  if (!n.is<Range>()) return false;
  const Tensor start = Emitter::folded(n.input(0)), step = Emitter::folded(n.input(2));
  return start && step && get_integer(start, 0) == 0 && get_integer(step, 0) == 1;
}

Item scattered(NodeContext& n, const Item& x, Value indices, Value values) {
  if (is_count(indices) && x.pending && !x.value) return Item(values);
  const Value list = x.value ? x.value : materialized(n.b, *x.pending, values.type());
  if (list.shape().rank_known() && list.shape().rank() == 0) n.fail("wants a list");
  Value base = list;
  if (!list.shape().rank_known() || !values.shape().rank_known() ||
      !PartialShape(std::vector<Dimension>(list.shape().begin() + 1, list.shape().end())).is_static()) {
    base = n(Broadcast{BroadcastMode::bidirectional}, list,
             n.concat({n.dims(list, 0, 1), n.dims(values, 1, static_cast<int64_t>(n.rank(values)))}, 0));
  }
  return Item(n(ScatterNDUpdate{}, base, n.unsqueeze(n.vector(indices), {1}), values));
}

// TensorList
// -----------------------------------------------------------------------------------------------------------

Items reserve(NodeContext& n) {
  return {pending(n.scalar(n.in(1)), n.type("element_dtype", ElementType::f32), element_shape(n, 0))};
}
Items empty_list(NodeContext& n) {
  return {pending({}, n.type("element_dtype", ElementType::f32), element_shape(n, 0))};
}
Items from_tensor(NodeContext& n) {
  return {n.in(0)};
}
Items stack(NodeContext& n) {
  return {list_of(n, n.item(0))};
}
Items get_item(NodeContext& n) {
  return {read(n, n.item(0), n.in(1))};
}
// Lists of dynamic size grow to the index that is written.
Item grown(NodeContext& n, const Item& x, Value index, Value element) {
  const Value list = list_of(n, x, element), wanted = n(Add{}, n.scalar(index), n.int_constant(1));
  const Value missing = n(Maximum{}, n(Subtract{}, wanted, n.dim(list, 0)), n.int_constant(0));
  const size_t r = n.rank(list);
  Values after{n.reshape(missing, {1})};
  if (r > 1) after.push_back(n.ints_constant(std::vector<int64_t>(r - 1, 0)));
  const Value end = r > 1 ? n.concat(after, 0) : after[0];
  return n(Pad{}, list, n.ints_constant(std::vector<int64_t>(r, 0)), end, n.like(list, 0));
}
Items set_item(NodeContext& n) {
  const bool grows = n.flag("resize_if_input_not_big_enough", false);
  return {written(n, grows ? grown(n, n.item(0), n.in(1), n.in(2)) : n.item(0), n.in(1), n.in(2))};
}
Items length(NodeContext& n) {
  const Item& x = n.item(0);
  if (x.value) return {n.cast(n.dim(x.value, 0), ElementType::i32)};
  if (!x.pending) n.fail("reads something that is no list");
  return {x.pending->size ? n.cast(x.pending->size, ElementType::i32) : n.b.scalar<int32_t>(0)};
}
Items push_back(NodeContext& n) {
  const Value element = n.in(1), row = n.unsqueeze(element, {0});
  const Item& x = n.item(0);
  if (x.pending && !x.value && !x.pending->size) {
    // In a loop the list must be a tensor from the start: one without elements.
    return {n.concat({materialized(n.b, *x.pending, list_type(element)), row}, 0)};
  }
  return {n.concat({list_of(n, x, element), row}, 0)};
}
Items pop_back(NodeContext& n) {
  const Value list = list_of(n, n.item(0));
  return {n.slice(list, 0, 0, -1), n.gather(list, n.int_constant(-1), 0)};
}
Items gather_list(NodeContext& n) {
  const Value list = list_of(n, n.item(0));
  return {is_count(n.in(1)) && !n.in(1).constant() ? list : n.gather(list, n.in(1), 0)};
}
Items scatter_list(NodeContext& n) {
  // The number of elements is one more than the largest index, or what is asked for.
  const Value values = n.in(0), indices = n.in(1);
  Value size = n(Add{}, n(ReduceMax{false}, n.vector(indices), n.ints_constant({0})), n.int_constant(1));
  if (n.num_inputs() > 3) {
    const Value wanted = n.scalar(n.in(3));
    size = n(Maximum{}, size, wanted);
  }
  return {scattered(n, pending(size, values.element_type(), element_shape(n, 2)), indices, values)};
}
Items scatter_into(NodeContext& n) {
  return {scattered(n, n.item(0), n.in(2), n.in(1))};
}
// The elements joined along their first axis. Lengths are those of equal elements.
Items concat_list(NodeContext& n) {
  const Value list = list_of(n, n.item(0));
  const auto r = static_cast<int64_t>(n.rank(list));
  if (r < 2) n.fail("joins scalars");
  Values shape{n.ints_constant({-1})};
  if (r > 2) shape.push_back(n.dims(list, 2, r));
  const Value lengths = n(Broadcast{}, n.dim(list, 1), n.dims(list, 0, 1));
  return {n(Reshape{}, list, n.concat(shape, 0)), lengths};
}
Items element_shape_of(NodeContext& n) {
  const Value list = list_of(n, n.item(0));
  return {n.cast(n.dims(list, 1, static_cast<int64_t>(n.rank(list))), n.type("shape_type", ElementType::i32))};
}
Items resize_list(NodeContext& n) {
  const Item& x = n.item(0);
  if (x.value) n.refuse("of a list with elements is not offered");
  return {pending(n.scalar(n.in(1)), x.pending->element, x.pending->shape)};
}
Items concat_lists(NodeContext& n) {
  const Item &a = n.item(0), &b = n.item(1);
  if (a.pending && !a.value) return {b};
  if (b.pending && !b.value) return {a};
  return {n.concat({list_of(n, a), list_of(n, b)}, 0)};
}

// TensorArray: the flow carries the list
// ---------------------------------------------------------------------------------

Items array(NodeContext& n) {
  Item handle;
  handle.resource = std::make_shared<Resource>();
  handle.resource->kind = Resource::array;
  handle.resource->name = std::string(n.name());
  handle.resource->size = n.scalar(n.in(0));
  handle.resource->element = n.type("dtype", ElementType::f32);
  handle.resource->shape = n.shape("element_shape");
  return {handle, pending(handle.resource->size, handle.resource->element, handle.resource->shape)};
}
Items array_write(NodeContext& n) {
  return {written(n, n.item(3), n.in(1), n.in(2))};
}
Items array_read(NodeContext& n) {
  return {read(n, n.item(2), n.in(1))};
}
Items array_gather(NodeContext& n) {
  const Value list = list_of(n, n.item(2));
  return {is_count(n.in(1)) && !n.in(1).constant() ? list : n.gather(list, n.in(1), 0)};
}
Items array_scatter(NodeContext& n) {
  return {scattered(n, n.item(3), n.in(1), n.in(2))};
}
Items array_size(NodeContext& n) {
  const Item& flow = n.item(1);
  if (flow.value) return {n.cast(n.dim(flow.value, 0), ElementType::i32)};
  return {n.cast(n.resource(0, Resource::array)->size, ElementType::i32)};
}
Items array_concat(NodeContext& n) {
  const Value list = list_of(n, n.item(1));
  const auto r = static_cast<int64_t>(n.rank(list));
  if (r < 2) n.fail("joins scalars");
  Values shape{n.ints_constant({-1})};
  if (r > 2) shape.push_back(n.dims(list, 2, r));
  return {n(Reshape{}, list, n.concat(shape, 0)), n(Broadcast{}, n.dim(list, 1), n.dims(list, 0, 1))};
}
Items array_close(NodeContext&) {
  return {};
}

constexpr OperatorRow rows[] = {
    {"EmptyTensorList", empty_list},
    {"TensorArrayCloseV3", array_close},
    {"TensorArrayConcatV3", array_concat, "value,lengths"},
    {"TensorArrayGatherV3", array_gather},
    {"TensorArrayReadV3", array_read},
    {"TensorArrayScatterV3", array_scatter},
    {"TensorArraySizeV3", array_size},
    {"TensorArrayV3", array, "handle,flow"},
    {"TensorArrayWriteV3", array_write},
    {"TensorListConcat", concat_list, "tensor,lengths"},
    {"TensorListConcatLists", concat_lists},
    {"TensorListConcatV2", concat_list, "tensor,lengths"},
    {"TensorListElementShape", element_shape_of},
    {"TensorListFromTensor", from_tensor},
    {"TensorListGather", gather_list},
    {"TensorListGetItem", get_item},
    {"TensorListLength", length},
    {"TensorListPopBack", pop_back, "output_handle,tensor"},
    {"TensorListPushBack", push_back},
    {"TensorListReserve", reserve},
    {"TensorListResize", resize_list},
    {"TensorListScatter", scatter_list},
    {"TensorListScatterIntoExistingList", scatter_into},
    {"TensorListScatterV2", scatter_list},
    {"TensorListSetItem", set_item},
    {"TensorListStack", stack},
};

}  // namespace

std::span<const OperatorRow> list_rows() {
  return rows;
}

}  // namespace hone::tensorflow
