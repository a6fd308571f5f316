// Stands in for webp.cpp and tiff.cpp where their libraries are not wanted: in the self-contained picture header, which
// needs libjpeg-turbo and libpng only, and beside the bare runtime.
#include "image/codecs.hpp"

namespace hone::data::codec {

ImageInfo probe_webp(const Input& in) {
  unsupported(in, "this program reads no WebP", "convert it to JPEG or PNG");
}
int decode_webp(const Input& in, Image&) {
  unsupported(in, "this program reads no WebP", "convert it to JPEG or PNG");
}
ImageInfo probe_tiff(const Input& in) {
  unsupported(in, "this program reads no TIFF", "convert it to JPEG or PNG");
}
int decode_tiff(const Input& in, Image&) {
  unsupported(in, "this program reads no TIFF", "convert it to JPEG or PNG");
}

}  // namespace hone::data::codec
