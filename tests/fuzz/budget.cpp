#include "budget.hpp"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define HONE_COUNTS_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HONE_COUNTS_MEMORY 1
#endif
#endif

#ifdef HONE_COUNTS_MEMORY
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void*);
#endif

namespace {

std::atomic<bool> counting{false};
// Below zero where memory from before the input is released.
std::atomic<long long> live{0}, peak{0};

#ifdef HONE_COUNTS_MEMORY
void add(long long bytes) {
  const long long now = live.fetch_add(bytes) + bytes;
  long long high = peak.load();
  while (now > high && !peak.compare_exchange_weak(high, now)) {
  }
}

void on_malloc(const volatile void*, size_t n) {
  if (counting) add(static_cast<long long>(n));
}
void on_free(const volatile void* p) {
  if (counting && p) add(-static_cast<long long>(__sanitizer_get_allocated_size(p)));
}
#endif

void too_long(int) {
  constexpr char line[] = "an input took too long\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line, sizeof line - 1);
  std::abort();
}

// The processor time of the program from now on; 0 stops the clock.
void limit_time(int seconds) {
  itimerval t{};
  t.it_value.tv_sec = seconds;
  setitimer(ITIMER_PROF, &t, nullptr);
}

}  // namespace

InputBudget::InputBudget(size_t size) : size_(size) {
  [[maybe_unused]] static const auto before = signal(SIGPROF, too_long);
  limit_time(seconds);
#ifdef HONE_COUNTS_MEMORY
  [[maybe_unused]] static const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
#endif
  live = peak = 0;
  counting = true;
}

InputBudget::~InputBudget() {
  counting = false;
  limit_time(0);
  const auto most = static_cast<size_t>(peak.load());
  if (most <= fixed + multiple * size_) return;
  std::fprintf(stderr, "an input of %zu bytes took %zu bytes of memory\n", size_, most);
  std::abort();
}
