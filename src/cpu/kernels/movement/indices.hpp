// What the rows that read and write at indexed places share.
#pragma once
#include <cstdint>
#include <optional>

#include "device/kernel.hpp"

namespace hone::cpu {

/// 0: not 1, 2, 4 or 8.
inline int64_t bytes_of(ElementType t) {
  const int bits = bit_width(t);
  return bits == 8 || bits == 16 || bits == 32 || bits == 64 ? bits / 8 : 0;
}

/// i32 or i64.
struct Indices {
  const void* data;
  bool wide;
  int64_t operator[](int64_t i) const {
    return wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
  }
};
/// The index in [0, size); 0 and a mark for one that lies outside.
inline int64_t inside(int64_t v, int64_t size, bool& bad) {
  v += v >> 63 & size;
  if (uint64_t(v) < uint64_t(size)) return v;
  bad = true;
  return 0;
}

/// Calls `f` with an integer of so many bytes.
template <class F>
void with_unit(int64_t bytes, F f) {
  if (bytes == 1) f(uint8_t());
  if (bytes == 2) f(uint16_t());
  if (bytes == 4) f(uint32_t());
  if (bytes == 8) f(uint64_t());
}

/// The axis in [0, rank): that of an input, or where there is none, `value`; nothing where it lies outside or is not
/// known when kernels are chosen.
inline std::optional<int64_t> axis_of(const TensorDesc* axis, int64_t value, int64_t rank) {
  if (axis && (!axis->constant || !axis->value)) return std::nullopt;
  if (axis) value = get_integer(axis->value, 0);
  if (value < 0) value += rank;
  return value >= 0 && value < rank ? std::optional(value) : std::nullopt;
}

}  // namespace hone::cpu
