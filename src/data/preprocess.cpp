#include "data/preprocess.hpp"

#include <algorithm>
#include <cmath>

#include "hone/error.hpp"

namespace hone::data {
namespace {

[[noreturn]] void wrong(const std::string& what) {
  throw Error(ErrorCode::usage, "[preprocess] " + what);
}

void check_list(const std::vector<double>& v, int channels, const char* name) {
  if (!v.empty() && v.size() != 1 && v.size() != size_t(channels)) {
    wrong(std::string(name) + " has " + std::to_string(v.size()) + " values for " + std::to_string(channels) +
          " channels");
  }
  for (double x : v) {
    if (!std::isfinite(x)) wrong(std::string(name) + " is not a finite number");
  }
}

int rounded(double v) {
  return std::max(1, int(std::lround(v)));
}

double at(const std::vector<double>& v, size_t i, double otherwise) {
  return v.empty() ? otherwise : v.size() == 1 ? v[0] : v[i];
}

}  // namespace

void Preprocessing::validate() const {
  constexpr int64_t most = 1 << 16;
  if (width < 0 || height < 0 || width > most || height > most) wrong("width and height must lie in 0..65536");
  if ((width == 0) != (height == 0)) wrong("width and height must both be given, or both be 0");
  if (width == 0 && resize != ResizeRule::exact) wrong("a resize rule needs width and height");
  if (!(crop_fraction > 0 && crop_fraction <= 1)) wrong("crop_fraction must lie in (0, 1]");
  if (fill.empty() || (fill.size() != 1 && fill.size() != 3)) wrong("fill takes one value or three");
  for (int64_t v : fill) {
    if (v < 0 || v > 255) wrong("fill must lie in 0..255");
  }
  check_list(mean, channels(), "mean");
  check_list(scale, channels(), "scale");
  for (double s : scale) {
    if (s == 0) wrong("scale must not be 0");
  }
}

Color Preprocessing::fill_color() const {
  Color c{};
  for (size_t i = 0; i < 3; ++i) c[i] = uint8_t(fill.size() == 3 ? fill[i] : fill.empty() ? 0 : fill[0]);
  c[3] = 255;
  return c;
}

Shape Preprocessing::batch_shape(int64_t n) const {
  if (layout == PixelLayout::nchw) return {n, channels(), height, width};
  return {n, height, width, channels()};
}

Image Preprocessing::fit(const ImageView& image) const {
  if (image.byte_size() == 0) throw Error(ErrorCode::unreadable, "[preprocess] the picture is empty");
  ImageView v = image;
  Image opaque, recolored;
  if (v.channels == 4) {
    if (alpha == AlphaRule::refuse) {
      throw Error(ErrorCode::unsupported, "[preprocess] the picture has transparency, which this model refuses", {},
                  "remove the alpha channel");
    }
    opaque = alpha == AlphaRule::blend ? blend_over(v, fill_color()) : with_channels(v, 3);
    v = opaque;
  }
  if (v.channels != channels()) {
    if (channel_rule == ChannelRule::refuse) {
      throw Error(ErrorCode::unsupported,
                  "[preprocess] the picture has " + std::to_string(v.channels) +
                      (v.channels == 1 ? " channel" : " channels") + ", the model takes " + std::to_string(channels()),
                  {}, channels() == 1 ? "convert it to grey" : "convert it to RGB");
    }
    // Luma before resizing and replication after it: the fewer channels are resized.
    if (channels() == 1) {
      recolored = with_channels(v, 1);
      v = recolored;
    }
  }
  const int w = int(width), h = int(height);
  Image out;
  switch (resize) {
    case ResizeRule::exact:
      if (w != 0 && (v.width != w || v.height != h)) {
        throw Error(ErrorCode::unsupported,
                    "[preprocess] the picture is " + std::to_string(v.width) + "x" + std::to_string(v.height) +
                        ", the model takes exactly " + std::to_string(w) + "x" + std::to_string(h),
                    {}, "resize it or choose another resize rule");
      }
      out = Image(v);
      break;
    case ResizeRule::stretch:
      out = data::resize(v, w, h, filter);
      break;
    case ResizeRule::crop: {
      const double cover_w = std::round(w / crop_fraction), cover_h = std::round(h / crop_fraction);
      // The side that decides gets its size exactly, the other is cut down to whole pixels, as torchvision does.
      const bool by_width = cover_w * v.height >= cover_h * v.width;
      const int rw = by_width ? int(cover_w) : std::max(w, int(cover_h * v.width / v.height));
      const int rh = by_width ? std::max(h, int(cover_w * v.height / v.width)) : int(cover_h);
      const Image scaled = data::resize(v, rw, rh, filter);
      out = data::crop(scaled, int(std::nearbyint((rw - w) / 2.0)), int(std::nearbyint((rh - h) / 2.0)), w, h);
      break;
    }
    case ResizeRule::letterbox: {
      const double s = std::min(double(w) / v.width, double(h) / v.height);
      const int rw = std::min(rounded(v.width * s), w), rh = std::min(rounded(v.height * s), h);
      const Image scaled = data::resize(v, rw, rh, filter);
      const int x = anchor == Anchor::center ? (w - rw) / 2 : 0, y = anchor == Anchor::center ? (h - rh) / 2 : 0;
      out = pad(scaled, x, y, w - rw - x, h - rh - y, fill_color());
      break;
    }
  }
  return out.channels() == channels() ? std::move(out) : with_channels(out, channels());
}

Normalizer::Normalizer(const Preprocessing& p)
    : bgr_(p.color == ColorOrder::bgr), planar_(p.layout == PixelLayout::nchw) {
  for (size_t c = 0; c < 3; ++c) {
    const size_t i = c < size_t(p.channels()) ? c : 0;
    const double mean = at(p.mean, i, 0), scale = at(p.scale, i, 1);
    for (size_t v = 0; v < 256; ++v) tables_[c][v] = float((double(v) - mean) / scale);
  }
}

template <class T, class F>
void Normalizer::write(const ImageView& v, T* out, F value) const {
  const size_t n = size_t(v.width) * size_t(v.height);
  if (v.channels == 1) {
    for (size_t i = 0; i < n; ++i) out[i] = value(0, v.pixels[i]);
    return;
  }
  const size_t step = planar_ ? 1 : 3, plane = planar_ ? n : 1;
  for (size_t c = 0; c < 3; ++c) {
    const uint8_t* from = v.pixels + (bgr_ ? 2 - c : c);
    T* to = out + c * plane;
    for (size_t i = 0; i < n; ++i) to[i * step] = value(c, from[3 * i]);
  }
}

void Normalizer::to_float(const ImageView& fitted, float* out) const {
  write(fitted, out, [&](size_t c, uint8_t v) { return tables_[c][v]; });
}

void Normalizer::to_bytes(const ImageView& fitted, uint8_t* out) const {
  write(fitted, out, [](size_t, uint8_t v) { return v; });
}

}  // namespace hone::data
