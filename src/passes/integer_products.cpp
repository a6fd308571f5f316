// Products of integers with ranges found while the model runs, as ONNX's dynamic quantizers write them: MatMulInteger
// and ConvInteger behind DynamicQuantizeLinear. They become products of numbers with one fixed quantization, which the
// integer kernels take:
//   sum (q - z) w  =  sum (q - m) w - (z - m) sum w,   m the middle of the type
// Weights beyond i8 are bytes and an offset that they have in common.
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

bool is_single(Value v) {
  return v.type().is_static() && element_count(v.shape().to_shape()) == 1;
}

// A number that is known, perhaps behind conversions and in another shape.
std::optional<double> known_number(Value v) {
  while (v.node().is<Convert>() || v.node().is<Unsqueeze>() || v.node().is<Reshape>()) v = v.node().input(0);
  return splat_value(v);
}

// Bytes and their zero point (none: 0).
struct Centred {
  Value bytes, zero;
};
std::optional<Centred> centred(Value v) {
  Centred c;
  if (!v.node().is<Convert>() || !is_float(v.element_type())) return std::nullopt;
  v = v.node().input(0);
  if (v.node().is<Subtract>() && v.element_type() == ElementType::i32) {
    c.zero = v.node().input(1);
    if (!is_single(c.zero) && !known_number(c.zero)) return std::nullopt;
    v = v.node().input(0);
  }
  while (v.node().is<Convert>() && (v.element_type() == ElementType::i32 || v.element_type() == ElementType::i64))
    v = v.node().input(0);
  if (v.element_type() != ElementType::u8 && v.element_type() != ElementType::i8) return std::nullopt;
  c.bytes = v;
  return c;
}

// The bytes less the middle of their type, as real numbers with the quantizer that changes nothing.
Value shifted(Builder& b, const Centred& c) {
  const bool is_signed = c.bytes.element_type() == ElementType::i8;
  const Value middle = b.scalar<float>(is_signed ? 0 : 128);
  const Node n = c.bytes.node();
  Value v;
  if (const auto* q = n.as<Quantize>(); q && !splat_value(n.input(1)) && is_single(n.input(1)) && n.input(2) &&
                                        is_single(n.input(2)) && q->low >= q->high &&
                                        n.input(0).element_type() == ElementType::f32 &&
                                        n.input(1).element_type() == ElementType::f32) {
    v = b(Round{}, b(Divide{}, n.input(0), n.input(1)));
    v = b(Add{}, v, b(Subtract{}, b(Convert{ElementType::f32}, n.input(2)), middle));
  } else {
    v = b(Subtract{}, b(Convert{ElementType::f32}, c.bytes), middle);
  }
  const Value low = b.scalar<float>(-128), high = b.scalar<float>(127);
  return b(FakeQuantize{256}, v, low, high, low, high);
}

// Whole numbers as i8 + offset; the offset is 0 where the numbers fit without.
struct Bytes {
  Tensor values;
  int64_t offset = 0;
};
template <class T>
std::optional<Bytes> as_bytes(const Tensor& t, float zero) {
  const std::span<const T> w(t.data<T>(), t.size());
  float low = 0, high = 0;
  for (const T v : w) {
    const float x = static_cast<float>(v) - zero;
    if (x != std::nearbyint(x)) return std::nullopt;
    low = std::min(low, x);
    high = std::max(high, x);
  }
  if (high - low > 255) return std::nullopt;
  const bool fits = low >= -128 && high <= 127;
  if (std::is_same_v<T, int8_t> && fits && zero == 0) return Bytes{t};
  Bytes out{Tensor(ElementType::i8, t.shape()), fits ? 0 : static_cast<int64_t>(low) + 128};
  const float shift = zero + static_cast<float>(out.offset);
  for (size_t k = 0; k < w.size(); ++k)
    out.values.data<int8_t>()[k] = static_cast<int8_t>(static_cast<float>(w[k]) - shift);
  return out;
}
// Constant weights: bytes and their zero point, or what folding made of them.
std::optional<Bytes> constant_weights(Value v) {
  if (const Tensor t = v.constant()) return as_bytes<float>(t.converted(ElementType::f32), 0);
  const auto c = centred(v);
  const Tensor t = c ? c->bytes.constant() : Tensor();
  const auto zero = c && c->zero ? known_number(c->zero) : 0.0;
  if (!t || !zero) return std::nullopt;
  return t.element_type() == ElementType::u8 ? as_bytes<uint8_t>(t, static_cast<float>(*zero))
                                             : as_bytes<int8_t>(t, static_cast<float>(*zero));
}

// The same product with other weights: whole numbers.
Value multiplied(Builder& b, Node product, Value x, const Tensor& weights) {
  const Value w = b(Dequantize{.axis = 0}, b.constant(weights), b.scalar<float>(1));
  if (const auto* m = product.as<MatMul>()) return b(MatMul(*m), x, w);
  return b(Convolution(*product.as<Convolution>()), x, w);
}

