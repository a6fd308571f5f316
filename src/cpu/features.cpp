#include "cpu/features.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/log.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace hone::cpu {
namespace {

std::atomic<const Features*> replaced{nullptr};

#if defined(__x86_64__)
uint64_t xcr0() {
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return (uint64_t(hi) << 32) | lo;
}

#endif

bool has_tiles(const Features& f) {
  return f.amx_int8 || f.amx_bf16;
}
bool rounds_to_bf16(const Features& f) {
  return f.avx512_bf16 || f.neon_bf16;
}

// Linux: a process must ask for the 8 KiB of tile data once before its first tile instruction. It then cannot have
// signal stacks too small for them, so nothing is asked for that is not used.
void ask_for_tiles([[maybe_unused]] Features& f) {
#if defined(__x86_64__)
  constexpr long arch_req_xcomp_perm = 0x1023;
  constexpr long xtile_data = 18;
  if (has_tiles(f) && syscall(SYS_arch_prctl, arch_req_xcomp_perm, xtile_data) != 0) f.amx_int8 = f.amx_bf16 = false;
#endif
}

/// A value of HONE_ISA and what it has beyond the one before it.
struct Level {
  std::string_view name;
  bool Features::*adds[2] = {};

  bool in(const Features& f) const { return f.*adds[0] || (adds[1] && f.*adds[1]); }
  void remove_from(Features& f) const {
    for (bool Features::*feature : adds) {
      if (feature) f.*feature = false;
    }
  }
};

// As the CPU and the state that the kernel saves have it.
Features present_features() {
  Features f;
#if defined(__x86_64__)
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  const bool osxsave = c & (1u << 27);
  const bool fma = c & (1u << 12), avx = c & (1u << 28), f16c = c & (1u << 29);
  if (!osxsave || !avx) return f;
  const uint64_t state = xcr0();
  const bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60000) == 0x60000;
  uint32_t b7 = 0, c7 = 0, d7 = 0;
  if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return f;
  const uint32_t subleaves = a;
  uint32_t a71 = 0;
  if (subleaves >= 1) __get_cpuid_count(7, 1, &a71, &b, &c, &d);
  f.avx2 = ymm && fma && f16c && (b7 & (1u << 5));
  const uint32_t avx512_bits = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  f.avx512 = f.avx2 && zmm && (b7 & avx512_bits) == avx512_bits;
  f.avx512_vnni = f.avx512 && (c7 & (1u << 11));
  f.avx512_bf16 = f.avx512 && (a71 & (1u << 5));
  const bool amx_tile = f.avx512 && tiles && (d7 & (1u << 24));
  f.amx_bf16 = amx_tile && (d7 & (1u << 22));
  f.amx_int8 = amx_tile && (d7 & (1u << 25));
#elif defined(__aarch64__)
  const unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
  f.neon = cap & (1ul << 1);
  f.dotprod = cap & (1ul << 20);
  f.i8mm = cap2 & (1ul << 13);
  f.neon_bf16 = cap2 & (1ul << 14);
#endif
  return f;
}

}  // namespace

bool native_bf16 = false;

Features detect_features() {
  Features f = present_features();
  ask_for_tiles(f);
  return f;
}

Features capped(Features f, std::string_view level, std::string* warning) {
  static constexpr Level x86[] = {{"avx2", {&Features::avx2}},
                                  {"avx512", {&Features::avx512}},
                                  {"vnni", {&Features::avx512_vnni}},
                                  {"bf16", {&Features::avx512_bf16}},
                                  {"amx", {&Features::amx_int8, &Features::amx_bf16}}};
  static constexpr Level arm[] = {{"neon", {&Features::neon}},
                                  {"dotprod", {&Features::dotprod}},
                                  {"i8mm", {&Features::i8mm}},
                                  {"bf16", {&Features::neon_bf16}}};
  if (level == "reference") return {};
  bool known = false, had = false;
  for (const std::span<const Level> levels : {std::span<const Level>(x86), std::span<const Level>(arm)}) {
    const auto at = std::ranges::find(levels, level, &Level::name);
    if (at == levels.end()) continue;
    known = true;
    had = had || at->in(f);
    std::for_each(at + 1, levels.end(), [&f](const Level& above) { above.remove_from(f); });
  }
  if (!had && warning) {
    *warning =
        "[cpu] HONE_ISA is '" + std::string(level) + "', " +
        (known ? "which this machine does not have" : "which is no instruction set") + ": " + to_string(f) +
        " is used (there are reference, avx2, avx512, vnni, bf16, amx; on ARM reference, neon, dotprod, i8mm, bf16)";
  }
  return f;
}

const Features& features() {
  if (const Features* f = replaced.load(std::memory_order_acquire)) return *f;
  static const Features found = [] {
    Features f = present_features();
    const char* cap = std::getenv("HONE_ISA");
    if (!cap || !*cap || has_tiles(capped(f, cap, nullptr))) ask_for_tiles(f);
    if (cap && *cap) {
      std::string warning;
      f = capped(f, cap, &warning);
      if (!warning.empty()) log(LogLevel::warning, warning);
    }
    native_bf16 = rounds_to_bf16(f);
    return f;
  }();
  return found;
}

std::string to_string(const Features& f) {
  std::string s;
  auto add = [&s](bool has, const char* name) {
    if (has) s += s.empty() ? name : std::string(" ") + name;
  };
  add(f.avx2, "avx2");
  add(f.avx512, "avx512");
  add(f.avx512_vnni, "vnni");
  add(f.avx512_bf16, "bf16");
  add(f.amx_int8, "amx_int8");
  add(f.amx_bf16, "amx_bf16");
  add(f.neon, "neon");
  add(f.dotprod, "dotprod");
  add(f.i8mm, "i8mm");
  add(f.neon_bf16, "bf16");
  return s.empty() ? "reference" : s;
}

ScopedFeatures::ScopedFeatures(const Features& f) : f_(f) {
  features();
  replaced.store(&f_, std::memory_order_release);
  native_bf16 = rounds_to_bf16(f_);
}
ScopedFeatures::~ScopedFeatures() {
  replaced.store(nullptr, std::memory_order_release);
  native_bf16 = rounds_to_bf16(features());
}

}  // namespace hone::cpu
