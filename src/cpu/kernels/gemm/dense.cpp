#include "cpu/kernels/gemm/dense.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/kernels/scratch.hpp"

namespace hone::cpu {
namespace {

using Four = float __attribute__((vector_size(16)));

// sums += tile, or tile += sums where they are complete; `cols` is a multiple of 16.
void add_sums(float* tile, float* sums, int64_t ld, int rows, int64_t cols, bool first, bool last) {
  for (int r = 0; r < rows; ++r, tile += cols, sums += ld) {
    if (first) {
      std::memcpy(sums, tile, size_t(cols) * sizeof(float));
      continue;
    }
    float* to = last ? tile : sums;
    for (int64_t c = 0; c < cols; c += 4) {
      Four a, b;
      std::memcpy(&a, sums + c, sizeof a);
      std::memcpy(&b, tile + c, sizeof b);
      a += b;
      std::memcpy(to + c, &a, sizeof a);
    }
  }
}

// Where column 0 would lie, of an array that begins at a later column: by number, since no pointer may leave its array.
template <class T>
T* counted_from(T* array, int64_t first) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(array) - size_t(first) * sizeof(T));
}

// Rows of the next tile, of `n` that are left: as many as meet the same taps, cut evenly.
int rows_alike(const uint64_t* seen, int64_t n, int most) {
  int64_t alike = 1;
  while (alike < n && seen[alike] == seen[0]) ++alike;
  // One or two rows take as long as several.
  if (alike < 3) alike = std::min<int64_t>(n, most);
  return int((alike + (alike + most - 1) / most - 1) / ((alike + most - 1) / most));
}

}  // namespace

size_t DenseKernel::scratch_bytes() const {
  return size_t(thread_bytes() * threads_ + comp_bytes_ * spec_.num_b + requant_bytes_ +
                (loose_ ? b_bytes_ * spec_.num_b : 0));
}

struct DenseKernel::Job {
  const uint8_t* a;
  const uint8_t* b;
  EpilogueView epilogue;
  int64_t comp_stride;  ///< between the corrections of two Bs
  uint8_t* thread_scratch;
  bool ends;  ///< tiles write results themselves
};

void DenseKernel::run(const KernelArgs& args) noexcept {
  uint8_t* scratch = static_cast<uint8_t*>(args.scratch);
  Job job{};
  job.a = static_cast<const uint8_t*>(args.inputs[0]);
  if (loose_) {
    uint8_t* b = scratch;
    scratch += b_bytes_ * spec_.num_b;
    job.b = b;
    SourceB source = loose_->source;
    source.run_offsets = loose_->run_offsets.data();
    const int64_t per = packed_.groups * packed_.panels();
    const size_t element = num_bytes(source.type);
    args.pool.parallel_for(per * spec_.num_b, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end;) {
        const int64_t which = i / per, stop = std::min(end, (which + 1) * per);
        SourceB from = source;
        from.data = static_cast<const uint8_t*>(args.inputs[1]) + loose_->b_offsets[size_t(which)] * int64_t(element);
        pack_panels(packed_, from, b + which * b_bytes_, i - which * per, stop - which * per);
        i = stop;
      }
    });
  } else {
    job.b = static_cast<const uint8_t*>(args.inputs[1]);
  }
  const int32_t* comp = zero_comp_.data();
  if (spec_.kind == DenseKind::int8) {
    if (zero_ != 0 && !leaves_out_) {
      for (int64_t i = 0; i < spec_.num_b; ++i) {
        int32_t* c = reinterpret_cast<int32_t*>(scratch + i * comp_bytes_);
        const int32_t* sums = reinterpret_cast<const int32_t*>(job.b + i * b_bytes_ + packed_.sums_offset());
        for (int64_t k = 0; k < packed_.groups * packed_.columns; ++k) c[k] = zero_ * sums[k];
      }
      comp = reinterpret_cast<const int32_t*>(scratch);
      job.comp_stride = comp_bytes_ / 4;
    }
    scratch += comp_bytes_ * spec_.num_b;
  }
  OperandView operands[EpiloguePlan::max_operands];
  job.epilogue = epilogue_.bind(args, operands, comp);
  job.ends = tiles_end(job.epilogue);
  if (requant_bytes_ > 0) {
    auto* scale = reinterpret_cast<float*>(scratch);
    float* offset = scale + requant_bytes_ / 8;
    const bool shuffles = spec_.shuffle_h * spec_.shuffle_w > 1;
    // The groups of a transposed convolution are taps: they share the scales of the columns.
    const int64_t shares = shuffles ? packed_.groups : 1, columns = packed_.groups * packed_.columns / shares;
    for (int64_t g = shares - 1; g >= 0; --g) {
      job.epilogue.comp = comp + g * columns;
      epilogue_.requantize(job.epilogue, scale + g * columns, offset + g * columns, columns);
    }
    scratch += requant_bytes_;
  }
  job.thread_scratch = scratch;
  if (on_demand_) {
    args.pool.parallel_for_dynamic(int64_t(strips_.size()), 1, [&](int64_t begin, int64_t end, int thread) {
      if (isa_.begin) isa_.begin();
      for (int64_t i = begin; i < end; ++i)
        run_strip(job, strips_[size_t(i)], 0, column_blocks_, job.thread_scratch + thread * thread_bytes());
      if (isa_.end) isa_.end();
    });
    return;
  }
  args.pool.parallel_for(threads_, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t part = begin; part < end; ++part) run_part(job, int(part));
  });
}

