#include "data/dataset.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/file.hpp"
#include "data/test_data_test.hpp"
#include "data/test_folder_test.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

namespace fs = std::filesystem;

std::string error_of(const std::string& path) {
  try {
    open_dataset(path);
  } catch (const Error& e) {
    EXPECT_EQ(exit_code(e.code()), 3) << e.what();
    return e.what();
  }
  return "no error";
}

void expect_error(const std::string& path, const std::string& part) {
  const std::string text = error_of(path);
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

std::string bytes(std::initializer_list<int> v) {
  std::string s;
  for (int b : v) s += char(b);
  return s;
}

std::string images_idx(uint32_t n, int h, int w, char first = 0) {
  std::string s = bytes({0, 0, 8, 3, 0, 0, int(n >> 8), int(n & 255), 0, 0, 0, h, 0, 0, 0, w});
  for (uint32_t i = 0; i < n * uint32_t(h * w); ++i) s += char(first + char(i));
  return s;
}
std::string labels_idx(const std::vector<int>& labels) {
  std::string s = bytes({0, 0, 8, 1, 0, 0, 0, int(labels.size())});
  for (int l : labels) s += char(l);
  return s;
}

std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 100, 0);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = uInt(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

TEST(dataset, opens_a_folder_of_classes) {
  const TestFolder dir("classes");
  dir.picture("dog/b.png", 3);
  dir.picture("dog/deep/a.png", 4);
  dir.picture("cat/no_suffix", 5);
  dir.text("cat/notes.txt", "not a picture");
  dir.text("cat/list", "nor this");
  dir.picture("cat/.hidden.png", 6);
  dir.picture(".git/x.png", 7);
  for (const std::string& path : {dir.path(), dir.path() + "/"}) {
    const auto data = open_dataset(path);
    EXPECT_STREQ(data->format(), "image-folder");
    ASSERT_EQ(data->size(), 3u);
    EXPECT_EQ(data->classes(), (std::vector<std::string>{"cat", "dog"}));
    EXPECT_EQ(data->id(0), "cat/no_suffix");
    EXPECT_EQ(data->id(1), "dog/b.png");
    EXPECT_EQ(data->id(2), "dog/deep/a.png");
    EXPECT_EQ(data->label(0), 0);
    EXPECT_EQ(data->label(2), 1);
    EXPECT_FALSE(data->has_parts());
    EXPECT_EQ(data->class_counts(), (std::vector<size_t>{1, 2}));
    EXPECT_EQ(data->read(2), test_picture(4));
    EXPECT_GT(data->modified(0), 1e9);
    check_readable(*data, 2);
    EXPECT_EQ(natural_channels(*data), 3);
  }
}

TEST(dataset, takes_train_val_test_above_the_classes_as_the_split) {
  const TestFolder dir("parts");
  dir.picture("Train/a/1.png", 1);
  dir.picture("Train/b/2.png", 2);
  dir.picture("validation/a/3.png", 3);
  dir.picture("test/b/4.png", 4);
  const auto data = open_dataset(dir.path());
  ASSERT_TRUE(data->has_parts());
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(data->indices(Part::train).size(), 2u);
  EXPECT_EQ(data->id(data->indices(Part::val).at(0)), "validation/a/3.png");
  EXPECT_EQ(data->id(data->indices(Part::test).at(0)), "test/b/4.png");
}

TEST(dataset, a_class_may_be_called_train) {
  const TestFolder dir("vehicles");
  dir.picture("train/1.png", 1);
  dir.picture("bus/2.png", 2);
  EXPECT_EQ(open_dataset(dir.path())->classes(), (std::vector<std::string>{"bus", "train"}));
}

TEST(dataset, refuses_folders_that_make_no_sense) {
  const TestFolder dir("bad");
  expect_error(dir.path() + "/none", "no such folder");
  expect_error(dir.path(), "the folder is empty");
  dir.picture("a.png", 1);
  expect_error(dir.path() + "/a.png", "not a folder");
  expect_error(dir.path(), "not in a folder for each class");
  dir.picture("cat/1.png", 1);
  expect_error(dir.path(), "only one class, 'cat'");
  dir.text("dog/readme.txt", "x");
  expect_error(dir.path(), "the class folder 'dog' has no pictures");
  dir.picture("dog/1.png", 1);
  EXPECT_EQ(error_of(dir.path()), "no error");

  const TestFolder parts("bad_parts");
  parts.picture("train/a/1.png", 1);
  parts.picture("train/b/1.png", 1);
  parts.picture("test/c/1.png", 1);
  expect_error(parts.path(), "the class 'c' has no pictures in train/");
  parts.picture("other/1.png", 1);
  expect_error(parts.path(), "stand beside others");
  const TestFolder flat("flat_parts");
  flat.picture("train/1.png", 1);
  flat.picture("test/1.png", 1);
  expect_error(flat.path(), "no class folders");
  const TestFolder headless("no_train");
  headless.picture("test/a/1.png", 1);
  headless.picture("test/b/1.png", 1);
  expect_error(headless.path(), "no train/");
}

TEST(dataset, names_the_unreadable_picture) {
  const TestFolder dir("unreadable");
  dir.picture("a/1.png", 1);
  dir.picture("b/1.png", 1);
  dir.text("b/2.jpg", "this is no picture");
  const auto data = open_dataset(dir.path());
  try {
    check_readable(*data);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unreadable);
    EXPECT_NE(e.where().find("b/2.jpg"), std::string::npos) << e.what();
  }
  dir.text("a/0.png", "\x89PNG\r\n\x1a\n");
  try {
    check_readable(*open_dataset(dir.path()));
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.where().find("a/0.png"), std::string::npos) << e.what();
    EXPECT_NE(e.message().find("and 1 more of 4 pictures"), std::string::npos) << e.what();
  }
}

