// The product at the heart of the reference MatMul and convolutions: C[m][n] = sum over k of A[m][k] * B[k][n].
// Panels of four rows and four columns are packed in the accumulator's type, so that 16 sums stay in registers. Sums
// run over k in order and in double (integers: modulo 2^64), so the result does not depend on the blocking.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace hone {

template <class T>
using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

/// `pack_a(m, rows, to)` writes A[m + i][k] to to[k * 4 + i], `pack_b(n, columns, to)` writes B[k][n + j] to to[k * 4 +
/// j]; unused places are zero beforehand. `store(m, n, sum)` takes each result once.
template <class Acc, class PackA, class PackB, class Store>
void product(size_t rows, size_t columns, size_t depth, PackA&& pack_a, PackB&& pack_b, Store&& store) {
  constexpr size_t tile = 4;
  // Rows are packed in blocks of at most 8 MiB.
  const size_t most = std::max<size_t>(1, (size_t{1} << 20) / std::max<size_t>(1, depth * tile));
  const size_t panels = std::min<size_t>({(rows + tile - 1) / tile, most, 32});
  const size_t panel = depth * tile;
  std::vector<Acc> a(panels * panel), b(panel);
  for (size_t m0 = 0; m0 < rows; m0 += panels * tile) {
    const size_t block = std::min(rows - m0, panels * tile);
    for (size_t m = 0; m < block; m += tile) {
      Acc* to = a.data() + m / tile * panel;
      if (block - m < tile) std::fill(to, to + panel, Acc(0));
      pack_a(m0 + m, std::min(tile, block - m), to);
    }
    for (size_t n0 = 0; n0 < columns; n0 += tile) {
      std::fill(b.begin(), b.end(), Acc(0));
      pack_b(n0, std::min(tile, columns - n0), b.data());
      for (size_t m = 0; m < block; m += tile) {
        Acc sum[tile][tile] = {};
        const Acc* pa = a.data() + m / tile * panel;
        const Acc* pb = b.data();
        for (size_t k = 0; k < depth; ++k, pa += tile, pb += tile) {
          for (size_t i = 0; i < tile; ++i) {
            for (size_t j = 0; j < tile; ++j) sum[i][j] += pa[i] * pb[j];
          }
        }
        for (size_t i = 0; i < std::min(tile, block - m); ++i) {
          for (size_t j = 0; j < std::min(tile, columns - n0); ++j) store(m0 + m + i, n0 + j, sum[i][j]);
        }
      }
    }
  }
}

}  // namespace hone
