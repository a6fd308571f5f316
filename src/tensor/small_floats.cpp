#include "tensor/small_floats.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "hone/tensor.hpp"

namespace hone {
namespace {

// Decodes sign | exponent | mantissa with the usual bias and subnormals; infinities and NaN are the callers' business.
float decode(unsigned v, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const unsigned mantissa = v & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>((v >> mantissa_bits) & ((1u << exponent_bits) - 1));
  const float sign = (v >> (exponent_bits + mantissa_bits)) & 1 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  return sign * std::ldexp(static_cast<float>(mantissa | (1u << mantissa_bits)), exponent - bias - mantissa_bits);
}

// Rounds |v| to the nearest multiple of its unit in the last place (ties to even) and returns exponent|mantissa bits.
// Values that round past the largest exponent field come back larger than the field holds: callers clamp.
unsigned encode_magnitude(float v, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  v = std::fabs(v);
  if (v == 0) return 0;
  int e;
  std::frexp(v, &e);  // v = m * 2^e, m in [0.5, 1)
  const int exponent = std::max(e - 1, 1 - bias);
  const float units = std::nearbyint(std::ldexp(v, mantissa_bits - exponent));
  const auto u = static_cast<unsigned>(units);
  // u counts units of 2^(exponent - mantissa_bits): below 2^mantissa_bits it is subnormal.
  if (u < (1u << mantissa_bits)) return u;
  return (static_cast<unsigned>(exponent + bias - 1) << mantissa_bits) + u;
}

// The fnuz formats are the plain ones at half the value, with every exponent in use.
float decode_fnuz(uint8_t v, int exponent_bits, int mantissa_bits) {
  return v == 0x80 ? std::numeric_limits<float>::quiet_NaN() : 0.5f * decode(v, exponent_bits, mantissa_bits);
}

uint8_t encode_fnuz(float v, int exponent_bits, int mantissa_bits) {
  if (std::isnan(v)) return 0x80;
  const unsigned magnitude =
      std::fabs(v) > 65536.0f ? 0x7fu : std::min(encode_magnitude(2 * v, exponent_bits, mantissa_bits), 0x7fu);
  return static_cast<uint8_t>(magnitude | (std::signbit(v) && magnitude != 0 ? 0x80u : 0u));
}

constexpr float nf4_values[16] = {-1.0f,
                                  -0.6961928009986877f,
                                  -0.5250730514526367f,
                                  -0.39491748809814453f,
                                  -0.28444138169288635f,
                                  -0.18477343022823334f,
                                  -0.09105003625154495f,
                                  0.0f,
                                  0.07958029955625534f,
                                  0.16093020141124725f,
                                  0.24611230194568634f,
                                  0.33791524171829224f,
                                  0.44070982933044434f,
                                  0.5626170039176941f,
                                  0.7229568362236023f,
                                  1.0f};

}  // namespace

float decode_f16(uint16_t v) {
  if ((v & 0x7c00) == 0x7c00) {
    if (v & 0x3ff) return std::numeric_limits<float>::quiet_NaN();
    return v & 0x8000 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  }
  return decode(v, 5, 10);
}

uint16_t encode_f16(float v) {
  const unsigned sign = std::signbit(v) ? 0x8000 : 0;
  if (std::isnan(v)) return static_cast<uint16_t>(sign | 0x7e00);
  if (std::isinf(v) || std::fabs(v) >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);
  return static_cast<uint16_t>(sign | encode_magnitude(v, 5, 10));
}

float decode_f8e4m3(uint8_t v) {
  if ((v & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  return decode(v, 4, 3);
}

uint8_t encode_f8e4m3(float v) {
  const unsigned sign = std::signbit(v) ? 0x80 : 0;
  if (std::isnan(v)) return static_cast<uint8_t>(sign | 0x7f);
  if (std::isinf(v) || std::fabs(v) >= 448.0f) return static_cast<uint8_t>(sign | 0x7e);
  return static_cast<uint8_t>(sign | std::min(encode_magnitude(v, 4, 3), 0x7eu));
}

float decode_f8e5m2(uint8_t v) {
  if ((v & 0x7f) > 0x7c) return std::numeric_limits<float>::quiet_NaN();
  if ((v & 0x7f) == 0x7c)
    return v & 0x80 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  return decode(v, 5, 2);
}

uint8_t encode_f8e5m2(float v) {
  const unsigned sign = std::signbit(v) ? 0x80 : 0;
  if (std::isnan(v)) return static_cast<uint8_t>(sign | 0x7f);
  if (std::isinf(v)) return static_cast<uint8_t>(sign | 0x7c);
  if (std::fabs(v) >= 57344.0f) return static_cast<uint8_t>(sign | 0x7b);
  return static_cast<uint8_t>(sign | std::min(encode_magnitude(v, 5, 2), 0x7bu));
}

float decode_f8e4m3fnuz(uint8_t v) {
  return decode_fnuz(v, 4, 3);
}
uint8_t encode_f8e4m3fnuz(float v) {
  return encode_fnuz(v, 4, 3);
}
float decode_f8e5m2fnuz(uint8_t v) {
  return decode_fnuz(v, 5, 2);
}
uint8_t encode_f8e5m2fnuz(float v) {
  return encode_fnuz(v, 5, 2);
}

float decode_f8e8m0(uint8_t v) {
  return v == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, static_cast<int>(v) - 127);
}

uint8_t encode_f8e8m0(float v) {
  if (std::isnan(v)) return 0xff;
  v = std::fabs(v);
  if (v == 0) return 0;
  if (std::isinf(v)) return 0xfe;
  int e;
  const float m = std::frexp(v, &e);  // v = m * 2^e, m in [0.5, 1): the nearest power is 2^(e-1) or 2^e
  const int exponent = e - 1 + (m > 0.75f ? 1 : 0);
  return static_cast<uint8_t>(std::clamp(exponent + 127, 0, 254));
}

float decode_f4e2m1(unsigned v) {
  return decode(v & 15u, 2, 1);
}

unsigned encode_f4e2m1(float v) {
  const unsigned sign = std::signbit(v) ? 8 : 0;
  if (std::isnan(v)) return 8;  // the format has no NaN: minus zero, as ONNX and ml_dtypes have it
  if (std::fabs(v) >= 6.0f) return sign | 7;
  return sign | std::min(encode_magnitude(v, 2, 1), 7u);
}

float decode_nf4(unsigned v) {
  return nf4_values[v & 15u];
}

unsigned encode_nf4(float v) {
  unsigned best = 0;
  for (unsigned i = 1; i < 16; ++i) {
    if (std::fabs(v - nf4_values[i]) < std::fabs(v - nf4_values[best])) best = i;
  }
  return best;
}

float16::float16(float v) : bits(encode_f16(v)) {}
float16::operator float() const {
  return decode_f16(bits);
}

bfloat16::bfloat16(float v) {
  const auto u = std::bit_cast<uint32_t>(v);
  bits = std::isnan(v) ? static_cast<uint16_t>((u >> 16) | 0x40)
                       : static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
bfloat16::operator float() const {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

}  // namespace hone
