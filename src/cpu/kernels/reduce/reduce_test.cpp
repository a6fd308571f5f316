// Softmax, normalization, pooling and reductions against plain loops.
#include "ops/reduce.hpp"

#include "cpu/kernels/kernel_test.hpp"
#include "ops/activation.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;
constexpr Layout last = Layout::channels_last;

TEST(Softmax, along_any_axis_in_any_type) {
  struct Case {
    Shape shape;
    int64_t axis;
    Layout layout = Layout::plain;
  };
  for (const Case& c : std::vector<Case>{{{3, 10}, 1},
                                         {{1, 1000}, -1},
                                         {{2, 21, 5}, 1},
                                         {{2, 3, 17}, 0},
                                         {{2, 19, 3, 4}, 1, last},
                                         {{4, 1}, 1},
                                         {{2, 19, 4}, 1},
                                         {{3, 50, 3}, 1},
                                         {{1, 33, 7}, 1},
                                         {{2, 11, 6}, 1},
                                         {{1, 2, 8}, 1},
                                         {{5, 1, 2}, 1}}) {
    for (auto [from, to] : {std::pair{f32, f32}, {bf16, bf16}, {u8, f32}, {f16, f16}}) {
      for (bool log : {false, true}) {
        auto run = [&, from = from, to = to](auto op) {
          op.axis = c.axis;
          Node node(op);
          node.input(Node::desc(from, c.shape, c.layout), -30, 30);
          node.q.outputs = {Node::desc(to, c.shape, c.layout)};
          const size_t axis = size_t(c.axis < 0 ? c.axis + int64_t(c.shape.size()) : c.axis);
          size_t inner = 1;
          for (size_t i = axis + 1; i < c.shape.size(); ++i) inner *= size_t(c.shape[i]);
          const size_t n = size_t(c.shape[axis]);
          const auto logical = logical_order(c.shape, c.layout), memory = memory_order(c.shape, c.layout);
          std::vector<double> want(logical.size());
          for (size_t i = 0; i < want.size(); ++i) {
            const size_t base = logical[i] - logical[i] / inner % n * inner;
            double top = -1e300, sum = 0;
            for (size_t k = 0; k < n; ++k) top = std::max(top, node.value(0, memory[base + k * inner]));
            for (size_t k = 0; k < n; ++k) sum += std::exp(node.value(0, memory[base + k * inner]) - top);
            const double v = node.value(0, i) - top;
            want[i] = log ? v - std::log(sum) : std::exp(v) / sum;
          }
          // x - max is rounded to f32 before exp: 2^-24 of up to 60.
          EXPECT_GT(node.expect(want, 6e-6, log ? 1.0 : 0.0), 0);
        };
        if (log) {
          run(LogSoftmax{});
        } else {
          run(Softmax{});
        }
      }
    }
  }
}

TEST(Normalization, rows_match_the_formula) {
  const Shape shape = {3, 5, 37};
  const std::pair<ElementType, ElementType> types[] = {{f32, f32}, {bf16, bf16}, {u8, u8},
                                                       {i8, f32},  {f32, i8},    {u8, bf16}};
  for (const auto& [type, result] : types) {
    for (int which : {0, 1, 2, 3, 4}) {
      Node node = which == 0   ? Node(LayerNorm{.epsilon = 1e-3, .axis = -1})
                  : which == 1 ? Node(RMSNorm{.epsilon = 1e-3, .axis = 2})
                  : which == 2 ? Node(MVN{.eps = 1e-3, .eps_mode = EpsMode::outside_sqrt})
                  : which == 3 ? Node(NormalizeL2{.eps = 200, .eps_mode = "max"})  // some rows are below, some above
                               : Node(NormalizeL2{.eps = 20, .eps_mode = "add"});
      node.input(Node::desc(type, shape), -2, 5);
      if (which >= 2) {
        node.constant(Tensor::of<int64_t>({1}, {2}));
      } else {
        node.input(Node::desc(f32, {37}));
        if (which == 0) node.input(Node::desc(f32, {37}));
      }
      node.q.outputs = {Node::desc(result, shape)};
      std::vector<double> want(15 * 37);
      for (size_t r = 0; r < 15; ++r) {
        double mean = 0, var = 0;
        for (size_t i = 0; i < 37; ++i) mean += node.value(0, r * 37 + i) / 37;
        if (which == 1 || which > 2) mean = 0;
        for (size_t i = 0; i < 37; ++i) var += std::pow(node.value(0, r * 37 + i) - mean, 2) / 37;
        for (size_t i = 0; i < 37; ++i) {
          const double divisor = which == 2   ? std::sqrt(var) + 1e-3
                                 : which == 3 ? std::sqrt(std::max(var * 37, 200.0))
                                 : which == 4 ? std::sqrt(var * 37 + 20)
                                              : std::sqrt(var + 1e-3);
          double v = (node.value(0, r * 37 + i) - mean) / divisor;
          if (which < 2) v *= node.value(1, i);
          if (which == 0) v += node.value(2, i);
          want[r * 37 + i] = v;
        }
      }
      EXPECT_GT(node.expect(want, 2e-6), 0) << node.op;
    }
  }
}

