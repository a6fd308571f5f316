#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/movement.hpp"
#include "rewrite/clean.hpp"
#include "rewrite/fold.hpp"
#include "rewrite/pass.hpp"

namespace hone {
namespace {

size_t count(const Graph& g, std::string_view op) {
  size_t n = 0;
  for (NodeId id = 0; id < g.node_capacity(); ++id) n += g.alive(id) && g.node(id).op->name == op;
  return n;
}

Rule merge_converts() {
  const auto x = any();
  const auto inner = op<Convert>(x);
  const auto outer = op<Convert>(inner);
  return rule("merge_converts", outer, [=](const Match& m, Builder& b) { return b(m.as<Convert>(outer), m[x]); });
}

const char* two_converts = R"(graph {
  %x = Parameter() {element_type=f32,shape=[2]} "x"
  %a = Convert(%x) {destination_type=f64} "first"
  %b = Convert(%a) {destination_type=f16} "second"
  Result(%b) "y"
})";

TEST(Rewrite, replaces_merges_provenance_and_keeps_the_name) {
  Graph g = parse_graph(two_converts);
  const RuleCounts counts = apply_rules(g, {merge_converts()});
  verify(g);
  EXPECT_EQ(counts.applied.at("merge_converts"), 1u);
  ASSERT_EQ(count(g, "Convert"), 1u);
  const Node n = g.outputs()[0].node();
  EXPECT_EQ(n.name(), "second");
  EXPECT_EQ(g.node(n.id).provenance, (std::vector<std::string>{"first", "second"}));
}

TEST(Rewrite, leaves_inner_nodes_with_other_users_alone) {
  Graph g = parse_graph(two_converts);
  Builder(g).result(g.outputs()[0].node().input(0));
  EXPECT_EQ(apply_rules(g, {merge_converts()}).total(), 0u);
  EXPECT_EQ(count(g, "Convert"), 2u);

  const auto x = any();
  const auto outer = op<Convert>(op<Convert>(x).shared());
  const Rule also_shared =
      rule("shared", outer, [=](const Match& m, Builder& b) { return b(m.as<Convert>(outer), m[x]); });
  EXPECT_EQ(apply_rules(g, {also_shared}).total(), 1u);
  EXPECT_EQ(count(g, "Convert"), 2u);  // the inner one stays for its other user
  verify(g);
}

TEST(Rewrite, rolls_back_what_a_declined_rule_built) {
  Graph g = parse_graph(two_converts);
  const std::string before = to_text(g);
  const size_t capacity = g.node_capacity();
  const auto c = op<Convert>();
  const Rule declines = rule("declines", c, [=](const Match& m, Builder& b) {
    b(Convert{ElementType::i32}, m[c]);
    return Value{};
  });
  EXPECT_EQ(apply_rules(g, {declines}).total(), 0u);
  EXPECT_EQ(to_text(g), before);
  EXPECT_EQ(g.node_capacity(), capacity);
}

TEST(Rewrite, undoes_and_reports_a_replacement_of_another_type) {
  Graph g = parse_graph(two_converts);
  const std::string before = to_text(g);
  const auto c = op<Convert>();
  const Rule wrong = rule("wrong", c, [=](const Match& m, Builder& b) { return b(Convert{ElementType::i32}, m[c]); });
  const RuleCounts counts = apply_rules(g, {wrong});
  EXPECT_EQ(counts.total(), 0u);
  EXPECT_TRUE(counts.refused.contains("wrong"));
  EXPECT_EQ(to_text(g), before);
}

TEST(Rewrite, never_matches_its_own_output_and_may_wrap_what_it_matched) {
  Graph g = parse_graph(two_converts);
  const auto c = op<Convert>();
  const Rule wraps = rule("wraps", c, [=](const Match& m, Builder& b) {
    const ElementType t = m[c].element_type();
    return b(Convert{t}, b(Convert{ElementType::f32}, m[c]));
  });
  EXPECT_EQ(apply_rules(g, {wraps}).total(), 2u);
  EXPECT_EQ(count(g, "Convert"), 6u);
  verify(g);
}

TEST(Rewrite, matches_the_same_pattern_only_to_the_same_value) {
  Graph g = parse_graph(R"(graph {
    %x = Parameter() {element_type=f32,shape=[2]}
    %s = ShapeOf(%x)
    %a = Broadcast(%x, %s)
    Result(%a)
  })");
  const auto x = any();
  EXPECT_TRUE(match(op<Broadcast>(x, op<ShapeOf>(x)), g.outputs()[0].node()));
  EXPECT_FALSE(match(op<Broadcast>(x, x), g.outputs()[0].node()));
  EXPECT_FALSE(match(op<Broadcast>(x), g.outputs()[0].node()));  // the number of inputs counts
  EXPECT_TRUE(match(op<Broadcast>(x).more_inputs(), g.outputs()[0].node()));
  const auto s = op<ShapeOf>(any());
  const auto m = match(op<Broadcast>(any(), opt<Convert>(s)), g.outputs()[0].node());
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->has(s));
}

TEST(Fold, evaluates_constant_chains_and_keeps_the_rest) {
  Graph g = parse_graph(R"(graph {
    %x = Parameter() {element_type=f32,shape=[2,3]}
    %c = Constant() {value=f16[3]{1,2.5,-3}} "weights"
    %d = Convert(%c) {destination_type=f32} "wide"
    %e = Convert(%d) {destination_type=i32}
    %t = ShapeOf(%x)
    %b = Broadcast(%e, %t)
    Result(%b)
  })");
  const size_t n = fold_constants(g, reference_evaluator());
  verify(g);
  EXPECT_EQ(n, 4u);
  EXPECT_EQ(count(g, "Constant"), 1u);
  EXPECT_EQ(g.outputs()[0].constant().to_ints(), (std::vector<int64_t>{1, 2, -3, 1, 2, -3}));
}

