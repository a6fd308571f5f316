// Graphs that run node by node, against the interpreter.
#include "compile/stepwise.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/thread_pool.hpp"
#include "compile/buffer_pool.hpp"
#include "compile/compile.hpp"
#include "cpu/reference/reference.hpp"
#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/expect_close.hpp"
#include "ops/indexing.hpp"
#include "ops/registry.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

StepwiseOptions options() {
  cpu::add_reference_kernels();
  StepwiseOptions o;
  o.select.pool = std::make_shared<ThreadPool>(2);
  o.select.threads = 2;
  o.worthwhile_elements = 0;
  return o;
}

// Shapes, axes, ends of ranges: what models hold as constants.
bool is_constant(const Datum& d, size_t i) {
  return d.is_tensor() && (!is_float(d.tensor().element_type()) || (i > 0 && d.tensor().size() == 1));
}

// All dimensions open, where the operator's inference goes along.
Graph open_graph(const OpDef& op, const Sample& sample, bool open) {
  Graph g;
  Builder b(g);
  Values in;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const Datum& d = sample.inputs[i];
    if (d.is_none()) {
      in.emplace_back();
    } else if (is_constant(d, i)) {
      in.push_back(b.constant(d.tensor()));
    } else {
      Type t = type_of(d);
      if (open && t.is_tensor()) t.shape = PartialShape(std::vector<Dimension>(t.shape.rank()));
      in.push_back(b.parameter(t, "in" + std::to_string(i)));
    }
  }
  const Node n = b.add(op, sample.attributes, in, sample.regions);
  for (size_t i = 0; i < n.num_outputs(); ++i) b.result(n.output(i));
  return g;
}

