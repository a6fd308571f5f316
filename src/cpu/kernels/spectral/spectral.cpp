// Rows of RDFT over the last axis and of STFT: sixteen real lines are eight complex ones.
#include "ops/spectral.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/scratch.hpp"
#include "cpu/kernels/spectral/spectral_view.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t most_points = 1 << 16;  // beyond, two blocks of lines leave every cache
constexpr int64_t lines_at_once = 2 * fourier_lanes;

class Fourier {
 public:
  explicit Fourier(int64_t n) : n_(n) {
    int64_t rest = n, stride = 1;
    for (int64_t radix : {4, 2, 3, 5}) {
      for (; rest % radix == 0; rest /= radix) add(radix, rest, stride);
    }
    for (int64_t radix = 7; rest > 1; radix += 2) {
      if (radix * radix > rest) radix = rest;
      for (; rest % radix == 0; rest /= radix) add(radix, rest, stride);
    }
    for (int64_t k = 0; k < n; ++k) {
      const double angle = -2 * std::numbers::pi * double(k) / double(n);
      turns_.push_back(std::cos(angle));
      turns_.push_back(std::sin(angle));
    }
  }
  FourierView view() const { return {n_, stages_.data(), int64_t(stages_.size()), turns_.data()}; }
  int64_t block_bytes() const { return n_ * lines_at_once * int64_t(sizeof(double)); }
  double operations() const {
    double sum = 0;
    for (const FourierStage& s : stages_) sum += double(s.radix);
    return sum * double(n_);
  }

 private:
  void add(int64_t radix, int64_t rest, int64_t& stride) {
    stages_.push_back({radix, rest / radix, stride});
    stride *= radix;
  }
  int64_t n_;
  std::vector<FourierStage> stages_;
  std::vector<double> turns_;
};

// Lines of a tensor and where their halves of spectra go, in elements.
struct Lines {
  int64_t count, n;
  int64_t length;                 // that there are: the rest of a line is zeros
  int64_t rows, row_in, each_in;  // line `i` begins at (i / rows) * row_in + (i % rows) * each_in
  int64_t row_out, each_out, bin_out;
};

std::optional<Lines> lines_of_rdft(const KernelQuery& q, const char** why) {
  if (!q.inputs[1].constant || !q.inputs[1].value) return *why = "the axes are not constant", std::nullopt;
  const bool sized = q.num_op_inputs > 2 && q.inputs[2].present;
  if (sized && (!q.inputs[2].constant || !q.inputs[2].value)) return *why = "the sizes are not constant", std::nullopt;
  const auto axes = q.inputs[1].value.to_ints(),
             sizes = sized ? q.inputs[2].value.to_ints() : std::vector<int64_t>(axes.size(), -1);
  const Shape& x = q.inputs[0].shape;
  const auto rank = int64_t(x.size());
  if (axes.empty() || sizes.size() != axes.size()) return *why = "axes and sizes do not fit", std::nullopt;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank) return *why = "an axis lies outside of the shape", std::nullopt;
    const bool last = i + 1 == axes.size();
    if (last && axis != rank - 1) return *why = "the transform is not along the last axis", std::nullopt;
    if (!last && (x[size_t(axis)] != 1 || (sizes[i] != -1 && sizes[i] != 1)))
      return *why = "several axes are transformed", std::nullopt;
  }
  Lines l{};
  l.length = x.back();
  l.n = sizes.back() < 0 ? l.length : sizes.back();
  l.count = l.length ? int64_t(q.inputs[0].size()) / l.length : 0;
  l.rows = std::max<int64_t>(1, l.count);
  l.each_in = l.length;
  l.length = std::min(l.length, l.n);
  l.each_out = (l.n / 2 + 1) * 2;
  l.bin_out = 2;
  return l;
}

std::optional<Lines> lines_of_stft(const KernelQuery& q, const char** why) {
  for (size_t i : {2u, 3u}) {
    if (!q.inputs[i].constant || !q.inputs[i].value || q.inputs[i].value.size() != 1)
      return *why = "frame size and step are not constant", std::nullopt;
  }
  const Shape& x = q.inputs[0].shape;
  const int64_t size = get_integer(q.inputs[2].value, 0), step = get_integer(q.inputs[3].value, 0);
  if ((x.size() != 1 && x.size() != 2) || size < 1 || step < 1 || x.back() < size)
    return *why = "the frame does not fit the signal", std::nullopt;
  if (q.inputs[1].shape.size() != 1 || q.inputs[1].shape[0] > size)
    return *why = "the window does not fit the frame", std::nullopt;
  Lines l{};
  l.n = l.length = size;
  l.rows = (x.back() - size) / step + 1;
  l.count = l.rows * (x.size() == 2 ? x[0] : 1);
  l.row_in = x.back();
  l.each_in = step;
  const int64_t bins = size / 2 + 1;
  const bool bins_first = q.attrs<STFT>().transpose_frames;
  l.row_out = l.rows * bins * 2;
  l.each_out = bins_first ? 2 : bins * 2;
  l.bin_out = bins_first ? l.rows * 2 : 2;
  return l;
}

