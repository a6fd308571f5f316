// Rows for the gradient of a convolution to its weights on AMX tiles; `tile_gradient.hpp` says how. The batch is cut
// into chunks by shape, each sums into a buffer of its own, and the buffers are added in order, so the result has the
// same bits on any number of threads.
#include <algorithm>
#include <cstring>

#include "cpu/features.hpp"
#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "cpu/kernels/training/tile_gradient.hpp"
#include "ops/convolution.hpp"

#if defined(__x86_64__)
namespace hone::cpu::training {
namespace {

constexpr int64_t kMostChunks = 16;
constexpr int64_t kPartialBytes = 1536 * 1024;  ///< all chunks' sums: adding them must cost less than the products
constexpr int64_t kBandBytes = 384 * 1024;      ///< packed factors of a band: they stay in L2, of 2 MB on these CPUs
constexpr int64_t kBandBlocks = 24;  ///< sums are loaded and stored once for so many products, where that fits
constexpr int64_t kLeastBlocks = 8;
constexpr int64_t kLine = kTileChannels;  ///< units of 32 bits in a packed line

struct TileRow {
  const char* name;
  const TileGradientIsa* isa;
  bool Features::*has;
  const char* lacking;
  double cost;  ///< relative
};
constexpr TileRow kTileRows[] = {
    {"ConvolutionBackpropWeights_tiles__amx", &tiles_amx::table, &Features::amx_bf16, "the CPU has no AMX BF16", 1},
    {"ConvolutionBackpropWeights_tiles__amx_stand_in", &tiles_stand_in::table, &Features::amx_stand_in,
     "the CPU has no stand-in for AMX", 1e4},
};

int64_t blocks_of(int64_t n, int64_t block) {
  return (n + block - 1) / block;
}
const TrainingIsa* any_isa() {
  for (int i = 0; i < kIsaCount; ++i)
    if (const TrainingIsa* isa = training_isa(i)) return isa;
  return nullptr;
}

/// How the pixels of an image and the taps lie in the packed factors.
struct TileLayout {
  struct Tap {
    int64_t phase, row, column;  ///< in the phase's plane
  };
  struct Phase {
    int64_t y, x;
  };
  std::vector<Tap> taps;
  std::vector<Phase> phases;  ///< those that a tap reads
  int64_t pitch = 0;          ///< columns of a plane
  int64_t more_rows = 0;      ///< of a plane than there are rows of dy
  int64_t channel_blocks = 0, result_blocks = 0;

