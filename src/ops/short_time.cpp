// STFT and ISTFT: spectra of overlapping frames of a signal.
#include "base/checked.hpp"
#include "ops/family.hpp"
#include "ops/fourier.hpp"
#include "ops/spectral.hpp"

namespace hone {

using fourier::Complex;
using fourier::Transform;

namespace {

int64_t positive_scalar(const auto& ctx, const Tensor& t, const char* what) {
  if (t.size() != 1) ctx.fail(std::string(what) + " is not one number");
  const int64_t n = get_integer(t, 0);
  if (n < 1 || n > fourier::most_points) ctx.fail(std::string(what) + " is " + std::to_string(n));
  return n;
}

// The window in the middle of a frame of zeros.
std::vector<double> frame_window(const EvalCtx& ctx, const Tensor& window, int64_t frame) {
  if (window.rank() != 1 || window.shape()[0] > frame)
    ctx.fail("window " + to_string(window.shape()) + " does not fit a frame of " + std::to_string(frame));
  std::vector<double> out(static_cast<size_t>(frame), 0);
  const auto left = static_cast<size_t>((frame - window.shape()[0]) / 2);
  for (size_t i = 0; i < window.size(); ++i) out[left + i] = get_element(window, i);
  return out;
}

Tensor values(Shape s, std::initializer_list<float> v) {
  return Tensor::of<float>(std::move(s), v);
}

}  // namespace

Types STFT::infer(InferCtx& ctx) const {
  const PartialShape& x = ctx.shape(0);
  const ElementType e = ctx.element(0);
  if (!x.rank_known()) return {Type(e, PartialShape::dynamic())};
  ctx.check(x.rank() == 1 || x.rank() == 2, "signal " + to_string(x) + " is neither [length] nor [N, length]");
  const Tensor size = ctx.constant(2), step = ctx.constant(3);
  Dimension frames, bins;
  if (size) bins = Dimension(positive_scalar(ctx, size, "the frame size") / 2 + 1);
  if (size && step) {
    const int64_t n = positive_scalar(ctx, size, "the frame size"), s = positive_scalar(ctx, step, "the frame step");
    const Dimension& length = x[x.rank() - 1];
    ctx.check(length.max() >= n, "a frame of " + std::to_string(n) + " does not fit signal " + to_string(x));
    const auto count = [&](int64_t l) { return l < n ? 0 : (l - n) / s + 1; };
    frames = Dimension(count(length.min()),
                       length.max() == Dimension::unbounded ? Dimension::unbounded : count(length.max()));
  }
  std::vector<Dimension> out;
  if (x.rank() == 2) out.push_back(x[0]);
  out.push_back(transpose_frames ? bins : frames);
  out.push_back(transpose_frames ? frames : bins);
  out.emplace_back(2);
  return {Type(e, PartialShape(std::move(out)))};
}
void STFT::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() != 1 && x.rank() != 2)
    ctx.fail("signal " + to_string(x.shape()) + " is neither [length] nor [N, length]");
  const int64_t size = positive_scalar(ctx, ctx.input(2), "the frame size"),
                step = positive_scalar(ctx, ctx.input(3), "the frame step");
  const auto window = frame_window(ctx, ctx.input(1), size);
  const int64_t length = x.shape().back(), batch = x.rank() == 2 ? x.shape()[0] : 1, bins = size / 2 + 1;
  if (length < size) ctx.fail("a frame of " + std::to_string(size) + " does not fit signal " + to_string(x.shape()));
  const int64_t frames = (length - size) / step + 1;
  Shape shape = x.rank() == 2 ? Shape{batch} : Shape{};
  shape.insert(shape.end(), {transpose_frames ? bins : frames, transpose_frames ? frames : bins, 2});
  Tensor y = ctx.output(0, x.element_type(), shape);
  Transform t(static_cast<size_t>(size), false);
  std::vector<Complex> line(static_cast<size_t>(size));
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t f = 0; f < frames; ++f) {
      for (int64_t i = 0; i < size; ++i)
        line[static_cast<size_t>(i)] =
            window[static_cast<size_t>(i)] * get_element(x, static_cast<size_t>(n * length + f * step + i));
      t.run(line);
      for (int64_t k = 0; k < bins; ++k) {
        const auto at =
            static_cast<size_t>(2 * (n * frames * bins + (transpose_frames ? k * frames + f : f * bins + k)));
        set_element(y, at, line[static_cast<size_t>(k)].real());
        set_element(y, at + 1, line[static_cast<size_t>(k)].imag());
      }
    }
  }
}
Samples STFT::samples() {
  const Tensor x = random_tensor({2, 12}, 1), window = random_tensor({4}, 2, 0.5, 1);
  return {
      sample(
          STFT{}, {x, window, int_scalar(6), int_scalar(3)},
          {values({2, 3, 4, 2},
                  {1.027761f,     0.0f, -0.07840383f, -1.1373821f,   -0.6470543f,  0.46000242f,  0.42315534f,   0.0f,
                   1.0139914f,    0.0f, -0.89673704f, -0.28616336f,  0.3961722f,   0.43977103f,  -0.012861632f, 0.0f,
                   -0.038590252f, 0.0f, -0.1785567f,  0.14656955f,   0.7229634f,   -0.21014321f, -1.0502231f,   0.0f,
                   -0.33885983f,  0.0f, 0.48293716f,  0.27775276f,   -0.62750757f, -0.36065114f, 0.62800074f,   0.0f,
                   1.7512796f,    0.0f, -0.78935254f, -0.090375364f, -0.4407368f,  -0.31017005f, 0.70889896f,   0.0f,
                   -0.8228516f,   0.0f, 1.3569145f,   0.12158448f,   -0.5904403f,  -1.1807913f,  -0.7100968f,   0})}),
      sample(STFT{true}, {x, window, int_scalar(5), int_scalar(2)}),
      sample(STFT{}, {random_tensor({9}, 1), window, int_scalar(4), int_scalar(1)})};
}
HONE_DEFINE_OP(STFT)

