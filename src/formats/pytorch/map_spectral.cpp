// Fourier transforms.
#include <cmath>
#include <numbers>
#include <numeric>

#include "formats/pytorch/complex.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/spectral.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

constexpr int64_t most_points = 1 << 24;  // of tables that reading makes

// Who divides by the number of points: nobody, or either direction by it or its root.
enum class Scale { none, root, full };
Scale named_scale(NodeContext& n, bool inverse) {
  const std::string norm = n.s("norm", "backward");
  if (norm == "ortho") return Scale::root;
  if (norm != "backward" && norm != "forward") n.fail("unknown norm '" + norm + "'");
  return (norm == "backward") == inverse ? Scale::full : Scale::none;
}
Scale numbered_scale(NodeContext& n) {
  const int64_t k = n.i("normalization", 0);
  if (k < 0 || k > 2) n.fail("unknown normalization");
  return static_cast<Scale>(k);
}

struct Extent {
  std::vector<int64_t> axes;
  Value sizes;  // one for each axis, -1 keeps it; none keeps all
};
// Axes and sizes of fft (one axis), fft2 and fftn.
Extent extent_of(NodeContext& n, size_t rank) {
  Extent e;
  std::string_view op = n.op();
  const bool many = op.back() == 'n', two = op.back() == '2';
  const auto r = static_cast<int64_t>(rank);
  const char* sizes = many || two ? "s" : "n";
  const Argument* list = n.has(sizes) ? n.argument(sizes) : nullptr;
  const size_t given = !list ? 0 : list->kind == Argument::Kind::list ? list->list.size() : 1;
  if (n.has("dim"))
    e.axes = n.ints("dim");
  else if (two)
    e.axes = {-2, -1};
  else if (!many)
    e.axes = {-1};
  else
    for (int64_t k = given ? r - static_cast<int64_t>(given) : 0; k < r; ++k) e.axes.push_back(k);
  for (int64_t& a : e.axes) {
    if (a < 0) a += r;
    if (a < 0 || a >= r) n.fail("an axis is out of range");
  }
  if (given) {
    if (given != e.axes.size()) n.fail("has another number of sizes than axes");
    e.sizes = n.sizes(sizes);
  }
  return e;
}

Value points(NodeContext& n, Value of, const std::vector<int64_t>& axes, ElementType t) {
  const Value lengths = n.gather(n.shape_of(of), n.ints_constant(axes), 0);
  return n.cast(n(ReduceProd{}, lengths, n.ints_constant({0})), t);
}
// Divided by the points, given that the transform itself divided by them (`full`) or not.
Value rescaled(NodeContext& n, Value y, Scale wanted, bool divided, Value count) {
  if (wanted == (divided ? Scale::full : Scale::none)) return y;
  const Value by = wanted == Scale::root ? n(Sqrt{}, count) : count;
  return divided ? n(Multiply{}, y, by) : n(Divide{}, y, by);
}

template <class Op>
Value applied(NodeContext& n, Value x, const Extent& e) {
  const Value axes = n.ints_constant(e.axes);
  return e.sizes ? n(Op{}, x, axes, e.sizes) : n(Op{}, x, axes);
}
// [..., 2] -> [..., 2]
Value complex_transform(NodeContext& n, Value x, const Extent& e, bool inverse, Scale scale) {
  const Value y = inverse ? applied<IDFT>(n, x, e) : applied<DFT>(n, x, e);
  return rescaled(n, y, scale, inverse, points(n, y, e.axes, y.element_type()));
}
// Real -> [..., size / 2 + 1, 2]
Value half_transform(NodeContext& n, Value x, const Extent& e, Scale scale) {
  const Value y = applied<RDFT>(n, x, e);
  if (scale == Scale::none) return y;
  Value count = points(n, x, e.axes, y.element_type());
  if (e.sizes) count = n.cast(n(ReduceProd{}, e.sizes, n.ints_constant({0})), y.element_type());
  return rescaled(n, y, scale, false, count);
}
// [..., size / 2 + 1, 2] -> real
Value back_transform(NodeContext& n, Value x, const Extent& e, Scale scale) {
  const Value y = applied<IRDFT>(n, x, e);
  return rescaled(n, y, scale, true, points(n, y, e.axes, y.element_type()));
}

