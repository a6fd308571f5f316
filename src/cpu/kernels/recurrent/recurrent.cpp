#include "cpu/kernels/recurrent/recurrent.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/kernels/scratch.hpp"

namespace hone::cpu {
namespace {

// Rows of the product with W that are worth loading its panels for.
constexpr int64_t rows_at_once = 96;
// Below this a step is not worth sharing: handing it over and meeting again costs about a microsecond.
constexpr double shared_step_microseconds = 6;

// The first row of tile `i`: rows are shared out evenly, or in whole blocks.
int64_t begin_of(const DenseIsa& isa, int64_t rows, int64_t i, int64_t tiles, int64_t most) {
  return isa.row_block > 1 ? std::min(rows, i * most) : rows * i / tiles;
}

}  // namespace

PackedB RecurrentSpec::packed(int64_t k) const {
  PackedB p;
  p.kind = kind;
  p.deep = deep;
  p.groups = directions;
  p.columns = blocks() * gates() * 16;
  p.run_length = k;
  return p;
}

// What a direction works on; pointers into the scratch memory.
struct RecurrentKernel::Direction {
  int64_t index;
  const uint8_t *w, *r;  // panels
  float* input;          // groups of panels, [rows][16 * panels] each
  float *bias, *peepholes;
  float *h, *next, *c, *reset;
  uint16_t *h_bf16, *next_bf16, *reset_bf16, *x_bf16;
  const uint8_t** a;  // rows of X of a stretch
  const uint8_t **state, **reset_state;
  int32_t* sequence;  // those still running
  float** y;
  int64_t active = 0;     // rows of this step
  int64_t input_row = 0;  // of this step's first sequence
  bool turned = false;    // this step takes the blocks from the last to the first
  int64_t bytes = 0;
};

RecurrentKernel::RecurrentKernel(RecurrentSpec spec, const DenseIsa& isa, const DenseIsa& step_isa, GatesFn gates,
                                 int threads)
    : spec_(std::move(spec)), isa_(isa), step_isa_(step_isa), gates_(gates) {
  w_ = spec_.packed(spec_.inputs);
  r_ = spec_.packed(spec_.hidden);
  units_ = spec_.blocks() * 16;
  steps_ = std::max<int64_t>(1, std::min(spec_.time, rows_at_once / std::max<int64_t>(1, spec_.batch)));
  rows_ = steps_ * spec_.batch + surplus_rows;
  x_pitch_ = round_up(spec_.inputs, 32);
  h_pitch_ = round_up(spec_.hidden, 32);
  const int64_t together = spec_.cell == RecurrentCell::rnn ? max_tile_panels : 1;
  for (int64_t block = 0; block < spec_.blocks(); block += together) {
    Chunk chunk{block, int(std::min(together, spec_.blocks() - block)), {}};
    const int panels = chunk.blocks * int(spec_.gates());
    for (int p = 0; p < panels;) {
      int n = std::min({isa_.max_panels, step_isa_.max_panels, panels - p});
      if (spec_.two_turns() && p < 2) n = std::min(n, 2 - p);
      chunk.groups.push_back({p, n, spec_.two_turns() && p == 2 ? 1 : 0});
      p += n;
    }
    chunks_.push_back(std::move(chunk));
  }
  const double step = double(r_.group_stride()) / 50e3 + 2e-5 * double(r_.columns * spec_.hidden * spec_.batch);
  const int64_t most = std::min<int64_t>(int64_t(step / (shared_step_microseconds / 2)), int64_t(chunks_.size()));
  parts_ = int(std::clamp<int64_t>(threads / spec_.directions, 1, std::max<int64_t>(1, most)));
  direction_bytes_ = cut(nullptr, 0).bytes;
}

RecurrentKernel::Direction RecurrentKernel::cut(uint8_t* scratch, int64_t index) const {
  Direction d{};
  d.index = index;
  Cutter from{scratch ? scratch + index * direction_bytes_ : nullptr};
  const int64_t n = spec_.batch, blocks = spec_.blocks(), states = n * units_ + 16;
  d.input = from.take<float>(rows_ * w_.columns + 16);
  d.bias = from.take<float>(blocks * 16 * 4);
  d.peepholes = from.take<float>(blocks * 16 * 3);
  d.h = from.take<float>(states);
  d.next = from.take<float>(states);
  d.c = from.take<float>(states);
  if (spec_.two_turns()) d.reset = from.take<float>(states);
  if (spec_.kind == DenseKind::bf16) {
    d.h_bf16 = from.take<uint16_t>(n * h_pitch_ + 32);
    d.next_bf16 = from.take<uint16_t>(n * h_pitch_ + 32);
    if (spec_.two_turns()) d.reset_bf16 = from.take<uint16_t>(n * h_pitch_ + 32);
    d.x_bf16 = from.take<uint16_t>(rows_ * x_pitch_ + 32);
  }
  d.a = from.take<const uint8_t*>(rows_);
  d.state = from.take<const uint8_t*>(n + surplus_rows);
  if (spec_.two_turns()) d.reset_state = from.take<const uint8_t*>(n + surplus_rows);
  d.sequence = from.take<int32_t>(n);
  d.y = from.take<float*>(n);
  d.bytes = from.used;
  return d;
}

int64_t RecurrentKernel::length(const KernelArgs& args, int64_t sequence) const {
  if (spec_.lengths < 0) return spec_.time;
  const void* p = args.inputs[size_t(spec_.lengths)];
  return spec_.lengths_are_i32 ? static_cast<const int32_t*>(p)[sequence] : static_cast<const int64_t*>(p)[sequence];
}

bool RecurrentKernel::check_lengths(const KernelArgs& args) const {
  for (int64_t s = 0; s < spec_.batch; ++s) {
    const int64_t n = length(args, s);
    if (n >= 0 && n <= spec_.time) continue;
    if (args.error) args.error->set("a length lies outside of the sequence");
    return false;
  }
  return true;
}

// Copies states, bias and peepholes into blocks of 16, zero beyond the hidden size; results start as the given states.
void RecurrentKernel::start(const KernelArgs& args, const Direction& d) const {
  const int64_t hidden = spec_.hidden, gates = spec_.gates(), n = spec_.batch, all = spec_.directions;
  const auto input = [&](int i) { return i < 0 ? nullptr : static_cast<const float*>(args.inputs[size_t(i)]); };
  const auto blocks = [&](float* to, const float* from, int64_t parts, int64_t places) {
    std::memset(to, 0, size_t(spec_.blocks() * 16 * places) * 4);
    if (!from) return;
    for (int64_t g = 0; g < parts; ++g) {
      for (int64_t i = 0; i < hidden; ++i) to[(i / 16 * places + g) * 16 + i % 16] = from[g * hidden + i];
    }
  };
  const int64_t biases = spec_.cell == RecurrentCell::gru && spec_.linear_before_reset ? 4 : gates;
  const float *bias = input(spec_.bias), *peepholes = input(spec_.peepholes);
  blocks(d.bias, bias ? bias + d.index * biases * hidden : nullptr, biases, 4);
  blocks(d.peepholes, peepholes ? peepholes + d.index * 3 * hidden : nullptr, 3, 3);
  const auto states = [&](float* to, const float* from, void* result) {
    std::memset(to, 0, size_t(n * units_) * 4);
    for (int64_t s = 0; s < n; ++s) {
      const int64_t at = (s * all + d.index) * hidden;
      if (from) std::memcpy(to + s * units_, from + at, size_t(hidden) * 4);
      if (result) std::memcpy(static_cast<float*>(result) + at, to + s * units_, size_t(hidden) * 4);
    }
  };
  const size_t last = spec_.sequence ? 1 : 0;
  states(d.h, input(spec_.h), args.outputs[last]);
  states(d.c, input(spec_.c), spec_.cell == RecurrentCell::lstm ? args.outputs[last + 1] : nullptr);
  std::memset(d.next, 0, size_t(n * units_) * 4);
  if (d.reset) std::memset(d.reset, 0, size_t(n * units_) * 4);
  if (d.h_bf16) {
    for (uint16_t* p : {d.h_bf16, d.next_bf16, d.reset_bf16}) {
      if (p) std::memset(p, 0, size_t(n * h_pitch_) * 2);
    }
    for (int64_t s = 0; s < n; ++s) isa_.f32_to_bf16(d.h + s * units_, d.h_bf16 + s * h_pitch_, hidden);
  }
  if (!spec_.sequence || !args.outputs[0]) return;
  for (int64_t s = 0; s < n; ++s) {
    const int64_t t = length(args, s);
    float* y = static_cast<float*>(args.outputs[0]) + ((s * all + d.index) * spec_.time + t) * hidden;
    std::memset(y, 0, size_t((spec_.time - t) * hidden) * 4);
  }
}

// Rows of X for steps [begin, end), in the order of the steps.
void RecurrentKernel::gather_inputs(const KernelArgs& args, Direction& d, int64_t begin, int64_t end) const {
  const auto* x = static_cast<const float*>(args.inputs[size_t(spec_.x)]);
  int64_t row = 0;
  for (int64_t k = begin; k < end; ++k) {
    for (int64_t s = 0; s < spec_.batch; ++s, ++row) {
      const int64_t n = length(args, s);
      // A sequence that has ended repeats a row that nobody looks at.
      const int64_t t = k >= n ? 0 : spec_.backward[size_t(d.index)] ? n - 1 - k : k;
      const float* from = x + (s * spec_.time + t) * spec_.inputs;
      d.a[row] = reinterpret_cast<const uint8_t*>(from);
      if (!d.x_bf16) continue;
      uint16_t* to = d.x_bf16 + row * x_pitch_;
      isa_.f32_to_bf16(from, to, spec_.inputs);
      std::memset(to + spec_.inputs, 0, size_t(x_pitch_ - spec_.inputs) * 2);
      d.a[row] = reinterpret_cast<const uint8_t*>(to);
    }
  }
  for (int i = 0; i < surplus_rows; ++i) d.a[row + i] = d.a[row - 1];
}

void RecurrentKernel::project(const Direction& d, int64_t rows, size_t chunk_begin, size_t chunk_end) const {
  const TileRun run{};
  TileArgs t{};
  t.run = &run;
  t.runs = 1;
  t.steps = w_.steps();
  t.panel_stride = w_.panel_stride();
  for (size_t c = chunk_begin; c < chunk_end; ++c) {
    const int64_t panel0 = chunks_[c].block * spec_.gates();
    for (const Group& g : chunks_[c].groups) {
      t.b = d.w + (panel0 + g.panel) * t.panel_stride;
      float* out = d.input + rows_ * 16 * (panel0 + g.panel);
      const int most = isa_.max_rows[g.panels - 1];
      const int64_t tiles = (rows + most - 1) / most;
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t begin = begin_of(isa_, rows, i, tiles, most);
        int n = int(begin_of(isa_, rows, i + 1, tiles, most) - begin);
        while (!isa_.tiles[g.panels - 1][n - 1]) ++n;  // the room behind the rows, or the next tile, takes the surplus
        t.a = d.a + begin;
        t.c = out + begin * 16 * g.panels;
        isa_.tiles[g.panels - 1][n - 1](t);
      }
    }
  }
}