std::optional<Lines> lines_of(const KernelQuery& q, const char** why) {
  const auto l = q.op == "STFT" ? lines_of_stft(q, why) : lines_of_rdft(q, why);
  if (l && (l->n < 1 || l->n > most_points)) return *why = "the line is too long", std::nullopt;
  return l;
}

template <size_t I>
struct SpectralRow {
  class Prepared : public PreparedKernel {
   public:
    Prepared(const KernelQuery& q, const Lines& lines)
        : lines_(lines), fourier_(lines.n), threads_(std::max(1, q.threads)) {
      if (q.op == "STFT") {
        window_ = q.inputs[1].shape[0];
        before_ = (lines.n - window_) / 2;
      }
    }
    size_t scratch_bytes() const override { return size_t(2 * fourier_.block_bytes() * threads_); }

    void run(const KernelArgs& args) noexcept override {
      const auto* x = static_cast<const float*>(args.inputs[0]);
      const auto* window = window_ ? static_cast<const float*>(args.inputs[1]) : nullptr;
      auto* y = static_cast<float*>(args.outputs[0]);
      const int64_t blocks = (lines_.count + lines_at_once - 1) / lines_at_once;
      args.pool.parallel_for(blocks, 1, [&](int64_t begin, int64_t end, int thread) {
        Cutter c{static_cast<uint8_t*>(args.scratch) + 2 * fourier_.block_bytes() * thread};
        auto* a = c.take<double>(lines_.n * lines_at_once);
        auto* b = c.take<double>(lines_.n * lines_at_once);
        for (int64_t block = begin; block < end; ++block) {
          const int64_t first = block * lines_at_once, count = std::min(lines_at_once, lines_.count - first);
          read(x, window, first, count, a);
          write(HONE_VECTOR_FN(I, fourier_lines)(fourier_.view(), a, b), first, count, y);
        }
      });
    }

   private:
    // Line k of a block is the real part of lane k, line k + fourier_lanes its imaginary part.
    void read(const float* x, const float* window, int64_t first, int64_t count, double* a) const {
      if (count < lines_at_once || lines_.length < lines_.n) std::fill_n(a, lines_.n * lines_at_once, 0.0);
      for (int64_t k = 0; k < count; ++k) {
        const int64_t line = first + k;
        const float* from = x + line / lines_.rows * lines_.row_in + line % lines_.rows * lines_.each_in;
        double* to = a + k;
        if (window) {
          for (int64_t i = 0; i < lines_.n; ++i) {
            const bool inside = i >= before_ && i < before_ + window_;
            to[i * lines_at_once] = inside ? double(from[i]) * double(window[i - before_]) : 0;
          }
        } else {
          for (int64_t i = 0; i < lines_.length; ++i) to[i * lines_at_once] = double(from[i]);
        }
      }
    }
    void write(const double* z, int64_t first, int64_t count, float* y) const {
      for (int64_t k = 0; k < count; ++k) {
        const int64_t line = first + k, lane = k % fourier_lanes;
        float* to = y + line / lines_.rows * lines_.row_out + line % lines_.rows * lines_.each_out;
        for (int64_t bin = 0; bin <= lines_.n / 2; ++bin) {
          const double *p = z + bin * lines_at_once + lane, *m = z + (bin ? lines_.n - bin : 0) * lines_at_once + lane;
          const double re = p[0], im = p[fourier_lanes], other_re = m[0], other_im = m[fourier_lanes];
          to[bin * lines_.bin_out] = float(0.5 * (k < fourier_lanes ? re + other_re : im + other_im));
          to[bin * lines_.bin_out + 1] = float(0.5 * (k < fourier_lanes ? im - other_im : other_re - re));
        }
      }
    }

    Lines lines_;
    Fourier fourier_;
    int threads_;
    int64_t window_ = 0, before_ = 0;
  };

  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    for (const TensorDesc* d : {&q.inputs[0], &q.outputs[0], q.op == "STFT" ? &q.inputs[1] : &q.inputs[0]}) {
      if (d->type != ElementType::f32 || d->layout != Layout::plain || d->quantization)
        return Support::no("takes plain f32 only");
    }
    const char* why = nullptr;
    if (!lines_of(q, &why)) return Support::no(why);
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    const char* why = nullptr;
    const auto l = lines_of(q, &why);
    p.cost = 1 + (l ? double(l->count) * Fourier(l->n).operations() * 1e-4 * vector_isas[I].cost : 0);
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    const char* why = nullptr;
    return std::make_unique<Prepared>(q, *lines_of(q, &why));
  }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  for (const char* op : {"RDFT", "STFT"})
    (rows.add<SpectralRow<I>>((op[0] == 'R' ? "rdft_lines__" : "stft_lines__") + std::string(vector_isas[I].suffix),
                              op),
     ...);
  return rows;
}

}  // namespace

KernelList spectral_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
