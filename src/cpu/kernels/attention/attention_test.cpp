// Attention on strided heads against plain double loops.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/strided_attention.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

struct Case {
  int64_t sequences, heads, rows, keys, features, width;
  int64_t groups = 1;  // heads that share K and V
  bool joint = false;  // Q, K and V of all heads side by side in one tensor, as a joint projection leaves them
  bool causal = false, empty = false;
  Shape mask{};
  Shape late_mask{};
  std::vector<double> levels{};  // quantizers, as the operator has them
};

double rounded(const std::vector<double>& levels, size_t number, double x) {
  if (levels.size() < 3 * number + 3) return x;
  const double* l = &levels[3 * number];
  return std::min(std::max(std::nearbyint(x / l[0]), l[1]), l[2]) * l[0];
}

// `type` u8: inputs that are rounded as the quantizers say, or, `foreign`, in another way.
void check(const Case& k, ElementType type, bool bf16, ElementType result = dynamic, bool foreign = false) {
  StridedAttention op;
  op.batch = {k.sequences, k.heads / k.groups, k.groups};
  op.sizes = {k.rows, k.keys, k.features, k.width};
  const int64_t kv = k.heads / k.groups, all = k.heads * k.features + kv * (k.features + k.width);
  if (k.joint) {
    op.query = {0, k.rows * all, k.groups * k.features, k.features, all};
    op.key = {k.heads * k.features, k.keys * all, k.features, 0, all};
    op.value = {(k.heads + kv) * k.features, k.keys * all, k.width, 0, all};
  } else {
    op.query = {0, k.heads * k.rows * k.features, k.groups * k.rows * k.features, k.rows * k.features, k.features};
    op.key = {0, kv * k.keys * k.features, k.keys * k.features, 0, k.features};
    op.value = {0, kv * k.keys * k.width, k.keys * k.width, 0, k.width};
  }
  // [sequences, rows, heads, width]
  op.result = {0, k.rows * k.heads * k.width, k.groups * k.width, k.width, k.heads * k.width};
  op.shape = {k.sequences, k.rows, k.heads, k.width};
  op.scale = 0.7 / std::sqrt(double(k.features));
  op.causal = k.causal;
  op.zero_empty_rows = k.empty;
  op.levels = k.levels;
  Node node(op);
  node.q.bf16_compute = bf16;
  if (k.joint) {
    node.input(Node::desc(type, {k.sequences, k.keys, all}), -2, 2);
    for (int i = 0; i < 2; ++i) {
      node.inputs.push_back(node.inputs[0]);
      node.q.inputs.push_back(node.q.inputs[0]);
    }
  } else {
    node.input(Node::desc(type, {k.sequences, k.heads, k.rows, k.features}), -2, 2);
    node.input(Node::desc(type, {k.sequences, kv, k.keys, k.features}), -2, 2);
    node.input(Node::desc(type, {k.sequences, kv, k.keys, k.width}), -2, 2);
  }
  for (const Shape* shape : {&k.mask, &k.late_mask}) {
    if (shape->empty()) continue;
    Tensor mask(f32, *shape);
    std::uniform_real_distribution<double> real(-3, 3);
    for (size_t i = 0; i < mask.size(); ++i) {
      const double v = real(node.rng);
      set_element(mask, i, k.empty && i < size_t(shape->back()) ? -INFINITY : v > 2 ? -INFINITY : v);
    }
    node.constant(mask);
  }
  node.q.num_op_inputs = node.q.inputs.size();
  for (size_t i = 0; type == u8 && !foreign && i < 3; ++i) {
    TensorDesc& d = node.q.inputs[i];
    auto q = std::make_shared<Quantization>();
    const auto add = [&](size_t number) {
      q->scales.push_back(float(k.levels[3 * number]));
      q->zero_points.push_back(int32_t(-k.levels[3 * number + 1]));
    };
    if (k.joint) {
      // A column belongs to Q, K or V.
      for (int64_t c = 0; c < all; ++c) add(c < k.heads * k.features ? 0 : c < (k.heads + kv) * k.features ? 1 : 2);
      q->axis = int64_t(d.shape.size()) - 1;
    } else {
      add(i);
    }
    d.quantization = q;
  }
  node.q.outputs = {Node::desc(result == dynamic ? type : result, op.shape)};
  std::vector<double> want(size_t(k.sequences * k.rows * k.heads * k.width));
  const auto element = [&](size_t input, const std::vector<int64_t>& place, int64_t s, int64_t h, int64_t row,
                           int64_t i) {
    const auto at =
        size_t(place[0] + s * place[1] + h / k.groups * place[2] + h % k.groups * place[3] + row * place[4] + i);
    const TensorDesc& d = node.q.inputs[input];
    if (type != u8 || foreign) return node.value(input, at);
    const size_t c = at % size_t(d.shape.back());
    return (static_cast<const uint8_t*>(node.inputs[input])[at] - d.quantization->zero_point(c)) *
           double(d.quantization->scale(c));
  };
  const auto mask_at = [&](size_t input, const Shape& mask, int64_t s, int64_t h, int64_t row, int64_t key) {
    if (mask.empty()) return 0.0;
    const Shape full = {k.sequences, k.heads / k.groups, k.groups, k.rows, k.keys};
    const std::vector<int64_t> index = {s, h / k.groups, h % k.groups, row, key};
    size_t at = 0;
    for (size_t i = 0; i < mask.size(); ++i) {
      const size_t d = full.size() - mask.size() + i;
      at = at * size_t(mask[i]) + size_t(mask[i] == 1 ? 0 : index[d]);
    }
    return node.value(input, at);
  };
  for (int64_t s = 0; s < k.sequences; ++s) {
    for (int64_t h = 0; h < k.heads; ++h) {
      for (int64_t row = 0; row < k.rows; ++row) {
        const int64_t seen = k.causal ? std::min(k.keys, row + 1) : k.keys;
        std::vector<double> w(size_t(seen), 0.0);
        double top = -INFINITY, total = 0;
        for (int64_t j = 0; j < seen; ++j) {
          for (int64_t i = 0; i < k.features; ++i)
            w[size_t(j)] += rounded(k.levels, 0, element(0, op.query, s, h, row, i)) *
                            rounded(k.levels, 1, element(1, op.key, s, h, j, i));
          w[size_t(j)] = rounded(k.levels, 4, w[size_t(j)] * op.scale + mask_at(3, k.mask, s, h, row, j)) +
                         mask_at(4, k.late_mask, s, h, row, j);
          top = std::max(top, w[size_t(j)]);
        }
        for (double& v : w) total += v = std::exp(v - top);
        for (int64_t e = 0; e < k.width; ++e) {
          double sum = 0;
          for (int64_t j = 0; j < seen; ++j)
            sum += rounded(k.levels, 3, w[size_t(j)] / total) * rounded(k.levels, 2, element(2, op.value, s, h, j, e));
          want[size_t(((s * k.rows + row) * k.heads + h) * k.width + e)] = top == -INFINITY ? 0 : sum;
        }
      }
    }
  }
  if (!k.levels.empty()) {
    // Exact but for a weight or score that lies so near to the middle of two levels that it rounds to the other one.
    const double flip = k.levels.size() > 12 ? 2.0 / 100 : 2.2 / 255;
    EXPECT_GT(node.expect(want, flip), 0);
    return;
  }
  // Weighted means of values up to 2. In bf16 scores of up to 8 lose 2^-9 of their factors, weights and values too.
  EXPECT_GT(node.expect(want, bf16 || type != f32 ? 4e-2 : 5e-6), 0);
}