Value as_complex(ComplexContext& n, const char* name) {
  return n.is_complex(name) ? n.in(name) : n.joined(n.pair(name));
}
Value conjugated(ComplexContext& n, Value joined) {
  return n(Multiply{}, joined, n.cast(n.b.constant(Tensor::of<float>({2}, {1, -1})), joined.element_type()));
}
size_t complex_rank(NodeContext& n, Value x) {
  return n.rank(x) - 1;
}

template <bool inverse>
Values fft(ComplexContext& n) {
  const Value x = as_complex(n, "self");
  return {complex_transform(n, x, extent_of(n, complex_rank(n, x)), inverse, named_scale(n, inverse))};
}
Values real_fft(ComplexContext& n) {
  const Complex x = n.pair("self");
  return {half_transform(n, x.re, extent_of(n, n.rank(x.re)), named_scale(n, false))};
}
Values inverse_real_fft(ComplexContext& n) {
  const Value x = as_complex(n, "self");
  return {back_transform(n, x, extent_of(n, complex_rank(n, x)), named_scale(n, true))};
}
// The spectrum of a signal that is its own mirrored conjugate is real.
Values hermitian_fft(ComplexContext& n) {
  const Value x = conjugated(n, as_complex(n, "self"));
  return {back_transform(n, x, extent_of(n, complex_rank(n, x)), named_scale(n, false))};
}
Values inverse_hermitian_fft(ComplexContext& n) {
  const Complex x = n.pair("self");
  return {conjugated(n, half_transform(n, x.re, extent_of(n, n.rank(x.re)), named_scale(n, true)))};
}

// The decomposed forms.
Extent listed_axes(NodeContext& n, size_t rank) {
  Extent e{n.ints("dim"), {}};
  for (int64_t& a : e.axes) {
    if (a < 0) a += static_cast<int64_t>(rank);
    if (a < 0 || a >= static_cast<int64_t>(rank)) n.fail("an axis is out of range");
  }
  if (e.axes.empty()) n.fail("has no axis");
  return e;
}
Values complex_to_complex(ComplexContext& n) {
  const Value x = as_complex(n, "self");
  const bool inverse = !n.flag("forward", true);
  return {complex_transform(n, x, listed_axes(n, complex_rank(n, x)), inverse, numbered_scale(n))};
}
Values real_to_complex(ComplexContext& n) {
  const Complex x = n.pair("self");
  const Extent e = listed_axes(n, n.rank(x.re));
  if (n.flag("onesided", true)) return {half_transform(n, x.re, e, numbered_scale(n))};
  return {complex_transform(n, n.joined({x.re, {}}), e, false, numbered_scale(n))};
}
Values complex_to_real(ComplexContext& n) {
  const Value x = as_complex(n, "self");
  Extent e = listed_axes(n, complex_rank(n, x));
  Values sizes;
  for (size_t k = 0; k + 1 < e.axes.size(); ++k) sizes.push_back(n.ints_constant({-1}));
  sizes.push_back(n.reshape(n.size("last_dim_size"), {1}));
  e.sizes = sizes.size() == 1 ? sizes[0] : n.concat(sizes, 0);
  return {back_transform(n, x, e, numbered_scale(n))};
}

// The window, or ones.
Value window_of(NodeContext& n, int64_t length, ElementType t) {
  if (n.has("window")) return n.cast(n.in("window"), t);
  return n.filled(n.ints_constant({length}), n.scalar_of(t, 1));
}
int64_t frame_size(NodeContext& n) {
  const int64_t size = n.i("n_fft");
  if (size < 1 || size > most_points) n.fail("n_fft is out of range");
  return size;
}

