// Every row of Convolution and GroupConvolution but the depthwise ones against a plain double loop.
#include "cpu/kernels/conv/convolution_case.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu::test {
namespace {

using Case = ConvolutionCase;

std::vector<Case> shapes() {
  return {
      {.n = 1, .c = 16, .h = 9, .w = 7, .o = 16, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1},
      {.n = 2, .c = 64, .h = 7, .w = 7, .o = 80, .kh = 1, .kw = 1},
      {.n = 1, .c = 24, .h = 8, .w = 8, .o = 100, .kh = 1, .kw = 1, .sh = 2, .sw = 2},
      {.n = 3,
       .c = 32,
       .h = 5,
       .w = 6,
       .o = 20,
       .kh = 3,
       .kw = 3,
       .sh = 2,
       .sw = 2,
       .pt = 0,
       .pl = 0,
       .pb = 1,
       .pr = 1},
      {.n = 1,
       .c = 3,
       .h = 15,
       .w = 13,
       .o = 33,
       .kh = 7,
       .kw = 7,
       .sh = 2,
       .sw = 2,
       .pt = 3,
       .pl = 3,
       .pb = 3,
       .pr = 3},
      {.n = 1,
       .c = 5,
       .h = 11,
       .w = 9,
       .o = 7,
       .kh = 2,
       .kw = 3,
       .sh = 1,
       .sw = 2,
       .dh = 2,
       .dw = 3,
       .pt = 2,
       .pl = 1,
       .pb = 0,
       .pr = 4},
      // tiles of 9, 11 and 13 rows, which larger ones serve, of one panel and two, whole and not
      {.n = 1, .c = 16, .h = 3, .w = 3, .o = 16, .kh = 1, .kw = 1},
      {.n = 1, .c = 16, .h = 1, .w = 11, .o = 24, .kh = 1, .kw = 1},
      {.n = 1, .c = 16, .h = 1, .w = 13, .o = 32, .kh = 1, .kw = 1},
      {.n = 1, .c = 16, .h = 1, .w = 13, .o = 9, .kh = 1, .kw = 1},
      {.n = 9, .c = 16, .h = 4, .w = 4, .o = 48, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1},
      // pointers for each tap: dilated beyond the image, and long taps
      {.n = 2,
       .c = 18,
       .h = 6,
       .w = 7,
       .o = 20,
       .kh = 3,
       .kw = 3,
       .dh = 5,
       .dw = 6,
       .pt = 5,
       .pl = 6,
       .pb = 5,
       .pr = 6},
      {.n = 1, .c = 6, .h = 5, .w = 5, .o = 9, .kh = 3, .kw = 3, .dh = 9, .dw = 9, .pt = 9, .pl = 9, .pb = 9, .pr = 9},
      {.n = 2, .c = 64, .h = 7, .w = 7, .o = 70, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1},
      {.n = 1,
       .c = 128,
       .h = 9,
       .w = 5,
       .o = 24,
       .kh = 3,
       .kw = 3,
       .sh = 2,
       .sw = 2,
       .pt = 1,
       .pl = 1,
       .pb = 1,
       .pr = 1},
      {.n = 1, .c = 19, .h = 1, .w = 1, .o = 1000, .kh = 1, .kw = 1},
      {.n = 1, .c = 8, .h = 20, .w = 3, .o = 130, .kh = 5, .kw = 1, .pt = 2, .pb = 2},
  };
}

// A shape each, so that every one of them ends soon under sanitizers as well.
class ConvolutionShapes : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Convolution, ConvolutionShapes, testing::Range(size_t{0}, shapes().size()));

