// Options of verbs that turn pictures into the input of a model.
#pragma once
#include <CLI/CLI.hpp>

#include "hone/pictures.hpp"

namespace hone::cli {

/// Adds them to a command; `o` must outlive the parsing.
void add_picture_options(CLI::App& app, PictureOptions& o);
/// Checks what CLI11 cannot. Throws `Error` (usage).
void check_picture_options(const PictureOptions& o);

}  // namespace hone::cli
