// Random changes of training pictures. What happens to a sample depends on (seed, epoch, index of the sample) alone:
// not on threads, batch size or what was read before.
#pragma once
#include <span>
#include <vector>

#include "data/geometry.hpp"
#include "data/random.hpp"
#include "hone/tensor.hpp"
#include "image/image.hpp"

namespace hone::data {

/// All switched off by default. Applied in the order of the fields.
struct Augmentation {
  double area_min = 1;  ///< random resized crop: share of the area, uniform in [area_min, 1]; 1 = whole pictures
  double aspect_max = 4.0 / 3;  ///< its stretch, log-uniform in [1/aspect_max, aspect_max]
  double flip_horizontal = 0;   ///< probability
  double flip_vertical = 0;     ///< probability
  int64_t crop_padding = 0;     ///< pixels added on each side before the picture's size is cut out again at random
  double rotate = 0;            ///< degrees, uniform in [-rotate, rotate]
  double brightness = 0;        ///< factor uniform in [1 - b, 1 + b]
  double contrast = 0;          ///< the same, about the mean luma
  double saturation = 0;        ///< the same, about each pixel's luma; no effect on grey
  double hue = 0;            ///< turn of the colour circle, uniform in [-hue, hue], 1 = once round; no effect on grey
  double cutout = 0;         ///< probability of a filled square at a random centre
  double cutout_size = 0.5;  ///< its side as a share of the shorter side
  double mixup = 0;          ///< alpha of the Beta distribution (Zhang et al. 2018); 0 = off; done by the loader
  std::vector<int64_t> fill = {0};  ///< 0..255, one value or RGB: what uncovered and cut-out pixels take

  static void fields(auto& o, auto&& f) {
    f("area_min", o.area_min);
    f("aspect_max", o.aspect_max);
    f("flip_horizontal", o.flip_horizontal);
    f("flip_vertical", o.flip_vertical);
    f("crop_padding", o.crop_padding);
    f("rotate", o.rotate);
    f("brightness", o.brightness);
    f("contrast", o.contrast);
    f("saturation", o.saturation);
    f("hue", o.hue);
    f("cutout", o.cutout);
    f("cutout_size", o.cutout_size);
    f("mixup", o.mixup);
    f("fill", o.fill);
  }
  bool operator==(const Augmentation&) const = default;

  /// Throws `Error` (usage) where a field is out of its range.
  void validate() const;
  bool crops_at_random() const { return area_min < 1; }
  /// Anything that needs the pixels as a picture, beyond moving and mirroring rows.
  bool repaints() const {
    return rotate > 0 || brightness > 0 || contrast > 0 || saturation > 0 || hue > 0 || cutout > 0;
  }
  Color fill_color() const;
};

/// Moving and mirroring, drawn for one sample: output pixel (x, y) is source pixel (x or w-1-x) + dx, (y or h-1-y) +
/// dy.
struct Placement {
  bool flip_x = false, flip_y = false;
  int dx = 0, dy = 0;
};

/// The draws of one sample. Every draw has its own stream, so switching one change on leaves the others as they were.
class SampleDraws {
 public:
  SampleDraws(const Augmentation& a, uint64_t seed, int64_t epoch, uint64_t sample)
      : a_(a), key_{seed, uint64_t(epoch), sample} {}
  Placement placement() const;
  /// The part of a `width` x `height` picture for a random resized crop.
  void box(int width, int height, double& left, double& top, double& right, double& bottom) const;
  /// Weight of the sample itself in a mixup, in [0.5, 1].
  double mixup_weight() const;
  /// Rotation, colour and cutout. `spare` is reused memory.
  void repaint(Image& image, Image& spare) const;

 private:
  Random stream(uint64_t what) const { return Random{key_[0], key_[1], key_[2], what}; }
  const Augmentation& a_;
  uint64_t key_[3];
};

/// Row `y` of the placed picture into `row` (width x channels samples); what lies outside takes `fill`.
void placed_row(const ImageView& image, const Placement& p, int y, const Color& fill, uint8_t* row);
/// All rows.
void place(const ImageView& image, const Placement& p, const Color& fill, Image& out);

/// Colour changes as one affine map of RGB; brightness, contrast, saturation are factors, hue a turn (1 = once round).
void adjust_colors(Image& image, double brightness, double contrast, double saturation, double hue);

/// One picture, augmented, as a batch of the loader would have it (random resized crop and mixup excluded).
Image augmented(const ImageView& image, const Augmentation& a, uint64_t seed, int64_t epoch, uint64_t sample);

}  // namespace hone::data
