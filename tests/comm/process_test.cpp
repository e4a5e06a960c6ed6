// Collectives and bring-up between real processes, and what happens when one of them is killed.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "comm/collective_golden.hpp"
#include "comm/leaks.hpp"
#include "comm/windows/ranks.hpp"
#include "troupe/comm/bootstrap_channel.hpp"
#include "troupe/comm/errc.hpp"

extern char** environ;

namespace troupe::comm::test {
namespace {

/// Starts a rank process; `inherited` descriptors keep their numbers there.
pid_t start(const std::vector<std::string>& arguments, const std::vector<int>& inherited = {}) {
  std::vector<std::string> words{TROUPE_RANK_PROCESS};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  // Duplicating onto itself is how a descriptor is told to survive the exec.
  for (const int fd : inherited) ::posix_spawn_file_actions_adddup2(&actions, fd, fd);
  pid_t pid = -1;
  REQUIRE(::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0);
  ::posix_spawn_file_actions_destroy(&actions);
  return pid;
}

/// Exit code, or minus the signal.
int finish(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

std::vector<int> reduce(std::uint32_t ranks, int rounds, std::uint32_t victim, int die,
                        const std::string& tag) {
  std::vector<pid_t> processes;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    processes.push_back(start({"reduce", meeting(tag), std::to_string(rank), std::to_string(ranks),
                               std::to_string(rounds), std::to_string(rank == victim ? die : -1)}));
  }
  std::vector<int> codes;
  for (const pid_t process : processes) codes.push_back(finish(process));
  return codes;
}

TEST_CASE("processes reduce together, in their windows and outside, by every algorithm") {
  for (const std::uint32_t ranks : {1u, 2u, 5u}) {
    CAPTURE(ranks);
    CHECK(reduce(ranks, 30, 0, -1, "processes") == std::vector<int>(ranks, 0));
  }
}

TEST_CASE("kill -9 of any rank, early or late, ends the others with peer_lost at once") {
  constexpr std::uint32_t ranks = 3;
  for (std::uint64_t round = 0; round < cases(4); ++round) {
    for (std::uint32_t victim = 0; victim < ranks; ++victim) {
      const int die = static_cast<int>(noise(round, victim, 0) % 12);
      CAPTURE(victim);
      CAPTURE(die);
      const auto codes = reduce(ranks, 1000000, victim, die, "kill");
      for (std::uint32_t rank = 0; rank < ranks; ++rank)
        CHECK(codes[rank] == (rank == victim ? -SIGKILL : 10));
    }
  }
}

struct Child {
  BootstrapMailbox mailbox;
  pid_t process;
};

/// A rank that comes up in a process, reporting through a mailbox without a name.
Child start_bootstrap(int rank, int ranks, const std::string& tag, const std::string& how) {
  auto mailbox = BootstrapMailbox::create("chip " + std::to_string(rank)).value();
  auto writer = mailbox.writer().value();
  const pid_t process =
      start({"bootstrap", std::to_string(writer.memory()), std::to_string(writer.doorbell()), meeting(tag),
             std::to_string(rank), std::to_string(ranks), how},
            {writer.memory(), writer.doorbell()});
  return {std::move(mailbox), process};
}

TEST_CASE("two ranks in processes of their own come up and report through their mailboxes") {
  const auto before = held_descriptors();
  {
    std::vector<Child> children;
    for (int rank = 0; rank < 2; ++rank) children.push_back(start_bootstrap(rank, 2, "two", "ok"));
    for (Child& child : children) {
      const auto result = child.mailbox.wait();
      REQUIRE(result);
      CHECK(result->actual_window_size == 4096);
      CHECK(result->buffer_ptrs == std::vector<std::uint64_t>{result->local_window_base});
      CHECK(finish(child.process) == 0);
    }
  }
  CHECK(held_descriptors() == before);
}

TEST_CASE("a rank that is killed before it reports is noticed through its mailbox, without a clock") {
  Child child = start_bootstrap(0, 1, "killed", "die");
  const auto result = child.mailbox.wait();
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::peer_lost);
  CHECK(result.error().message().find("chip 0") == 0);
  CHECK(finish(child.process) == -SIGKILL);
}

TEST_CASE("a rank with a wrong config says so across the process border") {
  Child child = start_bootstrap(0, 1, "wrong", "bad");
  const auto result = child.mailbox.wait();
  REQUIRE_FALSE(result);
  CHECK(result.error().message() ==
        "chip 0 bootstrap failed: ValueError: ChipBufferSpec.placement='bogus'; only 'window' is supported");
  CHECK(finish(child.process) == 0);
}

TEST_CASE("a named mailbox works across processes, whatever the writer does") {
  const std::string name = unique_name("process");
  const auto run = [&](const std::string& how) {
    auto mailbox = BootstrapMailbox::create_named("chip 7", name).value();
    const pid_t process = start({"attach", name, how});
    REQUIRE(mailbox.watch(process));
    auto result = mailbox.wait();
    (void)finish(process);
    return result;
  };
  CHECK(run("ok")->buffer_ptrs == std::vector<std::uint64_t>{4});
  CHECK(run("error").error().message() == "chip 7 bootstrap failed: ValueError: as asked");
  CHECK(run("die").error() == Errc::peer_lost);
  CHECK(run("silent").error() == Errc::peer_lost);
  CHECK(own_shared_memory_names().empty());
}

TEST_CASE("a process that ends before it attaches to a named mailbox is noticed when it is watched") {
  auto mailbox = BootstrapMailbox::create_named("chip 7", unique_name("absent")).value();
  const pid_t process = start({"no such command"});
  REQUIRE(mailbox.watch(process));
  CHECK(mailbox.wait().error() == Errc::peer_lost);
  CHECK(finish(process) == 2);
}

}  // namespace
}  // namespace troupe::comm::test
