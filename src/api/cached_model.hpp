// Models from file to running, through the cache of compiled models.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compile/compile.hpp"
#include "hone/model.hpp"

namespace hone {

struct ModelJob {
  std::string path;                               ///< where the model lies; empty: `graph` alone
  std::string network;                            ///< of the zoo, for a file of weights alone
  std::shared_ptr<const Graph> graph;             ///< the model where it was read already
  std::string question;                           ///< what `prepare` does, as text: equal texts, equal results
  std::function<Precision(const Graph&)> choose;  ///< the precision for the graph
  std::string precision;                          ///< as the user gave it
  std::function<void(Graph&)> prepare;            ///< reshapes, cuts; null: nothing to do
  /// Is this program of a `.hone` file what was asked for? Null: programs of files are not taken.
  std::function<bool(const Program&, const std::map<std::string, std::string>& info)> accepts;
  CompileOptions options;    ///< all but the precision
  std::string cache_folder;  ///< empty: no cache
};

struct LoadedModel {
  CompiledGraph compiled;
  Precision precision = Precision::f32;     ///< what `choose` said
  Precision taken = Precision::f32;         ///< of `automatic`, what won
  std::map<std::string, std::string> info;  ///< of the model file: labels, preprocessing...
  std::vector<Port> inputs, outputs;
  std::string last_operator;  ///< that computes the first output
  std::string explanation, choice;
  bool from_cache = false;
};

/// Throws what reading, `prepare` and compiling throw; the state of the cache never matters.
LoadedModel load_model(const ModelJob& job);

/// The folder for a verb: `default_cache_folder()`, or none.
std::string cache_folder(bool wanted);
/// All dimensions that are dynamic become their minimum, at least 1, but for those given. Throws `Error` (usage).
void settle_shapes(Graph& g, const std::map<std::string, PartialShape>& given, const char* verb);
std::string to_text(const std::map<std::string, PartialShape>& shapes);

}  // namespace hone
