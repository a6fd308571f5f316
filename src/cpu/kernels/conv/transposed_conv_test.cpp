// Rows of transposed convolutions with windows side by side against a plain double loop.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

struct Case {
  int64_t n, c, h, w, o, kh, kw;
};

// Integers come with weights of 8 bits that have a scale for each output channel.
Node transposed_node(const Case& k, ElementType type, bool relu) {
  Node node(ConvolutionBackpropData{.strides = {k.kh, k.kw}});
  const bool integer = is_integer(type);
  TensorDesc x = Node::desc(type, {k.n, k.c, k.h, k.w}, Layout::channels_last);
  if (integer) x.quantization = per_tensor(0.02f, type == u8 ? 113 : -7);
  node.input(x, -1, 1);
  const Shape weights{k.c, k.o, k.kh, k.kw};
  TensorDesc loose = Node::desc(integer ? i8 : f32, weights);
  if (integer) {
    auto q = std::make_shared<Quantization>();
    for (int64_t i = 0; i < k.o; ++i) q->scales.push_back(0.004f + 0.0001f * float(i % 9));
    q->axis = 1;
    loose.quantization = q;
  }
  TensorDesc& w = node.input(loose, -1, 1);
  w.constant = true;
  w.value = Tensor(w.type, weights, node.buffers[1].data);
  if (relu) {
    node.input(Node::desc(f32, {1, k.o, 1, 1}), -1, 1);
    node.q.num_op_inputs = 2;
    node.q.epilogue.operands = {{2, Spread::per_channel}};
    node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::relu, 2}};
  }
  node.q.outputs = {Node::desc(type, {k.n, k.o, k.h * k.kh, k.w * k.kw}, Layout::channels_last)};
  if (integer) node.q.outputs[0].quantization = per_tensor(0.05f, type == u8 ? 100 : 3);
  return node;
}

TEST(ConvolutionBackpropData, windows_side_by_side_match_the_plain_loop) {
  for (const Case& k : std::vector<Case>{{1, 32, 5, 7, 24, 2, 2},
                                         {2, 17, 3, 4, 70, 2, 2},
                                         {3, 8, 2, 9, 5, 3, 2},
                                         {1, 64, 14, 14, 16, 2, 2},
                                         {1, 6, 4, 1, 33, 4, 4}}) {
    for (ElementType type : {f32, bf16, u8, i8}) {
      for (bool relu : {false, true}) {
        if (skip_case()) continue;
        Node node = transposed_node(k, type, relu);
        const auto weight = [&](int64_t o, int64_t i) {
          const double v = get_element(node.q.inputs[1].value, size_t(i));
          return is_integer(type) ? v * double(node.q.inputs[1].quantization->scale(size_t(o))) : v;
        };
        std::vector<double> want;
        for (int64_t i = 0; i < k.n * k.h * k.kh * k.w * k.kw; ++i) {
          const int64_t x = i % (k.w * k.kw), y = i / (k.w * k.kw) % (k.h * k.kh), n = i / (k.w * k.kw * k.h * k.kh);
          for (int64_t o = 0; o < k.o; ++o) {
            double sum = relu ? node.value(2, size_t(o)) : 0;
            for (int64_t c = 0; c < k.c; ++c) {
              const size_t at = size_t(((n * k.h + y / k.kh) * k.w + x / k.kw) * k.c + c);
              sum += node.value(0, at) * weight(o, ((c * k.o + o) * k.kh + y % k.kh) * k.kw + x % k.kw);
            }
            want.push_back(relu ? std::max(sum, 0.0) : sum);
          }
        }
        int rows = 0;
        node.each_row([&](const Buffer& out, const std::string& where) {
          if (where.find("_taps_") == std::string::npos) return;
          ++rows;
          // Weights that are rounded to bf16 carry 2^-9 each.
          const double tolerance = where.find("bf16_") == std::string::npos ? 1e-6 : 2e-3;
          for (size_t i = 0; i < want.size(); ++i) {
            expect_close(node.q.outputs[0], out, i, want[i], double(k.c), tolerance, where);
            if (HasFatalFailure()) return;
          }
        });
        EXPECT_GT(rows, 0);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(ConvolutionBackpropData, windows_that_overlap_are_left_to_others) {
  Node node = transposed_node({1, 16, 4, 4, 16, 2, 2}, f32, false);
  const auto attributes = attributes_of(ConvolutionBackpropData{.strides = {1, 1}});
  node.q.attributes = attributes;
  node.q.outputs[0].shape = {1, 16, 5, 5};
  for (const Kernel* row : kernels_for("ConvolutionBackpropData")) {
    if (std::string(row->name).find("_taps_") == std::string::npos) continue;
    EXPECT_FALSE(row->supports(node.q)) << row->name;
  }
}

}  // namespace
}  // namespace hone::cpu::test
