#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "formats/onnx/file_maker_test.hpp"
#include "formats/onnx/reader.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

using File = OnnxFile;
using onnx::AttributeList;

TEST(OnnxAttention, packed_sequences_attend_to_themselves_alone) {
  // Tokens 0 to 2 are one sequence, 3 and 4 another; two heads of one element.
  File f;
  const Tensor ends = Tensor::of<int32_t>({3}, {0, 3, 5}), offsets(ElementType::i32, {2, 3});
  f.input("q", ElementType::f32, {5, 2})
      .input("k", ElementType::f32, {5, 2})
      .input("v", ElementType::f32, {5, 2})
      .constant("ends", ends)
      .constant("offsets", offsets);
  f.add(File::node("PackedMultiHeadAttention", {"q", "k", "v", "", "offsets", "ends"}, {"y"}, "com.microsoft",
                   onnx::AttributeList().i("num_heads", 2)))
      .output("y");
  const std::string bytes = f.bytes();
  const Graph packed = parse_onnx(bytes, nullptr, "");
  Tensor q(ElementType::f32, {5, 2}), k = q.clone(), v = q.clone();
  for (size_t i = 0; i < 10; ++i) {
    q.data<float>()[i] = 0.3f * static_cast<float>(i) - 1;
    k.data<float>()[i] = 0.2f * static_cast<float>(i % 4);
    v.data<float>()[i] = static_cast<float>(i * i);
  }
  const Tensor y = evaluate(packed, {q, k, v})[0].tensor();
  ASSERT_EQ(y.shape(), (Shape{5, 2}));
  for (size_t token = 0; token < 5; ++token) {
    for (size_t head = 0; head < 2; ++head) {
      double sum = 0, weighted = 0;
      for (size_t other = token < 3 ? 0 : 3; other < (token < 3 ? 3u : 5u); ++other) {
        const double e = std::exp(q.data<float>()[token * 2 + head] * k.data<float>()[other * 2 + head]);
        sum += e;
        weighted += e * v.data<float>()[other * 2 + head];
      }
      EXPECT_NEAR(y.data<float>()[token * 2 + head], weighted / sum, 1e-4);
    }
  }
}

// The bias of a token pair hangs on their places in the sequence: the same as each sequence alone.
TEST(OnnxAttention, packed_sequences_take_the_bias_of_their_places) {
  const Shape shape{5, 4};
  const Tensor q = random_tensor(shape, 1), k = random_tensor(shape, 2), v = random_tensor(shape, 3);
  const Tensor bias = random_tensor({2, 1, 3, 3}, 4), projection = random_tensor({12}, 5);
  File f;
  f.constant("bias", bias).constant("b", projection).constant("ends", Tensor::of<int32_t>({3}, {0, 3, 5}));
  f.constant("offsets", Tensor(ElementType::i32, {2, 3}));
  f.input("q", ElementType::f32, shape).input("k", ElementType::f32, shape).input("v", ElementType::f32, shape);
  f.add(File::node("PackedMultiHeadAttention", {"q", "k", "v", "b", "offsets", "ends", "bias"}, {"y"}, "com.microsoft",
                   AttributeList().i("num_heads", 2)));
  f.output("y");
  const Tensor y = evaluate(f.read(), {q, k, v})[0].tensor();
  ASSERT_EQ(y.shape(), shape);
  for (int64_t s = 0; s < 2; ++s) {
    const int64_t begin = s == 0 ? 0 : 3, length = s == 0 ? 3 : 2;
    const auto rows = [&](const Tensor& t) {
      return Tensor::of<float>({1, length, 4},
                               std::span<const float>(t.data<float>() + begin * 4, static_cast<size_t>(length) * 4));
    };
    Tensor own(ElementType::f32, {1, 1, length, length});
    for (int64_t i = 0; i < length * length; ++i)
      own.data<float>()[i] = bias.data<float>()[s * 9 + i / length * 3 + i % length];
    File alone;
    alone.constant("bias", own).constant("b", projection);
    for (const char* name : {"q", "k", "v"}) alone.input(name, ElementType::f32, {1, length, 4});
    alone.add(File::node("MultiHeadAttention", {"q", "k", "v", "b", "", "bias"}, {"y"}, "com.microsoft",
                         AttributeList().i("num_heads", 2)));
    alone.output("y");
    const Tensor want = evaluate(alone.read(), {rows(q), rows(k), rows(v)})[0].tensor();
    for (int64_t i = 0; i < length * 4; ++i)
      EXPECT_NEAR(y.data<float>()[begin * 4 + i], want.data<float>()[i], 1e-6) << s << " " << i;
  }
}

