// Stands in for webp.cpp in the self-contained picture header, which needs libjpeg-turbo and libpng only.
#include "data/codecs.hpp"

namespace hone::data::codec {

ImageInfo probe_webp(const Input& in) {
  unsupported(in, "this program reads no WebP", "convert it to JPEG or PNG");
}
int decode_webp(const Input& in, Image&) {
  unsupported(in, "this program reads no WebP", "convert it to JPEG or PNG");
}

}  // namespace hone::data::codec
