#include "ops/strided_copy.hpp"

#include <cstring>

#include "hone/error.hpp"

namespace hone {
namespace {

// One axis of a copy: how many, and how far apart on each side.
struct Axis {
  int64_t n, from, to;
};

// Unit axes dropped, neighbours that are contiguous on both sides joined.
std::vector<Axis> joined_axes(const Walk& from, const Walk& to, const Shape& extent) {
  std::vector<Axis> axes;
  for (size_t k = 0; k < extent.size(); ++k) {
    if (extent[k] == 1) continue;
    const Axis a{extent[k], from.strides[k], to.strides[k]};
    if (!axes.empty() && axes.back().from == a.from * a.n && axes.back().to == a.to * a.n)
      axes.back() = {axes.back().n * a.n, a.from, a.to};
    else
      axes.push_back(a);
  }
  return axes;
}

// Calls row(from, to) for each index of all axes but the last.
template <class F>
void for_each_row(const std::vector<Axis>& axes, int64_t from, int64_t to, F&& row) {
  if (axes.empty()) return row(from, to);
  std::vector<int64_t> at(axes.size(), 0);
  while (true) {
    row(from, to);
    size_t k = axes.size() - 1;
    while (true) {
      if (k == 0) return;
      --k;
      from += axes[k].from;
      to += axes[k].to;
      if (++at[k] < axes[k].n) break;
      from -= axes[k].from * axes[k].n;
      to -= axes[k].to * axes[k].n;
      at[k] = 0;
    }
  }
}

template <class T>
void copy_typed(const T* from, T* to, const std::vector<Axis>& axes, int64_t from_offset, int64_t to_offset) {
  const Axis last = axes.empty() ? Axis{1, 1, 1} : axes.back();
  for_each_row(axes, from_offset, to_offset, [&](int64_t f, int64_t t) {
    const T* x = from + f;
    T* y = to + t;
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (last.from == 1 && last.to == 1) {
        std::memcpy(y, x, static_cast<size_t>(last.n) * sizeof(T));
        return;
      }
    }
    for (int64_t i = 0; i < last.n; ++i) y[i * last.to] = x[i * last.from];
  });
}

void copy_one_packed(const Tensor& from, int64_t f, Tensor& to, int64_t t) {
  if (is_integer(from.element_type()))
    set_integer(to, static_cast<size_t>(t), get_integer(from, static_cast<size_t>(f)));
  else
    set_element(to, static_cast<size_t>(t), get_element(from, static_cast<size_t>(f)));
}

}  // namespace

std::vector<int64_t> strides_of(const Shape& shape) {
  std::vector<int64_t> s(shape.size(), 1);
  for (size_t k = shape.size(); k-- > 1;) s[k - 1] = s[k] * shape[k];
  return s;
}

void copy_strided(const Tensor& from, const Walk& from_walk, Tensor& to, const Walk& to_walk, const Shape& extent) {
  if (from.element_type() != to.element_type()) throw Error(ErrorCode::failed, "[copy] element types differ");
  if (element_count(extent) == 0) return;
  const auto axes = joined_axes(from_walk, to_walk, extent);
  const int64_t f = from_walk.offset, t = to_walk.offset;
  if (from.element_type() == ElementType::string)
    return copy_typed(from.strings().data(), to.strings().data(), axes, f, t);
  switch (bit_width(from.element_type())) {
    case 8:
      return copy_typed(static_cast<const uint8_t*>(from.raw()), static_cast<uint8_t*>(to.raw()), axes, f, t);
    case 16:
      return copy_typed(static_cast<const uint16_t*>(from.raw()), static_cast<uint16_t*>(to.raw()), axes, f, t);
    case 32:
      return copy_typed(static_cast<const uint32_t*>(from.raw()), static_cast<uint32_t*>(to.raw()), axes, f, t);
    case 64:
      return copy_typed(static_cast<const uint64_t*>(from.raw()), static_cast<uint64_t*>(to.raw()), axes, f, t);
    default:
      break;
  }
  const Axis last = axes.empty() ? Axis{1, 1, 1} : axes.back();
  for_each_row(axes, f, t, [&](int64_t x, int64_t y) {
    for (int64_t i = 0; i < last.n; ++i) copy_one_packed(from, x + i * last.from, to, y + i * last.to);
  });
}

void copy_mapped(const Tensor& from, Tensor& to, const std::vector<std::vector<int64_t>>& maps) {
  // Trailing axes that are mapped to themselves move as one block.
  size_t split = maps.size();
  int64_t block = 1;
  while (split > 0) {
    const auto& m = maps[split - 1];
    const int64_t n = from.shape()[split - 1];
    bool identity = static_cast<int64_t>(m.size()) == n;
    for (int64_t i = 0; identity && i < n; ++i) identity = m[static_cast<size_t>(i)] == i;
    if (!identity) break;
    block *= n;
    --split;
  }
  const auto from_strides = strides_of(from.shape()), to_strides = strides_of(to.shape());
  for (const auto& m : maps) {
    if (m.empty()) return;
  }
  std::vector<size_t> at(split, 0);
  while (true) {
    int64_t f = 0, t = 0;
    for (size_t k = 0; k < split && f >= 0; ++k) {
      f = maps[k][at[k]] < 0 ? -1 : f + maps[k][at[k]] * from_strides[k];
      t += static_cast<int64_t>(at[k]) * to_strides[k];
    }
    if (f >= 0) copy_elements(from, f, to, t, block);
    size_t k = split;
    while (k > 0 && ++at[k - 1] == maps[k - 1].size()) at[--k] = 0;
    if (k == 0) return;
  }
}

void copy_elements(const Tensor& from, int64_t begin, Tensor& to, int64_t at, int64_t n) {
  const int bits = bit_width(from.element_type());
  if (bits >= 8 && from.element_type() == to.element_type()) {
    const auto bytes = static_cast<int64_t>(bits / 8);
    if (n > 0)
      std::memcpy(static_cast<char*>(to.raw()) + at * bytes, static_cast<const char*>(from.raw()) + begin * bytes,
                  static_cast<size_t>(n * bytes));
    return;
  }
  copy_strided(from, {begin, {1}}, to, {at, {1}}, {n});
}

void fill(Tensor& t, const Tensor& value) {
  const auto n = static_cast<int64_t>(t.size());
  const Tensor v = value.element_type() == t.element_type() ? value : value.converted(t.element_type());
  copy_strided(v, {0, {0}}, t, {0, {1}}, {n});
}

}  // namespace hone
