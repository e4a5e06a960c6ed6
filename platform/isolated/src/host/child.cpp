#include "host/child.hpp"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {  // not everywhere said by the header itself
#include <sys/pidfd.h>
}

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"
#include "wire/wire.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): where it is declared depends on macros

namespace troupe::platform::isolation {
namespace {

Error cannot_start(const std::string& program, int problem) {
  std::string hint = comm::limit_hint(problem);
  if (problem == EAGAIN) hint = comm::threads_hint();
  if (problem == ENOENT || problem == EACCES || problem == ENOEXEC) {
    hint = "install troupe with its program troupe-chip, or say where it is in TROUPE_CHIP_PROGRAM";
  }
  return Error(
      Errc::system,
      "no process for a chip: cannot start '" + program + "': " + std::generic_category().message(problem),
      hint);
}

/// Attributes and actions of one spawn.
struct Orders {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  Orders() {
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
  }
  Orders(const Orders&) = delete;
  Orders& operator=(const Orders&) = delete;
  ~Orders() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

std::string told(const siginfo_t& info) {
  switch (info.si_code) {
    case CLD_EXITED:
      return "exited with code " + std::to_string(info.si_status);
    case CLD_KILLED:
    case CLD_DUMPED:
      return "was killed by signal " + std::to_string(info.si_status) + " (" + ::sigdescr_np(info.si_status) +
             ")";
    default:
      return "ended";
  }
}

/// Ours, and our folder as the last one in which libraries are looked for: a module that came over a network
/// names libraries of troupe, but not where they are here.
class Environment {
 public:
  Environment() {
    constexpr std::string_view variable = "LD_LIBRARY_PATH=";
    std::string folders(variable);
    for (char** word = environ; *word != nullptr; ++word) {
      std::string_view(*word).starts_with(variable) ? folders = *word : own_.emplace_back(*word);
    }
    Dl_info here{};
    if (::dladdr(reinterpret_cast<const void*>(&told), &here) != 0 && here.dli_fname != nullptr) {
      std::error_code problem;
      const auto library = std::filesystem::absolute(here.dli_fname, problem);
      if (folders.size() > variable.size()) folders += ":";
      if (!problem) folders += library.parent_path().string();
    }
    if (folders.size() > variable.size()) own_.push_back(std::move(folders));
    for (auto& word : own_) words_.push_back(word.data());
    words_.push_back(nullptr);
  }
  char** words() { return words_.data(); }

 private:
  std::vector<std::string> own_;
  std::vector<char*> words_;
};

}  // namespace

Result<std::unique_ptr<Peer>> Child::start(const std::string& program) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return cannot_start(program, errno);
  comm::FileDescriptor ours(ends[0]), theirs(ends[1]);
  Orders orders;
  // A group of its own: Ctrl-C is for the program, which ends its chips in order; and what a kernel starts
  // can be ended with it.
  posix_spawnattr_setflags(&orders.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&orders.attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&orders.attributes, &none);
  posix_spawn_file_actions_adddup2(&orders.actions, theirs.get(), socket_of_chip);
  const std::string parent = std::to_string(::getpid());
  std::array<char*, 3> words{const_cast<char*>(program.c_str()), const_cast<char*>(parent.c_str()), nullptr};
  Environment environment;
  pid_t pid = -1;
  if (const int problem = ::posix_spawn(&pid, program.c_str(), &orders.actions, &orders.attributes,
                                        words.data(), environment.words());
      problem != 0) {
    return cannot_start(program, problem);
  }
  std::unique_ptr<Child> child(new Child(pid));
  child->process_.reset(::pidfd_open(pid, 0));
  child->socket_ = std::move(ours);
  return std::unique_ptr<Peer>(std::move(child));
}

std::string Child::end(bool closed) {
  if (pid_ < 0) return {};
  // One that ends closes what it has a moment before it has ended. One that stays has lost its descriptors.
  constexpr int moment_ms = 1000;
  pollfd ended{process_.get(), POLLIN, 0};
  const bool stays = closed && process_.valid() && ::poll(&ended, 1, moment_ms) == 0;
  const pid_t pid = std::exchange(pid_, -1);
  if (process_.valid()) {
    (void)::pidfd_send_signal(process_.get(), SIGKILL, nullptr, 0);
  } else {
    (void)::kill(pid, SIGKILL);
  }
  siginfo_t info{};
  int waited = 0;
  do waited = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  while (waited != 0 && errno == EINTR);
  // Somebody else has waited for it: its number may be another's by now.
  if (waited != 0) return "ended";
  (void)::kill(-pid, SIGKILL);
  do waited = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
  while (waited != 0 && errno == EINTR);
  process_.reset();
  const bool was_ours = info.si_code == CLD_KILLED && info.si_status == SIGKILL;
  return stays && was_ours ? "closed its connection to the program" : told(info);
}

}  // namespace troupe::platform::isolation
