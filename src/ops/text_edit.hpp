// Text changed string by string, and numbers written and read.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// ASCII letters in the other case; other bytes stay.
struct StringCase {
  bool upper = false;
  static void fields(auto& o, auto&& f) { f("upper", o.upper); }
  static constexpr bool raw_types = true;
  HONE_OP("StringCase") HONE_NO_GRAD("text")
};

/// Without white space (ASCII) at both ends.
struct StringStrip {
  static void fields(auto&, auto&&) {}
  static constexpr bool raw_types = true;
  HONE_OP("StringStrip") HONE_NO_GRAD("text")
};

/// Each match replaced, or the first one alone. See regex.hpp for the syntax of pattern and rewrite.
struct RegexReplace {
  std::string pattern;
  std::string rewrite;
  bool global = true;
  static void fields(auto& o, auto&& f) {
    f("pattern", o.pattern);
    f("rewrite", o.rewrite);
    f("global", o.global);
  }
  static constexpr bool raw_types = true;
  HONE_OP("RegexReplace") HONE_NO_GRAD("text")
};

enum class NumberForm { fixed, scientific, shortest };
HONE_ENUM_NAMES(NumberForm, "fixed", "scientific", "shortest")
/// Numbers as C's printf writes them: floats by %f, %e or %g with `precision` (below 0: six digits), in at least
/// `width` characters, filled up with `fill` (one of "", "0", "-", "+" and a blank, as flags of printf). Booleans
/// become "true" and "false".
struct NumberToText {
  NumberForm form = NumberForm::fixed;
  int64_t precision = -1;
  int64_t width = -1;
  std::string fill = {};
  static void fields(auto& o, auto&& f) {
    f("form", o.form);
    f("precision", o.precision);
    f("width", o.width);
    f("fill", o.fill);
  }
  static constexpr bool raw_types = true;
  HONE_OP("NumberToText") HONE_NO_GRAD("text")
};

/// Decimal numbers, blanks around them allowed. A string that is no number, or one that the type cannot hold, is an
/// error.
struct TextToNumber {
  ElementType to = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("to", o.to); }
  static constexpr bool raw_types = true;
  HONE_OP("TextToNumber") HONE_NO_GRAD("text")
};

}  // namespace hone
