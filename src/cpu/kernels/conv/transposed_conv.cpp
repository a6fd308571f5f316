// Rows of ConvolutionBackpropData (transposed convolution) whose windows lie side by side: kernel = stride, no padding.
//
// Each tap is a matrix product of its own over the same pixels. Its results belong to every second (third...) pixel of
// the output: with `stride_w * channels` elements between them they are rows of a matrix again, so the tile kernels and
// epilogues of dense products serve as they are.
#include <algorithm>
#include <string>
#include <utility>

#include "cpu/features.hpp"
#include "cpu/kernels/conv/geometry.hpp"
#include "cpu/kernels/gemm/dense.hpp"
#include "cpu/kernels/gemm/dense_rows.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu {
namespace {

struct Problem {
  int64_t images, channels, columns, in_h, in_w, kernel_h, kernel_w;
};

std::optional<Problem> problem_of(const KernelQuery& q, const char** why) {
  const auto a = q.attrs<ConvolutionBackpropData>();
  const Shape &x = q.inputs[0].shape, &w = q.inputs[1].shape, &y = q.outputs[0].shape;
  if (x.size() != 4 || w.size() != 4 || y.size() != 4) return *why = "takes two spatial dimensions", std::nullopt;
  const auto all = [](const std::vector<int64_t>& list, int64_t value) {
    return std::all_of(list.begin(), list.end(), [=](int64_t v) { return v == value; });
  };
  if (!all(a.pads_begin, 0) || !all(a.pads_end, 0) || !all(a.output_padding, 0) || !all(a.dilations, 1))
    return *why = "is padded or dilated", std::nullopt;
  const Shape strides = a.strides.empty() ? Shape{1, 1} : Shape(a.strides.begin(), a.strides.end());
  if (strides.size() != 2 || strides[0] != w[2] || strides[1] != w[3])
    return *why = "windows are not as far apart as they are large", std::nullopt;
  const Problem p{x[0], x[1], w[1], x[2], x[3], w[2], w[3]};
  if (w[0] != p.channels || y != Shape{p.images, p.columns, p.in_h * p.kernel_h, p.in_w * p.kernel_w})
    return *why = "the output is not as large as all windows", std::nullopt;
  return p;
}

DenseSpec spec_of(const KernelQuery& q, const Problem& p, const DenseRow& r) {
  DenseSpec s;
  s.kind = r.kind;
  s.deep = r.isa->deep;
  s.images = p.images;
  s.in_h = s.out_h = p.in_h;
  s.in_w = s.out_w = p.in_w;
  s.shuffle_h = p.kernel_h;
  s.shuffle_w = p.kernel_w;
  s.groups = p.kernel_h * p.kernel_w;
  s.channels = p.channels;
  s.columns = p.columns;
  s.a_type = *num_of(q.inputs[0].type);
  s.a_pixel = p.channels;
  s.a_row = p.channels * p.in_w;
  for (int64_t n = 0; n < p.images; ++n) s.a_image.push_back(n * p.in_h * s.a_row);
  if (q.inputs[0].quantization) s.a_zero = q.inputs[0].quantization->zero_point(0);
  return s;
}

template <size_t I>
struct Row {
  static constexpr const DenseRow& r = dense_rows[I];
  static Support supports(const KernelQuery& q) {
    if (!(features().*r.has)) return Support::no(std::string("the CPU has no ").append(r.needs));
    const TensorDesc &x = q.inputs[0], &w = q.inputs[1], &y = q.outputs[0];
    const char* why = nullptr;
    if (!problem_of(q, &why)) return Support::no(why);
    if (x.layout != Layout::channels_last || y.layout != Layout::channels_last)
      return Support::no("takes channels-last tensors only");
    if (!w.constant || w.layout != Layout::plain) return Support::no("weights are not constant in plain order");
    if (r.kind == DenseKind::int8) {
      if (auto s = supports_bytes(x, w, w.shape[1]); !s) return s;
      if (w.quantization->scales.size() != 1 && w.quantization->axis != 1)
        return Support::no("the weights' scales are not of the output channels");
      if (x.shape[1] > 60000) return Support::no("sums of more than 60000 products may leave 32 bits");
    } else if (!is_float(w.type)) {
      return Support::no(std::string("weights are ") + name_of(w.type));
    } else if (x.type != ElementType::f32 && x.type != ElementType::bf16) {
      return Support::no(std::string("activations are ") + name_of(x.type));
    }
    if (r.kind == DenseKind::bf16 && x.type != ElementType::bf16 && !q.bf16_compute)
      return Support::no("f32 factors are not to be rounded to bf16");
    for (const EpilogueOperand& o : q.epilogue.operands) {
      if (o.spread == Spread::full) return Support::no("an operand of the epilogue is as large as the result");
    }
    return supports_epilogue(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    const char* why = nullptr;
    const Problem p = *problem_of(q, &why);
    KernelPlan plan;
    plan.packs.push_back({1, std::string("taps_") + packed_form(r.kind, r.isa->deep)});
    plan.cost = 1 + 2e-3 * double(p.images * p.in_h * p.in_w * p.kernel_h * p.kernel_w) *
                        double(p.channels * p.columns) / r.rate(p.images * p.in_h * p.in_w, p.channels);
    return plan;
  }
  // src = channel-column-tap  dst = tap-column/16-channel-16
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const char* why = nullptr;
    const Problem p = *problem_of(q, &why);
    const PackedB shape = spec_of(q, p, r).packed();
    Tensor value = q.inputs[1].value;
    if (r.kind != DenseKind::int8 && value.element_type() != ElementType::bf16)
      value = value.converted(ElementType::f32);
    const int64_t taps = p.kernel_h * p.kernel_w, first = 0;
    const SourceB from{value.raw(), *num_of(value.element_type()), 1, taps, &first, p.channels, p.columns * taps, 0};
    Tensor out(ElementType::u8, {int64_t(shape.bytes())});
    pack_b(shape, from, out.data<uint8_t>(), nullptr);
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    const char* why = nullptr;
    const Problem p = *problem_of(q, &why);
    EpiloguePlan epilogue(q, p.columns, p.in_h * p.kernel_h * p.in_w, r.kind == DenseKind::int8);
    if (r.kind == DenseKind::int8) {
      std::vector<float> dequant(size_t(p.columns) + 16);
      const Quantization& w = *q.inputs[1].quantization;
      for (size_t c = 0; c < dequant.size(); ++c)
        dequant[c] = q.inputs[0].quantization->scale(0) * w.scale(std::min(c, size_t(p.columns - 1)));
      epilogue.set_dequant(std::move(dequant), p.channels);
    }
    return std::make_unique<DenseKernel>(spec_of(q, p, r), *r.isa, std::move(epilogue), q.threads, nullptr);
  }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I>>("convolution_backprop_data_taps_", dense_rows[I].suffix, "ConvolutionBackpropData", Row<I>::pack),
   ...);
  return rows;
}

}  // namespace

KernelList transposed_convolution_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_dense_rows>());
  return rows.list();
}

}  // namespace hone::cpu
