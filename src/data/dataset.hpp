// Labelled pictures for classification: where they lie, what they are called, and which part of the data they belong
// to.
//
// A data set lists its samples when it is opened and decodes a picture only when it is read. Samples have a fixed order
// (sorted by path, or the order of the file), so an index means the same in every run over the same data.
// All const functions may be called from any number of threads.
#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace hone::data {

/// The part of the data that the data themselves assign a sample to.
enum class Part : uint8_t { none, train, val, test };
const char* part_name(Part p);

using Digest = std::array<uint8_t, 32>;

class Dataset {
 public:
  virtual ~Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  /// `image-folder`, `idx` or `memory`.
  virtual const char* format() const = 0;
  /// What was opened.
  const std::string& path() const { return path_; }
  size_t size() const { return labels_.size(); }
  /// Class names by label.
  const std::vector<std::string>& classes() const { return classes_; }
  /// Index into `classes()`.
  int64_t label(size_t i) const { return labels_[i]; }
  Part part(size_t i) const { return parts_.empty() ? Part::none : parts_[i]; }
  /// Does the data come with a split of its own (folders or files named train, test...)?
  bool has_parts() const { return !parts_.empty(); }
  /// Indices of the samples of a part, ascending; `Part::none` means all samples.
  std::vector<uint32_t> indices(Part p) const;
  /// Samples a class, among `indices` or among all.
  std::vector<size_t> class_counts() const;
  std::vector<size_t> class_counts(const std::vector<uint32_t>& indices) const;

  /// Stable name of a sample: its path below `path()`, or `train/17`.
  virtual std::string id(size_t i) const = 0;
  /// Are the names mere numbers of a file's contents? Then a split stores ranges, bound to the revision of the data.
  virtual bool names_are_numbers() const { return false; }
  /// What an error or a person should be shown: the path of the file, with the number inside of it where it holds many.
  virtual std::string file(size_t i) const = 0;
  /// Decodes a sample into `into`, whose memory is reused. Throws `Error` naming the file.
  virtual void read(size_t i, Image& into, bool apply_orientation = true) const = 0;
  Image read(size_t i, bool apply_orientation = true) const;
  /// The pixels where they lie decoded in memory anyway, else an empty view. Valid as long as the data set.
  virtual ImageView peek(size_t) const { return {}; }
  /// Size, channels and format from the header alone. Throws `Error` naming the file.
  virtual ImageInfo info(size_t i) const = 0;
  /// Seconds since 1970 of the last change of the sample's file, -1 where that means nothing.
  virtual double modified(size_t) const { return -1; }

  /// SHA-256 of each sample's content: the bytes of its file, or its raw pixels. Computed at the first call, then kept.
  const std::vector<Digest>& digests() const;
  /// SHA-256 over names, labels, parts and contents of all samples as 64 hex digits: the revision of the data.
  std::string revision() const;

 protected:
  Dataset() = default;
  virtual Digest digest(size_t i) const = 0;
  std::string path_;
  std::vector<std::string> classes_;
  std::vector<int64_t> labels_;
  std::vector<Part> parts_;  // empty, or one a sample

 private:
  mutable std::mutex digests_mutex_;
  mutable std::vector<Digest> digests_;
};

/// Opens a folder of pictures (a folder a class; `train/`, `val|valid|validation/`, `test/` above the classes are taken
/// as the split) or a folder with IDX files (`.gz` or not; pairs called train and t10k|test become the parts). Picture
/// files in a class folder may lie in subfolders; hidden files and files of other kinds are passed over. Throws
/// `Error`: unreadable (nothing there, no pictures, damaged IDX), unsupported (one class only, other element type,
/// wrong channel count).
std::unique_ptr<Dataset> open_dataset(const std::string& path);

/// A format that `open_dataset` knows. The first row whose `matches` says yes to a folder opens it; the last takes
/// every folder.
struct DatasetFormat {
  const char* name;
  bool (*matches)(const std::string& path);
  std::unique_ptr<Dataset> (*open)(const std::string& path);
};
std::span<const DatasetFormat> dataset_formats();

bool is_idx(const std::string& path);
std::unique_ptr<Dataset> open_idx(const std::string& path);
bool is_image_folder(const std::string& path);
std::unique_ptr<Dataset> open_image_folder(const std::string& path);

/// Pictures of one size in memory: `pixels` holds `labels.size()` pictures of height x width x channels samples.
struct PixelBlock {
  std::string name;  ///< the file, or what stands for it
  Part part = Part::none;
  int width = 0, height = 0, channels = 1;
  const uint8_t* pixels = nullptr;
  std::shared_ptr<const void> owner;  ///< keeps `pixels` alive
  std::vector<uint8_t> labels;
};
/// A data set over such blocks, which all have one size. Throws `Error` (unsupported) for one class only or sizes that
/// differ.
std::unique_ptr<Dataset> make_memory_dataset(std::string path, std::vector<std::string> classes,
                                             std::vector<PixelBlock> blocks, const char* format = "memory");

/// Decodes every sample (of `indices`, or all) on `threads` threads (0 = all cores) and throws the first error in
/// sample order, with the number of unreadable pictures, where there is one.
void check_readable(const Dataset& data, int threads = 0);

/// The number of channels a model for these data should take: 1 where every picture is grey, else 3. Reads headers
/// only.
int natural_channels(const Dataset& data);

}  // namespace hone::data
