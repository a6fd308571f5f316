// oneDNN's rows, where the library is built with it: what the sweeps of dense_conv_test and matmul_test, which run
// every row, do not show.
#include <filesystem>

#include "cpu/kernels/kernel_test.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"

namespace hone::cpu::test {
namespace {

std::vector<const Kernel*> rows_of(const std::string& op, const std::string& provider) {
  std::vector<const Kernel*> rows;
  for (const Kernel* k : kernels_for(op)) {
    if (k->provider == provider) rows.push_back(k);
  }
  return rows;
}
const Kernel* row_for(const KernelQuery& q, const std::string& provider) {
  for (const Kernel* k : rows_of(std::string(q.op), provider)) {
    if (k->supports(q)) return k;
  }
  return nullptr;
}
std::string refusal(const KernelQuery& q, const std::string& name) {
  for (const Kernel* k : kernels_for(q.op)) {
    if (k->name == name) return k->supports(q).why();
  }
  return "no row " + name;
}

#define SKIP_WITHOUT_ONEDNN() \
  if (rows_of("Convolution", "onednn").empty()) GTEST_SKIP() << "built without oneDNN (-DHONE_ONEDNN=ON)"

struct Layer {
  Node node;
  Layer(ElementType x, ElementType y, int64_t groups = 1, int64_t channels = 32, int64_t columns = 64, bool bias = true)
      : node(groups > 1 ? make_node(groups) : Node(convolution<Convolution>())) {
    const bool integer = is_integer(x);
    node.input(Node::desc(x, {1, channels, 13, 11}, Layout::channels_last));
    Tensor w(integer ? ElementType::i8 : ElementType::f32,
             groups > 1 ? Shape{groups, columns / groups, channels / groups, 3, 3} : Shape{columns, channels, 3, 3});
    std::mt19937 rng(3);
    for (size_t i = 0; i < w.size(); ++i)
      set_element(w, i, integer ? double(int(rng() % 255) - 127) : double(rng() % 2001) * 1e-3 - 1);
    TensorDesc& weights = node.constant(w);
    if (integer) {
      auto scales = std::make_shared<Quantization>();
      for (int64_t c = 0; c < columns; ++c) scales->scales.push_back(0.001f + 0.0001f * float(c % 5));
      scales->axis = 0;
      weights.quantization = scales;
    }
    TensorDesc out = Node::desc(y, {1, columns, 7, 6}, Layout::channels_last);
    node.q.outputs = {out};
    if (bias) {
      Tensor b(ElementType::f32, {columns});
      for (int64_t c = 0; c < columns; ++c) set_element(b, size_t(c), 0.25 * double(c % 7) - 0.5);
      node.constant(b);
      node.q.epilogue.operands.push_back({2, Spread::per_channel});
      node.q.epilogue.steps.push_back({EpilogueOp::add, 0, 1});
    }
    node.q.num_op_inputs = 2;
  }
  template <class Op>
  static Op convolution() {
    Op op;
    op.strides = {2, 2};
    op.pads_begin = op.pads_end = {1, 1};
    op.dilations = {1, 1};
    return op;
  }
  static Node make_node(int64_t) { return Node(convolution<GroupConvolution>()); }
  void residual(ElementType type) {
    node.input(Node::desc(type, {1, node.q.outputs[0].shape[1], 7, 6}, Layout::channels_last));
    node.q.num_op_inputs = 2;
    node.q.epilogue.operands.push_back({3, Spread::full});
    node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::add, 3, 2}};
  }
  void step(EpilogueStep s) {
    s.a = int16_t(node.q.epilogue.operands.size() + node.q.epilogue.steps.size());
    node.q.epilogue.steps.push_back(s);
  }
  /// Hone's own row is the oracle: it is held against plain loops elsewhere.
  void expect_equal(double tolerance) {
    const Kernel *own = row_for(node.q, "hone"), *theirs = row_for(node.q, "onednn");
    ASSERT_NE(own, nullptr);
    ASSERT_NE(theirs, nullptr) << refusal(node.q, "convolution_int8__onednn");
    const Buffer want = run_row(*own, node.q, node.inputs, 1), got = run_row(*theirs, node.q, node.inputs, 1);
    const TensorDesc& y = node.q.outputs[0];
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(read(y, got.data, i), read(y, want.data, i), tolerance) << theirs->name << " at " << i;
    for (int threads : {2, 3}) {
      const Buffer other = run_row(*theirs, node.q, node.inputs, threads);
      ASSERT_EQ(std::memcmp(got.data, other.data, got.size), 0) << threads << " threads";
    }
  }
};

