// Layers as the networks are made of them: operators with freshly initialised weights.
#pragma once
#include <string>

#include "graph/builder.hpp"

namespace hone::zoo {

enum class Act { none, relu, relu6, hswish };

class Layers {
 public:
  /// Without `initialize` all weights are zero, for those who load them.
  Layers(Graph& g, uint64_t seed, bool initialize = true) : b_(g), seed_(seed), initialize_(initialize) {}
  Builder& builder() { return b_; }

  /// Convolution without bias; He initialisation over the fan out. `groups` > 1 gives a GroupConvolution.
  Value conv(Value x, const std::string& name, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1,
             bool bias = false);
  /// Convolution with bias and without padding.
  Value valid_conv(Value x, const std::string& name, int64_t out, int64_t kernel);
  Value batch_norm(Value x, const std::string& name, double epsilon = 1e-5);
  Value activate(Value x, Act act, const std::string& name);
  /// Global average over space, [N, C].
  Value global_average(Value x, const std::string& name, bool keep_dims = false);
  Value linear(Value x, const std::string& name, int64_t out);
  Value add(Value a, Value b, const std::string& name);
  Value squeeze_excite(Value x, const std::string& name, int64_t squeezed);
  /// A weight of its own: normally distributed, or one value.
  Value weight(const std::string& name, Shape shape, double deviation);
  Value filled(const std::string& name, int64_t n, float value);

 private:
  Value biased(Value y, const std::string& name, int64_t channels);
  Builder b_;
  uint64_t seed_;
  bool initialize_;
};

/// Rounds to a multiple of `divisor`, never below 90 % of `v` (MobileNetV2, section 3).
int64_t make_divisible(double v, int64_t divisor = 8);
int64_t channels_of(const Value& v);

}  // namespace hone::zoo
