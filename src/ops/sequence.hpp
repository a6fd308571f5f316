// Sequences and optionals (ONNX). An optional value is the value itself, or none.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: the elements.
struct SequenceConstruct {
  static constexpr bool raw_types = true;
  HONE_OP("SequenceConstruct") HONE_NO_GRAD("sequence")
};
/// A sequence of tensors of this type, without elements.
struct SequenceEmpty {
  ElementType element_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("element_type", o.element_type); }
  static constexpr bool raw_types = true;
  HONE_OP("SequenceEmpty") HONE_NO_GRAD("sequence")
};
/// Inputs: sequence, position (scalar; negative ones count from the end).
struct SequenceAt {
  static constexpr bool raw_types = true;
  HONE_OP("SequenceAt") HONE_NO_GRAD("sequence")
};
/// Inputs: sequence, value, position before which it goes (optional: the end).
struct SequenceInsert {
  static constexpr bool raw_types = true;
  HONE_OP("SequenceInsert") HONE_NO_GRAD("sequence")
};
/// Inputs: sequence, position (optional: the last).
struct SequenceErase {
  static constexpr bool raw_types = true;
  HONE_OP("SequenceErase") HONE_NO_GRAD("sequence")
};
struct SequenceLength {
  static constexpr bool raw_types = true;
  HONE_OP("SequenceLength") HONE_NO_GRAD("sequence")
};
/// Inputs: data, lengths (optional: 1; a scalar: chunks of that length, the last one shorter; a vector: each). Without
/// `keep_dims`, which counts only where no lengths are given, the axis goes.
struct SplitToSequence {
  int64_t axis = 0;
  bool keep_dims = true;
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("keep_dims", o.keep_dims);
  }
  static constexpr bool raw_types = true;
  HONE_OP("SplitToSequence") HONE_NO_GRAD("sequence")
};
/// Input: sequence. Joins along an axis, or stacks on a new one.
struct ConcatFromSequence {
  int64_t axis = 0;
  bool new_axis = false;
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("new_axis", o.new_axis);
  }
  static constexpr bool raw_types = true;
  HONE_OP("ConcatFromSequence") HONE_NO_GRAD("sequence")
};
/// Input: the value (optional: none). `type` is the text of the element's type, for an optional that is none.
struct OptionalConstruct {
  std::string type;
  static void fields(auto& o, auto&& f) { f("type", o.type); }
  static constexpr bool raw_types = true;
  HONE_OP("OptionalConstruct") HONE_NO_GRAD("optional")
};
struct OptionalHasElement {
  static constexpr bool raw_types = true;
  HONE_OP("OptionalHasElement") HONE_NO_GRAD("optional")
};
struct OptionalGetElement {
  static constexpr bool raw_types = true;
  HONE_OP("OptionalGetElement") HONE_NO_GRAD("optional")
};

}  // namespace hone
