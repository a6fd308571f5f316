// Tensors that kernels read and write as real numbers, whatever their element type.
#pragma once
#include <optional>

#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/reduce/reduce_view.hpp"

namespace hone::cpu {

inline Support supports_real(const TensorDesc& d, const char* what) {
  const auto n = num_of(d.type);
  if (!n || *n == Num::i32)
    return Support::no(std::string(what) + " is " + name_of(d.type) + ", not f32, bf16 or quantized 8-bit");
  if (is_integer(d.type) && (!d.quantization || d.quantization->scales.size() != 1)) {
    return Support::no(std::string(what) + " is an integer without one scale for the tensor");
  }
  return Support::yes();
}
inline RealInput real_input(const TensorDesc& d) {
  const OperandView o = operand_of(d);
  return {nullptr, o.type, d.quantization != nullptr && is_integer(d.type), o.scale, o.zero};
}
inline RealOutput real_output(const TensorDesc& d) {
  const OperandView o = operand_of(d);
  const bool s8 = o.type == Num::s8;
  return {nullptr, o.type, 1.0f / o.scale, o.zero, s8 ? -128.0f : 0.0f, s8 ? 127.0f : 255.0f};
}

}  // namespace hone::cpu
