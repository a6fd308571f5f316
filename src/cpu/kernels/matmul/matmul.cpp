// Rows of MatMul on the dense tile kernels: NumPy rules for vectors and batch dimensions, constant or computed right
// factor.
#include "ops/matmul.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/kernels/gemm/dense.hpp"
#include "cpu/kernels/gemm/dense_rows.hpp"
#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {
namespace {

struct Problem {
  int64_t m = 1, k = 1, n = 1;
  bool transpose_a = false, transpose_b = false;
  std::vector<int64_t> a_batch, b_batch;  ///< index of the matrix of A and of B for each matrix of the result
  int64_t num_a = 1, num_b = 1;           ///< matrices in A and in B
};

std::optional<Problem> problem_of(const KernelQuery& q) {
  const auto attrs = q.attrs<MatMul>();
  Shape a = q.inputs[0].shape, b = q.inputs[1].shape;
  if (a.empty() || b.empty()) return std::nullopt;
  Problem p;
  // A vector on the left is a row, on the right a column; transposing a vector changes nothing.
  p.transpose_a = attrs.transpose_a && a.size() > 1;
  p.transpose_b = attrs.transpose_b && b.size() > 1;
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const size_t ra = a.size(), rb = b.size();
  p.m = a[ra - (p.transpose_a ? 1 : 2)];
  p.k = a[ra - (p.transpose_a ? 2 : 1)];
  p.n = b[rb - (p.transpose_b ? 2 : 1)];
  if (b[rb - (p.transpose_b ? 1 : 2)] != p.k) return std::nullopt;
  const Shape lead_a(a.begin(), a.end() - 2), lead_b(b.begin(), b.end() - 2);
  const size_t rank = std::max(lead_a.size(), lead_b.size());
  Shape lead(rank);
  auto at = [&](const Shape& s, size_t i) { return i + s.size() < rank ? int64_t(1) : s[i + s.size() - rank]; };
  int64_t count = 1;
  for (size_t i = 0; i < rank; ++i) {
    lead[i] = std::max(at(lead_a, i), at(lead_b, i));
    if (at(lead_a, i) == 0 || at(lead_b, i) == 0) lead[i] = 0;
    count *= lead[i];
  }
  p.num_a = element_count(lead_a);
  p.num_b = element_count(lead_b);
  if (count > (1 << 20)) return std::nullopt;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, ia = 0, ib = 0, step_a = 1, step_b = 1;
    for (size_t d = rank; d-- > 0;) {
      const int64_t c = rest % lead[d];
      rest /= lead[d];
      ia += (at(lead_a, d) == 1 ? 0 : c) * step_a;
      ib += (at(lead_b, d) == 1 ? 0 : c) * step_b;
      step_a *= at(lead_a, d);
      step_b *= at(lead_b, d);
    }
    p.a_batch.push_back(ia);
    p.b_batch.push_back(ib);
  }
  return p;
}

bool is_int8(ElementType t) {
  return t == ElementType::u8 || t == ElementType::i8;
}

Support supports_kind(const KernelQuery& q, const DenseRow& r) {
  if (!(features().*r.has)) return Support::no(std::string("the CPU has no ") + r.needs);
  const TensorDesc &a = q.inputs[0], &b = q.inputs[1], &y = q.outputs[0];
  for (const TensorDesc* d : {&a, &b, &y}) {
    if (d->layout != Layout::plain && d->shape.size() > 2) return Support::no("takes the plain layout only");
  }
  const auto p = problem_of(q);
  if (!p) return Support::no("the factors do not fit, or there are more than a million of them");
  if (p->k == 0) return Support::no("sums over nothing");
  if (r.kind == DenseKind::int8) {
    if (!is_int8(a.type))
      return Support::no(std::string("the left factor is ") + name_of(a.type) + ", not an 8-bit integer");
    if (b.type != ElementType::i8)
      return Support::no(std::string("the right factor is ") + name_of(b.type) + ", not i8");
    if (!a.quantization || a.quantization->scales.size() != 1)
      return Support::no("the left factor needs one scale for the tensor");
    if (!b.quantization) return Support::no("the right factor has no scales");
    for (int32_t z : b.quantization->zero_points) {
      if (z != 0) return Support::no("the right factor has zero points");
    }
    const size_t scales = b.quantization->scales.size();
    if (scales != 1 && (int64_t(scales) != p->n || p->num_b != 1))
      return Support::no("the right factor needs one scale, or one for each column");
    if (p->k > 60000) return Support::no("sums of more than 60000 products may leave 32 bits");
    if (y.quantization && y.quantization->scales.size() > 1) {
      if (p->num_b != 1) return Support::no("several right factors have no scale for each column of the output");
      const auto& s = b.quantization->scales;
      return supports_columns(q, p->n, a.quantization->scale(0) * *std::max_element(s.begin(), s.end()), p->k);
    }
  } else {
    for (const TensorDesc* d : {&a, &b}) {
      const bool loose = !(d == &b && b.constant);
      if (d == &a && a.type == ElementType::f16) continue;
      if (loose ? d->type != ElementType::f32 && d->type != ElementType::bf16 : !is_float(d->type)) {
        return Support::no(std::string("a factor is ") + name_of(d->type) + ", not f32 or bf16");
      }
    }
    const bool wants_bf16 = a.type == ElementType::bf16 || q.bf16_compute;
    if (r.kind == DenseKind::bf16 && a.type == ElementType::f16) return Support::no("an f16 factor is computed in f32");
    if (r.kind == DenseKind::bf16 && !wants_bf16) return Support::no("f32 factors are not to be rounded to bf16");
  }
  for (const EpilogueOperand& o : q.epilogue.operands) {
    if (o.spread == Spread::per_row) return Support::no("a matrix product has no operand per row");
  }
  return supports_epilogue(q);
}

