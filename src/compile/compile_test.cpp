#include "compile/compile.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "compile/memory_plan.hpp"
#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

std::vector<Datum> inputs_for(const Graph& g) {
  std::vector<Datum> in;
  for (const Value& v : g.inputs())
    in.emplace_back(random_tensor(v.shape().to_shape(), 17 + v.id, -1, 1, v.element_type()));
  return in;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  EXPECT_EQ(a.element_type(), b.element_type());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(get_element(a, i) - get_element(b, i)));
  return worst;
}

void expect_equal_to_interpreter(const Graph& g, double tolerance = 1e-5) {
  const auto in = inputs_for(g);
  const auto wanted = evaluate(g, in);
  CompiledGraph c = compile_model(g, {.threads = 2});
  ASSERT_EQ(c.mode(), "program");
  for (int repeat = 0; repeat < 2; ++repeat) {
    const auto got = c.infer(in);
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_LE(largest_difference(got[i].tensor(), wanted[i].tensor()), tolerance) << "output " << i;
  }
}

TEST(Compile, small_network_gives_what_the_interpreter_gives) {
  expect_equal_to_interpreter(parse_graph(R"(
    graph net {
      %x = Parameter() {element_type=f32,shape=[2,3,9,9]} "x"
      %w = Constant() {value=f32[8,3,3,3]{random:1}}
      %b = Constant() {value=f32[1,8,1,1]{random:2}}
      %c = Convolution(%x, %w) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      %s = Add(%c, %b)
      %r = Relu(%s)
      %w2 = Constant() {value=f32[8,8,1,1]{random:3}}
      %d = Convolution(%r, %w2) {strides=[1,1],pads_begin=[0,0],pads_end=[0,0],dilations=[1,1]}
      %a = Add(%d, %r)
      %shape = Constant() {value=i64[2]{2,-1}}
      %f = Reshape(%a, %shape)
      %m = Constant() {value=f32[648,5]{random:4}}
      %y = MatMul(%f, %m)
      Result(%y) "y"
    })"),
                              1e-3);
}

TEST(Compile, results_of_inputs_constants_and_shared_values_are_copied) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[4]} "x"
      %c = Constant() {value=f32[4]{1,2,3,4}}
      %s = Add(%x, %c)
      Result(%x) "same"
      Result(%c) "constant"
      Result(%s) "sum"
      Result(%s) "sum_again"
    })");
  expect_equal_to_interpreter(g, 0);
}

TEST(Compile, reshapes_cost_no_step) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[2,6]} "x"
      %n = Negative(%x)
      %s = Constant() {value=i64[3]{3,2,2}}
      %r = Reshape(%n, %s)
      %y = Exp(%r)
      Result(%y) "y"
    })");
  expect_equal_to_interpreter(g);
  EXPECT_EQ(compile_program(g).steps.size(), 2u);
}

TEST(Compile, half_precision_models_compute_in_f32_and_keep_their_types) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f16,shape=[3,5]} "x"
      %w = Constant() {value=f16[5,4]{random:1}}
      %m = MatMul(%x, %w)
      %e = Exp(%m)
      Result(%e) "y"
    })");
  expect_equal_to_interpreter(g, 0.02);  // f16 has 11 bits; results are below 20
  const Program p = compile_program(g);
  for (const ProgramStep& s : p.steps) {
    if (s.op == "MatMul") {
      EXPECT_EQ(p[s.inputs[0]].type, ElementType::f32);
    }
  }
  EXPECT_EQ(p[p.outputs[0].tensor].type, ElementType::f16);
}

TEST(Compile, outputs_that_nobody_reads_take_no_memory) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[4,6]} "x"
      %r = Relu(%x)
      %axis = Constant() {value=i64[]{1}}
      %a, %b = Split(%r, %axis) {num_splits=2}
      %y = Exp(%b)
      Result(%y) "y"
    })");
  expect_equal_to_interpreter(g);
}

