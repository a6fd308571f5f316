#include "zoo/zoo.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "hone/error.hpp"
#include "ops/cost.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"

namespace hone {

TEST(Zoo, has_the_published_parameter_and_operation_counts) {
  for (const NetworkInfo& n : networks()) {
    NetworkOptions o;
    if (!n.classifier && n.height == 0) o.height = o.width = 12;  // the least that the proposals network takes
    const Graph g = build_network(n.name, o);
    verify(g);
    EXPECT_EQ(parameter_count(g), n.parameters) << n.name;
    // Published counts leave out or include small parts (squeeze-excite, biases): 2 %.
    EXPECT_NEAR(static_cast<double>(multiply_accumulates(g)) / 1e9, n.gmacs, 0.02 * n.gmacs) << n.name;
  }
}

TEST(Zoo, takes_the_data_s_own_size_channels_and_classes) {
  NetworkOptions o;
  o.classes = 7;
  o.channels = 1;
  o.height = o.width = 28;
  const Graph g = build_network("resnet8", o);
  EXPECT_EQ(to_string(g.inputs()[0].shape()), "[N,1,28,28]");
  EXPECT_EQ(to_string(g.outputs()[0].shape()), "[N,7]");
  const Tensor y = evaluate(g, {random_tensor({2, 1, 28, 28}, 1)})[0].tensor();
  for (double v : y.to_doubles()) EXPECT_TRUE(std::isfinite(v));
  EXPECT_NE(y.to_doubles()[0], y.to_doubles()[7]) << "two pictures, one answer";
}

TEST(Zoo, initialises_by_seed) {
  NetworkOptions o;
  o.height = o.width = 8;
  const Tensor x = random_tensor({1, 3, 8, 8}, 1);
  const Tensor a = evaluate(build_network("resnet8", o), {x})[0].tensor(),
               b = evaluate(build_network("resnet8", o), {x})[0].tensor();
  o.seed = 1;
  const Tensor c = evaluate(build_network("resnet8", o), {x})[0].tensor();
  EXPECT_TRUE(a.identical(b));
  EXPECT_FALSE(a.identical(c));
}

TEST(Zoo, names_its_networks_when_asked_for_another) {
  try {
    build_network("resnet21");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("resnet20"), std::string::npos);
    EXPECT_EQ(e.code(), ErrorCode::usage);
  }
}

}  // namespace hone
