// Many small pictures on one sheet, for reports.
#pragma once
#include <span>
#include <vector>

#include "data/dataset.hpp"
#include "data/geometry.hpp"

namespace hone::data {

struct GridOptions {
  int columns = 8;
  int cell =
      64;  ///< width and height of a picture on the sheet; pictures are fitted into it, small ones by whole factors
  int gap = 4;    ///< pixels between cells and around them
  int frame = 2;  ///< thickness of the coloured frame, 0 = none
  Color background = {255, 255, 255, 255};
};

struct GridCell {
  Image image;
  Color frame = {0, 0, 0, 255};
};

/// The sheet, RGB. Pictures smaller than a cell are enlarged by a whole factor without smoothing, so that pixels stay
/// pixels; transparency shows the background. Throws `Error` (usage) for no cells or sizes out of range
/// (cell 1..1024, 1..10000 cells).
Image make_grid(std::span<const GridCell> cells, const GridOptions& options = {});

/// The sheet of some samples of a data set, with one frame colour each (or none where `frames` is empty).
Image make_grid(const Dataset& data, std::span<const uint32_t> samples, std::span<const Color> frames,
                const GridOptions& options = {});

/// `data:image/png;base64,...` of a picture, so that a report is one file.
std::string png_data_uri(const ImageView& image);

}  // namespace hone::data
