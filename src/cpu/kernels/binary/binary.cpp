// Rows of BinaryConvolution. The signs of x are packed into words first, with a border for the padding; then windows
// are compared with the weights bit by bit.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/kernels/binary/binary_view.hpp"
#include "cpu/kernels/conv/geometry.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "ops/binary_convolution.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t panel = 16;

struct BinaryIsaRow {
  const char* suffix;
  const BinaryIsa* isa;
  EpilogueFn finish;
  bool (*has)();
  const char* needs;
  double gops;
};
#if defined(__x86_64__)
// CPUs with VNNI came with both or without; HONE_ISA=vnni caps at them.
bool counts_bits() {
  return features().avx512_vnni && __builtin_cpu_supports("avx512vpopcntdq");
}
constexpr BinaryIsaRow isa_rows[] = {
    {"7x64__avx512popcnt", &avx512popcnt::binary, avx512::epilogue_tile, counts_bits, "AVX-512 VPOPCNTDQ", 2000},
    {"3x16__avx2", &avx2::binary, avx2::epilogue_tile, [] { return features().avx2; }, "AVX2", 400},
};
#elif defined(__aarch64__)
constexpr BinaryIsaRow isa_rows[] = {
    {"3x16__neon", &neon::binary, neon::epilogue_tile, [] { return features().neon; }, "NEON", 200},
};
#endif
constexpr size_t num_isa_rows = sizeof(isa_rows) / sizeof(BinaryIsaRow);

struct Problem {
  Window w;
  int64_t columns, words, taps;
  double pad_value;
  // x with its border
  int64_t high, wide;

  int64_t panels() const { return (columns + panel - 1) / panel; }
  int64_t panel_words() const { return taps * words * panel; }
};

std::optional<Problem> problem_of(const KernelQuery& q) {
  const auto op = q.attrs<BinaryConvolution>();
  const Shape &x = q.inputs[0].shape, &w = q.inputs[1].shape;
  if (x.size() != 4 || w.size() != 4) return std::nullopt;
  const auto window =
      window_of(x, q.outputs[0].shape, {w[2], w[3]}, op.strides, op.dilations, op.pads_begin, op.auto_pad);
  if (!window) return std::nullopt;
  Problem p;
  p.w = *window;
  p.columns = w[0];
  p.words = (p.w.channels + 31) / 32;
  p.taps = p.w.kernel_h * p.w.kernel_w;
  p.pad_value = op.pad_value;
  // As far as windows reach, and at least as far as the image does.
  p.high = std::max((p.w.out_h - 1) * p.w.stride_h + (p.w.kernel_h - 1) * p.w.dilation_h + 1, p.w.pad_top + p.w.in_h);
  p.wide = std::max((p.w.out_w - 1) * p.w.stride_w + (p.w.kernel_w - 1) * p.w.dilation_w + 1, p.w.pad_left + p.w.in_w);
  return p;
}

// src = o-c-kh-kw, bits  dst = o/16-kh-kw-c/32-o%16, words; behind them the sum of each tap: o/16-kh-kw-o%16, f32
Tensor pack_weights(const Problem& p, const Tensor& w) {
  const int64_t words = p.panels() * p.panel_words(), sums = p.panels() * p.taps * panel;
  Tensor out(ElementType::u8, {(words + sums) * 4});
  auto* to = reinterpret_cast<uint32_t*>(out.raw());
  auto* sum = reinterpret_cast<float*>(to + words);
  const auto* bits = static_cast<const uint8_t*>(w.raw());
  for (int64_t o = 0; o < p.columns; ++o) {
    for (int64_t t = 0; t < p.taps; ++t) {
      int64_t ones = 0;
      for (int64_t c = 0; c < p.w.channels; ++c) {
        if (!binary_weight(bits, static_cast<size_t>((o * p.w.channels + c) * p.taps + t))) continue;
        to[o / panel * p.panel_words() + (t * p.words + c / 32) * panel + o % panel] |= 1u << (c % 32);
        ++ones;
      }
      sum[(o / panel * p.taps + t) * panel + o % panel] = float(2 * ones - p.w.channels);
    }
  }
  return out;
}

