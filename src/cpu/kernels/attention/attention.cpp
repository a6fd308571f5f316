#include "cpu/kernels/attention/attention.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/scratch.hpp"

namespace hone::cpu {
namespace {

// Fewer rows of a head are not worth packing K and V once more.
constexpr int64_t rows_worth_packing = 48;

PackedB packed(DenseKind kind, int64_t columns, int64_t k) {
  PackedB b;
  b.kind = kind;
  b.columns = columns;
  b.runs = 1;
  b.run_length = k;
  return b;
}

int64_t bytes_of(DenseKind kind) {
  return kind == DenseKind::f32 ? 4 : kind == DenseKind::bf16 ? 2 : 1;
}

AttentionLevels levels_of(const AttentionSpec::Level& l, double shift) {
  return {float(1 / l.step), float(l.low), float(l.high), int32_t(shift), 0};
}
// What makes signed bytes of levels that reach further.
double shift_of(const AttentionSpec::Level& l) {
  return l.low >= -128 && l.high <= 127 ? 0 : l.low + 128;
}

}  // namespace

struct AttentionKernel::Scratch {
  uint8_t *k, *v;  // panels
  uint8_t* copy;   // rows in the type of the products
  uint8_t* q;
  float* scores;
  uint8_t* weights;
  float *factors, *sums;
  int32_t* comp;  // of the columns of integer scores
  const uint8_t** pointers;
  int64_t bytes;
};

AttentionKernel::AttentionKernel(AttentionSpec spec, const DenseIsa& dense, const AttentionIsa& isa, int threads)
    : spec_(std::move(spec)), dense_(dense), isa_(isa), threads_(std::max(1, threads)) {
  k_ = packed(spec_.kind, spec_.keys, spec_.features);
  v_ = packed(spec_.kind, spec_.width, spec_.keys);
  tile_rows_ = max_tile_rows;
  for (const PackedB* b : {&k_, &v_}) {
    const int64_t panels = b->panels();
    for (int64_t p = 0; p < panels; p += dense_.max_panels) {
      const int n = int(std::min<int64_t>(dense_.max_panels, panels - p));
      tile_rows_ = std::min(tile_rows_, dense_.max_rows[n - 1]);
    }
  }
  const int64_t vector = is_int8() ? 64 : 32;  // elements that a tile may read at once
  padded_keys_ = round_up(spec_.keys, vector);
  const bool same = (spec_.kind == DenseKind::f32) == (spec_.type == Num::f32);
  copies_q_ = is_int8() || !same || (spec_.kind == DenseKind::bf16 && spec_.features % 2 != 0);
  q_pitch_ = round_up(spec_.features, vector);
  wide_ = round_up(std::max(spec_.features, spec_.width), vector);
  if (is_int8()) {
    // Q unsigned, K and V signed. A shift of K changes all scores of a row alike, and so not their softmax.
    q_levels_ = levels_of(spec_.levels[0], spec_.levels[0].low);
    k_levels_ = levels_of(spec_.levels[1], shift_of(spec_.levels[1]));
    v_levels_ = levels_of(spec_.levels[2], shift_of(spec_.levels[2]));
    if (spec_.bytes[2].rounded) v_levels_.shift = int32_t(spec_.levels[2].low + 128);
    AttentionLevels* all[] = {&q_levels_, &k_levels_, &v_levels_};
    for (size_t i = 0; spec_.type == Num::u8 && i < 3; ++i) {
      all[i]->inverse = float(double(spec_.bytes[i].scale) / spec_.levels[i].step);
      all[i]->zero = spec_.bytes[i].zero;
    }
  }
  const int64_t matrices = int64_t(spec_.q.size());
  const int64_t most = std::max<int64_t>(1, spec_.rows / rows_worth_packing);
  const auto even = [&](int64_t parts) {
    const int64_t items = matrices * parts, rounds = (items + threads_ - 1) / threads_;
    return double(items) / double(rounds * threads_);
  };
  while (parts_ < most && even(parts_) < 0.93) ++parts_;
  thread_bytes_ = cut(nullptr, 0).bytes;
}

AttentionKernel::Scratch AttentionKernel::cut(void* memory, int part) const {
  Scratch s{};
  Cutter from{memory ? static_cast<uint8_t*>(memory) + part * thread_bytes_ : nullptr};
  const int64_t element = bytes_of(spec_.kind);
  s.scores = from.take<float>((tile_rows_ + surplus_rows) * (padded_keys_ + 64));
  s.weights = from.take<uint8_t>((tile_rows_ * padded_keys_ + 64) * element);
  s.factors = from.take<float>(max_tile_rows);
  s.sums = from.take<float>((tile_rows_ + surplus_rows) * (wide_ + 64));
  s.q = from.take<uint8_t>(max_tile_rows * q_pitch_ * 4 + 64);
  s.pointers = from.take<const uint8_t*>(2 * max_tile_rows);
  if (is_int8()) s.comp = from.take<int32_t>(k_.panels() * 16);
  if (!few()) {
    s.k = from.take<uint8_t>(k_.group_stride() + 64);
    s.v = from.take<uint8_t>(v_.group_stride() + 64);
    s.copy = from.take<uint8_t>(copies_q_ ? (std::max<int64_t>(16, spec_.keys) + 3) * wide_ * element + 64 : 0);
  }
  s.bytes = from.used;
  return s;
}

// K or V of one matrix as panels.
void AttentionKernel::pack(const KernelArgs& args, const Scratch& s, int64_t matrix, bool keys, bool values) const {
  const bool f32 = spec_.kind == DenseKind::f32;
  const int64_t element = f32 ? 4 : 2, source = int64_t(num_bytes(spec_.type));
  const auto rows_of = [&](size_t input, int64_t at, int64_t& row, int64_t n) {
    const uint8_t* from = static_cast<const uint8_t*>(args.inputs[input]) + at * source;
    if (!copies_q_) return from;
    for (int64_t i = 0; i < spec_.keys; ++i) {
      uint8_t* to = s.copy + i * wide_ * element;
      const uint8_t* p = from + i * row * source;
      std::memset(to, 0, size_t(wide_ * element));
      if (f32) {
        dense_.bf16_to_f32(reinterpret_cast<const uint16_t*>(p), reinterpret_cast<float*>(to), n);
      } else if (spec_.type == Num::f32) {
        dense_.f32_to_bf16(reinterpret_cast<const float*>(p), reinterpret_cast<uint16_t*>(to), n);
      } else {
        std::memcpy(to, p, size_t(n * element));
      }
    }
    row = wide_;
    return static_cast<const uint8_t*>(s.copy);
  };
  if (keys) {
    int64_t row = spec_.k_row;
    const uint8_t* from = rows_of(1, spec_.k[size_t(matrix)], row, spec_.features);
    for (int64_t p = 0; p < k_.panels(); ++p) {
      uint8_t* to = s.k + p * k_.panel_stride();
      const int n = int(std::min<int64_t>(16, spec_.keys - p * 16));
      isa_.columns(from + p * 16 * row * element, row * element, n, k_.steps(), reinterpret_cast<uint32_t*>(to));
      std::memset(to + k_.steps() * 64, 0, size_t(k_.padded_steps() - k_.steps()) * 64);
      if (dense_.deep) deepen(to, k_.padded_steps());
    }
  }
  if (!values) return;
  int64_t row = spec_.v_row;
  const uint8_t* from = rows_of(2, spec_.v[size_t(matrix)], row, spec_.width);
  for (int64_t p = 0; p < v_.panels(); ++p) {
    uint8_t* to = s.v + p * v_.panel_stride();
    const int n = int(std::min<int64_t>(16, spec_.width - p * 16));
    const uint8_t* at = from + p * 16 * element;
    if (f32) {
      isa_.panel(reinterpret_cast<const float*>(at), row, spec_.keys, n, reinterpret_cast<float*>(to));
    } else {
      isa_.pairs(reinterpret_cast<const uint16_t*>(at), row, spec_.keys, n, reinterpret_cast<uint16_t*>(to));
    }
    std::memset(to + v_.steps() * 64, 0, size_t(v_.padded_steps() - v_.steps()) * 64);
    if (dense_.deep) deepen(to, v_.padded_steps());
  }
}

// The same of bytes; rows behind the last key are zero.
void AttentionKernel::pack_bytes(const KernelArgs& args, const Scratch& s, int64_t matrix, bool keys,
                                 bool values) const {
  const int64_t source = int64_t(num_bytes(spec_.type));
  const auto round = [&](size_t input, int64_t at, int64_t row, int64_t n, const AttentionLevels& levels) {
    const uint8_t* from = static_cast<const uint8_t*>(args.inputs[input]) + at * source;
    if (n % 16 != 0) {
      for (int64_t i = 0; i < spec_.keys; ++i) std::memset(s.copy + i * wide_ + n / 16 * 16, 0, 16);
    }
    if (spec_.bytes[input].rounded) {
      isa_.flip(from, row, spec_.keys, n, s.copy, wide_);
    } else {
      isa_.quantize(from, spec_.type, row, spec_.keys, n, levels, s.copy, wide_);
    }
    std::memset(s.copy + spec_.keys * wide_, 0, size_t(3 * wide_));
  };
  if (keys) {
    round(1, spec_.k[size_t(matrix)], spec_.k_row, spec_.features, k_levels_);
    const auto low = int32_t(spec_.levels[0].low);
    for (int64_t p = 0; p < k_.panels(); ++p) {
      uint8_t* to = s.k + p * k_.panel_stride();
      const int n = int(std::min<int64_t>(16, spec_.keys - p * 16));
      isa_.columns(s.copy + p * 16 * wide_, wide_, n, k_.steps(), reinterpret_cast<uint32_t*>(to));
      std::memset(to + k_.steps() * 64, 0, size_t(k_.padded_steps() - k_.steps()) * 64);
      isa_.sums(to, k_.steps(), s.comp + p * 16);
      for (int c = 0; c < 16; ++c) s.comp[p * 16 + c] *= low;
      if (dense_.deep) deepen(to, k_.padded_steps());
    }
  }
  if (!values) return;
  round(2, spec_.v[size_t(matrix)], spec_.v_row, spec_.width, v_levels_);
  for (int64_t p = 0; p < v_.panels(); ++p) {
    uint8_t* to = s.v + p * v_.panel_stride();
    isa_.quads(s.copy + p * 16, wide_, spec_.keys, to);
    std::memset(to + v_.steps() * 64, 0, size_t(v_.padded_steps() - v_.steps()) * 64);
    if (dense_.deep) deepen(to, v_.padded_steps());
  }
}

// Rows of A times all panels: to[block of panels][tile rows][columns of the block].
void AttentionKernel::multiply(const PackedB& b, const uint8_t* packed, const uint8_t* const* a, int rows,
                               int64_t columns, int64_t steps, float* to) const {
  const TileRun run{};
  TileArgs t{};
  t.a = a;
  t.run = &run;
  t.runs = 1;
  t.steps = steps;
  t.panel_stride = b.panel_stride();
  const int64_t panels = (columns + 15) / 16, most = dense_.max_panels;
  for (int64_t p = 0; p < panels; p += most) {
    // Every block but the last is as wide as can be, so that columns are found by division.
    const int n = int(std::min(most, panels - p));
    int taken = rows;
    while (!dense_.tiles[n - 1][taken - 1]) ++taken;
    t.b = packed + p * t.panel_stride;
    t.c = to + p * 16 * (tile_rows_ + surplus_rows);
    dense_.tiles[n - 1][taken - 1](t);
  }
}

const uint8_t* AttentionKernel::query_row(const Scratch& s, const uint8_t* from, int r) const {
  if (!copies_q_) return from;
  const int64_t element = bytes_of(spec_.kind);
  uint8_t* to = s.q + r * q_pitch_ * element;
  std::memset(to, 0, size_t(q_pitch_ * element));
  if (spec_.kind == DenseKind::f32) {
    dense_.bf16_to_f32(reinterpret_cast<const uint16_t*>(from), reinterpret_cast<float*>(to), spec_.features);
  } else if (spec_.type == Num::f32) {
    dense_.f32_to_bf16(reinterpret_cast<const float*>(from), reinterpret_cast<uint16_t*>(to), spec_.features);
  } else {
    std::memcpy(to, from, size_t(spec_.features * element));
  }
  return to;
}

// Softmax of the scores of rows from `first` on.
void AttentionKernel::weigh(const KernelArgs& args, const Scratch& s, int64_t matrix, int64_t first, int rows,
                            int64_t keys) const {
  AttentionRows a{};
  a.scores = s.scores;
  a.rows = rows;
  a.keys = spec_.keys;
  a.padded = padded_keys_;
  a.scale = spec_.scale;
  if (spec_.masked)
    a.mask = static_cast<const float*>(args.inputs[3]) + spec_.mask[size_t(matrix)] + first * spec_.mask_row;
  a.mask_row = spec_.mask_row;
  a.mask_column = spec_.mask_column;
  a.causal = spec_.causal;
  a.seen = first + 1;
  a.weights = s.weights;
  a.ld = padded_keys_;
  a.bf16 = spec_.kind == DenseKind::bf16;
  a.zero_empty_rows = spec_.zero_empty_rows;
  a.factors = s.factors;
  a.block = 16 * dense_.max_panels;
  a.height = tile_rows_ + surplus_rows;
  a.last_block = (keys + 15) / 16 * 16 / a.block * a.block;
  a.last_width = (keys + 15) / 16 * 16 - a.last_block;
  if (!is_int8()) return isa_.softmax(a);
  const auto& l = spec_.levels;
  a.scale *= float(l[0].step * l[1].step);
  a.comp = s.comp;
  if (spec_.late_masked) {
    a.late_mask =
        static_cast<const float*>(args.inputs[4]) + spec_.late_mask[size_t(matrix)] + first * spec_.late_mask_row;
    a.late_mask_row = spec_.late_mask_row;
    a.late_mask_column = spec_.late_mask_column;
  }
  a.weight_levels = levels_of(l[3], 0);
  a.score_step = float(l[4].step);
  if (l[4].step != 0) a.score_levels = levels_of(l[4], 0);
  a.sums = v_levels_.shift != 0;
  isa_.softmax_int8(a);
  // A shift of V is missing once for each weight.
  for (int r = 0; r < rows; ++r) s.factors[r] *= float(v_levels_.shift);
}

void AttentionKernel::put(const KernelArgs& args, const Scratch& s, int64_t matrix, int64_t first, int rows) const {
  const int64_t bytes = int64_t(num_bytes(spec_.result)), block = 16 * dense_.max_panels;
  uint8_t* y = static_cast<uint8_t*>(args.outputs[0]) + spec_.y[size_t(matrix)] * bytes;
  for (int64_t c = 0; c < spec_.width; c += block) {
    AttentionResult out{};
    out.columns = int(std::min(block, spec_.width - c));
    out.tile = s.sums + c * (tile_rows_ + surplus_rows);
    out.ld_tile = round_up(out.columns, 16);
    out.rows = rows;
    out.factors = s.factors;
    out.out = y + (first * spec_.y_row + c) * bytes;
    out.type = spec_.result;
    out.ld = spec_.y_row;
    if (!is_int8()) {
      isa_.result(out);
      continue;
    }
    out.offsets = s.factors;
    out.factor = float(spec_.levels[2].step * spec_.levels[3].step);
    out.inverse_scale = 1 / spec_.result_scale;
    out.zero = spec_.result_zero;
    isa_.result_int8(out);
  }
}

void AttentionKernel::run_rows(const KernelArgs& args, const Scratch& s, int64_t matrix, int64_t begin,
                               int64_t end) const {
  const int64_t element = bytes_of(spec_.kind), source = int64_t(num_bytes(spec_.type));
  const uint8_t* q = static_cast<const uint8_t*>(args.inputs[0]) + spec_.q[size_t(matrix)] * source;
  const int64_t tiles = (end - begin + tile_rows_ - 1) / tile_rows_;
  // Evenly, or in whole blocks.
  const auto begin_of = [&](int64_t i) {
    return dense_.row_block > 1 ? std::min(end, begin + i * tile_rows_) : begin + (end - begin) * i / tiles;
  };
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = begin_of(i);
    const int rows = int(begin_of(i + 1) - first);
    const uint8_t* from = q + first * spec_.q_row * source;
    if (spec_.bytes[0].rounded) {
      for (int r = 0; r < rows; ++r) s.pointers[r] = from + r * spec_.q_row;
    } else if (is_int8()) {
      // What lies behind the features meets zeros of K.
      isa_.quantize(from, spec_.type, spec_.q_row, rows, spec_.features, q_levels_, s.q, q_pitch_);
      for (int r = 0; r < rows; ++r) s.pointers[r] = s.q + r * q_pitch_;
    } else {
      for (int r = 0; r < rows; ++r) s.pointers[r] = query_row(s, from + r * spec_.q_row * source, r);
    }
    for (int r = rows; r < rows + surplus_rows; ++r) s.pointers[r] = s.pointers[rows - 1];
    const int64_t keys = spec_.causal ? std::min(spec_.keys, first + rows) : spec_.keys;
    multiply(k_, s.k, s.pointers, rows, keys, k_.steps(), s.scores);
    weigh(args, s, matrix, first, rows, keys);
    for (int r = 0; r < rows + surplus_rows; ++r)
      s.pointers[r] = s.weights + std::min(r, rows - 1) * padded_keys_ * element;
    multiply(v_, s.v, s.pointers, rows, spec_.width, (keys + v_.values_per_step() - 1) / v_.values_per_step(), s.sums);
    put(args, s, matrix, first, rows);
  }
}

