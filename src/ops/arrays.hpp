// Operators on whole arrays: distinct elements, identity matrices, bits seen as another type.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Distinct elements, or distinct slices along `axis`. Inputs: data, axis (scalar; optional: the flattened data).
/// Outputs: the distinct ones, the index of the first occurrence of each, for each element the index of what it equals,
/// how often each occurs. Not sorted means in order of the first occurrence.
struct Unique {
  bool sorted = true;
  ElementType index_element_type = ElementType::i64;
  ElementType count_element_type = ElementType::i64;
  static void fields(auto& o, auto&& f) {
    f("sorted", o.sorted);
    f("index_element_type", o.index_element_type);
    f("count_element_type", o.count_element_type);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Unique") HONE_NO_GRAD("index")
};
/// Ones on a diagonal. Inputs: rows, columns, diagonal (scalars), batch shape (optional).
struct Eye {
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("Eye") HONE_NO_GRAD("constant source")
};
/// The same bits as elements of another type of equal width.
struct BitCast {
  ElementType destination_type = ElementType::i32;
  static void fields(auto& o, auto&& f) { f("destination_type", o.destination_type); }
  static constexpr bool raw_types = true;
  HONE_OP("BitCast") HONE_NO_GRAD("bits")
};

}  // namespace hone
