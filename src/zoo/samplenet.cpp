// SampLeNet, the small CIFAR-10 network of the Open Model Zoo's accuracy checker.
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "zoo/networks.hpp"

namespace hone::zoo {

Value samplenet(Layers& l, Value x, int64_t classes) {
  Builder& b = l.builder();
  for (int64_t stage = 1; stage <= 2; ++stage) {
    const std::string number = std::to_string(stage);
    x = l.activate(l.valid_conv(x, "conv" + number, stage == 1 ? 6 : 16, 5), Act::relu, "relu" + number);
    b.set_name("pool" + number);
    x = b(MaxPool{.strides = {2, 2}, .dilations = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .kernel = {2, 2}},
          x);
  }
  b.set_name("flatten/shape");
  const Value shape = b.ints({0, -1});
  b.set_name("flatten");
  x = b(Reshape{true}, x, shape);
  x = l.activate(l.linear(x, "fc1", 120), Act::relu, "relu_fc1");
  x = l.activate(l.linear(x, "fc2", 84), Act::relu, "relu_fc2");
  return l.linear(x, "fc3", classes);
}

}  // namespace hone::zoo
