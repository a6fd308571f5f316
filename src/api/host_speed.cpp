// What the machine can do, measured: the rulers beside the times of layers.
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/thread_pool.hpp"
#include "cpu/features.hpp"
#include "hone/profile.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point t) {
  return std::chrono::duration<double, std::milli>(Clock::now() - t).count();
}

// Twelve independent chains cover the latency of the multiply-add on two ports. Each function makes `rounds` steps of
// all twelve and gives something that hangs on the results: `s`, the sum of registers `a` that began with START(number)
// and became STEP(a) at each step.
#define HONE_TWELVE(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define HONE_BEGIN(i) auto a##i = HONE_START(i);
#define HONE_NEXT(i) a##i = HONE_STEP(a##i);
#define HONE_ADD(i) +a##i
#define HONE_CHAINS                  \
  HONE_TWELVE(HONE_BEGIN)            \
  for (int r = 0; r < rounds; ++r) { \
    HONE_TWELVE(HONE_NEXT)           \
  }                                  \
  const auto s = HONE_TWELVE(HONE_ADD);

#if defined(__x86_64__)
#define HONE_START(i) _mm512_set1_ps(float(i))
__attribute__((target("avx512f"))) float f32_avx512(int rounds) {
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
#define HONE_STEP(a) _mm512_fmadd_ps(a, x, y)
  HONE_CHAINS
  return _mm512_cvtss_f32(s);
#undef HONE_STEP
}
__attribute__((target("avx512f,avx512bf16"))) float bf16_avx512(int rounds) {
  const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3c003c00), y = x;
#define HONE_STEP(a) _mm512_dpbf16_ps(a, x, y)
  HONE_CHAINS
  return _mm512_cvtss_f32(s);
#undef HONE_STEP
}
#undef HONE_START
#define HONE_START(i) _mm512_set1_epi32(i)
__attribute__((target("avx512f,avx512vnni"))) float int8_avx512(int rounds) {
  const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
#define HONE_STEP(a) _mm512_dpbusd_epi32(a, x, y)
  HONE_CHAINS
  return static_cast<float>(s[0]);
#undef HONE_STEP
}
#undef HONE_START
#define HONE_START(i) _mm256_set1_ps(float(i))
__attribute__((target("avx2,fma"))) float f32_avx2(int rounds) {
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
#define HONE_STEP(a) _mm256_fmadd_ps(a, x, y)
  HONE_CHAINS
  return _mm256_cvtss_f32(s);
#undef HONE_STEP
}
#undef HONE_START
#elif defined(__aarch64__)
#define HONE_START(i) vdupq_n_f32(float(i))
float f32_neon(int rounds) {
  const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(1e-3f);
#define HONE_STEP(a) vfmaq_f32(y, a, x)
  HONE_CHAINS
  return vgetq_lane_f32(s, 0);
#undef HONE_STEP
}
// As text: what the intrinsics want of the compiler's options would hold for the whole file.
#define HONE_ARM_STEP(NAME, ACC, TEXT)                                        \
  ACC NAME(ACC c, uint8x16_t x, uint8x16_t y) {                               \
    __asm__(".arch armv8.6-a+bf16+i8mm\n\t" TEXT : "+w"(c) : "w"(x), "w"(y)); \
    return c;                                                                 \
  }
HONE_ARM_STEP(bfmmla, float32x4_t, "bfmmla %0.4s, %1.8h, %2.8h")
HONE_ARM_STEP(smmla, int32x4_t, "smmla %0.4s, %1.16b, %2.16b")
HONE_ARM_STEP(sdot, int32x4_t, "sdot %0.4s, %1.16b, %2.16b")
#undef HONE_ARM_STEP
float bf16_neon(int rounds) {
  const uint8x16_t x = vreinterpretq_u8_u16(vdupq_n_u16(0x3c00)), y = x;
#define HONE_STEP(a) bfmmla(a, x, y)
  HONE_CHAINS
  return vgetq_lane_f32(s, 0);
#undef HONE_STEP
}
#undef HONE_START
#define HONE_START(i) vdupq_n_s32(i)
float int8_i8mm(int rounds) {
  const uint8x16_t x = vdupq_n_u8(3), y = vdupq_n_u8(5);
#define HONE_STEP(a) smmla(a, x, y)
  HONE_CHAINS
  return float(vgetq_lane_s32(s, 0));
#undef HONE_STEP
}
float int8_dot(int rounds) {
  const uint8x16_t x = vdupq_n_u8(3), y = vdupq_n_u8(5);
#define HONE_STEP(a) sdot(a, x, y)
  HONE_CHAINS
  return float(vgetq_lane_s32(s, 0));
#undef HONE_STEP
}
#undef HONE_START
#endif
#undef HONE_TWELVE
#undef HONE_BEGIN
#undef HONE_NEXT
#undef HONE_ADD
#undef HONE_CHAINS

