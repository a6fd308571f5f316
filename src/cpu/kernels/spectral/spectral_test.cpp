// Spectra against the definition in f64.
#include "ops/spectral.hpp"

#include <numbers>

#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

// Bins 0 to n / 2 of a line.
std::vector<double> spectrum(const std::vector<double>& line) {
  const size_t n = line.size();
  std::vector<double> out;
  for (size_t k = 0; k <= n / 2; ++k) {
    double re = 0, im = 0;
    for (size_t i = 0; i < n; ++i) {
      const double angle = -2 * std::numbers::pi * double(k * i % n) / double(n);
      re += line[i] * std::cos(angle);
      im += line[i] * std::sin(angle);
    }
    out.push_back(re);
    out.push_back(im);
  }
  return out;
}

TEST(Spectral, lines_of_any_length_and_number) {
  for (int64_t n : {1, 2, 3, 4, 7, 8, 12, 30, 49, 97, 128, 400}) {
    for (int64_t count : {1, 7, 8, 17, 40}) {
      for (int64_t length : {n, n + 3, std::max<int64_t>(1, n - 2)}) {
        Node node(RDFT{});
        node.input(Node::desc(f32, {count, 1, length}), -1, 1);
        node.constant(Tensor::of<int64_t>({2}, {-2, -1}));
        node.constant(Tensor::of<int64_t>({2}, {1, n}));
        TensorDesc y;
        y.type = f32;
        y.shape = {count, 1, n / 2 + 1, 2};
        node.q.outputs = {y};
        std::vector<double> expected;
        for (int64_t l = 0; l < count; ++l) {
          std::vector<double> line(static_cast<size_t>(n), 0);
          for (int64_t i = 0; i < std::min(n, length); ++i) line[size_t(i)] = node.value(0, size_t(l * length + i));
          const auto s = spectrum(line);
          expected.insert(expected.end(), s.begin(), s.end());
        }
        EXPECT_GE(node.expect(expected, 1e-6, std::sqrt(double(n))), 1);
      }
    }
  }
}

TEST(Spectral, windows_slide_over_signals) {
  for (bool bins_first : {false, true}) {
    for (int64_t size : {16, 25, 60}) {
      const int64_t step = 5, length = 133, batch = 2, window = size - 3, frames = (length - size) / step + 1,
                    bins = size / 2 + 1;
      Node node(STFT{bins_first});
      node.input(Node::desc(f32, {batch, length}), -1, 1);
      node.input(Node::desc(f32, {window}), -1, 1);
      node.constant(Tensor::scalar<int64_t>(size));
      node.constant(Tensor::scalar<int64_t>(step));
      TensorDesc y;
      y.type = f32;
      y.shape = bins_first ? Shape{batch, bins, frames, 2} : Shape{batch, frames, bins, 2};
      node.q.outputs = {y};
      std::vector<double> expected(size_t(batch * frames * bins * 2));
      for (int64_t b = 0; b < batch; ++b) {
        for (int64_t f = 0; f < frames; ++f) {
          std::vector<double> line(static_cast<size_t>(size), 0);
          for (int64_t i = 0; i < window; ++i) {
            const int64_t at = (size - window) / 2 + i;
            line[size_t(at)] = node.value(0, size_t(b * length + f * step + at)) * node.value(1, size_t(i));
          }
          const auto s = spectrum(line);
          for (int64_t k = 0; k < bins; ++k) {
            const int64_t at = b * frames * bins + (bins_first ? k * frames + f : f * bins + k);
            expected[size_t(2 * at)] = s[size_t(2 * k)];
            expected[size_t(2 * at + 1)] = s[size_t(2 * k + 1)];
          }
        }
      }
      EXPECT_GE(node.expect(expected, 1e-6, std::sqrt(double(size))), 1);
    }
  }
}

TEST(Spectral, other_axes_are_left_to_the_reference) {
  Node node(RDFT{});
  node.input(Node::desc(f32, {4, 8}), -1, 1);
  node.constant(Tensor::of<int64_t>({1}, {0}));
  TensorDesc y;
  y.type = f32;
  y.shape = {3, 8, 2};
  node.q.outputs = {y};
  for (const Kernel* row : kernels_for("RDFT")) {
    if (std::string(row->provider) == "hone") {
      EXPECT_FALSE(row->supports(node.q)) << row->name;
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
