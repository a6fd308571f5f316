// Every row of BinaryConvolution against sums of signs, over shapes, strides, dilations and the three kinds of padding.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/binary_convolution.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

struct Case {
  int64_t n, c, h, w, o, kh, kw, stride, pad, dilation;
};

TEST(BinaryConvolution, every_row_gives_the_sums_of_signs) {
  const std::vector<Case> cases = {{1, 1, 1, 1, 1, 1, 1, 1, 0, 1},     {1, 3, 5, 6, 7, 3, 3, 1, 1, 1},
                                   {2, 31, 7, 7, 17, 3, 3, 2, 1, 1},   {1, 32, 9, 8, 64, 3, 3, 1, 1, 1},
                                   {1, 33, 6, 15, 70, 1, 1, 1, 0, 1},  {1, 64, 14, 14, 33, 3, 3, 1, 1, 1},
                                   {1, 100, 8, 9, 130, 5, 3, 1, 2, 2}, {2, 256, 7, 7, 48, 3, 3, 1, 1, 1},
                                   {1, 16, 11, 3, 5, 2, 2, 2, 1, 3},   {1, 1100, 3, 3, 20, 3, 3, 1, 1, 1}};
  int ran = 0, turn = 0;
  for (const Case& c : cases) {
    for (double pad_value : {-1.0, 0.0, 1.0}) {
      ++turn;
      if (skip_case()) continue;
      BinaryConvolution op;
      op.strides = {c.stride, c.stride};
      op.pads_begin = op.pads_end = {c.pad, c.pad};
      op.dilations = {c.dilation, c.dilation};
      op.pad_value = pad_value;
      const int64_t out_h = (c.h + 2 * c.pad - (c.kh - 1) * c.dilation - 1) / c.stride + 1,
                    out_w = (c.w + 2 * c.pad - (c.kw - 1) * c.dilation - 1) / c.stride + 1;
      ASSERT_GT(out_h, 0);
      ASSERT_GT(out_w, 0);
      const ElementType type = turn % 4 == 0 ? bf16 : turn % 7 == 0 ? f16 : f32;
      Node node(op);
      node.input(Node::desc(type, {c.n, c.c, c.h, c.w}, Layout::channels_last), -1, 1);
      Tensor bits(u1, {c.o, c.c, c.kh, c.kw});
      std::mt19937 rng(turn);
      for (size_t i = 0; i < bits.byte_size(); ++i) static_cast<uint8_t*>(bits.raw())[i] = uint8_t(rng());
      node.constant(bits);
      if (turn % 2) {
        node.input(Node::desc(f32, {c.o}));
        node.q.epilogue.operands = {{2, Spread::per_channel}};
        node.q.epilogue.steps = {{EpilogueOp::multiply, 0, 1}, {EpilogueOp::relu, 2}};
        node.q.num_op_inputs = 2;
      }
      node.q.outputs = {Node::desc(type == bf16 ? bf16 : f32, {c.n, c.o, out_h, out_w}, Layout::channels_last)};
      std::vector<double> want;
      const auto* w = static_cast<const uint8_t*>(bits.raw());
      for (int64_t n = 0; n < c.n; ++n) {
        for (int64_t y = 0; y < out_h; ++y) {
          for (int64_t x = 0; x < out_w; ++x) {
            for (int64_t o = 0; o < c.o; ++o) {
              double sum = 0;
              for (int64_t k = 0; k < c.c; ++k) {
                for (int64_t t = 0; t < c.kh * c.kw; ++t) {
                  const int64_t ih = y * c.stride - c.pad + t / c.kw * c.dilation,
                                iw = x * c.stride - c.pad + t % c.kw * c.dilation;
                  double v = pad_value;
                  if (ih >= 0 && ih < c.h && iw >= 0 && iw < c.w)
                    v = node.value(0, size_t(((n * c.h + ih) * c.w + iw) * c.c + k)) > 0 ? 1 : -1;
                  sum += binary_weight(w, size_t((o * c.c + k) * c.kh * c.kw + t)) ? v : -v;
                }
              }
              want.push_back(apply_epilogue(node.q.epilogue, sum, [&](size_t) { return node.value(2, size_t(o)); }));
            }
          }
        }
      }
      ran += node.expect(want, 1e-6);
    }
  }
  EXPECT_GT(ran, 0);
}

}  // namespace
}  // namespace hone::cpu::test