TEST(dataset, revision_follows_names_labels_and_contents) {
  const TestFolder dir("revision");
  dir.picture("a/1.png", 1);
  dir.picture("b/2.png", 2);
  const std::string first = open_dataset(dir.path())->revision();
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(open_dataset(dir.path())->revision(), first);
  dir.picture("b/2.png", 3);
  const std::string second = open_dataset(dir.path())->revision();
  EXPECT_NE(second, first);
  fs::rename(dir.path() + "/b/2.png", dir.path() + "/b/3.png");
  EXPECT_NE(open_dataset(dir.path())->revision(), second);
}

TEST(dataset, reads_idx_files_plain_and_compressed) {
  for (const bool compressed : {false, true}) {
    const TestFolder dir("idx");
    const auto put = [&](const std::string& name, const std::string& content) {
      dir.text(compressed ? name + ".gz" : name, compressed ? gzip(content) : content);
    };
    put("train-images-idx3-ubyte", images_idx(3, 2, 4));
    put("train-labels-idx1-ubyte", labels_idx({1, 0, 1}));
    put("t10k-images-idx3-ubyte", images_idx(2, 2, 4, 100));
    put("t10k-labels-idx1-ubyte", labels_idx({0, 2}));
    const auto data = open_dataset(dir.path());
    EXPECT_STREQ(data->format(), "idx");
    ASSERT_EQ(data->size(), 5u);
    EXPECT_EQ(data->classes(), (std::vector<std::string>{"0", "1", "2"}));
    EXPECT_EQ(data->id(0), "train/0");
    EXPECT_EQ(data->id(4), "t10k/1");
    EXPECT_EQ(data->part(2), Part::train);
    EXPECT_EQ(data->part(3), Part::test);
    EXPECT_EQ(data->label(4), 2);
    const ImageView v = data->peek(1);
    EXPECT_EQ(v.width, 4);
    EXPECT_EQ(v.height, 2);
    EXPECT_EQ(v.pixels[0], 8);
    EXPECT_EQ(data->read(4).data()[7], 115);
    EXPECT_EQ(natural_channels(*data), 1);
    put("labels.txt", "");
    dir.text("labels.txt", "zero\none\r\ntwo\n");
    EXPECT_EQ(open_dataset(dir.path())->classes().at(1), "one");
    dir.text("labels.txt", "zero\none\n");
    expect_error(dir.path(), "2 class names for labels up to 2");
  }
}

TEST(dataset, idx_may_hold_color_pictures) {
  const TestFolder dir("idx4");
  dir.text("images-idx4-ubyte", bytes({0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6}));
  dir.text("labels-idx1-ubyte", labels_idx({0, 1}));
  const auto data = open_dataset(dir.path());
  EXPECT_EQ(data->read(1).channels(), 3);
  EXPECT_EQ(data->read(1).data()[0], 4);
  EXPECT_FALSE(data->has_parts());
  dir.text("images-idx4-ubyte", bytes({0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4}));
  expect_error(dir.path(), "the images have 2 channels");
}

