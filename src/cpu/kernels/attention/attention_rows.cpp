// Rows of StridedAttention.
#include <cmath>
#include <utility>

#include "cpu/kernels/attention/attention.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/gemm/dense_rows.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "ops/strided_attention.hpp"

namespace hone::cpu {
namespace {

// Steps of the mask along the dimensions of the batch, from row to row and from key to key.
std::optional<std::vector<int64_t>> mask_steps(const Shape& mask, const Shape& scores) {
  if (mask.size() > scores.size()) return std::nullopt;
  std::vector<int64_t> steps(scores.size(), 0);
  int64_t step = 1;
  for (size_t i = mask.size(), to = scores.size(); i-- > 0;) {
    --to;
    if (mask[i] != 1 && mask[i] != scores[to]) return std::nullopt;
    if (mask[i] != 1) steps[to] = step;
    step *= mask[i];
  }
  return steps;
}

// Is input `i` of bytes as its quantizer would leave them, from 0 on?
bool rounded_before(const KernelQuery& q, const StridedAttention& op, size_t i) {
  const TensorDesc& d = q.inputs[i];
  const auto& place = i == 0 ? op.query : i == 1 ? op.key : op.value;
  const int64_t rows = i == 0 ? op.sizes[0] : op.sizes[1], width = i == 2 ? op.sizes[3] : op.sizes[2];
  if (d.type != ElementType::u8 || !d.quantization || d.shape.empty()) return false;
  const Quantization& z = *d.quantization;
  const bool columns = z.scales.size() > 1;
  const int64_t n = d.shape.back(), rank = int64_t(d.shape.size());
  if (columns && (z.axis != rank - 1 || int64_t(z.scales.size()) != n || (rows > 1 && place.back() % n != 0)))
    return false;
  const auto offsets = attention_offsets(op, place, rows, width, int64_t(d.size()));
  if (!offsets) return false;
  const double* l = &op.levels[3 * i];
  for (int64_t at : *offsets) {
    for (int64_t k = 0; k < (columns ? width : 1); ++k) {
      const auto c = columns ? size_t((at + k) % n) : size_t(0);
      if (std::fabs(double(z.scale(c)) - l[0]) > 1e-6 * l[0] || z.zero_point(c) != -l[1]) return false;
    }
  }
  return true;
}

std::optional<AttentionSpec> spec_of(const KernelQuery& q, DenseKind kind, const char** why) {
  const auto op = q.attrs<StridedAttention>();
  if (op.sizes.size() != 4 || q.inputs.size() < 3) return *why = "the sizes are not four", std::nullopt;
  AttentionSpec s;
  s.kind = kind;
  s.rows = op.sizes[0];
  s.keys = op.sizes[1];
  s.features = op.sizes[2];
  s.width = op.sizes[3];
  if (s.keys > (1 << 20) || s.features > 4096 || s.width > 4096)
    return *why = "more than a million keys or 4096 features", std::nullopt;
  const auto size = [&](size_t i) { return int64_t(q.inputs[i].size()); };
  auto places = {attention_offsets(op, op.query, s.rows, s.features, size(0)),
                 attention_offsets(op, op.key, s.keys, s.features, size(1)),
                 attention_offsets(op, op.value, s.keys, s.width, size(2)),
                 attention_offsets(op, op.result, s.rows, s.width, int64_t(q.outputs[0].size()))};
  std::vector<int64_t>* to[] = {&s.q, &s.k, &s.v, &s.y};
  size_t next = 0;
  for (const auto& p : places) {
    if (!p) return *why = "a matrix lies outside of its tensor", std::nullopt;
    *to[next++] = *p;
  }
  s.q_row = op.query.back();
  s.k_row = op.key.back();
  s.v_row = op.value.back();
  s.y_row = op.result.back();
  s.scale = float(op.scale);
  s.causal = op.causal;
  s.zero_empty_rows = op.zero_empty_rows;
  const auto mask = [&](size_t input, std::vector<int64_t>& offsets, int64_t& row, int64_t& column) {
    Shape scores = op.batch;
    scores.insert(scores.end(), {s.rows, s.keys});
    const auto steps = mask_steps(q.inputs[input].shape, scores);
    if (!steps) return false;
    std::vector<int64_t> place{0};
    place.insert(place.end(), steps->begin(), steps->end() - 2);
    place.push_back(0);
    offsets = *attention_offsets(op, place, 1, 1, size(input));
    row = (*steps)[steps->size() - 2];
    column = steps->back();
    return true;
  };
  const auto has = [&](size_t input) { return q.inputs.size() > input && q.inputs[input].present; };
  s.masked = has(3);
  s.late_masked = has(4);
  if ((s.masked && !mask(3, s.mask, s.mask_row, s.mask_column)) ||
      (s.late_masked && !mask(4, s.late_mask, s.late_mask_row, s.late_mask_column)))
    return *why = "the mask does not fit", std::nullopt;
  s.type = *num_of(q.inputs[0].type);
  for (size_t i = 0; s.type == Num::u8 && i < 3; ++i) {
    const TensorDesc& d = q.inputs[i];
    // The shift of a key that is read as it is would show in rounded scores.
    const bool shifted = i == 1 && op.levels.size() > 12 && op.levels[4] != -128;
    const OperandView o = operand_of(d);
    s.bytes[i] = {rounded_before(q, op, i) && !shifted, o.scale, o.zero};
    if (!s.bytes[i].rounded && (!d.quantization || d.quantization->scales.size() != 1))
      return *why = "the bytes are not those of the quantizers", std::nullopt;
  }
  s.result = *num_of(q.outputs[0].type);
  const OperandView result = operand_of(q.outputs[0]);
  s.result_scale = result.scale;
  s.result_zero = result.zero;
  for (size_t i = 0; i < op.levels.size(); ++i) {
    auto& l = s.levels[i / 3];
    (i % 3 == 0 ? l.step : i % 3 == 1 ? l.low : l.high) = op.levels[i];
  }
  return s;
}

// Bytes for all that is multiplied.
const char* why_not_bytes(const StridedAttention& op) {
  if (op.levels.size() < 12) return "query, key, value and weights are not all rounded to levels";
  for (size_t i = 0; i < 4; ++i) {
    const double low = op.levels[3 * i + 1], high = op.levels[3 * i + 2];
    if (low != std::nearbyint(low) || high != std::nearbyint(high) || high - low > 255 || low < -255 || high > 255)
      return "the levels are not those of a byte";
  }
  if (op.levels[10] > 0 || op.levels[11] < 0) return "the weights have no level at zero";
  // A shift of K is the same for all scores of a row, but rounded scores see it.
  if (op.levels.size() > 12 && (op.levels[4] < -128 || op.levels[5] > 127))
    return "the scores are rounded and the levels of the key are not signed bytes";
  if (op.sizes[1] > 60000) return "sums of more than 60000 weights may leave 32 bits";
  return nullptr;
}

Support supports_row(const KernelQuery& q, const DenseRow& r) {
  if (!(features().*r.has)) return Support::no(std::string("the CPU has no ") + r.needs);
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const ElementType type = q.inputs[0].type;
  const bool of_bytes = r.kind == DenseKind::int8 && type == ElementType::u8;
  if (type != ElementType::f32 && type != ElementType::bf16 && !of_bytes)
    return Support::no(std::string("the query is ") + name_of(type) + ", not f32 or bf16");
  for (size_t i = 0; i < q.inputs.size(); ++i) {
    const TensorDesc& d = q.inputs[i];
    if (!d.present) continue;
    if (d.layout != Layout::plain) return Support::no("takes the plain layout only");
    if (i < 3 && d.type != type) return Support::no("query, key and value differ in type");
    if (i >= 3 && d.type != ElementType::f32) return Support::no(std::string("the mask is ") + name_of(d.type));
  }
  const TensorDesc& out = q.outputs[0];
  const bool bytes = out.type == ElementType::u8 || out.type == ElementType::i8;
  const bool quantized = bytes && out.quantization && out.quantization->scales.size() == 1;
  const auto op = q.attrs<StridedAttention>();
  if (r.kind == DenseKind::int8) {
    if (const char* no = why_not_bytes(op)) return Support::no(no);
    if (out.layout != Layout::plain || (!quantized && out.type != ElementType::f32 && out.type != ElementType::bf16))
      return Support::no(std::string("the result is ") + name_of(out.type) + " or not in the plain layout");
  } else {
    if (!op.levels.empty()) return Support::no("rounds nothing to levels");
    if (out.type != type || out.layout != Layout::plain)
      return Support::no("the result has another type or layout than the query");
    if (q.inputs.size() > 4 && q.inputs[4].present) return Support::no("takes no late mask");
  }
  if (r.kind == DenseKind::bf16 && type == ElementType::f32 && !q.bf16_compute)
    return Support::no("f32 factors are not to be rounded to bf16");
  const char* why = "";
  if (!spec_of(q, r.kind, &why)) return Support::no(why);
  return Support::yes();
}

AttentionIsa isa_of([[maybe_unused]] const DenseRow& r) {
#define HONE_ATTENTION_FNS(NS)                                                                                    \
  AttentionIsa {                                                                                                  \
    NS::attention_columns, NS::attention_panel, NS::attention_pairs, NS::attention_softmax, NS::attention_result, \
        NS::attention_dots, NS::attention_mix, NS::attention_widen, NS::attention_quantize, NS::attention_flip,   \
        NS::attention_quads, NS::attention_sums, NS::attention_softmax_int8, NS::attention_result_int8            \
  }
#if defined(__x86_64__)
  const bool avx2_only = r.has == &Features::avx2 || !features().avx512;
  return avx2_only ? HONE_ATTENTION_FNS(avx2) : HONE_ATTENTION_FNS(avx512);
#else
  return HONE_ATTENTION_FNS(neon);
#endif
#undef HONE_ATTENTION_FNS
}

template <size_t I>
struct Row {
  static constexpr const DenseRow& r = dense_rows[I];
  static Support supports(const KernelQuery& q) { return supports_row(q, r); }
  static KernelPlan plan(const KernelQuery& q) {
    const auto op = q.attrs<StridedAttention>();
    double products = 1;
    for (int64_t n : op.batch) products *= double(n);
    KernelPlan plan;
    products *= double(op.sizes[0]) * double(op.sizes[1]);
    plan.cost = 1 + 2e-3 * products *
                        (double(op.sizes[2]) / r.rate(op.sizes[0], op.sizes[2]) +
                         double(op.sizes[3]) / r.rate(op.sizes[0], op.sizes[1]));
    return plan;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    const char* why = "";
    return std::make_unique<AttentionKernel>(*spec_of(q, r.kind, &why), *r.isa, isa_of(r), q.threads);
  }
};

template <size_t I>
void add_row(RowList& rows) {
  rows.add<Row<I>>("strided_attention_", dense_rows[I].suffix, "StridedAttention");
}
template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (add_row<I>(rows), ...);
  return rows;
}

}  // namespace

KernelList attention_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_dense_rows>());
  return rows.list();
}

}  // namespace hone::cpu
