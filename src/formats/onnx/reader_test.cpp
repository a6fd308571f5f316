#include "formats/onnx/reader.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/file.hpp"
#include "formats/formats.hpp"
#include "formats/onnx/emit.hpp"
#include "formats/onnx/file_maker_test.hpp"
#include "formats/onnx/proto.hpp"
#include "formats/protobuf.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

using File = OnnxFile;

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(OnnxReader, computes_nodes_listed_in_any_order) {
  File f;
  f.input("x", ElementType::f32, {2}).add(File::node("Neg", {"a"}, {"y"})).add(File::node("Add", {"x", "w"}, {"a"}));
  f.constant("w", Tensor::of<float>({2}, {1, 2})).output("y");
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({2}, {10, 20})}).identical(Tensor::of<float>({2}, {-11, -22})));
}

TEST(OnnxReader, keeps_tensor_and_node_names) {
  File f;
  f.input("x", ElementType::f32, {2})
      .add(File::node("Relu", {"x"}, {"hidden"}))
      .add(File::node("Neg", {"hidden"}, {"y"}))
      .output("y");
  const Graph g = f.read();
  EXPECT_TRUE(g.input("x"));
  const Value y = g.outputs()[0], hidden = y.node().input(0);
  EXPECT_EQ(hidden.names(), std::vector<std::string>{"hidden"});
  EXPECT_EQ(hidden.node().name(), "hidden_node");
  EXPECT_EQ(g.node(hidden.node().id).provenance, std::vector<std::string>{"hidden_node"});
  EXPECT_EQ(g.handle(g.results()[0]).name(), "y");
}

TEST(OnnxReader, offers_near_names_for_the_first_unknown_operators_alone) {
  File f;
  f.input("x", ElementType::f32, {2});
  for (int i = 0; i < 30; ++i) f.add(File::node("Relu" + std::to_string(i), {"x"}, {"y" + std::to_string(i)}));
  const std::string m = message_of([&] { f.read(); });
  size_t offers = 0;
  for (size_t at = m.find("nearest known"); at != m.npos; at = m.find("nearest known", at + 1)) ++offers;
  EXPECT_EQ(offers, 20u);
  EXPECT_NE(m.find("Relu29 x1"), m.npos) << m;
}

TEST(OnnxReader, reports_all_unknown_operators_with_their_nodes_and_near_names) {
  File f;
  f.input("x", ElementType::f32, {2})
      .add(File::node("Relux", {"x"}, {"a"}))
      .add(File::node("Relux", {"a"}, {"b"}))
      .add(File::node("Magic", {"b"}, {"y"}, "my.domain"))
      .output("y");
  const std::string m = message_of([&] { f.read(); });
  EXPECT_NE(m.find("Relux x2 (a_node, b_node)"), m.npos) << m;
  EXPECT_NE(m.find("nearest known: Relu"), m.npos) << m;
  EXPECT_NE(m.find("my.domain::Magic x1 (y_node)"), m.npos) << m;
}

TEST(OnnxReader, refuses_a_missing_operator_set_by_name) {
  File f;
  f.opset = 0;
  f.input("x", ElementType::f32, {2}).add(File::node("Relu", {"x"}, {"y"})).output("y");
  EXPECT_NE(message_of([&] { f.read(); }).find("lacks opset_import"), std::string::npos);
  f.ir = 2;  // from before operator sets: the rules of set 1 hold
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({2}, {-1, 2})}).identical(Tensor::of<float>({2}, {0, 2})));
}

TEST(OnnxReader, refuses_operator_sets_from_the_future) {
  File f;
  f.opset = 99;
  f.input("x", ElementType::f32, {2}).add(File::node("Relu", {"x"}, {"y"})).output("y");
  EXPECT_NE(message_of([&] { f.read(); }).find("operator set 99"), std::string::npos);
}

TEST(OnnxReader, inlines_functions_with_their_attributes) {
  File f;
  std::string attribute, node = File::node("LeakyRelu", {"a"}, {"b"});
  pbf_writer(attribute).add_string(1, "alpha");
  pbf_writer(attribute).add_int32(20, 1);
  pbf_writer(attribute).add_string(21, "slope");
  pbf_writer(node).add_message(5, attribute);
  std::string function, set;
  pbf_writer(set).add_int64(2, 17);
  pbf_writer w(function);
  w.add_string(1, "Leak");
  w.add_string(4, "a");
  w.add_string(5, "b");
  w.add_message(7, node);
  w.add_message(9, set);
  w.add_string(10, "my.domain");
  pbf_writer(f.functions).add_message(25, function);
  f.input("x", ElementType::f32, {2})
      .add(File::node("Leak", {"x"}, {"y"}, "my.domain", onnx::AttributeList().f("slope", 0.5)))
      .output("y");
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({2}, {-2, 4})}).identical(Tensor::of<float>({2}, {-1, 4})));
}

