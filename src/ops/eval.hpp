// What an operator's `eval` sees: plain row-major tensors. The reference evaluation is the specification of an
// operator, the oracle of every kernel and the kernel of last resort.
#pragma once
#include <string>
#include <vector>

#include "hone/tensor.hpp"

namespace hone {

class EvalCtx {
 public:
  EvalCtx(std::vector<Datum> inputs, size_t num_outputs) : inputs_(std::move(inputs)), outputs_(num_outputs) {}
  virtual ~EvalCtx() = default;

  size_t num_inputs() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && !inputs_[i].is_none(); }
  /// A tensor input. Unless the operator sets `raw_types`: f32 for the smaller floats and for quantized tensors, i32
  /// for integers below a byte.
  const Tensor& input(size_t i) const { return inputs_.at(i).tensor(); }
  const Datum& datum(size_t i) const { return inputs_.at(i); }

  size_t num_outputs() const { return outputs_.size(); }
  /// Allocates output `i`, zeroed, and returns it.
  Tensor output(size_t i, ElementType type, Shape shape) {
    Tensor t(type, std::move(shape));
    outputs_.at(i) = t;  // shares the memory
    return t;
  }
  void set_output(size_t i, Datum d) { outputs_.at(i) = std::move(d); }
  std::vector<Datum> take_outputs() { return std::move(outputs_); }

  /// Evaluates region `r` of the node.
  virtual std::vector<Datum> run_region(size_t r, std::vector<Datum> inputs);
  /// A tensor of the type that output `o` of region `r` has, with dimensions that are not known set to zero.
  virtual Tensor blank_region_output(size_t r, size_t o) const;
  /// Throws `Error`.
  [[noreturn]] void fail(const std::string& message) const;

 private:
  std::vector<Datum> inputs_, outputs_;
};

}  // namespace hone
