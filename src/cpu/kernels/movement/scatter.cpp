// Rows that read and write single elements or blocks at indexed places: GatherElements, ScatterElementsUpdate,
// ScatterNDUpdate, ScatterUpdate. Elements that are only moved are told apart by their size; f32 and i64 are
// computed on.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/movement/indices.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu {
namespace {

float combine(ScatterReduction r, float a, float b) {
  if (r == ScatterReduction::prod) return a * b;
  if (r == ScatterReduction::min) return std::min(a, b);
  if (r == ScatterReduction::max) return std::max(a, b);
  return r == ScatterReduction::none ? b : a + b;
}
int64_t combine(ScatterReduction r, int64_t a, int64_t b) {
  if (r == ScatterReduction::prod) return int64_t(uint64_t(a) * uint64_t(b));
  if (r == ScatterReduction::min) return std::min(a, b);
  if (r == ScatterReduction::max) return std::max(a, b);
  return r == ScatterReduction::none ? b : int64_t(uint64_t(a) + uint64_t(b));
}
float mean_of(float sum, uint32_t n) {
  return float(double(sum) / n);
}
int64_t mean_of(int64_t sum, uint32_t n) {
  const int64_t q = sum / int64_t(n);
  return sum % int64_t(n) < 0 ? q - 1 : q;  // rounded down, also below zero
}

Support supports_plain(const KernelQuery& q, ScatterReduction reduction) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (!bytes_of(x.type) || x.type != y.type) return Support::no("moves elements of whole bytes only");
  for (size_t i = 0; i < q.num_op_inputs; ++i) {
    if (q.inputs[i].layout != Layout::plain || q.inputs[i].quantization)
      return Support::no("takes plain layouts without quantization only");
  }
  if (y.layout != Layout::plain || y.quantization) return Support::no("gives a plain layout without quantization only");
  const ElementType t = q.inputs[1].type;
  if (t != ElementType::i32 && t != ElementType::i64) return Support::no("indices must be i32 or i64");
  if (reduction != ScatterReduction::none && x.type != ElementType::f32 && x.type != ElementType::i64)
    return Support::no("reduces f32 and i64 only");
  if (x.size() == 0 || x.shape.empty()) return Support::no("the data are empty or a scalar");
  return Support::yes();
}
KernelPlan plan_moves(const KernelQuery& q) {
  KernelPlan p;
  p.cost = 1 + double(q.outputs[0].bytes() + q.inputs[1].bytes()) * 1e-4;
  if (q.op != "GatherElements") p.in_place_input = 0;
  return p;
}

void copy_data(const KernelArgs& args, int64_t bytes) {
  const auto* x = static_cast<const uint8_t*>(args.inputs[0]);
  auto* y = static_cast<uint8_t*>(args.outputs[0]);
  if (x == y) return;
  args.pool.parallel_for(bytes, 64 << 10, [&](int64_t b, int64_t e, int) { std::memcpy(y + b, x + b, size_t(e - b)); });
}

// ---- Elements: index k of a line along the last axis stands for an element of the data.
struct Elements {
  Shape data, indices;
  size_t axis = 0;
  int64_t size = 1, axis_step = 1, index_step = 1;
  bool along = false;  ///< the axis is the last one
  int64_t line = 1, columns = 1, pieces = 1, items = 1, turns = 1;
  static constexpr int64_t piece = 256;

