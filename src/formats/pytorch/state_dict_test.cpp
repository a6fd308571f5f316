#include "formats/pytorch/state_dict.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.hpp"
#include "formats/pytorch/archive_samples_test.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

using namespace archive_samples;

Error error_of(const std::string& bytes) {
  try {
    parse_weights(blob(bytes));
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorCode::failed, "no error");
}

std::string safetensors(const std::string& header, const std::string& data) {
  return little(header.size(), 8) + header + data;
}

}  // namespace

TEST(StateDict, reads_zip_checkpoints_with_strides_and_shared_storages) {
  const std::string pickle = dictionary({{"a", tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})},
                                         {"t", tensor("FloatStorage", "0", 6, 0, {3, 2}, {1, 3})},
                                         {"tail", tensor("FloatStorage", "0", 6, 4, {2}, {1})},
                                         {"n", tensor("LongStorage", "1", 1, 0, {}, {})}});
  const StateDict s = parse_weights(blob(checkpoint(pickle, {{"0", floats({1, 2, 3, 4, 5, 6})}, {"1", little(7, 8)}})));
  ASSERT_EQ(s.tensors.size(), 4u);
  EXPECT_EQ(s.find("a")->to_doubles(), (std::vector<double>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(s.find("t")->to_doubles(), (std::vector<double>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(s.find("tail")->to_doubles(), (std::vector<double>{5, 6}));
  EXPECT_EQ(s.find("n")->element_type(), ElementType::i64);
  EXPECT_EQ(s.find("n")->to_ints(), (std::vector<int64_t>{7}));
}

TEST(StateDict, reads_the_older_stream_form) {
  const std::string magic = std::string("\x80\x02\x8a\x0a") + "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  const std::string version = "\x80\x02M\xe9\x03.", machine = dictionary({{"little_endian", "\x88"}});
  const std::string keys = "\x80\x02](" + text("7") + "e.";
  const std::string pickle = dictionary({{"w", tensor("FloatStorage", "7", 2, 0, {2}, {1})}});
  const std::string bytes = magic + version + machine + pickle + keys + little(2, 8) + floats({3, 4});
  EXPECT_EQ(parse_weights(blob(bytes)).find("w")->to_doubles(), (std::vector<double>{3, 4}));
  EXPECT_EQ(error_of(bytes.substr(0, bytes.size() - 4)).code(), ErrorCode::unreadable);
}

TEST(StateDict, finds_the_weights_in_a_checkpoint_and_drops_the_prefix_of_parallel_training) {
  const std::string inner = "}(" + text("module.w") + tensor("HalfStorage", "0", 1, 0, {1}, {1}) + "u";
  const std::string pickle = dictionary({{"epoch", number(3)}, {"state_dict", inner}});
  const StateDict s = parse_weights(blob(checkpoint(pickle, {{"0", little(0x3c00, 2)}})));
  ASSERT_EQ(s.tensors.size(), 1u);
  EXPECT_EQ(s.tensors[0].first, "w");
  EXPECT_EQ(s.tensors[0].second.to_doubles()[0], 1);
}

TEST(StateDict, never_runs_code) {
  const std::string call = dictionary({{"w", "cposix\nsystem\n(" + text("true") + "tR"}});
  const Error e = error_of(checkpoint(call, {}));
  EXPECT_EQ(e.code(), ErrorCode::unsafe);
  EXPECT_NE(e.message().find("'posix.system'"), std::string::npos) << e.what();
  EXPECT_EQ(error_of(checkpoint("\x80\x02i.", {})).code(), ErrorCode::unsafe) << "an opcode that makes objects";
}

TEST(StateDict, refuses_torchscript_by_name) {
  const Error e = error_of(zip({{"m/data.pkl", "\x80\x02}."}, {"m/constants.pkl", "\x80\x02)."}, {"m/code/a.py", ""}}));
  EXPECT_EQ(e.code(), ErrorCode::unsupported);
  EXPECT_NE(std::string(e.what()).find("TorchScript"), std::string::npos);
  // torch.jit.save packs the code.
  std::string packed = zip({{"m/code/a.py", "def f(): pass"}});
  packed[packed.find("PK\x01\x02") + 10] = 8;
  EXPECT_NE(std::string(error_of(packed).what()).find("TorchScript"), std::string::npos);
}

TEST(StateDict, refuses_tensors_outside_of_their_storage) {
  const Error e =
      error_of(checkpoint(dictionary({{"w", tensor("FloatStorage", "0", 2, 1, {2}, {1})}}), {{"0", floats({1, 2})}}));
  EXPECT_EQ(e.code(), ErrorCode::unreadable);
  EXPECT_NE(std::string(e.what()).find("weight 'w'"), std::string::npos) << e.what();
}

TEST(StateDict, inputs_of_past_fuzzing_end_in_tensors_or_an_error) {
  size_t files = 0;
  for (const auto& e :
       std::filesystem::directory_iterator(std::string(HONE_SOURCE_DIR) + "/tests/fuzz/corpus/weights")) {
    const std::string bytes = read_text_file(e.path().string());
    try {
      parse_weights(blob(bytes.starts_with("\x80\x02}") ? checkpoint(bytes, {{"0", std::string(64, '\1')}}) : bytes));
    } catch (const Error&) {
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

TEST(Safetensors, reads_all_types_in_place) {
  const StateDict s = parse_weights(blob(safetensors(
      R"({"__metadata__": {"format": "pt"}, "b": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, "w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [4, 12]}})",
      little(0x3f80, 2) + little(0xc000, 2) + floats({5, 6}))));
  ASSERT_EQ(s.tensors.size(), 2u);
  EXPECT_EQ(s.find("b")->to_doubles(), (std::vector<double>{1, -2}));
  EXPECT_EQ(s.find("w")->to_doubles(), (std::vector<double>{5, 6}));
  EXPECT_EQ(s.find("w")->shape(), (Shape{1, 2}));
}

TEST(Safetensors, refuses_sizes_that_do_not_add_up) {
  const std::string data(8, '\0');
  for (const char* header : {R"({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})",
                             R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})",
                             R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})",
                             R"({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})",
                             R"({"w": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}})",
                             R"({"w": 3})", R"({"w": )"}) {
    const Error e = error_of(safetensors(header, data));
    EXPECT_TRUE(e.code() == ErrorCode::unreadable || e.code() == ErrorCode::unsafe) << header << ": " << e.what();
  }
  const Error e = error_of(safetensors(R"({"w": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}})", data));
  EXPECT_EQ(e.code(), ErrorCode::unsupported);
}

}  // namespace hone
