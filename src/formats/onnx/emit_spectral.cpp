// Fourier transforms: ONNX transforms one axis at a time.
#include "formats/onnx/emit.hpp"
#include "ops/spectral.hpp"

namespace hone::onnx {
namespace {

// What is to be done along one axis; -1 keeps the size.
struct AxisWork {
  int64_t axis, size;
};
std::vector<AxisWork> axes_of(EmitContext& e, size_t rank) {
  const auto axes = e.must_know(1, "the axes").to_ints();
  std::vector<int64_t> sizes(axes.size(), -1);
  if (e.has(2)) sizes = e.must_know(2, "the signal size").to_ints();
  if (sizes.size() != axes.size() || axes.empty()) e.refuse("has not one size for each axis");
  std::vector<AxisWork> work;
  for (size_t k = 0; k < axes.size(); ++k) {
    const int64_t axis = axes[k] < 0 ? axes[k] + static_cast<int64_t>(rank) : axes[k];
    if (axis < 0 || axis >= static_cast<int64_t>(rank)) e.refuse("has an axis that is out of range");
    work.push_back({axis, sizes[k]});
  }
  return work;
}

std::string scalar(EmitContext& e, int64_t v) {
  return e.constant(Tensor::of<int64_t>({}, {v}));
}
// [..., 1] or [..., 2] -> [..., 2]
std::string transform(EmitContext& e, const std::string& x, AxisWork work, bool inverse, bool onesided = false) {
  AttributeList a;
  if (inverse) a.i("inverse", 1);
  if (onesided) a.i("onesided", 1);
  std::vector<std::string> in{x};
  if (work.size >= 0) in.push_back(scalar(e, work.size));
  if (e.opset < 20) return e.op("DFT", in, a.i("axis", work.axis));
  in.resize(2);
  in.push_back(scalar(e, work.axis));
  return e.op("DFT", in, a);
}

template <bool inverse>
void dft(EmitContext& e) {
  e.needs(17);
  std::string x = e.in(0);
  for (const AxisWork& work : axes_of(e, e.rank(0) - 1)) x = transform(e, x, work, inverse);
  e.result("Identity", {x});
}
// The last axis first, while data are real.
void rdft(EmitContext& e) {
  e.needs(17);
  const size_t rank = e.rank(0);
  const auto work = axes_of(e, rank);
  std::string x = e.op("Unsqueeze", {e.in(0), e.ints({static_cast<int64_t>(rank)})});
  x = transform(e, x, work.back(), false, true);
  for (size_t k = 0; k + 1 < work.size(); ++k) x = transform(e, x, work[k], false);
  e.result("Identity", {x});
}
// The half spectrum of the last axis is completed by its mirrored conjugate; what comes back is real.
void irdft(EmitContext& e) {
  e.needs(17);
  const size_t rank = e.rank(0) - 1;
  const auto work = axes_of(e, rank);
  std::string x = e.in(0);
  for (size_t k = 0; k + 1 < work.size(); ++k) x = transform(e, x, work[k], true);
  const int64_t axis = work.back().axis;
  const Dimension bins = e.node.input(0).shape()[static_cast<size_t>(axis)];
  if (bins.is_dynamic()) e.refuse("along an axis of unknown size has no counterpart in ONNX");
  const int64_t size = work.back().size >= 0 ? work.back().size : 2 * (bins.get_length() - 1), half = size / 2 + 1;
  const auto part = [&](int64_t from, int64_t to, int64_t step) {
    return e.op("Slice", {x, e.ints({from}), e.ints({to}), e.ints({axis}), e.ints({step})});
  };
  if (bins.get_length() > half) x = part(0, half, 1);
  if (bins.get_length() < half) {
    std::vector<int64_t> pads(2 * rank + 2, 0);
    pads[rank + 1 + static_cast<size_t>(axis)] = half - bins.get_length();
    x = e.op("Pad", {x, e.ints(pads)});
  }
  if (const int64_t mirrored = size - half; mirrored > 0) {
    // Of bin `mirrored` down to bin 1.
    const std::string back = part(mirrored, 0, -1), conjugate = e.constant(Tensor::of<float>({2}, {1, -1}));
    x = e.op("Concat", {x, e.op("Mul", {back, e.cast(conjugate, e.element(0))})}, AttributeList().i("axis", axis));
  }
  x = transform(e, x, {axis, -1}, true);
  e.result("Gather", {x, scalar(e, 0)}, AttributeList().i("axis", static_cast<int64_t>(rank)));
}

void stft(EmitContext& e) {
  e.needs(17);
  const size_t rank = e.rank(0);
  std::string x = e.in(0), window = e.in(1);
  if (rank == 1) x = e.op("Unsqueeze", {x, e.ints({0})});
  // A shorter window lies in the middle of its frame.
  const Tensor size = e.known(2);
  const PartialShape& w = e.node.input(1).shape();
  const bool whole = size && w.is_static() && w[0].get_length() == get_integer(size, 0);
  if (!whole) {
    if (!size || !w.is_static()) e.refuse("with a window of unknown length has no counterpart in ONNX");
    const int64_t more = get_integer(size, 0) - w[0].get_length();
    window = e.op("Pad", {window, e.ints({more / 2, more - more / 2})});
  }
  const std::vector<std::string> in{e.op("Unsqueeze", {x, e.ints({2})}), e.cast(e.in(3), ElementType::i64), window,
                                    e.cast(e.in(2), ElementType::i64)};
  const AttributeList onesided = AttributeList().i("onesided", 1);
  const bool turned = e.as<STFT>().transpose_frames;
  if (rank == 2 && !turned) return e.result("STFT", in, onesided);
  std::string y = e.op("STFT", in, onesided);
  if (turned && rank == 2) return e.result("Transpose", {y}, AttributeList().ints("perm", {0, 2, 1, 3}));
  if (turned) y = e.op("Transpose", {y}, AttributeList().ints("perm", {0, 2, 1, 3}));
  e.result("Squeeze", {y, e.ints({0})});
}

constexpr EmitRow rows[] = {{"DFT", dft<false>}, {"IDFT", dft<true>}, {"IRDFT", irdft}, {"RDFT", rdft}, {"STFT", stft}};

}  // namespace

std::span<const EmitRow> emit_spectral_rows() {
  return rows;
}

}  // namespace hone::onnx
