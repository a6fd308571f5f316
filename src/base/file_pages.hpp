// Pages of mapped files: given back when they have served their purpose, brought in before they are needed.
#pragma once
#include <cstdint>
#include <span>

namespace hone {

/// Gives back the pages of a mapped file that these bytes cover, where they do lie in one (MappedFile); reading them
/// again brings them back. Anything else stays untouched. Called where weights have been copied or packed, so that they
/// do not count twice.
void release_mapped(std::span<const uint8_t> bytes) noexcept;

/// Brings the pages of a mapped file that these bytes cover into the page table at once, where they do lie in one and
/// the system can: a fault for each later costs several times as much. Anything else stays untouched.
void populate_mapped(std::span<const uint8_t> bytes) noexcept;

}  // namespace hone
