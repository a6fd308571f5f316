#include "ops/characters.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "ops/axes.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

void check_text(const InferCtx& ctx, size_t i) {
  ctx.check(ctx.element(i) == ElementType::string || ctx.element(i) == ElementType::dynamic,
            std::string("wants strings, got ") + name_of(ctx.element(i)));
}
void check_list(const InferCtx& ctx, size_t i, const char* what) {
  const PartialShape& s = ctx.shape(i);
  ctx.check(!s.rank_known() || s.rank() == 1, std::string(what) + " " + to_string(s) + " are not a list");
}

bool is_tail(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}
bool is_character(int64_t c) {
  return c >= 0 && c <= 0x10FFFF && !(c >= 0xD800 && c < 0xE000);
}

// One character from `at` on, or -1 and the longest part of one that stands there.
struct Decoded {
  int32_t character;
  size_t bytes;
};
Decoded decode(std::string_view s, size_t at) {
  const auto first = static_cast<unsigned char>(s[at]);
  if (first < 0x80) return {first, 1};
  if (first < 0xC2 || first > 0xF4) return {-1, 1};
  const size_t tail = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  auto c = static_cast<int32_t>(first & (0x3F >> tail));
  for (size_t i = 1; i <= tail; ++i) {
    if (at + i >= s.size()) return {-1, i};
    const auto b = static_cast<unsigned char>(s[at + i]);
    // Overlong forms, surrogates and what lies above the last character show in the second byte.
    const unsigned low = i > 1 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = i > 1 ? 0xBF : first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (b < low || b > high) return {-1, i};
    c = c << 6 | (b & 0x3F);
  }
  return {c, tail + 1};
}

void encode(std::string& out, int64_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  const int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  out += static_cast<char>((0xFF00 >> (tail + 1) & 0xFF) | c >> 6 * tail);
  for (int i = tail - 1; i >= 0; --i) out += static_cast<char>(0x80 | (c >> 6 * i & 0x3F));
}

// The bytes of the part of `s` that begins at `from` (below 0: from the end) and has `length` units; npos where it
// begins outside.
std::pair<size_t, size_t> part_of(std::string_view s, int64_t from, int64_t length, TextUnit unit) {
  const auto size = static_cast<int64_t>(s.size());
  std::vector<int64_t> starts;  // of each unit, and the end
  if (unit == TextUnit::character) {
    for (int64_t i = 0; i < size; ++i) {
      if (!is_tail(s[static_cast<size_t>(i)])) starts.push_back(i);
    }
    starts.push_back(size);
  }
  const int64_t units = unit == TextUnit::byte ? size : std::ssize(starts) - 1;
  if (from < -units || from > units) return {std::string::npos, 0};
  if (from < 0) from += units;
  if (length < 0)
    length = unit == TextUnit::byte ? units : 0;  // TensorFlow's: the rest of the bytes, but no characters
  const int64_t end = length > units - from ? units : from + length;
  const auto at = [&](int64_t k) {
    return static_cast<size_t>(unit == TextUnit::byte ? k : starts[static_cast<size_t>(k)]);
  };
  return {at(from), at(end) - at(from)};
}

Tensor texts(std::vector<std::string> v) {
  const auto n = static_cast<int64_t>(v.size());
  return Tensor::strings({n}, std::move(v));
}

}  // namespace

Types StringLength::infer(InferCtx& ctx) const {
  check_text(ctx, 0);
  return {Type(ElementType::i32, ctx.shape(0))};
}
void StringLength::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, ElementType::i32, x.shape());
  for (size_t i = 0; i < x.strings().size(); ++i) {
    const std::string& s = x.strings()[i];
    const auto n = unit == TextUnit::byte ? std::ssize(s) : std::ssize(s) - std::count_if(s.begin(), s.end(), is_tail);
    set_integer(y, i, n);
  }
}
Samples StringLength::samples() {
  const Tensor x = texts({"", "abc", "é€😀"});
  return {sample(StringLength{}, {x}, {Tensor::of<int32_t>({3}, {0, 3, 9})}),
          sample(StringLength{TextUnit::character}, {x}, {Tensor::of<int32_t>({3}, {0, 3, 3})})};
}
HONE_DEFINE_OP(StringLength)

