// Dropout and random numbers.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// Random operators take an explicit state [2] u64 (key, counter) and return the advanced one, so a run can be repeated
// and resumed. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011):
// block c of key k is four 32-bit words of the counter (c, 0). Element i of a tensor takes word i % 4 of block counter
// + i / 4 (f64: words 2 i and 2 i + 1), and the counter advances by the blocks that were begun. Only exactly rounded
// arithmetic follows, so all machines and threads give the same bits.
/// Keeps x where its word is at least probability * 2^32. Out of training the state stays. Inputs: x, state. Outputs: y
/// (kept elements scaled by 1 / (1 - p)), new state, mask (boolean).
struct Dropout {
  double probability = 0.5;
  bool training = true;
  static void fields(auto& o, auto&& f) {
    f("probability", o.probability);
    f("training", o.training);
  }
  HONE_OP("Dropout") HONE_GRAD
};
/// low + (high - low) * u, u = word / 2^32 cut to the precision of the type; integers: low + floor(u * (high - low)).
/// Inputs: shape, low, high, state. Outputs: values, new state.
struct RandomUniform {
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("RandomUniform") HONE_NO_GRAD("random source")
};
/// mean + deviation * quantile((word + 0.5) / 2^32) with the normal quantile of Wichura, algorithm AS 241. Inputs:
/// shape, mean, deviation, state. Outputs: values, new state.
struct RandomNormal {
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("RandomNormal") HONE_NO_GRAD("random source")
};

}  // namespace hone
