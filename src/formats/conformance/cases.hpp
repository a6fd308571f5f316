// Finds recorded cases below a folder and loads their values.
#pragma once
#include <string>
#include <vector>

#include "formats/conformance/conformance.hpp"

namespace hone {

/// One recorded case. Where it is loaded from is kept, its values are not: a suite has thousands.
struct RecordedCase {
  enum class Kind { json, onnx_data_set, onnx_light, csv };
  Kind kind = Kind::json;
  std::string name;    ///< path relative to the folder searched, and the case's number
  std::string model;   ///< path of the model file
  std::string source;  ///< the json file, the data set folder, the expected .pb, or the expected .csv
  size_t index = 0;    ///< case in the json file
};

/// All cases below `folder`, in order of their names. Archives are unpacked into `scratch`.
std::vector<RecordedCase> find_cases(const std::string& path, const std::string& scratch);

struct CaseValues {
  std::vector<Datum> inputs;                       ///< in the order of the model's parameters
  std::vector<std::pair<size_t, Datum>> expected;  ///< index of the model's result and its value
  std::vector<std::string> output_names;
  Tolerance tolerance;
  size_t repeat = 1;
  bool any_shape = false;  ///< only the elements were recorded
};

/// The values of a case for a model that has been read. May cut the graph where the case names inner tensors.
CaseValues load_case(const RecordedCase& c, Graph& g);

}  // namespace hone
