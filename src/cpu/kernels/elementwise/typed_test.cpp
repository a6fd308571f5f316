// Elementwise operators on exact types against the same expression on single elements.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/unary.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;
constexpr Layout last = Layout::channels_last;

struct Shapes {
  Shape a, b, out;
  Layout layout = Layout::plain;
};
const Shapes shapes[] = {{{3, 700}, {3, 700}, {3, 700}},
                         {{2, 3, 4}, {4}, {2, 3, 4}},
                         {{1}, {5, 7}, {5, 7}},
                         {{4, 1, 3}, {1, 6, 1}, {4, 6, 3}},
                         {{2, 5, 3, 4}, {1, 5, 1, 1}, {2, 5, 3, 4}, last},
                         {{}, {}, {}}};

// Index of the element of `shape` that output element i (in memory order) reads.
size_t source(const Shape& shape, const Shape& out, Layout layout, size_t i) {
  size_t logical = logical_order(out, layout)[i], at = 0, step = 1;
  for (size_t d = out.size(); d-- > 0;) {
    const size_t index = logical % size_t(out[d]);
    logical /= size_t(out[d]);
    if (d + shape.size() < out.size()) continue;
    const int64_t own = shape[d + shape.size() - out.size()];
    at += (own == 1 ? 0 : index) * step;
    step *= size_t(own);
  }
  const Layout own_layout = shape.size() == out.size() ? layout : Layout::plain;
  return memory_order(shape, own_layout)[at];
}

TensorDesc desc(ElementType type, const Shape& shape, Layout layout) {
  TensorDesc d;
  d.type = type;
  d.shape = shape;
  d.layout = layout;
  return d;
}
// Small numbers, so that many of them are equal.
void fill(Node& node, size_t input) {
  Tensor t(node.q.inputs[input].type, {int64_t(node.q.inputs[input].size())}, const_cast<void*>(node.inputs[input]));
  std::uniform_int_distribution<int> pick(node.q.inputs[input].type == boolean ? 0 : -2,
                                          node.q.inputs[input].type == boolean ? 1 : 3);
  for (size_t i = 0; i < t.size(); ++i) set_element(t, i, pick(node.rng));
}

template <class Op, class F>
void check(ElementType type, ElementType result, F f) {
  for (const Shapes& s : shapes) {
    if (skip_case()) continue;
    Node node(Op{});
    node.input(desc(type, s.a, s.a.size() == s.out.size() ? s.layout : Layout::plain));
    node.input(desc(type, s.b, s.b.size() == s.out.size() ? s.layout : Layout::plain));
    fill(node, 0);
    fill(node, 1);
    node.q.outputs = {desc(result, s.out, s.layout)};
    const int rows = node.each_row([&](const Buffer& out, const std::string& where) {
      for (size_t i = 0; i < node.q.outputs[0].size(); ++i) {
        const double a = node.value(0, source(s.a, s.out, s.layout, i)),
                     b = node.value(1, source(s.b, s.out, s.layout, i));
        ASSERT_NEAR(read(node.q.outputs[0], out.data, i), double(f(a, b)), 1e-5 * std::fabs(double(f(a, b))))
            << where << " of " << a << ", " << b << " at " << i;
      }
    });
    EXPECT_GT(rows, 0) << Op::name << " " << name_of(type);
  }
}

TEST(TypedElementwise, comparison_and_logic) {
  for (auto t : {f32, i32, i64}) {
    check<Equal>(t, boolean, [](double a, double b) { return a == b; });
    check<NotEqual>(t, boolean, [](double a, double b) { return a != b; });
    check<Less>(t, boolean, [](double a, double b) { return a < b; });
    check<LessEqual>(t, boolean, [](double a, double b) { return a <= b; });
    check<Greater>(t, boolean, [](double a, double b) { return a > b; });
    check<GreaterEqual>(t, boolean, [](double a, double b) { return a >= b; });
  }
  check<Equal>(boolean, boolean, [](double a, double b) { return a == b; });
  check<LogicalAnd>(boolean, boolean, [](double a, double b) { return a != 0 && b != 0; });
  check<LogicalOr>(boolean, boolean, [](double a, double b) { return a != 0 || b != 0; });
  check<LogicalXor>(boolean, boolean, [](double a, double b) { return a != b; });
}

