// How much a graph computes and holds: multiply-accumulates of the dense operators, parameters.
#pragma once
#include "graph/graph.hpp"

namespace hone {

/// Multiply-accumulates of one node (convolutions and matrix products; 0 for the rest). Dynamic dimensions count with
/// their minimum, at least 1.
int64_t multiply_accumulates(const Graph& g, NodeId node);
/// Of the whole graph, regions included once.
int64_t multiply_accumulates(const Graph& g);
/// Elements of floating-point and quantized constants and trainable variables, statistics of BatchNorm left out.
int64_t parameter_count(const Graph& g);

}  // namespace hone
