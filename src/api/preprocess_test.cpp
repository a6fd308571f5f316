// Steps built into a model: against numbers computed by hand, and against OpenVINO where it is installed.
#include "hone/preprocess.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "hone/core.hpp"
#include "hone/tools.hpp"

namespace hone::preprocess {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// y = x + 1, so that nothing of the model itself can be mistaken for a step.
Model plus_one(const PartialShape& shape) {
  ModelBuilder b("plus_one");
  const auto x = b.parameter("x", ElementType::f32, shape);
  b.result("y", b.add("Add", {x, b.constant(Tensor::scalar<float>(1))}));
  return b.build();
}

Tensor run(const Model& m, const Tensor& x) {
  InferRequest r = Core().compile_model(m).create_infer_request();
  r.set_input_tensor(x);
  r.infer();
  return r.get_output_tensor().clone();
}

// What reached the model.
std::vector<double> seen(const Model& m, const Tensor& x) {
  std::vector<double> v = run(m, x).to_doubles();
  for (double& e : v) e -= 1;
  return v;
}

void expect_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance = 1e-5) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << "element " << i;
}

std::string refusal(PrePostProcessor& p) {
  try {
    p.build();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    return e.what();
  }
  return "built";
}

TEST(PrePostProcessor, takes_bytes_in_another_order_and_normalizes_them) {
  const Model m = plus_one({1, 3, 1, 2});
  PrePostProcessor p(m);
  p.input().tensor().set_element_type(ElementType::u8).set_layout("NHWC").set_color_format(ColorFormat::BGR);
  p.input()
      .preprocess()
      .convert_element_type(ElementType::f32)
      .convert_color(ColorFormat::RGB)
      .mean({10, 20, 30})
      .scale({2, 4, 5});
  p.input().model().set_layout("NCHW");
  const Model built = p.build();
  ASSERT_EQ(built.inputs().size(), 1u);
  EXPECT_EQ(built.inputs()[0].name, "x");
  EXPECT_EQ(built.inputs()[0].element_type, ElementType::u8);
  EXPECT_EQ(built.inputs()[0].partial_shape, PartialShape({1, 1, 2, 3}));
  // Two pixels, blue first.
  expect_near(seen(built, Tensor::of<uint8_t>({1, 1, 2, 3}, {1, 2, 3, 40, 60, 80})),
              {(3 - 10) / 2.0, (80 - 10) / 2.0, (2 - 20) / 4.0, (60 - 20) / 4.0, (1 - 30) / 5.0, (40 - 30) / 5.0});
}

TEST(PrePostProcessor, resizes_to_what_the_model_takes) {
  const Model m = plus_one({1, 1, 4, 4});
  PrePostProcessor p(m);
  p.input().tensor().set_spatial_static_shape(2, 2);
  p.input().preprocess().resize(ResizeAlgorithm::RESIZE_LINEAR);
  p.input().model().set_layout("NCHW");
  const Model built = p.build();
  EXPECT_EQ(built.inputs()[0].partial_shape, PartialShape({1, 1, 2, 2}));
  // Half-pixel centres: 0, 1/4, 3/4 and 1 of the way.
  expect_near(seen(built, Tensor::of<float>({1, 1, 2, 2}, {0, 4, 8, 12})),
              {0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12});
}

TEST(PrePostProcessor, takes_pictures_of_any_size) {
  const Model m = plus_one({1, 1, 1, 2});
  PrePostProcessor p(m);
  p.input().tensor().set_layout("NHWC").set_spatial_dynamic_shape();
  p.input().preprocess().resize(ResizeAlgorithm::RESIZE_NEAREST);
  p.input().model().set_layout("NCHW");
  const Model built = p.build();
  EXPECT_EQ(to_string(built.inputs()[0].partial_shape), "[1,?,?,1]");
  expect_near(seen(built, Tensor::of<float>({1, 1, 4, 1}, {1, 2, 3, 4})), {1, 3});
  expect_near(seen(built, Tensor::of<float>({1, 1, 2, 1}, {5, 6})), {5, 6});
}

TEST(PrePostProcessor, crops_and_pads) {
  const Model m = plus_one({1, 1, 2, 4});
  PrePostProcessor p(m);
  p.input().tensor().set_shape({1, 1, 4, 4});
  p.input().preprocess().crop({0, 0, 1, 1}, {1, 1, 3, -1}).pad({0, 0, 0, 1}, {0, 0, 0, 1}, -7, PaddingMode::CONSTANT);
  std::vector<float> x(16);
  for (size_t i = 0; i < 16; ++i) x[i] = static_cast<float>(i);
  expect_near(seen(p.build(), Tensor::of<float>({1, 1, 4, 4}, x)), {-7, 5, 6, -7, -7, 9, 10, -7});
}

