// Quantized operators, sparse tensors and tables of files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "formats/tensorflow/graph_maker_test.hpp"
#include "formats/tensorflow/reader.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone::tensorflow {
namespace {

namespace fs = std::filesystem;

constexpr int32_t u8 = 12, i8 = 11, i32 = 13, text = 7, i64 = 9;

std::vector<Datum> run(const GraphMaker& m, const std::vector<Datum>& in) {
  return evaluate(m.read(), in);
}
std::vector<double> numbers(const Datum& d) {
  return d.tensor().to_doubles();
}
Attribute text_tensor(const std::string& s) {
  std::string t;
  protozero::pbf_writer w(t);
  w.add_int32(1, text);
  w.add_message(2, shape_message({}));
  w.add_bytes(8, s);
  return attribute("value", [&](auto& a) { a.add_message(8, t); });
}

// Expected levels: TensorFlow 2.21 on the same numbers.
TEST(TensorFlowQuantized, quantizes_by_each_mode) {
  const std::vector<std::pair<const char*, std::vector<double>>> modes{
      {"MIN_FIRST", {-128, -128, -82, -17, -17, 3, 48, 127, 127}},
      {"MIN_COMBINED", {-128, -128, -82, -17, -17, 3, 49, 127, 127}},
      {"SCALED", {-128, -98, -58, 0, 0, 17, 58, 127, 127}}};
  const Tensor x = Tensor::of<float>({9}, {-3, -1.7f, -1, -0.004f, 0, 0.3f, 1, 2.2f, 5});
  for (const auto& [mode, want] : modes) {
    GraphMaker m;
    m.input("x", {9}).constant("min", {}, {-1.7f}).constant("max", {}, {2.2f});
    m.node("q", "QuantizeV2", {"x", "min", "max"}, {type_attribute("T", i8), text_attribute("mode", mode)});
    const auto y = run(m, {x});
    ASSERT_EQ(y.size(), 3u);
    EXPECT_EQ(y[0].tensor().element_type(), ElementType::i8);
    EXPECT_EQ(numbers(y[0]), want) << mode;
  }
}

TEST(TensorFlowQuantized, multiplies_levels_around_that_of_zero) {
  GraphMaker m;
  m.input("a", {1, 2}, u8).input("b", {2, 1}, u8);
  m.constant("low_a", {}, {0}).constant("high_a", {}, {255}).constant("low_b", {}, {-1}).constant("high_b", {}, {1});
  m.node("y", "QuantizedMatMul", {"a", "b", "low_a", "high_a", "low_b", "high_b"},
         {type_attribute("T1", u8), type_attribute("T2", u8), type_attribute("Toutput", i32)});
  const auto y = run(m, {Tensor::of<uint8_t>({1, 2}, {3, 5}), Tensor::of<uint8_t>({2, 1}, {130, 120})});
  // Zero is level 0 of a and level 128 of b.
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{3 * 2 + 5 * -8}));
  EXPECT_NEAR(numbers(y[2])[0], 2.0 / 255 * 2147483648.0, 1);
}

TEST(TensorFlowQuantized, requantizes_in_fixed_point) {
  GraphMaker m;
  m.input("x", {7}, i32).constant("a", {}, {-3e4f}).constant("b", {}, {3e4f});
  m.constant("c", {}, {-0.3f}).constant("d", {}, {1.1f});
  m.node("y", "Requantize", {"x", "a", "b", "c", "d"}, {type_attribute("out_type", u8)});
  const Tensor x = Tensor::of<int32_t>({7}, {-40000, -123, 0, 5000, 31111, 77777, 90000});
  EXPECT_EQ(numbers(run(m, {x})[0]), (std::vector<double>{0, 54, 55, 67, 134, 253, 255}));
}

TEST(TensorFlowQuantized, refuses_a_range_for_each_channel) {
  GraphMaker m;
  m.input("x", {2}).constant("min", {2}, {-1, -2}).constant("max", {2}, {1, 2});
  m.node("q", "QuantizeV2", {"x", "min", "max"}, {type_attribute("T", i8), int_attribute("axis", 0)});
  try {
    m.read();
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("a range for each channel"), std::string::npos) << e.what();
  }
}

