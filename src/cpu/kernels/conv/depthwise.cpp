// Rows of depthwise GroupConvolution (one channel in and out of each group) over channels-last pixels.
//
// Work is cut into rows of results. Windows 3 wide slide over two rows at a time, 16 channels after the other, so that
// each input is loaded once or twice in all and their weights stay in registers. Larger windows walk a row in tiles of
// 7 pixels with all channels inside. Taps beyond the input are left out instead of padded. The last tile of a row
// begins early enough to be whole. Where windows are dilated, a tile (or a sliding window) takes every second
// (third...) result: their inputs lie as those of windows that are not. Short rows and other windows go the general
// way, tap by tap. On CPUs with BF16 instructions, tiles of bf16 multiply two rows of taps at a time.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/kernels/conv/depthwise_rows.hpp"
#include "cpu/kernels/conv/depthwise_view.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {
namespace {

constexpr const char* weights_form = "taps_c16_f32";
constexpr const char* pairs_form = "row_pairs_c16_bf16";

bool is_int8(ElementType t) {
  return t == ElementType::u8 || t == ElementType::i8;
}
bool is_byte(Num n) {
  return n == Num::u8 || n == Num::s8;
}
int64_t padded_channels(const Window& w) {
  return (w.channels + 15) / 16 * 16;
}

// src = channel-tap  dst = tap-channel, padded to 16
template <class T>
void pack_taps(const T* from, float* to, int64_t channels, int64_t taps, int64_t padded) {
  for (int64_t t = 0; t < taps; ++t) {
    for (int64_t c = 0; c < channels; ++c) to[t * padded + c] = float(from[c * taps + t]);
    for (int64_t c = channels; c < padded; ++c) to[t * padded + c] = 0;
  }
}

// Tiles of 7 results walk these rows: is the window one that shares its inputs, and the row long enough?
bool has_row_tiles(const Window& w) {
  const int64_t k = w.kernel_w, s = w.stride_w;
  const bool shared = s == 1 || (s == 2 && w.dilation_w == 1);  // neighbouring results share inputs
  return shared && (k == 5 || (k == 7 && s == 1)) && w.out_w / std::min(w.dilation_w, w.out_w) >= depthwise_pixels;
}

// A window that is cut above begins at any of its rows: pairs of rows from the first one on, and from the second one
// on.
int64_t pairs_from_first(int64_t rows) {
  return (rows + 1) / 2;
}

struct DepthwiseIsa {
  bool pairs;  ///< rows take weights in pairs
  void (*row)(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols);
  void (*slide)(const DepthwiseView& d, int64_t x, int64_t w, int rows, int top, int bottom, int64_t results,
                int64_t first, int64_t last, int cols);
  void (*taps)(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols);
  EpilogueFn epilogue;
};

class DepthwiseKernel : public PreparedKernel {
 public:
  DepthwiseKernel(const KernelQuery& q, const DepthwiseIsa& isa)
      : w_(*depthwise_window(q)),
        isa_(isa),
        epilogue_(q, w_.channels, w_.out_h * w_.out_w, is_int8(q.inputs[0].type) && is_int8(q.inputs[1].type)),
        packed_(q.inputs[1].constant),
        weights_bf16_(q.inputs[1].type == ElementType::bf16) {
    const OperandView x = operand_of(q.inputs[0]);
    view_.type = x.type;
    view_.zero = is_int8(q.inputs[0].type) ? x.zero : 0;
    view_.w_tap = padded_channels(w_);
    view_.row_step = w_.dilation_h * w_.in_w * w_.channels;
    view_.tap_step = w_.dilation_w * w_.channels;
    view_.pixel_step = w_.stride_w * w_.channels;
    view_.kernel_w = int(w_.kernel_w);
    view_.real_weights = is_float(q.inputs[1].type);
    view_.stride = int(w_.stride_w);
    const int64_t k = w_.kernel_w, s = w_.stride_w;
    has_rows_ = has_row_tiles(w_);
    slides_ = (s == 1 || (s == 2 && w_.dilation_w == 1)) && k == 3 && w_.kernel_h <= 3;
    slides_by_two_ = w_.kernel_h == 3 && w_.stride_h == s && w_.dilation_h == 1;
    if (is_int8(q.inputs[0].type)) {
      std::vector<float> dequant(size_t(w_.channels) + 16);
      for (size_t c = 0; c < dequant.size(); ++c) {
        const auto& k = q.inputs[1].quantization;
        dequant[c] = x.scale * (k ? k->scale(std::min(c, size_t(w_.channels - 1))) : 1.0f);
      }
      epilogue_.set_dequant(std::move(dequant), w_.kernel_h * w_.kernel_w);
      epilogue_.make_curve(isa_.epilogue);
      comp_.assign(size_t(w_.channels) + 32, 0);
    }
  }
  size_t scratch_bytes() const override {
    return size_t(loose_floats() + (epilogue_.requantizes() ? 2 * (view_.w_tap + 16) : 0)) * 4;
  }

