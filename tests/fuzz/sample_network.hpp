// A small network with attributes of several kinds, a constant and a region: what the readers of models are seeded
// with.
#pragma once
#include "graph/builder.hpp"
#include "ops/activation.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"

inline hone::Graph sample_network() {
  using namespace hone;
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{Dimension::symbolic("batch"), 2, 8, 8}, "image");
  Convolution c;
  c.pads_begin = c.pads_end = {1, 1};
  MaxPool p;
  p.kernel = p.strides = {2, 2};
  const Value y = b(p, b(Relu{}, b(c, x, b.constant(Tensor(ElementType::f32, {3, 2, 3, 3})))));
  const Value flat = b(Reshape{true}, y, b.ints({0, -1}));
  TopK top;
  top.axis = 1;
  b.result(b.all(top, {b(Softmax{1}, flat), b.scalar<int64_t>(5)})[1], "best");
  b.result(b(Transpose{}, y, b.ints({0, 2, 3, 1})), "map");
  return g;
}