  explicit TileLayout(const ConvolutionGeometry& g)
      : channel_blocks(blocks_of(g.data_channels, kTileChannels)),
        result_blocks(blocks_of(g.result_channels, kTileChannels)) {
    int64_t more_columns = 0;
    for (int64_t ky = 0; ky < g.kernel_height; ++ky) {
      for (int64_t kx = 0; kx < g.kernel_width; ++kx) {
        const int64_t y = ky * g.dilation_y, x = kx * g.dilation_x;
        const Phase wanted{y % g.stride_y, x % g.stride_x};
        auto at = std::find_if(phases.begin(), phases.end(),
                               [&](const Phase& p) { return p.y == wanted.y && p.x == wanted.x; });
        if (at == phases.end()) at = phases.insert(at, wanted);
        taps.push_back({at - phases.begin(), y / g.stride_y, x / g.stride_x});
        more_rows = std::max(more_rows, taps.back().row);
        more_columns = std::max(more_columns, taps.back().column);
      }
    }
    pitch = g.result_width + more_columns;
  }
  /// Blocks of units of so many rows of dy. Behind the last row's columns nothing follows.
  int64_t unit_blocks(int64_t rows, int64_t columns) const {
    return blocks_of((rows - 1) * pitch + columns, kTileUnits);
  }
  int64_t plane(int64_t rows) const { return (rows + more_rows) * pitch; }
};

class TileGradientKernel final : public PreparedKernel {
 public:
  TileGradientKernel(const KernelQuery& q, const ConvolutionGeometry& g, const TileGradientIsa& isa)
      : isa_(isa),
        vectors_(*any_isa()),
        g_(g),
        l_(g),
        x_(storage_of(q.inputs[0].type)),
        dy_(storage_of(q.inputs[1].type)),
        bf16_result_(q.outputs[0].type == ElementType::bf16),
        threads_(std::max(1, q.threads)) {
    pairs_ = (g.batch + 1) / 2;
    columns_ = l_.channel_blocks * g.taps();
    group_floats_ = l_.result_blocks * columns_ * kTileFloats;
    const int64_t room = std::max<int64_t>(1, kPartialBytes / (group_floats_ * g.groups * 4));
    chunks_ = std::min({pairs_, kMostChunks, room});
    // where few chunks fit, output channels are divided too
    parts_ = std::min(l_.result_blocks, std::max<int64_t>(1, kMostChunks / std::max<int64_t>(1, chunks_ * g.groups)));
    part_blocks_ = blocks_of(l_.result_blocks, parts_);
    parts_ = blocks_of(l_.result_blocks, part_blocks_);

    auto unit_blocks = [&](int64_t rows) { return l_.unit_blocks(rows, g.result_width); };
    auto words = [&](int64_t rows) { return x_words(rows) + part_blocks_ * unit_blocks(rows) * kTileFloats; };
    int64_t height = g.result_height;
    while (height > 1 && words(height) * 4 > kBandBytes && unit_blocks((height + 1) / 2) >= kLeastBlocks)
      height = (height + 1) / 2;
    if (height == g.result_height)
      while (together_ < 8 && together_ * unit_blocks(height) < kBandBlocks &&
             (together_ + 1) * words(height) * 4 <= 2 * kBandBytes)
        ++together_;
    x_room_ = together_ * x_words(height) + kTileUnits * kLine;
    dy_room_ = together_ * part_blocks_ * unit_blocks(height) * kTileFloats;
    for (int64_t y = 0; y < g.result_height; y += height) {
      Band b{y, std::min(height, g.result_height - y), 0, {}, {}};
      b.blocks = unit_blocks(b.rows);
      for (int64_t u = 0; u < b.blocks * kTileUnits; ++u) {
        const int64_t row = u / l_.pitch, column = u % l_.pitch;
        const bool is_pixel = row < b.rows && column < g.result_width;
        b.from.push_back(is_pixel ? ((y + row) * g.result_width + column) * g.result_channels * g.groups : 0);
        if (u % kTileUnits == 0) b.valid.push_back(0);
        b.valid.back() |= static_cast<uint16_t>(is_pixel << (u % kTileUnits));
      }
      bands_.push_back(std::move(b));
    }
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(chunks_ * g_.groups * group_floats_ + threads_ * (x_room_ + dy_room_)) * 4 + 64;
  }

  void run(const KernelArgs& args) noexcept override {
    auto* sums = static_cast<float*>(args.scratch);
    auto* buffers = reinterpret_cast<uint32_t*>(sums + chunks_ * g_.groups * group_floats_);
    args.pool.parallel_for_dynamic(chunks_ * g_.groups * parts_, 1, [&](int64_t begin, int64_t end, int thread) {
      isa_.begin();
      for (int64_t u = begin; u < end; ++u) {
        const int64_t chunk = u / (g_.groups * parts_), group = u / parts_ % g_.groups, part = u % parts_;
        Share s;
        s.x = static_cast<const char*>(args.inputs[0]) + group * g_.data_channels * int64_t(bytes_of(x_));
        s.dy = static_cast<const char*>(args.inputs[1]) + group * g_.result_channels * int64_t(bytes_of(dy_));
        s.first_block = part * part_blocks_;
        s.blocks = std::min(part_blocks_, l_.result_blocks - s.first_block);
        s.sum = sums + (chunk * g_.groups + group) * group_floats_ + s.first_block * columns_ * kTileFloats;
        s.packed_x = buffers + thread * (x_room_ + dy_room_);
        s.packed_dy = s.packed_x + x_room_;
        std::memset(s.sum, 0, static_cast<size_t>(s.blocks * columns_ * kTileFloats) * 4);
        const int64_t last = pairs_ * (chunk + 1) / chunks_;
        for (int64_t pair = pairs_ * chunk / chunks_; pair < last; pair += together_)
          for (const Band& b : bands_) add_band(s, b, pair, std::min(together_, last - pair));
      }
      isa_.end();
    });
    if (bf16_result_)
      add_chunks(sums, static_cast<bfloat16*>(args.outputs[0]), args.pool);
    else
      add_chunks(sums, static_cast<float*>(args.outputs[0]), args.pool);
  }

