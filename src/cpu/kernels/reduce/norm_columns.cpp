// Rows of MVN over the pixels of images that lie channels-last: each channel is a column of memory with a mean and a
// deviation of its own (instance normalization), with factors and sums a channel behind it and any epilogue.
#include <algorithm>
#include <cmath>
#include <utility>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/reduce/real_tensor.hpp"
#include "cpu/kernels/scratch.hpp"
#include "ops/normalization.hpp"

namespace hone::cpu {
namespace {

struct Columns {
  int64_t images = 1, pixels = 1, channels = 1;
};

std::optional<Columns> columns_of(const KernelQuery& q, const char** why) {
  const TensorDesc& x = q.inputs[0];
  const auto rank = static_cast<int64_t>(x.shape.size());
  if (x.layout != Layout::channels_last || q.outputs[0].layout != x.layout || rank < 3)
    return *why = "takes images that lie channels-last only", std::nullopt;
  if (!q.inputs[1].constant || !q.inputs[1].value) return *why = "the axes are not constant", std::nullopt;
  std::vector<int64_t> axes = q.inputs[1].value.to_ints();
  for (int64_t& i : axes) i += i < 0 ? rank : 0;
  std::sort(axes.begin(), axes.end());
  bool all = int64_t(axes.size()) == rank - 2;
  for (size_t i = 0; all && i < axes.size(); ++i) all = axes[i] == int64_t(i) + 2;
  if (!all) return *why = "the axes are not all those of the picture", std::nullopt;
  Columns c{x.shape[0], 1, x.shape[1]};
  for (size_t i = 2; i < x.shape.size(); ++i) c.pixels *= x.shape[i];
  return c;
}

// Factors and sums a channel that come first join those of the norm, then a slope of what is negative.
struct Affine {
  std::vector<std::pair<EpilogueOp, uint32_t>> steps;  // operators and their inputs
  float slope = 1;
  KernelQuery rest;
};
Affine affine_of(const KernelQuery& q) {
  Affine a{{}, 1, q};
  Epilogue& e = a.rest.epilogue;
  const int operands = int(e.operands.size());
  while (!e.steps.empty() && a.slope == 1) {
    const EpilogueStep s = e.steps[0];
    const bool read_again =
        std::any_of(e.steps.begin() + 1, e.steps.end(), [](const EpilogueStep& k) { return k.a == 0 || k.b == 0; });
    const int other = s.a == 0 ? s.b : s.b == 0 ? s.a : -1;
    if (read_again) break;
    if (s.op == EpilogueOp::relu || s.op == EpilogueOp::leaky_relu) {
      a.slope = s.op == EpilogueOp::relu ? 0 : s.alpha;
    } else {
      if ((s.op != EpilogueOp::multiply && s.op != EpilogueOp::add) || other < 1 || other > operands) break;
      const EpilogueOperand& o = e.operands[size_t(other - 1)];
      if (o.spread != Spread::per_channel || q.inputs[o.input].type != ElementType::f32) break;
      a.steps.emplace_back(s.op, o.input);
    }
    e.steps.erase(e.steps.begin());
    // The value of the step is the first one now, and later ones have moved up.
    for (EpilogueStep& k : e.steps) {
      for (int16_t* v : {&k.a, &k.b}) {
        if (*v == operands + 1)
          *v = 0;
        else if (*v > operands)
          --*v;
      }
    }
  }
  return a;
}

template <size_t I>
struct ColumnsRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q) : Prepared(q, affine_of(q)) {}
    size_t scratch_bytes() const override { return size_t(layout(nullptr).used); }

