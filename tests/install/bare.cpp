// A program that has the runtime alone: loads what the toolkit exported.
//   bare MODEL
#include <cstdio>
#include <hone/runtime.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  hone::runtime::Model model;
  if (const hone::runtime::Status s = model.load(argv[1]); !s) {
    std::fprintf(stderr, "bare: %s\n", s.message);
    return 1;
  }
  if (const hone::runtime::Status s = model.run(); !s) {
    std::fprintf(stderr, "bare: %s\n", s.message);
    return 1;
  }
  std::printf("%s: %zu bytes\n", model.output(0).name, model.output(0).bytes);
}
