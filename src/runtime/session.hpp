// Runs programs. A session prepares the kernels of a program once for each stream; requests hold inputs, outputs and
// states.
//
//   auto session = Session::create(program, {.threads = 2});
//   auto request = session->request();
//   request->set_input(0, image);         // zero-copy where aligned
//   request->run();                       // allocates nothing
//   Tensor y = request->output(0);
//
// Latency: one stream with all threads. Throughput: N streams, each with its share of the threads and an arena of its
// own; the constants are shared by all of them (and by every other session of the same program).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.hpp"
#include "program/program.hpp"

namespace hone {

/// What a run answers. Fixed size: making one allocates nothing.
struct [[nodiscard]] Status {
  bool ok = true;
  char message[256] = {};
  explicit operator bool() const { return ok; }
  static Status failure(std::string_view text) noexcept;
};

struct SessionOptions {
  int threads = 0;  ///< of all streams together; 0: HONE_NUM_THREADS, else all cores
  int streams = 1;
  std::shared_ptr<ThreadPool> pool =
      nullptr;  ///< shared pool for a single stream; must not be used by others during a run
  bool profile = false;
};

struct StepProfile {
  std::string op, name, kernel;
  double microseconds = 0;  ///< of the last run
  double shortest = 0;      ///< of the request's runs: what else the machine did is no property of the step
};

class Session;

/// Inputs, outputs and states of one run at a time. Not thread-safe; several requests of a session are independent.
class Request {
 public:
  ~Request();
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// The memory of an input: write into it, or give a tensor of your own. A given tensor is used where it lies when it
  /// is aligned to 64 bytes and readable one vector behind its end (memory of Hone's own tensors is), else it is copied
  /// at each run.
  Tensor input(size_t i) const;
  Status set_input(size_t i, const Tensor& t) noexcept;
  /// The memory of an output; valid until the next run.
  Tensor output(size_t i) const;
  Status set_output(size_t i, const Tensor& t) noexcept;

  /// A state by name: shares memory with the request, so that writing to it changes the state. Null tensor: no such
  /// state.
  Tensor state(std::string_view name) const;
  /// Makes the request use this tensor's memory for the state: sessions share weights this way. The tensor must come
  /// from `state` or be owned by Hone.
  Status share_state(std::string_view name, const Tensor& t) noexcept;
  /// Copies the content in.
  Status set_state(std::string_view name, const Tensor& t) noexcept;
  /// Initial contents again.
  void reset_states() noexcept;

  /// Runs on the calling thread (and the pool of a free stream, for which it waits). Allocates nothing.
  Status run() noexcept;
  /// Queues the run. `wait`, or the callback, tells its end. Nothing may be changed in between.
  Status start() noexcept;
  Status wait() noexcept;
  /// Called by a thread of the session at the end of each started run; must not throw.
  void set_callback(std::function<void(const Status&)> f);
  /// Times of this request's runs, with `profile` only. Not while it runs.
  std::vector<StepProfile> profile() const;

 private:
  friend class Session;
  struct Impl;
  explicit Request(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  /// Chooses and prepares the kernels. Throws `Error` where a step has no kernel on this CPU.
  static std::shared_ptr<Session> create(std::shared_ptr<const Program> program, SessionOptions options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// A new request. Thread-safe.
  std::unique_ptr<Request> request();

  const Program& program() const;
  int streams() const;
  int threads() const;  ///< of one stream
  /// Position of an input, output or state by any of its names.
  std::optional<size_t> input_index(std::string_view name) const;
  std::optional<size_t> output_index(std::string_view name) const;
  /// Bytes of arenas and scratch (of all streams).
  size_t memory_bytes() const;

 private:
  friend class Request;
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hone
