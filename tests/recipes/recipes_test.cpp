// CONTRIBUTING.md, followed to the letter: its blocks are applied to a copy of the files they name, what they touch is
// compiled as the build compiles its neighbours, linked with the libraries of the build, and every command under "Run:"
// is run.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "base/file.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;

const fs::path source = HONE_SOURCE_DIR, build = HONE_BINARY_DIR;
const fs::path& copy() {
  static const fs::path p = build / "recipes";
  return p;
}

std::string shell(const std::string& command, int* code = nullptr) {
  std::string out;
  FILE* pipe = popen(("cd '" + build.string() + "' && (" + command + ") 2>&1").c_str(), "r");
  if (!pipe) return "cannot start " + command;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  const int status = pclose(pipe);
  if (code) *code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  return out;
}

// The page, as changes of files and commands by section.
struct Page {
  std::vector<std::string> touched;  ///< files of the copy, in order
  std::map<std::string, std::vector<std::string>> commands;
};

std::string read_copy(const std::string& file) {
  const fs::path mine = copy() / file;
  return read_text_file((fs::exists(mine) ? mine : source / file).string());
}

void write_copy(Page& page, const std::string& file, const std::string& text) {
  fs::create_directories((copy() / file).parent_path());
  write_file((copy() / file).string(), text);
  if (std::find(page.touched.begin(), page.touched.end(), file) == page.touched.end()) page.touched.push_back(file);
}

void insert(Page& page, const std::string& file, const std::string& anchor, bool behind, const std::string& block) {
  ASSERT_TRUE(fs::exists(source / file)) << "the recipe changes " << file << ", which is not there";
  std::string text = read_copy(file);
  const size_t at = text.find(anchor);
  ASSERT_NE(at, std::string::npos) << "the recipe looks for '" << anchor << "' in " << file;
  size_t line = behind ? text.find('\n', at) + 1 : at;
  if (!behind) line = text.rfind('\n', at) + 1;
  text.insert(line, block);
  write_copy(page, file, text);
}

void become(Page& page, const std::string& file, const std::string& from, const std::string& to) {
  std::string text = read_copy(file);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << "the recipe looks for '" << from << "' in " << file;
  text.replace(at, from.size(), to);
  write_copy(page, file, text);
}

Page apply_page() {
  Page page;
  const std::string text = read_text_file((source / "CONTRIBUTING.md").string());
  static const std::regex changed("In `([^`]+)`, `([^`]+)` becomes `([^`]+)`"),
      inserted("In `([^`]+)`, (behind|in front of) `([^`]+)`:$"), created("New file `([^`]+)`:$");
  std::istringstream in(text);
  std::string section, paragraph, announced, line;
  const auto end_paragraph = [&] {
    if (paragraph.empty()) return;
    for (std::sregex_iterator i(paragraph.begin(), paragraph.end(), changed), end; i != end; ++i)
      become(page, (*i)[1], (*i)[2], (*i)[3]);
    announced = std::exchange(paragraph, "");
  };
  while (std::getline(in, line)) {
    if (line.starts_with("## ")) section = line.substr(3);
    if (!line.starts_with("```")) {
      if (line.empty())
        end_paragraph();
      else
        paragraph += (paragraph.empty() ? "" : " ") + line;
      continue;
    }
    end_paragraph();
    std::string block;
    while (std::getline(in, line) && !line.starts_with("```")) block += line + "\n";
    std::smatch m;
    if (std::regex_search(announced, m, created)) {
      write_copy(page, m[1], block);
    } else if (std::regex_search(announced, m, inserted)) {
      insert(page, m[1], m[3], m[2] == "behind", block);
    } else if (announced.ends_with("Run:")) {
      std::istringstream lines(block);
      for (std::string command; std::getline(lines, command);) page.commands[section].push_back(command);
    } else {
      ADD_FAILURE() << "a block that says neither where it goes nor that it is run: " << announced;
    }
    announced.clear();
  }
  return page;
}

