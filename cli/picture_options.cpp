#include "picture_options.hpp"

#include "options.hpp"

namespace hone::cli {

void add_picture_options(CLI::App& app, PictureOptions& o) {
  app.add_option("--mean", o.mean, "V,V,V a channel of samples 0..255, for a model that does not say it")
      ->delimiter(',');
  app.add_option("--scale", o.scale, "V,V,V: (sample - mean) / scale")->delimiter(',');
  app.add_option("--layout", o.layout, "NCHW or NHWC (default: the model's, or by the shape of its input)");
  app.add_flag("--reverse-channels", o.reverse_channels, "Channels from last to first (RGB and BGR)");
}

void check_picture_options(const PictureOptions& o) {
  if (!o.layout.empty()) check_choice("--layout", o.layout, {"NCHW", "NHWC"});
}

}  // namespace hone::cli
