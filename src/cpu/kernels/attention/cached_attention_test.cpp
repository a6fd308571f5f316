// Attention to a cache in bytes, and how tokens get into it, against plain double loops.
#include "ops/cached_attention.hpp"

#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

TensorDesc bytes(Shape shape) {
  TensorDesc d;
  d.type = i8;
  d.shape = std::move(shape);
  return d;
}

void counts(Node& node, std::vector<int64_t> numbers, bool wide) {
  Tensor t(wide ? i64 : i32, {int64_t(numbers.size())});
  for (size_t i = 0; i < numbers.size(); ++i) set_integer(t, i, numbers[i]);
  node.constant(t);
}

struct Case {
  int64_t batch, heads, groups, length, room, features, width;
  std::vector<int64_t> tokens;
  bool causal = true, bare = false;  ///< bare: without scales
};

void check(const Case& k, ElementType type) {
  CachedAttention op;
  op.causal = k.causal;
  op.scale = k.bare ? 1e-4 : k.heads == k.groups ? 0 : 0.21;
  Node node(op);
  const Shape scales{k.batch, k.groups, k.room};
  node.input(Node::desc(type, {k.batch, k.heads, k.length, k.features}), -2, 2);
  node.input(bytes({k.batch, k.groups, k.room, k.features}));
  node.input(Node::desc(f32, scales), 0.001, 0.02);
  node.input(bytes({k.batch, k.groups, k.room, k.width}));
  node.input(Node::desc(f32, scales), 0.001, 0.02);
  counts(node, k.tokens, k.features % 2 == 0);
  for (size_t i : {2, 4}) {
    if (!k.bare) continue;
    node.q.inputs[i].present = false;
    node.inputs[i] = nullptr;
  }
  const auto scale_at = [&](size_t input, int64_t row) { return k.bare ? 1 : node.value(input, size_t(row)); };
  node.q.outputs = {Node::desc(type, {k.batch, k.heads, k.length, k.width})};
  const double scale = op.scale != 0 ? op.scale : 1 / std::sqrt(double(k.features));
  std::vector<double> want;
  for (int64_t b = 0; b < k.batch; ++b) {
    const int64_t tokens = k.tokens[k.tokens.size() == 1 ? 0 : size_t(b)];
    for (int64_t h = 0; h < k.heads; ++h) {
      const int64_t row0 = (b * k.groups + h / (k.heads / k.groups)) * k.room;
      for (int64_t i = 0; i < k.length; ++i) {
        const int64_t seen = k.causal ? std::max<int64_t>(tokens - k.length, 0) + i + 1 : tokens;
        std::vector<double> w;
        double top = -INFINITY, total = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double s = 0;
          for (int64_t e = 0; e < k.features; ++e)
            s += node.value(0, size_t(((b * k.heads + h) * k.length + i) * k.features + e)) *
                 node.value(1, size_t((row0 + j) * k.features + e));
          w.push_back(s * scale * scale_at(2, row0 + j));
          top = std::max(top, w.back());
        }
        for (double& x : w) total += x = std::exp(x - top);
        for (int64_t e = 0; e < k.width; ++e) {
          double sum = 0;
          for (int64_t j = 0; j < seen; ++j)
            sum += w[size_t(j)] / total * scale_at(4, row0 + j) * node.value(3, size_t((row0 + j) * k.width + e));
          want.push_back(sum);
        }
      }
    }
  }
  // In bf16 the query is rounded to 2^-16 of its largest number: scores of up to 100 and weights carry about 1e-3.
  EXPECT_GT(node.expect(want, type == f32 ? 2e-5 : 1e-3, k.bare ? 64 : 1), 0);
}

TEST(CachedAttention, reads_keys_and_values_of_bytes_with_a_scale_for_each_token) {
  const Case cases[] = {{1, 1, 1, 1, 1, 1, 1, {1}},
                        {1, 2, 2, 1, 40, 64, 64, {40}},
                        {1, 8, 2, 1, 300, 128, 128, {257}},
                        {2, 6, 3, 1, 70, 80, 48, {3, 70}},
                        {1, 4, 1, 3, 65, 33, 19, {65}},
                        {2, 4, 2, 16, 90, 24, 40, {16, 81}},
                        {2, 3, 3, 2, 20, 40, 72, {1, 20}, false},
                        {1, 5, 1, 1, 33, 16, 130, {18}},
                        {2, 4, 2, 5, 30, 48, 32, {3, 29}, true, true},
                        {1, 2, 2, 1, 70, 64, 64, {66}, true, true}};
  for (const Case& k : cases) {
    if (skip_case()) continue;
    check(k, f32);
    check(k, bf16);
    if (HasFatalFailure()) return;
  }
}