// Who still runs at step k, where their states lie and where their results go.
void RecurrentKernel::begin_step(const KernelArgs& args, Direction& d, int64_t k) const {
  d.input_row = k % steps_ * spec_.batch;
  // To and fro: the weights that the last step ended with are still in L2.
  d.turned = k % 2 != 0;
  d.active = 0;
  auto* y = spec_.sequence ? static_cast<float*>(args.outputs[0]) : nullptr;
  for (int64_t s = 0; s < spec_.batch; ++s) {
    const int64_t n = length(args, s);
    if (k >= n) continue;
    const int64_t t = spec_.backward[size_t(d.index)] ? n - 1 - k : k, i = d.active++;
    d.sequence[i] = int32_t(s);
    d.y[i] = y ? y + ((s * spec_.directions + d.index) * spec_.time + t) * spec_.hidden : nullptr;
    d.state[i] = d.h_bf16 ? reinterpret_cast<const uint8_t*>(d.h_bf16 + s * h_pitch_)
                          : reinterpret_cast<const uint8_t*>(d.h + s * units_);
    if (!d.reset) continue;
    d.reset_state[i] = d.reset_bf16 ? reinterpret_cast<const uint8_t*>(d.reset_bf16 + s * h_pitch_)
                                    : reinterpret_cast<const uint8_t*>(d.reset + s * units_);
  }
  for (int64_t i = d.active; d.active > 0 && i < d.active + surplus_rows; ++i) {
    d.state[i] = d.state[d.active - 1];
    if (d.reset) d.reset_state[i] = d.reset_state[d.active - 1];
  }
}

