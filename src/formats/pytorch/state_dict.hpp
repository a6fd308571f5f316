// Files that hold named tensors alone: PyTorch checkpoints and safetensors.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "formats/pytorch/zip.hpp"
#include "hone/tensor.hpp"

namespace hone {

struct StateDict {
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in the file's order
  const Tensor* find(const std::string& name) const;
};

/// By content: `.pth/.pt/.th` (zip archives and the older form) and `.safetensors`. A checkpoint's inner `state_dict`
/// is taken, and the prefix `module.` of data-parallel training goes. Throws `Error`: unreadable, unsafe (a pickle that
/// asks for code), unsupported (TorchScript).
StateDict read_weights(const std::string& path);
StateDict parse_weights(const pytorch::Blob& file);
/// Do the first bytes and the name look like such a file?
bool is_weights_file(std::string_view head, const std::string& path);

namespace pytorch {
/// A pickled dictionary of tensors, in a zip archive or in the older form.
StateDict unpickled_weights(const Blob& file);
}  // namespace pytorch

}  // namespace hone
