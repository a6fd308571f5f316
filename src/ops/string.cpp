#include "ops/string.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "base/checked.hpp"
#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/regex.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

void check_strings(const InferCtx& ctx, size_t i) {
  ctx.check(ctx.element(i) == ElementType::string || ctx.element(i) == ElementType::dynamic,
            std::string("wants strings, got ") + name_of(ctx.element(i)));
}

// Strings of a tensor that broadcasts to `shape`, in its order.
Tensor spread(const Tensor& x, const Shape& shape) {
  Walk from{0, std::vector<int64_t>(shape.size(), 0)};
  const auto own = strides_of(x.shape());
  for (size_t k = 0; k < x.rank(); ++k) {
    if (x.shape()[k] != 1) from.strides[shape.size() - x.rank() + k] = own[k];
  }
  Tensor y(x.element_type(), shape);
  copy_strided(x, from, y, {0, strides_of(shape)}, shape);
  return y;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::vector<std::string> pieces_of(const std::string& s, const std::string& delimiter, int64_t maxsplit) {
  std::vector<std::string> out;
  const auto splits = [&] { return static_cast<int64_t>(out.size()); };
  size_t at = 0;
  if (delimiter.empty()) {
    while (true) {
      while (at < s.size() && is_space(s[at])) ++at;
      if (at == s.size()) return out;
      size_t end = at;
      if (maxsplit >= 0 && splits() == maxsplit) {
        end = s.size();
        while (end > at && is_space(s[end - 1])) --end;
        out.push_back(s.substr(at, end - at));
        return out;
      }
      while (end < s.size() && !is_space(s[end])) ++end;
      out.push_back(s.substr(at, end - at));
      at = end;
    }
  }
  while (true) {
    const size_t next = maxsplit >= 0 && splits() == maxsplit ? s.npos : s.find(delimiter, at);
    out.push_back(s.substr(at, next == s.npos ? s.npos : next - at));
    if (next == s.npos) return out;
    at = next + delimiter.size();
  }
}

// Simple case mapping: one letter to one letter, for scripts where it is regular.
uint32_t changed_letter(uint32_t c, bool lower) {
  const auto in = [&](uint32_t a, uint32_t b) { return c >= a && c <= b; };
  if (lower) {
    if (in('A', 'Z') || (in(0xC0, 0xDE) && c != 0xD7) || in(0x391, 0x3A9) || in(0x410, 0x42F)) return c + 32;
    if (in(0x400, 0x40F)) return c + 80;
    if (in(0x100, 0x137) && c % 2 == 0 && c != 0x130) return c + 1;
  } else {
    if (in('a', 'z') || (in(0xE0, 0xFE) && c != 0xF7) || (in(0x3B1, 0x3C9) && c != 0x3C2) || in(0x430, 0x44F))
      return c - 32;
    if (in(0x450, 0x45F)) return c - 80;
    if (in(0x100, 0x137) && c % 2 == 1 && c != 0x131) return c - 1;
  }
  return c;
}

std::string changed_case(const std::string& s, CaseChange how) {
  if (how == CaseChange::none) return s;
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    const auto a = static_cast<unsigned char>(s[i]);
    if (a < 0x80) {
      out += static_cast<char>(changed_letter(a, how == CaseChange::lower));
    } else if ((a & 0xE0) == 0xC0 && i + 1 < s.size()) {
      const uint32_t c =
          changed_letter((a & 0x1Fu) << 6 | (static_cast<unsigned char>(s[++i]) & 0x3Fu), how == CaseChange::lower);
      out += static_cast<char>(0xC0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3F));
    } else {
      out += s[i];
    }
  }
  return out;
}

Tensor texts(std::vector<std::string> v) {
  const auto n = static_cast<int64_t>(v.size());
  return Tensor::strings({n}, std::move(v));
}

}  // namespace

Types StringConcat::infer(InferCtx& ctx) const {
  check_strings(ctx, 0);
  check_strings(ctx, 1);
  return {Type(ElementType::string, broadcast(ctx.shape(0), ctx.shape(1)))};
}
void StringConcat::eval(EvalCtx& ctx) const {
  const Shape shape = broadcast(ctx.input(0).shape(), ctx.input(1).shape());
  Tensor y = spread(ctx.input(0), shape);
  const Tensor b = spread(ctx.input(1), shape);
  for (size_t i = 0; i < b.strings().size(); ++i) y.strings()[i] += b.strings()[i];
  ctx.set_output(0, y);
}
Samples StringConcat::samples() {
  return {
      sample(StringConcat{}, {texts({"a", "b"}), texts({"x", ""})}, {texts({"ax", "b"})}),
      sample(StringConcat{}, {Tensor::strings({2, 1}, {"a", "b"}), texts({"x", "y"})},
             {Tensor::strings({2, 2}, {"ax", "ay", "bx", "by"})}),
      sample(StringConcat{}, {Tensor::strings({}, {"a"}), Tensor::strings({}, {"x"})}, {Tensor::strings({}, {"ax"})})};
}
HONE_DEFINE_OP(StringConcat)