    void run(const KernelArgs& args) noexcept override {
      if (c_.images * c_.pixels * c_.channels == 0) return;
      const Scratch s = layout(static_cast<uint8_t*>(args.scratch));
      RealInput x = x_;
      x.data = args.inputs[0];
      const int64_t parts = c_.images * parts_;
      args.pool.parallel_for(parts, std::max<int64_t>(1, 16384 * parts_ / (c_.pixels * c_.channels)),
                             [&](int64_t begin, int64_t end, int) {
                               for (int64_t p = begin; p < end; ++p) {
                                 const int64_t first = part_begin(c_.pixels, p % parts_, parts_);
                                 const int64_t last = part_begin(c_.pixels, p % parts_ + 1, parts_);
                                 HONE_VECTOR_FN(I, column_moments)
                                 (x, (p / parts_ * c_.pixels + first) * c_.channels, last - first, c_.channels,
                                  s.mean + p * width_, s.square + p * width_);
                               }
                             });
      for (int64_t n = 0; n < c_.images; ++n) join(args, s, n);
      OperandView operands[EpiloguePlan::max_operands];
      const EpilogueView view = epilogue_.bind(args, operands);
      const int64_t tiles = (c_.pixels + tile_rows_ - 1) / tile_rows_;
      args.pool.parallel_for(
          c_.images * tiles, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, tile_rows_ * c_.channels)),
          [&](int64_t begin, int64_t end, int) {
            alignas(64) float tile[tile_capacity];
            for (int64_t t = begin; t < end; ++t) {
              const int64_t n = t / tiles, first = t % tiles * tile_rows_, row = n * c_.pixels + first;
              const int64_t rows = std::min(tile_rows_, c_.pixels - first);
              for (int64_t col = 0; col < c_.channels; col += tile_cols_) {
                const int64_t cols = std::min(tile_cols_, c_.channels - col), ld = round_up(cols, 16);
                HONE_VECTOR_FN(I, normalize_columns)
                (x, row * c_.channels + col, c_.channels, rows, cols, s.centre + n * width_ + col,
                 s.factor + n * width_ + col, s.shift + n * width_ + col, slope_, tile, ld);
                run_(view, TileView{tile, ld, int(rows), int(cols), row, col});
              }
            }
          });
    }

   private:
    struct Scratch {
      float *mean, *square, *centre, *factor, *shift;
      int64_t used;
    };
    Prepared(const KernelQuery& q, const Affine& a)
        : x_(real_input(q.inputs[0])),
          steps_(a.steps),
          slope_(a.slope),
          run_(with_bf16(HONE_VECTOR_FN(I, epilogue_tile))) {
      const char* why = nullptr;
      c_ = *columns_of(q, &why);
      op_ = q.attrs<MVN>();
      epilogue_ = EpiloguePlan(a.rest, c_.channels, c_.pixels, false);
      width_ = round_up(std::max<int64_t>(1, c_.channels), 16);
      tile_cols_ = std::min<int64_t>(width_, 256);
      tile_rows_ = std::max<int64_t>(1, tile_capacity / tile_cols_);
      // Cut by the shape alone, so that sums do not hang on the number of threads.
      parts_ = std::clamp<int64_t>(c_.pixels * c_.channels / 16384, 1, std::clamp<int64_t>(c_.pixels / 8, 1, 16));
    }
    Scratch layout(uint8_t* base) const {
      Cutter cut{base};
      Scratch s{};
      s.mean = cut.take<float>(c_.images * parts_ * width_);
      s.square = cut.take<float>(c_.images * parts_ * width_);
      s.centre = cut.take<float>(c_.images * width_);
      s.factor = cut.take<float>(c_.images * width_);
      s.shift = cut.take<float>(c_.images * width_);
      s.used = cut.used;
      return s;
    }

    // Moments of the parts as those of the image, and these as the factor and the sum of each channel.
    void join(const KernelArgs& args, const Scratch& s, int64_t n) const {
      for (int64_t c = 0; c < c_.channels; ++c) {
        double mean = 0, square = 0, count = 0;
        for (int64_t p = 0; p < parts_; ++p) {
          const auto more = double(part_begin(c_.pixels, p + 1, parts_) - part_begin(c_.pixels, p, parts_));
          const double apart = double(s.mean[(n * parts_ + p) * width_ + c]) - mean;
          square += double(s.square[(n * parts_ + p) * width_ + c]) + apart * apart * count * more / (count + more);
          mean += apart * more / (count + more);
          count += more;
        }
        // Integers are centred as such; their scale joins the factor.
        const double scale = x_.quantized ? double(x_.scale) : 1;
        double factor = scale;
        if (op_.normalize_variance) {
          const double variance = square / count * (scale * scale);
          factor = scale / (op_.eps_mode == EpsMode::inside_sqrt ? std::sqrt(variance + op_.eps)
                                                                 : std::sqrt(variance) + op_.eps);
        }
        double shift = 0;
        for (const auto& [op, input] : steps_) {
          const double v = static_cast<const float*>(args.inputs[input])[c];
          if (op == EpilogueOp::multiply) factor *= v, shift *= v;
          if (op == EpilogueOp::add) shift += v;
        }
        s.centre[n * width_ + c] = float(mean);
        s.factor[n * width_ + c] = float(factor);
        s.shift[n * width_ + c] = float(shift);
      }
    }

    RealInput x_;
    Columns c_;
    MVN op_;
    std::vector<std::pair<EpilogueOp, uint32_t>> steps_;
    float slope_;
    EpiloguePlan epilogue_;
    EpilogueFn run_;
    int64_t width_, tile_rows_, tile_cols_, parts_;
  };

  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    const char* why = nullptr;
    if (!columns_of(q, &why)) return Support::no(why);
    if (auto s = supports_real(q.inputs[0], "the input"); !s) return s;
    return supports_epilogue(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.inputs[0].size()) * 1e-3 * vector_isas[I].cost;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<ColumnsRow<I>>("mvn_columns__", vector_isas[I].suffix, "MVN"), ...);
  return rows;
}

}  // namespace

KernelList norm_columns_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