  Elements(const KernelQuery& q, size_t a) : data(q.inputs[0].shape), indices(q.inputs[1].shape), axis(a) {
    // Axes that the indices cover in full become one with those before them: long lines are read in order.
    for (size_t k = data.size(); k-- > 1;) {
      if (k == axis || k - 1 == axis || indices[k] != data[k]) continue;
      data[k - 1] *= data[k], indices[k - 1] *= indices[k];
      data.erase(data.begin() + int64_t(k)), indices.erase(indices.begin() + int64_t(k));
      if (axis > k) --axis;
    }
    a = axis;
    const size_t rank = data.size();
    size = data[a];
    for (size_t k = a + 1; k < rank; ++k) axis_step *= data[k], index_step *= indices[k];
    along = a + 1 == rank;
    line = indices[rank - 1];
    pieces = along ? 1 : (line + piece - 1) / piece;
    turns = along ? 1 : indices[a];
    for (size_t k = 0; k + 1 < rank; ++k) items *= k == a ? 1 : indices[k];
  }
  /// `f(first index, places, count)` for every piece of a line; no two items share an element of the data.
  /// `run(first index, place, count)` where the places lie side by side.
  template <class F, class Run>
  void each(const KernelArgs& args, bool wide, F f, Run run) const {
    std::atomic<bool> any{false};
    const int64_t work = turns * (along ? line : std::min(line, piece));
    args.pool.parallel_for(items * pieces, 1 + 8192 / (work + 1), [&](int64_t begin, int64_t end, int) {
      bool bad = false;
      int64_t places[piece];
      for (int64_t i = begin; i < end; ++i) {
        int64_t rest = i / pieces, from = 0, to = 0, step_from = line, step_to = data.back();
        for (size_t k = data.size() - 1; k-- > 0;) {
          if (k != axis) {
            const int64_t c = rest % indices[k];
            rest /= indices[k];
            from += c * step_from;
            to += c * step_to;
          }
          step_from *= indices[k];
          step_to *= data[k];
        }
        const int64_t first = along ? 0 : i % pieces * piece, last = along ? line : std::min(line, first + piece);
        for (int64_t j = 0; j < turns; ++j, from += index_step) {
          for (int64_t k0 = first; k0 < last; k0 += piece) {
            const int64_t n = std::min(piece, last - k0), base = along ? to : to + k0, own = along ? 0 : 1;
            const auto go = [&](const auto* at) {
              at += from + k0;
              // Whole rows are named by an index that was broadcast along them.
              if (own == 1 && std::all_of(at + 1, at + n, [&](auto v) { return v == *at; }))
                return run(from + k0, base + inside(*at, size, bad) * axis_step, n);
              for (int64_t k = 0; k < n; ++k) places[k] = base + inside(at[k], size, bad) * axis_step + k * own;
              f(from + k0, places, n);
            };
            if (wide)
              go(static_cast<const int64_t*>(args.inputs[1]));
            else
              go(static_cast<const int32_t*>(args.inputs[1]));
          }
        }
      }
      if (bad) any.store(true, std::memory_order_relaxed);
    });
    if (any.load() && args.error) args.error->set("[indices] an index lies outside of the axis");
  }
};

const char* fits(const KernelQuery& q, size_t axis) {
  const Shape &x = q.inputs[0].shape, &indices = q.inputs[1].shape;
  if (x.size() != indices.size()) return "data and indices differ in rank";
  for (size_t k = 0; k < x.size(); ++k) {
    if (k != axis && indices[k] > x[k]) return "the indices reach outside of the data";
  }
  return nullptr;
}

struct GatherElementsRow {
  class Prepared : public PreparedKernel {
   public:
    Prepared(const KernelQuery& q, size_t axis)
        : e_(q, axis), bytes_(bytes_of(q.inputs[0].type)), wide_(q.inputs[1].type == ElementType::i64) {}
    void run(const KernelArgs& args) noexcept override {
      e_.each(
          args, wide_,
          [&](int64_t first, const int64_t* places, int64_t n) {
            with_unit(bytes_, [&](auto unit) {
              using T = decltype(unit);
              const auto* x = static_cast<const T*>(args.inputs[0]);
              auto* y = static_cast<T*>(args.outputs[0]) + first;
              for (int64_t k = 0; k < n; ++k) y[k] = x[places[k]];
            });
          },
          [&](int64_t first, int64_t place, int64_t n) {
            std::memcpy(static_cast<uint8_t*>(args.outputs[0]) + first * bytes_,
                        static_cast<const uint8_t*>(args.inputs[0]) + place * bytes_, size_t(n * bytes_));
          });
    }

   private:
    Elements e_;
    int64_t bytes_;
    bool wide_;
  };
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_plain(q, ScatterReduction::none); !s) return s;
    const auto axis = axis_of(nullptr, q.attrs<GatherElements>().axis, int64_t(q.inputs[0].shape.size()));
    if (!axis) return Support::no("the axis lies outside of the shape");
    if (const char* why = fits(q, size_t(*axis))) return Support::no(why);
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) { return plan_moves(q); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    const auto axis = axis_of(nullptr, q.attrs<GatherElements>().axis, int64_t(q.inputs[0].shape.size()));
    return std::make_unique<Prepared>(q, size_t(*axis));
  }
};

