// What kernel tests share: tensors of random values, running one row of the registry, and epilogues computed in plain
// double loops.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/registry.hpp"
#include "device/kernel.hpp"

namespace hone::cpu::test {

/// Instruction-set levels that this machine can run, and "amx_stand_in": AMX kernels on scalar code.
inline std::vector<std::string> levels() {
#if defined(__x86_64__)
  std::vector<std::string> all = {"avx2", "avx512", "vnni", "bf16", "amx"};
#else
  std::vector<std::string> all = {"neon", "dotprod", "i8mm", "bf16"};
#endif
  std::vector<std::string> out;
  Features last{};
  for (const auto& l : all) {
    const Features f = capped(detect_features(), l);
    if (f == last) continue;
    last = f;
    out.push_back(l);
  }
  out.push_back("amx_stand_in");
  return out;
}
inline Features features_of(const std::string& level) {
  Features f = detect_features();
  if (level != "amx_stand_in") return capped(f, level);
  f.amx_stand_in = true;
  return f;
}

/// HONE_KERNEL_TESTS=quick keeps one case of seven: for runs under emulation, which is a hundred times slower.
inline bool skip_case() {
  static const bool quick =
      std::getenv("HONE_KERNEL_TESTS") && std::string(std::getenv("HONE_KERNEL_TESTS")) == "quick";
  static int count = 0;
  return quick && count++ % 7 != 0;
}

/// Memory of a tensor with the room that kernels may read past the end, filled with NaN bits to catch those who use it.
struct Buffer {
  std::vector<uint8_t> bytes;
  uint8_t* data = nullptr;
  size_t size = 0;
  explicit Buffer(size_t n = 0) : bytes(n + 192, 0xff), size(n) {
    data = bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64;
  }
  Buffer(const Buffer&) = delete;
  Buffer(Buffer&&) = default;
  Buffer& operator=(Buffer&&) = default;
};

inline double read(const TensorDesc& d, const void* data, size_t i) {
  double v = 0;
  switch (d.type) {
    case ElementType::f32:
      return static_cast<const float*>(data)[i];
    case ElementType::bf16:
      return float(static_cast<const bfloat16*>(data)[i]);
    case ElementType::f16:
      return float(static_cast<const float16*>(data)[i]);
    case ElementType::u8:
      v = static_cast<const uint8_t*>(data)[i];
      break;
    case ElementType::i8:
      v = static_cast<const int8_t*>(data)[i];
      break;
    default:
      return get_element(Tensor(d.type, d.shape, const_cast<void*>(data)), i);
  }
  if (d.quantization) v = (v - d.quantization->zero_point(0)) * double(d.quantization->scale(0));
  return v;
}

/// Index in memory of logical element (n, c, s) of [N, C, spatial] in the layout.
inline size_t at(Layout layout, int64_t channels, int64_t space, int64_t n, int64_t c, int64_t s) {
  return size_t(layout == Layout::channels_last ? (n * space + s) * channels + c : (n * channels + c) * space + s);
}

inline Buffer random_buffer(const TensorDesc& d, std::mt19937& rng, double low = -1, double high = 1) {
  Buffer b(d.bytes());
  Tensor t(d.type, {int64_t(d.size())}, b.data);
  std::uniform_real_distribution<double> real(low, high);
  std::uniform_int_distribution<int> integer(d.type == ElementType::i8 ? -128 : 0,
                                             d.type == ElementType::i8 ? 127 : 255);
  for (size_t i = 0; i < d.size(); ++i) set_element(t, i, is_integer(d.type) ? integer(rng) : real(rng));
  return b;
}

inline QuantizationPtr per_tensor(float scale, int zero) {
  auto q = std::make_shared<Quantization>();
  q->scales = {scale};
  q->zero_points = {zero};
  return q;
}

template <class Op>
std::vector<uint8_t> attributes_of(Op op) {
  FieldWriter w;
  visit_fields(op, w);
  return w.take();
}

/// Runs `row` on the inputs (packing constants first) with `threads` threads.
inline std::vector<Buffer> run_row_outputs(const Kernel& row, KernelQuery q, std::vector<const void*> inputs,
                                           int threads) {
  q.threads = threads;
  const KernelPlan plan = row.plan(q);
  std::vector<Tensor> packs;
  for (const PackedInput& p : plan.packs) {
    packs.push_back(row.pack(q, p));
    inputs[p.input] = packs.back().raw();
  }
  auto prepared = row.prepare(q);
  std::vector<Buffer> outs;
  std::vector<void*> out_pointers;
  for (const TensorDesc& o : q.outputs) {
    outs.emplace_back(o.present ? o.bytes() : 0);
    out_pointers.push_back(o.present ? outs.back().data : nullptr);
  }
  Buffer scratch(prepared->scratch_bytes());
  ThreadPool pool(threads);
  KernelArgs args{inputs, out_pointers, scratch.data, pool};
  prepared->run(args);
  prepared->run(args);  // a second run must not depend on what the first one left behind
  for (size_t i = 0; i < outs.size(); ++i) {
    for (size_t k = 0; k < 64; ++k)
      EXPECT_EQ(outs[i].data[outs[i].size + k], 0xff) << row.name << " wrote past output " << i;
  }
  return outs;
}
/// The same; output 0 alone.
inline Buffer run_row(const Kernel& row, KernelQuery q, std::vector<const void*> inputs, int threads) {
  return std::move(run_row_outputs(row, std::move(q), std::move(inputs), threads)[0]);
}

inline double apply_step(const EpilogueStep& s, double a, double b) {
  const double al = s.alpha, be = s.beta;
  auto clamp = [](double v, double lo, double hi) { return std::min(std::max(v, lo), hi); };
  auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (s.op) {
    case EpilogueOp::add:
      return a + b;
    case EpilogueOp::subtract:
      return a - b;
    case EpilogueOp::multiply:
      return a * b;
    case EpilogueOp::divide:
      return a / b;
    case EpilogueOp::maximum:
      return std::max(a, b);
    case EpilogueOp::minimum:
      return std::min(a, b);
    case EpilogueOp::prelu:
      return a >= 0 ? a : a * b;
    case EpilogueOp::relu:
      return std::max(a, 0.0);
    case EpilogueOp::clamp:
      return clamp(a, al, be);
    case EpilogueOp::sigmoid:
      return sigmoid(a);
    case EpilogueOp::tanh:
      return std::tanh(a);
    case EpilogueOp::swish:
      return a * sigmoid(al * a);
    case EpilogueOp::hswish:
      return a * clamp(a + 3, 0, 6) / 6;
    case EpilogueOp::hsigmoid:
      return clamp(a + 3, 0, 6) / 6;
    case EpilogueOp::hard_sigmoid:
      return clamp(al * a + be, 0, 1);
    case EpilogueOp::gelu_erf:
      return 0.5 * a * (1 + std::erf(a / std::sqrt(2.0)));
    case EpilogueOp::gelu_tanh:
      return 0.5 * a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a)));
    case EpilogueOp::elu:
      return a > 0 ? a : al * std::expm1(a);
    case EpilogueOp::leaky_relu:
      return a >= 0 ? a : al * a;
    case EpilogueOp::softplus:
      return std::max(a, 0.0) + std::log1p(std::exp(-std::fabs(a)));
    case EpilogueOp::mish:
      return a * std::tanh(std::log1p(std::exp(a)));
    case EpilogueOp::exp:
      return std::exp(a);
    case EpilogueOp::abs:
      return std::fabs(a);
    case EpilogueOp::negative:
      return -a;
    case EpilogueOp::sqrt:
      return std::sqrt(a);
    case EpilogueOp::scale_shift:
      return al * a + be;
    case EpilogueOp::round:
      return std::nearbyint(a);
  }
  return 0;
}