Types Substring::infer(InferCtx& ctx) const {
  check_text(ctx, 0);
  return {Type(ElementType::string, broadcast(broadcast(ctx.shape(0), ctx.shape(1)), ctx.shape(2)))};
}
void Substring::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &from = ctx.input(1), &length = ctx.input(2);
  const Shape shape = broadcast(broadcast(x.shape(), from.shape()), length.shape());
  const auto places = [&](const Tensor& t) {  // of the elements of `t` for each of the result
    std::vector<size_t> at(static_cast<size_t>(element_count(shape)), 0);
    size_t stride = 1, inner = 1;
    for (size_t k = 0; k < shape.size(); ++k) {
      const size_t axis = shape.size() - 1 - k, size = static_cast<size_t>(shape[axis]);
      if (k < t.rank() && t.shape()[t.rank() - 1 - k] != 1) {
        for (size_t i = 0; i < at.size(); ++i) at[i] += i / inner % size * stride;
        stride *= size;
      }
      inner *= size;
    }
    return at;
  };
  const auto px = places(x), pf = places(from), pl = places(length);
  std::vector<std::string> out;
  for (size_t i = 0; i < px.size(); ++i) {
    const std::string& s = x.strings()[px[i]];
    const int64_t first = get_integer(from, pf[i]);
    const auto [at, bytes] = part_of(s, first, get_integer(length, pl[i]), unit);
    if (at == std::string::npos)
      ctx.fail("a part from " + std::to_string(first) + " on lies outside of '" + s.substr(0, 100) + "'");
    out.push_back(s.substr(at, bytes));
  }
  ctx.set_output(0, Tensor::strings(shape, std::move(out)));
}
Samples Substring::samples() {
  const Tensor x = texts({"hello", "wörld"});
  return {sample(Substring{}, {x, int_scalar(1), int_scalar(3)}, {texts({"ell", "ör"})}),
          sample(Substring{TextUnit::character}, {x, int_scalar(1), int_scalar(3)}, {texts({"ell", "örl"})}),
          sample(Substring{TextUnit::character}, {x, int_tensor({-2, 5}), int_tensor({9, 1})}, {texts({"lo", ""})}),
          sample(Substring{},
                 {Tensor::strings({2, 1}, {"abc", "xyz"}), Tensor::of<int32_t>({2}, {0, -1}),
                  Tensor::of<int32_t>({2}, {2, 1})},
                 {Tensor::strings({2, 2}, {"ab", "c", "xy", "z"})})};
}
HONE_DEFINE_OP(Substring)