// Can the tiles write the results themselves?
bool DenseKernel::tiles_end(const EpilogueView& e) const {
  const bool type = (e.out_type == Num::f32 && isa_.ends_f32) || (e.out_type == Num::bf16 && isa_.ends_bf16);
  if (!type || !e.fast || e.integer || e.residual_last) return false;
  if (e.has_residual && (e.activation != 0 || e.residual.type != e.out_type || spec_.shuffle_h * spec_.shuffle_w > 1))
    return false;
  return e.activation == 0 || EpilogueOp(e.activation - 1) == EpilogueOp::hswish;
}

void DenseKernel::run_part(const Job& job, int part) const {
  if (isa_.begin) isa_.begin();
  run_share(job, part);
  if (isa_.end) isa_.end();
}

void DenseKernel::run_share(const Job& job, int part) const {
  uint8_t* scratch = job.thread_scratch + part * thread_bytes();
  if (column_parts_ > 1) {
    const int64_t begin = part_begin(column_blocks_, part, column_parts_),
                  end = part_begin(column_blocks_, part + 1, column_parts_);
    if (begin == end) return;
    for (const Strip& s : strips_) run_strip(job, s, begin, end, scratch);
    return;
  }
  const int64_t n = int64_t(strips_.size());
  for (int64_t i = part_begin(n, part, threads_); i < part_begin(n, part + 1, threads_); ++i) {
    run_strip(job, strips_[size_t(i)], 0, column_blocks_, scratch);
  }
}