TEST(Stepwise, every_operator_gives_what_the_interpreter_gives) {
  for (const OpDef* op : all_ops()) {
    if (op == &op_def<Variable>() || op == &op_def<Parameter>() || op == &op_def<Result>()) continue;
    const Samples samples = op->samples();
    for (size_t k = 0; k < samples.size(); ++k) {
      const std::string what = std::string(op->name) + " sample " + std::to_string(k);
      Graph g;
      try {
        g = open_graph(*op, samples[k], true);
      } catch (const Error&) {
        g = open_graph(*op, samples[k], false);
      }
      std::vector<Datum> in;
      for (size_t i = 0; i < samples[k].inputs.size(); ++i) {
        const Datum& d = samples[k].inputs[i];
        if (!d.is_none() && !is_constant(d, i)) in.push_back(d);
      }
      const auto wanted = evaluate(g, in);
      StepwiseGraph s(g, options());
      for (int run = 0; run < 2; ++run) {
        const auto got = s.run(in);
        ASSERT_EQ(got.size(), wanted.size()) << what;
        for (size_t i = 0; i < got.size(); ++i)
          expect_close(got[i], wanted[i], std::max(1e-5, samples[k].tolerance), what);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Rows whose first element is positive, then a small network on them.
Graph rows_then_network() {
  return parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[40,3,8,8]} "x"
      %flat = Constant() {value=i64[2]{40,192}}
      %rows = Reshape(%x, %flat)
      %begin = Constant() {value=i64[2]{0,0}}
      %end = Constant() {value=i64[2]{40,1}}
      %step = Constant() {value=i64[2]{1,1}}
      %axes = Constant() {value=i64[2]{0,1}}
      %first = Slice(%rows, %begin, %end, %step, %axes)
      %column = Constant() {value=i64[1]{40}}
      %heads = Reshape(%first, %column)
      %zero = Constant() {value=f32[]{0}}
      %positive = Greater(%heads, %zero)
      %where = NonZero(%positive)
      %one = Constant() {value=i64[1]{-1}}
      %index = Reshape(%where, %one)
      %axis = Constant() {value=i64[]{0}}
      %some = Gather(%x, %index, %axis)
      %w = Constant() {value=f32[16,3,3,3]{random:1}}
      %c = Convolution(%some, %w) {strides=[1,1],dilations=[1,1],pads_begin=[1,1],pads_end=[1,1],auto_pad=explicit}
      %r = Relu(%c)
      %w2 = Constant() {value=f32[16,16,3,3]{random:2}}
      %c2 = Convolution(%r, %w2) {strides=[1,1],dilations=[1,1],pads_begin=[1,1],pads_end=[1,1],auto_pad=explicit}
      %line = Constant() {value=i64[2]{-1,1024}}
      %v = Reshape(%c2, %line)
      %w3 = Constant() {value=f32[1024,10]{random:3}}
      %y = MatMul(%v, %w3)
      Result(%y) "y"
      Result(%r) "r"
    })");
}

std::string kernel_of(const StepwiseGraph& s, const std::string& op) {
  for (const StepProfile& p : s.profile()) {
    if (p.op == op) return p.kernel;
  }
  return {};
}

TEST(Stepwise, counts_that_change_from_run_to_run) {
  const Graph g = rows_then_network();
  StepwiseGraph s(g, options());
  for (uint64_t seed = 1; seed < 30; ++seed) {
    const std::vector<Datum> in{random_tensor({40, 3, 8, 8}, seed)};
    const auto wanted = evaluate(g, in), got = s.run(in);
    // Winograd and sums of 1,024 products of f32, against f64.
    for (size_t i = 0; i < wanted.size(); ++i) expect_close(got[i], wanted[i], 2e-3, "output " + std::to_string(i));
    if (HasFatalFailure()) return;
  }
  // A run that leaves nothing over.
  const std::vector<Datum> none{random_tensor({40, 3, 8, 8}, 1, -2, -1)};
  EXPECT_EQ(s.run(none)[0].tensor().shape(), (Shape{0, 10}));
  EXPECT_TRUE(s.run(none)[1].tensor().identical(evaluate(g, none)[1].tensor()));
}

TEST(Stepwise, dense_operators_run_on_kernels) {
  StepwiseGraph s(rows_then_network(), options());
  s.run({random_tensor({40, 3, 8, 8}, 3)});
  for (const char* op : {"Convolution", "MatMul"}) {
    const std::string kernel = kernel_of(s, op);
    EXPECT_FALSE(kernel.empty() || kernel.starts_with("reference")) << op << " on " << kernel;
  }
}

TEST(Stepwise, targets_of_reshape_that_are_computed) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[?]} "x"
      %n = Parameter() {element_type=i64,shape=[2]} "n"
      %y = Reshape(%x, %n)
      Result(%y) "y"
    })");
  StepwiseGraph s(g, options());
  const Tensor x = random_tensor({12}, 1);
  for (const auto& [a, b] : {std::pair{3, 4}, {2, 6}, {12, 1}, {3, 4}}) {
    const Datum y = s.run({x, Tensor::of<int64_t>({2}, {a, b})})[0];
    EXPECT_TRUE(y.tensor().identical(x.reshaped({a, b})));
  }
  EXPECT_THROW(s.run({x, Tensor::of<int64_t>({2}, {5, 5})}), Error);
  EXPECT_THROW(s.run({x}), Error);
}

TEST(Stepwise, states_are_carried_and_loops_run_on_kernels) {
  const auto body = std::make_shared<const Graph>(parse_graph(R"(graph {
    %i = Parameter() : i64[] %c = Parameter() : boolean[] %v = Parameter() : f32[?,64]
    %w = Constant() {value=f32[64,64]{random:5}} %m = MatMul(%v, %w) %t = Tanh(%m)
    %again = Constant() {value=boolean[]{1}} Result(%again) Result(%t) })"));
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape({Dimension(), Dimension(64)}), "x");
  const Value n = b.parameter(ElementType::i64, PartialShape(Shape{}), "n");
  const Value factor = b(Variable{Tensor::of<float>({1}, {1}), "s", false});
  const Value y = b.all(Loop{{}, 1}, {n, {}, x}, {body})[0];
  b.result(b(Multiply{}, y, factor), "z");
  b(Assign{"s"}, b(Multiply{}, factor, b.constant(Tensor::of<float>({1}, {2}))));
  StepwiseGraph s(g, options());
  VariableStore mine, reference;
  for (int64_t run = 0; run < 4; ++run) {
    const std::vector<Datum> in{random_tensor({1 + run, 64}, 4), Tensor::scalar<int64_t>(run)};
    expect_close(s.run(in, &mine)[0], evaluate(g, in, {&reference, {}})[0], 1e-4, "run " + std::to_string(run));
  }
  EXPECT_EQ(mine.at("s").tensor().to_doubles(), std::vector<double>{16});
}

