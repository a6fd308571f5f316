// Recurrent cells and the sequences that run them. Shapes and gate order are those of OpenVINO: LSTM f, i, c, o; GRU z,
// r, h.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class RecurrentDirection { forward, reverse, bidirectional };
HONE_ENUM_NAMES(RecurrentDirection, "forward", "reverse", "bidirectional")

// Activations: sigmoid, tanh, relu, affine, leakyrelu, thresholdedrelu, scaledtanh, hardsigmoid, elu, softsign,
// softplus, in any case. `activations_alpha[i]` and `activations_beta[i]` belong to activation i; where they are
// missing the defaults of ONNX hold. A bidirectional sequence may list the activations of each direction, else both
// share them. `clip` > 0 bounds what the gates' activations see.

/// Inputs: X [N, I], H [N, H], C [N, H], W [4H, I], R [4H, H], B [4H] (optional). Outputs: H, C.
struct LSTMCell {
  int64_t hidden_size = 0;
  std::vector<std::string> activations{"sigmoid", "tanh", "tanh"};
  std::vector<double> activations_alpha{};
  std::vector<double> activations_beta{};
  double clip = 0;
  static void fields(auto& o, auto&& f) {
    f("hidden_size", o.hidden_size);
    f("activations", o.activations);
    f("activations_alpha", o.activations_alpha);
    f("activations_beta", o.activations_beta);
    f("clip", o.clip);
  }
  HONE_OP("LSTMCell") HONE_EXPAND
};
/// Inputs: X [N, I], H [N, H], W [3H, I], R [3H, H], B [3H], or [4H] with `linear_before_reset`: z, r, input part of h,
/// recurrent part of h (optional). Output: H.
struct GRUCell {
  int64_t hidden_size = 0;
  std::vector<std::string> activations{"sigmoid", "tanh"};
  std::vector<double> activations_alpha{};
  std::vector<double> activations_beta{};
  double clip = 0;
  bool linear_before_reset = false;
  static void fields(auto& o, auto&& f) {
    f("hidden_size", o.hidden_size);
    f("activations", o.activations);
    f("activations_alpha", o.activations_alpha);
    f("activations_beta", o.activations_beta);
    f("clip", o.clip);
    f("linear_before_reset", o.linear_before_reset);
  }
  HONE_OP("GRUCell") HONE_EXPAND
};
/// Inputs: X [N, I], H [N, H], W [H, I], R [H, H], B [H] (optional). Output: H.
struct RNNCell {
  int64_t hidden_size = 0;
  std::vector<std::string> activations{"tanh"};
  std::vector<double> activations_alpha{};
  std::vector<double> activations_beta{};
  double clip = 0;
  static void fields(auto& o, auto&& f) {
    f("hidden_size", o.hidden_size);
    f("activations", o.activations);
    f("activations_alpha", o.activations_alpha);
    f("activations_beta", o.activations_beta);
    f("clip", o.clip);
  }
  HONE_OP("RNNCell") HONE_EXPAND
};

// Sequences. X [N, T, I], initial states [N, D, H] with D directions, lengths [N] (optional: all T), weights of the
// cell with a leading axis D. Outputs: Y [N, D, T, H], zero beyond each length, and the final states [N, D, H].

/// Inputs: X, H, C, lengths, W, R, B (optional), peepholes [D, 3H] in the order i, o, f (optional). Outputs: Y, H, C.
/// `input_forget` couples the gates: f = 1 - i.
struct LSTMSequence {
  int64_t hidden_size = 0;
  RecurrentDirection direction = RecurrentDirection::forward;
  std::vector<std::string> activations{"sigmoid", "tanh", "tanh"};
  std::vector<double> activations_alpha{};
  std::vector<double> activations_beta{};
  double clip = 0;
  bool input_forget = false;
  static void fields(auto& o, auto&& f) {
    f("hidden_size", o.hidden_size);
    f("direction", o.direction);
    f("activations", o.activations);
    f("activations_alpha", o.activations_alpha);
    f("activations_beta", o.activations_beta);
    f("clip", o.clip);
    f("input_forget", o.input_forget);
  }
  HONE_OP("LSTMSequence") HONE_EXPAND
};
/// Inputs: X, H, lengths, W, R, B (optional). Outputs: Y, H.
struct GRUSequence {
  int64_t hidden_size = 0;
  RecurrentDirection direction = RecurrentDirection::forward;
  std::vector<std::string> activations{"sigmoid", "tanh"};
  std::vector<double> activations_alpha{};
  std::vector<double> activations_beta{};
  double clip = 0;
  bool linear_before_reset = false;
  static void fields(auto& o, auto&& f) {
    f("hidden_size", o.hidden_size);
    f("direction", o.direction);
    f("activations", o.activations);
    f("activations_alpha", o.activations_alpha);
    f("activations_beta", o.activations_beta);
    f("clip", o.clip);
    f("linear_before_reset", o.linear_before_reset);
  }
  HONE_OP("GRUSequence") HONE_EXPAND
};
/// Inputs: X, H, lengths, W, R, B (optional). Outputs: Y, H.
struct RNNSequence {
  int64_t hidden_size = 0;
  RecurrentDirection direction = RecurrentDirection::forward;
  std::vector<std::string> activations{"tanh"};
  std::vector<double> activations_alpha{};
  std::vector<double> activations_beta{};
  double clip = 0;
  static void fields(auto& o, auto&& f) {
    f("hidden_size", o.hidden_size);
    f("direction", o.direction);
    f("activations", o.activations);
    f("activations_alpha", o.activations_alpha);
    f("activations_beta", o.activations_beta);
    f("clip", o.clip);
  }
  HONE_OP("RNNSequence") HONE_EXPAND
};

}  // namespace hone
