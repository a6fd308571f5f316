#include "runtime/session.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "base/file_pages.hpp"
#include "hone/error.hpp"
#include "runtime/executor.hpp"

namespace hone {
namespace {

Tensor own_memory(const ProgramTensor& t) {
  return Tensor(t.type, t.shape);
}

// Kernels may read a vector past the end of an input: harmless where that lies in the same page, or within Hone's own
// padding.
bool usable_in_place(const void* p, size_t bytes, bool written) {
  const auto at = reinterpret_cast<uintptr_t>(p);
  if (at % memory_alignment) return false;
  (void)written;
  const uintptr_t last = at + std::max<size_t>(bytes, 1) - 1;
  return last / 4096 == (last + memory_alignment) / 4096;
}

std::optional<size_t> find_port(const std::vector<ProgramPort>& ports, std::string_view name) {
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name || std::find(ports[i].names.begin(), ports[i].names.end(), name) != ports[i].names.end())
      return i;
  }
  return std::nullopt;
}

}  // namespace

Status Status::failure(std::string_view text) noexcept {
  Status s;
  s.ok = false;
  const size_t n = std::min(text.size(), sizeof s.message - 1);
  std::memcpy(s.message, text.data(), n);
  return s;
}

struct Request::Impl {
  std::shared_ptr<Session> session;
  struct Slot {
    Tensor own, given;
    bool copied = false;  ///< the given tensor cannot be used where it lies
  };
  std::vector<Slot> inputs, outputs;
  std::vector<Tensor> states;
  std::vector<void*> input_pointers, output_pointers, state_pointers;
  std::function<void(const Status&)> callback;
  StepTimes times;
  // Queue of the session and the state of an asynchronous run.
  Impl* next = nullptr;
  bool pending = false;
  std::thread::id worker;  ///< that runs it, callback included
  bool again = false;      ///< started by its own callback, as it may be
  Status status;
  std::condition_variable done;
};

struct Session::Impl {
  std::shared_ptr<const Program> program;
  SessionOptions options;
  std::vector<std::unique_ptr<Executor>> executors;
  std::vector<Executor*> idle;
  std::mutex mutex;
  std::condition_variable executor_idle, work;
  Request::Impl *head = nullptr, *tail = nullptr;
  std::vector<std::thread> workers;
  bool stop = false;

  Executor* acquire() {
    std::unique_lock lock(mutex);
    executor_idle.wait(lock, [&] { return !idle.empty(); });
    Executor* e = idle.back();
    idle.pop_back();
    return e;
  }
  void release(Executor* e) {
    {
      std::lock_guard lock(mutex);
      idle.push_back(e);  // never grows past its first capacity
    }
    executor_idle.notify_one();
  }
  Status run(Request::Impl& r) noexcept {
    for (auto& s : r.inputs) {
      if (s.copied && s.own.byte_size() > 0) std::memcpy(s.own.raw(), s.given.raw(), s.own.byte_size());
    }
    Executor* e = acquire();
    RunError error;
    const bool ok = e->run({r.input_pointers, r.output_pointers, r.state_pointers, r.times}, error);
    release(e);
    if (!ok) return Status::failure(error.message);
    for (auto& s : r.outputs) {
      if (s.copied && s.own.byte_size() > 0) std::memcpy(s.given.raw(), s.own.raw(), s.own.byte_size());
    }
    return {};
  }
  void enqueue(Request::Impl& r) {
    r.next = nullptr;
    (tail ? tail->next : head) = &r;
    tail = &r;
  }
  void loop() {
    for (;;) {
      Request::Impl* r = nullptr;
      {
        std::unique_lock lock(mutex);
        work.wait(lock, [&] { return stop || head; });
        if (!head) return;
        r = head;
        head = r->next;
        if (!head) tail = nullptr;
        r->worker = std::this_thread::get_id();
      }
      const Status status = run(*r);
      if (r->callback) r->callback(status);
      std::lock_guard lock(mutex);
      r->worker = {};
      if (std::exchange(r->again, false)) {
        enqueue(*r);
        continue;
      }
      r->status = status;
      r->pending = false;
      r->done.notify_all();
    }
  }
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Session::~Session() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->work.notify_all();
  for (std::thread& t : impl_->workers) t.join();
}

