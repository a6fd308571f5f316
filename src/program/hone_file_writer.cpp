// Writing `.hone` files; a file of its own, so that the runtime library does not carry it.
#include <unordered_map>

#include "base/file.hpp"
#include "program/bytes.hpp"
#include "program/container.hpp"
#include "program/crypto.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

using namespace container;

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

struct Section {
  SectionKind kind;
  std::vector<uint8_t> bytes;
};

// A file in memory, with what of AtomicFile is used below.
class MemoryFile {
 public:
  void write(const void* data, size_t n) {
    const auto* p = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), p, p + n);
  }
  void align(size_t alignment) { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

template <class File>
void write_container(File& out, const HoneFile& file) {
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
}

}  // namespace

void write_hone(const std::string& path, const HoneFile& file) {
  AtomicFile out(path);
  write_container(out, file);
  out.commit();
}

void write_encrypted_hone(const std::string& path, const HoneFile& file, const std::string& key_file) {
  const EncryptionKey key = read_key(key_file);
  MemoryFile clear;
  write_container(clear, file);
  const auto sealed = encrypt(clear.bytes(), key);
  AtomicFile out(path);
  out.write(sealed.data(), sealed.size());
  out.commit();
}

}  // namespace hone