// Billions of operations a second of all threads together: the best of some short slices.
double peak(ThreadPool& pool, float (*f)(int), double operations_a_round) {
  constexpr int rounds = 20000;
  std::atomic<float> sink{0};
  double best = 0;
  const auto start = Clock::now();
  while (best == 0 || ms_since(start) < 8) {
    const auto slice = Clock::now();
    pool.parallel_for(pool.size(), 1, [&](int64_t b, int64_t e, int) {
      for (int64_t i = b; i < e; ++i) sink.store(f(rounds), std::memory_order_relaxed);
    });
    best = std::max(best, pool.size() * rounds * operations_a_round / (ms_since(slice) * 1e6));
  }
  return best;
}

double read_bandwidth(ThreadPool& pool) {
  // Several times what last-level caches hold for so few threads, on large pages where the system gives them.
  constexpr int64_t bytes = int64_t{128} << 20, block = 1 << 16;
  const std::unique_ptr<uint64_t, void (*)(void*)> memory(
      static_cast<uint64_t*>(std::aligned_alloc(size_t{2} << 20, bytes)), std::free);
  if (!memory) return 0;
#if defined(MADV_HUGEPAGE)
  madvise(memory.get(), bytes, MADV_HUGEPAGE);
#endif
  pool.parallel_for(bytes / block, 1, [&](int64_t b, int64_t e, int) {
    std::memset(memory.get() + b * (block / 8), 1, static_cast<size_t>((e - b) * block));
  });
  std::atomic<uint64_t> sink{0};
  double best = 0;
  const auto start = Clock::now();
  while (best == 0 || ms_since(start) < 20) {
    const auto slice = Clock::now();
    pool.parallel_for(bytes / block, 1, [&](int64_t b, int64_t e, int) {
      uint64_t s[8] = {};
      const uint64_t *p = memory.get() + b * (block / 8), *end = memory.get() + e * (block / 8);
      for (; p < end; p += 8) {
        for (int i = 0; i < 8; ++i) s[i] += p[i];
      }
      sink.fetch_add(s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7], std::memory_order_relaxed);
    });
    best = std::max(best, static_cast<double>(bytes) / (ms_since(slice) * 1e6));
  }
  return best;
}

// A flag goes from core to core and back.
double core_latency_ns() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return 0;
  std::vector<int> cores;
  for (int c = 0; c < CPU_SETSIZE && cores.size() < 2; ++c) {
    if (CPU_ISSET(c, &allowed)) cores.push_back(c);
  }
  const auto pin = [](int core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  };
  alignas(64) std::atomic<int> flag{0};
  std::atomic<bool> stop{false};
  double best = 0;
  std::thread other([&] {
    pin(cores[1]);
    while (!stop.load(std::memory_order_relaxed)) {
      if (flag.load(std::memory_order_acquire) == 1) flag.store(0, std::memory_order_release);
    }
  });
  std::thread first([&] {
    pin(cores[0]);
    const auto start = Clock::now();
    constexpr int trips = 200;
    // While others keep a core busy the flag waits for the scheduler: then look longer for a quiet moment.
    while (ms_since(start) < 15 || (best > 2000 && ms_since(start) < 150)) {
      const auto slice = Clock::now();
      int done = 0;
      for (; done < trips && ms_since(start) < 200; ++done) {
        flag.store(1, std::memory_order_release);
        // Where both cores are busy with others a trip may take a scheduler's slice: look at the clock now and then.
        for (int spin = 0; flag.load(std::memory_order_acquire) == 1; ++spin) {
          if (spin == 100000) {
            spin = 0;
            if (ms_since(start) > 200) break;
          }
        }
      }
      const double ns = ms_since(slice) * 1e6 / (2.0 * std::max(1, done));
      if (best == 0 || ns < best) best = ns;
    }
  });
  first.join();
  stop.store(true);
  other.join();
  return best;
}

}  // namespace

HostSpeed measure_host(int threads) {
  HostSpeed s;
  ThreadPool pool(threads);
  s.threads = pool.size();
  [[maybe_unused]] const cpu::Features& f = cpu::features();
#if defined(__x86_64__)
  // A step is 12 registers of 16 (8) lanes, each a multiply and an add; pairs and quadruples of narrow numbers share a
  // lane.
  if (f.avx512)
    s.f32_gflops = peak(pool, f32_avx512, 12 * 16 * 2);
  else if (f.avx2)
    s.f32_gflops = peak(pool, f32_avx2, 12 * 8 * 2);
  if (f.avx512_bf16) s.bf16_gflops = peak(pool, bf16_avx512, 12 * 16 * 4);
  if (f.avx512_vnni) s.int8_gops = peak(pool, int8_avx512, 12 * 16 * 8);
#elif defined(__aarch64__)
  // A product of matrices is 2 x 4 x 2 bf16 or 2 x 8 x 2 bytes.
  if (f.neon) s.f32_gflops = peak(pool, f32_neon, 12 * 4 * 2);
  if (f.neon_bf16) s.bf16_gflops = peak(pool, bf16_neon, 12 * 16 * 2);
  if (f.i8mm)
    s.int8_gops = peak(pool, int8_i8mm, 12 * 32 * 2);
  else if (f.dotprod)
    s.int8_gops = peak(pool, int8_dot, 12 * 16 * 2);
#endif
  s.read_gbs = read_bandwidth(pool);
  s.core_to_core_ns = core_latency_ns();
  return s;
}

}  // namespace hone
