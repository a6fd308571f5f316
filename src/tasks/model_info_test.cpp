#include "tasks/model_info.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "hone/error.hpp"

namespace hone {

TEST(ModelInfo, travels_in_the_graph) {
  Graph g;
  EXPECT_FALSE(load_info(g));
  ModelInfo info;
  info.labels = {"T-shirt / top", "\"bag\""};
  info.preprocessing.width = info.preprocessing.height = 28;
  info.preprocessing.color = data::ColorOrder::grey;
  info.preprocessing.mean = {72.94};
  info.preprocessing.scale = {90.02};
  info.data_revision = "abc";
  info.metrics["int8"] = {"accuracy", 0.93, 0.92, 0.94, 10000};
  store_info(g, info);
  const auto back = load_info(g);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->labels, info.labels);
  EXPECT_EQ(back->preprocessing, info.preprocessing);
  EXPECT_EQ(back->metrics.at("int8").samples, 10000u);
  EXPECT_DOUBLE_EQ(back->metrics.at("int8").high, 0.94);
}

TEST(ModelInfo, reads_what_the_model_api_wrote) {
  Graph g;
  Builder(g).parameter(ElementType::f32, PartialShape{1, 3, 224, 160}, "x");
  g.info = {{"model_info/labels", "cat dog"},
            {"model_info/mean_values", "123.675 116.28 103.53"},
            {"model_info/reverse_input_channels", "True"}};
  const auto info = load_info(g);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->labels, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(info->preprocessing.mean, (std::vector<double>{123.675, 116.28, 103.53}));
  EXPECT_EQ(info->preprocessing.color, data::ColorOrder::bgr);
  EXPECT_EQ(info->preprocessing.width, 160);
}

TEST(ModelInfo, refuses_damaged_information) {
  Graph g;
  g.info["hone/preprocessing"] = "{";
  EXPECT_THROW(load_info(g), Error);
}

}  // namespace hone