TEST(PrePostProcessor, makes_grey_of_colour) {
  const Model m = plus_one({1, 1, 1, 2});
  PrePostProcessor p(m);
  p.input().tensor().set_element_type(ElementType::u8).set_layout("NHWC").set_color_format(ColorFormat::RGBX);
  p.input().preprocess().convert_color(ColorFormat::GRAY);
  p.input().model().set_layout("NCHW");
  const Model built = p.build();
  EXPECT_EQ(built.inputs()[0].partial_shape, PartialShape({1, 1, 2, 4}));
  // 0.299 R + 0.587 G + 0.114 B, rounded.
  expect_near(seen(built, Tensor::of<uint8_t>({1, 1, 2, 4}, {10, 20, 30, 255, 255, 0, 1, 9})), {18, 76});
}

TEST(PrePostProcessor, reverses_channels_and_clamps) {
  const Model m = plus_one({1, 3, 1, 1});
  PrePostProcessor p(m);
  p.input().preprocess().reverse_channels().clamp(0, 2);
  p.input().model().set_layout("NCHW");
  expect_near(seen(p.build(), Tensor::of<float>({1, 3, 1, 1}, {5, 1, -3})), {0, 1, 2});
}

TEST(PrePostProcessor, moves_axes_by_their_order) {
  const Model m = plus_one({1, 2, 3});
  PrePostProcessor p(m);
  p.input().preprocess().convert_layout(std::vector<int64_t>{0, 2, 1});
  const Model built = p.build();
  EXPECT_EQ(built.inputs()[0].partial_shape, PartialShape({1, 3, 2}));
  expect_near(seen(built, Tensor::of<float>({1, 3, 2}, {1, 2, 3, 4, 5, 6})), {1, 3, 5, 2, 4, 6});
}

TEST(PrePostProcessor, changes_what_comes_out) {
  const Model m = plus_one({1, 2, 1, 2});
  PrePostProcessor p(m);
  p.output().model().set_layout("NCHW");
  p.output().postprocess().clamp(0, 3.5);
  p.output().tensor().set_layout("NHWC").set_element_type(ElementType::i32);
  const Model built = p.build();
  EXPECT_EQ(built.outputs()[0].name, "y");
  const Tensor y = run(built, Tensor::of<float>({1, 2, 1, 2}, {-5, 1, 2, 9}));
  EXPECT_EQ(y.element_type(), ElementType::i32);
  EXPECT_EQ(y.shape(), (Shape{1, 1, 2, 2}));
  EXPECT_EQ(y.to_ints(), (std::vector<int64_t>{0, 3, 2, 3}));
}

TEST(PrePostProcessor, keeps_the_order_of_several_inputs) {
  ModelBuilder b;
  const auto x = b.parameter("first", ElementType::f32, {2}), z = b.parameter("second", ElementType::f32, {2});
  b.result("sum", b.add("Subtract", {x, z}));
  const Model m = b.build();
  PrePostProcessor p(m);
  EXPECT_THROW(p.input(), Error);
  EXPECT_THROW(p.input("third"), Error);
  p.input("first").tensor().set_element_type(ElementType::i32);
  p.input(1).preprocess().scale(2);
  p.build();
  ASSERT_EQ(m.inputs().size(), 2u);  // copies share the graph
  EXPECT_EQ(m.inputs()[0].name, "first");
  EXPECT_EQ(m.inputs()[0].element_type, ElementType::i32);
  const auto out =
      run_model(m, {{"first", Tensor::of<int32_t>({2}, {7, 8})}, {"second", Tensor::of<float>({2}, {2, 4})}});
  expect_near(out[0].value.tensor().to_doubles(), {6, 6});
}

