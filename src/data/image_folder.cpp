// A folder a class. Layouts: ROOT/CLASS/..., or ROOT/{train,val,test}/CLASS/...
#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "data/dataset.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return s;
}

std::optional<Part> part_by_name(const std::string& name) {
  const std::string n = lower(name);
  if (n == "train" || n == "training") return Part::train;
  if (n == "val" || n == "valid" || n == "validation") return Part::val;
  if (n == "test" || n == "testing") return Part::test;
  return std::nullopt;
}

bool is_hidden(const fs::path& p) {
  const std::string n = p.filename().string();
  return n.empty() || n[0] == '.' || n == "__MACOSX";
}

/// Entries of a folder, sorted by name, hidden ones left out.
std::vector<fs::directory_entry> list(const fs::path& dir) {
  std::vector<fs::directory_entry> out;
  std::error_code failed;
  for (fs::directory_iterator it(dir, failed), end; !failed && it != end; it.increment(failed)) {
    if (!is_hidden(it->path())) out.push_back(*it);
  }
  if (failed)
    throw Error(ErrorCode::unreadable, "[data] cannot list the folder (" + failed.message() + ")", dir.string(),
                "check its permissions");
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.path().filename().string() < b.path().filename().string(); });
  return out;
}

bool is_folder(const fs::directory_entry& e) {
  std::error_code ignored;
  return e.is_directory(ignored);
}

/// A picture by its suffix, so that a damaged one is reported and not passed over; files of other names by their
/// content.
bool looks_like_picture(const fs::path& file) {
  static const std::set<std::string> suffixes = {".jpg",  ".jpeg", ".jpe", ".jfif", ".png",  ".bmp",  ".dib",
                                                 ".webp", ".gif",  ".tif", ".tiff", ".heic", ".heif", ".avif",
                                                 ".jp2",  ".pnm",  ".pbm", ".pgm",  ".ppm"};
  static const std::set<std::string> others = {".txt", ".csv",  ".json", ".xml", ".md",  ".yaml",
                                               ".yml", ".html", ".py",   ".db",  ".npy", ".zip"};
  const std::string suffix = lower(file.extension().string());
  if (suffixes.count(suffix)) return true;
  if (others.count(suffix)) return false;
  std::ifstream in(file, std::ios::binary);
  std::array<char, 16> head{};
  in.read(head.data(), head.size());
  return sniff({reinterpret_cast<const uint8_t*>(head.data()), size_t(in.gcount())}) != ImageFormat::unknown;
}

constexpr int max_depth = 16;  // also ends loops of symbolic links

void collect(const fs::path& dir, int depth, std::vector<fs::path>& out) {
  if (depth > max_depth)
    throw Error(ErrorCode::unsafe, "[data] folders are nested too deeply", dir.string(),
                "look for a symbolic link that leads back");
  for (const auto& e : list(dir)) {
    std::error_code ignored;
    if (is_folder(e)) {
      collect(e.path(), depth + 1, out);
    } else if (e.is_regular_file(ignored) && looks_like_picture(e.path())) {
      out.push_back(e.path());
    }
  }
}

class ImageFolder final : public Dataset {
 public:
  explicit ImageFolder(const std::string& path) {
    path_ = path;
    std::vector<fs::directory_entry> folders;
    bool loose_pictures = false;
    for (const auto& e : list(path)) {
      if (is_folder(e)) {
        folders.push_back(e);
      } else {
        loose_pictures = loose_pictures || looks_like_picture(e.path());
      }
    }
    if (folders.empty()) {
      throw Error(
          ErrorCode::unreadable,
          loose_pictures ? "[data] the pictures are not in a folder for each class" : "[data] the folder is empty",
          path, "make a folder for each class and put its pictures there");
    }
    size_t parts = 0;
    for (const auto& e : folders) parts += part_by_name(e.path().filename().string()).has_value();
    if (parts == folders.size()) {
      open_parts(folders);
    } else if (parts >= 2) {
      throw Error(ErrorCode::unsupported, "[data] folders for the parts (train, test) stand beside others", path,
                  "leave only train, val and test, with the classes inside of them");
    } else {
      open_classes(folders, Part::none);
    }
    finish();
  }

