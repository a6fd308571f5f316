// What the runtime promises besides speed, as figures: heap allocations during a run, memory over thousands of input
// sizes, CPU time when idle, throughput of two sessions at once. Exit code 1 where a promise is broken.
//
//   bench_runtime_promises MODEL...     (allocations of these models; then the other three on small networks of its
//   own)
#include <malloc.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>

#include "api/cached_model.hpp"
#include "api/files.hpp"
#include "api/ports.hpp"
#include "compile/compile.hpp"
#include "cpu/features.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "hone/tools.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"

// Every allocation of the process passes here: operator new and aligned memory as well. glibc's own names do the work.
static std::atomic<int64_t> allocations{0};
static std::atomic<bool> counting{false};
static void count_allocation() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) {
  count_allocation();
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  count_allocation();
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  count_allocation();
  return __libc_realloc(p, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  count_allocation();
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) {
  count_allocation();
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : 12;
}
void* memalign(size_t alignment, size_t n) {
  count_allocation();
  return __libc_memalign(alignment, n);
}
}

using namespace hone;

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}
bool kept = true;

void report(bool good, const char* what, const std::string& figure) {
  std::printf("%-7s %-34s %s\n", good ? "kept" : "BROKEN", what, figure.c_str());
  std::fflush(stdout);
  kept &= good;
}

double resident_mb() {
  long pages = 0, resident = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

void run(Request& r) {
  if (const Status s = r.run(); !s) throw Error(ErrorCode::failed, s.message);
}

void allocations_of(const std::string& path) {
  Graph g = read_any_model(path);
  settle_shapes(g, {}, "run");
  std::vector<Precision> precisions{Precision::f32, Precision::bf16};
  try {
    (void)compile_program(g, {.precision = Precision::int8});
    precisions = {Precision::int8};
  } catch (const Error&) {
  }
  for (Precision p : precisions) {
    CompiledGraph c = compile_model(g, {.precision = p});
    const std::string name = path.substr(path.rfind('/') + 1) + " " + name_of(p);
    Request* r = c.request();
    if (!r) {
      report(false, name.c_str(), "is no program: " + c.mode());
      continue;
    }
    const auto& inputs = g.inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor t = random_input(port_of(inputs[i], ""), i);
      if (const Status s = r->set_input(i, t); !s) throw Error(ErrorCode::failed, s.message);
    }
    run(*r);
    allocations = 0;
    counting = true;
    for (int i = 0; i < 3; ++i) run(*r);
    counting = false;
    const int64_t n = allocations;
    report(n == 0, "heap allocations in 3 runs", std::to_string(n) + "  " + name);
  }
}

// Runs the graph on `count` input sizes; memory after the first 50 and at the end, and every 37th result against the
// reference.
template <class MakeInputs>
void many_sizes(const char* what, const Graph& g, int count, MakeInputs make) {
  CompiledGraph c = compile_model(g);
  double after_50 = 0, most = 0;
  int wrong = 0, checked = 0;
  for (int i = 0; i < count; ++i) {
    const std::vector<Datum> in = make(i);
    const auto got = c.infer(in);
    if (i % 37 == 0) {
      const auto want = evaluate(g, in);
      ++checked;
      for (size_t o = 0; o < want.size(); ++o) {
        const Tensor &a = got[o].tensor(), &b = want[o].tensor();
        bool same = a.shape() == b.shape();
        for (size_t k = 0; same && k < a.size(); ++k)
          same = std::fabs(get_element(a, k) - get_element(b, k)) <= 1e-3 * (1 + std::fabs(get_element(b, k)));
        if (!same) {
          ++wrong;
          break;
        }
      }
    }
    if (i == 49) after_50 = resident_mb();
    if (i >= 50) most = std::max(most, resident_mb());
  }
  const double growth = most - after_50;
  char text[200];
  std::snprintf(text, sizeof text, "%s: %d sizes, %.1f MB after 50, at most %+.1f MB later, %d of %d wrong", what,
                count, after_50, growth, wrong, checked);
  report(growth <= 0.1 * after_50 && wrong == 0, "memory over input sizes", text);
}

