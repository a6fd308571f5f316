// Rows of MaxPool, AvgPool, AdaptiveAvgPool and of ReduceSum/Mean/Max/Min over neighbouring axes.
#include <algorithm>
#include <utility>

#include "cpu/kernels/conv/geometry.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/reduce/real_tensor.hpp"
#include "ops/pooling.hpp"
#include "ops/reduce.hpp"

namespace hone::cpu {
namespace {

Support supports_ends(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  if (auto s = supports_real(q.inputs[0], "the input"); !s) return s;
  return supports_real(q.outputs[0], "the output");
}

// ---- Pooling over channels-last pixels
struct PoolPlan {
  Window window;
  ReduceOp op = ReduceOp::sum;
  bool adaptive = false;
  bool count_pads = false;             ///< AvgPool without exclude_pad divides by the window inside the padded input
  int64_t padded_h = 0, padded_w = 0;  ///< pads_begin + size + pads_end
};

std::optional<PoolPlan> pool_plan(const KernelQuery& q) {
  const Shape &in = q.inputs[0].shape, &out = q.outputs[0].shape;
  PoolPlan p;
  std::optional<Window> w;
  std::vector<int64_t> ends;
  AutoPad auto_pad = AutoPad::explicit_;
  if (q.op == "MaxPool") {
    const auto a = q.attrs<MaxPool>();
    w = window_of(in, out, a.kernel, a.strides, a.dilations, a.pads_begin, a.auto_pad);
    p.op = ReduceOp::max;
  } else if (q.op == "AvgPool") {
    const auto a = q.attrs<AvgPool>();
    w = window_of(in, out, a.kernel, a.strides, a.dilations, a.pads_begin, a.auto_pad);
    p.count_pads = !a.exclude_pad;
    ends = a.pads_end;
    auto_pad = a.auto_pad;
  } else {
    w = window_of(in, out, std::vector<int64_t>(in.size() > 2 ? in.size() - 2 : 0, 1), {}, {}, {}, AutoPad::valid);
    p.adaptive = true;
  }
  if (!w) return std::nullopt;
  p.window = *w;
  const auto end_of = [&](bool height) -> int64_t {
    if (height && in.size() == 3) return 0;
    const size_t i = height ? 0 : in.size() - 3;
    return i < ends.size() ? ends[i] : 0;
  };
  if (auto_pad == AutoPad::explicit_) {
    p.padded_h = w->in_h + end_of(true);
    p.padded_w = w->in_w + end_of(false);
  } else {
    p.padded_h = (w->out_h - 1) * w->stride_h + (w->kernel_h - 1) * w->dilation_h + 1 - w->pad_top;
    p.padded_w = (w->out_w - 1) * w->stride_w + (w->kernel_w - 1) * w->dilation_w + 1 - w->pad_left;
  }
  return p;
}

template <size_t I>
struct PoolRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : plan_(*pool_plan(q)),
          elements_(takes_elements(q, plan_)),
          x_(real_input(q.inputs[0])),
          y_(real_output(q.outputs[0])) {}
    void run(const KernelArgs& args) noexcept override {
      RealInput x = x_;
      RealOutput y = y_;
      x.data = args.inputs[0];
      y.data = args.outputs[0];
      const Window& w = plan_.window;
      const int64_t pixels = w.images * w.out_h * w.out_w;
      if (elements_) {
        const int64_t work = w.channels * w.kernel_h * w.kernel_w;
        return args.pool.parallel_for(pixels, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, work)),
                                      [&](int64_t begin, int64_t end, int) {
                                        for (int64_t i = begin, next; i < end; i = next) {
                                          next = std::min(end, i - i % w.out_w + w.out_w);
                                          run_line(x, y, i, next);
                                        }
                                      });
      }
      // A few large windows (global pooling) are shared out by channels.
      const int64_t blocks = pixels < 4 * args.pool.size() ? (w.channels + 63) / 64 : 1;
      const int64_t taps = plan_.adaptive
                               ? std::max<int64_t>(1, w.in_h * w.in_w / std::max<int64_t>(1, w.out_h * w.out_w))
                               : w.kernel_h * w.kernel_w;
      const int64_t grain = std::max<int64_t>(1, 8192 * blocks / std::max<int64_t>(1, w.channels * taps));
      args.pool.parallel_for(pixels * blocks, grain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) run_one(x, y, i / blocks, i % blocks, blocks);
      });
    }

   private:
    // The largest element is the largest number where both sides stand for numbers in the same way.
    static bool takes_elements(const KernelQuery& q, const PoolPlan& p) {
      const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
      if (p.op != ReduceOp::max || x.type != y.type || x.type == ElementType::f16) return false;
      if (p.window.channels * int64_t(num_bytes(*num_of(x.type))) < 16) return false;
      if (is_float(x.type) || (!x.quantization && !y.quantization)) return true;
      const OperandView from = operand_of(x), to = operand_of(y);
      return x.quantization && y.quantization && from.scale == to.scale && from.zero == to.zero;
    }

    // Results [first, end) of one line: in one go where windows lie inside, else one by one.
    void run_line(const RealInput& x, const RealOutput& y, int64_t first, int64_t end) const {
      const Window& w = plan_.window;
      const int64_t line = first / w.out_w, oy = line % w.out_h, begin = line * w.out_w;
      const int64_t top = oy * w.stride_h - w.pad_top, reach = (w.kernel_w - 1) * w.dilation_w;
      int64_t y0 = 0, y1 = w.kernel_h;
      while (y0 < y1 && top + y0 * w.dilation_h < 0) ++y0;
      while (y0 < y1 && top + (y1 - 1) * w.dilation_h >= w.in_h) --y1;
      const int64_t last = w.in_w - 1 - reach + w.pad_left;  // where the last window inside begins
      const int64_t right = y0 < y1 && last >= 0 ? std::min(end, begin + last / w.stride_w + 1) : first;
      const int64_t left = std::min(right, std::max(first, begin + (w.pad_left + w.stride_w - 1) / w.stride_w));
      for (int64_t i = first; i < left; ++i) run_one(x, y, i, 0, 1);
      if (left < right) {
        const int64_t size = int64_t(num_bytes(x.type)), c = w.channels;
        const int64_t row = (line / w.out_h) * w.in_h + top + y0 * w.dilation_h;
        const int64_t column = (left - begin) * w.stride_w - w.pad_left;
        HONE_VECTOR_FN(I, largest_of_windows)
        ({static_cast<const char*>(x.data) + (row * w.in_w + column) * c * size,
          static_cast<char*>(y.data) + left * c * size, x.type, right - left, w.stride_w * c, w.dilation_h * w.in_w * c,
          w.dilation_w * c, y1 - y0, w.kernel_w, c});
      }
      for (int64_t i = std::max(left, right); i < end; ++i) run_one(x, y, i, 0, 1);
    }

    void run_one(const RealInput& x, const RealOutput& y, int64_t pixel, int64_t block, int64_t blocks) const {
      const Window& w = plan_.window;
      const int64_t ox = pixel % w.out_w, oy = pixel / w.out_w % w.out_h, n = pixel / (w.out_w * w.out_h);
      int64_t y0, y1, x0, x1;
      float count;
      if (plan_.adaptive) {
        y0 = oy * w.in_h / w.out_h;
        y1 = ((oy + 1) * w.in_h + w.out_h - 1) / w.out_h;
        x0 = ox * w.in_w / w.out_w;
        x1 = ((ox + 1) * w.in_w + w.out_w - 1) / w.out_w;
        count = float((y1 - y0) * (x1 - x0));
      } else {
        y0 = oy * w.stride_h - w.pad_top;
        x0 = ox * w.stride_w - w.pad_left;
        y1 = y0 + (w.kernel_h - 1) * w.dilation_h + 1;
        x1 = x0 + (w.kernel_w - 1) * w.dilation_w + 1;
        const auto taps_of = [](int64_t length, int64_t dilation) { return (length + dilation - 1) / dilation; };
        count = float(taps_of(std::min(y1, plan_.padded_h) - y0, w.dilation_h) *
                      taps_of(std::min(x1, plan_.padded_w) - x0, w.dilation_w));
        // First tap inside of the input, keeping the phase of the dilation.
        while (y0 < 0) y0 += w.dilation_h;
        while (x0 < 0) x0 += w.dilation_w;
        y1 = std::min(y1, w.in_h);
        x1 = std::min(x1, w.in_w);
      }
      PoolWindow p{};
      const int64_t c = w.channels * block / blocks;
      p.cols = w.channels * (block + 1) / blocks - c;
      p.ny = std::max<int64_t>(0, (y1 - y0 + w.dilation_h - 1) / w.dilation_h);
      p.nx = std::max<int64_t>(0, (x1 - x0 + w.dilation_w - 1) / w.dilation_w);
      p.in = ((n * w.in_h + y0) * w.in_w + x0) * w.channels + c;
      p.out = pixel * w.channels + c;
      p.row_step = w.dilation_h * w.in_w * w.channels;
      p.pixel_step = w.dilation_w * w.channels;
      if (!plan_.adaptive && !plan_.count_pads) count = float(p.ny * p.nx);
      p.factor = count > 0 ? 1.0f / count : 0.0f;
      HONE_VECTOR_FN(I, reduce_window)(x, y, p, plan_.op);
    }
    PoolPlan plan_;
    bool elements_;
    RealInput x_;
    RealOutput y_;
  };
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    if (q.inputs[0].layout != Layout::channels_last || q.outputs[0].layout != Layout::channels_last) {
      return Support::no("takes channels-last tensors only");
    }
    if (q.outputs.size() > 1 && q.outputs[1].present) return Support::no("gives no indices");
    const auto p = pool_plan(q);
    if (!p) return Support::no("takes one or two spatial dimensions");
    const Window& w = p->window;
    if (p->op == ReduceOp::max &&
        (w.pad_top > (w.kernel_h - 1) * w.dilation_h || w.pad_left > (w.kernel_w - 1) * w.dilation_w)) {
      return Support::no("a window lies in the padding alone");
    }
    // The largest byte is the same one whatever the bytes stand for.
    const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
    const bool bytes = x.type == ElementType::u8 || x.type == ElementType::i8;
    if (p->op == ReduceOp::max && bytes && x.type == y.type && !x.quantization && !y.quantization)
      return q.epilogue.empty() ? Support::yes() : Support::no("takes no epilogue");
    return supports_ends(q);
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    const Window w = pool_plan(q)->window;
    p.cost = 1 + double(q.outputs[0].size() * size_t(w.kernel_h * w.kernel_w)) * 1e-4 * vector_isas[I].cost;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

