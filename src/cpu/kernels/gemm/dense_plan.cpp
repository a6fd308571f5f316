// What a dense kernel decides before it runs: whether A is copied, where the runs of a window lie, how the work is cut.
#include <algorithm>

#include "cpu/kernels/gemm/dense.hpp"
#include "cpu/kernels/scratch.hpp"

namespace hone::cpu {
namespace {

// A strip should leave room in L2 for a block of B; a few hundred pixels are enough to hide the start of a column
// block.
constexpr int64_t strip_target_bytes = 256 << 10;
constexpr int64_t strip_target_pixels = 1024;
// Channels from which on pointers for each tap cost less than a padded copy.
constexpr int64_t shortest_tap = 64;

// Where fewer rows than this make a strip, they are cut; then so many make one, in parts of so many steps.
constexpr int64_t few_rows = 24;
constexpr int64_t cut_rows = 256;
constexpr int64_t steps_of_part = 1024;
constexpr int64_t most_sum_bytes = 4 << 20;

// The tiles that take bytes of A as they are, if there are any.
const DenseIsa& tiles_for(const DenseSpec& s, const DenseIsa& isa) {
  const DenseIsa* of_signed = isa.of_signed;
  return of_signed && (s.a_type == Num::s8 || of_signed->flips) ? *of_signed : isa;
}

}  // namespace

PackedB DenseSpec::packed() const {
  PackedB p;
  p.kind = kind;
  p.deep = deep;
  p.groups = groups;
  p.columns = columns;
  p.runs = taps_are_contiguous() ? kernel_h : kernel_h * kernel_w;
  p.run_length = taps_are_contiguous() ? kernel_w * channels : channels;
  p.run_sums = kind == DenseKind::int8 && p.runs > 1 && dilation_w > 1;
  return p;
}

DenseKernel::DenseKernel(DenseSpec spec, const DenseIsa& isa, EpiloguePlan epilogue, int threads,
                         std::unique_ptr<LooseB> loose_b)
    : spec_(std::move(spec)),
      packed_(spec_.packed()),
      isa_(tiles_for(spec_, isa)),
      finish_(with_bf16(isa.epilogue)),
      epilogue_(std::move(epilogue)),
      threads_(std::max(1, threads)),
      loose_(std::move(loose_b)) {
  signed_ = &isa_ == isa.of_signed;
  if (spec_.kind == DenseKind::int8) {
    epilogue_.make_curve(finish_);
    zero_ = spec_.a_zero + (flips_copy() ? 128 : signed_ && spec_.a_type == Num::u8 ? -128 : 0);
  }
  no_bias_.assign(size_t(round_up(packed_.groups * packed_.columns, 16)) + 64, 0.0f);
  a_bytes_ = spec_.kind == DenseKind::f32 ? 4 : spec_.kind == DenseKind::bf16 ? 2 : 1;
  plan_input();
  cut_strips();
  plan_runs();
  b_bytes_ = round_up(int64_t(packed_.bytes()), 64);
  if (spec_.kind == DenseKind::int8) {
    comp_bytes_ = round_up(packed_.groups * packed_.columns * 4, 64) + 64;
    zero_comp_.assign(size_t(comp_bytes_ / 4), 0);
    if (spec_.num_b == 1 && epilogue_.requantizes()) requant_bytes_ = 2 * comp_bytes_;
  }
}

// A is copied where it is of another type, not channels-last, signed (if the products want u8), or ends a run inside a
// step; or padded, unless the pointers know.
void DenseKernel::plan_input() {
  const DenseSpec& s = spec_;
  const Num wanted = s.kind == DenseKind::f32    ? Num::f32
                     : s.kind == DenseKind::bf16 ? Num::bf16
                     : signed_                   ? s.a_type
                                                 : Num::u8;
  const int64_t reach_h = (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
  const int64_t reach_w = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
  const bool padded = s.pad_top > 0 || s.pad_left > 0 || reach_h - s.pad_top > s.in_h || reach_w - s.pad_left > s.in_w;
  const bool odd_run = s.kind == DenseKind::bf16 && packed_.run_length % 2 != 0;
  const bool dense_taps = s.a_channel == 1 && (s.kernel_w == 1 || !s.taps_are_contiguous() || s.a_pixel == s.channels);
  copy_ = padded || odd_run || s.a_type != wanted || !dense_taps;
  copy_w_ = reach_w;
  // A tap is a run of B where it begins with a step; beyond its end lie other taps, not zeros, so that tiles which take
  // 16 steps at once want a multiple of these.
  const int64_t taps = s.kernel_h * s.kernel_w, whole = s.kind == DenseKind::f32 ? 1 : 16 * packed_.values_per_step();
  const bool tap_is_run = !s.taps_are_contiguous() || s.channels % whole == 0;
  const bool far = s.dilation_h > 1 || s.dilation_w > 1;
  by_taps_ = padded && !odd_run && s.a_type == wanted && s.a_channel == 1 && taps > 1 && taps <= 64 && tap_is_run &&
             (far || s.channels >= shortest_tap);
  if (by_taps_) {
    copy_ = false;
    zeros_.assign(size_t(s.a_channels() * a_bytes_ + 128), s.kind == DenseKind::int8 ? uint8_t(s.a_zero) : 0);
    leaves_out_ = packed_.run_sums && s.num_b == 1 && zero_ != 0;
  }
}

// Where the runs begin, from the first pixel of a window, and in a panel of B.
void DenseKernel::plan_runs() {
  const DenseSpec& s = spec_;
  const int64_t pixel = copy_ ? s.a_channels() : s.a_pixel;
  const int64_t row = copy_ ? copy_w_ * pixel : s.a_row;
  steps_ = packed_.steps();
  if (by_taps_) {
    const bool rows = s.taps_are_contiguous();
    steps_ = (s.channels + packed_.values_per_step() - 1) / packed_.values_per_step();
    for (int64_t tap = 0; tap < s.kernel_h * s.kernel_w; ++tap) {
      const int64_t b =
          rows ? tap / s.kernel_w * packed_.run_stride() + tap % s.kernel_w * steps_ * 64 : tap * packed_.run_stride();
      runs_.push_back({tap * (most_pixels_ + surplus_rows), 0, b});
    }
    return;
  }
  for (int64_t y = 0; y < s.kernel_h; ++y) {
    const int64_t taps = s.taps_are_contiguous() ? 1 : s.kernel_w;
    for (int64_t x = 0; x < taps; ++x) {
      const int64_t a = (y * s.dilation_h * row + x * s.dilation_w * pixel) * a_bytes_;
      runs_.push_back({0, a, int64_t(runs_.size()) * packed_.run_stride()});
    }
  }
}

bool DenseKernel::cuts_rows(int64_t row_bytes) const {
  const DenseSpec& s = spec_;
  return s.kind != DenseKind::int8 && !copy_ && !by_taps_ && s.kernel_h * s.kernel_w == 1 && s.groups == 1 &&
         s.shuffle_h * s.shuffle_w == 1 && s.out_w == 1 && s.out_h >= 2 * few_rows &&
         row_bytes * few_rows > strip_target_bytes;
}

void DenseKernel::cut_strips() {
  const DenseSpec& s = spec_;
  const int64_t pixel_bytes = s.a_channels() * a_bytes_;
  const int64_t row_bytes = std::max<int64_t>(1, (copy_ ? copy_w_ * s.stride_h : s.out_w) * pixel_bytes);
  const bool same_b = s.b_image.empty();
  // Much work for several threads is handed out on demand, in more strips: a core that others use too holds nobody up.
  const double products =
      double(s.images * s.out_h * s.out_w * s.groups) * double(s.channels * s.columns * s.kernel_h * s.kernel_w);
  const bool much = threads_ > 1 && products > 5e7;
  const int64_t most = much ? strip_target_pixels / 4 : strip_target_pixels;
  int64_t rows = std::max<int64_t>(1, std::min(strip_target_bytes / row_bytes, most / std::max<int64_t>(1, s.out_w)));
  const int64_t sum_row = packed_.panels() * 16 * int64_t(sizeof(float));
  if (cuts_rows(row_bytes) && most_sum_bytes / sum_row > few_rows) {
    part_steps_ = steps_of_part;
    rows = std::min(cut_rows, most_sum_bytes / sum_row);
  }
  // Neighbouring strips copy the rows that their windows share: four times as many of their own leave little to copy
  // twice.
  const int64_t shared = (s.kernel_h - 1) * s.dilation_h + 1 - s.stride_h;
  if (copy_ && shared > 0) {
    const int64_t wanted = (4 * shared + s.stride_h - 1) / s.stride_h;
    rows = std::max(rows, std::min(wanted, strip_target_bytes / row_bytes));
  }
  if (rows >= s.out_h && same_b && s.images > 1) {
    // Whole images, as many as fit, but enough strips to share them out evenly.
    int64_t per = std::max<int64_t>(1, rows / s.out_h);
    per = std::min(per, std::max<int64_t>(1, s.images / (4 * threads_)));
    for (int64_t n = 0; n < s.images; n += per) strips_.push_back({n, std::min(per, s.images - n), 0, s.out_h});
  } else {
    int64_t cuts = (s.out_h + rows - 1) / std::max<int64_t>(1, rows);
    if (s.images == 1 && s.out_h >= 4 * threads_) cuts = round_up(cuts, threads_);
    cuts = std::max<int64_t>(1, std::min(cuts, s.out_h));
    for (int64_t n = 0; n < s.images; ++n) {
      for (int64_t c = 0; c < cuts; ++c) {
        const int64_t begin = part_begin(s.out_h, c, cuts), end = part_begin(s.out_h, c + 1, cuts);
        if (end > begin) strips_.push_back({n, 1, begin, end - begin});
      }
    }
  }
  int64_t most_bytes = 0;
  for (const Strip& t : strips_) {
    most_pixels_ = std::max(most_pixels_, t.images * t.rows * s.out_w);
    const int64_t in_rows = (t.rows - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
    most_bytes = std::max(most_bytes, t.images * in_rows * copy_w_ * pixel_bytes);
  }
  // By taps: pointers for each, and which of them meet the image.
  const int64_t pointers = by_taps_ ? s.kernel_h * s.kernel_w + 1 : 1;
  pointer_bytes_ = round_up(pointers * (most_pixels_ + surplus_rows) * int64_t(sizeof(void*)), 64);
  copy_bytes_ = copy_ ? round_up(most_bytes, 64) + 128 : 0;  // readable a vector past the end
  sum_bytes_ = part_steps_ > 0 ? most_pixels_ * sum_row : 0;

  // Column blocks are shared out where the strips cannot be shared evenly.
  const int64_t panels = packed_.panels();
  column_blocks_ = (panels + isa_.max_panels - 1) / isa_.max_panels;
  // Tiles as high as wide load least, and three panels are better than two and one.
  if (isa_.row_block > 1 && most_pixels_ > isa_.row_block) column_blocks_ = std::max<int64_t>(1, panels / 2);
  const int64_t n = int64_t(strips_.size());
  const int64_t rounds = (n + threads_ - 1) / threads_;
  const double even = double(n) / double(rounds * threads_);
  if (threads_ > 1 && even < 0.93 && s.groups == 1) {
    const int64_t blocks = std::max<int64_t>(column_blocks_, std::min<int64_t>(threads_, panels));
    const int64_t block_rounds = (blocks + threads_ - 1) / threads_;
    if (double(blocks) / double(block_rounds * threads_) > even) {
      column_blocks_ = blocks;
      column_parts_ = threads_;
    }
  }
  on_demand_ = much && column_parts_ == 1 && n >= 4 * threads_;
}

}  // namespace hone::cpu
