#include "data/grid.hpp"

#include <algorithm>
#include <cmath>

#include "data/resize.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

Image fit_cell(const ImageView& image, int cell) {
  const double scale = std::min(double(cell) / image.width, double(cell) / image.height);
  if (scale >= 1) {
    const int factor = int(scale);
    return resize(image, image.width * factor, image.height * factor, Filter::nearest);
  }
  return resize(image, std::max(1, int(std::lround(image.width * scale))),
                std::max(1, int(std::lround(image.height * scale))));
}

}  // namespace

Image make_grid(std::span<const GridCell> cells, const GridOptions& o) {
  if (cells.empty() || cells.size() > 10'000) throw Error(ErrorCode::usage, "[grid] a sheet takes 1..10000 pictures");
  if (o.columns < 1 || o.columns > 10'000 || o.cell < 1 || o.cell > 1024 || o.gap < 0 || o.gap > 256 || o.frame < 0 ||
      o.frame > 64) {
    throw Error(ErrorCode::usage, "[grid] columns, cell, gap or frame are out of range");
  }
  const int columns = std::min(o.columns, int(cells.size())), rows = (int(cells.size()) + columns - 1) / columns;
  const int step = o.cell + 2 * o.frame + o.gap;
  Image sheet(columns * step + o.gap, rows * step + o.gap, 3);
  fill_rectangle(sheet, 0, 0, sheet.width() - 1, sheet.height() - 1, o.background);
  for (size_t i = 0; i < cells.size(); ++i) {
    const int x = o.gap + int(i) % columns * step, y = o.gap + int(i) / columns * step;
    if (!cells[i].image.empty()) {
      const Image small = fit_cell(blend_over(cells[i].image, o.background), o.cell);
      paste(sheet, small, x + o.frame + (o.cell - small.width()) / 2, y + o.frame + (o.cell - small.height()) / 2);
    }
    if (o.frame > 0)
      draw_rectangle(sheet, x, y, x + o.cell + 2 * o.frame - 1, y + o.cell + 2 * o.frame - 1, cells[i].frame, o.frame);
  }
  return sheet;
}

Image make_grid(const Dataset& data, std::span<const uint32_t> samples, std::span<const Color> frames,
                const GridOptions& options) {
  if (!frames.empty() && frames.size() != samples.size())
    throw Error(ErrorCode::usage, "[grid] give a frame colour for each picture, or none");
  std::vector<GridCell> cells(samples.size());
  GridOptions o = options;
  if (frames.empty()) o.frame = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i] >= data.size()) throw Error(ErrorCode::usage, "[grid] a sample number lies outside of the data");
    // Only what the cell shows is kept in memory.
    const Image image = data.read(samples[i]);
    cells[i].image = std::max(image.width(), image.height()) > o.cell ? fit_cell(image, o.cell) : image;
    if (!frames.empty()) cells[i].frame = frames[i];
  }
  return make_grid(cells, o);
}

std::string png_data_uri(const ImageView& image) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto png = encode_png(image);
  std::string out = "data:image/png;base64,";
  out.reserve(out.size() + (png.size() + 2) / 3 * 4);
  for (size_t i = 0; i < png.size(); i += 3) {
    const size_t n = std::min<size_t>(3, png.size() - i);
    const uint32_t v =
        uint32_t(png[i]) << 16 | uint32_t(n > 1 ? png[i + 1] : 0) << 8 | uint32_t(n > 2 ? png[i + 2] : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? digits[(v >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

}  // namespace hone::data
