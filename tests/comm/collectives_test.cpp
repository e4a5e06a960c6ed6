// The collectives as host code calls them, over real domains: what they answer, what they refuse, and how
// they end when a peer dies, gives up, or does something else.

#include "troupe/comm/collectives.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <latch>
#include <string>

#include "comm/collective_golden.hpp"
#include "comm/windows/ranks.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::comm::test {
namespace {

constexpr std::uint64_t workspace_bytes = CollectiveWorkspace::signals + 65536;
constexpr CollectiveWorkspace workspace{.offset = 0, .bytes = workspace_bytes};
constexpr std::uint64_t window_bytes = workspace_bytes + (std::uint64_t{1} << 20);

/// A domain in this process and a Collectives per rank.
class World {
 public:
  explicit World(std::uint32_t ranks, CollectiveOptions options = {.timeout = generous})
      : members(make_domain(ranks, window_bytes)) {
    for (DomainMember& member : members) {
      all.push_back(Collectives::over(member, workspace, options).value());
    }
  }
  ~World() { end_domain(members); }

  /// The part of a rank's window that is free for data.
  std::byte* data(std::uint32_t rank) { return members[rank].window(rank).data() + workspace_bytes; }

  std::vector<DomainMember> members;
  std::vector<Collectives> all;
};

void put(std::byte* to, const std::vector<std::byte>& bytes) { std::copy(bytes.begin(), bytes.end(), to); }
bool holds(const std::byte* at, const std::vector<std::byte>& bytes) {
  return std::equal(bytes.begin(), bytes.end(), at);
}

TEST_CASE("all_reduce over a domain gives the documented bits, in the windows and outside, 1 to 8 ranks") {
  for (std::uint32_t ranks = 1; ranks <= 8; ++ranks) {
    World world(ranks);
    run_ranks(ranks, [&](std::uint32_t rank) {
      Collectives& collectives = world.all[rank];
      CHECK(collectives.rank() == rank);
      CHECK(collectives.ranks() == ranks);
      std::uint64_t seed = 0;
      for (const std::size_t count : {0u, 1u, 777u, 20001u}) {
        for (const DType dtype : {DType::f32, DType::bf16}) {
          const auto mine = input(++seed, rank, count, dtype);
          const auto expected = reduced_in_order(seed, ranks, count, dtype, ReduceOp::sum);
          put(world.data(rank), mine);
          const auto in_window = collectives.all_reduce(world.data(rank), world.data(rank), count, dtype);
          CHECK_MESSAGE(in_window, in_window.error().what());
          CHECK(holds(world.data(rank), expected));
          std::vector<std::byte> outside = mine;
          const auto staged = collectives.all_reduce(outside.data(), outside.data(), count, dtype);
          CHECK_MESSAGE(staged, staged.error().what());
          CHECK(outside == expected);
        }
      }
    });
  }
}

TEST_CASE("every algorithm can be asked for, also for arrays outside the windows") {
  World world(3);
  run_ranks(3, [&](std::uint32_t rank) {
    std::uint64_t seed = 100;
    for (const auto algorithm :
         {AllReduceAlgorithm::automatic, AllReduceAlgorithm::one_phase, AllReduceAlgorithm::two_phase,
          AllReduceAlgorithm::ring, AllReduceAlgorithm::bidirectional_ring}) {
      auto data = input(++seed, rank, 5003, DType::i32);
      const auto expected = reduced_in_order(seed, 3, 5003, DType::i32, ReduceOp::max);
      put(world.data(rank), data);
      CHECK(world.all[rank].all_reduce(data.data(), data.data(), 5003, DType::i32, ReduceOp::max, algorithm));
      CHECK_MESSAGE(data == expected, name_of(algorithm));
      CHECK(world.all[rank].all_reduce(world.data(rank), world.data(rank), 5003, DType::i32, ReduceOp::max,
                                       algorithm));
      CHECK_MESSAGE(holds(world.data(rank), expected), name_of(algorithm));
    }
  });
}

TEST_CASE("the same call gives the same bits every time") {
  World world(4);
  run_ranks(4, [&](std::uint32_t rank) {
    const auto mine = input(7, rank, 3001, DType::f32);
    std::vector<std::byte> first;
    for (int round = 0; round < 20; ++round) {
      auto data = mine;
      REQUIRE(world.all[rank].all_reduce(data.data(), data.data(), 3001, DType::f32, ReduceOp::sum,
                                         AllReduceAlgorithm::ring));
      if (round == 0) first = data;
      CHECK(data == first);
    }
  });
}

TEST_CASE("the other collectives over a domain, in the windows and outside, also alone and with 64 ranks") {
  for (const std::uint32_t ranks : {1u, 2u, 5u, 64u}) {
    World world(ranks);
    run_ranks(ranks, [&](std::uint32_t rank) {
      Collectives& collectives = world.all[rank];
      const std::size_t count = 301;
      const CollectivePart part = part_of(count, ranks, rank);
      for (const bool staged : {false, true}) {
        std::vector<std::byte> private_memory(std::size_t{1} << 19);
        std::byte* in = staged ? private_memory.data() : world.data(rank);
        std::byte* out = in + (std::size_t{1} << 18);

        const auto whole = input(11, 0, count, DType::f32);
        put(in, {whole.begin() + static_cast<std::ptrdiff_t>(part.first * 4),
                 whole.begin() + static_cast<std::ptrdiff_t>((part.first + part.count) * 4)});
        CHECK(collectives.all_gather(in, out, count, DType::f32));
        CHECK(holds(out, whole));

        put(in, input(12, rank, count, DType::f32));
        CHECK(collectives.reduce_scatter(in, out, count, DType::f32, ReduceOp::min));
        const auto reduced = reduced_in_order(12, ranks, count, DType::f32, ReduceOp::min);
        CHECK(std::equal(out, out + part.count * 4,
                         reduced.begin() + static_cast<std::ptrdiff_t>(part.first * 4)));

        const std::uint32_t root = ranks / 2;
        if (rank == root) put(out, input(13, root, count, DType::u8));
        CHECK(collectives.broadcast(out, count, DType::u8, root));
        CHECK(holds(out, input(13, root, count, DType::u8)));

        put(in, input(14, rank, ranks * 9, DType::f32));
        CHECK(collectives.all_to_all(in, out, 9, DType::f32));
        for (std::uint32_t r = 0; r < ranks; ++r) {
          const auto theirs = input(14, r, ranks * 9, DType::f32);
          CHECK(std::equal(out + r * 36, out + r * 36 + 36,
                           theirs.begin() + static_cast<std::ptrdiff_t>(rank * 36)));
        }
        CHECK(collectives.barrier());
      }
    });
  }
}

TEST_CASE("gathering and scattering in place") {
  World world(3);
  run_ranks(3, [&](std::uint32_t rank) {
    const CollectivePart part = part_of(100, 3, rank);
    auto* data = reinterpret_cast<std::int32_t*>(world.data(rank));
    for (std::size_t i = 0; i < part.count; ++i)
      data[part.first + i] = static_cast<std::int32_t>(part.first + i);
    CHECK(world.all[rank].all_gather(data + part.first, data, 100, DType::i32));
    for (std::int32_t i = 0; i < 100; ++i) CHECK(data[i] == i);
    CHECK(world.all[rank].reduce_scatter(data, data + part.first, 100, DType::i32));
    for (std::size_t i = 0; i < part.count; ++i) {
      CHECK(data[part.first + i] == static_cast<std::int32_t>(3 * (part.first + i)));
    }
  });
}

TEST_CASE("small arrays are reduced in one phase, large ones in two, and rings only when asked for") {
  World world(2);
  CHECK(world.all[0].choose(64, true) == AllReduceAlgorithm::one_phase);
  CHECK(world.all[0].choose(64, false) == AllReduceAlgorithm::one_phase);
  for (const bool staged : {false, true}) {
    CHECK(world.all[0].choose(1 << 20, staged) == AllReduceAlgorithm::two_phase);
  }
  CHECK(world.all[0].choose(4096, false) == AllReduceAlgorithm::two_phase);
  // A wait of four costs more than their bytes.
  World four(4);
  CHECK(four.all[0].choose(4096, false) == AllReduceAlgorithm::one_phase);
  CHECK(four.all[0].choose(8192, false) == AllReduceAlgorithm::two_phase);
}

TEST_CASE("what cannot be is refused before anybody waits") {
  World world(2);
  Collectives& mine = world.all[0];
  std::byte* data = world.data(0);
  CHECK(mine.all_reduce(data, data, 4, DType::i64).error() == Errc::unsupported);
  CHECK(mine.all_reduce(data, data, 4, static_cast<DType>(99)).error() == Errc::bad_argument);
  CHECK(mine.all_reduce(data, data, 4, DType::f32, static_cast<ReduceOp>(9)).error() == Errc::bad_argument);
  CHECK(
      mine.all_reduce(data, data, 4, DType::f32, ReduceOp::sum, static_cast<AllReduceAlgorithm>(9)).error() ==
      Errc::bad_argument);
  CHECK(mine.all_reduce(data, data + 4, 4, DType::f32).error() == Errc::bad_argument);  // overlap
  CHECK(mine.all_reduce(nullptr, data, 4, DType::f32).error() == Errc::bad_argument);
  CHECK(mine.all_reduce(data, data, ~std::size_t{0}, DType::f32).error() == Errc::out_of_bounds);
  CHECK(mine.all_to_all(data, data, std::size_t{1} << 63, DType::f32).error() == Errc::out_of_bounds);
  CHECK(mine.all_to_all(data, data, 1, DType::f32).error() == Errc::bad_argument);
  CHECK(mine.broadcast(data, 4, DType::f32, 2).error() == Errc::bad_rank);
  // Refusals leave nothing behind: the next call is in step.
  run_ranks(2, [&](std::uint32_t rank) { CHECK(world.all[rank].barrier()); });
}

TEST_CASE(
    "a workspace must lie in the window and be aligned, and without scratch only calls in the windows work") {
  auto members = make_domain(2, window_bytes);
  CHECK(Collectives::over(members[0], {.offset = 32, .bytes = 4096}).error() == Errc::misaligned);
  CHECK(Collectives::over(members[0], {.offset = 0, .bytes = 4095}).error() == Errc::out_of_bounds);
  CHECK(Collectives::over(members[0], {.offset = window_bytes - 64, .bytes = 4096}).error() ==
        Errc::out_of_bounds);
  CHECK(Collectives::over(members[0], {.offset = 64, .bytes = ~std::uint64_t{0}}).error() ==
        Errc::out_of_bounds);
  DomainMember empty;
  CHECK(Collectives::over(empty, {}).error() == Errc::wrong_state);
  run_ranks(2, [&](std::uint32_t rank) {
    auto collectives =
        Collectives::over(members[rank], {.offset = window_bytes - 4096, .bytes = 4096}).value();
    auto* data = reinterpret_cast<float*>(members[rank].window(rank).data());
    data[0] = 2.0f;
    CHECK(collectives.all_reduce(std::span(data, 1)));
    CHECK(data[0] == 4.0f);
    float outside = 1;
    CHECK(collectives.all_reduce(std::span(&outside, 1)).error() == Errc::out_of_bounds);
  });
  end_domain(members);
}

/// Rank 2 of 3 never comes; the others run `call` and must end with `code`.
template <class Call, class End>
void two_wait_for_a_third(Errc code, Call call, End end) {
  NoLeaks no_leaks;
  World world(3);
  std::latch two_are_on_their_way(2);
  run_ranks(3, [&](std::uint32_t rank) {
    if (rank == 2) {
      two_are_on_their_way.wait();
      end(world.members[2]);
      return;
    }
    two_are_on_their_way.count_down();
    const auto result = call(world, rank);
    REQUIRE_FALSE(result);
    CHECK(result.error() == code);
    // It stays so.
    CHECK(world.all[rank].barrier().error() == code);
  });
}

TEST_CASE("a peer that dies ends every collective of the others with peer_lost") {
  const auto dies = [](DomainMember& member) { member.mark_lost(2); };
  const auto reduce_with = [](AllReduceAlgorithm algorithm) {
    return [algorithm](World& world, std::uint32_t rank) {
      return world.all[rank].all_reduce(world.data(rank), world.data(rank), 5000, DType::f32, ReduceOp::sum,
                                        algorithm);
    };
  };
  two_wait_for_a_third(Errc::peer_lost, reduce_with(AllReduceAlgorithm::one_phase), dies);
  two_wait_for_a_third(Errc::peer_lost, reduce_with(AllReduceAlgorithm::two_phase), dies);
  two_wait_for_a_third(Errc::peer_lost, reduce_with(AllReduceAlgorithm::ring), dies);
  two_wait_for_a_third(Errc::peer_lost, reduce_with(AllReduceAlgorithm::bidirectional_ring), dies);
  two_wait_for_a_third(
      Errc::peer_lost,
      [](World& world, std::uint32_t rank) {
        std::vector<float> outside(100000, 1.0f);
        return world.all[rank].all_reduce(std::span(outside));
      },
      dies);
  two_wait_for_a_third(
      Errc::peer_lost,
      [](World& world, std::uint32_t rank) {
        return world.all[rank].broadcast(world.data(rank), 10, DType::u8, 2);
      },
      dies);
}

TEST_CASE("a peer that aborts ends every collective of the others with aborted") {
  two_wait_for_a_third(
      Errc::aborted,
      [](World& world, std::uint32_t rank) {
        return world.all[rank].all_to_all(world.data(rank), world.data(rank) + 65536, 100, DType::u8);
      },
      [](DomainMember& member) { member.abort(); });
}

TEST_CASE("a peer that is alive but does not come: the deadline names it, it is told, and a reset heals") {
  World world(2, {.timeout = std::chrono::milliseconds(5)});
  std::latch gave_up(1);
  // Waiting for the other rank to recover takes as long as it takes.
  std::vector<Collectives> patient_ones;
  for (DomainMember& member : world.members) {
    patient_ones.push_back(Collectives::over(member, workspace, {.timeout = generous}).value());
  }
  run_ranks(2, [&](std::uint32_t rank) {
    std::vector<float> data(100, 1.0f);
    if (rank == 0) {
      const auto late = world.all[0].all_reduce(std::span(data));
      REQUIRE_FALSE(late);
      CHECK(late.error() == Errc::deadline);
      CHECK(late.error().message().find("rank 1") != std::string::npos);
      CHECK(world.all[0].barrier().error() == Errc::wrong_state);
      gave_up.count_down();
    } else {
      gave_up.wait();
      const auto told = patient_ones[1].all_reduce(std::span(data));
      REQUIRE_FALSE(told);
      CHECK(told.error() == Errc::deadline);
      CHECK(told.error().message().find("rank 0") != std::string::npos);
    }
    CHECK(patient_ones[rank].reset());
    std::vector<float> again(100, 1.0f);
    CHECK(patient_ones[rank].all_reduce(std::span(again)));
    CHECK(again[99] == 2.0f);
  });
}

TEST_CASE("without options the patience of a collective is that of every blocking call") {
  auto members = make_domain(2, window_bytes);
  ::setenv("TROUPE_COMM_TIMEOUT", "0.003", 1);
  auto hasty = Collectives::over(members[0], workspace).value();
  ::setenv("TROUPE_COMM_TIMEOUT", "soon", 1);
  CHECK(Collectives::over(members[0], workspace).error() == Errc::bad_config);
  ::unsetenv("TROUPE_COMM_TIMEOUT");
  const auto late = hasty.barrier();
  REQUIRE_FALSE(late);
  CHECK(late.error() == Errc::deadline);
  CHECK(late.error().message().find("within 3 ms") != std::string::npos);
  end_domain(members);
}

TEST_CASE("ranks that disagree about a call learn it, all of them, and a reset heals") {
  for (int difference = 0; difference < 5; ++difference) {
    CAPTURE(difference);
    World world(3);
    run_ranks(3, [&](std::uint32_t rank) {
      Collectives& mine = world.all[rank];
      std::byte* data = world.data(rank);
      const bool odd = rank == 1;
      Result<void> result;
      switch (difference) {
        case 0:
          result = mine.all_reduce(data, data, odd ? 99 : 100, DType::f32);
          break;
        case 1:
          result = mine.all_reduce(data, data, 100, odd ? DType::i32 : DType::f32);
          break;
        case 2:
          result = mine.all_reduce(data, data, 100, DType::f32, odd ? ReduceOp::max : ReduceOp::sum);
          break;
        case 3:
          result = mine.all_reduce(data + (odd ? 64 : 0), data + 4096, 100, DType::f32);
          break;
        default:
          result = odd ? mine.barrier() : mine.all_reduce(data, data, 100, DType::f32);
      }
      REQUIRE_FALSE(result);
      CHECK(result.error() == Errc::mismatch);
      CHECK(mine.reset());
      CHECK(mine.barrier());
    });
  }
}

TEST_CASE("several domains and workspaces live side by side") {
  World a(2), b(2);
  run_ranks(2, [&](std::uint32_t rank) {
    for (int round = 0; round < 200; ++round) {
      std::int32_t x = round, y = 2 * round;
      CHECK(a.all[rank].all_reduce(std::span(&x, 1)));
      CHECK(b.all[rank].all_reduce(std::span(&y, 1)));
      CHECK((x == 2 * round && y == 4 * round));
    }
  });
}

}  // namespace
}  // namespace troupe::comm::test
