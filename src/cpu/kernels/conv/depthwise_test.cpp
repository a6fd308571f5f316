// The depthwise rows of GroupConvolution against a plain double loop.
#include "cpu/kernels/conv/convolution_case.hpp"

namespace hone::cpu::test {
namespace {

using Case = ConvolutionCase;

struct DepthwiseForm {
  int64_t k, stride, dilation, pad, h, w, c;
};
constexpr DepthwiseForm depthwise_forms[] = {
    {3, 1, 1, 1, 7, 9, 20},  {3, 2, 1, 1, 9, 15, 70},  {5, 1, 1, 2, 8, 21, 33},  {5, 2, 1, 2, 13, 16, 16},
    {3, 1, 2, 2, 9, 10, 40}, {7, 1, 1, 3, 5, 4, 8},    {3, 1, 1, 0, 6, 14, 130}, {5, 1, 2, 4, 15, 20, 36},
    {3, 1, 3, 3, 6, 25, 19}, {7, 1, 1, 3, 9, 12, 24},  {3, 2, 1, 1, 14, 14, 66}, {3, 1, 1, 1, 5, 67, 80},
    {3, 2, 1, 1, 7, 71, 96}, {5, 1, 1, 2, 7, 40, 100}, {5, 2, 1, 2, 9, 30, 49},  {7, 1, 1, 3, 8, 31, 17},
    {2, 1, 1, 1, 5, 11, 18}, {7, 1, 2, 6, 9, 30, 40},  {7, 1, 1, 3, 3, 14, 34},  {5, 2, 1, 2, 4, 20, 16}};
class DepthwiseForms : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(GroupConvolution, DepthwiseForms, testing::Range(size_t{0}, std::size(depthwise_forms)));

TEST_P(DepthwiseForms, match_the_plain_loop) {
  int rows = 0;
  const DepthwiseForm& f = depthwise_forms[GetParam()];
  for (auto [x, wt, y] : {std::tuple{ElementType::f32, ElementType::f32, ElementType::f32},
                          {ElementType::bf16, ElementType::f32, ElementType::bf16},
                          {ElementType::bf16, ElementType::bf16, ElementType::bf16},
                          {ElementType::u8, ElementType::f32, ElementType::u8},
                          {ElementType::u8, ElementType::i8, ElementType::u8},
                          {ElementType::i8, ElementType::i8, ElementType::i8},
                          {ElementType::f32, ElementType::bf16, ElementType::u8},
                          {ElementType::f16, ElementType::f32, ElementType::f16}}) {
    for (int chain : {0, 1, 2, 3, 4, 5, 6, 10, 11}) {
      if (chain >= 10 && !is_integer(x)) continue;
      Case k{.n = 2,
             .c = f.c,
             .h = f.h,
             .w = f.w,
             .o = f.c,
             .kh = f.k,
             .kw = f.k,
             .sh = f.stride,
             .sw = f.stride,
             .dh = f.dilation,
             .dw = f.dilation,
             .pt = f.pad,
             .pl = f.pad,
             .pb = f.pad,
             .pr = f.pad};
      k.groups = f.c;
      k.grouped = true;
      k.x = x;
      k.wt = wt;
      k.y = y;
      k.chain = chain;
      k.constant = is_integer(x) || chain != 1;
      const int before = rows;
      check(k, &rows);
      if (HasFatalFailure()) return;
      EXPECT_GT(rows, before) << k.text();
    }
  }
}

TEST(GroupConvolution, depthwise_signals_are_shared_out_by_channels) {
  int rows = 0;
  struct Form {
    int64_t k, stride, dilation, w, c;
  };
  for (const Form& f : std::vector<Form>{
           {3, 1, 4, 70, 130}, {3, 1, 1, 90, 200}, {3, 2, 1, 41, 80}, {5, 1, 2, 50, 70}, {15, 1, 1, 40, 144}}) {
    for (auto [x, wt, y] : {std::tuple{ElementType::f32, ElementType::f32, ElementType::f32},
                            {ElementType::bf16, ElementType::f32, ElementType::bf16},
                            {ElementType::u8, ElementType::i8, ElementType::u8}}) {
      for (int chain : {0, 1, 2, 3, 4, 5, 6}) {
        const int64_t pad = (f.k - 1) * f.dilation / 2;
        Case k{.n = 1,
               .c = f.c,
               .h = 1,
               .w = f.w,
               .o = f.c,
               .kh = 1,
               .kw = f.k,
               .sw = f.stride,
               .dw = f.dilation,
               .pl = pad,
               .pr = pad};
        k.groups = f.c;
        k.grouped = true;
        k.x = x;
        k.wt = wt;
        k.y = y;
        k.chain = chain;
        const int before = rows;
        check(k, &rows);
        if (HasFatalFailure()) return;
        EXPECT_GT(rows, before) << k.text();
      }
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
