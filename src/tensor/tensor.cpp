#include "hone/tensor.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/checked.hpp"
#include "tensor/small_floats.hpp"

namespace hone {
namespace {

constexpr size_t large_page = size_t{2} << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool watched = true;  // the sanitizer sees the ends of what malloc gives, not of pages
#else
constexpr bool watched = false;
#endif

// Weights and images of megabytes: zeroed by the system, on large pages where it has them (a fault each 4 KiB takes as
// long as the copy that follows), and given back when the tensor goes, so that weights are never in memory beside their
// packed forms.
std::shared_ptr<const void> large_pages(size_t bytes, const Shape& shape) {
  // Not at the beginning of a page: what is a whole number of pages long would end with one, and look like mapped
  // memory behind which nothing may be read.
  constexpr size_t before = 64;
  const size_t size = checked_add(bytes, before + 4095) / 4096 * 4096;
  const size_t room = checked_add(size, large_page);
  void* map = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw Error(ErrorCode::failed, "[tensor] out of memory for " + to_string(shape));
  auto* const begin = static_cast<uint8_t*>(map);
  auto* const data = begin + (large_page - reinterpret_cast<uintptr_t>(begin) % large_page) % large_page;
  if (data > begin) munmap(begin, static_cast<size_t>(data - begin));
  if (data + size < begin + room) munmap(data + size, static_cast<size_t>(begin + room - (data + size)));
#if defined(MADV_HUGEPAGE)
  (void)madvise(data, size, MADV_HUGEPAGE);
#endif
  return {data + before, [data, size](const void*) { munmap(data, size); }};
}

}  // namespace

Tensor::Tensor(ElementType type, Shape shape) : type_(type), shape_(std::move(shape)) {
  const auto n = static_cast<size_t>(element_count(shape_));
  if (type == ElementType::string) {
    strings_ = std::make_shared<std::vector<std::string>>(n);
    return;
  }
  if (type == ElementType::dynamic) throw Error(ErrorCode::failed, "[tensor] the element type is not known");
  const size_t bytes = hone::byte_size(type, n);
  const size_t padded = checked_add(bytes, size_t{64}) / 64 * 64 + 64;  // kernels may read one vector past the end
  void* p = nullptr;
  if (padded >= large_page && !watched) {
    owner_ = large_pages(padded, shape_);
    p = const_cast<void*>(owner_.get());
  } else if (padded >= (1u << 20)) {
    // Fresh zero pages: calloc avoids touching them.
    auto* raw = static_cast<uint8_t*>(std::calloc(1, padded + 64));
    if (!raw) throw Error(ErrorCode::failed, "[tensor] out of memory for " + to_string(shape_));
    owner_ = std::shared_ptr<const void>(raw, [](const void* q) { std::free(const_cast<void*>(q)); });
    p = raw + (64 - reinterpret_cast<uintptr_t>(raw) % 64) % 64;
  } else {
    p = std::aligned_alloc(64, padded);
    if (!p) throw Error(ErrorCode::failed, "[tensor] out of memory for " + to_string(shape_));
    std::memset(p, 0, padded);
    owner_ = std::shared_ptr<const void>(p, [](const void* q) { std::free(const_cast<void*>(q)); });
  }
  data_ = p;
}

namespace {
void require_bytes(ElementType type) {
  if (type == ElementType::string) throw Error(ErrorCode::failed, "[tensor] strings are no bytes that could be shared");
}
}  // namespace

Tensor::Tensor(ElementType type, Shape shape, void* data) : type_(type), shape_(std::move(shape)), data_(data) {
  require_bytes(type_);
  element_count(shape_);
}

Tensor::Tensor(ElementType type, Shape shape, const void* data, std::shared_ptr<const void> owner)
    : type_(type), shape_(std::move(shape)), data_(const_cast<void*>(data)), owner_(std::move(owner)) {
  require_bytes(type_);
  element_count(shape_);
}

Tensor Tensor::strings(Shape shape, std::vector<std::string> values) {
  Tensor t(ElementType::string, std::move(shape));
  if (values.size() != t.strings_->size())
    throw Error(ErrorCode::failed, "[tensor] number of strings differs from the shape");
  *t.strings_ = std::move(values);
  return t;
}

size_t Tensor::size() const {
  if (type_ == ElementType::dynamic) return 0;
  size_t n = 1;
  for (int64_t d : shape_) n *= static_cast<size_t>(d);
  return n;
}
size_t Tensor::byte_size() const {
  return hone::byte_size(type_, size());
}

std::vector<std::string>& Tensor::strings() {
  check_type(ElementType::string);
  return *strings_;
}
const std::vector<std::string>& Tensor::strings() const {
  check_type(ElementType::string);
  return *strings_;
}

void Tensor::check_type(ElementType asked) const {
  if (asked != type_)
    throw Error(ErrorCode::failed, std::string("[tensor] holds ") + name_of(type_) + ", asked for " + name_of(asked));
}

Tensor Tensor::reshaped(Shape shape) const {
  if (static_cast<size_t>(element_count(shape)) != size()) {
    throw Error(ErrorCode::failed, "[tensor] " + to_string(shape_) + " cannot become " + to_string(shape));
  }
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::clone() const {
  if (!*this) return {};
  Tensor t(type_, shape_);
  if (type_ == ElementType::string)
    *t.strings_ = *strings_;
  else if (byte_size() > 0)
    std::memcpy(t.data_, data_, byte_size());
  return t;
}

bool Tensor::identical(const Tensor& o) const {
  if (type_ != o.type_ || shape_ != o.shape_) return false;
  if (type_ == ElementType::dynamic) return true;
  if (type_ == ElementType::string) return *strings_ == *o.strings_;
  return byte_size() == 0 || std::memcmp(data_, o.data_, byte_size()) == 0;
}

namespace {

unsigned get_bits(const void* data, size_t i, int bits) {
  const auto* p = static_cast<const uint8_t*>(data);
  const size_t bit = i * static_cast<size_t>(bits);
  // u1 follows OpenVINO and NumPy: the highest bit first.
  if (bits == 1) return (p[bit / 8] >> (7 - bit % 8)) & 1u;
  return (p[bit / 8] >> (bit % 8)) & ((1u << bits) - 1);
}

void set_bits(void* data, size_t i, int bits, unsigned v) {
  auto* p = static_cast<uint8_t*>(data);
  const size_t bit = i * static_cast<size_t>(bits);
  const unsigned shift = bits == 1 ? unsigned(7 - bit % 8) : unsigned(bit % 8), mask = ((1u << bits) - 1) << shift;
  p[bit / 8] = static_cast<uint8_t>((p[bit / 8] & ~mask) | ((v << shift) & mask));
}

template <class T>
T saturate(double v) {
  if (std::isnan(v)) return 0;
  constexpr double low = static_cast<double>(std::numeric_limits<T>::min());
  constexpr double high = static_cast<double>(std::numeric_limits<T>::max());
  if (v <= low) return std::numeric_limits<T>::min();
  if (v >= high) return std::numeric_limits<T>::max();
  return static_cast<T>(v);
}

template <class T>
T saturate_int(int64_t v) {
  if constexpr (std::is_same_v<T, uint64_t>)
    return static_cast<uint64_t>(v);
  else
    return static_cast<T>(std::clamp<int64_t>(v, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

int sign_extend(unsigned v, int bits) {
  return static_cast<int>(v << (32 - bits)) >> (32 - bits);
}

// Of an element that there is: the loops over whole tensors check once.
int64_t read_integer(const Tensor& t, size_t i);
void write_integer(Tensor& t, size_t i, int64_t v);

double read(const Tensor& t, size_t i) {
  const void* d = t.raw();
  switch (t.element_type()) {
    case ElementType::f64:
      return static_cast<const double*>(d)[i];
    case ElementType::f32:
      return static_cast<const float*>(d)[i];
    case ElementType::f16:
      return static_cast<const float16*>(d)[i];
    case ElementType::bf16:
      return static_cast<const bfloat16*>(d)[i];
    case ElementType::f8e4m3:
      return decode_f8e4m3(static_cast<const uint8_t*>(d)[i]);
    case ElementType::f8e5m2:
      return decode_f8e5m2(static_cast<const uint8_t*>(d)[i]);
    case ElementType::f8e4m3fnuz:
      return decode_f8e4m3fnuz(static_cast<const uint8_t*>(d)[i]);
    case ElementType::f8e5m2fnuz:
      return decode_f8e5m2fnuz(static_cast<const uint8_t*>(d)[i]);
    case ElementType::f8e8m0:
      return decode_f8e8m0(static_cast<const uint8_t*>(d)[i]);
    case ElementType::f4e2m1:
      return decode_f4e2m1(get_bits(d, i, 4));
    case ElementType::nf4:
      return decode_nf4(get_bits(d, i, 4));
    case ElementType::u64:
      return static_cast<double>(static_cast<const uint64_t*>(d)[i]);
    default:
      return static_cast<double>(read_integer(t, i));
  }
}

void write(Tensor& t, size_t i, double v) {
  void* d = t.raw();
  const auto f = static_cast<float>(v);
  switch (t.element_type()) {
    case ElementType::f64:
      static_cast<double*>(d)[i] = v;
      return;
    case ElementType::f32:
      static_cast<float*>(d)[i] = f;
      return;
    case ElementType::f16:
      static_cast<float16*>(d)[i] = float16(f);
      return;
    case ElementType::bf16:
      static_cast<bfloat16*>(d)[i] = bfloat16(f);
      return;
    case ElementType::f8e4m3:
      static_cast<uint8_t*>(d)[i] = encode_f8e4m3(f);
      return;
    case ElementType::f8e5m2:
      static_cast<uint8_t*>(d)[i] = encode_f8e5m2(f);
      return;
    case ElementType::f8e4m3fnuz:
      static_cast<uint8_t*>(d)[i] = encode_f8e4m3fnuz(f);
      return;
    case ElementType::f8e5m2fnuz:
      static_cast<uint8_t*>(d)[i] = encode_f8e5m2fnuz(f);
      return;
    case ElementType::f8e8m0:
      static_cast<uint8_t*>(d)[i] = encode_f8e8m0(f);
      return;
    case ElementType::f4e2m1:
      set_bits(d, i, 4, encode_f4e2m1(f));
      return;
    case ElementType::nf4:
      set_bits(d, i, 4, encode_nf4(f));
      return;
    case ElementType::u64:
      static_cast<uint64_t*>(d)[i] = saturate<uint64_t>(v);
      return;
    case ElementType::boolean:
      static_cast<uint8_t*>(d)[i] = v != 0;
      return;
    case ElementType::string:
    case ElementType::dynamic:
      throw Error(ErrorCode::failed, std::string("[tensor] no number in a tensor of ") + name_of(t.element_type()));
    default:
      write_integer(t, i, saturate<int64_t>(v));
      return;
  }
}

int64_t read_integer(const Tensor& t, size_t i) {
  const void* d = t.raw();
  switch (t.element_type()) {
    case ElementType::i64:
    case ElementType::u64:
      return static_cast<const int64_t*>(d)[i];
    case ElementType::i32:
      return static_cast<const int32_t*>(d)[i];
    case ElementType::i16:
      return static_cast<const int16_t*>(d)[i];
    case ElementType::i8:
      return static_cast<const int8_t*>(d)[i];
    case ElementType::i4:
      return sign_extend(get_bits(d, i, 4), 4);
    case ElementType::i2:
      return sign_extend(get_bits(d, i, 2), 2);
    case ElementType::u32:
      return static_cast<const uint32_t*>(d)[i];
    case ElementType::u16:
      return static_cast<const uint16_t*>(d)[i];
    case ElementType::u8:
      return static_cast<const uint8_t*>(d)[i];
    case ElementType::u4:
      return get_bits(d, i, 4);
    case ElementType::u2:
      return get_bits(d, i, 2);
    case ElementType::u1:
      return get_bits(d, i, 1);
    case ElementType::boolean:
      return static_cast<const uint8_t*>(d)[i] != 0;
    case ElementType::string:
    case ElementType::dynamic:
      throw Error(ErrorCode::failed, std::string("[tensor] no number in a tensor of ") + name_of(t.element_type()));
    default:
      return saturate<int64_t>(read(t, i));
  }
}

void write_integer(Tensor& t, size_t i, int64_t v) {
  void* d = t.raw();
  switch (t.element_type()) {
    case ElementType::i64:
    case ElementType::u64:
      static_cast<int64_t*>(d)[i] = v;
      return;
    case ElementType::i32:
      static_cast<int32_t*>(d)[i] = saturate_int<int32_t>(v);
      return;
    case ElementType::i16:
      static_cast<int16_t*>(d)[i] = saturate_int<int16_t>(v);
      return;
    case ElementType::i8:
      static_cast<int8_t*>(d)[i] = saturate_int<int8_t>(v);
      return;
    case ElementType::i4:
      set_bits(d, i, 4, static_cast<unsigned>(std::clamp<int64_t>(v, -8, 7)) & 15u);
      return;
    case ElementType::i2:
      set_bits(d, i, 2, static_cast<unsigned>(std::clamp<int64_t>(v, -2, 1)) & 3u);
      return;
    case ElementType::u32:
      static_cast<uint32_t*>(d)[i] = saturate_int<uint32_t>(v);
      return;
    case ElementType::u16:
      static_cast<uint16_t*>(d)[i] = saturate_int<uint16_t>(v);
      return;
    case ElementType::u8:
      static_cast<uint8_t*>(d)[i] = saturate_int<uint8_t>(v);
      return;
    case ElementType::u4:
      set_bits(d, i, 4, static_cast<unsigned>(std::clamp<int64_t>(v, 0, 15)));
      return;
    case ElementType::u2:
      set_bits(d, i, 2, static_cast<unsigned>(std::clamp<int64_t>(v, 0, 3)));
      return;
    case ElementType::u1:
      set_bits(d, i, 1, v != 0);
      return;
    case ElementType::boolean:
      static_cast<uint8_t*>(d)[i] = v != 0;
      return;
    default:
      write(t, i, static_cast<double>(v));
      return;
  }
}

void check_index(const Tensor& t, size_t i) {
  if (i < t.size()) return;
  throw Error(ErrorCode::failed, "[tensor] there is no element " + std::to_string(i) + " in " + to_string(t.shape()));
}

}  // namespace

double get_element(const Tensor& t, size_t i) {
  check_index(t, i);
  return read(t, i);
}
void set_element(Tensor& t, size_t i, double v) {
  check_index(t, i);
  write(t, i, v);
}
int64_t get_integer(const Tensor& t, size_t i) {
  check_index(t, i);
  return read_integer(t, i);
}
void set_integer(Tensor& t, size_t i, int64_t v) {
  check_index(t, i);
  write_integer(t, i, v);
}

namespace {

// As bfloat16(float) does it, without branches: all weights of a network may pass here.
void round_to_bf16(const float* from, bfloat16* to, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const auto u = std::bit_cast<uint32_t>(from[i]);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet = (u >> 16) | 0x40u;
    to[i].bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
  }
}

}  // namespace

Tensor Tensor::converted(ElementType type) const {
  if (type == type_) return *this;
  Tensor t(type, shape_);
  const size_t n = size();
  if (type_ == ElementType::string || type == ElementType::string) {
    throw Error(ErrorCode::failed, "[tensor] strings do not convert to numbers");
  }
  if (type_ == ElementType::f32 && type == ElementType::bf16) {
    round_to_bf16(data<float>(), t.data<bfloat16>(), n);
  } else if (type_ == ElementType::bf16 && type == ElementType::f32) {
    const auto* from = data<bfloat16>();
    auto* to = t.data<float>();
    for (size_t i = 0; i < n; ++i) to[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i].bits) << 16);
  } else if (is_float(type_)) {
    for (size_t i = 0; i < n; ++i) write(t, i, read(*this, i));
  } else if (type_ == ElementType::u64 && is_float(type)) {
    for (size_t i = 0; i < n; ++i) write(t, i, read(*this, i));
  } else {
    for (size_t i = 0; i < n; ++i) write_integer(t, i, read_integer(*this, i));
  }
  return t;
}

std::vector<double> Tensor::to_doubles() const {
  std::vector<double> v(size());
  for (size_t i = 0; i < v.size(); ++i) v[i] = read(*this, i);
  return v;
}

std::vector<int64_t> Tensor::to_ints() const {
  std::vector<int64_t> v(size());
  for (size_t i = 0; i < v.size(); ++i) v[i] = read_integer(*this, i);
  return v;
}

const Tensor& Datum::tensor() const {
  if (auto* t = std::get_if<Tensor>(&v_)) return *t;
  throw Error(ErrorCode::failed, "[datum] the value is not a tensor");
}
const Datum::Sequence& Datum::sequence() const {
  if (auto* s = std::get_if<std::shared_ptr<const Sequence>>(&v_)) return **s;
  throw Error(ErrorCode::failed, "[datum] the value is not a sequence");
}
const Datum::Map& Datum::map() const {
  if (auto* m = std::get_if<std::shared_ptr<const Map>>(&v_)) return **m;
  throw Error(ErrorCode::failed, "[datum] the value is not a map");
}

}  // namespace hone
