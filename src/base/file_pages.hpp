// Memory of mapped files that has served its purpose.
#pragma once
#include <cstdint>
#include <span>

namespace hone {

/// Gives back the pages of a mapped file that these bytes cover, where they do lie in one (MappedFile); reading them again brings
/// them back. Anything else stays untouched. Called where weights have been copied or packed, so that they do not count twice.
void release_mapped(std::span<const uint8_t> bytes) noexcept;

}  // namespace hone
