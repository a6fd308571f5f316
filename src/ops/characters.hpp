// The characters of text, as UTF-8 has them.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class TextUnit { byte, character };
HONE_ENUM_NAMES(TextUnit, "byte", "character")
/// How long each string is, i32.
struct StringLength {
  TextUnit unit = TextUnit::byte;
  static void fields(auto& o, auto&& f) { f("unit", o.unit); }
  static constexpr bool raw_types = true;
  HONE_OP("StringLength") HONE_NO_GRAD("text")
};

/// Inputs: strings; where a part begins (below 0: counted from the end); how long it is at most (below 0: all
/// bytes that are left, but no characters). The three broadcast. A part that begins outside of its string is an error.
struct Substring {
  TextUnit unit = TextUnit::byte;
  static void fields(auto& o, auto&& f) { f("unit", o.unit); }
  static constexpr bool raw_types = true;
  HONE_OP("Substring") HONE_NO_GRAD("text")
};

enum class BadText { replace, ignore, strict };
HONE_ENUM_NAMES(BadText, "replace", "ignore", "strict")
/// Input: strings [N]. Outputs: splits [N + 1] (i64) that say where the characters of each string begin and end, their
/// code points (i32), and at which byte of its string each begins (i64). What is no UTF-8 becomes `replacement`, is
/// left out, or is an error; with `replace_controls` control characters below 32 are replaced or left out as well.
struct TextToCharacters {
  BadText errors = BadText::replace;
  int64_t replacement = 0xFFFD;
  bool replace_controls = false;
  static void fields(auto& o, auto&& f) {
    f("errors", o.errors);
    f("replacement", o.replacement);
    f("replace_controls", o.replace_controls);
  }
  static constexpr bool raw_types = true;
  HONE_OP("TextToCharacters") HONE_NO_GRAD("text")
};

/// Inputs: code points [K] (i32), splits [N + 1]. Output: strings [N]. What is no character is treated as above.
struct CharactersToText {
  BadText errors = BadText::replace;
  int64_t replacement = 0xFFFD;
  static void fields(auto& o, auto&& f) {
    f("errors", o.errors);
    f("replacement", o.replacement);
  }
  static constexpr bool raw_types = true;
  HONE_OP("CharactersToText") HONE_NO_GRAD("text")
};

}  // namespace hone
