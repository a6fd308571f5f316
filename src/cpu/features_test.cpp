#include "cpu/features.hpp"

#include <gtest/gtest.h>

#include "cpu/registry.hpp"

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
  EXPECT_FALSE(dotprod.i8mm || dotprod.neon_bf16);
  Features i8mm = capped(everything(), "i8mm");
  EXPECT_TRUE(i8mm.neon && i8mm.dotprod && i8mm.i8mm);
  EXPECT_FALSE(i8mm.neon_bf16);
  EXPECT_TRUE(bf16.neon_bf16 && bf16.i8mm);
}

TEST(Features, cap_never_adds) {
  EXPECT_EQ(capped(Features{}, "amx"), Features{});
}

std::string warning_of(const Features& all, std::string_view level) {
  std::string warning;
  capped(all, level, &warning);
  return warning;
}

TEST(Features, a_level_above_the_machine_is_warned_about_and_caps_nothing) {
  const Features vnni = capped(everything(), "vnni");
  EXPECT_EQ(capped(vnni, "amx"), vnni);
  const std::string warning = warning_of(vnni, "amx");
  EXPECT_NE(warning.find("HONE_ISA is 'amx', which this machine does not have: avx2 avx512 vnni "), std::string::npos)
      << warning;
  EXPECT_NE(warning.find("reference, avx2, avx512, vnni, bf16, amx"), std::string::npos) << warning;
  EXPECT_EQ(warning.find('\n'), std::string::npos);
  Features half_amx = everything();
  half_amx.amx_bf16 = false;
  EXPECT_EQ(warning_of(half_amx, "amx"), "");
}

TEST(Features, a_level_of_another_architecture_is_warned_about) {
  Features arm;
  arm.neon = arm.dotprod = true;
  EXPECT_EQ(capped(arm, "avx2"), arm);
  EXPECT_NE(warning_of(arm, "avx2").find("neon dotprod is used"), std::string::npos);
  EXPECT_EQ(warning_of(arm, "neon"), "");
  EXPECT_NE(warning_of(arm, "i8mm").find("which this machine does not have"), std::string::npos);
  EXPECT_NE(warning_of(arm, "bf16").find("which this machine does not have"), std::string::npos);
  arm.i8mm = arm.neon_bf16 = true;
  EXPECT_EQ(warning_of(arm, "bf16"), "");
  EXPECT_EQ(capped(arm, "bf16"), arm);
}

TEST(Features, an_unknown_level_is_warned_about_and_caps_nothing) {
  EXPECT_EQ(capped(everything(), "sse9"), everything());
  EXPECT_NE(warning_of(everything(), "sse9").find("'sse9', which is no instruction set"), std::string::npos);
  EXPECT_NE(warning_of(Features{}, "AVX2").find("reference is used"), std::string::npos);
}

TEST(Features, a_level_the_machine_has_is_no_reason_to_warn) {
  for (const char* level : {"reference", "avx2", "avx512", "vnni", "bf16", "amx", "neon", "dotprod", "i8mm"}) {
    EXPECT_EQ(warning_of(everything(), level), "") << level;
  }
  EXPECT_EQ(warning_of(Features{}, "reference"), "");
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
