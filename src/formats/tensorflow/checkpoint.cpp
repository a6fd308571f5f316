#include "formats/tensorflow/checkpoint.hpp"

#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "formats/protobuf_message.hpp"
#include "formats/tensorflow/proto.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

using protobuf::each, protobuf::field, protobuf::read;

[[noreturn]] void malformed(const std::string& what, const std::string& where) {
  throw Error(ErrorCode::unreadable, "[tensorflow] " + what, where);
}

template <class F>
auto guarded(const std::string& where, F&& f) {
  try {
    return f();
  } catch (const protozero::exception& e) {
    malformed(std::string("the checkpoint is malformed (") + e.what() + ")", where);
  }
}

// A TensorSliceProto: where each dimension begins and how long it is (-1: whole).
std::vector<std::pair<int64_t, int64_t>> slice_of(Bytes b) {
  std::vector<std::pair<int64_t, int64_t>> slice;
  read(b, field(1, each(slice, [](Bytes v) {
                  std::pair<int64_t, int64_t> extent{0, -1};
                  read(v, field(1, extent.first), field(2, extent.second));
                  return extent;
                })));
  return slice;
}

uint64_t varint(std::string_view& b, const std::string& where) {
  uint64_t v = 0;
  for (int shift = 0; shift < 64 && !b.empty(); shift += 7) {
    const auto c = static_cast<uint8_t>(b[0]);
    b.remove_prefix(1);
    v |= uint64_t{c & 0x7fu} << shift;
    if (c < 0x80) return v;
  }
  malformed("a length in the checkpoint is malformed", where);
}

// Lengths of all strings as varints, four bytes of a checksum, then the strings.
Tensor strings_of(std::string_view b, const Shape& shape, const std::string& where) {
  const int64_t n = element_count(shape);
  if (n > static_cast<int64_t>(b.size())) malformed("a string tensor of the checkpoint is cut", where);
  std::vector<uint64_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(varint(b, where));
  if (b.size() < 4) malformed("a string tensor of the checkpoint is cut", where);
  b.remove_prefix(4);
  std::vector<std::string> s;
  for (uint64_t length : lengths) {
    if (length > b.size()) malformed("a string tensor of the checkpoint is cut", where);
    s.emplace_back(b.substr(0, length));
    b.remove_prefix(length);
  }
  return Tensor::strings(shape, std::move(s));
}

// Ordered codes of the keys under which parts of a tensor are stored: name, then start and length of each axis.
void append_ordered(std::string& to, int64_t v) {
  // Signed numbers that sort like their bytes: the sign bit turned, and the length in leading ones.
  const auto u = static_cast<uint64_t>(v < 0 ? ~v : v);
  if (u < 64) {
    to += static_cast<char>(0x80 ^ v);
    return;
  }
  int bytes = 1;
  while (bytes < 10 && (u >> (7 * bytes - 1)) != 0) ++bytes;
  char code[10];
  const char fill = v < 0 ? '\xff' : '\0';
  for (int i = 0; i < bytes; ++i) code[bytes - 1 - i] = i < 8 ? static_cast<char>(v >> (8 * i)) : fill;
  static constexpr uint8_t header[11][2] = {{0, 0},    {0x80, 0}, {0xc0, 0}, {0xe0, 0},    {0xf0, 0},   {0xf8, 0},
                                            {0xfc, 0}, {0xfe, 0}, {0xff, 0}, {0xff, 0x80}, {0xff, 0xc0}};
  code[0] = static_cast<char>(code[0] ^ header[bytes][0]);
  if (bytes > 1) code[1] = static_cast<char>(code[1] ^ header[bytes][1]);
  to.append(code, static_cast<size_t>(bytes));
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::string& prefix) {
  const std::string path = prefix + ".index";
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) {
    if (std::filesystem::is_regular_file(prefix, ec)) {
      throw Error(ErrorCode::unsupported, "[tensorflow] checkpoints of the V1 format are not supported", prefix,
                  "save the model again with a current TensorFlow");
    }
    throw Error(ErrorCode::unreadable, "[tensorflow] the checkpoint is missing", path,
                "put the .index and .data files beside the model");
  }
  const auto file = MappedFile::open(path);
  auto c = std::make_shared<Checkpoint>();
  c->prefix_ = prefix;
  const auto table = [&] {
    try {
      return read_table({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
    } catch (const Error& e) {
      throw e.at(path);
    }
  }();
  const auto header = [&](Bytes b) {
    int32_t endianness = 0;
    read(b, field(1, c->shards_), field(2, endianness));
    if (endianness != 0)
      throw Error(ErrorCode::unsupported, "[tensorflow] big-endian checkpoints are not supported", path);
  };
  guarded(path, [&] {
    for (const auto& [key, value] : table) {
      if (key.empty()) {
        header(value);
        continue;
      }
      Entry e;
      read(value, field(1, e.type), field(2, [&](Bytes b) { e.shape = parse_shape(b).to_shape(); }), field(3, e.shard),
           field(4, e.offset), field(5, e.size), field(7, each(e.slices, slice_of)));
      e.sliced = !e.slices.empty();
      c->entries_[key] = std::move(e);
    }
    c->read_object_graph();
    return 0;
  });
  return c;
}

void Checkpoint::read_object_graph() {
  static const std::string key = "_CHECKPOINTABLE_OBJECT_GRAPH";
  if (!has(key)) return;
  const Tensor t = tensor(key);
  if (t.element_type() != ElementType::string || t.size() != 1) return;
  const std::string& bytes = t.strings()[0];
  const auto attribute = [&](Bytes b) {
    std::string name, stored;
    read(b, field(2, name), field(3, stored));
    // Several objects may bear one name: then none of them can be told by it.
    if (name.empty()) return;
    const auto [at, fresh] = key_of_name_.emplace(name, stored);
    if (!fresh && at->second != stored) at->second.clear();
  };
  read(bytes, field(1, [&](Bytes node) { read(node, field(2, attribute)); }));
}

std::vector<std::string> Checkpoint::keys() const {
  std::vector<std::string> out;
  for (const auto& [k, e] : entries_) out.push_back(k);
  return out;
}

Tensor Checkpoint::tensor(const std::string& key) const {
  const auto it = entries_.find(key);
  if (it == entries_.end()) malformed("the checkpoint has no tensor '" + key + "'", prefix_);
  return it->second.sliced ? joined(key, it->second) : plain(key, it->second);
}

Tensor Checkpoint::plain(const std::string& key, const Entry& e) const {
  const std::string where = "tensor '" + key + "'";
  if (e.shard < 0 || e.shard >= shards_) malformed("the checkpoint names a shard that does not exist", where);
  auto& file = files_[e.shard];
  if (!file) {
    char tail[48];
    std::snprintf(tail, sizeof tail, ".data-%05d-of-%05d", static_cast<int>(e.shard), static_cast<int>(shards_));
    file = MappedFile::open(prefix_ + tail);
  }
  const auto all = static_cast<const MappedFile*>(file.get())->bytes();
  if (e.offset < 0 || e.size < 0 || static_cast<uint64_t>(e.offset) > all.size() ||
      static_cast<uint64_t>(e.size) > all.size() - static_cast<uint64_t>(e.offset)) {
    malformed("the checkpoint's data file is too short", where);
  }
  const std::string_view bytes{reinterpret_cast<const char*>(all.data()) + e.offset, static_cast<size_t>(e.size)};
  const ElementType type = element_type_of_tf(e.type);
  if (type == ElementType::string) return strings_of(bytes, e.shape, where);
  if (type == ElementType::dynamic)
    throw Error(ErrorCode::unsupported,
                "[tensorflow] a stored value of type " + name_of_tf_type(e.type) + " is not supported", where);
  Shape shape = e.shape;
  if (is_complex_type(e.type)) shape.push_back(2);
  const size_t size = hone::byte_size(type, static_cast<size_t>(element_count(shape)));
  if (bytes.size() < size) malformed("the checkpoint's data file is too short", where);
  const auto alignment = static_cast<uintptr_t>(std::max(1, bit_width(type) / 8));
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0) return Tensor(type, shape, bytes.data(), file);
  Tensor t(type, shape);
  if (size > 0) std::memcpy(t.raw(), bytes.data(), size);
  return t;
}

