#include "formats/tensorflow/reader.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/formats.hpp"
#include "formats/onnx/reader.hpp"
#include "formats/onnx/writer.hpp"
#include "formats/tensorflow/graph_maker_test.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone::tensorflow {
namespace {

namespace fs = std::filesystem;

std::string data_folder() {
  if (const char* d = std::getenv("HONE_DATA")) return d;
  return (fs::path(HONE_SOURCE_DIR) / "../shared/data").lexically_normal().string();
}

std::vector<double> run(const Graph& g, const std::vector<Datum>& in, size_t output = 0) {
  return evaluate(g, in).at(output).tensor().to_doubles();
}

std::string message_of(const GraphMaker& m) {
  try {
    m.read();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

size_t count(const Graph& g, std::string_view op) {
  size_t n = 0;
  for (const NodeId id : g.topological_order()) n += g.node(id).op->name == op;
  return n;
}

TEST(TensorFlow, reads_a_convolution_with_channels_last) {
  GraphMaker m;
  m.input("x", {1, 3, 3, 1}).constant("w", {2, 2, 1, 1}, {1, 2, 3, 4});
  m.node("y", "Conv2D", {"x", "w"}, {ints_attribute("strides", {1, 1, 1, 1}), text_attribute("padding", "SAME")});
  const Graph g = m.read();
  ASSERT_EQ(g.parameters().size(), 1u);
  EXPECT_EQ(g.inputs()[0].shape(), PartialShape(Shape{1, 3, 3, 1}));
  const Tensor x = Tensor::of<float>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  // SAME pads below and to the right.
  EXPECT_EQ(run(g, {x}), (std::vector<double>{37, 47, 21, 67, 77, 33, 23, 26, 9}));
  EXPECT_EQ(g.handle(g.results()[0]).name(), "y");
}

TEST(TensorFlow, resizes_by_its_table_of_cubic_weights) {
  const std::vector<float> pixels{0, 10, 40, 90};
  // What TensorFlow 2.21 gives: plain, with aligned corners, with half pixels.
  const std::vector<std::vector<double>> wanted{
      {0, 2.65201521, 13.7544403, 27.041563, 56.4953613, 84.3556366, 95.2469559},
      {0, 2.1875, 10, 21.25, 40, 67.8125, 90},
      {-0.792163968, 1.87691414, 8.62827778, 22.5, 43.1780701, 76.0285263, 93.9608154}};
  for (size_t k = 0; k < wanted.size(); ++k) {
    GraphMaker m;
    m.input("x", {1, 1, 4, 1}).ints("size", {2}, {1, 7});
    m.node("y", "ResizeBicubic", {"x", "size"},
           {flag_attribute("align_corners", k == 1), flag_attribute("half_pixel_centers", k == 2)});
    const auto y = run(m.read(), {Tensor::of<float>({1, 1, 4, 1}, std::span<const float>(pixels))});
    ASSERT_EQ(y.size(), 7u);
    for (size_t i = 0; i < 7; ++i) EXPECT_NEAR(y[i], wanted[k][i], 2e-5) << k << " " << i;
  }
}

TEST(TensorFlow, resizes_by_area_and_by_kernels_that_reach_further) {
  const Tensor x = Tensor::of<float>({1, 1, 4, 1}, {0, 10, 40, 90});
  const auto expect = [&](const GraphMaker& m, const std::vector<double>& wanted) {
    const auto y = run(m.read(), {x});
    ASSERT_EQ(y.size(), wanted.size());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], wanted[i], 2e-5) << i;
  };
  // What TensorFlow 2.21 gives.
  const std::pair<const char*, std::vector<double>> kernels[] = {
      {"lanczos3", {-0.27968406677246094, 10.103318214416504, 69.7115478515625}},
      {"gaussian", {1.8242552280426025, 18.04014015197754, 62.24662780761719}},
      {"box", {0, 10, 65}},
      {"triangle", {1.25, 17.272727966308594, 65.00000762939453}},
      {"keyscubic", {-0.8405795693397522, 13.589743614196777, 67.1966552734375}},
      {"mitchellcubic", {0.3469191789627075, 15.574406623840332, 64.99755859375}}};
  for (const auto& [kernel, wanted] : kernels) {
    GraphMaker m;
    m.input("x", {1, 1, 4, 1}).ints("size", {2}, {1, 3});
    m.constant("scale", {2}, {1, 0.75f}).constant("translation", {2}, {0, 0.25f});
    m.node("y", "ScaleAndTranslate", {"x", "size", "scale", "translation"}, {text_attribute("kernel_type", kernel)});
    expect(m, wanted);
  }
  for (const bool corners : {false, true}) {
    GraphMaker m;
    m.input("x", {1, 1, 4, 1}).ints("size", {2}, {1, corners ? 7 : 3});
    m.node("y", "ResizeArea", {"x", "size"}, {flag_attribute("align_corners", corners)});
    expect(m, corners ? std::vector<double>{0, 0, 10, 10, 40, 40, 90} : std::vector<double>{2.5, 25, 77.5});
  }
}

TEST(TensorFlow, slices_and_pads_complex_numbers) {
  const auto real_of = [](GraphMaker& m, const std::string& spectrum) {
    m.node("y", "Real", {spectrum});
    return run(m.read(), {Tensor::of<float>({1, 4}, {1, 2, 4, 8})});  // spectrum 15, -3 + 6i, -5
  };
  GraphMaker slice;
  slice.input("x", {1, 4}).ints("length", {1}, {4}).ints("begin", {2}, {0, 1}).ints("end", {2}, {0, 3});
  slice.ints("strides", {2}, {1, 1}).node("f", "RFFT", {"x", "length"});
  slice.node("s", "StridedSlice", {"f", "begin", "end", "strides"}, {int_attribute("ellipsis_mask", 1)});
  EXPECT_EQ(real_of(slice, "s"), (std::vector<double>{-3, -5}));
  GraphMaker pad;
  pad.input("x", {1, 4}).ints("length", {1}, {4}).ints("by", {2, 2}, {0, 0, 1, 0}).node("f", "RFFT", {"x", "length"});
  pad.node("p", "Pad", {"f", "by"});
  EXPECT_EQ(real_of(pad, "p"), (std::vector<double>{0, 15, -3, -5}));
}

TEST(TensorFlow, changes_the_colours_of_pictures) {
  const auto expect = [](const std::string& op, const std::vector<std::string>& in, const std::vector<double>& wanted) {
    GraphMaker m;
    m.input("x", {1, 1, 2, 3}).constant("by", {}, {0.5f}).node("y", op, in);
    const auto y = run(m.read(), {Tensor::of<float>({1, 1, 2, 3}, {0.25f, 0.5f, 1, 0.5f, 0.5f, 0.5f})});
    ASSERT_EQ(y.size(), wanted.size());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], wanted[i], 1e-6) << op << " " << i;
  };
  // A blue and a grey: hue 2/3 - (0.5 - 0.25) / (6 * 0.75).
  expect("RGBToHSV", {"x"}, {4.0 / 6 - 0.25 / 4.5, 0.75, 1, 0, 0, 0.5});
  expect("HSVToRGB", {"x"}, {0.75, 1, 0.5, 0.25, 0.5, 0.5});
  expect("AdjustHue", {"x", "by"}, {1, 0.75, 0.25, 0.5, 0.5, 0.5});
  expect("AdjustSaturation", {"x", "by"}, {0.625, 0.75, 1, 0.5, 0.5, 0.5});
  expect("AdjustContrastv2", {"x", "by"}, {0.3125, 0.5, 0.875, 0.4375, 0.5, 0.625});
}

