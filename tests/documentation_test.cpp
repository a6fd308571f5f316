// What the guides say works.
#include <sstream>

#include "formats/npy/npy.hpp"
#include "workspace.hpp"

namespace hone {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace workspace;

// Every command of the guides, in the order in which a reader meets them, from an empty folder with photos.
TEST(Documentation, commands_work_as_written) {
  const fs::path here = Workspace::root() / "reader";
  fs::create_directories(here / "bin");
  fs::create_directory_symlink(Workspace::root() / "photos", here / "photos");
  fs::create_symlink(HONE_BINARY, here / "bin" / "hone");
  write_npy((here / "x.npy").string(), Tensor(ElementType::f32, {1, 3, 16, 16}));
  size_t commands = 0;
  for (const char* page : {"train.md", "convert.md", "compress.md", "run.md"}) {
    std::istringstream in(read_text_file(std::string(HONE_SOURCE_DIR) + "/docs/" + page));
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with("    hone ") && !line.starts_with("    app/")) continue;
      const Outcome o = shell("cd " + here.string() + " && PATH=" + (here / "bin").string() + ":$PATH " + line);
      EXPECT_EQ(o.code, 0) << page << ": " << line << "\n" << o.err;
      ++commands;
    }
  }
  EXPECT_GE(commands, 12u);
}

TEST(Documentation, lists_the_verbs_that_exist) {
  const std::string help = hone_run("--help").out,
                    contract = read_text_file(std::string(HONE_SOURCE_DIR) + "/docs/cli.md");
  for (const char* verb : {"auto", "train", "test", "predict", "quantize", "convert", "compare", "run", "benchmark",
                           "inspect", "package", "tune", "conformance"}) {
    EXPECT_NE(help.find(std::string("  ") + verb + " "), std::string::npos) << verb;
    EXPECT_NE(contract.find(std::string("| ") + verb + " |"), std::string::npos) << verb;
    const Outcome o = hone_run(std::string(verb) + " --help");
    EXPECT_EQ(o.code, 0) << verb;
    EXPECT_NE(o.out.find("examples:"), std::string::npos) << verb;
  }
}

}  // namespace hone