TEST(Compile, epilogues_are_computed) {
  expect_equal_to_interpreter(parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[3,5]} "x"
      %w = Constant() {value=f32[5,4]{random:1}}
      %b = Constant() {value=f32[4]{random:2}}
      %y = MatMul(%x, %w, %b) epilogue {
        %a = Parameter() {element_type=f32,shape=[3,4]}
        %b = Parameter() {element_type=f32,shape=[4]}
        %s = Add(%a, %b)
        %r = Relu(%s)
        Result(%r)
      }
      Result(%y) "y"
    })"));
}

// A counter and a swap: Variables are read as they were at the beginning, whatever is assigned in the run.
TEST(States, assignments_take_effect_at_the_end_of_the_run) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[2]} "x"
      %a = Variable() {value=f32[2]{1,1},variable_id="a"}
      %b = Variable() {value=f32[2]{5,5},variable_id="b"}
      %c = Variable() {value=f32[2]{0,0},variable_id="c"}
      %sum = Add(%c, %x)
      %n = Assign(%sum) {variable_id="c"}
      %p = Assign(%b) {variable_id="a"}
      %q = Assign(%a) {variable_id="b"}
      %y = Multiply(%c, %a)
      Result(%y) "y"
    })");
  CompiledGraph model = compile_model(g);
  VariableStore variables;
  for (int i = 0; i < 5; ++i) {
    const std::vector<Datum> in{Tensor::of<float>({2}, {float(i), 2})};
    const auto wanted = evaluate(g, in, {&variables, {}});
    EXPECT_TRUE(model.infer(in)[0].tensor().identical(wanted[0].tensor())) << "run " << i;
    for (const char* name : {"a", "b", "c"})
      EXPECT_TRUE(model.state(name).tensor().identical(variables[name].tensor())) << name << " after run " << i;
  }
  model.set_state("c", Tensor::of<float>({2}, {7, 7}));
  EXPECT_EQ(model.state("c").tensor().data<float>()[1], 7);
  model.reset_states();
  EXPECT_EQ(model.state("b").tensor().data<float>()[0], 5);
  EXPECT_EQ(model.state("c").tensor().data<float>()[0], 0);
}

TEST(States, an_update_without_later_readers_needs_no_copy) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[2]} "x"
      %c = Variable() {value=f32[2]{0,0},variable_id="c"}
      %y = Multiply(%c, %x)
      %z = Exp(%y)
      %n = Assign(%z) {variable_id="c"}
      Result(%y) "y"
    })");
  const Program p = compile_program(g);
  EXPECT_EQ(p[p.states[0].next].place, Place::state);
}

TEST(States, states_are_shared_between_sessions) {
  const Graph g = parse_graph(R"(
    graph g {
      %c = Variable() {value=f32[2]{1,2},variable_id="c"}
      %y = Exp(%c)
      Result(%y) "y"
    })");
  CompiledGraph one = compile_model(g), two = compile_model(g);
  ASSERT_TRUE(two.request()->share_state("c", one.request()->state("c")));
  one.set_state("c", Tensor::of<float>({2}, {0, 0}));
  EXPECT_EQ(two.infer({})[0].tensor().data<float>()[1], 1);
}

// As TensorFlow Lite has its images: a transposed convolution result, pooled and averaged where it lies.
TEST(Compile, integers_stay_integers_where_the_layout_changes) {
  const Graph g = parse_graph(R"(
    graph net {
      %x = Parameter() {element_type=f32,shape=[1,8,8,3]} "x"
      %s = Constant() {value=f32[]{1}}
      %z = Constant() {value=i8[]{-128}}
      %q = Quantize(%x, %s, %z) {output_type=i8}
      %d = Dequantize(%q, %s, %z)
      %w0 = Constant() {value=i8[16,3,3,3]{zeros}}
      %two = Constant() {value=i8[]{2}}
      %w8 = Add(%w0, %two)
      %w = Dequantize(%w8, %s)
      %in = Constant() {value=i64[4]{0,3,1,2}}
      %out = Constant() {value=i64[4]{0,2,3,1}}
      %a = Transpose(%d, %in)
      %c = Convolution(%a, %w) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      %b = Transpose(%c, %out)
      %q2 = Quantize(%b, %s, %z) {output_type=i8}
      %d2 = Dequantize(%q2, %s, %z)
      %e = Transpose(%d2, %in)
      %p = MaxPool(%e) {kernel=[2,2],strides=[2,2]}
      %f = Transpose(%p, %out)
      %q3 = Quantize(%f, %s, %z) {output_type=i8}
      %d3 = Dequantize(%q3, %s, %z)
      %axes = Constant() {value=i64[2]{1,2}}
      %m = ReduceMean(%d3, %axes)
      Result(%m) "y"
    })");
  const auto in = inputs_for(g);
  const Tensor got = compile_model(g, {.precision = Precision::int8, .threads = 1}).infer(in)[0].tensor();
  EXPECT_LE(largest_difference(got, evaluate(g, in)[0].tensor()), 1e-4);
}

