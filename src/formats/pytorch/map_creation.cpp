// New tensors, copies and conversions.
#include <cmath>
#include <cstdlib>

#include "formats/pytorch/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/random.hpp"

namespace hone::pytorch {
namespace {

ElementType wanted(NodeContext& n, ElementType otherwise) {
  return n.type("dtype").value_or(n.out_type(0, otherwise));
}
Value shape_argument(NodeContext& n) {
  return n.sizes(n.has("size") ? "size" : "self");
}

template <int value>
Values filled(NodeContext& n) {
  return {n.filled(shape_argument(n), n.scalar_of(wanted(n, ElementType::f32), value))};
}
template <int value>
Values filled_like(NodeContext& n) {
  const Value x = n.in("self");
  return {n.filled(n.shape_of(x), n.scalar_of(wanted(n, x.element_type()), value))};
}
template <int value>
Values new_filled(NodeContext& n) {
  return {n.filled(n.sizes("size"), n.scalar_of(wanted(n, n.in("self").element_type()), value))};
}
Values full(NodeContext& n) {
  return {n.filled(n.sizes("size"), n.number("fill_value", wanted(n, ElementType::f32)))};
}
Values full_like(NodeContext& n) {
  const Value x = n.in("self");
  return {n.filled(n.shape_of(x), n.number("fill_value", wanted(n, x.element_type())))};
}
Values new_full(NodeContext& n) {
  return {n.filled(n.sizes("size"), n.number("fill_value", wanted(n, n.in("self").element_type())))};
}
Values fill(NodeContext& n) {
  const Value x = n.in("self");
  return {n.filled(n.shape_of(x), n.reshape(n.number("value", x.element_type()), {}))};
}
Values zero(NodeContext& n) {
  return filled_like<0>(n);
}
Values scalar_tensor(NodeContext& n) {
  return {n.number("s", wanted(n, ElementType::f32))};
}

constexpr int64_t most_numbers = 1 << 24;  // that reading makes: larger tables belong in weights

Values arange(NodeContext& n) {
  const ElementType t = wanted(n, ElementType::i64);
  const Value begin = n.has("start") ? n.number("start", t) : n.scalar_of(t, 0);
  const Value step = n.has("step") ? n.number("step", t) : n.scalar_of(t, 1);
  return {n(Range{t}, begin, n.number("end", t), step)};
}
Values linspace(NodeContext& n) {
  const ElementType t = wanted(n, ElementType::f32);
  const int64_t steps = n.i("steps");
  const double begin = n.f("start", 0), end = n.f("end", 0);
  if (steps < 0 || steps > most_numbers) n.fail("steps is out of range");
  Tensor v(t, {steps});
  // From both ends, as PyTorch does, so that the last number is exact.
  const double step = steps > 1 ? (end - begin) / static_cast<double>(steps - 1) : 0;
  for (int64_t k = 0; k < steps; ++k) {
    set_element(
        v, static_cast<size_t>(k),
        k < (steps + 1) / 2 ? begin + step * static_cast<double>(k) : end - step * static_cast<double>(steps - 1 - k));
  }
  return {n.b.constant(v)};
}
Values logspace(NodeContext& n) {
  const Value exponents = linspace(n)[0];
  return {n(Power{}, n.like(exponents, n.f("base", 10)), exponents)};
}
Values eye(NodeContext& n) {
  const Value rows = n.size("n"), columns = n.has("m") ? n.size("m") : rows;
  return {n(Eye{wanted(n, ElementType::f32)}, rows, columns, n.int_constant(0))};
}
template <bool lower>
Values triangle_indices(NodeContext& n) {
  const int64_t rows = n.i("row"), columns = n.i("col"), offset = n.i("offset", 0);
  if (rows < 0 || columns < 0 || rows > most_numbers || columns > most_numbers || rows * columns > most_numbers ||
      std::abs(offset) > most_numbers)
    n.refuse("of that size is not offered");
  std::vector<int64_t> r, c;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      if (lower ? j <= i + offset : j >= i + offset) {
        r.push_back(i);
        c.push_back(j);
      }
    }
  }
  const auto count = std::ssize(r);
  r.insert(r.end(), c.begin(), c.end());
  return {n.reshape(n.ints_constant(r), {2, count})};
}

