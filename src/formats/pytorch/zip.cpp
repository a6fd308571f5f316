#include "formats/pytorch/zip.hpp"

#include <cstdint>

#include "base/file.hpp"
#include "hone/error.hpp"

namespace hone::pytorch {
namespace {

[[noreturn]] void broken(const std::string& what) {
  throw Error(ErrorCode::unreadable, "[zip] " + what, "", "check that the file is whole");
}

// Little-endian numbers at an offset that is checked.
uint64_t number(std::string_view bytes, uint64_t at, size_t width) {
  if (at > bytes.size() || width > bytes.size() - at) broken("the archive is truncated");
  uint64_t v = 0;
  for (size_t k = width; k-- > 0;) v = v << 8 | static_cast<uint8_t>(bytes[at + k]);
  return v;
}
std::string_view part(std::string_view bytes, uint64_t at, uint64_t size) {
  if (at > bytes.size() || size > bytes.size() - at) broken("an entry lies outside of the archive");
  return bytes.substr(at, size);
}

constexpr uint32_t end_of_directory = 0x06054b50, end_of_directory_64 = 0x06064b50, locator_64 = 0x07064b50,
                   directory_entry = 0x02014b50, local_entry = 0x04034b50;

struct Directory {
  uint64_t offset, count;
};

// The end record lies behind everything, before a comment of up to 64 KiB.
Directory find_directory(std::string_view bytes) {
  if (bytes.size() < 22) broken("not a zip archive");
  const uint64_t lowest = bytes.size() > 22 + 65535 ? bytes.size() - 22 - 65535 : 0;
  for (uint64_t at = bytes.size() - 22;; --at) {
    if (number(bytes, at, 4) == end_of_directory) {
      Directory d{number(bytes, at + 16, 4), number(bytes, at + 10, 2)};
      if ((d.offset == 0xffffffff || d.count == 0xffff) && at >= 20 && number(bytes, at - 20, 4) == locator_64) {
        const uint64_t far = number(bytes, at - 12, 8);
        if (number(bytes, far, 4) != end_of_directory_64) broken("the 64-bit directory is missing");
        d = {number(bytes, far + 48, 8), number(bytes, far + 32, 8)};
      }
      return d;
    }
    if (at == lowest) broken("the archive has no directory; it may be truncated");
  }
}

// Sizes and offsets beyond 32 bits stand in extra field 1, in this order, where the short ones are all ones.
void take_wide(std::string_view extra, uint64_t& size, uint64_t& packed, uint64_t& offset) {
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const uint64_t id = number(extra, at, 2), length = number(extra, at + 2, 2);
    const std::string_view body = part(extra, at + 4, length);
    if (id == 1) {
      uint64_t next = 0;
      for (uint64_t* v : {&size, &packed, &offset}) {
        if (*v != 0xffffffff) continue;
        *v = number(body, next, 8);
        next += 8;
      }
      return;
    }
    at += 4 + length;
  }
}

}  // namespace

ZipArchive::ZipArchive(Blob file) : owner_(std::move(file.owner)) {
  const std::string_view bytes = file.bytes;
  const Directory d = find_directory(bytes);
  uint64_t at = d.offset;
  for (uint64_t i = 0; i < d.count; ++i) {
    if (number(bytes, at, 4) != directory_entry) broken("the directory is malformed");
    const uint64_t flags = number(bytes, at + 8, 2), method = number(bytes, at + 10, 2);
    uint64_t packed = number(bytes, at + 20, 4), size = number(bytes, at + 24, 4), offset = number(bytes, at + 42, 4);
    const uint64_t name_size = number(bytes, at + 28, 2), extra_size = number(bytes, at + 30, 2),
                   comment_size = number(bytes, at + 32, 2);
    const std::string name(part(bytes, at + 46, name_size));
    take_wide(part(bytes, at + 46 + name_size, extra_size), size, packed, offset);
    at += 46 + name_size + extra_size + comment_size;
    if (method != 0 && (name.starts_with("code/") || name.find("/code/") != name.npos)) {
      throw Error(ErrorCode::unsupported, "[read] TorchScript archives are not supported", "",
                  "export the network with torch.export.save (.pt2) or to ONNX");
    }
    if (method != 0 || (flags & 1)) {
      throw Error(ErrorCode::unsupported,
                  std::string("[zip] ") + (flags & 1 ? "encrypted" : "compressed") + " entries are not read",
                  "entry '" + name + "'", "store the archive without compression, as torch.save does");
    }
    if (packed != size) broken("a stored entry has two sizes");
    if (number(bytes, offset, 4) != local_entry) broken("an entry is missing");
    const uint64_t begin = offset + 30 + number(bytes, offset + 26, 2) + number(bytes, offset + 28, 2);
    entries_.emplace(name, part(bytes, begin, size));
  }
  // PyTorch puts everything below one folder, named after the file.
  if (!entries_.empty()) {
    const std::string& first = entries_.begin()->first;
    root_ = first.substr(0, first.find('/') == std::string::npos ? 0 : first.find('/') + 1);
    for (const auto& [name, content] : entries_) {
      if (!name.starts_with(root_)) root_.clear();
    }
  }
}

Blob ZipArchive::read(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end())
    throw Error(ErrorCode::unreadable, "[zip] the archive has no entry '" + name + "'", "",
                "check that the file is whole");
  return {it->second, owner_};
}

Blob map_file(const std::string& path) {
  auto file = MappedFile::open(path);
  const auto b = file->bytes();
  return {{reinterpret_cast<const char*>(b.data()), b.size()}, file};
}

}  // namespace hone::pytorch
