// Classifies pictures with a packaged model: JPEG or PNG in, "LABEL<TAB>SCORE" lines out, best first.
// Needs libhone_runtime, libjpeg and libpng only.
//
//   classify [--top K] [--model DIR] IMAGE...
#include <hone/runtime.hpp>

#include <jpeglib.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

// Rows of RGB or grey samples.
struct Picture {
  int width = 0, height = 0, channels = 0;
  std::vector<unsigned char> pixels;
  unsigned char* row(int y) { return pixels.data() + size_t(y) * size_t(width) * size_t(channels); }
  const unsigned char* row(int y) const { return pixels.data() + size_t(y) * size_t(width) * size_t(channels); }
};

constexpr long largest_side = 32768;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "classify: %s\n", what.c_str());
  std::exit(1);
}

struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
};

bool read_jpeg(std::FILE* f, Picture& p) {
  jpeg_decompress_struct d;
  JpegErrors errors;
  d.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = [](j_common_ptr c) { std::longjmp(reinterpret_cast<JpegErrors*>(c->err)->jump, 1); };
  errors.manager.output_message = [](j_common_ptr) {};
  if (setjmp(errors.jump)) {
    jpeg_destroy_decompress(&d);
    return false;
  }
  jpeg_create_decompress(&d);
  jpeg_stdio_src(&d, f);
  jpeg_read_header(&d, TRUE);
  if (d.image_width > largest_side || d.image_height > largest_side) {
    jpeg_destroy_decompress(&d);
    return false;
  }
  d.out_color_space = d.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&d);
  p.width = int(d.output_width);
  p.height = int(d.output_height);
  p.channels = d.output_components;
  p.pixels.resize(size_t(p.width) * size_t(p.height) * size_t(p.channels));
  while (d.output_scanline < d.output_height) {
    JSAMPROW row = p.row(int(d.output_scanline));
    jpeg_read_scanlines(&d, &row, 1);
  }
  const bool whole = errors.manager.num_warnings == 0;
  jpeg_finish_decompress(&d);
  jpeg_destroy_decompress(&d);
  return whole;
}

bool read_png(const std::string& path, Picture& p) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, path.c_str())) return false;
  if (image.width > largest_side || image.height > largest_side) {
    png_image_free(&image);
    return false;
  }
  const bool colour = image.format & PNG_FORMAT_FLAG_COLOR;
  image.format = colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;  // alpha is read and dropped, not laid over a colour
  p.width = int(image.width);
  p.height = int(image.height);
  p.channels = colour ? 3 : 1;
  std::vector<unsigned char> raw(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, raw.data(), 0, nullptr)) return false;
  p.pixels.resize(size_t(p.width) * size_t(p.height) * size_t(p.channels));
  const size_t step = size_t(p.channels) + 1;
  for (size_t i = 0; i < size_t(p.width) * size_t(p.height); ++i) std::memcpy(&p.pixels[i * size_t(p.channels)], &raw[i * step], size_t(p.channels));
  return true;
}

Picture read_picture(const std::string& path) {
  std::FILE* f = std::fopen(path.c_str(), "rb");
  if (!f) fail(path + ": cannot open: check the path");
  unsigned char head[4] = {};
  const size_t n = std::fread(head, 1, sizeof head, f);
  std::rewind(f);
  Picture p;
  bool ok = false;
  if (n == 4 && head[0] == 0xff && head[1] == 0xd8) ok = read_jpeg(f, p);
  else if (n == 4 && std::memcmp(head, "\x89PNG", 4) == 0) ok = read_png(path, p);
  std::fclose(f);
  if (!ok) fail(path + ": no readable JPEG or PNG: the file is damaged or of another kind");
  return p;
}

// Weights of the source samples of each target sample: a triangle as wide as the scale (antialiased bilinear, as Pillow has it).
struct Taps {
  int first = 0;
  std::vector<double> weights;
};
std::vector<Taps> triangle_taps(double from, double size, int source, int target) {
  const double scale = size / target, support = std::max(scale, 1.0);
  std::vector<Taps> out(size_t(target), Taps{});
  for (int i = 0; i < target; ++i) {
    const double center = from + (i + 0.5) * scale;
    const int low = std::max(0, int(center - support + 0.5)), high = std::min(source, int(center + support + 0.5));
    Taps& t = out[size_t(i)];
    t.first = low;
    double sum = 0;
    for (int k = low; k < high; ++k) {
      t.weights.push_back(std::max(0.0, 1 - std::fabs((k + 0.5 - center) / support)));
      sum += t.weights.back();
    }
    for (double& w : t.weights) w /= sum;
  }
  return out;
}

unsigned char rounded(double v) { return static_cast<unsigned char>(std::clamp(std::floor(v + 0.5), 0.0, 255.0)); }

// The part (left, top, width, height) of the picture scaled to the target size.
Picture resized(const Picture& p, double left, double top, double w, double h, int width, int height) {
  const auto across = triangle_taps(left, w, p.width, width), down = triangle_taps(top, h, p.height, height);
  Picture middle{width, p.height, p.channels, {}}, out{width, height, p.channels, {}};
  middle.pixels.resize(size_t(width) * size_t(p.height) * size_t(p.channels));
  out.pixels.resize(size_t(width) * size_t(height) * size_t(p.channels));
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Taps& t = across[size_t(x)];
      for (int c = 0; c < p.channels; ++c) {
        double v = 0;
        for (size_t k = 0; k < t.weights.size(); ++k) v += t.weights[k] * p.row(y)[(t.first + int(k)) * p.channels + c];
        middle.row(y)[x * p.channels + c] = rounded(v);
      }
    }
  }
  for (int y = 0; y < height; ++y) {
    const Taps& t = down[size_t(y)];
    for (int i = 0; i < width * p.channels; ++i) {
      double v = 0;
      for (size_t k = 0; k < t.weights.size(); ++k) v += t.weights[k] * middle.row(t.first + int(k))[i];
      out.row(y)[i] = rounded(v);
    }
  }
  return out;
}

