#include "program/crypto.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "hone/error.hpp"
#include "program/libcrypto.hpp"

namespace hone {

void* libcrypto_function(const char* name) {
  static void* const library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
  void* function = library ? dlsym(library, name) : nullptr;
  if (!function) {
    throw Error(ErrorCode::failed,
                "[crypto] encrypted and signed files need OpenSSL 3, libcrypto.so.3 is not on this machine", "",
                "install it (Debian: apt install libssl3)");
  }
  return function;
}

void libcrypto_ok(int result, const char* what) {
  if (result != 1) throw Error(ErrorCode::failed, std::string("[crypto] libcrypto failed in ") + what);
}

void fill_key_check(SealedHeader& h, const EncryptionKey& key) {
  Sha256 sum;
  sum.update("hone key check");
  sum.update(key.data(), key.size());
  sum.update(h.nonce, sizeof h.nonce);
  const auto digest = sum.finish();
  std::memcpy(h.key_check, digest.data(), sizeof h.key_check);
}

EncryptionKey read_key(const std::string& path) {
  const std::string text = read_text_file(path);
  EncryptionKey key;
  if (text.size() == key.size()) {
    std::copy(text.begin(), text.end(), key.begin());
    return key;
  }
  std::string digits;
  for (char ch : text) {
    if (!std::strchr(" \t\r\n", ch) || !ch) digits += ch;
  }
  if (digits.size() != 2 * key.size() || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    throw Error(ErrorCode::unreadable, "[crypto] a key is 32 bytes or 64 hexadecimal digits", path,
                "make one with `openssl rand -hex 32 > model.key`");
  }
  for (size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<uint8_t>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
  return key;
}

bool is_encrypted(std::span<const uint8_t> file) {
  return file.size() >= sizeof sealed_magic && std::memcmp(file.data(), sealed_magic, sizeof sealed_magic) == 0;
}

std::shared_ptr<uint8_t> decrypt(std::span<const uint8_t> file, const EncryptionKey& key, const std::string& where,
                                 size_t* size) {
  SealedHeader h;
  if (!is_encrypted(file) || file.size() < sizeof h)
    throw Error(ErrorCode::unreadable, "[crypto] too short for an encrypted file", where);
  std::memcpy(&h, file.data(), sizeof h);
  if (h.version != 1 || h.cipher != 1) {
    throw Error(ErrorCode::unsupported,
                "[crypto] encrypted in form " + std::to_string(h.version) + "." + std::to_string(h.cipher) +
                    ", this build reads 1.1",
                where);
  }
  const auto content = file.subspan(sizeof h);
  if (h.size != content.size()) {
    throw Error(
        ErrorCode::unreadable,
        "[crypto] truncated: " + std::to_string(content.size()) + " of " + std::to_string(h.size) + " encrypted bytes",
        where);
  }
  SealedHeader own = h;
  fill_key_check(own, key);
  if (std::memcmp(own.key_check, h.key_check, sizeof h.key_check) != 0) {
    throw Error(ErrorCode::failed, "[crypto] the key does not fit: the file was encrypted with another one", where);
  }
  const auto init = libcrypto<int(void*, const void*, void*, const uint8_t*, const uint8_t*)>("EVP_DecryptInit_ex");
  const auto update = libcrypto<int(void*, uint8_t*, int*, const uint8_t*, int)>("EVP_DecryptUpdate");
  const auto finish = libcrypto<int(void*, uint8_t*, int*)>("EVP_DecryptFinal_ex");
  const auto control = libcrypto<int(void*, int, int, void*)>("EVP_CIPHER_CTX_ctrl");
  const CryptoHandle context(libcrypto<void*()>("EVP_CIPHER_CTX_new")(), libcrypto<void(void*)>("EVP_CIPHER_CTX_free"));
  const size_t room = (content.size() + 63) / 64 * 64 + 64;
  std::shared_ptr<uint8_t> out(static_cast<uint8_t*>(std::aligned_alloc(64, room)), std::free);
  if (!out) throw std::bad_alloc();
  constexpr int set_tag = 0x11;  // EVP_CTRL_AEAD_SET_TAG
  int written = 0;
  libcrypto_ok(init(context.get(), libcrypto<const void*()>("EVP_aes_256_gcm")(), nullptr, key.data(), h.nonce),
               "EVP_DecryptInit_ex");
  libcrypto_ok(update(context.get(), nullptr, &written, file.data(), sealed_authenticated), "EVP_DecryptUpdate");
  for (size_t at = 0; at < content.size(); at += sealed_piece) {
    libcrypto_ok(update(context.get(), out.get() + at, &written, content.data() + at,
                        static_cast<int>(std::min(sealed_piece, content.size() - at))),
                 "EVP_DecryptUpdate");
  }
  libcrypto_ok(control(context.get(), set_tag, sizeof h.tag, h.tag), "EVP_CIPHER_CTX_ctrl");
  if (finish(context.get(), out.get() + content.size(), &written) != 1) {
    throw Error(ErrorCode::unreadable, "[crypto] damaged: the encrypted bytes are not those that were written", where);
  }
  *size = content.size();
  return out;
}

}  // namespace hone
