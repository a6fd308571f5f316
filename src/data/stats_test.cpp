#include "data/stats.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/grid.hpp"
#include "data/small_pictures_test.hpp"
#include "data/test_data_test.hpp"
#include "data/test_folder_test.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

TEST(stats, mean_and_deviation_of_channels) {
  const TestFolder dir("stats");
  dir.picture("a/1.png", filled(2, 2, {10, 20, 30}));
  dir.picture("b/2.png", filled(2, 2, {30, 20, 50}));
  const auto data = open_dataset(dir.path());
  Preprocessing p;
  p.resize = ResizeRule::exact;
  const ChannelStats s = channel_stats(*data, {0, 1}, p);
  EXPECT_EQ(s.mean, (std::vector<double>{20, 20, 40}));
  EXPECT_EQ(s.pixels, 8u);
  EXPECT_DOUBLE_EQ(s.deviation[0], 10);
  EXPECT_DOUBLE_EQ(s.deviation[1], 1e-3);  // constant: small, but fit to divide by
  p.color = ColorOrder::bgr;
  EXPECT_EQ(channel_stats(*data, {1}, p).mean, (std::vector<double>{50, 20, 30}));
  EXPECT_THROW(channel_stats(*data, {}, p), Error);
}

TEST(stats, of_fashion_mnist_are_the_published_ones) {
  const std::string dir = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::is_directory(dir)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto data = open_dataset(dir);
  Preprocessing p;
  p.width = p.height = 28;
  p.color = ColorOrder::grey;
  const ChannelStats s = channel_stats(*data, data->indices(Part::train), p, SIZE_MAX);
  EXPECT_NEAR(s.mean[0] / 255, 0.2860, 0.0001);
  EXPECT_NEAR(s.deviation[0] / 255, 0.3530, 0.0001);
}

TEST(stats, balance_of_classes) {
  const TestFolder dir("balance");
  for (int i = 0; i < 6; ++i) dir.picture("a/" + std::to_string(i) + ".png", i);
  for (int i = 0; i < 2; ++i) dir.picture("b/" + std::to_string(i) + ".png", 10 + i);
  dir.picture("c/0.png", 20);
  const auto data = open_dataset(dir.path());
  const Balance b = class_balance(*data, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(b.counts, (std::vector<size_t>{6, 2, 0}));
  EXPECT_EQ(b.missing, (std::vector<std::string>{"c"}));
  EXPECT_DOUBLE_EQ(b.imbalance, 3);
  EXPECT_DOUBLE_EQ(b.weights[0], 0.5);
  EXPECT_DOUBLE_EQ(b.weights[1], 1.5);
  EXPECT_DOUBLE_EQ(b.weights[2], 0);
}

TEST(stats, sizes_formats_and_duplicates) {
  const TestFolder dir("sizes");
  dir.picture("a/1.png", filled(4, 2, {1}));
  dir.picture("a/2.png", filled(4, 2, {1}));
  dir.picture("b/3.png", filled(4, 2, {1}));
  dir.picture("b/4.png", filled(6, 9, {1, 2, 3}));
  const auto jpeg = encode_jpeg(filled(8, 8, {5, 6, 7}));
  dir.text("b/5.jpg", std::string(jpeg.begin(), jpeg.end()));
  const auto data = open_dataset(dir.path());
  const SizeStats s = size_stats(*data);
  EXPECT_EQ(s.sizes.at({4, 2}), 3u);
  EXPECT_EQ(s.formats.at("JPEG"), 1u);
  EXPECT_EQ(s.channels.at(1), 3u);
  EXPECT_EQ(s.median_width, 4);
  EXPECT_EQ(s.min_side, 2);
  EXPECT_EQ(s.max_side, 9);
  const Duplicates d = find_duplicates(*data);
  ASSERT_EQ(d.groups.size(), 1u);
  EXPECT_EQ(d.groups[0], (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(d.conflicting, 1u);
  EXPECT_EQ(d.redundant, 2u);
  Preprocessing p;
  p.width = p.height = 4;
  const auto j = nlohmann::json::parse(stats_json(*data, p));
  EXPECT_EQ(j["samples"], 5);
  EXPECT_EQ(j["classes"][1]["name"], "b");
  EXPECT_EQ(j["duplicates"]["conflicting_labels"], 1);
  EXPECT_EQ(j["sizes"][0]["samples"], 3);
}

TEST(grid, lays_pictures_out_with_frames) {
  std::vector<GridCell> cells;
  cells.push_back({filled(2, 2, {10}), {255, 0, 0, 255}});
  cells.push_back({filled(8, 4, {1, 2, 3}), {0, 255, 0, 255}});
  cells.push_back({filled(4, 4, {9, 9, 9, 0}), {0, 0, 255, 255}});
  const Image sheet = make_grid(cells, {.columns = 2, .cell = 4, .gap = 1, .frame = 1});
  EXPECT_EQ(sheet.width(), 2 * 7 + 1);
  EXPECT_EQ(sheet.height(), 2 * 7 + 1);
  const auto pixel = [&](int x, int y) { return std::vector<int>(sheet.pixel(x, y), sheet.pixel(x, y) + 3); };
  EXPECT_EQ(pixel(0, 0), (std::vector<int>{255, 255, 255}));
  EXPECT_EQ(pixel(1, 1), (std::vector<int>{255, 0, 0}));
  EXPECT_EQ(pixel(2, 2), (std::vector<int>{10, 10, 10}));
  EXPECT_EQ(pixel(5, 5), (std::vector<int>{10, 10, 10}));
  EXPECT_EQ(pixel(9, 2), (std::vector<int>{255, 255, 255}));  // 8x4 becomes 4x2, in the middle
  EXPECT_EQ(pixel(9, 3), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(pixel(3, 10), (std::vector<int>{255, 255, 255}));  // transparent
  EXPECT_THROW(make_grid(std::span<const GridCell>{}), Error);
  EXPECT_THROW(make_grid(cells, {.columns = 0}), Error);
}

TEST(grid, shows_samples_of_a_data_set) {
  const TestFolder dir("grid");
  dir.picture("a/1.png", 1);
  dir.picture("b/2.png", filled(100, 50, {7, 8, 9}));
  const auto data = open_dataset(dir.path());
  const std::vector<uint32_t> samples{0, 1};
  const Image sheet = make_grid(*data, samples, {}, {.columns = 8, .cell = 10, .gap = 2});
  EXPECT_EQ(sheet.width(), 26);
  EXPECT_EQ(sheet.height(), 14);
  EXPECT_EQ(sheet.pixel(14, 7)[2], 9);
  EXPECT_THROW(make_grid(*data, std::vector<uint32_t>{2}, {}), Error);
}

TEST(grid, encodes_a_data_uri) {
  // a PNG always begins with the same eight bytes, which base64 turns into these characters
  EXPECT_EQ(png_data_uri(filled(1, 1, {0})).rfind("data:image/png;base64,iVBORw0KGgo", 0), 0u);
  for (int w : {1, 2, 3, 4}) EXPECT_EQ((png_data_uri(filled(w, 1, {77})).size() - 22) % 4, 0u);
}

}  // namespace
}  // namespace hone::data
