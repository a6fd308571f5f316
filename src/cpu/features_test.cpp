#include "cpu/features.hpp"

#include <gtest/gtest.h>

#include "cpu/registry.hpp"
#include "hone/error.hpp"

namespace hone::cpu {
namespace {

Features everything() {
  Features f;
  f.avx2 = f.avx512 = f.avx512_vnni = f.avx512_bf16 = f.amx_int8 = f.amx_bf16 = true;
  f.neon = f.dotprod = f.i8mm = f.neon_bf16 = true;
  return f;
}

TEST(Features, cap_removes_what_lies_beyond_the_level) {
  EXPECT_EQ(capped(everything(), "amx"), everything());
  Features bf16 = capped(everything(), "bf16");
  EXPECT_TRUE(bf16.avx512_bf16 && bf16.avx512_vnni && bf16.avx512 && bf16.avx2);
  EXPECT_FALSE(bf16.amx_int8 || bf16.amx_bf16);
  Features vnni = capped(everything(), "vnni");
  EXPECT_TRUE(vnni.avx512_vnni);
  EXPECT_FALSE(vnni.avx512_bf16);
  Features avx2 = capped(everything(), "avx2");
  EXPECT_TRUE(avx2.avx2);
  EXPECT_FALSE(avx2.avx512 || avx2.avx512_vnni);
  EXPECT_EQ(capped(everything(), "reference"), Features{});
  Features dotprod = capped(everything(), "dotprod");
  EXPECT_TRUE(dotprod.neon && dotprod.dotprod);
  EXPECT_FALSE(dotprod.i8mm);
}

TEST(Features, cap_never_adds) {
  EXPECT_EQ(capped(Features{}, "amx"), Features{});
}

TEST(Features, unknown_level_is_a_usage_error) {
  try {
    capped(Features{}, "sse9");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    EXPECT_NE(e.message().find("sse9"), std::string::npos);
  }
}

TEST(Features, scoped_features_replace_and_restore) {
  const Features before = features();
  {
    ScopedFeatures none{Features{}};
    EXPECT_EQ(features(), Features{});
    EXPECT_EQ(to_string(features()), "reference");
  }
  EXPECT_EQ(features(), before);
}

TEST(Registry, adding_a_list_twice_lists_its_rows_once) {
  static const Kernel rows[] = {{"test_row", "test", "TestOperator", nullptr, nullptr, nullptr, nullptr}};
  add_kernels(rows);
  add_kernels(rows);
  ASSERT_EQ(kernels_for("TestOperator").size(), 1u);
  EXPECT_EQ(kernels_for("TestOperator")[0], &rows[0]);
  EXPECT_TRUE(kernels_for("NoSuchOperator").empty());
}

}  // namespace
}  // namespace hone::cpu
