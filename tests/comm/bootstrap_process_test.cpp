// Bring-up of ranks in processes of their own: what their mailboxes say, and what stays when they are killed.

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "comm/child_process.hpp"
#include "comm/leaks.hpp"
#include "comm/windows/ranks.hpp"
#include "support/built.hpp"
#include "troupe/comm/bootstrap_channel.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::comm::test {
namespace {

ChildProcess start(std::vector<std::string> arguments, const std::vector<int>& inherited = {}) {
  return ChildProcess(tests::built("bin/troupe_comm_rank_process"), std::move(arguments), inherited);
}

struct Child {
  BootstrapMailbox mailbox;
  ChildProcess process;
};

/// A rank that comes up in a process, reporting through a mailbox without a name.
Child start_bootstrap(int rank, int ranks, const std::string& tag, const std::string& how) {
  auto mailbox = BootstrapMailbox::create("chip " + std::to_string(rank)).value();
  auto writer = mailbox.writer().value();
  auto process = start({"bootstrap", std::to_string(writer.memory()), std::to_string(writer.doorbell()),
                        meeting(tag), std::to_string(rank), std::to_string(ranks), how},
                       {writer.memory(), writer.doorbell()});
  return {std::move(mailbox), std::move(process)};
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
      CHECK(child.process.wait() == 0);
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
  CHECK(child.process.wait() == -SIGKILL);
}

TEST_CASE("a rank with a wrong config says so across the process border") {
  Child child = start_bootstrap(0, 1, "wrong", "bad");
  const auto result = child.mailbox.wait();
  REQUIRE_FALSE(result);
  CHECK(result.error().message() ==
        "chip 0 bootstrap failed: ValueError: ChipBufferSpec.placement='bogus'; only 'window' is supported");
  CHECK(child.process.wait() == 0);
}

TEST_CASE("a named mailbox works across processes, whatever the writer does") {
  const std::string name = unique_name("process");
  const auto run = [&](const std::string& how) {
    auto mailbox = BootstrapMailbox::create_named("chip 7", name).value();
    auto process = start({"attach", name, how});
    REQUIRE(mailbox.watch(process.id()));
    auto result = mailbox.wait();
    (void)process.wait();
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
  auto process = start({"no such command"});
  REQUIRE(mailbox.watch(process.id()));
  CHECK(mailbox.wait().error() == Errc::peer_lost);
  CHECK(process.wait() == 2);
}

/// Ranks that come up with named mailboxes and staging, all owned here.
struct NamedRanks {
  static constexpr std::uint32_t ranks = 3;

  /// Rank 2 stands still at `hold`; the others there, too, or they go on until they need rank 2.
  NamedRanks(const std::string& tag, const std::string& hold, bool others_go_on) {
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const std::string name = unique_name(tag + std::to_string(rank));
      mailboxes.push_back(BootstrapMailbox::create_named("chip " + std::to_string(rank), name).value());
      inputs.push_back(HostSegment::create(name + "-in", 256).value());
      outputs.push_back(HostSegment::create(name + "-out", 256).value());
      std::memset(inputs.back().bytes().data(), static_cast<int>(rank) + 1, 256);
      processes.push_back(start({"chip", name, meeting(tag), std::to_string(rank), std::to_string(ranks),
                                 name + "-in", name + "-out", others_go_on && rank != 2 ? "nowhere" : hold}));
      REQUIRE(mailboxes.back().watch(processes.back().id()));
    }
  }
  std::vector<BootstrapMailbox> mailboxes;
  std::vector<HostSegment> inputs, outputs;
  std::vector<ChildProcess> processes;
};

TEST_CASE("ranks come up with named mailboxes and staging, work, and store their buffers") {
  {
    NamedRanks group("named", "nowhere", false);
    for (std::uint32_t rank = 0; rank < group.ranks; ++rank) {
      const auto result = group.mailboxes[rank].wait();
      REQUIRE_MESSAGE(result, (result ? "" : result.error().message()));
      CHECK(group.processes[rank].wait() == 0);
      for (const std::byte value : group.outputs[rank].bytes()) CHECK(value == std::byte(rank + 1));
    }
    CHECK(own_shared_memory_names().size() == 3 * group.ranks);
  }
  CHECK(own_shared_memory_names().empty());
}

TEST_CASE("all ranks killed at once, at any step of bring-up, leave nothing, and the same names work again") {
  const auto before = held_descriptors();
  for (const char* step : {"attached", "set_device", "meet", "load", "reported", "store"}) {
    for (const bool others_go_on : {false, true}) {
      CAPTURE(step);
      CAPTURE(others_go_on);
      {
        NamedRanks group("killed", step, others_go_on);
        REQUIRE(group.processes[2].until(std::string("at ") + step) != "");
        if (!others_go_on) {
          REQUIRE(group.processes[0].until(std::string("at ") + step) != "");
          REQUIRE(group.processes[1].until(std::string("at ") + step) != "");
        }
        for (ChildProcess& process : group.processes) process.kill();
        for (std::uint32_t rank = 0; rank < group.ranks; ++rank) {
          const auto result = group.mailboxes[rank].wait();
          const bool reported = std::string(step) == "reported" || std::string(step) == "store";
          // Who goes on after the others reports; whether it got there is the race that the kill decides.
          if (!others_go_on || rank == 2) CHECK(result.has_value() == reported);
          // One that waits for the others may still report that the first of them died before it does itself.
          const bool heard = others_go_on && rank != 2 && !result && result.error() == Errc::chip_failed;
          if (!result && !heard) CHECK(result.error() == Errc::peer_lost);
          const int code = group.processes[rank].wait();
          if (rank == 2) CHECK(code == -SIGKILL);
        }
        CHECK(own_shared_memory_names().size() == 3 * group.ranks);  // the owner lives
      }
      CHECK(own_shared_memory_names().empty());
    }
    NamedRanks again("killed", "nowhere", false);
    for (std::uint32_t rank = 0; rank < again.ranks; ++rank) {
      CHECK(again.mailboxes[rank].wait());
      CHECK(again.processes[rank].wait() == 0);
    }
  }
  CHECK(own_shared_memory_names().empty());
  CHECK(held_descriptors() == before);
}

TEST_CASE("a rank killed after it met the others ends their teardown with peer_lost") {
  for (const char* step : {"load", "reported", "store"}) {
    CAPTURE(step);
    NamedRanks group("one", step, true);
    REQUIRE(group.processes[2].until(std::string("at ") + step) != "");
    group.processes[2].kill();
    CHECK(group.processes[0].wait() == 10);
    CHECK(group.processes[1].wait() == 10);
  }
}

TEST_CASE("of two processes that want one name the second is refused, until the first has died") {
  const std::string name = unique_name("two-owners");
  ChildProcess first = start({"own", name, "self"});
  REQUIRE(first.line() == "ready");
  CHECK(BootstrapMailbox::create_named("chip", name).error() == Errc::name_taken);
  CHECK(HostSegment::create(name + "-staging", 256).error() == Errc::name_taken);
  CHECK(start({"own", name, "self"}).wait() == 11);
  first.kill();
  CHECK(first.wait() == -SIGKILL);
  CHECK(own_shared_memory_names().size() == 2);                  // nobody was left to remove them
  CHECK(BootstrapWriter::attach(name).error() == Errc::system);  // nor to read
  {
    auto mailbox = BootstrapMailbox::create_named("chip", name).value();
    auto staging = HostSegment::create(name + "-staging", 256).value();
    ChildProcess writer = start({"attach", name, "ok"});
    CHECK(mailbox.wait()->buffer_ptrs == std::vector<std::uint64_t>{4});
    CHECK(writer.wait() == 0);
  }
  CHECK(own_shared_memory_names().empty());
}

TEST_CASE("of two users who want one name the second is refused, and neither reads the other's mailbox") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can play two users");
    return;
  }
  const std::string theirs = unique_name("theirs");
  {
    ChildProcess other = start({"own", theirs, "other"});
    REQUIRE(other.line() == "ready");
    CHECK(BootstrapMailbox::create_named("chip", theirs).error() == Errc::name_taken);
    CHECK(*HostSegment::remove_leftover(theirs) == false);
    CHECK(BootstrapWriter::attach(theirs).error() == Errc::foreign_peer);
    CHECK(HostSegment::attach(theirs + "-staging", 256).error() == Errc::foreign_peer);
    other.go();
    CHECK(other.wait() == 0);
  }
  CHECK(own_shared_memory_names().empty());
  auto mailbox = BootstrapMailbox::create_named("chip", theirs).value();
  ChildProcess stranger = start({"attach", theirs, "other"});
  CHECK(stranger.line() == "foreign_peer");
  CHECK(stranger.wait() == 0);
  ChildProcess writer = start({"attach", theirs, "ok"});
  CHECK(mailbox.wait());
  CHECK(writer.wait() == 0);
}

}  // namespace
}  // namespace troupe::comm::test
