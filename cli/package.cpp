#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_package(CLI::App& app) {
  struct Options {
    PackageOptions job;
    bool no_verify = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->job.model, "Model made by auto, train or quantize")->required();
  app.add_option("--out", o->job.out, "Folder to make")->required();
  app.add_flag("--no-verify", o->no_verify, "Do not measure again: the data are gone");
  app.add_option("--encrypt", o->job.encrypt,
                 "Key file: encrypt the model (AES-256-GCM); make one with `openssl rand -hex 32 > model.key`");
  app.add_option(
      "--sign", o->job.sign,
      "Ed25519 private key (PEM): sign the manifest; make one with `openssl genpkey -algorithm ed25519 -out sign.pem`");
  app.add_flag("--force", o->job.force, "Overwrite an existing folder");
  return [o](Output& out) {
    o->job.verify = !o->no_verify;
    check_overwrite(o->job.out, o->job.force);
    nlohmann::json files = nlohmann::json::array();
    std::vector<std::vector<std::string>> rows{{"file", "bytes"}};
    for (const PackagedFile& f : package(o->job)) {
      files.push_back({{"path", f.path}, {"bytes", f.bytes}, {"sha256", f.sha256}});
      rows.push_back({f.path, std::to_string(f.bytes)});
    }
    out.table(rows);
    out.result({{"out", o->job.out}, {"files", files}});
    return 0;
  };
}

}  // namespace hone::cli