TEST_P(ConvolutionShapes, match_the_plain_loop_in_f32_and_bf16) {
  int rows = 0;
  Case k = shapes()[GetParam()];
  for (int chain : {0, 1, 2, 3, 4, 5, 6}) {
    k.chain = chain;
    for (auto [x, y] : {std::pair{ElementType::f32, ElementType::f32},
                        {ElementType::bf16, ElementType::bf16},
                        {ElementType::bf16, ElementType::f32},
                        {ElementType::f32, ElementType::u8},
                        {ElementType::f16, ElementType::f16}}) {
      k.x = x;
      k.y = y;
      k.wt = chain == 3 ? ElementType::bf16 : ElementType::f32;
      k.bf16_compute = chain == 1 && x != ElementType::f16;
      k.constant = chain != 2;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST_P(ConvolutionShapes, match_the_plain_loop_in_int8) {
  int rows = 0;
  Case k = shapes()[GetParam()];
  for (int chain : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}) {
    k.chain = chain;
    k.wt = ElementType::i8;
    for (auto [x, y] : {std::pair{ElementType::u8, ElementType::u8},
                        {ElementType::i8, ElementType::i8},
                        {ElementType::u8, ElementType::f32},
                        {ElementType::i8, ElementType::bf16}}) {
      k.x = x;
      k.y = y;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

// Rows of a tile that lie evenly, beside others that meet the padding or the next line.
TEST(Convolution, tiles_match_the_plain_loop_where_taps_lie_in_the_padding) {
  int rows = 0;
  for (auto [x, wt, y] : {std::tuple{ElementType::u8, ElementType::i8, ElementType::u8},
                          {ElementType::bf16, ElementType::f32, ElementType::bf16}}) {
    for (int64_t columns : {24, 80}) {
      for (int64_t dilation : {1, 5}) {
        Case k{.n = 1,
               .c = 64,
               .h = 9,
               .w = 21,
               .o = columns,
               .kh = 3,
               .kw = 3,
               .dh = dilation,
               .dw = dilation,
               .pt = dilation,
               .pl = dilation,
               .pb = dilation,
               .pr = dilation};
        k.x = x;
        k.wt = wt;
        k.y = y;
        k.chain = 2;
        const int before = rows;
        check(k, &rows);
        if (HasFatalFailure()) return;
        EXPECT_GT(rows, before) << k.text();
      }
    }
  }
}

TEST(Convolution, strips_handed_out_on_demand_give_the_same_bits) {
  int rows = 0;
  Case k{.n = 1, .c = 48, .h = 64, .w = 64, .o = 32, .kh = 3, .kw = 3, .pt = 1, .pl = 1, .pb = 1, .pr = 1};
  k.chain = 2;
  check(k, &rows);
  EXPECT_GT(rows, 0);
}

TEST(Convolution, reads_the_plain_layout_of_thin_inputs) {
  int rows = 0;
  for (int64_t c : {3, 4, 5, 12}) {
    for (auto [x, wt] : {std::pair{ElementType::f32, ElementType::f32},
                         {ElementType::bf16, ElementType::f32},
                         {ElementType::u8, ElementType::i8},
                         {ElementType::i8, ElementType::i8}}) {
      Case k{.n = 2,
             .c = c,
             .h = 12,
             .w = 10,
             .o = 18,
             .kh = 3,
             .kw = 3,
             .sh = 2,
             .sw = 2,
             .pt = 1,
             .pl = 1,
             .pb = 1,
             .pr = 1};
      k.x = x;
      k.wt = wt;
      k.chain = 1;
      k.in_layout = Layout::plain;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST(GroupConvolution, matches_the_plain_loop) {
  int rows = 0;
  for (auto [x, wt, y] : {std::tuple{ElementType::f32, ElementType::f32, ElementType::f32},
                          {ElementType::bf16, ElementType::f32, ElementType::bf16},
                          {ElementType::u8, ElementType::i8, ElementType::u8},
                          {ElementType::i8, ElementType::i8, ElementType::f32}}) {
    for (int64_t stride : {1, 2}) {
      Case k{.n = 2,
             .c = 20,
             .h = 7,
             .w = 9,
             .o = 30,
             .kh = 3,
             .kw = 3,
             .sh = stride,
             .sw = stride,
             .pt = 1,
             .pl = 1,
             .pb = 1,
             .pr = 1};
      k.groups = 5;
      k.grouped = true;
      k.x = x;
      k.wt = wt;
      k.y = y;
      k.chain = stride == 1 ? 1 : 2;
      check(k, &rows);
      k.kh = k.kw = 1;
      k.pt = k.pl = k.pb = k.pr = 0;
      check(k, &rows);
      k.c = 5;  // a multiplier: one channel in, six out of each group
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST(GroupConvolution, of_few_channels_matches_the_plain_loop) {
  struct Form {
    int64_t group, groups, h, w, kh, kw, stride, dilation, pad;
  };
  int rows = 0;
  for (const Form& f : {Form{4, 8, 9, 22, 3, 3, 1, 1, 1},
                        {8, 3, 8, 9, 3, 3, 2, 1, 1},
                        {4, 21, 5, 7, 3, 3, 1, 1, 1},
                        {8, 12, 14, 14, 3, 3, 1, 1, 1},
                        {4, 5, 11, 40, 5, 3, 2, 1, 2},
                        {8, 9, 12, 13, 3, 3, 1, 2, 2},
                        {8, 2, 3, 3, 3, 3, 1, 1, 1},
                        {16, 5, 7, 7, 3, 3, 1, 1, 1},
                        {16, 3, 8, 19, 3, 3, 2, 1, 1},
                        {4, 4, 6, 19, 1, 1, 1, 1, 0},
                        {4, 16, 2, 2, 5, 5, 1, 1, 2}}) {
    for (auto [x, y] : {std::pair{ElementType::f32, ElementType::f32},
                        {ElementType::bf16, ElementType::bf16},
                        {ElementType::bf16, ElementType::f32}}) {
      Case k{.n = 2,
             .c = f.group * f.groups,
             .h = f.h,
             .w = f.w,
             .o = f.group * f.groups,
             .kh = f.kh,
             .kw = f.kw,
             .sh = f.stride,
             .sw = f.stride,
             .dh = f.dilation,
             .dw = f.dilation,
             .pt = f.pad,
             .pl = f.pad,
             .pb = f.pad,
             .pr = f.pad};
      k.groups = f.groups;
      k.grouped = true;
      k.x = k.wt = x;
      k.y = y;
      k.chain = f.stride;
      check(k, &rows);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(rows, 0);
}

TEST(Convolution, amx_rows_run_on_the_stand_in_anywhere) {
  ScopedFeatures stand_in(features_of("amx_stand_in"));
  for (auto [x, w, name] : {std::tuple{ElementType::u8, ElementType::i8, "convolution_int8_32x32__amx_stand_in"},
                            {ElementType::bf16, ElementType::f32, "convolution_bf16_32x32__amx_stand_in"}}) {
    Node node(Convolution{});
    node.input(Node::desc(x, {1, 16, 4, 4}, Layout::channels_last));
    TensorDesc weights = Node::desc(w, {16, 16, 1, 1});
    weights.constant = true;
    node.input(weights);
    node.q.outputs = {Node::desc(ElementType::f32, {1, 16, 4, 4}, Layout::channels_last)};
    bool found = false;
    for (const Kernel* row : kernels_for("Convolution")) {
      if (std::string(row->name) == name) found = bool(row->supports(node.q));
    }
    EXPECT_EQ(found, w != ElementType::i8) << name << ": i8 weights with a zero point must be refused";
  }
}

TEST(Convolution, refuses_with_a_sentence) {
  ScopedFeatures none{Features{}};
  KernelQuery q;
  const auto attributes = attributes_of(Convolution{});
  q.op = "Convolution";
  q.attributes = attributes;
  TensorDesc x;
  x.type = ElementType::f32;
  x.shape = {1, 16, 4, 4};
  x.layout = Layout::channels_last;
  TensorDesc w = x;
  w.shape = {16, 16, 1, 1};
  w.layout = Layout::plain;
  w.constant = true;
  q.inputs = {x, w};
  q.num_op_inputs = 2;
  q.outputs = {x};
  for (const Kernel* row : kernels_for("Convolution")) {
    const Support s = row->supports(q);
    EXPECT_FALSE(s) << row->name;
    EXPECT_NE(s.why().find("the CPU has no"), std::string::npos) << row->name << ": " << s.why();
  }
}

}  // namespace
}  // namespace hone::cpu::test
