// Options that `train` and `auto` share.
#pragma once
#include <CLI/CLI.hpp>

#include "hone/tasks.hpp"

namespace hone::cli {

/// Adds the options of training to a command; `o` must outlive the parsing.
void add_train_options(CLI::App& app, TrainOptions& o);
/// Checks what CLI11 cannot. Throws `Error` (usage).
void check_train_options(const TrainOptions& o);

}  // namespace hone::cli
