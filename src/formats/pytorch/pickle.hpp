// A restricted unpickler: the opcodes and names that dictionaries of tensors need, and nothing else. It builds values;
// it never calls anything that a file names.
#pragma once
#include <deque>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hone/tensor.hpp"

namespace hone::pytorch {

struct PickleContainer;

/// A storage as a pickle refers to it; its bytes lie elsewhere in the file.
struct StorageReference {
  ElementType type = ElementType::dynamic;
  std::string_view key;
  int64_t size = 0;    ///< in elements
  int64_t offset = 0;  ///< of a view in the storage `key`
};
struct TensorReference {
  StorageReference storage;
  Shape sizes;
  std::vector<int64_t> strides;
  int64_t offset = 0;
};

struct PickleValue {
  enum class Kind {
    none,
    boolean,
    integer,
    real,
    text,
    big_integer,
    list,
    tuple,
    dictionary,
    global,
    storage,
    tensor,
    mark
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string_view text;                 ///< text, bytes of a big integer, "module name" of a global
  PickleContainer* container = nullptr;  ///< owned by the unpickler
};
struct PickleContainer {
  std::vector<PickleValue> items;  ///< keys and values take turns in a dictionary
  StorageReference storage;
  TensorReference tensor;
};

class Unpickler {
 public:
  explicit Unpickler(std::string_view bytes) : bytes_(bytes) {}
  /// The next pickle of the stream. Values live as long as the unpickler. Throws `Error`: unreadable (malformed),
  /// unsafe (a name that state dicts do not need).
  PickleValue next();
  size_t position() const { return at_; }

 private:
  uint64_t number(size_t width);
  std::string_view take(uint64_t size);
  std::string_view line();
  PickleValue pop();
  PickleValue& top();
  std::vector<PickleValue> pop_to_mark();
  PickleValue contained(PickleValue::Kind kind, std::vector<PickleValue> items = {});
  std::string_view kept(std::string text);
  void remember(uint64_t key);
  void step(uint8_t opcode);
  PickleValue global(std::string_view module, std::string_view name);
  PickleValue reduced(const PickleValue& callable, const PickleValue& arguments);
  PickleValue persistent(const PickleValue& id);
  PickleValue tensor_of(const std::vector<PickleValue>& arguments);

  std::string_view bytes_;
  size_t at_ = 0;
  std::vector<PickleValue> stack_;
  std::unordered_map<uint64_t, PickleValue> memo_;
  std::deque<PickleContainer> containers_;
  std::deque<std::string> texts_;
};

}  // namespace hone::pytorch
