// Every row of CompressedMatMul against sums in double over a sweep of shapes, types and groups.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/compressed_matmul.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

struct Case {
  int64_t m, n, k, group;
};

void check(const Case& c, ElementType type, bool zeros, ElementType scale_type, ElementType x_type, bool bf16_compute,
           bool transposed, bool epilogue, int* ran) {
  if (skip_case()) return;
  std::mt19937 rng(static_cast<unsigned>(c.m * 7919 + c.n * 131 + c.k));
  const int bits = bit_width(type), low = is_signed(type) ? -(1 << (bits - 1)) : 0, high = low + (1 << bits) - 1;
  std::uniform_int_distribution<int> integer(low, high);
  std::uniform_real_distribution<float> real(0.5f, 1.5f);
  const int64_t groups = (c.k + c.group - 1) / c.group;
  Tensor w(type, transposed ? Shape{c.n, c.k} : Shape{c.k, c.n});
  Tensor s(scale_type, transposed ? Shape{c.n, groups} : Shape{groups, c.n}), z(f32, s.shape());
  for (size_t i = 0; i < w.size(); ++i) set_integer(w, i, integer(rng));
  for (size_t i = 0; i < s.size(); ++i) {
    set_element(s, i, real(rng) / float(1 << bits));
    set_element(z, i, integer(rng));
  }
  CompressedMatMul op{c.group, zeros ? 0 : (low + high + 1) / 2, transposed};
  Node node(op);
  node.input(Node::desc(x_type, {c.m, c.k}), -2, 2);
  node.constant(w);
  node.constant(s);
  if (zeros) node.constant(z);
  const size_t op_inputs = node.q.inputs.size();
  if (epilogue) {
    node.input(Node::desc(f32, {c.n}));
    node.input(Node::desc(f32, {c.m, c.n}));
    node.q.epilogue.operands = {{uint32_t(op_inputs), Spread::per_channel}, {uint32_t(op_inputs) + 1, Spread::full}};
    node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::gelu_tanh, 3}, {EpilogueOp::add, 4, 2}};
    node.q.num_op_inputs = op_inputs;
  }
  node.q.bf16_compute = bf16_compute;
  node.q.outputs = {Node::desc(x_type == bf16 ? bf16 : f32, {c.m, c.n})};
  std::vector<double> want;
  double magnitude = 0;
  for (int64_t m = 0; m < c.m; ++m) {
    for (int64_t n = 0; n < c.n; ++n) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < c.k; ++k) {
        const auto at = size_t(transposed ? n * c.k + k : k * c.n + n);
        const auto group_at = size_t(transposed ? n * groups + k / c.group : k / c.group * c.n + n);
        const double zero = zeros ? get_element(z, group_at) : double(op.zero_point);
        const double term =
            node.value(0, size_t(m * c.k + k)) * (double(get_integer(w, at)) - zero) * get_element(s, group_at);
        sum += term;
        size += std::fabs(term);
      }
      magnitude = std::max(magnitude, size);
      want.push_back(apply_epilogue(
          node.q.epilogue, sum, [&](size_t i) { return node.value(op_inputs + i, size_t(i == 0 ? n : m * c.n + n)); }));
    }
  }
  // Two digits round to 2^-16 of the largest in a group, three to 2^-24; sums add what f32 sums do.
  const bool narrow = bf16_compute || x_type == bf16;
  *ran += node.expect(want, narrow ? 6e-5 : 2e-6, magnitude);
}

TEST(LowBit, every_row_matches_the_definition_over_a_sweep_of_shapes) {
  int ran = 0;
  const std::vector<Case> cases = {{1, 1, 1, 1},     {1, 16, 32, 32},   {1, 70, 96, 32}, {1, 129, 300, 128},
                                   {2, 33, 50, 16},  {3, 64, 128, 128}, {5, 20, 64, 20}, {6, 17, 129, 128},
                                   {7, 65, 256, 64}, {8, 48, 40, 8},    {13, 31, 77, 7}, {16, 80, 160, 1000}};
  int turn = 0;
  for (const Case& c : cases) {
    for (ElementType type : {u4, i4, u8, i8}) {
      for (bool zeros : {false, true}) {
        check(c, type, zeros, turn % 2 ? f16 : f32, f32, turn % 3 == 0, turn % 4 < 2, turn % 5 < 2, &ran);
        ++turn;
      }
    }
  }
  for (ElementType x : {bf16, f16}) check({5, 40, 100, 32}, u4, true, f16, x, false, true, true, &ran);
  EXPECT_GT(ran, 0);
}

TEST(LowBit, outliers_and_zeros_keep_their_neighbours_and_what_is_no_number_stays_none) {
  constexpr int64_t n = 16, k = 64;
  Tensor w(i8, {n, k}), s(f32, {n, 2});
  for (size_t i = 0; i < w.size(); ++i) set_integer(w, i, int64_t(i % 7) - 3);
  for (size_t i = 0; i < s.size(); ++i) set_element(s, i, 0.25);
  Node node(CompressedMatMul{32});
  node.input(Node::desc(f32, {3, k}), -1, 1);
  auto* x = static_cast<float*>(const_cast<void*>(node.inputs[0]));
  for (int64_t i = 0; i < 32; ++i) x[i] = 0;
  x[40] = 1e30f;
  x[k + 3] = INFINITY;
  x[2 * k] = 1e-38f;
  node.constant(w);
  node.constant(s);
  node.q.outputs = {Node::desc(f32, {3, n})};
  const int rows = node.each_row([&](const Buffer& out, const std::string& where) {
    const auto* y = reinterpret_cast<const float*>(out.data);
    for (int64_t c = 0; c < n; ++c) {
      const double first = 1e30 * double(get_integer(w, size_t(c * k + 40))) * 0.25;
      EXPECT_NEAR(y[c], first, 1e24) << where;
      EXPECT_FALSE(std::isfinite(y[n + c])) << where;
      EXPECT_TRUE(std::isfinite(y[2 * n + c])) << where;
    }
  });
  EXPECT_GT(rows, 0);
}

TEST(LowBit, refuses_what_it_cannot_keep) {
  Node node(CompressedMatMul{4, 20});
  node.input(Node::desc(f32, {1, 8}));
  node.constant(Tensor(u4, {16, 8}));
  node.constant(Tensor(f32, {16, 2}));
  node.q.outputs = {Node::desc(f32, {1, 16})};
  int takers = 0;
  for (const Kernel* row : kernels_for("CompressedMatMul"))
    takers += std::string(row->provider) == "hone" && row->supports(node.q);
  EXPECT_GT(takers, 0);
  Tensor z(f32, {16, 2});
  set_element(z, 5, 0.5);
  node.constant(z);
  node.q.num_op_inputs = 4;
  for (const Kernel* row : kernels_for("CompressedMatMul")) {
    if (std::string(row->provider) != "hone") continue;
    EXPECT_FALSE(row->supports(node.q)) << row->name;
  }
}

}  // namespace
}  // namespace hone::cpu::test
