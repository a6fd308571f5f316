// Loops of the elementwise reference evaluations: dispatch on the element type, broadcasting. Needs tensors only.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "ops/eval.hpp"

namespace hone {

/// Calls `f(T{})` with the C++ type of `type`; throws `Error` through `ctx` where the type has no arithmetic.
template <class F>
void with_float_type(const EvalCtx& ctx, ElementType type, F&& f) {
  switch (type) {
    case ElementType::f64:
      return f(double{});
    case ElementType::f32:
      return f(float{});
    default:
      ctx.fail(std::string("is not defined on ") + name_of(type));
  }
}
template <class F>
void with_integer_type(const EvalCtx& ctx, ElementType type, F&& f) {
  switch (type) {
    case ElementType::i64:
      return f(int64_t{});
    case ElementType::i32:
      return f(int32_t{});
    case ElementType::i16:
      return f(int16_t{});
    case ElementType::i8:
      return f(int8_t{});
    case ElementType::u64:
      return f(uint64_t{});
    case ElementType::u32:
      return f(uint32_t{});
    case ElementType::u16:
      return f(uint16_t{});
    case ElementType::u8:
      return f(uint8_t{});
    default:
      ctx.fail(std::string("is not defined on ") + name_of(type));
  }
}
template <class F>
void with_numeric_type(const EvalCtx& ctx, ElementType type, F&& f) {
  if (is_float(type))
    with_float_type(ctx, type, f);
  else
    with_integer_type(ctx, type, f);
}
template <class F>
void with_any_type(const EvalCtx& ctx, ElementType type, F&& f) {
  if (type == ElementType::boolean) return f(bool{});
  with_numeric_type(ctx, type, f);
}

/// Integer arithmetic wraps around: the product, sum or difference modulo 2^bits, without undefined overflow.
template <class T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;

/// y[i] = f(x[i]) over `n` elements.
template <class T, class R, class F>
void map_elements(const T* x, R* y, size_t n, F&& f) {
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<R>(f(x[i]));
}

/// How an operand of `from` is read while the elements of `to` are visited in order: its stride for each axis of `to`,
/// 0 where it repeats.
std::vector<int64_t> broadcast_strides(const Shape& from, const Shape& to);

/// Walks the rows (last axis) of `shape` and keeps an offset for each of N operands.
template <size_t N, class F>
void for_each_row(const Shape& shape, const std::vector<int64_t> (&strides)[N], F&& row) {
  const size_t rank = shape.size();
  size_t rows = 1;
  for (size_t k = 0; k + 1 < rank; ++k) rows *= static_cast<size_t>(shape[k]);
  std::vector<int64_t> at(rank, 0);
  int64_t offset[N] = {};
  for (size_t r = 0; r < rows; ++r) {
    row(r, offset);
    for (size_t k = rank < 2 ? 0 : rank - 1; k-- > 0;) {
      for (size_t o = 0; o < N; ++o) offset[o] += strides[o][k];
      if (++at[k] < shape[k]) break;
      for (size_t o = 0; o < N; ++o) offset[o] -= strides[o][k] * at[k];
      at[k] = 0;
    }
  }
}

/// y = f(a, b) with both operands broadcast to `shape`.
template <class A, class B, class R, class F>
void map_broadcast(const A* a, const Shape& a_shape, const B* b, const Shape& b_shape, R* y, const Shape& shape,
                   F&& f) {
  size_t n = 1;
  for (int64_t d : shape) n *= static_cast<size_t>(d);
  if (n == 0) return;
  if (a_shape == shape && b_shape == shape) {
    for (size_t i = 0; i < n; ++i) y[i] = static_cast<R>(f(a[i], b[i]));
    return;
  }
  const std::vector<int64_t> strides[2] = {broadcast_strides(a_shape, shape), broadcast_strides(b_shape, shape)};
  const size_t length = shape.empty() ? 1 : static_cast<size_t>(shape.back());
  const size_t sa = shape.empty() ? 0 : static_cast<size_t>(strides[0].back()),
               sb = shape.empty() ? 0 : static_cast<size_t>(strides[1].back());
  for_each_row(shape, strides, [&](size_t r, const int64_t* offset) {
    const A* pa = a + offset[0];
    const B* pb = b + offset[1];
    R* py = y + r * length;
    for (size_t i = 0; i < length; ++i) py[i] = static_cast<R>(f(pa[i * sa], pb[i * sb]));
  });
}

}  // namespace hone
