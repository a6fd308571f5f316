#include "ops/regex.hpp"

#include <gtest/gtest.h>

#include <string>

#include "hone/error.hpp"

namespace hone {
namespace {

Regex::Match search(const Regex& regex, std::string_view text, size_t from = 0,
                    Regex::Prefer prefer = Regex::Prefer::first) {
  Regex::Budget budget;
  return regex.search(text, from, prefer, budget);
}

TEST(Regex, matches_the_whole_text_only) {
  EXPECT_TRUE(Regex("a|bc").full_match("bc"));
  EXPECT_FALSE(Regex("a|bc").full_match("abc"));
  EXPECT_TRUE(Regex("").full_match(""));
  EXPECT_FALSE(Regex("").full_match("a"));
}

TEST(Regex, counts_and_classes) {
  EXPECT_TRUE(Regex("[0-9]{2,3}-\\d{2}").full_match("123-45"));
  EXPECT_FALSE(Regex("[0-9]{2,3}-\\d{2}").full_match("1-45"));
  EXPECT_TRUE(Regex("x{0}y").full_match("y"));
  EXPECT_TRUE(Regex("x{2,}").full_match("xxxxx"));
  EXPECT_FALSE(Regex("x{2,}").full_match("x"));
  EXPECT_TRUE(Regex("a{,2}").full_match("a{,2}"));  // no count: a literal brace
  EXPECT_TRUE(Regex("[]a-]+").full_match("]a-"));
  EXPECT_TRUE(Regex("[^\\s]+").full_match("word"));
  EXPECT_TRUE(Regex("(?:ab)+?c").full_match("ababc"));
}

TEST(Regex, borders_of_words) {
  EXPECT_TRUE(Regex("\\bcat\\b").full_match("cat"));
  EXPECT_TRUE(Regex(".*\\bcat\\b.*").full_match("a cat!"));
  EXPECT_FALSE(Regex(".*\\bcat\\b.*").full_match("concatenate"));
  EXPECT_TRUE(Regex(".*\\Bcat.*").full_match("concatenate"));
}

TEST(Regex, characters_of_several_bytes_are_one) {
  EXPECT_TRUE(Regex("[^a]").full_match("é"));
  EXPECT_TRUE(Regex("\\W\\D\\S").full_match("é€😀"));
  EXPECT_TRUE(Regex("x.z").full_match("x😀z"));
  EXPECT_TRUE(Regex("é{2}").full_match("éé"));
  EXPECT_TRUE(Regex("[à-ü€]+").full_match("éç€"));
  EXPECT_FALSE(Regex("[à-ü]").full_match("ÿ"));
  EXPECT_TRUE(Regex("[\\x{4e00}-\\x{9fff}]").full_match("中"));
  EXPECT_FALSE(Regex("[\\x{4e00}-\\x{9fff}]").full_match("ア"));
  EXPECT_FALSE(Regex(".").full_match("\xff"));
  EXPECT_THROW(Regex("\xff"), Error);
}

TEST(Regex, flags_classes_and_names) {
  EXPECT_THROW(Regex("(?i)straße"), Error);  // only the case of ASCII letters is known
  EXPECT_TRUE(Regex("(?i)[a-c]x").full_match("BX"));
  EXPECT_TRUE(Regex("a(?i:b)c").full_match("aBc"));
  EXPECT_FALSE(Regex("a(?i:b)c").full_match("aBC"));
  EXPECT_TRUE(Regex("(?s).+").full_match("a\nb"));
  EXPECT_FALSE(Regex(".+").full_match("a\nb"));
  EXPECT_TRUE(Regex("[[:punct:]]+[[:alpha:]]").full_match("!_~z"));
  EXPECT_TRUE(Regex("[[:^digit:]]").full_match("é"));
  EXPECT_EQ(Regex("(?P<year>\\d+)-(?:\\d+)").groups(), 1u);
}

TEST(Regex, finds_the_leftmost_match_that_perl_would_find) {
  const auto found = [](const char* pattern, std::string_view text) -> std::string {
    const auto m = search(Regex(pattern), text);
    return m.empty() ? "none" : std::string(text.substr(m[0], m[1] - m[0]));
  };
  EXPECT_EQ(found("a|ab", "xab"), "a");
  EXPECT_EQ(found("ab|a", "xab"), "ab");
  EXPECT_EQ(found("a+", "baaa"), "aaa");
  EXPECT_EQ(found("a+?", "baaa"), "a");
  EXPECT_EQ(found("<.*>", "<a><b>"), "<a><b>");
  EXPECT_EQ(found("<.*?>", "<a><b>"), "<a>");
  EXPECT_EQ(found("a{1,2}?b", "aaab"), "aab");
  EXPECT_EQ(found("\\bcat\\b", "concat cat"), "cat");
  EXPECT_EQ(found("z", "abc"), "none");
  EXPECT_EQ(found("$", "abc"), "");
  const auto m = search(Regex("(\\w+)@(\\w+)(\\.org)?"), "to me@home now");
  ASSERT_EQ(m.size(), 8u);
  EXPECT_EQ(m, (Regex::Match{3, 10, 3, 5, 6, 10, Regex::npos, Regex::npos}));
  EXPECT_EQ(search(Regex("(a)|b"), "ab", 1), (Regex::Match{1, 2, Regex::npos, Regex::npos}));
  EXPECT_EQ(search(Regex("(?:(a)|(b)){2}"), "ab"), (Regex::Match{0, 2, 0, 1, 1, 2}));
}

TEST(Regex, finds_the_longest_of_the_leftmost_matches) {
  const auto found = [](const char* pattern, std::string_view text) {
    const auto m = search(Regex(pattern), text, 0, Regex::Prefer::longest);
    return m.empty() ? "none" : std::string(text.substr(m[0], m[1] - m[0]));
  };
  EXPECT_EQ(found("a|ab|abcd", "xabcabcd"), "ab");
  EXPECT_EQ(found("b|abc|a", "abcabcd"), "abc");
  EXPECT_EQ(found("a+?", "baaa"), "aaa");
  EXPECT_EQ(found("x*", "abx"), "");
  EXPECT_EQ(found("z", "abc"), "none");
}

TEST(Regex, rewrites_as_re2_does) {
  const auto rewritten = [](const char* pattern, const char* rewrite, std::string_view text, bool global = true) {
    const Regex regex(pattern);
    Regex::Budget budget;
    return RegexRewrite(regex, rewrite).apply(text, global, budget);
  };
  EXPECT_EQ(rewritten("b+", "-", "abbcb"), "a-c-");
  EXPECT_EQ(rewritten("b+", "-", "abbcb", false), "a-cb");
  EXPECT_EQ(rewritten("b*", "-", "abc"), "-a-c-");
  EXPECT_EQ(rewritten("", ".", "é"), ".é.");
  EXPECT_EQ(rewritten("^a", "x", "aaa"), "xaa");
  EXPECT_EQ(rewritten("(.)(.)", "\\2\\1\\\\", "abcd"), "ba\\dc\\");
  const Regex one("(a)");
  EXPECT_THROW(RegexRewrite(one, "\\2"), Error);
  EXPECT_THROW(RegexRewrite(one, "\\x"), Error);
  EXPECT_THROW(RegexRewrite(one, "\\"), Error);
}

TEST(Regex, takes_linear_time_where_backtracking_would_not_end) {
  const std::string text(20000, 'a');
  EXPECT_FALSE(Regex("(a*)*b").full_match(text));
  EXPECT_FALSE(Regex("(a|a)*(a|a)*c").full_match(text));
}

TEST(Regex, ends_where_matching_would_take_too_long) {
  const std::string text(2000, 'a');
  Regex::Budget two_million(2'000'000), again(2'000'000), enough;
  // each of 2,000 matches looks ahead to the end
  const Regex regex("a.*b|a");
  EXPECT_THROW(RegexRewrite(regex, "").apply(text, true, two_million), Error);
  EXPECT_EQ(RegexRewrite(regex, "").apply(text, true, enough), "");
  EXPECT_THROW(Regex("((a?){100}){60}b").full_match(text, again), Error);
}

TEST(Regex, refuses_malformed_and_exploding_patterns) {
  const std::string deep(1000, '(');
  for (const std::string& p :
       {std::string("("), std::string(")"), std::string("[a"), std::string("*"), std::string("a\\"),
        std::string("[z-a]"), std::string("(?=a)"), std::string("((a{1000}){1000}){1000}"), deep}) {
    EXPECT_THROW(Regex{p}, Error) << p.substr(0, 20);
  }
}

}  // namespace
}  // namespace hone