struct ScatterElementsRow {
  class Prepared : public PreparedKernel {
   public:
    Prepared(const KernelQuery& q, size_t axis)
        : e_(q, axis),
          op_(q.attrs<ScatterElementsUpdate>()),
          size_(int64_t(q.inputs[0].size())),
          bytes_(bytes_of(q.inputs[0].type)),
          wide_(q.inputs[1].type == ElementType::i64),
          counts_(op_.reduction == ScatterReduction::mean ||
                  (op_.reduction != ScatterReduction::none && !op_.use_init_val)) {}
    size_t scratch_bytes() const override { return counts_ ? size_t(size_) * 4 : 0; }
    void run(const KernelArgs& args) noexcept override {
      copy_data(args, size_ * bytes_);
      if (op_.reduction == ScatterReduction::none) {
        e_.each(
            args, wide_,
            [&](int64_t first, const int64_t* places, int64_t n) {
              with_unit(bytes_, [&](auto unit) {
                using T = decltype(unit);
                const auto* u = static_cast<const T*>(args.inputs[2]) + first;
                for (int64_t k = 0; k < n; ++k) static_cast<T*>(args.outputs[0])[places[k]] = u[k];
              });
            },
            [&](int64_t first, int64_t place, int64_t n) {
              std::memcpy(static_cast<uint8_t*>(args.outputs[0]) + place * bytes_,
                          static_cast<const uint8_t*>(args.inputs[2]) + first * bytes_, size_t(n * bytes_));
            });
      } else if (bytes_ == 4) {
        reduce<float>(args);
      } else {
        reduce<int64_t>(args);
      }
    }

   private:
    template <class T>
    void reduce(const KernelArgs& args) const {
      auto* y = static_cast<T*>(args.outputs[0]);
      auto* counts = counts_ ? static_cast<uint32_t*>(args.scratch) : nullptr;
      if (counts) std::fill_n(counts, size_, op_.use_init_val ? 1 : 0);
      // Without the initial value, the first update of an element takes its place.
      const auto update = [&](int64_t place, T u) {
        y[place] = counts && counts[place]++ == 0 ? u : combine(op_.reduction, y[place], u);
      };
      const auto* updates = static_cast<const T*>(args.inputs[2]);
      e_.each(
          args, wide_,
          [&](int64_t first, const int64_t* places, int64_t n) {
            for (int64_t k = 0; k < n; ++k) update(places[k], updates[first + k]);
          },
          [&](int64_t first, int64_t place, int64_t n) {
            for (int64_t k = 0; k < n; ++k) update(place + k, updates[first + k]);
          });
      if (op_.reduction != ScatterReduction::mean) return;
      for (int64_t i = 0; i < size_; ++i) {
        if (counts[i] > 1) y[i] = mean_of(y[i], counts[i]);
      }
    }

    Elements e_;
    ScatterElementsUpdate op_;
    int64_t size_, bytes_;
    bool wide_, counts_;
  };
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_plain(q, q.attrs<ScatterElementsUpdate>().reduction); !s) return s;
    const auto axis = axis_of(&q.inputs[3], 0, int64_t(q.inputs[0].shape.size()));
    if (!axis) return Support::no("the axis is not constant or lies outside of the shape");
    if (const char* why = fits(q, size_t(*axis))) return Support::no(why);
    if (q.inputs[1].shape != q.inputs[2].shape) return Support::no("indices and updates differ in shape");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) { return plan_moves(q); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<Prepared>(q, size_t(*axis_of(&q.inputs[3], 0, int64_t(q.inputs[0].shape.size()))));
  }
};

// ---- Blocks: `outer` times `rows` blocks of `block` elements, each at a place that `dims.size()` indices name.
struct Blocks {
  int64_t outer = 1, outer_step = 1, rows = 1, block = 1;
  std::vector<int64_t> dims, steps;
};

