// Compiled models on arbitrary bytes. Checksums only tell damage, so those of an input are put right before it is read;
// programs go through the verifier, the graph through its reader.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "base/file.hpp"
#include "budget.hpp"
#include "compile/compile.hpp"
#include "compile/graph_file.hpp"
#include "compile/model_file.hpp"
#include "driver.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "program/container.hpp"
#include "program/hone_file.hpp"

namespace {

using namespace hone;

// A file in memory that has a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", 0)) {
    if (fd_ < 0) std::abort();
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  void fill(const std::vector<uint8_t>& bytes) {
    if (write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) std::abort();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void repair(std::vector<uint8_t>& b) {
  container::Header h;
  if (b.size() < sizeof h) return;
  std::memcpy(&h, b.data(), sizeof h);
  h.file_size = b.size();
  if (h.table_offset <= b.size() && h.sections <= container::max_sections &&
      b.size() - h.table_offset == h.sections * sizeof(container::SectionRow)) {
    for (uint32_t i = 0; i < h.sections; ++i) {
      uint8_t* at = b.data() + h.table_offset + i * sizeof(container::SectionRow);
      container::SectionRow r;
      std::memcpy(&r, at, sizeof r);
      if (r.offset > h.table_offset || r.size > h.table_offset - r.offset) continue;
      r.checksum = checksum({b.data() + r.offset, static_cast<size_t>(r.size)});
      std::memcpy(at, &r, sizeof r);
    }
    h.table_checksum = checksum({b.data() + h.table_offset, b.size() - static_cast<size_t>(h.table_offset)});
  }
  std::memcpy(b.data(), &h, sizeof h);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  std::vector<uint8_t> bytes(data, data + size);
  repair(bytes);
  MemoryFile file;
  file.fill(bytes);
  try {
    const HoneFile f = read_hone(file.path());
    if (!f.graph.empty()) graph_from_bytes(f.graph, f.graph_constants);
  } catch (const Error&) {
  }
  return 0;
}

// A network with its program, its graph and metadata; the graph alone, the program alone.
std::vector<std::vector<uint8_t>> fuzz_samples() {
  const std::string network =
      "graph g {\n  %x = Parameter() {element_type=f32,shape=[1,3,8,8]} : f32[1,3,8,8] \"x\"\n  %w = Constant() "
      "{value=f32[4,3,1,1]{1,2,3,4,5,6,7,8,9,1,2,3}}\n"
      "  %c = Convolution(%x, %w) {strides=[1,1],pads_begin=[0,0],pads_end=[0,0],dilations=[1,1]}\n  %r = Relu(%c)\n  "
      "%s = Softmax(%r) {axis=1}\n"
      "  Result(%s) \"y\"\n}\n";
  const auto graph = std::make_shared<const Graph>(parse_graph(network));
  ModelFile whole{{{"labels", "[\"a\", \"b\"]"}},
                  graph,
                  {std::make_shared<const Program>(compile_program(*graph, {.threads = 1}))}};
  ModelFile alone{{}, graph, {}};
  ModelFile stripped{{}, nullptr, whole.programs};
  std::vector<std::vector<uint8_t>> out;
  const auto folder = std::filesystem::temp_directory_path() / ("hone_file_fuzz_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  for (const ModelFile& m : {whole, alone, stripped}) {
    const std::string path = (folder / "sample.hone").string();
    save_model_file(path, m);
    const std::string bytes = read_text_file(path);
    out.emplace_back(bytes.begin(), bytes.end());
  }
  std::filesystem::remove_all(folder);
  return out;
}
