// Random numbers that are the same on every platform and depend on nothing but their key: no state is shared between
// threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace hone::data {

/// Mixes a 64-bit number (the finalizer of SplitMix64, Steele, Lea, Flood 2014).
constexpr uint64_t mix_bits(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// A stream of random numbers for a key such as {seed, epoch, sample}: SplitMix64 started at the mixed key.
class Random {
 public:
  explicit Random(std::initializer_list<uint64_t> key) {
    for (uint64_t k : key) state_ = mix_bits(state_ ^ mix_bits(k));
  }
  uint64_t bits() {
    const uint64_t r = mix_bits(state_);
    state_ += 0x9e3779b97f4a7c15u;
    return r;
  }
  /// Uniform in [0, 1) with 53 bits.
  double uniform() { return double(bits() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in [0, n), n >= 1 (multiply-shift; the bias of n / 2^64 is of no consequence here).
  uint64_t below(uint64_t n) { return uint64_t((static_cast<unsigned __int128>(bits()) * n) >> 64); }
  bool chance(double p) { return uniform() < p; }
  double normal();
  /// Gamma(shape, 1), shape > 0. Source: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
  double gamma(double shape);
  /// Beta(a, b).
  double beta(double a, double b);

  template <class T>
  void shuffle(std::vector<T>& v) {
    for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[below(i)]);
  }

 private:
  uint64_t state_ = 0;
};

}  // namespace hone::data