TEST(OneDnn, integer_layers_take_bias_residual_and_activation_to_the_scale_of_the_result) {
  SKIP_WITHOUT_ONEDNN();
  if (!features().avx512_vnni) GTEST_SKIP() << "the CPU has no VNNI";
  for (ElementType x : {ElementType::u8, ElementType::i8}) {
    for (ElementType y : {ElementType::u8, ElementType::i8, ElementType::f32}) {
      for (int64_t groups : {1, 2, 64}) {
        for (int kind = 0; kind < 6; ++kind) {
          Layer l(x, y, groups, groups == 64 ? 64 : 32, 64, kind > 0);
          if (kind == 2) l.step({EpilogueOp::relu, 0});
          if (kind == 3) l.step({EpilogueOp::clamp, 0, -1, -1.5f, 6.0f});
          if (kind == 4) l.step({EpilogueOp::swish, 0, -1, 1.0f});
          if (kind == 5) {
            l.residual(ElementType::u8);
            l.step({EpilogueOp::relu, 0});
          }
          // One level: ties may fall to either side of it.
          l.expect_equal(y == ElementType::f32 ? 1e-3 : l.node.q.outputs[0].quantization->scale(0) * 1.01);
          if (HasFatalFailure())
            FAIL() << "chain " << kind << ", groups " << groups << ", " << name_of(x) << " to " << name_of(y);
        }
      }
    }
  }
}

TEST(OneDnn, float_layers_agree_with_own_ones) {
  SKIP_WITHOUT_ONEDNN();
  for (int64_t groups : {1, 2, 64}) {
    for (int kind = 0; kind < 4; ++kind) {
      Layer l(ElementType::f32, ElementType::f32, groups, groups == 64 ? 64 : 32, 64, kind > 0);
      if (kind == 2) l.step({EpilogueOp::gelu_tanh, 0});
      if (kind == 3) l.residual(ElementType::f32);
      l.expect_equal(2e-4);
      if (HasFatalFailure()) FAIL() << "chain " << kind << ", groups " << groups;
    }
  }
}

TEST(OneDnn, matrix_products_take_bias_activation_and_residual) {
  SKIP_WITHOUT_ONEDNN();
  for (int64_t rows : {1, 37, 64}) {
    for (int64_t columns : {19, 64}) {
      for (EpilogueOp op : {EpilogueOp::gelu_erf, EpilogueOp::swish, EpilogueOp::relu}) {
        Node node{MatMul{}};
        node.input(Node::desc(ElementType::f32, {1, rows, 48}));
        Tensor w(ElementType::f32, {48, columns}), b(ElementType::f32, {columns});
        for (size_t i = 0; i < w.size(); ++i) set_element(w, i, double(i % 17) * 0.05 - 0.4);
        for (size_t i = 0; i < b.size(); ++i) set_element(b, i, double(i % 5) * 0.3);
        node.constant(w);
        node.constant(b);
        node.input(Node::desc(ElementType::f32, {1, rows, columns}));
        node.q.num_op_inputs = 2;
        node.q.outputs = {Node::desc(ElementType::f32, {1, rows, columns})};
        node.q.epilogue.operands = {{2, Spread::per_channel}, {3, Spread::full}};
        node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {op, 3, -1, 1.0f}, {EpilogueOp::add, 4, 2}};
        const Kernel *own = row_for(node.q, "hone"), *theirs = row_for(node.q, "onednn");
        ASSERT_NE(theirs, nullptr) << refusal(node.q, "mat_mul_f32__onednn");
        const Buffer want = run_row(*own, node.q, node.inputs, 1);
        for (int threads : {1, 2, 3}) {
          const Buffer got = run_row(*theirs, node.q, node.inputs, threads);
          for (size_t i = 0; i < size_t(rows * columns); ++i)
            ASSERT_NEAR(read(node.q.outputs[0], got.data, i), read(node.q.outputs[0], want.data, i), 1e-4)
                << rows << "x" << columns << ", step " << int(op) << ", " << threads << " threads, at " << i;
        }
      }
    }
  }
}

