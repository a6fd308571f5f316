#include "data/loader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "data/test_data_test.hpp"
#include "data/test_folder_test.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

/// `n` grey pictures of 6x4 whose first pixel is their number; labels alternate over three classes.
std::unique_ptr<Dataset> small_data(int n) {
  PixelBlock b;
  b.name = "all";
  b.width = 6;
  b.height = 4;
  auto pixels = std::make_shared<std::vector<uint8_t>>();
  for (int i = 0; i < n; ++i) {
    b.labels.push_back(uint8_t(i % 3));
    for (int k = 0; k < 24; ++k) pixels->push_back(uint8_t(i + 3 * k));
  }
  b.pixels = pixels->data();
  b.owner = pixels;
  return make_memory_dataset("small", {"a", "b", "c"}, {b});
}

Preprocessing grey_6x4() {
  Preprocessing p;
  p.width = 6;
  p.height = 4;
  p.color = ColorOrder::grey;
  p.mean = {100};
  p.scale = {50};
  return p;
}

/// Everything a loader gives, copied.
struct Copy {
  std::vector<double> images, weights;
  std::vector<int64_t> labels, others;
  std::vector<uint32_t> samples;
  int64_t epoch, step;
  bool last;
  bool operator==(const Copy&) const = default;
};

Copy copy_of(const Batch& b) {
  return {b.images.to_doubles(),
          b.weights ? b.weights.to_doubles() : std::vector<double>(),
          b.labels.to_ints(),
          b.other_labels ? b.other_labels.to_ints() : std::vector<int64_t>(),
          b.samples,
          b.epoch,
          b.step,
          b.last};
}

std::vector<Copy> drain(Loader& loader) {
  std::vector<Copy> out;
  while (const Batch* b = loader.next()) out.push_back(copy_of(*b));
  return out;
}

TEST(loader, gives_every_sample_once_an_epoch_normalized) {
  const auto data = small_data(50);
  Loader loader(*data, data->indices(Part::none), grey_6x4(), {}, {.batch = 8, .epochs = 2});
  EXPECT_EQ(loader.batches_per_epoch(), 7);
  const auto batches = drain(loader);
  ASSERT_EQ(batches.size(), 14u);
  std::vector<uint32_t> order[2];
  for (const auto& b : batches) {
    const auto& last = b.step == 6;
    EXPECT_EQ(b.last, last);
    EXPECT_EQ(b.samples.size(), last ? 2u : 8u);
    EXPECT_EQ(b.images.size(), b.samples.size() * 24);
    for (size_t i = 0; i < b.samples.size(); ++i) {
      EXPECT_EQ(b.labels[i], b.samples[i] % 3);
      for (size_t k = 0; k < 24; ++k)
        EXPECT_FLOAT_EQ(float(b.images[i * 24 + k]), float((double(uint8_t(b.samples[i] + 3 * k)) - 100) / 50));
    }
    auto& o = order[b.epoch];
    o.insert(o.end(), b.samples.begin(), b.samples.end());
  }
  EXPECT_NE(order[0], order[1]);
  for (auto& o : order) EXPECT_EQ(std::set<uint32_t>(o.begin(), o.end()).size(), 50u);
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(loader, keeps_the_order_when_not_shuffled_and_can_drop_the_rest) {
  const auto data = small_data(20);
  Loader loader(*data, {5, 3, 9, 1, 2}, grey_6x4(), {}, {.batch = 2, .shuffle = false, .drop_last = true});
  const auto batches = drain(loader);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].samples, (std::vector<uint32_t>{5, 3}));
  EXPECT_EQ(batches[1].samples, (std::vector<uint32_t>{9, 1}));
  EXPECT_TRUE(batches[1].last);
  loader.rewind();
  EXPECT_EQ(drain(loader), batches);
}

Augmentation everything() {
  Augmentation a;
  a.flip_horizontal = 0.5;
  a.flip_vertical = 0.5;
  a.crop_padding = 2;
  a.rotate = 10;
  a.brightness = a.contrast = 0.2;
  a.cutout = 0.5;
  a.mixup = 0.4;
  return a;
}

TEST(loader, gives_the_same_batches_on_any_number_of_threads) {
  const auto data = small_data(70);
  std::vector<Copy> reference;
  for (int threads : {1, 2, 5}) {
    for (int prefetch : {1, 7}) {
      Loader loader(*data, data->indices(Part::none), grey_6x4(), everything(),
                    {.batch = 16, .epochs = 3, .seed = 11, .threads = threads, .prefetch = prefetch});
      const auto batches = drain(loader);
      if (reference.empty()) reference = batches;
      EXPECT_EQ(batches, reference) << threads << " threads, " << prefetch << " ahead";
    }
  }
  Loader other(*data, data->indices(Part::none), grey_6x4(), everything(), {.batch = 16, .epochs = 3, .seed = 12});
  EXPECT_NE(drain(other), reference);
}

