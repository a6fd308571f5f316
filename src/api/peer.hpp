// Other runtimes as yardsticks: OpenVINO and ONNX Runtime, each in a Python child process of its own. Nothing of them
// is linked; where Python or the package is missing, the error says what to install.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

/// "openvino", "onnxruntime".
const std::vector<std::string>& peer_names();
/// Throws `Error` (usage) for a name that is no peer; `verb` stands in the message.
void check_peer(const std::string& name, const std::string& verb);

/// A folder under the system's temporary one, removed with all it holds on destruction.
class TemporaryFolder {
 public:
  TemporaryFolder();  ///< throws `Error` where none can be made
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The file itself where the peer reads its form, else an export of `g` in `folder`; `note` then says so.
std::string file_for_peer(const std::string& peer, const std::string& file, const Graph& g,
                          const TemporaryFolder& folder, std::string* note);

struct PeerTensor {
  std::vector<std::string> names;
  Datum value;
};
struct PeerJob {
  std::string peer, model;
  std::vector<PeerTensor> inputs;  ///< matched by any name, else by position
  size_t outputs = 0;              ///< results of the model itself
  std::set<std::string> values;    ///< tensors inside of the model that are wanted as well
  std::string precision = "f32";   ///< "auto": the peer's own choice
  std::string hint = "latency";
  int threads = 0, streams = 1;  ///< 0 threads: the peer's own choice
  bool fixed = false;            ///< give the model the shapes of the inputs before it is compiled
};
struct PeerOutputs {
  std::string version;
  std::vector<PeerTensor> outputs, values;
};
/// One inference. Throws `Error`: failed (Python or the package is missing, the run failed), unsupported (the peer
/// refuses the model).
PeerOutputs run_in_peer(const PeerJob& job);

struct PeerTimes {
  std::string version, precision, note;
  double median_ms = 0, min_ms = 0, load_ms = 0, first_inference_ms = 0, runs_per_s = 0, peak_rss_mb = 0;
};
/// Inferences for some seconds. Throws as `run_in_peer` does.
PeerTimes time_in_peer(const PeerJob& job, double seconds);

}  // namespace hone