/// The epilogue on one value: `operand(i)` gives operand i at that place.
inline double apply_epilogue(const Epilogue& e, double v, const std::function<double(size_t)>& operand) {
  std::vector<double> values = {v};
  for (size_t i = 0; i < e.operands.size(); ++i) values.push_back(operand(i));
  for (const EpilogueStep& s : e.steps)
    values.push_back(apply_step(s, values[size_t(s.a)], s.b >= 0 ? values[size_t(s.b)] : 0));
  return values.back();
}

/// Compares output element i with the exact value: relative to `magnitude` for floats, one step of the grid for
/// integers.
inline void expect_close(const TensorDesc& d, const Buffer& out, size_t i, double want, double magnitude,
                         double tolerance, const std::string& where) {
  const double got = read(d, out.data, i);
  if (is_integer(d.type)) {
    const double scale = d.quantization ? d.quantization->scale(0) : 1,
                 zero = d.quantization ? d.quantization->zero_point(0) : 0;
    const double lo = d.type == ElementType::i8 ? -128 : 0, hi = lo + 255;
    const double exact = std::min(std::max(want / scale + zero, lo), hi);
    ASSERT_NEAR(got / scale + zero, exact, 0.502 + tolerance * magnitude / scale) << where << " at " << i;
    return;
  }
  const double relative = d.type == ElementType::bf16  ? std::ldexp(1.0, -8)
                          : d.type == ElementType::f16 ? std::ldexp(1.0, -10)
                                                       : 0;
  // Below its smallest subnormal, 2^-24, f16 holds nothing: half of that is lost by rounding alone.
  const double quantum = d.type == ElementType::f16 ? std::ldexp(1.0, -24) : 1e-30;
  ASSERT_NEAR(got, want, tolerance * magnitude + relative * std::fabs(want) + quantum) << where << " at " << i;
}

}  // namespace hone::cpu::test

