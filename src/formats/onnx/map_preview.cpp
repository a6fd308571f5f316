// The domains ai.onnx.preview and ai.onnx.preview.training, and the arithmetic of ai.onnx.ml.
#include <cmath>

#include "formats/onnx/mapping.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

// Attention whose scores and probabilities pass through subgraphs of the model's own.
Values flex_attention(NodeContext& n) {
  const Value q = n.in(0);
  Value k = n.in(1), v = n.in(2);
  if (n.rank(q) != 4 || q.shape()[1].is_dynamic() || n.rank(k) != 4 || k.shape()[1].is_dynamic())
    n.refuse("needs to know the number of heads");
  const int64_t heads = q.shape()[1].get_length(), kv_heads = k.shape()[1].get_length();
  if (kv_heads < 1 || heads % kv_heads != 0) n.fail("the number of query heads is no multiple of that of the keys");
  auto repeated = [&](Value x) {
    const Value s = n.shape_of(x),
                wide = n(Tile{}, n.unsqueeze(x, {2}), n.ints_constant({1, 1, heads / kv_heads, 1, 1}));
    return n(Reshape{}, wide, n.concat({n.slice(s, 0, 0, 1), n.ints_constant({heads}), n.slice(s, 0, 2, 4)}, 0));
  };
  if (heads != kv_heads) {
    k = repeated(k);
    v = repeated(v);
  }
  const Value size = n.cast(n.gather(n.shape_of(q), n.int_constant(3), 0), q.element_type());
  const Value scale =
                  n.has_attribute("scale") ? n.like(q, n.f("scale", 1)) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size)),
              root = n(Sqrt{}, scale);
  ElementType wide = q.element_type() == ElementType::f64 ? ElementType::f64 : ElementType::f32;
  if (n.i("softmax_precision", 0)) wide = element_type_of_onnx(n.i("softmax_precision"));
  auto modified = [&](const char* name, Value x) {
    if (!n.has_attribute(name)) return x;
    const Subgraph s = n.subgraph(name, {x.type()});
    Values in{x};
    in.insert(in.end(), s.captured.begin(), s.captured.end());
    const Values out = inline_graph(n.b, *s.graph, in);
    if (out.size() != 1) n.fail(std::string(name) + " has " + std::to_string(out.size()) + " results instead of one");
    return n.cast(out[0], wide);
  };
  const Value scores = n.cast(n(MatMul{false, true}, n(Multiply{}, q, root), n(Multiply{}, k, root)), wide);
  const Value weights = modified("prob_mod", n(Softmax{-1}, modified("score_mod", scores)));
  return {n.cast(n(MatMul{}, weights, n.cast(v, wide)), v.element_type())};
}

// Optimizers. Inputs: rate R, step T, then `count` each of parameters, gradients and states.
struct Step {
  Value rate, step;
  size_t count;
};
Step step_of(NodeContext& n, size_t groups) {
  if (n.num_inputs() < 2 || (n.num_inputs() - 2) % groups != 0) n.fail("has a wrong number of inputs");
  return {n.in(0), n.cast(n.in(1), ElementType::f32), (n.num_inputs() - 2) / groups};
}
Value scaled(NodeContext& n, Value x, double by) {
  return n(Multiply{}, x, n.like(x, by));
}

Values adagrad(NodeContext& n) {
  const Step s = step_of(n, 3);
  const Value one = n.b.scalar<float>(1);
  const Value rate =
      n(Divide{}, s.rate,
        n(Add{}, one, n(Multiply{}, s.step, n.b.scalar<float>(static_cast<float>(n.f("decay_factor", 0))))));
  Values x_new, h_new;
  for (size_t k = 0; k < s.count; ++k) {
    const Value x = n.in(2 + k), h = n.in(2 + 2 * s.count + k);
    const Value g = n(Add{}, scaled(n, x, n.f("norm_coefficient", 0)), n.in(2 + s.count + k));
    const Value sum = n(Add{}, h, n(Multiply{}, g, g)),
                adaptive = n(Add{}, n(Sqrt{}, sum), n.like(sum, n.f("epsilon", 0)));
    x_new.push_back(n(Subtract{}, x, n(Divide{}, n(Multiply{}, rate, g), adaptive)));
    h_new.push_back(sum);
  }
  x_new.insert(x_new.end(), h_new.begin(), h_new.end());
  return x_new;
}

