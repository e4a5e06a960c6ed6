// Ranks in processes of their own. Every wait of theirs has 100 s before its deadline would come: a test that
// ends with peer_lost has noticed the death, one that ends with deadline has not and fails.
#include <algorithm>
#include <array>
#include <random>

#include "comm/windows/peer.hpp"
#include "comm/windows/ranks.hpp"
#include "support/random.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;

std::vector<std::string> rank_of(std::uint32_t rank, std::uint32_t ranks, const std::string& name,
                                 std::vector<std::string> steps) {
  steps.insert(steps.begin(), {std::to_string(rank), std::to_string(ranks), name});
  return steps;
}

/// Starts all ranks with the same steps.
std::vector<Peer> start(std::uint32_t ranks, const std::string& name, const std::vector<std::string>& steps) {
  std::vector<Peer> peers;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) peers.emplace_back(rank_of(rank, ranks, name, steps));
  return peers;
}

void check_lost(const std::string& line, const std::string& step, std::uint32_t victim) {
  INFO("the survivor said: ", line);
  CHECK(line.rfind(step + " peer_lost", 0) == 0);
  CHECK(line.find("rank " + std::to_string(victim)) != std::string::npos);
}

TEST_CASE("ranks in separate processes meet, signal each other and part, for 1 to 64 of them") {
  const NoLeaks leaks;
  for (const std::uint32_t ranks : {1U, 2U, 5U, 16U, 64U}) {
    auto peers = start(ranks, meeting("processes"),
                       {"bytes=777", "alloc", "barrier=20", "ring", "barrier", "destroy"});
    for (Peer& peer : peers) CHECK(peer.wait() == 0);
  }
}

TEST_CASE("a rank killed while it idles ends the waits of all others, whoever it was") {
  const NoLeaks leaks;
  for (std::uint64_t round = 0; round < 9 * troupe::test::cases(1); ++round) {
    const char* step = std::array{"barrier", "wait", "destroy"}[round % 3];
    const auto victim = static_cast<std::uint32_t>(round / 3 % 3);
    {
      std::vector<Peer> peers;
      for (std::uint32_t rank = 0; rank < 3; ++rank)
        peers.emplace_back(rank_of(rank, 3, meeting("idle"),
                                   rank == victim
                                       ? std::vector<std::string>{"alloc", "hold"}
                                       : std::vector<std::string>{"alloc", step, "barrier", "destroy"}));
      for (std::uint32_t rank = 0; rank < 3; ++rank)
        REQUIRE(peers[rank].until(rank == victim ? "enter hold" : std::string("enter ") + step) != "");
      peers[victim].kill();
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        if (rank == victim) continue;
        check_lost(peers[rank].until(step), step, victim);
        // And every later call says so at once.
        if (std::string(step) != "destroy") check_lost(peers[rank].until("barrier"), "barrier", victim);
        CHECK(peers[rank].wait() == 1);
      }
      CHECK(peers[victim].wait() == -SIGKILL);
    }
  }
}

TEST_CASE("a rank killed inside a barrier, a wait or the teardown is noticed there, too") {
  const NoLeaks leaks;
  for (std::uint64_t round = 0; round < 9 * troupe::test::cases(1); ++round) {
    const char* step = std::array{"barrier", "wait", "destroy"}[round % 3];
    const auto victim = static_cast<std::uint32_t>(round / 3 % 3);
    {
      const std::uint32_t late = (victim + 1) % 3, waiter = (victim + 2) % 3;
      std::vector<Peer> peers;
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        std::vector<std::string> steps{"alloc", step};
        if (rank == late) steps = {"alloc", "hold", "barrier"};
        if (rank == waiter) steps = {"alloc", "barrier"};
        peers.emplace_back(rank_of(rank, 3, meeting("inside"), steps));
      }
      REQUIRE(peers[victim].until(std::string("enter ") + step) != "");
      REQUIRE(peers[late].until("enter hold") != "");
      peers[victim].kill();
      CHECK(peers[victim].wait() == -SIGKILL);
      check_lost(peers[waiter].until("barrier"), "barrier", victim);
      peers[late].go();
      check_lost(peers[late].until("barrier"), "barrier", victim);
    }
  }
}

