// Rows of elementwise operators on exact element types: comparison, logic, Select, integer arithmetic, conversion
// between integers, booleans and f32, and functions of the C library. Operands are brought into contiguous tiles, so
// that one loop for each operator and type serves every way of broadcasting.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "cpu/kernels/elementwise/program.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t tile = 512;
constexpr size_t max_inputs = 3;

using TypedFn = void (*)(const void* a, const void* b, const void* c, void* y, int64_t n);

template <class T, class R, class F>
void two(const void* a, const void* b, void* y, int64_t n, F f) {
  const T *p = static_cast<const T*>(a), *q = static_cast<const T*>(b);
  R* r = static_cast<R*>(y);
  for (int64_t i = 0; i < n; ++i) r[i] = f(p[i], q[i]);
}
template <class T, class R, class F>
void one(const void* a, void* y, int64_t n, F f) {
  const T* p = static_cast<const T*>(a);
  R* r = static_cast<R*>(y);
  for (int64_t i = 0; i < n; ++i) r[i] = f(p[i]);
}

template <class T>
void select_fn(const void* c, const void* a, const void* b, void* y, int64_t n) {
  const auto* condition = static_cast<const uint8_t*>(c);
  const T *p = static_cast<const T*>(a), *q = static_cast<const T*>(b);
  T* r = static_cast<T*>(y);
  for (int64_t i = 0; i < n; ++i) r[i] = condition[i] ? p[i] : q[i];
}

#define HONE_TWO(NAME, T, R, EXPR)                                           \
  template <class T_>                                                        \
  void NAME(const void* a, const void* b, const void*, void* y, int64_t n) { \
    two<T, R>(a, b, y, n, [](T u, T v) { return static_cast<R>(EXPR); });    \
  }
HONE_TWO(equal_fn, T_, uint8_t, u == v)
HONE_TWO(not_equal_fn, T_, uint8_t, u != v)
HONE_TWO(less_fn, T_, uint8_t, u < v)
HONE_TWO(less_equal_fn, T_, uint8_t, u <= v)
HONE_TWO(greater_fn, T_, uint8_t, u > v)
HONE_TWO(greater_equal_fn, T_, uint8_t, u >= v)
HONE_TWO(and_fn, T_, uint8_t, u != 0 && v != 0)
HONE_TWO(or_fn, T_, uint8_t, u != 0 || v != 0)
HONE_TWO(xor_fn, T_, uint8_t, (u != 0) != (v != 0))
HONE_TWO(same_fn, T_, uint8_t, (u != 0) == (v != 0))
HONE_TWO(maximum_fn, T_, T_, u > v ? u : v)
HONE_TWO(minimum_fn, T_, T_, u < v ? u : v)
// Overflow wraps around.
HONE_TWO(add_fn, T_, T_, std::make_unsigned_t<T_>(u) + std::make_unsigned_t<T_>(v))
HONE_TWO(subtract_fn, T_, T_, std::make_unsigned_t<T_>(u) - std::make_unsigned_t<T_>(v))
HONE_TWO(multiply_fn, T_, T_, std::make_unsigned_t<T_>(u) * std::make_unsigned_t<T_>(v))
#undef HONE_TWO

void power_fn(const void* a, const void* b, const void*, void* y, int64_t n) {
  const float* exponent = static_cast<const float*>(b);
  const float first = n > 0 ? exponent[0] : 0;
  const bool same = std::all_of(exponent, exponent + n, [&](float e) { return e == first; });
  if (same && first == 2) return one<float, float>(a, y, n, [](float u) { return u * u; });
  if (same && first == 3) return one<float, float>(a, y, n, [](float u) { return u * u * u; });
  two<float, float>(a, b, y, n, [](float u, float v) { return std::pow(u, v); });
}
template <float (*F)(float)>
void library_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<float, float>(a, y, n, [](float u) { return F(u); });
}
float sign_of(float u) {
  return u > 0 ? 1.0f : u < 0 ? -1.0f : u;
}
void not_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<uint8_t, uint8_t>(a, y, n, [](uint8_t u) { return uint8_t(u == 0); });
}
void is_nan_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<float, uint8_t>(a, y, n, [](float u) { return uint8_t(u != u); });
}
void is_finite_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<float, uint8_t>(a, y, n, [](float u) { return uint8_t(std::fabs(u) <= std::numeric_limits<float>::max()); });
}

