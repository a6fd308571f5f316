// Every row of MatMul against a plain triple loop.
#include "ops/matmul.hpp"

#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

struct Case {
  Shape a, b, y;
  bool ta = false, tb = false;
};

const std::vector<Case> cases = {
    {{5, 7}, {7, 9}, {5, 9}},
    {{1, 300}, {300, 130}, {1, 130}},
    {{33, 65}, {70, 65}, {33, 70}, false, true},
    {{65, 33}, {65, 70}, {33, 70}, true, false},
    {{31, 5}, {64, 31}, {5, 64}, true, true},
    {{2, 3, 10, 21}, {21, 48}, {2, 3, 10, 48}},
    {{2, 3, 10, 21}, {2, 3, 21, 17}, {2, 3, 10, 17}},
    {{2, 1, 6, 8}, {3, 8, 20}, {2, 3, 6, 20}},
    {{4, 9, 6}, {4, 9, 5}, {4, 6, 5}, true, false},
    {{2, 70, 600}, {70, 40}, {2, 600, 40}, true, false},
    {{19}, {19, 40}, {40}},
    {{6, 19}, {19}, {6}},
    {{128, 64}, {10, 64}, {128, 10}, false, true},
};

void check(const Case& c, ElementType ta, ElementType tb, ElementType ty, bool constant, bool bf16_compute, int chain,
           int* rows_run) {
  if (skip_case()) return;
  MatMul op;
  op.transpose_a = c.ta;
  op.transpose_b = c.tb;
  Node node(op);
  node.input(Node::desc(ta, c.a), -1, 1);
  TensorDesc b = Node::desc(tb, c.b);
  Shape a_shape = c.a, b_shape = c.b;
  if (a_shape.size() == 1) a_shape.insert(a_shape.begin(), 1);
  if (b_shape.size() == 1) b_shape.push_back(1);
  const bool transpose_a = c.ta && c.a.size() > 1, transpose_b = c.tb && c.b.size() > 1;
  const size_t ra = a_shape.size(), rb = b_shape.size();
  const int64_t m = a_shape[ra - (transpose_a ? 1 : 2)], k = a_shape[ra - (transpose_a ? 2 : 1)],
                n = b_shape[rb - (transpose_b ? 2 : 1)];
  std::vector<float> scales;
  if (is_integer(tb)) {
    auto q = std::make_shared<Quantization>();
    const bool each = element_count(c.b) == k * n;
    for (int64_t i = 0; i < (each ? n : 1); ++i) q->scales.push_back(0.01f + 0.001f * float(i % 5));
    q->axis = c.tb ? 0 : 1;
    scales = q->scales;
    b.quantization = q;
  }
  b.constant = constant;
  node.input(b, -1, 1);
  const Tensor kept(tb, c.b, const_cast<void*>(node.inputs[1]));
  node.q.inputs[1].value = kept;
  TensorDesc y = Node::desc(ty, c.y);
  if (is_integer(ty)) y.quantization = per_tensor(0.1f, ty == u8 ? 128 : 0);
  node.q.outputs = {y};
  node.q.bf16_compute = bf16_compute;
  if (chain > 0) {
    node.input(Node::desc(f32, {n}));
    node.q.epilogue.operands = {{2, Spread::per_channel}};
    node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::gelu_tanh, 2}};
    if (chain > 1) {
      node.input(Node::desc(ty, c.y));
      node.q.epilogue.operands.push_back({3, Spread::full});
      node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::add, 3, 2}};
    }
    node.q.num_op_inputs = 2;
  }
  // batch dimensions
  const size_t rank = std::max(ra, rb) - 2;
  auto lead = [&](const Shape& s, size_t i) {
    return i + s.size() - 2 < rank ? int64_t(1) : s[i + s.size() - 2 - rank];
  };
  int64_t batches = 1;
  for (size_t i = 0; i < rank; ++i) batches *= std::max(lead(a_shape, i), lead(b_shape, i));
  std::vector<double> want;
  const bool integer = is_integer(ta);
  double magnitude = 1;
  for (int64_t batch = 0; batch < batches; ++batch) {
    int64_t rest = batch, ia = 0, ib = 0, sa = 1, sb = 1;
    for (size_t d = rank; d-- > 0;) {
      const int64_t la = lead(a_shape, d), lb = lead(b_shape, d), size = std::max(la, lb), at = rest % size;
      rest /= size;
      ia += la == 1 ? 0 : at * sa;
      ib += lb == 1 ? 0 : at * sb;
      sa *= la;
      sb *= lb;
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0, mag = 0;
        for (int64_t l = 0; l < k; ++l) {
          const size_t at_b = size_t(ib * k * n + (transpose_b ? j * k + l : l * n + j));
          const double va = node.value(0, size_t(ia * m * k + (transpose_a ? l * m + i : i * k + l)));
          const double vb = integer ? get_element(kept, at_b) * double(scales[scales.size() > 1 ? size_t(j) : 0])
                                    : node.value(1, at_b);
          sum += va * vb;
          mag += std::fabs(va * vb);
        }
        magnitude = std::max(magnitude, mag);
        const size_t at = want.size();
        want.push_back(apply_epilogue(node.q.epilogue, sum,
                                      [&](size_t o) { return o == 0 ? node.value(2, size_t(j)) : node.value(3, at); }));
      }
    }
  }
  const bool rounded = !integer && (bf16_compute || ta == bf16) && (ta == f32 || tb == f32);
  // bfmmla rounds to odd: see bfmmla_tolerance in the test of convolutions.
  const bool pairs = detect_features().neon_bf16 && (ta == bf16 || bf16_compute);
  const double to_odd = pairs ? 6 * std::sqrt(double(k + 2) / 3) * std::ldexp(1.0, -23) : 0;
  *rows_run += node.expect(want, to_odd + (integer ? 1e-6 : rounded ? 6e-3 : 2e-6), magnitude);
}

