// `troupe pod`: several nodes on this machine, for trying what runs on several machines.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <mutex>
#include <ostream>
#include <system_error>
#include <thread>
#include <vector>

#include "command/commands.hpp"
#include "command/interrupts.hpp"
#include "errc.hpp"
#include "nodes/certificates.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): where it is declared depends on macros

namespace troupe::apps {
namespace {

/// A `troupe node` of this one's, which ends with it.
class NodeProcess {
 public:
  explicit NodeProcess(std::vector<std::string> words) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw failed();
    says_.reset(::fdopen(ends[0], "r"));
    std::vector<char*> raw;
    for (auto& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // What its kernels print is no option of a program's.
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // Ctrl-C is for this one, and its signals, which it waits for, are none of theirs.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    const int problem = ::posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, raw.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (problem != 0) {
      errno = problem;
      throw failed();
    }
  }
  ~NodeProcess() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGTERM);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (follower_.joinable()) follower_.join();
  }
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  /// Once it listens; what it said instead, if it does not.
  Result<std::string> address() {
    const std::string begun = "listens at ";
    std::string all;
    std::array<char, 1024> line{};
    while (std::fgets(line.data(), line.size(), says_.get()) != nullptr) {
      const std::string text = line.data();
      if (const auto found = text.find(begun); found != std::string::npos) {
        const auto address = text.substr(found + begun.size());
        return address.substr(0, address.find(' '));
      }
      all += text;
    }
    return Error(Errc::bad_parameter, "a node of the pod did not start: " + all);
  }

  /// Passes on what it says from now on, or it would have to wait one day.
  void follow(std::ostream& to, std::mutex& turns) {
    follower_ = std::thread([this, &to, &turns] {
      std::array<char, 1024> line{};
      while (std::fgets(line.data(), line.size(), says_.get()) != nullptr) {
        const std::lock_guard lock(turns);
        to << line.data() << std::flush;
      }
    });
  }

 private:
  static Error failed() {
    return Error(Errc::cannot_read, "no process for a node: " + std::generic_category().message(errno));
  }
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  pid_t pid_ = -1;
  std::unique_ptr<std::FILE, Close> says_;
  std::thread follower_;
};

}  // namespace

int execute(const PodCommand& command, Console& console) {
  Interrupts interrupts;
  // Nothing of them is left, however this process ends.
  CertificateMemory certificates;
  Authority authority(certificates, 365);
  const auto made = [&]() -> Result<void> {
    if (auto began = authority.make(); !began) return began;
    if (auto node = authority.issue_node("localhost"); !node) return node.error();
    if (auto user = authority.issue_user("me"); !user) return user.error();
    return {};
  }();
  if (!made) {
    console.err << "troupe: " << render(made.error()) << "\n";
    return exit_cannot_start;
  }
  certificates.remove("ca.key");
  std::mutex turns;  ///< of those who say something
  std::vector<std::unique_ptr<NodeProcess>> nodes;
  std::string hosts;
  for (int i = 0; i < command.nodes; ++i) {
    std::vector<std::string> words{"troupe",     "node",
                                   "--listen",   "localhost:0",
                                   "--chips",    std::to_string(command.chips),
                                   "--platform", command.platform,
                                   "--cert",     certificates.path("localhost.pem"),
                                   "--key",      certificates.path("localhost.key"),
                                   "--ca",       certificates.path("ca.pem"),
                                   "--allow",    "me",
                                   "--ship",     "me",
                                   "--parent",   std::to_string(::getpid())};
    nodes.push_back(std::make_unique<NodeProcess>(std::move(words)));
    const auto address = nodes.back()->address();
    if (!address) {
      console.err << "troupe: " << render(address.error()) << "\n";
      return exit_cannot_start;
    }
    hosts += (hosts.empty() ? "" : ",") + *address;
  }
  console.err << "troupe pod: " << command.nodes << (command.nodes == 1 ? " node" : " nodes") << " of "
              << command.chips << (command.chips == 1 ? " chip" : " chips")
              << ", for programs of yours on this machine:\n";
  console.out << "--hosts " << hosts << " --cert " << certificates.path("me.pem") << " --key "
              << certificates.path("me.key") << " --ca " << certificates.path("ca.pem") << std::endl;
  for (const auto& node : nodes) node->follow(console.err, turns);
  const Flag never;
  (void)wait_for(never, &interrupts, -1);
  (void)interrupts.take();
  return exit_interrupted;
}

}  // namespace troupe::apps