 private:
  struct Band {
    int64_t row, rows, blocks;    ///< rows of dy; blocks of units
    std::vector<int64_t> from;    ///< of each unit: elements from the image's first pixel
    std::vector<uint16_t> valid;  ///< of each block of units: those that are pixels
  };
  /// What one thread works on: some of the blocks of output channels of a chunk.
  struct Share {
    const char *x, *dy;  ///< the first channel of the group
    int64_t first_block, blocks;
    float* sum;
    uint32_t *packed_x, *packed_dy;
  };

  int64_t x_words(int64_t rows) const {
    return l_.channel_blocks * static_cast<int64_t>(l_.phases.size()) * l_.plane(rows) * kLine;
  }

  void add_band(const Share& s, const Band& band, int64_t first_pair, int64_t pairs) const {
    pack_x(s, band, first_pair, pairs);
    pack_dy(s, band, first_pair, pairs);
    const int64_t plane = l_.plane(band.rows), phases = static_cast<int64_t>(l_.phases.size());
    TileProducts p{};
    p.x_pair = x_words(band.rows);
    p.dy_pair = s.blocks * band.blocks * kTileFloats;
    p.pairs = pairs;
    p.blocks = band.blocks;
    const int64_t passes = blocks_of(columns_, kTileColumns);
    for (int64_t pass = 0; pass < passes; ++pass) {
      const int64_t begin = columns_ * pass / passes, end = columns_ * (pass + 1) / passes;
      p.columns = end - begin;
      for (int64_t c = begin; c < end; ++c) {
        const TileLayout::Tap& tap = l_.taps[static_cast<size_t>(c % g_.taps())];
        const int64_t line = (c / g_.taps() * phases + tap.phase) * plane + tap.row * l_.pitch + tap.column;
        p.x[c - begin] = s.packed_x + line * kLine;
      }
      for (int64_t o = 0; o < s.blocks; ++o) {  // the lines of x are in L1 then
        p.dy = s.packed_dy + o * band.blocks * kTileFloats;
        for (int64_t c = begin; c < end; ++c) p.sum[c - begin] = s.sum + (o * columns_ + c) * kTileFloats;
        isa_.multiply(p);
      }
    }
  }
  void pack_x(const Share& s, const Band& band, int64_t first_pair, int64_t pairs) const {
    const auto bytes = static_cast<int64_t>(bytes_of(x_));
    PhaseRows r{};
    r.storage = x_;
    r.height = g_.data_height;
    r.width = g_.data_width;
    r.pixel = g_.data_channels * g_.groups;
    r.pixel_in_row = r.width * r.pixel;
    r.stride_y = g_.stride_y;
    r.stride_x = g_.stride_x;
    r.rows = band.rows + l_.more_rows;
    r.pitch = l_.pitch;
    r.to = s.packed_x;
    const int64_t image = r.height * r.pixel_in_row * bytes;
    for (int64_t pair = first_pair; pair < first_pair + pairs; ++pair) {
      for (int64_t c = 0; c < l_.channel_blocks; ++c) {
        const char* first = s.x + 2 * pair * image + c * kTileChannels * bytes;
        r.a = first;
        r.b = 2 * pair + 1 < g_.batch ? first + image : nullptr;
        r.channels = std::min<int64_t>(kTileChannels, g_.data_channels - c * kTileChannels);
        for (const TileLayout::Phase& phase : l_.phases) {
          r.first_y = band.row * g_.stride_y + phase.y - g_.pad_top;
          r.first_x = phase.x - g_.pad_left;
          isa_.pack_rows(r);
          r.to += l_.plane(band.rows) * kLine;
        }
      }
    }
    // The last block of units may read on: zeros of dy meet what lies there, which has to be a number.
    std::memset(r.to, 0, kTileUnits * kLine * 4);
  }
  void pack_dy(const Share& s, const Band& band, int64_t first_pair, int64_t pairs) const {
    const auto bytes = static_cast<int64_t>(bytes_of(dy_));
    const int64_t image = g_.result_height * g_.result_width * g_.result_channels * g_.groups * bytes;
    ResultUnits r{};
    r.storage = dy_;
    r.from = band.from.data();
    r.valid = band.valid.data();
    r.units = band.blocks * kTileUnits;
    r.to = s.packed_dy;
    for (int64_t pair = first_pair; pair < first_pair + pairs; ++pair) {
      for (int64_t o = s.first_block; o < s.first_block + s.blocks; ++o, r.to += band.blocks * kTileFloats) {
        const char* first = s.dy + 2 * pair * image + o * kTileChannels * bytes;
        r.a = first;
        r.b = 2 * pair + 1 < g_.batch ? first + image : nullptr;
        r.channels = std::min<int64_t>(kTileChannels, g_.result_channels - o * kTileChannels);
        isa_.pack_units(r);
      }
    }
  }