TEST(PrePostProcessor, refuses_what_does_not_fit_and_leaves_the_model_as_it_was) {
  const Model m = plus_one({1, 3, 4, 4});
  const std::string before = m.to_text();
  const auto refused = [&](const char* part, const std::function<void(InputInfo&)>& ask) {
    PrePostProcessor p(m);
    ask(p.input());
    const std::string what = refusal(p);
    EXPECT_NE(what.find(part), std::string::npos) << what;
    EXPECT_NE(what.find("input 'x'"), std::string::npos) << what;
    EXPECT_EQ(m.to_text(), before);
  };
  refused("mean works on floating-point values, these are u8", [](InputInfo& i) {
    i.tensor().set_element_type(ElementType::u8);
    i.preprocess().mean(3);
  });
  refused("which dimension is C", [](InputInfo& i) { i.preprocess().scale({1, 2, 3}); });
  refused("2 values for 3 channels", [](InputInfo& i) {
    i.preprocess().mean({1, 2});
    i.model().set_layout("NCHW");
  });
  refused("divides by 0", [](InputInfo& i) { i.preprocess().scale(0); });
  refused("the steps end in f32[1,3,2,4]", [](InputInfo& i) { i.preprocess().crop({0, 0, 1, 0}, {1, 3, 3, 4}); });
  refused("colour format", [](InputInfo& i) { i.preprocess().convert_color(ColorFormat::RGB); });
  refused("does not fit a tensor of 4 dimensions", [](InputInfo& i) {
    i.tensor().set_layout("HWC");
    i.model().set_layout("NCHW");
  });
  refused("every axis once", [](InputInfo& i) { i.preprocess().convert_layout(std::vector<int64_t>{0, 1, 1, 2}); });
  refused("no axis 9", [](InputInfo& i) { i.preprocess().convert_layout(std::vector<int64_t>{0, 1, 2, 9}); });
  PrePostProcessor p(m);
  EXPECT_THROW(p.input().tensor().set_layout("NCCW"), Error);
  EXPECT_THROW(p.input().tensor().set_layout("N-W"), Error);
  EXPECT_THROW(p.input().tensor().set_spatial_static_shape(0, 4), Error);
}

// Chains of steps as data, read here and by preprocess_peer.py.
const json& chains() {
  static const json c = json::parse(R"([
    {"model": [1,3,8,8], "type": "u8", "layout": "NHWC", "color": "BGR", "spatial": [13,11], "model_layout": "NCHW",
     "steps": [["convert_element_type","f32"],["convert_color","RGB"],["resize","linear"],["mean",[123.675,116.28,103.53]],["scale",[58.395,57.12,57.375]]]},
    {"model": [1,3,8,8], "type": "f32", "layout": "NCHW", "spatial": [5,6], "model_layout": "NCHW", "steps": [["resize","cubic"],["reverse_channels"],["scale",[2,3,4]]]},
    {"model": [1,3,9,7], "type": "f32", "layout": "NHWC", "spatial": [20,14], "model_layout": "NCHW", "steps": [["resize","nearest"],["convert_layout",""],["mean",[0.5]]]},
    {"model": [2,1,8,8], "type": "u8", "layout": "NHWC", "color": "RGB", "model_layout": "NCHW", "steps": [["convert_color","GRAY"],["convert_element_type","f32"],["scale",[255]]]},
    {"model": [1,3,8,8], "type": "f32", "shape": [1,3,12,10], "model_layout": "NCHW", "steps": [["crop",[0,0,1,1],[1,3,9,-3]],["pad",[0,0,0,1],[0,0,0,1],0.25,"CONSTANT"]]},
    {"model": [1,3,8,8], "type": "u8", "layout": "NHWC", "color": "RGBX", "model_layout": "NCHW", "steps": [["convert_color","BGR"],["convert_element_type","f32"],["mean",[1,2,3]]]},
    {"model": [1,8,9,3], "type": "f32", "steps": [["convert_layout",[0,2,3,1]]]},
    {"model": [1,3,6,6], "type": "f32", "layout": "NHWC", "spatial": [24,30], "model_layout": "NC...", "steps": [["resize","pillow",6,6]]},
    {"model": [1,3,8,8], "type": "f32", "shape": [1,3,6,6], "model_layout": "NCHW", "steps": [["pad",[0,0,1,1],[0,0,1,1],0,"REFLECT"]],
     "out_model_layout": "NCHW", "out_layout": "NHWC", "out_type": "f16"}])");
  return c;
}