// Copies are values; only the element type may change.
Values copy(NodeContext& n) {
  return {n.cast(n.in("self"), wanted(n, n.in("self").element_type()))};
}
Values converted(NodeContext& n) {
  const Value x = n.in(n.has("self") ? "self" : "a");
  if (n.has("other")) return {n.cast(x, n.in("other").element_type())};
  return {n.cast(x, wanted(n, x.element_type()))};
}
// self takes the content of src, in its own type and shape.
Values copy_into(NodeContext& n) {
  const Value x = n.in("self"), src = n.cast(n.in("src"), x.element_type());
  if (x.shape().is_static() && x.shape() == src.shape()) return {src};
  return {n.broadcast(src, n.shape_of(x))};
}

// Random numbers are those of Hone's generator; a file cannot say which numbers PyTorch would draw.
Value seed(NodeContext& n) {
  return n.b.constant(Tensor::of<uint64_t>({2}, {0, 0}));
}
template <bool normal>
Values random(NodeContext& n) {
  const bool like = n.has("self") && n.is_tensor("self");
  const ElementType t = wanted(n, like ? n.in("self").element_type() : ElementType::f32);
  const Value shape = like ? n.shape_of(n.in("self")) : n.sizes("size"), low = n.scalar_of(t, 0),
              high = n.scalar_of(t, 1);
  if constexpr (normal)
    return {n.all(RandomNormal{t}, {shape, low, high, seed(n)})[0]};
  else
    return {n.all(RandomUniform{t}, {shape, low, high, seed(n)})[0]};
}
Values random_integers(NodeContext& n) {
  const ElementType t = wanted(n, ElementType::i64);
  const Value low = n.has("low") ? n.number("low", t) : n.scalar_of(t, 0);
  return {n.all(RandomUniform{t}, {n.sizes("size"), low, n.number("high", t), seed(n)})[0]};
}

constexpr OperatorRow rows[] = {
    {"_to_copy", converted},
    {"alias", copy},
    {"alias_copy", copy},
    {"arange", arange},
    {"clone", copy},
    {"contiguous", copy},
    {"copy", copy_into},
    {"copy_", copy_into},
    {"detach", copy},
    {"detach_copy", copy},
    {"empty", filled<0>},
    {"empty_like", filled_like<0>},
    {"empty_permuted", filled<0>},
    {"empty_strided", filled<0>},
    {"eye", eye},
    {"fill", fill},
    {"fill_", fill},
    {"full", full},
    {"full_like", full_like},
    {"lift", copy},
    {"lift_fresh", copy},
    {"lift_fresh_copy", copy},
    {"linspace", linspace},
    {"logspace", logspace},
    {"new_empty", new_filled<0>},
    {"new_empty_strided", new_filled<0>},
    {"new_full", new_full},
    {"new_ones", new_filled<1>},
    {"new_zeros", new_filled<0>},
    {"ones", filled<1>},
    {"ones_like", filled_like<1>},
    {"positive", copy},
    {"prims.convert_element_type", converted},
    {"rand", random<false>},
    {"rand_like", random<false>},
    {"randint", random_integers},
    {"randn", random<true>},
    {"randn_like", random<true>},
    {"resolve_conj", copy},
    {"resolve_neg", copy},
    {"scalar_tensor", scalar_tensor},
    {"to", converted},
    {"tril_indices", triangle_indices<true>},
    {"triu_indices", triangle_indices<false>},
    {"type_as", converted},
    {"zero", zero},
    {"zero_", zero},
    {"zeros", filled<0>},
    {"zeros_like", filled_like<0>},
};

}  // namespace

std::span<const OperatorRow> creation_rows() {
  return rows;
}

}  // namespace hone::pytorch
