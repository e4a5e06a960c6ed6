// One rank in a process of its own, for tests that need real processes and real deaths:
//
//   peer <rank> <ranks> <meeting> <step>…
//
// Prints "enter <step>" before each step and "<step> ok" or "<step> <error> <message>" after it. Goes on
// after an error; a line on standard input ends `hold`, its end ends the program.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "meeting/connection.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/one_sided.hpp"

namespace {

using namespace troupe;
using namespace troupe::comm;

void hold() {
  char letter = 0;
  while (::read(STDIN_FILENO, &letter, 1) == 1)
    if (letter == '\n') return;
  std::exit(0);
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// Stops, on request, at the moment when a rank has been welcomed and makes its window.
class HoldingEnvironment final : public Environment {
 public:
  Result<FileDescriptor> create_memory(std::string_view name, std::uint64_t bytes) const override {
    say("welcome");
    if (holds) hold();
    auto memory = machine().create_memory(name, bytes);
    if (memory && exhausted) {
      const auto all = static_cast<rlim_t>(memory->get()) + 1;
      const rlimit limit{all, all};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    return memory;
  }
  bool holds = false;
  bool exhausted = false;  ///< no descriptor is left once the window is made
};

Result<void> without_value(const auto& result) {
  if (!result) return result.error();
  return {};
}

struct Rank {
  Communicator comm;
  HoldingEnvironment& environment;
  std::uint64_t bytes = 4096;

  Result<void> step(const std::string& what, const std::string& value) {
    if (what == "alloc") return without_value(comm.alloc_windows(bytes));
    if (what == "barrier") return repeat(value, [&] { return comm.barrier(); });
    if (what == "impatient") return comm.domain().barrier(environment.now());
    if (what == "wait")
      return OneSided(comm.domain()).wait_until<std::uint64_t>(comm.rank(), 0, Compare::not_equal, 0);
    if (what == "ring") return ring();
    if (what == "destroy") return comm.destroy();
    if (what == "abort") comm.abort();
    if (what == "hold") hold();
    if (what == "bytes") bytes = std::stoull(value);
    if (what == "hold-at-welcome") environment.holds = true;
    if (what == "exhausted") environment.exhausted = true;
    if (what == "file-limit") {
      const rlimit limit{std::stoull(value), std::stoull(value)};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    return {};
  }

  static Result<void> repeat(const std::string& value, const auto& action) {
    const int times = value.empty() ? 1 : std::stoi(value);
    for (int i = 0; i < times; ++i)
      if (auto done = action(); !done) return done;
    return {};
  }

  /// Everybody writes its rank into its right neighbour and checks what its left one wrote.
  Result<void> ring() {
    const std::uint32_t ranks = comm.ranks(), next = (comm.rank() + 1) % ranks;
    const OneSided windows(comm.domain());
    if (auto told = windows.notify<std::uint64_t>(next, 8, NotifyOp::set, comm.rank() + 1); !told)
      return told;
    const std::uint64_t left = (comm.rank() + ranks - 1) % ranks + 1;
    return windows.wait_until<std::uint64_t>(comm.rank(), 8, Compare::equal, left);
  }
};

/// Another user who takes our name, or knocks at our door.
int stranger(const std::string& what, const std::string& meeting) {
  const MeetingAddress address{static_cast<std::uint32_t>(::geteuid()), meeting};
  if (::setuid(65534) != 0) return 2;
  if (what == "squat") {
    const auto socket = listen_at(address);
    say(socket && socket->valid() ? "ready" : "refused");
    hold();
    return 0;
  }
  const auto connected = connect_to(address);
  if (!connected || !connected->valid()) return say("nobody"), 0;
  pollfd watched{connected->get(), POLLIN, 0};
  ::poll(&watched, 1, -1);
  char letter = 0;
  say(::recv(connected->get(), &letter, 1, MSG_DONTWAIT) > 0 ? "answered" : "hung up");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) return stranger(argv[1], argv[2]);
  if (argc < 5) return 2;
  HoldingEnvironment environment;
  auto options = CommOptions::from_environment();
  if (!options) return say(render(options.error())), 1;
  auto comm =
      Communicator::init(static_cast<std::uint32_t>(std::atoi(argv[1])),
                         static_cast<std::uint32_t>(std::atoi(argv[2])), argv[3], *options, environment);
  if (!comm) return say(render(comm.error())), 1;
  Rank rank{std::move(*comm), environment};
  bool good = true;
  for (int i = 4; i < argc; ++i) {
    const std::string text = argv[i], what = text.substr(0, text.find('='));
    const std::string value = what.size() < text.size() ? text.substr(what.size() + 1) : "";
    say("enter " + what);
    const auto done = rank.step(what, value);
    good = good && done;
    say(done ? what + " ok"
             : what + " " + std::string(done.error().code().name) + " " + done.error().message());
  }
  return good ? 0 : 1;
}