// Frames of a signal [N, length] or [length]: [N, bins, frames, 2].
Value short_time(NodeContext& n, Value x) {
  const int64_t size = frame_size(n), step = n.i("hop_length", size / 4), length = n.i("win_length", size);
  if (step < 1 || length < 1 || length > size) n.fail("hop_length or win_length is out of range");
  if (n.has("align_to_window") && n.flag("align_to_window", false)) n.refuse("with align_to_window is not offered");
  const bool single = n.rank(x) == 1;
  if (n.flag("center", n.target().ends_with(".center"))) {
    const Value pads = n.ints_constant(single ? std::vector<int64_t>{size / 2} : std::vector<int64_t>{0, size / 2});
    const std::string mode = n.s("pad_mode", "reflect");
    if (mode == "reflect")
      x = n(Pad{PadMode::reflect}, x, pads, pads);
    else if (mode == "replicate")
      x = n(Pad{PadMode::edge}, x, pads, pads);
    else if (mode == "constant")
      x = n(Pad{PadMode::constant}, x, pads, pads, n.like(x, 0));
    else
      n.refuse("with pad_mode '" + mode + "' is not offered");
  }
  const Value window = window_of(n, length, x.element_type());
  Value y;
  if (n.flag("onesided", true)) {
    y = n(STFT{true}, x, window, n.int_constant(size), n.int_constant(step));
  } else {
    const auto axis = static_cast<int64_t>(n.rank(x)) - 1;
    const Value span = n(Subtract{}, n.dim(x, axis), n.int_constant(size));
    const Value frames = n(Add{}, n(Divide{}, span, n.int_constant(step)), n.int_constant(1));
    const Value start = n.unsqueeze(n(Multiply{}, n.range(frames), n.int_constant(step)), {0});
    const Value at = n(Add{}, start, n.unsqueeze(n.range(n.int_constant(size)), {1}));
    const int64_t left = (size - length) / 2;
    const Value whole = n(Pad{PadMode::constant}, window, n.ints_constant({left}),
                          n.ints_constant({size - length - left}), n.like(window, 0));
    const Value framed = n(Multiply{}, n.gather(x, at, axis), n.unsqueeze(whole, {1}));  // [..., size, frames]
    const Value joined =
        n.concat({n.unsqueeze(framed, {-1}), n.unsqueeze(n(Multiply{}, framed, n.like(x, 0)), {-1})}, -1);
    y = n(DFT{}, joined, n.ints_constant({axis}));
  }
  if (!n.flag("normalized", false)) return y;
  return n(Multiply{}, y, n.like(y, 1 / std::sqrt(static_cast<double>(size))));
}
Values stft_of_real(ComplexContext& n) {
  if (n.is_complex("self")) n.refuse("of complex numbers is not offered");
  return {short_time(n, n.in("self"))};
}
Values stft(NodeContext& n) {
  return {short_time(n, n.in("self"))};
}
Values istft(ComplexContext& n) {
  Value x = as_complex(n, "self");
  const int64_t size = frame_size(n), step = n.i("hop_length", size / 4), length = n.i("win_length", size);
  if (step < 1 || length < 1 || length > size) n.fail("hop_length or win_length is out of range");
  if (n.flag("return_complex", false)) n.refuse("with complex signals is not offered");
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (rank < 3) n.fail("wants frames of bins");
  const Dimension bins = x.shape()[static_cast<size_t>(rank - 3)];
  if (!n.flag("onesided", bins != Dimension(size))) x = n.slice(x, rank - 3, 0, size / 2 + 1);
  const ISTFT op{n.flag("center", true), n.flag("normalized", false)};
  const Value window = window_of(n, length, x.element_type()), frame = n.int_constant(size), hop = n.int_constant(step);
  if (n.has("length")) return {n(op, x, window, frame, hop, n.size("length"))};
  return {n(op, x, window, frame, hop)};
}

// Bins as frequencies: 0, 1, ..., -2, -1 over the length.
template <bool half>
Values frequencies(NodeContext& n) {
  const int64_t size = n.i("n");
  const double spacing = n.f("d", 1);
  if (size < 1 || size > most_points) n.fail("n is out of range");
  const int64_t count = half ? size / 2 + 1 : size;
  Tensor v(n.type("dtype").value_or(n.out_type(0, ElementType::f32)), {count});
  for (int64_t k = 0; k < count; ++k) {
    const int64_t bin = half || k < (size + 1) / 2 ? k : k - size;
    set_element(v, static_cast<size_t>(k), static_cast<double>(bin) / (static_cast<double>(size) * spacing));
  }
  return {n.b.constant(v)};
}
// Zero frequency to the middle, and back.
template <bool back>
Values shifted(NodeContext& n) {
  const Value x = n.in("self");
  std::vector<int64_t> axes(n.rank(x));
  std::iota(axes.begin(), axes.end(), 0);
  if (n.has("dim")) axes = n.axes(n.ints("dim"), x);
  const Value lengths = n.gather(n.shape_of(x), n.ints_constant(axes), 0);
  const Value half = n(Divide{}, lengths, n.int_constant(2));
  return {n(Roll{}, x, back ? n(Subtract{}, lengths, half) : half, n.ints_constant(axes))};
}

