#include "formats/pytorch/strided.hpp"

#include <cstring>

#include "base/checked.hpp"

namespace hone::pytorch {
namespace {

struct Row {
  int64_t number;
  ElementType type;
};
constexpr Row rows[] = {{1, ElementType::u8},      {2, ElementType::i8},          {3, ElementType::i16},
                        {4, ElementType::i32},     {5, ElementType::i64},         {6, ElementType::f16},
                        {7, ElementType::f32},     {8, ElementType::f64},         {12, ElementType::boolean},
                        {13, ElementType::bf16},   {28, ElementType::u16},        {29, ElementType::f8e4m3},
                        {30, ElementType::f8e5m2}, {31, ElementType::f8e4m3fnuz}, {32, ElementType::f8e5m2fnuz},
                        {33, ElementType::f8e8m0}, {34, ElementType::u32},        {35, ElementType::u64}};

int64_t width_of(ElementType t) {
  return bit_width(t) / 8;
}

}  // namespace

std::optional<ElementType> scalar_type(int64_t number) {
  for (const Row& r : rows) {
    if (r.number == number) return r.type;
  }
  return std::nullopt;
}

std::string scalar_type_name(int64_t number) {
  if (const auto t = scalar_type(number)) return name_of(*t);
  if (number >= 9 && number <= 11) return "complex";
  return "number " + std::to_string(number);
}

Tensor strided_view(const Blob& storage, ElementType type, const Shape& sizes, const std::vector<int64_t>& strides,
                    int64_t offset) {
  const auto outside = [] {
    return Error(ErrorCode::unreadable, "[tensor] a tensor reaches outside of its storage", "",
                 "check that the file is whole");
  };
  if (sizes.size() != strides.size()) throw Error(ErrorCode::unreadable, "[tensor] sizes and strides differ in number");
  if (offset < 0) throw outside();
  const int64_t count = element_count(sizes);
  const int64_t width = width_of(type);
  const int64_t available = static_cast<int64_t>(storage.bytes.size()) / width;
  if (count == 0) return Tensor(type, sizes);
  int64_t last = offset, expected = 1;
  bool contiguous = true;
  for (size_t k = sizes.size(); k-- > 0;) {
    if (strides[k] < 0) throw outside();
    last = checked_add(last, checked_mul(strides[k], sizes[k] - 1));
    if (sizes[k] != 1 && strides[k] != expected) contiguous = false;
    expected *= sizes[k];
  }
  if (last >= available) throw outside();
  const char* base = storage.bytes.data() + offset * width;
  // Booleans may hold any byte in a file; 0 and 1 alone in memory.
  if (contiguous && type != ElementType::boolean && reinterpret_cast<uintptr_t>(base) % static_cast<size_t>(width) == 0)
    return Tensor(type, sizes, base, storage.owner);
  // Broadcast dimensions (stride 0) could make a small file ask for any amount.
  if (count > available && count > (int64_t{1} << 28))
    throw Error(ErrorCode::unsafe, "[tensor] a tensor with repeated elements is too large");
  Tensor t(type, sizes);
  auto* to = static_cast<char*>(t.raw());
  std::vector<int64_t> at(sizes.size(), 0);
  int64_t from = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * width, base + from * width, static_cast<size_t>(width));
    if (type == ElementType::boolean) to[i] = to[i] != 0;
    for (size_t k = sizes.size(); k-- > 0;) {
      from += strides[k];
      if (++at[k] < sizes[k]) break;
      from -= strides[k] * sizes[k];
      at[k] = 0;
    }
  }
  return t;
}

}  // namespace hone::pytorch