Values adam(NodeContext& n) {
  const Step s = step_of(n, 4);
  const double alpha = n.f("alpha", 0.9), beta = n.f("beta", 0.999);
  const Value one = n.b.scalar<float>(1), first = n.b.scalar<float>(0);
  auto decay = [&](double base) {
    return n(Subtract{}, one, n(Power{}, n.b.scalar<float>(static_cast<float>(base)), s.step));
  };
  const Value corrected = n(Divide{}, n(Multiply{}, s.rate, n(Sqrt{}, decay(beta))), decay(alpha));
  const Value rate = n(Select{}, n(Greater{}, s.step, first), corrected, s.rate);
  Values x_new, v_new, h_new;
  for (size_t k = 0; k < s.count; ++k) {
    const Value x = n.in(2 + k), v = n.in(2 + 2 * s.count + k), h = n.in(2 + 3 * s.count + k);
    const Value g = n(Add{}, scaled(n, x, n.f("norm_coefficient", 0)), n.in(2 + s.count + k));
    const Value momentum = n(Add{}, scaled(n, v, alpha), scaled(n, g, 1 - alpha));
    const Value square = n(Add{}, scaled(n, h, beta), scaled(n, n(Multiply{}, g, g), 1 - beta));
    const Value moved = n(
        Subtract{}, x,
        n(Divide{}, n(Multiply{}, rate, momentum), n(Add{}, n(Sqrt{}, square), n.like(square, n.f("epsilon", 1e-6)))));
    x_new.push_back(scaled(n, moved, 1 - n.f("norm_coefficient_post", 0)));
    v_new.push_back(momentum);
    h_new.push_back(square);
  }
  x_new.insert(x_new.end(), v_new.begin(), v_new.end());
  x_new.insert(x_new.end(), h_new.begin(), h_new.end());
  return x_new;
}

Values momentum(NodeContext& n) {
  const Step s = step_of(n, 3);
  const double alpha = n.f("alpha", 0.9), beta = n.f("beta", 1);
  const bool nesterov = n.s("mode", "standard") == "nesterov";
  // The gradient counts fully in the first step.
  const Value share = n(Select{}, n(Greater{}, s.step, n.b.scalar<float>(0)),
                        n.b.scalar<float>(static_cast<float>(beta)), n.b.scalar<float>(1));
  Values x_new, v_new;
  for (size_t k = 0; k < s.count; ++k) {
    const Value x = n.in(2 + k), v = n.in(2 + 2 * s.count + k);
    const Value g = n(Add{}, scaled(n, x, n.f("norm_coefficient", 0)), n.in(2 + s.count + k));
    const Value speed = n(Add{}, scaled(n, v, alpha), n(Multiply{}, g, share));
    const Value direction = nesterov ? n(Add{}, g, scaled(n, speed, alpha)) : speed;
    x_new.push_back(n(Subtract{}, x, n(Multiply{}, s.rate, direction)));
    v_new.push_back(speed);
  }
  x_new.insert(x_new.end(), v_new.begin(), v_new.end());
  return x_new;
}

Values binarizer(NodeContext& n) {
  return {n.cast(n(Greater{}, n.in(0), n.like(n.in(0), n.f("threshold", 0))), n.in(0).element_type())};
}
// Columns by number; a vector of data counts as one row.
Values array_feature_extractor(NodeContext& n) {
  Value x = n.in(0);
  if (n.rank(x) == 1) x = n.unsqueeze(x, {0});
  return {n.gather(x, n.reshape(n.in(1), {-1}), static_cast<int64_t>(n.rank(x)) - 1)};
}
Values scaler(NodeContext& n) {
  auto vector = [&](const char* name) {
    const auto v = n.floats(name);
    return n.b.constant(Tensor::of<float>({std::ssize(v)}, std::span<const float>(v)));
  };
  Value y = n.cast(n.in(0), ElementType::f32);
  if (n.has_attribute("offset")) y = n(Subtract{}, y, vector("offset"));
  if (n.has_attribute("scale")) y = n(Multiply{}, y, vector("scale"));
  return {y};
}
Values normalizer(NodeContext& n) {
  const Value x = n.cast(n.in(0), ElementType::f32), last = n.ints_constant({-1});
  const std::string norm = n.s("norm", "MAX");
  Value by;
  if (norm == "MAX")
    by = n(ReduceMax{true}, x, last);
  else if (norm == "L1")
    by = n(ReduceL1{true}, x, last);
  else if (norm == "L2")
    by = n(ReduceL2{true}, x, last);
  else
    n.fail("unknown norm '" + norm + "'");
  return {n(Divide{}, x, n(Select{}, n(Equal{}, by, n.like(by, 0)), n.like(by, 1), by))};
}

constexpr OperatorRow preview[] = {{"FlexAttention", 1, flex_attention}};
constexpr OperatorRow training[] = {{"Adagrad", 1, adagrad}, {"Adam", 1, adam}, {"Momentum", 1, momentum}};
constexpr OperatorRow features[] = {
    {"ArrayFeatureExtractor", 1, array_feature_extractor},
    {"Binarizer", 1, binarizer},
    {"Normalizer", 1, normalizer},
    {"Scaler", 1, scaler},
};

}  // namespace

std::span<const OperatorRow> preview_rows() {
  return preview;
}
std::span<const OperatorRow> training_rows() {
  return training;
}
std::span<const OperatorRow> feature_rows() {
  return features;
}

}  // namespace hone::onnx