// As Tensor::converted: out of range saturates, towards zero, not a number gives 0.
template <class From, class To>
void convert_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<From, To>(a, y, n, [](From u) -> To {
    if constexpr (std::is_same_v<To, float>) {
      return static_cast<float>(u);
    } else if constexpr (std::is_same_v<From, float>) {
      constexpr double low = double(std::numeric_limits<To>::min()), high = double(std::numeric_limits<To>::max());
      const double v = double(u);
      return u != u      ? To(0)
             : v <= low  ? std::numeric_limits<To>::min()
             : v >= high ? std::numeric_limits<To>::max()
                         : To(v);
    } else {
      using L = std::numeric_limits<To>;
      const int64_t v = u;
      return v < int64_t(L::min()) ? L::min() : v > int64_t(L::max()) ? L::max() : To(v);
    }
  });
}
template <class From>
void to_boolean_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<From, uint8_t>(a, y, n, [](From u) { return uint8_t(u != 0); });
}
template <class To>
void from_boolean_fn(const void* a, const void*, const void*, void* y, int64_t n) {
  one<uint8_t, To>(a, y, n, [](uint8_t u) { return To(u != 0 ? 1 : 0); });
}
template <class From>
TypedFn convert_from(ElementType to) {
  switch (to) {
    case ElementType::f32:
      return convert_fn<From, float>;
    case ElementType::i64:
      return convert_fn<From, int64_t>;
    case ElementType::i32:
      return convert_fn<From, int32_t>;
    case ElementType::boolean:
      return to_boolean_fn<From>;
    default:
      return nullptr;
  }
}
TypedFn convert_of(ElementType from, ElementType to) {
  switch (from) {
    case ElementType::f32:
      return to == ElementType::f32 ? nullptr : convert_from<float>(to);
    case ElementType::i64:
      return convert_from<int64_t>(to);
    case ElementType::i32:
      return convert_from<int32_t>(to);
    case ElementType::u8:
      return convert_from<uint8_t>(to);
    case ElementType::boolean:
      return to == ElementType::f32   ? from_boolean_fn<float>
             : to == ElementType::i64 ? from_boolean_fn<int64_t>
             : to == ElementType::i32 ? from_boolean_fn<int32_t>
                                      : nullptr;
    default:
      return nullptr;
  }
}

struct Operator {
  const char* name;
  size_t inputs;
  bool test;  ///< the result is boolean, else of the type of the inputs
  TypedFn f32, i32, i64, boolean;
};
#define HONE_FOR_NUMBERS(FN) FN<float>, FN<int32_t>, FN<int64_t>
#define HONE_FOR_INTEGERS(FN) nullptr, FN<int32_t>, FN<int64_t>
constexpr Operator operators[] = {
    {"Equal", 2, true, HONE_FOR_NUMBERS(equal_fn), same_fn<uint8_t>},
    {"NotEqual", 2, true, HONE_FOR_NUMBERS(not_equal_fn), xor_fn<uint8_t>},
    {"Less", 2, true, HONE_FOR_NUMBERS(less_fn), nullptr},
    {"LessEqual", 2, true, HONE_FOR_NUMBERS(less_equal_fn), nullptr},
    {"Greater", 2, true, HONE_FOR_NUMBERS(greater_fn), nullptr},
    {"GreaterEqual", 2, true, HONE_FOR_NUMBERS(greater_equal_fn), nullptr},
    {"LogicalAnd", 2, true, nullptr, nullptr, nullptr, and_fn<uint8_t>},
    {"LogicalOr", 2, true, nullptr, nullptr, nullptr, or_fn<uint8_t>},
    {"LogicalXor", 2, true, nullptr, nullptr, nullptr, xor_fn<uint8_t>},
    {"LogicalNot", 1, true, nullptr, nullptr, nullptr, not_fn},
    {"IsNaN", 1, true, is_nan_fn, nullptr, nullptr, nullptr},
    {"IsFinite", 1, true, is_finite_fn, nullptr, nullptr, nullptr},
    {"Add", 2, false, HONE_FOR_INTEGERS(add_fn), nullptr},
    {"Subtract", 2, false, HONE_FOR_INTEGERS(subtract_fn), nullptr},
    {"Multiply", 2, false, HONE_FOR_INTEGERS(multiply_fn), nullptr},
    {"Maximum", 2, false, HONE_FOR_INTEGERS(maximum_fn), nullptr},
    {"Minimum", 2, false, HONE_FOR_INTEGERS(minimum_fn), nullptr},
    {"Power", 2, false, power_fn, nullptr, nullptr, nullptr},
    {"Sin", 1, false, library_fn<std::sin>, nullptr, nullptr, nullptr},
    {"Cos", 1, false, library_fn<std::cos>, nullptr, nullptr, nullptr},
    {"Tan", 1, false, library_fn<std::tan>, nullptr, nullptr, nullptr},
    {"Atan", 1, false, library_fn<std::atan>, nullptr, nullptr, nullptr},
    {"Sign", 1, false, library_fn<sign_of>, nullptr, nullptr, nullptr},
};

