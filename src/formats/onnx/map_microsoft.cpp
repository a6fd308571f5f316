// Operators of the domain com.microsoft that exporters and quantizers emit.
#include <numeric>

#include "formats/onnx/integer_products.hpp"
#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

Value plain(NodeContext& n, Value v) {
  if (!v || !v.shape().is_static() || v.shape().rank() == 0 || element_count(v.shape().to_shape()) != 1) return v;
  if (const Tensor t = v.constant()) return n.b.constant(t.reshaped({}));
  return n.reshape(v, {});
}
// Inputs i, i + 1, i + 2: integers, scale, zero point.
Value real(NodeContext& n, size_t i) {
  const Value scale = n.cast(plain(n, n.in(i + 1)), ElementType::f32), zero = plain(n, n.opt(i + 2));
  return zero ? n(Dequantize{0, ElementType::f32}, n.in(i), scale, zero)
              : n(Dequantize{0, ElementType::f32}, n.in(i), scale);
}
// Scale and zero point at inputs i and i + 1; the type is the zero point's, else that of `like`.
Value integers(NodeContext& n, Value y, size_t i, Value like) {
  const Value scale = n.cast(plain(n, n.in(i)), ElementType::f32), zero = plain(n, n.opt(i + 1));
  Quantize q;
  q.axis = 0;
  q.output_type = zero ? zero.element_type() : like.element_type();
  return zero ? n(q, y, scale, zero) : n(q, y, scale);
}

Values qlinear_add(NodeContext& n) {
  return {integers(n, n(Add{}, real(n, 0), real(n, 3)), 6, n.in(0))};
}
Values qlinear_mul(NodeContext& n) {
  return {integers(n, n(Multiply{}, real(n, 0), real(n, 3)), 6, n.in(0))};
}
Values qlinear_sigmoid(NodeContext& n) {
  return {integers(n, n(Sigmoid{}, real(n, 0)), 3, n.in(0))};
}
Values qlinear_leaky_relu(NodeContext& n) {
  const Value x = real(n, 0);
  return {integers(n, n(PRelu{}, x, n.like(x, n.f("alpha", 0.01))), 3, n.in(0))};
}
Values qlinear_global_average_pool(NodeContext& n) {
  std::vector<int64_t> axes;
  const bool last = n.i("channels_last", 0) != 0;
  for (size_t k = 2; k < n.rank(n.in(0)); ++k) axes.push_back(static_cast<int64_t>(last ? k - 1 : k));
  return {integers(n, n(ReduceMean{true}, real(n, 0), n.ints_constant(axes)), 3, n.in(0))};
}
Values qlinear_average_pool(NodeContext& n) {
  if (n.i("channels_last", 0)) n.refuse("with channels_last is not offered");
  AvgPool op;
  op.kernel = n.ints("kernel_shape");
  const size_t spatial = op.kernel.size();
  op.strides = n.ints("strides", std::vector<int64_t>(spatial, 1));
  const auto pads = n.ints("pads", std::vector<int64_t>(2 * spatial, 0));
  if (pads.size() != 2 * spatial) n.fail("pads must have two numbers for each spatial axis");
  op.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  op.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial), pads.end());
  op.exclude_pad = n.i("count_include_pad", 0) == 0;
  op.rounding_type = n.i("ceil_mode", 0) ? RoundingType::ceil_torch : RoundingType::floor;
  return {integers(n, n(op, real(n, 0)), 3, n.in(0))};
}
// Output scale and zero point first, then triples.
Values qlinear_concat(NodeContext& n) {
  Values parts;
  for (size_t i = 2; i + 1 < n.num_inputs(); i += 3) parts.push_back(real(n, i));
  if (parts.empty()) n.fail("has no inputs");
  return {integers(n, n.concat(parts, n.i("axis")), 0, n.in(2))};
}
// Before set 13 the axes from `axis` on count as one.
Values qlinear_softmax(NodeContext& n) {
  const Value x = real(n, 0);
  const int64_t axis = n.axis(n.i("axis", -1), x);
  if (n.i("opset", 13) >= 13) return {integers(n, n(Softmax{axis}, x), 3, n.in(0))};
  std::vector<int64_t> flat(static_cast<size_t>(axis), 0);
  flat.push_back(-1);
  return {integers(n, n(Reshape{}, n(Softmax{axis}, n.reshape(x, flat, true)), n.shape_of(x)), 3, n.in(0))};
}
Values qlinear_reduce_mean(NodeContext& n) {
  const Value x = real(n, 0);
  std::vector<int64_t> axes = n.ints("axes");
  if (axes.empty()) {
    axes.resize(n.rank(x));
    std::iota(axes.begin(), axes.end(), 0);
  }
  return {integers(n, n(ReduceMean{n.i("keepdims", 1) != 0}, x, n.ints_constant(axes)), 3, n.in(0))};
}
Values qlinear_where(NodeContext& n) {
  return {integers(n, n(Select{}, n.in(0), real(n, 1), real(n, 4)), 7, n.in(1))};
}
Values qgemm(NodeContext& n) {
  Value y = n(MatMul{n.i("transA", 0) != 0, n.i("transB", 0) != 0}, real(n, 0), real(n, 3));
  const double alpha = n.f("alpha", 1);
  if (n.has(6)) {
    const Value scale =
        n(Multiply{}, n.cast(plain(n, n.in(1)), ElementType::f32), n.cast(plain(n, n.in(4)), ElementType::f32));
    y = n(Add{}, y, n(Multiply{}, n.cast(n.in(6), ElementType::f32), scale));
  }
  if (alpha != 1) y = n(Multiply{}, y, n.like(y, alpha));
  return {n.has(7) ? integers(n, y, 7, n.in(0)) : y};
}