TEST(Attention, heads_match_the_formula) {
  const Case cases[] = {{1, 2, 5, 7, 8, 8},
                        {2, 3, 49, 49, 32, 32, 1, true, false, false, {2, 3, 1, 49, 49}},
                        {1, 2, 197, 197, 64, 64, 1, true},
                        {1, 4, 20, 33, 24, 40, 2},
                        {2, 2, 37, 37, 16, 80, 1, true, true},
                        {1, 2, 9, 21, 15, 19, 1, false, false, true, {1, 1, 1, 9, 21}},
                        {1, 4, 1, 70, 64, 64, 4},
                        {2, 2, 2, 19, 20, 33, 1, false, true},
                        {1, 3, 1, 50, 7, 5, 1, false, false, true, {1, 3, 1, 1, 50}},
                        {1, 1, 6, 12, 8, 16, 1, false, false, false, {6, 1}},
                        {1, 2, 130, 140, 48, 96, 1, false, false, false, {140}}};
  for (const Case& k : cases) {
    if (skip_case()) continue;
    check(k, f32, false);
    check(k, f32, true);
    check(k, bf16, false);
    if (HasFatalFailure()) return;
  }
}

TEST(Attention, quantizers_between_the_products_round_to_their_levels) {
  const double s = 2.0 / 127, u = 1.0 / 255;
  const std::vector<double> plain = {s, -128, 127, s, -128, 127, s, -128, 127, u, 0, 255},
                            askew = {s, -100, 155, s, -60, 195, s, -255, 0, u / 2, -10, 245};
  std::vector<double> scores = plain;
  scores.insert(scores.end(), {1.0 / 64, -128, 127});
  const Case cases[] = {{1, 2, 5, 7, 8, 8, 1, false, false, false, {}, {}, plain},
                        {2, 3, 49, 49, 32, 32, 1, true, false, false, {2, 3, 1, 49, 49}, {}, plain},
                        {1, 2, 197, 197, 64, 64, 1, true, false, false, {}, {}, plain},
                        {1, 2, 197, 197, 64, 64, 1, true, false, false, {}, {}, askew},
                        {2, 3, 49, 49, 32, 32, 1, true, false, false, {3, 1, 49, 49}, {2, 1, 1, 49, 49}, scores},
                        {1, 4, 20, 33, 24, 40, 2, false, false, false, {}, {}, askew},
                        {2, 2, 37, 37, 16, 80, 1, true, true, false, {}, {}, askew},
                        {1, 2, 9, 21, 15, 19, 1, false, false, true, {1, 1, 1, 9, 21}, {}, plain},
                        {1, 4, 1, 70, 64, 64, 4, false, false, false, {1, 70}, {}, plain}};
  for (const Case& k : cases) {
    if (skip_case()) continue;
    check(k, f32, true);
    check(k, bf16, true);
    check(k, bf16, true, u8);
    check(k, f32, true, i8);
    check(k, bf16, true, f32);
    check(k, u8, true, f32, true);
    if (k.levels[4] == -128 || k.levels.size() == 12) check(k, u8, true, f32);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace hone::cpu::test
