#include "compile/model_cache.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/file.hpp"
#include "base/log.hpp"
#include "compile/graph_file.hpp"
#include "cpu/features.hpp"
#include "cpu/reference/reference.hpp"
#include "graph/graph.hpp"
#include "hone/error.hpp"
#include "program/hone_file.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hone {
namespace {

namespace fs = std::filesystem;

// Entries carry their key in full: two keys with one hash, or a file that was put there by hand, are not taken for it.
constexpr const char* key_field = "cache/key";
constexpr const char* files_field = "cache/files";
// Below this size hashing is cheaper than asking whether it was hashed before.
constexpr uint64_t remembered_size = 1 << 20;

// Threads of one process share the names of temporary files.
std::mutex& write_lock() {
  static std::mutex m;
  return m;
}

void warn(const std::string& what, const std::string& path) {
  log(LogLevel::warning, "[cache] " + what + ": " + path);
}

// The linker's hash over the code of the module that holds this function.
std::string module_id() {
  struct Search {
    uintptr_t address;
    std::string id;
  } search{reinterpret_cast<uintptr_t>(&module_id), {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& s = *static_cast<Search*>(data);
        bool own = false;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& p = info->dlpi_phdr[i];
          const uintptr_t at = info->dlpi_addr + p.p_vaddr;
          own |= p.p_type == PT_LOAD && s.address >= at && s.address - at < p.p_memsz;
        }
        if (!own) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& p = info->dlpi_phdr[i];
          if (p.p_type != PT_NOTE) continue;
          const auto* note = reinterpret_cast<const uint8_t*>(info->dlpi_addr + p.p_vaddr);
          const auto* end = note + p.p_memsz;
          while (note + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) h;
            std::memcpy(&h, note, sizeof h);
            const uint8_t* name = note + sizeof h;
            const uint8_t* content = name + (h.n_namesz + 3) / 4 * 4;
            const uint8_t* next = content + (h.n_descsz + 3) / 4 * 4;
            if (next > end) break;
            if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0)
              s.id.assign(reinterpret_cast<const char*>(content), h.n_descsz);
            note = next;
          }
        }
        return 1;
      },
      &search);
  if (!search.id.empty()) return content_hash(search.id).hex();
  // Linked without a build id: the file itself.
  const auto stamp = file_stamp("/proc/self/exe");
  return stamp ? stamp->text() : "unknown";
}

std::string cpu_name() {
#if defined(__x86_64__)
  uint32_t words[12] = {};
  uint32_t a, b, c, d;
  if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u) {
    for (uint32_t i = 0; i < 3; ++i)
      __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
  }
  uint32_t signature = 0;
  __get_cpuid(1, &signature, &b, &c, &d);
  const char* text = reinterpret_cast<const char*>(words);
  return std::string(text, strnlen(text, sizeof words)) + " " + std::to_string(signature);
#else
  return "cpu";
#endif
}

// The file with the weights of an OpenVINO IR, and the usual names of external data. Others are found by the list in
// the entry.
std::vector<std::string> siblings(const std::string& model) {
  const fs::path p(model);
  std::vector<std::string> all;
  for (const char* suffix : {".bin", ".data"}) {
    fs::path q = p;
    q.replace_extension(suffix);
    if (q != p) all.push_back(q.string());
    all.push_back(model + suffix);
  }
  all.push_back(model + "_data");
  return all;
}

std::string read_small(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[512];
  const ssize_t n = ::read(fd, text, sizeof text);
  ::close(fd);
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : std::string();
}

// Small and worthless after a crash: no sync. A name of its own for each process keeps half a line from being read.
void write_small(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp" + std::to_string(getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return;
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!whole || ::rename(temporary.c_str(), path.c_str()) != 0) ::unlink(temporary.c_str());
}

bool verify_all() {
  const char* v = std::getenv("HONE_CACHE_VERIFY");
  return v && *v && std::strcmp(v, "0") != 0;
}

std::string stamp_path(const std::string& entry) {
  return entry + ".stamp";
}

std::string absolute(const std::string& path) {
  std::error_code e;
  const fs::path p = fs::absolute(path, e);
  return e ? path : p.lexically_normal().string();
}

}  // namespace

std::string default_cache_folder() {
  const auto variable = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  if (std::string d = variable("HONE_CACHE_DIR"); !d.empty()) return d;
  if (std::string d = variable("XDG_CACHE_HOME"); d.starts_with('/')) return d + "/hone";
  if (std::string d = variable("HOME"); !d.empty()) return d + "/.cache/hone";
  return {};
}

