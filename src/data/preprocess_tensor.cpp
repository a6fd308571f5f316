// The half of preprocessing that makes tensors; the other half is also part of programs without them.
#include "data/preprocess.hpp"
#include "hone/error.hpp"
#include "hone/tensor.hpp"

namespace hone::data {

Tensor Preprocessing::apply(const ImageView& image) const {
  validate();
  const Image fitted = fit(image);
  const int64_t w = fitted.width(), h = fitted.height(), c = fitted.channels();
  Tensor t(ElementType::f32, layout == PixelLayout::nchw ? Shape{1, c, h, w} : Shape{1, h, w, c});
  Normalizer(*this).to_float(fitted, t.data<float>());
  return t;
}

Tensor Preprocessing::apply_file(const std::string& path) const {
  try {
    return apply(read_image(path, exif_orientation));
  } catch (const Error& e) {
    if (!e.where().empty()) throw;
    throw e.at(path);
  }
}

}  // namespace hone::data
