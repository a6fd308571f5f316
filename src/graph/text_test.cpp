#include "graph/text.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "hone/error.hpp"

namespace hone {

TEST(Type, travels_through_text) {
  for (const char* s : {"f32[1,3,?]", "i8[N:1..8]@channels_last", "seq<f32[...]>", "opt<seq<i64[]>>",
                        "map<string,f32[?]>", "res<f32[2]>", "u8[1,8]~q(scale=[0.5,0.25],zero_point=[3,4],axis=1)"}) {
    EXPECT_EQ(to_string(parse_type(s)), s);
  }
  for (const char* s : {"f32", "f99[1]", "f32[1]x", "map<f32[1]>", "u8[1]~q(scale=[],zero_point=[],axis=0)"})
    EXPECT_THROW(parse_type(s), Error) << s;
}

TEST(Text, names_the_line_of_an_error) {
  for (const char* s : {"graph g {\n %x = Nothing()\n}", "graph g {\n %x = Convert(%y)\n}",
                        "graph g {\n %x = Convert() {destination_type=f32}\n}"}) {
    try {
      parse_graph(s);
      FAIL() << s;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("line 2"), std::string::npos) << e.what();
    }
  }
  for (const char* s : {"", "graph", "graph g {", "graph g { %x", "graph g { %x = Convert(", "graph g { } x"})
    EXPECT_THROW(parse_graph(s), Error) << s;
}

}  // namespace hone
