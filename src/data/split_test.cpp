#include "data/split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "data/test_data_test.hpp"
#include "data/test_folder_test.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

/// `counts[c]` distinct one-pixel-row pictures of each class.
std::unique_ptr<Dataset> numbered(const std::vector<int>& counts, Part part = Part::none,
                                  const std::vector<int>& test_counts = {}) {
  std::vector<PixelBlock> blocks;
  std::vector<std::string> names;
  for (size_t c = 0; c < counts.size(); ++c) names.push_back("c" + std::to_string(c));
  int serial = 0;
  const auto add = [&](const std::vector<int>& n, Part p, const char* name) {
    PixelBlock b;
    b.name = name;
    b.part = p;
    b.width = 2;
    b.height = 1;
    auto pixels = std::make_shared<std::vector<uint8_t>>();
    for (size_t c = 0; c < n.size(); ++c) {
      for (int i = 0; i < n[c]; ++i, ++serial) {
        b.labels.push_back(uint8_t(c));
        pixels->push_back(uint8_t(serial));
        pixels->push_back(uint8_t(serial >> 8));
      }
    }
    b.pixels = pixels->data();
    b.owner = pixels;
    blocks.push_back(std::move(b));
  };
  add(counts, part, "train");
  if (!test_counts.empty()) add(test_counts, Part::test, "test");
  return make_memory_dataset("memory", names, std::move(blocks));
}

void expect_partition(const Split& s, size_t n) {
  std::set<uint32_t> all;
  for (const auto* v : {&s.train, &s.val, &s.test}) {
    EXPECT_TRUE(std::is_sorted(v->begin(), v->end()));
    all.insert(v->begin(), v->end());
  }
  EXPECT_EQ(s.train.size() + s.val.size() + s.test.size(), n);
  EXPECT_EQ(all.size(), n);
}

TEST(split, keeps_class_proportions) {
  const auto data = numbered({100, 60, 40});
  SplitOptions o;
  o.val = 0.1;
  o.test = 0.2;
  o.seed = 7;
  const Split s = make_split(*data, o);
  expect_partition(s, 200);
  EXPECT_EQ(s.kind, "stratified");
  EXPECT_EQ(s.seed, 7u);
  EXPECT_EQ(data->class_counts(s.train), (std::vector<size_t>{70, 42, 28}));
  EXPECT_EQ(data->class_counts(s.val), (std::vector<size_t>{10, 6, 4}));
  EXPECT_EQ(data->class_counts(s.test), (std::vector<size_t>{20, 12, 8}));
}

TEST(split, is_the_same_for_a_seed_and_differs_for_another) {
  const auto data = numbered({50, 50});
  SplitOptions o;
  const Split a = make_split(*data, o);
  EXPECT_EQ(a, make_split(*data, o));
  o.seed = 1;
  EXPECT_NE(a.test, make_split(*data, o).test);
}

TEST(split, gives_rare_classes_to_train_first) {
  const auto data = numbered({100, 1, 2, 3});
  const Split s = make_split(*data, {});
  expect_partition(s, 106);
  EXPECT_EQ(data->class_counts(s.train)[1], 1u);
  EXPECT_EQ(data->class_counts(s.train)[2], 1u);
  EXPECT_EQ(data->class_counts(s.test)[2], 1u);
  EXPECT_EQ(data->class_counts(s.val)[3], 1u);
  EXPECT_EQ(data->class_counts(s.test)[3], 1u);
  EXPECT_EQ(s.test.size(), 16u);
  EXPECT_EQ(s.val.size(), 16u);
}

TEST(split, takes_the_parts_of_the_data_and_fills_in_what_is_missing) {
  const auto data = numbered({30, 30}, Part::train, {5, 5});
  const Split s = split_off_validation(*data, 10, 3);
  EXPECT_EQ(s.kind, "given+stratified");
  EXPECT_EQ(s.test, data->indices(Part::test));
  EXPECT_EQ(data->class_counts(s.val), (std::vector<size_t>{5, 5}));
  expect_partition(s, 70);
  SplitOptions o;
  o.kind = SplitKind::stratified;
  EXPECT_EQ(make_split(*data, o).kind, "stratified");
  o.kind = SplitKind::automatic;
  o.val = 0;
  EXPECT_EQ(make_split(*data, o).kind, "given");
}

