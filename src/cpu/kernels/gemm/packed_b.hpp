// Packed forms of the right factor of dense products: panels of 16 columns.
//
//   b16_f32       [panels][runs][steps][16]            f32
//   b16x2_bf16    [panels][runs][steps][16][2]         bf16, steps of a run padded to 16 (32 values of K)
//   b16x4_s8      [panels][runs][steps][16][4]         s8, steps of a run padded to 16 (64 values of K), then i32
//   column sums
//   b16x4_bf16, b16x8_s8  the same with steps in pairs, [16][4] and [16][8]: the deep forms, of bfmmla and smmla
//
// One form serves vpdpbusd, vdpbf16ps and the AMX tiles. A run is a stretch of K that is contiguous in A; all runs have
// one length.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.hpp"
#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

enum class DenseKind : uint8_t { f32, bf16, int8 };

const char* packed_form(DenseKind kind, bool deep = false);

/// The shape of a packed B.
struct PackedB {
  DenseKind kind = DenseKind::f32;
  int64_t groups = 1;   ///< independent products, each with its own panels
  int64_t columns = 0;  ///< of one group
  int64_t runs = 1;
  int64_t run_length = 0;  ///< values of K in a run
  bool deep = false;       ///< not of f32
  bool run_sums = false;   ///< column sums of each run too: taps may be left out of the products of integers

  int64_t values_per_step() const { return kind == DenseKind::f32 ? 1 : kind == DenseKind::bf16 ? 2 : 4; }
  int64_t steps() const { return (run_length + values_per_step() - 1) / values_per_step(); }
  int64_t padded_steps() const { return kind == DenseKind::f32 ? steps() : (steps() + 15) / 16 * 16; }
  int64_t panels() const { return (columns + 15) / 16; }
  int64_t run_stride() const { return padded_steps() * 64; }
  int64_t panel_stride() const { return runs * run_stride(); }
  int64_t group_stride() const { return panels() * panel_stride(); }
  int64_t sums_offset() const { return groups * group_stride(); }
  /// Column sums are stored for all columns of all groups in order, with room for one vector more; behind them those of
  /// each run.
  int64_t sums_stride() const { return (groups * columns + 31) / 16 * 16; }
  int64_t run_sums_offset() const { return sums_offset() + sums_stride() * 4; }
  size_t bytes() const {
    if (kind != DenseKind::int8) return size_t(sums_offset());
    return size_t(run_sums_offset() + (run_sums ? runs * sums_stride() * 4 : 0));
  }
  const char* form() const {
    return !run_sums ? packed_form(kind, deep) : deep ? "b16x8_s8_runsum" : "b16x4_s8_runsum";
  }
};

/// Where the values of B lie. A run is `length / inner` taps of `inner` values each: value k of run r of column c of
/// group g is data[g * group + c * column + run_offset[r] + (k / inner) * outer_step + (k % inner) * inner_step].
struct SourceB {
  const void* data;
  Num type;  ///< f32, bf16 or s8
  int64_t group, column;
  const int64_t* run_offsets;
  int64_t inner, inner_step, outer_step;
};

/// Steps of a panel, an even number, to those of the deep form, in place.
void deepen(uint8_t* panel, int64_t steps);
/// Packs panels [begin, end) of all groups (panel p of group g has index g * panels() + p).
void pack_panels(const PackedB& shape, const SourceB& from, uint8_t* to, int64_t begin, int64_t end);
/// Packs everything on the pool, or on the caller alone where `pool` is null.
void pack_b(const PackedB& shape, const SourceB& from, uint8_t* to, ThreadPool* pool);

}  // namespace hone::cpu
