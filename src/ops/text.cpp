#include "ops/text.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "ops/family.hpp"

namespace hone {
namespace {

void check_text(const InferCtx& ctx, size_t i) {
  ctx.check(ctx.element(i) == ElementType::string || ctx.element(i) == ElementType::dynamic,
            std::string("wants strings, got ") + name_of(ctx.element(i)));
}
void check_vector(const InferCtx& ctx, size_t i, const char* what) {
  const PartialShape& s = ctx.shape(i);
  ctx.check(!s.rank_known() || s.rank() == 1, what + (" " + to_string(s)) + " are not a list");
}

bool is_white(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

using Pieces = std::vector<std::string_view>;

Pieces split_at_any(std::string_view s, const std::string& delimiter, bool skip_empty) {
  Pieces out;
  if (s.empty()) return out;
  if (delimiter.empty()) {
    for (size_t i = 0; i < s.size(); ++i) out.push_back(s.substr(i, 1));
    return out;
  }
  for (size_t at = 0;;) {
    const size_t next = std::min(s.find_first_of(delimiter, at), s.size());
    if (next > at || !skip_empty) out.push_back(s.substr(at, next - at));
    if (next == s.size()) return out;
    at = next + 1;
  }
}

Pieces split_at_white_space(std::string_view s, int64_t maxsplit) {
  Pieces out;
  const auto trim = [&] {
    while (!s.empty() && is_white(s.front())) s.remove_prefix(1);
  };
  trim();
  while (!s.empty()) {
    const auto end = static_cast<size_t>(std::find_if(s.begin(), s.end(), is_white) - s.begin());
    out.push_back(s.substr(0, end));
    s.remove_prefix(end);
    trim();
    if (maxsplit > 0 && static_cast<int64_t>(out.size()) == maxsplit) {
      out.push_back(s);  // also where nothing is left, as TensorFlow has it
      return out;
    }
  }
  return out;
}

Pieces split_at(std::string_view s, const std::string& delimiter, int64_t maxsplit, bool skip_empty) {
  if (maxsplit == 0) return {s};
  if (delimiter.empty()) return split_at_white_space(s, maxsplit);
  Pieces out;
  const auto keep = [&](std::string_view piece) {
    if (!piece.empty() || !skip_empty) out.push_back(piece);
  };
  for (int64_t splits = 0;; ++splits) {
    const size_t next = maxsplit > 0 && splits == maxsplit ? s.npos : s.find(delimiter);
    keep(s.substr(0, next));
    if (next == s.npos) return out;
    s.remove_prefix(next + delimiter.size());
  }
}

Tensor words(std::vector<std::string> v) {
  const auto n = static_cast<int64_t>(v.size());
  return Tensor::strings({n}, std::move(v));
}

}  // namespace

Types StringPieces::infer(InferCtx& ctx) const {
  check_text(ctx, 0);
  check_vector(ctx, 0, "strings");
  return {Type(ElementType::i64, PartialShape{Dimension(), Dimension(2)}),
          Type(ElementType::string, PartialShape{Dimension()}), Type(ElementType::i64, PartialShape{2})};
}
void StringPieces::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() != 1) ctx.fail("strings " + to_string(x.shape()) + " are not a list");
  std::vector<std::string> pieces;
  std::vector<int64_t> places;
  int64_t most = 0;
  for (size_t i = 0; i < x.strings().size(); ++i) {
    const std::string& s = x.strings()[i];
    const Pieces of = any_of ? split_at_any(s, delimiter, skip_empty) : split_at(s, delimiter, maxsplit, skip_empty);
    for (size_t k = 0; k < of.size(); ++k) {
      places.insert(places.end(), {static_cast<int64_t>(i), static_cast<int64_t>(k)});
      pieces.emplace_back(of[k]);
    }
    most = std::max(most, static_cast<int64_t>(of.size()));
  }
  const auto count = static_cast<int64_t>(pieces.size());
  Tensor at = ctx.output(0, ElementType::i64, {count, 2});
  std::copy(places.begin(), places.end(), at.data<int64_t>());
  ctx.set_output(1, words(std::move(pieces)));
  ctx.set_output(2, int_tensor({x.shape()[0], most}));
}
Samples StringPieces::samples() {
  const auto two = [](std::vector<int64_t> v) {
    return Tensor::of<int64_t>({static_cast<int64_t>(v.size() / 2), 2}, v);
  };
  return {sample(StringPieces{"", true}, {words({"ab", "", "c"})},
                 {two({0, 0, 0, 1, 2, 0}), words({"a", "b", "c"}), int_tensor({3, 2})}),
          sample(StringPieces{",;", true, true}, {words({"a,;b", "c"})},
                 {two({0, 0, 0, 1, 1, 0}), words({"a", "b", "c"}), int_tensor({2, 2})}),
          sample(StringPieces{",;", true}, {words({"a,;b;"})},
                 {two({0, 0, 0, 1, 0, 2, 0, 3}), words({"a", "", "b", ""}), int_tensor({1, 4})}),
          sample(StringPieces{"--", false, false, 1}, {words({"a--b--c", ""})},
                 {two({0, 0, 0, 1, 1, 0}), words({"a", "b--c", ""}), int_tensor({2, 2})}),
          sample(StringPieces{}, {words({" hello  you ", " "})},
                 {two({0, 0, 0, 1}), words({"hello", "you"}), int_tensor({2, 2})}),
          sample(StringPieces{"", false, false, 1}, {words({" a b ", "c"})},
                 {two({0, 0, 0, 1, 1, 0, 1, 1}), words({"a", "b ", "c", ""}), int_tensor({2, 2})})};
}
HONE_DEFINE_OP(StringPieces)

