// Network architectures, written with the builder. Weights are initialised from a seed; names are those of torchvision
// and of the CIFAR ResNets, so published weights can be loaded by name.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

struct NetworkOptions {
  int64_t classes = 0;   ///< 0: the network's own (10 or 1000)
  int64_t channels = 0;  ///< of the input picture; 0: 3
  int64_t height = 0;    ///< 0: the network's own size
  int64_t width = 0;
  double multiplier = 1;  ///< of the channel counts, rounded to multiples of 8 as the MobileNet papers do
  uint64_t seed = 0;
  bool softmax = false;    ///< append a Softmax; without it the output is logits
  bool initialize = true;  ///< false: weights are zero, for those who load them
};

struct NetworkInfo {
  std::string_view name;
  std::string_view description;
  int64_t classes, height, width;  ///< 0: not a matter of choice (classes), or of any size
  int64_t parameters;              ///< published, at the defaults
  double gmacs;                    ///< published, at the defaults
  bool classifier = true;          ///< else inputs and outputs are its own
};

const std::vector<NetworkInfo>& networks();
/// Null where the zoo has no such network.
const NetworkInfo* find_network(std::string_view name);

/// Classifiers: input `input` f32 [N, channels, height, width] with a symbolic batch N, output `logits` [N, classes].
/// Throws `Error` that lists the names where `name` is not known, and where the input is too small for the network.
Graph build_network(std::string_view name, const NetworkOptions& options = {});

}  // namespace hone
