#include "troupe/comm/communicator.hpp"

#include <atomic>
#include <latch>

#include "comm/windows/ranks.hpp"
#include "support/random.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;

Communicator init(std::uint32_t rank, std::uint32_t ranks, const std::string& name,
                  CommOptions options = patient()) {
  return Communicator::init(rank, ranks, name, options).value();
}

TEST_CASE("every rank sees every window, for 1 to 64 ranks and odd sizes") {
  for (const std::uint32_t ranks : {1U, 2U, 3U, 4U, 5U, 7U, 8U, 13U, 31U, 64U}) {
    const NoLeaks leaks;
    const std::uint64_t size = 4093 + ranks;
    const std::string name = meeting("all-" + std::to_string(ranks));
    run_ranks(ranks, [&](std::uint32_t rank) {
      Communicator comm = init(rank, ranks, name);
      CHECK(comm.window_size() == 0);
      CHECK(comm.local_window_base() == nullptr);
      const auto* context = comm.alloc_windows(size).value();
      REQUIRE(context != nullptr);
      CHECK(context->rank == rank);
      CHECK(context->rank_count == ranks);
      CHECK(context->window_size == size);
      CHECK(comm.window_size() == size);
      CHECK(context->windows_in[rank] == reinterpret_cast<std::uintptr_t>(comm.local_window_base()));
      CHECK(reinterpret_cast<std::uintptr_t>(comm.local_window_base()) % 4096 == 0);
      std::uint64_t sum = 0;
      for (std::uint64_t i = 0; i < size; ++i) sum += std::to_integer<unsigned>(comm.local_window_base()[i]);
      CHECK(sum == 0);  // zeroed
      REQUIRE(comm.barrier());

      // Everybody writes into its right neighbour, through its own context.
      const std::uint32_t next = (rank + 1) % ranks;
      auto* peer = context->on_peer(comm.local_window_base(), next);
      const auto data = pattern(rank, size);
      std::memcpy(peer, data.data(), size);
      REQUIRE(comm.barrier());
      const auto expected = pattern((rank + ranks - 1) % ranks, size);
      CHECK(std::memcmp(comm.local_window_base(), expected.data(), size) == 0);
      REQUIRE(comm.destroy());
      REQUIRE(comm.destroy());
      CHECK(comm.local_window_base() == nullptr);
    });
  }
}

TEST_CASE("a window may have zero bytes: then ranks only meet") {
  const NoLeaks leaks;
  run_ranks(3, [&](std::uint32_t rank) {
    Communicator comm = init(rank, 3, meeting("zero"));
    CHECK(comm.alloc_windows(0));
    CHECK(comm.barrier());
    CHECK(comm.domain().window(1).empty());
    CHECK(comm.destroy());
  });
}

TEST_CASE("a barrier lets nobody pass before all have come, thousands of times") {
  const NoLeaks leaks;
  for (const std::uint32_t ranks : {2U, 3U, 5U}) {
    std::vector<std::atomic<std::uint64_t>> rounds(ranks);
    run_ranks(ranks, [&](std::uint32_t rank) {
      Communicator comm = init(rank, ranks, meeting("rounds"));
      REQUIRE(comm.alloc_windows(64));
      bool in_step = true;
      for (std::uint64_t round = 1; round <= 2000; ++round) {
        rounds[rank].store(round);
        if (!comm.barrier()) in_step = false;
        for (const auto& other : rounds)
          in_step = in_step && other.load() >= round && other.load() <= round + 1;
      }
      CHECK(in_step);
      CHECK(comm.destroy());
    });
  }
}

TEST_CASE("the same meeting serves one communicator after the other") {
  const NoLeaks leaks;
  const std::string name = meeting("again");
  run_ranks(3, [&](std::uint32_t rank) {
    for (std::uint64_t round = 0; round < troupe::test::cases(200); ++round) {
      Communicator comm = init(rank, 3, name);
      const auto context = comm.alloc_windows(8 + round);
      if (!context) FAIL(render(context.error()));
      CHECK(*reinterpret_cast<std::uint8_t*>((*context)->windows_in[(rank + 1) % 3]) == 0);
      REQUIRE(comm.barrier());
      *comm.local_window_base() = std::byte{7};  // the next window is a fresh one all the same
      REQUIRE(comm.destroy());
    }
  });
}

