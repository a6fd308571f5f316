#include "formats/tflite/reader.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/formats.hpp"
#include "formats/tflite/file_builder.hpp"
#include "formats/tflite/mapping.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"

namespace hone {
namespace {

using namespace tflite;
namespace fs = std::filesystem;

Graph read(const FileSpec& spec) {
  auto bytes = std::make_shared<std::string>(tflite_file(spec));
  return parse_tflite(*bytes, bytes);
}
std::vector<Tensor> run(const Graph& g, const std::vector<Tensor>& inputs, VariableStore* state = nullptr) {
  EvaluateOptions o;
  VariableStore own;
  o.variables = state ? state : &own;
  std::vector<Datum> in(inputs.begin(), inputs.end());
  std::vector<Tensor> out;
  for (const Datum& d : evaluate(g, in, o)) out.push_back(d.tensor());
  return out;
}
std::string message_of(const FileSpec& spec) {
  try {
    read(spec);
  } catch (const Error& e) {
    return std::string(e.what()) + " " + e.hint();
  }
  return "nothing was thrown";
}

TensorSpec floats(std::string name, std::vector<int32_t> shape, std::vector<float> content = {}) {
  return {std::move(name), TensorType::f32, std::move(shape), bytes_of(content)};
}
TensorSpec ints(std::string name, std::vector<int32_t> shape, std::vector<int32_t> content = {}) {
  return {std::move(name), TensorType::i32, std::move(shape), bytes_of(content)};
}
TensorSpec i8s(std::string name, std::vector<int32_t> shape, float scale, int64_t zero,
               std::vector<int8_t> content = {}) {
  return {std::move(name), TensorType::i8, std::move(shape), bytes_of(content), {scale}, {zero}};
}
TensorSpec u8s(std::string name, std::vector<int32_t> shape, float scale, int64_t zero,
               std::vector<uint8_t> content = {}) {
  return {std::move(name), TensorType::u8, std::move(shape), bytes_of(content), {scale}, {zero}};
}
FileSpec one(std::vector<TensorSpec> tensors, std::vector<int32_t> inputs, std::vector<int32_t> outputs,
             std::vector<OperatorSpec> operators) {
  return {{{std::move(tensors), std::move(inputs), std::move(outputs), std::move(operators)}}};
}

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

TEST(TfliteReader, operators_give_the_values_of_their_specification) {
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

TEST(TfliteReader, counts_the_axes_of_complex_numbers_as_the_file_does) {
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

TEST(TfliteReader, has_a_row_for_the_operators_that_converters_emit) {
  size_t known = 0;
  for (int32_t code = 0; code < 210; ++code) known += find_row(code) != nullptr;
  EXPECT_GE(known, 180u);
}

// x [1, 3, 3, 1], weights [1, 2, 2, 1] with stride 2.
FileSpec convolution(int8_t padding) {
  return one({floats("x", {1, 3, 3, 1}), floats("w", {1, 2, 2, 1}, {1, 2, 3, 4}), floats("b", {1}, {0.5f}),
              floats("y", {1, 2, 2, 1})},
             {0}, {3}, {{3, {0, 1, 2}, {3}, {{0, padding}, {1, 2}, {2, 2}}}});
}
TEST(TfliteReader, convolves_images_with_channels_last) {
  const Tensor x = Tensor::of<float>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Tensor valid = run(read(convolution(1)), {x})[0];
  EXPECT_EQ(valid.shape(), (Shape{1, 1, 1, 1}));
  EXPECT_FLOAT_EQ(valid.data<float>()[0], 1 + 4 + 12 + 20 + 0.5f);
  const Tensor same = run(read(convolution(0)), {x})[0];
  EXPECT_EQ(same.shape(), (Shape{1, 2, 2, 1}));
  EXPECT_EQ(same.to_doubles(), (std::vector<double>{37.5, 3 + 18 + 0.5, 7 + 16 + 0.5, 9.5}));
}

TEST(TfliteReader, depthwise_output_reads_the_channel_that_its_number_names) {
  // Two channels, two outputs each: weights [1, 1, 1, 4].
  const Graph g =
      read(one({floats("x", {1, 1, 1, 2}), floats("w", {1, 1, 1, 4}, {1, 2, 3, 4}), floats("y", {1, 1, 1, 4})}, {0},
               {2}, {{4, {0, 1}, {2}, {{0, int8_t{1}}, {1, 1}, {2, 1}, {3, 2}}}}));
  EXPECT_EQ(run(g, {Tensor::of<float>({1, 1, 1, 2}, {10, 100})})[0].to_doubles(),
            (std::vector<double>{10, 20, 300, 400}));
}

TEST(TfliteReader, transposed_convolution_has_the_shape_that_is_asked_for) {
  const Graph g = read(one({ints("shape", {4}, {1, 2, 2, 1}), floats("w", {1, 2, 2, 1}, {1, 2, 3, 4}),
                            floats("x", {1, 1, 1, 1}), floats("y", {1, 2, 2, 1})},
                           {2}, {3}, {{67, {0, 1, 2}, {3}, {{0, int8_t{1}}, {1, 2}, {2, 2}}}}));
  EXPECT_EQ(run(g, {Tensor::of<float>({1, 1, 1, 1}, {3})})[0].to_doubles(), (std::vector<double>{3, 6, 9, 12}));
}

TEST(TfliteReader, transposed_convolution_with_same_padding_cuts_an_odd_row_at_the_end) {
  // 2 x 1 data, 3 x 1 windows, stride 2: five rows become four, the first one stays.
  const Graph g = read(one({ints("shape", {4}, {1, 4, 1, 1}), floats("w", {1, 3, 1, 1}, {1, 2, 3}),
                            floats("x", {1, 2, 1, 1}), floats("y", {1, 4, 1, 1})},
                           {2}, {3}, {{67, {0, 1, 2}, {3}, {{0, int8_t{0}}, {1, 1}, {2, 2}}}}));
  EXPECT_EQ(run(g, {Tensor::of<float>({1, 2, 1, 1}, {10, 100})})[0].to_doubles(),
            (std::vector<double>{10, 20, 130, 200}));
}

TEST(TfliteReader, integers_of_quantized_layers_are_those_of_the_format) {
  // y = relu((x - 1) * 0.5 . w * 0.25 + b * 0.125) / 0.5 - 10, one scale for each row of weights.
  // clang-format off
  TensorSpec w{"w", TensorType::i8, {2, 2}, bytes_of<int8_t>({10, -20, 5, 6}), {0.25f, 0.5f}, {0, 0}};
  TensorSpec b{"b", TensorType::i32, {2}, bytes_of<int32_t>({8, -4}), {0.125f, 0.25f}, {0, 0}};
  const Graph g = read(one({i8s("x", {1, 2}, 0.5f, 1), w, b, i8s("y", {1, 2}, 0.5f, -10)}, {0}, {3}, {{9, {0, 1, 2}, {3}, {{0, int8_t{1}}}}}));
  // clang-format on
  const Tensor y = run(g, {Tensor::of<int8_t>({1, 2}, {11, 4})})[0];
  EXPECT_EQ(y.element_type(), ElementType::i8);
  // Sums: 10 * 10 - 3 * 20 + 8 = 48 of 0.125 = 6; 10 * 5 + 3 * 6 - 4 = 64 of 0.25 = 16.
  EXPECT_EQ(y.to_ints(), (std::vector<int64_t>{12 - 10, 32 - 10}));
}

TEST(TfliteReader, asymmetric_weights_are_multiplied_as_integers) {
  // clang-format off
  TensorSpec b{"b", TensorType::i32, {1}, bytes_of<int32_t>({7}), {0.02f}, {0}};
  const Graph g = read(one({u8s("x", {1, 1, 1, 3}, 0.1f, 3), u8s("w", {1, 1, 1, 3}, 0.2f, 100, {0, 255, 130}), b, u8s("y", {1, 1, 1, 1}, 0.9f, 128)}, {0}, {3},
                           {{3, {0, 1, 2}, {3}, {{0, int8_t{1}}, {1, 1}, {2, 1}}}}));
  // clang-format on
  for (int k = 0; k < 200; ++k) {
    const int x0 = k, x1 = (k * 37) % 256, x2 = 255 - k;
    const double sum = (x0 - 3) * -100.0 + (x1 - 3) * 155.0 + (x2 - 3) * 30.0 + 7;
    const auto expected = static_cast<int64_t>(
        std::clamp<double>(std::nearbyint(static_cast<float>(sum) * (0.1f * 0.2f / 0.9f)) + 128, 0.0, 255.0));
    const Tensor x = Tensor::of<uint8_t>(
        {1, 1, 1, 3}, {static_cast<uint8_t>(x0), static_cast<uint8_t>(x1), static_cast<uint8_t>(x2)});
    EXPECT_EQ(run(g, {x})[0].to_ints()[0], expected) << k;
  }
}

TEST(TfliteReader, weights_of_hybrid_and_half_models_become_floats) {
  const Graph hybrid = read(one({floats("x", {1, 2}), i8s("w", {1, 2}, 0.5f, 0, {2, -4}), floats("y", {1, 1})}, {0},
                                {2}, {{9, {0, 1}, {2}}}));
  EXPECT_FLOAT_EQ(run(hybrid, {Tensor::of<float>({1, 2}, {3, 1})})[0].data<float>()[0], 3 - 2);
  std::vector<uint16_t> half{float16(1.5f).bits, float16(-2).bits};
  TensorSpec stored{"h", TensorType::f16, {1, 2}, bytes_of(half)};
  const Graph g = read(one({floats("x", {1, 2}), stored, floats("w", {1, 2}), floats("y", {1, 1})}, {0}, {3},
                           {{6, {1}, {2}}, {9, {0, 2}, {3}}}));
  EXPECT_FLOAT_EQ(run(g, {Tensor::of<float>({1, 2}, {2, 1})})[0].data<float>()[0], 1);
}

TEST(TfliteReader, moving_quantized_numbers_does_not_change_them) {
  const Graph g = read(
      one({i8s("x", {2, 2}, 0.3f, 5), ints("s", {1}, {4}), i8s("y", {4}, 0.3f, 5)}, {0}, {2}, {{22, {0, 1}, {2}}}));
  EXPECT_EQ(run(g, {Tensor::of<int8_t>({2, 2}, {-128, 127, 5, -1})})[0].to_ints(),
            (std::vector<int64_t>{-128, 127, 5, -1}));
}

TEST(TfliteReader, branches_and_loops_run_their_subgraphs) {
  // clang-format off
  const SubgraphSpec twice{{floats("a", {}), floats("a2", {})}, {0}, {1}, {{0, {0, 0}, {1}}}, "twice"};
  const SubgraphSpec negated{{floats("a", {}), floats("n", {})}, {0}, {1}, {{59, {0}, {1}}}, "negated"};
  const SubgraphSpec below{{floats("a", {}), floats("limit", {}, {100}), {"c", TensorType::boolean, {}, {}}}, {0}, {2}, {{58, {0, 1}, {2}}}, "below"};
  const SubgraphSpec branch{{{"c", TensorType::boolean, {}, {}}, floats("a", {}), floats("y", {})}, {0, 1}, {2}, {{118, {0, 1}, {2}, {{0, 1}, {1, 2}}}}, "main"};
  // clang-format on
  const Graph g = read({{branch, twice, negated}});
  EXPECT_EQ(run(g, {Tensor::scalar<bool>(true), Tensor::scalar<float>(3)})[0].to_doubles()[0], 6);
  EXPECT_EQ(run(g, {Tensor::scalar<bool>(false), Tensor::scalar<float>(3)})[0].to_doubles()[0], -3);
  const SubgraphSpec loop{{floats("a", {}), floats("y", {})}, {0}, {1}, {{119, {0}, {1}, {{0, 1}, {1, 2}}}}, "main"};
  EXPECT_EQ(run(read({{loop, below, twice}}), {Tensor::scalar<float>(3)})[0].to_doubles()[0], 192);
  const SubgraphSpec caller{{floats("a", {}), floats("y", {})}, {0}, {1}, {{31, {0}, {1}, {{0, 1}}}}, "main"};
  EXPECT_EQ(run(read({{caller, twice}}), {Tensor::scalar<float>(3)})[0].to_doubles()[0], 6);
}

TEST(TfliteReader, resource_variables_carry_state_from_run_to_run) {
  const Options name{{0, std::string("")}, {1, std::string("count")}};
  const TensorSpec handle{"handle", TensorType::resource, {}, {}};
  // clang-format off
  SubgraphSpec main{{floats("x", {1}), handle, floats("old", {1}), floats("new", {1})}, {0}, {3}, {}, "main"};
  main.operators = {{129, {}, {}, {{0, 1}}}, {142, {}, {1}, name}, {143, {1}, {2}}, {0, {0, 2}, {3}}, {144, {1, 3}, {}}};
  const SubgraphSpec init{{handle, floats("first", {1}, {10})}, {}, {}, {{142, {}, {0}, name}, {144, {0, 1}, {}}}, "init"};
  // clang-format on
  const Graph g = read({{main, init}});
  VariableStore state;
  const Tensor x = Tensor::of<float>({1}, {2});
  for (double expected : {12.0, 14.0, 16.0}) EXPECT_EQ(run(g, {x}, &state)[0].to_doubles()[0], expected);
}

TEST(TfliteReader, variables_inside_of_a_loop_are_carried) {
  const Options name{{0, std::string("")}, {1, std::string("sum")}};
  const TensorSpec handle{"handle", TensorType::resource, {}, {}};
  // clang-format off
  SubgraphSpec main{{floats("x", {}), handle, floats("zero", {}, {0}), floats("last", {}), floats("sum", {})}, {0}, {4}, {}, "main"};
  main.operators = {{142, {}, {1}, name}, {144, {1, 2}, {}}, {119, {0}, {3}, {{0, 1}, {1, 2}}}, {143, {1}, {4}}};
  const SubgraphSpec below{{floats("a", {}), floats("limit", {}, {3}), {"c", TensorType::boolean, {}, {}}}, {0}, {2}, {{58, {0, 1}, {2}}}, "below"};
  SubgraphSpec body{{floats("a", {}), handle, floats("old", {}), floats("new", {}), floats("one", {}, {1}), floats("next", {})}, {0}, {5}, {}, "body"};
  body.operators = {{142, {}, {1}, name}, {143, {1}, {2}}, {0, {2, 0}, {3}}, {144, {1, 3}, {}}, {0, {0, 4}, {5}}};
  // clang-format on
  EXPECT_EQ(run(read({{main, below, body}}), {Tensor::scalar<float>(0)})[0].to_doubles()[0], 0 + 1 + 2);
}

TEST(TfliteReader, hash_tables_are_looked_up) {
  const TensorSpec handle{"table", TensorType::resource, {}, {}};
  const Options table{{0, 7}};
  const auto longs = [](std::string n, std::vector<int32_t> shape, std::vector<int64_t> v) {
    return TensorSpec{std::move(n), TensorType::i64, std::move(shape), bytes_of(v)};
  };
  // clang-format off
  SubgraphSpec main{{longs("x", {3}, {}), handle, longs("otherwise", {}, {-1}), longs("y", {3}, {})}, {0}, {3}, {}, "main"};
  main.operators = {{129, {}, {}, {{0, 1}}}, {136, {}, {1}, table}, {137, {1, 0, 2}, {3}}};
  const SubgraphSpec init{{handle, longs("k", {2}, {5, 6}), longs("v", {2}, {50, 60})}, {}, {}, {{136, {}, {0}, table}, {138, {0, 1, 2}, {}}}, "init"};
  // clang-format on
  EXPECT_EQ(run(read({{main, init}}), {Tensor::of<int64_t>({3}, {6, 9, 5})})[0].to_ints(),
            (std::vector<int64_t>{60, -1, 50}));
}

TEST(TfliteReader, recurrent_state_is_kept) {
  TensorSpec h = floats("h", {1, 1});
  h.variable = true;
  const Graph g = read(one({floats("x", {1, 2, 1}), floats("w", {1, 1}, {1}), floats("r", {1, 1}, {0.5f}),
                            floats("b", {1}, {1}), h, floats("y", {1, 2, 1})},
                           {0}, {5}, {{35, {0, 1, 2, 3, 4}, {5}, {{0, false}, {1, int8_t{1}}}}}));
  VariableStore state;
  const Tensor x = Tensor::of<float>({1, 2, 1}, {1, 3});
  EXPECT_EQ(run(g, {x}, &state)[0].to_doubles(), (std::vector<double>{2, 5}));
  EXPECT_EQ(run(g, {x}, &state)[0].to_doubles(), (std::vector<double>{4.5, 6.25}));
}

TEST(TfliteReader, sizes_that_the_signature_leaves_open_stay_open) {
  TensorSpec x = floats("x", {1, 2});
  x.signature = {-1, 2};
  const Graph g = read(one({x, floats("y", {1, 2})}, {0}, {1}, {{19, {0}, {1}}}));
  EXPECT_TRUE(g.inputs()[0].shape()[0].is_dynamic());
  EXPECT_EQ(run(g, {Tensor::of<float>({2, 2}, {-1, 2, 3, -4})})[0].to_doubles(), (std::vector<double>{0, 2, 3, 0}));
}

TEST(TfliteReader, sparse_weights_are_unpacked) {
  // [[0, 5, 0], [7, 0, 9]] by rows.
  TensorSpec w = floats("w", {2, 3}, {5, 7, 9});
  w.sparse = {{2}, {0, {0, 1, 3}, {1, 0, 2}}};
  const Graph g = read(one({floats("x", {1, 3}), w, floats("y", {1, 2})}, {0}, {2}, {{9, {0, 1}, {2}}}));
  EXPECT_EQ(run(g, {Tensor::of<float>({1, 3}, {1, 10, 100})})[0].to_doubles(), (std::vector<double>{50, 907}));
  w.sparse[1].indices = {1, 0, 3};
  EXPECT_NE(message_of(one({floats("x", {1, 3}), w, floats("y", {1, 2})}, {0}, {2}, {{9, {0, 1}, {2}}}))
                .find("out of the tensor"),
            std::string::npos);
}

TEST(TfliteReader, reports_unknown_operators_all_at_once) {
  FileSpec f =
      one({floats("x", {1}), floats("a", {1}), floats("b", {1}), floats("y", {1})}, {0}, {3},
          {{32, {0}, {1}, {}, "FlexMatrixInverse"}, {32, {1}, {2}, {}, "TFLite_Detection_PostProces"}, {15, {2}, {3}}});
  const std::string m = message_of(f);
  for (const char* part :
       {"FlexMatrixInverse x1 (a)", "TFLite_Detection_PostProces x1 (b), nearest known: TFLite_Detection_PostProcess",
        "LSH_PROJECTION x1 (y)", "SELECT_TF_OPS"}) {
    EXPECT_NE(m.find(part), m.npos) << m;
  }
}

TEST(TfliteReader, names_operator_and_place_of_an_error) {
  const std::string m =
      message_of(one({floats("x", {1, 2}), floats("w", {1, 3}, {1, 2, 3}), floats("dense/out", {1, 1})}, {0}, {2},
                     {{9, {0, 1}, {2}}}));
  EXPECT_NE(m.find("dense/out"), m.npos) << m;
  EXPECT_NE(m.find("FULLY_CONNECTED"), m.npos) << m;
  FileSpec old = convolution(0);
  old.version = 1;
  EXPECT_NE(message_of(old).find("schema version 1"), std::string::npos);
  FileSpec late =
      one({floats("x", {1}), floats("y", {1}), floats("z", {1})}, {0}, {2}, {{0, {0, 1}, {2}}, {19, {0}, {1}}});
  EXPECT_NE(message_of(late).find("before any operator makes it"), std::string::npos);
}

std::vector<FileSpec> various() {
  // clang-format off
  const SubgraphSpec twice{{floats("a", {}), floats("a2", {})}, {0}, {1}, {{0, {0, 0}, {1}}}, "twice"};
  const SubgraphSpec below{{floats("a", {}), floats("limit", {}, {100}), {"c", TensorType::boolean, {}, {}}}, {0}, {2}, {{58, {0, 1}, {2}}}, "below"};
  const SubgraphSpec loop{{floats("a", {}), floats("y", {})}, {0}, {1}, {{119, {0}, {1}, {{0, 1}, {1, 2}}}}, "main"};
  // clang-format on
  return {convolution(0), {{loop, below, twice}}};
}

TEST(TfliteReader, damaged_files_are_refused_not_run_into) {
  std::mt19937 random(7);
  size_t refused = 0;
  for (const FileSpec& spec : various()) {
    const std::string whole = tflite_file(spec);
    const auto attempt = [&](std::string bytes) {
      auto owner = std::make_shared<std::string>(std::move(bytes));
      try {
        parse_tflite(*owner, owner);
      } catch (const Error&) {
        ++refused;
      }
    };
    for (size_t n = 0; n < whole.size(); n += 3) attempt(whole.substr(0, n));
    for (int k = 0; k < 1500; ++k) {
      std::string bad = whole;
      for (int j = 0; j < 1 + k % 3; ++j) bad[random() % bad.size()] = static_cast<char>(random());
      attempt(std::move(bad));
    }
  }
  EXPECT_GT(refused, 500u);
}

// Files that once ran into something.
TEST(TfliteReader, files_of_the_regression_corpus_are_refused) {
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(HONE_SOURCE_DIR) / "tests/fuzz/corpus/tflite")) {
    ++files;
    EXPECT_THROW(read_tflite(entry.path().string()), Error) << entry.path();
  }
  EXPECT_GE(files, 3u);
}

TEST(TfliteReader, labels_and_normalization_come_with_the_file) {
  // Metadata: one input image with mean 127.5 and deviation 63.75, one output with labels in labels.txt.
  flatbuffers::FlatBufferBuilder b;
  b.ForceDefaults(true);
  const auto tables = [&](TableWriter::Offset o) {
    std::vector<flatbuffers::Offset<flatbuffers::Table>> v{flatbuffers::Offset<flatbuffers::Table>(o.o)};
    return b.CreateVector(v).Union();
  };
  const auto mean = b.CreateVector(std::vector<float>{127.5f}).Union(),
             deviation = b.CreateVector(std::vector<float>{63.75f}).Union();
  const auto options = TableWriter(b).refer(0, mean).refer(1, deviation).end();
  const auto unit = TableWriter(b).put<uint8_t>(0, 1).refer(1, options).end();
  const auto image = TableWriter(b).put<int8_t>(0, 1).end();
  const auto content = TableWriter(b).put<uint8_t>(0, 2).refer(1, image).end();
  const auto units = tables(unit);
  const auto input = TableWriter(b).refer(3, content).refer(4, units).end();
  const auto file_name = b.CreateString("labels.txt").Union();
  const auto file = TableWriter(b).refer(0, file_name).put<int8_t>(2, 2).end();
  const auto files = tables(file), output_name = b.CreateString("probability").Union();
  const auto output = TableWriter(b).refer(0, output_name).refer(6, files).end();
  const auto inputs = tables(input), outputs = tables(output);
  const auto sub = TableWriter(b).refer(2, inputs).refer(3, outputs).end();
  const auto subs = tables(sub), model_name = b.CreateString("animals").Union();
  const auto root = TableWriter(b).refer(0, model_name).refer(3, subs).end();
  b.Finish(flatbuffers::Offset<flatbuffers::Table>(root.o), "M001");
  FileSpec spec = one({floats("x", {1, 4, 6, 3}), floats("y", {1, 4, 6, 3})}, {0}, {1}, {{19, {0}, {1}}});
  spec.metadata = {{"TFLITE_METADATA", std::string(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize())}};
  std::string model = tflite_file(spec);
  // A zip archive with one stored file.
  const std::string name = "labels.txt", labels = "cat\r\nblack dog\n";
  const auto number = [](uint64_t v, size_t bytes) {
    std::string s;
    for (size_t k = 0; k < bytes; ++k) s.push_back(static_cast<char>(v >> 8 * k));
    return s;
  };
  const size_t start = model.size();
  const std::string sizes = number(0, 4) + number(labels.size(), 4) + number(labels.size(), 4) + number(name.size(), 2);
  model +=
      "PK\x03\x04" + number(20, 2) + number(0, 2) + number(0, 2) + number(0, 4) + sizes + number(0, 2) + name + labels;
  const size_t directory = model.size();
  model += "PK\x01\x02" + number(20, 2) + number(20, 2) + number(0, 2) + number(0, 2) + number(0, 4) + sizes +
           number(0, 2) + number(0, 2) + number(0, 8) + number(start, 4) + name;
  const size_t length = model.size() - directory;
  model += "PK\x05\x06" + number(0, 4) + number(1, 2) + number(1, 2) + number(length, 4) + number(directory, 4) +
           number(0, 2);
  auto owner = std::make_shared<std::string>(model);
  const Graph g = parse_tflite(*owner, owner);
  EXPECT_EQ(g.info.at("hone/labels"), R"(["cat","black dog"])");
  EXPECT_EQ(g.info.at("tflite/name"), "animals");
  const std::string p = g.info.at("hone/preprocessing");
  for (const char* part :
       {R"("mean":"[127.5]")", R"("scale":"[63.75]")", R"("width":"6")", R"("height":"4")", R"("layout":"nhwc")"})
    EXPECT_NE(p.find(part), p.npos) << p;
}

std::string data_folder() {
  if (const char* d = std::getenv("HONE_DATA")) return d;
  return (fs::path(HONE_SOURCE_DIR) / "../shared/data").lexically_normal().string();
}

TEST(TfliteReader, real_models_give_their_recorded_outputs) {
  const std::string data = data_folder();
  if (!fs::exists(data + "/models/tflite")) GTEST_SKIP() << "no test data: set HONE_DATA to the folder with models/";
  ConformanceOptions o;
  for (const char* name : {"hello_world", "kws_ref", "micro_speech", "mnist_lstm", "movie_review", "micro_vad",
                           "lyra_quantizer", "keras_lstm_mnist_ptq", "dtln"}) {
    o.filter = name;
    const auto r = run_conformance(data + "/models/tflite", o);
    EXPECT_GT(r.pass, 0u) << name;
    for (const CaseResult& c : r.cases) EXPECT_EQ(c.status, CaseStatus::pass) << c.name << ": " << c.reason;
  }
  // Operators of a signal library, refused by name; every signature has its own graph.
  try {
    read_tflite(data + "/models/tflite/micro_speech/audio_preprocessor_float.tflite");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    for (const char* op : {"SignalWindow", "SignalRfft", "SignalPCAN"})
      EXPECT_NE(std::string(e.what()).find(op), std::string::npos) << e.what();
  }
}

TEST(TfliteReader, layers_with_16_bit_activations_give_their_recorded_integers) {
  const std::string archive = data_folder() + "/conformance/tflm_seanet_layers.tar.gz";
  if (!fs::exists(archive)) GTEST_SKIP() << "no test data: set HONE_DATA to the folder with conformance/";
  ConformanceOptions o;
  for (const char* family : {"add0", "leaky_relu3", "pad", "quantize", "strided_slice", "sub", "transpose_conv4"}) {
    o.filter = family;
    const auto r = run_conformance(archive, o);
    EXPECT_GT(r.pass, 0u) << family;
    for (const CaseResult& c : r.cases) EXPECT_EQ(c.status, CaseStatus::pass) << c.name << ": " << c.reason;
  }
}

}  // namespace
}  // namespace hone