Types StringNGrams::infer(InferCtx& ctx) const {
  check_text(ctx, 0);
  check_vector(ctx, 0, "strings");
  check_vector(ctx, 1, "splits");
  for (const int64_t width : ngram_widths)
    ctx.check(width > 0 && width <= std::numeric_limits<int32_t>::max(), "a width of " + std::to_string(width));
  ctx.check(pad_width <= std::numeric_limits<int32_t>::max(), "pads of " + std::to_string(pad_width));
  return {Type(ElementType::string, PartialShape{Dimension()}), Type(ctx.element(1), ctx.shape(1))};
}
void StringNGrams::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &splits = ctx.input(1);
  if (x.rank() != 1 || splits.rank() != 1) ctx.fail("strings and splits must be lists");
  const auto size = static_cast<int64_t>(x.size());
  const std::vector<int64_t> row = splits.to_ints();
  if (!row.empty() && (row.front() != 0 || row.back() != size || !std::is_sorted(row.begin(), row.end())))
    ctx.fail("splits " + to_string(row) + " do not fit " + std::to_string(size) + " strings");
  const auto pads_of = [&](int64_t width) { return std::min(pad_width < 0 ? width - 1 : pad_width, width - 1); };
  size_t bytes = 0;  // the result may be far longer than the text: by the widest n-gram
  constexpr size_t most_bytes = size_t{1} << 32;
  std::vector<std::string> out;
  const auto emit = [&](int64_t from, int64_t length, int64_t width, int64_t pads, int64_t first) {
    std::string s;
    for (int64_t k = first; k < first + width; ++k) {  // place k of the row with its pads
      if (k > first) s += separator;
      s += k < pads ? left_pad : k < pads + length ? x.strings()[static_cast<size_t>(from + k - pads)] : right_pad;
      if (s.size() > most_bytes) break;
    }
    bytes += s.size() + sizeof(std::string);
    if (bytes > most_bytes) ctx.fail("n-grams of more than 4 GiB");
    out.push_back(std::move(s));
  };
  Tensor ends = ctx.output(1, splits.element_type(), splits.shape());
  for (size_t r = 0; r + 1 < row.size(); ++r) {
    if (r == 0) set_integer(ends, 0, 0);
    const int64_t from = row[r], length = row[r + 1] - from;
    const size_t before = out.size();
    for (const int64_t width : ngram_widths) {
      if (size == 0) break;
      const int64_t pads = pads_of(width), count = length + 2 * pads - width + 1;
      for (int64_t k = 0; k < count; ++k) emit(from, length, width, pads, k);
    }
    if (preserve_short_sequences && length > 0 && out.size() == before) {
      if (pad_width < 0) ctx.fail("wants to keep short rows without a number of pads");
      emit(from, length, length + 2 * pad_width, pad_width, 0);
    }
    set_integer(ends, r + 1, static_cast<int64_t>(out.size()));
  }
  if (row.size() == 1) set_integer(ends, 0, 0);
  ctx.set_output(0, words(std::move(out)));
}
Samples StringNGrams::samples() {
  const Tensor text = words({"a", "b", "c", "d"}), splits = Tensor::of<int64_t>({3}, {0, 3, 4});
  return {
      sample(StringNGrams{"", {2}, "", ""}, {text, splits}, {words({"ab", "bc"}), Tensor::of<int64_t>({3}, {0, 2, 2})}),
      sample(StringNGrams{"|", {1, 2}, "<", ">", -1}, {text, splits},
             {words({"a", "b", "c", "<|a", "a|b", "b|c", "c|>", "d", "<|d", "d|>"}),
              Tensor::of<int64_t>({3}, {0, 7, 10})}),
      sample(StringNGrams{" ", {3}, "", "", 0, true}, {text, Tensor::of<int32_t>({3}, {0, 3, 4})},
             {words({"a b c", "d"}), Tensor::of<int32_t>({3}, {0, 1, 2})}),
      sample(StringNGrams{"-", {4}, "L", "R", 2}, {text, splits},
             {words({"L-L-a-b", "L-a-b-c", "a-b-c-R", "b-c-R-R", "L-L-d-R", "L-d-R-R"}),
              Tensor::of<int64_t>({3}, {0, 4, 6})})};
}
HONE_DEFINE_OP(StringNGrams)

Types StringHashBucket::infer(InferCtx& ctx) const {
  check_text(ctx, 0);
  ctx.check(num_buckets > 0, std::to_string(num_buckets) + " buckets");
  return {Type(ElementType::i64, ctx.shape(0))};
}
void StringHashBucket::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, ElementType::i64, x.shape());
  for (size_t i = 0; i < x.strings().size(); ++i)
    y.data<int64_t>()[i] = static_cast<int64_t>(fingerprint64(x.strings()[i]) % static_cast<uint64_t>(num_buckets));
}
Samples StringHashBucket::samples() {
  return {sample(StringHashBucket{1000}, {Tensor::strings({2, 2}, {"", "T", "Th", "The"})},
                 {Tensor::of<int64_t>({2, 2}, {263, 306, 323, 901})}),
          sample(StringHashBucket{1}, {words({"a"})}, {int_tensor({0})})};
}
HONE_DEFINE_OP(StringHashBucket)

}  // namespace hone
