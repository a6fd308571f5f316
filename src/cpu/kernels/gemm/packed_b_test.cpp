#include "cpu/kernels/gemm/packed_b.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace hone::cpu {
namespace {

// Each value of B stands where the form says, whichever way the source is walked, and padding is zero.
template <class From, class To>
void expect_form(DenseKind kind, Num type, int64_t column, int64_t inner_step, int64_t columns, int64_t k,
                 To (*convert)(From), From (*value)(int64_t), bool deep = false) {
  PackedB shape;
  shape.deep = deep;
  shape.kind = kind;
  shape.columns = columns;
  shape.run_length = k;
  std::vector<From> source(size_t(columns * k));
  for (size_t i = 0; i < source.size(); ++i) source[i] = value(int64_t(i));
  const int64_t run = 0;
  std::vector<uint8_t> packed(shape.bytes(), 0xcd);
  pack_b(shape, {source.data(), type, 0, column, &run, k, inner_step, 0}, packed.data(), nullptr);
  const int64_t per = shape.values_per_step(), padded = shape.padded_steps() * per;
  const auto* to = reinterpret_cast<const To*>(packed.data());
  for (int64_t p = 0; p < shape.panels(); ++p) {
    for (int64_t i = 0; i < padded; ++i) {
      for (int64_t c = 0; c < 16; ++c) {
        const bool inside = i < k && p * 16 + c < columns;
        const To want = inside ? convert(source[size_t((p * 16 + c) * column + i * inner_step)]) : To(0);
        const int64_t step = i / per, word = deep ? step / 2 * 32 + c * 2 + step % 2 : step * 16 + c;
        ASSERT_EQ(to[p * padded * 16 + word * per + i % per], want)
            << "column " << p * 16 + c << " value " << i << " of " << columns << " x " << k;
      }
    }
  }
}

TEST(PackedB, holds_rows_and_columns_of_every_kind_in_one_form) {
  const auto f32 = +[](int64_t i) { return float(i % 251) - 125.0f; };
  const auto bf16 = +[](int64_t i) { return uint16_t(i * 97); };
  const auto s8 = +[](int64_t i) { return int8_t(i * 7); };
  const auto rounded = +[](float v) { return uint16_t(std::bit_cast<uint32_t>(v) >> 16); };  // whole numbers below 256
  const auto wide = +[](uint16_t b) { return std::bit_cast<float>(uint32_t(b) << 16); };
  for (const int64_t columns : {1, 16, 40}) {
    for (const int64_t k : {1, 5, 8, 37}) {
      for (const bool rows : {true, false}) {
        const int64_t column = rows ? 1 : k, step = rows ? columns : 1;
        expect_form<float, float>(
            DenseKind::f32, Num::f32, column, step, columns, k, +[](float v) { return v; }, f32);
        expect_form<float, uint16_t>(DenseKind::bf16, Num::f32, column, step, columns, k, rounded, f32);
        expect_form<uint16_t, uint16_t>(
            DenseKind::bf16, Num::bf16, column, step, columns, k, +[](uint16_t v) { return v; }, bf16);
        expect_form<int8_t, int8_t>(
            DenseKind::int8, Num::s8, column, step, columns, k, +[](int8_t v) { return v; }, s8);
        expect_form<float, uint16_t>(DenseKind::bf16, Num::f32, column, step, columns, k, rounded, f32, true);
        expect_form<int8_t, int8_t>(
            DenseKind::int8, Num::s8, column, step, columns, k, +[](int8_t v) { return v; }, s8, true);
      }
      expect_form<uint16_t, float>(
          DenseKind::f32, Num::bf16, 1, columns, columns, k, wide, +[](int64_t i) { return uint16_t(i); });
    }
  }
}

TEST(PackedB, deep_forms_have_the_same_column_sums_and_names_of_their_own) {
  PackedB shape;
  shape.kind = DenseKind::int8;
  shape.columns = 20;
  shape.runs = 2;
  shape.run_length = 37;
  shape.run_sums = true;
  std::vector<int8_t> source(size_t(20 * 2 * 37));
  for (size_t i = 0; i < source.size(); ++i) source[i] = int8_t(i * 7);
  const int64_t runs[] = {0, 37};
  const SourceB from{source.data(), Num::s8, 0, 74, runs, 37, 1, 0};
  PackedB deep = shape;
  deep.deep = true;
  ASSERT_EQ(deep.bytes(), shape.bytes());
  std::vector<uint8_t> plain(shape.bytes()), pairs(shape.bytes());
  pack_b(shape, from, plain.data(), nullptr);
  pack_b(deep, from, pairs.data(), nullptr);
  EXPECT_TRUE(std::equal(plain.begin() + shape.sums_offset(), plain.end(), pairs.begin() + shape.sums_offset()));
  EXPECT_STREQ(shape.form(), "b16x4_s8_runsum");
  EXPECT_STREQ(deep.form(), "b16x8_s8_runsum");
  EXPECT_STREQ(packed_form(DenseKind::bf16, true), "b16x4_bf16");
  EXPECT_STREQ(packed_form(DenseKind::f32, true), "b16_f32");
}

}  // namespace
}  // namespace hone::cpu