void DenseKernel::run_strip(const Job& job, const Strip& s, int64_t block_begin, int64_t block_end,
                            uint8_t* scratch) const {
  const DenseSpec& d = spec_;
  auto** pointers = reinterpret_cast<const uint8_t**>(scratch);
  const int64_t taps = int64_t(runs_.size()), ahead = most_pixels_ + surplus_rows;
  auto* seen = reinterpret_cast<uint64_t*>(pointers + (by_taps_ ? taps * ahead : 0));
  auto* sums = reinterpret_cast<float*>(scratch + pointer_bytes_);
  uint8_t* copy = scratch + pointer_bytes_ + sum_bytes_;
  if (copy_) copy_strip(job.a, s, copy);
  const int64_t pixels = by_taps_ ? point_at_taps(job, s, pointers, seen) : point_at_pixels(job, s, copy, pointers);

  // Where tiles are computed beside the vector units, the results of one are finished behind the products of the next.
  const bool late = isa_.row_block > 1;
  alignas(64) float tile[2][tile_capacity];
  TileRun some[64];
  TileArgs t{};
  RealEnd end;
  t.run = runs_.data();
  t.runs = taps;
  t.flip = signed_ && d.a_type == Num::u8 ? 0x80 : 0;
  t.steps = steps_;
  t.panel_stride = packed_.panel_stride();
  TileView view, waiting;
  view.acc = t.c = tile[0];
  waiting.rows = 0;
  const auto finish_waiting = [&](const EpilogueView& e) {
    if (waiting.rows > 0) finish_(e, waiting);
    waiting.rows = 0;
  };
  alignas(64) int32_t comp[16 * max_tile_panels];
  alignas(64) float offset[16 * max_tile_panels];
  uint64_t last_meets = 0;
  const uint8_t* b = job.b + (d.b_image.empty() ? 0 : d.b_image[size_t(s.image)] * b_bytes_);
  EpilogueView epilogue = job.epilogue;
  if (!d.b_image.empty() && epilogue.comp) epilogue.comp += d.b_image[size_t(s.image)] * job.comp_stride;
  const RequantView& requant = epilogue.requant;
  // A residual comes with levels as a rule; without, tiles go through memory.
  if (isa_.requantizes && requant.scale && (!requant.residual || requant.levels)) t.requant = &requant;
  const int64_t row0 = (s.image * d.out_h + s.row) * d.out_w;
  const bool shuffles = d.shuffle_h * d.shuffle_w > 1;
  const int64_t line = shuffles ? d.out_w : pixels, out_bytes = int64_t(num_bytes(epilogue.out_type));
  auto* shuffled = static_cast<uint8_t*>(epilogue.out);
  if (shuffles) epilogue.ld_out = d.shuffle_w * d.columns;
  for (int64_t g = 0; g < d.groups; ++g) {
    if (g > 0 && !shuffles) {
      const int64_t step = (copy_ ? d.channels : d.a_group) * a_bytes_;
      for (int64_t k = 0; k < (by_taps_ ? taps : 1); ++k) {
        for (int64_t i = 0; i < pixels + surplus_rows; ++i) pointers[k * ahead + i] += step;
      }
    }
    // Parts of K, and in each of them all blocks.
    const int64_t blocks = block_end - block_begin, parts = part_steps_ > 0 ? (steps_ - 1) / part_steps_ + 1 : 1;
    for (int64_t i = 0; i < parts * blocks; ++i) {
      const int64_t block = block_begin + i % blocks, part = i / blocks;
      if (parts > 1) {
        const int64_t step = part * part_steps_;
        t.steps = std::min(part_steps_, steps_ - step);
        some[0] = {0, step * 4, step * 64};
        t.run = some;
      }
      const int64_t p0 = part_begin(packed_.panels(), block, column_blocks_);
      const int panels = int(part_begin(packed_.panels(), block + 1, column_blocks_) - p0);
      if (panels == 0) continue;
      t.b = b + g * packed_.group_stride() + p0 * t.panel_stride;
      view.ld = 16 * panels;
      view.col0 = g * d.columns + p0 * 16;
      view.cols = int(std::min<int64_t>(16 * panels, d.columns - p0 * 16));
      if (shuffles) {
        finish_waiting(epilogue);
        if (epilogue.integer) epilogue.comp = job.epilogue.comp + g * d.columns;
        if (epilogue.requant.scale) {
          epilogue.requant.scale = job.epilogue.requant.scale + g * d.columns;
          epilogue.requant.offset = job.epilogue.requant.offset + g * d.columns;
        }
        epilogue.out = shuffled + g % d.shuffle_w * d.columns * out_bytes;
        view.col0 = p0 * 16;
      }
      const int64_t per_line = (line + isa_.max_rows[panels - 1] - 1) / isa_.max_rows[panels - 1];
      const bool half = view.cols <= 16 * panels - 8 && isa_.halves[panels - 1][0];
      const TileFn* fns = half ? isa_.halves[panels - 1] : isa_.tiles[panels - 1];
      // Rows are shared out evenly, the shorter tiles first, or in whole blocks; of far taps, rows that meet the same.
      const bool far = by_taps_ && (d.dilation_h > 1 || d.dilation_w > 1);
      const int64_t shortest = line / per_line, longer = line % per_line;
      int64_t begin = 0, first = 0, index = 0;
      while (begin < pixels) {
        const int most = isa_.max_rows[panels - 1];
        int rows = int(shortest + (index >= per_line - longer));
        if (isa_.row_block > 1 || isa_.whole_tiles) rows = int(std::min<int64_t>(most, line - index * most));
        if (far) rows = rows_alike(seen + begin, pixels - begin, most);
        view.rows = rows;
        view.row0 = row0 + begin;
        // Of each line the taps of one row make a line of results.
        if (shuffles) view.row0 += ((row0 + first) / line * (d.shuffle_h - 1) + g / d.shuffle_w) * line;
        while (!fns[rows - 1]) ++rows;
        t.a = pointers + begin;
        if (by_taps_) {
          uint64_t meets = 0;
          for (int r = 0; r < view.rows; ++r) meets |= seen[begin + r];
          if (leaves_out_ && (begin == 0 || meets != last_meets)) {
            finish_waiting(epilogue);
            correct(job, meets, view, comp, offset);
            epilogue.comp = counted_from(comp, view.col0);
            epilogue.requant.offset = counted_from(offset, view.col0);
            last_meets = meets;
          }
          t.runs = 0;
          for (; meets != 0; meets &= meets - 1) some[t.runs++] = runs_[size_t(__builtin_ctzll(meets))];
          t.run = some;
        }
        if (parts > 1) {
          fns[rows - 1](t);
          const int64_t ld = packed_.panels() * 16;
          add_sums(tile[0], sums + begin * ld + p0 * 16, ld, view.rows, view.ld, part == 0, part == parts - 1);
          if (part == parts - 1) finish_(epilogue, view);
        } else if (t.requant) {
          const int64_t first_byte = view.row0 * epilogue.ld_out + view.col0;
          t.rows = view.rows;
          t.cols = view.cols;
          t.scale = t.requant->scale + view.col0;
          t.offset = t.requant->offset + view.col0;
          t.residual = t.requant->residual ? t.requant->residual + first_byte : nullptr;
          t.out = static_cast<uint8_t*>(epilogue.out) + first_byte;
          t.ld_out = epilogue.ld_out;
          fns[rows - 1](t);
        } else if (job.ends) {
          const int64_t at = view.row0 * epilogue.ld_out + view.col0;
          const auto* residual = static_cast<const uint8_t*>(epilogue.residual.data);
          end = {(epilogue.bias ? epilogue.bias : no_bias_.data()) + view.col0,
                 epilogue.has_residual ? residual + at * out_bytes : nullptr,
                 static_cast<uint8_t*>(epilogue.out) + at * out_bytes,
                 epilogue.ld_out,
                 view.rows,
                 view.cols,
                 epilogue.out_type,
                 epilogue.activation != 0,
                 epilogue.clamp_low,
                 epilogue.clamp_high};
          t.end = &end;
          fns[rows - 1](t);
        } else if (late) {
          fns[rows - 1](t);
          finish_waiting(epilogue);
          waiting = view;
          view.acc = t.c = t.c == tile[0] ? tile[1] : tile[0];
        } else {
          fns[rows - 1](t);
          finish_(epilogue, view);
        }
        begin += view.rows;
        if (++index == per_line) {
          index = 0;
          first = begin;
        }
      }
    }
  }
  finish_waiting(epilogue);
}

