// Rows of depthwise convolution of bytes by dot products (see depthwise_dots_view.hpp), on CPUs with VNNI.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "cpu/kernels/conv/depthwise_dots_view.hpp"
#include "cpu/kernels/conv/depthwise_rows.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {

#if defined(__x86_64__)
namespace {

// Sums begin with what the zero point of unsigned inputs adds to them, so that is part of the form.
int32_t zero_point_of(const TensorDesc& x) {
  return x.quantization->zero_point(0) + (x.type == ElementType::i8 ? 128 : 0);
}
std::string form_of(const KernelQuery& q) {
  return "dots_c64x4_s8_zero" + std::to_string(zero_point_of(q.inputs[0]));
}

// How windows fall on groups of four rows and on columns by remainder of the stride.
struct Dots {
  int rows, groups, planes;
  int64_t reach, strip;  ///< strip: 0 where not even a short one fits
};
Dots dots_of(const Window& w) {
  Dots d{};
  d.groups = int((w.kernel_h + 3) / 4);
  d.rows = w.dilation_h == 1 && w.kernel_h + w.stride_h <= 4 * d.groups ? 2 : 1;
  for (int64_t k = 0; k < w.kernel_w; ++k) {
    d.planes = std::max(d.planes, int(k * w.dilation_w % w.stride_w) + 1);
    d.reach = std::max(d.reach, k * w.dilation_w / w.stride_w);
  }
  const int64_t columns = dots_bytes / (256 * d.groups * d.planes) - d.reach;
  if (columns < 8) return d;
  const int64_t strips = (w.out_w + columns / 4 * 4 - 1) / (columns / 4 * 4);
  d.strip = ((w.out_w + strips - 1) / strips + 3) / 4 * 4;
  // The last channels go 8 or 16 results at a time.
  for (int64_t units : {2, 1}) {
    const int64_t many = 16 / units, whole = (d.strip + many - 1) / many * many + d.reach + 4;
    if (whole * units * 64 * d.groups * d.planes > dots_bytes) d.strip = 0;
  }
  return d;
}

int64_t packed_bytes(const Window& w, const Dots& d, int64_t* blocks = nullptr) {
  int64_t n = 0;
  for (int64_t c = 0; c < w.channels; c += 16 * dots_units(w.channels - c)) ++n;
  if (blocks) *blocks = n;
  return n * 4 * (64 + d.groups * w.kernel_w * d.rows * 64);
}

// Calls f(lane, channel) for the 16 lanes of a quarter of a block at `first`.
template <class F>
void each_lane(int64_t first, int units, int quarter, const F& f) {
  for (int lane = 0; lane < 16; ++lane) f(lane, first + lane / 4 % units * 16 + quarter * 4 + lane % 4);
}

class DotsKernel : public PreparedKernel {
 public:
  explicit DotsKernel(const KernelQuery& q)
      : w_(*depthwise_window(q)), epilogue_(q, w_.channels, w_.out_h * w_.out_w, true) {
    const OperandView x = operand_of(q.inputs[0]);
    const Dots dots = dots_of(w_);
    const bool is_signed = x.type == Num::s8;
    view_.flip = is_signed ? 0x80 : 0;
    view_.outside = uint8_t(int(x.zero));
    view_.channels = w_.channels;
    view_.in_h = w_.in_h;
    view_.in_w = w_.in_w;
    view_.out_h = w_.out_h;
    view_.out_w = w_.out_w;
    view_.kernel_h = int(w_.kernel_h);
    view_.kernel_w = int(w_.kernel_w);
    view_.stride_h = int(w_.stride_h);
    view_.stride_w = int(w_.stride_w);
    view_.dilation_h = int(w_.dilation_h);
    view_.dilation_w = int(w_.dilation_w);
    view_.pad_top = w_.pad_top;
    view_.pad_left = w_.pad_left;
    view_.slides = w_.kernel_w == 3 && w_.kernel_h <= 3 && w_.stride_w <= 2 && w_.dilation_w == 1;
    view_.rows = dots.rows;
    view_.groups = dots.groups;
    view_.planes = dots.planes;
    view_.reach = dots.reach;
    view_.strip = dots.strip;
    view_.finish = avx512::epilogue_tile;
    if (features().avx512_bf16) view_.finish = avx512bf16::epilogue_tile;
    std::vector<float> dequant(size_t(w_.channels) + 16);
    for (size_t c = 0; c < dequant.size(); ++c)
      dequant[c] = x.scale * q.inputs[1].quantization->scale(std::min(c, size_t(w_.channels - 1)));
    epilogue_.set_dequant(std::move(dequant), w_.kernel_h * w_.kernel_w);
    epilogue_.make_curve(view_.finish);
    packed_bytes(w_, dots, &blocks_);
    // Factors that no input changes are computed by the first run: a thread that writes them anew would take them from
    // the caches of the others.
    keeps_ = epilogue_.requantizes() && std::all_of(q.inputs.begin() + int64_t(q.num_op_inputs), q.inputs.end(),
                                                    [](const TensorDesc& d) { return d.constant; });
    if (keeps_) kept_ = Tensor(ElementType::u8, {factor_bytes()});
    comp_.assign(size_t(w_.channels) + 32, 0);
  }
  size_t scratch_bytes() const override { return epilogue_.requantizes() && !keeps_ ? size_t(factor_bytes()) : 0; }

