// Recurrent cells and sequences on the dense tile kernels.
//
// The inputs of a stretch of steps meet W in one product; then each step multiplies the states with R and turns the
// sums into new states while they are in L1. Columns of both factors are ordered by blocks of 16 hidden units, all
// gates of a block beside each other, so that one register tile holds everything that a unit needs.
//
// The directions of a sequence are independent and run side by side. Further threads share the blocks of a step,
// where a step is long enough. K is never cut: the bits do not depend on the split.
#pragma once
#include <vector>

#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/packed_b.hpp"
#include "cpu/kernels/recurrent/recurrent_view.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

enum class RecurrentCell : uint8_t { lstm, gru, rnn };

/// A cell (one step, one direction) or a sequence.
struct RecurrentSpec {
  RecurrentCell cell = RecurrentCell::lstm;
  DenseKind kind = DenseKind::f32;
  bool deep = false;  ///< as the tiles want the weights
  int64_t batch = 0, time = 1, inputs = 0, hidden = 0;
  int64_t directions = 1;
  bool sequence = false;
  bool linear_before_reset = false;
  std::vector<bool> backward;   ///< of each direction
  std::vector<GateRule> rules;  ///< of each direction
  bool lengths_are_i32 = false;
  // places of the inputs; -1: absent
  int x = 0, h = 1, c = -1, lengths = -1, w = -1, r = -1, bias = -1, peepholes = -1;

  int64_t gates() const { return cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1; }
  int64_t blocks() const { return (hidden + 15) / 16; }
  bool two_turns() const { return cell == RecurrentCell::gru && !linear_before_reset; }
  /// W (k = inputs) or R (k = hidden), all blocks of all gates.
  PackedB packed(int64_t k) const;
};

class RecurrentKernel : public PreparedKernel {
 public:
  using GatesFn = void (*)(const GateRule&, const GateBlock&);
  /// `step_isa`: for the products of a step, which have a row for each sequence; its packed form is that of `isa`.
  RecurrentKernel(RecurrentSpec spec, const DenseIsa& isa, const DenseIsa& step_isa, GatesFn gates, int threads);
  size_t scratch_bytes() const override { return size_t(direction_bytes_ * spec_.directions); }
  void run(const KernelArgs& args) noexcept override;

 private:
  // A few neighbouring panels that go through one tile.
  struct Group {
    int panel, panels, turn;
  };
  // Blocks of hidden units that are taken together: at most `max_tile_panels` panels.
  struct Chunk {
    int64_t block;
    int blocks;
    std::vector<Group> groups;
  };
  struct Direction;
  Direction cut(uint8_t* scratch, int64_t index) const;
  Direction direction(const KernelArgs& args, int64_t d) const;
  bool check_lengths(const KernelArgs& args) const;
  int64_t length(const KernelArgs& args, int64_t sequence) const;
  void start(const KernelArgs& args, const Direction& d) const;
  void gather_inputs(const KernelArgs& args, Direction& d, int64_t begin, int64_t end) const;
  void project(const Direction& d, int64_t rows, size_t chunk_begin, size_t chunk_end) const;
  void begin_step(const KernelArgs& args, Direction& d, int64_t k) const;
  void step(const Direction& d, int turn, size_t chunk_begin, size_t chunk_end) const;
  void end_step(const KernelArgs& args, Direction& d, int64_t k) const;
  void run_direction(const KernelArgs& args, int64_t index, int64_t time) const;
  void run_shared(const KernelArgs& args, int64_t time) const;

  RecurrentSpec spec_;
  PackedB w_, r_;
  const DenseIsa &isa_, &step_isa_;
  GatesFn gates_;
  std::vector<Chunk> chunks_;
  int parts_ = 1;                      ///< of a step of one direction
  int64_t steps_ = 1;                  ///< whose inputs are multiplied at once
  int64_t rows_ = 0;                   ///< of a buffer of products: steps_ * batch and room for a tile
  int64_t units_ = 0;                  ///< hidden, rounded up to blocks
  int64_t x_pitch_ = 0, h_pitch_ = 0;  ///< of rows in bf16
  int64_t direction_bytes_ = 0;
};

}  // namespace hone::cpu
