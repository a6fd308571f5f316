// Anchor boxes of single-shot detectors. Inputs: size of the feature map [2], size of the image [2] (height, width).
// Output: [2, 4 * height * width * priors]: corners as fractions of the image, then their variances.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

struct PriorBox {
  std::vector<double> min_size{};
  std::vector<double> max_size{};
  std::vector<double> aspect_ratio{};
  std::vector<double> density{};
  std::vector<double> fixed_ratio{};
  std::vector<double> fixed_size{};
  std::vector<double> variance{};
  bool clip = false;
  bool flip = false;
  bool scale_all_sizes = true;
  bool min_max_aspect_ratios_order = true;
  double step = 0;
  double offset = 0;
  static void fields(auto& o, auto&& f) {
    f("min_size", o.min_size);
    f("max_size", o.max_size);
    f("aspect_ratio", o.aspect_ratio);
    f("density", o.density);
    f("fixed_ratio", o.fixed_ratio);
    f("fixed_size", o.fixed_size);
    f("variance", o.variance);
    f("clip", o.clip);
    f("flip", o.flip);
    f("scale_all_sizes", o.scale_all_sizes);
    f("min_max_aspect_ratios_order", o.min_max_aspect_ratios_order);
    f("step", o.step);
    f("offset", o.offset);
  }
  HONE_OP("PriorBox") HONE_NO_GRAD("constant source")
};
struct PriorBoxClustered {
  std::vector<double> width{};
  std::vector<double> height{};
  std::vector<double> variance{};
  bool clip = false;
  double step = 0;
  double step_w = 0;
  double step_h = 0;
  double offset = 0;
  static void fields(auto& o, auto&& f) {
    f("width", o.width);
    f("height", o.height);
    f("variance", o.variance);
    f("clip", o.clip);
    f("step", o.step);
    f("step_w", o.step_w);
    f("step_h", o.step_h);
    f("offset", o.offset);
  }
  HONE_OP("PriorBoxClustered") HONE_NO_GRAD("constant source")
};

}  // namespace hone
