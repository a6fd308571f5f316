// Encryption and signatures through OpenSSL's libcrypto, loaded when it is needed: neither the runtime nor the toolkit
// links it.
//
// An encrypted file is one sealed box:
//   "HONE\r\n\x1a" "E"  u32 version (1)  u32 cipher (1 = AES-256-GCM)  u64 size of the content
//   12 bytes nonce      12 bytes check of the key: SHA-256("hone key check" key nonce), cut
//   16 bytes tag        over the content and all of the header before it
//   the content, encrypted
// The check tells a wrong key from a damaged file; with a random 256-bit key it says nothing else.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hone {

using EncryptionKey = std::array<uint8_t, 32>;

/// 32 bytes, or 64 hexadecimal digits with white space around (`openssl rand -hex 32`). Throws `Error` (unreadable).
EncryptionKey read_key(const std::string& path);

bool is_encrypted(std::span<const uint8_t> file);
/// All four throw `Error`: failed where libcrypto is not on this machine.
std::vector<uint8_t> encrypt(std::span<const uint8_t> content, const EncryptionKey& key);
/// Throws `Error`: unreadable (damaged), failed (wrong key). `where` names the file. The memory is aligned to 64 bytes.
std::shared_ptr<uint8_t> decrypt(std::span<const uint8_t> file, const EncryptionKey& key, const std::string& where,
                                 size_t* size);

/// Ed25519 over a text with the private key of a PEM file; 64 bytes. Throws `Error` (unreadable: no such key).
std::vector<uint8_t> sign(std::string_view text, const std::string& private_key_file);
/// Does the signature stand for the text, by the public (or private) key of a PEM file?
bool signature_fits(std::string_view text, std::span<const uint8_t> signature, const std::string& key_file);

}  // namespace hone
