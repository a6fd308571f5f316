// Rows of Interpolate over channels-last images, and over neighbouring axes of the plain layout: every mode is a sum
// with weights along the height, then along the width. A row of the result is made from the rows of the data first,
// which gives one row in f32 that stays in L1 or L2, and then from the pixels of that. Where every position is one
// element (nearest) bytes are copied. A result that is wanted in planes is made from the same rows, turned first: the
// resized image is not read again to turn it.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/reduce/real_tensor.hpp"
#include "cpu/kernels/resize/resize_view.hpp"
#include "ops/resize_table.hpp"

namespace hone::cpu {
namespace {

// One axis with the same number of taps at each position; those missing have weight 0.
struct Axis {
  std::vector<int64_t> at;
  std::vector<float> weight;
  int64_t taps = 0;
  bool copies = false;  ///< each position is one element

  void read(const AxisTable& table, int64_t step) {
    for (const auto& t : table.taps) taps = std::max<int64_t>(taps, int64_t(t.size()));
    copies = taps == 1;
    for (const auto& position : table.taps) {
      for (int64_t k = 0; k < taps; ++k) {
        const bool present = size_t(k) < position.size();
        at.push_back(position[present ? size_t(k) : 0].at * step);
        weight.push_back(present ? float(position[size_t(k)].weight) : 0.0f);
        copies = copies && present && position[size_t(k)].weight == 1;
      }
    }
  }
};

// The pixels of a row for each channel by itself, in blocks of 16.
struct LineTable {
  std::vector<int64_t> base;
  std::vector<int32_t> index;
  std::vector<float> weight;
  int64_t taps = 0;
  bool near = true;

