// Functions and structured control flow. Switch, Merge and loops of frames are built by the importer itself.
#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::tensorflow {
namespace {

Items call(NodeContext& n) {
  return n.importer.call(n, n.function("f"), n.inputs());
}

// Numbers are true where they are not zero, strings and lists where they are not empty.
Value truth(NodeContext& n, Value v) {
  if (v.element_type() == ElementType::boolean && v.shape().rank_known() && v.shape().rank() == 0) return v;
  if (!v.shape().rank_known() || v.shape().rank() > 0) {
    if (v.element_type() == ElementType::boolean) return n.reshape(v, {});
    return n(NotEqual{}, n(ReduceProd{false}, n.shape_of(v), n.ints_constant({0})), n.int_constant(0));
  }
  return n(NotEqual{}, v, n.like(v, 0));
}

// What follows the condition or the number of the branch.
Items arguments_of(NodeContext& n) {
  if (n.inputs().empty()) n.fail("has no condition");
  return {n.inputs().begin() + 1, n.inputs().end()};
}

Items if_else(NodeContext& n) {
  const Items arguments = arguments_of(n);
  return n.importer.branches(n, truth(n, n.in(0)), {n.function("else_branch"), n.function("then_branch")}, arguments);
}
Items choose_case(NodeContext& n) {
  const Items arguments = arguments_of(n);
  return n.importer.branches(n, n.reshape(n.cast(n.in(0), ElementType::i32), {}), n.functions("branches"), arguments);
}
Items loop(NodeContext& n) {
  return n.importer.loop(n, n.function("cond"), n.function("body"), n.inputs());
}

Items nothing(NodeContext&) {
  return {};
}
Items pass(NodeContext& n) {
  return {n.item(0)};
}

// Control flow of the first kind stands here so that it counts as known; none of these rows is ever called.
Items by_importer(NodeContext& n) {
  n.fail("stands outside of a loop or condition");
}

constexpr OperatorRow rows[] = {
    {"Case", choose_case},
    {"ControlTrigger", nothing},
    {"Enter", by_importer},
    {"Exit", by_importer},
    {"If", if_else},
    {"Merge", by_importer, "output,value_index"},
    {"NextIteration", pass},
    {"PartitionedCall", call},
    {"RefEnter", by_importer},
    {"RefExit", by_importer},
    {"RefMerge", by_importer, "output,value_index"},
    {"RefNextIteration", pass},
    {"RefSwitch", by_importer, "output_false,output_true"},
    {"StatefulPartitionedCall", call},
    {"StatelessCase", choose_case},
    {"StatelessIf", if_else},
    {"StatelessWhile", loop},
    {"Switch", by_importer, "output_false,output_true"},
    {"While", loop},
};

}  // namespace

std::span<const OperatorRow> control_rows() {
  return rows;
}

}  // namespace hone::tensorflow