TEST(TensorFlow, refuses_functions_that_change_state) {
  GraphMaker m;
  m.input("x", {2});
  m.node("v", "VarHandleOp", {}, {type_attribute("dtype", 1)});
  m.function(
      "step", {{"a", 1}, {"r", 20}}, {{"out", 1}},
      {node_message("sum", "AddV2", {"a", "a"}, {}), node_message("keep", "AssignVariableOp", {"r", "sum:z:0"}, {})},
      {"sum:z:0"});
  m.node("y", "StatefulPartitionedCall", {"x", "v"}, {function_attribute("f", "step")});
  const std::string text = message_of(m);
  EXPECT_NE(text.find("state that changes from run to run is not offered: 'y/keep'"), std::string::npos) << text;
}

TEST(TensorFlow, what_only_training_needs_is_dropped) {
  GraphMaker m;
  m.input("x", {2}).constant("c", {}, {3}).node("y", "Mul", {"x", "c"});
  m.node("file", "Const", {}, {}).node("save", "SaveV2", {"file", "y"}).node("assign", "Assign", {"c", "y"});
  m.node("summary", "HistogramSummary", {"y", "y"});
  const Graph g = m.read();
  ASSERT_EQ(g.results().size(), 1u);
  EXPECT_EQ(run(g, {Tensor::of<float>({2}, {1, 2})}), (std::vector<double>{3, 6}));
}