// ---- Reductions: memory seen as [outer, n, inner] with n the reduced axes
struct ReducePlan {
  int64_t outer = 1, n = 1, inner = 1;
  ReduceOp op = ReduceOp::sum;
  float factor = 1;
};

std::optional<ReducePlan> reduce_plan(const KernelQuery& q, const char** why) {
  const TensorDesc &x = q.inputs[0], &axes_desc = q.inputs[1];
  if (!axes_desc.constant || !axes_desc.value) return *why = "the axes are not constant", std::nullopt;
  const int64_t rank = int64_t(x.shape.size());
  std::vector<bool> reduced(size_t(rank), false);
  for (int64_t a : axes_desc.value.to_ints()) {
    if (a < 0) a += rank;
    if (a < 0 || a >= rank) return *why = "an axis lies outside of the shape", std::nullopt;
    reduced[size_t(a)] = true;
  }
  std::vector<size_t> order;
  for (size_t i = 0; i < size_t(rank); ++i) order.push_back(i);
  const bool last = x.layout == Layout::channels_last && rank > 2;
  if (last) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  ReducePlan p;
  int stage = 0;  // before, in and behind the reduced axes
  for (size_t i : order) {
    const int64_t d = x.shape[i];
    if (reduced[i]) {
      if (stage == 2 && d != 1) return *why = "the reduced axes are not neighbours in memory", std::nullopt;
      p.n *= d;
      if (d != 1) stage = 1;
    } else {
      if (stage == 1 && d != 1) stage = 2;
      (stage == 2 ? p.inner : p.outer) *= d;
    }
  }
  // What is left must lie in the order of the output.
  if (last && q.outputs[0].layout != Layout::channels_last && p.outer * p.inner != 1) {
    int64_t big = 0;
    for (size_t i = 1; i < size_t(rank); ++i) big += !reduced[i] && x.shape[i] != 1;
    if (big > 1) return *why = "the output lies in another layout", std::nullopt;
  }
  if (!last && q.outputs[0].layout == Layout::channels_last && q.outputs[0].shape.size() > 2) {
    int64_t big = 0;
    for (size_t i = 1; i < q.outputs[0].shape.size(); ++i) big += q.outputs[0].shape[i] != 1;
    if (big > 1) return *why = "the output lies in another layout", std::nullopt;
  }
  if (q.op == "ReduceMax") p.op = ReduceOp::max;
  if (q.op == "ReduceMin") p.op = ReduceOp::min;
  if (q.op == "ReduceMean" && p.n > 0) p.factor = 1.0f / float(p.n);
  if (p.n == 0) return *why = "nothing is reduced to something", std::nullopt;
  return p;
}

