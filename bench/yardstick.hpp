// The same convolution by oneDNN, in the same process: what others reach on this machine at this moment.
#pragma once
#include <cstdint>
#include <string>

/// Square windows over square images in channels-last order, padded by half a window, with bias and ReLU.
struct YardstickLayer {
  int64_t batch, size, channels, columns, kernel, stride;
  bool depthwise;
};

/// Seconds of the fastest run of at least 50 ms; type is f32, bf16 or int8 (u8 by i8 to u8). Negative where the program
/// was built without oneDNN, or oneDNN has no such primitive.
double yardstick_seconds(const YardstickLayer& layer, const std::string& type, int threads);
