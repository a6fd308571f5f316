#include "ops/text.hpp"

#include <gtest/gtest.h>

namespace hone {

// Expected: TensorFlow's tf.fingerprint of the first N bytes of the sentence; each length is a branch or its border.
TEST(Fingerprint, is_the_one_that_models_were_trained_with) {
  const std::string text =
      "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs! 0123456789 "
      "abcdefghijklmnopqrstuvwxyz, and once more: ABCDEFGHIJKLMNOPQRSTUVWXYZ.";
  const std::pair<size_t, uint64_t> known[] = {
      {0, 0x9ae16a3b2f90404f},   {1, 0x12f77cd62637857a},   {2, 0x5e667204f36de5f3},   {3, 0x85887769ddcc73fd},
      {4, 0xf4ed8b2e41e836a5},   {7, 0xfb3b4353192e2b87},   {8, 0x46d0ffb3ee9d8c07},   {15, 0x7d582c15a5e865a7},
      {16, 0x3bf6bd3bebd31655},  {17, 0xc7a32da958c02dbd},  {24, 0x5d038073ebd56935},  {31, 0x839ab5037d8b6353},
      {32, 0xb65964dee7761262},  {33, 0xf25fea09db06b3d6},  {48, 0xbb7cc6990b87173e},  {63, 0xa2bd5c2f58519406},
      {64, 0x7412be74acf1d269},  {65, 0x60fb151d1a24aff},   {100, 0xc2a88ed1d219c18f}, {127, 0x3594d7cd3a471378},
      {128, 0xaf0f0add34920de3}, {129, 0x1abb5daff088c43b}, {160, 0xeaeea40805ceb9fe},
  };
  for (const auto& [length, expected] : known)
    EXPECT_EQ(fingerprint64(std::string_view(text).substr(0, length)), expected) << length;
}

}  // namespace hone