TEST(split, refuses_impossible_wishes) {
  const auto data = numbered({5, 5});
  const auto refuses = [&](auto change) {
    SplitOptions o;
    change(o);
    EXPECT_THROW(make_split(*data, o), Error);
  };
  refuses([](auto& o) { o.val = 0.6, o.test = 0.5; });
  refuses([](auto& o) { o.val = -0.1; });
  refuses([](auto& o) { o.val_count = 10; });
  refuses([](auto& o) { o.kind = SplitKind::group; });
  refuses([](auto& o) { o.kind = SplitKind::group, o.group = "("; });
  refuses([](auto& o) { o.kind = SplitKind::group, o.group = "^train"; });  // one group for three parts
  refuses([](auto& o) { o.kind = SplitKind::time; });                       // no file times here
}

TEST(split, keeps_groups_together) {
  const TestFolder dir("groups");
  int seed = 0;
  for (int patient = 0; patient < 12; ++patient) {
    for (int i = 0; i < 4; ++i) {
      dir.picture(
          std::string(i % 2 ? "ill" : "well") + "/p" + std::to_string(patient) + "_" + std::to_string(i) + ".png",
          ++seed);
    }
  }
  const auto data = open_dataset(dir.path());
  for (const char* rule : {"token", "(p[0-9]+)_"}) {
    SplitOptions o;
    o.kind = SplitKind::group;
    o.group = rule;
    o.val = o.test = 0.25;
    const Split s = make_split(*data, o);
    expect_partition(s, 48);
    EXPECT_EQ(s.kind, "group");
    std::map<std::string, std::set<int>> parts;
    int part = 0;
    for (const auto* v : {&s.train, &s.val, &s.test}) {
      for (uint32_t i : *v) {
        const std::string id = data->id(i), name = id.substr(id.find('/') + 1);
        parts[name.substr(0, name.find('_'))].insert(part);
      }
      ++part;
    }
    EXPECT_EQ(parts.size(), 12u);
    for (const auto& [patient, in] : parts) EXPECT_EQ(in.size(), 1u) << patient;
    EXPECT_EQ(data->class_counts(s.train), (std::vector<size_t>{12, 12}));
    EXPECT_EQ(data->class_counts(s.val), (std::vector<size_t>{6, 6}));
  }
}

TEST(split, cuts_in_time_and_never_between_equal_times) {
  const TestFolder dir("times");
  int seed = 0;
  for (int day : {9, 10, 11, 12, 100}) {
    for (const char* cls : {"a", "b"}) dir.picture(std::string(cls) + "/day" + std::to_string(day) + ".png", ++seed);
  }
  const auto data = open_dataset(dir.path());
  SplitOptions o;
  o.kind = SplitKind::time;
  o.time = "day([0-9]+)";  // compared as numbers: 9 before 10, 100 last
  o.val = o.test = 0.15;
  const Split s = make_split(*data, o);
  expect_partition(s, 10);
  const auto ids = [&](const std::vector<uint32_t>& v) {
    std::vector<std::string> out;
    for (uint32_t i : v) out.push_back(data->id(i));
    return out;
  };
  EXPECT_EQ(ids(s.test), (std::vector<std::string>{"a/day100.png", "b/day100.png"}));
  EXPECT_EQ(ids(s.val), (std::vector<std::string>{"a/day12.png", "b/day12.png"}));
  o.time = "hour([0-9]+)";
  EXPECT_THROW(make_split(*data, o), Error);
}

TEST(split, keeps_duplicates_on_one_side_and_finds_leaks) {
  const TestFolder dir("duplicates");
  for (int i = 0; i < 20; ++i) {
    // each picture lies there twice
    for (const char* copy : {"x", "y"}) dir.picture((i % 2 ? "a/" : "b/") + std::to_string(i) + copy + ".png", i);
  }
  const auto data = open_dataset(dir.path());
  SplitOptions o;
  o.val = o.test = 0.25;
  for (o.seed = 0; o.seed < 5; ++o.seed) {
    const Split s = make_split(*data, o);
    expect_partition(s, 40);
    EXPECT_TRUE(find_leaks(*data, s).empty());
    EXPECT_EQ(s.val.size(), 8u);  // 10 wanted, 5 of each class, and pairs stay whole
  }
  Split leaking;
  leaking.train = {0, 2};
  leaking.test = {1};
  const auto leaks = find_leaks(*data, leaking);
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].a, 0u);
  EXPECT_EQ(leaks[0].b, 1u);
  EXPECT_EQ(leaks[0].part_b, Part::test);
  EXPECT_TRUE(leaks[0].same_label);
}

