#include "ops/audio.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "ops/family.hpp"

namespace hone {
namespace {

// The parts of a RIFF file that say how its samples are stored, and the samples.
struct Wav {
  uint16_t channels = 0;
  uint32_t rate = 0;
  std::string_view samples;
};

template <class T>
T little(const EvalCtx& ctx, std::string_view b, size_t at) {
  if (at > b.size() || b.size() - at < sizeof(T)) ctx.fail("the WAV file is cut");
  T v;
  std::memcpy(&v, b.data() + at, sizeof v);
  return v;
}

Wav parse_wav(const EvalCtx& ctx, std::string_view b) {
  if (b.size() < 12 || b.substr(0, 4) != "RIFF" || b.substr(8, 4) != "WAVE") ctx.fail("the input is no WAV file");
  Wav w;
  for (size_t at = 12; b.size() - at >= 8;) {
    const std::string_view name = b.substr(at, 4);
    const size_t size = little<uint32_t>(ctx, b, at + 4);
    at += 8;
    if (name == "fmt ") {
      const auto format = little<uint16_t>(ctx, b, at), bits = little<uint16_t>(ctx, b, at + 14);
      w.channels = little<uint16_t>(ctx, b, at + 2);
      w.rate = little<uint32_t>(ctx, b, at + 4);
      if ((format != 1 && format != 0xfffe) || bits != 16) ctx.fail("wants WAV files of 16-bit PCM samples");
    } else if (name == "data") {
      if (w.channels == 0) ctx.fail("the WAV file does not say what its samples are");
      w.samples = b.substr(at, size);  // a stream that was cut gives what is there
      return w;
    }
    const size_t step = size + size % 2;
    if (step > b.size() - at) break;
    at += step;
  }
  ctx.fail("the WAV file has no samples");
}

double mel(double frequency) {
  return 1127.0 * std::log1p(frequency / 700.0);
}

// Each bin of the spectrum lies between two filters: `channel` on its falling side, the next one on its rising side.
struct FilterBank {
  int64_t begin = 0, end = -1;
  std::vector<int64_t> channel;
  std::vector<double> weight;
};

FilterBank filters_of(const Mfcc& m, int64_t bins, double rate) {
  FilterBank f;
  const int64_t n = m.filterbank_channel_count;
  const double low = mel(m.lower_frequency_limit),
               spacing = (mel(m.upper_frequency_limit) - low) / static_cast<double>(n + 1);
  std::vector<double> centre;
  for (int64_t i = 0; i <= n; ++i) centre.push_back(low + spacing * static_cast<double>(i + 1));
  const double per_bin = 0.5 * rate / static_cast<double>(bins - 1);
  f.begin = static_cast<int64_t>(1.5 + m.lower_frequency_limit / per_bin);  // never the constant part
  f.end = std::min(bins - 1, static_cast<int64_t>(m.upper_frequency_limit / per_bin));
  f.channel.assign(static_cast<size_t>(bins), -2);
  f.weight.assign(static_cast<size_t>(bins), 0);
  int64_t c = 0;
  for (int64_t i = f.begin; i <= f.end; ++i) {
    const double at = mel(static_cast<double>(i) * per_bin);
    while (c < n && centre[static_cast<size_t>(c)] < at) ++c;
    f.channel[static_cast<size_t>(i)] = c - 1;
    const double above = centre[static_cast<size_t>(c)], below = c > 0 ? centre[static_cast<size_t>(c - 1)] : low;
    f.weight[static_cast<size_t>(i)] = (above - at) / (above - below);
  }
  return f;
}

}  // namespace

Types DecodeWav::infer(InferCtx& ctx) const {
  ctx.check(ctx.element(0) == ElementType::string || ctx.element(0) == ElementType::dynamic,
            "wants the bytes of a file as a string");
  ctx.check(desired_channels >= -1 && desired_channels <= 65535 && desired_samples >= -1,
            "desired_channels or desired_samples is out of range");
  return {Type(ElementType::f32, PartialShape{Dimension(desired_samples), Dimension(desired_channels)}),
          Type(ElementType::i32, PartialShape(Shape{}))};
}
void DecodeWav::eval(EvalCtx& ctx) const {
  const Tensor& file = ctx.input(0);
  if (file.element_type() != ElementType::string || file.size() != 1)
    ctx.fail("wants the bytes of one file as a string");
  const Wav w = parse_wav(ctx, file.strings()[0]);
  const int64_t have = static_cast<int64_t>(w.samples.size() / 2 / w.channels);
  const int64_t length = desired_samples < 0 ? have : desired_samples,
                channels = desired_channels < 0 ? w.channels : desired_channels;
  Tensor y = ctx.output(0, ElementType::f32, {length, channels});
  float* to = y.data<float>();
  for (int64_t i = 0; i < std::min(length, have); ++i) {
    for (int64_t c = 0; c < channels; ++c) {
      int16_t v;
      std::memcpy(&v, w.samples.data() + 2 * (i * w.channels + std::min<int64_t>(c, w.channels - 1)), 2);
      to[i * channels + c] = static_cast<float>(v) / 32768.0f;
    }
  }
  ctx.output(1, ElementType::i32, {}).data<int32_t>()[0] = static_cast<int32_t>(w.rate);
}
Samples DecodeWav::samples() {
  // Three samples of two channels at 8 kHz.
  std::string file("RIFF\x30\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0data\x0c\0\0\0", 44);
  file += std::string("\0\0\0\x40\0\x80\xff\x7f\0\x20\0\xe0", 12);
  const Tensor bytes = Tensor::strings({}, {file}), rate = Tensor::scalar<int32_t>(8000);
  return {
      sample(DecodeWav{}, {bytes}, {Tensor::of<float>({3, 2}, {0, 0.5f, -1, 32767.0f / 32768, 0.25f, -0.25f}), rate}),
      sample(DecodeWav{1, 4}, {bytes}, {Tensor::of<float>({4, 1}, {0, -1, 0.25f, 0}), rate}),
      sample(DecodeWav{3, 1}, {bytes}, {Tensor::of<float>({1, 3}, {0, 0.5f, 0.5f}), rate})};
}
HONE_DEFINE_OP(DecodeWav)

Types Mfcc::infer(InferCtx& ctx) const {
  const PartialShape& s = ctx.shape(0);
  ctx.check(!s.rank_known() || s.rank() == 3, "wants a spectrogram [channels, frames, bins], got " + to_string(s));
  ctx.check(filterbank_channel_count >= 1 && filterbank_channel_count <= 1 << 20 && dct_coefficient_count >= 1 &&
                dct_coefficient_count <= filterbank_channel_count,
            "wants as many filters as coefficients, or more");
  ctx.check(lower_frequency_limit >= 0 && upper_frequency_limit > lower_frequency_limit,
            "the frequency limits are out of order");
  PartialShape y = PartialShape::dynamic(3);
  if (s.rank_known()) y = PartialShape{s[0], s[1], Dimension()};
  y[2] = Dimension(dct_coefficient_count);
  return {Type(ElementType::f32, y)};
}
void Mfcc::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const int64_t bins = x.shape()[2], n = filterbank_channel_count;
  const double rate = get_element(ctx.input(1), 0);
  if (bins < 2 || !(rate > 0)) ctx.fail("wants a spectrogram of two bins or more and a positive sample rate");
  const FilterBank f = filters_of(*this, bins, rate);
  Tensor y = ctx.output(0, ElementType::f32, {x.shape()[0], x.shape()[1], dct_coefficient_count});
  std::vector<double> energy(static_cast<size_t>(n));
  const double norm = std::sqrt(2.0 / static_cast<double>(n)), step = std::numbers::pi / static_cast<double>(n);
  for (int64_t row = 0; row < x.shape()[0] * x.shape()[1]; ++row) {
    std::fill(energy.begin(), energy.end(), 0.0);
    for (int64_t i = f.begin; i <= f.end; ++i) {
      const double v = std::sqrt(get_element(x, static_cast<size_t>(row * bins + i))),
                   falling = v * f.weight[static_cast<size_t>(i)];
      const int64_t c = f.channel[static_cast<size_t>(i)];
      if (c >= 0) energy[static_cast<size_t>(c)] += falling;
      if (c + 1 < n) energy[static_cast<size_t>(c + 1)] += v - falling;
    }
    for (double& e : energy) e = std::log(std::max(e, 1e-12));
    for (int64_t k = 0; k < dct_coefficient_count; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < n; ++j)
        sum += norm * std::cos(static_cast<double>(k) * step * (static_cast<double>(j) + 0.5)) *
               energy[static_cast<size_t>(j)];
      set_element(y, static_cast<size_t>(row * dct_coefficient_count + k), sum);
    }
  }
}
Samples Mfcc::samples() {
  const Tensor rate = Tensor::scalar<int32_t>(16000);
  // Of a silent frame all filters are at the floor: only the first coefficient is not zero.
  const float floor_sum = static_cast<float>(std::sqrt(2.0 / 4) * 4 * std::log(1e-12));
  return {sample(Mfcc{4000, 20, 10, 5}, {random_tensor({1, 3, 65}, 1, 0, 2), rate}),
          sample(Mfcc{4000, 20, 4, 2}, {Tensor(ElementType::f32, {1, 1, 129}), rate},
                 {Tensor::of<float>({1, 1, 2}, {floor_sum, 0})})};
}
HONE_DEFINE_OP(Mfcc)

}  // namespace hone
