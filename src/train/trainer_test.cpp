#include "train/trainer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "data/random.hpp"
#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/samples.hpp"
#include "train/evaluate_classifier.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

// Grey 8 x 8 pictures: class 0 has a bright upper half, class 1 a bright left half, class 2 a bright middle; noise on
// top.
std::unique_ptr<data::Dataset> toy(size_t n) {
  auto pixels = std::make_shared<std::vector<uint8_t>>(n * 64);
  data::PixelBlock block;
  block.name = "toy";
  block.width = block.height = 8;
  data::Random random{7};
  for (size_t i = 0; i < n; ++i) {
    const size_t label = i % 3;
    block.labels.push_back(static_cast<uint8_t>(label));
    for (size_t y = 0; y < 8; ++y) {
      for (size_t x = 0; x < 8; ++x) {
        const bool bright = label == 0 ? y < 4 : label == 1 ? x < 4 : x >= 2 && x < 6 && y >= 2 && y < 6;
        (*pixels)[i * 64 + y * 8 + x] = static_cast<uint8_t>((bright ? 120 : 40) + random.below(80));
      }
    }
  }
  block.pixels = pixels->data();
  block.owner = pixels;
  return data::make_memory_dataset("toy", {"upper", "left", "middle"}, {block});
}

data::Preprocessing grey8() {
  data::Preprocessing p;
  p.resize = data::ResizeRule::exact;
  p.width = p.height = 8;
  p.color = data::ColorOrder::grey;
  p.mean = {100};
  p.scale = {50};
  return p;
}

Graph net() {
  NetworkOptions o;
  o.classes = 3;
  o.channels = 1;
  o.height = o.width = 8;
  o.multiplier = 0.5;
  return build_network("resnet8", o);
}

std::vector<uint32_t> range(uint32_t from, uint32_t to) {
  std::vector<uint32_t> v;
  for (uint32_t i = from; i < to; ++i) v.push_back(i);
  return v;
}

TrainerOptions options() {
  TrainerOptions o;
  o.batch = 16;
  o.epochs = 3;
  o.learning_rate = 0.05;
  o.threads = 1;
  o.seed = 3;
  return o;
}

std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / ("hone_trainer_" + std::to_string(::getpid()) + name)).string();
}

}  // namespace

TEST(Trainer, learns_a_separable_task) {
  const auto data = toy(150);
  const TrainerResult r = train_classifier(net(), *data, range(0, 120), range(120, 150), grey8(), {}, options());
  ASSERT_EQ(r.epochs.size(), 3u);
  EXPECT_LT(r.epochs.back().loss, r.epochs.front().loss);
  EXPECT_GE(r.best_accuracy, 0.9);
  // The model that comes out is the one that was measured.
  size_t right = 0;
  CompileOptions c;
  c.threads = 1;
  score_samples(r.model, *data, range(120, 150), grey8(), c, 8,
                [&](uint32_t, int64_t label, std::span<const float> s) { right += best_class(s) == label; });
  EXPECT_DOUBLE_EQ(static_cast<double>(right) / 30, r.best_accuracy);
}

TEST(Trainer, gives_the_same_weights_on_any_number_of_threads) {
  const auto data = toy(48);
  TrainerOptions o = options();
  o.epochs = 1;
  const std::string one = to_text(train_classifier(net(), *data, range(0, 48), {}, grey8(), {}, o).model);
  o.threads = 2;
  EXPECT_EQ(to_text(train_classifier(net(), *data, range(0, 48), {}, grey8(), {}, o).model), one);
  o.seed = 4;
  EXPECT_NE(to_text(train_classifier(net(), *data, range(0, 48), {}, grey8(), {}, o).model), one);
}