uint64_t cache_limit() {
  const char* text = std::getenv("HONE_CACHE_SIZE");
  if (!text || !*text) return 2'000'000'000;
  char* end = nullptr;
  const double v = std::strtod(text, &end);
  const std::string unit = end;
  const double factor = unit.empty()  ? 1
                        : unit == "k" ? 1e3
                        : unit == "M" ? 1e6
                        : unit == "G" ? 1e9
                        : unit == "T" ? 1e12
                                      : 0;
  if (end == text || factor == 0 || !(v >= 0) || v * factor > 9e18)
    throw Error(ErrorCode::usage, "[cache] HONE_CACHE_SIZE wants a size like 500M or 2G",
                std::string("'") + text + "'");
  return static_cast<uint64_t>(v * factor);
}

const std::string& build_identity() {
  static const std::string code = module_id() + "/" + std::to_string(hone_file_version) + "/" + cpu_name();
  // The ISA may be capped anew between two calls (tests).
  static thread_local std::string all;
  return all = code + "/" + cpu::to_string(cpu::features());
}

ContentHash content_hash(const Graph& g) {
  std::vector<Tensor> constants;
  const std::vector<uint8_t> bytes = graph_bytes(g, constants);
  std::string all = content_hash(bytes).hex();
  for (const Tensor& t : constants) all += content_hash({static_cast<const uint8_t*>(t.raw()), t.byte_size()}).hex();
  return content_hash(all);
}

ModelCache::ModelCache(std::string folder, uint64_t limit) : folder_(std::move(folder)), limit_(limit) {}

std::string ModelCache::entry(const std::string& key) const {
  return folder_ + "/" + content_hash(key).hex() + ".hone";
}