struct TypedPlan {
  TypedFn fn = nullptr;
  size_t inputs = 0;
  int64_t bytes[max_inputs] = {}, out_bytes = 0;
};

const char* plan_typed(const KernelQuery& q, TypedPlan& p) {
  if (!q.epilogue.empty()) return "takes no epilogue";
  const TensorDesc& y = q.outputs[0];
  if (q.op == "Select") {
    p.inputs = 3;
    if (q.attrs<Select>().auto_broadcast == AutoBroadcast::pdpd) return "broadcasts from the right only";
    if (q.inputs[0].type != ElementType::boolean || q.inputs[1].type != y.type || q.inputs[2].type != y.type)
      return "the types do not fit";
    const int bits = bit_width(y.type);
    p.fn = bits == 8    ? select_fn<uint8_t>
           : bits == 16 ? select_fn<uint16_t>
           : bits == 32 ? select_fn<uint32_t>
           : bits == 64 ? select_fn<uint64_t>
                        : nullptr;
    if (y.type == ElementType::string) p.fn = nullptr;
  } else if (q.op == "Convert") {
    p.inputs = 1;
    p.fn = convert_of(q.inputs[0].type, y.type);
  } else {
    for (const Operator& o : operators) {
      if (q.op != o.name) continue;
      p.inputs = o.inputs;
      const ElementType t = q.inputs[0].type;
      p.fn = t == ElementType::f32       ? o.f32
             : t == ElementType::i32     ? o.i32
             : t == ElementType::i64     ? o.i64
             : t == ElementType::boolean ? o.boolean
                                         : nullptr;
      if (o.inputs == 2 && q.inputs[1].type != t) return "the inputs differ in type";
      if (y.type != (o.test ? ElementType::boolean : t)) return "the result has another type";
      if (o.inputs == 2 && q.attrs<Add>().auto_broadcast == AutoBroadcast::pdpd)
        return "broadcasts from the right only";
    }
  }
  if (!p.fn) return "has no loop for these types";
  if (q.num_op_inputs < p.inputs) return "inputs are missing";
  for (size_t i = 0; i < p.inputs; ++i) {
    if (!q.inputs[i].present || q.inputs[i].quantization) return "an input is absent or quantized";
    if (q.inputs[i].shape.size() > y.shape.size()) return "an input has more dimensions than the result";
    p.bytes[i] = bit_width(q.inputs[i].type) / 8;
  }
  if (y.quantization) return "the result is quantized";
  p.out_bytes = bit_width(y.type) / 8;
  return nullptr;
}

