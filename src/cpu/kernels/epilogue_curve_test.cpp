// Bytes of activations, swept over accumulators as close as they come, against double precision.
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {
namespace {

struct Form {
  const char* name;
  EpilogueFn run;
};
std::vector<Form> forms() {
  std::vector<Form> out;
#if defined(__x86_64__)
  if (features().avx2) out.push_back({"avx2", avx2::epilogue_tile});
  if (features().avx512) out.push_back({"avx512", avx512::epilogue_tile});
  if (features().avx512_bf16) out.push_back({"avx512bf16", avx512bf16::epilogue_tile});
#else
  out.push_back({"neon", neon::epilogue_tile});
#endif
  return out;
}

// bias, then `steps`, whose values count from `first` (the biased result) on; operand 1 is a factor a channel.
Epilogue chain_of(std::vector<EpilogueStep> steps) {
  Epilogue e;
  e.operands = {{0, Spread::per_channel}, {1, Spread::per_channel}};
  e.steps = {{EpilogueOp::add, 0, 1}};
  e.steps.insert(e.steps.end(), steps.begin(), steps.end());
  return e;
}
constexpr int first = 3;

// A value of levels of 1/20 times its gate in levels of 1/255, times the factor where there is one.
Epilogue gate_of(EpilogueOp gate, bool factor) {
  std::vector<EpilogueStep> steps = {{gate, first},
                                     {EpilogueOp::scale_shift, first, -1, 20.0f, 0},
                                     {EpilogueOp::round, first + 2},
                                     {EpilogueOp::clamp, first + 3, -1, -100.0f, 155.0f},
                                     {EpilogueOp::scale_shift, first + 4, -1, 0.05f, 0},
                                     {EpilogueOp::scale_shift, first + 1, -1, 255.0f, 0},
                                     {EpilogueOp::round, first + 6},
                                     {EpilogueOp::clamp, first + 7, -1, 0.0f, 255.0f},
                                     {EpilogueOp::scale_shift, first + 8, -1, 1.0f / 255, 0},
                                     {EpilogueOp::multiply, first + 5, first + 9}};
  if (factor) steps.push_back({EpilogueOp::multiply, first + 10, 2});
  return chain_of(std::move(steps));
}

// `gate`: how far the levels of the gate may be from where `value` says without being another one.
void sweep(const Epilogue& e, ElementType type, float out_scale, int out_zero, float reach, int64_t columns,
           const std::string& what, EpilogueOp gate = EpilogueOp::round) {
  KernelQuery q;
  for (int i = 0; i < 2; ++i) {
    TensorDesc d;
    d.type = ElementType::f32;
    d.shape = {columns};
    q.inputs.push_back(d);
  }
  TensorDesc y;
  y.type = type;
  y.shape = {1, columns, 1, 1};
  y.layout = Layout::channels_last;
  y.quantization = per_tensor(out_scale, out_zero);
  q.outputs = {y};
  q.epilogue = e;
  std::vector<float> bias(size_t(columns) + 64), factor(size_t(columns) + 64), dequant;
  std::vector<int32_t> comp(size_t(columns) + 64);
  for (size_t c = 0; c < size_t(columns); ++c) {
    bias[c] = 0.37f * float(c % 5) - 0.7f;
    factor[c] = 0.25f * float(c % 4) + 0.25f;
    comp[c] = int32_t(c * 7 % 23);
    dequant.push_back(reach / 32768 * (1 + float(c % 3) / 64));
  }
  // Near half-way between two levels either is right.
  const auto near_tie = [](double level) { return std::fabs(level - std::floor(level) - 0.5) < 1e-3; };
  constexpr int sums = 2048, stride = 31;
  const auto sum_of = [](int i) { return (i - sums / 2) * stride; };
  constexpr double any = 1e9;
  std::vector<double> levels;
  for (int i = 0; i < sums; ++i) {
    for (size_t c = 0; c < size_t(columns); ++c) {
      const double sum = double(sum_of(i) - comp[c]) * double(dequant[c]), v = sum + double(bias[c]);
      const bool tie = gate != EpilogueOp::round && (near_tie(20 * v) || near_tie(255 * apply_step({gate, 0}, v, 0)));
      const double real = apply_epilogue(e, sum, [&](size_t o) { return double((o == 0 ? bias : factor)[c]); });
      levels.push_back(tie ? any : real / double(out_scale) + out_zero);
    }
  }
  ThreadPool pool(1);
  const int rows = int(tile_capacity / ((columns + 15) / 16 * 16)), ld = tile_capacity / rows / 16 * 16;
  const double low = type == ElementType::i8 ? -128 : 0;
  alignas(64) int32_t acc[tile_capacity];
  Buffer out(size_t(sums * columns));
  std::vector<const void*> inputs = {bias.data(), factor.data()};
  std::vector<void*> outputs = {out.data};
  OperandView operands[EpiloguePlan::max_operands];
  for (const Form& form : forms()) {
    EpiloguePlan plan(q, columns, sums, true);
    plan.set_dequant(dequant, 1);
    plan.make_curve(form.run);
    const EpilogueView view = plan.bind(KernelArgs{inputs, outputs, nullptr, pool}, operands, comp.data());
    for (int begin = 0; begin < sums; begin += rows) {
      const int n = std::min(rows, sums - begin);
      for (int r = 0; r < n; ++r) std::fill_n(acc + r * ld, ld, sum_of(begin + r));
      form.run(view, TileView{acc, ld, n, int(columns), begin, 0});
    }
    for (size_t i = 0; i < levels.size(); ++i) {
      if (levels[i] == any) continue;
      const double level = std::clamp(levels[i], low, low + 255);
      const double got = type == ElementType::i8 ? double(int8_t(out.data[i])) : double(out.data[i]);
      if (got == std::nearbyint(level) || (near_tie(level) && std::fabs(got - level) < 0.502)) continue;
      FAIL() << what << " (" << form.name << "), " << columns << " columns: " << got << " for " << level << " of sum "
             << sum_of(int(i / size_t(columns)));
    }
  }
}

TEST(EpilogueCurve, bytes_of_activations_are_those_of_double_precision) {
  for (int64_t columns : {16, 24, 50, 128}) {
    for (EpilogueOp op : {EpilogueOp::swish, EpilogueOp::gelu_tanh, EpilogueOp::tanh, EpilogueOp::sigmoid,
                          EpilogueOp::mish, EpilogueOp::softplus, EpilogueOp::hswish, EpilogueOp::elu}) {
      const bool small = op == EpilogueOp::tanh || op == EpilogueOp::sigmoid;
      for (float scale : {0.02f, 0.06f, 0.5f}) {
        if (skip_case()) continue;
        const float s = small ? scale / 8 : scale;
        const std::string what = "operator " + std::to_string(int(op)) + " to levels of " + std::to_string(s);
        sweep(chain_of({{op, first, -1, 1.0f}}), ElementType::u8, s, 30, 200 * scale, columns, what);
        sweep(chain_of({{op, first, -1, 1.0f}}), ElementType::i8, s, -50, 8, columns, what);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(EpilogueCurve, levels_of_a_value_times_those_of_its_gate_are_exact) {
  for (int64_t columns : {16, 24, 50, 128}) {
    for (EpilogueOp op : {EpilogueOp::sigmoid, EpilogueOp::hsigmoid}) {
      for (bool factor : {false, true}) {
        if (skip_case()) continue;
        const std::string what = std::string(op == EpilogueOp::sigmoid ? "SiLU" : "HardSwish") + " of levels" +
                                 (factor ? " times a factor" : "");
        sweep(gate_of(op, factor), ElementType::u8, 0.03f, 12, 12, columns, what, op);
        sweep(gate_of(op, factor), ElementType::i8, 0.06f, -100, 60, columns, what, op);
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