struct Compiled {
  std::string file, object;
  std::string owner;     ///< directory of the target's objects, `src/ops/CMakeFiles/hone_ops.dir`
  std::string original;  ///< the object of the build that this one stands for; empty for new files
  std::string command;
};

// How the build compiles a file: its own command, or that of a neighbour of the same target.
class Commands {
 public:
  Commands() {
    for (const auto& e : nlohmann::json::parse(read_text_file((build / "compile_commands.json").string()))) {
      all_.push_back({fs::relative(e["file"].get<std::string>(), source).string(), e["command"].get<std::string>()});
    }
  }
  Compiled for_file(const std::string& file) const {
    const bool test = file.ends_with("_test.cpp");
    for (const auto& [name, command] : all_) {
      if (name == file) return make(file, name, command);
    }
    for (fs::path dir = fs::path(file).parent_path(); !dir.empty(); dir = dir.parent_path()) {
      // A folder may hold a small library beside its own: most files belong to the latter.
      std::map<std::string, std::vector<Compiled>> by_owner;
      for (const auto& [name, command] : all_) {
        if (!name.starts_with(dir.string() + "/") || name.ends_with("_test.cpp") != test) continue;
        if (command.find(" -mavx") != std::string::npos)
          continue;  // files of one instruction set carry flags of their own
        const Compiled c = make(file, name, command);
        by_owner[c.owner].push_back(c);
      }
      const std::vector<Compiled>* most = nullptr;
      for (const auto& [owner, list] : by_owner) {
        if (!most || list.size() > most->size()) most = &list;
      }
      if (most) return most->front();
    }
    ADD_FAILURE() << "no neighbour of " << file << " is compiled";
    return {};
  }

 private:
  static Compiled make(const std::string& file, const std::string& name, std::string command) {
    Compiled c;
    c.file = file;
    static const std::regex object(R"( -o ((\S+?/CMakeFiles/[^/ ]+\.dir)/\S+))");
    std::smatch m;
    EXPECT_TRUE(std::regex_search(command, m, object)) << command;
    c.owner = m[2];
    if (name == file) c.original = m[1];
    c.object = (copy() / "objects" / (file + ".o")).string();
    const auto replace = [&](const std::string& from, const std::string& to) {
      const size_t at = command.find(from);
      if (at != std::string::npos) command.replace(at, from.size(), to);
    };
    replace(m[0], " -o " + c.object);
    replace((source / name).string(), (copy() / file).string());
    // The copy's headers come first, and its folders are what the tests look into.
    replace(" -I" + (source / "src").string() + " ",
            " -I" + (copy() / "src").string() + " -I" + (copy() / "cli").string() + " -I" +
                (copy() / "include").string() + " -I" + (source / fs::path(file).parent_path()).string() + " -I" +
                (source / "src").string() + " ");
    replace("HONE_SOURCE_DIR=\\\"" + source.string() + "\\\"", "HONE_SOURCE_DIR=\\\"" + copy().string() + "\\\"");
    c.command = std::string(HONE_LAUNCHER) + " " + command;
    return c;
  }
  std::vector<std::pair<std::string, std::string>> all_;
};

// Links a program of the build again with what was compiled anew in front.
std::string link(const std::string& program, const std::vector<Compiled>& compiled) {
  const std::string target = program.starts_with("bin/") ? program.substr(4) : program.substr(program.rfind('/') + 1);
  std::string command = shell("ninja -t commands " + target + " | tail -1");
  while (!command.empty() && command.back() == '\n') command.pop_back();
  const std::string out = " -o " + program + " ";
  const size_t at = command.find(out);
  if (at == std::string::npos) return "the build does not link " + program + ": " + command;
  std::string objects;
  for (const Compiled& c : compiled) {
    const std::string name = c.owner.substr(c.owner.rfind('/') + 1, c.owner.rfind(".dir") - c.owner.rfind('/') - 1);
    if (name == target) {
      const size_t there = c.original.empty() ? std::string::npos : command.find(c.original);
      if (there != std::string::npos) command.replace(there, c.original.size(), "");
    } else if (command.find("lib" + name + ".a") == std::string::npos) {
      continue;
    }
    objects += c.object + " ";
  }
  fs::create_directories((copy() / program).parent_path());
  command.replace(command.find(out), out.size(), " -o " + (copy() / program).string() + " " + objects);
  int code = 0;
  const std::string text = shell(command, &code);
  return code == 0 ? "" : text;
}

