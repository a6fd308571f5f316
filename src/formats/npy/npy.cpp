#include "formats/npy/npy.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/checked.hpp"
#include "base/file.hpp"

namespace hone {
namespace {

struct Header {
  char order = '|';  // '<', '>', '|', '='
  char kind = 'f';
  size_t item = 4;  // bytes of one element
  bool fortran = false;
  Shape shape;
};

[[noreturn]] void bad(const std::string& where, const std::string& why) {
  throw Error(ErrorCode::unreadable, "[npy] " + why, where);
}

// The value of `'key':` in the header dictionary, up to the comma that ends it.
std::string_view field(std::string_view dict, std::string_view key, const std::string& where) {
  const size_t at = dict.find("'" + std::string(key) + "'");
  const size_t colon = at == std::string_view::npos ? at : dict.find(':', at);
  if (colon == std::string_view::npos) bad(where, "the header lacks '" + std::string(key) + "'");
  std::string_view rest = dict.substr(colon + 1);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const size_t end = rest.starts_with('(') ? rest.find(')') : rest.find_first_of(",}");
  if (end == std::string_view::npos) bad(where, "malformed header");
  return rest.substr(0, rest.starts_with('(') ? end + 1 : end);
}

Header parse_header(std::string_view dict, const std::string& where) {
  Header h;
  std::string_view descr = field(dict, "descr", where);
  if (descr.size() >= 2 && descr.front() == '\'' && descr.back() == '\'') descr = descr.substr(1, descr.size() - 2);
  if (descr.size() < 3) {
    throw Error(ErrorCode::unsupported, "[npy] element type '" + std::string(descr) + "' is not supported", where,
                "save a plain array of numbers or strings");
  }
  h.order = descr[0];
  h.kind = descr[1];
  if (std::from_chars(descr.data() + 2, descr.data() + descr.size(), h.item).ec != std::errc())
    bad(where, "malformed element type");
  const std::string_view order = field(dict, "fortran_order", where);
  if (!order.starts_with("True") && !order.starts_with("False")) bad(where, "malformed fortran_order");
  h.fortran = order.starts_with("True");
  const std::string_view shape = field(dict, "shape", where);
  if (!shape.starts_with('(')) bad(where, "malformed shape");
  for (const char* p = shape.data() + 1; p < shape.data() + shape.size();) {
    if (*p == ' ' || *p == ',' || *p == ')' || *p == 'L') {
      ++p;
      continue;
    }
    int64_t n;
    const auto r = std::from_chars(p, shape.data() + shape.size(), n);
    if (r.ec != std::errc() || n < 0) bad(where, "malformed shape");
    h.shape.push_back(n);
    p = r.ptr;
  }
  return h;
}

ElementType numeric_type(const Header& h) {
  switch (h.kind) {
    case 'f':
      return h.item == 8   ? ElementType::f64
             : h.item == 4 ? ElementType::f32
             : h.item == 2 ? ElementType::f16
                           : ElementType::dynamic;
    case 'i':
      return h.item == 8   ? ElementType::i64
             : h.item == 4 ? ElementType::i32
             : h.item == 2 ? ElementType::i16
             : h.item == 1 ? ElementType::i8
                           : ElementType::dynamic;
    case 'u':
      return h.item == 8   ? ElementType::u64
             : h.item == 4 ? ElementType::u32
             : h.item == 2 ? ElementType::u16
             : h.item == 1 ? ElementType::u8
                           : ElementType::dynamic;
    case 'b':
      return h.item == 1 ? ElementType::boolean : ElementType::dynamic;
    default:
      return ElementType::dynamic;
  }
}

void append_utf8(std::string& s, uint32_t c) {
  if (c < 0x80) {
    s += static_cast<char>(c);
  } else if (c < 0x800) {
    s += {static_cast<char>(0xc0 | (c >> 6)), static_cast<char>(0x80 | (c & 63))};
  } else if (c < 0x10000) {
    s += {static_cast<char>(0xe0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 63)),
          static_cast<char>(0x80 | (c & 63))};
  } else {
    s += {static_cast<char>(0xf0 | ((c >> 18) & 7)), static_cast<char>(0x80 | ((c >> 12) & 63)),
          static_cast<char>(0x80 | ((c >> 6) & 63)), static_cast<char>(0x80 | (c & 63))};
  }
}

// Invalid bytes become U+FFFD, as Python's "replace" does.
std::u32string utf32(const std::string& s) {
  std::u32string out;
  for (size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const size_t n = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
    if (n == 0 || i + n > s.size()) {
      out += U'\ufffd';
      ++i;
      continue;
    }
    char32_t v = n == 1 ? c : c & (0x7fu >> n);
    for (size_t k = 1; k < n; ++k) v = (v << 6) | (static_cast<unsigned char>(s[i + k]) & 63u);
    out += v;
    i += n;
  }
  return out;
}

std::string string_element(const uint8_t* p, const Header& h) {
  std::string s;
  if (h.kind == 'S') {
    s.assign(reinterpret_cast<const char*>(p), h.item);
    s.resize(s.find_last_not_of('\0') + 1);
    return s;
  }
  size_t n = h.item;
  auto at = [&](size_t k) {
    const uint8_t* q = p + 4 * k;
    return h.order == '>' ? uint32_t(q[0]) << 24 | uint32_t(q[1]) << 16 | uint32_t(q[2]) << 8 | q[3]
                          : uint32_t(q[3]) << 24 | uint32_t(q[2]) << 16 | uint32_t(q[1]) << 8 | q[0];
  };
  while (n > 0 && at(n - 1) == 0) --n;
  for (size_t k = 0; k < n; ++k) append_utf8(s, at(k));
  return s;
}

// Position in the file of the element that is number `i` in row-major order.
size_t source_index(size_t i, const Header& h) {
  if (!h.fortran) return i;
  size_t at = 0;
  std::vector<size_t> index(h.shape.size());
  for (size_t k = h.shape.size(); k-- > 0;) {
    index[k] = i % static_cast<size_t>(h.shape[k]);
    i /= static_cast<size_t>(h.shape[k]);
  }
  size_t stride = 1;
  for (size_t k = 0; k < h.shape.size(); ++k) {
    at += index[k] * stride;
    stride *= static_cast<size_t>(h.shape[k]);
  }
  return at;
}

}  // namespace

