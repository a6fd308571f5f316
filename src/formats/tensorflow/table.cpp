// The sorted-string table of LevelDB: footer, index block, data blocks with keys that share prefixes.
#include <cstring>

#include "formats/tensorflow/checkpoint.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

[[noreturn]] void malformed(const char* what) {
  throw Error(ErrorCode::unreadable, std::string("[tensorflow] the checkpoint's index is malformed: ") + what);
}

class Cursor {
 public:
  explicit Cursor(std::string_view b) : b_(b) {}
  bool done() const { return b_.empty(); }
  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (b_.empty()) malformed("a number is cut");
      const auto c = static_cast<uint8_t>(b_[0]);
      b_.remove_prefix(1);
      v |= uint64_t{c & 0x7fu} << shift;
      if (c < 0x80) return v;
    }
    malformed("a number is too long");
  }
  std::string_view take(uint64_t n) {
    if (n > b_.size()) malformed("an entry is cut");
    const std::string_view v = b_.substr(0, n);
    b_.remove_prefix(n);
    return v;
  }
  uint32_t fixed32() {
    uint32_t v;
    std::memcpy(&v, take(4).data(), 4);
    return v;
  }

 private:
  std::string_view b_;
};

// A block, unpacked. Behind it stand one byte for its packing and four of a checksum.
std::string block(std::string_view file, uint64_t offset, uint64_t size) {
  constexpr uint64_t trailer = 5;
  if (offset > file.size() || file.size() - offset < trailer || size > file.size() - offset - trailer)
    malformed("a block lies outside of the file");
  const std::string_view body = file.substr(offset, size);
  switch (file[offset + size]) {
    case 0:
      return std::string(body);
    case 1:
      return unpack_snappy(body);
    default:
      malformed("a block is packed in an unknown way");
  }
}

template <class F>
void entries_of(const std::string& block, F&& each) {
  if (block.size() < 4) malformed("a block is too short");
  uint32_t restarts;
  std::memcpy(&restarts, block.data() + block.size() - 4, 4);
  if ((block.size() - 4) / 4 < restarts) malformed("a block is too short");
  Cursor c(std::string_view(block).substr(0, block.size() - 4 - size_t{4} * restarts));
  std::string key;
  while (!c.done()) {
    const uint64_t shared = c.varint(), own = c.varint(), length = c.varint();
    if (shared > key.size()) malformed("a key shares more than there is");
    key.resize(shared);
    key += c.take(own);
    each(key, c.take(length));
  }
}

}  // namespace

std::string unpack_snappy(std::string_view bytes) {
  Cursor c(bytes);
  const uint64_t size = c.varint();
  // The densest element makes 64 bytes of 3.
  if (size > bytes.size() * 32) malformed("a packed block claims an absurd size");
  std::string out;
  out.reserve(size);
  while (!c.done()) {
    const auto tag = static_cast<uint8_t>(c.take(1)[0]);
    uint64_t length = (tag >> 2) + 1, offset = 0;
    const auto little = [&](uint64_t n) {
      uint64_t v = 0;
      const std::string_view b = c.take(n);
      for (uint64_t i = 0; i < n; ++i) v |= uint64_t{static_cast<uint8_t>(b[i])} << (8 * i);
      return v;
    };
    switch (tag & 3) {
      case 0:
        if (length > 60) length = little(length - 60) + 1;
        if (out.size() + length > size) malformed("a packed block is longer than it says");
        out += c.take(length);
        continue;
      case 1:
        length = ((tag >> 2) & 7) + 4;
        offset = static_cast<uint64_t>(tag >> 5) << 8 | little(1);
        break;
      case 2:
        offset = little(2);
        break;
      default:
        offset = little(4);
    }
    if (offset == 0 || offset > out.size() || out.size() + length > size)
      malformed("a packed block refers to what is not there");
    for (uint64_t i = 0; i < length; ++i) out += out[out.size() - offset];
  }
  if (out.size() != size) malformed("a packed block is shorter than it says");
  return out;
}

std::vector<std::pair<std::string, std::string>> read_table(std::string_view bytes) {
  constexpr size_t footer = 48;
  constexpr uint64_t magic = 0xdb4775248b80fb57ull;
  uint64_t found = 0;
  if (bytes.size() >= footer) std::memcpy(&found, bytes.data() + bytes.size() - 8, 8);
  if (found != magic) malformed("it is no sorted-string table");
  Cursor c(bytes.substr(bytes.size() - footer, footer - 8));
  c.varint();
  c.varint();
  const uint64_t offset = c.varint(), size = c.varint();
  std::vector<std::pair<std::string, std::string>> out;
  size_t unpacked = 0;
  entries_of(block(bytes, offset, size), [&](const std::string&, std::string_view handle) {
    Cursor h(handle);
    const uint64_t at = h.varint(), length = h.varint();
    const std::string data = block(bytes, at, length);
    // Many index entries may name one block; what they make together stays in proportion to the file.
    unpacked += data.size();
    if (unpacked > 64 * bytes.size()) malformed("its blocks overlap");
    size_t keys = 0;
    entries_of(data, [&](const std::string& key, std::string_view value) {
      keys += key.size();
      if (keys > (size_t{64} << 20)) malformed("its keys are too long");
      out.emplace_back(key, std::string(value));
    });
  });
  return out;
}

}  // namespace hone::tensorflow
