// Elementwise functions of one tensor.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class RoundMode { half_to_even, half_away_from_zero };
HONE_ENUM_NAMES(RoundMode, "half_to_even", "half_away_from_zero")
struct Abs {
  HONE_OP("Abs") HONE_GRAD
};
struct Negative {
  HONE_OP("Negative") HONE_GRAD
};
struct Exp {
  HONE_OP("Exp") HONE_GRAD
};
struct Log {
  HONE_OP("Log") HONE_GRAD
};
struct Sqrt {
  HONE_OP("Sqrt") HONE_GRAD
};
struct Sin {
  HONE_OP("Sin") HONE_GRAD
};
struct Cos {
  HONE_OP("Cos") HONE_GRAD
};
struct Tan {
  HONE_OP("Tan") HONE_GRAD
};
struct Asin {
  HONE_OP("Asin") HONE_GRAD
};
struct Acos {
  HONE_OP("Acos") HONE_GRAD
};
struct Atan {
  HONE_OP("Atan") HONE_GRAD
};
struct Sinh {
  HONE_OP("Sinh") HONE_GRAD
};
struct Cosh {
  HONE_OP("Cosh") HONE_GRAD
};
struct Asinh {
  HONE_OP("Asinh") HONE_GRAD
};
struct Acosh {
  HONE_OP("Acosh") HONE_GRAD
};
struct Atanh {
  HONE_OP("Atanh") HONE_GRAD
};
struct Erf {
  HONE_OP("Erf") HONE_GRAD
};
struct Floor {
  HONE_OP("Floor") HONE_NO_GRAD("piecewise constant")
};
struct Ceiling {
  HONE_OP("Ceiling") HONE_NO_GRAD("piecewise constant")
};
struct Sign {
  HONE_OP("Sign") HONE_NO_GRAD("piecewise constant")
};
struct Round {
  RoundMode mode = RoundMode::half_to_even;
  static void fields(auto& o, auto&& f) { f("mode", o.mode); }
  HONE_OP("Round") HONE_NO_GRAD("piecewise constant")
};
struct LogicalNot {
  HONE_OP("LogicalNot") HONE_NO_GRAD("boolean or integer result")
};
struct IsNaN {
  HONE_OP("IsNaN") HONE_NO_GRAD("boolean or integer result")
};
struct IsFinite {
  HONE_OP("IsFinite") HONE_NO_GRAD("boolean or integer result")
};
struct BitwiseNot {
  HONE_OP("BitwiseNot") HONE_NO_GRAD("boolean or integer result")
};
struct IsInf {
  bool detect_negative = true;
  bool detect_positive = true;
  static void fields(auto& o, auto&& f) {
    f("detect_negative", o.detect_negative);
    f("detect_positive", o.detect_positive);
  }
  HONE_OP("IsInf") HONE_NO_GRAD("boolean result")
};

}  // namespace hone