struct Step {
  Tensor y, key, value;
};

// Grouped attention of one sequence, 2 heads on 1, size 4: tokens [begin, end) of x [1, L, 16] on what a cache holds.
Step step(const Tensor& x, int64_t begin, int64_t end, const Tensor& key, const Tensor& value,
          const AttributeList& more) {
  const int64_t length = end - begin;
  const Tensor tokens = Tensor::of<float>(
      {1, length, 16}, std::span<const float>(x.data<float>() + begin * 16, static_cast<size_t>(length) * 16));
  File f;
  f.constant("key", key).constant("value", value).input("x", ElementType::f32, tokens.shape());
  f.constant("last", Tensor::of<int32_t>({1}, {static_cast<int32_t>(end - 1)}));
  f.constant("total", Tensor::scalar<int32_t>(static_cast<int32_t>(end)));
  f.constant("scale", Tensor::of<float>({1}, {0.25f}));
  const bool quantized = !is_float(key.element_type());
  std::vector<std::string> in{"x", "", "", "key", "value", "last", "total"};
  if (quantized) in.insert(in.end(), {"", "", "", "", "", "scale", "scale"});
  f.add(File::node("GroupQueryAttention", in, {"y", "k", "v"}, "com.microsoft", more));
  f.output("y").output("k").output("v");
  const auto out = evaluate(f.read(), {tokens});
  return {out[0].tensor(), out[1].tensor(), out[2].tensor()};
}
AttributeList grouped() {
  return AttributeList().i("num_heads", 2).i("kv_num_heads", 1);
}

TEST(OnnxAttention, a_cache_of_the_window_gives_what_a_whole_cache_gives) {
  const int64_t length = 13;
  const Tensor x = random_tensor({1, length, 16}, 7);
  const Tensor none(ElementType::f32, {1, 1, 0, 4});
  const Step whole = step(x, 0, length, none, none, grouped().i("local_window_size", 3));
  for (const int64_t capacity : {3, 5, 6}) {
    for (const int64_t stride : {1, 2, 7}) {
      const auto attributes = grouped().i("local_window_size", 3).i("sliding_window_cache", 1);
      Tensor key(ElementType::f32, {1, 1, capacity, 4}), value = key.clone();
      for (int64_t begin = 0; begin < length; begin += stride) {
        const int64_t end = std::min(begin + stride, length);
        const Step s = step(x, begin, end, key, value, attributes);
        for (int64_t i = 0; i < (end - begin) * 8; ++i)
          EXPECT_NEAR(s.y.data<float>()[i], whole.y.data<float>()[begin * 8 + i], 1e-6) << capacity << " " << begin;
        ASSERT_EQ(s.key.shape(), key.shape());
        key = s.key;
        value = s.value;
        // The last keys in their order: as many as the operator's contract says.
        const int64_t group = capacity - 3 + 1, over = std::max<int64_t>(end - capacity, 0),
                      resident = end - (over + group - 1) / group * group;
        for (int64_t i = 0; i < resident * 4; ++i)
          EXPECT_EQ(key.data<float>()[i], whole.key.data<float>()[(end - resident) * 4 + i]) << capacity << " " << i;
      }
    }
  }
}

