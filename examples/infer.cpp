// Reads a model, compiles it and runs it, waiting and without waiting.
//   infer MODEL
#include <cstdio>
#include <hone/hone.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: infer MODEL\n");
    return 2;
  }
  hone::Core core;
  hone::Model model = core.read_model(argv[1]);
  model.set_batch(1);
  hone::CompiledModel compiled = core.compile_model(model, "CPU", {{"INFERENCE_NUM_THREADS", "1"}});

  hone::InferRequest first = compiled.create_infer_request(), second = compiled.create_infer_request();
  for (size_t i = 0; i < compiled.inputs().size(); ++i) {
    const hone::Tensor x = hone::random_input(compiled.inputs()[i], 1);
    first.set_input_tensor(i, x);
    second.set_input_tensor(i, x);
  }
  first.infer();

  second.set_callback([](std::exception_ptr e) { std::printf("asynchronous run %s\n", e ? "failed" : "done"); });
  second.start_async();
  second.wait();

  const hone::Tensor a = first.get_output_tensor(), b = second.get_output_tensor();
  std::printf("%s: %s%s, both runs %s\n", compiled.outputs()[0].name.c_str(), hone::name_of(a.element_type()),
              hone::to_string(a.shape()).c_str(), a.identical(b) ? "equal" : "differ");
  return a.identical(b) ? 0 : 1;
} catch (const hone::Error& e) {
  std::fprintf(stderr, "infer: %s\n", e.what());
  return hone::exit_code(e.code());
}