Types StringSplit::infer(InferCtx& ctx) const {
  check_strings(ctx, 0);
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ElementType::string, in), Type(ElementType::i64, in)};
  std::vector<Dimension> out = in.dims();
  out.emplace_back();
  return {Type(ElementType::string, PartialShape(out)), Type(ElementType::i64, in)};
}
void StringSplit::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  std::vector<std::vector<std::string>> pieces;
  size_t most = 0;
  Tensor counts = ctx.output(1, ElementType::i64, x.shape());
  for (size_t i = 0; i < x.strings().size(); ++i) {
    pieces.push_back(pieces_of(x.strings()[i], delimiter, maxsplit));
    most = std::max(most, pieces.back().size());
    set_integer(counts, i, static_cast<int64_t>(pieces.back().size()));
  }
  Shape shape = x.shape();
  shape.push_back(static_cast<int64_t>(most));
  Tensor y = ctx.output(0, ElementType::string, shape);
  for (size_t i = 0; i < pieces.size(); ++i)
    std::move(pieces[i].begin(), pieces[i].end(), y.strings().begin() + static_cast<std::ptrdiff_t>(i * most));
}
Samples StringSplit::samples() {
  return {
      sample(StringSplit{"."}, {texts({"abc.com", "x"})},
             {Tensor::strings({2, 2}, {"abc", "com", "x", ""}), int_tensor({2, 1})}),
      sample(StringSplit{"-"}, {texts({"o-n-n--x-"})},
             {Tensor::strings({1, 6}, {"o", "n", "n", "", "x", ""}), int_tensor({6})}),
      sample(StringSplit{"", 1}, {texts({" hello  my world ", ""})},
             {Tensor::strings({2, 2}, {"hello", "my world", "", ""}), int_tensor({2, 0})}),
      sample(StringSplit{}, {Tensor(ElementType::string, {0})}, {Tensor(ElementType::string, {0, 0}), int_tensor({})})};
}
HONE_DEFINE_OP(StringSplit)

Types StringNormalizer::infer(InferCtx& ctx) const {
  check_strings(ctx, 0);
  PartialShape in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ElementType::string, in)};
  ctx.check(in.rank() == 1 || (in.rank() == 2 && in[0].compatible(Dimension(1))),
            "wants [C] or [1, C], got " + to_string(in));
  Dimension& d = in[in.rank() - 1];
  d = Dimension(std::min<int64_t>(1, d.max()), std::max<int64_t>(1, d.max()));
  return {Type(ElementType::string, in)};
}
void StringNormalizer::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() < 1 || x.rank() > 2 || (x.rank() == 2 && x.shape()[0] != 1))
    ctx.fail("wants [C] or [1, C], got " + to_string(x.shape()));
  const auto folded = [&](const std::string& s) { return is_case_sensitive ? s : changed_case(s, CaseChange::lower); };
  std::vector<std::string> kept, stops;
  for (const std::string& s : stopwords) stops.push_back(folded(s));
  for (const std::string& s : x.strings()) {
    if (std::find(stops.begin(), stops.end(), folded(s)) == stops.end())
      kept.push_back(changed_case(s, case_change_action));
  }
  if (kept.empty()) kept.emplace_back();
  const auto n = static_cast<int64_t>(kept.size());
  ctx.set_output(0, Tensor::strings(x.rank() == 1 ? Shape{n} : Shape{1, n}, std::move(kept)));
}
Samples StringNormalizer::samples() {
  const Tensor days = texts({"monday", "Tuesday", "MONDAY"});
  return {sample(StringNormalizer{CaseChange::upper, true, {"monday"}}, {days}, {texts({"TUESDAY", "MONDAY"})}),
          sample(StringNormalizer{CaseChange::lower, false, {"Monday"}}, {days}, {texts({"tuesday"})}),
          sample(StringNormalizer{CaseChange::none, false, {"MONDAY", "tuesday"}}, {days.reshaped({1, 3})},
                 {Tensor::strings({1, 1}, {""})}),
          sample(StringNormalizer{CaseChange::upper, true, {}}, {texts({"stra\xc3\xa9\xce\xb1"})},
                 {texts({"STRA\xc3\x89\xce\x91"})})};
}
HONE_DEFINE_OP(StringNormalizer)

