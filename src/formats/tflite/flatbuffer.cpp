#include "formats/tflite/flatbuffer.hpp"

#include <flatbuffers/flatbuffers.h>

#include "hone/error.hpp"

namespace hone::tflite {
namespace {

using flatbuffers::soffset_t;
using flatbuffers::uoffset_t;
using flatbuffers::voffset_t;

[[noreturn]] void broken(const char* what) {
  throw Error(ErrorCode::unreadable, std::string("[tflite] ") + what, "", "check that the file is whole");
}

template <class T>
T read(Bytes file, size_t at) {
  if (at > file.size() || file.size() - at < sizeof(T)) broken("an offset leads out of the file");
  T v;
  std::memcpy(&v, file.data() + at, sizeof v);
  return v;
}

}  // namespace

Table Tables::operator[](size_t i) const {
  if (i >= count_) broken("an index is out of range");
  return Table::at(file_, Table::follow(file_, at_ + i * sizeof(uoffset_t)));
}

Table Table::root(Bytes file) {
  if (file.size() < 8) broken("the file is too short");
  return at(file, follow(file, 0));
}

size_t Table::follow(Bytes file, size_t position) {
  const auto offset = read<uoffset_t>(file, position);
  if (offset == 0 || offset > file.size() - position) broken("an offset leads out of the file");
  return position + offset;
}

Table Table::at(Bytes file, size_t position) {
  Table t;
  const auto back = static_cast<int64_t>(read<soffset_t>(file, position));
  const int64_t vtable = static_cast<int64_t>(position) - back;
  if (vtable < 0 || static_cast<uint64_t>(vtable) >= file.size()) broken("a table lies out of the file");
  t.file_ = file;
  t.at_ = position;
  t.vtable_ = static_cast<size_t>(vtable);
  t.vtable_size_ = read<voffset_t>(file, t.vtable_);
  t.size_ = read<voffset_t>(file, t.vtable_ + sizeof(voffset_t));
  if (t.vtable_size_ < 4 || t.vtable_size_ > file.size() - t.vtable_ || t.size_ < 4 ||
      t.size_ > file.size() - position) {
    broken("a table lies out of the file");
  }
  return t;
}

size_t Table::place(unsigned field, size_t size) const {
  if (file_.empty()) return 0;
  const size_t entry = flatbuffers::FieldIndexToOffset(static_cast<voffset_t>(field));
  if (entry + sizeof(voffset_t) > vtable_size_) return 0;
  const auto offset = read<voffset_t>(file_, vtable_ + entry);
  if (offset == 0) return 0;
  if (offset + size > size_) broken("a field lies out of its table");
  return at_ + offset;
}

Table Table::table(unsigned field) const {
  const size_t p = place(field, sizeof(uoffset_t));
  return p ? at(file_, follow(file_, p)) : Table();
}

Bytes Table::elements(unsigned field, size_t size) const {
  const size_t p = place(field, sizeof(uoffset_t));
  if (p == 0) return {};
  const size_t v = follow(file_, p);
  const size_t count = read<uoffset_t>(file_, v);
  if (count > (file_.size() - v - sizeof(uoffset_t)) / size) broken("a vector is longer than the file");
  return file_.subspan(v + sizeof(uoffset_t), count * size);
}

Tables Table::tables(unsigned field) const {
  const Bytes raw = elements(field, sizeof(uoffset_t));
  Tables t;
  t.file_ = file_;
  t.at_ = raw.empty() ? 0 : static_cast<size_t>(raw.data() - file_.data());
  t.count_ = raw.size() / sizeof(uoffset_t);
  return t;
}

std::string_view Table::string(unsigned field) const {
  const Bytes raw = elements(field, 1);
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

}  // namespace hone::tflite
