// Copies of elements of any type between row-major tensors: what data movement is made of.
#pragma once
#include <span>
#include <vector>

#include "hone/tensor.hpp"

namespace hone {

/// Row-major strides in elements.
std::vector<int64_t> strides_of(const Shape& shape);

/// A walk over a tensor: element (i0, i1...) is at `offset + sum(i_k * strides[k])`.
struct Walk {
  int64_t offset = 0;
  std::vector<int64_t> strides;
};

/// For every index of `extent`: to[to_walk(index)] = from[from_walk(index)]. Both tensors have the same element type.
/// The caller keeps both walks inside of their tensors.
void copy_strided(const Tensor& from, const Walk& from_walk, Tensor& to, const Walk& to_walk, const Shape& extent);

/// to[i0, i1...] = from[maps[0][i0], maps[1][i1]...]; elements where any map says -1 keep what they have.
void copy_mapped(const Tensor& from, Tensor& to, const std::vector<std::vector<int64_t>>& maps);

/// to[at + i] = from[begin + i] for i < n.
void copy_elements(const Tensor& from, int64_t begin, Tensor& to, int64_t at, int64_t n);

/// Every element becomes that of the one-element tensor `value`.
void fill(Tensor& t, const Tensor& value);

}  // namespace hone