Types RegexFullMatch::infer(InferCtx& ctx) const {
  check_strings(ctx, 0);
  Regex(std::string_view(pattern));
  return {Type(ElementType::boolean, ctx.shape(0))};
}
void RegexFullMatch::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Regex regex(pattern);
  Regex::Budget budget;
  Tensor y = ctx.output(0, ElementType::boolean, x.shape());
  for (size_t i = 0; i < x.strings().size(); ++i) set_integer(y, i, regex.full_match(x.strings()[i], budget));
}
Samples RegexFullMatch::samples() {
  const auto bools = [](std::initializer_list<bool> v) {
    return Tensor::of<bool>({static_cast<int64_t>(v.size())}, v);
  };
  return {sample(RegexFullMatch{R"(www\.[\w.-]+\.\bcom\b)"},
                 {texts({"www.google.com", "www.facebook.com", "www.bbc.co.uk"})}, {bools({true, true, false})}),
          sample(RegexFullMatch{R"((\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$))"},
                 {texts({"account@gmail.com", "account@hotmail.com", "not email", "a@yahoo.com!"})},
                 {bools({true, false, false, true})}),
          sample(RegexFullMatch{"a*?(b|[^a-c])+x{2}"}, {texts({"bxx", "aabdxx", "axx", "bx", ""})},
                 {bools({true, true, false, false, false})}),
          sample(RegexFullMatch{"(a*)*.?"},
                 {texts({"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\xc3\xa9", "aaaa\xc3\xa9", ""})},
                 {bools({false, true, true})})};
}
HONE_DEFINE_OP(RegexFullMatch)

Types LabelEncoder::infer(InferCtx& ctx) const {
  ctx.check(keys.size() == values.size(),
            std::to_string(keys.size()) + " keys and " + std::to_string(values.size()) + " values");
  ctx.check(otherwise.size() == 1 && otherwise.element_type() == values.element_type(),
            "the default is not one element of the type of the values");
  ctx.check(ctx.element(0) == keys.element_type() || ctx.element(0) == ElementType::dynamic,
            std::string("keys of ") + name_of(keys.element_type()) + " for data of " + name_of(ctx.element(0)));
  return {Type(values.element_type(), ctx.shape(0))};
}
void LabelEncoder::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto key = [](const Tensor& t, size_t i) -> std::string {
    if (t.element_type() == ElementType::string) return t.strings()[i];
    if (is_integer(t.element_type())) return std::to_string(get_integer(t, i));
    const double v = get_element(t, i);
    return std::isnan(v) ? "nan" : std::string(reinterpret_cast<const char*>(&v), sizeof v);
  };
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < keys.size(); ++i) index.emplace(key(keys, i), i);
  Tensor y = ctx.output(0, values.element_type(), x.shape());
  for (size_t i = 0; i < x.size(); ++i) {
    const auto hit = index.find(key(x, i));
    copy_elements(hit == index.end() ? otherwise : values, hit == index.end() ? 0 : static_cast<int64_t>(hit->second),
                  y, static_cast<int64_t>(i), 1);
  }
}
Samples LabelEncoder::samples() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {sample(LabelEncoder{texts({"a", "b"}), int_tensor({5, 6}), int_tensor({-1})}, {texts({"b", "z", "a"})},
                 {int_tensor({6, -1, 5})}),
          sample(LabelEncoder{Tensor::of<float>({2}, {nan, 1.5f}), texts({"nan", "x"}), texts({"_"})},
                 {Tensor::of<float>({3}, {1.5f, 2, nan})}, {texts({"x", "_", "nan"})}),
          sample(LabelEncoder{int_tensor({1, 2}), Tensor::of<float>({2}, {10, 20}), Tensor::of<float>({1}, {0})},
                 {Tensor::of<int64_t>({1, 2}, {2, 3})}, {Tensor::of<float>({1, 2}, {20, 0})})};
}
HONE_DEFINE_OP(LabelEncoder)

namespace {

int64_t vector_size(const TfIdfVectorizer& op) {
  if (op.ngram_indexes.empty()) return 0;
  return checked_add(*std::max_element(op.ngram_indexes.begin(), op.ngram_indexes.end()), int64_t{1});
}

}  // namespace

