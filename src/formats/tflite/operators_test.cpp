// Operators of TFLite on small numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "formats/tflite/file_maker_test.hpp"
#include "formats/tflite/mapping.hpp"

namespace hone {
namespace {

// Operators on small constants: float inputs (as graph inputs), integer inputs (as constants), options, the expected
// numbers.
struct Case {
  int32_t code;
  std::vector<std::pair<std::vector<int32_t>, std::vector<float>>> data;
  std::vector<std::pair<std::vector<int32_t>, std::vector<int32_t>>> numbers;
  Options options;
  TensorType type;
  std::vector<double> expected;
  std::vector<int32_t> order = {};  ///< of the inputs; empty: data, then numbers
};

TEST(TfliteOperators, operators_give_the_values_of_their_specification) {
  using V = std::vector<float>;
  const auto f = TensorType::f32;
  const std::vector<Case> cases = {
      // clang-format off
      {0, {{{2}, {1, -5}}, {{2}, {2, 3}}}, {}, {{0, int8_t{1}}}, f, {3, 0}},                       // ADD with RELU
      {41, {{{2}, {1, 9}}, {{1}, {2}}}, {}, {{0, int8_t{3}}}, f, {0, 6}},                          // SUB with RELU6
      {18, {{{2}, {1, -9}}, {{1}, {2}}}, {}, {{0, int8_t{2}}}, f, {1, -1}},                        // MUL with RELU_N1_TO_1
      {42, {{{2}, {1, 9}}, {{1}, {2}}}, {}, {}, f, {0.5, 4.5}},                                    // DIV
      {90, {{{2}, {-7, 7}}, {{1}, {2}}}, {}, {}, f, {-4, 3}},                                      // FLOOR_DIV
      {95, {{{2}, {-7, 7}}, {{1}, {3}}}, {}, {}, f, {2, 1}},                                       // FLOOR_MOD
      {55, {{{2}, {1, 5}}, {{1}, {3}}}, {}, {}, f, {3, 5}},                                        // MAXIMUM
      {57, {{{2}, {1, 5}}, {{1}, {3}}}, {}, {}, f, {1, 3}},                                        // MINIMUM
      {78, {{{2}, {2, 3}}, {{1}, {3}}}, {}, {}, f, {8, 27}},                                       // POW
      {99, {{{2}, {2, 3}}, {{1}, {5}}}, {}, {}, f, {9, 4}},                                        // SQUARED_DIFFERENCE
      {61, {{{2}, {2, 7}}, {{1}, {5}}}, {}, {}, TensorType::boolean, {0, 1}},                      // GREATER
      {106, {{{2}, {2, 3}}, {{2}, {5, 1}}, {{2}, {1, 1}}}, {}, {}, f, {8, 5}},                     // ADD_N
      {8, {{{2}, {-1.5, 1.5}}}, {}, {}, f, {-2, 1}},                                               // FLOOR
      {116, {{{3}, {0.5, 1.5, -2.5}}}, {}, {}, f, {0, 2, -2}},                                     // ROUND
      {76, {{{2}, {4, 0.25}}}, {}, {}, f, {0.5, 2}},                                               // RSQRT
      {92, {{{2}, {-3, 2}}}, {}, {}, f, {9, 4}},                                                   // SQUARE
      {98, {{{2}, {-4, 2}}}, {}, {{0, 0.25f}}, f, {-1, 2}},                                        // LEAKY_RELU
      {21, {{{3}, {-4, 2, 9}}}, {}, {}, f, {0, 2, 6}},                                             // RELU6
      {117, {{{3}, {-4, 3, 1.5}}}, {}, {}, f, {0, 3, 1.125}},                                      // HARD_SWISH
      {25, {{{1, 2}, {0, std::log(3.0f)}}}, {}, {{0, 1.0f}}, f, {0.25, 0.75}},                     // SOFTMAX
      {11, {{{1, 2}, {3, 4}}}, {}, {}, f, {0.6, 0.8}},                                             // L2_NORMALIZATION
      {54, {{{1, 1, 2, 2}, {-1, -1, 2, 2}}, {{1, 1, 2}, {0.5, 3}}}, {}, {}, f, {-0.5, -3, 2, 2}},  // PRELU
      {40, {{{2, 2}, {1, 2, 3, 6}}}, {{{1}, {0}}}, {{0, false}}, f, {2, 4}},                       // MEAN
      {74, {{{2, 2}, {1, 2, 3, 6}}}, {{{1}, {-1}}}, {{0, true}}, f, {3, 9}},                       // SUM
      {56, {{{2, 3}, {1, 9, 9, 7, 2, 1}}}, {{{}, {1}}}, {}, TensorType::i32, {1, 0}},              // ARG_MAX: the first
      {79, {{{2, 3}, {1, 9, 1, 7, 2, 1}}}, {{{}, {1}}}, {}, TensorType::i32, {0, 2}},              // ARG_MIN
      {128, {{{3}, {1, 2, 3}}}, {{{}, {0}}}, {{0, true}, {1, true}}, f, {5, 3, 0}},                // CUMSUM
      {22, {{{2, 2}, {1, 2, 3, 4}}}, {{{1}, {-1}}}, {}, f, {1, 2, 3, 4}},                          // RESHAPE
      {39, {{{2, 2}, {1, 2, 3, 4}}}, {{{2}, {1, 0}}}, {}, f, {1, 3, 2, 4}},                        // TRANSPOSE
      {2, {{{1, 2}, {1, 2}}, {{1, 1}, {5}}}, {}, {{0, -1}}, f, {1, 2, 5}},                         // CONCATENATION
      {83, {{{2}, {1, 2}}, {{2}, {3, 4}}}, {}, {{0, 2}, {1, 1}}, f, {1, 3, 2, 4}},                 // PACK
      {34, {{{2}, {1, 2}}}, {{{1, 2}, {1, 2}}}, {}, f, {0, 1, 2, 0, 0}},                           // PAD
      {100, {{{3}, {1, 2, 3}}}, {{{1, 2}, {2, 1}}}, {{0, int8_t{0}}}, f, {3, 2, 1, 2, 3, 2}},      // MIRROR_PAD reflect
      {100, {{{2}, {1, 2}}}, {{{1, 2}, {1, 1}}}, {{0, int8_t{1}}}, f, {1, 1, 2, 2}},               // MIRROR_PAD symmetric
      {45, {{{4}, {1, 2, 3, 4}}}, {{{1}, {-1}}, {{1}, {0}}, {{1}, {-2}}}, {{1, 1}}, f, {4, 2}},    // STRIDED_SLICE with an end mask
      {65, {{{4}, {1, 2, 3, 4}}}, {{{1}, {1}}, {{1}, {-1}}}, {}, f, {2, 3, 4}},                    // SLICE to the end
      {105, {{{3}, {1, 2, 3}}}, {{{1}, {0}}}, {}, f, {3, 2, 1}},                                   // REVERSE_V2
      {36, {{{3}, {1, 2, 3}}}, {{{2}, {2, 0}}}, {{0, 0}}, f, {3, 1}},                              // GATHER
      {107, {{{2, 2}, {1, 2, 3, 4}}}, {{{2, 2}, {1, 1, 0, 0}}}, {}, f, {4, 1}},                    // GATHER_ND
      {122, {{{2}, {5, 7}}}, {{{2, 1}, {1, 1}}, {{1}, {3}}}, {}, f, {0, 12, 0}, {1, 0, 2}},        // SCATTER_ND adds
      {69, {{{2}, {1, 2}}}, {{{1}, {2}}}, {}, f, {1, 2, 1, 2}},                                    // TILE
      {130, {{{1}, {4}}}, {{{2}, {2, 2}}}, {}, f, {4, 4, 4, 4}},                                   // BROADCAST_TO
      {94, {{{}, {4}}}, {{{1}, {2}}}, {}, f, {4, 4}, {1, 0}},                                      // FILL
      {109, {{{4}, {0, 1, 0, 2}}}, {}, {}, TensorType::i64, {1, 3}},                               // WHERE
      {147, {{{3}, {-1, 2, 9}}}, {}, {{0, V{0, 2, 5}}}, TensorType::i32, {0, 2, 3}},               // BUCKETIZE
      {113, {{{2}, {1, 2}}}, {}, {}, f, {1, 0, 0, 2}},                                             // MATRIX_DIAG
      {115, {{{2, 3}, {9, 9, 9, 9, 9, 9}}, {{2}, {1, 2}}}, {}, {}, f, {1, 9, 9, 9, 2, 9}},         // MATRIX_SET_DIAG
      {125, {{{3, 1}, {1, 2, 3}}}, {{{3}, {0, 0, 1}}}, {}, f, {3, 3}},                             // SEGMENT_SUM
      {155, {{{3, 1}, {1, 2, 3}}}, {{{3}, {1, -1, 1}}, {{}, {2}}}, {}, f, {0, 4}},                 // UNSORTED_SEGMENT_SUM
      {112, {{{1, 3}, {1, 2, 3}}}, {{{1}, {2}}}, {{0, 1}, {1, 0}}, f, {2, 1, 3}},                  // REVERSE_SEQUENCE
      {151, {{{4}, {1, 2, 3, 4}}, {{2}, {8, 9}}}, {{{1}, {7}}}, {}, f, {1, 2, 8, 9}},              // DYNAMIC_UPDATE_SLICE moves in
      {203, {{{2}, {1, 2}}, {{}, {7}}}, {{{1}, {3}}}, {}, f, {1, 7, 7, 2}, {0, 2, 1}},             // DILATE
      {26, {{{1, 2, 2, 1}, {1, 2, 3, 4}}}, {}, {{0, 2}}, f, {1, 2, 3, 4}},                         // SPACE_TO_DEPTH
      {5, {{{1, 1, 1, 4}, {1, 2, 3, 4}}}, {}, {{0, 2}}, f, {1, 2, 3, 4}},                          // DEPTH_TO_SPACE
      {38, {{{1, 2, 2, 1}, {1, 2, 3, 4}}}, {{{2}, {2, 2}}, {{2, 2}, {0, 0, 0, 0}}}, {}, f, {1, 2, 3, 4}},  // SPACE_TO_BATCH_ND
      {23, {{{1, 1, 2, 1}, {1, 3}}}, {{{2}, {1, 4}}}, {{3, true}}, f, {1, 1.5, 2.5, 3}},           // RESIZE_BILINEAR, half pixels
      {23, {{{1, 1, 2, 1}, {1, 3}}}, {{{2}, {1, 4}}}, {}, f, {1, 2, 3, 3}},                        // RESIZE_BILINEAR, plain
      {97, {{{1, 1, 2, 1}, {1, 3}}}, {{{2}, {1, 4}}}, {}, f, {1, 1, 3, 3}},                        // RESIZE_NEAREST_NEIGHBOR
      {131, {{{1, 2}, {1, 2}}}, {{{2}, {1, 2}}}, {}, TensorType::complex64, {3, 0, -1, 0}},        // RFFT2D
      {80, {{{3}, {-0.1f, 0.5f, 2}}}, {}, {{0, 0.0f}, {1, 1.0f}, {2, 2}}, f, {0, 2.0 / 3, 1}},     // FAKE_QUANT of two bits
      // clang-format on
  };
  for (const Case& c : cases) {
    std::vector<TensorSpec> tensors;
    std::vector<int32_t> graph_inputs, inputs;
    std::vector<Tensor> values;
    for (const auto& [shape, v] : c.data) {
      graph_inputs.push_back(static_cast<int32_t>(tensors.size()));
      tensors.push_back(floats("x" + std::to_string(tensors.size()), shape));
      values.push_back(Tensor::of<float>(Shape(shape.begin(), shape.end()), v));
    }
    for (const auto& [shape, v] : c.numbers) tensors.push_back(ints("n" + std::to_string(tensors.size()), shape, v));
    for (size_t k = 0; k < tensors.size(); ++k) inputs.push_back(static_cast<int32_t>(k));
    if (!c.order.empty()) inputs = c.order;
    const auto y = static_cast<int32_t>(tensors.size());
    tensors.push_back({"y", c.type, {}, {}});
    const OperatorRow* row = find_row(c.code);
    ASSERT_TRUE(row) << c.code;
    try {
      const Graph g = read(one(tensors, graph_inputs, {y}, {{c.code, inputs, {y}, c.options}}));
      const auto out = run(g, values)[0].to_doubles();
      ASSERT_EQ(out.size(), c.expected.size()) << row->name;
      for (size_t k = 0; k < out.size(); ++k) EXPECT_NEAR(out[k], c.expected[k], 1e-5) << row->name << " element " << k;
    } catch (const Error& e) {
      ADD_FAILURE() << row->name << ": " << e.what();
    }
  }
}

TEST(TfliteOperators, counts_the_axes_of_complex_numbers_as_the_file_does) {
  // [1, 2, 1, 4] -> spectra [1, 2, 1, 3] -> without its last but one axis [1, 2, 3] -> transposed [3, 2, 1] -> flat.
  const auto z = TensorType::complex64;
  // clang-format off
  const Graph g = read(one({floats("x", {1, 2, 1, 4}), ints("length", {2}, {1, 4}), {"s", z, {1, 2, 1, 3}, {}}, {"q", z, {1, 2, 3}, {}}, ints("order", {3}, {2, 1, 0}),
                            {"t", z, {3, 2, 1}, {}}, ints("flat", {1}, {-1}), {"f", z, {6}, {}}, floats("y", {6}), floats("c", {6})},
                           {0}, {8, 9},
                           // clang-format on
                           {{131, {0, 1}, {2}},
                            {43, {2}, {3}, {{0, std::vector<int32_t>{-2}}}},
                            {39, {3, 4}, {5}},
                            {22, {5, 6}, {7}},
                            {134, {7}, {8}},
                            {53, {7}, {9}}}));
  // The real parts of both rows, by REAL and by CAST: sum, difference of the halves, alternating sum.
  const auto out = run(g, {Tensor::of<float>({1, 2, 1, 4}, {1, 2, 3, 4, 5, 0, 0, 1})});
  for (const Tensor& t : out) EXPECT_EQ(t.to_doubles(), (std::vector<double>{10, 6, -2, 5, -2, 4}));
  EXPECT_EQ(out.size(), 2u);
}

}  // namespace
}  // namespace hone
