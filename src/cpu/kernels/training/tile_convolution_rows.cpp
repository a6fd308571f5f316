// Rows on AMX tiles for convolutions whose weights change from run to run and for gradients to the data, of any stride;
// `tile_convolution.hpp` says how. Bands of rows are packed into L1 and multiplied there.
#include <algorithm>
#include <cstring>
#include <tuple>

#include "cpu/features.hpp"
#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "cpu/kernels/training/tile_convolution.hpp"
#include "ops/convolution.hpp"

#if defined(__x86_64__)
namespace hone::cpu::training {
namespace {

constexpr int64_t kBandBytes = 96 * 1024;       ///< packed source of a band; less repeats too many rows
constexpr int64_t kMostBandBytes = 768 * 1024;  ///< however few rows that are: within L2
constexpr int64_t kFewRows = 8;

struct TileIsa {
  const TileConvolutionIsa* isa;
  bool Features::*has;
  const char* lacking;
  double cost;  ///< relative
};
constexpr TileIsa kTileIsas[] = {
    {&tiles_amx::convolution_table, &Features::amx_bf16, "the CPU has no AMX BF16", 1},
    {&tiles_stand_in::convolution_table, &Features::amx_stand_in, "the CPU has no stand-in for AMX", 1e4},
};

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}
int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/// Along one axis: which source place each tap reads. Results (step * i + first) of phase f read places i + shift of
/// the planes with this remainder.
struct Axis {
  struct Tap {
    int64_t kernel, result_phase, source_phase, shift;
  };
  std::vector<Tap> taps;  ///< by phases, then shift
  int64_t source_step = 1, result_step = 1;
  int64_t base = 0;  ///< source place of shift 0, remainder 0, result 0
  int64_t most_shift = 0;

  Axis(bool forward, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
    if (forward) {
      source_step = stride;
      base = -pad;
      for (int64_t k = 0; k < kernel; ++k) taps.push_back({k, 0, k * dilation % stride, k * dilation / stride});
    } else {
      result_step = stride;
      for (int64_t f = 0; f < stride; ++f)
        for (int64_t k = kernel - 1; k >= 0; --k) {
          const int64_t at = f + pad - k * dilation, shift = floor_div(at, stride);
          if (shift * stride == at) taps.push_back({k, f, 0, shift});
        }
      base = taps.empty() ? 0 : taps[0].shift;
      for (const Tap& t : taps) base = std::min(base, t.shift);
      for (Tap& t : taps) t.shift -= base;
    }
    std::stable_sort(taps.begin(), taps.end(), [](const Tap& a, const Tap& b) {
      return std::tie(a.result_phase, a.source_phase, a.shift) < std::tie(b.result_phase, b.source_phase, b.shift);
    });
    for (const Tap& t : taps) most_shift = std::max(most_shift, t.shift);
  }
};

/// A block of K: where it lies in the planes.
struct Block {
  int64_t source_phase, row, column, bytes;
};
/// Results of one remainder modulo the step, and the weights that they meet.
struct ResultPhase {
  int64_t y, x;
  std::vector<Block> blocks;
  std::vector<int32_t> element;  ///< kTileDepth for each block
  int64_t first_tile = 0;        ///< of its weights
};

struct TileTables {
  int64_t channels_in, channels_out, padded, panels, pixel_bytes;
  int64_t height_in, width_in, height_out, width_out;
  Axis y, x;
  std::vector<std::pair<int64_t, int64_t>> sources;  ///< phases of the source that a tap reads
  std::vector<ResultPhase> results;
  int64_t pitch = 0, weight_tiles = 0;

