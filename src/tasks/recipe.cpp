#include "tasks/recipe.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "data/stats.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

void measure_pixels(const data::Dataset& data, const std::vector<uint32_t>& train, data::Preprocessing& p) {
  const data::ChannelStats stats = data::channel_stats(data, train, p, 2000);
  // Three digits are plenty and keep the stored numbers readable.
  const auto rounded = [](double x) { return std::round(x * 1000) / 1000; };
  p.mean.clear();
  p.scale.clear();
  for (double m : stats.mean) p.mean.push_back(rounded(m));
  for (double d : stats.deviation) p.scale.push_back(std::max(1.0, rounded(d)));
}

// The median of the shorter and of the longer side over a sample of the pictures, and whether all have one size.
struct Sizes {
  int64_t width = 0, height = 0;
  bool uniform = true;
};
Sizes picture_sizes(const data::Dataset& data, const std::vector<uint32_t>& train) {
  std::vector<int64_t> w, h;
  const size_t stride = std::max<size_t>(1, train.size() / 500);
  for (size_t i = 0; i < train.size(); i += stride) {
    const data::ImageInfo info = data.info(train[i]);
    w.push_back(info.width);
    h.push_back(info.height);
  }
  Sizes s;
  s.uniform = std::adjacent_find(w.begin(), w.end(), std::not_equal_to<>()) == w.end() &&
              std::adjacent_find(h.begin(), h.end(), std::not_equal_to<>()) == h.end();
  std::sort(w.begin(), w.end());
  std::sort(h.begin(), h.end());
  s.width = w[w.size() / 2];
  s.height = h[h.size() / 2];
  return s;
}

}  // namespace

data::Augmentation parse_augmentation(const std::string& names, int64_t size) {
  data::Augmentation a;
  std::istringstream in(names);
  for (std::string name; std::getline(in, name, ',');) {
    if (name == "none")
      continue;
    else if (name == "flip")
      a.flip_horizontal = 0.5;
    else if (name == "crop")
      a.crop_padding = std::max<int64_t>(1, size / 8);
    else if (name == "rotate")
      a.rotate = 10;
    else if (name == "colour" || name == "color")
      a.brightness = a.contrast = a.saturation = 0.2;
    else if (name == "cutout")
      a.cutout = 0.5, a.cutout_size = 0.4;
    else if (name == "mixup")
      a.mixup = 0.2;
    else
      throw Error(ErrorCode::usage, "[train] unknown augmentation '" + name + "'", "",
                  "choose from flip, crop, rotate, colour, cutout, mixup, none");
  }
  return a;
}

Recipe choose_recipe(const data::Dataset& data, const data::Split& split, const RecipeRequest& request) {
  const auto n = static_cast<int64_t>(split.train.size());
  if (n == 0) throw Error(ErrorCode::failed, "[train] there are no training samples", data.path());
  const Sizes sizes = picture_sizes(data, split.train);
  const int64_t side = std::max(sizes.width, sizes.height);
  const bool tiny = side <= 64;  // pictures made for small networks: used as they are
  Recipe r;
  r.network = request.network;
  if (r.network.empty()) r.network = tiny || n < 2000 ? "resnet20" : "resnet18";
  if (request.size > 0) {
    r.preprocessing.width = r.preprocessing.height = request.size;
  } else if (tiny && sizes.uniform) {
    r.preprocessing.width = sizes.width;
    r.preprocessing.height = sizes.height;
  } else {
    // Few pictures do not fill a large network; more of them deserve more pixels.
    const int64_t wanted = n < 2000 ? 64 : 128;
    r.preprocessing.width = r.preprocessing.height = tiny ? side : std::min(wanted, side);
  }
  // Pictures that have the size already stay as they are, bit for bit; others are scaled.
  r.preprocessing.resize = data::ResizeRule::stretch;
  r.preprocessing.color = data::natural_channels(data) == 1 ? data::ColorOrder::grey : data::ColorOrder::rgb;
  measure_pixels(data, split.train, r.preprocessing);

  r.batch = request.batch > 0 ? request.batch : n >= 10000 ? 128 : n >= 2000 ? 64 : n >= 400 ? 32 : 16;
  r.batch = std::min(r.batch, n);
  // About 440,000 pictures in all for large sets, never below 8 nor above 60 passes.
  r.epochs = request.epochs > 0 ? request.epochs : std::clamp<int64_t>(440000 / n, 8, 60);
  r.learning_rate = request.learning_rate > 0 ? request.learning_rate : 0.2 * static_cast<double>(r.batch) / 128;
  if (!request.augmentation.empty()) {
    r.augmentation = parse_augmentation(request.augmentation, r.preprocessing.width);
  } else {
    r.augmentation.flip_horizontal = 0.5;
    if (n < 10000) {  // small sets need more variety
      r.augmentation.crop_padding = std::max<int64_t>(1, r.preprocessing.width / 8);
      if (r.preprocessing.color != data::ColorOrder::grey) r.augmentation.brightness = r.augmentation.contrast = 0.2;
    }
  }
  return r;
}

}  // namespace hone