std::shared_ptr<Session> Session::create(std::shared_ptr<const Program> program, SessionOptions options) {
  auto impl = std::make_unique<Impl>();
  const int streams = std::max(1, options.streams);
  if (streams > 1 && options.pool) throw Error(ErrorCode::usage, "[session] a shared pool serves one stream");
  int threads = options.threads;
  if (threads <= 0 && !options.pool) threads = ThreadPool(0).size();
  for (int s = 0; s < streams; ++s) {
    // Threads are dealt out evenly, the first streams take what is left over.
    const int share = std::max(1, threads / streams + (s < threads % streams ? 1 : 0));
    auto pool = options.pool ? options.pool : std::make_shared<ThreadPool>(share);
    impl->executors.push_back(std::make_unique<Executor>(program, std::move(pool)));
  }
  for (const Tensor& c : program->constants) populate_mapped({static_cast<const uint8_t*>(c.raw()), c.byte_size()});
  for (auto it = impl->executors.rbegin(); it != impl->executors.rend(); ++it) impl->idle.push_back(it->get());
  impl->program = std::move(program);
  impl->options = std::move(options);
  return std::shared_ptr<Session>(new Session(std::move(impl)));
}

std::unique_ptr<Request> Session::request() {
  const Program& p = *impl_->program;
  auto r = std::make_unique<Request::Impl>();
  r->session = shared_from_this();
  for (const ProgramPort& i : p.inputs) {
    r->inputs.push_back({own_memory(p[i.tensor]), {}, false});
    r->input_pointers.push_back(r->inputs.back().own.raw());
  }
  for (const ProgramPort& o : p.outputs) {
    r->outputs.push_back({own_memory(p[o.tensor]), {}, false});
    r->output_pointers.push_back(r->outputs.back().own.raw());
  }
  for (const ProgramState& s : p.states) {
    r->states.push_back(own_memory(p[s.tensor]));
    r->state_pointers.push_back(r->states.back().raw());
  }
  if (impl_->options.profile) r->times = {std::vector<double>(p.steps.size()), std::vector<double>(p.steps.size())};
  auto request = std::unique_ptr<Request>(new Request(std::move(r)));
  request->reset_states();
  return request;
}

const Program& Session::program() const {
  return *impl_->program;
}
int Session::streams() const {
  return static_cast<int>(impl_->executors.size());
}
int Session::threads() const {
  return impl_->executors[0]->threads();
}
std::optional<size_t> Session::input_index(std::string_view name) const {
  return find_port(impl_->program->inputs, name);
}
std::optional<size_t> Session::output_index(std::string_view name) const {
  return find_port(impl_->program->outputs, name);
}

size_t Session::memory_bytes() const {
  size_t n = 0;
  for (const auto& e : impl_->executors) n += e->memory_bytes();
  return n;
}

