// Inputs, constants, results, conversion.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// An input of the graph or of a region. Its type is set by the builder; `shape` and `element_type` are what the file
/// says.
struct Parameter {
  ElementType element_type = ElementType::dynamic;
  PartialShape shape;
  static void fields(auto& o, auto&& f) {
    f("element_type", o.element_type);
    f("shape", o.shape);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Parameter") HONE_NO_GRAD("input")
};
struct Constant {
  Tensor value;
  static void fields(auto& o, auto&& f) { f("value", o.value); }
  static constexpr bool raw_types = true;
  HONE_OP("Constant") HONE_NO_GRAD("constant")
};
/// A tensor that lives in the graph from run to run: weights under training, running statistics, recurrent state.
/// `value` is its initial content. Reads give the content at the beginning of the run; Assign takes effect at its end.
struct Variable {
  Tensor value;
  std::string variable_id;
  bool trainable = true;
  static void fields(auto& o, auto&& f) {
    f("value", o.value);
    f("variable_id", o.variable_id);
    f("trainable", o.trainable);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Variable") HONE_NO_GRAD("source")
};
/// The next content of the Variable (or ReadValue) of the same name. Input: the value.
struct Assign {
  std::string variable_id;
  static constexpr bool has_side_effect = true;
  static void fields(auto& o, auto&& f) { f("variable_id", o.variable_id); }
  static constexpr bool raw_types = true;
  HONE_OP("Assign") HONE_NO_GRAD("state")
};
/// State with an initial value that is computed. Input: the initial value (optional: zeros).
struct ReadValue {
  std::string variable_id;
  PartialShape variable_shape;
  ElementType variable_type = ElementType::dynamic;
  static void fields(auto& o, auto&& f) {
    f("variable_id", o.variable_id);
    f("variable_shape", o.variable_shape);
    f("variable_type", o.variable_type);
  }
  static constexpr bool raw_types = true;
  HONE_OP("ReadValue") HONE_NO_GRAD("state")
};
struct Result {
  static constexpr bool raw_types = true;
  HONE_OP("Result") HONE_GRAD
};
struct Convert {
  ElementType destination_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("destination_type", o.destination_type); }
  static constexpr bool raw_types = true;
  HONE_OP("Convert") HONE_GRAD
};
/// Changes the layout tag of a value, not its shape. Inserted by the layout pass.
enum class LayoutName { plain, channels_last };
HONE_ENUM_NAMES(LayoutName, "plain", "channels_last")
struct Reorder {
  LayoutName layout = LayoutName::plain;
  static void fields(auto& o, auto&& f) { f("layout", o.layout); }
  static constexpr bool raw_types = true;
  HONE_OP("Reorder") HONE_GRAD
};

}  // namespace hone