Types TextToCharacters::infer(InferCtx& ctx) const {
  check_text(ctx, 0);
  check_list(ctx, 0, "strings");
  ctx.check(is_character(replacement), "replaces by " + std::to_string(replacement) + ", which is no character");
  const PartialShape& s = ctx.shape(0);
  Dimension rows;
  if (s.rank_known() && s[0].is_static() && s[0].max() < std::numeric_limits<int64_t>::max())
    rows = Dimension(s[0].max() + 1);
  return {Type(ElementType::i64, PartialShape{rows}), Type(ElementType::i32, PartialShape{Dimension()}),
          Type(ElementType::i64, PartialShape{Dimension()})};
}
void TextToCharacters::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() != 1) ctx.fail("strings " + to_string(x.shape()) + " are not a list");
  std::vector<int64_t> splits{0}, starts;
  std::vector<int32_t> characters;
  for (const std::string& s : x.strings()) {
    for (size_t at = 0; at < s.size();) {
      auto [c, bytes] = decode(s, at);
      if (c < 0 && errors == BadText::strict) ctx.fail("a string that is not UTF-8");
      if (c < 0 || (c < 0x20 && replace_controls))
        c = errors == BadText::ignore ? -1 : static_cast<int32_t>(replacement);
      if (c >= 0) {
        characters.push_back(c);
        starts.push_back(static_cast<int64_t>(at));
      }
      at += bytes;
    }
    splits.push_back(std::ssize(characters));
  }
  const int64_t n = std::ssize(characters);
  ctx.set_output(0, int_tensor(std::move(splits)));
  ctx.set_output(1, Tensor::of<int32_t>({n}, characters));
  ctx.set_output(2, Tensor::of<int64_t>({n}, starts));
}
Samples TextToCharacters::samples() {
  const Tensor x = texts({"aé", "", "€😀", "x\xff\xe2\x82y\n"});
  const auto points = [](std::vector<int32_t> v) { return Tensor::of<int32_t>({std::ssize(v)}, v); };
  return {sample(TextToCharacters{}, {x},
                 {int_tensor({0, 2, 2, 4, 9}), points({'a', 0xE9, 0x20AC, 0x1F600, 'x', 0xFFFD, 0xFFFD, 'y', '\n'}),
                  int_tensor({0, 1, 0, 3, 0, 1, 2, 4, 5})}),
          sample(TextToCharacters{BadText::ignore, ' ', true}, {x},
                 {int_tensor({0, 2, 2, 4, 6}), points({'a', 0xE9, 0x20AC, 0x1F600, 'x', 'y'}),
                  int_tensor({0, 1, 0, 3, 0, 4})}),
          sample(TextToCharacters{BadText::replace, ' ', true}, {texts({"a\n"})},
                 {int_tensor({0, 2}), points({'a', ' '}), int_tensor({0, 1})})};
}
HONE_DEFINE_OP(TextToCharacters)

Types CharactersToText::infer(InferCtx& ctx) const {
  check_list(ctx, 0, "characters");
  check_list(ctx, 1, "splits");
  ctx.check(is_character(replacement), "replaces by " + std::to_string(replacement) + ", which is no character");
  const PartialShape& s = ctx.shape(1);
  Dimension rows;
  if (s.rank_known() && s[0].is_static()) {
    ctx.check(s[0].max() > 0, "splits of no rows");
    rows = Dimension(s[0].max() - 1);
  }
  return {Type(ElementType::string, PartialShape{rows})};
}
void CharactersToText::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const std::vector<int64_t> splits = ctx.input(1).to_ints();
  if (splits.empty() || splits.front() != 0 || splits.back() != static_cast<int64_t>(x.size()) ||
      !std::is_sorted(splits.begin(), splits.end()))
    ctx.fail("splits do not fit " + std::to_string(x.size()) + " characters");
  std::vector<std::string> out(splits.size() - 1);
  for (size_t r = 0; r < out.size(); ++r) {
    for (auto i = static_cast<size_t>(splits[r]); i < static_cast<size_t>(splits[r + 1]); ++i) {
      const int64_t c = get_integer(x, i);
      if (!is_character(c) && errors == BadText::strict) ctx.fail(std::to_string(c) + " is no character");
      if (is_character(c))
        encode(out[r], c);
      else if (errors == BadText::replace)
        encode(out[r], replacement);
    }
  }
  ctx.set_output(0, texts(std::move(out)));
}
Samples CharactersToText::samples() {
  const Tensor x = Tensor::of<int32_t>({6}, {'a', 0xE9, 0x20AC, 0x1F600, 0xD800, -1}),
               splits = int_tensor({0, 1, 1, 4, 6});
  return {sample(CharactersToText{}, {x, splits}, {texts({"a", "", "é€😀", "\xef\xbf\xbd\xef\xbf\xbd"})}),
          sample(CharactersToText{BadText::ignore}, {x, splits}, {texts({"a", "", "é€😀", ""})})};
}
HONE_DEFINE_OP(CharactersToText)

}  // namespace hone
