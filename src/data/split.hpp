// Which samples train, which choose (validation), which judge (test): made once, saved with the run, checked for leaks.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace hone::data {

/// Indices into a data set, ascending, no index twice. `val` and `test` may be empty.
struct Split {
  std::string kind;  ///< given, stratified, given+stratified, group, time: how it was made
  uint64_t seed = 0;
  std::string revision;  ///< of the data it was made for
  std::vector<uint32_t> train, val, test;
  bool operator==(const Split&) const = default;
};

enum class SplitKind {
  automatic,  ///< the parts of the data where they have some, missing ones taken stratified from train; else stratified
  stratified,  ///< each class in the same proportions; parts of the data are ignored
  group,       ///< samples with one group key stay together
  time,        ///< the oldest train, the newest test; equal times stay together
};

struct SplitOptions {
  SplitKind kind = SplitKind::automatic;
  uint64_t seed = 0;
  double val = 0.15, test = 0.15;  ///< shares of all samples that are split, each in [0, 1), together below 1
  std::optional<size_t> val_count, test_count;  ///< numbers instead of shares
  /// Group key of a sample's id: `parent` = the folder of the file, `token` = the file name up to the first `_`, `-`,
  /// `.` or blank, else a regular expression (ECMAScript) whose first capture, or whole match, is the key; no match = a
  /// group of its own.
  std::string group;
  /// Time key: `modified` = time of the file, else a regular expression; keys compare as numbers where all are numbers,
  /// else as text.
  std::string time = "modified";
  /// Exact duplicates stay on one side of a stratified split. Reads every file once.
  bool duplicates_together = true;
};

/// Makes a split. Every class gets at least one training sample; a class with two samples or more gives one to each
/// part asked for as far as they last. Throws `Error` (usage) for impossible shares, a bad expression, or fewer groups
/// or times than parts.
Split make_split(const Dataset& data, const SplitOptions& options = {});

/// The usual default for data that come as train and test files: `count` stratified samples of train become validation.
/// (Fashion-MNIST: 5,000.)
Split split_off_validation(const Dataset& data, size_t count, uint64_t seed);

/// Two samples with the same content on different sides.
struct Leak {
  uint32_t a = 0, b = 0;
  Part part_a = Part::none, part_b = Part::none;
  bool same_label = true;
};
/// All leaks, each later sample paired with the first one of another part that has its content. Reads every file once.
std::vector<Leak> find_leaks(const Dataset& data, const Split& split);

/// JSON text: kind, seed, revision, counts, and the samples of each part: ids, or ranges of indices where the ids are
/// numbers of a file. A split of files can be read back when files were added since (they belong to no part then).
std::string split_to_json(const Split& split, const Dataset& data);
/// Throws `Error` (unreadable) for text that is not such a split, names of samples that are gone or occur twice, and
/// numbered samples of another revision of the data.
Split split_from_json(std::string_view json, const Dataset& data, std::string_view name);
void save_split(const std::string& path, const Split& split, const Dataset& data);
Split load_split(const std::string& path, const Dataset& data);

}  // namespace hone::data