  TileTables(const ConvolutionGeometry& g, bool forward)
      : channels_in(forward ? g.data_channels : g.result_channels),
        channels_out(forward ? g.result_channels : g.data_channels),
        padded(round_up(channels_in, kPaddedChannels)),
        panels((channels_out + kTilePanel - 1) / kTilePanel),
        pixel_bytes(padded * 2),
        height_in(forward ? g.data_height : g.result_height),
        width_in(forward ? g.data_width : g.result_width),
        height_out(forward ? g.result_height : g.data_height),
        width_out(forward ? g.result_width : g.data_width),
        y(forward, g.kernel_height, g.stride_y, g.dilation_y, g.pad_top),
        x(forward, g.kernel_width, g.stride_x, g.dilation_x, g.pad_left) {
    pitch = (width_out + x.result_step - 1) / x.result_step + x.most_shift;
    const int64_t taps = g.taps(), channel_step = forward ? taps : g.data_channels * taps;
    for (int64_t fy = 0; fy < y.result_step; ++fy) {
      for (int64_t fx = 0; fx < x.result_step; ++fx) {
        ResultPhase p{fy, fx, {}, {}, weight_tiles};
        for (const Axis::Tap& ty : y.taps) {
          if (ty.result_phase != fy) continue;
          for (size_t i = 0; i < x.taps.size();) {
            if (x.taps[i].result_phase != fx) {
              ++i;
              continue;
            }
            // neighbouring taps of a plane are one run
            size_t end = i + 1;
            while (end < x.taps.size() && x.taps[end].result_phase == fx &&
                   x.taps[end].source_phase == x.taps[i].source_phase && x.taps[end].shift == x.taps[end - 1].shift + 1)
              ++end;
            add_run(p, ty, i, end, g.kernel_width, channel_step);
            i = end;
          }
        }
        weight_tiles += panels * static_cast<int64_t>(p.blocks.size());
        results.push_back(std::move(p));
      }
    }
  }
  void add_run(ResultPhase& p, const Axis::Tap& ty, size_t begin, size_t end, int64_t kernel_width,
               int64_t channel_step) {
    const std::pair<int64_t, int64_t> phase{ty.source_phase, x.taps[begin].source_phase};
    const auto at = std::find(sources.begin(), sources.end(), phase) - sources.begin();
    if (at == static_cast<int64_t>(sources.size())) sources.push_back(phase);
    const int64_t length = static_cast<int64_t>(end - begin) * padded;
    for (int64_t first = 0; first < length; first += kTileDepth) {
      p.blocks.push_back({at, ty.shift, x.taps[begin].shift, first * 2});
      for (int64_t k = first; k < first + kTileDepth; ++k) {
        const int64_t channel = k % padded;
        const bool is_one = k < length && channel < channels_in;
        const int64_t tap =
            is_one ? ty.kernel * kernel_width + x.taps[begin + static_cast<size_t>(k / padded)].kernel : 0;
        p.element.push_back(is_one ? static_cast<int32_t>(channel * channel_step + tap) : -1);
      }
    }
  }
  /// Rows of results of a phase among rows [row, row + rows) of the planes, and their width.
  int64_t rows_of(const ResultPhase& p, int64_t row, int64_t rows) const {
    const int64_t all = (height_out - p.y + y.result_step - 1) / y.result_step;
    return std::max<int64_t>(0, std::min(rows, all - row));
  }
  int64_t width_of(const ResultPhase& p) const {
    return std::max<int64_t>(0, (width_out - p.x + x.result_step - 1) / x.result_step);
  }
  int64_t tiles_of(const ResultPhase& p, int64_t row, int64_t rows) const {
    const int64_t r = rows_of(p, row, rows), w = width_of(p);
    return r == 0 || w == 0 ? 0 : ((r - 1) * pitch + w + kTilePlaces - 1) / kTilePlaces;
  }
  int64_t plane_bytes(int64_t rows) const { return (rows + y.most_shift) * pitch * pixel_bytes; }
  int64_t source_bytes(int64_t rows) const { return static_cast<int64_t>(sources.size()) * plane_bytes(rows); }
  /// What tiles read behind the planes, with zeros.
  int64_t surplus_bytes() const { return kTilePlaces * pixel_bytes + 64; }
  int64_t plane_rows() const { return (height_out + y.result_step - 1) / y.result_step; }
};

class TileConvolutionKernel final : public PreparedKernel {
 public:
  TileConvolutionKernel(const KernelQuery& q, const ConvolutionGeometry& g, bool forward, const TileConvolutionIsa& isa)
      : isa_(isa),
        forward_(forward),
        g_(g),
        t_(g, forward),
        in_(storage_of(q.inputs[0].type)),
        out_(storage_of(q.outputs[0].type)),
        weights_bf16_(q.inputs[1].type == ElementType::bf16),
        threads_(std::max(1, q.threads)) {
    read_epilogue(q, added_);
    const int64_t all = t_.plane_rows();
    int64_t rows = all;
    while ((rows > kFewRows && t_.source_bytes(rows) > kBandBytes) ||
           (rows > 1 && t_.source_bytes(rows) > kMostBandBytes))
      rows = (rows + 1) / 2;
    while (rows > 1 && g.batch * g.groups * ((all + rows - 1) / rows) < threads_) rows = (rows + 1) / 2;
    for (int64_t row = 0; row < all; row += rows) bands_.push_back(band_of(row, std::min(rows, all - row)));
    weight_bytes_ = g.groups * t_.weight_tiles * kTileBytes;
    source_bytes_ = round_up(t_.source_bytes(rows) + t_.surplus_bytes(), 64);
  }
  size_t scratch_bytes() const override { return static_cast<size_t>(weight_bytes_ + threads_ * source_bytes_); }