void RecurrentKernel::step(const Direction& d, int turn, size_t chunk_begin, size_t chunk_end) const {
  const int64_t gates = spec_.gates();
  const TileRun run{};
  GateRule rule = spec_.rules[size_t(d.index)];
  if (turn == 1) rule.form = GateForm::gru_candidate;
  TileArgs t{};
  t.run = &run;
  t.runs = 1;
  t.steps = r_.steps();
  t.panel_stride = r_.panel_stride();
  alignas(64) float product[max_tile_rows * max_tile_panels * 16];
  GateBlock b{};
  b.h = d.h;
  b.ld = units_;
  b.bf16_ld = h_pitch_;
  for (size_t i = chunk_begin; i < chunk_end; ++i) {
    const Chunk& chunk = chunks_[d.turned ? chunk_begin + chunk_end - 1 - i : i];
    const int64_t panel0 = chunk.block * gates;
    int most = max_tile_rows;
    for (const Group& g : chunk.groups) most = std::min(most, step_isa_.max_rows[g.panels - 1]);
    const int64_t tiles = (d.active + most - 1) / most;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t begin = begin_of(step_isa_, d.active, tile, tiles, most);
      b.rows = int(begin_of(step_isa_, d.active, tile + 1, tiles, most) - begin);
      b.sequence = d.sequence + begin;
      b.y = d.y + begin;
      for (const Group& g : chunk.groups) {
        if (g.turn != turn) continue;
        int n = b.rows;
        while (!step_isa_.tiles[g.panels - 1][n - 1]) ++n;
        t.a = (turn == 1 ? d.reset_state : d.state) + begin;
        t.b = d.r + (panel0 + g.panel) * t.panel_stride;
        t.c = product + max_tile_rows * 16 * g.panel;
        step_isa_.tiles[g.panels - 1][n - 1](t);
      }
      for (int block = 0; block < chunk.blocks; ++block) {
        for (const Group& g : chunk.groups) {
          for (int p = g.panel; p < g.panel + g.panels; ++p) {
            if (p / gates != block) continue;
            const int64_t gate = p % gates, at = 16 * (p - g.panel), ld = 16 * g.panels;
            b.product[gate] = product + max_tile_rows * 16 * g.panel + at;
            b.product_ld[gate] = b.input_ld[gate] = ld;
            b.input[gate] = d.input + rows_ * 16 * (panel0 + g.panel) + d.input_row * ld + at;
          }
        }
        const int64_t index = chunk.block + block;
        b.unit = index * 16;
        b.units = int(std::min<int64_t>(16, spec_.hidden - b.unit));
        b.bias = d.bias + index * 64;
        b.peepholes = spec_.peepholes >= 0 ? d.peepholes + index * 48 : nullptr;
        b.h = d.h + b.unit;
        b.next = d.next + b.unit;
        b.c = d.c + b.unit;
        b.reset = d.reset ? d.reset + b.unit : nullptr;
        uint16_t* narrow = rule.form == GateForm::gru_reset ? d.reset_bf16 : d.next_bf16;
        b.bf16 = narrow ? narrow + b.unit : nullptr;
        gates_(rule, b);
      }
    }
  }
}

