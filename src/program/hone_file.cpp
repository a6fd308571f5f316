#include "program/hone_file.hpp"

#include <unordered_map>

#include "base/file.hpp"
#include "program/bytes.hpp"

namespace hone {
namespace {

enum class SectionKind : uint32_t { metadata = 1, graph = 2, program = 3, constants = 4, constant_places = 5 };

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t sections;
  uint64_t file_size;
  uint64_t table_offset;
  uint64_t table_checksum;
  uint64_t reserved[3];
};
static_assert(sizeof(Header) == 64);

struct SectionRow {
  uint32_t kind;
  uint32_t reserved;
  uint64_t offset;
  uint64_t size;
  uint64_t checksum;
};
static_assert(sizeof(SectionRow) == 32);

// A text-mode transfer that changes line ends breaks the magic, as PNG's does.
constexpr char magic[8] = {'H', 'O', 'N', 'E', '\r', '\n', '\x1a', '\n'};
constexpr uint32_t max_sections = 4096;

std::span<const uint8_t> bytes_of(const Tensor& t) {
  return {static_cast<const uint8_t*>(t.raw()), t.byte_size()};
}

// All constants of a file, equal ones once.
class ConstantPool {
 public:
  uint32_t add(const Tensor& t) {
    const auto b = bytes_of(t);
    const uint64_t key = checksum(b) ^ b.size();
    auto [first, last] = by_hash_.equal_range(key);
    for (auto it = first; it != last; ++it) {
      const auto o = bytes_of(items_[it->second]);
      if (o.size() == b.size() && (b.data() == o.data() || b.empty() || std::memcmp(o.data(), b.data(), b.size()) == 0))
        return it->second;
    }
    const auto n = static_cast<uint32_t>(items_.size());
    by_hash_.emplace(key, n);
    items_.push_back(t);
    return n;
  }
  const std::vector<Tensor>& items() const { return items_; }

 private:
  std::unordered_multimap<uint64_t, uint32_t> by_hash_;
  std::vector<Tensor> items_;
};

class Checksum {
 public:
  void update(std::span<const uint8_t> b);
  uint64_t finish() const;

 private:
  static constexpr uint64_t k1 = 0x9E3779B185EBCA87ull, k2 = 0xC2B2AE3D27D4EB4Full;
  static uint64_t round(uint64_t lane, uint64_t v) {
    lane += v * k2;
    lane = (lane << 31) | (lane >> 33);
    return lane * k1;
  }
  uint64_t lanes_[4] = {k1 + k2, k2, 0, 0 - k1};
  uint8_t rest_[32] = {};
  size_t rest_size_ = 0;
  uint64_t total_ = 0;
};

// Four independent multiply chains (the scheme of xxHash64), so that the multiplier's latency does not count.
void Checksum::update(std::span<const uint8_t> b) {
  total_ += b.size();
  const uint8_t* p = b.data();
  size_t n = b.size();
  const auto block = [this](const uint8_t* q) {
    for (int i = 0; i < 4; ++i) {
      uint64_t v;
      std::memcpy(&v, q + 8 * i, 8);
      lanes_[i] = round(lanes_[i], v);
    }
  };
  if (rest_size_ > 0) {
    const size_t take = std::min(n, sizeof rest_ - rest_size_);
    std::memcpy(rest_ + rest_size_, p, take);
    rest_size_ += take;
    p += take;
    n -= take;
    if (rest_size_ < sizeof rest_) return;
    block(rest_);
    rest_size_ = 0;
  }
  for (; n >= 32; p += 32, n -= 32) block(p);
  if (n > 0) std::memcpy(rest_, p, n);
  rest_size_ = n;
}

uint64_t Checksum::finish() const {
  uint64_t h = total_;
  for (uint64_t lane : lanes_) h = round(h, lane);
  for (size_t i = 0; i < rest_size_; ++i) h = round(h, rest_[i] + 1u);
  h ^= h >> 33;
  h *= k2;
  return h ^ (h >> 29);
}

struct Section {
  SectionKind kind;
  std::vector<uint8_t> bytes;
};

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::unreadable, "[hone] " + why, path);
}

}  // namespace

uint64_t checksum(std::span<const uint8_t> bytes) {
  Checksum c;
  c.update(bytes);
  return c.finish();
}

