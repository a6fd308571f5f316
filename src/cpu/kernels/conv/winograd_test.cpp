// The error bounds of Winograd's convolution, as the head of conv/winograd.cpp states them, and what its rows refuse.
// (All shapes, epilogues and thread counts: dense_conv_test.cpp.)
#include "cpu/kernels/kernel_test.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

Node convolution_node(const Convolution& op, Shape x, Shape w, Shape y, double low) {
  Node node(op);
  node.input(Node::desc(f32, x, Layout::channels_last), low, 1);
  TensorDesc& weights = node.input(Node::desc(f32, w), low, 1);
  weights.constant = true;
  weights.value = Tensor(f32, w, node.buffers[1].data);
  node.q.outputs = {Node::desc(f32, y, Layout::channels_last)};
  return node;
}

struct Errors {
  double largest = -1;   ///< relative to the sum of the magnitudes of a window's products; negative: no row ran
  double quadratic = 0;  ///< root of the mean square, relative to that of the results
};

// Errors of the rows of this name.
Errors errors_of(const std::string& name, int64_t channels, int64_t size, double low) {
  constexpr int64_t columns = 24;
  Node node = convolution_node({.pads_begin = {1, 1}, .pads_end = {1, 1}}, {1, channels, size, size},
                               {columns, channels, 3, 3}, {1, columns, size, size}, low);
  node.q.bf16_compute = true;
  const auto* x = reinterpret_cast<const float*>(node.buffers[0].data);
  const auto* w = reinterpret_cast<const float*>(node.buffers[1].data);
  std::vector<double> want, magnitude;
  for (int64_t s = 0; s < size * size; ++s) {
    for (int64_t o = 0; o < columns; ++o) {
      double sum = 0, mag = 0;
      for (int64_t tap = 0; tap < 9; ++tap) {
        const int64_t y = s / size + tap / 3 - 1, z = s % size + tap % 3 - 1;
        if (y < 0 || z < 0 || y >= size || z >= size) continue;
        for (int64_t c = 0; c < channels; ++c) {
          const double p = double(x[(y * size + z) * channels + c]) * double(w[(o * channels + c) * 9 + tap]);
          sum += p;
          mag += std::fabs(p);
        }
      }
      want.push_back(sum);
      magnitude.push_back(mag);
    }
  }
  Errors errors;
  node.each_row([&](const Buffer& out, const std::string& where) {
    if (where.find(name) == std::string::npos) return;
    double squares = 0, all = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double error = std::fabs(read(node.q.outputs[0], out.data, i) - want[i]);
      errors.largest = std::max(errors.largest, error / magnitude[i]);
      squares += error * error;
      all += want[i] * want[i];
    }
    errors.quadratic = std::max(errors.quadratic, std::sqrt(squares / all));
  });
  return errors;
}

TEST(Winograd, errors_stay_below_the_stated_bounds) {
  for (const auto& [channels, size] : {std::pair<int64_t, int64_t>{16, 21}, {64, 14}, {256, 9}}) {
    for (double low : {-1.0, 0.0}) {
      if (skip_case()) continue;
      const double four = errors_of("winograd4x4_f32", channels, size, low).largest,
                   two = errors_of("winograd2x2_f32", channels, size, low).largest;
      EXPECT_GE(two, 0) << "no row ran";
      EXPECT_LT(four, 4e-6) << channels << " channels, inputs from " << low;
      EXPECT_LT(two, 2e-6) << channels << " channels, inputs from " << low;
    }
  }
}

// Direct sums of factors rounded to bf16 lose about 1.7e-3 of results of both signs, and rounding the result
// itself 1.1e-3.
TEST(Winograd, words_lose_about_as_much_as_bf16) {
  if (!features().avx512_vnni) GTEST_SKIP() << "the CPU has no AVX-512 VNNI";
  for (const auto& [channels, size] : {std::pair<int64_t, int64_t>{16, 21}, {61, 14}, {256, 9}, {512, 8}}) {
    for (double low : {-1.0, 0.0}) {
      if (skip_case()) continue;
      const Errors words = errors_of("winograd4x4_int16", channels, size, low);
      EXPECT_GE(words.largest, 0) << "no row ran";
      EXPECT_LT(words.largest, 1.2e-3) << channels << " channels, inputs from " << low;
      EXPECT_LT(words.quadratic, 4.3e-3) << channels << " channels, inputs from " << low;
    }
  }
}

