// Collectives between real processes, and what happens when one of them, or all of them, are killed.

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <vector>

#include "comm/child_process.hpp"
#include "comm/collective_golden.hpp"
#include "comm/leaks.hpp"
#include "comm/windows/ranks.hpp"
#include "support/built.hpp"

namespace troupe::comm::test {
namespace {

std::vector<ChildProcess> start(std::uint32_t ranks, int rounds, std::uint32_t victim, int die, int say,
                                const std::string& tag) {
  std::vector<ChildProcess> processes;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    processes.emplace_back(
        tests::built("bin/troupe_comm_rank_process"),
        std::vector<std::string>{"reduce", meeting(tag), std::to_string(rank), std::to_string(ranks),
                                 std::to_string(rounds), std::to_string(rank == victim ? die : -1),
                                 std::to_string(say)});
  }
  return processes;
}

std::vector<int> reduce(std::uint32_t ranks, int rounds, std::uint32_t victim, int die,
                        const std::string& tag) {
  std::vector<int> codes;
  for (auto& process : start(ranks, rounds, victim, die, -1, tag)) codes.push_back(process.wait());
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

TEST_CASE("all ranks killed at once, in the middle of collectives, leave nothing, and the next group works") {
  constexpr std::uint32_t ranks = 3;
  const auto names = shared_memory_names();
  const auto before = held_descriptors();
  for (std::uint64_t round = 0; round < cases(6); ++round) {
    auto processes = start(ranks, 1000000, 0, -1, static_cast<int>(noise(round, 0, 0) % 40), "all");
    // One of them has got that far, so the others are within a call of it.
    REQUIRE(processes[round % ranks].line() == "busy");
    for (auto& process : processes) process.kill();
    // Nobody was dead before the first one died; the others may hear of a death before their own.
    CHECK(processes.front().wait() == -SIGKILL);
    for (std::size_t rank = 1; rank < ranks; ++rank) {
      const int end = processes[rank].wait();
      CHECK((end == -SIGKILL || end == 10));
    }
    CHECK(reduce(ranks, 5, 0, -1, "all") == std::vector<int>(ranks, 0));
  }
  CHECK(held_descriptors() == before);
  for (const std::string& name : shared_memory_names()) {
    CHECK_MESSAGE((names.contains(name) || name.find("troupe-window") == std::string::npos), name);
  }
}

}  // namespace
}  // namespace troupe::comm::test
