// Random operators: the seeds become an explicit state, so a run can be repeated. The numbers are those of Hone's own
// generator.
#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

// Key and counter: from the two seed attributes, or from the seed input of the stateless operators.
Value state(NodeContext& n) {
  if (n.op().starts_with("Stateless") && n.num_inputs() > 1) {
    const Value seed = n.cast(n.vector(n.in(1)), ElementType::u64);
    // Key: both seeds; the counter starts at zero.
    const Value first = n.slice(seed, 0, 0, 1), second = n.slice(seed, 0, 1, 2);
    const Value key = n(BitwiseXor{}, first, n(BitwiseLeftShift{}, second, n.b.scalar<uint64_t>(32)));
    return n.concat({key, n.b.constant(Tensor::of<uint64_t>({1}, {0}))}, 0);
  }
  const uint64_t key = static_cast<uint64_t>(n.i("seed", 0)) ^ static_cast<uint64_t>(n.i("seed2", 0)) << 32;
  return n.b.constant(Tensor::of<uint64_t>({2}, {key, 0}));
}

Value uniform(NodeContext& n, Value shape, ElementType type) {
  return n.all(RandomUniform{type},
               {n.vector(shape), n.cast(n.b.scalar<float>(0), type), n.cast(n.b.scalar<float>(1), type), state(n)})[0];
}
Value normal(NodeContext& n, Value shape, ElementType type) {
  return n.all(RandomNormal{type},
               {n.vector(shape), n.cast(n.b.scalar<float>(0), type), n.cast(n.b.scalar<float>(1), type), state(n)})[0];
}
ElementType wide(ElementType t) {
  return t == ElementType::f64 ? t : ElementType::f32;
}

Items random_uniform(NodeContext& n) {
  const ElementType t = n.type("dtype", ElementType::f32);
  return {n.cast(uniform(n, n.in(0), wide(t)), t)};
}
Items random_normal(NodeContext& n) {
  const ElementType t = n.type("dtype", ElementType::f32);
  return {n.cast(normal(n, n.in(0), wide(t)), t)};
}
// Within two deviations: the 5 % of the draws beyond are reflected at the border, x to sign(x) * (4 - |x|), where
// TensorFlow draws again.
Items truncated_normal(NodeContext& n) {
  const ElementType t = n.type("dtype", ElementType::f32);
  const Value x = normal(n, n.in(0), wide(t)), size = n(Abs{}, x), two = n.like(x, 2);
  const Value folded = n(Multiply{}, n(Sign{}, x), n(Maximum{}, n(Subtract{}, n.like(x, 4), size), n.like(x, 0)));
  return {n.cast(n(Select{}, n(Greater{}, size, two), folded, x), t)};
}
Items random_int(NodeContext& n) {
  const size_t low = n.op().starts_with("Stateless") ? 2 : 1;
  const Value a = n.reshape(n.in(low), {}), b = n.reshape(n.in(low + 1), {});
  return {n.all(RandomUniform{a.element_type()}, {n.vector(n.in(0)), a, b, state(n)})[0]};
}
// Draws from unnormalized logarithms of probabilities [N, C]: the largest of them with Gumbel noise added.
Items multinomial(NodeContext& n) {
  const size_t count_input = 1;
  const Value logits = n.cast(n.in(0), ElementType::f32), count = n.scalar(n.in(count_input));
  const Value shape = n.concat({n.dims(logits, 0, 1), n.reshape(count, {1}), n.dims(logits, 1, 2)}, 0);
  const Value key = n.b.constant(Tensor::of<uint64_t>(
      {2}, {static_cast<uint64_t>(n.i("seed", 0)) ^ static_cast<uint64_t>(n.i("seed2", 0)) << 32, 0}));
  const Value tiny = n.b.scalar<float>(1e-20f);
  const Value u =
      n(Maximum{}, n.all(RandomUniform{ElementType::f32}, {shape, n.b.scalar<float>(0), n.b.scalar<float>(1), key})[0],
        tiny);
  const Value noise = n(Negative{}, n(Log{}, n(Maximum{}, n(Negative{}, n(Log{}, u)), tiny)));
  TopK op;
  op.axis = 2;
  op.index_element_type = n.type("output_dtype", ElementType::i64);
  return {n.squeeze(n.all(op, {n(Add{}, n.unsqueeze(logits, {1}), noise), n.int_constant(1)})[1], {2})};
}
Items shuffle(NodeContext& n) {
  const Value x = n.in(0), u = uniform(n, n.dims(x, 0, 1), ElementType::f32);
  TopK sort;
  sort.axis = 0;
  sort.index_element_type = ElementType::i64;
  return {n.gather(x, n.all(sort, {u, n.dim(x, 0)})[1], 0)};
}

constexpr OperatorRow rows[] = {
    {"Multinomial", multinomial},
    {"RandomShuffle", shuffle},
    {"RandomStandardNormal", random_normal},
    {"RandomUniform", random_uniform},
    {"RandomUniformInt", random_int},
    {"StatelessRandomNormal", random_normal},
    {"StatelessRandomUniform", random_uniform},
    {"StatelessRandomUniformInt", random_int},
    {"StatelessTruncatedNormal", truncated_normal},
    {"TruncatedNormal", truncated_normal},
};

}  // namespace

std::span<const OperatorRow> random_rows() {
  return rows;
}

}  // namespace hone::tensorflow
