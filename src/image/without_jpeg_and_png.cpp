// Stands in for jpeg.cpp and png.cpp where their libraries are not wanted: beside the bare runtime.
#include "image/codecs.hpp"

namespace hone::data {
namespace codec {

ImageInfo probe_jpeg(const Input& in) {
  unsupported(in, "this program reads no JPEG", "convert it to BMP or PNM");
}
int decode_jpeg(const Input& in, Image&) {
  unsupported(in, "this program reads no JPEG", "convert it to BMP or PNM");
}
ImageInfo probe_png(const Input& in) {
  unsupported(in, "this program reads no PNG", "convert it to BMP or PNM");
}
int decode_png(const Input& in, Image&) {
  unsupported(in, "this program reads no PNG", "convert it to BMP or PNM");
}

}  // namespace codec

std::vector<uint8_t> encode_png(const ImageView&, int) {
  throw Error(ErrorCode::unsupported, "[image] this program writes no PNG");
}
std::vector<uint8_t> encode_jpeg(const ImageView&, int) {
  throw Error(ErrorCode::unsupported, "[image] this program writes no JPEG");
}

}  // namespace hone::data
