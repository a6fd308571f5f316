// How kernels share out work and memory.
#pragma once
#include <cstdint>

namespace hone::cpu {

inline int64_t round_up(int64_t n, int64_t m) {
  return (n + m - 1) / m * m;
}
/// Where part number `part` of `parts` parts of `n` begins.
inline int64_t part_begin(int64_t n, int64_t part, int64_t parts) {
  return n * part / parts;
}

/// Cuts a block of memory into aligned pieces; without memory it only counts.
struct Cutter {
  uint8_t* base;
  int64_t used = 0;
  template <class T>
  T* take(int64_t n) {
    T* p = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += round_up(n * int64_t(sizeof(T)), 64);
    return p;
  }
};

}  // namespace hone::cpu
