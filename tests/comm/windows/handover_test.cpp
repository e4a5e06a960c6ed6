// Waits that park at once, many times in a row, with the other side coming at every moment. A wake-up that is
// lost ends as a deadline, which fails the test. What is tried here by chance is walked through in
// park_model_test.cpp.
#include <atomic>

#include "comm/windows/ranks.hpp"
#include "support/random.hpp"
#include "troupe/comm/collectives.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;
using troupe::test::cases;

Deadline in_good_time() { return Environment::machine().now() + generous; }

/// Lets some hundred nanoseconds pass, differently each time.
void dawdle(std::uint64_t& state) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  std::atomic<std::uint64_t> nothing{0};
  for (std::uint64_t i = state >> 56; i > 0; --i) nothing.store(i, std::memory_order_relaxed);
}

std::vector<DomainMember> domain_that_parks_at_once(std::uint32_t ranks, std::uint64_t bytes) {
  auto members = make_domain(ranks, bytes);
  for (DomainMember& member : members) member.set_wait_policy({.spins = 0, .yields = 0});
  return members;
}

TEST_CASE("a signal that two ranks hand to and fro never gets lost") {
  const NoLeaks leaks;
  auto members = domain_that_parks_at_once(2, 64);
  const std::uint64_t rounds = cases(5000);
  run_ranks(2, [&](std::uint32_t rank) {
    const OneSided windows(members[rank]);
    std::uint64_t noise = rank + 1;
    bool good = true;
    for (std::uint64_t round = 1; good && round <= rounds; ++round) {
      dawdle(noise);
      // Set and add take turns; rank 1 answers.
      const auto tell = [&] {
        return round % 2 == 0 ? windows.notify<std::uint64_t>(1 - rank, 0, NotifyOp::add, 1)
                              : windows.notify<std::uint64_t>(1 - rank, 0, NotifyOp::set, round);
      };
      if (rank == 0) good = good && tell();
      good =
          good && windows.wait_until<std::uint64_t>(rank, 0, Compare::greater_equal, round, in_good_time());
      if (rank == 1) good = good && tell();
    }
    CHECK(good);
  });
  end_domain(members);
}

TEST_CASE("a barrier never leaves a rank asleep, also when another gives up and comes again") {
  const NoLeaks leaks;
  constexpr std::uint32_t ranks = 3;
  auto members = domain_that_parks_at_once(ranks, 64);
  const std::uint64_t rounds = cases(2000);
  run_ranks(ranks, [&](std::uint32_t rank) {
    std::uint64_t noise = rank + 1;
    bool good = true;
    for (std::uint64_t round = 0; good && round < rounds; ++round) {
      dawdle(noise);
      const bool impatient = round % ranks == rank;
      auto passed = members[rank].barrier(impatient ? Deadline() : in_good_time());
      // Whoever is impatient meets the others once they sleep.
      while (impatient && !passed && passed.error() == Errc::deadline) {
        std::this_thread::yield();
        passed = members[rank].barrier(Deadline());
      }
      good = good && passed;
    }
    CHECK(good);
  });
  end_domain(members);
}

TEST_CASE("collectives whose waits all park end as well, with the right sum") {
  const NoLeaks leaks;
  constexpr std::uint32_t ranks = 3;
  constexpr std::size_t count = 700;
  const CollectiveWorkspace workspace{.offset = 0, .bytes = CollectiveWorkspace::signals + 8192};
  auto members = domain_that_parks_at_once(ranks, workspace.bytes + count * sizeof(std::int32_t));
  const std::uint64_t rounds = cases(500);
  run_ranks(ranks, [&](std::uint32_t rank) {
    auto collectives = Collectives::over(members[rank], workspace, {.timeout = generous}).value();
    auto* inside = reinterpret_cast<std::int32_t*>(members[rank].window(rank).data() + workspace.bytes);
    std::vector<std::int32_t> outside(count);
    std::uint64_t noise = rank + 1;
    bool good = true;
    for (std::uint64_t round = 0; good && round < rounds; ++round) {
      const std::span<std::int32_t> data(round % 2 == 0 ? inside : outside.data(), count);
      for (std::size_t i = 0; i < count; ++i) data[i] = static_cast<std::int32_t>(rank + i + round);
      dawdle(noise);
      const auto algorithm = static_cast<AllReduceAlgorithm>(round / 2 % 5);
      good = good && collectives.all_reduce(data, ReduceOp::sum, algorithm);
      for (std::size_t i = 0; i < count; ++i)
        good = good && data[i] == static_cast<std::int32_t>(3 + ranks * (i + round));
    }
    CHECK(good);
  });
  end_domain(members);
}

}  // namespace
