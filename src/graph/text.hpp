// The text form of a graph: what tests are written in and what `HONE_LOG=debug` prints.
//
//     graph name {
//       %x = Parameter() {element_type=f32,shape=[1,3]} : f32[1,3] "input"
//       %c = Constant() {value=f32[3]{1,2,3}} : f32[3]
//       %y = Add(%x, %c) : f32[1,3]
//       %a, %b = Split(%y, %axis) {num_splits=2} : f32[1,1], f32[1,2]
//       %z = MatMul(%x, %w, %bias) {transpose_b=true} epilogue { ...nodes... } : f32[1,4]
//       %r = If(%c, %x) { ... } { ... } : f32[1,3]
//       Result(%y) "output"
//     }
//
// `_` is an absent input; attributes that have their default are left out; types of outputs may be left out when
// parsing.
#pragma once
#include <string>
#include <string_view>

#include "graph/graph.hpp"

namespace hone {

/// Values are renamed %0, %1... in topological order, so equal graphs print equally. Constants above `max_elements`
/// print a hash.
std::string to_text(const Graph& g, size_t max_elements = 16);
/// Parses a graph; types are inferred. Throws `Error` naming the line.
Graph parse_graph(std::string_view text);

/// Finds an operator by name; null where there is none. Defined by the operator registry.
const OpDef* find_op(std::string_view name);

}  // namespace hone