TEST_CASE("a rank killed while the ranks still meet fails the meeting for those who are there") {
  const NoLeaks leaks;
  for (const bool first_dies : {true, false}) {
    // Rank 2 never comes. Whoever comes first is the hub of the meeting.
    Peer first(rank_of(0, 3, meeting("meet"), {"hold-at-welcome", "alloc"}));
    REQUIRE(first.until("welcome") != "");
    Peer second(rank_of(1, 3, meeting("meet"), {"hold-at-welcome", "alloc"}));
    if (first_dies) {
      // A hub that stands still in its own step has not answered yet; its death is seen all the same.
      REQUIRE(second.until("enter alloc") != "");
      first.go();
      REQUIRE(second.until("welcome") != "");
      second.go();
      first.kill();
      check_lost(second.until("alloc"), "alloc", 0);
    } else {
      first.go();
      REQUIRE(second.until("welcome") != "");
      second.kill();
      check_lost(first.until("alloc"), "alloc", 1);
    }
  }
}

TEST_CASE("a rank killed while windows are exchanged fails the meeting for all") {
  const NoLeaks leaks;
  for (std::uint32_t victim = 0; victim < 3; ++victim) {
    const std::uint32_t other = (victim + 1) % 3, slow = (victim + 2) % 3;
    // The victim is the hub in one round and an ordinary member in the other.
    for (const bool hub_dies : {true, false}) {
      std::vector<Peer> peers;
      for (const std::uint32_t rank : {hub_dies ? victim : other, hub_dies ? other : victim}) {
        peers.emplace_back(rank_of(rank, 3, meeting("exchange"), {"alloc"}));
        REQUIRE(peers.back().until("welcome") != "");
      }
      // All have met; the last one stands still before it makes its window, the others have offered theirs.
      Peer last(rank_of(slow, 3, meeting("exchange"), {"hold-at-welcome", "alloc"}));
      REQUIRE(last.until("welcome") != "");
      peers[hub_dies ? 0 : 1].kill();
      check_lost(peers[hub_dies ? 1 : 0].until("alloc"), "alloc", victim);
      last.go();
      check_lost(last.until("alloc"), "alloc", victim);
    }
  }
}

TEST_CASE("ranks killed at any moment leave the others with an answer, and the name free") {
  const NoLeaks leaks;
  const std::uint64_t first = troupe::test::first_seed();
  for (std::uint64_t seed = first; seed < first + troupe::test::seeds(12); ++seed) {
    INFO("TROUPE_SEED=", seed);
    std::mt19937_64 random(seed);
    const auto ranks = static_cast<std::uint32_t>(2 + random() % 3);
    const auto victim = static_cast<std::uint32_t>(random() % ranks);
    auto peers = start(ranks, meeting("any"), {"alloc", "barrier=200", "ring", "barrier=200", "destroy"});
    // Whoever died before all had met may be waited for: then nobody promised anything yet.
    bool met = false;
    for (std::uint64_t lines = 2 + random() % 9; lines > 0; --lines)
      met = peers[victim].line() == "alloc ok" || met;
    peers[victim].kill();
    met = met || peers[victim].until("alloc ok") != "";
    for (std::uint32_t rank = 0; met && rank < ranks; ++rank) {
      if (rank == victim) continue;
      for (std::string line = peers[rank].line(); !line.empty(); line = peers[rank].line()) {
        INFO("rank ", rank, " said: ", line);
        CHECK(line.find("deadline") == std::string::npos);
      }
      CHECK(peers[rank].wait() >= 0);
    }
  }
}

TEST_CASE("after all ranks were killed the same name serves a new group") {
  const NoLeaks leaks;
  for (int round = 0; round < 3; ++round) {
    auto peers = start(4, meeting("all"), {"alloc", "barrier", "hold"});
    for (Peer& peer : peers) REQUIRE(peer.until("enter hold") != "");
    for (Peer& peer : peers) peer.kill();
  }
  auto peers = start(4, meeting("all"), {"alloc", "barrier", "destroy"});
  for (Peer& peer : peers) CHECK(peer.wait() == 0);
}