TEST(Compile, explains_which_kernel_and_why_not_the_others) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[1,3,8,8]} "x"
      %w = Constant() {value=f32[16,3,3,3]{random:1}}
      %y = Convolution(%x, %w) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      Result(%y) "y"
    })");
  CompileReport report;
  CompileOptions o;
  o.explain = true;
  compile_program(g, o, &report);
  EXPECT_NE(report.explanation.find("Convolution ''"), std::string::npos) << report.explanation;
  EXPECT_NE(report.explanation.find("    not "), std::string::npos) << report.explanation;
}

TEST(Compile, compressed_weights_stay_as_they_are_stored) {
  Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[1,2,64]} "x"
      %q = Constant() {value=u8[48,64]{zeros}}
      %f = Convert(%q) {destination_type=f32}
      %z = Constant() {value=f32[]{9}}
      %d = Subtract(%f, %z)
      %s = Constant() {value=f32[48,1]{random:2}}
      %w = Multiply(%d, %s)
      %m = MatMul(%x, %w) {transpose_b=true}
      %b = Constant() {value=f32[48]{random:3}}
      %a = Add(%m, %b)
      %y = Gelu(%a)
      Result(%y) "y"
    })");
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id) || g.node(id).outputs.empty()) continue;
    Tensor q = g.handle(id).output(0).constant();
    for (size_t i = 0; q && q.element_type() == ElementType::u8 && i < q.size(); ++i)
      set_integer(q, i, static_cast<int64_t>(i * 7 % 256));
  }
  const Program p = compile_program(g, {.threads = 1});
  const bool kernel = p.steps.size() == 1 && p.steps[0].op == "CompressedMatMul";
  if (!kernel) GTEST_SKIP() << "this CPU has no kernel for them";
  // The weights as bytes, padded to whole groups and panels, and nothing of four times their size.
  for (const Tensor& c : p.constants) EXPECT_LE(c.byte_size(), 48u * 64u);
  EXPECT_FALSE(p.steps[0].epilogue.empty());
  expect_equal_to_interpreter(g, 1e-3);  // of some thousands
  // Its outputs lie within what bf16 allows.
  const auto in = inputs_for(g);
  const Tensor wanted = evaluate(g, in)[0].tensor();
  const Tensor got = compile_model(g, {.precision = Precision::bf16, .threads = 1}).infer(in)[0].tensor();
  double largest = 0;
  for (size_t i = 0; i < wanted.size(); ++i) largest = std::max(largest, std::abs(get_element(wanted, i)));
  EXPECT_LE(largest_difference(got, wanted), 0.01 * largest);
}

