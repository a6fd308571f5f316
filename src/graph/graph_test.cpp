#include "graph/graph.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {

static Graph chain() {
  return parse_graph(R"(graph g {
    %x = Parameter() {element_type=f32,shape=[N,3]} "x"
    %a = Convert(%x) {destination_type=f64} "a"
    %b = Convert(%a) {destination_type=f32} "b"
    Result(%b) "y"
  })");
}

TEST(Graph, rolls_back_every_change_of_an_open_transaction) {
  Graph g = chain();
  const std::string before = to_text(g);
  {
    Transaction t(g);
    Builder b(g);
    const Value x = g.inputs()[0];
    const Value y = b(Convert{ElementType::f32}, x);
    const Value old = g.outputs()[0];
    {
      Transaction inner(g);
      g.replace_uses(old.id, y.id);
      inner.commit();
    }
    g.set_name(y.node().id, "new");
    g.remove_dead();
    g.reshape({{x.id, PartialShape{4, 3}}});
    b.parameter(ElementType::i64, {}, "more");
    EXPECT_NE(to_text(g), before);
    verify(g);
  }
  EXPECT_EQ(to_text(g), before);
  verify(g);
}

TEST(Graph, keeps_committed_changes) {
  Graph g = chain();
  {
    Transaction t(g);
    g.replace_uses(g.outputs()[0].id, g.inputs()[0].id);
    g.remove_dead();
    t.commit();
  }
  EXPECT_EQ(g.num_nodes(), 2u);
  verify(g);
}

TEST(Graph, reshapes_with_symbols_and_undoes_a_failure) {
  Graph g = chain();
  EXPECT_EQ(to_string(g.outputs()[0].shape()), "[N,3]");
  g.reshape({{g.inputs()[0].id, PartialShape{7, 3}}});
  EXPECT_EQ(to_string(g.outputs()[0].shape()), "[7,3]");
}

TEST(Graph, refuses_to_remove_a_value_in_use) {
  Graph g = chain();
  EXPECT_THROW(g.remove(g.inputs()[0].node().id), Error);
}

TEST(Graph, refuses_values_of_more_elements_than_any_memory_holds) {
  Graph g;
  Builder b(g);
  const int64_t most = int64_t{1} << 48;
  b.parameter(ElementType::f32, PartialShape{2, most / 2, -1}, "large");
  EXPECT_THROW(b.parameter(ElementType::f32, PartialShape{2, most / 2 + 1}, "larger"), Error);
  // An empty value has strides all the same.
  EXPECT_THROW(b.parameter(ElementType::f32, PartialShape{0, most, 2}, "empty"), Error);
  EXPECT_EQ(g.inputs().size(), 1u);
}

TEST(Graph, finds_inputs_by_tensor_name) {
  Graph g = chain();
  EXPECT_TRUE(g.input("x"));
  EXPECT_FALSE(g.input("nothing"));
}

}  // namespace hone
