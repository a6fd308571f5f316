// Rows of GroupConvolution with groups of 4 or 8 channels (16 in bf16), as many out as in, over channels-last pixels:
// products of their few columns would leave most of a vector empty, so that here lanes are the channels of several
// groups. Taps beyond the input are left out instead of padded.
#include <algorithm>
#include <utility>

#include "cpu/features.hpp"
#include "cpu/kernels/conv/geometry.hpp"
#include "cpu/kernels/conv/narrow_groups_view.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/registry.hpp"

namespace hone::cpu {
#if defined(__x86_64__)
namespace {

constexpr int64_t lanes = 16, tile_pixels = 16, tile_channels = 64;

std::optional<Window> window_of_groups(const KernelQuery& q) {
  const Shape& w = q.inputs[1].shape;
  if (w.size() < 4 || w[1] != w[2] || (w[1] != 4 && w[1] != 8 && w[1] != 16)) return std::nullopt;
  const auto a = q.attrs<GroupConvolution>();
  return window_of(q.inputs[0].shape, q.outputs[0].shape, {w.begin() + 3, w.end()}, a.strides, a.dilations,
                   a.pads_begin, a.auto_pad);
}

// src = channel-input-tap  dst = 16 channels-tap-input-channel; of bf16, pairs of inputs stay together
template <class T>
void pack_groups(const float* from, T* to, int64_t channels, int64_t group, int64_t taps, int64_t pair) {
  for (int64_t block = 0; block < channels; block += lanes) {
    for (int64_t t = 0; t < taps; ++t) {
      for (int64_t i = 0; i < group; i += pair) {
        for (int64_t c = block; c < block + lanes; ++c) {
          for (int64_t k = i; k < i + pair; ++k) *to++ = T(c < channels ? from[(c * group + k) * taps + t] : 0.0f);
        }
      }
    }
  }
}

struct Type {
  ElementType type;
  const char* form;
  void (*run)(const NarrowGroupsView&, int);
  EpilogueFn epilogue;
  bool Features::*has;
  const char* needs;
  double speed;  // products a nanosecond
  int64_t most;  // channels of a group: where products in groups of their own are as fast
};
constexpr Type types[] = {{ElementType::f32, "groups16_f32", avx512::narrow_groups, avx512::epilogue_tile,
                           &Features::avx512, "the CPU has no AVX-512", 35, 8},
                          {ElementType::bf16, "groups16_bf16", avx512bf16::narrow_groups, avx512bf16::epilogue_tile,
                           &Features::avx512_bf16, "the CPU has no AVX-512 BF16", 100, 16}};

// Taps [first, last) of a window that begins at `start` lie inside of [0, size).
std::pair<int64_t, int64_t> inside(int64_t start, int64_t taps, int64_t dilation, int64_t size) {
  int64_t first = 0, last = taps;
  while (first < taps && start + first * dilation < 0) ++first;
  while (last > first && start + (last - 1) * dilation >= size) --last;
  return {first, last};
}

template <size_t I>
struct NarrowRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : w_(*window_of_groups(q)),
          group_(q.inputs[1].shape[1]),
          epilogue_(q, w_.channels, w_.out_h * w_.out_w, false) {}

    void run(const KernelArgs& args) noexcept override {
      OperandView operands[EpiloguePlan::max_operands];
      const EpilogueView epilogue = epilogue_.bind(args, operands);
      const int64_t work = w_.out_w * w_.channels * w_.kernel_h * w_.kernel_w * group_;
      args.pool.parallel_for(w_.images * w_.out_h, std::max<int64_t>(1, 200000 / std::max<int64_t>(1, work)),
                             [&](int64_t begin, int64_t end, int) {
                               for (int64_t row = begin; row < end; ++row) run_row(args, epilogue, row);
                             });
    }

