// What the tables of a graph are initialized with.
#pragma once
#include "formats/tensorflow/importer.hpp"

namespace hone::tensorflow {

/// Tables whose keys and values are constants, by the name of their node; initializers inside of functions are followed
/// to the call.
Tables table_contents(const GraphMessage& graph, const std::shared_ptr<const void>& owner);

}  // namespace hone::tensorflow
