#include "formats/pytorch/pickle.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <span>

#include "hone/error.hpp"

namespace hone::pytorch {
namespace {

using Kind = PickleValue::Kind;

[[noreturn]] void malformed(const std::string& what) {
  throw Error(ErrorCode::unreadable, "[pickle] " + what, "", "check that the file is whole");
}

PickleValue value(Kind kind, int64_t integer = 0, double real = 0) {
  PickleValue v;
  v.kind = kind;
  v.integer = integer;
  v.real = real;
  return v;
}
PickleValue text_value(Kind kind, std::string_view text) {
  PickleValue v;
  v.kind = kind;
  v.text = text;
  return v;
}

struct StorageName {
  std::string_view name;
  ElementType type;
};
constexpr StorageName storages[] = {
    {"torch DoubleStorage", ElementType::f64},
    {"torch FloatStorage", ElementType::f32},
    {"torch HalfStorage", ElementType::f16},
    {"torch BFloat16Storage", ElementType::bf16},
    {"torch LongStorage", ElementType::i64},
    {"torch IntStorage", ElementType::i32},
    {"torch ShortStorage", ElementType::i16},
    {"torch CharStorage", ElementType::i8},
    {"torch ByteStorage", ElementType::u8},
    {"torch BoolStorage", ElementType::boolean},
    {"torch.storage UntypedStorage", ElementType::u8},
    {"torch UntypedStorage", ElementType::u8},
};
constexpr StorageName types[] = {
    {"torch float64", ElementType::f64},        {"torch float32", ElementType::f32},
    {"torch float16", ElementType::f16},        {"torch bfloat16", ElementType::bf16},
    {"torch int64", ElementType::i64},          {"torch int32", ElementType::i32},
    {"torch int16", ElementType::i16},          {"torch int8", ElementType::i8},
    {"torch uint8", ElementType::u8},           {"torch uint16", ElementType::u16},
    {"torch uint32", ElementType::u32},         {"torch uint64", ElementType::u64},
    {"torch bool", ElementType::boolean},       {"torch float8_e4m3fn", ElementType::f8e4m3},
    {"torch float8_e5m2", ElementType::f8e5m2},
};
// What state dicts call: containers, and the functions that put a tensor together.
constexpr std::string_view functions[] = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch device",
    "collections defaultdict",
    "torch.serialization _get_layout",
};

const ElementType* type_named(std::span<const StorageName> list, std::string_view name) {
  for (const StorageName& s : list) {
    if (s.name == name) return &s.type;
  }
  return nullptr;
}

int64_t integer(const PickleValue& v) {
  if (v.kind != Kind::integer && v.kind != Kind::boolean) malformed("a number is missing");
  return v.integer;
}
std::vector<int64_t> integers(const PickleValue& v) {
  if (v.kind != Kind::tuple && v.kind != Kind::list) malformed("sizes are no tuple");
  std::vector<int64_t> out;
  for (const PickleValue& e : v.container->items) out.push_back(integer(e));
  return out;
}

}  // namespace

std::string_view Unpickler::take(uint64_t size) {
  if (size > bytes_.size() - at_) malformed("the pickle is truncated");
  const std::string_view part = bytes_.substr(at_, size);
  at_ += size;
  return part;
}
uint64_t Unpickler::number(size_t width) {
  const std::string_view b = take(width);
  uint64_t v = 0;
  for (size_t k = width; k-- > 0;) v = v << 8 | static_cast<uint8_t>(b[k]);
  return v;
}
std::string_view Unpickler::line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) malformed("the pickle is truncated");
  const std::string_view l = bytes_.substr(at_, end - at_);
  at_ = end + 1;
  return l;
}
std::string_view Unpickler::kept(std::string text) {
  texts_.push_back(std::move(text));
  return texts_.back();
}

PickleValue& Unpickler::top() {
  if (stack_.empty() || stack_.back().kind == Kind::mark) malformed("the stack is empty");
  return stack_.back();
}
PickleValue Unpickler::pop() {
  const PickleValue v = top();
  stack_.pop_back();
  return v;
}
std::vector<PickleValue> Unpickler::pop_to_mark() {
  size_t at = stack_.size();
  while (at > 0 && stack_[at - 1].kind != Kind::mark) --at;
  if (at == 0) malformed("a mark is missing");
  std::vector<PickleValue> items(stack_.begin() + static_cast<std::ptrdiff_t>(at), stack_.end());
  stack_.resize(at - 1);
  return items;
}
PickleValue Unpickler::contained(Kind kind, std::vector<PickleValue> items) {
  containers_.emplace_back();
  containers_.back().items = std::move(items);
  PickleValue v = value(kind);
  v.container = &containers_.back();
  return v;
}
void Unpickler::remember(uint64_t key) {
  memo_[key] = top();
}

PickleValue Unpickler::global(std::string_view module, std::string_view name) {
  const std::string_view full = kept(std::string(module) + " " + std::string(name));
  bool known = type_named(storages, full) || type_named(types, full);
  for (std::string_view f : functions) known |= f == full;
  if (!known) {
    throw Error(ErrorCode::unsafe,
                "[pickle] the file asks for '" + std::string(module) + "." + std::string(name) +
                    "', which a dictionary of tensors does not need",
                "", "save the weights alone: torch.save(model.state_dict(), FILE)");
  }
  return text_value(Kind::global, full);
}