TEST(Trainer, goes_on_from_a_checkpoint_to_the_same_bits) {
  const auto data = toy(48);
  TrainerOptions o = options();
  o.step.ema_decay = 0.9;
  data::Augmentation augmentation;
  augmentation.flip_horizontal = 0.5;
  const std::string whole =
      to_text(train_classifier(net(), *data, range(0, 48), range(0, 12), grey8(), augmentation, o).model);
  o.checkpoint = temporary("stop");
  const TrainerResult stopped = train_classifier(net(), *data, range(0, 48), range(0, 12), grey8(), augmentation, o,
                                                 [](const TrainerProgress& p) { return p.step != 4; });
  EXPECT_TRUE(stopped.stopped);
  o.resume = o.checkpoint;
  EXPECT_EQ(to_text(train_classifier(net(), *data, range(0, 48), range(0, 12), grey8(), augmentation, o).model), whole);
  o.learning_rate = 0.01;
  EXPECT_THROW(train_classifier(net(), *data, range(0, 48), range(0, 12), grey8(), augmentation, o), Error)
      << "another run";
}

TEST(Trainer, says_where_the_loss_left_the_numbers) {
  const auto data = toy(48);
  TrainerOptions o = options();
  o.learning_rate = 1e38;
  EXPECT_THROW(train_classifier(net(), *data, range(0, 48), {}, grey8(), {}, o), Error);
}

TEST(Trainer, settles_a_batch_that_the_model_takes) {
  EXPECT_EQ(training_batch(net(), grey8(), 16), 16);
  // Files fix a batch in their input, and once more in a Reshape. Rows that are whole pictures follow.
  const auto classifier = [](int64_t rows_a_picture) {
    Graph g;
    Builder b(g);
    const Value x = b.parameter(ElementType::f32, PartialShape{1, 1, 8, 8}, "x");
    const Value rows = b(Reshape{}, x, b.ints({rows_a_picture, 64 / rows_a_picture}));
    Value y = b(MatMul{}, rows, b.constant(random_tensor({64 / rows_a_picture, 3}, 1)));
    if (rows_a_picture > 1) y = b(ReduceSum{.keep_dims = true}, y, b.ints({0}));
    b.result(y, "y");
    return g;
  };
  const Graph follows = classifier(1), insists = classifier(2);
  EXPECT_EQ(training_batch(follows, grey8(), 16), 16);
  EXPECT_EQ(training_batch(insists, grey8(), 16), 1);
  const auto data = toy(48);
  TrainerOptions o = options();
  o.learning_rate = 0.01;
  const TrainerResult r = train_classifier(follows, *data, range(0, 48), {}, grey8(), {}, o);
  EXPECT_LT(r.epochs.back().loss, r.epochs.front().loss);
  EXPECT_EQ(r.model.inputs()[0].shape(), (PartialShape{1, 1, 8, 8}));  // the file keeps its own
  EXPECT_THROW(train_classifier(insists, *data, range(0, 48), {}, grey8(), {}, o), Error);
  o.batch = 1;
  o.epochs = 1;
  EXPECT_EQ(train_classifier(insists, *data, range(0, 48), {}, grey8(), {}, o).epochs.size(), 1u);
}

TEST(Trainer, never_gives_back_less_than_the_start) {
  const auto data = toy(150);
  const TrainerResult first = train_classifier(net(), *data, range(0, 120), range(120, 150), grey8(), {}, options());
  ASSERT_GE(first.best_accuracy, 0.9);
  // A rate that destroys what was learned.
  TrainerOptions o = options();
  o.learning_rate = 50;
  o.step.clip_norm = 1;
  o.keep_start = true;
  const TrainerResult r = train_classifier(first.model, *data, range(0, 120), range(120, 150), grey8(), {}, o);
  EXPECT_LT(r.epochs.back().validation_accuracy, 0.8);
  EXPECT_EQ(r.best_epoch, 0);
  EXPECT_EQ(r.best_accuracy, first.best_accuracy);
  EXPECT_EQ(to_text(r.model), to_text(first.model));
}

TEST(Trainer, refuses_data_that_do_not_fit_the_model) {
  const auto data = toy(48);
  NetworkOptions n;
  n.classes = 5;
  n.channels = 1;
  n.height = n.width = 8;
  EXPECT_THROW(train_classifier(build_network("resnet8", n), *data, range(0, 48), {}, grey8(), {}, options()), Error);
  EXPECT_THROW(train_classifier(net(), *data, {}, {}, grey8(), {}, options()), Error);
}

}  // namespace hone
