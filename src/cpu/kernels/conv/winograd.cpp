// Rows of Convolution with constant weights, 3x3, stride 1, by Winograd's F(4x4, 3x3) and F(2x2, 3x3).
//
// The transformed weights are a packed form: one packed B for each of the 36 (or 16) products. A chunk of tiles is
// transformed to [product][tile][channel], which stays in L2; then each block of columns is multiplied product by
// product on the tile kernels of dense products, transformed back and finished by the epilogue. Threads share the
// chunks, or, where those are too few, the channels of the transform and then the column blocks. Every sum runs over
// the channels in order, so the split does not show in the result.
//
// Error: products of f32 are summed after transforms with factors up to 5 (weights: 1/24), which cancel. For inputs and
// weights of one size it stays below 4e-6 times the sum of the magnitudes of a window's products for m = 4 (direct
// sums: 2e-6) and below 2e-6 for m = 2; kernels/conv/winograd_test.cpp asserts both. All results of a tile share its
// products, so the short windows of a border, which carry the rounding of the whole ones beside them, come nearest to
// the bound. Multiply-adds are fused explicitly, in the transforms and in the sums: left to the compiler, where it
// fuses none, a corner misses the bound by a fifth.
//
// Where bf16 is precise enough, products of 16-bit integers run at the rate of bf16 and keep more of the transformed
// values: bf16 would lose 2 % of the result with m = 4. The pixels of a tile share one scale, found while they are
// transformed, each product and column of the weights has one of its own, and no sum can leave 32 bits. The error grows
// with the root of the channels; to 640 of them it stays below 4.3e-3 of the root mean square of the results (asserted
// as well), which is what one rounding to bf16 may lose.
//
// Bytes are transformed without loss: less their zero point they make pixels of 15 bits, and weights times their
// denominators words of 14. Four times fewer products at half the rate of bytes; only the last transform rounds. So one
// result in a million or fewer comes out a level beside that of direct sums.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "cpu/kernels/conv/geometry.hpp"
#include "cpu/kernels/conv/winograd_view.hpp"
#include "cpu/kernels/conv/winograd_weights.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/packed_b.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/scratch.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t source_target_bytes = 448 << 10;  ///< transformed tiles of a chunk
constexpr int64_t fewest_tiles = 12, most_tiles = 64, most_tiles_of_bytes = 36;

int64_t tiles_of(const Window& w, int m) {
  return w.images * ((w.out_h + m - 1) / m) * ((w.out_w + m - 1) / m);
}

std::optional<Window> window_for(const KernelQuery& q) {
  const Shape& w = q.inputs[1].shape;
  if (w.size() != 4) return std::nullopt;
  const auto a = q.attrs<Convolution>();
  return window_of(q.inputs[0].shape, q.outputs[0].shape, {w.begin() + 2, w.end()}, a.strides, a.dilations,
                   a.pads_begin, a.auto_pad);
}

WinogradWeights weights_of(const KernelQuery& q, int m, bool words) {
  return {m, words, q.inputs[1].shape[0], q.inputs[1].shape[1]};
}

struct WinogradIsa {
  void (*source)(int m, Num type, const void* const* pixels, int64_t channels, float* to, int64_t step);
  void (*result)(int m, const float* from, int64_t step, int64_t columns, float* to);
  const DenseIsa& dense;
  bool words, bytes;  ///< of 16 bits; of 16 bits made of 8
};