// One head whose keys are equal: weights are equal, so sums of 16-bit products are all that can go wrong.
TEST(CachedAttention, the_largest_sums_stay_within_32_bits) {
  const int64_t features = 1024;
  Node node(CachedAttention{});
  Tensor q(f32, {1, 1, 1, features}), k(i8, {1, 1, 2, features}), v(i8, {1, 1, 2, 1}), s(f32, {1, 1, 2});
  for (size_t i = 0; i < q.size(); ++i) set_element(q, i, -8.0);
  for (size_t i = 0; i < k.size(); ++i) set_integer(k, i, i < size_t(features) ? -128 : 127);
  set_integer(v, 0, 100);
  set_integer(v, 1, -100);
  set_element(s, 0, 1e-3);
  set_element(s, 1, 1e-3);
  node.constant(q);
  node.constant(k);
  node.constant(s);
  node.constant(v);
  node.constant(s);
  counts(node, {2}, true);
  node.q.outputs = {Node::desc(f32, {1, 1, 1, 1})};
  // Scores 8 * 1024 * 128e-3 / 32 = 32.8 and -32.5: all weight on the first one.
  EXPECT_GT(node.expect({0.1}, 1e-6), 0);
}

TEST(CachedAttention, refuses_counts_that_do_not_fit_when_they_are_known) {
  for (int64_t tokens : {-1, 0, 9}) {
    Node node(CachedAttention{});
    node.input(Node::desc(f32, {1, 1, 2, 8}));
    node.input(bytes({1, 1, 8, 8}));
    node.input(Node::desc(f32, {1, 1, 8}));
    node.input(bytes({1, 1, 8, 8}));
    node.input(Node::desc(f32, {1, 1, 8}));
    counts(node, {tokens}, true);
    node.q.outputs = {Node::desc(f32, {1, 1, 2, 8})};
    int ran = 0;
    for (const Kernel* row : kernels_for("CachedAttention")) {
      if (!row->supports(node.q)) continue;
      ++ran;
      const auto prepared = row->prepare(node.q);
      Buffer scratch(prepared->scratch_bytes()), out(node.q.outputs[0].bytes());
      std::vector<void*> outputs{out.data};
      ThreadPool pool(1);
      RunError error;
      prepared->run({node.inputs, outputs, scratch.data, pool, &error});
      EXPECT_TRUE(error.failed) << row->name << " attends to " << tokens << " of 8 tokens";
    }
    EXPECT_GT(ran, 0);
  }
}

TEST(CacheUpdate, rounds_each_row_to_its_own_scale_and_leaves_the_rest) {
  for (ElementType type : {f32, bf16}) {
    Node node(CacheUpdate{});
    const int64_t batch = 2, heads = 3, room = 9, length = 2, features = 21;
    node.input(bytes({batch, heads, room, features}));
    node.input(Node::desc(f32, {batch, heads, room}), 0.1, 0.2);
    node.input(Node::desc(type, {batch, heads, length, features}));
    counts(node, {0, 7}, false);
    node.q.outputs = {bytes({batch, heads, room, features}), Node::desc(f32, {batch, heads, room})};
    const Kernel* row = kernels_for("CacheUpdate").at(0);
    ASSERT_TRUE(row->supports(node.q)) << row->supports(node.q).why();
    for (int threads : {1, 3}) {
      const auto out = run_row_outputs(*row, node.q, node.inputs, threads);
      for (int64_t r = 0; r < batch * heads * room; ++r) {
        const int64_t first = r / room / heads == 0 ? 0 : 7, i = r % room - first;
        const bool fresh = i >= 0 && i < length;
        float most = 0;
        const auto token = [&](int64_t e) {
          return float(node.value(2, size_t(((r / room) * length + i) * features + e)));
        };
        for (int64_t e = 0; fresh && e < features; ++e) most = std::max(most, std::fabs(token(e)));
        const float scale = fresh ? most / 127.0f : float(node.value(1, size_t(r)));
        ASSERT_EQ(reinterpret_cast<const float*>(out[1].data)[r], scale) << "row " << r;
        for (int64_t e = 0; e < features; ++e) {
          const double want =
              fresh ? std::nearbyint(token(e) * (127.0f / most)) : node.value(0, size_t(r * features + e));
          ASSERT_EQ(double(reinterpret_cast<const int8_t*>(out[0].data)[r * features + e]), want)
              << "row " << r << ", feature " << e;
        }
      }
    }
    // Where a program lets them share memory, nothing is copied.
    const KernelPlan plan = row->plan(node.q);
    EXPECT_EQ(plan.in_place_input, 0);
    EXPECT_EQ(plan.in_place, (std::vector<std::pair<uint32_t, uint32_t>>{{1u, 1u}}));
  }
}

}  // namespace
}  // namespace hone::cpu::test