// Threads of OpenMP would spin beside those of the pool.
TEST(OneDnn, computes_on_the_threads_of_the_pool_alone) {
  SKIP_WITHOUT_ONEDNN();
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  const auto before = threads();
  for (ElementType x : {ElementType::f32, ElementType::u8}) {
    Layer l(x, x);
    if (const Kernel* row = row_for(l.node.q, "onednn")) run_row(*row, l.node.q, l.node.inputs, 2);
  }
  EXPECT_EQ(threads(), before);
}

TEST(OneDnn, own_rows_cost_less) {
  SKIP_WITHOUT_ONEDNN();
  for (ElementType x : {ElementType::f32, ElementType::u8}) {
    Layer l(x, x);
    const Kernel *own = row_for(l.node.q, "hone"), *theirs = row_for(l.node.q, "onednn");
    if (!theirs) continue;
    EXPECT_LT(own->plan(l.node.q).cost, theirs->plan(l.node.q).cost);
  }
}

TEST(OneDnn, forms_name_the_library_and_its_version) {
  SKIP_WITHOUT_ONEDNN();
  Layer l(ElementType::f32, ElementType::f32);
  const Kernel* row = row_for(l.node.q, "onednn");
  ASSERT_NE(row, nullptr);
  const KernelPlan plan = row->plan(l.node.q);
  ASSERT_EQ(plan.packs.size(), 1u);
  EXPECT_EQ(plan.packs[0].input, 1u);
  EXPECT_EQ(plan.packs[0].form.rfind("onednn ", 0), 0u) << plan.packs[0].form;
  EXPECT_TRUE(std::isdigit(plan.packs[0].form[7])) << plan.packs[0].form;
  // Loading knows the form but not the weights any more.
  KernelQuery loaded = l.node.q;
  loaded.inputs[1].value = {};
  loaded.inputs[1].packed = plan.packs[0].form;
  ASSERT_TRUE(row->supports(loaded));
  EXPECT_EQ(row->plan(loaded).packs.at(0).form, plan.packs[0].form);
}

TEST(OneDnn, says_why_not) {
  SKIP_WITHOUT_ONEDNN();
  Layer plain(ElementType::f32, ElementType::f32);
  plain.node.q.outputs[0].layout = Layout::plain;
  EXPECT_EQ(refusal(plain.node.q, "convolution_f32__onednn"), "writes channels-last only");
  Layer gate(ElementType::f32, ElementType::f32);
  gate.node.q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::sigmoid, 2}, {EpilogueOp::multiply, 2, 3}};
  EXPECT_EQ(refusal(gate.node.q, "convolution_f32__onednn"), "the epilogue is no chain: a step reads an earlier value");
  EXPECT_EQ(refusal(gate.node.q, "convolution_int8__onednn"), "the activations are f32, not 8-bit integers");
  Layer columns(ElementType::u8, ElementType::u8);
  auto each = std::make_shared<Quantization>();
  each->scales.assign(64, 0.1f);
  columns.node.q.outputs[0].quantization = each;
  if (features().avx512_vnni) {
    EXPECT_EQ(refusal(columns.node.q, "convolution_int8__onednn"), "the result is quantized per channel");
  }
}

}  // namespace
}  // namespace hone::cpu::test
