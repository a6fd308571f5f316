// Tiles of integer accumulators to bytes, of all widths and heights, in each instruction set.
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {
namespace {

struct Isa {
  const char* name;
  bool Features::*has;
  EpilogueFn tile;
};
#if defined(__x86_64__)
const Isa isas[] = {{"avx2", &Features::avx2, avx2::epilogue_tile},
                    {"avx512", &Features::avx512, avx512::epilogue_tile}};
#else
const Isa isas[] = {{"neon", &Features::neon, neon::epilogue_tile}};
#endif

TEST(Epilogue, requantizes_tiles_of_all_sizes_and_nothing_beside_them) {
  constexpr int64_t ld_out = 80, col0 = 16;
  std::mt19937 rng(3);
  std::uniform_int_distribution<int> sums(-20000, 20000), levels(0, 255);
  alignas(64) int32_t acc[tile_capacity];
  std::vector<float> scale(ld_out + 64), offset(ld_out + 64);
  for (size_t c = 0; c < scale.size(); ++c) {
    scale[c] = 0.004f + 0.0001f * float(c % 13);
    offset[c] = 0.3f * float(c % 7);
  }
  std::vector<uint8_t> skip(size_t(ld_out * 34), 0);
  for (uint8_t& v : skip) v = uint8_t(levels(rng));
  for (const Isa& isa : isas) {
    if (!(detect_features().*isa.has)) continue;
    for (const int cols : {1, 8, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64}) {
      for (const int rows : {1, 2, 3, 4, 7, 16}) {
        for (const bool residual : {false, true}) {
          for (int32_t& v : acc) v = sums(rng);
          std::vector<uint8_t> out(size_t(ld_out * (rows + 2)) + 64, 0xa5);
          EpilogueView e{};
          e.integer = e.fast = true;
          e.out = out.data();
          e.out_type = Num::u8;
          e.ld_out = ld_out;
          e.requant.scale = scale.data();
          e.requant.offset = offset.data();
          e.requant.zero = 120;
          e.requant.low = 5;
          e.requant.high = 250;
          if (residual) {
            e.requant.residual = skip.data();
            e.requant.levels = true;
            e.requant.level_low = -60;
            e.requant.level_high = 70;
            e.requant.level_scale = 0.5f;
            e.requant.residual_scale = 0.25f;
            e.requant.residual_offset = -30;
          }
          const int64_t ld = (cols + 15) / 16 * 16;
          isa.tile(e, TileView{acc, ld, rows, cols, 1, col0});
          for (int64_t i = 0; i < int64_t(out.size()); ++i) {
            const int64_t r = i / ld_out - 1, c = i % ld_out - col0;
            if (r < 0 || r >= rows || c < 0 || c >= cols) {
              ASSERT_EQ(out[size_t(i)], 0xa5) << isa.name << " wrote beside " << rows << "x" << cols << " at " << i;
              continue;
            }
            const auto column = size_t(col0 + c);
            double v = double(acc[r * ld + c]) * double(scale[column]) + double(offset[column]);
            bool tie = std::fabs(std::fabs(v - std::floor(v)) - 0.5) < 1e-3;
            if (residual) {
              v = 0.5 * std::clamp(std::nearbyint(v), -60.0, 70.0) + 0.25 * skip[size_t(i)] - 30;
            }
            const double want = std::clamp(std::nearbyint(v) + 120, 5.0, 250.0);
            ASSERT_NEAR(out[size_t(i)], want, tie ? 1 : 0)
                << isa.name << " " << rows << "x" << cols << " residual " << residual << " at " << r << " " << c;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
