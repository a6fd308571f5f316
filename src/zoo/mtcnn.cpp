// MTCNN (Zhang et al. 2016): proposal, refinement and output networks of a face detector, as facenet-pytorch has them.
#include "ops/activation.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "zoo/networks.hpp"

namespace hone::zoo {
namespace {

class Stage {
 public:
  explicit Stage(Layers& l) : l_(l), b_(l.builder()) {}

  Value conv(Value x, const std::string& number, int64_t out, int64_t kernel) {
    return prelu(l_.valid_conv(x, "conv" + number, out, kernel), number);
  }
  Value dense(Value x, const std::string& number, int64_t out) {
    return prelu(l_.linear(x, "dense" + number, out), number);
  }
  Value pool(Value x, const std::string& name, int64_t kernel) {
    b_.set_name(name);
    MaxPool op{
        .strides = {2, 2}, .dilations = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .kernel = {kernel, kernel}};
    op.rounding_type = RoundingType::ceil_torch;
    return b_(op, x);
  }
  // The weights of the dense layer expect width before height before channels.
  Value flat(Value x) {
    b_.set_name("permute/order");
    const Value order = b_.ints({0, 3, 2, 1});
    b_.set_name("permute");
    x = b_(Transpose{}, x, order);
    b_.set_name("flatten/shape");
    const Value shape = b_.ints({0, -1});
    b_.set_name("flatten");
    return b_(Reshape{true}, x, shape);
  }
  void result(Value v, const char* name) {
    b_.graph().set_names(v.id, {name});
    b_.set_name({});
    b_.result(v, name);
  }
  void probability(Value logits) {
    b_.set_name("softmax");
    result(b_(Softmax{1}, logits), "prob");
  }

 private:
  Value prelu(Value x, const std::string& number) {
    const Value slope = l_.filled("prelu" + number + ".weight", x.shape()[1].get_length(), 0.25f);
    b_.set_name("prelu" + number);
    return b_(PRelu{}, x, slope);
  }
  Layers& l_;
  Builder& b_;
};

}  // namespace

void mtcnn_pnet(Layers& l, Value x) {
  Stage s(l);
  x = s.pool(s.conv(x, "1", 10, 3), "pool1", 2);
  x = s.conv(s.conv(x, "2", 16, 3), "3", 32, 3);
  const Value scores = l.valid_conv(x, "conv4_1", 2, 1);
  s.result(l.valid_conv(x, "conv4_2", 4, 1), "reg");
  s.probability(scores);
}

void mtcnn_rnet(Layers& l, Value x) {
  Stage s(l);
  x = s.pool(s.conv(x, "1", 28, 3), "pool1", 3);
  x = s.pool(s.conv(x, "2", 48, 3), "pool2", 3);
  x = s.dense(s.flat(s.conv(x, "3", 64, 2)), "4", 128);
  const Value scores = l.linear(x, "dense5_1", 2);
  s.result(l.linear(x, "dense5_2", 4), "reg");
  s.probability(scores);
}

void mtcnn_onet(Layers& l, Value x) {
  Stage s(l);
  x = s.pool(s.conv(x, "1", 32, 3), "pool1", 3);
  x = s.pool(s.conv(x, "2", 64, 3), "pool2", 3);
  x = s.pool(s.conv(x, "3", 64, 3), "pool3", 2);
  x = s.dense(s.flat(s.conv(x, "4", 128, 2)), "5", 256);
  const Value scores = l.linear(x, "dense6_1", 2);
  s.result(l.linear(x, "dense6_2", 4), "reg");
  s.result(l.linear(x, "dense6_3", 10), "points");
  s.probability(scores);
}

}  // namespace hone::zoo
