// Encodings of the floating-point types below 32 bits. Encoders round to nearest even and saturate where the format has
// no infinity. f8...fnuz: no infinity, no minus zero (its pattern is NaN), exponent bias one higher (Noune et al.
// 2022). f8: OCP 8-bit Floating Point Specification 1.0; f4e2m1, f8e8m0: OCP Microscaling Formats 1.0; nf4: the 16
// quantiles of QLoRA.
#pragma once
#include <cstdint>

namespace hone {

float decode_f16(uint16_t v);
uint16_t encode_f16(float v);
float decode_f8e4m3(uint8_t v);
uint8_t encode_f8e4m3(float v);
float decode_f8e5m2(uint8_t v);
uint8_t encode_f8e5m2(float v);
float decode_f8e4m3fnuz(uint8_t v);
uint8_t encode_f8e4m3fnuz(float v);
float decode_f8e5m2fnuz(uint8_t v);
uint8_t encode_f8e5m2fnuz(float v);
float decode_f8e8m0(uint8_t v);
uint8_t encode_f8e8m0(float v);
float decode_f4e2m1(unsigned v);
unsigned encode_f4e2m1(float v);
float decode_nf4(unsigned v);
unsigned encode_nf4(float v);

}  // namespace hone