Values gelu(NodeContext& n) {
  return {n(Gelu{}, n.in(0))};
}
Values bias_gelu(NodeContext& n) {
  return {n(Gelu{}, n(Add{}, n.in(0), n.in(1)))};
}
Values fast_gelu(NodeContext& n) {
  return {n(Gelu{GeluMode::tanh}, n.has(1) ? n(Add{}, n.in(0), n.in(1)) : n.in(0))};
}
Values quick_gelu(NodeContext& n) {
  return {n(Swish{}, n.in(0), n.like(n.in(0), n.f("alpha", 1.702)))};
}

Values fused_matmul(NodeContext& n) {
  if (n.i("transBatchA", 0) || n.i("transBatchB", 0)) n.refuse("with transposed batches is not offered");
  const Value y = n(MatMul{n.i("transA", 0) != 0, n.i("transB", 0) != 0}, n.in(0), n.in(1));
  const double alpha = n.f("alpha", 1);
  return {alpha == 1 ? y : n(Multiply{}, y, n.like(y, alpha))};
}

// Outputs: normalized, mean, inverse deviation (training), the sum that was normalized.
Values skip_layer_norm(NodeContext& n) {
  Value sum = n(Add{}, n.in(0), n.in(1));
  if (n.has(4)) sum = n(Add{}, sum, n.in(4));
  const LayerNorm op{n.f("epsilon", 1e-12), -1};
  return {n.has(3) ? n(op, sum, n.in(2), n.in(3)) : n(op, sum, n.in(2)), Value{}, Value{}, sum};
}
Values skip_rms_norm(NodeContext& n) {
  Value sum = n(Add{}, n.in(0), n.in(1));
  if (n.has(3)) sum = n(Add{}, sum, n.in(3));
  return {n(RMSNorm{n.f("epsilon", 1e-5), -1}, sum, n.in(2)), Value{}, Value{}, sum};
}
Values rms_norm(NodeContext& n) {
  return {n(RMSNorm{n.f("epsilon", 1e-5), n.axis(n.i("axis", -1), n.in(0))}, n.in(0), n.in(1))};
}