TEST(Normalization, of_images_and_of_channels_in_the_order_of_pixels) {
  const int64_t n = 2, c = 21, h = 3, w = 5, space = h * w;
  for (auto type : {f32, bf16, u8}) {
    for (const bool whole : {true, false}) {
      Node node = whole ? Node(MVN{.eps = 1e-3}) : Node(NormalizeL2{.eps = 1e-3, .eps_mode = "max"});
      node.input(Node::desc(type, {n, c, h, w}, last), -2, 5);
      node.constant(whole ? Tensor::of<int64_t>({3}, {1, 2, 3}) : Tensor::of<int64_t>({1}, {1}));
      node.q.outputs = {Node::desc(type == u8 ? f32 : type, {n, c, h, w}, last)};
      const size_t row = size_t(whole ? c * space : c);
      std::vector<double> want(size_t(n * c * space));
      for (size_t r = 0; r < want.size(); r += row) {
        double mean = 0, square = 0;
        for (size_t i = 0; whole && i < row; ++i) mean += node.value(0, r + i) / double(row);
        for (size_t i = 0; i < row; ++i) square += std::pow(node.value(0, r + i) - mean, 2);
        const double divisor = std::sqrt(whole ? square / double(row) + 1e-3 : square);
        for (size_t i = 0; i < row; ++i) want[r + i] = (node.value(0, r + i) - mean) / divisor;
      }
      EXPECT_GT(node.expect(want, 2e-6), 0) << node.op;
    }
  }
}

TEST(Normalization, of_each_channel_in_the_order_of_pixels_with_what_follows) {
  struct Case {
    int64_t n, c, h, w;
    ElementType type, result;
    double offset;
  };
  for (const Case& k :
       {Case{1, 3, 5, 7, f32, f32, 0}, Case{2, 32, 40, 33, f32, bf16, 0}, Case{1, 70, 31, 29, bf16, f32, 0},
        Case{1, 300, 9, 11, u8, u8, 0}, Case{1, 16, 64, 64, f32, u8, 0}, Case{2, 17, 1, 1, i8, f32, 0},
        Case{1, 8, 130, 100, f32, f32, 3000}, Case{1, 33, 3, 50, bf16, i8, 0}}) {
    for (int form : {0, 1, 2}) {
      const int64_t space = k.h * k.w;
      Node node(MVN{.eps = 1e-3,
                    .normalize_variance = form != 2,
                    .eps_mode = form == 1 ? EpsMode::outside_sqrt : EpsMode::inside_sqrt});
      node.input(Node::desc(k.type, {k.n, k.c, k.h, k.w}, last), k.offset - 2, k.offset + 5);
      node.constant(Tensor::of<int64_t>({2}, {-1, 2}));
      if (form > 0) {  // gamma, beta, a function, levels between
        for (int i = 0; i < 2; ++i) node.input(Node::desc(f32, {1, k.c, 1, 1}), 0.5, 2);
        node.q.num_op_inputs = 2;
        node.q.epilogue.operands = {{2, Spread::per_channel}, {3, Spread::per_channel}};
        node.q.epilogue.steps = {{EpilogueOp::multiply, 0, 1}, {EpilogueOp::add, 2, 3}};
        if (form == 1) node.q.epilogue.steps.push_back({EpilogueOp::swish, 4, -1, 1.0f});
        if (form == 2) node.q.epilogue.steps.push_back({EpilogueOp::leaky_relu, 4, -1, 0.1f});
      }
      node.q.outputs = {Node::desc(k.result, {k.n, k.c, k.h, k.w}, last)};
      std::vector<double> want(size_t(k.n * k.c * space));
      for (int64_t n = 0; n < k.n; ++n) {
        for (int64_t c = 0; c < k.c; ++c) {
          const auto place = [&](int64_t s) { return size_t((n * space + s) * k.c + c); };
          double mean = 0, var = 0;
          for (int64_t s = 0; s < space; ++s) mean += node.value(0, place(s)) / double(space);
          for (int64_t s = 0; s < space; ++s) var += std::pow(node.value(0, place(s)) - mean, 2) / double(space);
          const double by = form == 2 ? 1 : form == 1 ? std::sqrt(var) + 1e-3 : std::sqrt(var + 1e-3);
          for (int64_t s = 0; s < space; ++s) {
            want[place(s)] = apply_epilogue(node.q.epilogue, (node.value(0, place(s)) - mean) / by,
                                            [&](size_t i) { return node.value(2 + i, size_t(c)); });
          }
        }
      }
      EXPECT_GT(node.expect(want, k.offset > 0 ? 3e-4 : 4e-6), 0) << k.c << " channels, form " << form;
    }
  }
}

