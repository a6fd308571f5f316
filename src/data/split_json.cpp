#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/file.hpp"
#include "data/split.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

using nlohmann::json;

/// Samples of a file with numbers have no names worth repeating: ascending indices as [first, count] runs.
json runs_of(const std::vector<uint32_t>& v) {
  json runs = json::array();
  for (size_t i = 0; i < v.size();) {
    size_t n = 1;
    while (i + n < v.size() && v[i + n] == v[i] + n) ++n;
    runs.push_back({v[i], n});
    i += n;
  }
  return runs;
}

/// An id as JSON can hold it: names of files need not be UTF-8, JSON text must.
std::string json_id(const std::string& id) {
  try {
    (void)json(id).dump();
    return id;
  } catch (const json::exception&) {
    std::string out = "bytes:";
    for (unsigned char c : id) {
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    }
    return out;
  }
}

[[noreturn]] void bad(std::string_view name, const std::string& what,
                      const std::string& hint = "make the split again") {
  throw Error(ErrorCode::unreadable, "[split] " + what, std::string(name), hint);
}

}  // namespace

std::string split_to_json(const Split& split, const Dataset& data) {
  json j = {{"kind", split.kind}, {"seed", split.seed}, {"data_revision", split.revision}};
  const auto put = [&](const char* key, const std::vector<uint32_t>& samples) {
    j["counts"][key] = samples.size();
    if (!data.names_are_numbers()) {
      json ids = json::array();
      for (uint32_t i : samples) ids.push_back(json_id(data.id(i)));
      j["samples"][key] = std::move(ids);
    } else {
      j["ranges"][key] = runs_of(samples);
    }
  };
  put("train", split.train);
  put("val", split.val);
  put("test", split.test);
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Split split_from_json(std::string_view text, const Dataset& data, std::string_view name) {
  Split s;
  try {
    const json j = json::parse(text);
    s.kind = j.at("kind").get<std::string>();
    s.seed = j.at("seed").get<uint64_t>();
    s.revision = j.at("data_revision").get<std::string>();
    std::vector<bool> taken(data.size(), false);
    const auto add = [&](std::vector<uint32_t>& to, uint64_t i) {
      if (i >= data.size()) bad(name, "a sample number lies outside of the data");
      if (taken[i]) bad(name, "the sample " + data.id(i) + " occurs twice");
      taken[i] = true;
      to.push_back(uint32_t(i));
    };
    const std::pair<const char*, std::vector<uint32_t>*> parts[] = {
        {"train", &s.train}, {"val", &s.val}, {"test", &s.test}};
    if (!data.names_are_numbers()) {
      std::unordered_map<std::string, uint32_t> index;
      for (uint32_t i = 0; i < data.size(); ++i) index.emplace(json_id(data.id(i)), i);
      for (const auto& [key, to] : parts) {
        for (const auto& id : j.at("samples").at(key)) {
          const auto at = index.find(id.get<std::string>());
          if (at == index.end()) bad(name, "the sample " + id.get<std::string>() + " is not in " + data.path());
          add(*to, at->second);
        }
      }
    } else {
      if (s.revision != data.revision()) bad(name, "the split was made for another revision of " + data.path());
      for (const auto& [key, to] : parts) {
        for (const auto& run : j.at("ranges").at(key)) {
          const auto first = run.at(0).get<uint64_t>(), count = run.at(1).get<uint64_t>();
          if (first > data.size() || count > data.size() - first)
            bad(name, "a range of samples lies outside of the data");
          for (uint64_t i = 0; i < count; ++i) add(*to, first + i);
        }
      }
    }
    for (const auto& [key, to] : parts) std::sort(to->begin(), to->end());
  } catch (const json::exception& e) {
    bad(name, std::string("not a split (") + e.what() + ")");
  }
  return s;
}

void save_split(const std::string& path, const Split& split, const Dataset& data) {
  write_file(path, split_to_json(split, data));
}

Split load_split(const std::string& path, const Dataset& data) {
  return split_from_json(read_text_file(path), data, path);
}

}  // namespace hone::data
