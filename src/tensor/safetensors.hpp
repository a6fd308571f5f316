// Named tensors in one file: the safetensors format (8-byte header length, JSON header, raw data). Checkpoints are
// written in it, so other tools can read them.
#pragma once
#include <map>
#include <string>

#include "hone/tensor.hpp"

namespace hone {

struct NamedTensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Throws `Error`; the file appears whole or not at all.
void save_safetensors(const std::string& path, const NamedTensors& content);
/// The tensors share a memory map of the file. Every offset is checked; throws `Error` (unreadable, unsafe).
NamedTensors load_safetensors(const std::string& path);

}  // namespace hone
