#include "formats/pytorch/state_dict.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <unordered_map>

#include "formats/pytorch/pickle.hpp"
#include "formats/pytorch/strided.hpp"
#include "formats/safetensors/safetensors.hpp"
#include "hone/error.hpp"

namespace hone {

const Tensor* StateDict::find(const std::string& name) const {
  for (const auto& [n, t] : tensors) {
    if (n == name) return &t;
  }
  return nullptr;
}

namespace pytorch {
namespace {

using Kind = PickleValue::Kind;
using Storages = std::function<Blob(const StorageReference&)>;

bool holds_tensors(const PickleValue& d) {
  if (d.kind != Kind::dictionary) return false;
  for (size_t k = 1; k < d.container->items.size(); k += 2) {
    if (d.container->items[k].kind == Kind::tensor) return true;
  }
  return false;
}

// A checkpoint keeps the weights beside the epoch, the optimizer and the like.
const PickleValue& weights_in(const PickleValue& root) {
  if (holds_tensors(root)) return root;
  if (root.kind != Kind::dictionary)
    throw Error(ErrorCode::unsupported, "[weights] the file holds no dictionary of tensors", "",
                "save the weights alone: torch.save(model.state_dict(), FILE)");
  const auto& items = root.container->items;
  for (std::string_view wanted : {"state_dict", "model_state_dict", "model_state", "model", "net", "network",
                                  "params_ema", "params", "weights", "module"}) {
    for (size_t k = 0; k + 1 < items.size(); k += 2) {
      if (items[k].kind == Kind::text && items[k].text == wanted && holds_tensors(items[k + 1])) return items[k + 1];
    }
  }
  std::string keys;
  for (size_t k = 0; k + 1 < items.size() && k < 20; k += 2) {
    if (items[k].kind == Kind::text) keys += (keys.empty() ? "" : ", ") + std::string(items[k].text.substr(0, 40));
  }
  throw Error(ErrorCode::unsupported, "[weights] the file holds no dictionary of tensors",
              keys.empty() ? "" : "keys " + keys, "save the weights alone: torch.save(model.state_dict(), FILE)");
}

StateDict tensors_of(const PickleValue& root, const Storages& storage) {
  StateDict out;
  if (root.kind == Kind::dictionary && root.container->items.empty()) return out;
  const auto& items = weights_in(root).container->items;
  for (size_t k = 0; k + 1 < items.size(); k += 2) {
    const PickleValue &key = items[k], &v = items[k + 1];
    if (key.kind != Kind::text || v.kind != Kind::tensor) continue;
    const TensorReference& t = v.container->tensor;
    try {
      Blob bytes = storage(t.storage);
      const auto limit = static_cast<uint64_t>(std::max<int64_t>(0, t.storage.size)) *
                         static_cast<uint64_t>(bit_width(t.storage.type) / 8);
      const auto skip = static_cast<uint64_t>(std::max<int64_t>(0, t.storage.offset)) *
                        static_cast<uint64_t>(bit_width(t.storage.type) / 8);
      bytes.bytes = bytes.bytes.substr(std::min<uint64_t>(skip, bytes.bytes.size())).substr(0, limit);
      out.tensors.emplace_back(std::string(key.text),
                               strided_view(bytes, t.storage.type, t.sizes, t.strides, t.offset));
    } catch (const Error& e) {
      throw e.at("weight '" + std::string(key.text) + "'");
    }
  }
  return out;
}

StateDict from_zip(const Blob& file) {
  const ZipArchive zip(file);
  const std::string& root = zip.root();
  if (!zip.has(root + "data.pkl"))
    throw Error(ErrorCode::unreadable, "[weights] the archive holds no data.pkl", "",
                "save the weights with torch.save(model.state_dict(), FILE)");
  for (const auto& [name, content] : zip.entries()) {
    if (name.starts_with(root + "code/") || name == root + "constants.pkl") {
      throw Error(ErrorCode::unsupported, "[read] TorchScript archives are not supported", "",
                  "export the network with torch.export.save (.pt2) or to ONNX");
    }
  }
  if (const std::string order = root + "byteorder"; zip.has(order) && zip.read(order).bytes != "little")
    throw Error(ErrorCode::unsupported, "[weights] the file was written on a big-endian machine");
  Unpickler unpickler(zip.read(root + "data.pkl").bytes);
  const PickleValue v = unpickler.next();
  return tensors_of(v, [&](const StorageReference& s) { return zip.read(root + "data/" + std::string(s.key)); });
}

constexpr std::string_view magic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

// Before PyTorch 1.6: pickles of a magic number, a version, the machine, the object and the keys of its storages, then
// for each storage its length (eight bytes) and its bytes.
StateDict from_stream(const Blob& file) {
  Unpickler unpickler(file.bytes);
  const PickleValue number = unpickler.next();
  if (number.kind != Kind::big_integer || number.text != magic)
    throw Error(ErrorCode::unreadable, "[weights] the file is no PyTorch checkpoint", "",
                "save the weights with torch.save(model.state_dict(), FILE)");
  if (const PickleValue version = unpickler.next(); version.kind != Kind::integer || version.integer != 1001)
    throw Error(ErrorCode::unsupported, "[weights] unknown version of the older checkpoint form");
  Unpickler machine(file.bytes.substr(unpickler.position()));
  const PickleValue system = machine.next();
  if (system.kind == Kind::dictionary) {
    const auto& items = system.container->items;
    for (size_t k = 0; k + 1 < items.size(); k += 2) {
      if (items[k].text == "little_endian" && items[k + 1].integer == 0)
        throw Error(ErrorCode::unsupported, "[weights] the file was written on a big-endian machine");
    }
  }
  const size_t object_at = unpickler.position() + machine.position();
  Unpickler objects(file.bytes.substr(object_at));
  const PickleValue root = objects.next();
  const size_t keys_at = object_at + objects.position();
  Unpickler key_list(file.bytes.substr(keys_at));
  const PickleValue keys = key_list.next();
  if (keys.kind != Kind::list && keys.kind != Kind::tuple)
    throw Error(ErrorCode::unreadable, "[weights] the list of storages is missing");

  // Element sizes are known from the tensors alone.
  std::unordered_map<std::string_view, int64_t> width;
  if (root.kind == Kind::dictionary && !root.container->items.empty()) {
    const auto note = [&](const PickleValue& d) {
      for (const PickleValue& v : d.container->items) {
        if (v.kind == Kind::tensor)
          width[v.container->tensor.storage.key] = bit_width(v.container->tensor.storage.type) / 8;
      }
    };
    note(weights_in(root));
  }
  std::unordered_map<std::string_view, std::string_view> found;
  uint64_t at = keys_at + key_list.position();
  for (const PickleValue& key : keys.container->items) {
    const auto it = width.find(key.text);
    // Storages of other parts of the checkpoint, the optimizer's, have no known width: nothing behind them can be
    // found.
    if (key.kind != Kind::text || it == width.end()) break;
    if (file.bytes.size() < 8 || at > file.bytes.size() - 8)
      throw Error(ErrorCode::unreadable, "[weights] the file is truncated", "", "check that the file is whole");
    uint64_t count = 0;
    for (size_t k = 8; k-- > 0;) count = count << 8 | static_cast<uint8_t>(file.bytes[at + k]);
    at += 8;
    if (count > (file.bytes.size() - at) / static_cast<uint64_t>(it->second))
      throw Error(ErrorCode::unreadable, "[weights] the file is truncated", "", "check that the file is whole");
    const uint64_t size = count * static_cast<uint64_t>(it->second);
    found[key.text] = file.bytes.substr(at, size);
    at += size;
  }
  return tensors_of(root, [&](const StorageReference& s) -> Blob {
    const auto it = found.find(s.key);
    if (it == found.end())
      throw Error(ErrorCode::unreadable, "[weights] a storage is missing", "",
                  "save the weights alone: torch.save(model.state_dict(), FILE)");
    return {it->second, file.owner};
  });
}

bool is_stream(std::string_view head) {
  return head.size() > 12 && head[0] == '\x80' && head.substr(2, 2) == "\x8a\x0a" &&
         head.substr(4, 8) == magic.substr(0, 8);
}

}  // namespace

StateDict unpickled_weights(const Blob& file) {
  return ZipArchive::is_zip(file.bytes) ? from_zip(file) : from_stream(file);
}

}  // namespace pytorch

StateDict parse_weights(const pytorch::Blob& file) {
  StateDict s = is_safetensors(file.bytes) ? parse_safetensors(file) : pytorch::unpickled_weights(file);
  // Training on several devices puts `module.` before every name.
  const std::string prefix = "module.";
  const bool all = !s.tensors.empty() && std::all_of(s.tensors.begin(), s.tensors.end(),
                                                     [&](const auto& t) { return t.first.starts_with(prefix); });
  if (all) {
    for (auto& [name, t] : s.tensors) name.erase(0, prefix.size());
  }
  return s;
}

StateDict read_weights(const std::string& path) {
  try {
    return parse_weights(pytorch::map_file(path));
  } catch (const Error& e) {
    throw e.at(path);
  }
}

bool is_weights_file(std::string_view head, const std::string& path) {
  std::string suffix = std::filesystem::path(path).extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (suffix == ".safetensors" || is_safetensors(head)) return true;
  const bool torch_suffix = suffix == ".pth" || suffix == ".pt" || suffix == ".th" || suffix == ".tar" ||
                            suffix == ".ckpt" || suffix == ".bin";
  if (pytorch::is_stream(head)) return true;
  return torch_suffix && pytorch::ZipArchive::is_zip(head);
}

}  // namespace hone
