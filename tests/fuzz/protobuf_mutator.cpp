// Mutations of protobuf files that stay protobuf files: libFuzzer's own break the length of every message around the
// byte they insert, so few inputs would reach the graph behind the decoder. A file is taken apart into its fields,
// a few of them are changed, removed, repeated or moved, and the lengths are written anew. What does not parse, and
// one input in four, is mutated as plain bytes.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

enum Wire : uint8_t { varint = 0, fixed64 = 1, delimited = 2, fixed32 = 5 };

struct Field {
  uint64_t number = 0;
  Wire wire = varint;
  uint64_t value = 0;          // of varint, fixed32, fixed64
  std::string bytes;           // of what is no message
  std::vector<Field> message;  // where it looks like one
  bool is_message = false;
};
using Message = std::vector<Field>;

constexpr int max_depth = 24;

std::optional<uint64_t> read_varint(std::string_view& in) {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
    v |= uint64_t(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return v;
  }
  return std::nullopt;
}

bool printable(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// The wire does not tell messages from strings: what parses to the end with small field numbers counts as a message.
std::optional<Message> parse(std::string_view in, int depth) {
  Message out;
  while (!in.empty()) {
    const auto key = read_varint(in);
    if (!key || *key >> 3 == 0 || *key >> 3 > 1000) return std::nullopt;
    Field f;
    f.number = *key >> 3;
    f.wire = static_cast<Wire>(*key & 7);
    if (f.wire == varint) {
      const auto v = read_varint(in);
      if (!v) return std::nullopt;
      f.value = *v;
    } else if (f.wire == delimited) {
      const auto n = read_varint(in);
      if (!n || *n > in.size()) return std::nullopt;
      const std::string_view part = in.substr(0, *n);
      in.remove_prefix(*n);
      if (!part.empty() && depth < max_depth && !printable(part)) {
        if (auto inner = parse(part, depth + 1)) {
          f.message = std::move(*inner);
          f.is_message = true;
        }
      }
      if (!f.is_message) f.bytes = part;
    } else if (f.wire == fixed64 || f.wire == fixed32) {
      const size_t n = f.wire == fixed64 ? 8 : 4;
      if (in.size() < n) return std::nullopt;
      std::memcpy(&f.value, in.data(), n);
      in.remove_prefix(n);
    } else {
      return std::nullopt;
    }
    out.push_back(std::move(f));
  }
  return out;
}

void write_varint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

std::string bytes_of(const Message& m) {
  std::string out;
  for (const Field& f : m) {
    write_varint(out, f.number << 3 | f.wire);
    if (f.wire == varint) {
      write_varint(out, f.value);
    } else if (f.wire == delimited) {
      const std::string inner = f.is_message ? bytes_of(f.message) : std::string();
      const std::string& payload = f.is_message ? inner : f.bytes;
      write_varint(out, payload.size());
      out += payload;
    } else {
      out.append(reinterpret_cast<const char*>(&f.value), f.wire == fixed64 ? 8 : 4);
    }
  }
  return out;
}

struct Place {
  Message* in;
  size_t at;
  Field& field() const { return (*in)[at]; }
};

void collect(Message& m, std::vector<Place>& out) {
  for (size_t i = 0; i < m.size(); ++i) {
    out.push_back({&m, i});
    collect(m[i].message, out);
  }
}

void mutate_leaf(Field& f, size_t room, std::mt19937& random) {
  // The numbers at which counts, axes and sizes break.
  static constexpr uint64_t edges[] = {0,
                                       1,
                                       2,
                                       3,
                                       7,
                                       16,
                                       255,
                                       65536,
                                       0x7fffffff,
                                       0x80000000,
                                       1ull << 32,
                                       1ull << 62,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       ~0ull,
                                       ~1ull,
                                       ~2ull};
  if (f.wire != delimited) {
    switch (random() % 3) {
      case 0:
        f.value = edges[random() % std::size(edges)];
        break;
      case 1:
        f.value += random() % 2 ? 1 : ~0ull;
        break;
      default:
        LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(&f.value), sizeof f.value, sizeof f.value);
    }
    return;
  }
  std::string b = f.bytes;
  const size_t n = b.size();
  b.resize(n + std::min<size_t>(room, 64));
  if (b.empty()) return;
  b.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(b.data()), n, b.size()));
  f.bytes = std::move(b);
}

void mutate_message(Message& root, size_t room, std::mt19937& random) {
  std::vector<Place> places;
  collect(root, places);
  if (places.empty()) return;
  const auto any = [&]() -> const Place& { return places[random() % places.size()]; };
  const Place p = any();
  switch (random() % 8) {
    case 0:
      p.in->erase(p.in->begin() + ptrdiff_t(p.at));
      return;
    case 1: {
      const Field copy = p.field();
      p.in->insert(p.in->begin() + ptrdiff_t(random() % (p.in->size() + 1)), copy);
      return;
    }
    case 2:
      std::swap((*p.in)[p.at], (*p.in)[random() % p.in->size()]);
      return;
    case 3: {  // another field's content here: names that meet, nodes in other graphs
      const Field other = any().field();
      Field& f = p.field();
      if (other.is_message != f.is_message && random() % 8) return;
      const uint64_t number = f.number;
      f = other;
      if (random() % 4) f.number = number;
      return;
    }
    case 4:
      if (random() % 4 == 0) p.field().number = 1 + random() % 32;
      [[fallthrough]];
    default:
      if (!p.field().is_message) return mutate_leaf(p.field(), room, random);
      // Of messages there are fewer than of their fields: into one of them.
      if (Message& inner = p.field().message; !inner.empty()) {
        Field& f = inner[random() % inner.size()];
        if (!f.is_message) mutate_leaf(f, room, random);
      }
  }
}

size_t store(const std::string& out, uint8_t* data, size_t max_size) {
  std::memcpy(data, out.data(), out.size());
  return std::min(out.size(), max_size);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  if (random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  auto root = parse({reinterpret_cast<const char*>(data), size}, 0);
  if (!root || root->empty()) return LLVMFuzzerMutate(data, size, max_size);
  for (size_t n = 1 + random() % 4; n > 0; --n) mutate_message(*root, max_size - size, random);
  const std::string out = bytes_of(*root);
  if (out.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  return store(out, data, max_size);
}

// A field of the second file at some place of the first.
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2,
                                            uint8_t* out, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  auto first = parse({reinterpret_cast<const char*>(data1), size1}, 0);
  auto second = parse({reinterpret_cast<const char*>(data2), size2}, 0);
  if (!first || !second) return 0;
  std::vector<Place> to, from;
  collect(*first, to);
  collect(*second, from);
  if (to.empty() || from.empty()) return 0;
  const Field part = from[random() % from.size()].field();
  const Place at = to[random() % to.size()];
  // Beside a field of the same number it most likely means the same.
  std::vector<Place> alike;
  for (const Place& p : to)
    if (p.field().number == part.number && p.field().is_message == part.is_message) alike.push_back(p);
  const Place& place = alike.empty() ? at : alike[random() % alike.size()];
  place.in->insert(place.in->begin() + ptrdiff_t(place.at), part);
  const std::string bytes = bytes_of(*first);
  if (bytes.size() > max_size) return 0;
  return store(bytes, out, max_size);
}