   private:
    void run_row(const KernelArgs& args, const EpilogueView& epilogue, int64_t row) const {
      const int64_t top = row % w_.out_h * w_.stride_h - w_.pad_top, size = I == 0 ? 4 : 2;
      const auto [y0, y1] = inside(top, w_.kernel_h, w_.dilation_h, w_.in_h);
      const int64_t line = (row / w_.out_h * w_.in_h + top + y0 * w_.dilation_h) * w_.in_w;
      const int64_t taps = w_.kernel_h * w_.kernel_w, w_tap = group_ * lanes;
      // Results whose windows lie inside from end to end.
      const int64_t left = std::min(w_.out_w, (w_.pad_left + w_.stride_w - 1) / w_.stride_w);
      const int64_t last_start = w_.in_w - 1 - (w_.kernel_w - 1) * w_.dilation_w + w_.pad_left;
      const int64_t right = std::max(left, std::min(w_.out_w, last_start < 0 ? 0 : last_start / w_.stride_w + 1));
      NarrowGroupsView v{};
      v.row_step = w_.dilation_h * w_.in_w * w_.channels;
      v.tap_step = w_.dilation_w * w_.channels;
      v.pixel_step = w_.stride_w * w_.channels;
      v.w_row = w_.kernel_w * w_tap;
      v.w_block = taps * w_tap;
      v.ny = int(y1 - y0);
      const bool slides = w_.kernel_w == 3 && w_.dilation_w == 1 && w_.stride_w <= 2;
      v.slide = slides ? int(w_.stride_w) : 0;
      alignas(64) float tile[tile_pixels * tile_channels];
      for (int64_t c = 0; c < w_.channels; c += tile_channels) {
        const int64_t cols = std::min(tile_channels, w_.channels - c);
        v.blocks = int((cols + lanes - 1) / lanes);
        for (int64_t x = 0; x < w_.out_w; x += tile_pixels) {
          const int64_t end = std::min(x + tile_pixels, w_.out_w);
          for (int64_t i = x; i < end; i += v.pixels) {
            v.pixels = slides || (i >= left && std::min(end, right) - i >= narrow_pixels) ? narrow_pixels : 1;
            const int64_t start = i * w_.stride_w - w_.pad_left;
            const int64_t inputs =
                slides ? (std::min<int64_t>(end - i, narrow_pixels) - 1) * w_.stride_w + 3 : w_.kernel_w;
            const auto [first, last] = inside(start, inputs, w_.dilation_w, w_.in_w);
            v.first = int(first);
            v.last = int(last);
            v.x = static_cast<const char*>(args.inputs[0]) + ((line + start) * w_.channels + c) * size;
            v.w = static_cast<const char*>(args.inputs[1]) + (c / lanes * v.w_block + y0 * v.w_row) * size;
            v.acc = tile + (i - x) * tile_channels;
            types[I].run(v, int(group_));
          }
          types[I].epilogue(epilogue, TileView{tile, tile_channels, int(end - x), int(cols), row * w_.out_w + x, c});
        }
      }
    }

    Window w_;
    int64_t group_;
    EpiloguePlan epilogue_;
  };

  static Support supports(const KernelQuery& q) {
    if (!(features().*types[I].has)) return Support::no(types[I].needs);
    if (!window_of_groups(q) || q.inputs[1].shape[1] > types[I].most)
      return Support::no("takes groups of a few channels, as many out as in");
    if (q.inputs[0].layout != Layout::channels_last || q.outputs[0].layout != Layout::channels_last)
      return Support::no("takes channels-last tensors only");
    const TensorDesc& w = q.inputs[1];
    if (q.inputs[0].type != types[I].type)
      return Support::no(std::string("activations are ") + name_of(q.inputs[0].type));
    if (!w.constant || !is_float(w.type) || w.layout != Layout::plain)
      return Support::no("takes constant weights in the plain layout");
    return supports_epilogue(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    const Window w = *window_of_groups(q);
    KernelPlan p;
    p.packs.push_back({1, types[I].form});
    p.cost = 1 + double(q.outputs[0].size()) * double(w.kernel_h * w.kernel_w * q.inputs[1].shape[1]) * 1e-3 /
                     types[I].speed;
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const Window w = *window_of_groups(q);
    const int64_t taps = w.kernel_h * w.kernel_w, group = q.inputs[1].shape[1];
    const int64_t n = (w.channels + lanes - 1) / lanes * lanes * taps * group;
    const Tensor value = q.inputs[1].value.converted(ElementType::f32);
    Tensor out(ElementType::u8, {n * (I == 0 ? 4 : 2)});
    if constexpr (I == 0) {
      pack_groups(value.data<float>(), reinterpret_cast<float*>(out.data<uint8_t>()), w.channels, group, taps, 1);
    } else {
      pack_groups(value.data<float>(), reinterpret_cast<bfloat16*>(out.data<uint8_t>()), w.channels, group, taps, 2);
    }
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

}  // namespace

KernelList narrow_group_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<NarrowRow<0>>("group_convolution_narrow_f32_8x16__avx512", "GroupConvolution", NarrowRow<0>::pack);
    r.add<NarrowRow<1>>("group_convolution_narrow_bf16_8x16__avx512bf16", "GroupConvolution", NarrowRow<1>::pack);
    return r;
  }();
  return rows.list();
}
#else
KernelList narrow_group_kernels() {
  return {};
}
#endif

}  // namespace hone::cpu