  const char* format() const override { return "image-folder"; }
  std::string id(size_t i) const override { return files_[i]; }
  std::string file(size_t i) const override { return (fs::path(path_) / files_[i]).string(); }
  void read(size_t i, Image& into, bool apply_orientation) const override {
    const std::string name = file(i);
    const auto mapped = MappedFile::open(name);
    decode_image_into(mapped->bytes(), name, into, apply_orientation);
  }
  ImageInfo info(size_t i) const override { return probe_image(file(i)); }
  double modified(size_t i) const override {
    std::error_code failed;
    const auto t = fs::last_write_time(file(i), failed);
    if (failed) return -1;
    return std::chrono::duration<double>(std::chrono::file_clock::to_sys(t).time_since_epoch()).count();
  }

 protected:
  Digest digest(size_t i) const override {
    const auto mapped = MappedFile::open(file(i));
    Sha256 h;
    h.update(mapped->bytes().data(), mapped->bytes().size());
    return h.finish();
  }

 private:
  struct Found {
    std::string cls;
    Part part;
    std::string file;
  };

  void open_parts(const std::vector<fs::directory_entry>& folders) {
    std::map<Part, std::string> seen;
    for (const auto& e : folders) {
      const Part part = *part_by_name(e.path().filename().string());
      if (const auto [at, is_new] = seen.emplace(part, e.path().filename().string()); !is_new) {
        throw Error(ErrorCode::unsupported,
                    "[data] two folders for one part: " + at->second + " and " + e.path().filename().string(), path_,
                    "leave one of them");
      }
      std::vector<fs::directory_entry> classes;
      for (const auto& c : list(e.path())) {
        if (is_folder(c)) classes.push_back(c);
      }
      if (classes.empty()) {
        throw Error(ErrorCode::unreadable, "[data] there are no class folders in " + e.path().filename().string() + "/",
                    path_, "make a folder for each class and put its pictures there");
      }
      open_classes(classes, part);
    }
    if (!seen.count(Part::train))
      throw Error(ErrorCode::unreadable, "[data] there is no train/ beside the other parts", path_,
                  "add it, or put the classes at the top");
  }

  void open_classes(const std::vector<fs::directory_entry>& folders, Part part) {
    for (const auto& e : folders) {
      std::vector<fs::path> files;
      collect(e.path(), 0, files);
      const std::string cls = e.path().filename().string();
      if (files.empty()) {
        if (part == Part::val || part == Part::test) continue;
        throw Error(ErrorCode::unreadable, "[data] the class folder '" + cls + "' has no pictures", e.path().string(),
                    "fill it or remove it");
      }
      for (const auto& f : files) found_.push_back({cls, part, f.lexically_relative(path_).generic_string()});
    }
  }

  void finish() {
    std::set<std::string> names, trained;
    for (const auto& f : found_) {
      names.insert(f.cls);
      if (f.part == Part::none || f.part == Part::train) trained.insert(f.cls);
    }
    for (const auto& n : names) {
      if (!trained.count(n))
        throw Error(ErrorCode::unsupported, "[data] the class '" + n + "' has no pictures in train/", path_,
                    "add some, or remove the class from val/ and test/");
    }
    if (names.size() < 2) {
      throw Error(ErrorCode::unsupported,
                  "[data] there is only one class, '" + (names.empty() ? std::string() : *names.begin()) + "'", path_,
                  "classification needs at least two class folders with pictures");
    }
    classes_.assign(names.begin(), names.end());
    std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.file < b.file; });
    const bool parted = found_.front().part != Part::none;
    for (auto& f : found_) {
      labels_.push_back(std::lower_bound(classes_.begin(), classes_.end(), f.cls) - classes_.begin());
      if (parted) parts_.push_back(f.part);
      files_.push_back(std::move(f.file));
    }
    found_.clear();
    found_.shrink_to_fit();
  }

  std::vector<Found> found_;  // while opening
  std::vector<std::string> files_;
};

}  // namespace

bool is_image_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::unique_ptr<Dataset> open_image_folder(const std::string& path) {
  return std::make_unique<ImageFolder>(path);
}

}  // namespace hone::data