TEST(Compile, weights_of_a_graph_that_is_moved_in_go_when_they_are_packed) {
  // Two products pack one matrix; the other one is also read as it is.
  Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[64,256]} "x"
      %w = Constant() {value=f32[256,256]{zeros}}
      %u = Constant() {value=f32[256,256]{zeros}}
      %a = MatMul(%x, %w)
      %b = Relu(%a)
      %c = MatMul(%b, %w)
      %d = MatMul(%c, %u)
      Result(%d) "y"
      Result(%u) "same"
    })");
  std::vector<std::weak_ptr<Tensor>> alive;
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id) || !g.handle(id).is<Constant>()) continue;
    const auto owner = std::make_shared<Tensor>(random_tensor({256, 256}, 3 + id, -0.1, 0.1));
    alive.emplace_back(owner);
    g.set<Constant>(id, {Tensor(ElementType::f32, {256, 256}, static_cast<const Tensor&>(*owner).raw(), owner)});
  }
  ASSERT_EQ(alive.size(), 2u);
  const auto in = inputs_for(g);
  const auto wanted = evaluate(g, in);
  CompiledGraph first = compile_model(g, {.threads = 2});
  EXPECT_FALSE(alive[0].expired()) << "a copy leaves the graph as it is";
  EXPECT_EQ(largest_difference(evaluate(g, in)[0].tensor(), wanted[0].tensor()), 0);
  CompiledGraph second = compile_model(std::move(g), {.threads = 2});
  EXPECT_TRUE(alive[0].expired());
  for (CompiledGraph* c : {&first, &second}) {
    const auto got = c->infer(in);
    EXPECT_LE(largest_difference(got[0].tensor(), wanted[0].tensor()), 1e-4);
    EXPECT_EQ(largest_difference(got[1].tensor(), wanted[1].tensor()), 0);
  }
}

TEST(Compile, precision_names_are_checked) {
  EXPECT_EQ(precision_from("auto"), Precision::automatic);
  EXPECT_THROW(precision_from("fp7"), Error);
}

TEST(Dynamic, one_program_per_input_signature) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[?,3]} "x"
      %w = Constant() {value=f32[3,4]{random:1}}
      %m = MatMul(%x, %w)
      %y = Exp(%m)
      Result(%y) "y"
    })");
  CompiledGraph c = compile_model(g, {.cached_signatures = 2});
  EXPECT_EQ(c.mode(), "program per signature");
  for (int64_t n : {1, 5, 2, 5, 1, 9}) {
    const Tensor x = random_tensor({n, 3}, 3);
    EXPECT_LE(largest_difference(c.infer({x})[0].tensor(), evaluate(g, {x})[0].tensor()), 1e-5);
  }
  EXPECT_EQ(c.mode(), "program per signature");
  EXPECT_THROW(c.infer({random_tensor({2, 4}, 1)}), Error);
}

TEST(Dynamic, what_is_static_runs_as_a_program_before_sizes_that_data_decide) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[3,4]} "x"
      %r = Relu(%x)
      %n = NonZero(%r)
      %y = Convert(%n) {destination_type=f32}
      Result(%y) "where"
      Result(%r) "relu"
    })");
  CompiledGraph c = compile_model(g);
  EXPECT_TRUE(c.mode().starts_with("program, then node by node")) << c.mode();
  for (uint64_t seed : {1, 2}) {
    const Tensor x = random_tensor({3, 4}, seed);
    const auto got = c.infer({x}), wanted = evaluate(g, {x});
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(got[i].tensor().identical(wanted[i].tensor())) << i;
  }
}

TEST(Dynamic, sizes_from_data_behind_dynamic_inputs) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[?,4]} "x"
      %r = Relu(%x)
      %n = NonZero(%r)
      Result(%n) "where"
    })");
  CompiledGraph c = compile_model(g);
  for (int64_t n : {2, 5, 2}) {
    const Tensor x = random_tensor({n, 4}, 7);
    EXPECT_TRUE(c.infer({x})[0].tensor().identical(evaluate(g, {x})[0].tensor()));
  }
}

TEST(Compile, wrong_inputs_are_refused_with_the_name) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[2]} "picture"
      %y = Exp(%x)
      Result(%y) "y"
    })");
  CompiledGraph c = compile_model(g);
  try {
    c.infer({random_tensor({3}, 1)});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("picture"), std::string::npos);
  }
  EXPECT_THROW(c.infer({}), Error);
}