  void run(const KernelArgs& args) noexcept override {
    DepthwiseView view = view_;
    view.x = args.inputs[0];
    if (isa_.pairs) {
      view.pairs = static_cast<const uint32_t*>(args.inputs[1]);
    } else if (packed_) {
      view.w = static_cast<const float*>(args.inputs[1]);
    } else {
      auto* to = static_cast<float*>(args.scratch);
      if (weights_bf16_) {
        pack_taps(static_cast<const bfloat16*>(args.inputs[1]), to, w_.channels, w_.kernel_h * w_.kernel_w, view.w_tap);
      } else {
        pack_taps(static_cast<const float*>(args.inputs[1]), to, w_.channels, w_.kernel_h * w_.kernel_w, view.w_tap);
      }
      view.w = to;
    }
    OperandView operands[EpiloguePlan::max_operands];
    EpilogueView epilogue = epilogue_.bind(args, operands, comp_.data());
    if (is_byte(view.type) && epilogue_.requantizes()) {
      float* scale = static_cast<float*>(args.scratch) + loose_floats();
      epilogue_.requantize(epilogue, scale, scale + view.w_tap + 16, w_.channels);
      // Residuals go over a tile, as real numbers where the weights are.
      if (epilogue.requant.residual) epilogue.requant = {};
    }
    view.epilogue = &epilogue;
    const bool same = view.type == epilogue.out_type || (is_byte(view.type) && is_byte(epilogue.out_type));
    view.fused =
        epilogue.requant.scale || (same && epilogue.fast && !epilogue.has_residual && epilogue.activation == 0);
    // The few long rows of signals are shared out by channels.
    const int64_t blocks = w_.out_h == 1 && w_.images < 8 ? (w_.channels + 63) / 64 : 1;
    const int64_t work = w_.out_w * w_.channels * w_.kernel_h * w_.kernel_w / blocks;
    args.pool.parallel_for(w_.images * w_.out_h * blocks, std::max<int64_t>(1, 30000 / std::max<int64_t>(1, work)),
                           [&](int64_t begin, int64_t end, int) {
                             for (int64_t i = begin; i < end; ++i) {
                               const int64_t row = i / blocks, c = i % blocks * 64;
                               const Channels part{c, blocks == 1 ? w_.channels : std::min(c + 64, w_.channels)};
                               if (!slides_) {
                                 run_row(view, row, part);
                                 continue;
                               }
                               const bool two = slides_by_two_ && i + 1 < end && (row + 1) % w_.out_h != 0;
                               run_slide(view, row, two ? 2 : 1, part);
                               i += two;
                             }
                           });
  }

 private:
  int64_t loose_floats() const { return packed_ ? 0 : view_.w_tap * w_.kernel_h * w_.kernel_w; }
  // Taps [first, last) of a window that begins at `start` lie inside of [0, size).
  static std::pair<int64_t, int64_t> inside(int64_t start, int64_t taps, int64_t dilation, int64_t size) {
    int64_t first = 0, last = taps;
    while (first < taps && start + first * dilation < 0) ++first;
    while (last > first && start + (last - 1) * dilation >= size) --last;
    return {first, last};
  }

  struct Channels {
    int64_t begin, end;
  };

  // One row of results or two.
  void run_slide(DepthwiseView view, int64_t row, int rows, const Channels& part) const {
    const int64_t y = row % w_.out_h, image = row / w_.out_h, top = y * w_.stride_h - w_.pad_top;
    const auto [y0, y1] = inside(top, w_.kernel_h + (rows - 1) * w_.stride_h, w_.dilation_h, w_.in_h);
    const int64_t phases = std::min(w_.dilation_w, w_.out_w);
    view.out_step = phases;
    view.out_row = w_.out_w;
    // Rows that a block of channels does not use up whole are to stay in the second cache until the next.
    const int64_t most = view.fused ? std::max<int64_t>(slide_results, 40000 / w_.channels) : slide_results;
    alignas(64) float tile[2 * slide_results * 16];
    for (int64_t phase = 0; phase < phases; ++phase) {
      const int64_t all = (w_.out_w - phase + phases - 1) / phases;
      for (int64_t i = 0; i < all; i += most) {
        const int64_t results = std::min(most, all - i), start = phase + i * phases * w_.stride_w - w_.pad_left;
        const auto [first, last] = inside(start, (results - 1) * w_.stride_w + 3, w_.dilation_w, w_.in_w);
        const int64_t at = ((image * w_.in_h + top) * w_.in_w + start) * w_.channels;
        TileView t{tile, 16, int(results), 0, row * w_.out_w + phase + i * phases, 0};
        view.out = &t;
        const int64_t block = view.fused ? w_.channels : 16;
        for (int64_t c = part.begin; c < part.end; c += block) {
          t.cols = int(std::min(block, part.end - c));
          t.col0 = c;
          isa_.slide(view, at + c, c, rows, int(y0), int(y1), results, first, last, t.cols);
          for (int r = 0; r < rows && !view.fused; ++r) {
            TileView done = t;
            done.acc = tile + r * slide_results * 16;
            done.row0 += r * w_.out_w;
            finish(view, done);
          }
        }
      }
    }
  }

