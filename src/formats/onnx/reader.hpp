// Reads ONNX: IR version 3 on (older files without an operator set by the rules of operator set 1), operator sets 1 to
// the newest.
//
// Types and shapes are inferred anew; value_info of the file is ignored, so wrong or missing ones do no harm. Weights
// stay in the mapped file where their bytes are aligned.
#pragma once
#include <string>

#include "graph/graph.hpp"

namespace hone {

/// Throws `Error`: unreadable (malformed), unsupported (all unknown operators at once), unsafe (external data outside
/// of the folder).
Graph read_onnx(const std::string& path);
/// The same from memory, which `owner` keeps alive; `folder` is where external data lie (empty: refused).
Graph parse_onnx(std::string_view bytes, std::shared_ptr<const void> owner, const std::string& folder = {});

}  // namespace hone
