#include "troupe/platform/child_processes.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/longest_wait.hpp"

extern char** environ;

namespace troupe::platform {

namespace {
using Clock = std::chrono::steady_clock;

/// A file descriptor that is closed at its end.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { reset(); }
  void reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::string render(const ChildEnd& end) {
  std::array<char, 64> text{};
  if (end.timed_out) {
    std::snprintf(text.data(), text.size(), "timed out after %.1f s",
                  std::chrono::duration<double>(end.took).count());
    return text.data();
  }
  if (end.signal != 0) {
    const char* name = strsignal(end.signal);  // NOLINT(concurrency-mt-unsafe): one thread per runner
    return "killed by signal " + std::to_string(end.signal) + " (" + (name != nullptr ? name : "?") + ")";
  }
  return "exit code " + std::to_string(end.exit_code);
}

struct ChildProcesses::Child {
  Request request;
  pid_t pid = -1;
  Descriptor output, end;  // the pipe, and the pidfd: readable when the process has ended
  std::string partial;
  Clock::time_point began = Clock::now();
  bool timed_out = false;

  /// Milliseconds until the timeout, for poll; -1: none.
  int time_left() const {
    if (request.timeout.count() == 0 || timed_out) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(began + runtime::bounded(request.timeout) -
                                                                   Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
  }
  void read_output() {
    std::array<char, 4096> buffer;
    for (;;) {
      const auto count = read(output.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;  // nothing there now
      if (count == 0) return output.reset();
      partial.append(buffer.data(), static_cast<std::size_t>(count));
      std::size_t from = 0;
      for (auto at = partial.find('\n'); at != std::string::npos; at = partial.find('\n', from)) {
        if (request.on_line) request.on_line(std::string_view{partial}.substr(from, at - from));
        from = at + 1;
      }
      partial.erase(0, from);
    }
  }
  void kill_group() const {
    if (pid > 0) kill(-pid, SIGKILL);
  }
  ChildEnd reap() {
    if (output.get() >= 0) read_output();
    if (!partial.empty() && request.on_line) request.on_line(partial);
    kill_group();  // whatever it has left behind
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ChildEnd result;
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    result.timed_out = timed_out;
    result.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    return result;
  }
};

ChildProcesses::ChildProcesses() = default;

ChildProcesses::~ChildProcesses() {
  for (auto& child : children_) {
    child->request.on_line = nullptr;
    child->kill_group();
    (void)child->reap();
  }
}

std::size_t ChildProcesses::running() const noexcept { return children_.size(); }

Result<void> ChildProcesses::start(Request request) {
  if (request.command.empty()) return Error{Errc::invalid_argument, "no program to start"};
  const auto failed = [&](const char* what, int error) {
    return Error{
        Errc::system,
        "cannot start '" + request.command[0] + "': " + what + ": " + std::generic_category().message(error),
        error == EAGAIN ? comm::threads_hint() : comm::limit_hint(error)};
  };
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failed("pipe", errno);
  auto child = std::make_unique<Child>();
  child->output = Descriptor{ends[0]};
  const Descriptor writer{ends[1]};

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<char*> arguments;
  for (auto& word : request.command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // The child's ends block: O_NONBLOCK belongs to the open file, which only the reader may have so.
  if (const int flags = fcntl(ends[1], F_GETFL); flags >= 0) fcntl(ends[1], F_SETFL, flags & ~O_NONBLOCK);
  const int error = posix_spawnp(&child->pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return failed("spawn", error);

  child->end = Descriptor{static_cast<int>(syscall(SYS_pidfd_open, child->pid, 0))};
  if (child->end.get() < 0) {
    const int reason = errno;
    child->kill_group();
    (void)child->reap();
    return failed("pidfd_open", reason);
  }
  child->request = std::move(request);
  children_.push_back(std::move(child));
  return {};
}

void ChildProcesses::run() {
  while (!children_.empty()) {
    std::vector<pollfd> watched;
    int timeout = -1;
    for (const auto& child : children_) {
      watched.push_back({child->end.get(), POLLIN, 0});
      watched.push_back({child->output.get(), POLLIN, 0});  // negative when closed: ignored
      const int left = child->time_left();
      if (left >= 0 && (timeout < 0 || left < timeout)) timeout = left;
    }
    if (poll(watched.data(), watched.size(), timeout) < 0 && errno != EINTR) return;
    std::vector<std::unique_ptr<Child>> ended;
    for (std::size_t i = 0; i < watched.size() / 2; ++i) {
      auto& child = children_[i];
      if (watched[2 * i + 1].revents != 0) child->read_output();
      if (child->time_left() == 0) {
        child->timed_out = true;
        child->kill_group();
      }
      if (watched[2 * i].revents != 0) ended.push_back(std::move(child));
    }
    std::erase(children_, nullptr);
    for (auto& child : ended) {
      const auto end = child->reap();
      if (child->request.on_end) child->request.on_end(end);
    }
  }
}

}  // namespace troupe::platform