  void run_row(DepthwiseView view, int64_t row, const Channels& part) const {
    const int64_t y = row % w_.out_h, image = row / w_.out_h, top = y * w_.stride_h - w_.pad_top;
    const auto taps = inside(top, w_.kernel_h, w_.dilation_h, w_.in_h);
    const int64_t y0 = taps.first, y1 = taps.second;
    const int64_t line = (image * w_.in_h + top + y0 * w_.dilation_h) * w_.in_w;
    view.out_step = 1;
    const int64_t phases = std::min(w_.dilation_w, w_.out_w);
    const int64_t first_row = isa_.pairs ? y0 / 2 + y0 % 2 * pairs_from_first(w_.kernel_h) : y0;
    const int64_t weight = first_row * w_.kernel_w * view.w_tap;
    if (!has_rows_) return run_taps(view, row, line, weight, int(y1 - y0), part);
    view.out_step = phases;
    for (int64_t phase = 0; phase < phases; ++phase) {
      const int64_t results = (w_.out_w - phase + phases - 1) / phases;
      constexpr int64_t pixels = depthwise_pixels;
      for (int64_t next = 0; next < results;) {
        const int64_t i = std::min(next, results - pixels);
        const int64_t start = phase + i * phases * w_.stride_w - w_.pad_left;
        const int64_t inputs = (pixels - 1) * w_.stride_w + w_.kernel_w;
        const auto columns = inside(start, inputs, w_.dilation_w, w_.in_w);
        const int64_t first = columns.first, last = columns.second;
        view.tiles = 1;
        if (view.fused && phases == 1 && first == 0 && last == inputs) {
          // All whole tiles up to the one that reaches beyond the image.
          const int64_t fit = (w_.in_w - start - inputs) / (pixels * w_.stride_w) + 1;
          view.tiles = int(std::clamp<int64_t>((results - i) / pixels, 1, fit));
        }
        const TileView t{nullptr, 64, depthwise_pixels, 0, row * w_.out_w + phase + i * phases, 0};
        each_block(view, t, part, [&](const DepthwiseView& v, int64_t c, int cols) {
          isa_.row(v, (line + start) * w_.channels + c, weight + c, int(y1 - y0), int(first), int(last), cols);
        });
        next = i + view.tiles * pixels;
      }
    }
  }

  // A row tap by tap: 4 results at a time where all their columns lie inside.
  void run_taps(DepthwiseView view, int64_t row, int64_t line, int64_t weight, int ny, const Channels& part) const {
    const int64_t reach = (w_.kernel_w - 1) * w_.dilation_w;
    const int64_t left = std::min(w_.out_w, (w_.pad_left + w_.stride_w - 1) / w_.stride_w);
    const int64_t last_start = w_.in_w - 1 - reach + w_.pad_left;
    const int64_t right = std::max(left, std::min(w_.out_w, last_start < 0 ? 0 : last_start / w_.stride_w + 1));
    for (int64_t x = 0; x < w_.out_w;) {
      const int pixels = x >= left && right - x >= 4 ? 4 : 1;
      const int64_t start = x * w_.stride_w - w_.pad_left;
      const auto taps = inside(start, w_.kernel_w, w_.dilation_w, w_.in_w);
      const int64_t x0 = taps.first, x1 = taps.second;
      const int64_t at = (line + start + x0 * w_.dilation_w) * w_.channels;
      const int64_t tap = weight + x0 * view.w_tap;
      const TileView t{nullptr, 64, pixels, 0, row * w_.out_w + x, 0};
      each_block(view, t, part, [&](const DepthwiseView& v, int64_t c, int cols) {
        isa_.taps(v, at + c, tap + c, ny, int(x1 - x0), pixels, cols);
      });
      x += pixels;
    }
  }