TEST(MatMul, matches_the_plain_loop_in_f32_and_bf16) {
  int rows = 0;
  for (const Case& c : cases) {
    for (bool constant : {true, false}) {
      for (int chain : {0, 1, 2}) {
        check(c, f32, f32, f32, constant, false, chain, &rows);
        check(c, bf16, bf16, bf16, constant, false, chain, &rows);
        if (constant) check(c, f16, f16, f16, constant, false, chain, &rows);
        check(c, f32, f32, chain == 0 ? u8 : bf16, constant, true, chain, &rows);
        if (HasFatalFailure()) return;
      }
    }
  }
  EXPECT_GT(rows, 0);
}

// Rows that are cut, since few of them fit into L2.
TEST(MatMul, long_rows) {
  int rows = 0;
  for (int chain : {0, 1, 2}) {
    check({{50, 2800}, {2800, 34}, {50, 34}}, f32, f32, f32, true, false, chain, &rows);
    check({{2, 49, 3073}, {3073, 20}, {2, 49, 20}}, f32, f32, f32, chain > 0, false, chain, &rows);
    check({{51, 5700}, {5700, 18}, {51, 18}}, bf16, bf16, bf16, true, false, chain, &rows);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(rows, 0);
}

TEST(MatMul, matches_the_plain_loop_in_int8) {
  int rows = 0;
  for (const Case& c : cases) {
    for (int chain : {0, 1, 2}) {
      check(c, u8, i8, u8, true, false, chain, &rows);
      check(c, i8, i8, f32, true, false, chain, &rows);
      check(c, i8, i8, i8, false, false, chain, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST(MatMul, tiles_of_all_heights_and_widths_match_the_plain_loop) {
  int rows = 0;
  for (const int64_t m : {15, 17, 32, 49}) {
    for (const int64_t n : {8, 24, 48, 80}) {
      for (const int64_t k : {64, 150}) {
        const Case c{{m, k}, {k, n}, {m, n}};
        for (int chain : {1, 2}) check(c, u8, i8, u8, true, false, chain, &rows);
        check(c, bf16, bf16, bf16, true, false, 2, &rows);
        if (HasFatalFailure()) return;
      }
    }
  }
  EXPECT_GT(rows, 0);
}

#if defined(__x86_64__)
double cost_of(const char* name, int64_t m, int64_t k, int64_t n, bool integer) {
  Node node(MatMul{});
  node.input(Node::desc(integer ? u8 : bf16, {m, k}));
  TensorDesc b = Node::desc(integer ? i8 : bf16, {k, n});
  b.constant = true;
  node.input(b);
  node.q.outputs = {Node::desc(f32, {m, n})};
  for (const Kernel* row : kernels_for("MatMul")) {
    if (std::string(row->name) == name) return row->plan(node.q).cost;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

TEST(MatMul, tiles_cost_less_only_where_rows_and_sums_fill_them) {
  const auto tiles_pay = [](int64_t m, int64_t k, int64_t n, bool integer) {
    return integer ? cost_of("mat_mul_int8_32x32__amx", m, k, n, true) <
                         cost_of("mat_mul_int8_6x64__avx512vnni", m, k, n, true)
                   : cost_of("mat_mul_bf16_32x32__amx", m, k, n, false) <
                         cost_of("mat_mul_bf16_6x64__avx512bf16", m, k, n, false);
  };
  for (const bool integer : {false, true}) {
    EXPECT_TRUE(tiles_pay(16, 64, 64, integer));
    EXPECT_TRUE(tiles_pay(197, 384, 1536, integer));
    EXPECT_TRUE(tiles_pay(4, 1024, 1024, integer));
    EXPECT_FALSE(tiles_pay(1, 1024, 1024, integer)) << "one row of sixteen";
    EXPECT_FALSE(tiles_pay(3136, 3, 32, integer)) << "three values of 32 or 64";
  }
}
#endif

#if defined(__aarch64__)
// The row that costs least, at a value of HONE_ISA.
std::string cheapest(const std::string& level, ElementType a, ElementType b) {
  ScopedFeatures cap(features_of(level));
  Node node(MatMul{});
  node.input(Node::desc(a, {12, 64}));
  TensorDesc right = Node::desc(b, {64, 32});
  if (is_integer(b)) right.quantization = per_tensor(0.01f, 0);
  right.constant = true;
  node.input(right);
  node.q.outputs = {Node::desc(f32, {12, 32})};
  const Kernel* best = nullptr;
  for (const Kernel* row : kernels_for("MatMul")) {
    if (row->supports(node.q) && (!best || row->plan(node.q).cost < best->plan(node.q).cost)) best = row;
  }
  return best ? best->name : "none";
}

TEST(MatMul, each_level_of_arm_has_its_tiles) {
  EXPECT_EQ(cheapest("neon", f32, f32), "mat_mul_f32_6x16__neon");
  EXPECT_EQ(cheapest("neon", u8, i8), "mat_mul_int8_1x16__neon");
  // Without an instruction for bf16, products of f32 are faster than widening both factors at each step.
  EXPECT_EQ(cheapest("neon", bf16, f32), "mat_mul_f32_6x16__neon");
  const Features all = detect_features();
  if (!all.dotprod) GTEST_SKIP() << "no dot products here: their level and those above are not tested";
  EXPECT_EQ(cheapest("dotprod", u8, i8), "mat_mul_int8_6x16__neondot");
  if (!all.i8mm || !all.neon_bf16) GTEST_SKIP() << "no I8MM or BF16 here: their levels are not tested";
  EXPECT_EQ(cheapest("i8mm", i8, i8), "mat_mul_int8_6x16__neoni8mm");
  EXPECT_EQ(cheapest("i8mm", bf16, f32), "mat_mul_f32_6x16__neon");
  EXPECT_EQ(cheapest("bf16", bf16, f32), "mat_mul_bf16_6x16__neonbf16");
}
#endif

TEST(MatMul, columns_round_to_bytes_with_scales_of_their_own) {
  for (const int64_t n : {5, 48, 131}) {
    const int64_t m = 23, k = 70;
    for (const bool with_bias : {false, true}) {
      Node node(MatMul{});
      node.input(Node::desc(u8, {m, k}));
      TensorDesc b = Node::desc(i8, {k, n});
      b.constant = true;
      auto weights = std::make_shared<Quantization>();
      for (int64_t i = 0; i < n; ++i) weights->scales.push_back(0.01f + 0.001f * float(i % 5));
      weights->axis = 1;
      b.quantization = weights;
      node.input(b);
      const Tensor kept(i8, {k, n}, const_cast<void*>(node.inputs[1]));
      node.q.inputs[1].value = kept;
      node.q.num_op_inputs = 2;
      if (with_bias) {
        node.input(Node::desc(f32, {n}));
        node.q.epilogue.operands = {{2, Spread::per_channel}};
        node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}};
        node.q.num_op_inputs = 2;
      }
      TensorDesc y = Node::desc(u8, {m, n});
      auto columns = std::make_shared<Quantization>();
      for (int64_t i = 0; i < n; ++i) {
        columns->scales.push_back(0.1f + 0.05f * float(i % 3));
        columns->zero_points.push_back(int32_t(100 + i % 4));
      }
      columns->axis = 1;
      y.quantization = columns;
      node.q.outputs = {y};
      const int rows = node.each_row([&](const Buffer& out, const std::string& where) {
        for (int64_t i = 0; i < m * n; ++i) {
          const auto c = size_t(i % n);
          double sum = with_bias ? node.value(2, c) : 0;
          for (int64_t l = 0; l < k; ++l)
            sum +=
                node.value(0, size_t(i / n * k + l)) * get_element(kept, size_t(l * n) + c) * double(weights->scale(c));
          const double level = sum / columns->scale(c) + columns->zero_point(c);
          ASSERT_NEAR(out.data[i], std::min(std::max(level, 0.0), 255.0), 0.502) << where << " at " << i;
        }
      });
      EXPECT_GT(rows, 0);
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