// a0 - a1 cos(2 pi k / N) + a2 cos(4 pi k / N)
Values window_by(NodeContext& n, double a0, double a1, double a2) {
  const int64_t length = n.i("window_length");
  if (length < 0 || length > most_points) n.fail("window_length is out of range");
  const double period = static_cast<double>(n.flag("periodic", true) ? length : length - 1);
  Tensor v(n.type("dtype").value_or(n.out_type(0, ElementType::f32)), {length});
  for (int64_t k = 0; k < length; ++k) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(k) / period;
    set_element(v, static_cast<size_t>(k), length == 1 ? 1 : a0 - a1 * std::cos(turn) + a2 * std::cos(2 * turn));
  }
  return {n.b.constant(v)};
}
Values hann_window(NodeContext& n) {
  return window_by(n, 0.5, 0.5, 0);
}
Values hamming_window(NodeContext& n) {
  const double alpha = n.f("alpha", 0.54);
  return window_by(n, alpha, n.f("beta", 0.46), 0);
}
Values blackman_window(NodeContext& n) {
  return window_by(n, 0.42, 0.5, 0.08);
}
Values bartlett_window(NodeContext& n) {
  const int64_t length = n.i("window_length");
  if (length < 0 || length > most_points) n.fail("window_length is out of range");
  const double period = static_cast<double>(n.flag("periodic", true) ? length : length - 1);
  Tensor v(n.type("dtype").value_or(n.out_type(0, ElementType::f32)), {length});
  for (int64_t k = 0; k < length; ++k)
    set_element(v, static_cast<size_t>(k), length == 1 ? 1 : 1 - std::abs(2 * static_cast<double>(k) / period - 1));
  return {n.b.constant(v)};
}

constexpr OperatorRow rows[] = {
    {"bartlett_window", bartlett_window}, {"blackman_window", blackman_window}, {"fft_fftfreq", frequencies<false>},
    {"fft_fftshift", shifted<false>},     {"fft_ifftshift", shifted<true>},     {"fft_rfftfreq", frequencies<true>},
    {"hamming_window", hamming_window},   {"hann_window", hann_window},         {"stft", stft},
};

constexpr ComplexRow complex_table[] = {
    {"_fft_c2c", complex_to_complex},
    {"_fft_c2r", complex_to_real},
    {"_fft_r2c", real_to_complex},
    {"fft_fft", fft<false>},
    {"fft_fft2", fft<false>},
    {"fft_fftn", fft<false>},
    {"fft_hfft", hermitian_fft},
    {"fft_hfft2", hermitian_fft},
    {"fft_hfftn", hermitian_fft},
    {"fft_ifft", fft<true>},
    {"fft_ifft2", fft<true>},
    {"fft_ifftn", fft<true>},
    {"fft_ihfft", inverse_hermitian_fft},
    {"fft_ihfft2", inverse_hermitian_fft},
    {"fft_ihfftn", inverse_hermitian_fft},
    {"fft_irfft", inverse_real_fft},
    {"fft_irfft2", inverse_real_fft},
    {"fft_irfftn", inverse_real_fft},
    {"fft_rfft", real_fft},
    {"fft_rfft2", real_fft},
    {"fft_rfftn", real_fft},
    {"istft", istft},
    {"stft", stft_of_real},
};

}  // namespace

std::span<const OperatorRow> spectral_rows() {
  return rows;
}
std::span<const ComplexRow> spectral_complex_rows() {
  return complex_table;
}

}  // namespace hone::pytorch