TEST(MemoryPlan, blocks_alive_together_never_overlap) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<MemoryBlock> blocks(1 + random() % 60);
    for (MemoryBlock& b : blocks) {
      b.bytes = random() % (round % 3 == 0 ? 200000 : 5000);
      b.first = random() % 40;
      b.last = b.first + random() % 8;
    }
    const MemoryPlan plan = plan_memory(blocks, round % 2 == 0);
    EXPECT_GE(plan.bytes, plan.lower_bound);
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_LE(plan.offsets[i] + blocks[i].bytes, plan.bytes);
      for (size_t j = 0; j < i; ++j) {
        if (blocks[i].last < blocks[j].first || blocks[j].last < blocks[i].first) continue;
        EXPECT_TRUE(plan.offsets[i] + blocks[i].bytes <= plan.offsets[j] ||
                    plan.offsets[j] + blocks[j].bytes <= plan.offsets[i]);
      }
    }
  }
}

TEST(MemoryPlan, a_chain_of_equal_blocks_takes_two) {
  std::vector<MemoryBlock> blocks;
  for (uint32_t i = 0; i < 10; ++i) blocks.push_back({640, i, i + 1});
  EXPECT_EQ(plan_memory(blocks, false).bytes, 1280u);
  EXPECT_EQ(plan_memory(blocks, true).bytes, 1280u);
}

TEST(MemoryPlan, blocks_of_many_sizes_share_few_middles) {
  std::vector<MemoryBlock> blocks;
  for (uint32_t i = 0; i < 20; ++i) blocks.push_back({(4u << 20) >> i / 3 << (i % 2), i, i + 1});
  const MemoryPlan plan = plan_memory(blocks, true);
  std::set<uint64_t> middles;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].bytes >= 32 << 10) middles.insert(plan.offsets[i] + blocks[i].bytes / 2);
  }
  EXPECT_EQ(middles.size(), 2u);
  EXPECT_LE(plan.bytes, plan.lower_bound * 5 / 4);
}

// Random graphs of elementwise nodes, reshapes and states: the planner's program passes the independent verifier
// (inside compile_program) and computes what the interpreter computes, run after run.
TEST(Compile, random_graphs_pass_the_verifier_and_compute_the_same) {
  static constexpr const char* binary[] = {"Add", "Multiply", "Maximum", "Subtract"};
  static constexpr const char* unary[] = {"Relu", "Negative", "Abs", "Tanh"};
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    Graph g;
    Builder b(g);
    Values values{b.parameter(ElementType::f32, {4, 6}, "x"), b.constant(random_tensor({4, 6}, seed))};
    std::vector<std::string> ids;
    for (int s = 0; s < 3; ++s) {
      ids.push_back("v" + std::to_string(s));
      values.push_back(b(Variable{random_tensor({4, 6}, 100 + seed + s), ids.back(), true}));
    }
    for (int k = 0; k < 25; ++k) {
      const Value a = values[random() % values.size()], c = values[random() % values.size()];
      const OpDef* op = find_op(random() % 2 ? binary[random() % 4] : unary[random() % 4]);
      values.push_back(
          b.add(*op, op->make(), op->samples().at(0).inputs.size() == 2 ? Values{a, c} : Values{a}).output(0));
    }
    for (const std::string& id : ids) {
      if (random() % 4)
        b.add(op_def<Assign>(), std::make_shared<Assign>(Assign{id}), {values[random() % values.size()]});
    }
    for (int r = 0; r < 3; ++r) b.result(values[values.size() - 1 - random() % 8], "y" + std::to_string(r));
    CompileOptions o;
    o.optimize = seed % 2;
    CompiledGraph model = compile_model(g, o);
    VariableStore variables;
    for (int run = 0; run < 3; ++run) {
      const std::vector<Datum> in{random_tensor({4, 6}, seed * 10 + run)};
      const auto wanted = evaluate(g, in, {&variables, {}});
      const auto got = model.infer(in);
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_LE(largest_difference(got[i].tensor(), wanted[i].tensor()), 1e-4) << "seed " << seed << "\n"
                                                                                 << to_text(*model.program());
      for (const auto& [name, value] : variables)
        EXPECT_LE(largest_difference(model.state(name).tensor(), value.tensor()), 1e-4)
            << "seed " << seed << " " << name;
    }
  }
}

}  // namespace
}  // namespace hone