// A loop that joins a row to what it carries: the memory has room behind it, and others who hold the shorter list see
// the same as before.
TEST(Stepwise, lists_that_loops_carry_grow_in_place) {
  const auto body = std::make_shared<const Graph>(parse_graph(R"(graph {
    %i = Parameter() : i64[] %c = Parameter() : boolean[] %v = Parameter() : f32[?,300] %before = Parameter() : f32[?,300]
    %f = Convert(%i) {destination_type=f32} %s = Constant() {value=i64[2]{1,300}} %row = Broadcast(%f, %s)
    %w = Concat(%v, %row, %row) {axis=0} %other = Concat(%v, %before) {axis=0}
    %again = Constant() {value=boolean[]{1}} Result(%again) Result(%w) Result(%other) })"));
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape({Dimension(), Dimension(300)}), "x");
  const Value n = b.parameter(ElementType::i64, PartialShape(Shape{}), "n");
  const Values y = b.all(Loop{{}, 2}, {n, {}, x, x}, {body});
  b.result(y[0]);
  b.result(y[1]);
  StepwiseGraph s(g, options());
  for (int64_t trips : {1, 7, 2}) {
    for (int64_t rows : {1, 3, 0}) {
      const std::vector<Datum> in{random_tensor({rows, 300}, 4), Tensor::scalar<int64_t>(trips)};
      const auto got = s.run(in), wanted = evaluate(g, in);
      for (size_t o = 0; o < 2; ++o) EXPECT_TRUE(got[o].tensor().identical(wanted[o].tensor())) << trips << " " << rows;
    }
  }
}

TEST(Stepwise, places_that_are_not_zero) {
  for (ElementType type : {ElementType::f32, ElementType::i64, ElementType::i32, ElementType::u8, ElementType::boolean,
                           ElementType::f16}) {
    for (const Shape& shape : {Shape{70000}, {300, 171}, {5, 1, 7, 2000}, {40000, 1}, {3, 50, 1}, {0, 4}, {}}) {
      Graph g;
      Builder b(g);
      const Value x = b.parameter(type, PartialShape(std::vector<Dimension>(shape.size())), "x");
      b.result(b(NonZero{shape.size() % 2 ? ElementType::i32 : ElementType::i64}, x));
      StepwiseGraph s(g, options());
      for (uint64_t seed : {1, 2}) {
        const Tensor noise = random_tensor(shape, seed, -1, 1);
        Tensor values(type, shape);
        // One in three, none at all, all of them.
        for (size_t i = 0; i < values.size(); ++i)
          set_element(values, i, seed == 1 ? get_element(noise, i) > 0.3 : shape.size() > 2);
        EXPECT_TRUE(s.run({values})[0].tensor().identical(evaluate(g, {values})[0].tensor()))
            << name_of(type) << to_string(shape);
      }
      StepwiseOptions measured = options();
      measured.profile = true;
      StepwiseGraph p(g, measured);
      p.run({Tensor(type, shape)});
      const bool taken = type != ElementType::f16 && !shape.empty();
      EXPECT_EQ(kernel_of(p, "NonZero"), taken ? "non_zero" : "reference") << name_of(type) << to_string(shape);
    }
  }
}

