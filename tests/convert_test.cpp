// `hone convert`: what it builds into a model, what it reports, what it refuses.
#include <sstream>

#include "formats/npy/npy.hpp"
#include "hone/core.hpp"
#include "workspace.hpp"

namespace hone {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace workspace;

namespace {

// What `hone run` gives for one tensor, as numbers.
std::vector<double> run_on(const std::string& file, const std::string& input, const Tensor& x) {
  write_npy(at("value.npy"), x);
  const Outcome o = hone_run("run " + file + " --input " + input + "=" + at("value.npy") + " --output-dir " +
                             at("values") + " --json");
  EXPECT_EQ(o.code, 0) << o.err;
  return o.code == 0 ? read_npy(at("values/" + o.parsed()["outputs"][0]["file"].get<std::string>())).to_doubles()
                     : std::vector<double>{};
}

void expect_close(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-4) << i;  // sums of a few thousand f32 products in another order
}

TEST(Convert, builds_picture_steps_into_the_model) {
  // Bytes, blue first, channels last; the model takes RGB planes that are centred and scaled.
  const Outcome c = hone_run("convert " + model() + " " + at("camera.onnx") +
                             " --input input:u8 --layout 'NCHW->NHWC' --reverse-channels --mean 10,20,30 --scale "
                             "50,60,70 --rename input=camera --batch 2 --force --json");
  ASSERT_EQ(c.code, 0) << c.err;
  const json i = hone_run("inspect " + at("camera.onnx") + " --json").parsed();
  EXPECT_EQ(i["inputs"][0]["name"], "camera");
  EXPECT_EQ(i["inputs"][0]["type"], "u8");
  EXPECT_EQ(i["inputs"][0]["shape"], "[2,16,16,3]");
  Tensor bytes(ElementType::u8, {2, 16, 16, 3}), planes(ElementType::f32, {2, 3, 16, 16});
  const double mean[] = {10, 20, 30}, scale[] = {50, 60, 70};
  for (size_t n = 0; n < 2; ++n) {
    for (size_t p = 0; p < 256; ++p) {
      for (size_t k = 0; k < 3; ++k) {
        const size_t at = (n * 256 + p) * 3 + k;
        const double v = static_cast<double>((at * 89) % 256);
        set_element(bytes, at, v);
        set_element(planes, (n * 3 + 2 - k) * 256 + p, (v - mean[2 - k]) / scale[2 - k]);
      }
    }
  }
  expect_close(run_on(at("camera.onnx"), "camera", bytes), run_on(model(), "input", planes));
}

TEST(Convert, takes_the_stored_preprocessing_along) {
  // What is built into the graph, `predict` no longer does: the same probabilities.
  ASSERT_EQ(hone_run("convert " + model() + " " + at("stored.xml") + " --force").code, 0);
  const auto stored = [&](const char* key) {
    const std::string text = read_text_file(at("stored.xml")), mark = std::string("<") + key + " value=\"";
    const size_t from = text.find(mark);
    EXPECT_NE(from, std::string::npos) << key;
    std::string v = text.substr(from + mark.size(), text.find('"', from + mark.size()) - from - mark.size());
    std::replace(v.begin(), v.end(), ' ', ',');
    return v;
  };
  const Outcome c =
      hone_run("convert " + model() + " " + at("inside.hone") + " --input input:u8 --layout 'NCHW->NHWC' --mean " +
               stored("mean_values") + " --scale " + stored("scale_values") + " --force");
  ASSERT_EQ(c.code, 0) << c.err;
  const auto scores = [&](const std::string& file) {
    const json p = hone_run("predict " + file + " " + at("photos/disc/3.png") + " --top 3 --precision f32 --json")
                       .parsed()["results"][0]["predictions"];
    std::map<std::string, double> by_label;
    for (const json& e : p) by_label[e["label"]] = e["score"];
    return by_label;
  };
  const auto own = scores(model()), inside = scores(at("inside.hone"));
  ASSERT_EQ(own.size(), 3u);
  for (const auto& [label, score] : own) EXPECT_NEAR(inside.at(label), score, 1e-4) << label;
}

TEST(Convert, resizes_pictures_of_any_size) {
  ASSERT_EQ(hone_run("convert " + model() + " " + at("any.xml") + " --batch 1 --resize any:nearest --force").code, 0);
  EXPECT_EQ(hone_run("inspect " + at("any.xml") + " --json").parsed()["inputs"][0]["shape"], "[1,3,?,?]");
  // Every pixel twice as high and wide is the same picture.
  Tensor small(ElementType::f32, {1, 3, 16, 16}), large(ElementType::f32, {1, 3, 32, 32});
  for (size_t c = 0; c < 3; ++c) {
    for (size_t y = 0; y < 32; ++y) {
      for (size_t x = 0; x < 32; ++x) {
        const double v = static_cast<double>((c * 77 + (y / 2) * 16 + x / 2) % 13);
        set_element(large, (c * 32 + y) * 32 + x, v);
        set_element(small, (c * 16 + y / 2) * 16 + x / 2, v);
      }
    }
  }
  expect_close(run_on(at("any.xml"), "input", large), run_on(model(), "input", small));
}

TEST(Convert, stores_weights_of_its_own_form_as_f16) {
  ASSERT_EQ(hone_run("convert " + model() + " " + at("whole.hone") + " --force").code, 0);
  const Outcome c = hone_run("convert " + model() + " " + at("half.hone") + " --force --fp16");
  ASSERT_EQ(c.code, 0) << c.err;
  EXPECT_LT(std::filesystem::file_size(at("half.hone")), std::filesystem::file_size(at("whole.hone")) * 3 / 4);
  const Outcome same = hone_run("compare " + at("half.hone") + " " + at("whole.hone") + " --rtol 1e-2 --atol 1e-2");
  EXPECT_EQ(same.code, 0) << same.out;
}

TEST(Convert, takes_shapes_types_and_bounds) {
  const auto shape_of = [](const std::string& input) {
    const Outcome c = hone_run("convert " + model() + " " + at("shaped.hone") + " --force --input " + input);
    EXPECT_EQ(c.code, 0) << c.err;
    return hone_run("inspect " + at("shaped.hone")).out;
  };
  EXPECT_NE(shape_of("input[4,3,16,16]:f16").find("f16[4,3,16,16]"), std::string::npos);
  EXPECT_NE(shape_of("'input[1..8,3,16,16]'").find("f32[1..8,3,16,16]"), std::string::npos);
  EXPECT_NE(shape_of("'input[?,3,16,16]'").find("f32[?,3,16,16]"), std::string::npos);
  EXPECT_NE(shape_of("0[2,3,16,16]").find("f32[2,3,16,16]"), std::string::npos);
}

TEST(Convert, cuts_freezes_and_renames) {
  // Two inputs and two outputs: sum = a + b, product = sum * b.
  write_file(at("two.xml"), R"(<?xml version="1.0"?><net name="two" version="11"><layers>
<layer id="0" name="a" type="Parameter" version="opset1"><data shape="2" element_type="f32"/><output><port id="0" precision="FP32" names="a"><dim>2</dim></port></output></layer>
<layer id="1" name="b" type="Parameter" version="opset1"><data shape="2" element_type="f32"/><output><port id="0" precision="FP32" names="b"><dim>2</dim></port></output></layer>
<layer id="2" name="add" type="Add" version="opset1"><data auto_broadcast="numpy"/><input><port id="0"><dim>2</dim></port><port id="1"><dim>2</dim></port></input><output><port id="2" precision="FP32" names="sum"><dim>2</dim></port></output></layer>
<layer id="3" name="mul" type="Multiply" version="opset1"><data auto_broadcast="numpy"/><input><port id="0"><dim>2</dim></port><port id="1"><dim>2</dim></port></input><output><port id="2" precision="FP32" names="product"><dim>2</dim></port></output></layer>
<layer id="4" name="product_out" type="Result" version="opset1"><input><port id="0"><dim>2</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/><edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/><edge from-layer="1" from-port="0" to-layer="3" to-port="1"/><edge from-layer="3" from-port="2" to-layer="4" to-port="0"/></edges></net>)");
  write_file(at("two.bin"), "");
  const auto convert = [](const std::string& options) {
    return hone_run("convert " + at("two.xml") + " " + at("part.onnx") + " --force " + options);
  };
  ASSERT_EQ(convert("--input b=3,4").code, 0);
  expect_close(run_on(at("part.onnx"), "a", Tensor::of<float>({2}, {1, 2})), {12, 24});
  ASSERT_EQ(convert("--input sum --input b=[3,4] --rename product=scaled --rename sum=in").code,
            0);  // cut: `a` disappears
  const json i = hone_run("inspect " + at("part.onnx") + " --json").parsed();
  ASSERT_EQ(i["inputs"].size(), 1u);
  EXPECT_EQ(i["inputs"][0]["name"], "in");
  EXPECT_EQ(i["outputs"][0]["name"], "scaled");
  expect_close(run_on(at("part.onnx"), "in", Tensor::of<float>({2}, {5, 6})), {15, 24});
  ASSERT_EQ(convert("--output sum --input b=1,1").code, 0);
  expect_close(run_on(at("part.onnx"), "a", Tensor::of<float>({2}, {5, 6})), {6, 7});
}

TEST(Convert, reports_what_it_did_node_by_node) {
  // An operator of an old set, a sum of constants, a BatchNorm behind a convolution, and an Add of nothing.
  const auto port = [](const char* id, const char* dims, const std::string& name = {}) {
    std::string s = "<port id=\"" + std::string(id) + "\" precision=\"FP32\"" +
                    (name.empty() ? "" : " names=\"" + name + "\"") + ">";
    for (const char* d = dims; *d; ++d) s += "<dim>" + std::string(1, *d) + "</dim>";
    return s + "</port>";
  };
  const auto constant = [&](int id, int offset, const char* dims, const char* shape) {
    return "<layer id=\"" + std::to_string(id) + "\" name=\"c" + std::to_string(id) +
           "\" type=\"Const\" version=\"opset1\"><data element_type=\"f32\" shape=\"" + shape + "\" offset=\"" +
           std::to_string(offset) + "\" size=\"4\"/><output>" + port("0", dims) + "</output></layer>";
  };
  std::string net = "<?xml version=\"1.0\"?><net name=\"old\" version=\"11\"><layers>";
  net +=
      "<layer id=\"0\" name=\"x\" type=\"Parameter\" version=\"opset1\"><data shape=\"1,1,2,2\" "
      "element_type=\"f32\"/><output>" +
      port("0", "1122", "x") + "</output></layer>";
  net += constant(1, 0, "1111", "1,1,1,1");
  net += "<layer id=\"2\" name=\"doubled\" type=\"Add\" version=\"opset1\"><data auto_broadcast=\"numpy\"/><input>" +
         port("0", "1111") + port("1", "1111") + "</input><output>" + port("2", "1111") + "</output></layer>";
  net +=
      "<layer id=\"3\" name=\"conv\" type=\"Convolution\" version=\"opset1\"><data strides=\"1,1\" pads_begin=\"0,0\" "
      "pads_end=\"0,0\" dilations=\"1,1\"/><input>" +
      port("0", "1122") + port("1", "1111") + "</input><output>" + port("2", "1122") + "</output></layer>";
  net += constant(4, 4, "1", "1");
  net +=
      "<layer id=\"5\" name=\"norm\" type=\"BatchNormInference\" version=\"opset1\"><data epsilon=\"0.001\"/><input>" +
      port("0", "1") + port("1", "1") + port("2", "1122") + port("3", "1") + port("4", "1") + "</input><output>" +
      port("5", "1122", "y") + "</output></layer>";
  net += "<layer id=\"6\" name=\"out\" type=\"Result\" version=\"opset1\"><input>" + port("0", "1122") +
         "</input></layer></layers><edges>";
  const int edges[][4] = {{1, 0, 2, 0}, {1, 0, 2, 1}, {0, 0, 3, 0}, {2, 2, 3, 1}, {4, 0, 5, 0},
                          {4, 0, 5, 1}, {3, 2, 5, 2}, {4, 0, 5, 3}, {4, 0, 5, 4}, {5, 5, 6, 0}};
  for (const auto& e : edges) {
    net += "<edge from-layer=\"" + std::to_string(e[0]) + "\" from-port=\"" + std::to_string(e[1]) + "\" to-layer=\"" +
           std::to_string(e[2]) + "\" to-port=\"" + std::to_string(e[3]) + "\"/>";
  }
  write_file(at("old.xml"), net + "</edges></net>");
  const float numbers[] = {2, 1};
  write_file(at("old.bin"), std::string(reinterpret_cast<const char*>(numbers), sizeof numbers));
  const Outcome c = hone_run("convert " + at("old.xml") + " " + at("reported.onnx") + " --force --report --json");
  ASSERT_EQ(c.code, 0) << c.err;
  const json r = c.parsed()["report"];
  ASSERT_EQ(r["upgraded"].size(), 1u) << r.dump();
  EXPECT_EQ(r["upgraded"][0]["node"], "norm");
  EXPECT_EQ(r["upgraded"][0]["change"], "opset1::BatchNormInference -> BatchNormInference");
  ASSERT_EQ(r["folded"].size(), 1u) << r.dump();
  EXPECT_EQ(r["folded"][0]["node"], "doubled");
  ASSERT_FALSE(r["fused"].empty()) << r.dump();
  EXPECT_EQ(r["fused"][0]["operator"], "Convolution");
  EXPECT_EQ(r["fused"][0]["from"], (json{"conv", "norm"}));
  const Outcome text = hone_run("convert " + at("old.xml") + " " + at("reported.onnx") + " --force --report");
  for (const char* part :
       {"upgraded (1):\n  norm: ", "folded (1):\n  doubled: ", "(Convolution) <- conv norm", "passes:"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in\n" << text.out;
  }
}

// As torch.onnx writes `mixed @ x.view(-1, 3)` of a fixed shape: sizes that stay open would hide that only one works.
TEST(Convert, refuses_a_batch_that_some_of_its_sizes_contradict) {
  ModelBuilder b("net");
  const auto x = b.parameter("x", ElementType::f32, {1, 2, 3});
  const auto rows = b.constant(Tensor::of<int64_t>({2}, {2, 3}));
  const auto mixed = b.constant(Tensor::of<float>({2, 2}, {1, 2, 3, 4}));
  b.result("y", b.add("MatMul", {mixed, b.add("Reshape", {x, rows}, {{"special_zero", "false"}})}));
  Core().save_model(b.build(), at("view.onnx"));
  for (const std::string batch : {"2", "1..4", "?"}) {
    const Outcome o = hone_run("convert " + at("view.onnx") + " " + at("batch.onnx") + " --batch '" + batch + "'");
    expect_refused(o, 2, "the model does not take another batch: [batch] MatMul may mix samples");
    EXPECT_FALSE(fs::exists(at("batch.onnx"))) << batch;
  }
  // The same for shapes: both bounds must work, all inputs change at once.
  const Outcome o = hone_run("convert " + at("view.onnx") + " " + at("batch.onnx") + " --input 'x[1..4,2,3]'");
  expect_refused(o, 2,
                 "--input x[4,2,3]: the model does not take that shape instead of [1,2,3]: [batch] MatMul may mix");
  EXPECT_EQ(hone_run("convert " + at("view.onnx") + " " + at("batch.onnx") + " --batch 1").code, 0);
}

TEST(Convert, gives_inputs_that_hang_together_their_shapes_at_once) {
  ModelBuilder b("net");
  const auto x = b.parameter("x", ElementType::f32, {2, 3}), y = b.parameter("y", ElementType::f32, {2, 3});
  b.result("z", b.add("Add", {x, y}));
  Core().save_model(b.build(), at("sum.onnx"));
  const Outcome o = hone_run("convert " + at("sum.onnx") + " " + at("sum.xml") + " --input 'x[5,7]' --input 'y[5,7]'");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_NE(hone_run("inspect " + at("sum.xml")).out.find("f32[5,7]"), std::string::npos);
}

TEST(Convert, refuses_wrong_switches_with_one_line_and_writes_nothing) {
  for (const auto& [options, part] :
       std::vector<std::pair<std::string, std::string>>{{"--mean a", "--mean wants numbers"},
                                                        {"--mean 1,2", "2 values for 3 channels"},
                                                        {"--mean x=1", "the inputs are input"},
                                                        {"--scale 0", "divides by 0"},
                                                        {"--resize 3", "HEIGHTxWIDTH"},
                                                        {"--resize 3x3:fast", "linear, cubic and nearest"},
                                                        {"--layout NCHW-", "in quotes"},
                                                        {"--layout NHW", "does not fit a tensor of 4 dimensions"},
                                                        {"--rename a=b", "--rename names no tensor"},
                                                        {"--rename input", "OLD=NEW"},
                                                        {"--batch 1,2", "--batch wants"},
                                                        {"--input 'input[1,3'", "NAME[SHAPE]:TYPE=VALUE"},
                                                        {"--input input[1,3,16,16]:f99", "no element type"},
                                                        {"--input nothing", "the inputs are input"},
                                                        {"--input input[1,3,16,16]=3,4", "has a value that is no"},
                                                        {"--output nowhere", "--output names no tensor"},
                                                        {"--reverse-channels=z", "the inputs are input"}}) {
    const Outcome o = hone_run("convert " + model() + " " + at("refused.xml") + " " + options);
    expect_refused(o, 2, part);
    EXPECT_EQ(lines(o.err), 2u) << options << ": " << o.err;  // the error and where to read on
    EXPECT_FALSE(fs::exists(at("refused.xml"))) << options;
  }
}

}  // namespace

}  // namespace hone