// The first pixels of all windows of the strip, in the copy or in A.
int64_t DenseKernel::point_at_pixels(const Job& job, const Strip& s, const uint8_t* copy,
                                     const uint8_t** pointers) const {
  const DenseSpec& d = spec_;
  const int64_t pixel = (copy_ ? d.a_channels() : d.a_pixel) * a_bytes_ * d.stride_w;
  const int64_t row = (copy_ ? copy_w_ * d.a_channels() : d.a_row) * a_bytes_;
  const int64_t in_rows = (s.rows - 1) * d.stride_h + (d.kernel_h - 1) * d.dilation_h + 1;
  int64_t pixels = 0;
  for (int64_t n = 0; n < s.images; ++n) {
    const uint8_t* image = copy_ ? copy + n * in_rows * row
                                 : job.a + (d.a_image[size_t(s.image + n)] + s.row * d.stride_h * d.a_row) * a_bytes_;
    for (int64_t y = 0; y < s.rows; ++y) {
      const uint8_t* at = image + y * d.stride_h * row;
      for (int64_t x = 0; x < d.out_w; ++x, at += pixel) pointers[pixels++] = at;
    }
  }
  for (int i = 0; i < surplus_rows; ++i) pointers[pixels + i] = pointers[pixels - 1];
  return pixels;
}