void RecurrentKernel::end_step(const KernelArgs& args, Direction& d, int64_t k) const {
  const size_t last = spec_.sequence ? 1 : 0;
  const auto give = [&](size_t output, const float* state, int64_t s) {
    auto* to = static_cast<float*>(args.outputs[output]);
    if (to)
      std::memcpy(to + (s * spec_.directions + d.index) * spec_.hidden, state + s * units_, size_t(spec_.hidden) * 4);
  };
  for (int64_t i = 0; i < d.active; ++i) {
    const int64_t s = d.sequence[i];
    if (k + 1 < length(args, s)) continue;
    give(last, d.next, s);
    if (spec_.cell == RecurrentCell::lstm) give(last + 1, d.c, s);
  }
  std::swap(d.h, d.next);
  std::swap(d.h_bf16, d.next_bf16);
}

void RecurrentKernel::run_direction(const KernelArgs& args, int64_t index, int64_t time) const {
  if (isa_.begin) isa_.begin();
  Direction d = direction(args, index);
  start(args, d);
  for (int64_t k = 0; k < time; ++k) {
    if (k % steps_ == 0) {
      const int64_t end = std::min(time, k + steps_);
      gather_inputs(args, d, k, end);
      project(d, (end - k) * spec_.batch, 0, chunks_.size());
    }
    begin_step(args, d, k);
    for (int turn = 0; turn < (spec_.two_turns() ? 2 : 1); ++turn) step(d, turn, 0, chunks_.size());
    end_step(args, d, k);
  }
  if (isa_.end) isa_.end();
}