Types TfIdfVectorizer::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  ctx.check(min_gram_length >= 1 && max_gram_length >= min_gram_length && max_skip_count >= 0,
            "bad lengths of n-grams");
  const int64_t n = vector_size(*this);
  ctx.check(n < int64_t{1} << 31, "an index of " + std::to_string(n - 1));
  ctx.check(weights.empty() || static_cast<int64_t>(weights.size()) >= n,
            std::to_string(weights.size()) + " weights for " + std::to_string(n) + " columns");
  if (!in.rank_known()) return {Type(ElementType::f32, PartialShape::dynamic())};
  ctx.check(in.rank() <= 2, "wants [C] or [N, C], got " + to_string(in));
  return {Type(ElementType::f32, in.rank() == 2 ? PartialShape{in[0], n} : PartialShape{n})};
}
void TfIdfVectorizer::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() > 2) ctx.fail("wants [C] or [N, C], got " + to_string(x.shape()));
  const auto item = [](const Tensor& t, size_t i) {
    return t.element_type() == ElementType::string ? t.strings()[i] : std::to_string(get_integer(t, i));
  };
  // All n-grams of the wanted lengths, and the column of each.
  std::map<std::vector<std::string>, int64_t> grams;
  size_t gram = 0;
  for (size_t k = 0; k < ngram_counts.size(); ++k) {
    const int64_t begin = ngram_counts[k],
                  end = k + 1 < ngram_counts.size() ? ngram_counts[k + 1] : static_cast<int64_t>(pool.size());
    const auto length = static_cast<int64_t>(k) + 1;
    if (begin < 0 || end < begin || end > static_cast<int64_t>(pool.size()))
      ctx.fail("ngram_counts do not fit the pool");
    for (int64_t at = begin; at + length <= end; at += length, ++gram) {
      if (gram >= ngram_indexes.size() || ngram_indexes[gram] < 0) ctx.fail("ngram_indexes do not fit the pool");
      if (length < min_gram_length || length > max_gram_length) continue;
      std::vector<std::string> items;
      for (int64_t i = 0; i < length; ++i) items.push_back(item(pool, static_cast<size_t>(at + i)));
      grams[items] = ngram_indexes[gram];
    }
  }
  const int64_t rows = x.rank() == 2 ? x.shape()[0] : 1, columns = x.rank() == 0 ? 1 : x.shape().back(),
                size = vector_size(*this);
  Tensor y = ctx.output(0, ElementType::f32, x.rank() == 2 ? Shape{rows, size} : Shape{size});
  for (int64_t r = 0; r < rows; ++r) {
    float* out = y.data<float>() + r * size;
    // Longer n-grams, and items further apart, do not fit into the row.
    for (int64_t distance = 1; distance <= std::min(max_skip_count, columns) + 1; ++distance) {
      for (int64_t length = min_gram_length; length <= std::min(max_gram_length, columns); ++length) {
        if (length == 1 && distance > 1) continue;  // single items have no distance
        for (int64_t start = 0; start + (length - 1) * distance < columns; ++start) {
          std::vector<std::string> items;
          for (int64_t i = 0; i < length; ++i)
            items.push_back(item(x, static_cast<size_t>(r * columns + start + i * distance)));
          if (const auto hit = grams.find(items); hit != grams.end()) out[hit->second] += 1;
        }
      }
    }
    for (int64_t c = 0; c < size; ++c) {
      const float w = weights.empty() ? 1 : static_cast<float>(weights[static_cast<size_t>(c)]);
      if (mode == TfIdfMode::idf) out[c] = out[c] > 0 ? w : 0;
      if (mode == TfIdfMode::tfidf) out[c] *= w;
    }
  }
}
Samples TfIdfVectorizer::samples() {
  const Tensor pool = int_tensor({2, 3, 5, 4, 5, 6, 7, 8, 6, 7}),
               row = int_tensor({1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8});
  const TfIdfVectorizer both{1, 2, 5, TfIdfMode::tf, {0, 4}, {0, 1, 2, 3, 4, 5, 6}, pool, {}};
  TfIdfVectorizer bigrams = both, weighted = both;
  bigrams.min_gram_length = 2;
  weighted.mode = TfIdfMode::tfidf;
  weighted.weights = {1, 2, 3, 4, 5, 6, 7};
  const TfIdfVectorizer words{1, 1, 0, TfIdfMode::idf, {0}, {1, 0}, texts({"a", "b"}), {}};
  return {
      sample(both, {row}, {Tensor::of<float>({7}, {0, 3, 1, 0, 1, 3, 1})}),
      sample(bigrams, {row.reshaped({2, 6})}, {Tensor::of<float>({2, 7}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1})}),
      sample(weighted, {row}, {Tensor::of<float>({7}, {0, 6, 3, 0, 5, 18, 7})}),
      sample(words, {texts({"b", "c", "b"})}, {Tensor::of<float>({2}, {1, 0})})};
}
HONE_DEFINE_OP(TfIdfVectorizer)

}  // namespace hone