  // All channels at once where the epilogue is fused, else as many as the tile holds.
  template <class F>
  void each_block(DepthwiseView view, TileView t, const Channels& part, const F& f) const {
    alignas(64) float tile[depthwise_pixels * 64];
    t.acc = tile;
    view.out = &t;
    const int64_t block = view.fused ? w_.channels : 64;
    for (int64_t c = part.begin; c < part.end; c += block) {
      t.cols = int(std::min(block, part.end - c));
      t.col0 = c;
      f(view, c, t.cols);
      if (!view.fused) finish(view, t);
    }
  }

  // Does an operand lie as the result does, pixel by pixel?
  static bool reads_pixels(const EpilogueView& e) {
    if (e.has_residual || e.requant.residual || e.gate.has_residual) return true;
    for (int i = 0; i < e.num_steps; ++i) {
      if (e.steps[i].operand < 0) continue;
      const auto spread = Spread(e.operands[e.steps[i].operand].spread);
      if (spread != Spread::scalar && spread != Spread::per_channel) return true;
    }
    return false;
  }

  // The epilogue of a tile, whose results may lie apart.
  void finish(const DepthwiseView& view, const TileView& t) const {
    if (view.out_step == 1) return isa_.epilogue(*view.epilogue, t);
    if (!reads_pixels(*view.epilogue)) {
      // The result as a tensor of longer rows.
      EpilogueView wide = *view.epilogue;
      TileView whole = t;
      whole.row0 = t.row0 / view.out_step;
      wide.out =
          static_cast<char*>(wide.out) + t.row0 % view.out_step * wide.ld_out * int64_t(num_bytes(wide.out_type));
      wide.ld_out *= view.out_step;
      return isa_.epilogue(wide, whole);
    }
    TileView one = t;
    one.rows = 1;
    for (int p = 0; p < t.rows; ++p, one.row0 += view.out_step) {
      one.acc = static_cast<float*>(t.acc) + p * t.ld;
      isa_.epilogue(*view.epilogue, one);
    }
  }

  Window w_;
  DepthwiseIsa isa_;
  bool has_rows_ = false, slides_ = false, slides_by_two_ = false;
  EpiloguePlan epilogue_;
  bool packed_, weights_bf16_;
  DepthwiseView view_{};
  std::vector<int32_t> comp_;
};

template <size_t I>
struct Row {
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    return supports_depthwise(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    const Window w = *depthwise_window(q);
    KernelPlan p;
    if (q.inputs[1].constant) p.packs.push_back({1, weights_form});
    p.cost = 1 + double(q.outputs[0].size() * size_t(w.kernel_h * w.kernel_w)) * 2.5e-5 * vector_isas[I].cost;
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const Window w = *depthwise_window(q);
    const int64_t taps = w.kernel_h * w.kernel_w, padded = padded_channels(w);
    const Tensor value = q.inputs[1].value.converted(ElementType::f32);
    Tensor out(ElementType::u8, {taps * padded * 4});
    pack_taps(value.data<float>(), reinterpret_cast<float*>(out.data<uint8_t>()), w.channels, taps, padded);
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
#if defined(__x86_64__)
    if (I == 0 && features().avx512_bf16 && q.inputs[0].type == ElementType::bf16) {
      return std::make_unique<DepthwiseKernel>(
          q, DepthwiseIsa{false, avx512bf16::depthwise_row, avx512bf16::depthwise_slide, avx512bf16::depthwise_taps,
                          avx512bf16::epilogue_tile});
    }
#endif
    const DepthwiseIsa isa{false, HONE_VECTOR_FN(I, depthwise_row), HONE_VECTOR_FN(I, depthwise_slide),
                           HONE_VECTOR_FN(I, depthwise_taps), HONE_VECTOR_FN(I, epilogue_tile)};
    return std::make_unique<DepthwiseKernel>(q, isa);
  }
};

#if defined(__x86_64__)
int64_t num_pairs(int64_t rows) {
  return pairs_from_first(rows) + rows / 2;
}
// src = channel-row-column  dst = pair-column-channel-2, channels padded to 16
void pack_pairs(const uint16_t* from, uint16_t* to, const Window& w, int64_t padded) {
  const int64_t rows = w.kernel_h, columns = w.kernel_w, whole = pairs_from_first(rows);
  for (int64_t pair = 0; pair < num_pairs(rows); ++pair) {
    const int64_t row = pair < whole ? 2 * pair : 2 * (pair - whole) + 1;
    for (int64_t k = 0; k < columns; ++k, to += 2 * padded) {
      for (int64_t c = 0; c < w.channels; ++c) {
        for (int64_t r = 0; r < 2 && row + r < rows; ++r) to[2 * c + r] = from[(c * rows + row + r) * columns + k];
      }
    }
  }
}

// Constant bf16 weights of bf16 tiles, two rows of a window in a dot product.
struct PairsRow {
  static Support supports(const KernelQuery& q) {
    if (!features().avx512_bf16) return Support::no("the CPU has no AVX-512 BF16");
    const Support s = supports_depthwise(q);
    if (!s) return s;
    if (q.inputs[0].type != ElementType::bf16 || q.inputs[1].type != ElementType::bf16 || !q.inputs[1].constant)
      return Support::no("takes bf16 with constant bf16 weights only");
    if (!has_row_tiles(*depthwise_window(q)))
      return Support::no("takes windows 5 or 7 wide over rows of at least 7 results");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    const Window w = *depthwise_window(q);
    KernelPlan p;
    p.packs.push_back({1, pairs_form});
    p.cost = 1 + double(q.outputs[0].size() * size_t(w.kernel_h * w.kernel_w)) * 1.5e-5;
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const Window w = *depthwise_window(q);
    const int64_t padded = padded_channels(w);
    Tensor out(ElementType::u8, {num_pairs(w.kernel_h) * w.kernel_w * padded * 4});
    std::memset(out.data<uint8_t>(), 0, out.size());
    pack_pairs(reinterpret_cast<const uint16_t*>(q.inputs[1].value.data<bfloat16>()),
               reinterpret_cast<uint16_t*>(out.data<uint8_t>()), w, padded);
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<DepthwiseKernel>(
        q, DepthwiseIsa{true, avx512bf16::depthwise_row_pairs, avx512bf16::depthwise_slide, avx512bf16::depthwise_taps,
                        avx512bf16::epilogue_tile});
  }
};
#endif

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
#if defined(__x86_64__)
  rows.add<PairsRow>("group_convolution_depthwise_pairs_7x64__avx512bf16", "GroupConvolution", PairsRow::pack);
#endif
  (rows.add<Row<I>>("group_convolution_depthwise_7x64__", vector_isas[I].suffix, "GroupConvolution", Row<I>::pack),
   ...);
  return rows;
}

}  // namespace

