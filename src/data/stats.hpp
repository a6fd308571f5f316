// What a person or `hone auto` wants to know of data before training: sizes, balance, colour statistics, duplicates.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"
#include "data/preprocess.hpp"

namespace hone::data {

/// Mean and standard deviation of each channel in units of samples 0..255, in the order of the preprocessing's colours.
struct ChannelStats {
  std::vector<double> mean, deviation;  ///< deviation over all pixels, at least 1e-3 so that it may serve as `scale`
  uint64_t pixels = 0;
};
/// Over `samples` (of the training split!) as `preprocessing` fits them; its mean and scale play no part. At most
/// `limit` evenly spaced samples are read. The sums are exact integers: the result does not depend on threads (0 = all
/// cores). Throws the `Error` of the first sample that cannot be read.
ChannelStats channel_stats(const Dataset& data, const std::vector<uint32_t>& samples,
                           const Preprocessing& preprocessing, size_t limit = 5000, int threads = 0);

/// Class balance of some samples.
struct Balance {
  std::vector<size_t> counts;        ///< by label
  std::vector<std::string> missing;  ///< names of classes without a sample
  double imbalance = 1;              ///< most frequent over least frequent class that occurs
  std::vector<double> weights;       ///< inverse frequency, mean 1 over the classes that occur, 0 for the others
};
Balance class_balance(const Dataset& data, const std::vector<uint32_t>& samples);

/// Headers of all pictures.
struct SizeStats {
  std::map<std::pair<int, int>, size_t> sizes;  ///< (width, height) as shown, after the EXIF orientation
  std::map<std::string, size_t> formats;        ///< JPEG, PNG... ; `raw` for pixels in memory
  std::map<int, size_t> channels;               ///< 1, 3, 4
  int median_width = 0, median_height = 0;
  int min_side = 0, max_side = 0;
  size_t turned = 0;  ///< pictures with an EXIF orientation other than 1
};
SizeStats size_stats(const Dataset& data, int threads = 0);

/// Groups of samples with the same content, each ascending, by first sample. `conflicting`: groups whose labels differ.
struct Duplicates {
  std::vector<std::vector<uint32_t>> groups;
  size_t conflicting = 0;
  size_t redundant = 0;  ///< samples beyond the first of their group
};
Duplicates find_duplicates(const Dataset& data);

/// Everything above as JSON text (`hone data stats`), for all samples; channel statistics as `preprocessing` fits
/// pictures.
std::string stats_json(const Dataset& data, const Preprocessing& preprocessing);

}  // namespace hone::data
