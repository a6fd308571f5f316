// The report for a person: one HTML file without outside references.
#pragma once
#include <string>
#include <vector>

#include "api/job_support.hpp"

namespace hone {

struct ReportPage {
  std::string report;  ///< content of report.json
  TestResult test;     ///< of the chosen precision
  std::vector<ClassificationMetrics::Sample> worst;
  std::vector<LayerTime> layers;
  const data::Dataset* data = nullptr;
};

std::string report_html(const ReportPage& page);

}  // namespace hone
