// Random operators as ONNX nodes. ONNX leaves the generator open, so other runtimes draw other numbers.
#include <bit>
#include <cmath>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"
#include "ops/random.hpp"

namespace hone::onnx {
namespace {

// The seed whose bits are the key of the state, as the reader takes it; keys that no number has give another seed.
float seed_of(EmitContext& e) {
  if (e.used(1)) e.refuse("with its new state in use has no counterpart in ONNX");
  const Tensor state = e.must_know(3, "the state");
  const auto key = static_cast<uint64_t>(get_integer(state, 0));
  const auto seed = std::bit_cast<float>(static_cast<uint32_t>(key));
  if (key >> 32 == 0 && get_integer(state, 1) == 0 && std::isfinite(seed)) return seed;
  return static_cast<float>((key ^ static_cast<uint64_t>(get_integer(state, 1))) % 16777213 + 1);
}

// Numbers of a shape, of the standard distribution moved by the inputs 1 and 2: `a` and `b` are their attributes where
// they are known, else `range` says whether the second is the end of a range.
void drawn(EmitContext& e, ElementType type, const char* op, const char* a, const char* b, bool range) {
  const bool whole = !is_float(type);
  const ElementType kind = type == ElementType::f64 || whole ? ElementType::f64
                           : type == ElementType::f16        ? ElementType::f16
                                                             : ElementType::f32;
  AttributeList attributes;
  attributes.i("dtype", onnx_data_type(kind));
  if (const float seed = seed_of(e); seed != 0) attributes.f("seed", seed);
  const Tensor first = e.known(1), second = e.known(2);
  const bool known = !whole && first && second && first.size() == 1 && second.size() == 1;
  if (known) attributes.f(a, get_element(first, 0)).f(b, get_element(second, 0));
  std::string y;
  if (const Tensor shape = e.known(0)) {
    y = e.op(op, {}, attributes.ints("shape", shape.to_ints()));
  } else {
    const auto blank = e.op("ConstantOfShape", {e.cast(e.in(0), ElementType::i64)});
    y = e.op((std::string(op) + "Like").c_str(), {blank}, attributes);
  }
  if (!known) {
    const auto low = e.cast(e.in(1), kind), other = e.cast(e.in(2), kind);
    y = e.op("Mul", {y, range ? e.op("Sub", {other, low}) : other});
    if (whole) y = e.op("Floor", {y});
    y = e.op("Add", {y, low});
  }
  e.result_to(0, "Cast", {y}, AttributeList().i("to", onnx_data_type(type)));
}

void random_uniform(EmitContext& e) {
  drawn(e, e.as<RandomUniform>().output_type, "RandomUniform", "low", "high", true);
}
void random_normal(EmitContext& e) {
  drawn(e, e.as<RandomNormal>().output_type, "RandomNormal", "mean", "scale", false);
}

constexpr EmitRow rows[] = {
    {"RandomNormal", random_normal},
    {"RandomUniform", random_uniform},
};

}  // namespace

std::span<const EmitRow> emit_random_rows() {
  return rows;
}

}  // namespace hone::onnx