TEST(OnnxAttention, quantized_caches_keep_two_numbers_in_a_byte) {
  Tensor x(ElementType::f32, {1, 1, 16});
  const float key[] = {0.25f, -0.5f, 9, -9}, value[] = {0.375f, 0.625f, -0.375f, 1};  // ties go to even
  std::copy_n(key, 4, x.data<float>() + 8);                                           // behind the two heads of queries
  std::copy_n(value, 4, x.data<float>() + 12);
  const auto attributes = grouped().s("k_quant_type", "PER_TENSOR").s("v_quant_type", "PER_TENSOR");
  const Tensor past = Tensor::of<uint8_t>({1, 1, 1, 2}, {0x88, 0xa9});
  const Step s = step(x, 0, 1, Tensor(ElementType::u8, {1, 1, 0, 2}), Tensor(ElementType::u8, {1, 1, 0, 2}),
                      AttributeList(attributes).i("kv_cache_bit_width", 4));
  EXPECT_EQ(s.key.to_ints(), (std::vector<int64_t>{0x69, 0x0f}));    // 1, -2; 7, -8
  EXPECT_EQ(s.value.to_ints(), (std::vector<int64_t>{0xaa, 0xc6}));  // 2, 2; -2, 4
  // The only key has all the weight.
  EXPECT_EQ(s.y.to_doubles(), (std::vector<double>{0.5, 0.5, -0.5, 1, 0.5, 0.5, -0.5, 1}));
  const Step bytes = step(x, 0, 1, Tensor(ElementType::i8, {1, 1, 0, 4}), Tensor(ElementType::i8, {1, 1, 0, 4}),
                          AttributeList(attributes).i("kv_cache_bit_width", 8));
  EXPECT_EQ(bytes.key.to_ints(), (std::vector<int64_t>{1, -2, 36, -36}));
  // What the cache held stays as it was.
  const Step next =
      step(random_tensor({1, 2, 16}, 1), 1, 2, past, past, AttributeList(attributes).i("kv_cache_bit_width", 4));
  EXPECT_EQ(next.key.shape(), (Shape{1, 1, 2, 2}));
  EXPECT_EQ(get_integer(next.key, 0), 0x88);
  EXPECT_EQ(get_integer(next.key, 1), 0xa9);
}

TEST(OnnxAttention, refuses_caches_that_cannot_be) {
  const Tensor x = random_tensor({1, 1, 16}, 7), cache(ElementType::f32, {1, 1, 2, 4});
  const auto message = [&](const AttributeList& a, const Tensor& key) {
    try {
      step(x, 0, 1, key, key, a);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_NE(message(grouped().i("sliding_window_cache", 1).i("local_window_size", 3), cache)
                .find("a cache of 2 keys for a window of 3"),
            std::string::npos);
  EXPECT_NE(message(grouped().i("sliding_window_cache", 1), cache).find("no local_window_size"), std::string::npos);
  EXPECT_NE(message(grouped().s("k_quant_type", "PER_TENSOR"), Tensor(ElementType::u8, {1, 1, 0, 4}))
                .find("a cache of u8 in 8 bits"),
            std::string::npos);
}

// Ends of all sequences, then their begins: keys outside take no part.
TEST(OnnxAttention, leaves_out_padding_on_both_sides) {
  File f;
  const Tensor x = random_tensor({1, 4, 2}, 3), w = random_tensor({2, 6}, 4);
  f.input("x", ElementType::f32, {1, 4, 2}).constant("w", w).constant("places", Tensor::of<int32_t>({2}, {3, 1}));
  f.constant("mask", Tensor::of<int32_t>({1, 4}, {0, 1, 1, 0}));
  for (const char* mask : {"places", "mask"})
    f.add(File::node("Attention", {"x", "w", "", mask}, {std::string("y_") + mask}, "com.microsoft",
                     AttributeList().i("num_heads", 1)));
  f.output("y_places").output("y_mask");
  const auto y = evaluate(f.read(), {x});
  EXPECT_EQ(y[0].tensor().to_doubles(), y[1].tensor().to_doubles());
}

}  // namespace
}  // namespace hone