struct PoolCase {
  int64_t n, c, h, w, kh, kw, sh, sw, dh = 1, dw = 1, pt = 0, pl = 0, pb = 0, pr = 0;
  bool exclude = true;
};

template <class Make>
void check_pool(const PoolCase& k, bool average, ElementType type, ElementType out_type, Make make) {
  Node node = make();
  const int64_t oh = (k.h + k.pt + k.pb - (k.kh - 1) * k.dh - 1) / k.sh + 1,
                ow = (k.w + k.pl + k.pr - (k.kw - 1) * k.dw - 1) / k.sw + 1;
  node.input(Node::desc(type, {k.n, k.c, k.h, k.w}, last));
  node.q.outputs = {Node::desc(out_type, {k.n, k.c, oh, ow}, last)};
  std::vector<double> want;
  for (int64_t n = 0; n < k.n; ++n) {
    for (int64_t y = 0; y < oh; ++y) {
      for (int64_t x = 0; x < ow; ++x) {
        for (int64_t c = 0; c < k.c; ++c) {
          double best = -1e300, sum = 0, inside = 0, padded = 0;
          for (int64_t a = 0; a < k.kh; ++a) {
            for (int64_t b = 0; b < k.kw; ++b) {
              const int64_t iy = y * k.sh + a * k.dh - k.pt, ix = x * k.sw + b * k.dw - k.pl;
              if (iy < k.h + k.pb && ix < k.w + k.pr) padded += 1;
              if (iy < 0 || ix < 0 || iy >= k.h || ix >= k.w) continue;
              const double v = node.value(0, at(last, k.c, k.h * k.w, n, c, iy * k.w + ix));
              best = std::max(best, v);
              sum += v;
              inside += 1;
            }
          }
          want.push_back(average ? sum / (k.exclude ? inside : padded) : best);
        }
      }
    }
  }
  EXPECT_GT(node.expect(want, 1e-6), 0);
}

TEST(Pool, windows_match_the_plain_loop) {
  const std::vector<PoolCase> cases = {
      {2, 19, 7, 9, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1},        {1, 64, 6, 6, 2, 2, 2, 2},
      {1, 35, 8, 5, 3, 2, 1, 2, 1, 1, 0, 1, 2, 0, false}, {1, 130, 6, 15, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1},
      {1, 16, 5, 4, 2, 4, 1, 3, 1, 1, 0, 2, 1, 1},        {1, 3, 11, 10, 1, 5, 3, 1, 1, 1, 0, 2, 0, 2}};
  for (const PoolCase& k : cases) {
    for (auto [from, to] : {std::pair{f32, f32}, {bf16, bf16}, {u8, u8}, {i8, i8}, {u8, f32}, {f16, f16}}) {
      check_pool(k, false, from, to, [&] {
        MaxPool op;
        op.kernel = {k.kh, k.kw};
        op.strides = {k.sh, k.sw};
        op.pads_begin = {k.pt, k.pl};
        op.pads_end = {k.pb, k.pr};
        return Node(op);
      });
      check_pool(k, true, from, to, [&] {
        AvgPool op;
        op.kernel = {k.kh, k.kw};
        op.strides = {k.sh, k.sw};
        op.pads_begin = {k.pt, k.pl};
        op.pads_end = {k.pb, k.pr};
        op.exclude_pad = k.exclude;
        return Node(op);
      });
    }
  }
  const PoolCase dilated = {1, 20, 9, 9, 3, 2, 2, 1, 2, 3, 1, 1, 2, 2};
  for (auto type : {f32, bf16, u8, i8}) {
    check_pool(dilated, false, type, type, [&] {
      MaxPool op;
      op.kernel = {3, 2};
      op.strides = {2, 1};
      op.dilations = {2, 3};
      op.pads_begin = {1, 1};
      op.pads_end = {2, 2};
      return Node(op);
    });
  }
  for (const bool exclude : {true, false}) {
    PoolCase k = dilated;
    k.exclude = exclude;
    check_pool(k, true, f32, f32, [&] {
      AvgPool op;
      op.kernel = {3, 2};
      op.strides = {2, 1};
      op.dilations = {2, 3};
      op.pads_begin = {1, 1};
      op.pads_end = {2, 2};
      op.exclude_pad = exclude;
      return Node(op);
    });
  }
}

