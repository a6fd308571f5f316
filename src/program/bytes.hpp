// Little-endian numbers and texts in byte buffers; every read is bounds-checked.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hone/error.hpp"

namespace hone {

class ByteWriter {
 public:
  void u8(uint8_t v) { out_.push_back(v); }
  void u32(uint32_t v) { raw(&v, sizeof v); }
  void u64(uint64_t v) { raw(&v, sizeof v); }
  void f32(float v) { raw(&v, sizeof v); }
  void text(std::string_view s) {
    u32(static_cast<uint32_t>(s.size()));
    raw(s.data(), s.size());
  }
  void blob(std::span<const uint8_t> b) {
    u64(b.size());
    raw(b.data(), b.size());
  }
  template <class T>
  void numbers(const std::vector<T>& v) {
    u32(static_cast<uint32_t>(v.size()));
    raw(v.data(), v.size() * sizeof(T));
  }
  void raw(const void* p, size_t n) {
    const auto* b = static_cast<const uint8_t*>(p);
    out_.insert(out_.end(), b, b + n);
  }
  std::vector<uint8_t> take() { return std::move(out_); }
  size_t size() const { return out_.size(); }

 private:
  std::vector<uint8_t> out_;
};

class ByteReader {
 public:
  ByteReader(std::span<const uint8_t> in, std::string what) : in_(in), what_(std::move(what)) {}
  uint8_t u8() { return *need(1); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }
  float f32() { return number<float>(); }
  std::string text() {
    const uint32_t n = u32();
    return std::string(reinterpret_cast<const char*>(need(n)), n);
  }
  std::span<const uint8_t> blob() {
    const uint64_t n = u64();
    return {need(n), static_cast<size_t>(n)};
  }
  /// A count of things that take at least `least` bytes each: never more than the data could hold.
  uint32_t count(size_t least) {
    const uint32_t n = u32();
    if (n > in_.size() / least) fail("a count exceeds the data");
    return n;
  }
  template <class T>
  std::vector<T> numbers() {
    std::vector<T> v(count(sizeof(T)));
    if (!v.empty()) std::memcpy(v.data(), need(v.size() * sizeof(T)), v.size() * sizeof(T));
    return v;
  }
  template <class E>
  E enumerated(E last) {
    const uint8_t v = u8();
    if (v > static_cast<uint8_t>(last)) fail("an enum is out of range");
    return static_cast<E>(v);
  }
  void finish() {
    if (!in_.empty()) fail("has bytes behind its end");
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorCode::unreadable, "[hone] " + what_ + ": " + why);
  }

 private:
  template <class T>
  T number() {
    T v;
    std::memcpy(&v, need(sizeof v), sizeof v);
    return v;
  }
  const uint8_t* need(uint64_t n) {
    if (n > in_.size()) fail("truncated");
    const uint8_t* p = in_.data();
    in_ = in_.subspan(static_cast<size_t>(n));
    return p;
  }
  std::span<const uint8_t> in_;
  std::string what_;
};

}  // namespace hone
