// Rows for the gradient of a convolution to its data on AMX tiles: the convolution of dy with the flipped weights, the
// way forward convolutions are computed there. Output pixels between those of a stride have windows of their own sizes,
// so only stride 1 goes this way.
#include <algorithm>
#include <utility>

#include "cpu/features.hpp"
#include "cpu/kernels/gemm/dense.hpp"
#include "cpu/kernels/gemm/dense_rows.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/training/convolution_geometry.hpp"
#include "cpu/kernels/training/families.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

DenseSpec spec_of(const KernelQuery& q, const ConvolutionGeometry& g) {
  DenseSpec s;
  s.kind = DenseKind::bf16;
  s.images = g.batch;
  s.in_h = g.result_height;
  s.in_w = g.result_width;
  s.out_h = g.data_height;
  s.out_w = g.data_width;
  s.groups = g.groups;
  s.channels = g.result_channels;
  s.columns = g.data_channels;
  s.kernel_h = g.kernel_height;
  s.kernel_w = g.kernel_width;
  s.dilation_h = g.dilation_y;
  s.dilation_w = g.dilation_x;
  s.pad_top = (g.kernel_height - 1) * g.dilation_y - g.pad_top;
  s.pad_left = (g.kernel_width - 1) * g.dilation_x - g.pad_left;
  s.a_type = *num_of(q.inputs[0].type);
  s.a_pixel = g.result_channels * g.groups;
  s.a_row = s.a_pixel * g.result_width;
  s.a_group = g.result_channels;
  for (int64_t n = 0; n < g.batch; ++n) s.a_image.push_back(n * s.a_row * g.result_height);
  return s;
}

/// Weights [G, O, I, kh, kw] as B: columns I, O inside, taps backwards.
std::unique_ptr<DenseKernel::LooseB> source_of(const DenseSpec& s, ElementType type) {
  auto b = std::make_unique<DenseKernel::LooseB>();
  const int64_t taps = s.kernel_h * s.kernel_w;
  SourceB& from = b->source;
  from.type = *num_of(type);
  from.group = s.columns * s.channels * taps;
  from.column = taps;
  from.inner = s.channels;
  from.inner_step = s.columns * taps;
  from.outer_step = -1;
  for (int64_t tap = taps - 1; tap >= 0; tap -= s.taps_are_contiguous() ? s.kernel_w : 1) b->run_offsets.push_back(tap);
  b->b_offsets = {0};
  return b;
}

Support supports_row(const KernelQuery& q, const DenseRow& r) {
  if (!(features().*r.has)) return Support::no(std::string("the CPU has no ") + r.needs);
  if (q.inputs.size() < 2 || q.outputs.empty()) return Support::no("inputs are missing");
  const TensorDesc& w = q.inputs[1];
  if (w.constant) return Support::no("the weights are constant: they would be packed in each run");
  if (w.type != ElementType::f32 && w.type != ElementType::bf16) return Support::no("weights are not f32 or bf16");
  if (w.layout != Layout::plain) return Support::no("weights are not in plain order");
  if (auto why = refuse_activation(q.inputs[0], "the input"); !why.empty()) return Support::no(why);
  if (auto why = refuse_activation(q.outputs[0], "the output"); !why.empty()) return Support::no(why);
  if (q.inputs[0].type != ElementType::bf16 && !q.bf16_compute)
    return Support::no("f32 factors are not to be rounded to bf16");
  ConvolutionGeometry g;
  if (auto why = read_geometry(q, g); !why.empty()) return Support::no(why);
  if (g.stride_x != 1 || g.stride_y != 1)
    return Support::no("takes stride 1: pixels between strides have windows of their own");
  if (g.groups > 1 && g.data_channels == 1 && g.result_channels == 1)
    return Support::no("depthwise: a kernel of its own");
  const DenseSpec s = spec_of(q, g);
  if (s.pad_top < 0 || s.pad_left < 0) return Support::no("the padding is wider than the window");
  // The epilogue's columns are channels last; the added tensor as well.
  for (const EpilogueOperand& o : q.epilogue.operands) {
    if (o.spread == Spread::full && o.input < q.inputs.size() && !channels_last(q.inputs[o.input]))
      return Support::no("an operand of the epilogue is not in channels_last order");
  }
  return supports_epilogue(q);
}

template <size_t I>
struct Row {
  static constexpr const DenseRow& r = dense_rows[I];
  static Support supports(const KernelQuery& q) { return supports_row(q, r); }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    ConvolutionGeometry g;
    if (!read_geometry(q, g).empty()) return p;
    const double macs = static_cast<double>(g.batch * g.data_height * g.data_width) *
                        static_cast<double>(g.groups * g.data_channels * g.result_channels * g.taps());
    // as the forward rows on tiles
    const double rate = r.rate(g.batch * g.data_height * g.data_width, spec_of(q, g).packed().run_length);
    p.cost = 1.0 + 2 * macs / (rate * 1e3);
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    ConvolutionGeometry g;
    read_geometry(q, g);
    DenseSpec s = spec_of(q, g);
    EpiloguePlan epilogue(q, g.groups * g.data_channels, g.data_height * g.data_width, false);
    auto weights = source_of(s, q.inputs[1].type);
    return std::make_unique<DenseKernel>(std::move(s), *r.isa, std::move(epilogue), q.threads, std::move(weights));
  }
};

constexpr bool on_tiles(const DenseRow& r) {
  return r.kind == DenseKind::bf16 && (r.has == &Features::amx_bf16 || r.has == &Features::amx_stand_in);
}

template <size_t I>
void add_row(RowList& rows) {
  if constexpr (on_tiles(dense_rows[I])) {
    rows.add<Row<I>>("convolution_backprop_data_", dense_rows[I].suffix, ConvolutionBackpropData::name);
    rows.add<Row<I>>("group_convolution_backprop_data_", dense_rows[I].suffix, GroupConvolutionBackpropData::name);
  }
}
template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (add_row<I>(rows), ...);
  return rows;
}

}  // namespace
}  // namespace hone::cpu::training

namespace hone::cpu {
KernelList training_dense_data_gradient() {
  static const RowList rows = training::make_rows(std::make_index_sequence<num_dense_rows>());
  return rows.list();
}
}  // namespace hone::cpu
