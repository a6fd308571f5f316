// From a picture to the tensor a model takes. The rule is stored with the model, so training, testing and the packaged
// program do exactly the same.
#pragma once
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "data/geometry.hpp"
#include "data/resize.hpp"
#include "hone/shape.hpp"
#include "image/image.hpp"

namespace hone {
class Tensor;
}

namespace hone::data {

enum class ResizeRule {
  exact,      ///< the picture must have the size already; with width = height = 0 any size is taken as it is
  stretch,    ///< scaled to the size, proportions change
  crop,       ///< scaled until it covers the size / crop_fraction, then the middle is cut out
  letterbox,  ///< scaled until it fits, the rest takes `fill`
};
inline std::span<const std::string_view> enum_names(ResizeRule) {
  static constexpr std::string_view names[] = {"exact", "stretch", "crop", "letterbox"};
  return names;
}

enum class ColorOrder { rgb, bgr, grey };
inline std::span<const std::string_view> enum_names(ColorOrder) {
  static constexpr std::string_view names[] = {"rgb", "bgr", "grey"};
  return names;
}

/// Where a letterboxed picture lies in its frame.
enum class Anchor { center, top_left };
inline std::span<const std::string_view> enum_names(Anchor) {
  static constexpr std::string_view names[] = {"center", "top_left"};
  return names;
}

/// What happens to a grey picture where the model takes colours, and the other way round.
enum class ChannelRule { convert, refuse };
inline std::span<const std::string_view> enum_names(ChannelRule) {
  static constexpr std::string_view names[] = {"convert", "refuse"};
  return names;
}

/// What happens to transparency: forgotten, laid over `fill`, or an error.
enum class AlphaRule { drop, blend, refuse };
inline std::span<const std::string_view> enum_names(AlphaRule) {
  static constexpr std::string_view names[] = {"drop", "blend", "refuse"};
  return names;
}

enum class PixelLayout { nchw, nhwc };
inline std::span<const std::string_view> enum_names(PixelLayout) {
  static constexpr std::string_view names[] = {"nchw", "nhwc"};
  return names;
}

struct Preprocessing {
  ResizeRule resize = ResizeRule::stretch;
  int64_t width = 0, height = 0;  ///< pixels
  Filter filter = Filter::bilinear;
  double crop_fraction = 1.0;       ///< in (0, 1], for `crop`: 0.875 is 224 out of 256
  Anchor anchor = Anchor::center;   ///< for `letterbox`
  std::vector<int64_t> fill = {0};  ///< 0..255, one value or one a channel, in RGB order
  ColorOrder color = ColorOrder::rgb;
  std::vector<double> mean,
      scale;  ///< output = (sample 0..255 - mean) / scale; empty, one value, or one a channel, in the order of `color`
  ChannelRule channel_rule = ChannelRule::convert;
  AlphaRule alpha = AlphaRule::drop;
  bool exif_orientation = true;  ///< undo it when a file is read
  PixelLayout layout = PixelLayout::nchw;

  static void fields(auto& o, auto&& f) {
    f("resize", o.resize);
    f("width", o.width);
    f("height", o.height);
    f("filter", o.filter);
    f("crop_fraction", o.crop_fraction);
    f("anchor", o.anchor);
    f("fill", o.fill);
    f("color", o.color);
    f("mean", o.mean);
    f("scale", o.scale);
    f("channel_rule", o.channel_rule);
    f("alpha", o.alpha);
    f("exif_orientation", o.exif_orientation);
    f("layout", o.layout);
  }
  bool operator==(const Preprocessing&) const = default;

  int channels() const { return color == ColorOrder::grey ? 1 : 3; }
  /// Throws `Error` (usage) where a field is out of its range.
  void validate() const;
  /// `fill` as a colour of the picture before the colour order is changed.
  Color fill_color() const;
  /// Shape of a batch of `n` pictures; sizes must be known.
  Shape batch_shape(int64_t n) const;

  /// Geometry and channels: the picture as `width` x `height` with `channels()` samples, RGB or grey.
  /// Throws `Error` (unsupported) where a rule refuses it.
  Image fit(const ImageView& image) const;
  /// f32 tensor of one picture, [1,C,H,W] or [1,H,W,C]. Reentrant.
  Tensor apply(const ImageView& image) const;
  /// The same from a file; errors name it.
  Tensor apply_file(const std::string& path) const;
};

/// The arithmetic of `mean` and `scale` as tables: 256 results a channel, so a sample costs one load and is exact.
class Normalizer {
 public:
  explicit Normalizer(const Preprocessing& p);
  /// Writes one fitted picture as f32 in the layout and colour order of the preprocessing; `out` holds byte_size()
  /// floats.
  void to_float(const ImageView& fitted, float* out) const;
  /// The same order of samples, but the samples as they are.
  void to_bytes(const ImageView& fitted, uint8_t* out) const;
  /// Results for the samples 0..255 of output channel `c`.
  const std::array<float, 256>& table(int c) const { return tables_[size_t(c)]; }

 private:
  template <class T, class F>
  void write(const ImageView& fitted, T* out, F value) const;
  std::array<std::array<float, 256>, 3> tables_;
  bool bgr_, planar_;
};

}  // namespace hone::data