TEST(TensorFlow, reports_all_unknown_operators_at_once) {
  GraphMaker m;
  m.input("x", {2}).node("a", "Relux", {"x"}).node("b", "Frobnicate", {"a"}).node("c", "Relux", {"b"});
  const std::string text = message_of(m);
  EXPECT_NE(text.find("Relux x2 (a, c), nearest known: Relu"), text.npos) << text;
  EXPECT_NE(text.find("Frobnicate x1 (b)"), text.npos) << text;
}

TEST(TensorFlow, builds_functions_in_place_and_names_their_tensors) {
  GraphMaker m;
  m.input("x", {2})
      .node("call", "PartitionedCall", {"x"}, {function_attribute("f", "twice")})
      .node("y", "Neg", {"call"});
  m.function("twice", {{"a", 1}}, {{"out", 1}}, {node_message("sum", "AddV2", {"a", "a"}, {})}, {"sum:z:0"});
  const Graph g = m.read();
  EXPECT_EQ(run(g, {Tensor::of<float>({2}, {1, 2})}), (std::vector<double>{-2, -4}));
  bool named = false;
  for (const NodeId id : g.topological_order()) named = named || g.node(id).name == "call/sum";
  EXPECT_TRUE(named);
}

TEST(TensorFlow, a_switch_and_a_merge_become_if) {
  GraphMaker m;
  m.input("x", {2}).input("p", {}, 10).node("s", "Switch", {"x", "p"});
  m.node("no", "Neg", {"s"}).node("yes", "Square", {"s:1"}).node("y", "Merge", {"no", "yes"});
  const Graph g = m.read();
  EXPECT_EQ(count(g, "If"), 1u);
  const Tensor x = Tensor::of<float>({2}, {3, 4});
  EXPECT_EQ(run(g, {x, Tensor::scalar<bool>(true)}), (std::vector<double>{9, 16}));
  EXPECT_EQ(run(g, {x, Tensor::scalar<bool>(false)}), (std::vector<double>{-3, -4}));
}

TEST(TensorFlow, a_condition_that_is_known_leaves_one_side) {
  GraphMaker m;
  m.input("x", {2}).constant("zero", {}, {0}).constant("one", {}, {1}).node("p", "Less", {"zero", "one"});
  m.node("s", "Switch", {"x", "p"})
      .node("no", "Neg", {"s"})
      .node("yes", "Square", {"s:1"})
      .node("y", "Merge", {"no", "yes"});
  const Graph g = m.read();
  EXPECT_EQ(count(g, "If"), 0u);
  EXPECT_EQ(run(g, {Tensor::of<float>({2}, {3, 4})}), (std::vector<double>{9, 16}));
}