  void read(const Axis& pixels, int64_t step) {
    taps = pixels.taps;
    const auto n = int64_t(pixels.at.size()) / taps;
    for (int64_t p = 0; p < n; p += 16) {
      int64_t first = pixels.at[size_t(p * taps)] / step;
      for (int64_t i = p * taps; i < std::min(n, p + 16) * taps; ++i)
        first = std::min(first, pixels.at[size_t(i)] / step);
      base.push_back(first);
      for (int64_t k = 0; k < taps; ++k) {
        for (int64_t i = p; i < p + 16; ++i) {
          const bool inside = i < n;
          index.push_back(inside ? int32_t(pixels.at[size_t(i * taps + k)] / step - first) : 0);
          weight.push_back(inside ? pixels.weight[size_t(i * taps + k)] : 0.0f);
          near = near && index.back() < 32;
        }
      }
    }
  }
};

struct Resize {
  int64_t images, channels, in_h, in_w, out_h, out_w;
  Axis rows, pixels;
};

// What the row refuses is said in `why`.
std::optional<Resize> resize_of(const KernelQuery& q, const char** why, bool tables) {
  const auto op = q.attrs<Interpolate>();
  const Shape &in = q.inputs[0].shape, &out = q.outputs[0].shape;
  const size_t rank = in.size();
  const bool last = q.inputs[0].layout == Layout::channels_last;
  if (out.size() != rank || (last && rank != 3 && rank != 4))
    return *why = "takes one or two spatial dimensions", std::nullopt;
  if (op.coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize)
    return *why = "crops nothing", std::nullopt;
  for (const auto& pads : {op.pads_begin, op.pads_end}) {
    for (int64_t p : pads) {
      if (p != 0) return *why = "takes no pads", std::nullopt;
    }
  }
  const TensorDesc& target = q.inputs[1];
  if (!target.constant || !target.value) return *why = "sizes or scales are not constant", std::nullopt;
  std::vector<int64_t> axes;
  if (q.num_op_inputs > 2 && q.inputs[2].present) {
    if (!q.inputs[2].constant || !q.inputs[2].value) return *why = "the axes are not constant", std::nullopt;
    axes = q.inputs[2].value.to_ints();
  } else {
    for (size_t k = 0; k < rank; ++k) axes.push_back(int64_t(k));
  }
  if (axes.size() != target.size()) return *why = "sizes and axes differ in number", std::nullopt;
  std::vector<AxisSize> sizes;
  for (size_t k = 0; k < rank; ++k) sizes.push_back({k, in[k], out[k], 1});
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t k = axes[i] < 0 ? axes[i] + int64_t(rank) : axes[i];
    if (k < 0 || k >= int64_t(rank)) return *why = "an axis lies outside of the shape", std::nullopt;
    AxisSize& s = sizes[size_t(k)];
    s.scale = op.shape_calculation_mode == ShapeCalculation::sizes ? float(s.out) / float(s.in)
                                                                   : float(get_element(target.value, i));
  }
  // The axes that change: in the plain layout any one or two neighbours, whose pixels hold what the axes behind count.
  const auto changes = [&](size_t k) { return sizes[k].out != sizes[k].in || sizes[k].scale != 1; };
  size_t first = last ? 2 : rank, end = last ? rank : 0;
  for (size_t k = 0; k < rank; ++k) {
    if (sizes[k].in < 1 || sizes[k].out < 1) return *why = "nothing to resize", std::nullopt;
    if (last && k < 2 && changes(k)) return *why = "resizes images and channels not", std::nullopt;
    if (last || !changes(k)) continue;
    first = std::min(first, k);
    end = k + 1;
  }
  if (first >= end || end - first > 2) return *why = "takes one or two neighbouring dimensions", std::nullopt;
  // Lines of single numbers gather: turning images of several channels costs less.
  if (!last && first >= 2 && (rank == 3 || rank == 4) && in[1] > 1)
    return *why = "images of several channels are resized channels-last", std::nullopt;
  const bool two = end - first == 2;
  Resize r;
  r.images = r.channels = 1;
  if (last) {
    r.images = in[0];
    r.channels = in[1];
  } else {
    for (size_t k = 0; k < rank; ++k) (k < first ? r.images : r.channels) *= k >= first && k < end ? 1 : in[k];
  }
  r.in_h = two ? in[first] : 1;
  r.out_h = two ? out[first] : 1;
  r.in_w = in[end - 1];
  r.out_w = out[end - 1];
  if (!tables) return r;
  if (two) {
    r.rows.read(table_of(op, sizes[first]), r.in_w * r.channels);
  } else {
    r.rows.read({0, {{{0, 1.0}}}}, 0);
  }
  r.pixels.read(table_of(op, sizes[end - 1]), r.channels);
  return r;
}

bool same_numbers(const TensorDesc& a, const TensorDesc& b) {
  if (a.type != b.type || bool(a.quantization) != bool(b.quantization)) return false;
  return !a.quantization || *a.quantization == *b.quantization;
}

// Planes are made pixel by pixel of a line; single numbers as pixels are lines as well.
bool in_planes(const KernelQuery& q, const Resize& r) {
  if (q.outputs[0].layout != Layout::plain) return false;
  return q.inputs[0].layout == Layout::channels_last || (r.channels == 1 && supports_real(q.inputs[0], ""));
}

template <size_t I>
struct Row {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : bytes_(int64_t(byte_size(q.inputs[0].type, 1))), threads_(std::max(1, q.threads)) {
      const char* why = nullptr;
      r_ = *resize_of(q, &why, true);
      planes_ = in_planes(q, r_);
      copies_ = !planes_ && r_.rows.copies && r_.pixels.copies && same_numbers(q.inputs[0], q.outputs[0]);
      if (copies_) return;
      x_ = real_input(q.inputs[0]);
      y_ = real_output(q.outputs[0]);
      row_floats_ = (r_.in_w * r_.channels + 47) / 16 * 16;
      if (!planes_) return;
      line_.read(r_.pixels, r_.channels);
      line_floats_ = (r_.in_w + 47) / 16 * 16;
    }
    size_t scratch_bytes() const override { return size_t((row_floats_ + r_.channels * line_floats_) * threads_) * 4; }
    void run(const KernelArgs& args) noexcept override {
      const int64_t work = r_.channels * (r_.in_w * r_.rows.taps + r_.out_w * r_.pixels.taps);
      args.pool.parallel_for(
          r_.images * r_.out_h, std::max<int64_t>(1, 30000 / std::max<int64_t>(1, work)),
          [&](int64_t begin, int64_t end, int thread) {
            for (int64_t i = begin; i < end; ++i) {
              if (copies_) {
                copy_row(args, i);
              } else {
                sum_row(args, i,
                        static_cast<float*>(args.scratch) + thread * (row_floats_ + r_.channels * line_floats_));
              }
            }
          });
    }