TEST(split, is_saved_and_loaded) {
  const TestFolder dir("saved");
  for (int i = 0; i < 12; ++i) dir.picture((i % 2 ? "a/" : "b/") + std::to_string(i) + ".png", i);
  const auto data = open_dataset(dir.path());
  SplitOptions o;
  o.seed = 42;
  const Split s = make_split(*data, o);
  save_split(dir.path() + "/split.json", s, *data);
  EXPECT_EQ(load_split(dir.path() + "/split.json", *data), s);
  // new files do not disturb the old split
  dir.picture("a/0new.png", 99);
  const auto more = open_dataset(dir.path());
  const Split again = load_split(dir.path() + "/split.json", *more);
  EXPECT_EQ(again.train.size(), s.train.size());
  EXPECT_EQ(more->id(again.test.back()), data->id(s.test.back()));
  std::filesystem::remove(dir.path() + "/" + data->id(s.test[0]));
  EXPECT_THROW(load_split(dir.path() + "/split.json", *open_dataset(dir.path())), Error);

  // names of files need not be UTF-8
  dir.picture("a/caf\xe9.png", 55);
  dir.picture("b/caf\xe9.png", 56);
  const auto odd = open_dataset(dir.path());
  const Split with_odd = make_split(*odd, o);
  EXPECT_EQ(split_from_json(split_to_json(with_odd, *odd), *odd, "odd"), with_odd);

  const auto memory = numbered({10, 10});
  const Split m = make_split(*memory, o);
  EXPECT_EQ(split_from_json(split_to_json(m, *memory), *memory, "m"), m);
  EXPECT_THROW(split_from_json(split_to_json(m, *memory), *numbered({11, 10}), "m"), Error);
}

TEST(split, refuses_damaged_json) {
  const auto data = numbered({10, 10});
  const std::string good = split_to_json(make_split(*data, {}), *data);
  for (size_t n = 0; n + 2 < good.size(); ++n)
    EXPECT_THROW(split_from_json(good.substr(0, n), *data, "cut"), Error) << n;
  const std::string rev = data->revision();
  const auto with = [&](const std::string& ranges) {
    return R"({"kind":"x","seed":0,"data_revision":")" + rev + R"(","ranges":)" + ranges + "}";
  };
  EXPECT_NO_THROW(split_from_json(with(R"({"train":[[0,4]],"val":[],"test":[[4,16]]})"), *data, "n"));
  for (const char* bad :
       {R"({"train":[[0,4]],"val":[],"test":[[3,1]]})", R"({"train":[[0,21]],"val":[],"test":[]})",
        R"({"train":[[-1,2]],"val":[],"test":[]})", R"({"train":[[18446744073709551615,2]],"val":[],"test":[]})",
        R"({"train":[5],"val":[],"test":[]})", R"({"train":[]})", R"([])"}) {
    EXPECT_THROW(split_from_json(with(bad), *data, "n"), Error) << bad;
  }
}

TEST(split, of_fashion_mnist_takes_5000_stratified_from_train) {
  const std::string dir = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::is_directory(dir)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto data = open_dataset(dir);
  const Split s = split_off_validation(*data, 5000, 0);
  EXPECT_EQ(s.val.size(), 5000u);
  EXPECT_EQ(s.train.size(), 55000u);
  EXPECT_EQ(s.test.size(), 10000u);
  EXPECT_EQ(data->class_counts(s.val), std::vector<size_t>(10, 500));
  for (const Leak& leak : find_leaks(*data, s)) EXPECT_EQ(leak.part_b, Part::test) << leak.a << " " << leak.b;
  EXPECT_LT(split_to_json(s, *data).size(), 1u << 20);
}

}  // namespace
}  // namespace hone::data