TEST(dataset, refuses_damaged_idx_files) {
  const TestFolder dir("bad_idx");
  const std::string images = images_idx(4, 3, 3), labels = labels_idx({0, 1, 0, 1});
  const auto refuses = [&](const std::string& i, const std::string& l, const std::string& part) {
    dir.text("images-idx3-ubyte", i);
    dir.text("labels-idx1-ubyte", l);
    expect_error(dir.path(), part);
  };
  for (size_t n = 0; n < images.size(); ++n) refuses(images.substr(0, n), labels, "damaged IDX file");
  for (size_t n = 0; n < labels.size(); ++n) refuses(images, labels.substr(0, n), "damaged IDX file");
  refuses(images + "x", labels, "more values");
  refuses(images, labels_idx({0, 1, 0}), "4 images but 3 labels");
  refuses(images, labels_idx({7, 7, 7, 7}), "only one class");
  refuses(images_idx(0, 3, 3), labels_idx({}), "holds no images");
  refuses(labels, labels, "three or four dimensions");
  refuses(images, images, "labels must have one dimension");
  refuses(bytes({0, 0, 13, 3}) + images.substr(4), labels, "element type 13");
  refuses(bytes({0, 0, 8, 3, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127}), labels, "more than 64 GiB");
  dir.text("images-idx3-ubyte", images);
  fs::remove(dir.path() + "/labels-idx1-ubyte");
  expect_error(dir.path(), "images without their labels");
}

TEST(dataset, refuses_damaged_compressed_idx_files) {
  const TestFolder dir("bad_gz");
  dir.text("labels-idx1-ubyte", labels_idx({0, 1, 0, 1}));
  const std::string packed = gzip(images_idx(4, 9, 9));
  for (size_t n = 2; n < packed.size(); ++n) {
    dir.text("images-idx3-ubyte.gz", packed.substr(0, n));
    expect_error(dir.path(), "damaged IDX file");
  }
  size_t refused = 0;
  for (size_t at = 10; at < packed.size(); ++at) {
    std::string bad = packed;
    bad[at] = char(bad[at] ^ 0x20);
    dir.text("images-idx3-ubyte.gz", bad);
    refused += error_of(dir.path()) != "no error";
  }
  EXPECT_EQ(refused, packed.size() - 10);  // the checksum covers what inflate itself accepts
  dir.text("images-idx3-ubyte.gz", gzip(bytes({0, 0, 8, 3, 0, 255, 255, 255, 0, 0, 0, 28, 0, 0, 0, 28}) + "x"));
  expect_error(dir.path(), "more than the file can hold");
}

TEST(dataset, reads_the_mnist_files) {
  const std::string dir = data_folder("datasets/mnist");
  if (dir.empty()) GTEST_SKIP() << "no MNIST files: set HONE_DATA";
  const auto data = open_dataset(dir);
  ASSERT_EQ(data->size(), 1000u);
  EXPECT_EQ(data->class_counts(), (std::vector<size_t>{85, 126, 116, 107, 110, 87, 87, 99, 89, 94}));
  EXPECT_EQ(data->label(0), 7);
  EXPECT_FALSE(data->has_parts());
}

TEST(dataset, reads_fashion_mnist) {
  const std::string dir = "/usr/share/datasets/fashion-mnist";
  if (!fs::is_directory(dir)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto data = open_dataset(dir);
  ASSERT_EQ(data->size(), 70000u);
  EXPECT_EQ(data->indices(Part::train).size(), 60000u);
  EXPECT_EQ(data->indices(Part::test).size(), 10000u);
  EXPECT_EQ(data->classes().at(9), "Ankle boot");
  EXPECT_EQ(data->class_counts(data->indices(Part::train)), std::vector<size_t>(10, 6000));
}

TEST(dataset, reads_the_clothing_folders) {
  const std::string dir = data_folder("datasets/clothing10");
  if (dir.empty()) GTEST_SKIP() << "no clothing10 folder: set HONE_DATA";
  const auto data = open_dataset(dir);
  EXPECT_EQ(data->classes().size(), 10u);
  EXPECT_EQ(data->indices(Part::train).size(), 100u);
  EXPECT_EQ(data->class_counts(data->indices(Part::test)), std::vector<size_t>(10, 4));
  check_readable(*data);
}

}  // namespace
}  // namespace hone::data
