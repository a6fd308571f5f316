#include "base/sha256.hpp"

#include <gtest/gtest.h>

namespace hone {
namespace {

std::string of(std::string_view text) {
  return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(sha256, gives_the_published_digests) {
  EXPECT_EQ(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(of(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256, does_not_depend_on_how_the_bytes_are_cut) {
  const std::string text(300, 'x');
  for (size_t step : {1, 7, 63, 64, 65, 129}) {
    Sha256 h;
    for (size_t at = 0; at < text.size(); at += step) h.update(std::string_view(text).substr(at, step));
    EXPECT_EQ(h.finish_hex(), of(text)) << step;
  }
}

}  // namespace
}  // namespace hone