std::optional<Blocks> blocks_of(const KernelQuery& q) {
  const Shape &x = q.inputs[0].shape, &indices = q.inputs[1].shape;
  Blocks b;
  size_t first = 0, used = 1;
  if (q.op == "ScatterUpdate") {
    const auto axis = axis_of(&q.inputs[3], 0, int64_t(x.size()));
    if (!axis) return std::nullopt;
    first = size_t(*axis);
    b.rows = element_count(indices);
  } else {
    if (indices.empty() || indices.back() > int64_t(x.size())) return std::nullopt;
    used = size_t(indices.back());
    b.rows = element_count(Shape(indices.begin(), indices.end() - 1));
  }
  for (size_t k = 0; k < x.size(); ++k) {
    if (k < first) b.outer *= x[k];
    if (k >= first + used) b.block *= x[k];
  }
  b.dims.assign(x.begin() + int64_t(first), x.begin() + int64_t(first + used));
  b.steps.resize(used);
  b.outer_step = b.block;
  for (size_t k = used; k-- > 0;) {
    b.steps[k] = b.outer_step;
    b.outer_step *= b.dims[k];
  }
  if (int64_t(q.inputs[2].size()) != b.outer * b.rows * b.block) return std::nullopt;
  return b;
}

struct ScatterBlocksRow {
  static ScatterReduction reduction(const KernelQuery& q) {
    return q.op == "ScatterUpdate" ? ScatterReduction::none : q.attrs<ScatterNDUpdate>().reduction;
  }
  class Prepared : public PreparedKernel {
   public:
    explicit Prepared(const KernelQuery& q)
        : b_(*blocks_of(q)),
          reduction_(reduction(q)),
          size_(int64_t(q.inputs[0].size())),
          bytes_(bytes_of(q.inputs[0].type)),
          wide_(q.inputs[1].type == ElementType::i64) {}
    void run(const KernelArgs& args) noexcept override {
      copy_data(args, size_ * bytes_);
      std::atomic<bool> any{false};
      const Indices at{args.inputs[1], wide_};
      const auto used = int64_t(b_.dims.size());
      // Rows may name one place several times: they stay in order, and threads take columns of the blocks.
      const int64_t grain = std::max<int64_t>(64, (32 << 10) / (b_.outer * b_.rows * bytes_ + 1));
      args.pool.parallel_for(b_.block, grain, [&](int64_t begin, int64_t end, int) {
        bool bad = false;
        for (int64_t i = 0; i < b_.outer * b_.rows; ++i) {
          const int64_t r = i % b_.rows;
          int64_t to = i / b_.rows * b_.outer_step + begin;
          for (int64_t k = 0; k < used; ++k)
            to += inside(at[r * used + k], b_.dims[size_t(k)], bad) * b_.steps[size_t(k)];
          write(args, to, i * b_.block + begin, end - begin);
        }
        if (bad) any.store(true, std::memory_order_relaxed);
      });
      if (any.load() && args.error) args.error->set("[indices] an index lies outside of its axis");
    }

   private:
    void write(const KernelArgs& args, int64_t to, int64_t from, int64_t n) const {
      if (reduction_ == ScatterReduction::none) {
        std::memcpy(static_cast<uint8_t*>(args.outputs[0]) + to * bytes_,
                    static_cast<const uint8_t*>(args.inputs[2]) + from * bytes_, size_t(n * bytes_));
      } else if (bytes_ == 4) {
        reduce<float>(args, to, from, n);
      } else {
        reduce<int64_t>(args, to, from, n);
      }
    }
    template <class T>
    void reduce(const KernelArgs& args, int64_t to, int64_t from, int64_t n) const {
      auto* y = static_cast<T*>(args.outputs[0]) + to;
      const auto* u = static_cast<const T*>(args.inputs[2]) + from;
      for (int64_t i = 0; i < n; ++i) y[i] = combine(reduction_, y[i], u[i]);
    }

    Blocks b_;
    ScatterReduction reduction_;
    int64_t size_, bytes_;
    bool wide_;
  };
  static Support supports(const KernelQuery& q) {
    if (auto s = supports_plain(q, reduction(q)); !s) return s;
    if (!blocks_of(q)) return Support::no("indices and updates do not fit the data");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) { return plan_moves(q); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) { return std::make_unique<Prepared>(q); }
};

}  // namespace

KernelList scatter_kernels() {
  static const RowList rows = [] {
    RowList r;
    r.add<GatherElementsRow>("gather_elements__any", "GatherElements");
    r.add<ScatterElementsRow>("scatter_elements__any", "ScatterElementsUpdate");
    r.add<ScatterBlocksRow>("scatter_blocks__any", "ScatterNDUpdate");
    r.add<ScatterBlocksRow>("scatter_blocks_axis__any", "ScatterUpdate");
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
