// FlatBuffers as hostile bytes: every offset, length and field is checked against the buffer before it is read.
//
// Tables are read by field number, the order in the schema; a field that the file lacks has its default. Reads copy, so
// files whose alignment is wrong do no harm.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace hone::tflite {

using Bytes = std::span<const uint8_t>;

class Table;

/// A vector of tables; elements are checked when they are taken.
class Tables {
 public:
  Tables() = default;
  size_t size() const { return count_; }
  Table operator[](size_t i) const;

 private:
  friend class Table;
  Bytes file_;
  size_t at_ = 0, count_ = 0;
};

class Table {
 public:
  Table() = default;  ///< absent: every field has its default
  /// The root table. Throws `Error` (unreadable), as all reads below do where the bytes are not what the format says.
  static Table root(Bytes file);
  explicit operator bool() const { return !file_.empty(); }

  template <class T>
  requires std::is_arithmetic_v<T> T get(unsigned field, T otherwise = T(0))
  const {
    const size_t at = place(field, sizeof(T));
    if (at == 0) return otherwise;
    // A hostile boolean byte may be any number.
    if constexpr (std::is_same_v<T, bool>) return file_[at] != 0;
    T v;
    std::memcpy(&v, file_.data() + at, sizeof v);
    return v;
  }
  bool has(unsigned field) const { return place(field, 1) != 0; }
  /// An absent table where the field is.
  Table table(unsigned field) const;
  Tables tables(unsigned field) const;
  std::string_view string(unsigned field) const;
  /// A vector of bytes, in place.
  Bytes bytes(unsigned field) const { return elements(field, 1); }
  template <class T>
  requires std::is_arithmetic_v<T> std::vector<T> numbers(unsigned field)
  const {
    const Bytes raw = elements(field, sizeof(T));
    std::vector<T> v(raw.size() / sizeof(T));
    if (!raw.empty()) std::memcpy(v.data(), raw.data(), raw.size());
    return v;
  }

 private:
  friend class Tables;
  static Table at(Bytes file, size_t position);
  /// Position of a field of `size` bytes; 0 where the table lacks it.
  size_t place(unsigned field, size_t size) const;
  /// Where the offset at `position` leads.
  static size_t follow(Bytes file, size_t position);
  /// The elements of a vector field, of `size` bytes each.
  Bytes elements(unsigned field, size_t size) const;

  Bytes file_;
  size_t at_ = 0, vtable_ = 0, vtable_size_ = 0, size_ = 0;
};

}  // namespace hone::tflite
