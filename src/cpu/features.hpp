// What the CPU at hand can do. Kernels ask for exact bits, never for a vendor or a model.
//
// The environment variable HONE_ISA caps the answer: reference | avx2 | avx512 | vnni | bf16 | amx (each includes those
// before it) on x86, reference | neon | dotprod | i8mm | bf16 on ARM. So every path can be tested on a machine that has
// more.
#pragma once
#include <string>
#include <string_view>

namespace hone::cpu {

struct Features {
  bool avx2 = false;         ///< AVX2, FMA and F16C
  bool avx512 = false;       ///< AVX-512 F, BW, VL and DQ
  bool avx512_vnni = false;  ///< vpdpbusd on 512 bits
  bool avx512_bf16 = false;  ///< vdpbf16ps
  bool amx_int8 = false;     ///< tiles granted by the kernel, tdpbusd
  bool amx_bf16 = false;     ///< tiles granted by the kernel, tdpbf16ps
  bool neon = false;
  bool dotprod = false;    ///< sdot, udot
  bool i8mm = false;       ///< smmla, usmmla
  bool neon_bf16 = false;  ///< bfmmla, bfcvtn
  /// AMX kernels run with a scalar stand-in for the tile instructions. Never detected: tests set it.
  bool amx_stand_in = false;
  bool operator==(const Features&) const = default;
};

/// What the hardware and the operating system offer, without any cap.
Features detect_features();
/// `all` without what lies beyond `level` (a value of HONE_ISA). A level that `all` lacks, or one that there is not,
/// caps nothing: `warning` is then the line that says so.
Features capped(Features all, std::string_view level, std::string* warning = nullptr);
/// Detected once, capped by HONE_ISA, or what `ScopedFeatures` says. Logs a warning, once, where HONE_ISA cannot be
/// had.
const Features& features();
/// Says `features().avx512_bf16 || features().neon_bf16`, an instruction that rounds to bf16, to vector code; set by
/// the first call of `features()`.
extern bool native_bf16;
/// "avx512 vnni bf16": for reports and logs.
std::string to_string(const Features& f);

/// Replaces the answer of `features()` while it lives. For tests: not thread-safe, one at a time; the hardware must
/// have what is claimed.
class ScopedFeatures {
 public:
  explicit ScopedFeatures(const Features& f);
  ~ScopedFeatures();
  ScopedFeatures(const ScopedFeatures&) = delete;
  ScopedFeatures& operator=(const ScopedFeatures&) = delete;

 private:
  Features f_;
};

}  // namespace hone::cpu
