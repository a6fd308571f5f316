// What a verb is: a name, a sentence, examples, and a function that adds its options to a CLI11 command and returns
// what to run.
#pragma once
#include <functional>
#include <string>

#include "output.hpp"

namespace CLI {
class App;
}

namespace hone::cli {

/// The work of a verb once its options are parsed. Returns the exit code; throws `Error`.
using Work = std::function<int(Output&)>;

struct Verb {
  const char* name;
  const char* summary;
  const char* examples;  ///< shown by --help
  Work (*setup)(CLI::App& app);
  bool extensions = false;    ///< reads any model, so it takes --extension
  bool stops_itself = false;  ///< looks at Ctrl-C while it works, since there is something to save or to stop
};

// One file a verb.
Work setup_auto(CLI::App& app);
Work setup_train(CLI::App& app);
Work setup_test(CLI::App& app);
Work setup_predict(CLI::App& app);
Work setup_quantize(CLI::App& app);
Work setup_convert(CLI::App& app);
Work setup_compare(CLI::App& app);
Work setup_run(CLI::App& app);
Work setup_benchmark(CLI::App& app);
Work setup_inspect(CLI::App& app);
Work setup_package(CLI::App& app);
Work setup_tune(CLI::App& app);
Work setup_conformance(CLI::App& app);

}  // namespace hone::cli