TEST(Pool, adaptive_windows_cover_the_input) {
  for (auto [h, w, oh, ow] : {std::tuple<int64_t, int64_t, int64_t, int64_t>{7, 7, 1, 1}, {10, 7, 3, 4}}) {
    for (auto type : {f32, bf16, u8}) {
      const int64_t c = 130;
      Node node(AdaptiveAvgPool{});
      node.input(Node::desc(type, {2, c, h, w}, last));
      node.constant(Tensor::of<int64_t>({2}, {oh, ow}));
      node.q.outputs = {Node::desc(type, {2, c, oh, ow}, last)};
      std::vector<double> want;
      for (int64_t n = 0; n < 2; ++n) {
        for (int64_t y = 0; y < oh; ++y) {
          for (int64_t x = 0; x < ow; ++x) {
            for (int64_t ch = 0; ch < c; ++ch) {
              double sum = 0, count = 0;
              for (int64_t iy = y * h / oh; iy < ((y + 1) * h + oh - 1) / oh; ++iy) {
                for (int64_t ix = x * w / ow; ix < ((x + 1) * w + ow - 1) / ow; ++ix) {
                  sum += node.value(0, at(last, c, h * w, n, ch, iy * w + ix));
                  count += 1;
                }
              }
              want.push_back(sum / count);
            }
          }
        }
      }
      EXPECT_GT(node.expect(want, 1e-6), 0);
    }
  }
}

TEST(Reduce, over_space_and_last_axes) {
  struct Case {
    Shape shape, out;
    std::vector<int64_t> axes;
    Layout layout = Layout::plain;
  };
  for (const Case& c : std::vector<Case>{{{2, 35, 5, 6}, {2, 35, 1, 1}, {2, 3}, last},
                                         {{2, 35, 5, 6}, {2, 35, 1, 1}, {2, 3}},
                                         {{4, 70}, {4, 1}, {-1}},
                                         {{5, 33}, {1, 33}, {0}},
                                         {{3, 20, 4, 4}, {3, 1, 4, 4}, {1}, last},
                                         {{3, 20, 7}, {1, 1, 1}, {0, 1, 2}}}) {
    for (auto type : {f32, bf16, i8}) {
      for (int which : {0, 1, 2, 3}) {
        Node node = which == 0   ? Node(ReduceSum{.keep_dims = true})
                    : which == 1 ? Node(ReduceMean{.keep_dims = true})
                    : which == 2 ? Node(ReduceMax{.keep_dims = true})
                                 : Node(ReduceMin{.keep_dims = true});
        node.input(Node::desc(type, c.shape, c.layout));
        node.constant(Tensor::of<int64_t>({int64_t(c.axes.size())}, std::span<const int64_t>(c.axes)));
        node.q.outputs = {Node::desc(type == i8 ? f32 : type, c.out, c.layout)};
        const auto order = logical_order(c.shape, c.layout), place = memory_order(c.out, c.layout);
        std::vector<double> want(place.size(), which == 2 ? -1e300 : which == 3 ? 1e300 : 0);
        const double n = double(order.size()) / double(place.size());
        for (size_t i = 0; i < order.size(); ++i) {
          size_t rest = order[i], to = 0, step = 1;
          for (size_t k = c.shape.size(); k-- > 0;) {
            const size_t at = rest % size_t(c.shape[k]);
            rest /= size_t(c.shape[k]);
            to += (c.out[k] == 1 ? 0 : at) * step;
            step *= size_t(c.out[k]);
          }
          double& w = want[place[to]];
          const double v = node.value(0, i);
          w = which == 0 ? w + v : which == 1 ? w + v / n : which == 2 ? std::max(w, v) : std::min(w, v);
        }
        EXPECT_GT(node.expect(want, 3e-6, 10), 0) << node.op;
      }
    }
  }
}

TEST(Reduce, four_rows_meet_before_they_meet_the_running_sum) {
  // One by one, each 1 would be lost beside 2^24.
  constexpr int64_t rows = 1024, columns = 40;
  Node node(ReduceSum{.keep_dims = false});
  node.input(Node::desc(f32, {2, rows, columns}));
  auto* x = reinterpret_cast<float*>(node.buffers[0].data);
  for (int64_t i = 0; i < 2 * rows * columns; ++i) x[i] = i / columns % rows == 0 ? 16777216.0f : 1.0f;
  node.constant(Tensor::of<int64_t>({1}, {1}));
  node.q.outputs = {Node::desc(f32, {2, columns})};
  EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
    for (size_t i = 0; i < 2 * columns; ++i)
      EXPECT_EQ(read(node.q.outputs[0], out.data, i), 16777216.0 + rows - 4) << where;
  }),
            0);
}

}  // namespace
}  // namespace hone::cpu::test
