// Attention to a cache in bytes: its products, as plain data for ISA files.
#pragma once
#include <stdint.h>

namespace hone::cpu {

/// Products of one row of 16-bit integers with rows of bytes, times `factor` and the scale of each of these.
struct CachedDots {
  const int16_t* row;  ///< zeros behind the features, up to a whole vector
  const void* keys;    ///< bytes, or 16-bit integers where they are `wide`
  bool wide;
  const float* scales;  ///< null: all 1
  int64_t count, features;
  float factor;
  float* to;  ///< written up to a whole vector
  bool adds;  ///< to what is there
};

/// Adds rows of bytes to sums, with a weight for each row of the result.
struct CachedMix {
  const float* weights;
  int64_t ld_weights;
  const int8_t* values;
  int64_t count, columns;
  float* to;
  int64_t ld_to;
  int rows;
};

#define HONE_CACHED_ATTENTION_ISA(ISA)                                                                     \
  namespace ISA {                                                                                          \
  /* n floats times `factor` as integers, zeros up to `padded`; `rest`: what rounding left, or null */     \
  void cached_words(const float* from, int64_t n, int64_t padded, float factor, int16_t* to, float* rest); \
  /* n bytes as 16-bit integers, up to a whole vector */                                                   \
  void cached_widen(const int8_t* from, int64_t n, int16_t* to);                                           \
  void cached_scale(float* weights, const float* scales, int64_t n);                                       \
  void cached_dots(const CachedDots& d);                                                                   \
  void cached_mix(const CachedMix& m);                                                                     \
  }
HONE_CACHED_ATTENTION_ISA(avx2)
HONE_CACHED_ATTENTION_ISA(avx512)
HONE_CACHED_ATTENTION_ISA(avx512vnni)
HONE_CACHED_ATTENTION_ISA(neon)
#undef HONE_CACHED_ATTENTION_ISA

}  // namespace hone::cpu
