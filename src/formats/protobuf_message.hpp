// A message of a protobuf file as a list of its fields: `read(bytes, field(1, name), field(2, values), ...)`. What is
// not listed is skipped, as protobuf wants. A field lands where it is told to: in a view into the bytes, a number, a
// list (repeated numbers come packed or one by one; both are legal in one message), or a function of the field's bytes.
#pragma once
#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "formats/protobuf.hpp"
#include "hone/error.hpp"

namespace hone::protobuf {

using Bytes = std::string_view;
using Reader = protozero::pbf_reader;

inline bool is_bytes(const Reader& r) {
  return r.wire_type() == protozero::pbf_wire_type::length_delimited;
}
inline Bytes view(Reader& r) {
  const protozero::data_view v = r.get_view();
  return {v.data(), v.size()};
}

template <class T>
T number(Reader& r) {
  if constexpr (std::is_same_v<T, float>) {
    return r.get_float();
  } else if constexpr (std::is_same_v<T, double>) {
    return r.get_double();
  } else if constexpr (std::is_same_v<T, bool>) {
    return r.get_bool();
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return r.get_int32();
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    return r.get_uint64();
  } else {
    static_assert(std::is_same_v<T, int64_t>);
    return r.get_int64();
  }
}
template <class T>
auto packed_numbers(Reader& r) {
  if constexpr (std::is_same_v<T, float>) {
    return r.get_packed_float();
  } else if constexpr (std::is_same_v<T, double>) {
    return r.get_packed_double();
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return r.get_packed_int32();
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    return r.get_packed_uint64();
  } else {
    static_assert(std::is_same_v<T, int64_t>);
    return r.get_packed_int64();
  }
}

inline void take(Reader& r, Bytes& to) {
  to = view(r);
}
inline void take(Reader& r, std::string& to) {
  to = view(r);
}
inline void take(Reader& r, std::vector<Bytes>& to) {
  to.push_back(view(r));
}
template <class T>
requires std::is_arithmetic_v<T>
void take(Reader& r, T& to) {
  to = number<T>(r);
}
template <class T>
requires std::is_arithmetic_v<T>
void take(Reader& r, std::vector<T>& to) {
  if (is_bytes(r)) {
    for (const auto v : packed_numbers<T>(r)) to.push_back(static_cast<T>(v));
  } else {
    to.push_back(number<T>(r));
  }
}
template <std::invocable<Bytes> F>
void take(Reader& r, F& f) {
  f(view(r));
}
template <std::invocable<Reader&> F>
void take(Reader& r, F& f) {
  f(r);
}

template <class T>
struct Field {
  uint32_t tag;
  T to;  ///< a reference to what the field fills, or a function
};
/// The field of that number, into `to`: a place, or a function of the field's bytes or of the reader that stands at it.
template <class T>
Field<T> field(uint32_t tag, T&& to) {
  return {tag, std::forward<T>(to)};
}
/// A repeated message: `parse` of each one's bytes is added to `to`.
template <class T, class F>
auto each(std::vector<T>& to, F parse) {
  return [&to, parse](Bytes b) { to.push_back(parse(b)); };
}

/// Reads the fields of one message.
template <class... T>
void read(Bytes b, Field<T>... fields) {
  const auto taken = [](Reader& r, auto& f) {
    if (r.tag() != f.tag) return false;
    take(r, f.to);
    return true;
  };
  for (Reader r(b.data(), b.size()); r.next();) {
    if (!(taken(r, fields) || ...)) r.skip();
  }
}

/// Runs `f`; protozero's exceptions about malformed bytes become `Error` (unreadable).
template <class F>
auto guarded(const char* format, const char* kind, F&& f) {
  try {
    return f();
  } catch (const protozero::exception& e) {
    throw Error(ErrorCode::unreadable, std::string("[") + format + "] the file is malformed (" + e.what() + ")", "",
                std::string("check that the file is whole and ") + kind);
  }
}

}  // namespace hone::protobuf
