// What a trained model carries with it: labels, preprocessing, split, revision of the data, metrics by precision.
// Stored in the graph's `info`, so it travels through `.hone` and OpenVINO IR (rt_info); the keys of `model_info/` are
// those of OpenVINO's Model API.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/preprocess.hpp"
#include "graph/graph.hpp"

namespace hone {

struct MeasuredMetric {
  std::string name;  ///< "accuracy"
  double value = 0;
  double low = 0, high = 0;  ///< 95 % interval
  size_t samples = 0;
};

struct ModelInfo {
  std::string task = "classification";
  std::vector<std::string> labels;
  data::Preprocessing preprocessing;
  std::string data, data_revision;                ///< path and revision of the data it was trained on
  std::string split;                              ///< JSON, as data/split.hpp writes it
  std::map<std::string, MeasuredMetric> metrics;  ///< by precision, on the test split
};

void store_info(Graph& g, const ModelInfo& info);
/// nullopt where the graph carries none. Files of OpenVINO's Model API give labels and preprocessing.
std::optional<ModelInfo> load_info(const Graph& g);

}  // namespace hone
