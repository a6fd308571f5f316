// Every operator with the attributes and inputs of its samples as a graph in text form: what the targets that read
// such graphs are seeded with.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "ops/registry.hpp"

/// A graph of one node. Integers are constants, as shapes and axes are, the rest parameters, or constants too where
/// `constant` says so.
inline std::string sample_text(const hone::OpDef& op, const hone::Sample& sample, bool constant) {
  hone::Graph g;
  hone::Builder b(g);
  hone::Values in;
  for (const hone::Datum& d : sample.inputs) {
    if (d.is_none())
      in.emplace_back();
    else if (d.is_tensor() && (constant || hone::is_integer(d.tensor().element_type())))
      in.push_back(b.constant(d.tensor()));
    else
      in.push_back(b.parameter(hone::type_of(d), "in" + std::to_string(in.size())));
  }
  const hone::Node node = b.add(op, sample.attributes, in, sample.regions);
  for (size_t i = 0; i < node.num_outputs(); ++i) b.result(node.output(i));
  return hone::to_text(g);
}

/// Those of at most `most` bytes.
inline void add_sample_texts(std::vector<std::vector<uint8_t>>& out, bool constant, size_t most) {
  for (const hone::OpDef* op : hone::all_ops()) {
    for (const hone::Sample& sample : op->samples()) {
      const std::string text = sample_text(*op, sample, constant);
      if (text.size() <= most) out.emplace_back(text.begin(), text.end());
    }
  }
}
