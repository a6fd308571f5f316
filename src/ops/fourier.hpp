// The discrete Fourier transform of one line, for spectral.cpp and short_time.cpp.
#pragma once
#include <cmath>
#include <complex>
#include <cstdint>
#include <numbers>
#include <vector>

namespace hone::fourier {

using Complex = std::complex<double>;
inline constexpr int64_t most_points = int64_t{1} << 24;  // of one line: beyond any signal, within memory

// Transforms lines of n points: radix 2 where n is a power of two, else by the definition.
class Transform {
 public:
  Transform(size_t n, bool inverse) : n_(n), inverse_(inverse), twiddle_(n) {
    const double sign = inverse ? 2 : -2;
    for (size_t k = 0; k < n; ++k) {
      const double angle = sign * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
      twiddle_[k] = {std::cos(angle), std::sin(angle)};
    }
  }
  void run(std::vector<Complex>& line) {
    if ((n_ & (n_ - 1)) == 0)
      radix2(line);
    else
      definition(line);
    if (inverse_) {
      for (Complex& v : line) v /= static_cast<double>(n_);
    }
  }

 private:
  void radix2(std::vector<Complex>& v) const {
    for (size_t i = 1, j = 0; i < n_; ++i) {
      size_t bit = n_ >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) std::swap(v[i], v[j]);
    }
    for (size_t length = 2; length <= n_; length *= 2) {
      for (size_t start = 0; start < n_; start += length) {
        for (size_t k = 0; k < length / 2; ++k) {
          const Complex a = v[start + k], b = v[start + k + length / 2] * twiddle_[k * (n_ / length)];
          v[start + k] = a + b;
          v[start + k + length / 2] = a - b;
        }
      }
    }
  }
  void definition(std::vector<Complex>& v) {
    result_.assign(n_, 0);
    for (size_t k = 0; k < n_; ++k) {
      size_t at = 0;
      for (size_t i = 0; i < n_; ++i) {
        result_[k] += v[i] * twiddle_[at];
        at += k;
        if (at >= n_) at -= n_;
      }
    }
    std::swap(v, result_);
  }
  size_t n_;
  bool inverse_;
  std::vector<Complex> twiddle_, result_;
};

}  // namespace hone::fourier