TEST(TensorFlow, a_loop_of_frames_becomes_a_counted_loop) {
  // for (i = 0; i < 5; ++i) v = v * 2 + x
  GraphMaker m;
  m.input("x", {2}).ints("zero", {}, {0}).ints("one", {}, {1}).ints("five", {}, {5}).constant("two", {}, {2});
  const std::vector<Attribute> frame{text_attribute("frame_name", "loop")},
      fixed{text_attribute("frame_name", "loop"), flag_attribute("is_constant", true)};
  m.node("i_in", "Enter", {"zero"}, frame)
      .node("v_in", "Enter", {"x"}, frame)
      .node("x_in", "Enter", {"x"}, fixed)
      .node("n_in", "Enter", {"five"}, fixed);
  m.node("i", "Merge", {"i_in", "i_next"}).node("v", "Merge", {"v_in", "v_next"});
  m.node("less", "Less", {"i", "n_in"}).node("cond", "LoopCond", {"less"});
  m.node("i_s", "Switch", {"i", "cond"}).node("v_s", "Switch", {"v", "cond"});
  m.node("i_add", "Add", {"i_s:1", "one"}).node("i_next", "NextIteration", {"i_add"});
  m.node("v_mul", "Mul", {"v_s:1", "two"})
      .node("v_add", "Add", {"v_mul", "x_in"})
      .node("v_next", "NextIteration", {"v_add"});
  m.node("y", "Exit", {"v_s"});
  const Graph g = m.read();
  ASSERT_EQ(count(g, "Loop"), 1u);
  for (const NodeId id : g.topological_order()) {
    if (g.node(id).op->name != "Loop") continue;
    const Tensor trips = g.handle(id).input(0).constant();
    ASSERT_TRUE(trips);
    EXPECT_EQ(get_integer(trips, 0), 5);
  }
  EXPECT_EQ(run(g, {Tensor::of<float>({2}, {1, 2})}), (std::vector<double>{63, 126}));
}

TEST(TensorFlow, a_while_of_functions_runs_until_its_condition_fails) {
  // while (sum(v) < 100) v = v + v
  GraphMaker m;
  m.input("x", {2}).node("y", "While", {"x"}, {function_attribute("cond", "c"), function_attribute("body", "b")});
  m.function("c", {{"v", 1}}, {{"more", 10}},
             {node_message("axes", "Const", {}, {type_attribute("dtype", 3), ints_tensor_attribute({1}, {0})}),
              node_message("sum", "Sum", {"v", "axes:output:0"}, {}),
              node_message("limit", "Const", {}, {type_attribute("dtype", 1), tensor_attribute({}, {100})}),
              node_message("less", "Less", {"sum:output:0", "limit:output:0"}, {})},
             {"less:z:0"});
  m.function("b", {{"v", 1}}, {{"w", 1}}, {node_message("add", "AddV2", {"v", "v"}, {})}, {"add:z:0"});
  EXPECT_EQ(run(m.read(), {Tensor::of<float>({2}, {1, 2})}), (std::vector<double>{64, 128}));
}

