// Random operators: the seed becomes an explicit state, so a run can be repeated.
#include <bit>

#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/random.hpp"

namespace hone::onnx {
namespace {

Value state(NodeContext& n) {
  const auto seed = std::bit_cast<uint32_t>(static_cast<float>(n.f("seed", 0)));
  return n.b.constant(Tensor::of<uint64_t>({2}, {uint64_t{seed}, 0}));
}
ElementType type_of(NodeContext& n, ElementType otherwise) {
  return n.i("dtype", 0) ? element_type_of_onnx(n.i("dtype")) : otherwise;
}

Value uniform(NodeContext& n, Value shape, ElementType type, double low, double high) {
  const ElementType wide = type == ElementType::f64 ? ElementType::f64 : ElementType::f32;
  const Value a = n.cast(n.b.scalar<double>(low), wide), b = n.cast(n.b.scalar<double>(high), wide);
  return n.cast(n.all(RandomUniform{wide}, {shape, a, b, state(n)})[0], type);
}
Value normal(NodeContext& n, Value shape, ElementType type) {
  const ElementType wide = type == ElementType::f64 ? ElementType::f64 : ElementType::f32;
  const Value mean = n.cast(n.b.scalar<double>(n.f("mean", 0)), wide),
              deviation = n.cast(n.b.scalar<double>(n.f("scale", 1)), wide);
  return n.cast(n.all(RandomNormal{wide}, {shape, mean, deviation, state(n)})[0], type);
}

Values random_uniform(NodeContext& n) {
  return {uniform(n, n.ints_constant(n.ints("shape")), type_of(n, ElementType::f32), n.f("low", 0), n.f("high", 1))};
}
Values random_uniform_like(NodeContext& n) {
  return {uniform(n, n.shape_of(n.in(0)), type_of(n, n.in(0).element_type()), n.f("low", 0), n.f("high", 1))};
}
Values random_normal(NodeContext& n) {
  return {normal(n, n.ints_constant(n.ints("shape")), type_of(n, ElementType::f32))};
}
Values random_normal_like(NodeContext& n) {
  return {normal(n, n.shape_of(n.in(0)), type_of(n, n.in(0).element_type()))};
}
// 1 with the probability that the input gives.
Values bernoulli(NodeContext& n) {
  const Value p = n.cast(n.in(0), ElementType::f32);
  return {n.cast(n(Less{}, uniform(n, n.shape_of(p), ElementType::f32, 0, 1), p), type_of(n, n.in(0).element_type()))};
}

constexpr OperatorRow rows[] = {
    {"Bernoulli", 15, bernoulli},
    {"RandomNormal", 1, random_normal},
    {"RandomNormalLike", 1, random_normal_like},
    {"RandomUniform", 1, random_uniform},
    {"RandomUniformLike", 1, random_uniform_like},
};

}  // namespace

std::span<const OperatorRow> random_rows() {
  return rows;
}

}  // namespace hone::onnx