TEST(loader, resumes_exactly_from_any_batch) {
  const auto data = small_data(30);
  const LoaderOptions options{.batch = 8, .epochs = 3, .seed = 5, .threads = 2};
  Loader whole(*data, data->indices(Part::none), grey_6x4(), everything(), options);
  std::vector<LoaderState> states;
  std::vector<Copy> batches;
  for (;;) {
    states.push_back(whole.state());
    const Batch* b = whole.next();
    if (!b) break;
    batches.push_back(copy_of(*b));
  }
  ASSERT_EQ(batches.size(), 12u);
  EXPECT_EQ(states[0], (LoaderState{0, 0, 5}));
  EXPECT_EQ(states[5], (LoaderState{1, 8, 5}));
  EXPECT_EQ(states[12], (LoaderState{3, 0, 5}));
  for (size_t at = 0; at < batches.size(); ++at) {
    Loader again(*data, data->indices(Part::none), grey_6x4(), everything(), options);
    again.restore(states[at]);
    EXPECT_EQ(drain(again), std::vector<Copy>(batches.begin() + ptrdiff_t(at), batches.end())) << at;
  }
  Loader again(*data, data->indices(Part::none), grey_6x4(), everything(), options);
  EXPECT_THROW(again.restore({0, 3, 5}), Error);
  EXPECT_THROW(again.restore({0, 32, 5}), Error);
  EXPECT_THROW(again.restore({-1, 0, 5}), Error);
}

TEST(loader, augments_as_the_single_picture_function_does) {
  const auto data = small_data(12);
  Augmentation a = everything();
  a.mixup = 0;
  for (const bool repaint : {true, false}) {
    if (!repaint) a.rotate = a.brightness = a.contrast = a.cutout = 0;
    Loader loader(*data, data->indices(Part::none), grey_6x4(), a,
                  {.batch = 12, .epochs = 2, .seed = 3, .type = ElementType::u8});
    for (const auto& b : drain(loader)) {
      for (size_t i = 0; i < 12; ++i) {
        const Image expected = augmented(data->peek(b.samples[i]), a, 3, b.epoch, b.samples[i]);
        for (size_t k = 0; k < 24; ++k) ASSERT_EQ(b.images[i * 24 + k], expected.data()[k]);
      }
    }
  }
}