Graph small_network() {
  return parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[1,3,?,?]} "x"
      %w = Constant() {value=f32[16,3,3,3]{random:1}}
      %a = Convolution(%x, %w) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      %b = Relu(%a)
      %v = Constant() {value=f32[8,16,1,1]{random:2}}
      %c = Convolution(%b, %v) {strides=[1,1],pads_begin=[0,0],pads_end=[0,0],dilations=[1,1]}
      %axes = Constant() {value=i64[2]{2,3}}
      %y = ReduceMean(%c, %axes)
      Result(%y) "y"
    })");
}

Graph recurrent_network() {
  return parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[1,?,8]} "x"
      %h = Constant() {value=f32[1,1,16]{random:1}}
      %c = Constant() {value=f32[1,1,16]{random:2}}
      %n = ShapeOf(%x)
      %one = Constant() {value=i64[1]{1}}
      %zero = Constant() {value=i64[]{0}}
      %length = Gather(%n, %one, %zero)
      %w = Constant() {value=f32[1,64,8]{random:3}}
      %r = Constant() {value=f32[1,64,16]{random:4}}
      %b = Constant() {value=f32[1,64]{random:5}}
      %y, %hn, %cn = LSTMSequence(%x, %h, %c, %length, %w, %r, %b) {hidden_size=16}
      Result(%y) "y"
    })");
}

double process_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Some milliseconds of work on both cores.
std::shared_ptr<const Program> larger_program(int threads) {
  const Graph g = parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[1,64,56,56]} "x"
      %w = Constant() {value=f32[64,64,3,3]{random:1}}
      %a = Convolution(%x, %w) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      %b = Relu(%a)
      %v = Constant() {value=f32[64,64,3,3]{random:2}}
      %y = Convolution(%b, %v) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      Result(%y) "y"
    })");
  return std::make_shared<const Program>(compile_program(g, {.threads = threads}));
}

double runs_a_second(Session& s, double seconds) {
  const auto r = s.request();
  run(*r);
  int n = 0;
  const auto start = Clock::now();
  while (seconds_since(start) < seconds) {
    run(*r);
    ++n;
  }
  return n / seconds_since(start);
}

void idle() {
  SessionOptions o;
  o.threads = 2;
  const auto session = Session::create(larger_program(2), o);
  (void)runs_a_second(*session, 0.2);
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  const double before = process_seconds();
  const auto start = Clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(2000));
  const double share = (process_seconds() - before) / seconds_since(start);
  char text[100];
  std::snprintf(text, sizeof text, "%.3f %% of a core, from 1 s after the last run on", share * 100);
  report(share < 0.001, "CPU when idle", text);
}

void two_sessions() {
  const auto program = larger_program(2);
  SessionOptions o;
  o.threads = 2;
  const auto a = Session::create(program, o), b = Session::create(program, o);
  std::vector<double> ratios;
  double alone = 0, both = 0;
  for (int turn = 0; turn < 5; ++turn) {
    alone = runs_a_second(*a, 0.5);
    double first = 0, second = 0;
    std::thread t([&] { first = runs_a_second(*a, 0.5); });
    second = runs_a_second(*b, 0.5);
    t.join();
    both = first + second;
    ratios.push_back(both / alone);
  }
  std::sort(ratios.begin(), ratios.end());
  char text[160];
  std::snprintf(text, sizeof text,
                "%.2f of one session's throughput, 2 threads each (%.2f to %.2f; last: %.0f and %.0f /s)", ratios[2],
                ratios.front(), ratios.back(), both, alone);
  report(ratios[2] >= 0.95, "two sessions at once", text);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::printf("%s\n", cpu::to_string(cpu::features()).c_str());
    for (int i = 1; i < argc; ++i) allocations_of(argv[i]);
    idle();
    two_sessions();
    many_sizes("convolutions", small_network(), 4000, [](int i) {
      const int64_t h = 3 + i % 80, w = 3 + i / 80 + i % 7;
      return std::vector<Datum>{random_tensor({1, 3, h, w}, static_cast<uint64_t>(i))};
    });
    many_sizes("LSTM lengths", recurrent_network(), 4000, [](int i) {
      return std::vector<Datum>{random_tensor({1, 1 + i, 8}, static_cast<uint64_t>(i))};
    });
    return kept ? 0 : 1;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s: %s\n", e.message().c_str(), e.where().c_str());
    return 1;
  }
}
