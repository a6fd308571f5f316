// Rows of CompressedMatMul: weights stay packed in 4 or 8 bits and are read from memory once a product.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/low_bit/low_bit_view.hpp"
#include "ops/compressed_matmul.hpp"

namespace hone::cpu {
namespace {

struct LowBitIsaRow {
  const char* suffix;
  const LowBitIsa* isa;
  EpilogueFn finish;
  bool Features::*has;
  const char* needs;
  int64_t most_rows;  ///< of x: above, multiplying unpacked weights is faster
  double gops;        ///< roughly, of one digit
};
#if defined(__x86_64__)
constexpr LowBitIsaRow isa_rows[] = {
    {"16x__avx512vnni", &avx512vnni::low_bit, avx512::epilogue_tile, &Features::avx512_vnni, "AVX-512 VNNI", 1 << 30,
     400},
    {"16x__avx512", &avx512::low_bit, avx512::epilogue_tile, &Features::avx512, "AVX-512", 16, 130},
    {"16x__avx2", &avx2::low_bit, avx2::epilogue_tile, &Features::avx2, "AVX2", 16, 90},
};
#elif defined(__aarch64__)
constexpr LowBitIsaRow isa_rows[] = {
    {"16x__neondot", &neondot::low_bit, neon::epilogue_tile, &Features::dotprod, "NEON dot products", 16, 120},
    {"16x__neon", &neon::low_bit, neon::epilogue_tile, &Features::neon, "NEON", 16, 20},
};
#endif
constexpr size_t num_isa_rows = sizeof(isa_rows) / sizeof(LowBitIsaRow);

constexpr int64_t panel = 16, block = 64;  // columns of a panel, and of a call of the epilogue

struct Problem {
  int64_t m = 0, n = 0, k = 0, group = 0, groups = 0, steps = 0;
  int bits = 4, digits = 3;
  bool transposed = true;
  int shift = 0;  ///< what makes the weights unsigned
  int64_t zero_point = 0;

  int64_t panels() const { return (n + panel - 1) / panel; }
  int64_t panel_bytes() const { return groups * steps * (bits == 4 ? 64 : 128); }
};

Problem problem_of(const KernelQuery& q) {
  const auto op = q.attrs<CompressedMatMul>();
  Problem p;
  const Shape &x = q.inputs[0].shape, &w = q.inputs[1].shape;
  p.transposed = op.transposed_weights;
  p.n = w[p.transposed ? 0 : 1];
  p.k = w[p.transposed ? 1 : 0];
  p.m = p.k > 0 ? element_count(x) / p.k : 0;
  p.group = std::min(op.group, std::max<int64_t>(p.k, 1));
  p.groups = (p.k + p.group - 1) / p.group;
  p.steps = (p.group + 7) / 8;
  p.bits = bit_width(q.inputs[1].type);
  p.digits = q.bf16_compute || q.inputs[0].type == ElementType::bf16 ? 2 : 3;
  p.shift = is_signed(q.inputs[1].type) ? 1 << (p.bits - 1) : 0;
  p.zero_point = op.zero_point;
  return p;
}

// Panels side by side, [groups][columns of the panel]; columns behind the last one get zeros.
template <class T, class F>
Tensor by_panels(const Problem& p, F&& value) {
  Tensor out(ElementType::u8, {p.panels() * p.groups * panel * int64_t(sizeof(T))});
  T* to = reinterpret_cast<T*>(out.raw());
  for (int64_t c = 0; c < p.panels(); ++c) {
    for (int64_t g = 0; g < p.groups; ++g) {
      for (int64_t i = 0; i < panel; ++i, ++to) {
        const int64_t n = c * panel + i;
        *to = n < p.n ? value(size_t(p.transposed ? n * p.groups + g : g * p.n + n)) : T(0);
      }
    }
  }
  return out;
}

// src = n-k, 4 bits: low ones first  dst = n/16-group-k/8-n%16-k%4, first and last four of k%8 in low and high halves
// src = n-k, 8 bits                  dst = n/16-group-k/8-2-n%16-k%4
Tensor pack_weights(const Problem& p, const Tensor& w) {
  Tensor out(ElementType::u8, {p.panels() * p.panel_bytes()});
  auto* to = out.data<uint8_t>();
  const auto* from = static_cast<const uint8_t*>(w.raw());
  const auto element = [&](int64_t n, int64_t k) -> uint8_t {
    const int64_t i = p.transposed ? n * p.k + k : k * p.n + n;
    if (p.bits == 8) return uint8_t(from[i] ^ p.shift);
    return uint8_t(((from[i / 2] >> (i % 2 * 4)) & 15) ^ p.shift);
  };
  const int64_t step_bytes = p.bits == 4 ? 64 : 128;
  for (int64_t c = 0; c < p.panels(); ++c) {
    for (int64_t g = 0; g < p.groups; ++g) {
      const int64_t end = std::min(p.k, (g + 1) * p.group);
      for (int64_t s = 0; s < p.steps; ++s, to += step_bytes) {
        for (int64_t i = 0; i < panel; ++i) {
          const int64_t n = c * panel + i;
          if (n >= p.n) break;
          for (int64_t j = 0; j < 8; ++j) {
            const int64_t k = g * p.group + s * 8 + j;
            if (k >= end) break;
            const uint8_t v = element(n, k);
            if (p.bits == 8)
              to[j / 4 * 64 + i * 4 + j % 4] = v;
            else
              to[i * 4 + j % 4] = uint8_t(to[i * 4 + j % 4] | v << (j / 4 * 4));
          }
        }
      }
    }
  }
  return out;
}

class Prepared final : public PreparedKernel {
 public:
  Prepared(const KernelQuery& q, const LowBitIsaRow& row)
      : p_(problem_of(q)), isa_(*row.isa), finish_(with_bf16(row.finish)), epilogue_(q, p_.n, 1, false) {
    type_ = *num_of(q.inputs[0].type);
    f16_ = q.inputs[2].type == ElementType::f16;
    zeros_ = q.inputs.size() > 3 && q.num_op_inputs > 3 && q.inputs[3].present;
    tile_ = std::min<int64_t>(p_.m, isa_.rows[p_.digits - 2]);
    digits_bytes_ = (p_.groups * p_.steps * 8 * p_.m * p_.digits + 63) / 64 * 64;
    factor_bytes_ = (p_.groups * p_.m * 4 + 63) / 64 * 64;
  }
  size_t scratch_bytes() const override { return size_t(digits_bytes_ + 2 * factor_bytes_); }