TEST(OnnxReader, lifts_values_that_branches_capture) {
  auto branch = [](const std::string& op) {
    File b;
    b.add(File::node(op, {"x", "w"}, {"r_" + op})).output("r_" + op);
    return b.graph;
  };
  File f;
  f.input("c", ElementType::i64, {}).input("x", ElementType::f32, {2}).constant("w", Tensor::of<float>({2}, {3, 4}));
  f.add(File::node("Cast", {"c"}, {"cond"}, "", onnx::AttributeList().i("to", 9)));
  f.add(File::node("If", {"cond"}, {"y"}, "",
                   onnx::AttributeList().graph("then_branch", branch("Add")).graph("else_branch", branch("Mul"))))
      .output("y");
  const Graph g = f.read();
  const Tensor x = Tensor::of<float>({2}, {10, 20});
  EXPECT_TRUE(run(g, {Tensor::scalar<int64_t>(1), x}).identical(Tensor::of<float>({2}, {13, 24})));
  EXPECT_TRUE(run(g, {Tensor::scalar<int64_t>(0), x}).identical(Tensor::of<float>({2}, {30, 80})));
}

// If(c) around `then`, whose result is o, with x = 1 and w = 5 outside.
File with_branch(const std::string& then, const std::string& before = {}, const std::string& behind = {}) {
  File other, f;
  other.add(File::node("Identity", {"x"}, {"other"})).output("other");
  f.input("x", ElementType::f32, {1})
      .constant("w", Tensor::of<float>({1}, {5}))
      .constant("c", Tensor::scalar<bool>(true));
  if (!before.empty()) f.add(before);
  f.add(File::node("If", {"c"}, {"y"}, "",
                   onnx::AttributeList().graph("then_branch", then).graph("else_branch", other.graph)));
  if (!behind.empty()) f.add(behind);
  f.output("y");
  return f;
}

TEST(OnnxReader, stored_tensors_of_a_branch_hide_values_around_it) {
  for (const std::string& before : {std::string(), File::node("Neg", {"x"}, {"z"})}) {
    const std::string name = before.empty() ? "w" : "z";
    File then;
    then.constant(name, Tensor::of<float>({1}, {7})).add(File::node("Add", {"x", name}, {"o"})).output("o");
    const Graph g = with_branch(then.graph, before).read();
    EXPECT_TRUE(run(g, {Tensor::of<float>({1}, {1})}).identical(Tensor::of<float>({1}, {8}))) << name;
  }
}

TEST(OnnxReader, inputs_of_a_loop_hide_values_around_it) {
  for (const char* name : {"x", "z", "w"}) {
    File body, f;
    body.input("i", ElementType::i64, {}).input("k", ElementType::i64, {}).input(name, ElementType::f32, {1});
    body.add(File::node("Identity", {"k"}, {"more"})).add(File::node("Add", {name, name}, {"twice"}));
    body.output("more").output("twice");
    f.input("x", ElementType::f32, {1})
        .constant("w", Tensor::of<float>({1}, {5}))
        .constant("n", Tensor::scalar<int64_t>(3));
    f.add(File::node("Neg", {"x"}, {"z"}));
    f.add(File::node("Loop", {"n", "", "x"}, {"y"}, "", onnx::AttributeList().graph("body", body.graph))).output("y");
    EXPECT_TRUE(run(f.read(), {Tensor::of<float>({1}, {1})}).identical(Tensor::of<float>({1}, {8}))) << name;
  }
}

TEST(OnnxReader, results_of_a_branch_may_have_names_of_what_comes_later) {
  File same;  // the result of the If itself
  same.add(File::node("Neg", {"x"}, {"y"})).output("y");
  EXPECT_EQ(run(with_branch(same.graph).read(), {Tensor::of<float>({1}, {1})}).data<float>()[0], -1);
  File then;
  then.add(File::node("Neg", {"x"}, {"late"})).add(File::node("Abs", {"late"}, {"o"})).output("o");
  File f = with_branch(then.graph, {}, File::node("Add", {"y", "x"}, {"late"}));
  f.output("late");
  const auto results = evaluate(f.read(), {Tensor::of<float>({1}, {-3})});
  EXPECT_EQ(results[0].tensor().data<float>()[0], 3);
  EXPECT_EQ(results[1].tensor().data<float>()[0], 0);
}

