// What crosses the border of the library: exceptions caught by their type, callbacks, values of every public class.
//   across FOLDER
#include <cstdio>
#include <cstdlib>
#include <hone/hone.hpp>

namespace {

void want(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "across: %s\n", what);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  try {
    hone::Core().read_model(folder + "/missing.onnx");
    want(false, "a missing file was read");
  } catch (const hone::Error& e) {
    want(e.code() == hone::ErrorCode::unreadable, "the error of a missing file has another code");
    want(e.where().find("missing.onnx") != std::string::npos, "the error does not name the file");
    want(e.at("here").where().starts_with("here"), "the error cannot be placed");
  }
  try {
    hone::PartialShape::parse("[1,");
    want(false, "half a shape was read");
  } catch (const std::runtime_error&) {
  }
  // A model that is changed, run without waiting and saved.
  hone::Model model = hone::Core().read_model(folder + "/tiny.onnx");
  hone::preprocess::PrePostProcessor p(model);
  p.input().tensor().set_element_type(hone::ElementType::u8).set_layout("NHWC");
  p.input().preprocess().convert_element_type(hone::ElementType::f32).scale(255);
  p.input().model().set_layout("NCHW");
  p.build();
  want(model.inputs()[0].partial_shape == hone::PartialShape({1, 4, 4, 1}), "the input has another shape");
  hone::InferRequest r = hone::Core().compile_model(model).create_infer_request();
  r.set_input_tensor(hone::Tensor(hone::ElementType::u8, {1, 4, 4, 1}));
  bool called = false;
  r.set_callback([&](std::exception_ptr e) { called = !e; });
  r.start_async();
  r.wait();
  want(called, "the callback was not called");
  want(r.get_output_tensor().shape() == hone::Shape{1, 2, 4, 4}, "the output has another shape");
  hone::Core().save_model(model, folder + "/bytes.hone");
  hone::Core().compile_model(model).export_model(folder + "/program.hone");
  want(hone::Dimension::symbolic("N").symbol_name() == "N", "symbols are not shared");
  want(hone::Tensor::of<float>({2}, {1.5f, -2}).converted(hone::ElementType::bf16).to_doubles()[0] == 1.5,
       "tensors do not convert");
  std::puts(hone::version().c_str());
}
