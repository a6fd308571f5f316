#include "hone/tensor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "hone/error.hpp"
#include "tensor/fields.hpp"
#include "tensor/small_floats.hpp"

namespace hone {

TEST(Shape, parses_prints_and_merges_symbolic_dimensions) {
  const PartialShape s = PartialShape::parse("[N:1..8,3,?,2..4]");
  EXPECT_EQ(to_string(s), "[N:1..8,3,?,2..4]");
  EXPECT_TRUE(s[0].same(Dimension::symbolic("N")));
  EXPECT_EQ(to_string(PartialShape::merge(s, PartialShape::parse("[4,?,7,3]"))), "[4,3,7,3]");
  EXPECT_THROW(PartialShape::merge(s, PartialShape::parse("[9,3,1,3]")), Error);
  EXPECT_EQ(to_string(PartialShape::parse("...")), "[...]");
  EXPECT_THROW(s[4], Error);
  EXPECT_THROW(PartialShape::dynamic()[0], Error);
}

TEST(Shape, broadcasts_like_numpy) {
  EXPECT_EQ(broadcast(Shape{2, 1, 3}, Shape{4, 1}), (Shape{2, 4, 3}));
  EXPECT_THROW(broadcast(Shape{2}, Shape{3}), Error);
  EXPECT_EQ(to_string(broadcast(PartialShape::parse("[?,3]"), PartialShape::parse("[5,1]"))), "[5,3]");
}

TEST(Shape, refuses_sizes_that_overflow) {
  EXPECT_THROW(Tensor(ElementType::f32, {1 << 30, 1 << 30, 1 << 30}), Error);
  EXPECT_THROW(Tensor(ElementType::f32, {0, 1 << 30, 1 << 30, 1 << 30}), Error);  // its strides would
  EXPECT_EQ(Tensor(ElementType::f32, {0, 1 << 30, 1 << 30}).size(), 0u);
}

TEST(Tensor, packs_sub_byte_types_densely_and_reads_them_back) {
  for (ElementType t : {ElementType::i4, ElementType::u4, ElementType::i2, ElementType::u2, ElementType::u1}) {
    Tensor x(t, {9});
    EXPECT_EQ(x.byte_size(), (9u * size_t(bit_width(t)) + 7) / 8);
    const int64_t low = is_signed(t) ? -(1 << (bit_width(t) - 1)) : 0;
    for (size_t i = 0; i < 9; ++i) set_integer(x, i, low + int64_t(i) % (1 << bit_width(t)));
    for (size_t i = 0; i < 9; ++i) EXPECT_EQ(get_integer(x, i), low + int64_t(i) % (1 << bit_width(t))) << name_of(t);
  }
}

TEST(Tensor, converts_every_small_float_code_to_itself) {
  for (unsigned v = 0; v < 256; ++v) {
    const auto b = static_cast<uint8_t>(v);
    if (!std::isnan(decode_f8e4m3(b))) {
      EXPECT_EQ(encode_f8e4m3(decode_f8e4m3(b)), b);
    }
    if (std::isfinite(decode_f8e5m2(b))) {
      EXPECT_EQ(encode_f8e5m2(decode_f8e5m2(b)), b);
    }
    if (b != 0x80) {
      EXPECT_EQ(encode_f8e4m3fnuz(decode_f8e4m3fnuz(b)), b);
      EXPECT_EQ(encode_f8e5m2fnuz(decode_f8e5m2fnuz(b)), b);
    }
    if (!std::isnan(decode_f8e8m0(b))) {
      EXPECT_EQ(encode_f8e8m0(decode_f8e8m0(b)), b);
    }
  }
  for (unsigned v = 0; v < 65536; ++v) {
    const float f = decode_f16(static_cast<uint16_t>(v));
    if (!std::isnan(f)) {
      ASSERT_EQ(encode_f16(f), v);
    }
  }
  for (unsigned v = 0; v < 16; ++v) {
    EXPECT_EQ(encode_f4e2m1(decode_f4e2m1(v)), v);
    EXPECT_EQ(encode_nf4(decode_nf4(v)), v);
  }
}

TEST(Tensor, rounds_to_nearest_even) {
  EXPECT_EQ(float(bfloat16(1.00390625f)), 1.0f);       // halfway, to even
  EXPECT_EQ(float(bfloat16(1.01171875f)), 1.015625f);  // halfway, to even
  EXPECT_EQ(float(float16(2049.0f)), 2048.0f);
  EXPECT_EQ(float(float16(65520.0f)), std::numeric_limits<float>::infinity());
  EXPECT_EQ(decode_f8e4m3(encode_f8e4m3(1000.0f)), 448.0f);
}

TEST(Tensor, saturates_when_converting_to_integers) {
  const Tensor t = Tensor::of<float>({4}, {300.5f, -3.7f, NAN, 1e30f});
  EXPECT_EQ(t.converted(ElementType::u8).to_ints(), (std::vector<int64_t>{255, 0, 0, 255}));
  EXPECT_EQ(t.converted(ElementType::boolean).to_ints(), (std::vector<int64_t>{1, 1, 1, 1}));
}

TEST(Tensor, of_strings_takes_and_gives_no_numbers) {
  Tensor t = Tensor::strings({1}, {"a"});
  EXPECT_THROW(set_element(t, 0, 1), Error);
  EXPECT_THROW(set_integer(t, 0, 1), Error);
  EXPECT_THROW(get_element(t, 0), Error);
  EXPECT_THROW(get_integer(t, 0), Error);
  // Nor are they bytes of somebody else's.
  char bytes[64] = {};
  EXPECT_THROW(Tensor(ElementType::string, {1}, bytes), Error);
  EXPECT_THROW(Tensor(ElementType::string, {1}, bytes, nullptr), Error);
}

TEST(Tensor, has_no_elements_behind_its_last) {
  Tensor none(ElementType::i64, {0, 3}), two(ElementType::f32, {2});
  EXPECT_THROW(get_integer(none, 0), Error);
  EXPECT_THROW(set_integer(none, 0, 1), Error);
  EXPECT_THROW(get_element(two, 2), Error);
  EXPECT_THROW(set_element(two, 2, 1), Error);
  EXPECT_EQ(get_element(two, 1), 0);
}

TEST(Tensor, of_megabytes_begins_as_zeros_and_can_be_read_a_vector_past_its_end) {
  // One below, at and above the size from which tensors have pages of their own, and one that ends with a page.
  for (const int64_t n : {(1 << 18) - 1, (1 << 19) - 17, (1 << 19), (3 << 19) + 5, (1 << 22) - 16}) {
    for (int repeat = 0; repeat < 2; ++repeat) {
      Tensor t(ElementType::f32, {n});
      EXPECT_EQ(reinterpret_cast<uintptr_t>(t.raw()) % 64, 0u);
      const std::span<float> values(t.data<float>(), static_cast<size_t>(n) + 16);
      EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v == 0; })) << n;
      std::fill(values.begin(), values.end(), 1.0f);
    }
  }
}

TEST(Tensor, travels_through_text) {
  for (const char* s : {"f32[2,2]{1,2.5,-3,0.1}", "i4[3]{-8,0,7}", "string[2]{\"a\",\"b,\\\"c\"}", "boolean[1]{1}",
                        "i64[]{5}", "f32[0]{}"}) {
    EXPECT_EQ(to_text(tensor_from_text(s)), s);
  }
  EXPECT_TRUE(tensor_from_text("f32[4]{random:1}").identical(tensor_from_text("f32[4]{random:1}")));
  for (const char* s : {"f32[2]{1}", "f32[2]{1,2,3}", "f32[2]{1,x}", "foo[1]{1}", "f32[1]",
                        "f32[22222222222222222]{1,2}", "string[33333333333]{\"a\"}"})
    EXPECT_THROW(tensor_from_text(s), Error) << s;
}

}  // namespace hone
