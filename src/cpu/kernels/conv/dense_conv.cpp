// Rows of Convolution and GroupConvolution (not depthwise) on the dense tile kernels.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/kernels/conv/geometry.hpp"
#include "cpu/kernels/gemm/dense.hpp"
#include "cpu/kernels/gemm/dense_rows.hpp"
#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {
namespace {

struct Problem {
  Window window;
  int64_t groups, channels, columns;  ///< of one group
};

bool is_grouped(const KernelQuery& q) {
  return q.op == "GroupConvolution";
}

std::optional<Problem> problem_of(const KernelQuery& q) {
  const bool grouped = is_grouped(q);
  const Shape& w = q.inputs[1].shape;
  const size_t lead = grouped ? 3 : 2;
  if (w.size() < lead + 1) return std::nullopt;
  const std::vector<int64_t> kernel(w.begin() + int64_t(lead), w.end());
  std::optional<Window> window;
  auto read = [&](const auto& c) {
    window = window_of(q.inputs[0].shape, q.outputs[0].shape, kernel, c.strides, c.dilations, c.pads_begin, c.auto_pad);
  };
  if (grouped) {
    read(q.attrs<GroupConvolution>());
  } else {
    read(q.attrs<Convolution>());
  }
  if (!window) return std::nullopt;
  if (grouped) return Problem{*window, w[0], w[2], w[1]};
  return Problem{*window, 1, w[1], w[0]};
}

Support supports_kind(const KernelQuery& q, DenseKind kind, bool cpu_has_it, const char* isa) {
  if (!cpu_has_it) return Support::no(std::string("the CPU has no ") + isa);
  const TensorDesc &x = q.inputs[0], &w = q.inputs[1], &y = q.outputs[0];
  const auto p = problem_of(q);
  if (!p) return Support::no("takes one or two spatial dimensions");
  if (is_grouped(q) && p->channels == 1 && p->columns == 1)
    return Support::no("groups of one channel are left to the depthwise kernels");
  if (y.layout != Layout::channels_last) return Support::no("writes channels-last only");
  if (x.layout != Layout::channels_last && (p->channels > 16 || is_grouped(q))) {
    return Support::no("reads the plain layout only where the input has at most 16 channels");
  }
  if (w.layout != Layout::plain) return Support::no("weights lie in another layout than the plain one");
  if (kind == DenseKind::int8) {
    if (auto s = supports_bytes(x, w, p->groups * p->columns); !s) return s;
    const int64_t k = p->channels * p->window.kernel_h * p->window.kernel_w;
    if (k > 60000) return Support::no("sums of more than 60000 products may leave 32 bits");
  } else {
    if (x.type != ElementType::f32 && x.type != ElementType::bf16 && x.type != ElementType::f16) {
      return Support::no(std::string("activations are ") + name_of(x.type) + ", not f32, bf16 or f16");
    }
    if (!is_float(w.type)) return Support::no(std::string("weights are ") + name_of(w.type));
    if (!w.constant && w.type != ElementType::f32 && w.type != ElementType::bf16) {
      return Support::no("weights that are not constant must be f32 or bf16");
    }
    const bool wants_bf16 = x.type == ElementType::bf16 || q.bf16_compute;
    if (kind == DenseKind::bf16 && x.type == ElementType::f16)
      return Support::no("f16 activations are computed in f32");
    if (kind == DenseKind::bf16 && !wants_bf16) return Support::no("f32 factors are not to be rounded to bf16");
  }
  return supports_epilogue(q);
}

DenseSpec spec_of(const KernelQuery& q, const Problem& p, const DenseRow& r) {
  const Window& v = p.window;
  DenseSpec s;
  s.kind = r.kind;
  s.deep = r.isa->deep;
  s.images = v.images;
  s.in_h = v.in_h;
  s.in_w = v.in_w;
  s.out_h = v.out_h;
  s.out_w = v.out_w;
  s.groups = p.groups;
  s.channels = p.channels;
  s.columns = p.columns;
  s.kernel_h = v.kernel_h;
  s.kernel_w = v.kernel_w;
  s.stride_h = v.stride_h;
  s.stride_w = v.stride_w;
  s.dilation_h = v.dilation_h;
  s.dilation_w = v.dilation_w;
  s.pad_top = v.pad_top;
  s.pad_left = v.pad_left;
  s.a_type = *num_of(q.inputs[0].type);
  const int64_t channels = v.channels;
  if (q.inputs[0].layout == Layout::channels_last) {
    s.a_channel = 1;
    s.a_pixel = channels;
    s.a_row = channels * v.in_w;
    s.a_group = p.channels;
  } else {
    s.a_channel = v.in_h * v.in_w;
    s.a_pixel = 1;
    s.a_row = v.in_w;
  }
  for (int64_t n = 0; n < v.images; ++n) s.a_image.push_back(n * channels * v.in_h * v.in_w);
  if (q.inputs[0].quantization) s.a_zero = q.inputs[0].quantization->zero_point(0);
  return s;
}

// Weights [G, O, I, kh, kw] as B: columns O; runs over kernel rows with (kw, I) inside, or over all taps with I inside.
std::unique_ptr<DenseKernel::LooseB> source_of(const DenseSpec& s, ElementType type) {
  auto b = std::make_unique<DenseKernel::LooseB>();
  const int64_t taps = s.kernel_h * s.kernel_w;
  SourceB& from = b->source;
  from.type = *num_of(type);
  from.group = s.columns * s.channels * taps;
  from.column = s.channels * taps;
  from.inner = s.channels;
  from.inner_step = taps;
  from.outer_step = 1;
  for (int64_t y = 0; y < s.kernel_h; ++y) {
    if (s.taps_are_contiguous()) {
      b->run_offsets.push_back(y * s.kernel_w);
    } else {
      for (int64_t x = 0; x < s.kernel_w; ++x) b->run_offsets.push_back(y * s.kernel_w + x);
    }
  }
  b->b_offsets = {0};
  return b;
}

double cost_of(const Problem& p, const DenseRow& r, const PackedB& packed) {
  const Window& v = p.window;
  const double gflops = r.rate(v.images * v.out_h * v.out_w, packed.run_length);
  const double macs =
      double(v.images * v.out_h * v.out_w) * double(p.groups * p.columns * p.channels * v.kernel_h * v.kernel_w);
  // Few columns of a group leave the rest of a vector empty.
  const double fill = p.groups > 1 ? std::min(1.0, double(p.columns) / 20) : 1;
  return 1.0 + 2 * macs / (gflops * 1e3 * fill);
}

KernelPlan plan_row(const KernelQuery& q, const DenseRow& r) {
  KernelPlan plan;
  const Problem p = *problem_of(q);
  const PackedB packed = spec_of(q, p, r).packed();
  if (q.inputs[1].constant) plan.packs.push_back({1, packed.form()});
  plan.cost = cost_of(p, r, packed);
  // Pixels gathered from planes.
  if (q.inputs[0].layout != Layout::channels_last) plan.cost += double(q.inputs[0].size()) * 0.5e-3;
  return plan;
}

Tensor pack_row(const KernelQuery& q, const DenseRow& r) {
  const Problem p = *problem_of(q);
  const DenseSpec s = spec_of(q, p, r);
  const PackedB shape = s.packed();
  Tensor value = q.inputs[1].value;
  if (r.kind != DenseKind::int8 && value.element_type() != ElementType::bf16) value = value.converted(ElementType::f32);
  const auto from = source_of(s, value.element_type());
  from->source.data = value.raw();
  from->source.run_offsets = from->run_offsets.data();
  Tensor out(ElementType::u8, {int64_t(shape.bytes())});
  pack_b(shape, from->source, out.data<uint8_t>(), nullptr);
  return out;
}

std::unique_ptr<PreparedKernel> prepare_row(const KernelQuery& q, const DenseRow& r) {
  const Problem p = *problem_of(q);
  DenseSpec s = spec_of(q, p, r);
  EpiloguePlan epilogue(q, p.groups * p.columns, p.window.out_h * p.window.out_w, r.kind == DenseKind::int8);
  if (r.kind == DenseKind::int8) {
    const Quantization &x = *q.inputs[0].quantization, &w = *q.inputs[1].quantization;
    std::vector<float> dequant(size_t(p.groups * p.columns) + 16);
    for (size_t c = 0; c < dequant.size(); ++c) {
      dequant[c] = x.scale(0) * w.scale(std::min(c, size_t(p.groups * p.columns - 1)));
    }
    epilogue.set_dequant(std::move(dequant), s.channels * s.kernel_h * s.kernel_w);
  }
  const bool packed = q.inputs[1].constant;
  auto loose = packed ? nullptr : source_of(s, q.inputs[1].type);
  return std::make_unique<DenseKernel>(std::move(s), *r.isa, std::move(epilogue), q.threads, std::move(loose));
}

template <size_t I>
struct Row {
  static constexpr const DenseRow& r = dense_rows[I];
  static Support supports(const KernelQuery& q) { return supports_kind(q, r.kind, features().*r.has, r.needs); }
  static KernelPlan plan(const KernelQuery& q) { return plan_row(q, r); }
  static Tensor pack(const KernelQuery& q, const PackedInput&) { return pack_row(q, r); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return prepare_row(q, r); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I>>("convolution_", dense_rows[I].suffix, "Convolution", Row<I>::pack), ...);
  (rows.add<Row<I>>("group_convolution_", dense_rows[I].suffix, "GroupConvolution", Row<I>::pack), ...);
  return rows;
}

}  // namespace

KernelList dense_convolution_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_dense_rows>());
  return rows.list();
}

}  // namespace hone::cpu
