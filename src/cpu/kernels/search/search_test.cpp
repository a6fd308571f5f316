// TopK and CumSum against plain loops.
#include <algorithm>
#include <numeric>

#include "cpu/kernels/kernel_test.hpp"
#include "ops/indexing.hpp"
#include "ops/reduce.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

TEST(TopK, values_and_indices_of_any_axis) {
  struct Case {
    Shape shape;
    int64_t axis, k;
  };
  for (const Case& c : std::vector<Case>{{{3, 50}, -1, 7}, {{2, 40, 3}, 1, 40}, {{300}, 0, 1}, {{4, 2}, 0, 0}}) {
    for (auto type : {f32, i32}) {
      for (TopKMode mode : {TopKMode::max, TopKMode::min}) {
        for (TopKSort sort : {TopKSort::value, TopKSort::index}) {
          const bool wide = sort == TopKSort::index;
          Node node(TopK{.axis = c.axis, .mode = mode, .sort = sort, .index_element_type = wide ? i64 : i32});
          Tensor x(type, c.shape);
          // Few different values: ties count.
          std::uniform_int_distribution<int> pick(-9, 9);
          for (size_t i = 0; i < x.size(); ++i) set_element(x, i, pick(node.rng));
          if (type == f32) {
            set_element(x, 1, NAN);
            set_element(x, 0, -INFINITY);
            set_element(x, 3, -0.0);
          }
          node.constant(x);
          node.constant(Tensor::scalar<int64_t>(c.k));
          const size_t axis = size_t(c.axis < 0 ? c.axis + int64_t(c.shape.size()) : c.axis);
          Shape out = c.shape;
          out[axis] = c.k;
          TensorDesc values, indices;
          values.type = type;
          indices.type = wide ? i64 : i32;
          values.shape = indices.shape = out;
          node.q.outputs = {values, indices};
          size_t inner = 1;
          for (size_t i = axis + 1; i < c.shape.size(); ++i) inner *= size_t(c.shape[i]);
          const size_t n = size_t(c.shape[axis]), k = size_t(c.k);
          const auto value = [&](size_t line, size_t e) {
            return get_element(x, line / inner * n * inner + e * inner + line % inner);
          };
          int count = 0;
          for (const Kernel* row : kernels_for("TopK")) {
            if (std::string(row->provider) != "hone" || !row->supports(node.q)) continue;
            ++count;
            for (int threads : {1, 3}) {
              const auto got = run_row_outputs(*row, node.q, node.inputs, threads);
              for (size_t line = 0; line < x.size() / n; ++line) {
                std::vector<size_t> order(n);
                std::iota(order.begin(), order.end(), size_t(0));
                std::stable_sort(order.begin(), order.end(), [&](size_t p, size_t q) {
                  const double u = value(line, p), v = value(line, q);
                  if (std::isnan(u) || std::isnan(v))
                    return std::isnan(mode == TopKMode::max ? u : v) && !std::isnan(mode == TopKMode::max ? v : u);
                  return mode == TopKMode::max ? u > v : u < v;
                });
                order.resize(k);
                if (sort == TopKSort::index) std::sort(order.begin(), order.end());
                for (size_t e = 0; e < k; ++e) {
                  const size_t at = line / inner * k * inner + e * inner + line % inner;
                  ASSERT_EQ(read(indices, got[1].data, at), double(order[e])) << row->name << " line " << line;
                  const double v = read(values, got[0].data, at), want = value(line, order[e]);
                  ASSERT_TRUE(v == want || (std::isnan(v) && std::isnan(want))) << v << " is not " << want;
                }
              }
            }
          }
          EXPECT_GT(count, 0);
        }
      }
    }
  }
}

TEST(CumSum, of_any_axis_in_both_directions) {
  const Shape shape = {3, 70, 4};
  for (auto type : {f32, i32, i64}) {
    for (int64_t axis : {0, 1, -1}) {
      for (int flags = 0; flags < 4; ++flags) {
        const bool exclusive = flags & 1, reverse = flags & 2;
        Node node(CumSum{exclusive, reverse});
        Tensor x(type, shape);
        std::uniform_int_distribution<int> pick(-20, 20);
        for (size_t i = 0; i < x.size(); ++i) set_element(x, i, type == f32 ? 0.25 * pick(node.rng) : pick(node.rng));
        node.constant(x);
        node.constant(Tensor::scalar<int64_t>(axis));
        TensorDesc y;
        y.type = type;
        y.shape = shape;
        node.q.outputs = {y};
        const size_t a = size_t(axis < 0 ? axis + 3 : axis), n = size_t(shape[a]);
        size_t inner = 1;
        for (size_t i = a + 1; i < 3; ++i) inner *= size_t(shape[i]);
        std::vector<double> want(x.size());
        for (size_t i = 0; i < want.size(); ++i) {
          const size_t base = i - i / inner % n * inner, own = i / inner % n;
          for (size_t e = 0; e < n; ++e) {
            const bool before = reverse ? e > own : e < own;
            if (before || (!exclusive && e == own)) want[i] += get_element(x, base + e * inner);
          }
        }
        EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
          for (size_t i = 0; i < want.size(); ++i) ASSERT_EQ(read(y, out.data, i), want[i]) << where << " at " << i;
        }),
                  0);
      }
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