class WinogradKernel : public PreparedKernel {
 public:
  WinogradKernel(const KernelQuery& q, int m, const WinogradIsa& isa)
      : w_(*window_for(q)),
        m_(m),
        products_(winograd_products(m)),
        isa_(isa),
        finish_(with_bf16(isa.dense.epilogue)),
        weights_(weights_of(q, m, isa.words)),
        packed_(weights_.panels()),
        epilogue_(q, packed_.columns, w_.out_h * w_.out_w, isa.bytes),
        type_(*num_of(q.inputs[0].type)),
        threads_(std::max(1, q.threads)),
        across_((w_.out_w + m - 1) / m),
        down_((w_.out_h + m - 1) / m),
        tiles_(tiles_of(w_, m)),
        row_(round_up(w_.channels, 16)),
        zeros_(size_t(row_) + 32) {
    const int64_t element = isa.words ? 2 : 4;
    // Weights of bytes are as large as their products: fewer tiles leave them room in L2.
    const int64_t fit = std::clamp(source_target_bytes / (products_ * row_ * element), fewest_tiles,
                                   isa.bytes ? most_tiles_of_bytes : most_tiles);
    chunks_ = (tiles_ + fit - 1) / fit;
    if (chunks_ > 1 || tiles_ >= 2 * fewest_tiles * threads_) chunks_ = round_up(chunks_, threads_);
    chunks_ = std::min(chunks_, tiles_);
    chunk_tiles_ = (tiles_ + chunks_ - 1) / chunks_;
    const int64_t panels = packed_.panels();
    blocks_ = (panels + isa_.dense.max_panels - 1) / isa_.dense.max_panels;
    const double even = double(chunks_) / double(round_up(chunks_, threads_));
    share_columns_ = threads_ > 1 && even < 0.93 && panels > 1;
    if (share_columns_) blocks_ = std::max(blocks_, std::min<int64_t>(threads_, panels));
    // Words have a scale for each tile behind them.
    row_bytes_ = row_ * element;
    most_word_ = weights_.most_word();
    scales_at_ = products_ * chunk_tiles_ * row_ * element / 4;
    source_floats_ = scales_at_ + (isa.words ? round_up(chunk_tiles_, 16) : 0);
    const int64_t columns = 16 * isa_.dense.max_panels;
    product_floats_ = (products_ * chunk_tiles_ + surplus_rows) * columns;
    pointer_floats_ = round_up(chunk_tiles_ + surplus_rows, 8) * 2;
    thread_floats_ = product_floats_ + pointer_floats_ + int64_t(m_) * m_ * columns;
    if (isa.words) thread_floats_ = std::max(thread_floats_, products_ * row_);  // a tile before it is rounded
    if (!isa.bytes) return;
    const Quantization &x = *q.inputs[0].quantization, &k = *q.inputs[1].quantization;
    zero_ = x.zero_point(0);
    std::memset(zeros_.data(), zero_, zeros_.size() * sizeof(float));
    std::vector<float> dequant(size_t(packed_.columns) + 16);
    for (size_t c = 0; c < dequant.size(); ++c)
      dequant[c] = x.scale(0) * k.scale(std::min(c, size_t(packed_.columns - 1)));
    epilogue_.set_dequant(std::move(dequant), w_.channels * 9);
    epilogue_.make_curve(finish_);
    no_correction_.assign(size_t(packed_.columns) + 32, 0);
    if (epilogue_.requantizes()) requant_floats_ = round_up(packed_.columns, 16) + 16;
  }
  size_t scratch_bytes() const override {
    const int64_t sources = share_columns_ ? 1 : threads_;
    return size_t(sources * source_floats_ + threads_ * thread_floats_ + 2 * requant_floats_) * 4;
  }

  void run(const KernelArgs& args) noexcept override {
    OperandView operands[EpiloguePlan::max_operands];
    EpilogueView epilogue = epilogue_.bind(args, operands, no_correction_.data());
    // Shared columns: one source, then the buffers of the threads; else each thread has its own source before its
    // buffer.
    auto* sources = static_cast<float*>(args.scratch);
    float* buffers = sources + source_floats_;
    const int64_t apart = thread_floats_ + (share_columns_ ? 0 : source_floats_);
    if (requant_floats_ > 0) {
      float* scale = sources + (share_columns_ ? 1 : threads_) * source_floats_ + threads_ * thread_floats_;
      epilogue_.requantize(epilogue, scale, scale + requant_floats_, packed_.columns);
    }
    const auto* b = static_cast<const uint8_t*>(args.inputs[1]);
    if (share_columns_) {
      for (int64_t k = 0; k < chunks_; ++k) {
        const int64_t first = part_begin(tiles_, k, chunks_), last = part_begin(tiles_, k + 1, chunks_);
        args.pool.parallel_for(last - first, 1, [&](int64_t begin, int64_t end, int thread) {
          transform(args, first, last - first, begin, end, sources, buffers + thread * apart);
        });
        args.pool.parallel_for(blocks_, 1, [&](int64_t begin, int64_t end, int thread) {
          multiply(epilogue, b, first, last - first, begin, end, sources, buffers + thread * apart);
        });
      }
      return;
    }
    auto chunks = [&](int64_t begin, int64_t end, int thread) {
      float *source = sources + thread * apart, *buffer = buffers + thread * apart;
      for (int64_t k = begin; k < end; ++k) {
        const int64_t first = part_begin(tiles_, k, chunks_), last = part_begin(tiles_, k + 1, chunks_);
        transform(args, first, last - first, 0, last - first, source, buffer);
        multiply(epilogue, b, first, last - first, 0, blocks_, source, buffer);
      }
    };
    // Many chunks are handed out on demand: a core that others use too holds nobody up.
    if (chunks_ >= 4 * threads_) {
      args.pool.parallel_for_dynamic(chunks_, 1, chunks);
    } else {
      args.pool.parallel_for(chunks_, 1, chunks);
    }
  }