  /// src = [chunk][group][o / 16][c / 16][tap][16 o][16 c]   dst = [group][o][c][tap]
  template <class T>
  void add_chunks(float* sums, T* dw, ThreadPool& pool) const {
    const int64_t taps = g_.taps(), out_stride = g_.data_channels * taps;
    const int64_t blocks = l_.result_blocks * l_.channel_blocks;
    pool.parallel_for(g_.groups * blocks, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t group = u / blocks, o0 = u % blocks / l_.channel_blocks * kTileChannels,
                      c0 = u % l_.channel_blocks * kTileChannels;
        float* total = sums + u * taps * kTileFloats;
        vectors_.add_parts(total, g_.groups * group_floats_, chunks_, total, taps * kTileFloats);
        const int64_t rows = std::min<int64_t>(kTileChannels, g_.result_channels - o0);
        for (int64_t o = 0; o < rows; ++o) {
          T* to = dw + (group * g_.result_channels + o0 + o) * out_stride + c0 * taps;
          for (int c = 0; c < kTileChannels; ++c) {
            const int channel = tile_channel(c);
            if (c0 + channel >= g_.data_channels) continue;
            for (int64_t tap = 0; tap < taps; ++tap)
              to[channel * taps + tap] = T(total[tap * kTileFloats + o * kTileChannels + c]);
          }
        }
      }
    });
  }

  const TileGradientIsa& isa_;
  const TrainingIsa& vectors_;
  ConvolutionGeometry g_;
  TileLayout l_;
  Storage x_, dy_;
  bool bf16_result_;
  std::vector<Band> bands_;
  int64_t threads_, pairs_ = 0, columns_ = 0, group_floats_ = 0, chunks_ = 1, parts_ = 1, part_blocks_ = 1;
  int64_t together_ = 1, x_room_ = 0, dy_room_ = 0;
};

template <int Row>
Support supports(const KernelQuery& q) {
  const TileRow& row = kTileRows[Row];
  if (!(features().*row.has)) return Support::no(row.lacking);
  if (!any_isa()) return Support::no("the CPU has no avx2");
  ConvolutionGeometry g;
  if (auto why = refuse_weight_gradient(q, g); !why.empty()) return Support::no(why);
  if (q.inputs[0].type == ElementType::f32 && q.inputs[1].type == ElementType::f32 && !q.bf16_compute)
    return Support::no("f32 factors are not to be rounded to bf16");
  if (is_depthwise(g)) return Support::no("depthwise: a kernel of its own");
  return Support::yes();
}

/// The cycles of `tile_gradient.hpp`, and as much again by half for what comes from outer caches.
template <int Row>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  const TileLayout l(g);
  const auto blocks = static_cast<double>(l.unit_blocks(g.result_height, g.result_width));
  const auto in = static_cast<double>(l.channel_blocks), out = static_cast<double>(l.result_blocks);
  const double products = in * out * static_cast<double>(g.taps()) * blocks * 18;
  const double packing = out * blocks * 110 + in * static_cast<double>(l.phases.size()) *
                                                  static_cast<double>(l.plane(g.result_height)) * 4.5;
  const double adding = in * out * static_cast<double>(g.taps()) * 1000;
  const int64_t whole_pairs = (g.batch + 1) / 2;
  const auto pairs = static_cast<double>(whole_pairs);
  p.cost =
      1 + static_cast<double>(g.groups) * (pairs * 1.5 * (products + packing) + adding) / 3.6e3 * kTileRows[Row].cost;
  return p;
}

template <int Row>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  return std::make_unique<TileGradientKernel>(q, g, *kTileRows[Row].isa);
}

template <int Row>
constexpr Kernel row() {
  return {kTileRows[Row].name, "hone", ConvolutionBackpropWeights::name, supports<Row>, plan<Row>, nullptr,
          prepare<Row>};
}

const Kernel kRows[] = {row<0>(), row<1>()};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_tile_gradient() {
  return training::kRows;
}
}  // namespace hone::cpu
#else
namespace hone::cpu {
KernelList training_tile_gradient() {
  return {};
}
}  // namespace hone::cpu
#endif