TEST(Recipes, of_contributing_are_true_to_the_letter) {
  fs::remove_all(copy());
  fs::create_directories(copy());
  Page page = apply_page();
  ASSERT_FALSE(HasFailure());
  for (const char* section : {"An operator", "A kernel", "A pass", "A reader", "A data format", "A verb"})
    EXPECT_FALSE(page.commands[section].empty()) << section;

  std::set<std::string> sources;
  for (const std::string& f : page.touched) {
    if (f.ends_with(".cpp")) sources.insert(f);
    // A list that is included: whoever includes it.
    if (f.ends_with(".inc")) {
      for (const auto& e : fs::directory_iterator((source / f).parent_path())) {
        if (e.path().extension() == ".cpp" &&
            read_text_file(e.path().string()).find("#include \"" + f.substr(4) + "\"") != std::string::npos) {
          sources.insert(fs::relative(e.path(), source).string());
        }
      }
    }
    if (f.starts_with("tests/passes/"))
      sources.insert("tests/passes/text_cases_test.cpp");  // told where the cases lie when it is compiled
  }
  const Commands commands;
  std::vector<Compiled> compiled;
  for (const std::string& f : sources) {
    if (!fs::exists(copy() / f)) {
      fs::create_directories((copy() / f).parent_path());
      fs::copy_file(source / f, copy() / f);
    }
    compiled.push_back(commands.for_file(f));
    fs::create_directories(fs::path(compiled.back().object).parent_path());
  }
  ASSERT_FALSE(HasFailure());

  // Two at a time and more where there are cores.
  std::atomic<size_t> next{0};
  std::vector<std::string> failures(compiled.size());
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < std::max(2u, std::thread::hardware_concurrency()); ++t) {
    workers.emplace_back([&] {
      for (size_t i; (i = next++) < compiled.size();) {
        int code = 0;
        const std::string text = shell(compiled[i].command, &code);
        const bool warns = std::regex_search(text, std::regex("/" + compiled[i].file + ":[0-9:]+ warning:"));
        if (code != 0 || warns) failures[i] = text;
      }
    });
  }
  for (auto& w : workers) w.join();
  for (size_t i = 0; i < compiled.size(); ++i)
    EXPECT_EQ(failures[i], "") << compiled[i].file << "\n" << compiled[i].command;
  ASSERT_FALSE(HasFailure());

  std::set<std::string> programs;
  static const std::regex program("build/release/([a-z]+/[a-z_]+)");
  for (const auto& [section, list] : page.commands) {
    for (const std::string& command : list) {
      std::smatch m;
      ASSERT_TRUE(std::regex_search(command, m, program)) << command;
      programs.insert(m[1]);
    }
  }
  for (const std::string& p : programs) ASSERT_EQ(link(p, compiled), "") << p;

  for (const auto& [section, list] : page.commands) {
    for (const std::string& command : list) {
      int code = 0;
      const std::string text = shell(std::regex_replace(command, std::regex("build/release"), copy().string()), &code);
      EXPECT_EQ(code, 0) << section << ": " << command << "\n" << text;
      // A filter that finds no test would pass as well.
      const bool tests = command.find("gtest_filter") != std::string::npos;
      EXPECT_TRUE(!tests || text.find("[       OK ]") != std::string::npos) << section << ": " << command << "\n"
                                                                            << text;
    }
  }
}

}  // namespace
}  // namespace hone
