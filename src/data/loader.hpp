// Batches for training and testing, prepared by background threads in a fixed ring of reusable buffers.
//
// The order of samples and every random change depend on (seed, epoch, sample) only, so any number of threads gives the
// same batches, and a run resumes exactly from a `LoaderState`. Pictures that need decoding or resizing are kept,
// fitted to the size of the model as 8-bit samples, as far as `cache_bytes` goes: from the second epoch on they cost no
// decoding.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "data/augment.hpp"
#include "data/dataset.hpp"
#include "data/preprocess.hpp"
#include "hone/tensor.hpp"

namespace hone::data {

struct LoaderOptions {
  int64_t batch = 32;
  bool shuffle = true;
  bool drop_last = false;  ///< leave out an incomplete batch at the end of an epoch
  int64_t epochs = 1;      ///< batches end after that many epochs; -1 = never
  uint64_t seed = 0;
  int threads = 0;                      ///< 0 = one where the pictures lie in memory ready to use, else all cores
  int prefetch = 4;                     ///< batches prepared ahead, >= 1
  ElementType type = ElementType::f32;  ///< of the images: f32 (mean and scale applied) or u8 (samples as they are)
  size_t cache_bytes = size_t{1} << 30;
};

/// Where a loader stands: the next batch begins with sample `position` of `epoch`.
struct LoaderState {
  int64_t epoch = 0, position = 0;
  int64_t seed = 0;
  static void fields(auto& o, auto&& f) {
    f("epoch", o.epoch);
    f("position", o.position);
    f("seed", o.seed);
  }
  bool operator==(const LoaderState&) const = default;
};

struct Batch {
  Tensor images;                  ///< [N,C,H,W] or [N,H,W,C] as the preprocessing says
  Tensor labels;                  ///< i64 [N]
  Tensor other_labels;            ///< with mixup: i64 [N], label of the picture mixed in; else empty
  Tensor weights;                 ///< with mixup: f32 [N], share of the picture's own label, in [0.5, 1]; else empty
  std::vector<uint32_t> samples;  ///< indices into the data set
  int64_t epoch = 0;
  int64_t step = 0;   ///< number of the batch in its epoch
  bool last = false;  ///< of its epoch
  int64_t size() const { return int64_t(samples.size()); }
};

/// One consumer: `next`, `restore` and `state` are called from one thread at a time. The data set must outlive the
/// loader.
class Loader {
 public:
  /// `samples` are indices into `data`, in the order of an unshuffled epoch. Throws `Error` (usage) for settings out of
  /// range.
  Loader(const Dataset& data, std::vector<uint32_t> samples, const Preprocessing& preprocessing,
         const Augmentation& augmentation, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, which stays valid until the next call of any function of the loader; nullptr after the last epoch.
  /// Throws the `Error` of a sample that cannot be read, again at each call, until `restore`.
  const Batch* next();
  /// State of the batch that `next` will give.
  LoaderState state() const;
  /// Continues at `s` (epoch >= 0, position a multiple of the batch within the epoch). Throws `Error` (usage).
  void restore(const LoaderState& s);
  /// Back to the first batch of the first epoch.
  void rewind();

  int64_t batches_per_epoch() const;
  /// Seconds that `next` has waited for a batch: near 0 where the loader keeps up.
  double waited_seconds() const;
  /// Batches that lay ready when `next` asked, of all it gave.
  int64_t ready_batches() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// f32 [N, classes] probabilities for a batch: label smoothing `smoothing` in [0, 1), mixup weights where the batch has
/// them.
Tensor soft_targets(const Batch& batch, int64_t classes, double smoothing);

}  // namespace hone::data
