#include "formats/tflite/reader.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/formats.hpp"
#include "formats/tflite/file_maker_test.hpp"
#include "formats/tflite/mapping.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;

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