void AttentionKernel::run_few_rows(const KernelArgs& args, const Scratch& s, int64_t matrix) const {
  const int64_t source = int64_t(num_bytes(spec_.type));
  const auto at = [&](size_t input, const std::vector<int64_t>& offsets) {
    return static_cast<const uint8_t*>(args.inputs[input]) + offsets[size_t(matrix)] * source;
  };
  for (int64_t r = 0; r < spec_.rows; ++r) {
    auto* q = reinterpret_cast<float*>(s.q);
    isa_.widen(at(0, spec_.q) + r * spec_.q_row * source, spec_.type, spec_.features, q);
    const int64_t keys = spec_.causal ? std::min(spec_.keys, r + 1) : spec_.keys;
    isa_.dots(q, at(1, spec_.k), spec_.type, spec_.k_row, keys, spec_.features, s.scores);
    AttentionRows a{};
    a.scores = s.scores;
    a.block = a.last_width = round_up(spec_.keys, 16);
    a.rows = 1;
    a.keys = spec_.keys;
    a.padded = padded_keys_;
    a.scale = spec_.scale;
    if (spec_.masked)
      a.mask = static_cast<const float*>(args.inputs[3]) + spec_.mask[size_t(matrix)] + r * spec_.mask_row;
    a.mask_column = spec_.mask_column;
    a.causal = spec_.causal;
    a.seen = r + 1;
    a.weights = s.weights;
    a.ld = padded_keys_;
    a.zero_empty_rows = spec_.zero_empty_rows;
    a.factors = s.factors;
    isa_.softmax(a);
    isa_.mix(reinterpret_cast<const float*>(s.weights), at(2, spec_.v), spec_.type, spec_.v_row, keys, spec_.width,
             s.sums);
    AttentionResult out{};
    out.tile = s.sums;
    out.rows = 1;
    out.columns = int(spec_.width);
    out.factors = s.factors;
    out.out = static_cast<uint8_t*>(args.outputs[0]) + (spec_.y[size_t(matrix)] + r * spec_.y_row) * source;
    out.type = spec_.result;
    isa_.result(out);
  }
}

