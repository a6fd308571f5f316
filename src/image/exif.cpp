// The one EXIF tag that matters for pixels. Layout: TIFF 6.0 section 2, tag 0x0112 in the first directory.
#include "image/codecs.hpp"

namespace hone::data::codec {

int exif_orientation(std::span<const uint8_t> b) {
  if (b.size() >= 6 && b[0] == 'E' && b[1] == 'x' && b[2] == 'i' && b[3] == 'f' && b[4] == 0 && b[5] == 0)
    b = b.subspan(6);
  if (b.size() < 8) return 1;
  const bool little = b[0] == 'I' && b[1] == 'I';
  if (!little && !(b[0] == 'M' && b[1] == 'M')) return 1;
  const auto u16 = [&](size_t at) { return uint32_t(little ? b[at] | b[at + 1] << 8 : b[at] << 8 | b[at + 1]); };
  const auto u32 = [&](size_t at) { return little ? u16(at) | u16(at + 2) << 16 : u16(at) << 16 | u16(at + 2); };
  if (u16(2) != 42) return 1;
  const size_t directory = u32(4);
  if (directory > b.size() - 2) return 1;
  const size_t entries = u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t at = directory + 2 + 12 * i;
    if (at + 12 > b.size()) return 1;
    if (u16(at) != 0x0112) continue;
    const uint32_t v = u16(at + 8);  // type SHORT, count 1: the value lies in the entry itself
    return v >= 1 && v <= 8 ? int(v) : 1;
  }
  return 1;
}

}  // namespace hone::data::codec
