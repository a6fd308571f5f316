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
  const auto numeric = [&](const char* name) {
    const Argument* a = n.argument(name);
    return !a || a->is_none() || a->kind == Argument::Kind::integer || a->kind == Argument::Kind::real;
  };
  if (is_float(t) && numeric("start") && numeric("end") && numeric("step")) {
    // In f64, so that rounding adds no element.
    const double begin = n.f("start", 0), step = n.f("step", 1), count = std::ceil((n.f("end", 0) - begin) / step);
    if (count >= 0 && count <= static_cast<double>(most_numbers)) {
      Tensor v(t, {static_cast<int64_t>(count)});
      for (size_t k = 0; k < v.size(); ++k) set_element(v, k, begin + step * static_cast<double>(k));
      return {n.b.constant(v)};
    }
  }
  const Value begin = n.has("start") ? n.number("start", t) : n.scalar_of(t, 0);
  const Value step = n.has("step") ? n.number("step", t) : n.scalar_of(t, 1);
  return {n(Range{t}, begin, n.number("end", t), step)};
}
Values linspace(NodeContext& n) {
  const ElementType t = wanted(n, ElementType::f32);
  const int64_t steps = n.i("steps");
  if (steps < 0 || steps > most_numbers) n.fail("steps is out of range");
  const auto given = [&](const char* name) {
    return n.has(name) && !n.is_tensor(name) && n.argument(name)->kind != Argument::Kind::symbol;
  };
  if (!given("start") || !given("end")) {
    // From both ends here too.
    const Value low = n.number("start", ElementType::f64), high = n.number("end", ElementType::f64);
    Tensor first(ElementType::f64, {steps}), second(ElementType::f64, {steps});
    for (int64_t k = 0; k < steps; ++k) {
      const double part = steps > 1 ? static_cast<double>(k) / static_cast<double>(steps - 1) : 0;
      set_element(first, static_cast<size_t>(k), 1 - part);
      set_element(second, static_cast<size_t>(k), part);
    }
    const Value sum = n(Add{}, n(Multiply{}, low, n.b.constant(first)), n(Multiply{}, high, n.b.constant(second)));
    return {n.cast(sum, t)};
  }
  const double begin = n.f("start", 0), end = n.f("end", 0);
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
Value integers_between(NodeContext& n, Value shape, ElementType t) {
  const ElementType whole = ElementType::i64;
  const Value low = n.has("low") ? n.number("low", whole) : n.scalar_of(whole, 0);
  return n.cast(n.all(RandomUniform{whole}, {shape, low, n.number("high", whole), seed(n)})[0], t);
}
Values random_integers(NodeContext& n) {
  return {integers_between(n, n.sizes("size"), wanted(n, ElementType::i64))};
}

Values uniform(NodeContext& n) {
  const Value x = n.in("self");
  const ElementType t = x.element_type();
  return {n.all(RandomUniform{t},
                {n.shape_of(x), n.scalar_of(t, n.f("from", 0)), n.scalar_of(t, n.f("to", 1)), seed(n)})[0]};
}
Values normal_like(NodeContext& n) {
  const Value x = n.in("self");
  const ElementType t = x.element_type();
  return {n.all(RandomNormal{t},
                {n.shape_of(x), n.scalar_of(t, n.f("mean", 0)), n.scalar_of(t, n.f("std", 1)), seed(n)})[0]};
}
// 1 with the probability that x, or p, says.
Values bernoulli(NodeContext& n) {
  const Value x = n.in("self");
  const ElementType t = is_float(x.element_type()) ? x.element_type() : ElementType::f32;
  const Value u = n.all(RandomUniform{t}, {n.shape_of(x), n.scalar_of(t, 0), n.scalar_of(t, 1), seed(n)})[0];
  return {n.cast(n(Less{}, u, n.has("p") ? n.number("p", t) : n.cast(x, t)), x.element_type())};
}
// The order of random numbers.
Values permutation(NodeContext& n) {
  const Value u = n.all(RandomUniform{ElementType::f32}, {n.reshape(n.size("n"), {1}), n.scalar_of(ElementType::f32, 0),
                                                          n.scalar_of(ElementType::f32, 1), seed(n)})[0];
  TopK order;
  order.axis = 0;
  order.mode = TopKMode::min;
  order.index_element_type = ElementType::i64;
  order.stable = true;
  return {n.cast(n.all(order, {u, n.size("n")})[1], wanted(n, ElementType::i64))};
}
Values random_integers_like(NodeContext& n) {
  return {integers_between(n, n.shape_of(n.in("self")), wanted(n, n.in("self").element_type()))};
}

constexpr OperatorRow rows[] = {
    {"_conj", copy},
    {"_to_copy", converted},
    {"alias", copy},
    {"alias_copy", copy},
    {"arange", arange},
    {"bernoulli", bernoulli},
    {"clone", copy},
    {"conj", copy},
    {"conj_physical", copy},
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
    {"normal_", normal_like},
    {"ones", filled<1>},
    {"ones_like", filled_like<1>},
    {"positive", copy},
    {"prims.convert_element_type", converted},
    {"rand", random<false>},
    {"rand_like", random<false>},
    {"randint", random_integers},
    {"randint_like", random_integers_like},
    {"randn", random<true>},
    {"randn_like", random<true>},
    {"randperm", permutation},
    {"real", copy},
    {"resolve_conj", copy},
    {"resolve_neg", copy},
    {"scalar_tensor", scalar_tensor},
    {"to", converted},
    {"tril_indices", triangle_indices<true>},
    {"triu_indices", triangle_indices<false>},
    {"type_as", converted},
    {"uniform", uniform},
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