// Against sums of whole numbers: pixels and weights of any sign, the largest included, odd channels and borders. Only
// the last transform rounds, to f32.
TEST(Winograd, sums_of_bytes_are_exact_but_for_the_last_transform) {
  if (!features().avx512_vnni) GTEST_SKIP() << "the CPU has no AVX-512 VNNI";
  for (const auto& [channels, columns, height, width] : {std::tuple<int64_t, int64_t, int64_t, int64_t>{8, 8, 3, 5},
                                                         {33, 70, 9, 10},
                                                         {64, 16, 14, 6},
                                                         {300, 24, 8, 8}}) {
    for (ElementType type : {u8, i8}) {
      if (skip_case()) continue;
      Node node(Convolution{.pads_begin = {1, 1}, .pads_end = {1, 1}});
      TensorDesc x = Node::desc(type, {1, channels, height, width}, Layout::channels_last);
      x.quantization = per_tensor(1, type == u8 ? 255 : -128);  // all pixels on one side of it
      node.input(x, -300, 300);
      TensorDesc loose = Node::desc(i8, {columns, channels, 3, 3});
      loose.quantization = std::make_shared<Quantization>(Quantization{{1.0f}, {}, -1});
      TensorDesc& w = node.input(loose, -128, 127);
      w.constant = true;
      w.value = Tensor(i8, w.shape, node.buffers[1].data);
      node.q.outputs = {Node::desc(f32, {1, columns, height, width}, Layout::channels_last)};
      std::vector<double> want, magnitude;
      for (int64_t s = 0; s < height * width; ++s) {
        for (int64_t o = 0; o < columns; ++o) {
          double sum = 0, mag = 0;
          for (int64_t tap = 0; tap < 9; ++tap) {
            const int64_t y = s / width + tap / 3 - 1, z = s % width + tap % 3 - 1;
            if (y < 0 || z < 0 || y >= height || z >= width) continue;
            for (int64_t c = 0; c < channels; ++c) {
              const double product = node.value(0, size_t((y * width + z) * channels + c)) *
                                     node.value(1, size_t((o * channels + c) * 9 + tap));
              sum += product;
              mag += std::fabs(product);
            }
          }
          want.push_back(sum);
          magnitude.push_back(mag);
        }
      }
      int rows = 0;
      node.each_row([&](const Buffer& out, const std::string& where) {
        if (where.find("winograd4x4_int8") == std::string::npos) return;
        ++rows;
        for (size_t i = 0; i < want.size(); ++i)
          ASSERT_NEAR(read(node.q.outputs[0], out.data, i), want[i], 0.5 + 5e-7 * magnitude[i]) << where << " at " << i;
      });
      EXPECT_GT(rows, 0);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Winograd, refuses_other_windows_and_variable_weights) {
  const auto taken = [](const Node& node) {
    int rows = 0;
    for (const Kernel* row : kernels_for("Convolution")) {
      if (std::string(row->name).find("convolution_winograd") == 0) rows += bool(row->supports(node.q));
    }
    return rows;
  };
  const Convolution padded{.pads_begin = {1, 1}, .pads_end = {1, 1}};
  EXPECT_GT(taken(convolution_node(padded, {1, 16, 8, 8}, {16, 16, 3, 3}, {1, 16, 8, 8}, -1)), 0);
  EXPECT_EQ(taken(convolution_node({}, {1, 16, 8, 8}, {16, 16, 1, 1}, {1, 16, 8, 8}, -1)), 0);
  EXPECT_EQ(taken(convolution_node({.strides = {2, 2}}, {1, 16, 9, 9}, {16, 16, 3, 3}, {1, 16, 4, 4}, -1)), 0);
  EXPECT_EQ(taken(convolution_node({.dilations = {2, 2}}, {1, 16, 8, 8}, {16, 16, 3, 3}, {1, 16, 4, 4}, -1)), 0);
  Node variable = convolution_node(padded, {1, 16, 8, 8}, {16, 16, 3, 3}, {1, 16, 8, 8}, -1);
  variable.q.inputs[1].constant = false;
  EXPECT_EQ(taken(variable), 0);
}

}  // namespace
}  // namespace hone::cpu::test