Request::Request(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Request::~Request() {
  (void)wait();
}

Tensor Request::input(size_t i) const {
  const Impl::Slot& s = impl_->inputs.at(i);
  return s.given ? s.given : s.own;
}
Tensor Request::output(size_t i) const {
  const Impl::Slot& s = impl_->outputs.at(i);
  return s.given ? s.given : s.own;
}

static Status mismatch(const char* what, const std::string& name, const Tensor& wanted, const Tensor& t) {
  return Status::failure(std::string("[run] ") + what + " '" + name + "' is " + name_of(wanted.element_type()) +
                         to_string(wanted.shape()) + ", given " +
                         (t ? name_of(t.element_type()) + to_string(t.shape()) : std::string("nothing")));
}

Status Request::set_input(size_t i, const Tensor& t) noexcept try {
  if (i >= impl_->inputs.size()) return Status::failure("[run] no such input");
  Impl::Slot& s = impl_->inputs[i];
  if (!t || t.element_type() != s.own.element_type() || t.shape() != s.own.shape()) {
    return mismatch("input", impl_->session->program().inputs[i].name, s.own, t);
  }
  s.given = t;
  s.copied = !usable_in_place(t.raw(), t.byte_size(), false);
  impl_->input_pointers[i] = s.copied ? s.own.raw() : s.given.raw();
  return {};
} catch (const std::exception& e) {
  return Status::failure(e.what());
}

Status Request::set_output(size_t i, const Tensor& t) noexcept try {
  if (i >= impl_->outputs.size()) return Status::failure("[run] no such output");
  Impl::Slot& s = impl_->outputs[i];
  if (!t || t.element_type() != s.own.element_type() || t.shape() != s.own.shape()) {
    return mismatch("output", impl_->session->program().outputs[i].name, s.own, t);
  }
  s.given = t;
  s.copied = !usable_in_place(t.raw(), t.byte_size(), true);
  impl_->output_pointers[i] = s.copied ? s.own.raw() : s.given.raw();
  return {};
} catch (const std::exception& e) {
  return Status::failure(e.what());
}

static std::optional<size_t> state_index(const Program& p, std::string_view name) {
  for (size_t i = 0; i < p.states.size(); ++i) {
    if (p.states[i].name == name) return i;
  }
  return std::nullopt;
}

Tensor Request::state(std::string_view name) const {
  const auto i = state_index(impl_->session->program(), name);
  return i ? impl_->states[*i] : Tensor();
}

Status Request::share_state(std::string_view name, const Tensor& t) noexcept try {
  const auto i = state_index(impl_->session->program(), name);
  if (!i) return Status::failure("[run] no state '" + std::string(name) + "'");
  Tensor& own = impl_->states[*i];
  if (!t || t.element_type() != own.element_type() || t.shape() != own.shape())
    return mismatch("state", std::string(name), own, t);
  if (reinterpret_cast<uintptr_t>(t.raw()) % memory_alignment)
    return Status::failure("[run] the memory of a shared state is not aligned to 64 bytes");
  own = t;
  impl_->state_pointers[*i] = own.raw();
  return {};
} catch (const std::exception& e) {
  return Status::failure(e.what());
}

Status Request::set_state(std::string_view name, const Tensor& t) noexcept try {
  const auto i = state_index(impl_->session->program(), name);
  if (!i) return Status::failure("[run] no state '" + std::string(name) + "'");
  Tensor& own = impl_->states[*i];
  if (!t || t.element_type() != own.element_type() || t.shape() != own.shape())
    return mismatch("state", std::string(name), own, t);
  if (own.byte_size() > 0) std::memmove(own.raw(), t.raw(), own.byte_size());
  return {};
} catch (const std::exception& e) {
  return Status::failure(e.what());
}

void Request::reset_states() noexcept {
  const Program& p = impl_->session->program();
  for (size_t i = 0; i < p.states.size(); ++i) {
    Tensor& own = impl_->states[i];
    if (own.byte_size() == 0) continue;
    if (p.states[i].initial == no_tensor)
      std::memset(own.raw(), 0, own.byte_size());
    else
      std::memcpy(own.raw(), p.constants[p[p.states[i].initial].index].raw(), own.byte_size());
  }
}

Status Request::run() noexcept {
  if (Status s = wait(); !s) return s;
  return impl_->session->impl_->run(*impl_);
}

Status Request::start() noexcept try {
  Session::Impl& s = *impl_->session->impl_;
  {
    std::lock_guard lock(s.mutex);
    if (impl_->worker == std::this_thread::get_id()) {  // within its callback: queued once that has returned
      impl_->again = true;
      return {};
    }
  }
  if (Status before = wait(); !before) return before;
  std::lock_guard lock(s.mutex);
  while (s.workers.size() < s.executors.size()) s.workers.emplace_back([&s] { s.loop(); });
  impl_->pending = true;
  impl_->status = {};
  s.enqueue(*impl_);
  s.work.notify_one();
  return {};
} catch (const std::exception& e) {
  return Status::failure(e.what());
}

Status Request::wait() noexcept {
  std::unique_lock lock(impl_->session->impl_->mutex);
  impl_->done.wait(lock, [&] { return !impl_->pending; });
  const Status s = impl_->status;
  impl_->status = {};
  return s;
}

void Request::set_callback(std::function<void(const Status&)> f) {
  impl_->callback = std::move(f);
}

std::vector<StepProfile> Request::profile() const {
  const Session::Impl& s = *impl_->session->impl_;
  const std::vector<const Kernel*>& kernels = s.executors[0]->kernels();  // all streams have the same
  std::vector<StepProfile> rows;
  for (size_t i = 0; i < impl_->times.last.size(); ++i) {
    const ProgramStep& step = s.program->steps[i];
    rows.push_back(
        {step.op, step.name, kernels[i] ? kernels[i]->name : "copy", impl_->times.last[i], impl_->times.shortest[i]});
  }
  return rows;
}

}  // namespace hone
