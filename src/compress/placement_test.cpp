#include "compress/placement.hpp"

#include <gtest/gtest.h>

#include <set>

#include "graph/text.hpp"

namespace hone {
namespace {

std::set<std::string> quantized_values(const Graph& g, const Placement& p) {
  std::set<std::string> names;
  for (const ActivationQuantizer& q : p.activations) names.insert(g.handle(g.value(q.value).producer).name());
  return names;
}

constexpr const char* conv_attributes = "{strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}";

std::string conv(const std::string& out, const std::string& in, const std::string& name) {
  return "%w" + out + " = Constant() {value=f32[4,4,3,3]{random:1}}\n%b" + out +
         " = Constant() {value=f32[1,4,1,1]{random:2}}\n%" + out + "c = Convolution(" + in + ", %w" + out + ") " +
         conv_attributes + " \"" + name + "\"\n%" + out + " = Add(%" + out + "c, %b" + out + ") \"" + name + "/add\"\n";
}

}  // namespace

TEST(Placement, leaves_bias_and_activation_fused_and_quantizes_behind_relu) {
  const Graph g =
      parse_graph("graph g {\n%x = Parameter() {element_type=f32,shape=[1,4,8,8]} \"x\"\n" + conv("a", "%x", "conv1") +
                  "%r = Relu(%a) \"relu\"\n%p = MaxPool(%r) {strides=[2,2],kernel=[2,2]} \"pool\"\n" +
                  conv("d", "%p", "conv2") + "Result(%d)\n}");
  const Placement p = place_quantizers(g);
  // Through the pooling, up to the ReLU; nothing between convolution, bias and ReLU.
  EXPECT_EQ(quantized_values(g, p), (std::set<std::string>{"x", "relu"}));
  EXPECT_EQ(p.weights.size(), 2u);
  EXPECT_EQ(p.weights[0].channel_axes, (std::vector<int64_t>{0}));
}

TEST(Placement, quantizes_only_the_other_side_of_a_residual_add) {
  const Graph g =
      parse_graph("graph g {\n%x = Parameter() {element_type=f32,shape=[1,4,8,8]} \"x\"\n" + conv("a", "%x", "conv1") +
                  "%r = Relu(%a) \"relu1\"\n" + conv("d", "%r", "conv2") +
                  "%s = Add(%d, %r) \"sum\"\n%t = Relu(%s) \"relu2\"\n" + conv("e", "%t", "conv3") + "Result(%e)\n}");
  const Placement p = place_quantizers(g);
  EXPECT_EQ(quantized_values(g, p), (std::set<std::string>{"x", "relu1", "relu2"}));
  for (const ActivationQuantizer& q : p.activations) {
    if (g.handle(g.value(q.value).producer).name() == "relu1") {
      EXPECT_EQ(q.uses.size(), 2u) << "one quantizer for the convolution and the Add";
    }
  }
}

TEST(Placement, stops_below_a_branch_that_is_not_quantized) {
  const Graph g =
      parse_graph("graph g {\n%x = Parameter() {element_type=f32,shape=[1,4,8,8]} \"x\"\n%r = Relu(%x) \"relu\"\n" +
                  conv("a", "%r", "conv1") + "%s = Sigmoid(%r) \"gate\"\nResult(%a)\nResult(%s)\n}");
  const Placement p = place_quantizers(g);
  ASSERT_EQ(p.activations.size(), 1u);
  EXPECT_EQ(p.activations[0].uses.size(), 1u) << "the Sigmoid reads the value as it is";
}

TEST(Placement, shares_one_range_among_the_inputs_of_a_concat_before_a_convolution) {
  const Graph g = parse_graph(
      "graph g {\n%x = Parameter() {element_type=f32,shape=[1,2,8,8]} \"x\"\n%y = Parameter() "
      "{element_type=f32,shape=[1,2,8,8]} \"y\"\n"
      "%c = Concat(%x, %y) {axis=1} \"cat\"\n" +
      conv("a", "%c", "conv1") + "Result(%a)\n}");
  const Placement p = place_quantizers(g);
  EXPECT_EQ(quantized_values(g, p), (std::set<std::string>{"x", "y"}));
  EXPECT_GE(p.activations[0].group, 0);
  EXPECT_EQ(p.activations[0].group, p.activations[1].group);
}

TEST(Placement, leaves_ignored_nodes_alone) {
  const Graph g = parse_graph("graph g {\n%x = Parameter() {element_type=f32,shape=[1,4,8,8]} \"x\"\n" +
                              conv("a", "%x", "conv1") + conv("d", "%a", "conv2") + "Result(%d)\n}");
  const Placement p = place_quantizers(g, {[](const std::string& name) { return name == "conv1"; }});
  EXPECT_EQ(p.weights.size(), 1u);
  ASSERT_EQ(p.ignored.size(), 1u);
  EXPECT_EQ(g.node(p.ignored[0]).name, "conv1");
}

}  // namespace hone