  void run(const KernelArgs& args) noexcept override {
    DotsView view = view_;
    view.x = static_cast<const uint8_t*>(args.inputs[0]);
    view.w = static_cast<const uint8_t*>(args.inputs[1]);
    OperandView operands[EpiloguePlan::max_operands];
    EpilogueView epilogue = epilogue_.bind(args, operands, comp_.data());
    if (keeps_) {
      std::call_once(first_run_,
                     [&] { kept_requant_ = requantize(epilogue, view.w, kept_.data<uint8_t>(), &kept_factors_); });
      epilogue.requant = kept_requant_;
      view.factors = kept_factors_;
    } else if (epilogue_.requantizes()) {
      epilogue.requant = requantize(epilogue, view.w, args.scratch, &view.factors);
    }
    view.epilogue = &epilogue;
    const int64_t items = (w_.out_h + view.rows - 1) / view.rows;
    const int64_t work = view.rows * w_.out_w * w_.channels * w_.kernel_h * w_.kernel_w;
    args.pool.parallel_for(w_.images * items, std::max<int64_t>(1, 80000 / std::max<int64_t>(1, work)),
                           [&](int64_t begin, int64_t end, int) {
                             for (int64_t i = begin; i < end; ++i)
                               avx512vnni::depthwise_dots(view, i / items, i % items * view.rows);
                           });
  }

 private:
  int64_t columns() const { return (w_.channels + 15) / 16 * 16 + 64; }
  int64_t factor_bytes() const { return (2 * columns() + blocks_ * 128) * int64_t(sizeof(float)); }
  RequantView requantize(EpilogueView epilogue, const uint8_t* w, void* to, const float** factors) const {
    float* scale = static_cast<float*>(to);
    float* offset = scale + columns();
    epilogue_.requantize(epilogue, scale, offset, w_.channels);
    if (epilogue.requant.residual) return {};  // that goes over tiles
    *factors = arrange(w, scale, offset, offset + columns());
    return epilogue.requant;
  }
  // Scales and offsets in the order of the dots; what sums begin with goes into the offsets.
  const float* arrange(const uint8_t* w, const float* scale, const float* offset, float* to) const {
    const int64_t quarter_bytes = packed_bytes(w_, dots_of(w_)) / (blocks_ * 4);
    float* out = to;
    for (int64_t c = 0; c < w_.channels;) {
      const int units = dots_units(w_.channels - c);
      for (int quarter = 0; quarter < 4; ++quarter, out += 32, w += quarter_bytes) {
        for (int unit = 0; unit < 4; ++unit) {
          const int64_t from = c + unit % units * 16 + quarter * 4;
          std::memcpy(out + unit * 4, scale + from, 16);
          std::memcpy(out + 16 + unit * 4, offset + from, 16);
        }
        int32_t start[16];
        std::memcpy(start, w, sizeof start);
        for (int i = 0; i < 16; ++i) out[16 + i] += float(start[i]) * out[i];
      }
      c += units * 16;
    }
    return to;
  }