PickleValue Unpickler::tensor_of(const std::vector<PickleValue>& a) {
  if (a.size() < 4 || a[0].kind != Kind::storage) malformed("a tensor has no storage");
  PickleValue v = contained(Kind::tensor);
  v.container->tensor = {a[0].container->storage, integers(a[2]), integers(a[3]), integer(a[1])};
  return v;
}

PickleValue Unpickler::reduced(const PickleValue& callable, const PickleValue& arguments) {
  if (callable.kind != Kind::global || arguments.kind != Kind::tuple)
    malformed("something is called that is no known name");
  const std::vector<PickleValue>& a = arguments.container->items;
  if (callable.text.ends_with("OrderedDict") || callable.text.ends_with("defaultdict")) {
    PickleValue d = contained(Kind::dictionary);
    // Before Python 3 the items were given as a list of pairs.
    if (!a.empty() && (a[0].kind == Kind::list || a[0].kind == Kind::tuple)) {
      for (const PickleValue& pair : a[0].container->items) {
        if (!pair.container || pair.container->items.size() != 2) malformed("a dictionary item is no pair");
        d.container->items.insert(d.container->items.end(), pair.container->items.begin(), pair.container->items.end());
      }
    }
    return d;
  }
  if (callable.text == "torch._utils _rebuild_tensor_v3") {
    // The storage is bytes; the element type stands last.
    const ElementType* t = a.size() > 6 && a[6].kind == Kind::global ? type_named(types, a[6].text) : nullptr;
    if (!t || a[0].kind != Kind::storage) malformed("a tensor has no element type");
    PickleValue v = tensor_of(a);
    StorageReference& s = v.container->tensor.storage;
    s.type = *t;
    s.size = s.size * 8 / std::max(8, bit_width(*t));
    return v;
  }
  if (callable.text.starts_with("torch._utils _rebuild_tensor")) return tensor_of(a);
  if (callable.text == "torch._utils _rebuild_parameter") {
    if (a.empty() || a[0].kind != Kind::tensor) malformed("a parameter holds no tensor");
    return a[0];
  }
  if (callable.text == "torch Size") return a.empty() ? contained(Kind::tuple) : a[0];
  return value(Kind::none);  // devices and layouts mean nothing here
}

PickleValue Unpickler::persistent(const PickleValue& id) {
  if (id.kind != Kind::tuple || id.container->items.size() < 5) malformed("a storage reference is no tuple");
  const std::vector<PickleValue>& a = id.container->items;
  if (a[0].kind != Kind::text || a[0].text != "storage" || a[1].kind != Kind::global || a[2].kind != Kind::text)
    malformed("a storage reference is malformed");
  const ElementType* t = type_named(storages, a[1].text);
  if (!t) malformed("a storage has no known type");
  PickleValue v = contained(Kind::storage);
  v.container->storage = {*t, a[2].text, integer(a[4]), 0};
  if (a.size() > 5 && a[5].kind == Kind::tuple && a[5].container->items.size() == 3)
    v.container->storage.offset = integer(a[5].container->items[1]);
  return v;
}

