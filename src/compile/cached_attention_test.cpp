// A step of a language model with its cache in states: the program updates it in place.
#include "ops/cached_attention.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "compile/compile.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

constexpr int64_t heads = 4, groups = 2, room = 20, features = 32;

// Query, key and value of `length` tokens, the number of those before; the cache is in states.
Graph step(int64_t length) {
  Graph g;
  Builder b(g);
  const auto f32 = [](Shape s) { return Type(ElementType::f32, PartialShape(s)); };
  const Value q = b.parameter(f32({1, heads, length, features}), "q"),
              k = b.parameter(f32({1, groups, length, features}), "k"),
              v = b.parameter(f32({1, groups, length, features}), "v"),
              before = b.parameter(Type(ElementType::i64, PartialShape(Shape{1})), "before"),
              total = b.parameter(Type(ElementType::i64, PartialShape(Shape{1})), "total");
  Values cache;
  for (const auto& [name, tokens] : {std::pair<std::string, Value>{"key", k}, {"value", v}}) {
    const Value old = b(Variable{Tensor(ElementType::i8, {1, groups, room, features}), name, false}),
                scales = b(Variable{Tensor(ElementType::f32, {1, groups, room}), name + "_scale", false});
    const Values fresh = b.all(CacheUpdate{}, {old, scales, tokens, before});
    b(Assign{name}, fresh[0]);
    b(Assign{name + "_scale"}, fresh[1]);
    cache.insert(cache.end(), fresh.begin(), fresh.end());
  }
  b.result(b(CachedAttention{}, q, cache[0], cache[1], cache[2], cache[3], total), "y");
  return g;
}

TEST(CachedAttention, steps_of_a_token_follow_attention_to_all_tokens) {
  const Tensor q = random_tensor({1, heads, room, features}, 1), k = random_tensor({1, groups, room, features}, 2),
               v = random_tensor({1, groups, room, features}, 3);
  const auto tokens = [](const Tensor& all, int64_t first, int64_t count) {
    const int64_t n = all.shape()[1], size = all.shape()[3];
    Tensor t(ElementType::f32, {1, n, count, size});
    for (int64_t h = 0; h < n; ++h)
      for (int64_t i = 0; i < count * size; ++i)
        set_element(t, size_t(h * count * size + i), get_element(all, size_t((h * all.shape()[2] + first) * size + i)));
    return t;
  };
  CompileOptions o;
  o.threads = 2;
  CompileReport report;
  auto program = std::make_shared<const Program>(compile_program(step(1), o, &report));
  EXPECT_EQ(report.reference_steps, 0u) << to_text(*program);
  size_t updates = 0;
  for (const ProgramStep& s : program->steps) {
    EXPECT_NE(s.op, "Copy") << to_text(*program);
    updates += s.op == "CacheUpdate" ? 1 : 0;
  }
  EXPECT_EQ(updates, 2u);
  for (const ProgramState& s : program->states)
    EXPECT_EQ((*program)[s.next].place, Place::state) << s.name << " is not updated where it lies";
  CompiledGraph model = load_program(program, o);
  for (int64_t t = 0; t < room; ++t) {
    const Tensor y =
        model.infer({tokens(q, t, 1), tokens(k, t, 1), tokens(v, t, 1), int_tensor({t}), int_tensor({t + 1})})[0]
            .tensor();
    for (int64_t h = 0; h < heads; ++h) {
      std::vector<double> w;
      double total = 0;
      const auto at = [&](const Tensor& x, int64_t head, int64_t token, int64_t e) {
        return get_element(x, size_t((head * room + token) * features + e));
      };
      for (int64_t j = 0; j <= t; ++j) {
        double s = 0;
        for (int64_t e = 0; e < features; ++e) s += at(q, h, t, e) * at(k, h / 2, j, e);
        total += w.emplace_back(std::exp(s / std::sqrt(double(features))));
      }
      for (int64_t e = 0; e < features; ++e) {
        double sum = 0;
        for (int64_t j = 0; j <= t; ++j) sum += w[size_t(j)] / total * at(v, h / 2, j, e);
        // Keys and values carry half a step of 1 / 127 each.
        ASSERT_NEAR(get_element(y, size_t(h * features + e)), sum, 0.012) << "token " << t << ", head " << h;
      }
    }
  }
}

TEST(CachedAttention, compiles_in_bf16_to_kernels_as_well) {
  const Graph g = step(1);
  CompileOptions o;
  o.threads = 1;
  o.precision = Precision::bf16;
  CompileReport report;
  auto program = std::make_shared<const Program>(compile_program(g, o, &report));
  EXPECT_EQ(report.reference_steps, 0u) << to_text(*program);
  const std::vector<Datum> in{random_tensor({1, heads, 1, features}, 1), random_tensor({1, groups, 1, features}, 2),
                              random_tensor({1, groups, 1, features}, 3), int_tensor({0}), int_tensor({1})};
  const Tensor y = load_program(program, o).infer(in)[0].tensor(), want = evaluate(g, in)[0].tensor();
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(get_element(y, i), get_element(want, i), 0.01) << i;
}

TEST(CachedAttention, a_prompt_is_left_to_matrix_products_and_gives_the_same) {
  const Graph g = step(room);
  const std::vector<Datum> in{random_tensor({1, heads, room, features}, 1),
                              random_tensor({1, groups, room, features}, 2),
                              random_tensor({1, groups, room, features}, 3), int_tensor({0}), int_tensor({room})};
  CompileOptions o;
  o.threads = 1;
  CompileReport report;
  auto program = std::make_shared<const Program>(compile_program(g, o, &report));
  for (const ProgramStep& s : program->steps) EXPECT_NE(s.op, "CachedAttention");
  EXPECT_EQ(report.reference_steps, 0u) << to_text(*program);
  const Tensor y = load_program(program, o).infer(in)[0].tensor(), want = evaluate(g, in)[0].tensor();
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(get_element(y, i), get_element(want, i), 1e-4) << i;
}

TEST(CachedAttention, a_full_cache_is_an_error_that_changes_nothing) {
  CompiledGraph model = compile_model(step(1));
  const std::vector<Datum> in{random_tensor({1, heads, 1, features}, 1), random_tensor({1, groups, 1, features}, 2),
                              random_tensor({1, groups, 1, features}, 3), int_tensor({room}), int_tensor({room})};
  try {
    model.infer(in);
    FAIL() << "the cache has room for 20 tokens";
  } catch (const Error& e) {
    EXPECT_NE(e.message().find("do not fit into the cache"), std::string::npos) << e.message();
  }
  const Tensor scales = model.state("key_scale").tensor();
  for (size_t i = 0; i < scales.size(); ++i) EXPECT_EQ(get_element(scales, i), 0) << i;
}

}  // namespace
}  // namespace hone
