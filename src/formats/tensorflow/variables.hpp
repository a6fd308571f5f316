// Which tensor of a checkpoint each variable of a graph holds.
#pragma once
#include "formats/tensorflow/checkpoint.hpp"
#include "formats/tensorflow/importer.hpp"

namespace hone::tensorflow {

/// Frozen contents of variables by the name of their node. The graph's own restore operators say which key belongs to
/// which variable; where they do not, the names stored in the checkpoint do.
Session::Variables frozen_variables(const GraphMessage& graph, std::shared_ptr<const Checkpoint> checkpoint);

}  // namespace hone::tensorflow