  void run(const KernelArgs& args) noexcept override {
    auto* digits = static_cast<int8_t*>(args.scratch);
    auto* scale = reinterpret_cast<float*>(digits + digits_bytes_);
    auto* sum = reinterpret_cast<float*>(digits + digits_bytes_ + factor_bytes_);
    // A row is little work: several to a thread.
    args.pool.parallel_for(p_.m, 1 + (1 << 15) / p_.k, [&](int64_t begin, int64_t end, int) {
      for (int64_t m = begin; m < end; ++m) {
        const int64_t first = m / tile_ * tile_, rows = std::min(tile_, p_.m - first);
        LowBitRow r{static_cast<const uint8_t*>(args.inputs[0]) + m * p_.k * int64_t(num_bytes(type_)),
                    type_,
                    p_.k,
                    p_.group,
                    p_.steps,
                    int(rows),
                    int(m - first),
                    digits + first * tile_digits(),
                    scale + first * p_.groups,
                    sum + first * p_.groups};
        isa_.digits[p_.digits - 2](r);
      }
    });
    OperandView operands[EpiloguePlan::max_operands];
    const EpilogueView view = epilogue_.bind(args, operands);
    const int64_t blocks = (p_.n + block - 1) / block;
    args.pool.parallel_for(blocks, 1, [&](int64_t begin, int64_t end, int) {
      alignas(64) float tile[8 * block];
      for (int64_t b = begin; b < end; ++b) {
        const int64_t columns = std::min(block, p_.n - b * block), first_panel = b * (block / panel);
        for (int64_t m = 0; m < p_.m; m += tile_) {
          const int64_t rows = std::min(tile_, p_.m - m);
          LowBitArgs a{};
          a.zero = float(p_.zero_point + p_.shift);
          a.scales_f16 = f16_;
          a.groups = p_.groups;
          a.steps = p_.steps;
          a.digits = digits + m * tile_digits();
          a.x_scale = scale + m * p_.groups;
          a.x_sum = sum + m * p_.groups;
          a.ld = block;
          for (int64_t c = 0; c * panel < columns; ++c) {
            const int64_t at = first_panel + c;
            a.weights = static_cast<const uint8_t*>(args.inputs[1]) + at * p_.panel_bytes();
            a.scales = static_cast<const uint8_t*>(args.inputs[2]) + at * p_.groups * panel * (f16_ ? 2 : 4);
            a.zeros = zeros_ ? static_cast<const uint8_t*>(args.inputs[3]) + at * p_.groups * panel : nullptr;
            a.out = tile + c * panel;
            isa_.panel[p_.bits == 8][p_.digits - 2][rows - 1](a);
          }
          finish_(view, {tile, block, int(rows), int(columns), m, b * block});
        }
      }
    });
  }

