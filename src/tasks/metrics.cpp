#include "tasks/metrics.hpp"

#include <algorithm>
#include <cmath>

namespace hone {

void ClassificationMetrics::add(uint32_t sample, int64_t label, std::span<const float> scores, bool probabilities) {
  const auto l = static_cast<size_t>(label);
  const auto best = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  double p = 0;
  if (probabilities) {
    p = scores[l];
  } else {
    double sum = 0;
    for (float s : scores) sum += std::exp(static_cast<double>(s) - scores[best]);
    p = std::exp(static_cast<double>(scores[l]) - scores[best]) / sum;
  }
  size_t better = 0;  // classes that rank before the label
  for (size_t c = 0; c < scores.size(); ++c) better += scores[c] > scores[l] || (scores[c] == scores[l] && c < l);
  right_ += better == 0;
  right5_ += better < 5;
  loss_ -= std::log(std::max(p, 1e-12));
  ++confusion_[l][best];
  samples_.push_back({sample, label, static_cast<int64_t>(best), p});
}

double ClassificationMetrics::accuracy() const {
  return samples_.empty() ? 0 : static_cast<double>(right_) / static_cast<double>(samples_.size());
}
double ClassificationMetrics::top5() const {
  return samples_.empty() ? 0 : static_cast<double>(right5_) / static_cast<double>(samples_.size());
}
double ClassificationMetrics::loss() const {
  return samples_.empty() ? 0 : loss_ / static_cast<double>(samples_.size());
}

std::vector<double> ClassificationMetrics::precision() const {
  std::vector<double> out;
  for (size_t c = 0; c < confusion_.size(); ++c) {
    int64_t predicted = 0;
    for (const auto& row : confusion_) predicted += row[c];
    out.push_back(predicted ? static_cast<double>(confusion_[c][c]) / static_cast<double>(predicted) : 0);
  }
  return out;
}

std::vector<double> ClassificationMetrics::recall() const {
  std::vector<double> out;
  for (size_t c = 0; c < confusion_.size(); ++c) {
    int64_t of = 0;
    for (int64_t n : confusion_[c]) of += n;
    out.push_back(of ? static_cast<double>(confusion_[c][c]) / static_cast<double>(of) : 0);
  }
  return out;
}

std::vector<ClassificationMetrics::Sample> ClassificationMetrics::worst(size_t n) const {
  std::vector<Sample> out = samples_;
  std::sort(out.begin(), out.end(), [](const Sample& a, const Sample& b) {
    return a.probability != b.probability ? a.probability < b.probability : a.index < b.index;
  });
  out.resize(std::min(n, out.size()));
  return out;
}

std::pair<double, double> wilson_interval(double p, size_t samples) {
  if (samples == 0) return {0, 1};
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(samples);
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace hone