TEST_CASE("an abort in one process ends the waits in all") {
  const NoLeaks leaks;
  std::vector<Peer> peers;
  peers.emplace_back(rank_of(0, 3, meeting("abort-all"), {"alloc", "barrier"}));
  peers.emplace_back(rank_of(1, 3, meeting("abort-all"), {"alloc", "wait"}));
  peers.emplace_back(rank_of(2, 3, meeting("abort-all"), {"alloc", "hold", "abort", "barrier"}));
  for (const char* step : {"enter barrier"}) REQUIRE(peers[0].until(step) != "");
  peers[2].go();
  CHECK(peers[0].until("barrier") == "barrier aborted rank 2 aborted the domain");
  CHECK(peers[1].until("wait") == "wait aborted rank 2 aborted the domain");
  CHECK(peers[2].until("barrier") == "barrier aborted rank 2 aborted the domain");
}

TEST_CASE("a rank that is alive but absent is named at the deadline, and the domain goes on when it comes") {
  const NoLeaks leaks;
  Peer late(rank_of(1, 2, meeting("late"), {"alloc", "hold", "barrier=50", "destroy"}));
  Peer waiting(rank_of(0, 2, meeting("late"), {"alloc", "impatient", "hold", "barrier=50", "destroy"}));
  CHECK(waiting.until("impatient") == "impatient deadline rank 1 did not come to the barrier in time");
  waiting.go();
  late.go();
  CHECK(late.wait() == 0);
  CHECK(waiting.until("barrier") == "barrier ok");
  CHECK(waiting.until("destroy") == "destroy ok");
}

TEST_CASE("a process at its file-size limit reports no memory to all, and is not killed for it") {
  const NoLeaks leaks;
  Peer poor(rank_of(0, 2, meeting("limit"), {"bytes=1000000", "file-limit=500000", "alloc"}));
  Peer rich(rank_of(1, 2, meeting("limit"), {"bytes=1000000", "alloc"}));
  CHECK(rich.until("alloc").rfind("alloc no_memory rank 0: ", 0) == 0);
  CHECK(poor.until("alloc").rfind("alloc no_memory ", 0) == 0);
  CHECK(poor.wait() == 1);
}

TEST_CASE("a hub that has no descriptor left for a newcomer ends the meeting instead of letting it hang") {
  const NoLeaks leaks;
  Peer hub(rank_of(0, 2, meeting("descriptors"), {"exhausted", "hold-at-welcome", "alloc"}));
  REQUIRE(hub.until("welcome") != "");
  Peer newcomer(rank_of(1, 2, meeting("descriptors"), {"alloc"}));
  hub.go();
  const std::string line = hub.until("alloc");
  INFO("the hub said: ", line);
  CHECK(line.rfind("alloc system rank 0: letting a rank in", 0) == 0);
  CHECK(newcomer.until("alloc").rfind("alloc peer_lost", 0) == 0);
}

TEST_CASE("another user cannot take a rank's place, nor hold its meeting") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can play two users");
    return;
  }
  const NoLeaks leaks;
  const std::string squatted = meeting("squatted");
  Peer squatter({"squat", squatted});
  REQUIRE(squatter.line() == "ready");
  auto comm = Communicator::init(0, 2, squatted, patient()).value();
  CHECK(comm.alloc_windows(64).error() == Errc::foreign_peer);

  const std::string knocked = meeting("knocked");
  Peer first(rank_of(0, 2, knocked, {"alloc"}));
  REQUIRE(first.until("welcome") != "");
  Peer stranger({"knock", knocked});
  CHECK(stranger.line() == "hung up");
  Peer second(rank_of(1, 2, knocked, {"alloc"}));
  CHECK(first.until("alloc") == "alloc ok");
}

}  // namespace