bool one_b(const Problem& p) {
  return p.num_b == 1;
}
bool flat(const Problem& p) {
  return one_b(p) && !p.transpose_a && p.num_a == int64_t(p.a_batch.size());
}

DenseSpec spec_of(const KernelQuery& q, const Problem& p, const DenseRow& r) {
  DenseSpec s;
  s.kind = r.kind;
  s.deep = r.isa->deep;
  s.a_type = *num_of(q.inputs[0].type);
  s.channels = p.k;
  s.columns = p.n;
  s.a_channel = p.transpose_a ? p.m : 1;
  s.a_row = p.transpose_a ? 1 : p.k;
  s.a_pixel = p.k;
  if (q.inputs[0].quantization && is_int8(q.inputs[0].type)) s.a_zero = q.inputs[0].quantization->zero_point(0);
  s.num_b = p.num_b;
  if (flat(p)) {
    // One B for all rows: the batch joins the rows.
    s.in_h = s.out_h = p.m * p.num_a;
    s.a_image = {0};
    return s;
  }
  s.images = int64_t(p.a_batch.size());
  s.in_h = s.out_h = p.m;
  for (int64_t a : p.a_batch) s.a_image.push_back(a * p.m * p.k);
  if (!one_b(p)) s.b_image = p.b_batch;
  return s;
}

std::unique_ptr<DenseKernel::LooseB> source_of(const Problem& p, ElementType type) {
  auto b = std::make_unique<DenseKernel::LooseB>();
  b->source.type = *num_of(type);
  b->source.group = 0;
  b->source.column = p.transpose_b ? p.k : 1;
  b->source.inner = p.k;
  b->source.inner_step = p.transpose_b ? 1 : p.n;
  b->source.outer_step = 0;
  b->run_offsets = {0};
  for (int64_t i = 0; i < p.num_b; ++i) b->b_offsets.push_back(i * p.k * p.n);
  return b;
}

template <size_t I>
struct Row {
  static constexpr const DenseRow& r = dense_rows[I];
  static Support supports(const KernelQuery& q) { return supports_kind(q, r); }
  static KernelPlan plan(const KernelQuery& q) {
    const Problem p = *problem_of(q);
    KernelPlan plan;
    if (q.inputs[1].constant) plan.packs.push_back({1, packed_form(r.kind, r.isa->deep)});
    const double rate = r.rate(flat(p) ? p.m * p.num_a : p.m, p.k);
    plan.cost = 1 + 2.0 * double(p.m * p.n) * double(p.k) * double(p.a_batch.size()) / (rate * 1e3);
    return plan;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) {
    const Problem p = *problem_of(q);
    const PackedB shape = spec_of(q, p, r).packed();
    Tensor value = q.inputs[1].value;
    if (r.kind != DenseKind::int8 && value.element_type() != ElementType::bf16)
      value = value.converted(ElementType::f32);
    const auto from = source_of(p, value.element_type());
    from->source.run_offsets = from->run_offsets.data();
    const int64_t each = (int64_t(shape.bytes()) + 63) / 64 * 64;
    Tensor out(ElementType::u8, {each * p.num_b});
    for (int64_t i = 0; i < p.num_b; ++i) {
      SourceB b = from->source;
      b.data = static_cast<const uint8_t*>(value.raw()) + from->b_offsets[size_t(i)] * int64_t(num_bytes(b.type));
      pack_b(shape, b, out.data<uint8_t>() + i * each, nullptr);
    }
    return out;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    const Problem p = *problem_of(q);
    DenseSpec s = spec_of(q, p, r);
    EpiloguePlan epilogue(q, p.n, p.m, r.kind == DenseKind::int8);
    if (r.kind == DenseKind::int8) {
      std::vector<float> dequant(size_t(p.n) + 16);
      for (size_t c = 0; c < dequant.size(); ++c) {
        dequant[c] = q.inputs[0].quantization->scale(0) * q.inputs[1].quantization->scale(std::min(c, size_t(p.n - 1)));
      }
      epilogue.set_dequant(std::move(dequant), s.channels);
    }
    auto loose = q.inputs[1].constant ? nullptr : source_of(p, q.inputs[1].type);
    return std::make_unique<DenseKernel>(std::move(s), *r.isa, std::move(epilogue), q.threads, std::move(loose));
  }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I>>("mat_mul_", dense_rows[I].suffix, "MatMul", Row<I>::pack), ...);
  return rows;
}

}  // namespace

KernelList matmul_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_dense_rows>());
  return rows.list();
}

}  // namespace hone::cpu
