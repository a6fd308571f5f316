#include "formats/conformance/conformance.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "formats/conformance/cases.hpp"
#include "formats/formats.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

CaseResult run_here(const RecordedCase& c, const ConformanceOptions& options) {
  CaseResult r;
  r.name = c.name;
  const auto start = Clock::now();
  try {
    Graph g = options.read ? options.read(c.model) : read_model(c.model);
    const CaseValues v = load_case(c, g);
    const Run run = options.prepare(std::move(g));
    std::vector<Datum> outputs;
    for (size_t i = 0; i < v.repeat; ++i) outputs = run(v.inputs);
    r.status = CaseStatus::pass;
    for (size_t i = 0; i < v.expected.size(); ++i) {
      const auto& [at, expected] = v.expected[i];
      if (at >= outputs.size()) throw Error(ErrorCode::failed, "[conformance] an output is missing", v.output_names[i]);
      const bool flat =
          v.any_shape && outputs[at].is_tensor() && outputs[at].tensor().size() == expected.tensor().size();
      const Datum wanted = flat ? Datum(expected.tensor().reshaped(outputs[at].tensor().shape())) : expected;
      const Comparison one = compare(outputs[at], wanted, v.tolerance, v.output_names[i]);
      r.max_abs = std::max(r.max_abs, one.max_abs);
      if (!one.equal && r.status == CaseStatus::pass) {
        r.status = CaseStatus::fail;
        r.reason = one.reason;
      }
    }
  } catch (const Error& e) {
    const bool refused =
        e.code() == ErrorCode::unsupported || e.code() == ErrorCode::unreadable || e.code() == ErrorCode::unsafe;
    r.status = refused ? CaseStatus::refused : CaseStatus::fail;
    r.reason = e.what();
  } catch (const std::exception& e) {
    r.status = CaseStatus::fail;
    r.reason = e.what();
  }
  r.seconds = seconds_since(start);
  return r;
}

// A result as bytes through a pipe: status, max_abs, reason.
void send(int fd, const CaseResult& r) {
  std::string s(1, static_cast<char>(r.status));
  s.append(reinterpret_cast<const char*>(&r.max_abs), sizeof r.max_abs);
  s += r.reason.substr(0, 60000);
  for (size_t done = 0; done < s.size();) {
    const ssize_t n = ::write(fd, s.data() + done, s.size() - done);
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

struct Child {
  pid_t pid = -1;
  int fd = -1;
  size_t index = 0;
  Clock::time_point start;
  std::string received;
  bool late = false;
};

Child spawn(const RecordedCase& c, const ConformanceOptions& options, size_t index) {
  int ends[2];
  if (::pipe(ends) != 0) throw Error(ErrorCode::failed, "[conformance] cannot make a pipe");
  Child child{fork(), ends[0], index, Clock::now(), {}, false};
  if (child.pid < 0) throw Error(ErrorCode::failed, "[conformance] cannot fork");
  if (child.pid == 0) {
    ::close(ends[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    send(ends[1], run_here(c, options));
    _exit(0);
  }
  ::close(ends[1]);
  return child;
}

CaseResult collect(Child& child, const std::string& name, double timeout) {
  CaseResult r;
  r.name = name;
  r.seconds = seconds_since(child.start);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  ::close(child.fd);
  if (child.received.size() >= 1 + sizeof(double)) {
    r.status = static_cast<CaseStatus>(child.received[0]);
    std::memcpy(&r.max_abs, child.received.data() + 1, sizeof r.max_abs);
    r.reason = child.received.substr(1 + sizeof r.max_abs);
  } else if (child.late) {
    r.status = CaseStatus::fail;
    r.reason = "took longer than " + std::to_string(static_cast<int>(timeout)) + " s";
  } else {
    r.status = CaseStatus::crash;
    r.reason = WIFSIGNALED(status) ? std::string("ended by signal ") + std::to_string(WTERMSIG(status))
                                   : "ended without a result";
  }
  return r;
}

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hone_conformance_XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      throw Error(ErrorCode::no_space, "[conformance] cannot make a temporary folder", pattern);
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ec;
    std::filesystem::remove_all(path_, ec);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

const char* name_of(CaseStatus s) {
  static constexpr const char* names[] = {"pass", "fail", "refused", "crash"};
  return names[static_cast<size_t>(s)];
}

Prepare reference_executor() {
  return [](Graph g) -> Run {
    auto graph = std::make_shared<Graph>(std::move(g));
    auto state = std::make_shared<VariableStore>();
    return [graph, state](const std::vector<Datum>& inputs) {
      EvaluateOptions o;
      o.variables = state.get();
      return evaluate(*graph, inputs, o);
    };
  };
}

ConformanceReport run_conformance(const std::string& path, const ConformanceOptions& options) {
  ScratchFolder scratch;
  auto cases = find_cases(path, scratch.path());
  std::erase_if(cases, [&](const RecordedCase& c) { return c.name.find(options.filter) == std::string::npos; });
  if (cases.empty())
    throw Error(ErrorCode::unreadable, "[conformance] no cases were found", path,
                "name a folder with io.json files or ONNX test data sets");
  ConformanceReport report;
  report.cases.resize(cases.size());
  auto done = [&](size_t i, CaseResult r) {
    if (options.on_case) options.on_case(r);
    report.cases[i] = std::move(r);
  };
  std::vector<Child> running;
  size_t next = 0;
  while (next < cases.size() || !running.empty()) {
    if (!options.isolate) {
      done(next, run_here(cases[next], options));
      ++next;
      continue;
    }
    while (next < cases.size() && running.size() < std::max(1u, options.jobs)) {
      running.push_back(spawn(cases[next], options, next));
      ++next;
    }
    std::vector<pollfd> waits;
    waits.reserve(running.size());
    for (const Child& c : running) waits.push_back({c.fd, POLLIN, 0});
    ::poll(waits.data(), waits.size(), 200);
    for (size_t i = running.size(); i-- > 0;) {
      Child& c = running[i];
      bool over = false;
      if (waits[i].revents) {
        char buffer[4096];
        const ssize_t n = ::read(c.fd, buffer, sizeof buffer);
        if (n > 0)
          c.received.append(buffer, static_cast<size_t>(n));
        else
          over = true;
      } else if (seconds_since(c.start) > options.timeout_s) {
        c.late = over = true;
        ::kill(c.pid, SIGKILL);
      }
      if (over) {
        done(c.index, collect(c, cases[c.index].name, options.timeout_s));
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  for (const CaseResult& r : report.cases) {
    size_t* counts[] = {&report.pass, &report.fail, &report.refused, &report.crash};
    ++*counts[static_cast<size_t>(r.status)];
  }
  return report;
}

}  // namespace hone
