// Rows of Softmax, LogSoftmax, LayerNorm, RMSNorm, MVN and NormalizeL2.
#include <algorithm>
#include <cmath>
#include <utility>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/reduce/real_tensor.hpp"
#include "ops/activation.hpp"
#include "ops/normalization.hpp"

namespace hone::cpu {
namespace {

struct Split {
  int64_t outer = 1, n = 1, inner = 1;
};
Split split_at(const Shape& s, int64_t axis) {
  Split r;
  for (size_t i = 0; i < s.size(); ++i) (int64_t(i) < axis ? r.outer : int64_t(i) == axis ? r.n : r.inner) *= s[i];
  return r;
}

Support supports_shape(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  if (auto s = supports_real(q.inputs[0], "the input"); !s) return s;
  if (auto s = supports_real(q.outputs[0], "the output"); !s) return s;
  return Support::yes();
}

double cost_of(const KernelQuery& q, double factor) {
  return 1 + double(q.inputs[0].size()) * 2e-3 * factor;
}

// ---- Softmax
int64_t softmax_axis(const KernelQuery& q) {
  int64_t axis = q.op == "Softmax" ? q.attrs<Softmax>().axis : q.attrs<LogSoftmax>().axis;
  const int64_t rank = int64_t(q.inputs[0].shape.size());
  if (axis < 0) axis += rank;
  // Channels-last memory: axis 1 lies innermost.
  if (q.inputs[0].layout == Layout::channels_last && axis > 0 && rank > 2) axis = axis == 1 ? rank - 1 : axis - 1;
  return axis;
}
Shape shape_in_memory(const TensorDesc& d) {
  Shape s = d.shape;
  if (d.layout == Layout::channels_last && s.size() > 2) std::rotate(s.begin() + 1, s.begin() + 2, s.end());
  return s;
}

template <size_t I>
struct SoftmaxRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : split_(split_at(shape_in_memory(q.inputs[0]), softmax_axis(q))),
          x_(real_input(q.inputs[0])),
          y_(real_output(q.outputs[0])),
          log_(q.op == "LogSoftmax") {}
    void run(const KernelArgs& args) noexcept override {
      RealInput x = x_;
      RealOutput y = y_;
      x.data = args.inputs[0];
      y.data = args.outputs[0];
      const Split s = split_;
      args.pool.parallel_for(s.outer, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, s.n * s.inner)),
                             [&](int64_t begin, int64_t end, int) {
                               for (int64_t o = begin; o < end; ++o)
                                 HONE_VECTOR_FN(I, softmax)(x, y, o * s.n * s.inner, s.n, s.inner, s.inner, log_);
                             });
    }

   private:
    Split split_;
    RealInput x_;
    RealOutput y_;
    bool log_;
  };
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    if (q.inputs[0].layout != q.outputs[0].layout) return Support::no("input and output lie in different layouts");
    const int64_t axis = softmax_axis(q);
    if (axis < 0 || axis >= int64_t(q.inputs[0].shape.size())) return Support::no("the axis lies outside of the shape");
    return supports_shape(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = cost_of(q, vector_isas[I].cost);
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

// ---- Normalization over the last axes
struct NormPlan {
  int64_t rows, n;
  NormRow row;
  int gamma = -1, beta = -1;
};

std::optional<NormPlan> norm_plan(const KernelQuery& q, const char** why) {
  const TensorDesc& x = q.inputs[0];
  const int64_t rank = int64_t(x.shape.size());
  NormPlan p{};
  int64_t axis = 0;
  p.row.epsilon_inside = p.row.scale = p.row.center = true;
  p.row.count = 1;
  if (q.op == "MVN" || q.op == "NormalizeL2") {
    if (!q.inputs[1].constant || !q.inputs[1].value) return *why = "the axes are not constant", std::nullopt;
    std::vector<int64_t> axes = q.inputs[1].value.to_ints();
    for (int64_t& i : axes) i += i < 0 ? rank : 0;
    std::sort(axes.begin(), axes.end());
    const int64_t count = int64_t(axes.size());
    const bool last = x.layout == Layout::channels_last && rank > 2;
    // Whole images are rows in any order of memory; channels are the last axis of pixels.
    const bool channels = last && count == 1 && axes[0] == 1;
    for (int64_t i = 0; i < count && !channels; ++i) {
      if (axes[size_t(i)] != rank - count + i || (last && count != rank - 1))
        return *why = "the axes are not the last ones in memory", std::nullopt;
    }
    axis = rank - count;
    if (channels) p.n = x.shape[1];
    if (q.op == "MVN") {
      const auto a = q.attrs<MVN>();
      p.row.epsilon = float(a.eps);
      p.row.scale = a.normalize_variance;
      p.row.epsilon_inside = a.eps_mode == EpsMode::inside_sqrt;
    } else {
      const auto a = q.attrs<NormalizeL2>();
      p.row.epsilon = float(a.eps);
      p.row.epsilon_bounds = a.eps_mode == "max";
      p.row.center = false;
    }
  } else {
    const bool rms = q.op == "RMSNorm";
    axis = rms ? q.attrs<RMSNorm>().axis : q.attrs<LayerNorm>().axis;
    if (axis < 0) axis += rank;
    p.row.epsilon = float(rms ? q.attrs<RMSNorm>().epsilon : q.attrs<LayerNorm>().epsilon);
    p.row.center = !rms;
    if (q.num_op_inputs > 1 && q.inputs[1].present) p.gamma = 1;
    if (!rms && q.num_op_inputs > 2 && q.inputs[2].present) p.beta = 2;
  }
  if (axis < 0 || axis > rank) return *why = "the axis lies outside of the shape", std::nullopt;
  if (p.n == 0) {
    p.n = 1;
    for (int64_t i = axis; i < rank; ++i) p.n *= x.shape[size_t(i)];
  }
  p.rows = p.n ? int64_t(x.size()) / p.n : 0;
  if (q.op == "NormalizeL2") p.row.count = float(p.n);
  for (int i : {p.gamma, p.beta}) {
    if (i < 0) continue;
    if (q.inputs[size_t(i)].type != ElementType::f32) return *why = "gamma and beta must be f32", std::nullopt;
    if (int64_t(q.inputs[size_t(i)].size()) != p.n)
      return *why = "gamma and beta do not have the normalized shape", std::nullopt;
  }
  return p;
}

template <size_t I>
struct NormalizeRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q) : x_(real_input(q.inputs[0])), y_(real_output(q.outputs[0])) {
      const char* why = nullptr;
      plan_ = *norm_plan(q, &why);
    }
    void run(const KernelArgs& args) noexcept override {
      RealInput x = x_;
      RealOutput y = y_;
      x.data = args.inputs[0];
      y.data = args.outputs[0];
      NormRow row = plan_.row;
      if (plan_.gamma >= 0) row.gamma = static_cast<const float*>(args.inputs[size_t(plan_.gamma)]);
      if (plan_.beta >= 0) row.beta = static_cast<const float*>(args.inputs[size_t(plan_.beta)]);
      const int64_t n = plan_.n;
      args.pool.parallel_for(plan_.rows, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, n)),
                             [&](int64_t begin, int64_t end, int) {
                               HONE_VECTOR_FN(I, normalize_rows)(x, y, begin * n, n, end - begin, row);
                             });
    }

   private:
    NormPlan plan_;
    RealInput x_;
    RealOutput y_;
  };
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    const bool any_order = q.op == "MVN" || q.op == "NormalizeL2";
    if (q.inputs[0].layout != q.outputs[0].layout || (q.inputs[0].layout != Layout::plain && !any_order))
      return Support::no("takes the plain layout only");
    const char* why = nullptr;
    if (!norm_plan(q, &why)) return Support::no(why);
    return supports_shape(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = cost_of(q, vector_isas[I].cost);
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  for (const char* op : {"Softmax", "LogSoftmax"})
    (rows.add<SoftmaxRow<I>>(row_prefix(op) + "_rows__", vector_isas[I].suffix, op), ...);
  for (const char* op : {"LayerNorm", "RMSNorm", "MVN", "NormalizeL2"})
    (rows.add<NormalizeRow<I>>(row_prefix(op) + "_rows__", vector_isas[I].suffix, op), ...);
  return rows;
}

}  // namespace

KernelList softmax_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
