#include "ops/extension.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <mutex>

#include "hone/error.hpp"

namespace hone {
namespace {

struct Library {
  std::string path;
  const hone_extension* extension;
};

struct Libraries {
  std::mutex mutex;
  std::deque<Library> list;
};

Libraries& libraries() {
  static Libraries l;
  return l;
}

std::string_view text(const char* s) {
  return s ? s : "";
}

// The description of a library whose entry point was found. Throws `Error` where it cannot be used.
const hone_extension* described(void* entry, const std::string& path) {
  const hone_extension* e = nullptr;
  try {
    e = reinterpret_cast<const hone_extension* (*)()>(entry)();
  } catch (...) {
    throw Error(ErrorCode::failed, "[extension] hone_extension_entry throws", path,
                "its functions must not throw: answer a status");
  }
  const auto refuse = [&](const std::string& what) {
    return Error(ErrorCode::unsupported, "[extension] " + what, path, "see include/hone/extension.h");
  };
  if (!e) throw refuse("hone_extension_entry answers null");
  if (e->abi != HONE_EXTENSION_ABI) {
    throw refuse("built for extension ABI " + std::to_string(e->abi) + ", this Hone has " +
                 std::to_string(HONE_EXTENSION_ABI) + ": build it against this Hone's header");
  }
  if (e->num_operators == 0 || !e->operators) throw refuse("the library has no operators");
  for (size_t i = 0; i < e->num_operators; ++i) {
    const hone_ext_operator& op = e->operators[i];
    if (text(op.type).empty() || !op.infer || !op.evaluate || op.min_inputs < 0)
      throw refuse("operator " + std::to_string(i) + " lacks its type or a function");
  }
  return e;
}

const hone_ext_operator* find_in(const std::deque<Library>& list, std::string_view domain, std::string_view type,
                                 bool any_domain) {
  for (const Library& l : list) {
    for (size_t i = 0; i < l.extension->num_operators; ++i) {
      const hone_ext_operator& op = l.extension->operators[i];
      if (text(op.type) == type && (any_domain || text(op.domain).empty() || text(op.domain) == domain)) return &op;
    }
  }
  return nullptr;
}

}  // namespace

void load_extension(const std::string& path) {
  std::error_code code;
  const std::string file = std::filesystem::canonical(path, code).string();
  if (code) throw Error(ErrorCode::unreadable, "[extension] cannot be opened: " + code.message(), path);
  Libraries& all = libraries();
  std::lock_guard lock(all.mutex);
  if (std::any_of(all.list.begin(), all.list.end(), [&](const Library& l) { return l.path == file; })) return;
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    throw Error(ErrorCode::unreadable,
                std::string("[extension] no shared library for this machine: ") + (why ? why : ""), path);
  }
  try {
    void* entry = dlsym(library, "hone_extension_entry");
    if (!entry)
      throw Error(ErrorCode::unsupported, "[extension] the library has no hone_extension_entry", path,
                  "see include/hone/extension.h");
    const hone_extension* e = described(entry, path);
    for (size_t i = 0; i < e->num_operators; ++i) {
      const std::string domain(text(e->operators[i].domain)), type(text(e->operators[i].type));
      if (find_in(all.list, domain, type, false)) {
        throw Error(
            ErrorCode::unsupported,
            "[extension] another library has operator " + (domain.empty() ? "" : domain + "::") + type + " already",
            path);
      }
    }
    all.list.push_back({file, e});
  } catch (...) {
    dlclose(library);
    throw;
  }
}

std::vector<std::string> loaded_extensions() {
  Libraries& all = libraries();
  std::lock_guard lock(all.mutex);
  std::vector<std::string> out;
  for (const Library& l : all.list) out.push_back(l.path);
  return out;
}

const hone_ext_operator* find_extension(std::string_view domain, std::string_view type, bool any_domain) {
  Libraries& all = libraries();
  std::lock_guard lock(all.mutex);
  return find_in(all.list, domain, type, any_domain);
}

}  // namespace hone
