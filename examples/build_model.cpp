// Builds a small network operator by operator, saves it as OpenVINO IR and ONNX, reads both back and compares.
//   build_model FOLDER
#include <cstdio>
#include <hone/hone.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: build_model FOLDER\n");
    return 2;
  }
  hone::ModelBuilder b("tiny");
  const auto x = b.parameter("x", hone::ElementType::f32, {1, 1, 4, 4});
  hone::Tensor weights(hone::ElementType::f32, {2, 1, 3, 3});
  for (size_t i = 0; i < weights.size(); ++i) weights.data<float>()[i] = 0.1f * static_cast<float>(i) - 0.8f;
  const auto y = b.add("Convolution", {x, b.constant(weights)},
                       {{"strides", "[1,1]"}, {"pads_begin", "[1,1]"}, {"pads_end", "[1,1]"}, {"dilations", "[1,1]"}});
  b.result("y", b.add("Relu", {y}));
  const hone::Model model = b.build();

  hone::Core core;
  for (const char* form : {"/tiny.onnx", "/tiny.xml"}) {
    const std::string path = argv[1] + std::string(form);
    core.save_model(model, path);
    const hone::CompareResult r = hone::compare(model, core.read_model(path));
    std::printf("%s: %s, largest difference %g\n", path.c_str(), r.equal ? "equal" : "differs", r.outputs[0].max_abs);
    if (!r.equal) return 1;
  }
  return 0;
} catch (const hone::Error& e) {
  std::fprintf(stderr, "build_model: %s\n", e.what());
  return hone::exit_code(e.code());
}
