#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "hone/tools.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_conformance(CLI::App& app) {
  auto folder = std::make_shared<std::string>(), network = std::make_shared<std::string>();
  app.add_option("DIR", *folder, "Folder with io.json or test_data_set_* cases, or archives of them")->required();
  app.add_option("--network", *network, "Network of the zoo for files of weights alone; without it the one that fits");
  return [folder, network](Output& out) {
    const auto progress = out.progress();
    const auto cases = conformance(
        *folder,
        [&](size_t done, size_t of) {
          return progress({"conformance", static_cast<double>(done), static_cast<double>(of), "cases", "", -1});
        },
        *network);
    std::map<std::string, int64_t> count{{"pass", 0}, {"fail", 0}, {"refused", 0}, {"crash", 0}};
    nlohmann::json list = nlohmann::json::array();
    for (const ConformanceCase& c : cases) {
      ++count[c.status];
      nlohmann::json j{{"name", c.name}, {"status", c.status}, {"max_abs", c.max_abs}};
      if (!c.reason.empty()) j["reason"] = c.reason;
      list.push_back(j);
      if (c.status != "pass") out.line(c.status + " " + c.name + ": " + c.reason);
    }
    out.line(std::to_string(count["pass"]) + " pass, " + std::to_string(count["fail"]) + " fail, " +
             std::to_string(count["refused"]) + " refused, " + std::to_string(count["crash"]) + " crash");
    out.result({{"pass", count["pass"]},
                {"fail", count["fail"]},
                {"refused", count["refused"]},
                {"crash", count["crash"]},
                {"cases", list}});
    return count["fail"] + count["crash"] > 0 ? 1 : 0;
  };
}

}  // namespace hone::cli