TEST_CASE("several communicators work side by side in one process") {
  const NoLeaks leaks;
  run_ranks(4, [&](std::uint32_t rank) {
    Communicator all = init(rank, 4, meeting("side-all"));
    REQUIRE(all.alloc_windows(1000));
    // Pairs 0-1 and 2-3, with ranks of their own.
    Communicator pair = init(rank % 2, 2, meeting("side-pair-" + std::to_string(rank / 2)));
    REQUIRE(pair.alloc_windows(100));
    for (int i = 0; i < 100; ++i) {
      REQUIRE(pair.barrier());
      if (i % 3 == 0) REQUIRE(all.barrier());
    }
    CHECK(pair.destroy());
    CHECK(all.barrier());
    CHECK(all.destroy());
  });
}

TEST_CASE("ranks that disagree are told who wants what, all of them") {
  const NoLeaks leaks;
  SUBCASE("about the size") {
    run_ranks(3, [&](std::uint32_t rank) {
      Communicator comm = init(rank, 3, meeting("size"));
      const auto result = comm.alloc_windows(rank == 1 ? 8192 : 4096);
      REQUIRE_FALSE(result);
      CHECK(result.error() == Errc::mismatch);
      CHECK(result.error().message().find("8192") != std::string::npos);
      CHECK(comm.window_size() == 0);
      CHECK(comm.destroy());
    });
  }
  SUBCASE("about the rank count") {
    run_ranks(2, [&](std::uint32_t rank) {
      Communicator comm = init(rank, 2 + rank, meeting("count"));
      const auto result = comm.alloc_windows(64);
      REQUIRE_FALSE(result);
      CHECK(result.error() == Errc::mismatch);
    });
  }
}

TEST_CASE("a rank that joins twice is turned away and the group meets without it") {
  const NoLeaks leaks;
  const std::string name = meeting("twice");
  std::latch refused(1);
  std::atomic<int> met = 0;
  std::vector<std::thread> zeros;
  for (int i = 0; i < 2; ++i) {
    zeros.emplace_back([&] {
      Communicator zero = init(0, 2, name);
      if (const auto result = zero.alloc_windows(64); result) {
        ++met;
        CHECK(zero.destroy());
      } else {
        CHECK(result.error() == Errc::mismatch);
        refused.count_down();
      }
    });
  }
  refused.wait();
  Communicator one = init(1, 2, name);
  CHECK(one.alloc_windows(64));
  CHECK(one.destroy());
  for (std::thread& zero : zeros) zero.join();
  CHECK(met == 1);
}

TEST_CASE("arguments are checked before anybody is met") {
  const NoLeaks leaks;
  CHECK(Communicator::init(0, 0, "x").error() == Errc::bad_rank);
  CHECK(Communicator::init(2, 2, "x").error() == Errc::bad_rank);
  CHECK(Communicator::init(0, 65, "x").error() == Errc::bad_rank);
  CHECK(Communicator::init(0, 1, "").error() == Errc::bad_argument);
  Communicator comm = init(0, 1, meeting("arguments"));
  CHECK(comm.barrier().error() == Errc::wrong_state);
  CHECK(comm.alloc_windows(max_window_bytes + 1).error() == Errc::too_large);
  CHECK(comm.alloc_windows(~std::uint64_t{0}).error() == Errc::too_large);
  CHECK(comm.alloc_windows(16));
  CHECK(comm.alloc_windows(16).error() == Errc::wrong_state);
  CHECK(comm.destroy());
  CHECK(comm.alloc_windows(16).error() == Errc::wrong_state);
  CHECK(comm.barrier().error() == Errc::wrong_state);
}

TEST_CASE("TROUPE_COMM_TIMEOUT is seconds, and nonsense in it is an error") {
  const auto with = [](const char* text) {
    ::setenv("TROUPE_COMM_TIMEOUT", text, 1);
    const auto options = CommOptions::from_environment();
    const auto communicator = Communicator::init(0, 1, "x");
    ::unsetenv("TROUPE_COMM_TIMEOUT");
    // Who passes no options gets these, or the same error.
    CHECK(communicator.has_value() == options.has_value());
    if (communicator && options) CHECK(communicator->options().timeout == options->timeout);
    return options;
  };
  CHECK(CommOptions::from_environment().value().timeout == std::chrono::seconds(120));
  CHECK(with("").value().timeout == std::chrono::seconds(120));
  CHECK(with("7").value().timeout == std::chrono::seconds(7));
  CHECK(with("0.25").value().timeout == std::chrono::milliseconds(250));
  for (const char* wrong : {"soon", "-1", "1e99", "nan", "inf", "5s", " 5"})
    CHECK(with(wrong).error() == Errc::bad_config);
}

