// What cells and sequences share: activations by name, one step of each cell on numbers and with builders.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ops/family.hpp"
#include "ops/recurrent.hpp"

namespace hone::recurrent {

enum class Cell { rnn, gru, lstm };
inline size_t gates_of(Cell c) {
  return c == Cell::lstm ? 4 : c == Cell::gru ? 3 : 1;
}
inline size_t activations_of(Cell c) {
  return c == Cell::lstm ? 3 : c == Cell::gru ? 2 : 1;
}

/// One activation with its parameters.
struct Activation {
  enum class Kind {
    sigmoid,
    tanh,
    relu,
    affine,
    leaky_relu,
    thresholded_relu,
    scaled_tanh,
    hard_sigmoid,
    elu,
    soft_sign,
    soft_plus
  };
  Kind kind = Kind::tanh;
  double alpha = 0, beta = 0;
  double operator()(double x) const;
  Value operator()(Builder& b, Value x) const;
};

/// All that decides one step of a cell in one direction.
struct Step {
  Cell cell = Cell::rnn;
  size_t hidden = 0;
  std::vector<Activation> activations;
  double clip = 0;
  bool linear_before_reset = false, input_forget = false;

  /// `gates` holds X W^T + B (of GRU with `linear_before_reset`: without the recurrent bias of h); `h` and `c` are
  /// updated in place. R is [gates * H, H]; `recurrent_bias` [H] and `peepholes` [3H] may be null.
  void run(std::vector<double>& gates, const double* r, const double* recurrent_bias, const double* peepholes,
           double* h, double* c, std::vector<double>& scratch) const;
  /// The same with values; gives the new h (and c).
  void build(Builder& b, Value gates, Value r, Value recurrent_bias, Value peepholes, Value& h, Value& c) const;

 private:
  double bounded(double x) const { return clip > 0 ? std::clamp(x, -clip, clip) : x; }
  Value bounded(Builder& b, Value x) const;
};

/// Reads activations and flags of any operator of the family; `direction` chooses among lists given per direction.
/// Throws `Error` without operator name where a name is unknown or a list is too short.
template <class Op>
Step step_of(const Op& op, Cell cell, size_t direction);

/// The activations `first` to `first + n` of the lists.
std::vector<Activation> parse_activations(const std::vector<std::string>& names, const std::vector<double>& alpha,
                                          const std::vector<double>& beta, size_t first, size_t n);

template <class Op>
Step step_of(const Op& op, Cell cell, size_t direction) {
  Step s;
  s.cell = cell;
  s.hidden = static_cast<size_t>(std::max<int64_t>(op.hidden_size, 0));
  s.clip = op.clip;
  const size_t n = activations_of(cell);
  const size_t first = op.activations.size() >= 2 * n ? direction * n : 0;
  s.activations = parse_activations(op.activations, op.activations_alpha, op.activations_beta, first, n);
  if constexpr (requires { op.linear_before_reset; }) s.linear_before_reset = op.linear_before_reset;
  if constexpr (requires { op.input_forget; }) s.input_forget = op.input_forget;
  return s;
}

}  // namespace hone::recurrent
