// Reads `torch.export` archives (`.pt2`): the graph in JSON, weights in the mapped file where their bytes are aligned.
#pragma once
#include <string>

#include "formats/pytorch/zip.hpp"
#include "graph/graph.hpp"

namespace hone {

/// Archives of PyTorch 2.3 to 2.15. Throws `Error`: unreadable (malformed), unsupported (all unknown operators at
/// once).
Graph read_torch_export(const std::string& path);
/// The same from memory.
Graph parse_torch_export(const pytorch::Blob& file);

}  // namespace hone
