// Dropout and random numbers.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// Random operators take an explicit state [2] u64 (key, counter) and return the advanced one, so a run can be repeated and resumed.
/// Inputs: x, state. Outputs: y (kept elements scaled by 1 / (1 - p)), new state, mask (boolean).
struct Dropout {
  double probability = 0.5;
  bool training = true;
  static void fields(auto& o, auto&& f) { f("probability", o.probability); f("training", o.training); }
  HONE_OP("Dropout") HONE_GRAD
};
/// Inputs: shape, low, high, state. Outputs: values, new state.
struct RandomUniform {
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("RandomUniform") HONE_NO_GRAD("random source")
};
/// Inputs: shape, mean, deviation, state. Outputs: values, new state.
struct RandomNormal {
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("RandomNormal") HONE_NO_GRAD("random source")
};

}  // namespace hone
