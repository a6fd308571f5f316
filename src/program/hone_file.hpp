// The `.hone` container: one file with everything a compiled model needs, mapped into memory as it is.
//
//   header (64 bytes)   magic, version, size of the file, place and checksum of the section table
//   sections            each at a multiple of 64 bytes, with a checksum
//     metadata          keys and values; values are text, most of them JSON (labels, preprocessing, split, metrics)
//     graph             the graph with references to constants (optional, strippable): the toolkit compiles again from
//     it program           steps and tensors for one target, with references to constants (any number of them)
//     constants         places of all constants, then their bytes, each at a multiple of 64; equal ones are stored once
//   section table       32 + 32 bytes a section
//
// An encrypted file is all of this in one sealed box (program/crypto.hpp).
//
// The reader trusts nothing: sizes and counts are checked before use, checksums before parsing, programs by `verify`.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "program/program.hpp"

namespace hone {

struct HoneFile {
  std::map<std::string, std::string> metadata;
  std::vector<Program> programs;
  /// The serialised graph; numbers in it refer to `graph_constants`. Empty: stripped.
  std::vector<uint8_t> graph;
  std::vector<Tensor> graph_constants;  ///< raw bytes (u8)
};

inline constexpr uint32_t hone_file_version = 1;

struct ReadHoneOptions {
  bool checksums = true;  ///< of the constants; all others are always checked
  std::string key_file;   ///< of an encrypted file; empty: the environment's HONE_KEY_FILE
};

/// Writes under a temporary name and renames. Throws `Error`.
void write_hone(const std::string& path, const HoneFile& file);
/// The same, encrypted with the key of a file; nothing is written in the clear. Throws as `read_key` and `encrypt` do.
void write_encrypted_hone(const std::string& path, const HoneFile& file, const std::string& key_file);
/// Maps the file; constants stay in the map, which lives as long as any of them. An encrypted file is decrypted into
/// memory. Throws `Error` (unreadable, unsupported).
HoneFile read_hone(const std::string& path, const ReadHoneOptions& options = {});

/// One program as bytes. `constant` says under which number a constant of the program is stored.
std::vector<uint8_t> program_bytes(const Program& p, const std::vector<uint32_t>& constant_numbers);
Program program_from_bytes(std::span<const uint8_t> bytes, const std::vector<Tensor>& constants);

/// 64-bit checksum of a block, several bytes a cycle.
uint64_t checksum(std::span<const uint8_t> bytes);

}  // namespace hone