void AttentionKernel::run(const KernelArgs& args) noexcept {
  const int64_t items = int64_t(spec_.q.size()) * parts_;
  args.pool.parallel_for(threads_, 1, [&](int64_t from, int64_t to, int) {
    for (int64_t part = from; part < to; ++part) {
      if (dense_.begin) dense_.begin();
      const Scratch s = cut(args.scratch, int(part));
      int64_t packed = -1;
      for (int64_t i = items * part / threads_; i < items * (part + 1) / threads_; ++i) {
        const int64_t matrix = i / parts_, p = i % parts_;
        if (few()) {
          run_few_rows(args, s, matrix);
          continue;
        }
        if (packed != matrix) {
          // Heads that share K and V (grouped queries) follow each other.
          const bool first = packed < 0;
          const bool keys = first || spec_.k[size_t(packed)] != spec_.k[size_t(matrix)],
                     values = first || spec_.v[size_t(packed)] != spec_.v[size_t(matrix)];
          is_int8() ? pack_bytes(args, s, matrix, keys, values) : pack(args, s, matrix, keys, values);
          packed = matrix;
        }
        run_rows(args, s, matrix, spec_.rows * p / parts_, spec_.rows * (p + 1) / parts_);
      }
      if (dense_.end) dense_.end();
    }
  });
}

}  // namespace hone::cpu