TEST(loader, mixes_pictures_and_labels_alike) {
  const auto data = small_data(9);
  Augmentation a;
  a.mixup = 1;
  const LoaderOptions options{.batch = 9, .shuffle = false};
  Loader plain(*data, data->indices(Part::none), grey_6x4(), {}, options),
      mixed(*data, data->indices(Part::none), grey_6x4(), a, options);
  const Copy p = drain(plain).at(0), m = drain(mixed).at(0);
  std::set<double> weights;
  for (size_t i = 0; i < 9; ++i) {
    const size_t j = 8 - i;
    const double w = m.weights[i];
    EXPECT_TRUE(w >= 0.5 && w <= 1);
    weights.insert(w);
    EXPECT_EQ(m.labels[i], p.labels[i]);
    EXPECT_EQ(m.others[i], p.labels[j]);
    for (size_t k = 0; k < 24; ++k)
      EXPECT_NEAR(m.images[i * 24 + k], w * p.images[i * 24 + k] + (1 - w) * p.images[j * 24 + k], 1e-6);
  }
  EXPECT_EQ(weights.size(), 9u);
  mixed.rewind();
  const Batch& b = *mixed.next();
  const Tensor t = soft_targets(b, 3, 0.3);
  for (int64_t i = 0; i < 9; ++i) {
    double sum = 0;
    for (int64_t c = 0; c < 3; ++c) {
      const double w = b.weights.data<float>()[i];
      const double hard = (m.labels[size_t(i)] == c) * w + (m.others[size_t(i)] == c) * (1 - w);
      EXPECT_NEAR(t.data<float>()[3 * i + c], 0.1 + 0.7 * hard, 1e-6);
      sum += t.data<float>()[3 * i + c];
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST(loader, decodes_resizes_and_keeps_pictures_of_files) {
  const TestFolder dir("loader");
  for (int i = 0; i < 10; ++i) dir.picture((i % 2 ? "a/" : "b/") + std::to_string(i) + ".png", i);
  const auto data = open_dataset(dir.path());
  Preprocessing p;
  p.width = p.height = 2;
  p.layout = PixelLayout::nhwc;
  p.color = ColorOrder::bgr;
  std::vector<Copy> first;
  for (size_t cache : {size_t{0}, size_t{30}, size_t{1} << 20}) {
    Loader loader(*data, data->indices(Part::none), p, {},
                  {.batch = 4, .epochs = 2, .threads = 3, .cache_bytes = cache});
    const auto batches = drain(loader);
    if (first.empty()) first = batches;
    EXPECT_EQ(batches, first);
  }
  for (const auto& b : first) {
    for (size_t i = 0; i < b.samples.size(); ++i) {
      const auto expected = p.apply(data->read(b.samples[i])).to_doubles();
      EXPECT_EQ(std::vector<double>(b.images.begin() + ptrdiff_t(12 * i), b.images.begin() + ptrdiff_t(12 * i + 12)),
                expected);
    }
  }
  Augmentation crops;
  crops.area_min = 0.3;
  Loader cropping(*data, data->indices(Part::none), p, crops, {.batch = 10, .epochs = 2});
  const auto cropped = drain(cropping);
  EXPECT_NE(cropped[0].images, cropped[1].images);
  Loader again(*data, data->indices(Part::none), p, crops, {.batch = 10, .epochs = 2, .threads = 1, .cache_bytes = 0});
  EXPECT_EQ(drain(again), cropped);
}

TEST(loader, reads_each_file_once_when_there_is_room_to_keep_it) {
  const TestFolder dir("kept");
  for (int i = 0; i < 6; ++i) dir.picture((i % 2 ? "a/" : "b/") + std::to_string(i) + ".png", i);
  const auto data = open_dataset(dir.path());
  Preprocessing p;
  p.width = p.height = 4;
  Loader loader(*data, data->indices(Part::none), p, {},
                {.batch = 6, .shuffle = false, .epochs = 6, .threads = 1, .prefetch = 1});
  const Copy first = copy_of(*loader.next());
  std::filesystem::remove_all(dir.path() + "/a");
  std::filesystem::remove_all(dir.path() + "/b");
  for (int epoch = 1; epoch < 6; ++epoch) EXPECT_EQ(copy_of(*loader.next()).images, first.images);
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(loader, reports_the_file_that_cannot_be_read_and_stays_usable) {
  const TestFolder dir("loader_bad");
  for (int i = 0; i < 8; ++i) dir.picture((i % 2 ? "a/" : "b/") + std::to_string(i) + ".png", i);
  dir.text("b/4.png", "broken");
  const auto data = open_dataset(dir.path());
  Preprocessing p;
  p.width = p.height = 4;
  Loader loader(*data, data->indices(Part::none), p, {}, {.batch = 2, .shuffle = false, .threads = 2});
  EXPECT_NE(loader.next(), nullptr);
  EXPECT_NE(loader.next(), nullptr);
  EXPECT_NE(loader.next(), nullptr);
  for (int i = 0; i < 2; ++i) {
    try {
      loader.next();
      FAIL();
    } catch (const Error& e) {
      EXPECT_NE(e.where().find("b/4.png"), std::string::npos) << e.what();
    }
  }
  EXPECT_EQ(loader.state().position, 6);
  loader.rewind();
  EXPECT_NE(loader.next(), nullptr);
  p.channel_rule = ChannelRule::refuse;
  p.color = ColorOrder::grey;
  Loader grey(*data, {0}, p, {}, {.batch = 1});
  try {
    grey.next();
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.where().find("a/1.png"), std::string::npos) << e.what();
  }
}

TEST(loader, can_be_left_at_any_time) {
  const auto data = small_data(40);
  for (int taken = 0; taken < 6; ++taken) {
    Loader loader(*data, data->indices(Part::none), grey_6x4(), everything(), {.batch = 4, .epochs = -1, .threads = 3});
    for (int i = 0; i < taken; ++i) ASSERT_NE(loader.next(), nullptr);
  }
}

TEST(loader, refuses_senseless_settings) {
  const auto data = small_data(10);
  const auto refuses = [&](LoaderOptions o, std::vector<uint32_t> samples = {1, 2}, Preprocessing p = grey_6x4(),
                           Augmentation a = {}) { EXPECT_THROW(Loader(*data, samples, p, a, o), Error); };
  refuses({.batch = 0});
  refuses({}, {});
  refuses({}, {10});
  refuses({.batch = 3, .drop_last = true});
  refuses({.prefetch = 0});
  refuses({.type = ElementType::f16});
  refuses({.type = ElementType::u8}, {1, 2}, grey_6x4(), everything());
  refuses({}, {1, 2}, {});
}

TEST(loader, feeds_fashion_mnist) {
  const std::string dir = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::is_directory(dir)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto data = open_dataset(dir);
  Preprocessing p = grey_6x4();
  p.width = p.height = 28;
  Augmentation a;
  a.flip_horizontal = 0.5;
  a.crop_padding = 2;
  Loader loader(*data, data->indices(Part::train), p, a, {.batch = 128, .epochs = 1});
  size_t n = 0;
  while (const Batch* b = loader.next()) n += size_t(b->size());
  EXPECT_EQ(n, 60000u);
}

}  // namespace
}  // namespace hone::data