TEST(TypedElementwise, integer_arithmetic_and_powers) {
  for (auto t : {i32, i64}) {
    check<Add>(t, t, [](double a, double b) { return a + b; });
    check<Subtract>(t, t, [](double a, double b) { return a - b; });
    check<Multiply>(t, t, [](double a, double b) { return a * b; });
    check<Maximum>(t, t, [](double a, double b) { return std::max(a, b); });
    check<Minimum>(t, t, [](double a, double b) { return std::min(a, b); });
  }
  // 0 to a negative power is infinite: left out by shifting the base.
  Node node(Power{});
  node.input(desc(f32, {600}, Layout::plain), 0.5, 3);
  node.input(desc(f32, {600}, Layout::plain), -2, 3);
  node.q.outputs = {desc(f32, {600}, Layout::plain)};
  std::vector<double> want;
  for (size_t i = 0; i < 600; ++i) want.push_back(std::pow(node.value(0, i), node.value(1, i)));
  EXPECT_GT(node.expect(want, 1e-6), 0);
  for (float e : {2.0f, 3.0f, 0.5f}) {
    Node square(Power{});
    square.input(desc(f32, {33}, Layout::plain), 0, 3);
    square.constant(Tensor::of<float>({1}, {e}));
    square.q.outputs = {desc(f32, {33}, Layout::plain)};
    want.clear();
    for (size_t i = 0; i < 33; ++i) want.push_back(std::pow(square.value(0, i), double(e)));
    EXPECT_GT(square.expect(want, 1e-6), 0);
  }
}

TEST(TypedElementwise, select_and_conversions) {
  for (auto t : {f32, i64, bf16, u8}) {
    for (const Shapes& s : shapes) {
      Node node(Select{});
      node.input(desc(boolean, s.b, s.b.size() == s.out.size() ? s.layout : Layout::plain));
      TensorDesc a = desc(t, s.a, s.a.size() == s.out.size() ? s.layout : Layout::plain),
                 b = desc(t, {}, Layout::plain);
      node.input(a);
      node.input(b);
      for (size_t i = 0; i < 3; ++i) fill(node, i);
      node.q.outputs = {desc(t, s.out, s.layout)};
      EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
        for (size_t i = 0; i < node.q.outputs[0].size(); ++i) {
          const bool c = node.value(0, source(s.b, s.out, s.layout, i)) != 0;
          const double want = c ? node.value(1, source(s.a, s.out, s.layout, i)) : node.value(2, 0);
          ASSERT_EQ(read(node.q.outputs[0], out.data, i), want) << where << " at " << i;
        }
      }),
                0);
    }
  }
  struct Conversion {
    ElementType from, to;
    double in, out;
  };
  for (const Conversion& c : std::vector<Conversion>{{f32, i32, 3e9, 2147483647},
                                                     {f32, i32, -2.7, -2},
                                                     {f32, i64, NAN, 0},
                                                     {f32, boolean, 0.5, 1},
                                                     {f32, boolean, 0, 0},
                                                     {boolean, f32, 1, 1},
                                                     {boolean, i64, 1, 1},
                                                     {i64, i32, -5e9, -2147483648.0},
                                                     {i64, f32, 12, 12},
                                                     {i32, i64, -7, -7},
                                                     {i32, boolean, -7, 1},
                                                     {u8, i32, 200, 200}}) {
    Node node(Convert{c.to});
    Tensor x(c.from, {5});
    for (size_t i = 0; i < 5; ++i) set_element(x, i, c.in);
    node.constant(x);
    node.q.outputs = {desc(c.to, {5}, Layout::plain)};
    EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
      for (size_t i = 0; i < 5; ++i) ASSERT_EQ(read(node.q.outputs[0], out.data, i), c.out) << where;
    }),
              0)
        << name_of(c.from) << " to " << name_of(c.to);
  }
}

TEST(TypedElementwise, tests_of_numbers) {
  const float inf = INFINITY;
  for (bool finite : {false, true}) {
    Node node = finite ? Node(IsFinite{}) : Node(IsNaN{});
    node.constant(Tensor::of<float>({6}, {0, NAN, inf, -inf, 3e38f, -1}));
    node.q.outputs = {desc(boolean, {6}, Layout::plain)};
    const std::vector<double> want =
        finite ? std::vector<double>{1, 0, 0, 0, 1, 1} : std::vector<double>{0, 1, 0, 0, 0, 0};
    EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
      for (size_t i = 0; i < 6; ++i) ASSERT_EQ(read(node.q.outputs[0], out.data, i), want[i]) << where;
    }),
              0);
  }
}

}  // namespace
}  // namespace hone::cpu::test