// The pixels that each tap meets; `seen` has a bit for each tap that meets more than zeros. The zero point of integers
// is more, unless there are sums of B for each tap.
int64_t DenseKernel::point_at_taps(const Job& job, const Strip& s, const uint8_t** pointers, uint64_t* seen) const {
  const DenseSpec& d = spec_;
  const int64_t pixels = s.images * s.rows * d.out_w, ahead = most_pixels_ + surplus_rows;
  std::memset(seen, 0, size_t(pixels) * sizeof *seen);
  const bool padding_counts = zero_ != 0 && !leaves_out_;
  for (int64_t tap = 0; tap < d.kernel_h * d.kernel_w; ++tap) {
    const int64_t left = tap % d.kernel_w * d.dilation_w - d.pad_left;
    const uint8_t** to = pointers + tap * ahead;
    int64_t i = 0;
    for (int64_t n = 0; n < s.images; ++n) {
      const uint8_t* image = job.a + d.a_image[size_t(s.image + n)] * a_bytes_;
      for (int64_t y = 0; y < s.rows; ++y) {
        const int64_t in_y = (s.row + y) * d.stride_h + tap / d.kernel_w * d.dilation_h - d.pad_top;
        const bool inside_y = in_y >= 0 && in_y < d.in_h;
        for (int64_t x = 0; x < d.out_w; ++x, ++i) {
          const int64_t in_x = x * d.stride_w + left;
          const bool inside = inside_y && in_x >= 0 && in_x < d.in_w;
          to[i] = inside ? image + (in_y * d.a_row + in_x * d.a_pixel) * a_bytes_ : zeros_.data();
          seen[i] |= uint64_t(inside || padding_counts) << tap;
        }
      }
    }
    for (int k = 0; k < surplus_rows; ++k) to[i + k] = to[i - 1];
  }
  return pixels;
}

// What the zero point adds to the sums over some of the taps, and the offsets of results with it.
void DenseKernel::correct(const Job& job, uint64_t taps, const TileView& tile, int32_t* comp, float* offset) const {
  const auto* sums = reinterpret_cast<const int32_t*>(job.b + packed_.run_sums_offset()) + tile.col0;
  std::fill_n(comp, 16 * max_tile_panels, 0);
  std::fill_n(offset, 16 * max_tile_panels, 0.0f);
  for (; taps != 0; taps &= taps - 1) {
    const int32_t* run = sums + __builtin_ctzll(taps) * packed_.sums_stride();
    for (int c = 0; c < tile.cols; ++c) comp[c] += run[c];
  }
  for (int c = 0; c < tile.cols; ++c) comp[c] *= zero_;
  const RequantView& q = job.epilogue.requant;
  if (!q.scale) return;
  for (int c = 0; c < tile.cols; ++c) offset[c] = q.offset[tile.col0 + c] - float(comp[c]) * q.scale[tile.col0 + c];
}

}  // namespace hone::cpu
