#include "formats/tensorflow/checkpoint.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "base/file.hpp"
#include "formats/protobuf.hpp"
#include "formats/tensorflow/graph_maker_test.hpp"
#include "formats/tensorflow/text_proto.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone::tensorflow {
namespace {

namespace fs = std::filesystem;

void varint(std::string& to, uint64_t v) {
  for (; v >= 0x80; v >>= 7) to += static_cast<char>(v | 0x80);
  to += static_cast<char>(v);
}

// A block of entries that share no prefixes, as LevelDB lays it out.
std::string block(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string b;
  for (const auto& [key, value] : entries) {
    varint(b, 0);
    varint(b, key.size());
    varint(b, value.size());
    b += key + value;
  }
  return b + std::string("\0\0\0\0\1\0\0\0", 8);
}

std::string table(const std::vector<std::pair<std::string, std::string>>& entries, bool packed = false) {
  std::string data = block(entries), file;
  if (packed) {
    // Snappy: the size, then one literal.
    std::string p;
    varint(p, data.size());
    p += static_cast<char>(61 << 2);
    p += static_cast<char>((data.size() - 1) & 0xff);
    p += static_cast<char>((data.size() - 1) >> 8);
    data = p + data;
  }
  const auto put = [&](const std::string& body, char how) {
    std::string handle;
    varint(handle, file.size());
    varint(handle, body.size());
    file += body + how + std::string(4, '\0');
    return handle;
  };
  const std::string at = put(data, packed ? '\1' : '\0');
  const std::string meta = put(block({}), '\0'), index = put(block({{"z", at}}), '\0');
  std::string footer = meta + index;
  footer.resize(40);
  return file + footer + std::string("\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
}

std::string entry(const std::vector<int64_t>& shape, int64_t offset, int64_t size) {
  std::string e;
  protozero::pbf_writer w(e);
  w.add_int32(1, 1);
  w.add_message(2, shape_message(shape));
  w.add_int64(4, offset);
  w.add_int64(5, size);
  return e;
}

TEST(Checkpoint, reads_tables_stored_plain_and_packed) {
  for (const bool packed : {false, true}) {
    const auto t = read_table(table({{"a", "first"}, {"b", std::string(300, 'x')}}, packed));
    ASSERT_EQ(t.size(), 2u);
    EXPECT_EQ(t[0].second, "first");
    EXPECT_EQ(t[1].second, std::string(300, 'x'));
  }
}

TEST(Checkpoint, unpacks_copies_that_overlap_what_they_make) {
  // "ab", then eight bytes from two back.
  EXPECT_EQ(unpack_snappy(std::string("\x0a\x04"
                                      "ab"
                                      "\x11\x02",
                                      6)),
            "ababababab");
  EXPECT_THROW(unpack_snappy(std::string("\x0a\x04"
                                         "ab"
                                         "\x11\x03",
                                         6)),
               Error);
}

TEST(Checkpoint, damaged_tables_are_refused) {
  const std::string whole = table({{"a", "first"}, {"b", "second"}});
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string b = whole;
    if (round % 4 == 0) b.resize(random() % b.size());
    for (int k = 0; k < 3 && !b.empty(); ++k) b[random() % b.size()] = static_cast<char>(random());
    try {
      read_table(b);
    } catch (const Error&) {
    }
  }
  EXPECT_THROW(read_table("no table"), Error);
}

TEST(Checkpoint, a_meta_graph_takes_its_variables_from_the_checkpoint_beside_it) {
  const fs::path folder = fs::path(testing::TempDir()) / "meta";
  fs::create_directories(folder);
  const float stored[] = {1, 2, 3, 4};
  write_file((folder / "m.data-00000-of-00001").string(),
             std::string_view(reinterpret_cast<const char*>(stored), sizeof stored));
  std::string header;
  protozero::pbf_writer(header).add_int32(1, 1);
  write_file((folder / "m.index").string(), table({{"", header}, {"w", entry({2, 2}, 0, 16)}}));
  GraphMaker m;
  m.input("x", {1, 2})
      .node("w", "VariableV2", {}, {type_attribute("dtype", 1), shape_attribute("shape", {2, 2})})
      .node("y", "MatMul", {"x", "w"});
  std::string meta;
  protozero::pbf_writer(meta).add_message(2, m.bytes());
  std::string info;
  protozero::pbf_writer(info).add_string(4, "serve");
  std::string file;
  protozero::pbf_writer w(file);
  w.add_message(1, info);
  w.add_message(2, m.bytes());
  write_file((folder / "m.meta").string(), file);
  const Graph g = read_tensorflow((folder / "m.meta").string());
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({1, 2}, {1, 10})})[0].tensor().to_doubles(), (std::vector<double>{31, 42}));
  // Without it the variable is named.
  fs::remove(folder / "m.index");
  try {
    read_tensorflow((folder / "m.meta").string());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("content of variable 'w'"), std::string::npos) << e.what();
  }
}

TEST(TextProto, a_graph_as_text_is_the_graph) {
  const std::string text = R"(# a comment
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "shape" value { shape { dim { size: 2 } } } } }
node { name: "c" op: "Const" device: '/cpu:0' attr < key: "dtype" value < type: DT_FLOAT > >
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: "\000\000\200?" "\x00\x00\x00@" } } } }
node { name: "y" op: "Mul" input: "x" input: "c" }
versions { producer: 27 }
)";
  const auto binary = std::make_shared<const std::string>(binary_from_text(text));
  const Graph g = parse_tensorflow(*binary, binary);
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({2}, {3, 4})})[0].tensor().to_doubles(), (std::vector<double>{3, 8}));
  EXPECT_THROW(binary_from_text("node { name: \"x\""), Error);
  EXPECT_THROW(binary_from_text("node { attr { value { type: DT_NOTHING } } }"), Error);
}

TEST(TextProto, strings_may_be_stored_as_content) {
  const auto read = [](const std::string& content) {
    const auto binary = std::make_shared<const std::string>(binary_from_text(
        R"(node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_STRING } }
  attr { key: "value" value { tensor { dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: ")" +
        content + R"(" } } } }
node { name: "y" op: "Identity" input: "c" attr { key: "T" value { type: DT_STRING } } })"));
    return evaluate(parse_tensorflow(*binary, binary), {})[0].tensor().strings();
  };
  EXPECT_EQ(read("\\002\\00317250"), (std::vector<std::string>{"17", "250"}));
  EXPECT_THROW(read("\\002\\0031725"), Error);
  EXPECT_THROW(read("\\002"), Error);
  EXPECT_THROW(read("\\377\\377\\377\\377\\377\\377\\377\\377\\377\\377\\001\\001a"), Error);
}

}  // namespace
}  // namespace hone::tensorflow
