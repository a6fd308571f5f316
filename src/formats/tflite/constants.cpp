// Constant tensors: dense ones stay in the mapped file, strings and sparse ones are unpacked.
#include <algorithm>

#include "formats/tflite/schema.hpp"
#include "hone/error.hpp"

namespace hone::tflite {
namespace {

[[noreturn]] void unreadable(const TensorInfo& t, const std::string& what) {
  throw Error(ErrorCode::unreadable, "[tflite] " + what, "tensor '" + std::string(t.name) + "'",
              "check that the file is whole");
}

Shape shape_of(const TensorInfo& t) {
  Shape s(t.shape.begin(), t.shape.end());
  for (int64_t d : s) {
    if (d < 0) unreadable(t, "a constant has an unknown dimension");
  }
  if (is_complex(t.type)) s.push_back(2);
  return s;
}

int32_t number(Bytes b, size_t i) {
  int32_t v;
  std::memcpy(&v, b.data() + 4 * i, 4);
  return v;
}

// [count, offset 0, ..., offset count, characters]: offsets count from the beginning of the buffer.
Tensor strings_of(const TensorInfo& t, Bytes b) {
  if (b.size() < 4) unreadable(t, "a tensor of strings is too short");
  const int64_t n = number(b, 0);
  if (n < 0 || static_cast<uint64_t>(n) + 2 > b.size() / 4) unreadable(t, "a tensor of strings is too short");
  std::vector<std::string> out;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    const int64_t begin = number(b, i + 1), end = number(b, i + 2);
    if (begin < 0 || end < begin || static_cast<uint64_t>(end) > b.size())
      unreadable(t, "a string lies out of its tensor");
    out.emplace_back(reinterpret_cast<const char*>(b.data()) + begin, static_cast<size_t>(end - begin));
  }
  Shape shape = shape_of(t);
  if (element_count(shape) != n) shape = {n};
  return Tensor::strings(shape, std::move(out));
}

// One level of the traversal of a sparse tensor.
struct Level {
  bool dense = true;
  int64_t size = 0;
  std::vector<int64_t> segments, indices;
};

std::vector<int64_t> index_vector(const TensorInfo& t, const Table& d, unsigned kind) {
  const Table v = d.table(kind + 1);
  std::vector<int64_t> out;
  const auto copy = [&](auto list) { out.assign(list.begin(), list.end()); };
  switch (d.get<uint8_t>(kind)) {
    case 1:
      copy(v.numbers<int32_t>(0));
      break;
    case 2:
      copy(v.numbers<uint16_t>(0));
      break;
    case 3:
      copy(v.numbers<uint8_t>(0));
      break;
    default:
      unreadable(t, "a sparse dimension lacks its indices");
  }
  return out;
}

class Densifier {
 public:
  Densifier(const TensorInfo& t, Bytes values, Tensor& out) : t_(t), values_(values), out_(out) {
    const auto order = t.sparsity.numbers<int32_t>(0), map = t.sparsity.numbers<int32_t>(1);
    const Tables levels = t.sparsity.tables(2);
    const size_t rank = out.rank();
    if (order.size() != levels.size() || order.size() < rank || order.size() != rank + map.size() ||
        order.size() > 2 * rank) {
      unreadable(t, "the sparsity does not fit the tensor");
    }
    block_.assign(rank, 1);
    for (size_t i = 0; i < levels.size(); ++i) {
      const Table d = levels[i];
      Level l;
      l.dense = d.get<int8_t>(0) == 0;
      l.size = d.get<int32_t>(1);
      if (!l.dense) {
        l.segments = index_vector(t, d, 2);
        l.indices = index_vector(t, d, 4);
      } else if (l.size <= 0) {
        unreadable(t, "a dense dimension has no size");
      }
      levels_.push_back(std::move(l));
      const int64_t o = order[i];
      if (o < 0 || o >= static_cast<int64_t>(order.size())) unreadable(t, "the traversal order is no permutation");
      order_.push_back(static_cast<size_t>(o));
    }
    for (size_t k = 0; k < map.size(); ++k) {
      if (map[k] < 0 || map[k] >= static_cast<int64_t>(rank)) unreadable(t, "a block lies along no dimension");
      map_.push_back(static_cast<size_t>(map[k]));
      for (size_t i = 0; i < order_.size(); ++i) {
        if (order_[i] == rank + k) block_[map_[k]] = std::max<int64_t>(1, levels_[i].size);
      }
    }
    strides_.assign(rank, 1);
    for (size_t k = rank; k-- > 1;) strides_[k - 1] = strides_[k] * out.shape()[k];
    element_ = static_cast<size_t>(bit_width(out.element_type())) / 8;
    index_.assign(order_.size(), 0);
  }
  void run() {
    walk(0, 0);
    if (taken_ * element_ > values_.size()) unreadable(t_, "a sparse tensor has too few values");
  }

