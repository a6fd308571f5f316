// Encryption, signing and checking signatures: what the runtime library does not carry.
#include <algorithm>
#include <cstring>

#include "base/file.hpp"
#include "hone/error.hpp"
#include "program/crypto.hpp"
#include "program/libcrypto.hpp"

namespace hone {
namespace {

using PassphraseCallback = int(char*, int, int, void*);

// An encrypted private key asks for a passphrase: none is given.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

CryptoHandle read_pem(const std::string& path, bool private_only) {
  constexpr int ed25519_id = 1087;  // EVP_PKEY_ED25519
  const std::string text = read_text_file(path);
  CryptoHandle key(nullptr, libcrypto<void(void*)>("EVP_PKEY_free"));
  for (const char* reader : {"PEM_read_bio_PrivateKey", "PEM_read_bio_PUBKEY"}) {
    if (key || (private_only && reader != std::string_view("PEM_read_bio_PrivateKey"))) continue;
    const CryptoHandle bio(libcrypto<void*(const void*, int)>("BIO_new_mem_buf")(
                               text.data(), static_cast<int>(std::min<size_t>(text.size(), 1 << 20))),
                           [](void* b) { libcrypto<int(void*)>("BIO_free")(b); });
    key.reset(libcrypto<void*(void*, void**, PassphraseCallback*, void*)>(reader)(bio.get(), nullptr, no_passphrase,
                                                                                  nullptr));
  }
  if (!key || libcrypto<int(const void*)>("EVP_PKEY_get_id")(key.get()) != ed25519_id) {
    throw Error(ErrorCode::unreadable,
                std::string("[crypto] no Ed25519 ") + (private_only ? "private key" : "key") +
                    " in PEM form without a passphrase",
                path,
                private_only ? "make one with `openssl genpkey -algorithm ed25519 -out sign.pem`"
                             : "make one with `openssl pkey -in sign.pem -pubout -out sign.pub.pem`");
  }
  return key;
}

CryptoHandle digest_context() {
  return CryptoHandle(libcrypto<void*()>("EVP_MD_CTX_new")(), libcrypto<void(void*)>("EVP_MD_CTX_free"));
}
using DigestInit = int(void*, void**, const void*, void*, void*);

}  // namespace

std::vector<uint8_t> encrypt(std::span<const uint8_t> content, const EncryptionKey& key) {
  const auto update = libcrypto<int(void*, uint8_t*, int*, const uint8_t*, int)>("EVP_EncryptUpdate");
  SealedHeader h{};
  std::memcpy(h.magic, sealed_magic, sizeof sealed_magic);
  h.version = h.cipher = 1;
  h.size = content.size();
  libcrypto_ok(libcrypto<int(uint8_t*, int)>("RAND_bytes")(h.nonce, sizeof h.nonce), "RAND_bytes");
  fill_key_check(h, key);
  std::vector<uint8_t> out(sizeof h + content.size() + 64);  // room for what the last call might write
  uint8_t* body = out.data() + sizeof h;
  const CryptoHandle context(libcrypto<void*()>("EVP_CIPHER_CTX_new")(), libcrypto<void(void*)>("EVP_CIPHER_CTX_free"));
  constexpr int get_tag = 0x10;  // EVP_CTRL_AEAD_GET_TAG
  int written = 0;
  libcrypto_ok(libcrypto<int(void*, const void*, void*, const uint8_t*, const uint8_t*)>("EVP_EncryptInit_ex")(
                   context.get(), libcrypto<const void*()>("EVP_aes_256_gcm")(), nullptr, key.data(), h.nonce),
               "EVP_EncryptInit_ex");
  libcrypto_ok(update(context.get(), nullptr, &written, reinterpret_cast<const uint8_t*>(&h), sealed_authenticated),
               "EVP_EncryptUpdate");
  for (size_t at = 0; at < content.size(); at += sealed_piece) {
    libcrypto_ok(update(context.get(), body + at, &written, content.data() + at,
                        static_cast<int>(std::min(sealed_piece, content.size() - at))),
                 "EVP_EncryptUpdate");
  }
  libcrypto_ok(
      libcrypto<int(void*, uint8_t*, int*)>("EVP_EncryptFinal_ex")(context.get(), body + content.size(), &written),
      "EVP_EncryptFinal_ex");
  libcrypto_ok(
      libcrypto<int(void*, int, int, void*)>("EVP_CIPHER_CTX_ctrl")(context.get(), get_tag, sizeof h.tag, h.tag),
      "EVP_CIPHER_CTX_ctrl");
  std::memcpy(out.data(), &h, sizeof h);
  out.resize(sizeof h + content.size());
  return out;
}

std::vector<uint8_t> sign(std::string_view text, const std::string& private_key_file) {
  const CryptoHandle key = read_pem(private_key_file, true), context = digest_context();
  std::vector<uint8_t> signature(64);
  size_t size = signature.size();
  libcrypto_ok(libcrypto<DigestInit>("EVP_DigestSignInit")(context.get(), nullptr, nullptr, nullptr, key.get()),
               "EVP_DigestSignInit");
  libcrypto_ok(libcrypto<int(void*, uint8_t*, size_t*, const uint8_t*, size_t)>("EVP_DigestSign")(
                   context.get(), signature.data(), &size, reinterpret_cast<const uint8_t*>(text.data()), text.size()),
               "EVP_DigestSign");
  signature.resize(size);
  return signature;
}

bool signature_fits(std::string_view text, std::span<const uint8_t> signature, const std::string& key_file) {
  const CryptoHandle key = read_pem(key_file, false), context = digest_context();
  libcrypto_ok(libcrypto<DigestInit>("EVP_DigestVerifyInit")(context.get(), nullptr, nullptr, nullptr, key.get()),
               "EVP_DigestVerifyInit");
  return libcrypto<int(void*, const uint8_t*, size_t, const uint8_t*, size_t)>("EVP_DigestVerify")(
             context.get(), signature.data(), signature.size(), reinterpret_cast<const uint8_t*>(text.data()),
             text.size()) == 1;
}

}  // namespace hone