class Prepared final : public PreparedKernel {
 public:
  Prepared(const KernelQuery& q, const BinaryIsaRow& row)
      : p_(*problem_of(q)),
        isa_(*row.isa),
        finish_(with_bf16(row.finish)),
        epilogue_(q, p_.columns, p_.w.out_h * p_.w.out_w, false),
        type_(*num_of(q.inputs[0].type)) {
    for (int64_t h = 0; h < p_.w.kernel_h; ++h) {
      for (int64_t w = 0; w < p_.w.kernel_w; ++w)
        taps_.push_back((h * p_.w.dilation_h * p_.wide + w * p_.w.dilation_w) * p_.words);
    }
  }
  size_t scratch_bytes() const override { return size_t(p_.w.images * p_.high * p_.wide * p_.words * 4 + 64); }

  void run(const KernelArgs& args) noexcept override {
    auto* signs = static_cast<uint32_t*>(args.scratch);
    args.pool.parallel_for(p_.w.images * p_.high, 1 + 16384 / (p_.wide * p_.w.channels),
                           [&](int64_t begin, int64_t end, int) {
                             for (int64_t r = begin; r < end; ++r)
                               pack_row(args.inputs[0], r / p_.high, r % p_.high, signs + r * p_.wide * p_.words);
                           });
    OperandView operands[EpiloguePlan::max_operands];
    const EpilogueView view = epilogue_.bind(args, operands);
    const int64_t block = isa_.panels * panel, blocks = (p_.columns + block - 1) / block,
                  rows = p_.w.images * p_.w.out_h;
    // Rows of one block of columns follow each other: its weights stay in cache.
    args.pool.parallel_for(blocks * rows, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        row(static_cast<const uint32_t*>(args.inputs[1]), signs, view, i % rows, i / rows * block);
    });
  }

 private:
  void pack_row(const void* x, int64_t image, int64_t h, uint32_t* to) const {
    const int64_t in_h = h - p_.w.pad_top, size = int64_t(num_bytes(type_));
    const auto border = [&](int64_t pixels) {
      for (int64_t i = 0; i < pixels; ++i) {
        for (int64_t w = 0; w < p_.words; ++w, ++to) {
          const int64_t left = p_.w.channels - w * 32;
          *to = p_.pad_value > 0 ? (left >= 32 ? ~0u : (1u << left) - 1u) : 0;
        }
      }
    };
    if (in_h < 0 || in_h >= p_.w.in_h) return border(p_.wide);
    border(p_.w.pad_left);
    isa_.signs(static_cast<const uint8_t*>(x) + (image * p_.w.in_h + in_h) * p_.w.in_w * p_.w.channels * size, type_,
               p_.w.in_w, p_.w.channels, to);
    to += p_.w.in_w * p_.words;
    border(p_.wide - p_.w.pad_left - p_.w.in_w);
  }

  void row(const uint32_t* weights, const uint32_t* signs, const EpilogueView& view, int64_t r, int64_t column) const {
    const int64_t image = r / p_.w.out_h, out_h = r % p_.w.out_h,
                  columns = std::min(isa_.panels * panel, p_.columns - column);
    const auto panels = int((columns + panel - 1) / panel);
    const auto* sums = reinterpret_cast<const float*>(weights + p_.panels() * p_.panel_words());
    alignas(64) float tile[binary_most_rows * binary_most_panels * panel];
    BinaryTile t{};
    t.pixel_step = p_.w.stride_w * p_.words;
    t.taps = taps_.data();
    t.num_taps = p_.taps;
    t.words = p_.words;
    t.weights = weights + column / panel * p_.panel_words();
    t.panel_words = p_.panel_words();
    t.base = float(p_.taps * p_.w.channels);
    t.to = tile;
    t.ld = panels * panel;
    for (int64_t w = 0; w < p_.w.out_w; w += isa_.rows) {
      const auto pixels = int(std::min<int64_t>(isa_.rows, p_.w.out_w - w));
      t.x = signs + ((image * p_.high + out_h * p_.w.stride_h) * p_.wide + w * p_.w.stride_w) * p_.words;
      isa_.tile[pixels - 1][panels - 1](t);
      if (p_.pad_value == 0) leave_out_padding(sums + column / panel * p_.taps * panel, out_h, w, pixels, panels, tile);
      finish_(view, {tile, t.ld, pixels, int(columns), r * p_.w.out_w + w, column});
    }
  }

  // Zeros in the border were counted as -1: what they gave is taken away again.
  void leave_out_padding(const float* sums, int64_t out_h, int64_t out_w, int pixels, int panels, float* tile) const {
    for (int r = 0; r < pixels; ++r) {
      const int64_t h0 = out_h * p_.w.stride_h - p_.w.pad_top, w0 = (out_w + r) * p_.w.stride_w - p_.w.pad_left;
      const bool inside = h0 >= 0 && w0 >= 0 && h0 + (p_.w.kernel_h - 1) * p_.w.dilation_h < p_.w.in_h &&
                          w0 + (p_.w.kernel_w - 1) * p_.w.dilation_w < p_.w.in_w;
      if (inside) continue;
      for (int64_t t = 0; t < p_.taps; ++t) {
        const int64_t h = h0 + t / p_.w.kernel_w * p_.w.dilation_h, w = w0 + t % p_.w.kernel_w * p_.w.dilation_w;
        if (h >= 0 && h < p_.w.in_h && w >= 0 && w < p_.w.in_w) continue;
        for (int c = 0; c < panels; ++c) {
          for (int64_t i = 0; i < panel; ++i) tile[(r * panels + c) * panel + i] += sums[(c * p_.taps + t) * panel + i];
        }
      }
    }
  }

  Problem p_;
  const BinaryIsa& isa_;
  EpilogueFn finish_;
  EpiloguePlan epilogue_;
  Num type_;
  std::vector<int64_t> taps_;
};

