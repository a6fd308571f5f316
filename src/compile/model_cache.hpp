// Compiled models on disk, found again by content.
//
//   ModelCache cache(default_cache_folder());
//   if (auto hit = cache.find("net.onnx", question)) ...       // `question`: everything else the program depends on
//   else cache.store("net.onnx", question, files, program, metadata);
//
// An entry is a `.hone` file without graph, named by a hash of: the bytes of the model file and of the weight file
// beside it, the question, this build of Hone, the CPU and its ISA. It lists all files the model was read from with
// their hashes, so a changed weight file never gives an old program. Loading maps the entry: weights are neither read
// nor copied.
//
// Trust. Every checksum of an entry is verified when it is loaded for the first time after it was written by somebody
// else; then, and when this class wrote it, a stamp (device, inode, size, times of modification and change) is kept
// beside it. While the stamp holds nobody has written to the entry, and its weights are not read again: program,
// metadata and tables are still checked at every load. The change time cannot be set back, so cut or altered entries
// lose their stamp; what a stamp cannot see is a disk that gives other bytes than were written (HONE_CACHE_VERIFY=1
// reads all). Hashes of model files above 1 MB are remembered under the same rule.
//
// Entries appear whole or not at all and any number of processes may share a folder. Nothing here throws because of the
// folder's state: what is damaged, foreign, unreadable or cannot be written costs one warning line, and the caller
// compiles.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/content_hash.hpp"
#include "program/program.hpp"

namespace hone {

class Graph;

/// HONE_CACHE_DIR, else XDG_CACHE_HOME/hone, else HOME/.cache/hone; empty where none of them is set.
std::string default_cache_folder();
/// HONE_CACHE_SIZE ("500M", "2G"; a number alone is bytes), else 2 GB. Throws `Error` (usage).
uint64_t cache_limit();

struct CachedModel {
  std::shared_ptr<const Program> program;
  std::map<std::string, std::string> metadata;
};

class ModelCache {
 public:
  /// An empty folder name: never finds, never stores.
  explicit ModelCache(std::string folder, uint64_t limit = cache_limit());

  /// For a model that lies in a file. nullopt: not there, or not usable.
  std::optional<CachedModel> find(const std::string& model, const std::string& question);
  /// `files`: all that the model was read from.
  void store(const std::string& model, const std::string& question, const std::vector<std::string>& files,
             const Program& program, std::map<std::string, std::string> metadata);

  /// For a model in memory, by its content.
  std::optional<CachedModel> find(const ContentHash& model, const std::string& question);
  void store(const ContentHash& model, const std::string& question, const Program& program,
             std::map<std::string, std::string> metadata);

  /// Removes the entries used longest ago until the rest fits the limit.
  void prune();

 private:
  std::optional<ContentHash> hash_of(const std::string& path);
  std::string identity(const std::string& model);
  std::optional<CachedModel> load(const std::string& key, const std::string& base);
  void save(const std::string& key, const Program& program, std::map<std::string, std::string> metadata);
  std::string entry(const std::string& key) const;

  std::string folder_;
  uint64_t limit_;
  std::map<std::string, std::pair<FileStamp, ContentHash>> hashed_;  ///< files above 1 MB that this object hashed
};

/// Structure, attributes and weights of a graph.
ContentHash content_hash(const Graph& g);
/// What a program depends on besides the model: this build, the CPU, its ISA.
const std::string& build_identity();

}  // namespace hone