// A partitioned variable: its parts are stored under keys of their own and differ along one axis or more.
Tensor Checkpoint::joined(const std::string& key, const Entry& e) const {
  const ElementType type = element_type_of_tf(e.type);
  if (bit_width(type) < 8 || type == ElementType::string)
    throw Error(ErrorCode::unsupported, "[tensorflow] a partitioned variable of type " + name_of_tf_type(e.type), key);
  std::vector<std::pair<const Entry*, std::string>> parts;
  int64_t stored = 0;
  for (const auto& slice : e.slices) {
    std::string part(1, '\0');
    for (const char ch : key) {
      part += ch;
      if (ch == '\0') part += '\xff';
      if (ch == '\xff') part += '\0';
    }
    part += std::string("\0\1", 2);
    // Number of axes as an unsigned ordered code: its length, then its bytes.
    part += slice.empty() ? std::string(1, '\0') : std::string{'\1', static_cast<char>(slice.size())};
    for (const auto& [start, length] : slice) {
      append_ordered(part, start);
      append_ordered(part, length);
    }
    const auto it = entries_.find(part);
    if (it == entries_.end() || slice.size() != e.shape.size())
      malformed("a part of a partitioned variable is missing", "tensor '" + key + "'");
    parts.emplace_back(&it->second, part);
    stored += it->second.size;
  }
  const size_t width = static_cast<size_t>(bit_width(type)) / 8;
  if (static_cast<uint64_t>(stored) < hone::byte_size(type, static_cast<size_t>(element_count(e.shape)))) {
    malformed("a partitioned variable is not whole", "tensor '" + key + "'");
  }
  Tensor whole(type, e.shape);
  for (size_t p = 0; p < parts.size(); ++p) {
    const Tensor t = plain(parts[p].second, *parts[p].first);
    Shape start(e.shape.size()), length(e.shape.size());
    for (size_t k = 0; k < e.shape.size(); ++k) {
      start[k] = e.slices[p][k].second < 0 ? 0 : e.slices[p][k].first;
      length[k] = e.slices[p][k].second < 0 ? e.shape[k] : e.slices[p][k].second;
      if (start[k] < 0 || length[k] < 0 || start[k] > e.shape[k] || length[k] > e.shape[k] - start[k])
        malformed("a part of a variable lies outside of it", key);
    }
    if (t.shape() != length || t.element_type() != type)
      malformed("a part of a variable has another shape than its slice", key);
    Shape at(length.size(), 0);
    for (size_t i = 0; i < t.size(); ++i) {
      int64_t to = 0;
      for (size_t k = 0; k < at.size(); ++k) to = to * e.shape[k] + start[k] + at[k];
      std::memcpy(static_cast<char*>(whole.raw()) + static_cast<size_t>(to) * width,
                  static_cast<const char*>(t.raw()) + i * width, width);
      for (size_t k = at.size(); k-- > 0;) {
        if (++at[k] < length[k]) break;
        at[k] = 0;
      }
    }
  }
  return whole;
}

}  // namespace hone::tensorflow
