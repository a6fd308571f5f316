// IDX files, the form of MNIST and its relatives. Header: two zero bytes, element type (8 = u8), rank, then the
// dimensions as big-endian 32-bit numbers; then the elements, row-major. Images are N x H x W or N x H x W x C, labels
// are N.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "base/checked.hpp"
#include "base/file.hpp"
#include "data/dataset.hpp"
#include "hone/error.hpp"
#include "tensor/fields.hpp"

namespace hone::data {
namespace {

namespace fs = std::filesystem;

struct IdxFile {
  std::vector<int64_t> dims;
  const uint8_t* values = nullptr;
  std::shared_ptr<const void> owner;
  int64_t values_per_item() const {
    int64_t n = 1;
    for (size_t i = 1; i < dims.size(); ++i) n *= dims[i];
    return n;
  }
};

[[noreturn]] void damaged(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::unreadable, "[data] damaged IDX file (" + what + ")", path, "fetch the file again");
}

/// Dimensions of a header, and the byte where the values begin.
size_t parse_header(std::span<const uint8_t> b, const std::string& path, std::vector<int64_t>& dims) {
  if (b.size() < 4) damaged(path, "truncated header");
  if (b[0] != 0 || b[1] != 0 || b[3] == 0 || b[3] > 4) damaged(path, "bad magic number");
  if (b[2] != 8) {
    throw Error(ErrorCode::unsupported, "[data] IDX element type " + std::to_string(b[2]) + " is not supported", path,
                "write 8-bit unsigned values (type 8)");
  }
  const size_t rank = b[3], end = 4 + 4 * rank;
  if (b.size() < end) damaged(path, "truncated header");
  for (size_t i = 0; i < rank; ++i) {
    const uint8_t* p = b.data() + 4 + 4 * i;
    dims.push_back(int64_t(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3]);
  }
  return end;
}

/// Bytes of values that the dimensions announce, at most 64 GiB.
uint64_t value_bytes(const std::vector<int64_t>& dims, const std::string& path) {
  uint64_t n = 1;
  for (int64_t d : dims) {
    if (__builtin_mul_overflow(n, uint64_t(d), &n) || n > (uint64_t{1} << 36)) {
      throw Error(ErrorCode::unsafe, "[data] the IDX header announces more than 64 GiB", path, "fetch the file again");
    }
  }
  return n;
}

/// zlib's state, released in every case.
struct Inflater {
  z_stream z{};
  explicit Inflater(const std::string& path) {
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
      throw Error(ErrorCode::failed, "[data] cannot start decompression", path);
  }
  ~Inflater() { inflateEnd(&z); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

/// A gzip file whose size is known from the header inside of it: the size is checked before the memory is taken.
IdxFile read_gzip(std::span<const uint8_t> in, const std::string& path) {
  Inflater s(path);
  size_t fed = 0;
  // Fills [to, to + n) as far as the file goes; further gzip members are part of the same data.
  const auto inflate_into = [&](uint8_t* to, size_t n) {
    size_t done = 0;
    while (done < n) {
      const size_t give = std::min<size_t>(in.size() - fed, 1u << 30), want = std::min<size_t>(n - done, 1u << 30);
      s.z.next_in = const_cast<Bytef*>(in.data() + fed);
      s.z.avail_in = uInt(give);
      s.z.next_out = to + done;
      s.z.avail_out = uInt(want);
      const int r = inflate(&s.z, Z_NO_FLUSH);
      const size_t read = give - s.z.avail_in, written = want - s.z.avail_out;
      fed += read;
      done += written;
      if (r == Z_STREAM_END) {
        if (fed == in.size()) return done;
        if (inflateReset(&s.z) != Z_OK) damaged(path, "bad gzip data");
      } else if (r == Z_BUF_ERROR || (r == Z_OK && read == 0 && written == 0)) {
        damaged(path, "truncated gzip data");
      } else if (r != Z_OK) {
        damaged(path, "bad gzip data");
      }
    }
    return done;
  };
  uint8_t head[20];
  if (inflate_into(head, 4) < 4) damaged(path, "truncated header");
  const size_t rank = head[3] <= 4 ? head[3] : 0;
  if (inflate_into(head + 4, 4 * rank) < 4 * rank) damaged(path, "truncated header");
  IdxFile f;
  parse_header({head, 4 + 4 * rank}, path, f.dims);
  const uint64_t bytes = value_bytes(f.dims, path);
  if (bytes / 1032 > in.size()) damaged(path, "truncated: the header announces more than the file can hold");
  auto values = std::make_shared<std::vector<uint8_t>>(size_t(bytes));
  if (inflate_into(values->data(), values->size()) < bytes)
    damaged(path, "truncated: fewer values than the header announces");
  uint8_t extra;
  if (inflate_into(&extra, 1) != 0) damaged(path, "more values than the header announces");
  f.values = values->data();
  f.owner = values;
  return f;
}

IdxFile read_idx(const std::string& path) {
  const auto mapped = MappedFile::open(path);
  const auto b = mapped->bytes();
  if (b.size() >= 2 && b[0] == 0x1f && b[1] == 0x8b) return read_gzip(b, path);
  IdxFile f;
  const size_t begin = parse_header(b, path, f.dims);
  const uint64_t bytes = value_bytes(f.dims, path);
  if (b.size() - begin < bytes) damaged(path, "truncated: fewer values than the header announces");
  if (b.size() - begin > bytes) damaged(path, "more values than the header announces");
  f.values = b.data() + begin;
  f.owner = mapped;
  return f;
}

/// `train-images-idx3-ubyte.gz` -> {"train", images}; nullopt for other names.
struct Name {
  std::string stem;
  bool images;
};
std::optional<Name> parse_name(std::string n) {
  std::transform(n.begin(), n.end(), n.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (n.ends_with(".gz")) n.resize(n.size() - 3);
  for (const char* kind : {"images", "labels"}) {
    for (const char* tail :
         {"-idx1-ubyte", ".idx1-ubyte", "-idx3-ubyte", ".idx3-ubyte", "-idx4-ubyte", ".idx4-ubyte", ".idx"}) {
      const std::string end = std::string(kind) + tail;
      if (!n.ends_with(end)) continue;
      std::string stem = n.substr(0, n.size() - end.size());
      while (!stem.empty() && (stem.back() == '-' || stem.back() == '_' || stem.back() == '.')) stem.pop_back();
      return Name{stem, kind[0] == 'i'};
    }
  }
  return std::nullopt;
}

struct Pair {
  std::string images, labels;
};

/// Pairs of files by stem; a plain file is preferred to its `.gz` twin.
std::map<std::string, Pair> find_pairs(const std::string& dir) {
  std::set<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator it(dir, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.insert(it->path().filename().string());
  }
  std::map<std::string, Pair> pairs;
  for (const auto& n : names) {
    const auto parsed = parse_name(n);
    if (!parsed) continue;
    std::string& slot = parsed->images ? pairs[parsed->stem].images : pairs[parsed->stem].labels;
    if (slot.empty() || slot.ends_with(".gz")) slot = n;
  }
  return pairs;
}

Part part_of(const std::string& stem) {
  if (stem.find("train") != std::string::npos) return Part::train;
  if (stem.find("t10k") != std::string::npos || stem.find("test") != std::string::npos) return Part::test;
  if (stem.find("val") != std::string::npos) return Part::val;
  return Part::none;
}

std::vector<std::string> class_names(const std::string& dir, const std::vector<PixelBlock>& blocks) {
  int most = 0;
  for (const auto& b : blocks) {
    for (uint8_t l : b.labels) most = std::max(most, int(l));
  }
  for (const char* name : {"labels.txt", "classes.txt"}) {
    const std::string path = (fs::path(dir) / name).string();
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) continue;
    std::vector<std::string> names;
    std::string line;
    for (char c : read_text_file(path) + "\n") {
      if (c == '\n') {
        if (!line.empty()) names.push_back(line);
        line.clear();
      } else if (c != '\r') {
        line += c;
      }
    }
    if (names.size() <= size_t(most)) {
      throw Error(ErrorCode::unreadable,
                  "[data] " + std::to_string(names.size()) + " class names for labels up to " + std::to_string(most),
                  path, "write one name a line");
    }
    return names;
  }
  // The files of Fashion-MNIST carry numbers only; they are known by the content of their label files.
  static const std::map<uint64_t, std::vector<std::string>> known = [] {
    const std::vector<std::string> fashion = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                              "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
    return std::map<uint64_t, std::vector<std::string>>{{0x25bdf8123f06fac3u, fashion}, {0xb9f71c71bae5f277u, fashion}};
  }();
  for (const auto& b : blocks) {
    if (const auto at = known.find(hash_bytes(b.labels.data(), b.labels.size())); at != known.end()) return at->second;
  }
  std::vector<std::string> names;
  names.reserve(size_t(most) + 1);
  for (int i = 0; i <= most; ++i) names.push_back(std::to_string(i));
  return names;
}

PixelBlock read_pair(const std::string& dir, const std::string& stem, const Pair& pair) {
  const std::string images_path = (fs::path(dir) / pair.images).string(),
                    labels_path = (fs::path(dir) / pair.labels).string();
  if (pair.images.empty())
    throw Error(ErrorCode::unreadable, "[data] there are labels without their images", labels_path,
                "add the images file beside it");
  if (pair.labels.empty())
    throw Error(ErrorCode::unreadable, "[data] there are images without their labels", images_path,
                "add the labels file beside it");
  const IdxFile images = read_idx(images_path), labels = read_idx(labels_path);
  if (labels.dims.size() != 1) damaged(labels_path, "labels must have one dimension");
  if (images.dims.size() != 3 && images.dims.size() != 4)
    damaged(images_path, "images must have three or four dimensions");
  if (images.dims[0] != labels.dims[0]) {
    throw Error(
        ErrorCode::unreadable,
        "[data] " + std::to_string(images.dims[0]) + " images but " + std::to_string(labels.dims[0]) + " labels",
        images_path, "take both files from the same source");
  }
  if (images.dims[0] == 0)
    throw Error(ErrorCode::unreadable, "[data] the file holds no images", images_path, "fetch the file again");
  const int64_t channels = images.dims.size() == 4 ? images.dims[3] : 1;
  if (channels != 1 && channels != 3 && channels != 4) {
    throw Error(ErrorCode::unsupported, "[data] the images have " + std::to_string(channels) + " channels", images_path,
                "store 1 (grey), 3 (RGB) or 4 (RGBA) as the last dimension");
  }
  if (images.dims[1] < 1 || images.dims[2] < 1 || images.dims[1] > 65535 || images.dims[2] > 65535)
    damaged(images_path, "bad image size");
  PixelBlock b;
  b.name = stem;
  b.part = part_of(stem);
  b.height = int(images.dims[1]);
  b.width = int(images.dims[2]);
  b.channels = int(channels);
  b.pixels = images.values;
  b.owner = images.owner;
  b.labels.assign(labels.values, labels.values + labels.dims[0]);
  return b;
}

}  // namespace

bool is_idx(const std::string& path) {
  return !find_pairs(path).empty();
}

std::unique_ptr<Dataset> open_idx(const std::string& path) {
  const auto pairs = find_pairs(path);
  if (pairs.empty()) throw Error(ErrorCode::unreadable, "[data] there are no IDX files", path, "check the path");
  std::vector<PixelBlock> blocks;
  for (const auto& [stem, pair] : pairs) blocks.push_back(read_pair(path, stem, pair));
  // train first, then val, then test; the order of samples is the order of the files
  std::stable_sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.part < b.part; });
  auto names = class_names(path, blocks);
  return make_memory_dataset(path, std::move(names), std::move(blocks), "idx");
}

}  // namespace hone::data
