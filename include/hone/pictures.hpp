// How pictures become the input of a model that does not say so itself.
#pragma once
#include <string>
#include <vector>

namespace hone {

/// What stands in for, or changes, a model's stored preprocessing: output = (sample - mean) / scale of samples 0..255.
struct PictureOptions {
  std::vector<double> mean;       ///< one value or one a channel, in the model's order; empty: the model's
  std::vector<double> scale;      ///< likewise, none 0; empty: the model's
  std::string layout;             ///< "NCHW" | "NHWC"; empty: the model's, else by the shape of its input
  bool reverse_channels = false;  ///< RGB for BGR and back
};

}  // namespace hone
