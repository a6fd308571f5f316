#include "ops/tokenize.hpp"

#include <algorithm>

#include "ops/family.hpp"
#include "ops/regex.hpp"

namespace hone {
namespace {

using Tokens = std::vector<std::string_view>;

/// Bytes of the character that begins the text; 0 where none does.
size_t first_character(std::string_view s) {
  const auto lead = static_cast<unsigned char>(s[0]);
  const size_t n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (n > s.size()) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((static_cast<unsigned char>(s[i]) & 0xC0) != 0x80) return 0;
  }
  return n;
}

Tokens characters(const EvalCtx& ctx, std::string_view s) {
  Tokens out;
  while (!s.empty()) {
    const size_t n = first_character(s);
    if (n == 0) ctx.fail("text that is not UTF-8");
    out.push_back(s.substr(0, n));
    s.remove_prefix(n);
  }
  return out;
}

bool long_enough(std::string_view s, int64_t least) {
  return !s.empty() && std::count_if(s.begin(), s.end(),
                                     [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }) >= least;
}

/// Where to go on behind a match: behind its end, or where it is empty or too short behind its first character.
size_t behind(std::string_view s, size_t match, size_t end) {
  return end > match ? end : match + (match < s.size() ? std::max<size_t>(first_character(s.substr(match)), 1) : 1);
}

Tokens matched(std::string_view s, const Regex& regex, int64_t least, Regex::Budget& budget) {
  Tokens out;
  for (size_t at = 0; at <= s.size();) {
    const Regex::Match m = regex.search(s, at, Regex::Prefer::longest, budget);
    if (m.empty()) break;
    const std::string_view token = s.substr(m[0], m[1] - m[0]);
    const bool kept = long_enough(token, least);
    if (kept) out.push_back(token);
    at = behind(s, m[0], kept ? m[1] : m[0]);
  }
  return out;
}

Tokens between(std::string_view s, const Regex& separator, int64_t least, Regex::Budget& budget) {
  Tokens out;
  size_t at = 0;
  const auto keep = [&](size_t end) {
    if (end > at && long_enough(s.substr(at, end - at), least)) out.push_back(s.substr(at, end - at));
  };
  while (at <= s.size()) {
    const Regex::Match m = separator.search(s, at, Regex::Prefer::longest, budget);
    if (m.empty()) break;
    keep(m[0]);
    at = behind(s, m[0], m[1]);
  }
  keep(s.size());
  return out;
}

}  // namespace

Types Tokenize::infer(InferCtx& ctx) const {
  ctx.check(ctx.element(0) == ElementType::string || ctx.element(0) == ElementType::dynamic,
            std::string("wants strings, got ") + name_of(ctx.element(0)));
  ctx.check(expression.empty() || separators.empty(), "takes an expression or separators, not both");
  for (const std::string& s : separators) {
    ctx.check(!s.empty(), "an empty separator");
    Regex(std::string_view(s));
  }
  Regex(std::string_view(expression));
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ElementType::string, in)};
  ctx.check(in.rank() == 1 || in.rank() == 2, "wants [C] or [N, C], got " + to_string(in));
  std::vector<Dimension> dims = in.dims();
  dims.emplace_back();
  return {Type(ElementType::string, PartialShape(dims))};
}
void Tokenize::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() != 1 && x.rank() != 2) ctx.fail("wants [C] or [N, C], got " + to_string(x.shape()));
  std::vector<Regex> cuts;
  for (const std::string& s : separators) cuts.emplace_back(s);
  const Regex regex(expression);
  Regex::Budget budget;
  std::vector<Tokens> rows;
  size_t most = 0;
  for (const std::string& s : x.strings()) {
    Tokens row = characters(ctx, s);  // also checks the text
    if (!expression.empty()) row = matched(s, regex, least, budget);
    if (!separators.empty()) row = {s};
    for (const Regex& cut : cuts) {
      Tokens parts;
      for (const std::string_view part : row) {
        const Tokens inner = between(part, cut, least, budget);
        parts.insert(parts.end(), inner.begin(), inner.end());
      }
      row = std::move(parts);
    }
    most = std::max(most, row.size());
    rows.push_back(std::move(row));
  }
  const size_t ends = mark && most > 0 ? 1 : 0, width = most + 2 * ends;
  if (width > 0 && rows.size() > (size_t{1} << 27) / width) ctx.fail("more than 2^27 tokens with what fills them up");
  Shape shape = x.shape();
  shape.push_back(static_cast<int64_t>(width));
  Tensor y = ctx.output(0, ElementType::string, shape);
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto to = y.strings().begin() + static_cast<std::ptrdiff_t>(r * width);
    std::fill(to, to + static_cast<std::ptrdiff_t>(width), pad);
    std::copy(rows[r].begin(), rows[r].end(), to + static_cast<std::ptrdiff_t>(ends));
    if (ends == 0) continue;
    to[0] = "\x02";
    to[std::ssize(rows[r]) + 1] = "\x03";
  }
}
Samples Tokenize::samples() {
  const Tensor x = Tensor::strings({2}, {"Is it, or", "né"});
  return {sample(Tokenize{"[a-z]+", {}, "#"}, {x}, {Tensor::strings({2, 3}, {"s", "it", "or", "n", "#", "#"})}),
          sample(Tokenize{"", {" ", ","}, "#", true}, {x},
                 {Tensor::strings({2, 5}, {"\x02", "Is", "it", "or", "\x03", "\x02", "né", "\x03", "#", "#"})}),
          sample(Tokenize{"a|ab", {}, "#"}, {Tensor::strings({1}, {"abaab"})},
                 {Tensor::strings({1, 3}, {"ab", "a", "ab"})}),
          sample(Tokenize{"", {}, "-"}, {Tensor::strings({1, 2}, {"né", ""})},
                 {Tensor::strings({1, 2, 2}, {"n", "é", "-", "-"})}),
          sample(Tokenize{"\\w+", {}, "#", true, 3}, {x}, {Tensor(ElementType::string, {2, 0})})};
}
HONE_DEFINE_OP(Tokenize)

}  // namespace hone