std::optional<Window> depthwise_window(const KernelQuery& q) {
  const Shape& w = q.inputs[1].shape;
  if (w.size() < 4 || w[1] != 1 || w[2] != 1) return std::nullopt;
  const auto a = q.attrs<GroupConvolution>();
  return window_of(q.inputs[0].shape, q.outputs[0].shape, {w.begin() + 3, w.end()}, a.strides, a.dilations,
                   a.pads_begin, a.auto_pad);
}

Support supports_depthwise(const KernelQuery& q) {
  const auto w = depthwise_window(q);
  if (!w) return Support::no("takes groups of one channel and one or two spatial dimensions");
  const TensorDesc &x = q.inputs[0], &k = q.inputs[1];
  if (x.layout != Layout::channels_last || q.outputs[0].layout != Layout::channels_last)
    return Support::no("takes channels-last tensors only");
  if (k.layout != Layout::plain) return Support::no("weights lie in another layout than the plain one");
  if (is_int8(x.type)) {
    if (!k.constant || (k.type != ElementType::i8 && !is_float(k.type)))
      return Support::no("integer activations need constant weights, i8 or real");
    if (!x.quantization || x.quantization->scales.size() != 1 || (k.type == ElementType::i8 && !k.quantization))
      return Support::no("a factor has no scale");
    for (int32_t z : k.quantization ? k.quantization->zero_points : std::vector<int32_t>()) {
      if (z != 0) return Support::no("weights have zero points");
    }
    const size_t scales = k.quantization ? k.quantization->scales.size() : 1;
    if (scales != 1 && int64_t(scales) != w->channels)
      return Support::no("weights need one scale, or one for each channel");
    if (w->kernel_h * w->kernel_w > 256) return Support::no("sums of more than 256 products are not exact in f32");
  } else {
    if (x.type != ElementType::f32 && x.type != ElementType::bf16 && x.type != ElementType::f16)
      return Support::no(std::string("activations are ") + name_of(x.type));
    if (k.constant ? !is_float(k.type) : k.type != ElementType::f32 && k.type != ElementType::bf16) {
      return Support::no(std::string("weights are ") + name_of(k.type));
    }
  }
  return supports_epilogue(q);
}

KernelList depthwise_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