void RecurrentKernel::run_shared(const KernelArgs& args, int64_t time) const {
  Direction both[2];
  const int64_t n = spec_.directions;
  for (int64_t i = 0; i < n; ++i) {
    both[i] = direction(args, i);
    start(args, both[i]);
  }
  const auto share = [&](auto&& work) {
    args.pool.parallel_for(n * parts_, 1, [&](int64_t begin, int64_t end, int) {
      if (isa_.begin) isa_.begin();
      for (int64_t i = begin; i < end; ++i) {
        const size_t part = size_t(i % parts_), all = chunks_.size();
        work(both[i / parts_], all * part / size_t(parts_), all * (part + 1) / size_t(parts_));
      }
      if (isa_.end) isa_.end();
    });
  };
  for (int64_t k = 0; k < time; ++k) {
    if (k % steps_ == 0) {
      const int64_t end = std::min(time, k + steps_);
      for (int64_t i = 0; i < n; ++i) gather_inputs(args, both[i], k, end);
      share([&](const Direction& d, size_t from, size_t to) { project(d, (end - k) * spec_.batch, from, to); });
    }
    for (int64_t i = 0; i < n; ++i) begin_step(args, both[i], k);
    for (int turn = 0; turn < (spec_.two_turns() ? 2 : 1); ++turn)
      share([&](const Direction& d, size_t from, size_t to) { step(d, turn, from, to); });
    for (int64_t i = 0; i < n; ++i) end_step(args, both[i], k);
  }
}

RecurrentKernel::Direction RecurrentKernel::direction(const KernelArgs& args, int64_t index) const {
  Direction d = cut(static_cast<uint8_t*>(args.scratch), index);
  d.w = static_cast<const uint8_t*>(args.inputs[size_t(spec_.w)]) + index * w_.group_stride();
  d.r = static_cast<const uint8_t*>(args.inputs[size_t(spec_.r)]) + index * r_.group_stride();
  return d;
}

void RecurrentKernel::run(const KernelArgs& args) noexcept {
  if (!check_lengths(args)) return;
  int64_t time = 0;
  for (int64_t s = 0; s < spec_.batch; ++s) time = std::max(time, length(args, s));
  if (parts_ > 1) return run_shared(args, time);
  args.pool.parallel_for(spec_.directions, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t d = begin; d < end; ++d) run_direction(args, d, time);
  });
}

}  // namespace hone::cpu