template <size_t I>
struct ReduceRow {
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q) : x_(real_input(q.inputs[0])), y_(real_output(q.outputs[0])) {
      const char* why = nullptr;
      plan_ = *reduce_plan(q, &why);
      // The pixels of one image: threads that wrote them by rows read them by rows again. By shape alone, so that the
      // sums have the same bits with any number of threads.
      const int64_t work = plan_.n * plan_.inner;
      if (plan_.outer == 1 && plan_.inner > 1 && work >= 32 << 10)
        pieces_ = work < 64 << 10 ? 2 : work < 256 << 10 ? 4 : 8;
      pieces_ = std::min(pieces_, plan_.n);
    }
    size_t scratch_bytes() const override { return pieces_ > 1 ? size_t(pieces_ * plan_.inner) * 4 + 64 : 0; }
    void run(const KernelArgs& args) noexcept override {
      RealInput x = x_;
      RealOutput y = y_;
      x.data = args.inputs[0];
      y.data = args.outputs[0];
      const ReducePlan& p = plan_;
      if (pieces_ > 1) {
        const RealInput parts{args.scratch, Num::f32, false, 1, 0};
        const RealOutput part{args.scratch, Num::f32, 1, 0, 0, 0};
        args.pool.parallel_for(pieces_, 1, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t first = p.n * i / pieces_;
            columns(x, part, first * p.inner, p.n * (i + 1) / pieces_ - first, i * p.inner, 1.0f);
          }
        });
        return columns(parts, y, 0, pieces_, 0, p.factor);
      }
      if (p.inner == 1) {
        args.pool.parallel_for(p.outer, std::max<int64_t>(1, 16384 / p.n), [&](int64_t begin, int64_t end, int) {
          for (int64_t o = begin; o < end; ++o) HONE_VECTOR_FN(I, reduce_row)(x, y, o * p.n, o, p.n, p.op, p.factor);
        });
        return;
      }
      const int64_t blocks = p.outer < 4 * args.pool.size() ? (p.inner + 255) / 256 : 1;
      args.pool.parallel_for(p.outer * blocks,
                             std::max<int64_t>(1, 16384 * blocks / std::max<int64_t>(1, p.n * p.inner)),
                             [&](int64_t begin, int64_t end, int) {
                               for (int64_t i = begin; i < end; ++i) {
                                 const int64_t o = i / blocks, b = i % blocks, c = p.inner * b / blocks;
                                 PoolWindow w{};
                                 w.in = o * p.n * p.inner + c;
                                 w.out = o * p.inner + c;
                                 w.cols = p.inner * (b + 1) / blocks - c;
                                 w.ny = p.n;
                                 w.nx = 1;
                                 w.row_step = p.inner;
                                 w.factor = p.factor;
                                 HONE_VECTOR_FN(I, reduce_window)(x, y, w, p.op);
                               }
                             });
    }

   private:
    // `rows` rows of all columns to one.
    void columns(const RealInput& x, const RealOutput& y, int64_t in, int64_t rows, int64_t out, float factor) const {
      PoolWindow w{};
      w.in = in;
      w.out = out;
      w.cols = plan_.inner;
      w.ny = rows;
      w.nx = 1;
      w.row_step = plan_.inner;
      w.factor = factor;
      HONE_VECTOR_FN(I, reduce_window)(x, y, w, plan_.op);
    }

    ReducePlan plan_;
    int64_t pieces_ = 1;
    RealInput x_;
    RealOutput y_;
  };
  static Support supports(const KernelQuery& q) {
    if (!(features().*vector_isas[I].has)) return Support::no(vector_isas[I].needs);
    if (auto s = supports_ends(q); !s) return s;
    const char* why = nullptr;
    if (!reduce_plan(q, &why)) return Support::no(why);
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.inputs[0].size()) * 2e-4 * vector_isas[I].cost;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  for (const char* op : {"MaxPool", "AvgPool", "AdaptiveAvgPool"}) {
    (rows.add<PoolRow<I>>(row_prefix(op) + "_nhwc__", vector_isas[I].suffix, op), ...);
  }
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"}) {
    (rows.add<ReduceRow<I>>(row_prefix(op) + "_rows__", vector_isas[I].suffix, op), ...);
  }
  return rows;
}

}  // namespace

KernelList pool_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_vector_isas>());
  return rows.list();
}

}  // namespace hone::cpu