namespace hone::cpu::test {

/// A node with random inputs, run by every row of every level that supports it.
struct Node {
  std::string op;
  std::vector<uint8_t> attributes;
  KernelQuery q;
  std::vector<Buffer> buffers;
  std::vector<const void*> inputs;
  std::mt19937 rng{7};

  template <class Op>
  explicit Node(Op o) : op(Op::name), attributes(attributes_of(o)) {
    q.op = op;
    q.attributes = attributes;
  }
  static TensorDesc desc(ElementType type, Shape shape, Layout layout = Layout::plain) {
    TensorDesc d;
    d.type = type;
    d.shape = std::move(shape);
    d.layout = layout;
    if (type == ElementType::u8) d.quantization = per_tensor(0.03f, 120);
    if (type == ElementType::i8) d.quantization = per_tensor(0.05f, -4);
    return d;
  }
  TensorDesc& input(TensorDesc d, double low = -3, double high = 3) {
    buffers.push_back(random_buffer(d, rng, low, high));
    inputs.push_back(buffers.back().data);
    q.inputs.push_back(std::move(d));
    q.num_op_inputs = q.inputs.size();
    return q.inputs.back();
  }
  TensorDesc& constant(Tensor t) {
    TensorDesc d;
    d.type = t.element_type();
    d.shape = t.shape();
    d.constant = true;
    d.value = t;
    buffers.emplace_back(d.bytes());
    std::memcpy(buffers.back().data, t.raw(), d.bytes());
    inputs.push_back(buffers.back().data);
    q.inputs.push_back(std::move(d));
    q.num_op_inputs = q.inputs.size();
    return q.inputs.back();
  }
  double value(size_t input, size_t i) const { return read(q.inputs[input], inputs[input], i); }

  /// `check(buffer, where)` for each row; all thread counts must give the bits of one thread. Returns how many rows
  /// ran.
  int each_row(const std::function<void(const Buffer&, const std::string&)>& check) {
    int count = 0;
    std::set<const Kernel*> seen;  // a row of a lower level is the same code on a higher one
    for (const std::string& level : levels()) {
      ScopedFeatures cap(features_of(level));
      for (const Kernel* row : kernels_for(op)) {
        if (seen.count(row) || !row->supports(q)) continue;
        seen.insert(row);
        ++count;
        const std::string where = std::string(row->name) + " (" + level + ")";
        Buffer first = run_row(*row, q, inputs, 1);
        check(first, where);
        if (testing::Test::HasFatalFailure()) return count;
        for (int threads : {2, 3}) {
          Buffer other = run_row(*row, q, inputs, threads);
          EXPECT_EQ(std::memcmp(first.data, other.data, first.size), 0)
              << where << " differs with " << threads << " threads";
        }
      }
    }
    return count;
  }
  /// Compares with exact values given in the order of memory.
  int expect(const std::vector<double>& want, double tolerance, double magnitude = 1) {
    return each_row([&](const Buffer& out, const std::string& where) {
      for (size_t i = 0; i < want.size(); ++i) {
        expect_close(q.outputs[0], out, i, want[i], magnitude + std::fabs(want[i]), tolerance, where);
        if (testing::Test::HasFatalFailure()) return;
      }
    });
  }
};

/// Logical index (row-major) of each element in the order of memory.
inline std::vector<size_t> logical_order(const Shape& shape, Layout layout) {
  std::vector<size_t> out(size_t(element_count(shape)));
  if (layout == Layout::plain || shape.size() < 3) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = i;
    return out;
  }
  int64_t space = 1;
  for (size_t i = 2; i < shape.size(); ++i) space *= shape[i];
  for (int64_t n = 0; n < shape[0]; ++n) {
    for (int64_t c = 0; c < shape[1]; ++c) {
      for (int64_t s = 0; s < space; ++s) {
        out[size_t((n * space + s) * shape[1] + c)] = size_t((n * shape[1] + c) * space + s);
      }
    }
  }
  return out;
}
/// Place in memory of each logical element.
inline std::vector<size_t> memory_order(const Shape& shape, Layout layout) {
  const auto logical = logical_order(shape, layout);
  std::vector<size_t> out(logical.size());
  for (size_t i = 0; i < logical.size(); ++i) out[logical[i]] = i;
  return out;
}

}  // namespace hone::cpu::test
