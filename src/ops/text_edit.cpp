#include "ops/text_edit.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "ops/family.hpp"
#include "ops/regex.hpp"

namespace hone {
namespace {

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
std::string_view stripped(std::string_view s) {
  while (!s.empty() && is_blank(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_blank(s.back())) s.remove_suffix(1);
  return s;
}

Type text_type(const InferCtx& ctx) {
  ctx.check(ctx.element(0) == ElementType::string || ctx.element(0) == ElementType::dynamic,
            std::string("wants strings, got ") + name_of(ctx.element(0)));
  return Type(ElementType::string, ctx.shape(0));
}

// String by string.
template <class F>
void change(EvalCtx& ctx, F&& f) {
  const Tensor& x = ctx.input(0);
  std::vector<std::string> out;
  out.reserve(x.strings().size());
  for (const std::string& s : x.strings()) out.emplace_back(f(s));
  ctx.set_output(0, Tensor::strings(x.shape(), std::move(out)));
}

Tensor texts(std::vector<std::string> v) {
  const auto n = static_cast<int64_t>(v.size());
  return Tensor::strings({n}, std::move(v));
}

}  // namespace

Types StringCase::infer(InferCtx& ctx) const {
  return {text_type(ctx)};
}
void StringCase::eval(EvalCtx& ctx) const {
  const char low = upper ? 'a' : 'A', high = upper ? 'z' : 'Z';
  change(ctx, [&](std::string s) {
    for (char& c : s) {
      if (c >= low && c <= high) c = static_cast<char>(c ^ 0x20);
    }
    return s;
  });
}
Samples StringCase::samples() {
  const Tensor x = texts({"Straße 9", "", "aZ@[`{"});
  return {sample(StringCase{}, {x}, {texts({"straße 9", "", "az@[`{"})}),
          sample(StringCase{true}, {x}, {texts({"STRAßE 9", "", "AZ@[`{"})})};
}
HONE_DEFINE_OP(StringCase)

Types StringStrip::infer(InferCtx& ctx) const {
  return {text_type(ctx)};
}
void StringStrip::eval(EvalCtx& ctx) const {
  change(ctx, stripped);
}
Samples StringStrip::samples() {
  return {sample(StringStrip{}, {Tensor::strings({2, 2}, {" a b\n", "\t\v", "x", ""})},
                 {Tensor::strings({2, 2}, {"a b", "", "x", ""})})};
}
HONE_DEFINE_OP(StringStrip)

Types RegexReplace::infer(InferCtx& ctx) const {
  const Regex regex(pattern);
  RegexRewrite(regex, rewrite);
  return {text_type(ctx)};
}
void RegexReplace::eval(EvalCtx& ctx) const {
  const Regex regex(pattern);
  const RegexRewrite to(regex, rewrite);
  Regex::Budget budget;
  size_t bytes = 0;  // a rewrite may repeat the text at each of its places
  change(ctx, [&](const std::string& s) {
    std::string y = to.apply(s, global, budget);
    bytes += y.size();
    if (bytes > size_t{1} << 32) ctx.fail("results of more than 4 GiB");
    return y;
  });
}
Samples RegexReplace::samples() {
  const Tensor x = texts({"a1b22", "", "é-x"});
  return {sample(RegexReplace{"[0-9]+", "<\\0>"}, {x}, {texts({"a<1>b<22>", "", "é-x"})}),
          sample(RegexReplace{"[0-9]+", "#", false}, {x}, {texts({"a#b22", "", "é-x"})}),
          sample(RegexReplace{"x*", "-"}, {x}, {texts({"-a-1-b-2-2-", "-", "-é---"})}),
          sample(RegexReplace{"(\\w)([^a-z])", "\\2\\1"}, {texts({"a1 é", "x-y"})}, {texts({"1a é", "-xy"})}),
          sample(RegexReplace{"[!\"#$%&()\\*\\+,-\\./:;<=>?@\\[\\\\\\]^_`{|}~\\']", ""},
                 {texts({"Don't (stop) [it]!"})}, {texts({"Dont stop it"})})};
}
HONE_DEFINE_OP(RegexReplace)

Types NumberToText::infer(InferCtx& ctx) const {
  const ElementType t = ctx.element(0);
  ctx.check(t != ElementType::string, "wants numbers, got strings");
  ctx.check(width <= 256 && precision <= 256, "more than 256 characters a number");
  ctx.check(fill.empty() || fill == "0" || fill == "-" || fill == "+" || fill == " ", "unknown fill '" + fill + "'");
  ctx.check(is_float(t) || t == ElementType::dynamic || (precision < 0 && form == NumberForm::fixed),
            "precision and form are for floats");
  return {Type(ElementType::string, ctx.shape(0))};
}
void NumberToText::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  std::string format = "%" + fill;
  if (width >= 0) format += std::to_string(width);
  if (precision >= 0) format += "." + std::to_string(precision);
  const ElementType t = x.element_type();
  const bool real = is_float(t);
  format += !real                            ? (t == ElementType::u64 ? "llu" : "lld")
            : form == NumberForm::fixed      ? "f"
            : form == NumberForm::scientific ? "e"
                                             : "g";
  std::vector<std::string> out;
  const auto print = [&](auto v) {
    std::string s(static_cast<size_t>(std::snprintf(nullptr, 0, format.c_str(), v)), '\0');
    std::snprintf(s.data(), s.size() + 1, format.c_str(), v);
    out.push_back(std::move(s));
  };
  for (size_t i = 0; i < x.size(); ++i) {
    if (t == ElementType::boolean)
      out.emplace_back(get_integer(x, i) != 0 ? "true" : "false");
    else if (real)
      print(get_element(x, i));
    else
      print(static_cast<long long>(get_integer(x, i)));
  }
  ctx.set_output(0, Tensor::strings(x.shape(), std::move(out)));
}
Samples NumberToText::samples() {
  const Tensor x = Tensor::of<float>({3}, {1.5f, -0.25f, 1e6f});
  return {sample(NumberToText{}, {x}, {texts({"1.500000", "-0.250000", "1000000.000000"})}),
          sample(NumberToText{NumberForm::shortest, 3}, {x}, {texts({"1.5", "-0.25", "1e+06"})}),
          sample(NumberToText{NumberForm::scientific, 1, 10}, {x}, {texts({"   1.5e+00", "  -2.5e-01", "   1.0e+06"})}),
          sample(NumberToText{NumberForm::fixed, -1, 4, "0"}, {int_tensor({7, -12})}, {texts({"0007", "-012"})}),
          sample(NumberToText{}, {Tensor::of<bool>({2}, {true, false})}, {texts({"true", "false"})})};
}
HONE_DEFINE_OP(NumberToText)

Types TextToNumber::infer(InferCtx& ctx) const {
  ctx.check(to == ElementType::f32 || to == ElementType::f64 || to == ElementType::i32 || to == ElementType::i64,
            std::string("does not give ") + name_of(to));
  return {Type(to, text_type(ctx).shape)};
}
void TextToNumber::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, to, x.shape());
  for (size_t i = 0; i < x.strings().size(); ++i) {
    std::string_view s = stripped(x.strings()[i]);
    if (s.starts_with('+') && s.size() > 1 && s[1] != '-') s.remove_prefix(1);
    const auto read = [&](auto v) {
      const auto [end, wrong] = std::from_chars(s.data(), s.data() + s.size(), v);
      if (wrong != std::errc{} || end != s.data() + s.size())
        ctx.fail("'" + x.strings()[i].substr(0, 100) + "' is no number of type " + name_of(to));
      return v;
    };
    switch (to) {
      case ElementType::f32:
        y.data<float>()[i] = read(0.0f);
        break;
      case ElementType::f64:
        y.data<double>()[i] = read(0.0);
        break;
      case ElementType::i32:
        y.data<int32_t>()[i] = read(int32_t{0});
        break;
      default:
        y.data<int64_t>()[i] = read(int64_t{0});
    }
  }
}
Samples TextToNumber::samples() {
  return {sample(TextToNumber{}, {texts({" 1.5", "-2e3 ", "+7"})}, {Tensor::of<float>({3}, {1.5f, -2000, 7})}),
          sample(TextToNumber{ElementType::i64}, {Tensor::strings({1, 2}, {"-9000000000", "12"})},
                 {Tensor::of<int64_t>({1, 2}, {-9000000000, 12})})};
}
HONE_DEFINE_OP(TextToNumber)

}  // namespace hone