Types ISTFT::infer(InferCtx& ctx) const {
  const PartialShape& x = ctx.shape(0);
  const ElementType e = ctx.element(0);
  if (!x.rank_known()) return {Type(e, PartialShape::dynamic())};
  ctx.check(x.rank() == 3 || x.rank() == 4,
            "data " + to_string(x) + " are neither [bins, frames, 2] nor [N, bins, frames, 2]");
  Dimension length;
  const Tensor size = ctx.constant(2), step = ctx.constant(3);
  if (ctx.has(4)) {
    if (const Tensor wanted = ctx.constant(4)) length = Dimension(positive_scalar(ctx, wanted, "the signal length"));
  } else if (size && step && x[x.rank() - 2].is_static()) {
    const int64_t n = positive_scalar(ctx, size, "the frame size");
    const int64_t steps = checked_mul(x[x.rank() - 2].get_length() - 1, positive_scalar(ctx, step, "the frame step"));
    length = Dimension(std::max<int64_t>(0, checked_add(steps, n - (center ? n / 2 * 2 : 0))));
  }
  if (x.rank() == 3) return {Type(e, PartialShape{length})};
  return {Type(e, PartialShape{x[0], length})};
}
void ISTFT::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if ((x.rank() != 3 && x.rank() != 4) || x.shape().back() != 2)
    ctx.fail("data " + to_string(x.shape()) + " are neither [bins, frames, 2] nor [N, bins, frames, 2]");
  const int64_t size = positive_scalar(ctx, ctx.input(2), "the frame size"),
                step = positive_scalar(ctx, ctx.input(3), "the frame step");
  const auto window = frame_window(ctx, ctx.input(1), size);
  const int64_t batch = x.rank() == 4 ? x.shape()[0] : 1, bins = x.shape()[x.rank() - 3],
                frames = x.shape()[x.rank() - 2];
  if (bins != size / 2 + 1 || frames < 1)
    ctx.fail("data " + to_string(x.shape()) + " do not fit a frame of " + std::to_string(size));
  const int64_t full = (frames - 1) * step + size, cut = center ? size / 2 : 0;
  const int64_t length =
      ctx.has(4) ? positive_scalar(ctx, ctx.input(4), "the signal length") : std::max<int64_t>(0, full - 2 * cut);
  Tensor y = ctx.output(0, x.element_type(), x.rank() == 4 ? Shape{batch, length} : Shape{length});
  Transform t(static_cast<size_t>(size), true);
  std::vector<Complex> line(static_cast<size_t>(size));
  const double scale = normalized ? std::sqrt(static_cast<double>(size)) : 1;
  for (int64_t n = 0; n < batch; ++n) {
    std::vector<double> sum(static_cast<size_t>(full), 0), weight(static_cast<size_t>(full), 0);
    for (int64_t f = 0; f < frames; ++f) {
      for (int64_t k = 0; k < bins; ++k) {
        const auto at = static_cast<size_t>(2 * ((n * bins + k) * frames + f));
        const bool single = k == 0 || 2 * k == size;  // these are real for a real signal
        line[static_cast<size_t>(k)] = {get_element(x, at), single ? 0 : get_element(x, at + 1)};
        if (!single) line[static_cast<size_t>(size - k)] = std::conj(line[static_cast<size_t>(k)]);
      }
      t.run(line);
      for (int64_t i = 0; i < size; ++i) {
        const double w = window[static_cast<size_t>(i)];
        sum[static_cast<size_t>(f * step + i)] += line[static_cast<size_t>(i)].real() * w * scale;
        weight[static_cast<size_t>(f * step + i)] += w * w;
      }
    }
    for (int64_t i = 0; i < std::min(length, full - cut); ++i) {
      const auto at = static_cast<size_t>(i + cut);
      set_element(y, static_cast<size_t>(n * length + i), weight[at] > 1e-11 ? sum[at] / weight[at] : sum[at]);
    }
  }
}
Samples ISTFT::samples() {
  // The transform of [1, 2, 3, 4] in two frames of two with a window of ones.
  const Tensor x = values({2, 2, 2}, {3, 0, 7, 0, -1, 0, -1, 0});
  return {sample(ISTFT{}, {x, values({2}, {1, 1}), int_scalar(2), int_scalar(2)}, {values({4}, {1, 2, 3, 4})}),
          sample(ISTFT{true, false}, {x, values({2}, {1, 1}), int_scalar(2), int_scalar(2)}, {values({2}, {2, 3})}),
          sample(ISTFT{}, {x, values({2}, {1, 1}), int_scalar(2), int_scalar(2), int_scalar(5)},
                 {values({5}, {1, 2, 3, 4, 0})}),
          sample(ISTFT{true, true},
                 {random_tensor({2, 4, 5, 2}, 1), random_tensor({5}, 2, 0.5, 1), int_scalar(6), int_scalar(2)})};
}
HONE_DEFINE_OP(ISTFT)

}  // namespace hone
