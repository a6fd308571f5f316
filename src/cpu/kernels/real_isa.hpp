// Reading and writing elements of any kernel type as real numbers, for ISA files only.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

HONE_INLINE bool is_real(Num n) {
  return n == Num::f32 || n == Num::bf16 || n == Num::f16;
}
HONE_INLINE vf load_raw(Num type, const void* p, int64_t i) {
  switch (type) {
    case Num::f32:
      return load(static_cast<const float*>(p) + i);
    case Num::f16:
      return load_f16(static_cast<const uint16_t*>(p) + i);
    case Num::bf16:
      return load_bf16(static_cast<const uint16_t*>(p) + i);
    case Num::u8:
      return load_u8(static_cast<const uint8_t*>(p) + i);
    case Num::s8:
      return load_s8(static_cast<const int8_t*>(p) + i);
    case Num::i32:
      return to_float(load_i32(static_cast<const int32_t*>(p) + i));
  }
  return vf{};
}
HONE_INLINE float load_one(Num type, const void* p, int64_t i) {
  switch (type) {
    case Num::f32:
      return static_cast<const float*>(p)[i];
    case Num::f16:
      return one_f16(static_cast<const uint16_t*>(p)[i]);
    case Num::bf16: {
      const uint32_t u = uint32_t(static_cast<const uint16_t*>(p)[i]) << 16;
      float f;
      __builtin_memcpy(&f, &u, 4);
      return f;
    }
    case Num::u8:
      return static_cast<const uint8_t*>(p)[i];
    case Num::s8:
      return static_cast<const int8_t*>(p)[i];
    case Num::i32:
      return float(static_cast<const int32_t*>(p)[i]);
  }
  return 0;
}
HONE_INLINE vf load_operand(const OperandView& o, int64_t i) {
  const vf v = load_raw(o.type, o.data, i);
  return is_real(o.type) ? v : (v - o.zero) * o.scale;
}

HONE_INLINE vf quantized(const EpilogueView& e, vf v) {
  return clamp_to(nearest(v * e.out_inv_scale) + e.out_zero, set1(e.out_low), set1(e.out_high));
}
// The same as integers; bounds are whole numbers, so it does not matter whether they are met before rounding.
HONE_INLINE vi quantized_to_int(const EpilogueView& e, vf v) {
  const vf low = set1(e.out_low - e.out_zero), high = set1(e.out_high - e.out_zero);
  return round_to_int(clamp_to(v * e.out_inv_scale, low, high)) + int32_t(e.out_zero);
}
// Stores n (<= lanes) values at element i of the output.
template <Num OUT>
HONE_INLINE void store_out(const EpilogueView& e, int64_t i, vf v, int n) {
  if constexpr (OUT == Num::f32) {
    float* p = static_cast<float*>(e.out) + i;
    if (n == lanes) {
      store(p, v);
    } else {
      store_n(p, v, n);
    }
  } else if constexpr (OUT == Num::f16) {
    store_words(static_cast<uint16_t*>(e.out) + i, to_f16(v), n);
  } else if constexpr (OUT == Num::bf16) {
    store_words(static_cast<uint16_t*>(e.out) + i, to_bf16(v), n);
  } else {
    store_bytes(static_cast<uint8_t*>(e.out) + i, narrow_u8(quantized_to_int(e, v)), n);
  }
}
HONE_INLINE void store_any(const EpilogueView& e, int64_t i, vf v, int n) {
  switch (e.out_type) {
    case Num::f32:
      return store_out<Num::f32>(e, i, v, n);
    case Num::bf16:
      return store_out<Num::bf16>(e, i, v, n);
    case Num::f16:
      return store_out<Num::f16>(e, i, v, n);
    default:
      return store_out<Num::u8>(e, i, v, n);
  }
}

}  // namespace hone::cpu::HONE_NS
