#include "ops/regex.hpp"

#include <gtest/gtest.h>

#include <string>

#include "hone/error.hpp"

namespace hone {
namespace {

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

TEST(Regex, takes_linear_time_where_backtracking_would_not_end) {
  const std::string text(20000, 'a');
  EXPECT_FALSE(Regex("(a*)*b").full_match(text));
  EXPECT_FALSE(Regex("(a|a)*(a|a)*c").full_match(text));
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
