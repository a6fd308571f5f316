#include "formats/tflite/schema.hpp"

#include <algorithm>

#include "hone/error.hpp"

namespace hone::tflite {
namespace {

[[noreturn]] void unreadable(const std::string& what, std::string_view where = {}) {
  throw Error(ErrorCode::unreadable, "[tflite] " + what, std::string(where), "check that the file is whole");
}

// Vectors of a hostile file may all be the same bytes: the sum of what is copied is bounded by a multiple of the file.
class Budget {
 public:
  explicit Budget(size_t file) : left_(16 * file + (size_t{1} << 20)) {}
  template <class V>
  V take(V v) {
    const size_t bytes = v.size() * sizeof(v[0]) + 64;
    if (bytes > left_) throw Error(ErrorCode::unsafe, "[tflite] the file describes far more than it holds");
    left_ -= bytes;
    return v;
  }
  size_t count(size_t n) {
    if (n * 64 > left_) throw Error(ErrorCode::unsafe, "[tflite] the file describes far more than it holds");
    left_ -= n * 64;
    return n;
  }

 private:
  size_t left_;
};

Scales scales_of(const Table& q, Budget& budget, std::string_view name) {
  Scales s;
  if (!q) return s;
  if (q.get<uint8_t>(4) != 0)
    throw Error(ErrorCode::unsupported, "[tflite] custom and blockwise quantization are not supported",
                "tensor '" + std::string(name) + "'");
  s.scale = budget.take(q.numbers<float>(2));
  s.zero = budget.take(q.numbers<int64_t>(3));
  s.axis = q.get<int32_t>(6);
  if (s.zero.empty()) s.zero.assign(s.scale.size(), 0);
  if (!s.zero.empty() && s.zero.size() != s.scale.size()) {
    if (s.zero.size() == 1)
      s.zero.assign(s.scale.size(), s.zero[0]);
    else if (!s.scale.empty())
      unreadable("scales and zero points differ in number", name);
  }
  for (float v : s.scale) {
    // Converters write zero for tensors that were never seen.
    if (!(v >= 0) || v > 3e38f) unreadable("a scale is not a positive number", name);
  }
  if (std::all_of(s.scale.begin(), s.scale.end(), [](float v) { return v == 0; })) s = {};
  return s;
}

TensorInfo tensor_of(const Table& t, Budget& budget) {
  TensorInfo i;
  i.shape = budget.take(t.numbers<int32_t>(0));
  i.type = static_cast<TensorType>(t.get<int8_t>(1));
  if (i.type < TensorType::f32 || i.type > TensorType::u4) {
    throw Error(ErrorCode::unsupported,
                "[tflite] tensor type " + std::to_string(static_cast<int>(i.type)) + " is not known",
                std::string(t.string(3)));
  }
  i.buffer = t.get<uint32_t>(2);
  i.name = t.string(3);
  i.scales = scales_of(t.table(4), budget, i.name);
  i.variable = t.get<bool>(5);
  i.sparsity = t.table(6);
  i.signature = budget.take(t.numbers<int32_t>(7));
  if (i.signature.size() != i.shape.size()) i.signature = i.shape;
  i.has_rank = t.get<bool>(8) || !i.shape.empty();
  for (int32_t d : i.shape) {
    if (d < -1) unreadable("a dimension is negative", i.name);
  }
  return i;
}

struct Code {
  int32_t builtin;
  int32_t version;
  std::string_view custom;
};

OperatorInfo operator_of(const Table& t, const std::vector<Code>& codes, Budget& budget) {
  OperatorInfo o;
  const auto index = t.get<uint32_t>(0);
  if (index >= codes.size()) unreadable("an operator has no operator code");
  o.code = codes[index].builtin;
  o.version = codes[index].version;
  o.custom = codes[index].custom;
  o.inputs = budget.take(t.numbers<int32_t>(1));
  o.outputs = budget.take(t.numbers<int32_t>(2));
  if (t.get<uint8_t>(3) != 0) o.options = t.table(4);
  o.custom_options = t.bytes(5);
  o.intermediates = budget.take(t.numbers<int32_t>(8));
  if (t.get<uint8_t>(11) != 0) o.options2 = t.table(12);
  return o;
}

SubgraphInfo subgraph_of(const Table& t, const std::vector<Code>& codes, Budget& budget) {
  SubgraphInfo s;
  s.name = t.string(4);
  const Tables tensors = t.tables(0), operators = t.tables(3);
  budget.count(tensors.size() + operators.size());
  for (size_t i = 0; i < tensors.size(); ++i) s.tensors.push_back(tensor_of(tensors[i], budget));
  s.inputs = budget.take(t.numbers<int32_t>(1));
  s.outputs = budget.take(t.numbers<int32_t>(2));
  for (size_t i = 0; i < operators.size(); ++i) s.operators.push_back(operator_of(operators[i], codes, budget));
  const auto check = [&](const std::vector<int32_t>& list, bool may_lack) {
    for (int32_t i : list) {
      if (i < (may_lack ? -1 : 0) || i >= static_cast<int64_t>(s.tensors.size()))
        unreadable("tensor " + std::to_string(i) + " does not exist", s.name);
    }
  };
  check(s.inputs, false);
  check(s.outputs, false);
  for (const OperatorInfo& o : s.operators) {
    check(o.inputs, true);
    check(o.outputs, true);
    check(o.intermediates, true);
  }
  return s;
}

std::vector<std::pair<std::string_view, uint32_t>> tensor_map(const Tables& list, Budget& budget) {
  std::vector<std::pair<std::string_view, uint32_t>> out;
  budget.count(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const Table t = list[i];
    out.emplace_back(t.string(0), t.get<uint32_t>(1));
  }
  return out;
}

}  // namespace

Model parse_model(Bytes file, std::shared_ptr<const void> owner) {
  Model m;
  m.file = file;
  m.owner = std::move(owner);
  const Table root = Table::root(file);
  const auto version = root.get<uint32_t>(0);
  if (version != 3) {
    throw Error(ErrorCode::unsupported, "[tflite] schema version " + std::to_string(version) + " is not known", "",
                "convert the model again with a current converter");
  }
  Budget budget(file.size());
  std::vector<Code> codes;
  const Tables list = root.tables(1);
  budget.count(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const Table c = list[i];
    // Old files have the code in a byte, which cannot hold those from 127 on.
    codes.push_back({std::max<int32_t>(c.get<int8_t>(0), c.get<int32_t>(3)), c.get<int32_t>(2, 1), c.string(1)});
  }
  const Tables buffers = root.tables(4);
  budget.count(buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Table b = buffers[i];
    const auto offset = b.get<uint64_t>(1), size = b.get<uint64_t>(2);
    if (offset > 1) {  // behind the FlatBuffer, for files beyond 2 GB
      if (offset > file.size() || size > file.size() - offset) unreadable("a buffer lies out of the file");
      m.buffers.push_back(file.subspan(offset, size));
    } else {
      m.buffers.push_back(b.bytes(0));
    }
  }
  const Tables subgraphs = root.tables(2);
  budget.count(subgraphs.size());
  if (subgraphs.size() == 0) unreadable("the file holds no graph");
  for (size_t i = 0; i < subgraphs.size(); ++i) m.subgraphs.push_back(subgraph_of(subgraphs[i], codes, budget));
  m.description = root.string(3);
  m.metadata = tensor_map(root.tables(6), budget);
  const Tables signatures = root.tables(7);
  budget.count(signatures.size());
  for (size_t i = 0; i < signatures.size(); ++i) {
    const Table t = signatures[i];
    m.signatures.push_back(
        {t.string(2), t.get<uint32_t>(4), tensor_map(t.tables(0), budget), tensor_map(t.tables(1), budget)});
  }
  return m;
}

ElementType element_type_of(TensorType t) {
  switch (t) {
    case TensorType::f32:
      return ElementType::f32;
    case TensorType::f16:
      return ElementType::f16;
    case TensorType::i32:
      return ElementType::i32;
    case TensorType::u8:
      return ElementType::u8;
    case TensorType::i64:
      return ElementType::i64;
    case TensorType::string:
      return ElementType::string;
    case TensorType::boolean:
      return ElementType::boolean;
    case TensorType::i16:
      return ElementType::i16;
    case TensorType::complex64:
      return ElementType::f32;
    case TensorType::i8:
      return ElementType::i8;
    case TensorType::f64:
      return ElementType::f64;
    case TensorType::complex128:
      return ElementType::f64;
    case TensorType::u64:
      return ElementType::u64;
    case TensorType::u32:
      return ElementType::u32;
    case TensorType::u16:
      return ElementType::u16;
    case TensorType::i4:
      return ElementType::i4;
    case TensorType::bf16:
      return ElementType::bf16;
    case TensorType::i2:
      return ElementType::i2;
    case TensorType::u4:
      return ElementType::u4;
    case TensorType::resource:
    case TensorType::variant:
      break;
  }
  return ElementType::dynamic;
}

const char* name_of(TensorType t) {
  static constexpr const char* names[] = {"FLOAT32",  "FLOAT16",  "INT32",     "UINT8",  "INT64",   "STRING",
                                          "BOOL",     "INT16",    "COMPLEX64", "INT8",   "FLOAT64", "COMPLEX128",
                                          "UINT64",   "RESOURCE", "VARIANT",   "UINT32", "UINT16",  "INT4",
                                          "BFLOAT16", "INT2",     "UINT4"};
  return names[static_cast<size_t>(t)];
}

}  // namespace hone::tflite
