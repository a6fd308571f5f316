// Packaging as `package` and `auto` share it.
#pragma once
#include "api/job_support.hpp"

namespace hone {

/// What goes into every package beside the model - program, header, runtime library - is there. Throws `Error` (failed)
/// naming what is not.
void check_package_parts();

/// `precision` is what the package computes in. With data and samples the packaged model is measured and compared with
/// the figure that the model carries. `report` (report.json) adds speeds to the card; may be empty. Throws `Error`;
/// then nothing is left.
std::vector<PackagedFile> package_model(const PackageOptions& options, const std::string& precision,
                                        const std::string& report, const data::Dataset* data,
                                        const std::vector<uint32_t>* samples);

}  // namespace hone
