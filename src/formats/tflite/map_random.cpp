// Random numbers. The state of the generator is kept from run to run; its key comes from the seeds of the operator.
#include "formats/tflite/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/random.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

// The state of a generator of its own for this operator, and the name under which it is kept.
struct Generator {
  std::string name;
  Value state;
};
Generator generator(NodeContext& n) {
  if (n.in_region) n.refuse("random numbers inside of a loop or a branch");
  const auto seed = n.op().options.get<int64_t>(0), seed2 = n.op().options.get<int64_t>(1);
  Generator g;
  g.name = n.importer().fresh_state("random");
  Variable v;
  v.value =
      Tensor::of<uint64_t>({2}, {static_cast<uint64_t>(seed) * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(seed2), 0});
  v.variable_id = g.name;
  v.trainable = false;
  g.state = n(v);
  return g;
}
Value take(NodeContext& n, const Generator& g, const Values& out) {
  n.importer().assign(g.name, out[1]);
  return out[0];
}

Values random_uniform(NodeContext& n) {
  const Generator g = generator(n);
  return {take(n, g,
               n.all(RandomUniform{ElementType::f32},
                     {n.index_vector(0), n.b.scalar<float>(0), n.b.scalar<float>(1), g.state}))};
}
Values random_normal(NodeContext& n) {
  const Generator g = generator(n);
  return {take(
      n, g,
      n.all(RandomNormal{ElementType::f32}, {n.index_vector(0), n.b.scalar<float>(0), n.b.scalar<float>(1), g.state}))};
}

// Draws from logits [N, C]: the largest of logit - log(-log(u)) is a draw (Gumbel).
Values multinomial(NodeContext& n) {
  const Generator g = generator(n);
  const Value logits = n.cast(n.in(0), ElementType::f32), samples = n.reshape(n.cast(n.any(1), ElementType::i64), {1});
  const Value shape = n.concat({n.dims(logits, 0, 1), samples, n.dims(logits, 1, 2)}, 0);
  const Value u = take(
      n, g, n.all(RandomUniform{ElementType::f32}, {shape, n.b.scalar<float>(1e-20f), n.b.scalar<float>(1), g.state}));
  const Value noise = n(Negative{}, n(Log{}, n(Negative{}, n(Log{}, u))));
  TopK op;
  op.axis = 2;
  op.stable = true;
  op.index_element_type = ElementType::i64;
  const Values best = n.all(op, {n(Add{}, n.unsqueeze(logits, {1}), noise), n.int_constant(1)});
  return {n.squeeze(best[1], {2})};
}

constexpr OperatorRow rows[] = {
    {146, "RANDOM_STANDARD_NORMAL", random_normal},
    {148, "RANDOM_UNIFORM", random_uniform},
    {149, "MULTINOMIAL", multinomial},
};

}  // namespace

std::span<const OperatorRow> random_rows() {
  return rows;
}

}  // namespace hone::tflite
