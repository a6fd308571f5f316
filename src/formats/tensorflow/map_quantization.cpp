// Fake quantization as training writes it.
#include <algorithm>
#include <cmath>

#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

// The range moved so that zero is one of its levels; see tensorflow/core/kernels/fake_quant_ops_functor.h.
struct Nudged {
  float low, high;
};
Nudged nudged(float min, float max, float first, float last) {
  const float scale = (max - min) / (last - first), zero = first - min / scale;
  const float at = zero < first ? first : zero > last ? last : std::round(zero);
  return {(first - at) * scale, (last - at) * scale};
}

Items fake_quantized(NodeContext& n, Value min, Value max) {
  const int64_t bits = n.i("num_bits", 8);
  if (bits < 2 || bits > 16) n.fail("num_bits is out of range");
  const float first = n.flag("narrow_range", false) ? 1 : 0, last = static_cast<float>((1 << bits) - 1);
  FakeQuantize op;
  op.levels = static_cast<int64_t>(last - first) + 1;
  Value low, high;
  const Tensor a = NodeContext::folded(min), b = NodeContext::folded(max);
  if (a && b && a.size() == b.size()) {
    Tensor l(ElementType::f32, a.shape()), h(ElementType::f32, a.shape());
    for (size_t k = 0; k < a.size(); ++k) {
      const Nudged r =
          nudged(static_cast<float>(get_element(a, k)), static_cast<float>(get_element(b, k)), first, last);
      l.data<float>()[k] = std::isfinite(r.low) ? r.low : 0;
      h.data<float>()[k] = std::isfinite(r.high) ? r.high : 0;
    }
    low = n.b.constant(l);
    high = n.b.constant(h);
  } else {
    const auto number = [&](float v) { return n.b.scalar<float>(v); };
    const Value scale = n(Divide{}, n(Subtract{}, max, min), number(last - first));
    const Value zero = n(Round{RoundMode::half_away_from_zero}, n(Subtract{}, number(first), n(Divide{}, min, scale)));
    const Value at = n(Minimum{}, n(Maximum{}, zero, number(first)), number(last));
    low = n(Multiply{}, n(Subtract{}, number(first), at), scale);
    high = n(Multiply{}, n(Subtract{}, number(last), at), scale);
  }
  return {n(op, n.in(0), low, high, low, high)};
}
Items fake_quant_args(NodeContext& n) {
  return fake_quantized(n, n.b.scalar<float>(static_cast<float>(n.f("min", -6))),
                        n.b.scalar<float>(static_cast<float>(n.f("max", 6))));
}
Items fake_quant_vars(NodeContext& n) {
  return fake_quantized(n, n.in(1), n.in(2));
}

// Symmetric around zero where signed; the range is what is given or what the data have.
Items quantize_and_dequantize(NodeContext& n) {
  const Value x = n.in(0);
  const bool is_signed = n.flag("signed_input", true), narrow = n.flag("narrow_range", false),
             given = n.flag("range_given", false);
  int64_t bits = n.i("num_bits", 8);
  if (n.op() == "QuantizeAndDequantizeV3") bits = n.constant_ints(3, "num_bits").at(0);
  if (bits < 2 || bits > 16) n.refuse("of " + std::to_string(bits) + " bits is not offered");
  if (n.i("axis", -1) != -1 && !given) n.refuse("by channel with a range of the data is not offered");
  const double first = is_signed ? -(1 << (bits - 1)) + (narrow ? 1 : 0) : 0,
               last = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  std::vector<int64_t> axes;
  for (size_t k = 0; k < n.rank(x); ++k) axes.push_back(static_cast<int64_t>(k));
  Value min = given ? n.in(1) : n(ReduceMin{false}, x, n.ints_constant(axes)),
        max = given ? n.in(2) : n(ReduceMax{false}, x, n.ints_constant(axes));
  if (const int64_t axis = n.i("axis", -1); axis != -1) {
    std::vector<int64_t> trailing;
    for (int64_t k = n.axis(axis, x) + 1; k < static_cast<int64_t>(n.rank(x)); ++k)
      trailing.push_back(k - n.axis(axis, x));
    if (!trailing.empty()) {
      min = n.unsqueeze(min, trailing);
      max = n.unsqueeze(max, trailing);
    }
  }
  const auto number = [&](double v) { return n.like(x, v); };
  // The wider step of the two sides holds for both.
  const Value up = n(Divide{}, max, number(last));
  const Value down = is_signed ? n(Divide{}, min, number(first)) : up;
  const Value step = n(Maximum{}, up, down);
  FakeQuantize op;
  op.levels = static_cast<int64_t>(last - first) + 1;
  const Value low = n(Multiply{}, step, number(first)), high = n(Multiply{}, step, number(last));
  return {n(op, x, low, high, low, high)};
}

constexpr OperatorRow rows[] = {
    {"FakeQuantWithMinMaxArgs", fake_quant_args},           {"FakeQuantWithMinMaxVars", fake_quant_vars},
    {"FakeQuantWithMinMaxVarsPerChannel", fake_quant_vars}, {"QuantizeAndDequantizeV2", quantize_and_dequantize},
    {"QuantizeAndDequantizeV3", quantize_and_dequantize},   {"QuantizeAndDequantizeV4", quantize_and_dequantize},
};

}  // namespace

std::span<const OperatorRow> quantization_rows() {
  return rows;
}

}  // namespace hone::tensorflow