 private:
  // Tiles first + [begin, end) of a chunk of `tiles` to [product][tile][channel].
  void transform(const KernelArgs& args, int64_t first, int64_t tiles, int64_t begin, int64_t end, float* source,
                 [[maybe_unused]] float* work) const {
    const int64_t n = m_ + 2, bytes = int64_t(num_bytes(type_)), pixel = w_.channels * bytes;
    const auto* x = static_cast<const uint8_t*>(args.inputs[0]);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tile = first + i, top = tile / across_ % down_ * m_ - w_.pad_top;
      const int64_t left = tile % across_ * m_ - w_.pad_left;
      const uint8_t* image = x + tile / (across_ * down_) * w_.in_h * w_.in_w * pixel;
      const void* pixels[36];
      const void** at = pixels;
      for (int64_t in_y = top; in_y < top + n; ++in_y) {
        const uint8_t* line = image + (in_y * w_.in_w + left) * pixel;
        const bool inside = in_y >= 0 && in_y < w_.in_h;
        for (int64_t in_x = left; in_x < left + n; ++in_x, line += pixel)
          *at++ = inside && in_x >= 0 && in_x < w_.in_w ? static_cast<const void*>(line) : zeros_.data();
      }
#if defined(__x86_64__)
      if (isa_.bytes) {
        avx512vnni::winograd_source_bytes(type_, pixels, w_.channels, zero_,
                                          reinterpret_cast<int16_t*>(source) + i * row_, tiles * row_);
        continue;
      }
      if (isa_.words) {
        source[scales_at_ + i] =
            avx512vnni::winograd_source_words(type_, pixels, w_.channels, work, row_,
                                              reinterpret_cast<int16_t*>(source) + i * row_, tiles * row_, most_word_);
        continue;
      }
#endif
      isa_.source(m_, type_, pixels, w_.channels, source + i * row_, tiles * row_);
    }
  }

  // Column blocks [begin, end) of a chunk: products, results, epilogue.
  void multiply(const EpilogueView& epilogue, const uint8_t* b, int64_t first, int64_t tiles, int64_t begin,
                int64_t end, const float* source, float* buffer) const {
    float* product = buffer;
    auto** pointers = reinterpret_cast<const uint8_t**>(buffer + product_floats_);
    float* result = buffer + product_floats_ + pointer_floats_;
    const TileRun run{0, 0, 0};
    TileArgs t{};
    t.run = &run;
    t.runs = 1;
    t.steps = packed_.steps();
    t.panel_stride = packed_.panel_stride();
    for (int64_t block = begin; block < end; ++block) {
      const int64_t p0 = part_begin(packed_.panels(), block, blocks_);
      const int panels = int(part_begin(packed_.panels(), block + 1, blocks_) - p0);
      if (panels == 0) continue;
      const int64_t columns = 16 * panels, step = tiles * columns;
      const bool half = packed_.columns - p0 * 16 <= columns - 8 && isa_.dense.halves[panels - 1][0];
      const TileFn* fns = half ? isa_.dense.halves[panels - 1] : isa_.dense.tiles[panels - 1];
      const int64_t cuts = (tiles + isa_.dense.max_rows[panels - 1] - 1) / isa_.dense.max_rows[panels - 1];
      for (int64_t f = 0; f < products_; ++f) {
        for (int64_t i = 0; i < tiles + surplus_rows; ++i) {
          pointers[i] = reinterpret_cast<const uint8_t*>(source) + (f * tiles + std::min(i, tiles - 1)) * row_bytes_;
        }
        t.b = b + f * packed_.group_stride() + p0 * t.panel_stride;
        // A missing row count is rounded up: what it writes beyond is written again by the tile that follows, or lies
        // in the next product. So tiles run forward and the buffer has room behind the last.
        for (int64_t i = 0; i < cuts; ++i) {
          const int64_t at = part_begin(tiles, i, cuts);
          int rows = int(part_begin(tiles, i + 1, cuts) - at);
          while (!fns[rows - 1]) ++rows;
          t.a = pointers + at;
          t.c = product + f * step + at * columns;
          fns[rows - 1](t);
        }
      }
      for (int64_t i = 0; i < tiles; ++i) {
#if defined(__x86_64__)
        const auto* scales = reinterpret_cast<const float*>(b + weights_.scales_offset()) + p0 * 16;
        if (isa_.bytes) {
          avx512vnni::winograd_result_sums(reinterpret_cast<const int32_t*>(product) + i * columns, step, scales,
                                           weights_.scale_step(), columns, reinterpret_cast<int32_t*>(result));
        } else if (isa_.words) {
          avx512vnni::winograd_result_words(reinterpret_cast<const int32_t*>(product) + i * columns, step, scales,
                                            weights_.scale_step(), source[scales_at_ + i], columns, result);
        } else
#endif
          isa_.result(m_, product + i * columns, step, columns, result);
        finish(epilogue, first + i, result, columns, p0 * 16);
      }
    }
  }

  void finish(const EpilogueView& epilogue, int64_t tile, float* result, int64_t columns, int64_t column) const {
    const int64_t y0 = tile / across_ % down_ * m_, x0 = tile % across_ * m_, image = tile / (across_ * down_);
    TileView view;
    view.ld = columns;
    view.rows = int(std::min<int64_t>(m_, w_.out_w - x0));
    view.cols = int(std::min<int64_t>(columns, packed_.columns - column));
    view.col0 = column;
    for (int64_t y = 0; y < std::min<int64_t>(m_, w_.out_h - y0); ++y) {
      view.acc = result + y * m_ * columns;
      view.row0 = (image * w_.out_h + y0 + y) * w_.out_w + x0;
      finish_(epilogue, view);
    }
  }

  Window w_;
  int m_;
  int64_t products_;
  WinogradIsa isa_;
  EpilogueFn finish_;
  WinogradWeights weights_;
  PackedB packed_;
  EpiloguePlan epilogue_;
  Num type_;
  int threads_;
  int64_t across_, down_, tiles_;
  int64_t row_;  ///< elements of a tile's channels
  int64_t row_bytes_ = 0;
  float most_word_ = 0;
  std::vector<float> zeros_;
  int32_t zero_ = 0;  ///< zero point of bytes
  std::vector<int32_t> no_correction_;
  int64_t requant_floats_ = 0;
  int64_t chunks_ = 1, chunk_tiles_ = 1, blocks_ = 1;
  bool share_columns_ = false;
  int64_t scales_at_ = 0, source_floats_ = 0, product_floats_ = 0, pointer_floats_ = 0, thread_floats_ = 0;
};

