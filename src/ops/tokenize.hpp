// Text cut into tokens, as com.microsoft's Tokenizer does it.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Input: strings [C] or [N, C]. Output: the tokens of each on a new last axis, filled up with `pad`; with `mark`, 0x02
/// stands in front of them and 0x03 behind. Tokens are the longest texts that `expression` matches, or, where it is
/// empty, what stands between the longest matches of the separators, each cutting what those before it left; no
/// separators at all cut into characters. Tokens of fewer than `least` characters are dropped. See regex.hpp for the
/// syntax. Text must be UTF-8.
struct Tokenize {
  std::string expression;
  std::vector<std::string> separators;
  std::string pad;
  bool mark = false;
  int64_t least = 1;
  static void fields(auto& o, auto&& f) {
    f("expression", o.expression);
    f("separators", o.separators);
    f("pad", o.pad);
    f("mark", o.mark);
    f("least", o.least);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Tokenize") HONE_NO_GRAD("text")
};

}  // namespace hone
