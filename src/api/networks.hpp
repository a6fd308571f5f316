// Files of weights alone, and the networks of the zoo that they belong to.
#pragma once
#include <string>
#include <vector>

#include "formats/pytorch/state_dict.hpp"
#include "graph/graph.hpp"

namespace hone {

/// The network `NAME` or `NAME:key=value,...` of the zoo (keys: classes, channels, height, width, size, multiplier,
/// softmax) with the weights of a file. Names are the zoo's, which are torchvision's; counters of batches are left out.
/// Classes and channels that are not given are those of the weights. Throws `Error` that names missing, unknown and
/// misshapen weights.
Graph network_with_weights(const std::string& network, const StateDict& weights);

/// Networks whose parameter names and shapes are those of the weights, as `--network` takes them.
std::vector<std::string> fitting_networks(const StateDict& weights);

/// A file of weights with its network; without one it is refused with the networks that fit. Throws `Error` naming the
/// file.
Graph read_network(const std::string& path, const std::string& network);
/// The same; without a network the one that fits is taken, where there is exactly one.
Graph read_network_that_fits(const std::string& path, const std::string& network);

}  // namespace hone
