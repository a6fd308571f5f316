// What a classifier is judged by.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace hone {

/// Collects scores sample by sample.
class ClassificationMetrics {
 public:
  explicit ClassificationMetrics(size_t classes) : confusion_(classes, std::vector<int64_t>(classes, 0)) {}

  /// `scores` are logits; with `probabilities` they are used as they are.
  void add(uint32_t sample, int64_t label, std::span<const float> scores, bool probabilities = false);

  size_t samples() const { return samples_.size(); }
  double accuracy() const;
  /// Share of samples whose label is among the five best.
  double top5() const;
  /// Mean negative log-likelihood.
  double loss() const;
  /// [true][predicted]
  const std::vector<std::vector<int64_t>>& confusion() const { return confusion_; }
  /// Per class; 0 where the class was never predicted, or has no samples.
  std::vector<double> precision() const;
  std::vector<double> recall() const;

  struct Sample {
    uint32_t index;
    int64_t label, predicted;
    double probability;  ///< of the label
  };
  const std::vector<Sample>& all() const { return samples_; }
  /// The wrong ones first, by rising probability of their label.
  std::vector<Sample> worst(size_t n) const;

 private:
  std::vector<std::vector<int64_t>> confusion_;
  std::vector<Sample> samples_;
  size_t right_ = 0, right5_ = 0;
  double loss_ = 0;
};

/// Wilson score interval of a proportion at 95 % (Wilson 1927): {low, high}.
std::pair<double, double> wilson_interval(double proportion, size_t samples);

}  // namespace hone