// The preprocessing that is stored with the model: a flat JSON object of strings.
std::string field(const std::string& json, const std::string& key, const std::string& otherwise) {
  const std::string quoted = "\"" + key + "\":\"";
  const size_t at = json.find(quoted);
  if (at == std::string::npos) return otherwise;
  return json.substr(at + quoted.size(), json.find('"', at + quoted.size()) - at - quoted.size());
}
std::vector<double> numbers(const std::string& list) {
  std::vector<double> out;
  for (const char* p = list.c_str(); *p;) {
    char* end;
    const double v = std::strtod(p, &end);
    if (end != p) out.push_back(v);
    p = end != p ? end : p + 1;
  }
  return out;
}

// Fits the picture and writes it as the model takes it.
void prepare(const std::string& rules, Picture p, const hone::runtime::TensorInfo& input, float* to) {
  const bool grey = field(rules, "color", "rgb") == "grey", bgr = field(rules, "color", "rgb") == "bgr", last = field(rules, "layout", "nchw") == "nhwc";
  const int channels = grey ? 1 : 3;
  const int height = int(input.shape[last ? 1 : 2]), width = int(input.shape[last ? 2 : 3]);
  const std::string rule = field(rules, "resize", "stretch");
  if (rule == "exact" && (p.width != width || p.height != height)) {
    fail("the model takes pictures of " + std::to_string(width) + " x " + std::to_string(height) + ", this one has " + std::to_string(p.width) + " x " + std::to_string(p.height));
  }
  if (grey && p.channels == 3) {  // luma of ITU-R BT.601 in Pillow's integers
    Picture g{p.width, p.height, 1, {}};
    g.pixels.resize(size_t(p.width) * size_t(p.height));
    for (size_t i = 0; i < g.pixels.size(); ++i) {
      const unsigned char* s = &p.pixels[3 * i];
      g.pixels[i] = static_cast<unsigned char>((s[0] * 19595 + s[1] * 38470 + s[2] * 7471 + 0x8000) >> 16);
    }
    p = std::move(g);
  } else if (!grey && p.channels == 1) {
    Picture c{p.width, p.height, 3, {}};
    c.pixels.resize(p.pixels.size() * 3);
    for (size_t i = 0; i < p.pixels.size(); ++i) std::fill_n(&c.pixels[3 * i], 3, p.pixels[i]);
    p = std::move(c);
  }
  if (p.width != width || p.height != height) {
    if (rule == "crop") {
      const double fraction = numbers(field(rules, "crop_fraction", "1"))[0];
      const double scale = std::min(p.width * fraction / width, p.height * fraction / height), w = width * scale, h = height * scale;
      p = resized(p, (p.width - w) / 2, (p.height - h) / 2, w, h, width, height);
    } else {
      p = resized(p, 0, 0, p.width, p.height, width, height);
    }
  }
  auto mean = numbers(field(rules, "mean", "")), scale = numbers(field(rules, "scale", ""));
  if (mean.empty()) mean = {0};
  if (scale.empty()) scale = {1};
  mean.resize(size_t(channels), mean[0]);
  scale.resize(size_t(channels), scale[0]);
  const size_t plane = size_t(width) * size_t(height);
  for (size_t i = 0; i < plane; ++i) {
    for (int c = 0; c < channels; ++c) {
      const unsigned char v = p.pixels[i * size_t(channels) + size_t(bgr ? 2 - c : c)];
      const size_t at = last ? i * size_t(channels) + size_t(c) : size_t(c) * plane + i;
      to[at] = static_cast<float>((v - mean[size_t(c)]) / scale[size_t(c)]);
    }
  }
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

int main(int argc, char** argv) {
  std::string folder = package_folder();
  size_t top = 5;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    if (a == "--help" || a == "-h") {
      std::printf("usage: classify [--top K] [--model DIR] IMAGE...\n  prints LABEL<TAB>SCORE lines, best first; JPEG and PNG\n");
      return 0;
    }
    if ((a == "--top" || a == "--model") && i + 1 < argc) {
      if (a == "--top") top = size_t(std::max(1, std::atoi(argv[++i])));
      else folder = argv[++i];
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
  if (const auto s = model.load((folder + "/model.hone").c_str()); !s) fail(s.message);
  std::vector<std::string> labels;
  std::ifstream in(folder + "/labels.txt");
  for (std::string line; std::getline(in, line);) labels.push_back(line);
  const char* rules = model.metadata("hone/preprocessing");
  if (!rules || model.num_inputs() != 1 || model.input(0).rank != 4 || std::strcmp(model.input(0).type, "f32") != 0) fail(folder + "/model.hone: no classifier of pictures");
  for (const std::string& file : files) {
    prepare(rules, read_picture(file), model.input(0), static_cast<float*>(model.input_data(0)));
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
      std::printf("%s\t%.4f\n", order[k] < labels.size() ? labels[order[k]].c_str() : std::to_string(order[k]).c_str(), score[order[k]]);
    }
  }
  return 0;
}
