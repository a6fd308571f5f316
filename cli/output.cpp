#include "output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

namespace hone::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0;
volatile std::sig_atomic_t stops_itself = 1;
int wake[2] = {-1, -1};  // read by the thread that ends a verb which does not look

void on_signal(int) {
  if (interrupts > 0) _exit(130);
  interrupts = 1;
  if (stops_itself) return;
  const int before = errno;
  if (write(wake[1], "", 1) != 1) _exit(130);
  errno = before;
}

// Files that this process has begun and not finished, beside or below what the command line names.
void remove_unfinished(const std::vector<std::string>& arguments) {
  namespace fs = std::filesystem;
  const std::string suffix = ".tmp" + std::to_string(getpid());
  std::error_code e;
  for (const std::string& a : arguments) {
    const fs::path path(a);
    for (const fs::path& folder : {path, path.has_parent_path() ? path.parent_path() : fs::path(".")}) {
      for (fs::directory_iterator it(folder, e), end; !e && it != end; it.increment(e)) {
        std::error_code ignored;
        if (it->path().native().ends_with(suffix)) fs::remove_all(it->path(), ignored);
      }
    }
  }
}

std::string duration(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  char text[32];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%ldh%02ldm", s / 3600, s / 60 % 60);
  else if (s >= 60)
    std::snprintf(text, sizeof text, "%ldm%02lds", s / 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lds", s);
  return text;
}

}  // namespace

bool interrupted() {
  return interrupts > 0;
}

void catch_interrupts(Output& out, bool itself, std::vector<std::string> arguments) {
  stops_itself = itself;
  if (!itself && pipe2(wake, O_CLOEXEC) == 0) {
    std::thread([&out, arguments = std::move(arguments)] {
      char c;
      while (read(wake[0], &c, 1) < 0) {
      }
      remove_unfinished(arguments);
      const int code = out.error(Error(ErrorCode::interrupted, "[" + out.verb() + "] interrupted"));
      std::fflush(stdout);
      _exit(code);
    }).detach();
  }
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write(), not the end
  std::signal(SIGPIPE, SIG_IGN);
}

void hold_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", O_RDWR) != fd) _exit(1);
  }
}

int after_printing(int code) {
  const bool good = std::ferror(stdout) == 0;
  if (std::fflush(stdout) == 0 && good) return code;
  const std::string why = good ? std::string(" (") + std::strerror(errno) + ")" : "";
  pollfd reader{STDOUT_FILENO, 0, 0};
  if (poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0) return code;
  std::fprintf(stderr, "hone: [output] cannot write%s: standard output: free some space or print elsewhere\n",
               why.c_str());
  return code == 0 ? 1 : code;
}

void write_text(const std::string& path, const std::string& text, const char* what) {
  const std::string temporary = path + ".tmp" + std::to_string(getpid());
  std::FILE* f = std::fopen(temporary.c_str(), "wb");
  bool good = f && std::fwrite(text.data(), 1, text.size(), f) == text.size();
  if (f && std::fflush(f) != 0) good = false;
  int e = errno;
  if (f) std::fclose(f);
  if (good && std::rename(temporary.c_str(), path.c_str()) == 0) return;
  if (good) e = errno;
  if (f) std::remove(temporary.c_str());
  throw Error(ErrorCode::failed, std::string("[") + what + "] cannot write (" + std::strerror(e) + ")", path,
              e == ENOSPC ? "free some space or choose another place" : "check the path and its permissions");
}

void Output::result(const nlohmann::json& object) {
  clear_bar();
  // Names in files need not be UTF-8: what is not becomes U+FFFD.
  if (json) std::printf("%s\n", object.dump(1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void Output::line(const std::string& text) {
  clear_bar();
  std::fprintf(json ? stderr : stdout, "%s\n", text.c_str());
}

void Output::table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width;
  for (const auto& row : rows) {
    width.resize(std::max(width.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string text;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string pad(width[i] - row[i].size(), ' ');
      // The first column reads left to right, figures align on the right.
      text += (i ? "  " : "") + (i == 0 ? row[i] + pad : pad + row[i]);
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    line(text);
  }
}

void Output::clear_bar() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

ProgressCallback Output::progress() {
  return [this](const ProgressEvent& e) {
    const bool terminal = isatty(STDERR_FILENO) == 1;
    if (e.done == 0 && e.of == 0 && e.unit.empty() && !e.detail.empty()) {  // something to know, no step of the way
      clear_bar();
      std::fprintf(stderr, "%s: %s\n", e.stage.c_str(), e.detail.c_str());
      return !interrupted();
    }
    const double share = e.of > 0 ? std::clamp(e.done / e.of, 0.0, 1.0) : 0;
    std::string text = e.stage;
    char figures[96] = "";
    if (e.of > 0) {
      std::snprintf(figures, sizeof figures, " %.0f/%.0f %s", e.done, e.of, e.unit.c_str());
    } else if (e.done > 0) {
      std::snprintf(figures, sizeof figures, " %.0f %s", e.done, e.unit.c_str());
    }
    text += figures;
    const auto now = std::chrono::steady_clock::now();
    if (!e.detail.empty()) text += "  " + e.detail;
    if (e.eta_seconds >= 0 && share < 1) text += "  " + duration(e.eta_seconds) + " left";
    if (terminal) {
      if (now - last_drawn_ > std::chrono::milliseconds(100) || share >= 1) {
        last_drawn_ = now;
        const auto filled = static_cast<size_t>(share * 24);
        std::fprintf(stderr, "\r\033[K[%s%s] %s", std::string(filled, '=').c_str(),
                     std::string(24 - filled, ' ').c_str(), text.c_str());
        bar_shown_ = true;
      }
    } else {
      // One line a tenth of the way (every two seconds where the way is not known), and at the beginning of each stage.
      const int tenth = static_cast<int>(share * 10);
      const bool due = e.of > 0 ? tenth != last_tenth_ : now - last_drawn_ > std::chrono::seconds(2);
      if (e.stage != last_stage_ || due) {
        std::fprintf(stderr, "%s\n", text.c_str());
        last_drawn_ = now;
      }
      last_tenth_ = tenth;
    }
    last_stage_ = e.stage;
    return !interrupted();
  };
}

int Output::error(const Error& e) {
  clear_bar();
  std::string text = "hone " + verb_ + ": " + e.message();
  if (!e.where().empty()) text += ": " + e.where();
  if (!e.hint().empty()) text += ": " + e.hint();
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::fprintf(stderr, "%s\n", text.c_str());
  if (json) result({{"error", {{"code", error_name(e.code())}, {"message", e.message()}, {"where", e.where()}}}});
  return exit_code(e.code());
}

std::string short_number(double v) {
  char text[32];
  const double a = std::fabs(v);
  std::snprintf(text, sizeof text, a >= 1000 ? "%.0f" : a >= 100 ? "%.1f" : a >= 1 ? "%.2f" : "%.3f", v);
  return text;
}

std::string short_bytes(double bytes) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB"};
  size_t u = 0;
  while (bytes >= 1000 && u < 3) {
    bytes /= 1000;
    ++u;
  }
  return short_number(bytes) + " " + units[u];
}

}  // namespace hone::cli