  Window w_;
  EpiloguePlan epilogue_;
  DotsView view_{};
  int64_t blocks_ = 0;
  std::vector<int32_t> comp_;
  bool keeps_ = false;
  std::once_flag first_run_;
  Tensor kept_;
  RequantView kept_requant_{};
  const float* kept_factors_ = nullptr;
};

struct DotsRow {
  static Support supports(const KernelQuery& q) {
    if (!features().avx512_vnni) return Support::no("the CPU has no VNNI");
    const Support s = supports_depthwise(q);
    if (!s) return s;
    if (q.inputs[1].type != ElementType::i8 ||
        (q.inputs[0].type != ElementType::u8 && q.inputs[0].type != ElementType::i8))
      return Support::no("takes bytes with i8 weights only");
    const Window w = *depthwise_window(q);
    if (w.kernel_h > 8 || w.kernel_w > 8) return Support::no("takes windows of at most 8 x 8");
    if (dots_of(w).strip == 0) return Support::no("windows are too wide");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    const Window w = *depthwise_window(q);
    KernelPlan p;
    p.packs.push_back({1, form_of(q)});
    p.cost = 1 + double(q.outputs[0].size() * size_t(w.kernel_h * w.kernel_w)) * 1e-5;
    return p;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const Window w = *depthwise_window(q);
    const Dots d = dots_of(w);
    const int32_t zero = zero_point_of(q.inputs[0]);
    const int8_t* from = q.inputs[1].value.data<int8_t>();
    Tensor out(ElementType::u8, {packed_bytes(w, d)});
    uint8_t* to = out.data<uint8_t>();
    std::memset(to, 0, out.size());
    const int64_t taps = w.kernel_h * w.kernel_w;
    for (int64_t c = 0; c < w.channels;) {
      const int units = dots_units(w.channels - c);
      for (int quarter = 0; quarter < 4; ++quarter) {
        each_lane(c, units, quarter, [&](int lane, int64_t channel) {
          if (channel >= w.channels) return;
          int32_t sum = 0;
          for (int64_t t = 0; t < taps; ++t) sum += from[channel * taps + t];
          sum *= -zero;
          std::memcpy(to + lane * 4, &sum, 4);
        });
        to += 64;
        for (int g = 0; g < d.groups; ++g) {
          for (int64_t k = 0; k < w.kernel_w; ++k) {
            for (int r = 0; r < d.rows; ++r, to += 64) {
              each_lane(c, units, quarter, [&](int lane, int64_t channel) {
                for (int b = 0; b < 4 && channel < w.channels; ++b) {
                  const int64_t y = g * 4 + b - r * w.stride_h;
                  if (y >= 0 && y < w.kernel_h) to[lane * 4 + b] = uint8_t(from[channel * taps + y * w.kernel_w + k]);
                }
              });
            }
          }
        }
      }
      c += units * 16;
    }
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<DotsKernel>(q); }
};

}  // namespace

KernelList depthwise_dots_kernels() {
  static const Kernel rows[] = {{"group_convolution_depthwise_int8_4x64__avx512vnni", "hone", "GroupConvolution",
                                 DotsRow::supports, DotsRow::plan, DotsRow::pack, DotsRow::prepare}};
  return rows;
}
#else
KernelList depthwise_dots_kernels() {
  return {};
}
#endif

}  // namespace hone::cpu