TEST(Stepwise, dense_operators_take_bias_and_activation_along) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[40,16]} "x"
      %zero = Constant() {value=f32[]{0}}
      %one = Constant() {value=i64[1]{1}}
      %sum = ReduceSum(%x, %one)
      %positive = Greater(%sum, %zero)
      %where = NonZero(%positive)
      %flat = Constant() {value=i64[1]{-1}}
      %index = Reshape(%where, %flat)
      %axis = Constant() {value=i64[]{0}}
      %some = Gather(%x, %index, %axis)
      %w = Constant() {value=f32[16,64]{random:1}}
      %bias = Constant() {value=f32[64]{random:2}}
      %m = MatMul(%some, %w)
      %a = Add(%m, %bias)
      %r = Relu(%a)
      %image = Constant() {value=i64[4]{-1,4,4,4}}
      %i = Reshape(%r, %image)
      %k = Constant() {value=f32[20,4,3,3]{random:3}}
      %b2 = Constant() {value=f32[20,1,1]{random:4}}
      %c = Convolution(%i, %k) {strides=[1,1],dilations=[1,1],pads_begin=[1,1],pads_end=[1,1],auto_pad=explicit}
      %d = Add(%c, %b2)
      %e = Sigmoid(%d)
      Result(%e) "y"
    })");
  CompileOptions o;
  o.threads = 2;
  o.profile = true;
  CompiledGraph c = compile_model(g, o);
  for (uint64_t seed : {1, 2, 3}) {
    const Tensor x = random_tensor({40, 16}, seed);
    expect_close(c.infer({x})[0], evaluate(g, {x})[0], 1e-4, "seed " + std::to_string(seed));
  }
  bool dense = false;
  for (const StepProfile& p : c.profile()) {
    EXPECT_TRUE(p.op != "Relu" && p.op != "Sigmoid" && p.op != "Add") << p.op << " on its own";
    if (p.op != "Convolution" && p.op != "MatMul") continue;
    dense = true;
    EXPECT_FALSE(std::string(p.kernel).starts_with("reference")) << p.op;
  }
  EXPECT_TRUE(dense);
}

TEST(Stepwise, errors_name_the_node) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[4]} "x"
      %i = Parameter() {element_type=i64,shape=[?]} "i"
      %axis = Constant() {value=i64[]{0}}
      %y = Gather(%x, %i, %axis) "take"
      Result(%y) "y"
    })");
  StepwiseGraph s(g, options());
  try {
    s.run({random_tensor({4}, 1), Tensor::of<int64_t>({1}, {9})});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("take"), std::string::npos) << e.what();
    EXPECT_TRUE(e.message().starts_with("[Gather]")) << e.message();
  }
}

TEST(BufferPool, lists_grow_where_they_lie_and_leave_older_ones_alone) {
  auto pool = std::make_shared<BufferPool>();
  const auto longer = [&](const Tensor& base, float v) {
    Tensor t = pool->grown(base, {base.shape()[0] + 1});
    t.data<float>()[t.size() - 1] = v;
    return t;
  };
  const Tensor first = Tensor::of<float>({4}, {0, 1, 2, 3});
  const Tensor a = longer(first, 4), b = longer(a, 5), other = longer(a, 6), c = longer(b, 7);
  EXPECT_EQ(b.raw(), a.raw());
  EXPECT_EQ(c.raw(), a.raw());
  EXPECT_NE(other.raw(), a.raw());
  EXPECT_EQ(c.to_doubles(), (std::vector<double>{0, 1, 2, 3, 4, 5, 7}));
  EXPECT_EQ(other.to_doubles(), (std::vector<double>{0, 1, 2, 3, 4, 6}));
  EXPECT_EQ(first.to_doubles(), (std::vector<double>{0, 1, 2, 3}));
  Tensor all = c;
  for (float v = 0; v < 1000; ++v) all = longer(all, v);
  EXPECT_EQ(all.to_doubles()[1006], 999);
  EXPECT_EQ(c.to_doubles()[6], 7);
}

TEST(BufferPool, memory_comes_back_and_is_bounded) {
  auto pool = std::make_shared<BufferPool>();
  const void* first = nullptr;
  {
    const Tensor t = pool->tensor(ElementType::f32, {1000});
    first = t.raw();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
    EXPECT_EQ(pool->unused_bytes(), 0u);
  }
  EXPECT_GE(pool->unused_bytes(), 4000u);
  EXPECT_EQ(pool->tensor(ElementType::f32, {900}).raw(), first);
  // Sizes that never come again leave no more than the bound behind.
  for (int64_t n = 1; n <= 40; ++n) pool->tensor(ElementType::u8, {n << 20});
  EXPECT_LE(pool->unused_bytes(), BufferPool::kept_bytes);
  Tensor last = pool->tensor(ElementType::u8, {64});
  pool.reset();  // tensors keep the pool alive
  EXPECT_EQ(last.byte_size(), 64u);
}

}  // namespace
}  // namespace hone
