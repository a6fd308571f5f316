// Constants, variables, casts, and operators that pass their input on.
#include <tuple>

#include "formats/tensorflow/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/string.hpp"

namespace hone::tensorflow {
namespace {

Items constant(NodeContext& n) {
  const auto a = n.attribute("value");
  if (!a || a->kind != AttributeMessage::tensor_) n.fail("has no value");
  const TensorMessage m = parse_tensor(a->message);
  bool repeated = false;
  const Tensor t = to_tensor(m, n.importer.owner(), repeated);
  Item y(n.b.constant(t));
  y.complex = is_complex_type(m.type);
  if (repeated) {
    Shape shape = m.shape.to_shape();
    if (y.complex) shape.push_back(2);
    y.value = n(Broadcast{}, y.value, n.ints_constant(shape));
  }
  return {y};
}

Items same(NodeContext& n) {
  return {n.item(0)};
}
Items all_same(NodeContext& n) {
  return n.inputs();
}

Items placeholder(NodeContext& n) {
  n.refuse("stands where no input can be");
}
Items with_default(NodeContext& n) {
  return {n.item(0)};
}

Items variable_handle(NodeContext& n) {
  Item y;
  y.resource = std::make_shared<Resource>();
  y.resource->name = std::string(n.name());
  y.resource->shared_name = n.s("shared_name");
  y.resource->element = n.type("dtype", ElementType::dynamic);
  return {y};
}
// A variable of the first kind is its content.
Items variable(NodeContext& n) {
  const Tensor t = n.importer.variable(n, std::string(n.name()), n.s("shared_name"));
  return {n.b.constant(t)};
}
Value content(NodeContext& n) {
  const auto& r = n.resource(0, Resource::variable);
  return n.b.constant(n.importer.variable(n, r->name, r->shared_name));
}
Items read_variable(NodeContext& n) {
  return {content(n)};
}
Items variable_shape(NodeContext& n) {
  return {n.cast(n.shape_of(content(n)), n.type("out_type", ElementType::i32))};
}
Items resource_gather(NodeContext& n) {
  Gather g;
  g.batch_dims = n.i("batch_dims", 0);
  return {n(g, content(n), n.in(1), n.int_constant(g.batch_dims))};
}
Items resource_gather_nd(NodeContext& n) {
  return {n(GatherND{}, content(n), n.in(1))};
}
Items is_initialized(NodeContext& n) {
  return {n.b.scalar<bool>(true)};
}

// Tables: their keys and values are what the graph initializes them with.
Items table(NodeContext& n) {
  Item y;
  y.resource = std::make_shared<Resource>();
  y.resource->kind = Resource::table;
  y.resource->name = std::string(n.name());
  std::tie(y.resource->keys, y.resource->values) = n.importer.table(y.resource->name);
  return {y};
}
const Resource& filled_table(NodeContext& n) {
  const Resource& t = *n.resource(0, Resource::table);
  if (!t.keys)
    n.refuse("reads table '" + t.name +
             "', whose content is not known: it is filled while the model runs, or by a file that is neither in the "
             "folder 'assets' nor beside the graph");
  return t;
}
Items table_find(NodeContext& n) {
  const Resource& t = filled_table(n);
  const Tensor otherwise = n.constant(2, "the default value");
  if (otherwise.size() != 1) n.refuse("with values that are no scalars is not offered");
  return {n(LabelEncoder{t.keys, t.values, otherwise.reshaped({1})}, n.in(1))};
}
Items table_size(NodeContext& n) {
  return {n.int_constant(static_cast<int64_t>(filled_table(n).keys.size()))};
}

Items cast(NodeContext& n) {
  const ElementType to = n.type("DstT", ElementType::f32);
  const Item& x = n.item(0);
  const bool complex = is_complex_type(n.raw_type("DstT"));
  if (complex && x.complex) {
    Item y(n.cast(x.value, to));
    y.complex = true;
    return {y};
  }
  if (complex) {
    const Value real = n.unsqueeze(n.cast(n.in(0), to), {-1});
    Item y(n.concat({real, n(Multiply{}, real, n.like(real, 0))}, -1));
    y.complex = true;
    return {y};
  }
  if (x.complex) return {n.cast(n.gather(x.value, n.int_constant(0), -1), to)};
  return {n.cast(n.in(0), to)};
}

Items bitcast(NodeContext& n) {
  const Value x = n.in(0);
  const ElementType to = n.type("type", ElementType::f32);
  if (bit_width(to) != bit_width(x.element_type())) n.refuse("between types of different widths is not offered");
  return {n(BitCast{to}, x)};
}

Items ensure_shape(NodeContext& n) {
  const PartialShape wanted = n.shape("shape");
  const Value x = n.in(0);
  if (!wanted.compatible(x.shape()))
    n.fail("the value has shape " + to_string(x.shape()) + ", ensured is " + to_string(wanted));
  return {x};
}

Items nothing(NodeContext&) {
  return {};
}

Items no_training(NodeContext& n) {
  n.refuse("is an operator of training whose result the outputs hang on; freeze the graph for inference");
}

constexpr OperatorRow rows[] = {
    {"Assert", nothing},
    {"Assign", no_training},
    {"AssignAdd", no_training},
    {"AssignSub", no_training},
    {"Bitcast", bitcast},
    {"Cast", cast},
    {"CheckNumerics", same},
    {"CheckNumericsV2", same},
    {"Const", constant},
    {"Copy", same},
    {"CopyHost", same},
    {"DebugGradientIdentity", same},
    {"DebugIdentity", same},
    {"DebugIdentityV2", same},
    {"EnsureShape", ensure_shape},
    {"HashTable", table},
    {"HashTableV2", table},
    {"HostConst", constant},
    {"Identity", same},
    {"IdentityN", all_same},
    {"IsVariableInitialized", is_initialized},
    {"LoopCond", same},
    {"LookupTableFind", table_find},
    {"LookupTableFindV2", table_find},
    {"LookupTableSize", table_size},
    {"LookupTableSizeV2", table_size},
    {"MutableHashTableV2", table},
    {"NoOp", nothing},
    {"OptimizationBarrier", all_same},
    {"Placeholder", placeholder},
    {"PlaceholderV2", placeholder},
    {"PlaceholderWithDefault", with_default},
    {"PreventGradient", same},
    {"Print", same},
    {"ReadVariableOp", read_variable},
    {"RefIdentity", same},
    {"ResourceGather", resource_gather},
    {"ResourceGatherNd", resource_gather_nd},
    {"Snapshot", same},
    {"StopGradient", same},
    {"VarHandleOp", variable_handle},
    {"VarIsInitializedOp", is_initialized},
    {"Variable", variable},
    {"VariableShape", variable_shape},
    {"VariableV2", variable},
    {"_Arg", placeholder},
    {"_Retval", same},
};

}  // namespace

std::span<const OperatorRow> basic_rows() {
  return rows;
}

}  // namespace hone::tensorflow