template <size_t I>
struct Row {
  static constexpr const BinaryIsaRow& r = isa_rows[I];
  static Support supports(const KernelQuery& q) {
    if (!r.has()) return Support::no(std::string("the CPU has no ") + r.needs);
    const ElementType x = q.inputs[0].type;
    if (x != ElementType::f32 && x != ElementType::bf16 && x != ElementType::f16)
      return Support::no(std::string("x is ") + name_of(x));
    if (!q.inputs[1].constant) return Support::no("the weights are not constant");
    for (const TensorDesc* d : {&q.inputs[0], &q.outputs[0]}) {
      if (d->layout != Layout::channels_last) return Support::no("takes channels-last images only");
    }
    const auto p = problem_of(q);
    if (!p) return Support::no("is not of two dimensions");
    if (p->w.channels == 0 || p->taps == 0 || p->columns == 0 || p->w.out_h <= 0 || p->w.out_w <= 0)
      return Support::no("there is nothing to convolve");
    if (p->w.pad_top < 0 || p->w.pad_left < 0) return Support::no("crops the image");
    if (p->taps * p->w.channels > (1 << 24)) return Support::no("sums of more than 2^24 products leave f32");
    return supports_epilogue(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    const Problem p = *problem_of(q);
    KernelPlan plan;
    plan.packs = {{1, "b16_bits32_sums"}};
    plan.cost = 1 + 2.0 * double(p.w.images * p.w.out_h * p.w.out_w * p.columns) * double(p.taps * p.words * 32) /
                        (r.gops * 1e3);
    return plan;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    return pack_weights(*problem_of(q), q.inputs[1].value);
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q, r); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I>>("binary_convolution_", isa_rows[I].suffix, "BinaryConvolution", Row<I>::pack), ...);
  return rows;
}

}  // namespace

KernelList binary_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_isa_rows>());
  return rows.list();
}

}  // namespace hone::cpu