Tensor parse_npy(std::span<const uint8_t> bytes, const std::string& where) {
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0) bad(where, "not a .npy file");
  const int major = bytes[6];
  if (major < 1 || major > 3)
    throw Error(ErrorCode::unsupported, "[npy] version " + std::to_string(major) + " is not supported", where);
  size_t begin = 10, length = bytes[8] | size_t(bytes[9]) << 8;
  if (major > 1) {
    if (bytes.size() < 12) bad(where, "the file is truncated");
    begin = 12;
    length |= size_t(bytes[10]) << 16 | size_t(bytes[11]) << 24;
  }
  if (length > bytes.size() - begin) bad(where, "the file is truncated");
  const Header h = parse_header({reinterpret_cast<const char*>(bytes.data()) + begin, length}, where);
  const std::span<const uint8_t> data = bytes.subspan(begin + length);
  size_t n = 0, item = 0, needed = 0;
  try {
    n = static_cast<size_t>(element_count(h.shape));
    item = h.kind == 'U' ? checked_mul(h.item, size_t{4}) : h.item;
    needed = checked_mul(n, item);
  } catch (const Error&) {
    bad(where, "the sizes pass 64 bits");
  }
  if (needed > data.size() || (item == 0 && n > data.size() + 1)) bad(where, "the file is truncated");
  if (h.kind == 'U' || h.kind == 'S') {
    std::vector<std::string> values(n);
    for (size_t i = 0; i < n; ++i) values[i] = string_element(data.data() + source_index(i, h) * item, h);
    return Tensor::strings(h.shape, std::move(values));
  }
  const ElementType type = numeric_type(h);
  if (type == ElementType::dynamic) {
    throw Error(ErrorCode::unsupported,
                std::string("[npy] element type '") + h.kind + std::to_string(h.item) + "' is not supported", where,
                "save the array as float, integer, bool or string");
  }
  Tensor t(type, h.shape);
  auto* to = static_cast<uint8_t*>(t.raw());
  if (!h.fortran && n > 0) std::memcpy(to, data.data(), n * item);
  for (size_t i = 0; h.fortran && i < n; ++i) std::memcpy(to + i * item, data.data() + source_index(i, h) * item, item);
  for (size_t i = 0; h.order == '>' && i < n; ++i) std::reverse(to + i * item, to + (i + 1) * item);
  return t;
}

Tensor read_npy(const std::string& path) {
  return parse_npy(MappedFile::open(path)->bytes(), path);
}

ElementType npy_type(ElementType t) {
  switch (t) {
    case ElementType::bf16:
    case ElementType::f8e4m3:
    case ElementType::f8e5m2:
    case ElementType::f8e8m0:
    case ElementType::f4e2m1:
    case ElementType::nf4:
    case ElementType::f8e4m3fnuz:
    case ElementType::f8e5m2fnuz:
      return ElementType::f32;
    case ElementType::i4:
    case ElementType::i2:
      return ElementType::i8;
    case ElementType::u4:
    case ElementType::u2:
    case ElementType::u1:
      return ElementType::u8;
    default:
      return t;
  }
}

void write_npy(const std::string& path, const Tensor& t) {
  const ElementType type = npy_type(t.element_type());
  std::vector<std::u32string> text;
  size_t longest = 1;
  std::string descr;
  if (type == ElementType::string) {
    for (const std::string& s : t.strings()) longest = std::max(longest, text.emplace_back(utf32(s)).size());
    descr = "<U" + std::to_string(longest);
  } else {
    const char kind = type == ElementType::boolean ? 'b' : is_float(type) ? 'f' : is_signed(type) ? 'i' : 'u';
    const int item = bit_width(type) / 8;
    descr = std::string(item == 1 ? "|" : "<") + kind + std::to_string(item);
  }
  std::string shape;
  for (int64_t d : t.shape()) shape += std::to_string(d) + (t.rank() == 1 ? "," : ", ");
  if (t.rank() > 1) shape.resize(shape.size() - 2);
  std::string head = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  head.resize((10 + head.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  head += '\n';
  AtomicFile f(path);
  f.write(std::string_view("\x93NUMPY\x01\x00", 8));
  const uint8_t size[2] = {static_cast<uint8_t>(head.size() & 255), static_cast<uint8_t>(head.size() >> 8)};
  f.write(size, 2);
  f.write(head);
  if (type == ElementType::string) {
    for (std::u32string& s : text) {
      s.resize(longest, U'\0');
      f.write(s.data(), longest * 4);
    }
  } else {
    const Tensor wide = t.converted(type);
    f.write(wide.raw(), wide.byte_size());
  }
  f.commit();
}

}  // namespace hone
