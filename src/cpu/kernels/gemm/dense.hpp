// Dense products: convolutions and matrix products on the tile kernels of one instruction set.
//
// The result is cut into strips of output rows. A strip whose input needs conversion or another layout is first copied
// into a buffer of the thread, which stays in its L2; else A is read in place. Padding is copied as well, or, where
// taps are long enough, each tap has pointers of its own, to zeros outside of the image, and a tile leaves out the taps
// that meet nothing else (of a window that is dilated beyond the image, most). The strip then meets all column blocks
// of B. Threads share the strips, and where those are too few, the column blocks. Rows so long that few fit into L2 are
// cut, and sums of the parts kept beside: more rows then meet a block of B while it is in L2. Where K is cut hangs on
// its length alone, so results do not depend on the split.
#pragma once
#include <memory>
#include <vector>

#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/packed_b.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

/// A product of `images` planes in_h x in_w with windows; a matrix product is a plane of M x 1 with 1 x 1 windows.
struct DenseSpec {
  DenseKind kind = DenseKind::f32;
  bool deep = false;  ///< as the tiles want B
  int64_t images = 1, in_h = 1, in_w = 1, out_h = 1, out_w = 1;
  int64_t groups = 1, channels = 0, columns = 0;  ///< of one group
  /// Groups as taps of a transposed convolution that read the same pixels: those of group g are results
  /// (g / shuffle_w, g % shuffle_w) of every shuffle_h x shuffle_w pixels of the output.
  int64_t shuffle_h = 1, shuffle_w = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  // A: element type and strides in elements
  Num a_type = Num::f32;
  std::vector<int64_t> a_image;  ///< offset of each image
  int64_t a_row = 0, a_pixel = 0, a_channel = 1, a_group = 0;
  int32_t a_zero = 0;  ///< zero point of integer A: the value of padding
  // B
  std::vector<int64_t> b_image;  ///< index of the packed B that an image uses; empty: one for all
  int64_t num_b = 1;

  /// Channels of a pixel of A.
  int64_t a_channels() const { return shuffle_h * shuffle_w > 1 ? channels : channels * groups; }
  PackedB packed() const;
  bool taps_are_contiguous() const { return dilation_w == 1 && groups == 1; }
};

class DenseKernel : public PreparedKernel {
 public:
  /// `b_input`: index of B among the inputs. `source`: how to read B when it comes unpacked (its data pointer is set at
  /// run time, B number i begins `b_offsets[i]` elements on).
  struct LooseB {
    SourceB source;
    std::vector<int64_t> run_offsets, b_offsets;
  };
  DenseKernel(DenseSpec spec, const DenseIsa& isa, EpiloguePlan epilogue, int threads, std::unique_ptr<LooseB> loose_b);
  size_t scratch_bytes() const override;
  void run(const KernelArgs& args) noexcept override;

 private:
  struct Strip {
    int64_t image, images, row, rows;
  };
  struct Job;
  void cut_strips();
  void plan_input();
  void plan_runs();
  bool cuts_rows(int64_t row_bytes) const;
  bool flips_copy() const { return spec_.a_type == Num::s8 && !signed_; }
  int64_t thread_bytes() const { return copy_bytes_ + pointer_bytes_ + sum_bytes_; }
  bool tiles_end(const EpilogueView& e) const;
  void run_part(const Job& job, int part) const;
  void run_share(const Job& job, int part) const;
  void run_strip(const Job& job, const Strip& s, int64_t block_begin, int64_t block_end, uint8_t* scratch) const;
  void copy_strip(const uint8_t* a, const Strip& s, uint8_t* to) const;
  int64_t point_at_pixels(const Job& job, const Strip& s, const uint8_t* copy, const uint8_t** pointers) const;
  int64_t point_at_taps(const Job& job, const Strip& s, const uint8_t** pointers, uint64_t* seen) const;
  /// Pixels that lie `step` elements apart, packed.
  void correct(const Job& job, uint64_t taps, const TileView& tile, int32_t* comp, float* offset) const;
  void copy_pixels(const uint8_t* from, int64_t step, uint8_t* to, int64_t pixels) const;
  const uint8_t* convert(const uint8_t* from, uint8_t* to, int64_t n) const;
  void interleave(const uint8_t* a, const uint8_t* b, const uint8_t* c, uint8_t* to, int64_t n) const;

  DenseSpec spec_;
  PackedB packed_;
  const DenseIsa& isa_;
  EpilogueFn finish_;
  EpiloguePlan epilogue_;
  int threads_;
  std::unique_ptr<LooseB> loose_;
  bool signed_ = false;  ///< tiles read signed bytes
  int32_t zero_ = 0;     ///< what stands for 0 in A as the tiles read it
  std::vector<Strip> strips_;
  std::vector<TileRun> runs_;
  int64_t steps_ = 0;  ///< of a run
  std::vector<int32_t> zero_comp_;
  std::vector<float> no_bias_;
  int64_t column_blocks_ = 1, column_parts_ = 1;
  bool on_demand_ = false;  ///< strips go to whoever is free
  bool copy_ = false, by_taps_ = false;
  bool leaves_out_ = false;     ///< tiles of integers leave out taps in the padding, whose value is not 0
  int64_t most_pixels_ = 0;     ///< in a strip
  std::vector<uint8_t> zeros_;  ///< a pixel of padding
  int64_t copy_w_ = 0;          ///< pixels in a row of the copy
  int64_t a_bytes_ = 4;         ///< of an element of A as the tiles read it
  int64_t part_steps_ = 0;      ///< of a part of K; 0: K is not cut
  int64_t sum_bytes_ = 0;       ///< of the sums of parts
  int64_t copy_bytes_ = 0, pointer_bytes_ = 0, b_bytes_ = 0, comp_bytes_ = 0;
  int64_t requant_bytes_ = 0;  ///< of two floats a column; 0 where results are not requantized directly
};

}  // namespace hone::cpu
