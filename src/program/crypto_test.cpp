#include "program/crypto.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "hone/error.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

std::vector<uint8_t> bytes(std::string_view s) {
  return {s.begin(), s.end()};
}

// RFC 8410, section 10.3: the private key and its public key.
constexpr const char* private_pem =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE "
    "KEY-----\n";
constexpr const char* public_pem =
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC "
    "KEY-----\n";

class CryptoTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!dlopen("libcrypto.so.3", RTLD_LAZY)) GTEST_SKIP() << "needs libcrypto.so.3 (Debian: libssl3)";
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, std::string_view content) const {
    write_file(at(name), content);
    return at(name);
  }
  ErrorCode code_of(const std::function<void()>& f) const {
    try {
      f();
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorCode::failed;
  }
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("crypto_test_" + std::to_string(::getpid()));
};

EncryptionKey key_of(uint8_t first) {
  EncryptionKey k;
  for (size_t i = 0; i < k.size(); ++i) k[i] = static_cast<uint8_t>(first + i);
  return k;
}

}  // namespace

TEST_F(CryptoTest, reads_keys_as_bytes_and_as_digits) {
  std::string raw, digits;
  for (int i = 0; i < 32; ++i) {
    raw += static_cast<char>(7 + i);
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02X", 7 + i);
    digits += hex;
  }
  EXPECT_EQ(read_key(file("raw", raw)), key_of(7));
  EXPECT_EQ(read_key(file("digits", digits + "\n")), key_of(7));
  EXPECT_EQ(code_of([&] { read_key(file("short", digits.substr(2))); }), ErrorCode::unreadable);
  EXPECT_EQ(code_of([&] { read_key(file("letters", "xy" + digits.substr(2))); }), ErrorCode::unreadable);
  EXPECT_EQ(code_of([&] { read_key(at("absent")); }), ErrorCode::unreadable);
}

TEST_F(CryptoTest, decrypts_what_it_encrypted) {
  for (size_t n : {0u, 1u, 63u, 64u, 100000u}) {
    std::vector<uint8_t> content(n);
    for (size_t i = 0; i < n; ++i) content[i] = static_cast<uint8_t>(i * 31);
    const auto box = encrypt(content, key_of(1));
    ASSERT_EQ(box.size(), n + 64);
    EXPECT_TRUE(is_encrypted(box));
    size_t size = 0;
    const auto back = decrypt(box, key_of(1), "box", &size);
    ASSERT_EQ(size, n);
    EXPECT_TRUE(std::equal(content.begin(), content.end(), back.get()));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(back.get()) % 64, 0u);
  }
  // The same content never looks the same.
  EXPECT_NE(encrypt(bytes("x"), key_of(1)), encrypt(bytes("x"), key_of(1)));
}

TEST_F(CryptoTest, tells_a_wrong_key_from_a_damaged_file) {
  const auto box = encrypt(bytes("weights"), key_of(1));
  size_t size = 0;
  EXPECT_EQ(code_of([&] { decrypt(box, key_of(2), "box", &size); }), ErrorCode::failed);
  for (size_t i = 8; i < box.size(); ++i) {
    auto flipped = box;
    flipped[i] ^= 1;
    EXPECT_THROW(decrypt(flipped, key_of(1), "box", &size), Error) << "byte " << i;
    if (i >= 64) {
      EXPECT_EQ(code_of([&] { decrypt(flipped, key_of(1), "box", &size); }), ErrorCode::unreadable);
    }
  }
  for (size_t n = 0; n < box.size(); ++n)
    EXPECT_THROW(decrypt(std::span(box).first(n), key_of(1), "box", &size), Error) << n << " bytes";
}

TEST_F(CryptoTest, reads_an_encrypted_model_with_its_key_alone) {
  HoneFile f;
  f.metadata = {{"labels", "[\"cat\"]"}};
  const std::string key = file("key", std::string(64, 'a')), other = file("other", std::string(64, 'b'));
  write_encrypted_hone(at("model.hone"), f, key);
  EXPECT_EQ(read_text_file(at("model.hone")).find("cat"), std::string::npos);
  EXPECT_EQ(read_hone(at("model.hone"), {.key_file = key}).metadata, f.metadata);
  ::unsetenv("HONE_KEY_FILE");
  EXPECT_EQ(code_of([&] { read_hone(at("model.hone")); }), ErrorCode::usage);
  EXPECT_EQ(code_of([&] { read_hone(at("model.hone"), {.key_file = other}); }), ErrorCode::failed);
  ::setenv("HONE_KEY_FILE", key.c_str(), 1);
  EXPECT_EQ(read_hone(at("model.hone")).metadata, f.metadata);
  ::unsetenv("HONE_KEY_FILE");
}

TEST_F(CryptoTest, signs_as_rfc_8032_says) {
  const std::string own = file("private", private_pem), open = file("public", public_pem);
  const auto signature = sign("manifest", own);
  ASSERT_EQ(signature.size(), 64u);
  EXPECT_TRUE(signature_fits("manifest", signature, open));
  EXPECT_TRUE(signature_fits("manifest", signature, own));
  EXPECT_EQ(sign("manifest", own), signature);  // the scheme is deterministic
  EXPECT_FALSE(signature_fits("Manifest", signature, open));
  auto flipped = signature;
  flipped[5] ^= 4;
  EXPECT_FALSE(signature_fits("manifest", flipped, open));
  EXPECT_FALSE(signature_fits("manifest", std::span(signature).first(63), open));
  EXPECT_FALSE(signature_fits("manifest", {}, open));
}

TEST_F(CryptoTest, refuses_keys_that_are_none) {
  EXPECT_EQ(code_of([&] { sign("x", file("public", public_pem)); }), ErrorCode::unreadable);
  EXPECT_EQ(code_of([&] { sign("x", file("text", "hello")); }), ErrorCode::unreadable);
  EXPECT_EQ(code_of([&] { sign("x", at("absent")); }), ErrorCode::unreadable);
  EXPECT_EQ(code_of([&] { signature_fits("x", {}, file("text", "")); }), ErrorCode::unreadable);
}

}  // namespace hone