TEST_CASE("a meeting that does not fill by its deadline says who is missing, and can be tried again") {
  const NoLeaks leaks;
  const std::string name = meeting("late");
  run_ranks(2, [&](std::uint32_t rank) {
    Communicator comm =
        init(rank, 4, name, {.timeout = std::chrono::milliseconds(0), .allow_several = false});
    const auto result = comm.alloc_windows(64);
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::deadline);
  });
  Communicator lonely = init(2, 4, name, {.timeout = std::chrono::milliseconds(1), .allow_several = false});
  const auto result = lonely.alloc_windows(64);
  REQUIRE_FALSE(result);
  CHECK(result.error().message() == "rank 0, 1 and 3 did not join in time");
  run_ranks(4, [&](std::uint32_t rank) {
    Communicator comm = init(rank, 4, name);
    CHECK(comm.alloc_windows(64));
    CHECK(comm.destroy());
  });
}

TEST_CASE("a barrier that is not reached by its deadline lists the absent, and works once they come") {
  const NoLeaks leaks;
  const std::string name = meeting("absent");
  std::latch gave_up(1);
  run_ranks(3, [&](std::uint32_t rank) {
    Communicator comm = init(rank, 3, name);
    REQUIRE(comm.alloc_windows(64));
    if (rank == 0) {
      const auto result = comm.domain().barrier(Environment::machine().now());
      REQUIRE_FALSE(result);
      CHECK(result.error() == Errc::deadline);
      CHECK(result.error().message().find("rank 1 and 2") != std::string::npos);
      gave_up.count_down();
    }
    gave_up.wait();
    for (int i = 0; i < 100; ++i) REQUIRE(comm.barrier());
    CHECK(comm.destroy());
  });
}

TEST_CASE("abort ends the barrier, the wait and the meeting of every rank") {
  const NoLeaks leaks;
  SUBCASE("in a barrier and in wait_until") {
    run_ranks(4, [&](std::uint32_t rank) {
      Communicator comm = init(rank, 4, meeting("abort"));
      REQUIRE(comm.alloc_windows(64));
      if (rank == 3) {
        comm.abort();
        CHECK(comm.barrier().error() == Errc::aborted);
      } else if (rank == 2) {
        CHECK(OneSided(comm.domain()).wait_until<std::uint64_t>(2, 0, Compare::equal, 5).error() ==
              Errc::aborted);
      } else {
        const auto result = comm.barrier();
        REQUIRE_FALSE(result);
        CHECK(result.error() == Errc::aborted);
        CHECK(result.error().message() == "rank 3 aborted the domain");
      }
      CHECK(comm.destroy().error() == Errc::aborted);
      CHECK(comm.destroy());
    });
  }
  SUBCASE("while meeting, from another thread") {
    Communicator absent = init(0, 3, meeting("abort-early"));
    Communicator joiner = init(1, 3, meeting("abort-early"));
    std::thread first([&] { CHECK(absent.alloc_windows(64).error() == Errc::aborted); });
    std::thread second([&] { CHECK(joiner.alloc_windows(64).error() == Errc::aborted); });
    absent.abort();
    first.join();
    joiner.abort();
    second.join();
  }
}

TEST_CASE("a rank that leaves without the others ends their waits") {
  const NoLeaks leaks;
  run_ranks(3, [&](std::uint32_t rank) {
    Communicator comm = init(rank, 3, meeting("leave"));
    REQUIRE(comm.alloc_windows(64));
    if (rank == 1) return;  // the destructor leaves
    const auto result = comm.barrier();
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::peer_lost);
    CHECK(result.error().message().find("rank 1") != std::string::npos);
    CHECK(comm.destroy().error() == Errc::peer_lost);
  });
}

}  // namespace