void apply(PrePostProcessor& p, const json& c) {
  InputInfo& i = p.input();
  i.tensor().set_element_type(*element_type_from(c["type"].get<std::string>()));
  if (c.contains("layout")) i.tensor().set_layout(c["layout"]);
  if (c.contains("model_layout")) i.model().set_layout(c["model_layout"]);
  if (c.contains("shape")) i.tensor().set_shape(PartialShape(c["shape"].get<Shape>()));
  if (c.contains("spatial")) i.tensor().set_spatial_static_shape(c["spatial"][0], c["spatial"][1]);
  const std::map<std::string, ColorFormat> colors{
      {"RGB", ColorFormat::RGB}, {"BGR", ColorFormat::BGR}, {"GRAY", ColorFormat::GRAY}, {"RGBX", ColorFormat::RGBX}};
  const std::map<std::string, ResizeAlgorithm> filters{{"linear", ResizeAlgorithm::RESIZE_LINEAR},
                                                       {"cubic", ResizeAlgorithm::RESIZE_CUBIC},
                                                       {"nearest", ResizeAlgorithm::RESIZE_NEAREST},
                                                       {"pillow", ResizeAlgorithm::RESIZE_BILINEAR_PILLOW}};
  if (c.contains("color")) i.tensor().set_color_format(colors.at(c["color"]));
  using Ints = std::vector<int64_t>;
  for (const json& s : c["steps"]) {
    const std::string what = s[0];
    PreProcessSteps& steps = i.preprocess();
    if (what == "convert_element_type")
      steps.convert_element_type(*element_type_from(s[1].get<std::string>()));
    else if (what == "convert_color")
      steps.convert_color(colors.at(s[1]));
    else if (what == "resize")
      steps.resize(filters.at(s[1]), s.size() > 2 ? s[2].get<int64_t>() : 0, s.size() > 2 ? s[3].get<int64_t>() : 0);
    else if (what == "mean")
      steps.mean(s[1].get<std::vector<float>>());
    else if (what == "scale")
      steps.scale(s[1].get<std::vector<float>>());
    else if (what == "reverse_channels")
      steps.reverse_channels();
    else if (what == "convert_layout" && s[1].is_array())
      steps.convert_layout(s[1].get<Ints>());
    else if (what == "convert_layout")
      steps.convert_layout(s[1].get<std::string>());
    else if (what == "crop")
      steps.crop(s[1].get<Ints>(), s[2].get<Ints>());
    else if (what == "pad")
      steps.pad(s[1].get<Ints>(), s[2].get<Ints>(), s[3],
                s[4] == "REFLECT" ? PaddingMode::REFLECT : PaddingMode::CONSTANT);
    else
      FAIL() << what;
  }
  if (c.contains("out_model_layout")) p.output().model().set_layout(c["out_model_layout"]);
  if (c.contains("out_layout")) p.output().tensor().set_layout(c["out_layout"]);
  if (c.contains("out_type"))
    p.output().tensor().set_element_type(*element_type_from(c["out_type"].get<std::string>()));
}

TEST(PrePostProcessor, agrees_with_openvino) {
  const char* named = std::getenv("HONE_PYTHON");
  const std::string python = named ? named : "python3";
  if (std::system((python + " -c 'import openvino' >/dev/null 2>&1").c_str()) != 0) {
    GTEST_SKIP() << "no Python with openvino (name one in HONE_PYTHON): preprocessing is not compared with OpenVINO's";
  }
  const fs::path dir = fs::temp_directory_path() / ("hone_preprocess_" + std::to_string(::getpid()));
  fs::create_directories(dir);
  write_file((dir / "chains.json").string(), chains().dump());
  for (size_t k = 0; k < chains().size(); ++k) {
    const std::string stem = (dir / std::to_string(k)).string();
    const Model m = plus_one(PartialShape(chains()[k]["model"].get<Shape>()));
    Core().save_model(m, stem + ".xml");
    PrePostProcessor p(m);
    apply(p, chains()[k]);
    const Model built = p.build();
    Tensor x(built.inputs()[0].element_type, built.inputs()[0].partial_shape.to_shape());
    for (size_t i = 0; i < x.size(); ++i)
      set_element(x, i, static_cast<double>((i * 37 + k) % 251) / (x.element_type() == ElementType::u8 ? 1 : 251));
    save_npy(stem + "_x.npy", x);
    save_npy(stem + "_y.npy", run(built, x));
  }
  ASSERT_EQ(std::system((python + " " + HONE_SOURCE_DIR + "/src/api/preprocess_peer.py " + dir.string()).c_str()), 0);
  for (size_t k = 0; k < chains().size(); ++k) {
    const std::string stem = (dir / std::to_string(k)).string();
    const Tensor ours = load_npy(stem + "_y.npy"), theirs = load_npy(stem + "_openvino.npy");
    EXPECT_EQ(ours.element_type(), theirs.element_type()) << "chain " << k;
    ASSERT_EQ(ours.shape(), theirs.shape()) << "chain " << k;
    SCOPED_TRACE("chain " + std::to_string(k));
    expect_near(ours.to_doubles(), theirs.to_doubles(),
                ours.element_type() == ElementType::f16 ? 1e-3 : 1e-5);  // f16 keeps 11 bits
  }
  fs::remove_all(dir);
}

}  // namespace
}  // namespace hone::preprocess
