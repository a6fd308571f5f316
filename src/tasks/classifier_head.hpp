// The classifier of a network that was trained on other classes: found in the graph and replaced by one for the user's
// own, as transfer learning begins.
#pragma once
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

/// The last layer with weights in front of the scores, and the biases and scales behind it.
struct ClassifierHead {
  NodeId layer = no_id;  ///< MatMul or Convolution
  std::string name, op;
  int64_t features = 0, classes = 0;
  std::vector<NodeId> constants;  ///< its weights first, then what is added or multiplied a class
};

/// Walks back from the first output over what keeps classes apart (Softmax, activations, biases, reshapes, pooling) to
/// the product or the convolution with constant weights that makes them. Throws `Error` (unsupported) that names what
/// is in the way.
ClassifierHead find_head(const Graph& g);

/// Replaces the weights of the head by normally distributed ones of variance 1 / (3 * features), as the layers of the
/// zoo begin, biases by 0 and scales by 1, for `classes` classes; numbers in Reshapes follow. A Sigmoid behind it
/// becomes a Softmax: classes of folders exclude each other. The output is [N, classes]. Returns the new head; on
/// failure the graph is as it was. The same seed gives the same weights.
ClassifierHead replace_head(Graph& g, int64_t classes, uint64_t seed);

/// Puts a new head behind a tensor (or the output of a layer) of this name: the mean over the places of a picture
/// [N, C, H, W] ([N, H, W, C] with `channels_last`) or over the tokens [N, T, C], a product and a bias. It becomes the
/// first output, and what fed only the old one disappears. Throws `Error`: usage where nothing is called so,
/// unsupported where it holds no features.
ClassifierHead add_head(Graph& g, const std::string& features, int64_t classes, uint64_t seed,
                        bool channels_last = false);

}  // namespace hone