   private:
    void copy_row(const KernelArgs& args, int64_t i) const {
      const int64_t pixel = r_.channels * bytes_;
      const auto* from = static_cast<const uint8_t*>(args.inputs[0]) +
                         (i / r_.out_h * r_.in_h * r_.in_w * r_.channels + r_.rows.at[size_t(i % r_.out_h)]) * bytes_;
      auto* to = static_cast<uint8_t*>(args.outputs[0]) + i * r_.out_w * pixel;
      for (int64_t p = 0; p < r_.out_w; ++p, to += pixel) {
        std::memcpy(to, from + r_.pixels.at[size_t(p)] * bytes_, size_t(pixel));
      }
    }
    void sum_row(const KernelArgs& args, int64_t i, float* row) const {
      RealInput x = x_;
      RealOutput y = y_;
      x.data = args.inputs[0];
      y.data = args.outputs[0];
      const int64_t image = i / r_.out_h * r_.in_h * r_.in_w * r_.channels, at = i % r_.out_h * r_.rows.taps;
      const ResizeTaps rows{r_.rows.at.data() + at, r_.rows.weight.data() + at, r_.rows.taps};
      const ResizeTaps pixels{r_.pixels.at.data(), r_.pixels.weight.data(), r_.pixels.taps};
      HONE_VECTOR_FN(I, resize_rows)(x, image, rows, r_.in_w * r_.channels, row);
      if (planes_) return sum_lines(y, i, row);
      HONE_VECTOR_FN(I, resize_pixels)(row, pixels, r_.out_w, r_.channels, y, i * r_.out_w * r_.channels);
    }

    void sum_lines(const RealOutput& y, int64_t i, float* row) const {
      float* lines = row + row_floats_;
      for (int64_t c = 0; c < r_.channels; ++c) {
        float* line = lines + c * line_floats_;
        for (int64_t p = 0; p < r_.in_w; ++p) line[p] = row[p * r_.channels + c];
        std::fill(line + r_.in_w, line + line_floats_, 0.0f);
      }
      const LineTaps taps{line_.base.data(), line_.index.data(), line_.weight.data(), line_.taps, line_.near};
      const int64_t image = i / r_.out_h * r_.channels, y0 = i % r_.out_h;
      for (int64_t c = 0; c < r_.channels; ++c) {
        HONE_VECTOR_FN(I, resize_line)
        (lines + c * line_floats_, taps, r_.out_w, y, ((image + c) * r_.out_h + y0) * r_.out_w);
      }
    }

    Resize r_;
    int64_t bytes_, threads_, row_floats_ = 0, line_floats_ = 0;
    bool copies_ = false, planes_ = false;
    LineTable line_;
    RealInput x_{};
    RealOutput y_{};
  };

  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    if (q.inputs[0].layout == Layout::plain && q.outputs[0].layout != Layout::plain)
      return Support::no("changes the plain layout to no other");
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    const char* why = nullptr;
    const auto r = resize_of(q, &why, false);
    if (!r) return Support::no(why);
    const bool planes = in_planes(q, *r);
    if (!planes && q.attrs<Interpolate>().mode == InterpolateMode::nearest && same_numbers(q.inputs[0], q.outputs[0])) {
      const ElementType t = q.inputs[0].type;
      const bool whole = t != ElementType::string && byte_size(t, 2) == 2 * byte_size(t, 1);
      return whole ? Support::yes() : Support::no("elements are no whole bytes");
    }
    if (auto s = supports_real(q.inputs[0], "the input"); !s) return s;
    return supports_real(q.outputs[0], "the output");
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    const double each = q.inputs[0].layout == Layout::plain ? 3e-4 : 1.5e-4;
    p.cost = 1 + double(q.outputs[0].size() + q.inputs[0].size()) * each * vector_isas[I].cost;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<Row<I>>("interpolate_nhwc__", vector_isas[I].suffix, "Interpolate"), ...);
  return rows;
}

}  // namespace

KernelList resize_nhwc_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