// Weights [N, blocks, bytes] of `bits` bits, low ones first; scales and zero points per block of K.
Values matmul_nbits(NodeContext& n) {
  const int64_t rows = n.i("N"), depth = n.i("K"), bits = n.i("bits", 4), block = n.i("block_size");
  const Tensor packed = n.constant(1), scales = n.constant(2), zeros = n.constant(3);
  if (!packed || !scales || (n.has(3) && !zeros)) n.refuse("needs constant weights");
  if (bits != 2 && bits != 4 && bits != 8) n.refuse("with " + std::to_string(bits) + " bits is not offered");
  constexpr int64_t most = 1 << 28;  // the products of all three and of the bits stay within 64 bits
  if (block < 1 || rows < 1 || depth < 1 || block > most || rows > most || depth > most)
    n.fail("N, K or block_size is out of range");
  const int64_t blocks = (depth + block - 1) / block, bytes = blocks * block * bits / 8;
  const ElementType type = bits == 8 ? ElementType::u8 : bits == 4 ? ElementType::u4 : ElementType::u2;
  if (static_cast<int64_t>(packed.size()) < rows * bytes || static_cast<int64_t>(scales.size()) < rows * blocks)
    n.fail("has too few weights or scales");
  // The bytes are the packed elements already: [N, blocks, block].
  Tensor w(type, {rows, blocks, block});
  for (size_t i = 0; i < w.byte_size(); ++i)
    static_cast<uint8_t*>(w.raw())[i] = static_cast<uint8_t>(get_integer(packed, i));
  const Value scale = n.reshape(n.cast(n.b.constant(scales), ElementType::f32), {rows, blocks, 1});
  Value v = n.cast(n.b.constant(w), ElementType::f32);
  Value zero = n.b.scalar<float>(static_cast<float>(int64_t{1} << (bits - 1)));
  if (zeros && is_float(zeros.element_type())) {
    zero = n.reshape(n.cast(n.b.constant(zeros), ElementType::f32), {rows, blocks, 1});
  } else if (zeros) {
    const int64_t row_bytes = (blocks * bits + 7) / 8, per_byte = 8 / bits;
    if (static_cast<int64_t>(zeros.size()) < rows * row_bytes) n.fail("has too few zero points");
    Tensor z(ElementType::f32, {rows, blocks, 1});
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < blocks; ++k) {
        const int64_t byte = get_integer(zeros, static_cast<size_t>(r * row_bytes + k / per_byte));
        z.data<float>()[r * blocks + k] = static_cast<float>((byte >> (k % per_byte * bits)) & ((1 << bits) - 1));
      }
    }
    zero = n.b.constant(z);
  }
  v = n(Multiply{}, n(Subtract{}, v, zero), scale);
  v = n.reshape(v, {rows, blocks * block});
  if (blocks * block != depth) v = n.slice(v, 1, 0, depth);
  const Value x = n.in(0);
  Value y = n(MatMul{false, true}, x, n.cast(v, x.element_type()));
  if (n.has(5)) y = n(Add{}, y, n.in(5));
  return {y};
}

Values matmul_integer_to_float(NodeContext& n) {
  const Value sums = n.cast(integer_matmul(n, n.in(0), n.opt(4), n.in(1), n.opt(5)), ElementType::f32);
  const Value y = n(Multiply{}, sums, n(Multiply{}, plain(n, n.in(2)), plain(n, n.in(3))));
  return {n.has(6) ? n(Add{}, y, n.in(6)) : y};
}

Values inverse_square_root(NodeContext& n) {
  return {n(Divide{}, n.like(n.in(0), 1), n(Sqrt{}, n.in(0)))};
}

constexpr OperatorRow rows[] = {
    {"BiasGelu", 1, bias_gelu},
    {"FastGelu", 1, fast_gelu},
    {"FusedMatMul", 1, fused_matmul},
    {"Gelu", 1, gelu},
    {"MatMulIntegerToFloat", 1, matmul_integer_to_float},
    {"MatMulNBits", 1, matmul_nbits},
    {"QGemm", 1, qgemm},
    {"QLinearAdd", 1, qlinear_add},
    {"QLinearAveragePool", 1, qlinear_average_pool},
    {"QLinearConcat", 1, qlinear_concat},
    {"QLinearGlobalAveragePool", 1, qlinear_global_average_pool},
    {"QLinearLeakyRelu", 1, qlinear_leaky_relu},
    {"QLinearMul", 1, qlinear_mul},
    {"QLinearReduceMean", 1, qlinear_reduce_mean},
    {"QLinearSigmoid", 1, qlinear_sigmoid},
    {"QLinearSoftmax", 1, qlinear_softmax},
    {"QLinearWhere", 1, qlinear_where},
    {"QuickGelu", 1, quick_gelu},
    {"Rsqrt", 1, inverse_square_root},
    {"SimplifiedLayerNormalization", 1, rms_norm},
    {"SkipLayerNormalization", 1, skip_layer_norm},
    {"SkipSimplifiedLayerNormalization", 1, skip_rms_norm},
    {"TransposeMatMul", 1, fused_matmul},
};

}  // namespace

std::span<const OperatorRow> microsoft_rows() {
  return rows;
}

}  // namespace hone::onnx