// Sums over all axes of `w` but those of `kept`, in the shape `shape`.
Tensor sums(const Bytes& w, const std::vector<size_t>& kept, const Shape& shape) {
  const Shape& from = w.values.shape();
  Tensor out(ElementType::f32, shape);
  std::vector<int64_t> total(out.size(), 0);
  std::vector<size_t> step(from.size(), 0), at(from.size(), 0);
  size_t each = 1;
  for (size_t k = kept.size(); k-- > 0;) {
    step[kept[k]] = each;
    each *= static_cast<size_t>(from[kept[k]]);
  }
  const size_t last = from.size() - 1, row = static_cast<size_t>(from[last]);
  for (size_t i = 0; i < w.values.size(); i += row) {
    size_t place = 0;
    for (size_t k = 0; k < last; ++k) place += at[k] * step[k];
    for (size_t k = 0; k < row; ++k) total[place + k * step[last]] += w.values.data<int8_t>()[i + k] + w.offset;
    for (size_t k = last; k-- > 0 && ++at[k] == static_cast<size_t>(from[k]);) at[k] = 0;
  }
  for (size_t i = 0; i < total.size(); ++i) out.data<float>()[i] = static_cast<float>(total[i]);
  return out;
}

bool pads_nothing(const Convolution& op) {
  const auto zero = [](const std::vector<int64_t>& v) {
    for (int64_t x : v) {
      if (x != 0) return false;
    }
    return true;
  };
  return op.auto_pad == AutoPad::valid ||
         (op.auto_pad == AutoPad::explicit_ && zero(op.pads_begin) && zero(op.pads_end));
}

// What one step of the zero point adds to each result: sums of weights, which hang on the place where windows reach
// beyond the image.
Value weight_sums(Builder& b, const Bytes& w, Node product) {
  const Shape& from = w.values.shape();
  if (const auto* m = product.as<MatMul>())
    return b.constant(sums(w, {m->transpose_b ? 0u : 1u}, {from[m->transpose_b ? 0 : 1]}));
  const auto& op = *product.as<Convolution>();
  if (pads_nothing(op)) {
    Shape each(from.size(), 1);
    each[1] = from[0];
    return b.constant(sums(w, {0}, each));
  }
  std::vector<size_t> kept{0};
  Shape window{from[0], 1};
  for (size_t k = 2; k < from.size(); ++k) {
    kept.push_back(k);
    window.push_back(from[k]);
  }
  const Value shape = b(ShapeOf{}, product.input(0));
  const Value sizes =
      b(Slice{}, shape, b.ints({2}), b.ints({std::numeric_limits<int64_t>::max()}), b.ints({1}), b.ints({0}));
  const Value ones = b(Broadcast{}, b.scalar<float>(1), b(Concat{0}, b.ints({1, 1}), sizes));
  return b(Convolution(op), ones, b.constant(sums(w, kept, window)));
}

Rule integer_product() {
  return rule("integer_product", op<Convert>(), [](const Match& m, Builder& b) -> Value {
    const Node real = m.root();
    if (real.output().element_type() != ElementType::f32) return {};
    // The bias may be added in integers.
    Node whole = real.input(0).node();
    Value bias;
    if (whole.is<Add>() && whole.output().element_type() == ElementType::i32) {
      const size_t at =
          whole.input(0).node().is<Convert>() && is_float(whole.input(0).node().input(0).element_type()) ? 0 : 1;
      bias = whole.input(1 - at);
      if (whole.output().uses().size() != 1 || whole.output().shape().rank() != whole.input(at).shape().rank())
        return {};
      whole = whole.input(at).node();
    }
    if (!whole.is<Convert>() || whole.output().element_type() != ElementType::i32) return {};
    const Node product = whole.input(0).node();
    const auto* matmul = product.as<MatMul>();
    if ((!matmul && !product.is<Convolution>()) || !is_float(whole.input(0).element_type()) ||
        whole.input(0).uses().size() != 1)
      return {};
    for (const Use& u : whole.output().uses()) {
      const Node n = whole.graph->handle(u.node);
      if (bias ? !n.is<Add>() : !n.is<Convert>() || n.output().element_type() != ElementType::f32) return {};
    }
    const auto x = centred(product.input(0));
    const auto bytes = x ? constant_weights(product.input(1)) : std::nullopt;
    if (!bytes || bytes->values.size() == 0 ||
        (matmul && (matmul->transpose_a || bytes->values.rank() != 2 || !product.input(0).shape().rank_known() ||
                    product.input(0).shape().rank() < 2)))
      return {};
    b.set_name(product.name());
    const Value numbers = shifted(b, *x);
    Value y = multiplied(b, product, numbers, bytes->values);
    if (bytes->offset != 0) {
      // What all weights have in common multiplies the sum of each window.
      Shape one = bytes->values.shape();
      one[matmul && !matmul->transpose_b ? 1 : 0] = 1;
      Tensor ones(ElementType::i8, one);
      for (size_t i = 0; i < ones.size(); ++i) set_integer(ones, i, 1);
      y = b(Add{}, y,
            b(Multiply{}, multiplied(b, product, numbers, ones), b.scalar<float>(static_cast<float>(bytes->offset))));
    }
    const Value middle = b.scalar<float>(x->bytes.element_type() == ElementType::i8 ? 0 : 128);
    Value zero = b.scalar<float>(0);
    if (const auto known = x->zero ? known_number(x->zero) : 0.0)
      zero = b.scalar<float>(static_cast<float>(*known));
    else
      zero = b(Convert{ElementType::f32}, x->zero.shape().rank() == 0 ? x->zero : b(Reshape{}, x->zero, b.ints({})));
    const Value sum = b(Subtract{}, y, b(Multiply{}, b(Subtract{}, zero, middle), weight_sums(b, *bytes, product)));
    return bias ? b(Add{}, sum, b(Convert{ElementType::f32}, bias)) : sum;
  });
}

}  // namespace

Pass integer_products_pass() {
  return rules_pass("integer_products", {integer_product()}, true);
}

}  // namespace hone
