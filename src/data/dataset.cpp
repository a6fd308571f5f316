#include "data/dataset.hpp"

#include <atomic>
#include <filesystem>
#include <system_error>

#include "base/sha256.hpp"
#include "data/parallel.hpp"
#include "hone/error.hpp"

namespace hone::data {

const char* part_name(Part p) {
  switch (p) {
    case Part::train:
      return "train";
    case Part::val:
      return "val";
    case Part::test:
      return "test";
    default:
      return "none";
  }
}

std::vector<uint32_t> Dataset::indices(Part p) const {
  std::vector<uint32_t> out;
  for (size_t i = 0; i < size(); ++i) {
    if (p == Part::none || part(i) == p) out.push_back(uint32_t(i));
  }
  return out;
}

std::vector<size_t> Dataset::class_counts() const {
  return class_counts(indices(Part::none));
}

std::vector<size_t> Dataset::class_counts(const std::vector<uint32_t>& indices) const {
  std::vector<size_t> counts(classes_.size());
  for (uint32_t i : indices) ++counts[size_t(label(i))];
  return counts;
}

Image Dataset::read(size_t i, bool apply_orientation) const {
  Image image;
  read(i, image, apply_orientation);
  return image;
}

const std::vector<Digest>& Dataset::digests() const {
  const std::lock_guard lock(digests_mutex_);
  if (digests_.empty()) {
    std::vector<Digest> all(size());
    for_each_sample_or_throw(size(), 0, [&](size_t i, int) { all[i] = digest(i); });
    digests_ = std::move(all);
  }
  return digests_;
}

std::string Dataset::revision() const {
  const auto& all = digests();
  Sha256 h;
  for (const auto& name : classes_) {
    h.update(name);
    h.update("\n");
  }
  for (size_t i = 0; i < size(); ++i) {
    h.update(id(i));
    const int64_t tail[] = {label(i), int64_t(part(i))};
    h.update(tail, sizeof tail);
    h.update(all[i].data(), all[i].size());
  }
  return h.finish_hex();
}

std::span<const DatasetFormat> dataset_formats() {
  static constexpr DatasetFormat formats[] = {
      {"idx", is_idx, open_idx},
      {"image-folder", is_image_folder, open_image_folder},
  };
  return formats;
}

std::unique_ptr<Dataset> open_dataset(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (!fs::exists(status)) {
    throw Error(ErrorCode::unreadable, "[data] there is no such folder", path, "check the path");
  }
  if (!fs::is_directory(status)) {
    throw Error(ErrorCode::unreadable, "[data] not a folder", path,
                "name the folder that holds a folder for each class, or IDX files");
  }
  for (const DatasetFormat& f : dataset_formats()) {
    if (f.matches(path)) return f.open(path);
  }
  throw Error(ErrorCode::unsupported, "[data] no known data format", path,
              "make a folder for each class and put its pictures there");
}

void check_readable(const Dataset& data, int threads) {
  const LoopErrors errors = for_each_sample(data.size(), threads, [&](size_t i, int) {
    thread_local Image image;
    data.read(i, image);
  });
  if (!errors.error) return;
  try {
    std::rethrow_exception(errors.error);
  } catch (const Error& e) {
    if (errors.count == 1) throw;
    throw Error(e.code(),
                e.message() + ", and " + std::to_string(errors.count - 1) + " more of " + std::to_string(data.size()) +
                    " pictures",
                e.where(), e.hint());
  }
}

int natural_channels(const Dataset& data) {
  std::atomic<int> most{1};
  for_each_sample_or_throw(data.size(), 0, [&](size_t i, int) {
    if (most.load(std::memory_order_relaxed) == 1 && data.info(i).channels != 1) most = 3;
  });
  return most;
}

}  // namespace hone::data