TEST(TensorFlow, values_that_a_loop_writes_one_by_one_are_collected) {
  // list[i] = x * i for i below 3, stacked
  GraphMaker m;
  m.input("x", {2}).ints("n", {}, {3}).ints("zero", {}, {0}).ints("shape", {}, {-1});
  m.node("list", "TensorListReserve", {"shape", "n"}, {type_attribute("element_dtype", 1)});
  m.node("loop", "StatelessWhile", {"zero", "list", "n", "x"},
         {function_attribute("cond", "c"), function_attribute("body", "b")});
  m.node("y", "TensorListStack", {"loop:1", "shape"}, {type_attribute("element_dtype", 1)});
  const std::vector<GraphMaker::Argument> in{{"i", 3}, {"l", 21}, {"m", 3}, {"v", 1}},
      out{{"i_out", 3}, {"l_out", 21}, {"m_out", 3}, {"v_out", 1}};
  m.function("c", in, {{"more", 10}}, {node_message("less", "Less", {"i", "m"}, {})}, {"less:z:0"});
  m.function("b", in, out,
             {node_message("one", "Const", {}, {type_attribute("dtype", 3), ints_tensor_attribute({}, {1})}),
              node_message("next", "AddV2", {"i", "one:output:0"}, {}),
              node_message("f", "Cast", {"i"}, {type_attribute("SrcT", 3), type_attribute("DstT", 1)}),
              node_message("item", "Mul", {"v", "f:y:0"}, {}),
              node_message("set", "TensorListSetItem", {"l", "i", "item:z:0"}, {type_attribute("element_dtype", 1)})},
             {"next:z:0", "set:output_handle:0", "m", "v"});
  const Graph g = m.read();
  EXPECT_EQ(g.outputs()[0].shape(), PartialShape(Shape{3, 2}));
  EXPECT_EQ(count(g, "ScatterNDUpdate"), 0u);
  EXPECT_EQ(run(g, {Tensor::of<float>({2}, {1, 2})}), (std::vector<double>{0, 0, 1, 2, 2, 4}));
}

TEST(TensorFlow, a_list_of_dynamic_size_grows_to_the_index_written) {
  GraphMaker m;
  m.input("x", {2}).ints("none", {}, {0}).ints("two", {}, {2}).ints("shape", {}, {-1});
  m.node("list", "TensorListReserve", {"shape", "none"}, {type_attribute("element_dtype", 1)});
  m.node("set", "TensorListSetItem", {"list", "two", "x"},
         {type_attribute("element_dtype", 1), flag_attribute("resize_if_input_not_big_enough", true)});
  m.node("y", "TensorListStack", {"set", "shape"}, {type_attribute("element_dtype", 1)});
  EXPECT_EQ(run(m.read(), {Tensor::of<float>({2}, {3, 4})}), (std::vector<double>{0, 0, 0, 0, 3, 4}));
}

TEST(TensorFlow, malformed_graphs_are_refused) {
  EXPECT_NE(message_of(GraphMaker().input("x", {2}).node("y", "Relu", {"z"})).find("lacks a node 'z'"),
            std::string::npos);
  EXPECT_NE(
      message_of(GraphMaker().node("a", "Relu", {"b"}).node("b", "Relu", {"a"}).node("c", "Relu", {"b"})).find("cycle"),
      std::string::npos);
  EXPECT_NE(
      message_of(GraphMaker().node("c", "Const", {}, {tensor_attribute({1000, 1000}, {1, 2})}).node("y", "Relu", {"c"}))
          .find("fewer bytes"),
      std::string::npos);
  GraphMaker again;
  again.input("x", {2}).node("y", "PartitionedCall", {"x"}, {function_attribute("f", "f")});
  again.function("f", {{"a", 1}}, {{"out", 1}},
                 {node_message("call", "PartitionedCall", {"a"}, {function_attribute("f", "f")})}, {"call:output:0"});
  EXPECT_NE(message_of(again).find("too deeply"), std::string::npos);
}

TEST(TensorFlow, real_models_give_their_recorded_outputs) {
  const std::string data = data_folder();
  if (!fs::exists(data + "/models/tf")) GTEST_SKIP() << "no test data: set HONE_DATA to the folder with models/";
  const auto r = run_conformance(data + "/models/tf");
  EXPECT_GE(r.pass, 5u);
  for (const CaseResult& c : r.cases) EXPECT_EQ(c.status, CaseStatus::pass) << c.name << ": " << c.reason;
}

TEST(TensorFlow, a_saved_model_has_the_inputs_and_outputs_of_its_signature) {
  const std::string data = data_folder();
  const std::string saved = data + "/models/tf/basic_pitch_savedmodel";
  if (!fs::exists(saved)) GTEST_SKIP() << "no test data: set HONE_DATA to the folder with models/";
  const Graph g = read_model(saved);
  ASSERT_EQ(g.inputs().size(), 1u);
  EXPECT_EQ(g.handle(g.parameters()[0]).name(), "input_2");
  EXPECT_EQ(g.outputs().size(), 3u);
  EXPECT_EQ(g.outputs()[0].shape(), (PartialShape{Dimension(), 172, 264}));
}