std::optional<ContentHash> ModelCache::hash_of(const std::string& path) {
  const auto stamp = file_stamp(path);
  if (!stamp) return std::nullopt;
  const bool remember = stamp->size >= remembered_size;
  const std::string note = folder_ + "/" + content_hash(absolute(path)).hex() + ".source";
  if (remember && !verify_all()) {
    if (const auto it = hashed_.find(path); it != hashed_.end() && it->second.first == *stamp) return it->second.second;
    const std::string text = read_small(note);
    const size_t space = text.rfind(' ');
    if (space != std::string::npos && text.size() == space + 33 && FileStamp::parse(text.substr(0, space)) == stamp) {
      ContentHash h;
      h.high = std::strtoull(text.substr(space + 1, 16).c_str(), nullptr, 16);
      h.low = std::strtoull(text.substr(space + 17).c_str(), nullptr, 16);
      return h;
    }
  }
  try {
    const ContentHash h = content_hash(MappedFile::open(path)->bytes());
    // A file that changed in between, or so short a time ago that its stamp cannot tell, is hashed again next time.
    if (remember && is_settled(*stamp) && file_stamp(path) == stamp) {
      hashed_[path] = {*stamp, h};
      write_small(note, stamp->text() + " " + h.hex());
    }
    return h;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string ModelCache::identity(const std::string& model) {
  std::error_code e;
  if (fs::is_directory(model, e)) return "folder " + absolute(model);
  const auto h = hash_of(model);
  if (!h) return {};
  // The suffix takes part: it may decide how the bytes are read.
  std::string id = "file " + fs::path(model).extension().string() + " " + h->hex();
  for (const std::string& s : siblings(model)) {
    if (const auto more = hash_of(s)) id += " " + more->hex();
  }
  return id;
}

std::optional<CachedModel> ModelCache::find(const std::string& model, const std::string& question) {
  if (folder_.empty()) return std::nullopt;
  const std::string id = identity(model);
  if (id.empty()) return std::nullopt;
  return load(id + "\n" + question, fs::path(absolute(model)).parent_path().string());
}

std::optional<CachedModel> ModelCache::find(const ContentHash& model, const std::string& question) {
  if (folder_.empty()) return std::nullopt;
  return load("graph " + model.hex() + "\n" + question, "");
}

std::optional<CachedModel> ModelCache::load(const std::string& model_key, const std::string& base) {
  const std::string key = model_key + "\n" + build_identity();
  const std::string path = entry(key);
  const auto stamp = file_stamp(path);
  if (!stamp) {
    std::error_code e;
    if (fs::exists(fs::symlink_status(path, e))) warn("not a readable file, compiled anew", path);
    return std::nullopt;
  }
  const auto trusted = FileStamp::parse(read_small(stamp_path(path)));
  const bool known = trusted == stamp && !verify_all();
  CachedModel found;
  try {
    HoneFile file = read_hone(path, ReadHoneOptions{.checksums = !known, .key_file = {}});
    const auto own = file.metadata.find(key_field);
    if (own == file.metadata.end() || own->second != key || file.programs.size() != 1)
      throw Error(ErrorCode::unreadable, "[cache] made for another model, build or CPU");
    // One line a file: hash, path seen from the model's folder.
    const std::string& list = file.metadata[files_field];
    for (size_t at = 0; at < list.size();) {
      const size_t end = list.find('\n', at);
      if (end == std::string::npos || end - at < 34)
        throw Error(ErrorCode::unreadable, "[cache] a damaged list of files");
      const auto h = hash_of((fs::path(base) / list.substr(at + 33, end - at - 33)).string());
      if (!h || h->hex() != list.substr(at, 32)) return std::nullopt;  // weights have changed: no reason to warn
      at = end + 1;
    }
    file.metadata.erase(key_field);
    file.metadata.erase(files_field);
    found = {std::make_shared<const Program>(std::move(file.programs[0])), std::move(file.metadata)};
  } catch (const Error& e) {
    warn(std::string("compiled anew (") + e.message() + ")", path);
    return std::nullopt;
  }
  // The stamp's own time is that of the last use.
  if (known)
    (void)utimensat(AT_FDCWD, stamp_path(path).c_str(), nullptr, 0);
  else if (is_settled(*stamp))
    write_small(stamp_path(path), stamp->text());
  return found;
}

void ModelCache::store(const std::string& model, const std::string& question, const std::vector<std::string>& files,
                       const Program& program, std::map<std::string, std::string> metadata) {
  if (folder_.empty()) return;
  const std::string id = identity(model);
  if (id.empty()) return;
  const fs::path base = fs::path(absolute(model)).parent_path();
  std::string list;
  for (const std::string& f : files) {
    const std::string relative = fs::path(absolute(f)).lexically_relative(base).string();
    // The model itself is in the key already.
    if (absolute(f) == absolute(model)) continue;
    const auto h = hash_of(f);
    if (!h || relative.empty() || relative.find('\n') != std::string::npos) return;
    list += h->hex() + " " + relative + "\n";
  }
  metadata[files_field] = list;
  save(id + "\n" + question, program, std::move(metadata));
}

void ModelCache::store(const ContentHash& model, const std::string& question, const Program& program,
                       std::map<std::string, std::string> metadata) {
  if (folder_.empty()) return;
  save("graph " + model.hex() + "\n" + question, program, std::move(metadata));
}

void ModelCache::save(const std::string& model_key, const Program& program,
                      std::map<std::string, std::string> metadata) {
  const std::string key = model_key + "\n" + build_identity();
  const std::string path = entry(key);
  uint64_t bytes = 0;
  for (const Tensor& c : program.constants) bytes += c.byte_size();
  if (bytes > limit_) return;
  std::error_code e;
  const bool fresh = fs::create_directories(folder_, e);
  if (e) return warn("the folder cannot be made (" + e.message() + "), going on without", folder_);
  if (fresh) fs::permissions(folder_, fs::perms::owner_all, e);
  metadata[key_field] = key;
  HoneFile file;
  file.metadata = std::move(metadata);
  file.programs.push_back(program);
  std::lock_guard lock(write_lock());
  try {
    // The old stamp goes first: it must never stand beside an entry that it was not made for.
    ::unlink(stamp_path(path).c_str());
    write_hone(path, file);
  } catch (const Error& error) {
    return warn(std::string("not stored (") + error.message() + ")", path);
  }
  if (const auto stamp = file_stamp(path)) {
    prune();
    // A write within the same tick of the clock would go unseen: let the tick pass.
    if (!is_settled(*stamp)) std::this_thread::sleep_for(std::chrono::milliseconds(21));
    if (is_settled(*stamp) && file_stamp(path) == stamp) write_small(stamp_path(path), stamp->text());
  }
}

void ModelCache::prune() {
  struct Item {
    std::string path;
    uint64_t size;
    fs::file_time_type used;
  };
  std::vector<Item> items;
  uint64_t total = 0;
  std::error_code e;
  const auto now = fs::file_time_type::clock::now();
  for (auto it = fs::directory_iterator(folder_, e); !e && it != fs::directory_iterator(); it.increment(e)) {
    std::error_code gone;  // another process may be pruning too
    const std::string path = it->path().string();
    const auto written = fs::last_write_time(it->path(), gone);
    if (gone) continue;
    if (path.ends_with(".hone")) {
      const uint64_t size = it->file_size(gone);
      if (gone) continue;
      const auto used = fs::last_write_time(stamp_path(path), gone);
      items.push_back({path, size, gone ? written : std::max(used, written)});
      total += size;
    } else if (path.find(".tmp") != std::string::npos && now - written > std::chrono::hours(1)) {
      fs::remove(path, gone);  // of a process that was killed
    } else if (path.ends_with(".source") && now - written > std::chrono::hours(24 * 30)) {
      fs::remove(path, gone);
    }
  }
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.used < b.used; });
  for (const Item& item : items) {
    if (total <= limit_) break;
    ::unlink(item.path.c_str());
    ::unlink(stamp_path(item.path).c_str());
    total -= item.size;
  }
}

}  // namespace hone
