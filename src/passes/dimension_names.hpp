// Which dimension of a tensor is which, as text: "NCHW", "N?HWC", "NC..." - the spelling of OpenVINO's layouts.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

/// One letter a dimension, `?` for one without a name, `...` for any number of them (once). `[N,C,H,W]` is read too.
/// Letters are upper case inside. Not to be confused with the memory layout of a `Type`, which never changes axis
/// numbers.
class DimensionNames {
 public:
  DimensionNames() = default;  ///< nothing is known
  /// Throws `Error` (usage) on malformed text and on names that stand twice.
  explicit DimensionNames(std::string_view text);

  bool empty() const { return text_.empty(); }
  const std::string& text() const { return text_; }
  /// The axis called `name`. Counted from the end where it stands behind `...`, so a `rank` is needed there.
  std::optional<size_t> axis(char name, size_t rank) const;
  /// One letter an axis for this rank, `...` spelled out as `?`. Throws `Error` (usage) where the rank does not fit.
  std::string spelled_out(size_t rank) const;
  bool operator==(const DimensionNames&) const = default;

 private:
  std::string text_;  ///< letters, `?`, and `.` for `...`
};

/// `order[i]` is the axis of `from` that becomes axis i of `to`; empty where nothing moves. Axes without a name keep
/// their order. Throws `Error` (usage) where the two do not name the same dimensions.
std::vector<int64_t> permutation(const DimensionNames& from, const DimensionNames& to, size_t rank);

}  // namespace hone