void write_hone(const std::string& path, const HoneFile& file) {
  ConstantPool pool;
  std::vector<Section> sections;
  ByteWriter metadata;
  metadata.u32(static_cast<uint32_t>(file.metadata.size()));
  for (const auto& [k, v] : file.metadata) {
    metadata.text(k);
    metadata.text(v);
  }
  sections.push_back({SectionKind::metadata, metadata.take()});
  for (const Program& p : file.programs) {
    std::vector<uint32_t> numbers;
    for (const Tensor& c : p.constants) numbers.push_back(pool.add(c));
    sections.push_back({SectionKind::program, program_bytes(p, numbers)});
  }
  if (!file.graph.empty()) {
    ByteWriter graph;
    graph.u32(static_cast<uint32_t>(file.graph_constants.size()));
    for (const Tensor& c : file.graph_constants) graph.u32(pool.add(c));
    graph.raw(file.graph.data(), file.graph.size());
    sections.push_back({SectionKind::graph, graph.take()});
  }
  ByteWriter places;
  uint64_t end = 0;
  places.u32(static_cast<uint32_t>(pool.items().size()));
  for (const Tensor& c : pool.items()) {
    places.u64(end);
    places.u64(c.byte_size());
    end += aligned_bytes(c.byte_size()) + memory_alignment;  // a vector behind the end is readable
  }
  sections.push_back({SectionKind::constant_places, places.take()});

  AtomicFile out(path);
  Header h{};
  std::memcpy(h.magic, magic, sizeof magic);
  h.version = hone_file_version;
  h.sections = static_cast<uint32_t>(sections.size()) + 1;
  // The table stands at the end, the header names its place: all sizes are known beforehand.
  std::vector<SectionRow> rows;
  uint64_t position = sizeof(Header);
  for (const Section& s : sections) {
    rows.push_back({static_cast<uint32_t>(s.kind), 0, position, s.bytes.size(), checksum(s.bytes)});
    position += aligned_bytes(s.bytes.size());
  }
  static constexpr uint8_t zeros[2 * memory_alignment] = {};
  Checksum all;
  for (const Tensor& c : pool.items()) {
    all.update(bytes_of(c));
    all.update({zeros, static_cast<size_t>(aligned_bytes(c.byte_size()) + memory_alignment - c.byte_size())});
  }
  rows.push_back({static_cast<uint32_t>(SectionKind::constants), 0, position, end, all.finish()});
  position += end;
  h.table_offset = position;
  h.file_size = position + rows.size() * sizeof(SectionRow);
  h.table_checksum = checksum({reinterpret_cast<const uint8_t*>(rows.data()), rows.size() * sizeof(SectionRow)});
  out.write(&h, sizeof h);
  for (const Section& s : sections) {
    out.write(s.bytes.data(), s.bytes.size());
    out.align(memory_alignment);
  }
  for (const Tensor& c : pool.items()) {
    if (c.byte_size() > 0) out.write(c.raw(), c.byte_size());
    out.write(zeros, static_cast<size_t>(aligned_bytes(c.byte_size()) + memory_alignment - c.byte_size()));
  }
  out.write(rows.data(), rows.size() * sizeof(SectionRow));
  out.commit();
}

HoneFile read_hone(const std::string& path, const ReadHoneOptions& options) {
  const auto map = MappedFile::open(path);
  const auto all = map->bytes();
  Header h;
  if (all.size() < sizeof h) unreadable(path, "too short for a compiled model");
  std::memcpy(&h, all.data(), sizeof h);
  if (std::memcmp(h.magic, magic, sizeof magic) != 0) unreadable(path, "not a compiled model");
  if (h.version != hone_file_version) {
    throw Error(
        ErrorCode::unsupported,
        "[hone] file version " + std::to_string(h.version) + ", this build reads " + std::to_string(hone_file_version),
        path, "compile the model again");
  }
  if (h.file_size != all.size())
    unreadable(path, "truncated: " + std::to_string(all.size()) + " of " + std::to_string(h.file_size) + " bytes");
  if (h.sections > max_sections || h.table_offset > all.size() ||
      all.size() - h.table_offset != h.sections * sizeof(SectionRow)) {
    unreadable(path, "damaged header");
  }
  const auto table = all.subspan(static_cast<size_t>(h.table_offset));
  if (checksum(table) != h.table_checksum) unreadable(path, "damaged section table");
  std::vector<SectionRow> rows(h.sections);
  if (!rows.empty()) std::memcpy(rows.data(), table.data(), table.size());
  const auto content = [&](const SectionRow& r) {
    return all.subspan(static_cast<size_t>(r.offset), static_cast<size_t>(r.size));
  };
  std::span<const uint8_t> constant_bytes, places;
  for (const SectionRow& r : rows) {
    if (r.offset % memory_alignment || r.offset > h.table_offset || r.size > h.table_offset - r.offset)
      unreadable(path, "a section lies outside of the file");
    const bool constants = r.kind == static_cast<uint32_t>(SectionKind::constants);
    if ((!constants || options.checksums) && checksum(content(r)) != r.checksum)
      unreadable(path, "damaged: a checksum differs");
    if (constants) constant_bytes = content(r);
    if (r.kind == static_cast<uint32_t>(SectionKind::constant_places)) places = content(r);
  }
  try {
    std::vector<Tensor> constants;
    if (!places.empty()) {
      ByteReader r(places, "constants");
      const uint32_t n = r.count(16);
      constants.reserve(n);
      for (uint32_t i = 0; i < n; ++i) {
        const uint64_t offset = r.u64(), size = r.u64();
        if (offset % memory_alignment || offset > constant_bytes.size() || size > constant_bytes.size() - offset ||
            constant_bytes.size() - offset - size < memory_alignment) {
          r.fail("a constant lies outside of its section");
        }
        constants.emplace_back(ElementType::u8, Shape{static_cast<int64_t>(size)}, constant_bytes.data() + offset, map);
      }
      r.finish();
    }
    HoneFile file;
    for (const SectionRow& row : rows) {
      if (row.kind == static_cast<uint32_t>(SectionKind::metadata)) {
        ByteReader r(content(row), "metadata");
        for (uint32_t n = r.count(8); n > 0; --n) {
          std::string k = r.text();
          file.metadata[std::move(k)] = r.text();
        }
        r.finish();
      } else if (row.kind == static_cast<uint32_t>(SectionKind::program)) {
        file.programs.push_back(program_from_bytes(content(row), constants));
      } else if (row.kind == static_cast<uint32_t>(SectionKind::graph)) {
        ByteReader r(content(row), "graph");
        const uint32_t n = r.count(4);
        for (uint32_t i = 0; i < n; ++i) {
          const uint32_t c = r.u32();
          if (c >= constants.size()) r.fail("a constant is missing");
          file.graph_constants.push_back(constants[c]);
        }
        const auto rest = content(row).subspan(4 + 4 * static_cast<size_t>(n));
        file.graph.assign(rest.begin(), rest.end());
      }
    }
    return file;
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace hone
