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

// The mean along the edges of the pictures: what lies beyond them, as far as anybody can tell. Strips of another colour
// would be the strongest mark on a picture that is moved.
std::vector<int64_t> edge_color(const data::Dataset& data, const std::vector<uint32_t>& train,
                                const data::Preprocessing& p) {
  std::vector<int64_t> sum(static_cast<size_t>(p.channels()), 0);
  int64_t pixels = 0;
  const size_t stride = std::max<size_t>(1, train.size() / 200);
  for (size_t i = 0; i < train.size(); i += stride) {
    data::Image image;
    try {
      image = p.fit(data.read(train[i], p.exif_orientation));
    } catch (const Error& e) {
      if (!e.where().empty()) throw;
      throw e.at(data.file(train[i]));
    }
    for (int y = 0; y < image.height(); ++y) {
      const bool whole = y == 0 || y + 1 == image.height();
      for (int x = 0; x < image.width(); x += whole ? 1 : std::max(1, image.width() - 1)) {
        for (size_t c = 0; c < sum.size(); ++c) sum[c] += image.pixel(x, y)[c];
        ++pixels;
      }
    }
  }
  for (int64_t& s : sum) s = (s + pixels / 2) / pixels;
  return sum;
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

double default_learning_rate(OptimizerKind optimizer, int64_t batch, bool trained) {
  const double for_128 = optimizer == OptimizerKind::adamw ? 2e-3 : 0.2;
  return for_128 * static_cast<double>(batch) / 128 * (trained ? 0.1 : 1);
}

double default_clip_norm(bool trained) {
  return trained ? 5 : 0;
}

double default_unit_clip(bool trained) {
  return trained ? 1 : 0;
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
  if (request.input) r.preprocessing = *request.input;
  if (request.input && r.preprocessing.width > 0) {
    // The size stands in the file.
  } else if (request.size > 0) {
    r.preprocessing.width = r.preprocessing.height = request.size;
  } else if (tiny && sizes.uniform) {
    r.preprocessing.width = sizes.width;
    r.preprocessing.height = sizes.height;
  } else {
    // Few pictures do not fill a large network; more of them deserve more pixels.
    const int64_t wanted = n < 2000 ? 64 : 128;
    r.preprocessing.width = r.preprocessing.height = tiny ? side : std::min(wanted, side);
  }
  if (!request.input) {
    // Pictures that have the size already stay as they are, bit for bit; others are scaled.
    r.preprocessing.resize = data::ResizeRule::stretch;
    r.preprocessing.color = data::natural_channels(data) == 1 ? data::ColorOrder::grey : data::ColorOrder::rgb;
  }
  if (!request.input || request.measure) measure_pixels(data, split.train, r.preprocessing);

  r.batch = request.batch > 0 ? request.batch : n >= 10000 ? 128 : n >= 2000 ? 64 : n >= 400 ? 32 : 16;
  r.batch = std::min(r.batch, n);
  // About 440,000 pictures in all for large sets, never below 8 nor above 60 passes.
  r.epochs = request.epochs > 0 ? request.epochs : std::clamp<int64_t>(440000 / n, 8, 60);
  if (!request.augmentation.empty()) {
    r.augmentation = parse_augmentation(request.augmentation, r.preprocessing.width);
  } else {
    r.augmentation.flip_horizontal = 0.5;
    if (n < 10000) {  // small sets need more variety
      r.augmentation.crop_padding = std::max<int64_t>(1, r.preprocessing.width / 8);
      if (r.preprocessing.color != data::ColorOrder::grey) r.augmentation.brightness = r.augmentation.contrast = 0.2;
    }
  }
  r.augmentation.fill = edge_color(data, split.train, r.preprocessing);
  return r;
}

}  // namespace hone
