// Classifies pictures with a packaged model: JPEG, PNG or BMP in, "LABEL<TAB>SCORE" lines out, best first.
// Needs libhone_runtime, libjpeg and libpng only.
//
//   classify [--top K] [--model DIR] [--key FILE] IMAGE...
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <hone/runtime.hpp>
#include <string>
#include <vector>

// Reads, resizes and normalizes exactly as the toolkit does; made from its sources.
#include "hone_picture.hpp"

namespace {

namespace picture = hone_picture::data;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "classify: %s\n", what.c_str());
  std::exit(1);
}

// The rule stored with the model, checked against the size that the model takes.
picture::Preprocessing rule_of(const hone::runtime::Model& model, const std::string& file) {
  const char* text = model.metadata("hone/preprocessing");
  if (!text || model.num_inputs() != 1 || model.input(0).rank != 4 || std::strcmp(model.input(0).type, "f32") != 0) {
    fail(file + ": no classifier of pictures");
  }
  picture::Preprocessing rule;
  picture::set_fields(rule, text);
  const bool last = rule.layout == picture::PixelLayout::nhwc;
  const auto dimension = [&](size_t i) { return model.input(0).shape[i]; };
  rule.height = dimension(last ? 1 : 2);
  rule.width = dimension(last ? 2 : 3);
  rule.validate();
  if (dimension(0) != 1 || dimension(last ? 3 : 1) != rule.channels())
    fail(file + ": the model does not take one picture of its stored colours");
  return rule;
}

// Folder above the one this program lies in: the package.
std::string package_folder() {
  char path[4096];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  std::string s(path, n > 0 ? size_t(n) : 0);
  for (int i = 0; i < 2; ++i) s = s.substr(0, s.rfind('/'));
  return s;
}

}  // namespace

int main(int argc, char** argv) try {
  std::string folder = package_folder();
  hone::runtime::LoadOptions options;
  size_t top = 5;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    if (a == "--help" || a == "-h") {
      std::printf(
          "usage: classify [--top K] [--model DIR] [--key FILE] IMAGE...\n  prints LABEL<TAB>SCORE lines, best first; "
          "JPEG, PNG and BMP\n  --key FILE: key of an encrypted model (or HONE_KEY_FILE)\n");
      return 0;
    }
    if ((a == "--top" || a == "--model" || a == "--key") && i + 1 < argc) {
      const char* value = argv[++i];
      if (a == "--top")
        top = size_t(std::max(1, std::atoi(value)));
      else if (a == "--key")
        options.key_file = value;
      else
        folder = value;
    } else if (a.rfind("--", 0) == 0) {
      std::fprintf(stderr, "classify: unknown option %s\nsee: classify --help\n", a.c_str());
      return 2;
    } else {
      files.push_back(a);
    }
  }
  if (files.empty()) {
    std::fprintf(stderr, "classify: no picture given\nsee: classify --help\n");
    return 2;
  }
  hone::runtime::Model model;
  if (const auto s = model.load((folder + "/model.hone").c_str(), options); !s) fail(s.message);
  std::vector<std::string> labels;
  std::ifstream in(folder + "/labels.txt");
  for (std::string line; std::getline(in, line);) labels.push_back(line);
  const picture::Preprocessing rule = rule_of(model, folder + "/model.hone");
  const picture::Normalizer normalizer(rule);
  for (const std::string& file : files) {
    try {
      const picture::Image fitted = rule.fit(picture::read_image(file, rule.exif_orientation));
      normalizer.to_float(fitted, static_cast<float*>(model.input_data(0)));
    } catch (const hone_picture::Error& e) {
      fail(e.where().empty() ? file + ": " + e.what() : e.what());
    }
    if (const auto s = model.run(); !s) fail(s.message);
    const float* y = static_cast<const float*>(model.output_data(0));
    const size_t n = model.output(0).elements;
    std::vector<double> score(y, y + n);
    double sum = 0, highest = *std::max_element(score.begin(), score.end());
    for (double s : score) sum += s;
    const bool probabilities = std::fabs(sum - 1) < 1e-3 && *std::min_element(score.begin(), score.end()) >= 0;
    if (!probabilities) {
      sum = 0;
      for (double& s : score) sum += s = std::exp(s - highest);
      for (double& s : score) s /= sum;
    }
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
    if (files.size() > 1) std::printf("%s\n", file.c_str());
    for (size_t k = 0; k < std::min(top, n); ++k) {
      std::printf("%s\t%.4f\n", order[k] < labels.size() ? labels[order[k]].c_str() : std::to_string(order[k]).c_str(),
                  score[order[k]]);
    }
  }
  return 0;
} catch (const std::exception& e) {
  fail(e.what());
}
