// Elementwise operators of two tensors, and Select.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// All broadcast like NumPy by default; comparison and logical operators give boolean.
struct Add {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Add") HONE_GRAD
};
struct Subtract {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Subtract") HONE_GRAD
};
struct Multiply {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Multiply") HONE_GRAD
};
struct Power {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Power") HONE_GRAD
};
struct Maximum {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Maximum") HONE_GRAD
};
struct Minimum {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Minimum") HONE_GRAD
};
struct SquaredDifference {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("SquaredDifference") HONE_GRAD
};
/// Integer division rounds toward minus infinity with `m_pythondiv`, else toward zero.
struct Divide {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  bool m_pythondiv = true;
  static void fields(auto& o, auto&& f) {
    f("auto_broadcast", o.auto_broadcast);
    f("m_pythondiv", o.m_pythondiv);
  }
  HONE_OP("Divide") HONE_GRAD
};
struct Mod {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Mod") HONE_GRAD
};
struct FloorMod {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("FloorMod") HONE_GRAD
};
struct Equal {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Equal") HONE_NO_GRAD("boolean result")
};
struct NotEqual {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("NotEqual") HONE_NO_GRAD("boolean result")
};
struct Less {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Less") HONE_NO_GRAD("boolean result")
};
struct LessEqual {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("LessEqual") HONE_NO_GRAD("boolean result")
};
struct Greater {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Greater") HONE_NO_GRAD("boolean result")
};
struct GreaterEqual {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("GreaterEqual") HONE_NO_GRAD("boolean result")
};
struct LogicalAnd {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("LogicalAnd") HONE_NO_GRAD("boolean result")
};
struct LogicalOr {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("LogicalOr") HONE_NO_GRAD("boolean result")
};
struct LogicalXor {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("LogicalXor") HONE_NO_GRAD("boolean result")
};
struct BitwiseAnd {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("BitwiseAnd") HONE_NO_GRAD("integer operator")
};
struct BitwiseOr {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("BitwiseOr") HONE_NO_GRAD("integer operator")
};
struct BitwiseXor {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("BitwiseXor") HONE_NO_GRAD("integer operator")
};
struct BitwiseLeftShift {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("BitwiseLeftShift") HONE_NO_GRAD("integer operator")
};
struct BitwiseRightShift {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("BitwiseRightShift") HONE_NO_GRAD("integer operator")
};
struct Atan2 {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Atan2") HONE_GRAD
};
/// Inputs: condition (boolean), then, else.
struct Select {
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) { f("auto_broadcast", o.auto_broadcast); }
  HONE_OP("Select") HONE_GRAD
};

}  // namespace hone