class TypedKernel : public PreparedKernel {
 public:
  TypedKernel(const KernelQuery& q, const TypedPlan& plan) : plan_(plan) {
    const TensorDesc& y = q.outputs[0];
    dims_ = memory_dims(y.shape, y.layout);
    for (size_t i = 0; i < plan_.inputs; ++i)
      strides_[i] = walking_strides(q.inputs[i].shape, q.inputs[i].layout, y.shape, y.layout);
    if (dims_.empty()) {
      dims_ = {1};
      for (auto& s : strides_) s = {0};
    }
    merge();
    cols_ = dims_.back();
    dims_.pop_back();
    col_tiles_ = (cols_ + tile - 1) / tile;
    tiles_ = col_tiles_;
    for (int64_t d : dims_) tiles_ *= d;
  }

  void run(const KernelArgs& args) noexcept override {
    if (tiles_ == 0) return;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::min(tile, cols_));
    args.pool.parallel_for(tiles_, grain, [&](int64_t begin, int64_t end, int) {
      alignas(64) uint8_t room[max_inputs][tile * 8];
      for (int64_t t = begin; t < end; ++t) {
        const int64_t col = t % col_tiles_ * tile, n = std::min(tile, cols_ - col), row = t / col_tiles_;
        const void* in[max_inputs] = {};
        for (size_t i = 0; i < plan_.inputs; ++i) {
          int64_t at = col * strides_[i].back(), rest = row;
          for (size_t d = dims_.size(); d-- > 0;) {
            at += rest % dims_[d] * strides_[i][d];
            rest /= dims_[d];
          }
          const auto* from = static_cast<const uint8_t*>(args.inputs[i]) + at * plan_.bytes[i];
          in[i] = strides_[i].back() == 1 ? from : spread(from, strides_[i].back(), plan_.bytes[i], n, room[i]);
        }
        plan_.fn(in[0], in[1], in[2], static_cast<uint8_t*>(args.outputs[0]) + (row * cols_ + col) * plan_.out_bytes,
                 n);
      }
    });
  }

 private:
  static const void* spread(const uint8_t* from, int64_t stride, int64_t bytes, int64_t n, uint8_t* to) {
    const auto copy = [&](auto* typed) {
      using T = std::remove_pointer_t<decltype(typed)>;
      for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * int64_t(sizeof(T)), from + i * stride * bytes, sizeof(T));
    };
    if (bytes == 1) copy(static_cast<uint8_t*>(nullptr));
    if (bytes == 2) copy(static_cast<uint16_t*>(nullptr));
    if (bytes == 4) copy(static_cast<uint32_t*>(nullptr));
    if (bytes == 8) copy(static_cast<uint64_t*>(nullptr));
    return to;
  }
  // Dimensions that all tensors walk together become one.
  void merge() {
    for (size_t d = dims_.size() - 1; d-- > 0;) {
      bool together = true;
      for (size_t i = 0; i < plan_.inputs; ++i)
        together = together && strides_[i][d] == strides_[i][d + 1] * dims_[d + 1];
      if (!together && dims_[d] != 1) continue;
      if (dims_[d] != 1) dims_[d + 1] *= dims_[d];
      dims_.erase(dims_.begin() + int64_t(d));
      for (size_t i = 0; i < plan_.inputs; ++i) strides_[i].erase(strides_[i].begin() + int64_t(d));
    }
  }

  TypedPlan plan_;
  std::vector<int64_t> dims_, strides_[max_inputs];
  int64_t cols_ = 1, col_tiles_ = 1, tiles_ = 1;
};

struct Row {
  static Support supports(const KernelQuery& q) {
    TypedPlan p;
    const char* why = plan_typed(q, p);
    return why ? Support::no(why) : Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    // Vector code goes first where there is any.
    p.cost = 2 + double(q.outputs[0].size()) * 2e-3;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    TypedPlan p;
    plan_typed(q, p);
    return std::make_unique<TypedKernel>(q, p);
  }
};

}  // namespace

KernelList typed_elementwise_kernels() {
  static const RowList rows = [] {
    RowList r;
    for (const Operator& o : operators) r.add<Row>(row_prefix(o.name) + "_typed__any", o.name);
    for (const char* op : {"Select", "Convert"}) r.add<Row>(row_prefix(op) + "_typed__any", op);
    return r;
  }();
  return rows.list();
}

}  // namespace hone::cpu
