// Inputs, constants, results, conversion.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// An input of the graph or of a region. Its type is set by the builder; `shape` and `element_type` are what the file says.
struct Parameter {
  ElementType element_type = ElementType::dynamic;
  PartialShape shape;
  static void fields(auto& o, auto&& f) { f("element_type", o.element_type); f("shape", o.shape); }
  HONE_OP("Parameter") HONE_NO_GRAD("input")
};
struct Constant {
  Tensor value;
  static void fields(auto& o, auto&& f) { f("value", o.value); }
  HONE_OP("Constant") HONE_NO_GRAD("constant")
};
/// A trainable or stateful tensor that lives in the graph: weights under training, running statistics. `value` is its current content.
struct Variable {
  Tensor value;
  std::string variable_id;
  bool trainable = true;
  static void fields(auto& o, auto&& f) { f("value", o.value); f("variable_id", o.variable_id); f("trainable", o.trainable); }
  HONE_OP("Variable") HONE_NO_GRAD("source")
};
struct Result {
  HONE_OP("Result") HONE_GRAD
};
struct Convert {
  ElementType destination_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("destination_type", o.destination_type); }
  HONE_OP("Convert") HONE_GRAD
};
/// Changes the layout tag of a value, not its shape. Inserted by the layout pass.
enum class LayoutName { plain, channels_last };
HONE_ENUM_NAMES(LayoutName, "plain", "channels_last")
struct Reorder {
  LayoutName layout = LayoutName::plain;
  static void fields(auto& o, auto&& f) { f("layout", o.layout); }
  HONE_OP("Reorder") HONE_GRAD
};

}  // namespace hone
