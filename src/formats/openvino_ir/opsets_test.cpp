#include <gtest/gtest.h>

#include "formats/openvino_ir/writer.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/pooling.hpp"
#include "ops/recurrent.hpp"
#include "ops/sampling.hpp"

namespace hone {
namespace {

bool holds(const Graph& g, std::string_view op) {
  for (NodeId id : g.topological_order()) {
    if (g.node(id).op->name == op) return true;
  }
  return false;
}

Graph lstm(bool input_forget) {
  Graph g;
  Builder b(g);
  LSTMSequence op{2};
  op.input_forget = input_forget;
  const auto f32 = [&](PartialShape s) { return b.parameter(ElementType::f32, s); };
  const Values out = b.all(
      op, {f32({1, 3, 2}), f32({1, 1, 2}), f32({1, 1, 2}), b.ints({3}), f32({1, 8, 2}), f32({1, 8, 2}), f32({1, 8})});
  b.result(out[0]);
  return g;
}

TEST(OpenVinoOpsets, expands_what_openvino_would_compute_otherwise) {
  EXPECT_TRUE(holds(ir::prepared_for_ir(lstm(false)), "LSTMSequence"));
  const Graph coupled = ir::prepared_for_ir(lstm(true));
  EXPECT_FALSE(holds(coupled, "LSTMSequence"));
  EXPECT_TRUE(holds(coupled, "MatMul"));
}

TEST(OpenVinoOpsets, refuses_attributes_that_openvino_lacks) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {1, 1, 8, 8});
  AvgPool pool{{1, 1}, {0, 0}, {0, 0}, {2, 2}};
  pool.dilations = {2, 2};
  b.result(b(pool, x));
  EXPECT_THROW(ir::prepared_for_ir(g), Error);
  Graph h;
  Builder c(h);
  ROIAlign roi{2, 2};
  roi.mode = RoiMode::max_neighbour;
  const Value boxes = c.parameter(ElementType::f32, {1, 4}), images = c.parameter(ElementType::i64, {1});
  c.result(c(roi, c.parameter(ElementType::f32, {1, 1, 8, 8}), boxes, images));
  EXPECT_THROW(ir::prepared_for_ir(h), Error);
}

}  // namespace
}  // namespace hone
