// Sound: decoding of WAV files, and the mel-frequency cepstrum that speech models take.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// A WAV file of 16-bit samples as numbers in [-1, 1). Input: the bytes of the file (one string). Outputs: samples
/// [length, channels] and the sample rate (i32 scalar). -1 takes what the file has; a longer length is filled with
/// zeros, more channels repeat the last one.
struct DecodeWav {
  int64_t desired_channels = -1;
  int64_t desired_samples = -1;
  static void fields(auto& o, auto&& f) {
    f("desired_channels", o.desired_channels);
    f("desired_samples", o.desired_samples);
  }
  static constexpr bool raw_types = true;
  HONE_OP("DecodeWav") HONE_NO_GRAD("decodes a file")
};
/// Mel-frequency cepstral coefficients: triangular filters on the mel scale (1127 ln(1 + f / 700), as HTK places them)
/// over the square root of the spectrogram, logarithm (not below 1e-12), discrete cosine transform. Inputs: squared
/// spectrogram [channels, frames, bins], sample rate (scalar). Output: [channels, frames, dct_coefficient_count].
struct Mfcc {
  double upper_frequency_limit = 4000;
  double lower_frequency_limit = 20;
  int64_t filterbank_channel_count = 40;
  int64_t dct_coefficient_count = 13;
  static void fields(auto& o, auto&& f) {
    f("upper_frequency_limit", o.upper_frequency_limit);
    f("lower_frequency_limit", o.lower_frequency_limit);
    f("filterbank_channel_count", o.filterbank_channel_count);
    f("dct_coefficient_count", o.dct_coefficient_count);
  }
  HONE_OP("Mfcc") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