  void run(const KernelArgs& args) noexcept override {
    auto* weights = static_cast<uint8_t*>(args.scratch);
    pack_weights(args.inputs[1], weights, args.pool);
    const auto bands = static_cast<int64_t>(bands_.size());
    args.pool.parallel_for_dynamic(g_.batch * g_.groups * bands, 1, [&](int64_t begin, int64_t end, int thread) {
      isa_.begin();
      for (int64_t u = begin; u < end; ++u)
        compute(args, weights, u / (g_.groups * bands), u / bands % g_.groups, bands_[static_cast<size_t>(u % bands)],
                weights + weight_bytes_ + thread * source_bytes_);
      isa_.end();
    });
  }

 private:
  struct Window {
    const ResultPhase* phase;
    int64_t tiles;
    std::vector<int64_t> block;  ///< bytes from a place
    std::vector<int64_t> to;     ///< of each place: element of the image's results
  };
  struct Band {
    int64_t row, rows;
    std::vector<Window> windows;
  };

  Band band_of(int64_t row, int64_t rows) const {
    Band b{row, rows, {}};
    const int64_t pixel = t_.channels_out * g_.groups;
    for (const ResultPhase& p : t_.results) {
      const int64_t mine = t_.rows_of(p, row, rows), width = t_.width_of(p);
      Window w{&p, t_.tiles_of(p, row, rows), {}, {}};
      if (w.tiles == 0) continue;
      for (const Block& k : p.blocks)
        w.block.push_back(k.source_phase * t_.plane_bytes(rows) + (k.row * t_.pitch + k.column) * t_.pixel_bytes +
                          k.bytes);
      for (int64_t i = 0; i < w.tiles * kTilePlaces; ++i) {
        const int64_t r = i / t_.pitch, c = i % t_.pitch;
        const int64_t y = (row + r) * t_.y.result_step + p.y, x = c * t_.x.result_step + p.x;
        w.to.push_back(r < mine && c < width ? (y * t_.width_out + x) * pixel : -1);
      }
      b.windows.push_back(std::move(w));
    }
    return b;
  }

  /// src = [group][o][i][taps] (forward; the gradient reads it as [group][i][o][taps])
  void pack_weights(const void* from, uint8_t* to, ThreadPool& pool) const {
    const int64_t taps = g_.taps(), bytes = weights_bf16_ ? 2 : 4;
    const int64_t column = forward_ ? g_.data_channels * taps : taps;
    pool.parallel_for(g_.groups * t_.weight_tiles, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t group = u / t_.weight_tiles, tile = u % t_.weight_tiles;
        size_t at = t_.results.size() - 1;
        while (t_.results[at].blocks.empty() || t_.results[at].first_tile > tile) --at;
        const ResultPhase& p = t_.results[at];
        const auto blocks = static_cast<int64_t>(p.blocks.size());
        const int64_t panel = (tile - p.first_tile) / blocks, block = (tile - p.first_tile) % blocks;
        WeightTile w;
        w.from = static_cast<const char*>(from) +
                 (group * g_.data_channels * g_.result_channels * taps + panel * kTilePanel * column) * bytes;
        w.bf16 = weights_bf16_;
        w.element = p.element.data() + block * kTileDepth;
        w.column = column;
        w.columns = std::min<int64_t>(kTilePanel, t_.channels_out - panel * kTilePanel);
        w.to = reinterpret_cast<uint32_t*>(to + u * kTileBytes);
        isa_.pack_weights(w);
      }
    });
  }

  void compute(const KernelArgs& args, const uint8_t* weights, int64_t image, int64_t group, const Band& band,
               uint8_t* source) const {
    SourceRows s{};
    s.storage = in_;
    s.channels = t_.channels_in;
    s.padded = t_.padded;
    s.height = t_.height_in;
    s.width = t_.width_in;
    s.pixel = t_.channels_in * g_.groups;
    s.pixel_in_row = s.width * s.pixel;
    s.stride_y = t_.y.source_step;
    s.stride_x = t_.x.source_step;
    s.rows = band.rows + t_.y.most_shift;
    s.pitch = t_.pitch;
    s.from = static_cast<const char*>(args.inputs[0]) +
             (image * s.height * s.pixel_in_row + group * t_.channels_in) * static_cast<int64_t>(bytes_of(in_));
    uint8_t* to = source;
    for (const auto& [fy, fx] : t_.sources) {
      s.first_y = band.row * s.stride_y + fy + t_.y.base;
      s.first_x = fx + t_.x.base;
      s.to = reinterpret_cast<uint16_t*>(to);
      isa_.pack_source(s);
      to += t_.plane_bytes(band.rows);
    }
    std::memset(to, 0, static_cast<size_t>(t_.surplus_bytes()));

    const int64_t pixel = t_.channels_out * g_.groups;
    const int64_t first = image * t_.height_out * t_.width_out * pixel + group * t_.channels_out;
    TileWindow w{};
    w.a = source;
    w.pixel_bytes = t_.pixel_bytes;
    w.panels = t_.panels;
    w.out = out_;
    w.columns = t_.channels_out;
    w.y = static_cast<char*>(args.outputs[0]) + first * static_cast<int64_t>(bytes_of(out_));
    w.add_storage = added_.storage;
    if (added_.present)
      w.add =
          static_cast<const char*>(args.inputs[added_.input]) + first * static_cast<int64_t>(bytes_of(added_.storage));
    for (const Window& window : band.windows) {
      w.block = window.block.data();
      w.blocks = static_cast<int64_t>(window.block.size());
      w.tiles = window.tiles;
      w.to = window.to.data();
      w.b = weights + (group * t_.weight_tiles + window.phase->first_tile) * kTileBytes;
      isa_.convolve(w);
    }
  }

  const TileConvolutionIsa& isa_;
  bool forward_;
  ConvolutionGeometry g_;
  TileTables t_;
  AddedTensor added_;
  Storage in_, out_;
  std::vector<Band> bands_;
  bool weights_bf16_;
  int64_t threads_, weight_bytes_ = 0, source_bytes_ = 0;
};