TEST(OnnxReader, refuses_results_of_a_branch_with_names_of_values_around_it) {
  for (const char* name : {"x", "w", "z"}) {
    File then;
    then.add(File::node("Neg", {"c"}, {name})).add(File::node("Identity", {name}, {"o"})).output("o");
    try {
      with_branch(then.graph, File::node("Neg", {"x"}, {"z"})).read();
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_NE(e.message().find("output '" + std::string(name) + "' of a subgraph has the name of a value"),
                std::string::npos)
          << e.what();
    }
  }
}

TEST(OnnxReader, an_optional_may_hold_nothing_of_a_type) {
  std::string tensor, type, attribute;
  protozero::pbf_writer(tensor).add_int32(1, 1);
  protozero::pbf_writer(type).add_message(1, tensor);
  protozero::pbf_writer w(attribute);
  w.add_string(1, "type");
  w.add_message(14, type);
  w.add_int32(20, 13);
  std::string none = File::node("Optional", {}, {"none"});
  protozero::pbf_writer(none).add_message(5, attribute);
  File f;
  f.add(none).add(File::node("OptionalHasElement", {"none"}, {"y"})).output("y");
  EXPECT_TRUE(run(f.read(), {}).identical(Tensor::scalar<bool>(false)));
  File untyped;
  untyped.add(File::node("Optional", {}, {"none"})).add(File::node("OptionalHasElement", {"none"}, {"y"})).output("y");
  EXPECT_THROW(untyped.read(), Error);
}

TEST(OnnxReader, maps_external_data_and_refuses_paths_that_leave_the_folder) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "external_data";
  std::filesystem::create_directories(folder);
  const float values[2] = {5, 7};
  write_file((folder / "w.bin").string(), std::string_view(reinterpret_cast<const char*>(values), sizeof values));
  auto model = [](const std::string& location) {
    std::string tensor, entry;
    pbf_writer(entry).add_string(1, "location");
    pbf_writer(entry).add_string(2, location);
    pbf_writer w(tensor);
    w.add_int64(1, 2);
    w.add_int32(2, 1);
    w.add_string(8, "w");
    w.add_message(13, entry);
    w.add_int32(14, 1);
    File f;
    f.input("x", ElementType::f32, {2}).add(File::node("Add", {"x", "w"}, {"y"})).output("y");
    pbf_writer(f.graph).add_message(5, tensor);
    return f.bytes();
  };
  const std::string path = (folder / "m.onnx").string();
  write_file(path, model("w.bin"));
  EXPECT_TRUE(run(read_onnx(path), {Tensor::of<float>({2}, {1, 1})}).identical(Tensor::of<float>({2}, {6, 8})));
  for (const char* bad : {"../w.bin", "/etc/passwd", "a/../../w.bin"}) {
    write_file(path, model(bad));
    EXPECT_NE(message_of([&] { read_onnx(path); }).find("outside of the model's folder"), std::string::npos) << bad;
  }
}

TEST(OnnxReader, never_crashes_on_truncated_or_flipped_files) {
  File f;
  f.input("x", ElementType::f32, {1, 2, 4, 4}).constant("w", Tensor(ElementType::f32, {3, 2, 3, 3}));
  f.add(File::node("Conv", {"x", "w"}, {"a"}, "", onnx::AttributeList().ints("pads", {1, 1, 1, 1})))
      .add(File::node("Softmax", {"a"}, {"y"}))
      .output("y");
  const std::string whole = f.bytes();
  auto attempt = [](const std::string& bytes) {
    auto owner = std::make_shared<std::string>(bytes);
    try {
      parse_onnx(*owner, owner);
    } catch (const Error&) {
    }
  };
  for (size_t n = 0; n < whole.size(); ++n) attempt(whole.substr(0, n));
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string flipped = whole;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    attempt(flipped);
  }
}

TEST(OnnxReader, refuses_a_field_of_another_wire_type) {
  // Field 8 of the model (operator sets) holds field 1 (a name) as a number.
  const std::string bytes("\x08\x0d\x42\x02\x08\x0d", 6);
  EXPECT_THROW(
      {
        try {
          parse_onnx(bytes, nullptr, "");
        } catch (const Error& e) {
          EXPECT_NE(e.message().find("the file is malformed"), std::string::npos) << e.message();
          throw;
        }
      },
      Error);
}

TEST(OnnxReader, inputs_of_past_fuzzing_end_in_a_model_or_an_error) {
  size_t files = 0;
  for (const auto& e : std::filesystem::directory_iterator(std::string(HONE_SOURCE_DIR) + "/tests/fuzz/corpus/onnx")) {
    const auto bytes = std::make_shared<const std::string>(read_text_file(e.path().string()));
    try {
      parse_onnx(*bytes, bytes);
    } catch (const Error&) {
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace hone