// The same graph through an ONNX file.
Graph through_onnx(const Graph& g) {
  const auto bytes = std::make_shared<const std::string>(to_onnx(g));
  return parse_onnx(*bytes, bytes);
}

TEST(TensorFlow, odd_padding_of_a_transposed_convolution_is_the_same_for_any_batch_and_in_onnx) {
  const auto network = [](int64_t batch) {
    GraphMaker m;
    m.input("x", {batch, 3, 3, 1})
        .constant("w", {3, 3, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9})
        .ints("size", {4}, {1, 6, 6, 1});
    m.node("y", "Conv2DBackpropInput", {"size", "w", "x"},
           {ints_attribute("strides", {1, 2, 2, 1}), text_attribute("padding", "SAME")});
    return m.read();
  };
  const Tensor x = Tensor::of<float>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto fixed = run(network(1), {x});
  // Without padding before: the first element is that of the first window alone.
  EXPECT_EQ(fixed[0], 1);
  EXPECT_EQ(run(network(-1), {x}), fixed);
  EXPECT_EQ(run(through_onnx(network(-1)), {x}), fixed);
}

TEST(TensorFlow, one_hot_of_indices_outside_gives_the_off_value_in_onnx_too) {
  GraphMaker m;
  m.input("i", {3}, 3).ints("depth", {}, {2}).constant("on", {}, {5}).constant("off", {}, {1});
  m.node("y", "OneHot", {"i", "depth", "on", "off"}, {int_attribute("axis", -1)});
  const std::vector<double> expected{1, 1, 5, 1, 1, 1};
  const Tensor i = Tensor::of<int32_t>({3}, {-1, 0, 2});
  EXPECT_EQ(run(m.read(), {i}), expected);
  EXPECT_EQ(run(through_onnx(m.read()), {i}), expected);
}

TEST(TensorFlow, blocks_in_the_batch_are_written_as_reshapes_to_onnx) {
  GraphMaker m;
  m.input("x", {1, 3, 1})
      .ints("block", {1}, {2})
      .ints("pads", {1, 2}, {1, 0})
      .node("b", "SpaceToBatchND", {"x", "block", "pads"});
  m.node("y", "BatchToSpaceND", {"b", "block", "pads"});
  const Tensor x = Tensor::of<float>({1, 3, 1}, {1, 2, 3});
  EXPECT_EQ(run(through_onnx(m.read()), {x}), (std::vector<double>{1, 2, 3}));
  GraphMaker half;
  half.input("x", {1, 3, 1})
      .ints("block", {1}, {2})
      .ints("pads", {1, 2}, {1, 0})
      .node("y", "SpaceToBatchND", {"x", "block", "pads"});
  EXPECT_EQ(run(through_onnx(half.read()), {x}), (std::vector<double>{0, 2, 1, 3}));
}

TEST(TensorFlow, refuses_a_slice_of_more_axes_than_any_tensor_has) {
  GraphMaker m;
  m.input("x", {2, 3})
      .input("begin", {1 << 30}, 3)
      .input("size", {1 << 30}, 3)
      .node("y", "Slice", {"x", "begin", "size"});
  EXPECT_THROW(m.read(), Error);
}

TEST(TensorFlow, inputs_of_past_fuzzing_end_in_a_model_or_an_error) {
  size_t files = 0;
  for (const auto& e : fs::directory_iterator(std::string(HONE_SOURCE_DIR) + "/tests/fuzz/corpus/tensorflow")) {
    const auto bytes = std::make_shared<const std::string>(read_text_file(e.path().string()));
    try {
      parse_tensorflow(*bytes, bytes);
    } catch (const Error&) {
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace hone::tensorflow