void Unpickler::step(uint8_t opcode) {
  const auto push = [&](PickleValue v) { stack_.push_back(v); };
  const auto tuple_of = [&](size_t n) {
    std::vector<PickleValue> items(n);
    for (size_t k = n; k-- > 0;) items[k] = pop();
    push(contained(Kind::tuple, std::move(items)));
  };
  const auto extend = [&](Kind kind, const std::vector<PickleValue>& items) {
    if (top().kind != kind || (kind == Kind::dictionary && items.size() % 2 != 0))
      malformed("items are added to something else");
    auto& to = top().container->items;
    to.insert(to.end(), items.begin(), items.end());
  };
  switch (opcode) {
    case 0x80:
      take(1);
      return;  // PROTO
    case 0x95:
      take(8);
      return;  // FRAME
    case '(':
      push(value(Kind::mark));
      return;
    case '0':
      pop();
      return;
    case '1':
      pop_to_mark();
      return;
    case '2':
      push(top());
      return;
    case 'N':
      push(value(Kind::none));
      return;
    case 0x88:
      push(value(Kind::boolean, 1));
      return;
    case 0x89:
      push(value(Kind::boolean, 0));
      return;
    case 'J':
      push(value(Kind::integer, static_cast<int32_t>(number(4))));
      return;
    case 'K':
      push(value(Kind::integer, static_cast<int64_t>(number(1))));
      return;
    case 'M':
      push(value(Kind::integer, static_cast<int64_t>(number(2))));
      return;
    case 0x8a: {  // LONG1
      const std::string_view b = take(number(1));
      if (b.size() > 8) return push(text_value(Kind::big_integer, b));
      uint64_t v = !b.empty() && (b.back() & 0x80) ? ~uint64_t{0} : 0;
      for (size_t k = b.size(); k-- > 0;) v = v << 8 | static_cast<uint8_t>(b[k]);
      return push(value(Kind::integer, static_cast<int64_t>(v)));
    }
    case 'I':
    case 'L': {
      std::string_view l = line();
      if (l == "00" || l == "01") return push(value(Kind::boolean, l == "01"));
      if (l.ends_with('L')) l.remove_suffix(1);
      int64_t v = 0;
      if (std::from_chars(l.data(), l.data() + l.size(), v).ec != std::errc())
        return push(text_value(Kind::big_integer, l));
      return push(value(Kind::integer, v));
    }
    case 'F': {
      const std::string_view l = line();
      double v = 0;
      if (std::from_chars(l.data(), l.data() + l.size(), v).ec != std::errc()) malformed("a number is malformed");
      return push(value(Kind::real, 0, v));
    }
    case 'G': {
      const std::string_view b = take(8);  // big-endian
      uint64_t bits = 0;
      for (char c : b) bits = bits << 8 | static_cast<uint8_t>(c);
      double v;
      std::memcpy(&v, &bits, sizeof v);
      return push(value(Kind::real, 0, v));
    }
    case 'U':
    case 'C':
    case 0x8c:
      return push(text_value(Kind::text, take(number(1))));  // short text and bytes
    case 'T':
    case 'B':
    case 'X':
      return push(text_value(Kind::text, take(number(4))));
    case 0x8d:
    case 0x8e:
      return push(text_value(Kind::text, take(number(8))));
    case 'S': {
      std::string_view l = line();
      if (l.size() < 2) malformed("a text is malformed");
      return push(text_value(Kind::text, l.substr(1, l.size() - 2)));
    }
    case 'V':
      return push(text_value(Kind::text, line()));
    case ')':
      return push(contained(Kind::tuple));
    case 0x85:
      return tuple_of(1);
    case 0x86:
      return tuple_of(2);
    case 0x87:
      return tuple_of(3);
    case 't':
      return push(contained(Kind::tuple, pop_to_mark()));
    case ']':
      return push(contained(Kind::list));
    case 'l':
      return push(contained(Kind::list, pop_to_mark()));
    case '}':
      return push(contained(Kind::dictionary));
    case 'd': {
      auto items = pop_to_mark();
      if (items.size() % 2 != 0) malformed("a dictionary has a key without a value");
      return push(contained(Kind::dictionary, std::move(items)));
    }
    case 'a': {
      const PickleValue v = pop();
      return extend(Kind::list, {v});
    }
    case 'e': {
      const auto items = pop_to_mark();
      return extend(Kind::list, items);
    }
    case 's': {
      const PickleValue v = pop(), k = pop();
      return extend(Kind::dictionary, {k, v});
    }
    case 'u': {
      const auto items = pop_to_mark();
      return extend(Kind::dictionary, items);
    }
    case 'q':
      return remember(number(1));
    case 'r':
      return remember(number(4));
    case 0x94:
      return remember(memo_.size());
    case 'p':
    case 'g': {
      const std::string_view l = line();
      uint64_t key = 0;
      if (std::from_chars(l.data(), l.data() + l.size(), key).ec != std::errc()) malformed("a memo key is malformed");
      if (opcode == 'p') return remember(key);
      const auto it = memo_.find(key);
      if (it == memo_.end()) malformed("a memo entry is missing");
      return push(it->second);
    }
    case 'h':
    case 'j': {
      const auto it = memo_.find(number(opcode == 'h' ? 1 : 4));
      if (it == memo_.end()) malformed("a memo entry is missing");
      return push(it->second);
    }
    case 'c': {
      const std::string_view module = line(), name = line();
      return push(global(module, name));
    }
    case 0x93: {
      const PickleValue name = pop(), module = pop();
      if (name.kind != Kind::text || module.kind != Kind::text) malformed("a name is no text");
      return push(global(module.text, name.text));
    }
    case 'R': {
      const PickleValue arguments = pop(), callable = pop();
      return push(reduced(callable, arguments));
    }
    case 0x81: {
      const PickleValue arguments = pop(), callable = pop();
      return push(reduced(callable, arguments));
    }
    case 'b': {
      pop();  // attributes beside the items, `_metadata` of a state dict
      if (top().kind != Kind::dictionary) malformed("a state is given to something that is no dictionary");
      return;
    }
    case 'Q': {
      const PickleValue id = pop();
      return push(persistent(id));
    }
    default:
      break;
  }
  char hex[8];
  std::snprintf(hex, sizeof hex, "0x%02x", opcode);
  throw Error(ErrorCode::unsafe,
              std::string("[pickle] opcode ") + hex + " is not read: a dictionary of tensors does not need it", "",
              "save the weights alone: torch.save(model.state_dict(), FILE)");
}

PickleValue Unpickler::next() {
  stack_.clear();
  memo_.clear();
  for (;;) {
    const auto opcode = static_cast<uint8_t>(number(1));
    if (opcode == '.') break;
    step(opcode);
  }
  return pop();
}

}  // namespace hone::pytorch
