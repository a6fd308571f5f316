// Reading `.hone` files.
#include "program/hone_file.hpp"

#include <cstdlib>

#include "base/file.hpp"
#include "program/bytes.hpp"
#include "program/container.hpp"
#include "program/crypto.hpp"

namespace hone {

using namespace container;

// Four independent multiply chains (the scheme of xxHash64), so that the multiplier's latency does not count.
void Checksum::update(std::span<const uint8_t> b) {
  total_ += b.size();
  const uint8_t* p = b.data();
  size_t n = b.size();
  const auto block = [this](const uint8_t* q) {
    for (size_t i = 0; i < 4; ++i) {
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

namespace {

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::unreadable, "[hone] " + why, path,
              "copy the file again, or compile the model again: it is damaged or incomplete");
}

// The bytes of a file and what keeps them: the map, or memory where the file was encrypted.
std::pair<std::span<const uint8_t>, std::shared_ptr<const void>> open_bytes(const std::string& path,
                                                                            const ReadHoneOptions& options) {
  const auto map = MappedFile::open(path);
  if (!is_encrypted(map->bytes())) return {map->bytes(), map};
  std::string key_file = options.key_file;
  if (const char* e = std::getenv("HONE_KEY_FILE"); key_file.empty() && e) key_file = e;
  if (key_file.empty()) {
    throw Error(ErrorCode::usage, "[hone] the model is encrypted and no key was given", path,
                "give its key file: --key FILE, LoadOptions::key_file or HONE_KEY_FILE");
  }
  size_t size = 0;
  const auto content = decrypt(map->bytes(), read_key(key_file), path, &size);
  return {{content.get(), size}, content};
}

}  // namespace

uint64_t checksum(std::span<const uint8_t> bytes) {
  Checksum c;
  c.update(bytes);
  return c.finish();
}

HoneFile read_hone(const std::string& path, const ReadHoneOptions& options) {
  const auto opened = open_bytes(path, options);
  const std::span<const uint8_t> all = opened.first;
  Header h;
  if (all.size() < sizeof h) unreadable(path, "too short for a compiled model");
  std::memcpy(&h, all.data(), sizeof h);
  if (std::memcmp(h.magic, magic, sizeof magic) != 0)
    throw Error(ErrorCode::unreadable, "[hone] not a compiled model", path,
                "make one with `hone convert MODEL OUT.hone`");
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
        constants.emplace_back(ElementType::u8, Shape{static_cast<int64_t>(size)}, constant_bytes.data() + offset,
                               opened.second);
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
    throw Error(e.code(), e.message(), e.at(path).where(),
                e.hint().empty() ? "compile the model again: what the file says contradicts itself" : e.hint());
  }
}

}  // namespace hone