TEST(TensorFlowSparse, places_move_with_the_shape) {
  GraphMaker m;
  m.input("places", {3, 2}, i64).ints("shape", {2}, {5, 4}).ints("wanted", {3}, {2, -1, 5});
  m.node("y", "SparseReshape", {"places", "shape", "wanted"});
  const auto y = run(m, {Tensor::of<int64_t>({3, 2}, {0, 1, 2, 3, 4, 3})});
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{0, 0, 1, 1, 0, 1, 1, 1, 4}));
  EXPECT_EQ(numbers(y[1]), (std::vector<double>{2, 2, 5}));
}

TEST(TensorFlowSparse, products_take_only_the_rows_that_are_there) {
  GraphMaker m;
  m.input("places", {3, 2}, i64).constant("values", {3}, {2, 3, 5}).ints("shape", {2}, {3, 2});
  m.constant("b", {2, 2}, {1, 10, 100, 1000});
  m.node("y", "SparseTensorDenseMatMul", {"places", "values", "shape", "b"});
  const auto y = run(m, {Tensor::of<int64_t>({3, 2}, {0, 1, 2, 0, 2, 1})});
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{200, 2000, 0, 0, 503, 5030}));
}

class TensorFlowTables : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              (std::string("tables_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "model" / "assets");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const fs::path& at, const std::string& bytes) const {
    std::ofstream(folder_ / at, std::ios::binary) << bytes;
  }
  // y = table[x], the table filled from a file that lay at `path` once.
  Graph read(const std::string& path, std::vector<Attribute> columns) const {
    columns.push_back(int_attribute("vocab_size", -1));
    GraphMaker m;
    m.input("x", {3}, text);
    m.node("path", "Const", {}, {type_attribute("dtype", text), text_tensor(path)});
    m.node("table", "HashTableV2", {}, {type_attribute("key_dtype", text), type_attribute("value_dtype", i64)});
    m.node("fill", "InitializeTableFromTextFileV2", {"table", "path"}, columns);
    std::string minus;
    protozero::pbf_writer w(minus);
    w.add_int32(1, i64);
    w.add_message(2, shape_message({}));
    w.add_int64(10, -1);
    m.node("otherwise", "Const", {},
           {type_attribute("dtype", i64), attribute("value", [&](auto& a) { a.add_message(8, minus); })});
    m.node("y", "LookupTableFindV2", {"table", "x", "otherwise"});
    write("model/graph.pb", m.bytes());
    return read_tensorflow((folder_ / "model" / "graph.pb").string());
  }
  std::vector<double> found(const Graph& g) const {
    return numbers(evaluate(g, {Tensor::strings({3}, {"b", "none", "a"})})[0]);
  }
  fs::path folder_;
};

TEST_F(TensorFlowTables, number_of_a_line_is_the_value) {
  write("model/assets/words.txt", "a\r\nb\n");
  EXPECT_EQ(found(read("/where/it/was/words.txt", {int_attribute("key_index", -2), int_attribute("value_index", -1)})),
            (std::vector<double>{1, -1, 0}));
}

TEST_F(TensorFlowTables, columns_are_keys_and_values) {
  write("model/words.csv", "7,a\n-9,b");
  EXPECT_EQ(found(read("words.csv", {int_attribute("key_index", 1), int_attribute("value_index", 0),
                                     text_attribute("delimiter", ",")})),
            (std::vector<double>{-9, -1, 7}));
}

TEST_F(TensorFlowTables, files_elsewhere_are_not_read) {
  write("outside.txt", "a\nb\n");
  for (const std::string& path :
       {std::string("../outside.txt"), (folder_ / "outside.txt").string(), std::string("..")}) {
    try {
      read(path, {});
      FAIL() << path;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("whose content is not known"), std::string::npos) << e.what();
    }
  }
}

TEST_F(TensorFlowTables, lines_that_do_not_fit_are_refused) {
  for (const char* lines : {"1\n", "a,1x\n", "a,1\n\nb,2\n"}) {
    write("model/words.csv", lines);
    EXPECT_THROW(read("words.csv", {int_attribute("key_index", 0), int_attribute("value_index", 1),
                                    text_attribute("delimiter", ",")}),
                 Error)
        << lines;
  }
}

}  // namespace
}  // namespace hone::tensorflow
