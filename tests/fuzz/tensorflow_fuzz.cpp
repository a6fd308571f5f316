// The TensorFlow reader on arbitrary bytes, as a graph, as text and as the index of a checkpoint.
#include <memory>
#include <string>

#include "budget.hpp"
#include "driver.hpp"
#include "formats/tensorflow/checkpoint.hpp"
#include "formats/tensorflow/graph_maker_test.hpp"
#include "formats/tensorflow/text_proto.hpp"
#include "hone/error.hpp"

using namespace hone::tensorflow;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  const auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  const auto guarded = [](auto&& f) {
    try {
      f();
    } catch (const hone::Error&) {
    }
  };
  guarded([&] { hone::parse_tensorflow(*bytes, bytes); });
  guarded([&] { read_table(*bytes); });
  if (size > 0 && (data[0] == 'n' || data[0] == 'm')) {
    guarded([&] {
      const auto binary = std::make_shared<const std::string>(binary_from_text(*bytes));
      hone::parse_tensorflow(*binary, binary);
    });
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  std::vector<std::vector<uint8_t>> out;
  const auto add = [&](const std::string& s) { out.emplace_back(s.begin(), s.end()); };
  GraphMaker network;
  network.input("x", {1, 4, 4, 1}).constant("w", {2, 2, 1, 1}, {1, 2, 3, 4}).constant("b", {1}, {1});
  network.node("c", "Conv2D", {"x", "w"}, {ints_attribute("strides", {1, 1, 1, 1}), text_attribute("padding", "SAME")})
      .node("d", "BiasAdd", {"c", "b"});
  network.ints("shape", {2}, {1, 16}).node("r", "Reshape", {"d", "shape"}).node("y", "Softmax", {"r"});
  add(network.bytes());
  GraphMaker loop;
  loop.input("x", {2}).ints("n", {}, {3}).ints("zero", {}, {0}).ints("shape", {}, {-1});
  loop.node("list", "TensorListReserve", {"shape", "n"}, {type_attribute("element_dtype", 1)});
  loop.node("loop", "StatelessWhile", {"zero", "list", "n", "x"},
            {function_attribute("cond", "c"), function_attribute("body", "b")});
  loop.node("y", "TensorListStack", {"loop:1", "shape"}, {type_attribute("element_dtype", 1)});
  const std::vector<GraphMaker::Argument> in{{"i", 3}, {"l", 21}, {"m", 3}, {"v", 1}};
  loop.function("c", in, {{"more", 10}}, {node_message("less", "Less", {"i", "m"}, {})}, {"less:z:0"});
  loop.function("b", in, in,
                {node_message("one", "Const", {}, {type_attribute("dtype", 3), ints_tensor_attribute({}, {1})}),
                 node_message("next", "AddV2", {"i", "one:output:0"}, {}),
                 node_message("set", "TensorListSetItem", {"l", "i", "v"}, {type_attribute("element_dtype", 1)})},
                {"next:z:0", "set:output_handle:0", "m", "v"});
  add(loop.bytes());
  GraphMaker frames;
  frames.input("x", {2}).input("p", {}, 10).ints("zero", {}, {0}).ints("one", {}, {1}).ints("five", {}, {5});
  const std::vector<Attribute> frame{text_attribute("frame_name", "loop")};
  frames.node("i_in", "Enter", {"zero"}, frame)
      .node("v_in", "Enter", {"x"}, frame)
      .node("n_in", "Enter", {"five"}, frame);
  frames.node("i", "Merge", {"i_in", "i_next"})
      .node("v", "Merge", {"v_in", "v_next"})
      .node("less", "Less", {"i", "n_in"})
      .node("cond", "LoopCond", {"less"});
  frames.node("i_s", "Switch", {"i", "cond"})
      .node("v_s", "Switch", {"v", "cond"})
      .node("i_add", "Add", {"i_s:1", "one"});
  frames.node("i_next", "NextIteration", {"i_add"})
      .node("v_add", "Add", {"v_s:1", "v_s:1"})
      .node("v_next", "NextIteration", {"v_add"})
      .node("e", "Exit", {"v_s"});
  frames.node("s", "Switch", {"e", "p"})
      .node("no", "Neg", {"s"})
      .node("yes", "Square", {"s:1"})
      .node("y", "Merge", {"no", "yes"});
  add(frames.bytes());
  add("node { name: \"x\" op: \"Placeholder\" attr { key: \"dtype\" value { type: DT_FLOAT } } } node { name: \"y\" "
      "op: \"Relu\" input: \"x\" }");
  return out;
}