TEST(Fold, keeps_large_results_and_decompression) {
  Graph g = parse_graph(R"(graph {
    %w = Constant() {value=i8[64,64]{random:1}}
    %f = Convert(%w) {destination_type=f32}
    %one = Constant() {value=f32[1]{1}}
    %shape = Constant() {value=i64[1]{1000000}}
    %large = Broadcast(%one, %shape)
    Result(%f)
    Result(%large)
  })");
  EXPECT_EQ(fold_constants(g, reference_evaluator()), 0u);
  FoldOptions all;
  all.keep_quantization = false;
  all.growth_limit = 1u << 30;
  EXPECT_EQ(fold_constants(g, reference_evaluator(), all), 2u);
}

TEST(Fold, goes_through_large_results_to_small_ones) {
  const char* text = R"(graph {
    %x = Parameter() {element_type=f32,shape=[1000000]}
    %two = Constant() {value=f32[1]{2}}
    %shape = Constant() {value=i64[1]{1000000}}
    %large = Broadcast(%two, %shape)
    %squared = Multiply(%large, %large)
    %axis = Constant() {value=i64[1]{0}}
    %small = ReduceMax(%squared, %axis) {keep_dims=true}
    %y = Add(%x, %large)
    Result(%small)
    Result(%y)
  })";
  Graph g = parse_graph(text);
  EXPECT_EQ(fold_constants(g, reference_evaluator()), 1u);
  verify(g);
  EXPECT_EQ(g.outputs()[0].constant().data<float>()[0], 4.0f);
  EXPECT_EQ(count(g, "Multiply"), 0u);
  EXPECT_EQ(count(g, "Broadcast"), 1u) << "what another operator reads stays as it is";

  Graph bounded = parse_graph(text);
  FoldOptions options;
  options.passing_limit = 6u << 20;  // the first result alone
  EXPECT_EQ(fold_constants(bounded, reference_evaluator(), options), 0u);
}

TEST(Fold, learns_sizes_from_what_became_constant) {
  // The target goes through floats, where inference does not follow it, and the shape behind it is asked for again.
  Graph g = parse_graph(R"(graph {
    %x = Parameter() {element_type=f32,shape=[12]} "x"
    %f = Constant() {value=f32[2]{3.5,5.5}}
    %c = Ceiling(%f)
    %n = Convert(%c) {destination_type=i64}
    %half = Constant() {value=i64[2]{1,2}}
    %t = Subtract(%n, %half)
    %y = Reshape(%x, %t)
    %s = ShapeOf(%y)
    %z = Reshape(%x, %s)
    Result(%z) "z" })");
  EXPECT_FALSE(g.outputs()[0].type().is_static());
  EXPECT_GT(fold_constants(g, reference_evaluator()), 0u);
  EXPECT_EQ(to_string(g.outputs()[0].type()), "f32[3,4]");
}

TEST(Fold, leaves_state_alone) {
  Graph g = parse_graph(R"(graph {
    %w = Variable() {value=f32[2]{1,2},variable_id="w"}
    %c = Convert(%w) {destination_type=f64}
    Result(%c)
  })");
  EXPECT_EQ(fold_constants(g, reference_evaluator()), 0u);
}

TEST(CommonSubexpressions, merges_equal_nodes_and_constants) {
  Graph g = parse_graph(R"(graph {
    %x = Parameter() {element_type=f32,shape=[2]}
    %a = Constant() {value=i64[2]{3,2}}
    %b = Constant() {value=i64[2]{3,2}}
    %p = Broadcast(%x, %a)
    %q = Broadcast(%x, %b)
    %r = Convert(%p) {destination_type=f64}
    %s = Convert(%q) {destination_type=f64}
    %t = Convert(%q) {destination_type=f16}
    Result(%r)
    Result(%s)
    Result(%t)
  })");
  EXPECT_EQ(merge_common_subexpressions(g), 3u);
  verify(g);
  EXPECT_EQ(g.outputs()[0], g.outputs()[1]);
  EXPECT_EQ(count(g, "Convert"), 2u);
}

TEST(Passes, are_timed_reported_and_can_be_disabled) {
  Graph g = parse_graph(two_converts);
  const std::vector<Pass> passes{rules_pass("converts", {merge_converts()}, true), dead_code_pass()};
  PassOptions off;
  off.disabled = {"converts"};
  EXPECT_EQ(run_passes(g, passes, off).passes.size(), 1u);
  EXPECT_EQ(count(g, "Convert"), 2u);
  const PassReport report = run_passes(g, passes);
  ASSERT_EQ(report.passes.size(), 2u);
  EXPECT_EQ(report.passes[0].changes, 1u);
  EXPECT_EQ(report.fused, 1u);
  EXPECT_EQ(report.nodes_before - report.nodes_after, 1u);
}

TEST(Passes, roll_back_a_pass_that_throws) {
  Graph g = parse_graph(two_converts);
  const std::string before = to_text(g);
  Pass bad;
  bad.name = "bad";
  bad.run = [](Graph& graph, PassContext&) -> size_t {
    apply_rules(graph, {merge_converts()});
    throw Error(ErrorCode::failed, "[bad] on purpose");
  };
  EXPECT_THROW(run_passes(g, {bad}), Error);
  EXPECT_EQ(to_text(g), before);
  verify(g);
}

}  // namespace
}  // namespace hone
