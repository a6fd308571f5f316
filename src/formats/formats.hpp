// The front door: models in and out, by content and suffix.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

struct WriteOptions {
  int64_t opset = 0;              ///< of an ONNX file, 13 to 23; 0: 17, or the first that has what the model needs
  bool compress_to_fp16 = false;  ///< store f32 constants as f16 (IR: with a decompression Convert)
};

/// Reads a model by its content, then its suffix. Throws `Error`: unreadable, unsafe, or unsupported; formats that are
/// known but not offered are refused by name with what to do instead.
Graph read_model(const std::string& path);
/// Writes by suffix (`.onnx`, `.xml` with its `.bin`); an interrupted write leaves nothing. Throws `Error`.
void write_model(const Graph& g, const std::string& path, const WriteOptions& options = {});

/// A format that can be read; `matches` looks at the first bytes and at the path.
struct ReaderRow {
  const char* name;
  bool (*matches)(std::string_view head, const std::string& path);
  Graph (*read)(const std::string& path);
};
/// All readers, in the order in which they are asked.
const std::vector<ReaderRow>& reader_rows();

}  // namespace hone
