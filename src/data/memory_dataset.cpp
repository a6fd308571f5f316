#include <algorithm>
#include <cstring>
#include <set>

#include "base/sha256.hpp"
#include "data/dataset.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

class MemoryDataset final : public Dataset {
 public:
  MemoryDataset(std::string path, std::vector<std::string> classes, std::vector<PixelBlock> blocks, const char* format)
      : format_(format), blocks_(std::move(blocks)) {
    path_ = std::move(path);
    classes_ = std::move(classes);
    std::set<int64_t> used;
    bool train = false, all_parted = true;
    for (const auto& b : blocks_) {
      if (b.width != blocks_[0].width || b.height != blocks_[0].height || b.channels != blocks_[0].channels) {
        throw Error(ErrorCode::unsupported,
                    "[data] the pictures of " + b.name + " and " + blocks_[0].name + " differ in size", path_,
                    "keep data of one size together");
      }
      first_.push_back(labels_.size());
      for (uint8_t l : b.labels) {
        if (l >= classes_.size()) {
          throw Error(ErrorCode::unreadable,
                      "[data] label " + std::to_string(l) + " with " + std::to_string(classes_.size()) + " classes",
                      path_, "check the labels");
        }
        labels_.push_back(l);
        used.insert(l);
      }
      train = train || b.part == Part::train;
      all_parted = all_parted && b.part != Part::none;
    }
    if (labels_.empty()) throw Error(ErrorCode::unreadable, "[data] there are no pictures", path_, "check the path");
    if (used.size() < 2)
      throw Error(ErrorCode::unsupported, "[data] there is only one class", path_, "classification needs at least two");
    // A lone test file is no split: it is all there is.
    if (train && all_parted && blocks_.size() > 1) {
      for (const auto& b : blocks_) parts_.insert(parts_.end(), b.labels.size(), b.part);
    }
  }

  const char* format() const override { return format_; }
  std::string id(size_t i) const override {
    const size_t b = block(i);
    const std::string number = std::to_string(i - first_[b]);
    return blocks_[b].name.empty() ? number : blocks_[b].name + "/" + number;
  }
  std::string file(size_t i) const override {
    const size_t b = block(i);
    return path_ + (blocks_[b].name.empty() ? "" : "/" + blocks_[b].name) + "#" + std::to_string(i - first_[b]);
  }
  bool names_are_numbers() const override { return true; }
  void read(size_t i, Image& into, bool) const override {
    const ImageView v = peek(i);
    into.reset(v.width, v.height, v.channels);
    std::memcpy(into.data(), v.pixels, v.byte_size());
  }
  ImageView peek(size_t i) const override {
    const size_t n = block(i);
    const PixelBlock& b = blocks_[n];
    const size_t bytes = size_t(b.width) * size_t(b.height) * size_t(b.channels);
    return {b.pixels + (i - first_[n]) * bytes, b.width, b.height, b.channels};
  }
  ImageInfo info(size_t) const override {
    return {ImageFormat::unknown, blocks_[0].width, blocks_[0].height, blocks_[0].channels, 1};
  }

 protected:
  Digest digest(size_t i) const override {
    const ImageView v = peek(i);
    Sha256 h;
    h.update(v.pixels, v.byte_size());
    return h.finish();
  }

 private:
  size_t block(size_t i) const {
    return size_t(std::upper_bound(first_.begin(), first_.end(), i) - first_.begin()) - 1;
  }
  const char* format_;
  std::vector<PixelBlock> blocks_;
  std::vector<size_t> first_;  // index of each block's first sample
};

}  // namespace

std::unique_ptr<Dataset> make_memory_dataset(std::string path, std::vector<std::string> classes,
                                             std::vector<PixelBlock> blocks, const char* format) {
  return std::make_unique<MemoryDataset>(std::move(path), std::move(classes), std::move(blocks), format);
}

}  // namespace hone::data
