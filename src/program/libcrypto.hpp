// Functions of libcrypto.so.3, found when they are first needed. Prototypes are written where they are used: nothing of
// OpenSSL is needed to build or to link. All of them are documented, stable API of OpenSSL 3.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "program/crypto.hpp"

namespace hone {

/// The address of a function. Throws `Error` (failed) where the library or the function is not on this machine.
void* libcrypto_function(const char* name);

template <class F>
F* libcrypto(const char* name) {
  return reinterpret_cast<F*>(libcrypto_function(name));
}

/// An object of libcrypto with the function that frees it.
using CryptoHandle = std::unique_ptr<void, void (*)(void*)>;

/// Functions answer 1 where all went well. Throws `Error` (failed).
void libcrypto_ok(int result, const char* what);

/// The sealed box of program/crypto.hpp: its first 64 bytes.
struct SealedHeader {
  char magic[8];
  uint32_t version, cipher;
  uint64_t size;
  uint8_t nonce[12], key_check[12];
  uint8_t tag[16];
};
static_assert(sizeof(SealedHeader) == 64);
/// Sets `key_check` from the key and the nonce.
void fill_key_check(SealedHeader& h, const EncryptionKey& key);
inline constexpr char sealed_magic[8] = {'H', 'O', 'N', 'E', '\r', '\n', '\x1a', 'E'};
/// What the tag covers besides the content.
inline constexpr size_t sealed_authenticated = sizeof(SealedHeader) - sizeof(SealedHeader::tag);
inline constexpr size_t sealed_piece = size_t{1} << 30;  ///< lengths are int there: one call takes at most this much

}  // namespace hone
