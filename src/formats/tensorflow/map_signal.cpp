// Sound, Fourier transforms, complex numbers.
#include <bit>
#include <cmath>
#include <numbers>

#include "formats/tensorflow/complex.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "ops/audio.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/spectral.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

Items decode_wav(NodeContext& n) {
  return items(n.all(DecodeWav{n.i("desired_channels", -1), n.i("desired_samples", -1)}, {n.in(0)}));
}

// Frames of a periodic Hann window, padded to a power of two, and the squared size of their spectrum.
Items spectrogram(NodeContext& n) {
  const int64_t window = n.i("window_size"), stride = n.i("stride");
  if (window < 2 || window > (1 << 24) || stride < 1) n.fail("window_size or stride is out of range");
  const Value x = n.transpose(n.in(0), {1, 0});
  const Value samples = n.dim(x, 1);
  const Value span = n(Divide{}, n(Subtract{}, samples, n.int_constant(window)), n.int_constant(stride));
  const Value frames = n(Maximum{}, n(Add{}, span, n.int_constant(1)), n.int_constant(0));
  const Value start = n.unsqueeze(n(Multiply{}, n.range(frames), n.int_constant(stride)), {1});
  const Value at = n(Add{}, start, n.unsqueeze(n.range(n.int_constant(window)), {0}));
  Tensor hann(ElementType::f32, {window});
  for (int64_t i = 0; i < window; ++i) {
    hann.data<float>()[i] = static_cast<float>(
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(window)));
  }
  const Value framed = n(Multiply{}, n.gather(x, at, 1), n.b.constant(hann));
  const auto length = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(window)));
  const Value spectrum = n(RDFT{}, framed, n.ints_constant({2}), n.ints_constant({length}));
  const Value power = n(ReduceSum{false}, n(Multiply{}, spectrum, spectrum), n.ints_constant({3}));
  return {n.flag("magnitude_squared", false) ? power : n(Sqrt{}, power)};
}

Items mfcc(NodeContext& n) {
  Mfcc op;
  op.upper_frequency_limit = n.f("upper_frequency_limit", 4000);
  op.lower_frequency_limit = n.f("lower_frequency_limit", 20);
  op.filterbank_channel_count = n.i("filterbank_channel_count", 40);
  op.dct_coefficient_count = n.i("dct_coefficient_count", 13);
  return {n(op, n.in(0), n.in(1))};
}

// The last `count` axes of [..., 2] or of real data.
Value last_axes(NodeContext& n, Value x, int64_t count, bool complex) {
  const auto r = static_cast<int64_t>(n.rank(x)) - (complex ? 1 : 0);
  if (r < count) n.fail("has too few axes");
  std::vector<int64_t> axes;
  for (int64_t k = r - count; k < r; ++k) axes.push_back(k);
  return n.ints_constant(axes);
}
template <int64_t count>
Items rfft(NodeContext& n) {
  const Value x = n.in(0);
  return {complex_of(n(RDFT{}, x, last_axes(n, x, count, false), n.vector(n.in(1))))};
}
template <int64_t count>
Items irfft(NodeContext& n) {
  const Item& x = n.item(0);
  if (!x.complex) n.fail("wants complex numbers");
  return {n(IRDFT{}, x.value, last_axes(n, x.value, count, true), n.vector(n.in(1)))};
}
template <class Op, int64_t count>
Items fft(NodeContext& n) {
  const Item& x = n.item(0);
  if (!x.complex) n.fail("wants complex numbers");
  return {complex_of(n(Op{}, x.value, last_axes(n, x.value, count, true)))};
}

const Item& complex_input(NodeContext& n) {
  const Item& x = n.item(0);
  if (!x.complex) n.fail("wants complex numbers");
  return x;
}
Items complex(NodeContext& n) {
  return {complex_from(n, n.in(0), n.in(1))};
}
Items real(NodeContext& n) {
  return {n.item(0).complex ? real_part(n, n.item(0).value) : n.in(0)};
}
Items imaginary(NodeContext& n) {
  return {imaginary_part(n, complex_input(n).value)};
}
Items conjugate(NodeContext& n) {
  const Item& x = n.item(0);
  if (!x.complex) return {x};
  return {complex_from(n, real_part(n, x.value), n(Negative{}, imaginary_part(n, x.value)))};
}
Items absolute(NodeContext& n) {
  return {n(ReduceL2{false}, complex_input(n).value, n.ints_constant({-1}))};
}
Items angle(NodeContext& n) {
  const Value x = complex_input(n).value;
  return {n(Atan2{}, imaginary_part(n, x), real_part(n, x))};
}

constexpr OperatorRow rows[] = {
    {"Angle", angle},         {"AudioSpectrogram", spectrogram},
    {"Complex", complex},     {"ComplexAbs", absolute},
    {"Conj", conjugate},      {"DecodeWav", decode_wav, "audio,sample_rate"},
    {"FFT", fft<DFT, 1>},     {"FFT2D", fft<DFT, 2>},
    {"FFT3D", fft<DFT, 3>},   {"IFFT", fft<IDFT, 1>},
    {"IFFT2D", fft<IDFT, 2>}, {"IFFT3D", fft<IDFT, 3>},
    {"IRFFT", irfft<1>},      {"IRFFT2D", irfft<2>},
    {"IRFFT3D", irfft<3>},    {"Imag", imaginary},
    {"Mfcc", mfcc},           {"RFFT", rfft<1>},
    {"RFFT2D", rfft<2>},      {"RFFT3D", rfft<3>},
    {"Real", real},
};

}  // namespace

std::span<const OperatorRow> signal_rows() {
  return rows;
}

}  // namespace hone::tensorflow
