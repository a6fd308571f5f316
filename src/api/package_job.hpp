// Packaging as `package` and `auto` share it.
#pragma once
#include "api/job_support.hpp"

namespace hone {

/// `precision` is what the package computes in. With data and samples the packaged model is measured and compared with
/// the figure that the model carries. `report` (report.json) adds speeds to the card; may be empty. Throws `Error`;
/// then nothing is left.
std::vector<PackagedFile> package_model(const PackageOptions& options, const std::string& precision,
                                        const std::string& report, const data::Dataset* data,
                                        const std::vector<uint32_t>* samples);

}  // namespace hone