// What all rows ask of a convolution.
Support supports_shape(const KernelQuery& q) {
  const auto w = window_for(q);
  if (!w) return Support::no("takes two spatial dimensions");
  const TensorDesc& k = q.inputs[1];
  if (w->kernel_h != 3 || w->kernel_w != 3 || w->stride_h != 1 || w->stride_w != 1 || w->dilation_h != 1 ||
      w->dilation_w != 1)
    return Support::no("not 3x3 with stride 1 and no dilation");
  if (!k.constant) return Support::no("the weights are not constant");
  if (k.layout != Layout::plain) return Support::no("weights are not in plain order");
  if (q.inputs[0].layout != Layout::channels_last || q.outputs[0].layout != Layout::channels_last)
    return Support::no("takes channels-last tensors only");
  if (w->channels < 8 || k.shape[0] < 8) return Support::no("too few channels to pay for the transforms");
  return Support::yes();
}

// What those of floats do.
Support supports_window(const KernelQuery& q) {
  if (auto s = supports_shape(q); !s) return s;
  const TensorDesc& x = q.inputs[0];
  if (!is_float(q.inputs[1].type)) return Support::no("weights are no floats");
  if (x.type != ElementType::f32 && x.type != ElementType::bf16)
    return Support::no(std::string("activations are ") + name_of(x.type));
  return supports_epilogue(q);
}