template <bool Forward, int Isa>
Support supports(const KernelQuery& q) {
  if (!(features().*kTileIsas[Isa].has)) return Support::no(kTileIsas[Isa].lacking);
  ConvolutionGeometry g;
  if (auto why = refuse_convolution(q, Forward, g); !why.empty()) return Support::no(why);
  if (q.inputs[0].type != ElementType::bf16 && !q.bf16_compute)
    return Support::no("f32 factors are not to be rounded to bf16");
  if (is_depthwise(g)) return Support::no("depthwise: a kernel of its own");
  return Support::yes();
}

/// Cycles of products, of storing results and of packing, at the rate that rows on tiles of whole matrices count with.
template <bool Forward, int Isa>
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  ConvolutionGeometry g;
  if (!read_geometry(q, g).empty()) return p;
  const TileTables t(g, Forward);
  double cycles = static_cast<double>(t.source_bytes(t.plane_rows())) / 12;
  for (const ResultPhase& r : t.results)
    cycles += static_cast<double>(t.tiles_of(r, 0, t.plane_rows()) * t.panels) *
              (17 * static_cast<double>(r.blocks.size()) + 60);
  if (t.channels_in < kPaddedChannels) cycles *= 2;
  const double packing = static_cast<double>(g.groups * t.weight_tiles) * 640;
  p.cost = 1 + (static_cast<double>(g.batch * g.groups) * cycles + packing) * 0.6 / 3.6e3 * kTileIsas[Isa].cost;
  return p;
}

template <bool Forward, int Isa>
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  ConvolutionGeometry g;
  read_geometry(q, g);
  return std::make_unique<TileConvolutionKernel>(q, g, Forward, *kTileIsas[Isa].isa);
}

template <bool Forward, int Isa>
constexpr Kernel row(const char* name, const char* op) {
  return {name, "hone", op, supports<Forward, Isa>, plan<Forward, Isa>, nullptr, prepare<Forward, Isa>};
}

const Kernel kRows[] = {
    row<true, 0>("Convolution_variable_tiles__amx", Convolution::name),
    row<true, 0>("GroupConvolution_variable_tiles__amx", GroupConvolution::name),
    row<false, 0>("ConvolutionBackpropData_tiles__amx", ConvolutionBackpropData::name),
    row<false, 0>("GroupConvolutionBackpropData_tiles__amx", GroupConvolutionBackpropData::name),
    row<true, 1>("Convolution_variable_tiles__amx_stand_in", Convolution::name),
    row<true, 1>("GroupConvolution_variable_tiles__amx_stand_in", GroupConvolution::name),
    row<false, 1>("ConvolutionBackpropData_tiles__amx_stand_in", ConvolutionBackpropData::name),
    row<false, 1>("GroupConvolutionBackpropData_tiles__amx_stand_in", GroupConvolutionBackpropData::name),
};

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_tile_convolution() {
  return training::kRows;
}
}  // namespace hone::cpu
#else
namespace hone::cpu {
KernelList training_tile_convolution() {
  return {};
}
}  // namespace hone::cpu
#endif
