// FarmHash's Fingerprint64 (Pike, 2014): published constants and mixing steps.
#include <bit>
#include <cstring>
#include <utility>

#include "ops/text.hpp"

namespace hone {
namespace {

constexpr uint64_t k0 = 0xc3a5c85c97cb3127, k1 = 0xb492b66fbe98f273, k2 = 0x9ae16a3b2f90404f;

struct Two {
  uint64_t first = 0, second = 0;
};

template <class T>
uint64_t word(const char* p) {
  static_assert(std::endian::native == std::endian::little);
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
uint64_t word64(const char* p) {
  return word<uint64_t>(p);
}
uint64_t fold(uint64_t v) {
  return v ^ v >> 47;
}
uint64_t rotated(uint64_t v, int by) {
  return std::rotr(v, by);
}
uint64_t mixed(uint64_t u, uint64_t v, uint64_t factor) {
  return fold((v ^ fold((u ^ v) * factor)) * factor) * factor;
}

uint64_t of_16(const char* s, size_t n) {
  const uint64_t factor = k2 + n * 2;
  if (n >= 8) {
    const uint64_t a = word64(s) + k2, b = word64(s + n - 8);
    return mixed(rotated(b, 37) * factor + a, (rotated(a, 25) + b) * factor, factor);
  }
  if (n >= 4) return mixed(n + (word<uint32_t>(s) << 3), word<uint32_t>(s + n - 4), factor);
  if (n == 0) return k2;
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(s[i])); };
  const uint32_t y = at(0) + (at(n >> 1) << 8), z = static_cast<uint32_t>(n) + (at(n - 1) << 2);
  return fold(y * k2 ^ z * k0) * k2;
}

// The two sums that lengths up to 64 share: of the first and the last 16 bytes.
struct Ends {
  uint64_t a, outer, inner;
};
Ends ends_of(const char* s, size_t n, uint64_t first, uint64_t factor) {
  const uint64_t a = word64(s) * first, b = word64(s + 8), c = word64(s + n - 8) * factor, d = word64(s + n - 16) * k2;
  return {a, rotated(a + b, 43) + rotated(c, 30) + d, a + rotated(b + k2, 18) + c};
}

uint64_t of_32(const char* s, size_t n) {
  const uint64_t factor = k2 + n * 2;
  const Ends e = ends_of(s, n, k1, factor);
  return mixed(e.outer, e.inner, factor);
}

uint64_t of_64(const char* s, size_t n) {
  const uint64_t factor = k2 + n * 2;
  const Ends ends = ends_of(s, n, k2, factor);
  const uint64_t z = mixed(ends.outer, ends.inner, factor);
  const uint64_t e = word64(s + 16) * factor, f = word64(s + 24);
  const uint64_t g = (ends.outer + word64(s + n - 32)) * factor, h = (z + word64(s + n - 24)) * factor;
  return mixed(rotated(e + f, 43) + rotated(g, 30) + h, e + rotated(f + ends.a, 18) + g, factor);
}

// 32 bytes into two words, from two seeds.
Two absorbed(const char* s, uint64_t a, uint64_t b) {
  const uint64_t last = word64(s + 24);
  a += word64(s);
  b = rotated(b + a + last, 21);
  const uint64_t c = a;
  a += word64(s + 8) + word64(s + 16);
  return {a + last, b + rotated(a, 44) + c};
}

struct State {
  uint64_t x, y, z;
  Two v, w;
  // 64 bytes; the last ones are weighed otherwise (`weight` 9 instead of 1).
  void block(const char* s, uint64_t factor, uint64_t weight) {
    x = rotated(x + y + v.first + word64(s + 8), 37) * factor;
    y = rotated(y + v.second + word64(s + 48), 42) * factor;
    x ^= w.second * weight;
    y += v.first * weight + word64(s + 40);
    z = rotated(z + w.first, 33) * factor;
    v = absorbed(s, v.second * factor, x + w.first);
    w = absorbed(s + 32, z + w.second, y + word64(s + 16));
    std::swap(z, x);
  }
};

}  // namespace

uint64_t fingerprint64(std::string_view bytes) {
  const char* s = bytes.data();
  const size_t n = bytes.size();
  if (n <= 16) return of_16(s, n);
  if (n <= 32) return of_32(s, n);
  if (n <= 64) return of_64(s, n);
  constexpr uint64_t seed = 81;
  State t{seed * k2 + word64(s), seed * k1 + 113, 0, {}, {}};
  t.z = fold(t.y * k2 + 113) * k2;
  const char* const end = s + (n - 1) / 64 * 64;
  for (const char* p = s; p != end; p += 64) t.block(p, k1, 1);
  const uint64_t factor = k1 + ((t.z & 0xff) << 1);
  t.w.first += (n - 1) & 63;
  t.v.first += t.w.first;
  t.w.first += t.v.first;
  t.block(s + n - 64, factor, 9);
  return mixed(mixed(t.v.first, t.w.first, factor) + fold(t.y) * k0 + t.z, mixed(t.v.second, t.w.second, factor) + t.x,
               factor);
}

}  // namespace hone