 private:
  int64_t tile_digits() const { return p_.groups * p_.steps * 8 * p_.digits; }  // of a row

  Problem p_;
  const LowBitIsa& isa_;
  EpilogueFn finish_;
  EpiloguePlan epilogue_;
  Num type_;
  bool f16_, zeros_;
  int64_t tile_, digits_bytes_, factor_bytes_;
};

template <size_t I>
struct Row {
  static constexpr const LowBitIsaRow& r = isa_rows[I];
  static Support supports(const KernelQuery& q) {
    if (!(features().*r.has)) return Support::no(std::string("the CPU has no ") + r.needs);
    const ElementType x = q.inputs[0].type;
    if (x != ElementType::f32 && x != ElementType::bf16 && x != ElementType::f16)
      return Support::no(std::string("x is ") + name_of(x));
    for (size_t i = 1; i < q.num_op_inputs; ++i) {
      if (q.inputs[i].present && !q.inputs[i].constant) return Support::no("the weights are not constant");
    }
    for (const TensorDesc* d : {&q.inputs[0], &q.outputs[0]}) {
      if (d->layout != Layout::plain && d->shape.size() > 2) return Support::no("takes the plain layout only");
    }
    const ElementType scales = q.inputs[2].type;
    if (scales != ElementType::f16 && scales != ElementType::f32)
      return Support::no(std::string("the scales are ") + name_of(scales));
    const Problem p = problem_of(q);
    if (p.k == 0 || p.m == 0 || p.n == 0) return Support::no("there is nothing to multiply");
    if (p.group > 32768) return Support::no("sums of more than 32768 products may leave 32 bits");
    if (p.m > r.most_rows) return Support::no("so many rows are faster with unpacked weights");
    if (features().amx_bf16 && p.digits == 2 && p.m > 32) return Support::no("so many rows are faster on AMX tiles");
    const auto fits = [&](double zero) {
      return zero == std::nearbyint(zero) && zero + p.shift >= 0 && zero + p.shift <= 255;
    };
    const char* odd = "a zero point is no whole number of the weights' range";
    if (!fits(double(p.zero_point))) return Support::no(odd);
    if (q.num_op_inputs > 3 && q.inputs[3].present) {
      if (q.inputs[3].type != ElementType::f32) return Support::no("the zero points are not f32");
      if (const Tensor& z = q.inputs[3].value) {
        for (size_t i = 0; i < z.size(); ++i) {
          if (!fits(double(z.data<float>()[i]))) return Support::no(odd);
        }
      }
    }
    for (const EpilogueOperand& o : q.epilogue.operands) {
      if (o.spread == Spread::per_row) return Support::no("a matrix product has no operand per row");
    }
    return supports_epilogue(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    const Problem p = problem_of(q);
    KernelPlan plan;
    plan.packs = {{1, p.bits == 4 ? "b16_k8_u4" : "b16_k8_u8"}, {2, "b16_groups"}};
    if (q.num_op_inputs > 3 && q.inputs[3].present) plan.packs.push_back({3, "b16_groups_u8"});
    const double bytes = double(p.n) * double(p.k) * p.bits / 8,
                 products = 2.0 * double(p.m) * double(p.n) * double(p.k);
    plan.cost = 1 + bytes / 2e4 + products * p.digits / (r.gops * 1e3);
    return plan;
  }
  static Tensor pack(const KernelQuery& q, const PackedInput& which) {
    const Problem p = problem_of(q);
    const Tensor& t = q.inputs[which.input].value;
    if (which.input == 1) return pack_weights(p, t);
    if (which.input == 3) {
      return by_panels<uint8_t>(p, [&](size_t i) { return uint8_t(int(t.data<float>()[i]) + p.shift); });
    }
    if (t.element_type() == ElementType::f16) {
      return by_panels<uint16_t>(p, [&](size_t i) { return static_cast<const uint16_t*>(t.raw())[i]; });
    }
    return by_panels<float>(p, [&](size_t i) { return t.data<float>()[i]; });
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q, r); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I>>("compressed_mat_mul_", isa_rows[I].suffix, "CompressedMatMul", Row<I>::pack), ...);
  return rows;
}

}  // namespace

KernelList low_bit_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_isa_rows>());
  return rows.list();
}

}  // namespace hone::cpu
