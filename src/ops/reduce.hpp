// Reductions.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// Inputs: data, axes (constant integers). An empty list of axes reduces nothing.
struct ReduceSum {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceSum") HONE_GRAD
};
struct ReduceMean {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceMean") HONE_GRAD
};
struct ReduceMax {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceMax") HONE_GRAD
};
struct ReduceMin {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceMin") HONE_GRAD
};
struct ReduceProd {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceProd") HONE_GRAD
};
struct ReduceL1 {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceL1") HONE_GRAD
};
struct ReduceL2 {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceL2") HONE_GRAD
};
struct ReduceLogicalAnd {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceLogicalAnd") HONE_NO_GRAD("boolean result")
};
struct ReduceLogicalOr {
  bool keep_dims = false;
  static void fields(auto& o, auto&& f) { f("keep_dims", o.keep_dims); }
  HONE_OP("ReduceLogicalOr") HONE_NO_GRAD("boolean result")
};
/// Inputs: data, axis (scalar).
struct CumSum {
  bool exclusive = false;
  bool reverse = false;
  static void fields(auto& o, auto&& f) {
    f("exclusive", o.exclusive);
    f("reverse", o.reverse);
  }
  HONE_OP("CumSum") HONE_GRAD
};

}  // namespace hone