Tensor pack_weights(const KernelQuery& q, int m, bool words) {
  const WinogradWeights weights = weights_of(q, m, words);
  const Tensor value = q.inputs[1].value.converted(ElementType::f32);
  Tensor out(ElementType::u8, {weights.bytes()});
  weights.pack(value.data<float>(), out.data<uint8_t>());
  return out;
}

// Products near the peak, each value that is transformed, and the weights as memory gives them: they are read once
// for each chunk of tiles, which is too little work to hide that. `gflops`, values a microsecond, bytes of a weight.
double cost_of(const KernelQuery& q, int m, double gflops, double values, double bytes) {
  const Window w = *window_for(q);
  const double tiles = double(tiles_of(w, m)), in = double(w.channels), out = double(q.inputs[1].shape[0]);
  const double products = winograd_products(m);
  const double gemm = 2 * products * tiles * in * out / (gflops * 1e3) + products * in * out * bytes / 15e3;
  return gemm + tiles * products * (in + out) / values;
}

template <size_t I, int M>
struct Row {
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    return supports_window(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.packs.push_back({1, M == 4 ? "winograd4_b16_f32" : "winograd2_b16_f32"});
    p.cost = 2 + cost_of(q, M, 105, 4500, 4) * vector_isas[I].cost;
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) { return pack_weights(q, M, false); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    static const WinogradIsa isa{HONE_VECTOR_FN(I, winograd_source), HONE_VECTOR_FN(I, winograd_result),
                                 HONE_VECTOR_FN(I, dense_f32), false, false};
    return std::make_unique<WinogradKernel>(q, M, isa);
  }
};

#if defined(__x86_64__)
struct WordsRow {
  static Support supports(const KernelQuery& q) {
    if (!features().avx512_vnni) return Support::no("the CPU has no AVX-512 VNNI");
    if (q.inputs[0].type != ElementType::bf16 && !q.bf16_compute)
      return Support::no("f32 factors are not to be rounded");
    if (q.inputs[1].shape[1] > 640) return Support::no("sums of more than 640 channels leave too few bits");
    return supports_window(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.packs.push_back({1, "winograd4_b16x2_s16"});
    p.cost = 2 + cost_of(q, 4, 210, 4000, 2);
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) { return pack_weights(q, 4, true); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    static const WinogradIsa isa{nullptr, nullptr, avx512vnni::dense_int16, true, false};
    return std::make_unique<WinogradKernel>(q, 4, isa);
  }
};

// Integers as they come.
struct BytesRow {
  static Support supports(const KernelQuery& q) {
    if (!features().avx512_vnni) return Support::no("the CPU has no AVX-512 VNNI");
    if (auto s = supports_shape(q); !s) return s;
    const TensorDesc &x = q.inputs[0], &w = q.inputs[1];
    if (auto s = supports_bytes(x, w, w.shape[0]); !s) return s;
    if (w.shape[1] > 640) return Support::no("sums of more than 640 channels may leave 32 bits");
    return supports_epilogue(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.packs.push_back({1, "winograd4_b16x2_s8"});
    p.cost = 2 + cost_of(q, 4, 210, 9000, 2);
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const WinogradWeights weights = weights_of(q, 4, true);
    Tensor out(ElementType::u8, {weights.bytes()});
    weights.pack(q.inputs[1].value.data<int8_t>(), out.data<uint8_t>());
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    static const WinogradIsa isa{nullptr, nullptr, avx512vnni::dense_int16, true, true};
    return std::make_unique<WinogradKernel>(q, 4, isa);
  }
};
#endif

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I, 4>>("convolution_winograd4x4_f32__", vector_isas[I].suffix, "Convolution", Row<I, 4>::pack), ...);
  (rows.add<Row<I, 2>>("convolution_winograd2x2_f32__", vector_isas[I].suffix, "Convolution", Row<I, 2>::pack), ...);
#if defined(__x86_64__)
  rows.add<WordsRow>("convolution_winograd4x4_int16__avx512vnni", "Convolution", WordsRow::pack);
  rows.add<BytesRow>("convolution_winograd4x4_int8__avx512vnni", "Convolution", BytesRow::pack);
#endif
  return rows;
}

}  // namespace

KernelList winograd_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
