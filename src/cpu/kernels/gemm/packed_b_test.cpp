#include "cpu/kernels/gemm/packed_b.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

namespace hone::cpu {
namespace {

// Each value of B stands where the form says, whichever way the source is walked, and padding is zero.
template <class From, class To>
void expect_form(DenseKind kind, Num type, int64_t column, int64_t inner_step, int64_t columns, int64_t k,
                 To (*convert)(From), From (*value)(int64_t)) {
  PackedB shape;
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
        ASSERT_EQ(to[p * padded * 16 + i / per * 16 * per + c * per + i % per], want)
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
      }
      expect_form<uint16_t, float>(
          DenseKind::f32, Num::bf16, 1, columns, columns, k, wide, +[](int64_t i) { return uint16_t(i); });
    }
  }
}

}  // namespace
}  // namespace hone::cpu
