// The safetensors format: a JSON header of names, types, shapes and offsets, then the bytes.
#pragma once
#include <string_view>

#include "formats/pytorch/state_dict.hpp"

namespace hone {

/// Does the file begin with a header length and a JSON object?
bool is_safetensors(std::string_view head);
/// Tensors stay in the file's memory where they are aligned. Throws `Error`: unreadable, unsupported (element types).
StateDict parse_safetensors(const pytorch::Blob& file);

}  // namespace hone