 private:
  void walk(size_t level, int64_t parent) {
    // Segments may overlap: what is visited is bounded by what is stored.
    if (++visited_ > 64 * (values_.size() + 1024)) unreadable(t_, "the segments of a sparse tensor overlap");
    if (level == levels_.size()) return put(static_cast<size_t>(parent));
    const Level& l = levels_[level];
    if (l.dense) {
      for (int64_t i = 0; i < l.size; ++i) {
        index_[order_[level]] = i;
        walk(level + 1, parent * l.size + i);
      }
      return;
    }
    const auto p = static_cast<size_t>(parent);
    if (p + 1 >= l.segments.size()) unreadable(t_, "the segments of a sparse dimension are too few");
    const int64_t begin = l.segments[p], end = l.segments[p + 1];
    if (begin < 0 || end < begin || static_cast<uint64_t>(end) > l.indices.size())
      unreadable(t_, "a segment lies out of its indices");
    for (int64_t i = begin; i < end; ++i) {
      index_[order_[level]] = l.indices[static_cast<size_t>(i)];
      walk(level + 1, i);
    }
  }
  void put(size_t at) {
    if (++taken_ > values_.size() / element_ || at >= values_.size() / element_)
      unreadable(t_, "a sparse tensor has too few values");
    int64_t to = 0;
    const size_t rank = strides_.size();
    for (size_t k = 0; k < rank; ++k) {
      int64_t i = index_[k] * block_[k];
      for (size_t j = 0; j < map_.size(); ++j) {
        if (map_[j] == k) i += index_[rank + j];
      }
      if (i < 0 || i >= out_.shape()[k]) unreadable(t_, "a sparse element lies out of the tensor");
      to += i * strides_[k];
    }
    std::memcpy(static_cast<uint8_t*>(out_.raw()) + static_cast<size_t>(to) * element_, values_.data() + at * element_,
                element_);
  }

  const TensorInfo& t_;
  Bytes values_;
  Tensor& out_;
  std::vector<Level> levels_;
  std::vector<size_t> order_, map_;
  std::vector<int64_t> block_, strides_, index_;
  size_t element_ = 1, taken_ = 0, visited_ = 0;
};

}  // namespace

Tensor constant_of(const Model& m, const TensorInfo& t) {
  if (t.buffer >= m.buffers.size()) unreadable(t, "buffer " + std::to_string(t.buffer) + " does not exist");
  const Bytes b = m.buffers[t.buffer];
  if (b.empty() || t.variable) return {};
  const ElementType type = element_type_of(t.type);
  if (type == ElementType::string) return strings_of(t, b);
  if (type == ElementType::dynamic) unreadable(t, "a resource has content");
  const Shape shape = shape_of(t);
  if (t.sparsity) {
    if (bit_width(type) < 8)
      throw Error(ErrorCode::unsupported, "[tflite] sparse tensors of 4-bit elements are not supported",
                  "tensor '" + std::string(t.name) + "'");
    // What a sparse file may unpack to is bounded.
    if (static_cast<uint64_t>(element_count(shape)) > 64 * m.file.size() + (uint64_t{1} << 20)) {
      throw Error(ErrorCode::unsafe, "[tflite] a sparse tensor is far larger than the file",
                  "tensor '" + std::string(t.name) + "'");
    }
    Tensor out(type, shape);
    Densifier(t, b, out).run();
    return out;
  }
  const size_t wanted = byte_size(type, static_cast<size_t>(element_count(shape)));
  if (wanted > b.size())
    unreadable(t, "a constant of " + std::to_string(wanted) + " bytes has " + std::to_string(b.size()));
  if (type == ElementType::boolean) {
    // A hostile boolean byte may be any number.
    Tensor out(type, shape);
    for (size_t i = 0; i < wanted; ++i) static_cast<uint8_t*>(out.raw())[i] = b[i] != 0;
    return out;
  }
  const size_t alignment = std::max<size_t>(1, static_cast<size_t>(bit_width(type)) / 8);
  if (reinterpret_cast<uintptr_t>(b.data()) % alignment != 0) {
    Tensor out(type, shape);
    if (wanted) std::memcpy(out.raw(), b.data(), wanted);
    return out;
  }
  return Tensor(type, shape, b.data(), m.owner);
}

}  // namespace hone::tflite
