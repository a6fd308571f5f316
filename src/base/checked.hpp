// Arithmetic that reports overflow, and narrowing that checks.
#pragma once
#include <concepts>
#include <utility>

#include "hone/error.hpp"

namespace hone {

template <std::integral T>
T checked_mul(T a, T b) {
  T r;
  if (__builtin_mul_overflow(a, b, &r)) throw Error(ErrorCode::unsafe, "[size] product overflows 64 bits");
  return r;
}

template <std::integral T>
T checked_add(T a, T b) {
  T r;
  if (__builtin_add_overflow(a, b, &r)) throw Error(ErrorCode::unsafe, "[size] sum overflows 64 bits");
  return r;
}

template <std::integral To, std::integral From>
To narrow(From v) {
  if (!std::in_range<To>(v)) throw Error(ErrorCode::unsafe, "[size] number out of range");
  return static_cast<To>(v);
}

}  // namespace hone
